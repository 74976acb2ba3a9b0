// SPDX-License-Identifier: GPL-2.0

//! Tests that `pf_set_param`, `pf_get_info` and `pf_cleanup` miss nothing and harm nobody while
//! processes start, change their names, write to their memory and exit as fast as they can.
//!
//! Each test makes at least 64 rounds, and goes on for the number of seconds in the environment
//! variable `COW_RACE_SECONDS`.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::cow;
use harness::cow::Area;
use harness::cow::Subject;
use harness::cow::Target;
use harness::cow::TARGET;
use harness::cow::TARGET_AREA;
use harness::meminfo::kernel_memory;
use harness::meminfo::quarantine;
use harness::race;
use harness::race::delay;
use harness::race::rounds;
use harness::sys::EACCES;
use harness::sys::EINVAL;
use harness::sys::MAP_PRIVATE;
use harness::*;

/// The minimum number of rounds in a test.
const ROUNDS: u32 = 64;

const NAME: &CStr = c"subject";
const OTHER: &CStr = c"other";

/// How many processes do the same at the same time.
const MEMBERS: usize = 12;

/// Returns the faults in an area, in all images of a name.
fn faults_of_all(name: &str, area: &Area) -> isize {
    let mut buf = Mapping::new(64, MAP_PRIVATE).unwrap();
    cow::images(buf.bytes())
        .filter(|image| image.name == name)
        .flat_map(|image| image.vmas())
        .filter(|vma| area.start() <= vma.range.0 && vma.range.1 <= area.end())
        .map(|vma| vma.faults)
        .sum()
}

/// The points where the processes of a round meet.
struct Meeting {
    /// They may start to fork, rename or exec.
    start: Turnstile,
    /// They have done so.
    ready: Turnstile,
    /// `pf_set_param()` has been called.
    set: Turnstile,
    /// They have written.
    written: Turnstile,
}

// SAFETY: Zeros are turnstiles that nobody has passed.
unsafe impl mem::Shareable for Meeting {}

/// In each round, processes get the name through `begin` while it starts to be tracked. All of them
/// must be found, from one side or the other.
fn all_are_found(begin: fn(&'static Meeting, &dyn Fn())) {
    const PAGES: usize = 3;
    let area = Area::written(PAGES);
    rounds(ROUNDS, |round| {
        let meeting: &'static Meeting = mem::shared().unwrap();
        let member = || {
            meeting.ready.pass();
            meeting.set.wait_for(1);
            area.write(0..PAGES);
            meeting.written.pass();
            loop {
                sys::sleep_ms(1000);
            }
        };
        let parent = Child::fork(|| {
            begin(meeting, &member);
            loop {
                sys::sleep_ms(1000);
            }
        });
        meeting.start.wait_for(1);
        delay(round);
        expect_eq!(cow::set(NAME), Ok(0));
        meeting.ready.wait_for(MEMBERS as u32);
        meeting.set.pass();
        meeting.written.wait_for(MEMBERS as u32);
        let got = faults_of_all("subject", &area);
        expect_eq!(got, (MEMBERS * PAGES) as isize, "faults in round {round}");
        expect!(cow::get(NAME).is_ok());
        expect_eq!(calls::pf_cleanup(), Ok(0));
        // Everything that it has started ends with it.
        drop(parent);
        unmap_shared(meeting);
    });
}

/// Unmaps the memory of a round.
fn unmap_shared<T>(place: &'static T) {
    let len = size_of::<T>().next_multiple_of(sys::PAGE_SIZE);
    // SAFETY: All its users are gone.
    unsafe { sys::munmap(place as *const T as usize, len) }.unwrap();
}

/// Forks children that are killed together with the caller.
fn fork_members(member: &dyn Fn()) -> [Child; MEMBERS] {
    [(); MEMBERS].map(|()| {
        Child::fork(|| {
            sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize).unwrap();
            member()
        })
        .unwrap()
    })
}

