// SPDX-License-Identifier: GPL-2.0

//! Tasks that do anything at any time, on all CPUs. What they do depends on the seed, but not in
//! which order. So only what always holds is checked: which errors a call may return, and that
//! each report is consistent.

use crate::check::name;
use crate::check::path;
use crate::check::NAMES;
use crate::step::Rng;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use harness::calls;
use harness::cow::View;
use harness::sys::Errno;
use harness::sys::Result;
use harness::sys::EACCES;
use harness::sys::EFAULT;
use harness::sys::EINVAL;
use harness::sys::ENOMEM;
use harness::sys::EPERM;
use harness::sys::ESRCH;
use harness::sys::MAP_FIXED;
use harness::sys::MAP_PRIVATE;
use harness::sys::PAGE_SIZE;
use harness::*;

/// How many processes there are at the start, and threads in each.
const PROCESSES: usize = 4;
const THREADS: usize = 3;
/// How much each thread does, and each process that it starts.
const ACTS: u32 = 400;
const CHILD_ACTS: u32 = 24;
/// How deep processes start processes.
const DEPTH: u32 = 2;

/// Each thread has its own pages, which others write to as well.
const ARENA: usize = 0x5000_0000;
const PAGES: usize = 48;
/// The threads of a process map and unmap two pages here while others pass their addresses.
const VICTIM: usize = 0x6000_0000;

/// What all tasks share.
struct World {
    calls: AtomicUsize,
    pids: [AtomicI32; 16],
}

// SAFETY: Zeros are valid integers.
unsafe impl mem::Shareable for World {}

/// A task.
struct Task {
    rng: Rng,
    world: &'static World,
    arena: usize,
    depth: u32,
    /// Whether it may use the tracker.
    capable: bool,
    /// Whether it has all capabilities.
    root: bool,
}

/// Runs all tasks to their ends. Returns the number of calls.
pub fn run(seed: u64) -> usize {
    let world: &World = mem::shared().expect("memory");
    let processes = [0, 1, 2, 3].map(|process: u64| {
        assert!(process < PROCESSES as u64);
        Child::fork(|| {
            let _ = sys::set_name(name(process as u8).as_cstr());
            let threads = [0, 1, 2].map(|thread: u64| {
                assert!(thread < THREADS as u64);
                let seed = seed.wrapping_mul(31) + process * 8 + thread;
                let work = move || Task::new(seed, world, thread as usize).acts(ACTS);
                Thread::spawn(work).expect("a thread")
            });
            threads.into_iter().for_each(Thread::join);
        })
        .expect("fork")
    });
    for process in processes {
        expect_eq!(process.wait(), Ok(Status::Exited(0)));
    }
    world.calls.load(Ordering::Relaxed)
}

impl Task {
    fn new(seed: u64, world: &'static World, thread: usize) -> Task {
        Task {
            rng: Rng::new(seed),
            world,
            arena: ARENA + thread * 2 * PAGES * PAGE_SIZE,
            depth: 0,
            capable: true,
            root: true,
        }
    }

    fn acts(&mut self, count: u32) {
        let slot = sys::gettid() as usize % self.world.pids.len();
        self.world.pids[slot].store(sys::gettid(), Ordering::Relaxed);
        for _ in 0..count {
            self.act();
        }
    }

    fn act(&mut self) {
        match self.rng.below(64) {
            0..4 => self.hello(),
            4..10 => self.make_vcpu(),
            10..20 => self.set(),
            20..32 => self.get(),
            32 => self.cleanup(),
            33 => self.view(),
            34..38 => self.child(),
            38..42 => self.rename(),
            42..46 => self.victim(),
            46..54 => self.map(),
            _ => self.write(),
        }
    }

    #[track_caller]
    fn expect(&self, got: Result, may: &[Errno]) {
        self.world.calls.fetch_add(1, Ordering::Relaxed);
        let fine = match got {
            Ok(value) => value == 0,
            Err(errno) => may.contains(&errno),
        };
        expect!(fine, "{got:?}, none of {may:?}");
    }

