// SPDX-License-Identifier: GPL-2.0

//! Shared by the tests of `pf_set_param`, `pf_get_info` and `pf_cleanup`: reports, memory to write
//! to, and processes that write when told to.

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
    /// The addresses.
    pub range: (usize, usize),
    /// The faults counted there.
    pub faults: isize,
}

const POISON: u8 = 0xa5;

impl Stat {
    /// Creates a report with the same byte everywhere, which is not a valid report.
    pub fn poisoned() -> Stat {
        // SAFETY: Integers may have any bytes.
        unsafe { core::mem::transmute([POISON; size_of::<Stat>()]) }
    }

    /// Returns whether nobody has written to it.
    pub fn is_poisoned(&self) -> bool {
        // SAFETY: The only padding is `padding`, so each byte is initialised.
        let bytes = unsafe { slice::from_raw_parts((&raw const *self).cast(), size_of::<Stat>()) };
        bytes.iter().all(|byte: &u8| *byte == POISON)
    }

    /// Returns all faults: those in these VMAs, in VMAs that did not fit, in VMAs that no longer
    /// exist, and those that have no counter.
    pub fn total(&self) -> isize {
        self.cow_page_faults
    }

    /// Returns the number of VMAs.
    pub fn len(&self) -> usize {
        self.nb_vma as usize
    }

    /// Returns whether there are no VMAs.
    pub fn is_empty(&self) -> bool {
        self.nb_vma == 0
    }

    /// Returns the VMAs.
    pub fn vmas(&self) -> impl Iterator<Item = Counted> + '_ {
        (0..self.len().min(MAX_SIZE)).map(|i| Counted {
            range: (self.vma_list_start[i], self.vma_list_end[i]),
            faults: self.vma_fault[i],
        })
    }

    /// Returns the sum of the faults in the VMAs.
    pub fn sum(&self) -> isize {
        self.vmas().map(|vma| vma.faults).sum()
    }

    /// Returns the VMA that contains an address.
    pub fn vma(&self, addr: usize) -> Option<Counted> {
        self.vmas()
            .find(|vma| (vma.range.0..vma.range.1).contains(&addr))
    }

    /// Returns the faults in an area, which must be a VMA of its own.
    #[track_caller]
    pub fn faults(&self, area: &Area) -> isize {
        match self.vma(area.start()) {
            Some(vma) if vma.range == (area.start(), area.end()) => vma.faults,
            other => panic!(
                "{:x}-{:x} is not a VMA of its own: {other:x?}",
                area.start(),
                area.end()
            ),
        }
    }

    /// Expects what holds for every report.
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
            "{} in total, {} in VMAs",
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

    /// Expects the VMAs to be those of `/proc/<pid>/maps`, or the first of these.
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

    /// Prints the report, with one VMA per line.
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

/// Forgets all names, and resets delays that another test left. Call this before a test. Skips the
/// test if the kernel lacks the system calls.
pub fn reset() {
    // Not all kernels have delays.
    let _ = set_delays([0; POINTS]);
    let result = calls::pf_cleanup();
    calls::need("pf_cleanup", result);
    expect!(matches!(result, Ok(0) | Err(sys::EACCES)), "{result:?}");
}

/// `pf_set_param()`
pub fn set(name: &CStr) -> Result {
    calls::pf_set_param(sys::addr(name), name.count_bytes())
}

/// `pf_get_info()`. Also checks what holds for every report, and that an error leaves no trace.
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

/// Parses a line of `/proc/cow_track`: words separated by single spaces.
struct Words<'a>(core::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn value<T: FromStr>(&mut self) -> Option<T> {
        self.word()?.parse().ok()
    }

    /// Returns the value after the word `key`, which must come next.
    fn at<T: FromStr>(&mut self, key: &str) -> Option<T> {
        self.word().filter(|word| *word == key)?;
        self.value()
    }

    /// Returns `taken` if there are no more words.
    fn end<T>(mut self, taken: T) -> Option<T> {
        self.word().is_none().then_some(taken)
    }
}

