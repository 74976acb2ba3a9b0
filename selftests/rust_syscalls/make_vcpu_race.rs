// SPDX-License-Identifier: GPL-2.0

//! Tests that `make_vcpu` misses no thread while threads come and go as fast as they can.
//!
//! There is no way to take a mark away, so a process is of use for one call, and a round starts
//! many. Their threads form chains: each thread clones the next one and exits. Were one missed, or
//! one born unmarked, then all that follow in its chain would be unmarked, too: those that are left
//! when the chains have been stopped tell about all before them.
//!
//! Each test makes five hundred calls, and goes on for as many seconds as `VCPU_RACE_SECONDS` in
//! the environment says.

#![no_std]
#![no_main]

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::race;
use harness::race::delay;
use harness::race::rounds;
use harness::vcpu::is_dead;
use harness::vcpu::is_marked;
use harness::vcpu::marks;
use harness::*;

/// Rounds of a test, at least.
const ROUNDS: u32 = 64;

/// Processes of a round. They are more than the CPUs, so that some have been preempted somewhere.
const PROCESSES: usize = 8;

/// Chains of a process.
const CHAINS: usize = 2;

/// A place for the handle of a thread, from the one that started it to the one that it starts: in
/// turns, each for the next thread of the chain.
struct Slot {
    turns: Turnstile,
    thread: UnsafeCell<Option<Thread>>,
}

// SAFETY: `turns` says who may use `thread`: who puts something there, or who takes it.
unsafe impl Sync for Slot {}

impl Slot {
    const EMPTY: Slot = Slot {
        turns: Turnstile::new(),
        thread: UnsafeCell::new(None),
    };

    /// Puts the handle of thread `number` there.
    fn put(&self, number: u32, thread: Thread) {
        self.turns.wait_for(2 * number);
        // SAFETY: It is nobody else's turn.
        unsafe { *self.thread.get() = Some(thread) };
        self.turns.pass();
    }

    /// Takes the handle of thread `number`.
    fn take(&self, number: u32) -> Thread {
        self.turns.wait_for(2 * number + 1);
        // SAFETY: It is nobody else's turn.
        let thread = unsafe { (*self.thread.get()).take() };
        self.turns.pass();
        thread.expect("a handle")
    }
}

static SLOTS: [Slot; CHAINS] = [Slot::EMPTY; CHAINS];

/// Starts a thread, on this stack if it can be. One that has exited counts as one until the kernel
/// has freed it, so that there may be too many: then waits for others to go.
fn spawn(stack: Option<Mapping>, f: impl FnOnce() + Copy + Send + 'static) -> Thread {
    let mut result = match stack {
        Some(stack) => Thread::spawn_on(stack, f),
        None => Thread::spawn(f),
    };
    while let Err(sys::EAGAIN) = result {
        sys::sched_yield();
        result = Thread::spawn(f);
    }
    result.expect("thread")
}

/// What the first, the second... process of each round shares with who starts it. The numbers of a
/// round begin where those of the round before have ended.
struct Shared {
    /// Chains that have got going.
    started: Turnstile,
    /// The rounds whose chains are to stop.
    stop: AtomicU32,
    /// Chains that have stopped.
    stopped: Turnstile,
}

// SAFETY: Zeroes are no round, and turnstiles that nobody has passed.
unsafe impl mem::Shareable for Shared {}

fn shared<T: mem::Shareable>() -> &'static [T; PROCESSES] {
    mem::shared().expect("shared memory")
}

/// The chains of a process of a round.
#[derive(Clone, Copy)]
struct Chains {
    shared: &'static Shared,
    round: u32,
}

impl Chains {
    /// A thread of a chain, by its number.
    fn link(self, chain: usize, number: u32) {
        let Chains { shared, round } = self;
        if number == 1 {
            shared.started.pass();
        }
        if shared.stop.load(Ordering::Relaxed) > round {
            shared.stopped.pass();
            wait_for_ever();
        }

        // The thread before has nothing left to do but to exit.
        let slot = &SLOTS[chain];
        let stack = (number > 0).then(|| slot.take(number - 1).into_stack());
        let next = spawn(stack, move || self.link(chain, number + 1));
        slot.put(number + 1, next);
    }

    /// Starts the chains in this process. They give way to whoever calls `make_vcpu`.
    fn start(self) {
        for (chain, slot) in SLOTS.iter().enumerate() {
            let first = spawn(None, move || {
                sys::set_nice(19).expect("setpriority");
                self.link(chain, 0)
            });
            slot.put(0, first);
        }
    }

    /// Starts them in another process, which is there until it is killed.
    fn start_process(self) -> Child {
        let child = Child::fork(|| {
            self.start();
            wait_for_ever()
        });
        child.expect("fork")
    }

    /// Waits until all are going.
    fn wait_for_start(self) {
        self.shared.started.wait_for(self.all());
    }

    /// Stops them, one thread of each is left.
    fn stop(self) {
        self.shared.stop.store(self.round + 1, Ordering::Relaxed);
    }

