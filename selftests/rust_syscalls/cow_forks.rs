// SPDX-License-Identifier: GPL-2.0

//! Tests of what `/proc/cow_track` shows for each process: its faults, and those of its parent
//! since the fork.
//!
//! They must match `wpcopy_count` in taskstats, which counts independently and per thread.

#![no_std]
#![no_main]

use core::cell::Cell;
use core::ffi::CStr;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering;
use harness::cow;
use harness::cow::Area;
use harness::cow::Process;
use harness::cow::Subject;
use harness::cow::Target;
use harness::cow::View;
use harness::cow::ENDED;
use harness::cow::TARGET;
use harness::sys::MAP_PRIVATE;
use harness::task::become_user;
use harness::taskstats::TaskStats;
use harness::*;

const NAME: &CStr = c"subject";
const OTHER: &CStr = c"other";

/// Calls `look` with the contents of `/proc/cow_track`.
fn view<T>(look: impl FnOnce(&View<'_>) -> T) -> T {
    let mut buf = Mapping::new(64, MAP_PRIVATE).expect("memory");
    look(&View::read(buf.bytes()))
}

/// Returns the line about a process of `NAME`, which must be the only one. A process that is just
/// ending has no line for a moment.
#[track_caller]
fn line(pid: i32) -> Process {
    let find = |view: &View<'_>| {
        let mut lines = view
            .processes("subject")
            .filter(|process| process.pid == pid);
        let line = lines.next();
        expect_eq!(lines.next(), None);
        line
    };
    for _ in 0..1000 {
        if let Some(line) = view(find) {
            return line;
        }
        sys::sleep_ms(1);
    }
    panic!("no line about {pid}")
}

/// Forks a process that does `work`, and waits for its end. Returns its process id.
fn forked(work: impl FnOnce()) -> i32 {
    let child = Child::fork(work).expect("fork");
    let pid = child.pid;
    expect_eq!(child.wait(), Ok(Status::Exited(0)));
    pid
}

