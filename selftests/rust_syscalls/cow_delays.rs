// SPDX-License-Identifier: GPL-2.0

//! Tests of races while copy-on-write faults are counted: the kernel is made to wait at the points
//! where two events can meet.
//!
//! The results must also be right without delays, but then these races hardly ever happen.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use harness::cow;
use harness::cow::Area;
use harness::cow::Delays;
use harness::cow::Point;
use harness::cow::Stat;
use harness::cow::Subject;
use harness::cow::Target;
use harness::cow::View;
use harness::cow::TARGET;
use harness::cow::TARGET_AREA;
use harness::sys::EACCES;
use harness::sys::MAP_PRIVATE;
use harness::sys::PAGE_SIZE;
use harness::*;

const NAME: &CStr = c"subject";
const OTHER: &CStr = c"other";

/// How many milliseconds a task is made to wait.
const DELAY: u32 = 300;

/// The number of milliseconds after which a task has started to wait.
const SOON: u32 = 100;

/// Returns the report on a name.
#[track_caller]
fn report(name: &CStr) -> Stat {
    cow::get(name).expect("a report")
}

/// Sets the name of the calling process.
fn take(name: &CStr) {
    sys::set_name(name).expect("a name");
}

/// Calls `pf_set_param()` in a separate process.
fn setter(name: &'static CStr) -> Child {
    Child::fork(|| expect_eq!(cow::set(name), Ok(0))).expect("fork")
}

/// Waits until a process exits successfully.
#[track_caller]
fn wait_for(child: Child) {
    expect_eq!(child.wait(), Ok(Status::Exited(0)));
}

/// Returns the number of live processes with a name, and the number of live images.
fn live(name: &str) -> (u32, usize) {
    let mut buf = [0; 65536];
    let view = View::read(&mut buf);
    let images = view
        .images()
        .filter(|image| image.name == name && image.live > 0);
    let lines = view.processes(name).filter(|process| process.live).count();
    let live = images.clone().map(|image| image.live).sum();
    expect_eq!(lines, live as usize, "lines of live processes");
    (live, images.count())
}

