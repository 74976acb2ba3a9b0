// SPDX-License-Identifier: GPL-2.0

//! Tests that nothing fails because processes are tracked: each allocation of fork, rename, exit
//! and a page fault fails in turn, and each copy from and to user space. `pf_calls` does the same
//! to the calls.

#![no_std]
#![no_main]

use core::ffi::CStr;
use harness::cow::Area;
use harness::cow::Subject;
use harness::cow::View;
use harness::failslab::need_failslab;
use harness::failslab::with_failure;
use harness::failslab::with_failures;
use harness::sys::MAP_PRIVATE;
use harness::*;

const NAME: &CStr = c"subject";

/// Returns the number of free blocks of counters, and of all blocks.
fn blocks() -> (usize, usize) {
    View::read(&mut [0; 32768]).blocks()
}

/// Returns how many processes were missed, or `None` if the name is not tracked.
fn missed() -> Option<u64> {
    View::read(&mut [0; 32768]).missed("subject")
}

tests! {
    setup {
        cow::reset();
        need_failslab(true);
    }

    /// The text is complete, or the file is not opened.
    fn proc_file() {
        expect_eq!(cow::set(NAME), Ok(0));
        let subject = Subject::start(NAME, |stops| stops.stop());
        let mut opened = 0;
        with_failures(|| {
            if let Ok(file) = io::File::open(c"/proc/cow_track", sys::O_RDONLY) {
                let mut text = [0; 16384];
                if let Ok(bytes) = file.read_all(&mut text) {
                    let text = core::str::from_utf8(bytes).expect("text");
                    expect_eq!(View::of(text).images().count(), 1, "{text}");
                    opened += 1;
                }
            }
        });
        expect!(opened > 0);
        subject.end();
    }

    /// A fork fails no more often, and a child that cannot be tracked is missed.
    fn fork(timeout: 300) {
        let before = blocks();
        let errors = || {
            let mut errors = 0;
            // SAFETY: `CLONE_VM` is not set.
            with_failures(|| match unsafe { sys::clone(0) } {
                Ok(0) => sys::exit_group(0),
                // It is reaped later: this must be the only call.
                other => errors += u32::from(other.is_err()),
            });
            errors
        };
        // Caches make a difference of one or two.
        let untracked = [(); 4].map(|()| errors()).into_iter().max();
        expect_eq!(cow::set(NAME), Ok(0));
        sys::set_name(NAME).expect("a name");
        let tracked = [(); 4].map(|()| errors()).into_iter().min();
        diag!("errors: {untracked:?}, then {tracked:?}");
        expect!(tracked <= untracked);
        while sys::wait(-sys::getpid(), 0).is_ok() {}
        expect!(missed().is_some_and(|missed| missed > 0), "{:?}", missed());
        expect_eq!(calls::pf_cleanup(), Ok(0));
        expect_eq!(blocks(), before);
    }

    /// A rename never fails, except if the name cannot be copied.
    fn rename() {
        expect_eq!(cow::set(NAME), Ok(0));
        let mut copies = 0;
        for nth in 1.. {
            let hit = with_failure(nth, || match sys::set_name(NAME) {
                Err(sys::EFAULT) => copies += 1,
                got => expect_eq!(got, Ok(0)),
            });
            // The next one starts without the name again, and nothing fails then.
            expect_eq!(sys::set_name(c"other"), Ok(0));
            if !hit {
                break;
            }
        }
        expect!(copies <= 1, "{copies}");
        expect!(missed().is_some_and(|missed| missed > 0), "{:?}", missed());
    }

    /// A fault never fails, and is in the total.
    fn fault() {
        const COUNT: usize = 64;
        expect_eq!(cow::set(NAME), Ok(0));
        // Each in a block of its own.
        let areas = [(); COUNT].map(|()| {
            let area = Area::anonymous(600, MAP_PRIVATE);
            area.read([0]);
            area
        });
        sys::set_name(NAME).expect("a name");
        let total = || cow::get(NAME).expect("a report").total();
        let before = total();
        let mut written = 0;
        for (nth, area) in (1..).zip(&areas) {
            let hit = with_failure(nth, || area.write([0]));
            written += 1;
            if !hit {
                break;
            }
        }
        expect!(written > 1 && written < COUNT, "{written}");
        expect!(total() - before >= written as isize, "{} in total", total() - before);
    }

    /// The total of a process that ends is known, even if its VMAs are not.
    fn exit(timeout: 300) {
        let area = Area::written(8);
        expect_eq!(cow::set(NAME), Ok(0));
        for nth in 1..200 {
            let child = Child::fork(|| {
                sys::set_name(NAME).expect("a name");
                area.write(0..3);
                let fails = io::File::open(c"/proc/thread-self/fail-nth", sys::O_RDWR).unwrap();
                fails.write(text!("{nth}").as_bytes()).expect("fail-nth");
                sys::exit_group(0);
            });
            expect_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
            let stat = cow::get(NAME).expect("a report");
            expect!(stat.total() >= 3, "{} in total", stat.total());
            if let Some(vma) = stat.vma(area.start()) {
                expect_eq!(vma.faults, 3);
            }
        }
        let (free, all) = blocks();
        expect_eq!(free, all);
    }
}
