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
use crate::skip;
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
use core::str::FromStr;
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

    /// All that has been counted: in these VMAs, in those that did not fit, in those that are no
    /// more, and what had no room for a counter.
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

/// Forgets all names, and delays that another test has left; to be done before a test. Skips it
/// when the kernel cannot count.
pub fn reset() {
    // Not all kernels have them.
    let _ = set_delays([0; POINTS]);
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

/// Takes a line of `/proc/cow_track` apart: words with one space between them.
struct Words<'a>(core::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn value<T: FromStr>(&mut self) -> Option<T> {
        self.word()?.parse().ok()
    }

    /// The value behind a word that has to be `key`.
    fn at<T: FromStr>(&mut self, key: &str) -> Option<T> {
        self.word().filter(|word| *word == key)?;
        self.value()
    }

    /// What has been taken, when there is no more.
    fn end<T>(mut self, taken: T) -> Option<T> {
        self.word().is_none().then_some(taken)
    }
}

/// An image in `/proc/cow_track`: the processes of a name that come from the same exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The name that it is tracked by.
    pub name: &'a str,
    /// The number of its exec, which no other exec has had.
    pub id: u64,
    /// The process whose VMAs are listed; 0 when all are gone.
    pub pid: i32,
    /// How many processes of it there are.
    pub live: u32,
    /// All that has been counted.
    pub faults: isize,
    /// What has been counted in the VMAs that are listed.
    pub mapped: isize,
    /// What had no room for a counter, and is in `faults` alone.
    pub unplaced: isize,
    ranges: &'a str,
}

impl<'a> Image<'a> {
    /// Parses a line, behind which there are `ranges`, and more.
    fn parse(name: &'a str, line: &'a str, ranges: &'a str) -> Option<Image<'a>> {
        let mut words = Words(line.split(' '));
        let image = Image {
            name,
            id: words.at("image")?,
            pid: words.at("pid")?,
            live: words.at("live")?,
            faults: words.at("faults")?,
            mapped: words.at("mapped")?,
            unplaced: words.at("unplaced")?,
            ranges,
        };
        words.end(image)
    }

    /// All its VMAs.
    pub fn vmas(&self) -> impl Iterator<Item = Counted> + 'a {
        self.ranges.lines().map_while(parse_vma)
    }
}

fn parse_vma(line: &str) -> Option<Counted> {
    let (range, faults) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let address = |word| usize::from_str_radix(word, 16).ok();
    Some(Counted {
        range: (address(start)?, address(end)?),
        faults: faults.parse().ok()?,
    })
}

/// A process in `/proc/cow_track`: what it has copied, and what its parent has since the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// The image that it is part of, or was.
    pub image: u64,
    /// Its own faults.
    pub faults: isize,
    /// Who has forked it, and how many faults that one has had since then, as long as this one was
    /// there; 0 and 0 when both were not tracked at the fork.
    pub parent: (i32, isize),
    /// How long it has been there, in nanoseconds.
    pub ns: u64,
    /// Whether it is still there.
    pub live: bool,
}

impl Process {
    fn parse(line: &str) -> Option<Process> {
        let mut words = Words(line.split(' '));
        let process = Process {
            pid: words.at("process")?,
            uid: words.at("uid")?,
            image: words.at("image")?,
            faults: words.at("faults")?,
            parent: (words.at("parent")?, words.value()?),
            ns: words.at("ns")?,
            live: match words.word()? {
                "live" => true,
                "ended" => false,
                _ => return None,
            },
        };
        words.end(process)
    }
}

/// How many processes that have ended `/proc/cow_track` lists for each name.
pub const ENDED: usize = 32;

/// What `/proc/cow_track` says.
#[derive(Clone, Copy)]
pub struct View<'a> {
    file: &'a str,
}

