// SPDX-License-Identifier: GPL-2.0

//! Measures the cost of the system calls, and of page faults while copy-on-write faults are
//! counted.
//!
//! Prints a line for each case, with three fields separated by tabs: a state, the case, and the
//! number of TSC ticks that it took. Under QEMU's `-icount shift=0`, ticks are instructions.
//! States:
//!
//! - `idle`: no name is tracked. The only state on a kernel without the calls.
//! - `others`: a name is tracked, but not that of the measured processes.
//! - `tracked`: the name of the measured processes is tracked.
//! - `tracked-64`: so are 63 other names.
//!
//! With an argument, it compares the tracker with other ways to count faults. `kprobe`, on a kernel
//! that can trace: with a kprobe with a histogram, on the function that sets the owner of a page.
//! States:
//!
//! - `traceable`: nothing is traced or tracked.
//! - `+tracked`: the name of the processes is tracked.
//! - `+event`: and each fault is recorded by the tracker's trace event.
//! - `+kprobe`: instead, the kprobe is active.
//!
//! `by-name`, on a kernel that compares the name of the faulting task with those in a list. States:
//!
//! - `by-name`: the list has the name of the measured processes.
//! - `by-name-64`: and 63 other names, which are found first.
//!
//! `speedup`, on two CPUs: how much faster two tasks copy pages than one, in thousandths: 2000 if
//! they do not slow each other down. States, in turn: `idle` and `tracked`.
//!
//! Numbers in a case are the number of VMAs or threads. The second number of a report is the number
//! of 2 MiB blocks with faults. `boot` is the time until the program begins. Only `memory` is in
//! bytes.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::fmt::Display;
use core::ops::Range;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::cow::Stat;
use harness::cow::Stops;
use harness::cow::Subject;
use harness::maps::maps;
use harness::sys::MAP_PRIVATE;
use harness::sys::PAGE_SIZE;
use harness::vcpu::Process;
use harness::*;

/// The name of the measured processes.
const NAME: &CStr = c"bench-subject";

fn tsc() -> u64 {
    #[cfg(target_arch = "x86")]
    use core::arch::x86::_rdtsc;
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::_rdtsc;

    // SAFETY: User programs may read the TSC.
    unsafe { _rdtsc() }
}

fn ticks<T>(work: impl FnOnce() -> T) -> u64 {
    let start = tsc();
    let _ = work();
    tsc() - start
}

fn print(state: &str, case: impl Display, ticks: impl Display) {
    println!("{state}\t{case}\t{ticks}");
}

/// Prints the minimum time of a call, because interrupts only add to it.
fn repeat<T>(state: &str, case: impl Display, mut call: impl FnMut() -> T) {
    print(
        state,
        case,
        (0..25).fold(u64::MAX, |least, _| least.min(ticks(&mut call))),
    );
}

/// Prints the median of faults, because these are different faults.
fn print_median(state: &str, case: impl Display, ticks: &mut [u64]) {
    ticks.sort_unstable();
    print(state, case, ticks[ticks.len() / 2]);
}

/// Excludes what is not to be measured: the logging of the calls, and huge pages.
fn set_up() {
    io::write_file(c"/proc/sys/kernel/printk", b"1").expect("/proc/sys/kernel/printk");
    let _ = io::write_file(c"/sys/kernel/mm/transparent_hugepage/enabled", b"never");
    // With this capability, logging is not limited.
    let others = !(1 << sys::CAP_SYSLOG);
    let caps = sys::Caps {
        effective: others,
        permitted: others,
        inheritable: 0,
    };
    sys::capset(caps).expect("capset");
}

/// Measures calls that log, after so many that they no longer log anything.
fn logging_calls(state: &str) {
    let exhaust = |call: &dyn Fn() -> sys::Result| (0..600).all(|_| call().is_ok());

    if exhaust(&|| calls::hello(0)) {
        repeat(state, "hello", || calls::hello(0));
    }
    let message = sys::addr(c"sixteen letters.");
    if exhaust(&|| calls::xxxhal(message)) {
        repeat(state, "xxxhal", || calls::xxxhal(message));
    }
    if calls::make_vcpu(-1) == Err(sys::EINVAL) {
        repeat(state, "make_vcpu/-1", || calls::make_vcpu(-1));
    }
    for threads in [1, 2000] {
        let process = Process::start(threads);
        if exhaust(&|| calls::make_vcpu(0)) {
            let case = format_args!("make_vcpu/{threads}");
            repeat(state, case, || calls::make_vcpu(process.pid()));
        }
        process.end();
    }
}

