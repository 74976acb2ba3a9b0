// SPDX-License-Identifier: GPL-2.0

//! Tests that `make_vcpu` misses no thread while threads come and go as fast as they can.
//!
//! Each round takes a new process, since there is no way to take a mark away. Its threads form
//! chains: each thread clones the next one and exits. Were one thread missed, or one born unmarked,
//! then all that follow in its chain would be unmarked, too.
//!
//! Each test runs for as many seconds as the environment's `VCPU_RACE_SECONDS` says, or 5.

#![no_std]
#![no_main]

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::vcpu;
use harness::vcpu::marks;
use harness::*;

/// Chains in a process: more than there are CPUs, so that threads are also preempted.
const CHAINS: usize = 12;

static SECONDS: AtomicU32 = AtomicU32::new(5);

/// Runs `round` until the time is over, and says how often that was.
fn rounds(mut round: impl FnMut(u32)) {
    let seconds = SECONDS.load(Ordering::Relaxed);
    let end = sys::now() + u64::from(seconds) * 1_000_000_000;
    let mut count = 0;
    while sys::now() < end {
        round(count);
        count += 1;
    }
    diag!("{count} rounds in {seconds} s");
}

/// A place for the handle of a chain's last thread, from the thread before it, which started it, to
/// the one behind it, which joins it.
struct Slot {
    full: AtomicU32,
    thread: UnsafeCell<Option<Thread>>,
}

// SAFETY: `full` says whose turn it is to use `thread`: who fills it, or who empties it.
unsafe impl Sync for Slot {}

impl Slot {
    const EMPTY: Slot = Slot {
        full: AtomicU32::new(0),
        thread: UnsafeCell::new(None),
    };

    fn put(&self, thread: Thread) {
        while self.full.load(Ordering::Acquire) != 0 {
            sys::futex_wait(&self.full, 1);
        }
        // SAFETY: It is empty, and only one thread of a chain fills it at a time.
        unsafe { *self.thread.get() = Some(thread) };
        self.full.store(1, Ordering::Release);
        sys::futex_wake(&self.full);
    }

    fn take(&self) -> Option<Thread> {
        while self.full.load(Ordering::Acquire) == 0 {
            sys::futex_wait(&self.full, 0);
        }
        // SAFETY: It is full, and only one thread of a chain empties it at a time.
        let thread = unsafe { (*self.thread.get()).take() };
        self.full.store(0, Ordering::Release);
        sys::futex_wake(&self.full);
        thread
    }
}

static SLOTS: [Slot; CHAINS] = [Slot::EMPTY; CHAINS];

/// Starts a thread. One that has exited counts as one until the kernel has freed it, so that there
/// may be too many: then waits for others to go.
fn spawn(f: impl FnOnce() + Copy + Send + 'static) -> Thread {
    loop {
        match Thread::spawn(f) {
            Err(sys::EAGAIN) => sys::sched_yield(),
            thread => return thread.expect("thread"),
        }
    }
}

/// A thread of a chain.
fn link(chain: usize, born: &'static AtomicU32) {
    born.fetch_add(1, Ordering::Relaxed);
    let next = spawn(move || link(chain, born));
    // The thread before has nothing left to do but to exit.
    drop(SLOTS[chain].take());
    SLOTS[chain].put(next);
}

/// Starts all chains in this process; `born` counts their threads.
fn start_chains(born: &'static AtomicU32) {
    for (chain, slot) in SLOTS.iter().enumerate() {
        slot.put(spawn(move || link(chain, born)));
    }
}

/// Starts a process of chains that runs until it is killed.
fn chains() -> Child {
    let born: &'static AtomicU32 = mem::shared().expect("shared memory");
    let child = Child::fork(move || {
        start_chains(born);
        loop {
            sys::sleep_ms(1000);
        }
    });
    while born.load(Ordering::Relaxed) < 2 * CHAINS as u32 {
        sys::sched_yield();
    }
    child.expect("fork")
}

/// Lets some time pass, another one for each round, so that the call comes at any point.
fn delay(round: u32) {
    let steps = round.wrapping_mul(2_654_435_761) >> 18;
    for _ in 0..steps {
        core::hint::spin_loop();
    }
}

/// All live threads are marked when the call returns, and stay so.
fn clone_and_exit() {
    rounds(|round| {
        let process = chains();
        delay(round);
        for _ in 0..3 {
            expect_eq!(calls::make_vcpu(process.pid), Ok(0));
            let marks = marks(process.pid);
            expect_eq!(marks.marked, marks.live, "live threads, in round {round}");
            expect!(marks.live > 0);
        }
    });
}

/// As above, by a thread of the process itself.
fn clone_and_exit_within() {
    rounds(|round| {
        let child = Child::fork(|| {
            static BORN: AtomicU32 = AtomicU32::new(0);
            start_chains(&BORN);
            delay(round);
            expect_eq!(calls::make_vcpu(0), Ok(0));
            let marks = marks(sys::getpid());
            expect_eq!(marks.marked, marks.live, "live threads, in round {round}");
        });
        expect_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
    });
}

/// A process that ends at the same time is marked, or it is gone.
fn exit_group() {
    rounds(|round| {
        let process = chains();
        let pid = process.pid;
        let killer = Child::fork(move || {
            delay(round);
            let _ = sys::kill(pid, sys::SIGKILL);
        });
        let mut calls = 0;
        while calls < 1000 && !vcpu::is_dead(pid, pid) {
            expect_eq!(calls::make_vcpu(pid), Ok(0));
            calls += 1;
        }
        let _ = killer.expect("fork").wait();
        let _ = process.wait();
        expect_eq!(calls::make_vcpu(pid), Err(sys::ESRCH));
    });
}

program!(|args: Args| {
    if let Some(seconds) = args
        .env("VCPU_RACE_SECONDS")
        .and_then(|value| value.parse().ok())
    {
        SECONDS.store(seconds, Ordering::Relaxed);
    }
    let timeout = SECONDS.load(Ordering::Relaxed) + test::TIMEOUT;
    let test = |name, run| test::Test { name, timeout, run };
    let tests = [
        test("clone_and_exit", clone_and_exit as fn()),
        test("clone_and_exit_within", clone_and_exit_within),
        test("exit_group", exit_group),
    ];
    let setup = || calls::need("make_vcpu", calls::make_vcpu(-1));
    test::run(setup, &tests, args)
});