/// A process with the name forks.
fn set_while_forking() {
    all_are_found(|meeting, member| {
        sys::set_name(NAME).unwrap();
        meeting.start.pass();
        core::mem::forget(fork_members(member));
    });
}

/// Processes take the name.
fn set_while_renaming() {
    all_are_found(|meeting, member| {
        let children = fork_members(&|| {
            meeting.start.wait_for(1);
            sys::set_name(NAME).unwrap();
            member();
        });
        meeting.start.pass();
        core::mem::forget(children);
    });
}

/// Processes get the name by exec of a program that does its counted writes after it has started.
fn set_while_executing() {
    const TARGETS: usize = 4;
    rounds(ROUNDS, |round| {
        let targets = [(); TARGETS].map(|()| Target::launch(&[c"0", c"7"]));
        delay(round);
        expect_eq!(cow::set(TARGET), Ok(0));
        targets.iter().for_each(Target::wait);
        expect_eq!(faults_of_all("cow_target", &TARGET_AREA), 0);
        targets.iter().for_each(Target::next);
        let got = faults_of_all("cow_target", &TARGET_AREA);
        expect_eq!(got, 7 * TARGETS as isize, "faults in round {round}");
        expect_eq!(calls::pf_cleanup(), Ok(0));
    });
}

/// A process that others can rename, and that writes to pages when told to.
struct Renamed {
    subject: Subject,
    area: Area,
}

impl Renamed {
    /// Starts the process. By each stop, it has done `work` with its threads and then written to
    /// the area, alternately.
    fn start(name: &CStr, mut work: impl FnMut(u32)) -> Renamed {
        let area = Area::anonymous(3, MAP_PRIVATE);
        let subject = Subject::start(name, |stops| {
            for round in 0.. {
                stops.stop();
                work(round);
                stops.stop();
                area.read(0..3);
                area.write(0..3);
                // SAFETY: The contents do not matter.
                unsafe { sys::madvise(area.start(), area.len(), sys::MADV_DONTNEED) }.unwrap();
            }
        });
        Renamed { subject, area }
    }

    /// Expects that the process is counted if and only if its name is `NAME`.
    #[track_caller]
    fn expect_counted_as_named(&mut self, round: u32) {
        let mut buf = [0; 64];
        let comm = text!("/proc/{}/comm", self.subject.pid());
        let comm = io::read_file(comm.as_cstr(), &mut buf).unwrap();
        let counted = || faults_of_all("subject", &self.area);
        let before = counted();
        self.subject.step();
        let got = counted() - before;
        let want = if comm == "subject\n" { 3 } else { 0 };
        expect_eq!(got, want, "{} in round {round}", comm.trim());
    }
}

/// Spins until `tasks` tasks have reached this point this many times.
fn meet(count: &AtomicU32, tasks: u32, times: u32) {
    count.fetch_add(1, Ordering::AcqRel);
    while count.load(Ordering::Acquire) < tasks * times {
        core::hint::spin_loop();
    }
}

/// A process loses or takes the name while it starts to be tracked.
fn set_while_it_is_renamed() {
    let met: &'static AtomicU32 = mem::shared().unwrap();
    let mut process = Renamed::start(NAME, |round| {
        meet(met, 2, round + 1);
        delay(round * 7);
        sys::set_name([OTHER, NAME][round as usize % 2]).unwrap();
    });
    rounds(4 * ROUNDS, |round| {
        let _ = calls::pf_cleanup();
        process.subject.go();
        meet(met, 2, round + 1);
        delay(round);
        expect_eq!(cow::set(NAME), Ok(0));
        process.subject.wait();
        process.expect_counted_as_named(round);
    });
}