/// An image in `/proc/cow_track`: the processes with a name that go back to one exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The name for which it is tracked.
    pub name: &'a str,
    /// The number of its exec, which is unique.
    pub id: u64,
    /// The process whose VMAs are listed, or 0 if there is none any more.
    pub pid: i32,
    /// The number of live processes.
    pub live: u32,
    /// All faults.
    pub faults: isize,
    /// The faults in the VMAs that are listed.
    pub mapped: isize,
    /// The faults that have no counter. Only `faults` includes them.
    pub unplaced: isize,
    ranges: &'a str,
}

impl<'a> Image<'a> {
    /// Parses a line that is followed by `ranges` and more.
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

    /// Returns all its VMAs.
    pub fn vmas(&self) -> impl Iterator<Item = Counted> + 'a {
        self.lines().filter_map(parse_vma)
    }

    /// Returns in which parts of its VMAs the faults are, with the addresses of the parts: for VMAs
    /// that are in more than one block.
    pub fn parts(&self) -> impl Iterator<Item = (usize, isize)> + 'a {
        self.lines().filter_map(parse_part)
    }

    fn lines(&self) -> impl Iterator<Item = &'a str> + 'a {
        let lines = self.ranges.lines();
        lines.take_while(|line| parse_vma(line).is_some() || parse_part(line).is_some())
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

fn parse_part(line: &str) -> Option<(usize, isize)> {
    let (start, faults) = line.strip_prefix("at ")?.split_once(' ')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    Some((start, faults.parse().ok()?))
}

/// A process in `/proc/cow_track`: its faults, and those of its parent since the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// The user.
    pub uid: u32,
    /// The image that it belongs to, or belonged to.
    pub image: u64,
    /// The faults of this process.
    pub faults: isize,
    /// The parent that forked it, and the parent's faults since then, up to the end of this
    /// process. Both are 0 unless both were tracked at the fork.
    pub parent: (i32, isize),
    /// The age, in nanoseconds.
    pub ns: u64,
    /// Whether it is alive.
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

/// How many bytes of address space a block of counters is for.
pub const BLOCK: usize = 2 << 20;

/// How many ended processes `/proc/cow_track` lists for each name.
pub const ENDED: usize = 32;

/// The contents of `/proc/cow_track`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    file: &'a str,
}

