// SPDX-License-Identifier: GPL-2.0

//! Tests of whose copy-on-write faults are counted: which processes have a name, and which of these
//! a report is about.

#![no_std]
#![no_main]

use core::ffi::CStr;
use harness::cow;
use harness::cow::Area;
use harness::cow::Stat;
use harness::cow::Stops;
use harness::cow::Subject;
use harness::cow::Target;
use harness::cow::View;
use harness::cow::TARGET;
use harness::cow::TARGET_AREA;
use harness::sys::EINVAL;
use harness::vcpu::eventually;
use harness::*;

const NAME: &CStr = c"subject";
const OTHER: &CStr = c"other";

/// Returns the report on a name.
#[track_caller]
fn report(name: &CStr) -> Stat {
    cow::get(name).expect("a report")
}

/// Returns the faults of `NAME` in an area.
#[track_caller]
fn faults(area: &Area) -> isize {
    report(NAME).faults(area)
}

/// Sets the name of the calling process or thread.
fn take(name: &CStr) {
    sys::set_name(name).expect("a name");
}

/// Sets the name of a thread of this process.
fn write_comm(tid: i32, name: &CStr) {
    let path = text!("/proc/self/task/{tid}/comm");
    io::write_file(path.as_cstr(), name.to_bytes()).expect("comm");
}

/// Forks a process that does `work`, and waits for its end.
fn forked(work: impl FnOnce()) {
    expect_eq!(Child::fork(work).unwrap().wait(), Ok(Status::Exited(0)));
}

/// A process that writes to more and more pages of `area`, and stops after each step.
struct Writer {
    stops: &'static Stops,
    area: Area,
    next: usize,
}

impl Writer {
    fn write(&mut self, pages: usize) {
        self.area.write(self.next..self.next + pages);
        self.next += pages;
        self.stops.stop();
    }
}

/// Starts a process that writes to pages of `area`. `work` determines when, and under which name.
fn writer(area: Area, work: impl FnOnce(&mut Writer)) -> Subject {
    Subject::fork(|stops| {
        work(&mut Writer {
            stops,
            area,
            next: 0,
        })
    })
}