/// Two threads of a process change its name, the second one while the first is delayed at `point`.
/// In the end, the process must be tracked if and only if its name is.
fn two_writers(point: Point, both: bool, names: [&'static CStr; 3]) {
    static FIRST: Turnstile = Turnstile::new();
    cow::reset();
    cow::set(NAME).unwrap();
    if both {
        cow::set(OTHER).unwrap();
    }
    let area = Area::written(8);
    let [before, first, second] = names;
    let mut subject = Subject::start(before, |stops| {
        let leader = sys::getpid();
        let thread = Thread::spawn(move || {
            FIRST.wait_for(1);
            sys::sleep_ms(50);
            // This thread must not be delayed.
            drop(Delays::at(&[]));
            let comm = text!("/proc/self/task/{leader}/comm");
            io::write_file(comm.as_cstr(), second.to_bytes()).expect("comm");
        });
        stops.stop();
        FIRST.pass();
        take(first);
        thread.unwrap().join();
        stops.stop();
        area.write(0..7);
        stops.stop();
    });
    let _delays = Delays::at(&[(point, 150)]);
    subject.step();
    let tracked = second == NAME || both;
    let name = if second == NAME { NAME } else { OTHER };
    expect_eq!(
        live("subject").0,
        u32::from(second == NAME),
        "{point:?} {names:?}"
    );
    subject.step();
    if tracked {
        expect_eq!(report(name).faults(&area), 7, "{point:?} {names:?}");
        report(name).expect_maps(subject.pid());
    }
    let others = report(NAME).vma(area.start()).map_or(0, |vma| vma.faults);
    expect_eq!(
        others,
        if second == NAME { 7 } else { 0 },
        "{point:?} {names:?}"
    );
}

tests! {
    setup {
        cow::reset();
        // Skips the test if the kernel does not support delays.
        drop(Delays::at(&[]));
    }

    /// A process loses its name after `pf_set_param()` has found it, and after it has been tagged.
    fn name_is_lost() {
        for point in [Point::Scan, Point::Tag] {
            cow::reset();
            let area = Area::written(16);
            let mut subject = Subject::start(NAME, |stops| {
                stops.stop();
                take(OTHER);
                stops.stop();
                area.write(0..7);
                stops.stop();
                take(NAME);
                area.write(7..12);
                stops.stop();
            });
            let delays = Delays::at(&[(point, DELAY)]);
            let setter = setter(NAME);
            sys::sleep_ms(SOON);
            subject.step();
            wait_for(setter);
            drop(delays);
            expect_eq!(live("subject"), (0, 0), "{point:?}");
            subject.step();
            let lost = report(NAME).vma(area.start()).map_or(0, |vma| vma.faults);
            expect_eq!(lost, 0, "{point:?}");
            subject.step();
            expect_eq!(report(NAME).faults(&area), 5, "{point:?}");
        }
    }

    /// A process has a new name that nobody has looked at, while this name starts to be tracked.
    fn name_is_set_during_a_rename() {
        let area = Area::written(32);
        // Without a tracked name, nobody would look.
        cow::set(c"nobody").unwrap();
        let mut subject = Subject::start(OTHER, |stops| {
            stops.stop();
            take(NAME);
            stops.stop();
            area.write(0..7);
            stops.stop();
            take(OTHER);
            stops.stop();
            area.write(7..20);
            stops.stop();
        });
        let delays = Delays::at(&[(Point::Rename, DELAY)]);
        subject.go();
        sys::sleep_ms(SOON);
        expect_eq!(cow::set(NAME), Ok(0));
        expect_eq!(live("subject"), (1, 1));
        subject.wait();
        expect_eq!(live("subject"), (1, 1));
        subject.step();
        expect_eq!(report(NAME).faults(&area), 7);
        // The process loses the name, which is then set again.
        subject.go();
        sys::sleep_ms(SOON);
        expect_eq!(cow::set(NAME), Ok(0));
        subject.wait();
        drop(delays);
        expect_eq!(live("subject"), (0, 0));
        subject.step();
        expect_eq!(report(NAME).faults(&area), 7);
    }

    fn two_threads_rename(timeout: 120) {
        for point in [Point::Rename, Point::Tag] {
            for both in [false, true] {
                for bits in 0..8 {
                    let name = |bit| if bits & 1 << bit == 0 { NAME } else { OTHER };
                    two_writers(point, both, [0, 1, 2].map(name));
                }
            }
        }
    }

    /// A child can be found before its fork is complete. Whoever finds it first, it is tracked
    /// once.
    fn name_is_set_during_a_fork() {
        let area = Area::written(16);
        cow::set(c"nobody").unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            let mut child = Subject::fork(|stops| {
                area.write(0..5);
                stops.stop();
                area.write(5..7);
                stops.stop();
            });
            area.write(0..3);
            stops.stop();
            child.step();
            stops.stop();
        });
        let delays = Delays::at(&[(Point::Fork, DELAY)]);
        subject.go();
        sys::sleep_ms(SOON);
        expect_eq!(cow::set(NAME), Ok(0));
        subject.wait();
        drop(delays);
        expect_eq!(live("subject"), (2, 1));
        expect_eq!(report(NAME).faults(&area), 8);
        subject.step();
        expect_eq!(report(NAME).faults(&area), 10);
    }

    /// A second call for the name finds and tags a child before its fork is complete. The child
    /// still gets a parent.
    fn name_is_set_again_during_a_fork() {
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            let child = Subject::fork(|stops| stops.stop());
            stops.stop();
            child.end();
        });
        let delays = Delays::at(&[(Point::Fork, DELAY)]);
        subject.go();
        sys::sleep_ms(SOON);
        expect_eq!(cow::set(NAME), Ok(0));
        expect_eq!(live("subject"), (2, 1));
        subject.wait();
        drop(delays);
        let parent = |process: &cow::Process| process.parent.0;
        let mut buf = [0; 65536];
        let view = View::read(&mut buf);
        let child = view.processes("subject").find(|line| line.pid != subject.pid());
        expect_eq!(child.as_ref().map(parent), Some(subject.pid()));
        subject.end();
    }

    /// Threads that need blocks at the same time do not get more together than one of them would.
    fn threads_share_the_limit(timeout: 300) {
        static GO: Turnstile = Turnstile::new();
        const THREADS: usize = 8;
        const BLOCK: usize = 2 << 20;

        let free = || View::read(&mut [0; 65536]).blocks().0;
        let at_first = free();
        if at_first > 2000 {
            skip!("{at_first} blocks are too many to be used up");
        }
        // One more than allowed, including the blocks of the stacks and the program.
        let pages = at_first.div_ceil(2) * (BLOCK / PAGE_SIZE);
        let area = Area::anonymous(pages + THREADS * (BLOCK / PAGE_SIZE), MAP_PRIVATE);
        // A fault that replaces the huge zero page does not count. Some kernels lack huge pages.
        // SAFETY: Nothing is there yet.
        let _ = unsafe { sys::madvise(area.start(), area.len(), sys::MADV_NOHUGEPAGE) };
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            let block = move |number: usize| {
                area.read([number * (BLOCK / PAGE_SIZE)]);
                area.write([number * (BLOCK / PAGE_SIZE)]);
            };
            let threads = [(); THREADS].map(|()| {
                static NUMBER: AtomicUsize = AtomicUsize::new(0);
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                Thread::spawn(move || {
                    GO.wait_for(1);
                    block(number);
                })
                .unwrap()
            });
            stops.stop();
            // Use up all but two of the blocks allowed, most of them without asking.
            let mut next = THREADS.max((at_first / 2).saturating_sub(64));
            (THREADS..next).for_each(block);
            while 2 * (at_first - free()) + 4 < at_first {
                block(next);
                next += 1;
            }
            stops.stop();
            GO.pass();
            drop(threads);
            stops.stop();
        });
        subject.step();
        let before = free();
        let delays = Delays::at(&[(Point::Grow, DELAY)]);
        subject.step();
        drop(delays);
        let has = at_first - free();
        expect!(before > free());
        expect!(has <= at_first.div_ceil(2), "{has} of {at_first} blocks");
        subject.end();
    }

    /// Names are forgotten, and set again, during a fork.
    fn cleanup_during_a_fork() {
        for set_again in [false, true] {
            cow::reset();
            let area = Area::written(16);
            cow::set(NAME).unwrap();
            let mut subject = Subject::start(NAME, |stops| {
                stops.stop();
                let mut child = Subject::fork(|stops| {
                    area.write(0..5);
                    stops.stop();
                    area.write(5..7);
                    stops.stop();
                });
                stops.stop();
                child.step();
                stops.stop();
            });
            let delays = Delays::at(&[(Point::Fork, DELAY)]);
            subject.go();
            sys::sleep_ms(SOON);
            expect_eq!(calls::pf_cleanup(), Ok(0));
            if set_again {
                expect_eq!(cow::set(NAME), Ok(0));
            }
            subject.wait();
            drop(delays);
            if set_again {
                expect_eq!(live("subject"), (2, 1));
                expect_eq!(report(NAME).faults(&area), 5);
                subject.step();
                expect_eq!(report(NAME).faults(&area), 7);
            } else {
                expect_eq!(cow::get(NAME).err(), Some(EACCES));
                cow::set(NAME).unwrap();
                expect_eq!(live("subject"), (2, 1));
                subject.step();
                expect_eq!(report(NAME).faults(&area), 2);
            }
            subject.end();
        }
    }

    /// A program has its name and its memory before its exec is complete.
    fn name_is_set_during_an_exec() {
        cow::set(c"nobody").unwrap();
        let delays = Delays::at(&[(Point::Exec, DELAY)]);
        let target = Target::launch(&[c"0", c"7"]);
        sys::sleep_ms(SOON);
        expect_eq!(cow::set(TARGET), Ok(0));
        target.wait();
        expect_eq!(live("cow_target"), (1, 1));
        // The same again, from one tracked program to another.
        target.go();
        sys::sleep_ms(SOON);
        expect_eq!(cow::set(TARGET), Ok(0));
        target.wait();
        drop(delays);
        expect_eq!(live("cow_target"), (1, 1));
        let stat = report(TARGET);
        stat.expect_maps(target.pid());
        expect_eq!(stat.faults(&TARGET_AREA), 7);
        expect_eq!(stat.total(), stat.sum());
    }

    /// A process executes another program after `pf_set_param()` has found its old name.
    fn exec_after_the_scan() {
        for point in [Point::Scan, Point::Tag] {
            cow::reset();
            let subject = Subject::start(TARGET, |stops| {
                stops.stop();
                let err = sys::execve(c"./wait", &[c"wait"]);
                panic!("./wait: {err:?}");
            });
            let delays = Delays::at(&[(point, DELAY)]);
            let setter = setter(TARGET);
            sys::sleep_ms(SOON);
            subject.go();
            wait_for(setter);
            drop(delays);
            let pid = subject.pid();
            let execed = || {
                let mut buf = [0; 4096];
                let status = vcpu::status(pid, pid, &mut buf);
                status.is_some_and(|status| io::field(status, "Name") == Some("wait"))
                    && cow::asleep(pid)
            };
            expect!(vcpu::eventually(execed), "no exec");
            expect_eq!(live("cow_target"), (0, 0), "{point:?}");
            cow::set(c"wait").unwrap();
            report(c"wait").expect_maps(pid);
            expect_eq!(live("wait"), (1, 1), "{point:?}");
        }
    }

    /// The same, but the new program also has a tracked name. The tag is for its new memory, not
    /// for that which `pf_set_param()` has found.
    fn exec_of_a_tracked_name_after_the_scan() {
        cow::set(TARGET).unwrap();
        let [input, _kept] = io::pipe().unwrap();
        let null = io::File::open(c"/dev/null", sys::O_RDWR).unwrap();
        let subject = Subject::start(NAME, |stops| {
            stops.stop();
            sys::dup2(input.fd, 0).unwrap();
            sys::dup2(null.fd, 1).unwrap();
            let err = sys::execve(c"./cow_target", &[TARGET, c"3"]);
            panic!("./cow_target: {err:?}");
        });
        let delays = Delays::at(&[(Point::Scan, DELAY)]);
        let setter = setter(NAME);
        sys::sleep_ms(SOON);
        subject.go();
        wait_for(setter);
        drop(delays);
        let wrote = || report(TARGET).total() == 3;
        expect!(vcpu::eventually(wrote), "{} faults", report(TARGET).total());
        report(TARGET).expect_maps(subject.pid());
        expect_eq!((live("cow_target"), live("subject")), ((1, 1), (0, 0)));
        let mut buf = [0; 65536];
        let view = View::read(&mut buf);
        expect_eq!(view.images().count(), 1);
        expect_eq!(view.processes("cow_target").count(), 1);
    }

    /// Everything is forgotten while `pf_set_param()` is running, which then has nothing left to
    /// do.
    fn cleanup_during_the_scan() {
        for point in [Point::Scan, Point::Tag] {
            cow::reset();
            let area = Area::written(16);
            let mut subject = Subject::start(NAME, |stops| {
                stops.stop();
                area.write(0..7);
                stops.stop();
                area.write(7..12);
                stops.stop();
            });
            let delays = Delays::at(&[(point, DELAY)]);
            let setter = setter(NAME);
            sys::sleep_ms(SOON);
            expect_eq!(calls::pf_cleanup(), Ok(0));
            wait_for(setter);
            drop(delays);
            expect_eq!(cow::get(NAME).err(), Some(EACCES), "{point:?}");
            subject.step();
            cow::set(NAME).unwrap();
            expect_eq!(report(NAME).total(), 0, "{point:?}");
            subject.step();
            expect_eq!(report(NAME).faults(&area), 5, "{point:?}");
        }
    }

    /// Two threads need the same new block: one block is used, and both faults are counted in it.
    fn two_grow() {
        static GO: Turnstile = Turnstile::new();
        let area = Area::written(4);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            let threads = [0, 1, 2].map(|page| {
                Thread::spawn(move || {
                    GO.wait_for(1);
                    area.write([page]);
                })
                .unwrap()
            });
            stops.stop();
            GO.pass();
            drop(threads);
            stops.stop();
        });
        let free = || View::read(&mut [0; 65536]).blocks().0;
        let before = free();
        let delays = Delays::at(&[(Point::Grow, DELAY)]);
        subject.step();
        drop(delays);
        expect_eq!(report(NAME).faults(&area), 3);
        // The block, and perhaps those of the stacks.
        expect!(before - free() <= 3, "{} blocks for one", before - free());
        let mut buf = [0; 65536];
        expect_eq!(cow::images(&mut buf).next().unwrap().unplaced, 0);
    }

    /// A fault counts in a block while its process leaves the image by a rename, and the last other
    /// process of the image exits: the block must exist until the fault is over.
    fn last_ends_during_a_fault_of_one_that_left() {
        struct Shared {
            go: Turnstile,
            faulting: Turnstile,
            over: AtomicBool,
        }
        // SAFETY: Zeros are turnstiles that nobody has passed, and false.
        unsafe impl mem::Shareable for Shared {}

        let shared: &'static Shared = mem::shared().unwrap();
        let area = Area::written(8);
        cow::set(NAME).unwrap();
        let last = Subject::start(NAME, |stops| stops.stop());
        let leaver = Subject::start(NAME, |stops| {
            // The block exists already.
            area.write([0]);
            core::mem::forget(Thread::spawn(move || {
                shared.go.wait_for(1);
                shared.faulting.pass();
                area.write([1]);
                shared.over.store(true, Ordering::Relaxed);
            }));
            stops.stop();
            shared.faulting.wait_for(1);
            sys::sleep_ms(SOON);
            take(OTHER);
        });
        let _delays = Delays::at(&[(Point::Fault, 4 * DELAY)]);
        leaver.go();
        shared.go.pass();
        shared.faulting.wait_for(1);
        sys::sleep_ms(2 * SOON);
        expect_eq!(live("subject"), (1, 1));
        last.end();
        // If the end had not waited for the fault, the fault would take longer than this.
        sys::sleep_ms(SOON);
        expect!(shared.over.load(Ordering::Relaxed));
        leaver.end();
        expect!(report(NAME).total() >= 2);
    }

    /// A fault counts in a block while everything is forgotten: the block must exist until the
    /// fault is over.
    fn cleanup_during_a_fault() {
        struct Shared {
            faulting: Turnstile,
            over: AtomicBool,
        }
        // SAFETY: Zeros are a turnstile that nobody has passed, and false.
        unsafe impl mem::Shareable for Shared {}

        let shared: &'static Shared = mem::shared().unwrap();
        let area = Area::written(8);
        cow::set(NAME).unwrap();
        let subject = Subject::start(NAME, |stops| {
            // The block exists already.
            area.write([0]);
            stops.stop();
            shared.faulting.pass();
            area.write([1]);
            shared.over.store(true, Ordering::Relaxed);
            stops.stop();
        });
        let delays = Delays::at(&[(Point::Fault, 4 * DELAY)]);
        subject.go();
        shared.faulting.wait_for(1);
        sys::sleep_ms(SOON);
        expect_eq!(calls::pf_cleanup(), Ok(0));
        // If the call had not waited for the fault, the fault would take longer than this.
        sys::sleep_ms(SOON);
        expect!(shared.over.load(Ordering::Relaxed));
        drop(delays);
    }

    /// A fault gets a block for an image that its process has left in the meantime, by a rename or
    /// by `pf_cleanup()`, and may have rejoined: the fault is in the total once, and in no image
    /// where it does not belong.
    fn left_while_growing(timeout: 120) {
        static GO: Turnstile = Turnstile::new();
        static DONE: Turnstile = Turnstile::new();

        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Case {
            Renamed,
            AwayAndBack,
            Cleanup,
            CleanupAndSet,
        }
        for case in [Case::Renamed, Case::AwayAndBack, Case::Cleanup, Case::CleanupAndSet] {
            cow::reset();
            cow::set(NAME).unwrap();
            let area = Area::anonymous(2000, MAP_PRIVATE);
            area.write(996..1004);
            let mut subject = Subject::start(NAME, |stops| {
                let thread = Thread::spawn(move || {
                    GO.wait_for(1);
                    area.write([1000]);
                    DONE.pass();
                    GO.wait_for(2);
                    area.write([1001]);
                });
                let thread = thread.unwrap();
                stops.stop();
                GO.pass();
                sys::sleep_ms(SOON);
                if let Case::Renamed | Case::AwayAndBack = case {
                    take(OTHER);
                }
                if case == Case::AwayAndBack {
                    take(NAME);
                }
                stops.stop();
                DONE.wait_for(1);
                stops.stop();
                GO.pass();
                thread.join();
                stops.stop();
            });
            let here = || report(NAME).vma(area.page(1000)).map_or(0, |vma| vma.faults);
            let before = report(NAME).total();
            let delays = Delays::at(&[(Point::Grow, DELAY)]);
            subject.go();
            sys::sleep_ms(SOON);
            if let Case::Cleanup | Case::CleanupAndSet = case {
                expect_eq!(calls::pf_cleanup(), Ok(0));
            }
            if case == Case::CleanupAndSet {
                expect_eq!(cow::set(NAME), Ok(0));
            }
            subject.wait();
            subject.step();
            drop(delays);
            match case {
                Case::Renamed => {
                    let total = report(NAME).total();
                    expect!(
                        (before + 1..before + 6).contains(&total),
                        "{total} after {before}"
                    );
                    expect!(here() <= 1);
                }
                Case::AwayAndBack | Case::CleanupAndSet => expect!(here() <= 1, "{case:?}"),
                Case::Cleanup => expect_eq!(cow::get(NAME).err(), Some(EACCES)),
            }
            if case == Case::Cleanup {
                cow::set(NAME).unwrap();
                expect_eq!(report(NAME).total(), 0);
            }
            // The next fault counts, or does not, as usual.
            let before = here();
            subject.step();
            expect_eq!(here() - before, isize::from(case != Case::Renamed), "{case:?}");
            drop(subject);
            // No block is lost.
            let all_free = || {
                let (free, all) = View::read(&mut [0; 65536]).blocks();
                free == all
            };
            expect!(vcpu::eventually(all_free), "{case:?}");
        }
    }

    /// A report that is requested while the last process of an image ends has the final counts.
    fn report_on_one_that_ends() {
        for renamed in [false, true] {
            cow::reset();
            cow::set(NAME).unwrap();
            let area = Area::written(64);
            let subject = Subject::start(NAME, |stops| {
                area.write(0..20);
                stops.stop();
                area.write(20..40);
                if renamed {
                    take(OTHER);
                    stops.stop();
                }
            });
            let list = report(NAME);
            expect_eq!(list.faults(&area), 20);
            let _delays = Delays::at(&[(Point::Leave, DELAY)]);
            subject.go();
            sys::sleep_ms(SOON);
            let start = sys::now();
            let stat = report(NAME);
            diag!("a report after {} ms", (sys::now() - start) / 1_000_000);
            expect_eq!(stat.faults(&area), 40);
            expect!(stat
                .vmas()
                .map(|vma| vma.range)
                .eq(list.vmas().map(|vma| vma.range)));
            let mut buf = [0; 65536];
            let view = View::read(&mut buf);
            let image = view.images().next().expect("an image");
            expect_eq!((image.pid, image.live), (0, 0));
            expect_eq!(image.faults, stat.total());
            expect!(image.vmas().eq(stat.vmas()));
            let process = view.processes("subject").next().expect("a process");
            expect_eq!((process.pid, process.live), (subject.pid(), false));
            expect_eq!(process.faults, stat.total());
        }
    }

    /// A task that waits for final counts can be killed.
    fn who_waits_can_be_killed() {
        cow::set(NAME).unwrap();
        let subject = Subject::start(NAME, |stops| stops.stop());
        let _delays = Delays::at(&[(Point::Leave, 2000)]);
        subject.go();
        sys::sleep_ms(SOON);
        let start = sys::now();
        let asks = Child::fork(|| expect!(cow::get(NAME).is_ok())).unwrap();
        sys::sleep_ms(SOON);
        // Kills the process and waits.
        drop(asks);
        let ms = (sys::now() - start) / 1_000_000;
        expect!(ms < 1500, "{ms} ms");
    }

    /// Another process takes the name while the last process of an image ends.
    fn name_is_taken_from_one_that_ends() {
        cow::set(NAME).unwrap();
        let area = Area::written(64);
        let old = Subject::start(NAME, |stops| {
            area.write(0..20);
            stops.stop();
        });
        let delays = Delays::at(&[(Point::Leave, DELAY)]);
        old.go();
        sys::sleep_ms(SOON);
        let new = Subject::start(NAME, |stops| {
            area.write(0..7);
            stops.stop();
        });
        expect_eq!(live("subject"), (1, 1));
        let stat = report(NAME);
        stat.expect_maps(new.pid());
        expect_eq!(stat.faults(&area), 7);
        drop(delays);
        old.wait_unreaped();
        let mut buf = [0; 65536];
        let mut images = cow::images(&mut buf);
        for (live, count) in [(1, 7), (0, 20)] {
            let image = images.next().expect("an image");
            let mut vmas = image.vmas();
            let vma = vmas.find(|vma| vma.range.0 == area.start());
            expect_eq!((image.live, vma.unwrap().faults), (live, count));
        }
        // The image that ends last is the one that is kept.
        new.end();
        expect_eq!(report(NAME).faults(&area), 7);
        drop(old);
    }

    /// `pf_cleanup()` while the last process of an image ends forgets everything or nothing.
    fn cleanup_during_the_end() {
        for set_again in [false, true] {
            cow::reset();
            cow::set(NAME).unwrap();
            let area = Area::written(64);
            let old = Subject::start(NAME, |stops| {
                area.write(0..20);
                stops.stop();
            });
            let _delays = Delays::at(&[(Point::Leave, DELAY)]);
            old.go();
            sys::sleep_ms(SOON);
            expect_eq!(calls::pf_cleanup(), Ok(0));
            if set_again {
                cow::set(NAME).unwrap();
            }
            old.wait_unreaped();
            match set_again {
                true => expect_eq!(report(NAME).total(), 0),
                false => expect_eq!(cow::get(NAME).err(), Some(EACCES)),
            }
            let (free, all) = View::read(&mut [0; 65536]).blocks();
            expect_eq!(free, all);
        }
    }

    /// A process that ends while `/proc/cow_track` is read, before or after the processes are
    /// listed, has one line, and so has its image.
    fn ends_while_it_is_listed() {
        for when in [SOON, DELAY + SOON] {
            cow::reset();
            cow::set(NAME).unwrap();
            let area = Area::written(8);
            let subject = Subject::start(NAME, |stops| {
                area.write(0..3);
                stops.stop();
            });
            let pid = subject.pid();
            let _delays = Delays::at(&[(Point::List, DELAY)]);
            let reader = Child::fork(|| {
                let mut buf = [0; 65536];
                let view = View::read(&mut buf);
                let lines = view.processes("subject").filter(|line| line.pid == pid);
                expect_eq!((lines.count(), view.images().count()), (1, 1));
            });
            sys::sleep_ms(when);
            subject.end();
            wait_for(reader.unwrap());
        }
    }

    /// Delays at all points at once: forks, execs, renames and exits go on, and the final counts
    /// are right.
    fn delays_everywhere(timeout: 120) {
        let points = [
            Point::Rename,
            Point::Exec,
            Point::Fork,
            Point::Scan,
            Point::Tag,
            Point::Grow,
            Point::Leave,
        ];
        let stop: &'static AtomicBool = mem::shared().unwrap();
        let area = Area::written(16);
        let work = |first: u32| {
            for round in first.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                take(if round % 3 == 0 { OTHER } else { NAME });
                let child = Child::fork(|| {
                    area.write(0..round as usize % 16);
                    match round % 4 {
                        0 => take(OTHER),
                        1 => take(NAME),
                        _ => (),
                    }
                });
                wait_for(child.unwrap());
            }
            take(c"done");
        };
        let delays = Delays::at(&points.map(|point| (point, 5)));
        let workers = [0, 1, 2].map(|first| Child::fork(|| work(first)).unwrap());
        for round in 0..30 {
            cow::set(NAME).unwrap();
            cow::set(OTHER).unwrap();
            for name in [NAME, OTHER] {
                expect!(cow::get(name).is_ok());
            }
            View::read(Mapping::new(64, MAP_PRIVATE).unwrap().bytes());
            if round % 10 == 9 {
                expect_eq!(calls::pf_cleanup(), Ok(0));
            }
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().for_each(wait_for);
        drop(delays);
        cow::set(NAME).unwrap();
        cow::set(OTHER).unwrap();
        expect_eq!((live("subject"), live("other")), ((0, 0), (0, 0)));
        let (free, all) = View::read(&mut [0; 65536]).blocks();
        expect_eq!(free, all);
    }
}
