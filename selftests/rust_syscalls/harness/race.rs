// SPDX-License-Identifier: GPL-2.0

//! Tests that repeat the same steps for a given time.

use crate::diag;
use crate::sys;
use crate::test;
use crate::test::Test;
use crate::Args;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

static SECONDS: AtomicU32 = AtomicU32::new(0);

/// Runs tests like [`test::run`]. An environment variable sets how many seconds each [`rounds`]
/// lasts.
pub fn run<const N: usize>(
    variable: &str,
    setup: fn(),
    tests: [(&'static str, fn()); N],
    args: Args,
) -> i32 {
    if let Some(seconds) = args.env(variable).and_then(|value| value.parse().ok()) {
        SECONDS.store(seconds, Ordering::Relaxed);
    }
    let timeout = SECONDS.load(Ordering::Relaxed) + 300;
    let tests = tests.map(|(name, run)| Test { name, timeout, run });
    test::run(setup, &tests, args)
}

/// Runs `round` with its number, at least so many times and until the time is up. Prints the count.
pub fn rounds(at_least: u32, mut round: impl FnMut(u32)) {
    let start = sys::now();
    let end = start + u64::from(SECONDS.load(Ordering::Relaxed)) * 1_000_000_000;
    let mut count = 0;
    while count < at_least || sys::now() < end {
        round(count);
        count += 1;
    }
    let time = (sys::now() - start) / 1_000_000;
    diag!("{count} rounds in {time} ms");
}

/// Delays by a different time in each round, so that what follows happens at varying points.
pub fn delay(round: u32) {
    let steps = round.wrapping_mul(2_654_435_761) >> 16;
    for step in 0..steps {
        // Not `spin_loop()`: an emulated CPU yields to others at each one.
        core::hint::black_box(step);
    }
}