/// A line about a name, or about one of its images or processes.
enum Line<'a> {
    Name(&'a str, u64),
    Image(Image<'a>),
    Vma(Counted),
    Part(usize, isize),
    Process(Process),
}

impl<'a> View<'a> {
    /// Reads the file. `buf` must have room for all of it.
    #[track_caller]
    pub fn read(buf: &'a mut [u8]) -> View<'a> {
        let room = buf.len();
        let file = io::read_file(c"/proc/cow_track", buf).expect("/proc/cow_track");
        assert!(file.len() < room, "/proc/cow_track is too long");
        View::of(file)
    }

    /// Parses a text. Also checks what holds for every text.
    #[track_caller]
    pub fn of(file: &'a str) -> View<'a> {
        let view = View { file };
        view.expect_sane();
        view
    }

    /// Returns the whole text.
    pub fn text(&self) -> &'a str {
        self.file
    }

    /// Returns the number of free blocks of counters, and the number of all blocks.
    pub fn blocks(&self) -> (usize, usize) {
        let parse = || {
            let mut words = Words(self.file.lines().nth(1)?.split(' '));
            let blocks = (words.at("blocks")?, words.value()?);
            words.end(blocks)
        };
        parse().unwrap_or_else(|| panic!("no blocks in /proc/cow_track: {}", self.file))
    }

    /// Returns the lines after the first two, each with the name that it is about.
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
                ("at", _) => parse_part(line).map(|(start, faults)| Line::Part(start, faults)),
                _ => parse_vma(line).map(Line::Vma),
            };
            let parsed = { parse }().unwrap_or_else(|| panic!("in /proc/cow_track: {line}"));
            Some((name, parsed))
        })
    }

    /// Returns how many processes with a name could not be tracked, or `None` if it is not tracked.
    pub fn missed(&self, name: &str) -> Option<u64> {
        self.lines().find_map(|(_, line)| match line {
            Line::Name(found, missed) if found == name => Some(missed),
            _ => None,
        })
    }

    /// Returns all images.
    pub fn images(&self) -> impl Iterator<Item = Image<'a>> + Clone {
        self.lines().filter_map(|(_, line)| match line {
            Line::Image(image) => Some(image),
            _ => None,
        })
    }

    /// Returns the processes with a name.
    pub fn processes<'b>(
        &self,
        name: &'b str,
    ) -> impl Iterator<Item = Process> + Clone + use<'a, 'b> {
        self.lines().filter_map(move |(of, line)| match line {
            Line::Process(process) if of == name => Some(process),
            _ => None,
        })
    }

    /// Expects what holds for every view, whatever happens at the same time.
    #[track_caller]
    fn expect_sane(&self) {
        let file = self.file;
        assert!(file.starts_with("version 1\n"), "{file}");
        assert!(file.ends_with('\n'), "{file}");
        let (free, all) = self.blocks();
        expect!(free <= all, "{free} of {all} blocks are free");

        // The state within the lines of an image or a name.
        let mut image: Option<Image<'_>> = None;
        let mut vmas = (0, 0);
        let mut parts = (0, 0);
        let mut ended = None;
        for (name, line) in self.lines() {
            match line {
                Line::Name(..) => (image, ended) = (None, None),
                Line::Image(next) => {
                    expect!(ended.is_none(), "{next:?} after processes");
                    if let Some(last) = image {
                        // An ended image comes last.
                        expect!(last.live > 0, "{next:?} after {last:?}");
                        expect!(
                            next.live == 0 || last.id < next.id,
                            "{next:?} after {last:?}"
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
                    expect!(vmas.1 <= start && start < end, "{vma:x?} after {vmas:x?}");
                    (vmas, parts) = (vma.range, (start, vma.faults));
                }
                Line::Part(start, faults) => {
                    let (begin, rest) = parts;
                    expect!(begin <= start && start < vmas.1, "{start:x} in {vmas:x?}");
                    expect!(
                        start == vmas.0 || start % BLOCK == 0,
                        "{start:x} in {vmas:x?}"
                    );
                    expect!(0 < faults && faults <= rest, "{faults} of {rest}");
                    parts = (start + 1, rest - faults);
                }
                Line::Process(process) => {
                    let count = ended.unwrap_or(0);
                    expect!(!process.live || count == 0, "{process:?} after ended ones");
                    ended = Some(count + usize::from(!process.live));
                    expect!(count < ENDED || process.live, "{ENDED} ended processes");
                }
            }
        }
    }
}

/// Returns the images in `/proc/cow_track`. `buf` must have room for the whole file.
#[track_caller]
pub fn images(buf: &mut [u8]) -> impl Iterator<Item = Image<'_>> + Clone {
    View::read(buf).images()
}

/// The points in the tracker where a task can be made to sleep, so that others can run in between.
#[derive(Clone, Copy, Debug)]
pub enum Point {
    /// A name has been written, but nobody has looked at it.
    Rename,
    /// An exec is complete, but nobody has looked at the name.
    Exec,
    /// The child of a fork can be found, but nobody has looked at its name.
    Fork,
    /// `pf_set_param()` has found a process with the name, but has not tagged it.
    Scan,
    /// A process has been tagged, but its name has not been read again.
    Tag,
    /// A block for a fault has been allocated, but others cannot see it.
    Grow,
    /// A process has left an image, but its counts have not been summed up.
    Leave,
    /// A fault has found the block of its page. It spins before it counts the fault there.
    Fault,
    /// `/proc/cow_track` has listed what is live, but not yet what has ended.
    List,
}

