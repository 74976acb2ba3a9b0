// SPDX-License-Identifier: GPL-2.0

//! What the tests of `pf_set_param`, `pf_get_info` and `pf_cleanup` share: reports, memory to be
//! written to, and processes that do it when they are told to.

use crate::calls;
use crate::expect;
use crate::expect_eq;
use crate::io;
use crate::io::File;
use crate::maps::maps;
use crate::mem::Mapping;
use crate::println;
use crate::sys;
use crate::sys::Result;
use crate::sys::Status;
use crate::sys::PAGE_SIZE;
use crate::task::Child;
use crate::task::Turnstile;
use crate::text;
use core::ffi::CStr;
use core::ops::Range;
use core::slice;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

/// `MAX_SIZE` of `include/uapi/linux/pf_stat.h`.
pub const MAX_SIZE: usize = 128;

/// C's `struct pf_stat`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Stat {
    nb_vma: i32,
    #[cfg(target_pointer_width = "64")]
    padding: u32,
    cow_page_faults: isize,
    vma_fault: [isize; MAX_SIZE],
    vma_list_start: [usize; MAX_SIZE],
    vma_list_end: [usize; MAX_SIZE],
}

/// A VMA of a [`Stat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its addresses.
    pub range: (usize, usize),
    /// The faults counted there.
    pub faults: isize,
}

const POISON: u8 = 0xa5;

impl Stat {
    /// A report with the same byte everywhere, which is no report.
    pub fn poisoned() -> Stat {
        // SAFETY: Integers may have any bytes.
        unsafe { core::mem::transmute([POISON; size_of::<Stat>()]) }
    }

    /// Whether nobody has written to it.
    pub fn is_poisoned(&self) -> bool {
        // SAFETY: There is no padding but `padding`, so that each byte is initialised.
        let bytes = unsafe { slice::from_raw_parts((&raw const *self).cast(), size_of::<Stat>()) };
        bytes.iter().all(|byte: &u8| *byte == POISON)
    }

    /// All that has been counted: in these VMAs, in those that did not fit, and in those that are
    /// no more.
    pub fn total(&self) -> isize {
        self.cow_page_faults
    }

    /// How many VMAs there are.
    pub fn len(&self) -> usize {
        self.nb_vma as usize
    }

    /// Whether there are no VMAs.
    pub fn is_empty(&self) -> bool {
        self.nb_vma == 0
    }

    /// The VMAs.
    pub fn vmas(&self) -> impl Iterator<Item = Counted> + '_ {
        (0..self.len().min(MAX_SIZE)).map(|i| Counted {
            range: (self.vma_list_start[i], self.vma_list_end[i]),
            faults: self.vma_fault[i],
        })
    }

    /// The sum over the VMAs.
    pub fn sum(&self) -> isize {
        self.vmas().map(|vma| vma.faults).sum()
    }

    /// The VMA that an address is in.
    pub fn vma(&self, addr: usize) -> Option<Counted> {
        self.vmas()
            .find(|vma| (vma.range.0..vma.range.1).contains(&addr))
    }

    /// The faults in an area, which has to be a VMA of its own.
    #[track_caller]
    pub fn faults(&self, area: &Area) -> isize {
        match self.vma(area.start()) {
            Some(vma) if vma.range == (area.start(), area.end()) => vma.faults,
            other => panic!(
                "{:x}-{:x} is no VMA but {other:x?}",
                area.start(),
                area.end()
            ),
        }
    }

    /// Expects what holds for each report.
    #[track_caller]
    fn expect_sane(&self) {
        #[cfg(target_pointer_width = "64")]
        expect_eq!(self.padding, 0);
        assert!(
            (0..=MAX_SIZE as i32).contains(&self.nb_vma),
            "{} VMAs",
            self.nb_vma
        );
        let mut last = 0;
        for vma in self.vmas() {
            let (start, end) = vma.range;
            expect!(last <= start && start < end, "{vma:x?} after {last:x}");
            expect!((start | end) % PAGE_SIZE == 0, "{vma:x?}");
            expect!(vma.faults >= 0, "{vma:x?}");
            last = end;
        }
        expect!(
            self.sum() <= self.total(),
            "{} in all, {} in VMAs",
            self.total(),
            self.sum()
        );
        for i in self.len()..MAX_SIZE {
            let rest = (
                self.vma_fault[i],
                self.vma_list_start[i],
                self.vma_list_end[i],
            );
            expect_eq!(rest, (0, 0, 0), "entry {i} of {}", self.nb_vma);
        }
    }

    /// Expects the VMAs to be those of `/proc/<pid>/maps`, or the first of those.
    #[track_caller]
    pub fn expect_maps(&self, pid: i32) {
        let mut buf = Mapping::new(64, sys::MAP_PRIVATE).expect("memory");
        let listed = maps(pid, buf.bytes()).expect("/proc/<pid>/maps");
        expect_eq!(self.len(), listed.clone().count().min(MAX_SIZE));
        for (got, want) in self.vmas().zip(listed) {
            expect!(
                got.range == (want.start, want.end),
                "{got:x?}, expected {want:x?}"
            );
        }
    }

    /// Prints it, one VMA a line.
    pub fn print(&self) {
        println!("Number of VMA       : {}", self.nb_vma);
        println!("Number of COW faults: {}", self.cow_page_faults);
        for (i, vma) in self.vmas().enumerate() {
            let (start, end) = vma.range;
            println!(
                " [{i:2}]: {start:#x} - {end:#x} (size: {:#x}): {} cow faults",
                end - start,
                vma.faults
            );
        }
    }
}