/// Maps more memory, until this process has this many VMAs.
fn grow(vmas: usize) {
    let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
    // Not counting the buffer for the file, which is unmapped below.
    let have = maps(sys::getpid(), buf.bytes()).expect("maps").count() - 1;
    drop(buf);

    let Some(more) = vmas.checked_sub(have).filter(|more| *more > 0) else {
        assert!(vmas == have, "{have} VMAs already");
        return;
    };
    let pages = Mapping::new(more, MAP_PRIVATE).expect("memory");
    for page in (0..more).step_by(2) {
        let addr = pages.start() + page * PAGE_SIZE;
        // SAFETY: Nobody uses the page.
        unsafe { sys::mprotect(addr, PAGE_SIZE, sys::PROT_NONE) }.expect("mprotect");
    }
    core::mem::forget(pages);
}

/// The number of pages in a counter block of the tracker.
const BLOCK_PAGES: usize = 512;
const BLOCKS: usize = 160;
/// Blocks that are written to alternately. They share a slot in the tracker's cache.
const TWO: [usize; 2] = [20, 84];

/// The memory that is written to: some pages in each of many blocks.
#[derive(Clone, Copy)]
struct Memory {
    start: usize,
}

impl Memory {
    /// Maps the memory as one VMA, and writes to all pages that will be written to later.
    fn new() -> Memory {
        let mapping = Mapping::new(BLOCKS * BLOCK_PAGES, MAP_PRIVATE).expect("memory");
        let memory = Memory {
            start: mapping.start().next_multiple_of(BLOCK_PAGES * PAGE_SIZE),
        };
        core::mem::forget(mapping);
        for block in 0..BLOCKS - 1 {
            (0..8).for_each(|i| memory.write(block, 64 * i));
        }
        for block in TWO {
            (0..BLOCK_PAGES).for_each(|page| memory.write(block, page));
        }
        memory
    }

    /// Like `new()`, and writes to all pages of the first blocks.
    fn dense(blocks: usize) -> Memory {
        let memory = Memory::new();
        memory.fill(0..blocks);
        memory
    }

    fn fill(&self, blocks: Range<usize>) {
        blocks.for_each(|block| (0..BLOCK_PAGES).for_each(|page| self.write(block, page)));
    }

    fn write(&self, block: usize, page: usize) {
        let addr = self.start + (block * BLOCK_PAGES + page) * PAGE_SIZE;
        // SAFETY: The page is mapped for this purpose.
        unsafe { (addr as *mut u8).write_volatile(1) };
    }

    /// Measures a process's first writes to pages that it shares.
    fn copy_faults(&self, state: &str, vmas: usize) {
        let mut samples = [0; 8 * BLOCKS];
        let mut measure = |case: &str, pages: &mut dyn Iterator<Item = (usize, usize)>| {
            let mut len = 0;
            for (sample, (block, page)) in samples.iter_mut().zip(pages) {
                *sample = ticks(|| self.write(block, page));
                len += 1;
            }
            let case = format_args!("copy/{case}/{vmas}");
            print_median(state, case, &mut samples[..len]);
        };

        let blocks = 0..BLOCKS - 1;
        measure("new", &mut blocks.clone().map(|block| (block, 0)));

        // All pages at multiples of 64, except the first ones, once each: 1103 is a prime number.
        let len = 7 * blocks.len();
        let nth = |n: usize| n * 1103 % len;
        measure(
            "anywhere",
            &mut (0..len).map(|n| (nth(n) / 7, 64 * (nth(n) % 7 + 1))),
        );

        let between = (0..BLOCK_PAGES).filter(|page| page % 64 != 0);
        let mut half = between.clone().take(between.clone().count() / 2);
        let two = (&mut half).flat_map(|page| TWO.map(|block| (block, page)));
        measure("two", &mut two.take(400));
        let last = between.skip(200);
        measure("near", &mut last.map(|page| (TWO[0], page)));
    }