const POINTS: usize = Point::List as usize + 1;

/// Makes tasks sleep at points in the tracker, until dropped or reset.
pub struct Delays(());

impl Delays {
    /// Makes each task that reaches one of these points sleep there for this many milliseconds.
    ///
    /// Skips the test if the kernel does not support this.
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
    let [a, b, c, d, e, f, g, h, i] = ms;
    io::write_file(
        c"/sys/module/cow_track/parameters/delays",
        text!("{a},{b},{c},{d},{e},{f},{g},{h},{i}").as_bytes(),
    )
}

/// Pages that form a VMA of their own, with inaccessible pages on both sides.
///
/// They exist as long as the process does.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    start: usize,
    pages: usize,
}

impl Area {
    /// Reserves the addresses, and lets `map` map something there.
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

    /// Maps fresh zero pages, `MAP_PRIVATE` or `MAP_SHARED`.
    pub fn anonymous(pages: usize, flags: u32) -> Area {
        const PROT: u32 = sys::PROT_READ | sys::PROT_WRITE;
        // SAFETY: We have reserved the addresses.
        Area::new(pages, |start, len| unsafe {
            sys::mmap(start, len, PROT, flags | sys::MAP_FIXED)
        })
    }

    /// Maps private pages and writes to each of them.
    pub fn written(pages: usize) -> Area {
        let area = Area::anonymous(pages, sys::MAP_PRIVATE);
        area.write(0..pages);
        area
    }

    /// Maps a file from its start, `MAP_PRIVATE` or `MAP_SHARED`.
    pub fn of_file(file: &File, pages: usize, flags: u32) -> Area {
        const PROT: u32 = sys::PROT_READ | sys::PROT_WRITE;
        // SAFETY: We have reserved the addresses.
        Area::new(pages, |start, len| unsafe {
            sys::mmap_file(start, len, PROT, flags | sys::MAP_FIXED, file.fd)
        })
    }

    /// Wraps pages that are already mapped.
    ///
    /// # Safety
    ///
    /// These pages must not be used for anything that breaks when they are written to.
    pub const unsafe fn at(start: usize, pages: usize) -> Area {
        Area { start, pages }
    }

    /// Returns some of the pages.
    pub fn part(&self, pages: Range<usize>) -> Area {
        assert!(pages.end <= self.pages);
        Area {
            start: self.page(pages.start),
            pages: pages.len(),
        }
    }

    /// Returns the first address.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns the address after the last byte.
    pub fn end(&self) -> usize {
        self.page(self.pages)
    }