tests! {
    setup {
        cow::reset();
    }

    /// The process has its name before it is tracked: earlier faults do not count.
    fn named_before() {
        let area = Area::written(64);
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            writer.write(7);
        });
        cow::set(NAME).unwrap();
        expect_eq!(faults(&area), 0);
        report(NAME).expect_maps(subject.pid());
        subject.step();
        expect_eq!(faults(&area), 7);
    }

    /// The name is tracked before a process takes it.
    fn named_by_prctl() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            writer.write(10);
            take(NAME);
            writer.write(7);
        });
        expect_eq!(report(NAME).len(), 0);
        expect_eq!(report(NAME).total(), 0);
        subject.step();
        expect_eq!(faults(&area), 7);
        report(NAME).expect_maps(subject.pid());
    }

    /// `/proc/<pid>/task/<tid>/comm` also sets the name of a process, through any of its threads.
    fn named_by_comm() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            writer.write(10);
            write_comm(sys::gettid(), NAME);
            writer.write(7);
            let leader = sys::gettid();
            Thread::spawn(move || write_comm(leader, OTHER))
                .unwrap()
                .join();
            writer.write(5);
            Thread::spawn(move || write_comm(leader, NAME))
                .unwrap()
                .join();
            writer.write(3);
        });
        expect_eq!(report(NAME).total(), 0);
        subject.step();
        expect_eq!(faults(&area), 7);
        let total = report(NAME).total();
        subject.step();
        // A process that has lost the name leaves its counts behind.
        expect!(report(NAME).total() >= total);
        expect!(report(NAME).total() < total + 5);
        subject.step();
        expect_eq!(faults(&area), 3);
    }

    fn named_by_exec() {
        cow::set(TARGET).unwrap();
        let target = Target::start(&[c"13"]);
        let stat = report(TARGET);
        stat.expect_maps(target.pid());
        expect_eq!(stat.faults(&TARGET_AREA), 13);
        expect_eq!(stat.total(), stat.sum());
    }

    /// A program that is already running.
    fn execed_before() {
        let target = Target::start(&[c"13"]);
        cow::set(TARGET).unwrap();
        let stat = report(TARGET);
        stat.expect_maps(target.pid());
        expect_eq!((stat.faults(&TARGET_AREA), stat.total()), (0, 0));
    }

    /// A new program is a new image.
    fn exec_of_the_same_name() {
        cow::set(TARGET).unwrap();
        let target = Target::start(&[c"13", c"5"]);
        expect_eq!(report(TARGET).faults(&TARGET_AREA), 13);
        target.next();
        let stat = report(TARGET);
        stat.expect_maps(target.pid());
        expect_eq!(stat.faults(&TARGET_AREA), 5);
        expect_eq!(stat.total(), stat.sum());
    }

    /// What a process was before its exec is separate.
    fn exec_of_another_name() {
        let area = Area::written(16);
        cow::set(NAME).unwrap();
        let subject = Subject::start(NAME, |stops| {
            area.write(0..9);
            stops.stop();
            sys::execve(c"./wait", &[c"wait"]);
        });
        expect_eq!(faults(&area), 9);
        let list = report(NAME);
        subject.go();
        let pid = subject.pid();
        let execed = || {
            let mut buf = [0; 4096];
            let status = vcpu::status(pid, pid, &mut buf);
            // The process has the name before it is loaded.
            status.is_some_and(|status| io::field(status, "Name") == Some("wait"))
                && cow::asleep(pid)
        };
        expect!(eventually(execed), "no exec");
        // The last counts of the image.
        expect_eq!(faults(&area), 9);
        expect!(report(NAME)
            .vmas()
            .map(|vma| vma.range)
            .eq(list.vmas().map(|vma| vma.range)));
        cow::set(c"wait").unwrap();
        report(c"wait").expect_maps(pid);
        expect_eq!(report(c"wait").total(), 0);
    }

    /// A second call for the same name changes nothing.
    fn set_twice() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            writer.write(7);
        });
        for _ in 0..3 {
            cow::set(NAME).unwrap();
            expect_eq!(faults(&area), 10);
        }
        subject.step();
        expect_eq!(faults(&area), 17);
    }

    /// After `pf_cleanup()`, counting starts again, even for processes that live on.
    fn cleanup() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            writer.write(7);
            writer.write(5);
        });
        expect_eq!(faults(&area), 10);
        expect_eq!(calls::pf_cleanup(), Ok(0));
        expect_eq!(cow::get(NAME).err(), Some(sys::EACCES));
        subject.step();
        cow::set(NAME).unwrap();
        expect_eq!(faults(&area), 0);
        expect_eq!(report(NAME).total(), 0);
        subject.step();
        expect_eq!(faults(&area), 5);
    }

    /// Forked processes belong to the same image as long as they keep the name, and after their
    /// end.
    fn forked_children() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            forked(|| area.write(0..10));
            stops.stop();
            forked(|| forked(|| area.write(0..10)));
            stops.stop();
            area.write(0..1);
            stops.stop();
        });
        expect_eq!(faults(&area), 0);
        for count in [10, 20, 21] {
            subject.step();
            expect_eq!(faults(&area), count);
            report(NAME).expect_maps(subject.pid());
        }
    }

    /// A child counts until its name changes.
    fn forked_child_renamed() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            forked(|| {
                area.write(0..10);
                take(OTHER);
                area.write(10..30);
            });
            stops.stop();
        });
        subject.step();
        expect_eq!(faults(&area), 10);
    }

    /// A report lists the VMAs of the live process that started last.
    fn youngest_member() {
        let area = Area::written(16);
        let extra = Area::written(3);
        cow::set(NAME).unwrap();
        let parent = Subject::start(NAME, |stops| {
            let mut child = Subject::fork(|stops| {
                stops.stop();
                // SAFETY: Nobody uses it.
                unsafe { sys::munmap(extra.start(), extra.len()) }.unwrap();
                area.write(0..5);
                stops.stop();
            });
            child.step();
            expect_eq!(report(NAME).vma(extra.start()), None);
            report(NAME).expect_maps(child.pid());
            expect_eq!(faults(&area), 5);
            child.end();
            stops.stop();
        });
        expect_eq!(faults(&area), 5);
        report(NAME).expect_maps(parent.pid());
        parent.end();
    }

    /// When all processes are gone, the report keeps its final contents.
    fn process_gone() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let subject = Subject::start(NAME, |stops| {
            area.write(0..40);
            stops.stop();
        });
        let last = report(NAME);
        last.expect_maps(subject.pid());
        subject.end();
        for _ in 0..2 {
            let stat = report(NAME);
            expect_eq!(stat.faults(&area), 40);
            expect!(stat.total() >= last.total());
            expect!(stat
                .vmas()
                .map(|vma| vma.range)
                .eq(last.vmas().map(|vma| vma.range)));
        }
        // Even when the process is killed.
        let subject = Subject::start(NAME, |stops| {
            area.write(0..30);
            stops.stop();
        });
        expect_eq!(faults(&area), 30);
        drop(subject);
        expect_eq!(faults(&area), 30);
    }

    /// Two programs with the same name: a report is about the one whose live process started last,
    /// or else about the one that ended last.
    fn two_images() {
        let counted = || report(TARGET).faults(&TARGET_AREA);
        cow::set(TARGET).unwrap();
        let first = Target::start(&[c"10", c"12"]);
        expect_eq!(counted(), 10);
        let second = Target::start(&[c"20"]);
        expect_eq!(counted(), 20);
        report(TARGET).expect_maps(second.pid());
        // The first one becomes a third image. This does not make its process the youngest.
        first.next();
        expect_eq!(counted(), 20);
        report(TARGET).expect_maps(second.pid());

        // /proc/cow_track has both live images and the one that has ended.
        let mut buf = [0; 32768];
        let mut images = cow::images(&mut buf);
        let mut ids = [0; 3];
        for (id, (pid, count)) in ids
            .iter_mut()
            .zip([(second.pid(), 20), (first.pid(), 12), (0, 10)])
        {
            let image = images.next().expect("an image");
            let live = u32::from(pid != 0);
            expect_eq!(
                (image.name, image.pid, image.live),
                ("cow_target", pid, live)
            );
            let vma = image
                .vmas()
                .find(|vma| vma.range.0 == TARGET_AREA.start())
                .unwrap();
            expect_eq!(vma.faults, count);
            *id = image.id;
        }
        expect_eq!(images.next(), None);
        expect!(ids[2] < ids[0] && ids[0] < ids[1], "{ids:?}");

        second.end();
        expect_eq!(counted(), 12);
        first.end();
        expect_eq!(counted(), 12);
        // Of the images that have ended, only the last one is kept.
        let mut buf = [0; 32768];
        let mut images = cow::images(&mut buf);
        expect_eq!(images.next().map(|image| image.id), Some(ids[1]));
        expect_eq!(images.next(), None);
    }

    /// Whatever happens to a name, only one ended image is kept, and image numbers are never
    /// reused.
    fn last_image_is_kept() {
        const ROUNDS: usize = 12;
        cow::set(TARGET).unwrap();
        let mut seen = [0; ROUNDS];
        for round in 0..ROUNDS {
            let target = Target::start(&[text!("{}", round + 1).as_cstr()]);
            let mut buf = [0; 32768];
            let live = cow::images(&mut buf).next().expect("an image");
            expect_eq!(live.live, 1);
            expect!(!seen.contains(&live.id), "{} in {seen:?}", live.id);
            seen[round] = live.id;
            match round % 2 {
                0 => target.end(),
                _ => drop(target),
            }
            let mut buf = [0; 32768];
            let view = View::read(&mut buf);
            expect_eq!(view.images().count(), 1);
            let ended = view.images().next().expect("an image");
            expect_eq!((ended.id, ended.live), (live.id, 0));
            expect_eq!(ended.faults, live.faults);
            expect_eq!(report(TARGET).faults(&TARGET_AREA), round as isize + 1);
            let (free, all) = view.blocks();
            expect_eq!(free, all);
        }
    }

    /// Workers that each take the name form one image: their names do not depend on each other, but
    /// they go back to the same exec.
    fn workers_that_rename_themselves() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let worker = |pages| {
            Subject::start(NAME, move |stops| {
                area.write(0..pages);
                stops.stop();
                area.write(pages..pages + 2);
                stops.stop();
            })
        };
        let mut workers = [worker(10), worker(10), worker(10)];
        expect_eq!(faults(&area), 30);
        report(NAME).expect_maps(workers[2].pid());
        let image = |live| {
            let mut buf = [0; 32768];
            let mut images = cow::images(&mut buf);
            let image = images.next().expect("an image");
            expect_eq!(image.live, live);
            expect_eq!(images.next(), None);
            image.id
        };
        let id = image(3);
        workers[0].step();
        expect_eq!(faults(&area), 32);
        let [first, second, mut third] = workers;
        third.step();
        third.end();
        expect_eq!(faults(&area), 34);
        report(NAME).expect_maps(second.pid());
        expect_eq!(image(2), id);
        // A process that takes the name while one of them lives also belongs to the image. A later
        // one does not.
        let fourth = worker(5);
        expect_eq!(faults(&area), 39);
        expect_eq!(image(3), id);
        for worker in [first, second, fourth] {
            drop(worker);
        }
        expect_eq!(faults(&area), 39);
        let fifth = worker(3);
        expect_eq!(faults(&area), 3);
        drop(fifth);
    }

    /// A process that gives up the name while another one keeps it, and takes it back, rejoins its
    /// image.
    fn away_and_back_to_others() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let keeper = Subject::start(NAME, |stops| {
            area.write(60..64);
            stops.stop();
        });
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            take(OTHER);
            writer.write(7);
            take(NAME);
            writer.write(5);
        });
        for count in [14, 14, 19] {
            expect_eq!(faults(&area), count);
            if count < 19 {
                subject.step();
            }
        }
        report(NAME).expect_maps(subject.pid());
        drop(keeper);
        expect_eq!(faults(&area), 19);
    }

    /// A process that gives up its name and takes it back starts again.
    fn away_and_back() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            take(OTHER);
            writer.write(7);
            take(NAME);
            writer.write(5);
        });
        let total = report(NAME).total();
        expect_eq!(faults(&area), 10);
        subject.step();
        // It may have a few stack faults between the report and the new name.
        expect!((total..total + 5).contains(&report(NAME).total()));
        subject.step();
        expect_eq!(faults(&area), 5);
        report(NAME).expect_maps(subject.pid());
    }

    /// From one tracked name to another.
    fn between_names() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        cow::set(OTHER).unwrap();
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            take(OTHER);
            writer.write(7);
        });
        expect_eq!(faults(&area), 10);
        subject.step();
        expect_eq!(report(OTHER).faults(&area), 7);
        report(OTHER).expect_maps(subject.pid());
    }

    /// Threads have their own names, which are not the name of the process.
    fn thread_names_do_not_matter() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        cow::set(OTHER).unwrap();
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            Thread::spawn(move || {
                take(OTHER);
                area.write(40..50);
                write_comm(sys::gettid(), c"third");
                area.write(50..60);
            })
            .unwrap()
            .join();
            writer.write(7);
        });
        subject.step();
        expect_eq!(faults(&area), 37);
        expect_eq!(report(OTHER).total(), 0);
        drop(subject);

        // A process is not tracked for the name of one of its threads, either.
        let _subject = writer(area, |writer| {
            take(c"third");
            Thread::spawn(|| take(OTHER)).unwrap().join();
            writer.write(7);
        });
        expect_eq!(report(OTHER).total(), 0);
    }

    /// A process whose leader has exited while other threads go on.
    fn leader_exits() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            area.write(0..5);
            core::mem::forget(Thread::spawn(move || {
                stops.stop();
                area.write(5..16);
                stops.stop();
                sys::exit_group(0);
            }));
            sys::exit(0);
        });
        expect_eq!(faults(&area), 5);
        // If the leader no longer has the memory of the process, the other thread does.
        let tids = io::ids(text!("/proc/{}/task", subject.pid()).as_cstr()).unwrap();
        let tid = tids.last().unwrap();
        report(NAME).expect_maps(tid);
        subject.step();
        expect_eq!(faults(&area), 16);
        report(NAME).expect_maps(tid);
        let last = report(NAME);
        // A process that is tracked only from now on.
        cow::reset();
        cow::set(NAME).unwrap();
        report(NAME).expect_maps(tid);
        expect_eq!(report(NAME).total(), 0);
        subject.end();
        expect!(report(NAME)
            .vmas()
            .map(|vma| vma.range)
            .eq(last.vmas().map(|vma| vma.range)));
    }

    /// A child that borrows its parent's memory and takes a name does not name the parent.
    fn vfork_child_takes_the_name() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            writer.write(10);
            let child = Child::share(sys::CLONE_VFORK, || take(NAME));
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
            writer.write(7);
        });
        subject.step();
        expect_eq!(report(NAME).total(), 0);
    }

    /// Nor does it rename the parent.
    fn vfork_child_leaves_the_name() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = writer(area, |writer| {
            take(NAME);
            writer.write(10);
            let child = Child::share(sys::CLONE_VFORK, move || {
                take(OTHER);
                // This is in the memory of its parent.
                area.write(40..43);
            });
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
            writer.write(7);
        });
        subject.step();
        expect_eq!(faults(&area), 20);
        report(NAME).expect_maps(subject.pid());
    }

    /// A program started by vfork and exec has its own memory.
    fn vfork_and_exec() {
        cow::set(TARGET).unwrap();
        let ([from, to], [input, _kept]) = (io::pipe().unwrap(), io::pipe().unwrap());
        let (input_fd, output_fd) = (input.fd, to.fd);
        let child = Child::share(sys::CLONE_VFORK, move || {
            sys::dup2(input_fd, 0).unwrap();
            sys::dup2(output_fd, 1).unwrap();
            sys::execve(c"./cow_target", &[TARGET, c"11"]);
        })
        .unwrap();
        expect_eq!(from.read_all(&mut [0]), Ok(&b"r"[..]));
        expect_eq!(report(TARGET).faults(&TARGET_AREA), 11);
        report(TARGET).expect_maps(child.pid);
    }

    /// Memory that lives on in another process after its own process has ended.
    fn memory_outlives_its_process() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            area.write(0..5);
            let child = Child::share(0, move || {
                stops.stop();
                area.write(5..16);
                stops.stop();
            });
            // The child must not be killed, and needs its stack.
            core::mem::forget(child);
        });
        expect_eq!(faults(&area), 5);
        subject.wait_unreaped();
        expect_eq!(faults(&area), 5);
        subject.step();
        expect_eq!(faults(&area), 16);
    }

    /// `/proc/cow_track` has all VMAs, and matches the report.
    fn unlimited_view() {
        let area = Area::written(300);
        cow::set(NAME).unwrap();
        cow::set(OTHER).unwrap();
        let subject = Subject::start(NAME, |stops| {
            for page in (1..300).step_by(2) {
                // SAFETY: Nobody writes to these pages.
                unsafe { sys::mprotect(area.page(page), sys::PAGE_SIZE, sys::PROT_READ) }.unwrap();
            }
            area.write((0..300).step_by(2));
            // SAFETY: Nobody uses the page any more.
            unsafe { sys::munmap(area.page(299), sys::PAGE_SIZE) }.unwrap();
            // SAFETY: As above.
            unsafe { sys::munmap(area.page(298), sys::PAGE_SIZE) }.unwrap();
            stops.stop();
        });
        let stat = report(NAME);
        let mut buf = Mapping::new(64, sys::MAP_PRIVATE).unwrap();
        let mut images = cow::images(buf.bytes());
        let image = images.next().expect("an image");
        expect_eq!(images.next(), None);
        expect_eq!(
            (image.name, image.pid, image.live),
            ("subject", subject.pid(), 1)
        );
        expect_eq!(
            (image.faults, image.mapped, image.unplaced),
            (stat.total(), stat.total() - 1, 0)
        );
        expect!(image.vmas().take(128).eq(stat.vmas()));
        let mut buf = Mapping::new(64, sys::MAP_PRIVATE).unwrap();
        let listed = maps::maps(subject.pid(), buf.bytes()).unwrap();
        expect!(listed
            .map(|vma| (vma.start, vma.end))
            .eq(image.vmas().map(|vma| vma.range)));
        expect_eq!(cow::get(c"third").err(), Some(EINVAL));
    }

    /// It shows in which blocks of large VMAs the faults were.
    fn parts_of_vmas() {
        const PER_BLOCK: usize = cow::BLOCK / sys::PAGE_SIZE;
        let area = Area::written(3 * PER_BLOCK);
        // The first page from which on another block counts.
        let next = (area.start().next_multiple_of(cow::BLOCK) - area.start()) / sys::PAGE_SIZE;
        let next = if next == 0 { PER_BLOCK } else { next };
        cow::set(NAME).unwrap();
        let subject = Subject::start(NAME, |stops| {
            area.write([0, next - 1, next + PER_BLOCK, next + PER_BLOCK + 1]);
            area.write([next + 2 * PER_BLOCK - 1]);
            stops.stop();
        });
        let mut buf = Mapping::new(64, sys::MAP_PRIVATE).unwrap();
        let image = cow::images(buf.bytes()).next().expect("an image");
        let of_area = image.parts().filter(|part| (area.start()..area.end()).contains(&part.0));
        let (first, third) = (area.start(), area.page(next + PER_BLOCK));
        let faults = if next == 1 { 1 } else { 2 };
        expect!(of_area.eq([(first, faults), (third, 3)]));
        subject.end();
    }

    /// `/proc/cow_track_totals` has the same lines, but for VMAs.
    fn totals() {
        let area = Area::written(300);
        cow::set(NAME).unwrap();
        cow::set(OTHER).unwrap();
        let subject = Subject::start(NAME, |stops| {
            area.write((0..area.len() / sys::PAGE_SIZE).step_by(100));
            forked(|| area.write(0..5));
            stops.stop();
        });
        let mut buf = Mapping::new(64, sys::MAP_PRIVATE).unwrap();
        let mut totals = Mapping::new(64, sys::MAP_PRIVATE).unwrap();
        let view = View::read(buf.bytes());
        let totals = io::read_file(c"/proc/cow_track_totals", totals.bytes()).unwrap();
        let totals = View::of(totals);
        expect_eq!(totals.images().flat_map(|image| image.vmas()).count(), 0);
        expect_eq!(totals.images().count(), 1);
        for (all, total) in view.images().zip(totals.images()) {
            let counts = |image: cow::Image<'_>| (image.id, image.pid, image.live, image.faults);
            expect_eq!(counts(all), counts(total));
            expect_eq!((total.mapped, total.unplaced), (0, all.unplaced));
        }
        expect_eq!(totals.processes("subject").count(), 2);
        for (all, total) in view.processes("subject").zip(totals.processes("subject")) {
            let same = |process: cow::Process| cow::Process { ns: 0, ..process };
            expect_eq!(same(all), same(total));
        }
        subject.end();
    }

    /// Names cannot forge lines in it.
    fn view_escapes() {
        cow::set(c"a\nimage 7").unwrap();
        let mut buf = [0; 4096];
        let view = View::read(&mut buf);
        let (free, all) = view.blocks();
        expect_eq!(
            view.text(),
            text!("version 1\nblocks {free} {all}\nname 0 a\\x0aimage 7\n").as_str()
        );
    }
}
