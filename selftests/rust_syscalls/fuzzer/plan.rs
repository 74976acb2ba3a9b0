// SPDX-License-Identifier: GPL-2.0

//! Runs sequences of steps, each in fresh processes, and makes failing ones short.

use crate::chaos;
use crate::driver::Driver;
use crate::step::Rng;
use crate::step::Step;
use core::cell::Cell;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering;
use harness::test;
use harness::test::Test;
use harness::*;

/// The number of steps in a sequence.
const STEPS: usize = 200;
/// How often everything is compared, in steps, unless a sequence is repeated.
const COMPARE_ALL: usize = 8;
/// How often a failing sequence is repeated to make it short, at most.
const TRIES: usize = 400;

/// How most sequences start: with a tracked process that shares pages with its child.
const START: [&str; 8] = [
    "0:fork:1:0",
    "1:map:0:15:0",
    "1:map:16:7:0",
    "1:write:0:15:0",
    "1:write:16:7:0",
    "0:pf_set_param:0:9:9",
    "1:rename:0:0:0",
    "1:fork:2:0",
];

/// The timeout of a sequence in seconds: enough for an emulated machine that is busy.
const TIMEOUT: u32 = 300;

/// A sequence of steps, shared by the process that plans them and the driver that does them. They
/// never use it at the same time.
pub struct Plan {
    steps: [Cell<Step>; STEPS],
    len: Cell<usize>,
    calls: Cell<usize>,
    /// Chooses the steps, if it is not a repetition.
    seed: Cell<Option<u64>>,
    silent: Cell<bool>,
}

static PLAN: AtomicPtr<Plan> = AtomicPtr::new(core::ptr::null_mut());

fn plan() -> &'static Plan {
    // SAFETY: `Plan::shared()` has set it, and its memory is never unmapped.
    unsafe { &*PLAN.load(Ordering::Relaxed) }
}

impl Plan {
    /// Creates an empty sequence.
    pub fn shared() -> &'static Plan {
        let pages = size_of::<Plan>().div_ceil(sys::PAGE_SIZE);
        let memory = Mapping::new(pages, sys::MAP_SHARED).expect("memory");
        let plan = memory.start() as *mut Plan;
        core::mem::forget(memory);
        PLAN.store(plan, Ordering::Relaxed);
        // SAFETY: All-zero bytes are a valid value, and the memory is never unmapped.
        unsafe { &*plan }
    }

    /// Adds a step.
    pub fn push(&self, step: Step) {
        assert!(self.len.get() < STEPS, "too many steps");
        self.steps[self.len.get()].set(step);
        self.len.set(self.len.get() + 1);
    }

    /// Returns the steps.
    pub fn steps(&self) -> &[Cell<Step>] {
        &self.steps[..self.len.get()]
    }

    /// Returns how many of the calls under test were made.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Runs `work` in a process of its own, where [`PLAN`] is this one.
    fn run(&self, name: &'static str, run: fn()) -> bool {
        self.calls.set(0);
        let passed = test::passes(&Test {
            name,
            timeout: TIMEOUT,
            run,
        });
        // Forget the names of this sequence.
        let _ = calls::pf_cleanup();
        passed
    }

    /// Does a sequence that depends on the seed. Returns whether all was as in the model.
    pub fn generate(&self, seed: u64) -> bool {
        self.seed.set(Some(seed));
        self.len.set(0);
        self.run("sequence", || plan().drive())
    }

    /// Lets tasks do what they want. Returns whether all was as it must always be.
    pub fn chaos(&self, seed: u64) -> bool {
        self.seed.set(Some(seed));
        self.run("chaos", || {
            let seed = plan().seed.get().unwrap_or(0);
            plan().calls.set(chaos::run(seed));
        })
    }

    /// Does these steps again.
    pub fn replay(&self) -> bool {
        self.seed.set(None);
        self.run("sequence", || plan().drive())
    }

    fn fails(&self) -> bool {
        self.silent.set(true);
        let passed = self.replay();
        self.silent.set(false);
        !passed
    }

    /// Does the steps, in the driver.
    fn drive(&self) {
        if self.silent.get() {
            let null = sys::open(c"/dev/null", sys::O_WRONLY).expect("/dev/null");
            sys::dup2(null, 1).expect("dup2");
        }
        // One CPU, so that no other CPU keeps references to pages for a while.
        sys::pin_to_cpu(0).expect("sched_setaffinity");
        let mut driver = Driver::new();
        match self.seed.get() {
            Some(seed) => {
                let mut rng = Rng::new(seed);
                let start = if rng.below(4) == 0 { &[] } else { &START[..] };
                let mut start = start.iter().filter_map(|step| Step::parse(step));
                while self.len.get() < STEPS && !test::has_failed() {
                    let step = start.next().unwrap_or_else(|| Step::choose(&mut rng));
                    self.push(step);
                    if !driver.step(step) {
                        self.len.set(self.len.get() - 1);
                        continue;
                    }
                    match self.len.get() % COMPARE_ALL {
                        0 => driver.compare_all(),
                        _ => driver.compare_reports(2),
                    }
                    self.calls.set(driver.calls);
                }
            }
            None => {
                for step in self.steps() {
                    if test::has_failed() {
                        break;
                    }
                    if driver.step(step.get()) {
                        driver.compare_all();
                    }
                }
            }
        }
        self.calls.set(driver.calls);
    }

    /// Makes a failing sequence short, and prints it.
    pub fn report(&self) {
        let mut tries = 0;
        let mut size = self.len.get();
        while size > 0 && tries < TRIES {
            let mut from = 0;
            let mut shorter = false;
            while from < self.len.get() && tries < TRIES {
                let all = self.steps.clone();
                let len = self.len.get();
                let end = len.min(from + size);
                for i in end..len {
                    self.steps[from + i - end].set(all[i].get());
                }
                self.len.set(len - (end - from));
                tries += 1;
                if self.len.get() > 0 && self.fails() {
                    shorter = true;
                } else {
                    for (to, step) in self.steps.iter().zip(&all) {
                        to.set(step.get());
                    }
                    self.len.set(len);
                    from = end;
                }
            }
            if size > 1 || !shorter {
                size /= 2;
            }
        }
        diag!("short, after {tries} tries:");
        if self.replay() {
            diag!("this passes when repeated");
        }
        let mut line: io::Text<4096> = io::Text::new();
        for step in self.steps() {
            // A line that is too long is cut.
            let _ = core::fmt::Write::write_fmt(&mut line, format_args!(" {}", step.get()));
        }
        diag!("steps:{}", line.as_str());
    }
}