/// Forgets all names; to be done before a test. Skips it when the kernel cannot count.
pub fn reset() {
    let result = calls::pf_cleanup();
    calls::need("pf_cleanup", result);
    expect!(matches!(result, Ok(0) | Err(sys::EACCES)), "{result:?}");
}

/// `pf_set_param()`
pub fn set(name: &CStr) -> Result {
    calls::pf_set_param(sys::addr(name), name.count_bytes())
}

/// `pf_get_info()`. What holds for each report is expected here; that an error leaves no trace,
/// too.
#[track_caller]
pub fn get(name: &CStr) -> Result<Stat> {
    let mut stat = Stat::poisoned();
    let pf = &raw mut stat as usize;
    // SAFETY: A `Stat` is there.
    let result = unsafe { calls::pf_get_info(sys::addr(name), name.count_bytes(), pf) };
    match result {
        Ok(value) => {
            expect_eq!(value, 0);
            stat.expect_sane();
            Ok(stat)
        }
        Err(err) => {
            expect!(stat.is_poisoned());
            Err(err)
        }
    }
}

/// An image in `/proc/cow_track`: an address space and all that were forked from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The name that it is tracked by.
    pub name: &'a str,
    /// What tells it from all others.
    pub id: u32,
    /// The process whose VMAs are listed; 0 when all are gone.
    pub pid: i32,
    /// How many processes of it there are.
    pub live: u32,
    /// All that has been counted.
    pub faults: isize,
    /// What has been counted where nothing is mapped any more.
    pub unmapped: isize,
    /// What could not be counted.
    pub lost: isize,
    ranges: &'a str,
}

impl<'a> Image<'a> {
    /// Parses the rest of a line that begins with "image", and takes the lines that follow.
    fn parse(name: &'a str, words: &str, ranges: &'a str) -> Option<Image<'a>> {
        let mut words = words.split(' ');
        let id = words.next()?.parse().ok()?;
        let mut value = |key| words.next().filter(|word| *word == key).and(words.next());
        Some(Image {
            name,
            id,
            pid: value("pid")?.parse().ok()?,
            live: value("live")?.parse().ok()?,
            faults: value("faults")?.parse().ok()?,
            unmapped: value("unmapped")?.parse().ok()?,
            lost: value("lost")?.parse().ok()?,
            ranges,
        })
    }

    /// All its VMAs.
    pub fn vmas(&self) -> impl Iterator<Item = Counted> + 'a {
        let parse = |line: &str| {
            let (range, faults) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let address = |word| usize::from_str_radix(word, 16).ok();
            Some(Counted {
                range: (address(start)?, address(end)?),
                faults: faults.parse().ok()?,
            })
        };
        self.ranges.lines().map_while(parse)
    }
}

/// The images in `/proc/cow_track`; `buf` is for the whole file.
pub fn images(buf: &mut [u8]) -> impl Iterator<Item = Image<'_>> + Clone {
    let room = buf.len();
    let file = io::read_file(c"/proc/cow_track", buf).expect("/proc/cow_track");
    assert!(file.len() < room, "/proc/cow_track is too long");
    let mut name = "";
    let mut rest = file;
    core::iter::from_fn(move || loop {
        let (line, next) = rest.split_once('\n')?;
        rest = next;
        match line.split_once(' ')? {
            ("name", words) => name = words.split_once(' ').expect("a name").1,
            ("image", words) => {
                let image = Image::parse(name, words, rest);
                return Some(image.unwrap_or_else(|| panic!("in /proc/cow_track: {line}")));
            }
            _ => (),
        }
    })
}