    /// Measures writes to the same pages by the only process that still has them.
    fn reuse_faults(&self, state: &str) {
        let mut samples = [0; BLOCKS - 1];
        for (block, sample) in samples.iter_mut().enumerate() {
            *sample = ticks(|| self.write(block, 0));
        }
        print_median(state, "reuse", &mut samples);
    }
}

/// Does `work` in a process with the name that is, or would be, tracked.
fn in_subject(work: impl FnOnce()) {
    let child = Child::fork(|| {
        sys::set_name(NAME).expect("a name");
        work();
    });
    assert_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
}

/// Measures the faults of a child of a process with this many VMAs.
fn copy_faults(state: &str, vmas: usize) {
    in_subject(|| {
        let memory = Memory::new();
        grow(vmas);
        let child = Child::fork(|| memory.copy_faults(state, vmas));
        assert_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
        if vmas == 128 {
            memory.reuse_faults(state);
        }
    });
}

/// Measures everything that also happens without a tracker.
fn faults_and_forks(state: &str) {
    repeat(state, "getppid", sys::getppid);
    for vmas in [16, 128, 10_000] {
        copy_faults(state, vmas);
    }
    in_subject(|| {
        // SAFETY: Nobody uses the memory mapped here.
        repeat(state, "mmap", || unsafe {
            sys::mmap(0, sys::PAGE_SIZE, sys::PROT_READ, sys::MAP_PRIVATE)
                .and_then(|start| sys::munmap(start, sys::PAGE_SIZE))
        });
        let fork = || Child::fork(|| ()).and_then(Child::wait);
        repeat(state, "fork/16", fork);
        grow(1000);
        repeat(state, "fork/1000", fork);
    });
}

/// Starts a process with this many VMAs that has copied a page in this many blocks.
fn copier(vmas: usize, blocks: usize) -> Subject {
    let work = |stops: &'static Stops| {
        let memory = Memory::new();
        let child = Child::fork(|| {
            grow(vmas);
            (0..blocks).for_each(|block| memory.write(block, 0));
            stops.stop();
        });
        let _ = child.expect("fork").wait();
    };
    Subject::start(NAME, work)
}

/// Measures the cost of a report.
fn reports(state: &str) {
    for (vmas, blocks) in [(16, 4), (128, 4), (128, 100), (10_000, 4)] {
        let subject = copier(vmas, blocks);
        let mut stat = Stat::poisoned();
        let mut get = || {
            let (name, len) = (sys::addr(NAME), NAME.count_bytes());
            // SAFETY: A `Stat` is there.
            unsafe { calls::pf_get_info(name, len, &raw mut stat as usize) }
        };
        assert_eq!(get(), Ok(0));
        let case = format_args!("pf_get_info/{vmas}/{blocks}");
        repeat(state, case, get);
        assert_eq!(stat.len(), vmas.min(128));
        assert!(stat.total() >= blocks as isize);
        subject.end();
    }
}