/// Two threads of a process change its name to different ones at the same time.
fn two_threads_rename() {
    static GO: Turnstile = Turnstile::new();
    static DONE: Turnstile = Turnstile::new();
    static MET: AtomicU32 = AtomicU32::new(0);
    expect_eq!(cow::set(NAME), Ok(0));
    let mut process = Renamed::start(OTHER, |round| {
        if round == 0 {
            let leader = sys::getpid();
            for name in [NAME, OTHER] {
                let write = move || {
                    let path = text!("/proc/self/task/{leader}/comm");
                    let comm = io::File::open(path.as_cstr(), sys::O_WRONLY).unwrap();
                    for round in 1.. {
                        GO.wait_for(round);
                        meet(&MET, 2, round);
                        delay(round * name.count_bytes() as u32 % 32);
                        comm.write(name.to_bytes()).unwrap();
                        DONE.pass();
                    }
                };
                core::mem::forget(Thread::spawn(write).unwrap());
            }
        }
        GO.pass();
        DONE.wait_for(2 * (round + 1));
    });
    rounds(4 * ROUNDS, |round| {
        process.subject.step();
        process.expect_counted_as_named(round);
    });
}

/// The final counts are complete, whatever others request at the same time. Reported counts never
/// shrink.
fn counts_are_exact() {
    const PAGES: usize = 8;
    let forks: &'static AtomicU32 = mem::shared().unwrap();
    let stop: &'static AtomicU32 = mem::shared().unwrap();
    let area = Area::written(PAGES);
    expect_eq!(cow::set(NAME), Ok(0));
    // One image of four processes that fork.
    let root = Child::fork(|| {
        sys::set_name(NAME).unwrap();
        let work = || {
            while stop.load(Ordering::Relaxed) == 0 {
                let child = Child::fork(|| area.write(0..PAGES)).unwrap();
                expect_eq!(child.wait(), Ok(Status::Exited(0)));
                forks.fetch_add(1, Ordering::Relaxed);
            }
        };
        let children = [(); 3].map(|()| Child::fork(work).unwrap());
        work();
        for child in children {
            expect_eq!(child.wait(), Ok(Status::Exited(0)));
        }
    })
    .unwrap();
    while forks.load(Ordering::Relaxed) == 0 {
        sys::sched_yield();
    }
    let mut last = 0;
    rounds(ROUNDS, |_| {
        let total = cow::get(NAME).unwrap().total();
        expect!(last <= total, "{total} after {last}");
        last = total;
        expect_eq!(cow::set(NAME), Ok(0));
    });
    stop.store(1, Ordering::Relaxed);
    expect_eq!(root.wait(), Ok(Status::Exited(0)));
    let forks = forks.load(Ordering::Relaxed);
    diag!("{forks} forks");
    expect_eq!(
        cow::get(NAME).unwrap().faults(&area),
        forks as isize * PAGES as isize
    );
}

/// Threads write while others map and unmap: no count is lost, and every report is valid.
fn mappings_come_and_go() {
    const PAGES: usize = 600;
    let place = Area::anonymous(PAGES, MAP_PRIVATE);
    expect_eq!(cow::set(NAME), Ok(0));
    let _subject = Subject::start(NAME, |stops| {
        // Each thread has a part. The parts are adjacent, in the same blocks.
        for part in 0..6 {
            let area = place.part(part * 100..(part + 1) * 100);
            core::mem::forget(
                Thread::spawn(move || loop {
                    for prot in [sys::PROT_READ, sys::PROT_READ | sys::PROT_WRITE] {
                        // SAFETY: The part belongs to this thread.
                        unsafe { sys::mprotect(area.page(10), 20 * sys::PAGE_SIZE, prot) }.unwrap();
                    }
                    area.read(0..100);
                    area.write(0..100);
                    // SAFETY: As above.
                    let mapped = unsafe {
                        sys::mmap(
                            area.start(),
                            area.len(),
                            sys::PROT_READ | sys::PROT_WRITE,
                            MAP_PRIVATE | sys::MAP_FIXED,
                        )
                    };
                    expect_eq!(mapped, Ok(area.start()));
                })
                .unwrap(),
            );
        }
        stops.stop();
    });
    let mut last = 0;
    rounds(ROUNDS, |_| {
        let stat = cow::get(NAME).unwrap();
        expect!(last <= stat.total(), "{} after {last}", stat.total());
        last = stat.total();
        let in_place = stat
            .vmas()
            .filter(|vma| place.start() <= vma.range.0 && vma.range.1 <= place.end());
        expect!(in_place.map(|vma| vma.faults).sum::<isize>() <= PAGES as isize);
    });
    expect!(last > 0);
}

