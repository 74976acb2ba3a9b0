// SPDX-License-Identifier: GPL-2.0

//! Tests that `make_vcpu` misses no thread while threads come and go as fast as possible.
//!
//! A mark cannot be removed, so a process is only good for one call, and each round starts many
//! processes. Their threads form chains: each thread clones the next one and exits. If a thread
//! were missed or born unmarked, all later threads of its chain would be unmarked, too. So the
//! threads that remain when the chains have been stopped show whether any was missed.
//!
//! Each test makes at least five hundred calls, and goes on for the number of seconds in the
//! environment variable `VCPU_RACE_SECONDS`.

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

/// The minimum number of rounds in a test.
const ROUNDS: u32 = 64;

/// The number of processes in a round. More than there are CPUs, so that some are preempted
/// anywhere.
const PROCESSES: usize = 8;

/// The number of chains in a process.
const CHAINS: usize = 2;

/// Passes the handle of a thread from the thread that started it to the thread itself. Reused in
/// turn for each next thread of the chain.
struct Slot {
    turns: Turnstile,
    thread: UnsafeCell<Option<Thread>>,
}

// SAFETY: `turns` says who may use `thread`: whoever puts a handle there, or whoever takes it.
unsafe impl Sync for Slot {}

impl Slot {
    const EMPTY: Slot = Slot {
        turns: Turnstile::new(),
        thread: UnsafeCell::new(None),
    };

    /// Puts in the handle of thread `number`.
    fn put(&self, number: u32, thread: Thread) {
        self.turns.wait_for(2 * number);
        // SAFETY: It is our turn only.
        unsafe { *self.thread.get() = Some(thread) };
        self.turns.pass();
    }

    /// Takes out the handle of thread `number`.
    fn take(&self, number: u32) -> Thread {
        self.turns.wait_for(2 * number + 1);
        // SAFETY: It is our turn only.
        let thread = unsafe { (*self.thread.get()).take() };
        self.turns.pass();
        thread.expect("a handle")
    }
}

static SLOTS: [Slot; CHAINS] = [Slot::EMPTY; CHAINS];

/// Starts a thread, on this stack if possible. An exited thread counts towards the limit until the
/// kernel has freed it, so the limit may be reached. Then this waits until others are gone.
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

/// Shared between the processes with the same index in each round and the process that starts them.
/// The numbers of a round continue those of the previous round.
struct Shared {
    /// The number of chains that have started.
    started: Turnstile,
    /// The chains of rounds before this one must stop.
    stop: AtomicU32,
    /// The number of chains that have stopped.
    stopped: Turnstile,
}

// SAFETY: Zeros mean no round, and turnstiles that nobody has passed.
unsafe impl mem::Shareable for Shared {}

fn shared<T: mem::Shareable>() -> &'static [T; PROCESSES] {
    mem::shared().expect("shared memory")
}

/// The chains of one process in one round. Runs a thread of a chain, given its number.
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

        // The previous thread has nothing left to do except to exit.
        let slot = &SLOTS[chain];
        let stack = (number > 0).then(|| slot.take(number - 1).into_stack());
        let next = spawn(stack, move || self.link(chain, number + 1));
        slot.put(number + 1, next);
    }

    /// Starts the chains in this process. They yield to the caller of `make_vcpu`.
    fn start(self) {
        for (chain, slot) in SLOTS.iter().enumerate() {
            let first = spawn(None, move || {
                sys::set_nice(19).expect("setpriority");
                self.link(chain, 0)
            });
            slot.put(0, first);
        }
    }

    /// Starts the chains in another process, which runs until it is killed.
    fn start_process(self) -> Child {
        let child = Child::fork(|| {
            self.start();
            wait_for_ever()
        });
        child.expect("fork")
    }

    /// Waits until all chains have started.
    fn wait_for_start(self) {
        self.shared.started.wait_for(self.all());
    }

    /// Stops the chains. One thread of each is left.
    fn stop(self) {
        self.shared.stop.store(self.round + 1, Ordering::Relaxed);
    }

    /// Expects that all threads of the process in which the chains have stopped are marked.
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

    /// Returns the number of chains up to and including this round.
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

/// A process that is forked at the same time has no mark.
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

/// A process that exits at the same time is marked or gone.
fn exit_group() {
    // After this many calls, there is time to exit even on a single CPU.
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

/// Lowers the level up to which messages appear on the console, because a serial console would take
/// most of the time. Restores it when dropped.
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
    // Without permission for this, the test takes longer.
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