/// Prints the memory that counters take, in bytes per copied page: for memory that is copied
/// entirely, and for single pages in a block.
fn memory(state: &str) {
    const ROOT: &CStr = c"/tmp/bench";
    const GROUP: &CStr = c"/tmp/bench/subject";
    const DENSE: usize = 32;

    let _ = sys::mkdir(ROOT);
    sys::mount(c"cgroup2", ROOT, 0).expect("cgroup2");
    io::write_file(c"/tmp/bench/cgroup.subtree_control", b"+memory").expect("control groups");
    sys::mkdir(GROUP).expect("a control group");

    let slab = || -> usize {
        // The kernel sums this up every two seconds.
        sys::sleep_ms(5000);
        let mut buf = [0; 8192];
        let stat = io::read_file(c"/tmp/bench/subject/memory.stat", &mut buf).expect("memory.stat");
        let line = stat
            .lines()
            .find_map(|line| line.strip_prefix("slab_unreclaimable "));
        line.and_then(|bytes| bytes.parse().ok()).expect("a number")
    };

    let memory = Memory::dense(DENSE);
    let mut subject = Subject::start(NAME, |stops| {
        io::write_file(c"/tmp/bench/subject/cgroup.procs", b"0").expect("a control group");
        stops.stop();
        memory.fill(0..DENSE);
        stops.stop();
        (DENSE..BLOCKS - 1).for_each(|block| memory.write(block, 0));
        stops.stop();
    });
    let before = slab();
    subject.step();
    let after_dense = slab();
    subject.step();
    let after = slab();
    subject.end();

    for (case, bytes, pages) in [
        ("dense", after_dense - before, DENSE * BLOCK_PAGES),
        ("alone", after - after_dense, BLOCKS - 1 - DENSE),
    ] {
        let hundredths = 100 * bytes / pages;
        let case = format_args!("memory/{case}");
        let bytes = format_args!("{}.{:02}", hundredths / 100, hundredths % 100);
        print(state, case, bytes);
    }
}

/// Returns the number of hits of the kprobe.
fn kprobe_hits() -> usize {
    let mut buf = [0; 4096];
    let hist = io::read_file(c"/sys/kernel/tracing/events/kprobes/cow/hist", &mut buf);
    hist.ok()
        .and_then(|hist| io::field(hist, "    Hits"))
        .and_then(|hits| hits.parse().ok())
        .expect("hits")
}

/// Expects the tracker and the kprobe to count the same writes, where both see the same ones.
fn compare_counts() {
    const PAGES: usize = 300;
    let read = || {
        let faults = cow::get(NAME).expect("a report").total();
        (faults as usize, kprobe_hits())
    };
    in_subject(|| {
        let memory = Memory::new();
        let child = Child::fork(|| {
            // Once more, because the first time touches new stack pages.
            read();
            let (faults, hits) = read();
            (0..PAGES).for_each(|page| memory.write(TWO[0], page));
            let (faults_then, hits_then) = read();
            assert_eq!(faults_then - faults, PAGES, "faults");
            assert_eq!(hits_then - hits, PAGES, "hits of the kprobe");
        });
        assert_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
    });
}

/// Measures the alternative to the tracker.
fn against_kprobe() {
    const VMAS: usize = 16;
    let write = |path: &CStr, text: &[u8]| {
        if let Err(err) = io::write_file(path, text) {
            panic!("{path:?}: {err:?}");
        }
    };

    // It may already be mounted.
    let _ = sys::mount(c"tracefs", c"/sys/kernel/tracing", 0);
    copy_faults("traceable", VMAS);

    assert_eq!(cow::set(NAME), Ok(0));
    copy_faults("+tracked", VMAS);
    let event = c"/sys/kernel/tracing/events/cow_track/cow_fault/enable";
    write(event, b"1");
    copy_faults("+event", VMAS);
    write(event, b"0");
    assert_eq!(calls::pf_cleanup(), Ok(0));

    write(
        c"/sys/kernel/tracing/kprobe_events",
        b"p:cow folio_add_new_anon_rmap",
    );
    write(
        c"/sys/kernel/tracing/events/kprobes/cow/trigger",
        b"hist:keys=common_pid",
    );
    // Wait until the kprobe has become a jump: a trap would cost more.
    sys::sleep_ms(3000);
    copy_faults("+kprobe", VMAS);

    assert_eq!(cow::set(NAME), Ok(0));
    compare_counts();
    assert_eq!(calls::pf_cleanup(), Ok(0));
}

/// Measures what a handout suggests instead of the tracker.
fn by_name() {
    const VMAS: usize = 16;

    assert_eq!(cow::set(NAME), Ok(0));
    copy_faults("by-name", VMAS);
    track(others(63));
    copy_faults("by-name-64", VMAS);
    assert_eq!(calls::pf_cleanup(), Ok(0));
}

/// Where tasks wait for each other without sleeping, and the time that each took afterwards, in
/// units of 1,024 ticks.
struct Race {
    ready: AtomicU32,
    time: [AtomicU32; 2],
}