    /// Expects of the process that they have stopped in that no thread is without a mark.
    fn expect_marks(self, pid: i32) {
        self.shared.stopped.wait_for(self.all());
        let (marks, round) = (marks(pid), self.round);
        expect_eq!(marks.marked, marks.live, "live threads, in round {round}");
        expect!(
            marks.live > CHAINS,
            "{} threads in round {round}",
            marks.live
        );
    }

    /// How many chains there have been with those of this round.
    fn all(self) -> u32 {
        (self.round + 1) * CHAINS as u32
    }
}

fn wait_for_ever() -> ! {
    loop {
        sys::sleep_ms(1000);
    }
}

/// No thread is missed.
fn clone_and_exit() {
    let shared = shared();
    rounds(ROUNDS, |round| {
        let chains = shared.each_ref().map(|shared| Chains { shared, round });
        let processes = chains.map(Chains::start_process);
        for (chains, process) in chains.iter().zip(&processes) {
            chains.wait_for_start();
            delay(round);
            expect_eq!(calls::make_vcpu(process.pid), Ok(0));
        }
        for chains in chains {
            chains.stop();
        }
        for (chains, process) in chains.iter().zip(&processes) {
            chains.expect_marks(process.pid);
        }
    });
}

/// As above, by a thread of the process itself.
fn clone_and_exit_within() {
    let shared = shared();
    rounds(ROUNDS, |round| {
        let processes = shared.each_ref().map(|shared| {
            let chains = Chains { shared, round };
            Child::fork(|| {
                chains.start();
                chains.wait_for_start();
                delay(round);
                expect_eq!(calls::make_vcpu(0), Ok(0));
                chains.stop();
                chains.expect_marks(sys::getpid());
            })
        });
        for process in processes {
            expect_eq!(process.expect("fork").wait(), Ok(Status::Exited(0)));
        }
    });
}

/// A process that is forked meanwhile has no mark.
fn fork_and_exit() {
    const CHILDREN: u32 = 3;
    let shared: &[Turnstile; PROCESSES] = shared();
    rounds(ROUNDS, |round| {
        let processes = shared.each_ref().map(|forked| {
            let process = Child::fork(|| {
                for _ in 0..CHILDREN {
                    let child = Child::fork(|| {
                        let pid = sys::getpid();
                        expect_eq!(is_marked(pid, pid), Some(false), "in round {round}");
                    });
                    forked.pass();
                    expect_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
                }
            });
            process.expect("fork")
        });
        for (forked, process) in shared.iter().zip(processes) {
            forked.wait_for(round * CHILDREN + 1);
            delay(round);
            expect_eq!(calls::make_vcpu(process.pid), Ok(0));
            expect_eq!(process.wait(), Ok(Status::Exited(0)));
        }
    });
}

/// A process that ends at the same time is marked, or it is gone.
fn exit_group() {
    // After so many there is a time to exit, on a single CPU, too.
    const CALLS: u32 = 50;
    let shared = shared();
    rounds(ROUNDS, |round| {
        let chains = shared.each_ref().map(|shared| Chains { shared, round });
        let processes = chains.map(Chains::start_process);
        let pids = processes.each_ref().map(|process| process.pid);
        let killer = Child::fork(|| {
            for pid in pids {
                delay(round);
                let _ = sys::kill(pid, sys::SIGKILL);
            }
        });
        for process in processes {
            let pid = process.pid;
            for _ in 0..CALLS {
                if is_dead(pid, pid) {
                    break;
                }
                expect_eq!(calls::make_vcpu(pid), Ok(0));
            }
            expect_eq!(process.wait(), Ok(Status::Killed(sys::SIGKILL)));
            expect_eq!(calls::make_vcpu(pid), Err(sys::ESRCH));
        }
        let _ = killer.expect("fork").wait();
    });
}

/// The level from which on the log is not on the console, where a serial line would need most of
/// the time for it: sets it, and puts back what it was.
struct ConsoleLevel(Text);

impl ConsoleLevel {
    const FILE: &core::ffi::CStr = c"/proc/sys/kernel/printk";

    fn set(level: &[u8]) -> sys::Result<Self> {
        let mut before = Text::new();
        before.push(File::open(Self::FILE, sys::O_RDONLY)?.read_all(&mut [0; 64])?);
        io::write_file(Self::FILE, level)?;
        Ok(ConsoleLevel(before))
    }
}

impl Drop for ConsoleLevel {
    fn drop(&mut self) {
        let _ = io::write_file(Self::FILE, self.0.as_bytes());
    }
}

program!(|args: Args| {
    // Without the right to, it takes longer.
    let _quiet = ConsoleLevel::set(b"5");
    let setup = || calls::need("make_vcpu", calls::make_vcpu(-1));
    let tests: [(_, fn()); 4] = [
        ("clone_and_exit", clone_and_exit),
        ("clone_and_exit_within", clone_and_exit_within),
        ("fork_and_exit", fork_and_exit),
        ("exit_group", exit_group),
    ];
    race::run("VCPU_RACE_SECONDS", setup, tests, args)
});