    /// Chooses an address, where there may be a name or nothing.
    fn address(&mut self, good: usize) -> (usize, bool) {
        let victim = VICTIM + self.rng.below(2 * PAGE_SIZE as u32) as usize;
        match self.rng.below(12) {
            0 => (0, false),
            1 => (usize::MAX, false),
            2 => (usize::MAX & !0xfff, false),
            3..6 => (victim, false),
            6 => (VICTIM + PAGE_SIZE - 4, false),
            _ => (good, true),
        }
    }

    fn hello(&mut self) {
        let number = self.rng.below(u32::MAX) as usize;
        self.expect(calls::hello(number), &[]);
        let (place, is_good) = self.address(c"chaos".as_ptr() as usize);
        let may: &[_] = if is_good { &[] } else { &[EFAULT] };
        self.expect(calls::xxxhal(place), may);
    }

    fn make_vcpu(&mut self) {
        let one = self.rng.below(self.world.pids.len() as u32) as usize;
        let (pid, may): (i32, &[_]) = match self.rng.below(8) {
            0 => (0, &[]),
            1 => (-1 - self.rng.below(1 << 30) as i32, &[EINVAL]),
            2 => (self.rng.below(1 << 16) as i32, &[EINVAL, ESRCH, EPERM]),
            _ => (
                // Some are numbers in other namespaces.
                self.world.pids[one].load(Ordering::Relaxed),
                &[ESRCH, EPERM, EINVAL],
            ),
        };
        let may = if pid == 0 { &[] } else { may };
        self.expect(calls::make_vcpu(pid), may);
    }

    /// Chooses a length for a name of this length.
    fn len(&mut self, exact: usize) -> usize {
        match self.rng.below(10) {
            0 => 0,
            1 => exact + 1,
            2 => 16,
            3 => 17,
            4 => usize::MAX - self.rng.below(32) as usize,
            _ => exact,
        }
    }

    fn name(&mut self) -> Text {
        match self.rng.below(8) {
            0 => name(100 + self.rng.below(80) as u8),
            _ => name(self.rng.below(NAMES.len() as u32) as u8),
        }
    }

    fn set(&mut self) {
        let text = self.name();
        let len = self.len(text.as_bytes().len());
        let (place, is_good) = self.address(text.as_bytes().as_ptr() as usize);
        let may: &[_] = match (self.capable, is_good) {
            (false, _) => &[EPERM],
            (_, true) => &[EINVAL, ENOMEM],
            (_, false) => &[EINVAL, ENOMEM, EFAULT],
        };
        let got = calls::pf_set_param(place, len);
        expect!(self.capable || got.is_err());
        self.expect(got, may);
    }

    fn get(&mut self) {
        let text = self.name();
        if self.capable && self.rng.below(2) == 0 {
            // This also checks the report.
            let got = cow::get(text.as_cstr()).map(|_| 0);
            return self.expect(got, &[EACCES, EINVAL, ENOMEM]);
        }
        let len = self.len(text.as_bytes().len());
        let mut stat = cow::Stat::poisoned();
        let (place, _) = self.address(text.as_bytes().as_ptr() as usize);
        let (pf, _) = self.address(&raw mut stat as usize);
        let may: &[_] = match self.capable {
            false => &[EPERM],
            true => &[EACCES, EINVAL, ENOMEM, EFAULT],
        };
        // SAFETY: A `Stat` is there, or memory that nobody relies on.
        let got = unsafe { calls::pf_get_info(place, len, pf) };
        expect!(self.capable || got.is_err());
        self.expect(got, may);
    }

    fn cleanup(&mut self) {
        let may = if self.capable { EACCES } else { EPERM };
        let got = calls::pf_cleanup();
        expect!(self.capable || got.is_err());
        self.expect(got, &[may]);
    }

    fn view(&mut self) {
        if self.root {
            let mut buf = Mapping::new(512, MAP_PRIVATE).expect("memory");
            View::read(buf.bytes());
        }
    }