/// A line of it that is about a name or one of its images or processes.
enum Line<'a> {
    Name(&'a str, u64),
    Image(Image<'a>),
    Vma(Counted),
    Process(Process),
}

impl<'a> View<'a> {
    /// Reads it; `buf` is for the whole file.
    #[track_caller]
    pub fn read(buf: &'a mut [u8]) -> View<'a> {
        let room = buf.len();
        let file = io::read_file(c"/proc/cow_track", buf).expect("/proc/cow_track");
        assert!(file.len() < room, "/proc/cow_track is too long");
        View::of(file)
    }

    /// What a text says. What holds for each is expected here.
    #[track_caller]
    pub fn of(file: &'a str) -> View<'a> {
        let view = View { file };
        view.expect_sane();
        view
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.file
    }

    /// How many blocks of counters are free, and how many there are in all.
    pub fn blocks(&self) -> (usize, usize) {
        let parse = || {
            let mut words = Words(self.file.lines().nth(1)?.split(' '));
            let blocks = (words.at("blocks")?, words.value()?);
            words.end(blocks)
        };
        parse().unwrap_or_else(|| panic!("no blocks in /proc/cow_track: {}", self.file))
    }

    /// The lines behind the first two, each with the name that it is about.
    fn lines(&self) -> impl Iterator<Item = (&'a str, Line<'a>)> + Clone {
        let mut name = "";
        let mut rest = self.file.splitn(3, '\n').nth(2).unwrap_or("");
        core::iter::from_fn(move || {
            let (line, next) = rest.split_once('\n')?;
            rest = next;
            let parse = || match line.split_once(' ')? {
                ("name", words) => {
                    let missed;
                    (missed, name) = words.split_once(' ')?;
                    Some(Line::Name(name, missed.parse().ok()?))
                }
                ("image", _) => Image::parse(name, line, next).map(Line::Image),
                ("process", _) => Process::parse(line).map(Line::Process),
                _ => parse_vma(line).map(Line::Vma),
            };
            let parsed = { parse }().unwrap_or_else(|| panic!("in /proc/cow_track: {line}"));
            Some((name, parsed))
        })
    }

    /// How many processes of a name could not be tracked; `None` when it is not tracked.
    pub fn missed(&self, name: &str) -> Option<u64> {
        self.lines().find_map(|(_, line)| match line {
            Line::Name(found, missed) if found == name => Some(missed),
            _ => None,
        })
    }

    /// All images.
    pub fn images(&self) -> impl Iterator<Item = Image<'a>> + Clone {
        self.lines().filter_map(|(_, line)| match line {
            Line::Image(image) => Some(image),
            _ => None,
        })
    }

    /// The processes of a name.
    pub fn processes<'b>(
        &self,
        name: &'b str,
    ) -> impl Iterator<Item = Process> + Clone + use<'a, 'b> {
        self.lines().filter_map(move |(of, line)| match line {
            Line::Process(process) if of == name => Some(process),
            _ => None,
        })
    }

    /// Expects what holds for each view, whatever happens meanwhile.
    #[track_caller]
    fn expect_sane(&self) {
        let file = self.file;
        assert!(file.starts_with("version 1\n"), "{file}");
        assert!(file.ends_with('\n'), "{file}");
        let (free, all) = self.blocks();
        expect!(free <= all, "{free} of {all} blocks are free");

        // Where the lines of an image or a name have come to.
        let mut image: Option<Image<'_>> = None;
        let mut vmas = (0, 0);
        let mut ended = None;
        for (name, line) in self.lines() {
            match line {
                Line::Name(..) => (image, ended) = (None, None),
                Line::Image(next) => {
                    expect!(ended.is_none(), "{next:?} behind processes");
                    if let Some(last) = image {
                        // That which has ended is the last.
                        expect!(last.live > 0, "{next:?} behind {last:?}");
                        expect!(
                            next.live == 0 || last.id < next.id,
                            "{next:?} behind {last:?}"
                        );
                    }
                    expect_eq!(next.pid == 0, next.live == 0, "{next:?}");
                    let sum: isize = next.vmas().map(|vma| vma.faults).sum();
                    expect_eq!(next.mapped, sum, "{next:?}");
                    expect!(next.mapped + next.unplaced <= next.faults, "{next:?}");
                    if next.live == 0 {
                        expect!(next.vmas().count() <= MAX_SIZE, "{next:?}");
                    }
                    (image, vmas) = (Some(next), (0, 0));
                }
                Line::Vma(vma) => {
                    expect!(image.is_some() && ended.is_none(), "{vma:x?} of {name}");
                    let (start, end) = vma.range;
                    expect!(vmas.1 <= start && start < end, "{vma:x?} behind {vmas:x?}");
                    vmas = vma.range;
                }
                Line::Process(process) => {
                    let count = ended.unwrap_or(0);
                    expect!(!process.live || count == 0, "{process:?} behind ended ones");
                    ended = Some(count + usize::from(!process.live));
                    expect!(count < ENDED || process.live, "{ENDED} ended processes");
                }
            }
        }
    }
}

/// The images in `/proc/cow_track`; `buf` is for the whole file.
#[track_caller]
pub fn images(buf: &mut [u8]) -> impl Iterator<Item = Image<'_>> + Clone {
    View::read(buf).images()
}

/// The points in the tracker where a task can be made to sleep, so that others come in between.
#[derive(Clone, Copy, Debug)]
pub enum Point {
    /// A name has been written, and nobody has looked at it.
    Rename,
    /// An exec is done, and nobody has looked at the name.
    Exec,
    /// The child of a fork can be found, and nobody has looked at its name.
    Fork,
    /// `pf_set_param()` has seen the name of a process, and has not tagged it.
    Scan,
    /// A process has been tagged, and its name has not been looked at again.
    Tag,
    /// There is a new block for a fault, which others do not see.
    Grow,
    /// A process has left an image, whose counts are still to be summed up.
    Leave,
    /// A fault has found the block of its page; it counts there when it has been busy for the time.
    Fault,
}

const POINTS: usize = Point::Fault as usize + 1;

/// Lets tasks sleep at points in the tracker, until dropped or reset.
pub struct Delays(());

impl Delays {
    /// Lets each task that comes to one of these points sleep there for so many milliseconds.
    ///
    /// Skips the test when the kernel cannot.
    pub fn at(points: &[(Point, u32)]) -> Delays {
        let mut ms = [0; POINTS];
        for (point, time) in points {
            ms[*point as usize] = *time;
        }
        if let Err(err) = set_delays(ms) {
            skip!("no CONFIG_COW_TRACK_DELAYS: {err:?}");
        }
        Delays(())
    }
}

impl Drop for Delays {
    fn drop(&mut self) {
        set_delays([0; POINTS]).expect("delays");
    }
}

fn set_delays(ms: [u32; POINTS]) -> Result<()> {
    let [a, b, c, d, e, f, g, h] = ms;
    io::write_file(
        c"/sys/module/cow_track/parameters/delays",
        text!("{a},{b},{c},{d},{e},{f},{g},{h}").as_bytes(),
    )
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

    /// Lets it go on, and does not wait.
    pub fn go(&self) {
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