// SAFETY: All of it may be 0.
unsafe impl mem::Shareable for Race {}

/// Copies some blocks on a CPU, as soon as `tasks` are ready to.
fn copy_at_once(race: &Race, tasks: u32, cpu: usize, memory: Memory, blocks: Range<usize>) {
    sys::pin_to_cpu(cpu).expect("sched_setaffinity");
    race.ready.fetch_add(1, Ordering::AcqRel);
    while race.ready.load(Ordering::Acquire) < tasks {}
    let time = ticks(|| memory.fill(blocks)) / 1024;
    race.time[cpu].store(time as u32, Ordering::Release);
}

/// Returns the time that a process takes to copy the blocks, or two threads or processes, half of
/// them each.
fn copy_all(race: &'static Race, memory: Memory, blocks: usize, tasks: u32, threads: bool) -> u32 {
    race.ready.store(0, Ordering::Release);
    let part = blocks / tasks as usize;
    let copy = move |n| copy_at_once(race, tasks, n, memory, part * n..part * (n + 1));
    let another = tasks == 2;
    let first = Child::fork(|| {
        let second = (another && threads).then(|| Thread::spawn(move || copy(1)));
        copy(0);
        if let Some(second) = second {
            second.expect("a thread").join();
        }
    });
    let second = (another && !threads).then(|| Child::fork(|| copy(1)));
    for child in [Some(first), second].into_iter().flatten() {
        assert_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
    }
    let time = |n: usize| race.time[n].load(Ordering::Acquire);
    (0..tasks as usize).map(time).max().unwrap_or(0)
}

/// Measures what a second CPU brings.
fn speedup() {
    const BLOCKS: usize = 8;
    const ROUNDS: usize = 25;
    let race = mem::shared().expect("shared memory");

    in_subject(|| {
        let memory = Memory::dense(BLOCKS);
        for (case, threads) in [("threads", true), ("processes", false)] {
            let mut samples = [[0; ROUNDS]; 2];
            for round in 0..ROUNDS {
                for (tracked, samples) in samples.iter_mut().enumerate() {
                    if tracked == 1 {
                        assert_eq!(cow::set(NAME), Ok(0));
                    }
                    let [one, two] = [1, 2].map(|n| copy_all(race, memory, BLOCKS, n, threads));
                    samples[round] = 1000 * u64::from(one) / u64::from(two);
                    if tracked == 1 {
                        assert_eq!(calls::pf_cleanup(), Ok(0));
                    }
                }
            }
            for (state, samples) in ["idle", "tracked"].iter().zip(&mut samples) {
                print_median(state, format_args!("speedup/{case}"), samples);
            }
        }
    });
}

fn others(count: usize) -> impl Iterator<Item = Text> {
    (0..count).map(|i| text!("bench-other-{i}"))
}

fn track(names: impl Iterator<Item = Text>) {
    for name in names {
        assert_eq!(cow::set(name.as_cstr()), Ok(0));
    }
}

/// Measures what all kernels have and, if there is a tracker, what it adds.
fn everything() {
    print("idle", "boot", tsc());
    faults_and_forks("idle");
    logging_calls("idle");

    if calls::pf_cleanup() != Err(sys::ENOSYS) {
        let names = || core::iter::once(text!("bench-subject"));

        track(others(1));
        faults_and_forks("others");
        assert_eq!(calls::pf_cleanup(), Ok(0));

        track(names());
        faults_and_forks("tracked");
        reports("tracked");

        track(others(63));
        faults_and_forks("tracked-64");
        reports("tracked-64");
        assert_eq!(calls::pf_cleanup(), Ok(0));

        // Last, because what this sets up may slow down others.
        track(names());
        memory("tracked");
        assert_eq!(calls::pf_cleanup(), Ok(0));
    }
}

program!(|args: Args| {
    set_up();
    match args.iter().next() {
        Some("kprobe") => against_kprobe(),
        Some("by-name") => by_name(),
        Some("speedup") => speedup(),
        _ => everything(),
    }
    0
});
