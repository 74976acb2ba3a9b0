// SPDX-License-Identifier: GPL-2.0

//! Steps: what they are, how they are chosen, and how they are written.

use core::fmt;

/// Pseudo-random numbers: Marsaglia's xorshift.
pub struct Rng(u64);

impl Rng {
    /// Creates a generator.
    pub fn new(seed: u64) -> Rng {
        let mut rng = Rng((seed ^ 0x9e37_79b9_7f4a_7c15) | 1 << 63);
        for _ in 0..8 {
            rng.below(2);
        }
        rng
    }

    /// Returns a number less than `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }
}

macro_rules! ops {
    ($(
        $(#[doc = $doc:literal])*
        $op:ident = $name:literal $weight:literal [$($limit:literal),*];
    )*) => {
        /// What a task does in a step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Op {
            $($(#[doc = $doc])* $op,)*
        }

        /// Each operation, its name, how often it is chosen, and the limits of its arguments.
        const OPS: &[(Op, &str, u32, &[u32])] = &[$((Op::$op, $name, $weight, &[$($limit),*]),)*];
    };
}

// The arguments are indices: of slots, of names, of pages, or of rows in a list in `driver.rs`.
ops! {
    /// `hello(number)`
    Hello = "hello" 2 [8];
    /// `xxxhal(address of a string)`
    Xxxhal = "xxxhal" 2 [8];
    /// `make_vcpu(slot, or a number)`
    MakeVcpu = "make_vcpu" 6 [18];
    /// `pf_set_param(address, length)` of a name
    Set = "pf_set_param" 8 [6, 24, 24];
    /// `pf_get_info(address, length, address of the report)`
    Get = "pf_get_info" 12 [6, 24, 24, 24];
    /// `pf_cleanup()`
    Cleanup = "pf_cleanup" 1 [];
    /// Sets this many more names.
    SetMany = "set_many" 1 [80];
    /// Opens `/proc/cow_track`.
    View = "view" 1 [];
    /// Forks into a slot, with new namespaces: none, user, PID, or both.
    Fork = "fork" 8 [8, 8];
    /// Starts a thread in a slot.
    Thread = "thread" 4 [8];
    /// Starts a process in a slot that shares the memory: `CLONE_VM`, or `vfork()`.
    Share = "share" 2 [8, 2];
    /// Executes this program anew, with a name.
    Exec = "exec" 2 [6];
    /// Ends the task.
    Exit = "exit" 1 [];
    /// Ends the process: `exit_group()`, or the driver kills it.
    ExitGroup = "exit_group" 1 [2];
    /// Reaps a zombie.
    Reap = "reap" 3 [];
    /// Names itself by `prctl()`, or the task in a slot by `/proc`.
    Rename = "rename" 6 [6, 2, 8];
    /// Becomes another effective and real user, with some capabilities.
    User = "user" 2 [3, 3, 4];
    /// Maps pages: first, number, what.
    Map = "map" 8 [32, 16, 4];
    /// Unmaps pages.
    Unmap = "unmap" 3 [32, 8];
    /// Makes pages inaccessible, read-only or writable again.
    Protect = "protect" 3 [32, 8, 3];
    /// `MADV_DONTNEED`
    Drop = "drop" 3 [40, 8];
    /// Moves a page, or with `MREMAP_DONTUNMAP` only its contents.
    Move = "move" 4 [32, 32, 2];
    /// Grows a mapping by a page.
    Grow = "grow" 4 [32];
    /// Maps memory for huge pages.
    MapHuge = "map_huge" 3 [];
    /// Lets KSM merge pages.
    Merge = "merge" 1 [32, 8];
    /// By userfaultfd: copies a page, maps the zero page, or moves a page.
    Uffd = "uffd" 3 [32, 32, 3];
    /// Reads pages.
    Read = "read" 8 [40, 8];
    /// Writes to pages: itself, or the driver by `process_vm_writev()`, `/proc/<pid>/mem`, ptrace.
    Write = "write" 30 [40, 16, 6];
}

/// Something that a task does.
#[derive(Clone, Copy)]
pub struct Step {
    /// The slot of the task.
    pub who: u8,
    /// What it does.
    pub op: Op,
    /// The arguments.
    pub args: [u8; 4],
}

/// The number of slots for tasks. The first one is the driver itself.
pub const SLOTS: usize = 8;

impl Step {
    /// Chooses a step.
    pub fn choose(rng: &mut Rng) -> Step {
        let total = OPS.iter().map(|(_, _, weight, _)| weight).sum();
        let mut left = rng.below(total);
        let row = OPS.iter().find(|(_, _, weight, _)| {
            let found = left < *weight;
            left = left.wrapping_sub(*weight);
            found
        });
        let (op, _, _, limits) = row.expect("an operation");
        let mut args = [0; 4];
        for (arg, limit) in args.iter_mut().zip(*limits) {
            *arg = rng.below(*limit) as u8;
        }
        Step {
            who: rng.below(SLOTS as u32) as u8,
            op: *op,
            args,
        }
    }

    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Step> {
        let mut words = text.split(':');
        let who = words.next()?.parse().ok()?;
        let name = words.next()?;
        let (op, _, _, limits) = OPS.iter().find(|(_, found, _, _)| *found == name)?;
        let mut args = [0; 4];
        for (arg, limit) in args.iter_mut().zip(*limits) {
            *arg = words.next()?.parse().ok()?;
            if u32::from(*arg) >= *limit {
                return None;
            }
        }
        let step = Step { who, op: *op, args };
        (usize::from(who) < SLOTS && words.next().is_none()).then_some(step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = OPS.iter().find(|(op, _, _, _)| *op == self.op);
        let (_, name, _, limits) = row.expect("an operation");
        write!(f, "{}:{name}", self.who)?;
        self.args[..limits.len()]
            .iter()
            .try_for_each(|arg| write!(f, ":{arg}"))
    }
}