/// Pages that are a VMA of their own: what is on both sides of them cannot be touched.
///
/// They are there as long as the process is.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    start: usize,
    pages: usize,
}

impl Area {
    /// Reserves the place, and lets `map` put something there.
    fn new(pages: usize, map: impl FnOnce(usize, usize) -> Result) -> Area {
        let len = pages * PAGE_SIZE;
        // SAFETY: A new mapping replaces nothing.
        let place = unsafe {
            sys::mmap(0, len + 2 * PAGE_SIZE, sys::PROT_NONE, sys::MAP_PRIVATE).expect("mmap")
        };
        let start = place + PAGE_SIZE;
        expect_eq!(map(start, len), Ok(start));
        Area { start, pages }
    }

    /// Fresh zeroes, `MAP_PRIVATE` or `MAP_SHARED`.
    pub fn anonymous(pages: usize, flags: u32) -> Area {
        const PROT: u32 = sys::PROT_READ | sys::PROT_WRITE;
        // SAFETY: The place is ours.
        Area::new(pages, |start, len| unsafe {
            sys::mmap(start, len, PROT, flags | sys::MAP_FIXED)
        })
    }

    /// Pages of this process that it has written to.
    pub fn written(pages: usize) -> Area {
        let area = Area::anonymous(pages, sys::MAP_PRIVATE);
        area.write(0..pages);
        area
    }

    /// A file from its beginning, `MAP_PRIVATE` or `MAP_SHARED`.
    pub fn of_file(file: &File, pages: usize, flags: u32) -> Area {
        const PROT: u32 = sys::PROT_READ | sys::PROT_WRITE;
        // SAFETY: The place is ours.
        Area::new(pages, |start, len| unsafe {
            sys::mmap_file(start, len, PROT, flags | sys::MAP_FIXED, file.fd)
        })
    }

    /// Pages that are mapped already.
    ///
    /// # Safety
    ///
    /// Nobody may mind being written to there.
    pub const unsafe fn at(start: usize, pages: usize) -> Area {
        Area { start, pages }
    }

    /// Some of the pages.
    pub fn part(&self, pages: Range<usize>) -> Area {
        assert!(pages.end <= self.pages);
        Area {
            start: self.page(pages.start),
            pages: pages.len(),
        }
    }