/// A process loses its name while its threads have faults, and the last other process of its image
/// exits at the same moment: the counters must outlive the faults.
fn one_leaves_while_the_last_ends() {
    const PAGES: usize = 4;
    // At a distance where both share a slot in the tracker's cache, so that each fault has to look
    // up its counters.
    const FAR: usize = 16 * (2 << 20) / sys::PAGE_SIZE;
    let place = Area::anonymous(FAR + 3 * PAGES, MAP_PRIVATE);
    expect_eq!(cow::set(NAME), Ok(0));
    rounds(ROUNDS, |round| {
        let meeting: &'static Meeting = mem::shared().unwrap();
        let last = Child::fork(|| {
            sys::set_name(NAME).unwrap();
            meeting.ready.pass();
            meeting.start.wait_for(1);
            delay(round);
        });
        let leaver = Child::fork(|| {
            sys::set_name(NAME).unwrap();
            for part in 0..3 {
                let areas = [0, FAR].map(|at| {
                    let first = at + part * PAGES;
                    place.part(first..first + PAGES)
                });
                core::mem::forget(
                    Thread::spawn(move || loop {
                        for area in areas {
                            area.read(0..PAGES);
                            area.write(0..PAGES);
                            // SAFETY: Nobody else uses the pages.
                            unsafe { sys::madvise(area.start(), area.len(), sys::MADV_DONTNEED) }
                                .unwrap();
                        }
                    })
                    .unwrap(),
                );
            }
            meeting.ready.pass();
            meeting.start.wait_for(1);
            delay(round.wrapping_add(1));
            sys::set_name(OTHER).unwrap();
            sys::exit_group(0);
        });
        meeting.ready.wait_for(2);
        meeting.start.pass();
        for child in [last, leaver] {
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        }
        let stat = cow::get(NAME).unwrap();
        expect!(stat.sum() <= stat.total());
        unmap_shared(meeting);
    });
}

/// A process that does everything of interest, and exits. `round` says how.
fn storm(round: u32, area: &Area) {
    let name = if round % 3 == 0 { OTHER } else { NAME };
    sys::set_name(name).unwrap();
    area.write(0..(round as usize % 16));
    let child = Child::fork(|| area.write(0..16));
    let fresh = Area::anonymous(4, MAP_PRIVATE);
    fresh.read(0..4);
    fresh.write(0..4);
    match round % 5 {
        0 => {
            // SAFETY: Nobody uses these areas any more.
            unsafe { sys::munmap(area.start(), area.len()) }.unwrap();
            unsafe { sys::munmap(fresh.start(), fresh.len()) }.unwrap();
        }
        1 => {
            let shares = Child::share(sys::CLONE_VFORK, || {
                let _ = sys::set_name(OTHER);
            });
            let _ = shares.map(Child::wait);
        }
        2 => {
            let threads = [(); 3].map(|()| Thread::spawn(move || fresh.write(0..4)));
            drop(threads);
        }
        3 => sys::set_name(OTHER).map(|_| ()).unwrap(),
        _ => (),
    }
    // There may be too many processes.
    let _ = child.map(Child::wait);
    if round % 7 == 0 {
        sys::execve(c"./cow_target", &[TARGET, c"9"]);
    }
}