    /// Returns the size in bytes.
    pub fn len(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    /// Returns whether there are no pages.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// Returns the address of a page.
    pub fn page(&self, index: usize) -> usize {
        self.start + index * PAGE_SIZE
    }

    /// Reads a byte in each of these pages.
    pub fn read(&self, pages: impl IntoIterator<Item = usize>) {
        for page in pages {
            assert!(page < self.pages);
            // SAFETY: The page is mapped, and any byte is valid.
            unsafe { (self.page(page) as *const u8).read_volatile() };
        }
    }

    /// Writes a byte in each of these pages.
    pub fn write(&self, pages: impl IntoIterator<Item = usize>) {
        for page in pages {
            assert!(page < self.pages);
            // SAFETY: The page is mapped for this purpose only.
            unsafe { (self.page(page) as *mut u8).write_volatile(1) };
        }
    }
}

/// Creates a file of this many pages that exists only in memory.
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

/// Tells a [`Subject`] when to go on. Shared with the process that started it.
pub struct Stops {
    stopped: Turnstile,
    go: Turnstile,
    count: AtomicU32,
}

impl Stops {
    /// Stops until told to go on.
    pub fn stop(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.stopped.pass();
        self.go.wait_for(count);
    }
}

/// A process that runs from stop to stop as it is told, so that others can look at it there.
pub struct Subject {
    child: Child,
    // Holds the `Stops`, for its process and for us.
    shared: Mapping,
    count: u32,
}

impl Subject {
    /// Starts a process that sets its name and does `work`, up to its first stop.
    pub fn start(name: &CStr, work: impl FnOnce(&'static Stops)) -> Subject {
        Subject::fork(|stops| {
            sys::set_name(name).expect("a name");
            work(stops);
        })
    }

    /// Like [`Subject::start`], without setting a name.
    pub fn fork(work: impl FnOnce(&'static Stops)) -> Subject {
        let shared = Mapping::new(1, sys::MAP_SHARED).expect("shared memory");
        // SAFETY: Zeros are a valid value, and the child never unmaps it.
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
        // SAFETY: The `Stops` exist as long as the mapping.
        unsafe { &*(self.shared.start() as *const Stops) }
    }

    /// Returns the process id.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Lets the process go on to its next stop.
    pub fn step(&mut self) {
        self.go();
        self.wait();
    }

    /// Lets the process go on, without waiting.
    pub fn go(&self) {
        self.stops().go.pass();
    }

    /// Waits until the process has stopped and sleeps, so that its memory does not change any more.
    pub fn wait(&mut self) {
        self.count += 1;
        self.stops().stopped.wait_for(self.count);
        while !asleep(self.pid()) {
            sys::sched_yield();
        }
    }

    /// Waits until the process has exited, without reaping it.
    #[track_caller]
    pub fn wait_unreaped(&self) {
        expect_eq!(self.child.wait_unreaped(), Ok(Status::Exited(0)));
    }

    /// Lets the process go on to its end.
    #[track_caller]
    pub fn end(self) {
        self.go();
        expect_eq!(self.child.wait(), Ok(Status::Exited(0)));
    }
}

/// Returns whether a process sleeps, or its main thread has exited.
pub fn asleep(pid: i32) -> bool {
    let mut buf = [0; 4096];
    let status = io::read_file(text!("/proc/{pid}/status").as_cstr(), &mut buf);
    let state = status.ok().and_then(|status| io::field(status, "State"));
    state.is_none_or(|state| state.starts_with(['S', 'Z']))
}

/// The pages of [`TARGET`].
///
/// Its first argument is the number of pages that it writes to after reading all of them. Then it
/// writes a byte to standard output and reads one from standard input. If there is another
/// argument, it executes itself again without its first argument.
pub const TARGET_AREA: Area = Area {
    start: 0x5000_0000,
    pages: 64,
};

/// A program of this collection, for `execve()`.
pub const TARGET: &CStr = c"cow_target";

/// A running [`TARGET`].
pub struct Target {
    child: Child,
    input: File,
    output: File,
}

impl Target {
    /// Starts the program, and waits for the byte that it writes.
    pub fn start(args: &[&CStr]) -> Target {
        let target = Target::launch(args);
        target.wait();
        target
    }

    /// Starts the program, without waiting.
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
        // The ends that the program uses are closed here.
        Target {
            child: child.expect("fork"),
            input: to,
            output: from,
        }
    }

    /// Returns the process id.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Lets the program go on until it has executed the next one.
    pub fn next(&self) {
        self.go();
        self.wait();
    }

    /// Lets the program go on to its end.
    #[track_caller]
    pub fn end(self) {
        self.go();
        expect_eq!(self.child.wait(), Ok(Status::Exited(0)));
    }

    /// Lets the program go on, without waiting.
    pub fn go(&self) {
        self.input.write(b"g").expect("a pipe");
    }

    /// Waits until the program has written its byte and sleeps.
    pub fn wait(&self) {
        let mut byte = [0];
        assert_eq!(self.output.read_all(&mut byte), Ok(&b"r"[..]));
        while !asleep(self.pid()) {
            sys::sched_yield();
        }
    }
}