    /// The first address.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The address behind the last byte.
    pub fn end(&self) -> usize {
        self.page(self.pages)
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    /// Whether there are no pages.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// The address of a page.
    pub fn page(&self, index: usize) -> usize {
        self.start + index * PAGE_SIZE
    }

    /// Reads a byte of each of these pages.
    pub fn read(&self, pages: impl IntoIterator<Item = usize>) {
        for page in pages {
            assert!(page < self.pages);
            // SAFETY: The page is mapped, and a byte is whatever it is.
            unsafe { (self.page(page) as *const u8).read_volatile() };
        }
    }

    /// Writes a byte of each of these pages.
    pub fn write(&self, pages: impl IntoIterator<Item = usize>) {
        for page in pages {
            assert!(page < self.pages);
            // SAFETY: The page is mapped for nothing but this.
            unsafe { (self.page(page) as *mut u8).write_volatile(1) };
        }
    }
}

/// A file of so many pages that is in memory only.
pub fn memory_file(pages: usize) -> File {
    let file = File {
        fd: sys::memfd_create(c"cow").expect("memfd_create"),
    };
    for page in 0..pages {
        let written = sys::pwrite(file.fd, b"page", (page * PAGE_SIZE) as u64);
        expect_eq!(written, Ok(4));
    }
    sys::ftruncate(file.fd, pages * PAGE_SIZE).expect("ftruncate");
    file
}

/// How a [`Subject`] knows when to go on, in memory that it shares with who started it.
pub struct Stops {
    stopped: Turnstile,
    go: Turnstile,
    count: AtomicU32,
}

impl Stops {
    /// Stops until it is told to go on.
    pub fn stop(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.stopped.pass();
        self.go.wait_for(count);
    }
}

/// A process that goes from stop to stop as it is told to, so that others can look at it there.
pub struct Subject {
    child: Child,
    // Where the `Stops` are, for its process and for us.
    shared: Mapping,
    count: u32,
}

impl Subject {
    /// Starts a process that takes a name and does `work`, up to its first stop.
    pub fn start(name: &CStr, work: impl FnOnce(&'static Stops)) -> Subject {
        Subject::fork(|stops| {
            sys::set_name(name).expect("a name");
            work(stops);
        })
    }

    /// As [`Subject::start`], without a name of its own.
    pub fn fork(work: impl FnOnce(&'static Stops)) -> Subject {
        let shared = Mapping::new(1, sys::MAP_SHARED).expect("shared memory");
        // SAFETY: Zeroes are a valid value, and the child never unmaps it.
        let child = Child::fork(|| work(unsafe { &*(shared.start() as *const Stops) }));
        let mut subject = Subject {
            child: child.expect("fork"),
            shared,
            count: 0,
        };
        subject.wait();
        subject
    }

    fn stops(&self) -> &Stops {
        // SAFETY: They are there as long as the mapping.
        unsafe { &*(self.shared.start() as *const Stops) }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Lets it go on to its next stop.
    pub fn step(&mut self) {
        self.go();
        self.wait();
    }

    /// Lets it go on, and does not wait.
    pub fn go(&self) {
        self.stops().go.pass();
    }

    /// Waits until it has stopped and sleeps: nothing happens in its memory any more.
    pub fn wait(&mut self) {
        self.count += 1;
        self.stops().stopped.wait_for(self.count);
        while !asleep(self.pid()) {
            sys::sched_yield();
        }
    }

    /// Waits until it has exited, and leaves it unreaped.
    #[track_caller]
    pub fn wait_unreaped(&self) {
        expect_eq!(self.child.wait_unreaped(), Ok(Status::Exited(0)));
    }

    /// Lets it go on to its end.
    #[track_caller]
    pub fn end(self) {
        self.go();
        expect_eq!(self.child.wait(), Ok(Status::Exited(0)));
    }
}

/// Whether a process sleeps, or its main thread is no more.
pub fn asleep(pid: i32) -> bool {
    let mut buf = [0; 4096];
    let status = io::read_file(text!("/proc/{pid}/status").as_cstr(), &mut buf);
    let state = status.ok().and_then(|status| io::field(status, "State"));
    state.is_none_or(|state| state.starts_with(['S', 'Z']))
}

/// Where [`TARGET`] has its pages.
///
/// Its first argument says to how many of them it writes after it has read them all. Then it writes
/// a byte to its standard output and reads one from its standard input; when there is one more
/// argument, it becomes the same program again, without its first argument.
pub const TARGET_AREA: Area = Area {
    start: 0x5000_0000,
    pages: 64,
};

/// A program of this collection, to be executed.
pub const TARGET: &CStr = c"cow_target";

/// [`TARGET`], running.
pub struct Target {
    child: Child,
    input: File,
    output: File,
}

impl Target {
    /// Starts the program, up to the byte that it writes.
    pub fn start(args: &[&CStr]) -> Target {
        let target = Target::launch(args);
        target.wait();
        target
    }

    /// Starts the program, and does not wait.
    pub fn launch(args: &[&CStr]) -> Target {
        let mut all = [TARGET; 8];
        all[1..=args.len()].copy_from_slice(args);
        let [input, to] = io::pipe().expect("pipe");
        let [from, output] = io::pipe().expect("pipe");
        let child = Child::fork(|| {
            sys::dup2(input.fd, 0).expect("dup2");
            sys::dup2(output.fd, 1).expect("dup2");
            let err = sys::execve(c"./cow_target", &all[..=args.len()]);
            panic!("./cow_target: {err:?}");
        });
        // What it reads from and writes to is closed here.
        Target {
            child: child.expect("fork"),
            input: to,
            output: from,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Lets it go on to become the next program.
    pub fn next(&self) {
        self.go();
        self.wait();
    }

    /// Lets it go on to its end.
    #[track_caller]
    pub fn end(self) {
        self.go();
        expect_eq!(self.child.wait(), Ok(Status::Exited(0)));
    }

    fn go(&self) {
        self.input.write(b"g").expect("a pipe");
    }

    /// Waits until it has written, and sleeps.
    pub fn wait(&self) {
        let mut byte = [0];
        assert_eq!(self.output.read_all(&mut byte), Ok(&b"r"[..]));
        while !asleep(self.pid()) {
            sys::sched_yield();
        }
    }
}