    /// Starts a process that does the same for a while, and perhaps kills it.
    fn child(&mut self) {
        if self.depth == DEPTH {
            return;
        }
        let how = self.rng.below(8);
        let namespaces = match how {
            0 => sys::CLONE_NEWUSER,
            1 => sys::CLONE_NEWUSER | sys::CLONE_NEWPID,
            2 if self.root => sys::CLONE_NEWPID,
            _ => 0,
        };
        let seed = u64::from(self.rng.below(u32::MAX));
        let path = path(self.rng.below(NAMES.len() as u32) as u8);
        let work = || {
            let inside = namespaces & sys::CLONE_NEWUSER != 0;
            let mut task = Task {
                rng: Rng::new(seed),
                depth: self.depth + 1,
                capable: self.capable && !inside,
                root: self.root && !inside,
                ..*self
            };
            if how == 3 && task.root {
                let caps: &[_] = match task.rng.below(2) {
                    0 => &[],
                    _ => &[sys::CAP_PERFMON],
                };
                task::become_user(1000, caps);
                (task.capable, task.root) = (!caps.is_empty(), false);
            }
            task.acts(CHILD_ACTS);
            if how > 4 {
                sys::execve(path.as_cstr(), &[c"fuzz", c"nothing"]);
            }
        };
        // In a new user namespace, another one cannot be created.
        let Ok(child) = Child::clone(namespaces, work) else {
            return;
        };
        if self.rng.below(4) > 0 {
            expect_eq!(child.wait(), Ok(Status::Exited(0)), "a child, {how}");
        } else {
            (0..self.rng.below(64)).for_each(|_| sys::sched_yield());
            // This kills it.
            drop(child);
        }
    }

    /// Gives a name to itself, or to another thread.
    fn rename(&mut self) {
        let text = self.name();
        if self.rng.below(2) == 0 {
            expect_eq!(sys::set_name(text.as_cstr()), Ok(0));
            return;
        }
        let Ok(ids) = io::ids(c"/proc/self/task") else {
            return;
        };
        let skip = self.rng.below(THREADS as u32 + 1) as usize;
        if let Some(tid) = { ids }.nth(skip) {
            let path = text!("/proc/self/task/{tid}/comm");
            // The thread may have exited.
            let _ = io::write_file(path.as_cstr(), text.as_bytes());
        }
    }

    /// Maps or unmaps memory that other threads pass to the calls.
    fn victim(&mut self) {
        let pages = 1 + self.rng.below(2) as usize;
        let prot = [sys::PROT_READ | sys::PROT_WRITE, sys::PROT_READ, 0];
        let prot = prot[self.rng.below(3) as usize];
        // SAFETY: Only the calls under test use this memory.
        unsafe {
            match self.rng.below(2) {
                0 => sys::mmap(VICTIM, pages * PAGE_SIZE, prot, MAP_PRIVATE | MAP_FIXED),
                _ => sys::munmap(VICTIM, pages * PAGE_SIZE),
            }
        }
        .expect("victim");
    }

    /// Changes the mappings of its pages.
    fn map(&mut self) {
        const READ_WRITE: u32 = sys::PROT_READ | sys::PROT_WRITE;
        let first = self.rng.below(PAGES as u32) as usize;
        let count = 1 + self.rng.below((PAGES - first) as u32) as usize;
        let (start, len) = (self.arena + first * PAGE_SIZE, count * PAGE_SIZE);
        let other = start + PAGES * PAGE_SIZE;
        let moves = sys::MREMAP_MAYMOVE | sys::MREMAP_FIXED;
        // SAFETY: Only this thread uses these pages, other than through system calls.
        let _ = unsafe {
            match self.rng.below(8) {
                0..3 => sys::mmap(start, len, READ_WRITE, MAP_PRIVATE | MAP_FIXED),
                3 => sys::munmap(start, len),
                4 => sys::madvise(start, len, sys::MADV_DONTNEED),
                5 => sys::mprotect(start, len, sys::PROT_READ),
                6 => sys::mremap(start, len, len, moves, other),
                _ => sys::mremap(other, len, len, moves | sys::MREMAP_DONTUNMAP, start),
            }
        };
    }

    /// Writes to a page: its own, or one of another process.
    fn write(&mut self) {
        let page = self.arena + self.rng.below(2 * PAGES as u32) as usize * PAGE_SIZE;
        let one = self.rng.below(self.world.pids.len() as u32) as usize;
        let pid = match self.rng.below(4) {
            0 => self.world.pids[one].load(Ordering::Relaxed),
            _ => sys::getpid(),
        };
        // It may be gone, or may not be written to.
        // SAFETY: An arena has nothing but what is written so.
        let _ = unsafe { sys::process_vm_writev(pid, page, b"c") };
    }
}