/// Starts processes that cause storms on all CPUs until killed.
fn storms() -> [Child; 6] {
    let area = Area::written(16);
    let mut first = 0;
    [(); 6].map(|()| {
        first += 1000;
        Child::fork(|| {
            let null = io::File::open(c"/dev/null", sys::O_RDWR).unwrap();
            sys::dup2(null.fd, 0).unwrap();
            sys::dup2(null.fd, 1).unwrap();
            for round in first.. {
                if let Ok(child) = Child::fork(|| storm(round, &area)) {
                    let _ = child.wait();
                }
            }
        })
        .unwrap()
    })
}

/// Several callers of all three system calls at once, while everything changes.
fn everything_at_once() {
    let storms = storms();
    let callers = [(); 2].map(|()| {
        Child::fork(|| {
            for round in 0.. {
                let name = [NAME, OTHER, TARGET][round as usize % 3];
                let _ = cow::set(name);
                for _ in 0..8 {
                    match cow::get(name) {
                        Ok(_) | Err(EACCES | EINVAL) => (),
                        other => expect!(other.is_ok(), "{:?}", other.err()),
                    }
                    delay(round);
                }
                if round % 4 == 0 {
                    let _ = calls::pf_cleanup();
                }
            }
        })
        .unwrap()
    });
    rounds(ROUNDS, |round| {
        let _ = cow::set(NAME);
        match cow::get(NAME) {
            Ok(_) | Err(EACCES | EINVAL) => (),
            other => expect!(other.is_ok(), "{:?}", other.err()),
        }
        cow::View::read(Mapping::new(64, MAP_PRIVATE).unwrap().bytes());
        delay(round);
    });
    drop(callers);
    drop(storms);
    let _ = calls::pf_cleanup();
    expect_eq!(cow::get(NAME).err(), Some(EACCES));
}

/// The memory used for counting is freed: seventy kilobytes in each round.
fn memory_comes_back() {
    const AREAS: usize = 64;
    // Megabytes apart.
    let areas = [(); AREAS].map(|()| {
        let area = Area::anonymous(1000, MAP_PRIVATE);
        area.write(0..1);
        area
    });
    let round = || {
        expect_eq!(cow::set(NAME), Ok(0));
        let mut subject = Subject::start(NAME, |stops| {
            areas.iter().for_each(|area| area.write(0..1));
            stops.stop();
            for area in &areas[..AREAS / 2] {
                // SAFETY: Nobody uses the area any more.
                unsafe { sys::munmap(area.start(), area.len()) }.unwrap();
            }
            stops.stop();
        });
        expect_eq!(cow::get(NAME).unwrap().faults(&areas[AREAS - 1]), 1);
        subject.step();
        subject.end();
        expect!(cow::get(NAME).unwrap().total() >= AREAS as isize);
        expect_eq!(calls::pf_cleanup(), Ok(0));
    };
    for _ in 0..3 {
        round();
    }
    sys::sleep_ms(500);
    let before = kernel_memory();
    let mut count = 0;
    rounds(ROUNDS, |_| {
        if count < 20_000 {
            round();
            count += 1;
        }
    });
    // Memory freed by RCU comes later. Caches of the kernel always grow a little.
    let limit = before + 1024 + count + quarantine();
    let small = || kernel_memory() < limit;
    expect!(
        vcpu::eventually(small),
        "{} kB, {before} kB before {count} rounds",
        kernel_memory()
    );
}

program!(|args: Args| {
    let tests: [(_, fn()); 10] = [
        ("set_while_forking", set_while_forking),
        ("set_while_renaming", set_while_renaming),
        ("set_while_executing", set_while_executing),
        ("set_while_it_is_renamed", set_while_it_is_renamed),
        ("two_threads_rename", two_threads_rename),
        ("counts_are_exact", counts_are_exact),
        ("mappings_come_and_go", mappings_come_and_go),
        (
            "one_leaves_while_the_last_ends",
            one_leaves_while_the_last_ends,
        ),
        ("everything_at_once", everything_at_once),
        ("memory_comes_back", memory_comes_back),
    ];
    race::run("COW_RACE_SECONDS", cow::reset, tests, args)
});