/// A number that processes share, usually a process id.
#[derive(Clone, Copy)]
struct Shared(&'static AtomicI32);

impl Shared {
    fn new() -> Shared {
        Shared(mem::shared().expect("shared memory"))
    }

    fn set(self, number: i32) {
        self.0.store(number, Ordering::Release);
    }

    fn get(self) -> i32 {
        self.0.load(Ordering::Acquire)
    }
}

tests! {
    setup {
        cow::reset();
        cow::set(NAME).unwrap();
    }

    /// The faults of a child, and those of its parent from the fork until the child's end.
    fn parent_and_child() {
        let taskstats = TaskStats::start();
        let area = Area::written(64);
        let other = Area::written(8);
        let [child, server] = [Shared::new(), Shared::new()];
        let count = |task: Shared| taskstats.wpcopy_count(task.get()) as isize;
        let mut subject = Subject::start(NAME, |stops| {
            area.write(0..11);
            stops.stop();
            let mut forked = Subject::fork(|stops| {
                stops.stop();
                area.write(0..5);
                stops.stop();
                area.write(5..7);
            });
            child.set(forked.pid());
            stops.stop();
            area.write(20..27);
            forked.step();
            stops.stop();
            forked.end();
            stops.stop();
            other.write(0..8);
            stops.stop();
        });
        server.set(subject.pid());
        let me = line(subject.pid());
        expect_eq!((me.parent, me.live, me.uid), ((0, 0), true, 0));
        let at_fork = count(server);
        let first = me.faults;

        subject.step();
        let (parent, new) = (line(subject.pid()), line(child.get()));
        expect_eq!((new.live, new.image), (true, me.image));
        expect_eq!(new.faults, count(child));
        expect_eq!(new.parent, (subject.pid(), count(server) - at_fork));
        expect_eq!(parent.faults - first, count(server) - at_fork);

        subject.step();
        let (since, now) = (line(child.get()), line(subject.pid()));
        expect_eq!(since.faults, count(child));
        expect!(since.faults >= new.faults + 5, "{since:?} after {new:?}");
        expect_eq!(since.parent.1, count(server) - at_fork);
        expect!(since.parent.1 >= new.parent.1 + 7, "{since:?} after {new:?}");
        expect_eq!(now.parent, (0, 0));

        subject.step();
        let last = line(child.get());
        expect!(!last.live);
        expect!(last.faults >= since.faults + 2, "{last:?} after {since:?}");
        expect!(last.faults < since.faults + 6, "{last:?} after {since:?}");
        expect!(last.ns > since.ns);
        expect!(last.parent.1 >= since.parent.1);
        // Each fault counted belongs to some process.
        let image = view(|view| view.images().next().map(|image| image.faults));
        expect_eq!(image, Some(last.faults + line(subject.pid()).faults));

        // Faults of the parent after that do not count here.
        let before = line(subject.pid()).faults;
        subject.step();
        expect!(line(subject.pid()).faults >= before + 8);
        expect_eq!(line(child.get()), last);
        drop(subject);
        expect_eq!(line(child.get()), last);
    }

    /// With two children, the parent's faults count for both, each from its own fork on.
    fn two_children() {
        let area = Area::written(64);
        let children = [Shared::new(), Shared::new()];
        let mut subject = Subject::start(NAME, |stops| {
            let start = |child: Shared| {
                let forked = Subject::fork(|stops| stops.stop());
                child.set(forked.pid());
                forked
            };
            let first = start(children[0]);
            area.write(0..9);
            let second = start(children[1]);
            stops.stop();
            stops.stop();
            area.write(20..26);
            stops.stop();
            second.end();
            stops.stop();
            area.write(30..34);
            stops.stop();
            first.end();
            stops.stop();
        });
        let since = || children.map(|child| line(child.get()).parent);
        let [(ppid, first), (same, second)] = since();
        expect_eq!((ppid, same), (subject.pid(), subject.pid()));
        expect!(first >= second + 9, "{first} and {second}");
        // Whatever else happens between the stops has been copied by now.
        subject.step();
        let [(_, first), (_, second)] = since();
        subject.step();
        expect_eq!(since().map(|(_, faults)| faults), [first + 6, second + 6]);
        subject.step();
        let [(_, first), (_, second)] = since();
        subject.step();
        expect_eq!(since().map(|(_, faults)| faults), [first + 4, second]);
        subject.step();
        expect_eq!(since().map(|(_, faults)| faults), [first + 4, second]);
    }

    /// The parent ends first: its faults until then still count, and the process that adopts its
    /// children does not become their parent here.
    fn parent_ends_first() {
        let area = Area::written(64);
        let [child, go] = [Shared::new(), Shared::new()];
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            let pid = Child::fork(|| {
                while go.get() == 0 {
                    sys::sleep_ms(1);
                }
                area.write(0..3);
                while go.get() == 1 {
                    sys::sleep_ms(1);
                }
            });
            let pid = pid.unwrap();
            child.set(pid.pid);
            core::mem::forget(pid);
            area.write(10..20);
            stops.stop();
            area.write(20..22);
        });
        let ppid = subject.pid();
        subject.step();
        let before = line(child.get());
        expect_eq!(before.parent.0, ppid);
        expect!(before.parent.1 >= 10);
        subject.end();
        let orphan = line(child.get());
        expect_eq!(orphan.parent.0, ppid);
        expect!((before.parent.1 + 2..before.parent.1 + 5).contains(&orphan.parent.1));
        expect!(orphan.live && !line(ppid).live);
        go.set(1);
        let wrote = || line(child.get()).faults >= orphan.faults + 3;
        expect!(vcpu::eventually(wrote));
        expect_eq!(line(child.get()).parent, orphan.parent);
        go.set(2);
        expect!(vcpu::eventually(|| !line(child.get()).live));
        expect_eq!(line(child.get()).parent, orphan.parent);
    }

    /// Losing the name counts as ending, for a parent and for a child.
    fn renamed() {
        let area = Area::written(64);
        let [first, second] = [Shared::new(), Shared::new()];
        let mut subject = Subject::start(NAME, |stops| {
            let mut leaves = Subject::fork(|stops| {
                area.write(0..4);
                stops.stop();
                sys::set_name(OTHER).unwrap();
                stops.stop();
                area.write(4..10);
                stops.stop();
            });
            let mut stays = Subject::fork(|stops| {
                stops.stop();
                stops.stop();
                area.write(0..3);
                stops.stop();
            });
            first.set(leaves.pid());
            second.set(stays.pid());
            stops.stop();
            leaves.step();
            stops.stop();
            leaves.step();
            area.write(20..30);
            stops.stop();
            sys::set_name(OTHER).unwrap();
            stops.stop();
            area.write(30..40);
            stays.step();
            stops.stop();
            stays.step();
            stops.stop();
        });
        expect!(line(first.get()).live && line(second.get()).live);
        subject.step();
        let left = line(first.get());
        expect!(!left.live);
        expect_eq!(left.parent.0, subject.pid());
        let before = line(second.get());
        subject.step();
        expect_eq!(line(first.get()), left);
        expect!(line(second.get()).parent.1 >= before.parent.1 + 10);
        subject.step();
        expect!(!line(subject.pid()).live);
        let before = line(second.get());
        subject.step();
        expect_eq!(line(second.get()).parent, before.parent);
        subject.step();
        let after = line(second.get());
        expect!(after.live && after.faults >= before.faults + 3);
        expect_eq!(after.parent, before.parent);
        expect_eq!(line(first.get()), left);
    }

    /// A process that goes from one tracked name to another has no parent under the new one, and
    /// is not its own.
    fn renamed_to_another() {
        cow::set(OTHER).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            sys::set_name(OTHER).unwrap();
            stops.stop();
        });
        expect_eq!(line(subject.pid()).parent, (0, 0));
        subject.step();
        expect!(!line(subject.pid()).live);
        view(|view| {
            let process = view.processes("other").next().expect("a process");
            expect_eq!((process.pid, process.live), (subject.pid(), true));
            expect_eq!(process.parent, (0, 0));
        });
    }

    /// Live processes come first, then the last 32 that have ended, in the order in which they
    /// ended.
    fn last_ended() {
        const CHILDREN: usize = 45;
        let area = Area::written(CHILDREN);
        let mut pids = [0; CHILDREN];
        let shared: &'static [AtomicI32; CHILDREN] = mem::shared().unwrap();
        let subject = Subject::start(NAME, |stops| {
            for (i, pid) in shared.iter().enumerate() {
                let child = forked(|| area.write(0..i));
                pid.store(child, Ordering::Release);
            }
            let live = [(); 3].map(|()| Subject::fork(|stops| stops.stop()));
            stops.stop();
            drop(live);
        });
        for (pid, shared) in pids.iter_mut().zip(shared) {
            *pid = shared.load(Ordering::Acquire);
        }
        view(|view| {
            let live = |process: &Process| process.live;
            expect_eq!(view.processes("subject").take_while(live).count(), 4);
            let ended = view.processes("subject").skip(4);
            expect_eq!(ended.clone().count(), ENDED);
            let wanted = &pids[CHILDREN - ENDED..];
            expect!(ended.clone().map(|process| process.pid).eq(wanted.iter().copied()));
            for (i, process) in ended.enumerate() {
                let wrote = (CHILDREN - ENDED + i) as isize;
                expect!(
                    (wrote..wrote + 8).contains(&process.faults),
                    "{process:?} wrote {wrote}"
                );
                expect_eq!(process.parent.0, subject.pid());
            }
            // The image has the sum over all processes, including those no longer listed.
            let wrote: usize = (0..CHILDREN).sum();
            let image = view.images().next().expect("an image");
            expect!(image.faults >= wrote as isize);
            let vma = image.vmas().find(|vma| vma.range.0 == area.start());
            expect_eq!(vma.unwrap().faults, wrote as isize);
        });
        subject.end();
        let ended = view(|view| view.processes("subject").filter(|process| !process.live).count());
        expect_eq!(ended, ENDED);
        expect_eq!(view(|view| view.processes("subject").count()), ENDED);
        calls::pf_cleanup().unwrap();
        cow::set(NAME).unwrap();
        expect_eq!(view(|view| view.processes("subject").count()), 0);
    }

    /// The ages of processes.
    fn times() {
        const MS: u64 = 1_000_000;
        let pid = Shared::new();
        let start = sys::now();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            let child = Subject::fork(|stops| stops.stop());
            pid.set(child.pid());
            stops.stop();
            sys::sleep_ms(200);
            child.end();
            stops.stop();
        });
        let took = sys::now() - start;
        let young = line(subject.pid()).ns;
        sys::sleep_ms(100);
        let now = sys::now();
        let older = line(subject.pid()).ns;
        expect!(young >= 1 && older >= young + 100 * MS, "{young}, {older}");
        expect!((now - start - took..=sys::now() - start).contains(&older), "{older}");

        let before = sys::now();
        subject.step();
        let age = line(pid.get()).ns;
        expect!(age <= sys::now() - before, "{age}");
        subject.step();
        let last = line(pid.get());
        expect!(last.ns >= 200 * MS && last.ns <= sys::now() - before, "{last:?}");
        expect!(!last.live && last.ns > age);
        sys::sleep_ms(50);
        expect_eq!(line(pid.get()), last);
    }

    /// The users of processes, even of those that have ended.
    fn users() {
        let pid = Shared::new();
        let subject = Subject::start(c"nobody", |stops| {
            become_user(1000, &[]);
            sys::set_name(NAME).unwrap();
            let child = Subject::fork(|stops| stops.stop());
            pid.set(child.pid());
            stops.stop();
            drop(child);
        });
        let root = Subject::start(NAME, |stops| stops.stop());
        let (server, other) = (subject.pid(), root.pid());
        let pids = [(server, 1000), (pid.get(), 1000), (other, 0)];
        for (pid, uid) in pids {
            let live = line(pid);
            expect_eq!((live.uid, live.live), (uid, true));
        }
        subject.end();
        root.end();
        for (pid, uid) in pids {
            let ended = line(pid);
            expect_eq!((ended.uid, ended.live), (uid, false));
        }
    }

    /// Process ids in other namespaces do not matter here.
    fn namespaces() {
        let area = Area::written(8);
        let done: &'static Turnstile = mem::shared().unwrap();
        let init = Child::clone(sys::CLONE_NEWPID, || {
            sys::set_name(NAME).unwrap();
            expect_eq!(sys::getpid(), 1);
            let _child = Child::fork(|| {
                area.write(0..5);
                done.pass();
                sys::sleep_ms(100_000);
            });
            sys::sleep_ms(100_000);
        });
        let init = init.unwrap();
        done.wait_for(1);
        expect_eq!(line(init.pid).parent, (0, 0));
        let child = vcpu::child_of(init.pid).expect("a child");
        let child = line(child);
        expect_eq!(child.parent.0, init.pid);
        expect!(child.faults >= 5);
        drop(init);
    }

    /// A process has no parent here unless its parent was tracked when it forked.
    fn no_parent() {
        let area = Area::written(16);
        let pids = [Shared::new(), Shared::new()];
        calls::pf_cleanup().unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            let before = Subject::fork(|stops| stops.stop());
            pids[0].set(before.pid());
            stops.stop();
            area.write(0..5);
            stops.stop();
            drop(before);
        });
        cow::set(NAME).unwrap();
        subject.step();
        expect_eq!(line(pids[0].get()).parent, (0, 0));
        expect_eq!(line(subject.pid()).parent, (0, 0));
        drop(subject);

        // A process that has executed another program has none either.
        calls::pf_cleanup().unwrap();
        cow::set(TARGET).unwrap();
        let server = Subject::start(TARGET, |stops| {
            let target = Target::start(&[c"4"]);
            pids[1].set(target.pid());
            area.write(0..5);
            stops.stop();
            drop(target);
        });
        view(|view| {
            let pid = pids[1].get();
            let lines = Cell::new(0);
            for process in view.processes("cow_target").filter(|process| process.pid == pid) {
                lines.set(lines.get() + 1);
                if process.live {
                    expect_eq!((process.parent, process.faults), ((0, 0), 4));
                } else {
                    // It had a parent before its exec.
                    expect_eq!(process.parent.0, server.pid());
                }
            }
            expect_eq!(lines.get(), 2);
            expect_eq!(view.images().count(), 2);
        });
    }

    /// The grandchild does the work, as with daemons.
    fn grandchild() {
        let area = Area::written(16);
        let pids = [Shared::new(), Shared::new()];
        let server = Subject::start(NAME, |stops| {
            let middle = Child::fork(|| {
                let child = Subject::fork(|stops| {
                    area.write(0..9);
                    stops.stop();
                });
                pids[1].set(child.pid());
                core::mem::forget(child);
            });
            let middle = middle.unwrap();
            pids[0].set(middle.pid);
            expect_eq!(middle.wait(), Ok(Status::Exited(0)));
            area.write(10..16);
            stops.stop();
        });
        let [middle, child] = pids.map(|pid| line(pid.get()));
        expect_eq!(middle.parent.0, server.pid());
        expect_eq!(child.parent.0, middle.pid);
        expect!(!middle.live && child.live);
        expect!(child.faults >= 9);
        // The six faults of the server are not its parent's.
        expect!(child.parent.1 < 6, "{child:?}");
    }

    /// Faults of threads count for their process, whichever thread forks.
    fn threads() {
        let area = Area::written(64);
        let pid = Shared::new();
        let mut subject = Subject::start(NAME, |stops| {
            let forks = Thread::spawn(move || {
                let child = Subject::fork(|stops| {
                    stops.stop();
                    drop([1, 2].map(|i| Thread::spawn(move || area.write(i * 10..i * 10 + 10))));
                    stops.stop();
                });
                pid.set(child.pid());
                // The child must outlive the thread.
                core::mem::forget(child);
            });
            forks.unwrap().join();
            stops.stop();
            drop([0, 1, 2].map(|i| Thread::spawn(move || area.write(i * 10..i * 10 + 10))));
            stops.stop();
        });
        let before = line(pid.get());
        expect_eq!(before.parent.0, subject.pid());
        subject.step();
        let after = line(pid.get());
        expect_eq!(after.faults, before.faults);
        let more = after.parent.1 - before.parent.1;
        expect!((30..36).contains(&more), "{more}");
        expect_eq!(view(|view| view.processes("subject").count()), 2);
    }
}
