// SPDX-License-Identifier: GPL-2.0

//! Processes and threads.

use crate::mem::Mapping;
use crate::sys;
use crate::sys::Result;
use crate::sys::Status;
use core::mem::size_of;
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

/// The number of pages in a stack.
const STACK_PAGES: usize = 8;

/// Clones a task that shares this one's memory (`CLONE_VM`), and runs `work` on its own stack.
/// Returns its id. `CLONE_PARENT_SETTID` and similar flags use the word at `place`, or by default
/// the last word of the stack.
///
/// # Safety
///
/// Nobody may use the stack until the task has ended.
unsafe fn clone_on<F: FnOnce() + Send + 'static>(
    stack: &Mapping,
    flags: u32,
    place: Option<usize>,
    work: F,
) -> Result<i32> {
    extern "C" fn run<F: FnOnce()>(work: *mut F) -> ! {
        // SAFETY: `work` was put there for this call only.
        (unsafe { ptr::read(work) })();
        sys::exit(0)
    }
    extern "C" {
        fn thread_clone(flags: u32, stack: usize, tid: usize) -> isize;
    }

    // `work` is placed near the top of the stack.
    let word = stack.end() - size_of::<AtomicU32>();
    let work_at = (word - size_of::<F>()) & !63;
    assert!(work_at > stack.start() + 2 * sys::PAGE_SIZE && align_of::<F>() <= 64);
    // SAFETY: The place is aligned, large enough, and unused by anyone else.
    unsafe { ptr::write(work_at as *mut F, work) };

    // `thread_clone` expects a function on the new stack, and then its argument, which must be at a
    // multiple of 16 when the function is called.
    let top = work_at - 16 - size_of::<usize>();
    let words = [run::<F> as *const () as usize, work_at];
    // SAFETY: This is below `work`, in memory that nobody else uses.
    unsafe { ptr::write(top as *mut [usize; 2], words) };

    // SAFETY: The task gets a prepared stack, which the caller does not use.
    let id = unsafe { thread_clone(flags | sys::CLONE_VM, top, place.unwrap_or(word)) };
    sys::check(id).map(|id| id as i32)
}

/// A forked process, killed and reaped when dropped.
pub struct Child {
    /// The process id in its parent's namespace.
    pub pid: i32,
    reaped: bool,
    // Its stack, if it runs in our memory. Must outlive it.
    _stack: Option<Mapping>,
}

impl Child {
    /// Forks a process that runs `work` and exits with status 0.
    ///
    /// If an expectation fails in the process, the test fails.
    pub fn fork(work: impl FnOnce()) -> Result<Child> {
        Child::clone(0, work)
    }

    /// Like [`Child::fork`], with new namespaces (`CLONE_NEW*`).
    pub fn clone(namespaces: u32, work: impl FnOnce()) -> Result<Child> {
        // SAFETY: `CLONE_VM` is not set.
        match unsafe { sys::clone(namespaces & !(sys::CLONE_VM | sys::CLONE_THREAD))? } {
            0 => {
                work();
                sys::exit_group(0)
            }
            pid => Ok(Child {
                pid,
                reaped: false,
                _stack: None,
            }),
        }
    }

    /// Starts a process that shares the memory of this one and runs `work` on its own stack. With
    /// `CLONE_VFORK`, returns when it has ended or called `execve()`.
    pub fn share(flags: u32, work: impl FnOnce() + Send + 'static) -> Result<Child> {
        let stack = Mapping::new(STACK_PAGES, sys::MAP_PRIVATE)?;
        let flags = flags & sys::CLONE_VFORK | sys::SIGCHLD as u32;
        // SAFETY: The stack stays until the process has been reaped.
        let pid = unsafe { clone_on(&stack, flags, None, work)? };
        Ok(Child {
            pid,
            reaped: false,
            _stack: Some(stack),
        })
    }

    /// Waits until the process has ended, and reaps it.
    pub fn wait(mut self) -> Result<Status> {
        let status = sys::wait(self.pid, 0)?;
        self.reaped = true;
        Ok(status)
    }

    /// Waits until the process has ended, without reaping it.
    pub fn wait_unreaped(&self) -> Result<Status> {
        sys::wait(self.pid, sys::WNOWAIT)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = sys::kill(self.pid, sys::SIGKILL);
            let _ = sys::wait(self.pid, 0);
        }
    }
}

/// A thread of this process with its own stack, joined when dropped.
pub struct Thread {
    /// The thread id.
    pub tid: i32,
    // Allocated before the thread starts, freed after it has ended.
    stack: Mapping,
}

