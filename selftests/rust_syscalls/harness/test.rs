// SPDX-License-Identifier: GPL-2.0

//! Tests: running them, expectations, KTAP.

use crate::diag;
use crate::io::Text;
use crate::mem;
use crate::mem::Shareable;
use crate::println;
use crate::sys;
use crate::sys::Status;
use crate::task::Child;
use crate::Args;
use core::cell::UnsafeCell;
use core::fmt;
use core::fmt::Write;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

/// Seconds that a test may take unless it asks for more: enough for an emulated machine.
pub const TIMEOUT: u32 = 60;

// Exit statuses, as in kselftest.h.
const KSFT_PASS: i32 = 0;
const KSFT_FAIL: i32 = 1;
const KSFT_SKIP: i32 = 4;

/// A test, as [`tests!`] declares it.
pub struct Test {
    /// Its name.
    pub name: &'static str,
    /// Seconds that it may take.
    pub timeout: u32,
    /// What it does.
    pub run: fn(),
}

/// How a test ended.
#[derive(Clone, Copy)]
enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// The reason for a skip is being written.
const SKIP_TAKEN: u32 = 1;
/// The reason for a skip is there.
const SKIP_DONE: u32 = 2;

/// What [`tests!`] was told in a test's parentheses, or the default.
#[doc(hidden)]
pub const fn seconds(asked: &[u32]) -> u32 {
    match asked {
        [] => TIMEOUT,
        [seconds, ..] => *seconds,
    }
}

/// What the processes of a test tell the runner.
struct Report {
    failures: AtomicU32,
    skipped: AtomicU32,
    reason: UnsafeCell<Text>,
}

// SAFETY: Only who takes `skipped` from 0 to `SKIP_TAKEN` writes the reason, and nobody reads it
// before `SKIP_DONE`.
unsafe impl Sync for Report {}

// SAFETY: Zeroes are no failure, no skip and an empty text.
unsafe impl Shareable for Report {}

static REPORT: AtomicPtr<Report> = AtomicPtr::new(ptr::null_mut());

fn report() -> Option<&'static Report> {
    // SAFETY: Null, or what `mem::shared` returned in `run_one`, which lives for ever.
    unsafe { REPORT.load(Ordering::Acquire).as_ref() }
}

/// Makes the test fail, with a line that says where and why; the test goes on.
#[track_caller]
pub fn fail(why: fmt::Arguments<'_>) {
    fail_at(Location::caller(), why);
}

/// As [`fail`], for a place elsewhere.
pub fn fail_at(place: &Location<'_>, why: fmt::Arguments<'_>) {
    diag!("{}:{}: {why}", place.file(), place.line());
    if let Some(report) = report() {
        report.failures.fetch_add(1, Ordering::AcqRel);
    }
}

/// Ends the test as skipped; see [`skip!`].
pub fn skip(reason: fmt::Arguments<'_>) -> ! {
    if let Some(report) = report() {
        let skipped = &report.skipped;
        if skipped
            .compare_exchange(0, SKIP_TAKEN, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            // SAFETY: Taken by us alone.
            let _ = unsafe { &mut *report.reason.get() }.write_fmt(reason);
            skipped.store(SKIP_DONE, Ordering::Release);
        }
    } else {
        println!("SKIP {reason}");
    }
    sys::exit_group(KSFT_SKIP)
}

/// Runs one test in a process of its own; how it ended.
fn run_one(setup: fn(), test: &Test) -> (Outcome, Text) {
    let mut reason = Text::new();
    let report = mem::shared::<Report>().expect("memory for a report");
    REPORT.store(ptr::from_ref(report).cast_mut(), Ordering::Release);

    let child = Child::fork(|| {
        // A group, so that all that the test leaves behind can be killed.
        let _ = sys::setpgid(0, 0);
        let _ = sys::alarm(test.timeout);
        setup();
        (test.run)();
    });
    let child = child.expect("fork");
    // While the leader is a zombie nobody else can get the group's number.
    let status = child.wait_unreaped().expect("waitid");
    let group = -child.pid;
    let _ = sys::kill(group, sys::SIGKILL);
    let _ = child.wait();
    // The next test may look for processes. These were given to us when their parents ended.
    while sys::wait(group, 0).is_ok() {}

    let failures = report.failures.load(Ordering::Acquire);
    let skipped = report.skipped.load(Ordering::Acquire) == SKIP_DONE;
    let outcome = match status {
        Status::Killed(sys::SIGALRM) => {
            let _ = write!(reason, "timed out after {} s", test.timeout);
            Outcome::Fail
        }
        Status::Killed(signal) => {
            let _ = write!(reason, "killed by signal {signal}");
            Outcome::Fail
        }
        _ if failures > 0 => Outcome::Fail,
        _ if skipped => {
            // SAFETY: Complete, and nobody writes to it again.
            let _ = reason.write_str(unsafe { &*report.reason.get() }.as_str());
            Outcome::Skip
        }
        Status::Exited(0) => Outcome::Pass,
        Status::Exited(status) => {
            let _ = write!(reason, "ended with status {status}");
            Outcome::Fail
        }
        Status::Stopped | Status::Running => unreachable!("nobody asked for such processes"),
    };
    (outcome, reason)
}

