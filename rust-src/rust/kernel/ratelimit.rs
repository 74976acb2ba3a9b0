// SPDX-License-Identifier: GPL-2.0

//! A limit on what users can write to the kernel log.

use crate::{
    bindings,
    prelude::*,
    printk,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::{
        Instant,
        Monotonic,
        NSEC_PER_SEC, //
    }, //
};

/// How many bytes all users together may log at once.
const BURST: u64 = 16 << 10;
/// How many bytes per second they may log after that. With the default log size, this keeps older
/// lines for a minute.
const RATE: u64 = 2 << 10;

/// A number of bytes that can be spent at once, and is refilled over time.
struct Budget {
    /// When the budget will be full again, in nanoseconds of the monotonic clock.
    full_at: Atomic<u64>,
}

impl Budget {
    const fn new() -> Self {
        Self {
            full_at: Atomic::new(0),
        }
    }

    /// Spends `bytes`, if that many are available at the time `now`.
    fn spend(&self, now: u64, bytes: u64) -> bool {
        const TIME: u64 = NSEC_PER_SEC as u64 / RATE;

        if bytes > BURST {
            return false;
        }
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let new = full_at.max(now) + bytes * TIME;
            if new > now + BURST * TIME {
                return false;
            }
            match self.full_at.cmpxchg(full_at, new, Relaxed) {
                Ok(_) => return true,
                Err(other) => full_at = other,
            }
        }
    }
}

/// Returns whether the current task may log this many bytes now.
///
/// This is for system calls that log on behalf of any user. Call it once for all lines of a system
/// call, and log all of them or none. All system calls and all users share one limit: 16 KiB at
/// once, refilled at 2 KiB per second. The limit does not apply to tasks with `CAP_SYSLOG`, which
/// can clear the log anyway. The next successful call after refused ones also logs how many were
/// refused.
///
/// In contrast, C's `printk_ratelimited()` limits the number of lines at each call site, whatever
/// their length, so enough call sites can fill any log.
///
/// Must be called in process context. Does not sleep.
pub fn user_may_log(bytes: usize) -> bool {
    static BUDGET: Budget = Budget::new();
    static REFUSED: Atomic<u32> = Atomic::new(0);
    /// The maximum length of the line about refused calls.
    const NOTE: usize = 40;

    let task = current!().as_ptr();
    // SAFETY: The current task is valid.
    if unsafe { bindings::has_capability_noaudit(task, bindings::CAP_SYSLOG as c_int) } {
        return true;
    }
    let now = Instant::<Monotonic>::now().as_nanos() as u64;
    if !BUDGET.spend(now, bytes.saturating_add(NOTE) as u64) {
        REFUSED.add(1, Relaxed);
        return false;
    }
    let refused = match REFUSED.load(Relaxed) {
        0 => 0,
        _ => REFUSED.xchg(0, Relaxed),
    };
    if refused != 0 {
        printk!(Notice, "{refused} calls were not logged\n");
    }
    true
}

#[kunit_tests(rust_ratelimit)]
mod tests {
    use super::*;

    const SECOND: u64 = NSEC_PER_SEC as u64;
    const NOW: u64 = 1000 * SECOND;

    #[test]
    fn a_burst_is_all_there_is() {
        let budget = Budget::new();

        assert!(!budget.spend(NOW, BURST + 1));
        assert!(!budget.spend(NOW, u64::MAX));
        assert!(budget.spend(NOW, BURST - 1));
        assert!(!budget.spend(NOW, 2));
        assert!(budget.spend(NOW, 1));
        assert!(!budget.spend(NOW, 1));
    }

    #[test]
    fn what_is_spent_comes_back() {
        let budget = Budget::new();
        assert!(budget.spend(NOW, BURST));

        assert!(!budget.spend(NOW + SECOND, RATE + 1));
        assert!(budget.spend(NOW + SECOND, RATE));
        assert!(!budget.spend(NOW + SECOND, 1));
        // No more than the burst, however much time has passed.
        assert!(!budget.spend(2 * NOW, BURST + 1));
        assert!(budget.spend(2 * NOW, BURST));
    }

    #[test]
    fn kernel_threads_are_not_limited() {
        assert!(user_may_log(1 << 30));
    }
}
