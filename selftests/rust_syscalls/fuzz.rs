// SPDX-License-Identifier: GPL-2.0

//! Compares the system calls with a model of them.
//!
//! A sequence is 200 random steps: calls with random arguments, and whatever else tasks do to their
//! memory, names, users and lives. A driver lets tasks do one step after the other, and compares
//! each result, and what is reported about all tasks, with the model, which follows the
//! documentation. If a sequence fails, it is made as short as possible and printed. In between,
//! tasks do such things at any time, and only what always holds is checked.
//!
//! ```text
//! fuzz                 as a test: the same few sequences each time
//! fuzz SECONDS SEED    sequences that the seed chooses, until the time is over
//! fuzz STEP...         one sequence, as printed
//! ```
//!
//! The last line of the latter two is "N passed, N failed", where N counts calls.

#![no_std]
#![no_main]

#[path = "fuzzer/actor.rs"]
mod actor;
#[path = "fuzzer/calls.rs"]
mod calls;
#[path = "fuzzer/chaos.rs"]
mod chaos;
#[path = "fuzzer/check.rs"]
mod check;
#[path = "fuzzer/driver.rs"]
mod driver;
#[path = "fuzzer/memory.rs"]
mod memory;
#[path = "fuzzer/model.rs"]
mod model;
#[path = "fuzzer/pages.rs"]
mod pages;
#[path = "fuzzer/plan.rs"]
mod plan;
#[path = "fuzzer/step.rs"]
mod step;
#[path = "fuzzer/tracker.rs"]
mod tracker;

use core::ffi::CStr;
use harness::meminfo::kernel_memory;
use harness::meminfo::quarantine;
use harness::test::Test;
use harness::*;
use plan::Plan;
use step::Step;

/// How many sequences there are for each time that tasks do what they want.
const CHAOS: u64 = 4;
/// After this many failed sequences, it is no use to go on.
const FAILURES_MAX: usize = 3;

/// By how many kilobytes the kernel's memory may grow: caches always grow a little.
const GROWTH_MAX: usize = 4096;

/// A folder where this program has all the names that tasks execute it by.
pub const DIR: &str = "/tmp/fuzz";

const TESTS: &[Test] = &[Test {
    name: "model",
    timeout: 1200,
    run: || expect_eq!(run(1, |sequences| sequences < 2 * CHAOS).1, 0),
}];

/// Prepares the system: names for the program, no one but us who changes memory, and no long log.
fn prepare() {
    #[cfg(target_arch = "x86_64")]
    const SYMLINK: usize = 88;
    #[cfg(target_arch = "x86")]
    const SYMLINK: usize = 83;
    const PROGRAM: &CStr = c"/proc/thread-self/exe";

    cow::reset();
    sys::prctl(sys::PR_SET_CHILD_SUBREAPER, 1).expect("prctl");
    let dir = text!("{DIR}");
    let _ = sys::mkdir(dir.as_cstr());
    sys::chmod(dir.as_cstr(), 0o755).expect("chmod");
    for index in 0..check::NAMES.len() {
        let path = check::path(index as u8);
        let _ = sys::unlink(path.as_cstr());
        // SAFETY: The kernel only reads these strings.
        let made = unsafe { syscall!(SYMLINK, sys::addr(PROGRAM), sys::addr(path.as_cstr())) };
        sys::check(made).expect("symlink");
    }

    // Without this capability, even after an exec, we can log only so much.
    sys::prctl(sys::PR_CAPBSET_DROP, sys::CAP_SYSLOG as usize).expect("prctl");
    let mut caps = sys::capget().expect("capget");
    caps.effective &= !(1 << sys::CAP_SYSLOG);
    caps.permitted &= !(1 << sys::CAP_SYSLOG);
    sys::capset(caps).expect("capset");

    for (file, value) in [
        (
            "transparent_hugepage/khugepaged/scan_sleep_millisecs",
            "1000000000",
        ),
        ("ksm/sleep_millisecs", "0"),
        ("ksm/pages_to_scan", "1000"),
        ("ksm/run", "0"),
    ] {
        // The kernel may not have it.
        let path = text!("/sys/kernel/mm/{file}");
        let _ = io::write_file(path.as_cstr(), value.as_bytes());
    }
}

/// Runs sequences from this seed on, as long as `more` says for the number of those before.
/// Returns the numbers of calls that passed, and of failures.
fn run(seed: u64, more: impl Fn(u64) -> bool) -> (usize, usize) {
    let plan = Plan::shared();
    let start = sys::now();
    let mut memory = 0;
    let (mut sequences, mut steps, mut calls, mut chaos, mut failed) = (0, 0, 0, 0, 0);
    while more(sequences) && failed < FAILURES_MAX {
        let seed = seed.wrapping_add(sequences);
        sequences += 1;
        let passed = plan.generate(seed);
        steps += plan.steps().len();
        calls += plan.calls();
        if !passed {
            failed += 1;
            diag!("seed {seed} fails after {} calls", calls + chaos);
            plan.report();
        }
        if sequences % CHAOS == 0 {
            if !plan.chaos(seed) {
                failed += 1;
                diag!("seed {seed}: tasks that do what they want have failed");
            }
            chaos += plan.calls();
            if memory == 0 {
                memory = kernel_memory();
            }
        }
    }
    let ms = (sys::now() - start) / 1_000_000;
    if memory > 0 {
        // Memory freed by RCU comes later.
        sys::sleep_ms(500);
        let after = kernel_memory();
        diag!("the kernel's memory: {memory} kB after the first, {after} kB in the end");
        failed += usize::from(after > memory + GROWTH_MAX + quarantine());
    }
    diag!("{sequences} sequences from seed {seed} on, of {steps} steps, in {ms} ms");
    diag!("{calls} calls in them, {chaos} calls in between");
    (calls + chaos - failed, failed)
}

fn replay<'a>(steps: impl Iterator<Item = &'a str>) -> Option<(usize, usize)> {
    let plan = Plan::shared();
    for step in steps {
        plan.push(Step::parse(step)?);
    }
    let failed = usize::from(!plan.replay());
    Some((plan.calls().max(failed) - failed, failed))
}

fn main(args: Args) -> i32 {
    let word = |n| args.iter().nth(n).unwrap_or("");
    let number = |n| word(n).parse::<u64>();
    match (word(0), number(0), number(1)) {
        ("", ..) => return test::run(prepare, TESTS, args),
        ("actor", ..) => actor::resume(word(1).parse().expect("a slot")),
        ("nothing", ..) => return 0,
        _ => prepare(),
    }
    let result = match (number(0), number(1)) {
        (Ok(seconds), Ok(seed)) => {
            let end = sys::now() + seconds * 1_000_000_000;
            Some(run(seed, |_| sys::now() < end))
        }
        _ => replay(args.iter()),
    };
    let Some((passed, failed)) = result else {
        println!("usage: fuzz [SECONDS SEED | STEP...]");
        return 2;
    };
    println!("{passed} passed, {failed} failed");
    i32::from(failed > 0)
}

program!(main);
