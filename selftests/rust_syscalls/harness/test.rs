// SPDX-License-Identifier: GPL-2.0

//! Runs tests, checks expectations, and prints KTAP.

use crate::diag;
use crate::io::Text;
use crate::mem::Mapping;
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

/// The default timeout of a test in seconds: enough for an emulated machine.
pub const TIMEOUT: u32 = 60;

// Exit statuses, as in kselftest.h.
const KSFT_PASS: i32 = 0;
const KSFT_FAIL: i32 = 1;
const KSFT_SKIP: i32 = 4;

/// A test, as declared by [`tests!`].
pub struct Test {
    /// The name.
    pub name: &'static str,
    /// The timeout in seconds.
    pub timeout: u32,
    /// The code.
    pub run: fn(),
}

/// How a test ended.
#[derive(Clone, Copy)]
enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// The reason for the skip is being written.
const SKIP_TAKEN: u32 = 1;
/// The reason for the skip is complete.
const SKIP_DONE: u32 = 2;

/// Returns the timeout in a test's parentheses, or the default.
#[doc(hidden)]
pub const fn seconds(asked: &[u32]) -> u32 {
    match asked {
        [] => TIMEOUT,
        [seconds, ..] => *seconds,
    }
}

/// What the processes of a test report to the runner.
struct Report {
    failures: AtomicU32,
    skipped: AtomicU32,
    reason: UnsafeCell<Text>,
}

// SAFETY: Only the one that changes `skipped` from 0 to `SKIP_TAKEN` writes the reason, and nobody
// reads it before `SKIP_DONE`.
unsafe impl Sync for Report {}

static REPORT: AtomicPtr<Report> = AtomicPtr::new(ptr::null_mut());

fn report() -> Option<&'static Report> {
    // SAFETY: This is null, or what `run_one` has mapped, and unmaps only after it has reset this.
    unsafe { REPORT.load(Ordering::Acquire).as_ref() }
}

/// Makes the test fail, and prints where and why. The test goes on.
#[track_caller]
pub fn fail(why: fmt::Arguments<'_>) {
    fail_at(Location::caller(), why);
}

/// Like [`fail`], for another place.
pub fn fail_at(place: &Location<'_>, why: fmt::Arguments<'_>) {
    diag!("{}:{}: {why}", place.file(), place.line());
    if let Some(report) = report() {
        report.failures.fetch_add(1, Ordering::AcqRel);
    }
}

/// Ends the test as skipped, see [`skip!`].
pub fn skip(reason: fmt::Arguments<'_>) -> ! {
    if let Some(report) = report() {
        let skipped = &report.skipped;
        if skipped
            .compare_exchange(0, SKIP_TAKEN, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            // SAFETY: `SKIP_TAKEN` makes us the only writer.
            let _ = unsafe { &mut *report.reason.get() }.write_fmt(reason);
            skipped.store(SKIP_DONE, Ordering::Release);
        }
    } else {
        println!("SKIP {reason}");
    }
    sys::exit_group(KSFT_SKIP)
}

/// Runs one test in its own process, for at most `timeout` seconds. Returns its outcome.
fn run_one(setup: fn(), test: &Test, timeout: u32) -> (Outcome, Text) {
    let mut reason = Text::new();
    let memory = Mapping::new(1, sys::MAP_SHARED).expect("memory for a report");
    // A test may run others.
    let outer = REPORT.swap(memory.start() as *mut Report, Ordering::AcqRel);
    // SAFETY: Zeros mean no failure, no skip and an empty text. `memory` is dropped at the end.
    let report = unsafe { &*(memory.start() as *const Report) };

    let child = Child::fork(|| {
        // A process group, so that everything the test leaves behind can be killed.
        let _ = sys::setpgid(0, 0);
        let _ = sys::alarm(timeout);
        setup();
        (test.run)();
    });
    let child = child.expect("fork");
    // The id of the group cannot be reused while the leader is a zombie.
    let status = child.wait_unreaped().expect("waitid");
    let group = -child.pid;
    let _ = sys::kill(group, sys::SIGKILL);
    let _ = child.wait();
    // The next test may look for processes. Reap those that were reparented to us.
    while sys::wait(group, 0).is_ok() {}

    let failures = report.failures.load(Ordering::Acquire);
    let skipped = report.skipped.load(Ordering::Acquire) == SKIP_DONE;
    let outcome = match status {
        Status::Killed(sys::SIGALRM) => {
            let _ = write!(reason, "timed out after {timeout} s");
            Outcome::Fail
        }
        Status::Killed(signal) => {
            let _ = write!(reason, "killed by signal {signal}");
            Outcome::Fail
        }
        _ if failures > 0 => Outcome::Fail,
        _ if skipped => {
            // SAFETY: The reason is complete, and nobody writes to it any more.
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
    REPORT.store(outer, Ordering::Release);
    (outcome, reason)
}

/// Returns whether an expectation has failed, in any process of the test.
pub fn has_failed() -> bool {
    report().is_some_and(|report| report.failures.load(Ordering::Acquire) > 0)
}

/// Runs one test, and prints only why it failed. Returns whether it passed.
pub fn passes(test: &Test) -> bool {
    let (outcome, reason) = run_one(|| {}, test, test.timeout);
    if !reason.as_str().is_empty() {
        diag!("{}: {}", test.name, reason.as_str());
    }
    matches!(outcome, Outcome::Pass)
}

/// Runs the tests in `names`, or all tests if it is empty. Runs each in its own process after
/// `setup`, and prints KTAP. Returns the exit status of the program.
pub fn run(setup: fn(), tests: &[Test], names: Args) -> i32 {
    let wanted = |test: &Test| names.is_empty() || names.iter().any(|name| name == test.name);
    let factor = names
        .env("TIMEOUT_FACTOR")
        .and_then(|value| value.parse().ok())
        .unwrap_or(1);
    let mut count = [0; 3];
    sys::prctl(sys::PR_SET_CHILD_SUBREAPER, 1).expect("prctl");

    println!("TAP version 13");
    println!("1..{}", tests.iter().filter(|test| wanted(test)).count());
    for (i, test) in tests.iter().filter(|test| wanted(test)).enumerate() {
        let (outcome, reason) = run_one(setup, test, test.timeout.saturating_mul(factor));
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

/// Expects a condition to hold. If not, the test fails but goes on.
///
/// The remaining arguments are formatted and printed in this case.
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

/// Expects two values to be equal. If not, the test fails but goes on.
///
/// The remaining arguments are formatted and printed in this case.
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

/// Prints a diagnostic line, which KTAP parsers treat as a comment.
#[macro_export]
macro_rules! diag {
    ($($arg:tt)*) => {
        $crate::io::print_line("# ", ::core::format_args!($($arg)*))
    };
}

/// Ends the test as skipped, with the reason: `skip!("no tracefs: {err:?}")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {
        $crate::test::skip(::core::format_args!($($reason)+))
    };
}

/// Declares the tests of a program, see the [crate's documentation](crate).
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