/// Runs the tests that `names` names, or all, each in a process of its own after `setup`, and
/// prints KTAP. Returns the exit status of the program.
pub fn run(setup: fn(), tests: &[Test], names: Args) -> i32 {
    let wanted = |test: &Test| names.is_empty() || names.iter().any(|name| name == test.name);
    let mut count = [0; 3];
    sys::prctl(sys::PR_SET_CHILD_SUBREAPER, 1).expect("prctl");

    println!("TAP version 13");
    println!("1..{}", tests.iter().filter(|test| wanted(test)).count());
    for (i, test) in tests.iter().filter(|test| wanted(test)).enumerate() {
        let (outcome, reason) = run_one(setup, test);
        let (number, name, reason) = (i + 1, test.name, reason.as_str());
        match outcome {
            Outcome::Pass => println!("ok {number} {name}"),
            Outcome::Skip => println!("ok {number} {name} # SKIP {reason}"),
            Outcome::Fail if reason.is_empty() => println!("not ok {number} {name}"),
            Outcome::Fail => println!("not ok {number} {name} # {reason}"),
        }
        count[outcome as usize] += 1;
    }

    let [pass, fail, skip] = count;
    println!("# Totals: pass:{pass} fail:{fail} xfail:0 xpass:0 skip:{skip} error:0");
    match (pass, fail, skip) {
        (1.., 0, _) => KSFT_PASS,
        (0, 0, 1..) => KSFT_SKIP,
        _ => KSFT_FAIL,
    }
}

/// Expects a condition: the test fails, and goes on, when it does not hold.
///
/// What follows the condition is formatted and printed then.
#[macro_export]
macro_rules! expect {
    ($cond:expr $(, $($why:tt)*)?) => {
        if !$cond {
            $crate::test::fail(::core::format_args!(
                "{} does not hold{}",
                ::core::stringify!($cond),
                $crate::why!($($($why)*)?),
            ));
        }
    };
}

/// Expects two values to be equal: the test fails, and goes on, when they are not.
///
/// What follows the values is formatted and printed then.
#[macro_export]
macro_rules! expect_eq {
    ($got:expr, $want:expr $(, $($why:tt)*)?) => {
        match (&$got, &$want) {
            (got, want) => {
                if *got != *want {
                    $crate::test::fail(::core::format_args!(
                        "{}: {got:?}, expected {want:?}{}",
                        ::core::stringify!($got),
                        $crate::why!($($($why)*)?),
                    ));
                }
            }
        }
    };
}

/// ": " and the reason, or nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! why {
    () => {
        ""
    };
    ($($why:tt)+) => {
        ::core::format_args!(": {}", ::core::format_args!($($why)+))
    };
}

/// Ends the test as skipped, with the reason: `skip!("no tracefs: {err:?}")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {
        $crate::test::skip(::core::format_args!($($reason)+))
    };
}

/// Declares the tests of a program; see the [crate's documentation](crate).
#[macro_export]
macro_rules! tests {
    (
        $(setup $setup:block)?
        $(
            $(#[doc = $doc:literal])*
            $(#[cfg($($cfg:tt)*)])?
            fn $name:ident($(timeout: $timeout:literal)?) $body:block
        )*
    ) => {
        $(
            $(#[doc = $doc])*
            $(#[cfg($($cfg)*)])?
            fn $name() $body
        )*

        $crate::program!(|args: $crate::Args| $crate::test::run(
            || { $($setup)? },
            &[$($(#[cfg($($cfg)*)])? $crate::test::Test {
                name: ::core::stringify!($name),
                timeout: $crate::test::seconds(&[$($timeout)?]),
                run: $name,
            }),*],
            args,
        ));
    };
}