impl Thread {
    const FLAGS: u32 = sys::CLONE_FS
        | sys::CLONE_FILES
        | sys::CLONE_SIGHAND
        | sys::CLONE_THREAD
        | sys::CLONE_SYSVSEM;

    /// Starts a thread that runs `work`.
    pub fn spawn<F: FnOnce() + Send + 'static>(work: F) -> Result<Thread> {
        Thread::spawn_on(Mapping::new(STACK_PAGES, sys::MAP_PRIVATE)?, work)
    }

    /// Like [`Thread::spawn`], on the stack of a thread that has ended.
    pub fn spawn_on<F: FnOnce() + Send + 'static>(stack: Mapping, work: F) -> Result<Thread> {
        let flags = Thread::FLAGS | sys::CLONE_PARENT_SETTID | sys::CLONE_CHILD_CLEARTID;
        let mut thread = Thread { tid: 0, stack };
        // SAFETY: The stack exists until the thread has ended, see `Drop`.
        thread.tid = unsafe { clone_on(&thread.stack, flags, None, work)? };
        Ok(thread)
    }

    /// Starts a thread that runs `work` and is never joined. The kernel writes a pidfd to `place`
    /// after it has copied the task and before the thread can be found.
    pub fn spawn_unjoined<F: FnOnce() + Send + 'static>(place: usize, work: F) -> Result<i32> {
        let stack = ManuallyDrop::new(Mapping::new(STACK_PAGES, sys::MAP_PRIVATE)?);
        // SAFETY: The stack is never freed.
        unsafe { clone_on(&stack, Thread::FLAGS | sys::CLONE_PIDFD, Some(place), work) }
    }

    /// Returns the last word of the stack. The kernel clears it and wakes its futex when the thread
    /// has ended.
    fn alive(&self) -> &AtomicU32 {
        // SAFETY: This is mapped as long as `self` exists, it is aligned, and only this word is
        // there.
        unsafe { &*((self.stack.end() - size_of::<AtomicU32>()) as *const AtomicU32) }
    }

    fn wait(&self) {
        loop {
            match self.alive().load(Ordering::Acquire) {
                0 => break,
                tid => sys::futex_wait(self.alive(), tid),
            }
        }
    }

    /// Waits until the thread has ended.
    pub fn join(self) {}

    /// Waits until the thread has ended. Returns its stack.
    pub fn into_stack(self) -> Mapping {
        self.wait();
        let thread = ManuallyDrop::new(self);
        // SAFETY: The thread has ended, and its handle will not be used or dropped.
        unsafe { ptr::read(&thread.stack) }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.wait();
    }
}

/// A point where tasks of this process, and of processes forked from it, wait for each other.
///
/// It is a number that only grows: "three threads have arrived", "the parent is ready".
#[repr(transparent)]
pub struct Turnstile(AtomicU32);

// SAFETY: The same holds for the number in it.
unsafe impl crate::mem::Shareable for Turnstile {}

impl Turnstile {
    /// Creates a turnstile that nobody has passed, for the threads of one process. For several
    /// processes, use `mem::shared()`.
    pub const fn new() -> Self {
        Turnstile(AtomicU32::new(0))
    }

    /// Passes the turnstile.
    pub fn pass(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
        sys::futex_wake(&self.0);
    }

    /// Waits until it has been passed `count` times.
    pub fn wait_for(&self, count: u32) {
        loop {
            match self.0.load(Ordering::Acquire) {
                passed if passed >= count => break,
                passed => sys::futex_wait(&self.0, passed),
            }
        }
    }
}

impl Default for Turnstile {
    fn default() -> Self {
        Self::new()
    }
}

/// Becomes another user, with only the given capabilities.
pub fn become_user(uid: u32, caps: &[u32]) {
    let set = caps.iter().fold(0, |set, cap| set | 1 << cap);
    sys::prctl(sys::PR_SET_KEEPCAPS, 1).expect("prctl");
    sys::setresuid(uid).expect("setresuid");
    let caps = sys::Caps {
        effective: set,
        permitted: set,
        inheritable: 0,
    };
    sys::capset(caps).expect("capset");
}

/// Calls `call` as another user. Returns its result, which must be 0 or an error.
pub fn as_user(uid: u32, caps: &[u32], call: impl FnOnce() -> Result) -> Result {
    const OK: i32 = 200;
    let child = Child::fork(|| {
        become_user(uid, caps);
        let errno = match call() {
            Ok(value) => {
                assert_eq!(value, 0);
                OK
            }
            Err(err) => err.0,
        };
        sys::exit_group(errno)
    });
    match child.expect("fork").wait().expect("wait") {
        Status::Exited(OK) => Ok(0),
        Status::Exited(errno) => Err(sys::Errno(errno)),
        other => panic!("{other:?}"),
    }
}
