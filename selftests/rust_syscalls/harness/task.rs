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

/// Pages of a stack.
const STACK_PAGES: usize = 8;

/// Clones a task that shares this one's memory (`CLONE_VM`), and runs `work` on a stack of its own;
/// its id. The word at `place`, or else the last one of the stack, is what `CLONE_PARENT_SETTID`
/// and its like are about.
///
/// # Safety
///
/// Nobody uses the stack until the task has ended.
unsafe fn clone_on<F: FnOnce() + Send + 'static>(
    stack: &Mapping,
    flags: u32,
    place: Option<usize>,
    work: F,
) -> Result<i32> {
    extern "C" fn run<F: FnOnce()>(work: *mut F) -> ! {
        // SAFETY: It has been put there for this call alone.
        (unsafe { ptr::read(work) })();
        sys::exit(0)
    }
    extern "C" {
        fn thread_clone(flags: u32, stack: usize, tid: usize) -> isize;
    }

    // `work` lies on the stack from the beginning.
    let word = stack.end() - size_of::<AtomicU32>();
    let work_at = (word - size_of::<F>()) & !63;
    assert!(work_at > stack.start() + 2 * sys::PAGE_SIZE && align_of::<F>() <= 64);
    // SAFETY: The place is aligned, big enough, and nobody else's.
    unsafe { ptr::write(work_at as *mut F, work) };

    // What `thread_clone` finds on the new stack: a function, and on what has to be a multiple of
    // 16 when that is called, its argument.
    let top = work_at - 16 - size_of::<usize>();
    let words = [run::<F> as *const () as usize, work_at];
    // SAFETY: It lies below `work`, in memory that nobody else uses.
    unsafe { ptr::write(top as *mut [usize; 2], words) };

    // SAFETY: The task gets a stack prepared for it, which the caller leaves to it.
    let id = unsafe { thread_clone(flags | sys::CLONE_VM, top, place.unwrap_or(word)) };
    sys::check(id).map(|id| id as i32)
}

/// A forked process, killed and reaped when dropped.
pub struct Child {
    /// Its process id, as its parent sees it.
    pub pid: i32,
    reaped: bool,
    // Where it runs in our memory, if it does. Gone after it.
    _stack: Option<Mapping>,
}

impl Child {
    /// Forks a process that runs `work` and ends with the status 0.
    ///
    /// An expectation that fails in it is a failure of the test.
    pub fn fork(work: impl FnOnce()) -> Result<Child> {
        Child::clone(0, work)
    }

    /// As [`Child::fork`], with new namespaces (`CLONE_NEW*`).
    pub fn clone(namespaces: u32, work: impl FnOnce()) -> Result<Child> {
        // SAFETY: Without `CLONE_VM`.
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

    /// Starts a process that shares the memory of this one and runs `work` on a stack of its own.
    /// With `CLONE_VFORK`, returns when it has ended or become another program.
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

    /// Waits until it has ended, and reaps it.
    pub fn wait(mut self) -> Result<Status> {
        let status = sys::wait(self.pid, 0)?;
        self.reaped = true;
        Ok(status)
    }

    /// Waits until it has ended, and leaves it unreaped.
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

/// A thread of this process on a stack of its own, joined when dropped.
pub struct Thread {
    /// Its thread id.
    pub tid: i32,
    // Made before the thread, gone after it.
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

    /// As [`Thread::spawn`], on the stack of one that has ended.
    pub fn spawn_on<F: FnOnce() + Send + 'static>(stack: Mapping, work: F) -> Result<Thread> {
        let flags = Thread::FLAGS | sys::CLONE_PARENT_SETTID | sys::CLONE_CHILD_CLEARTID;
        let mut thread = Thread { tid: 0, stack };
        // SAFETY: The stack is there until the thread has ended, see `Drop`.
        thread.tid = unsafe { clone_on(&thread.stack, flags, None, work)? };
        Ok(thread)
    }

    /// Starts a thread that runs `work`, and that nobody waits for. The kernel writes a pidfd to
    /// `place` after it has copied the task and before the thread can be found.
    pub fn spawn_unjoined<F: FnOnce() + Send + 'static>(place: usize, work: F) -> Result<i32> {
        let stack = ManuallyDrop::new(Mapping::new(STACK_PAGES, sys::MAP_PRIVATE)?);
        // SAFETY: The stack stays for ever.
        unsafe { clone_on(&stack, Thread::FLAGS | sys::CLONE_PIDFD, Some(place), work) }
    }

    /// The last word of the stack: the kernel clears it, and wakes its futex, when the thread has
    /// ended.
    fn alive(&self) -> &AtomicU32 {
        // SAFETY: Mapped as long as `self`, aligned, and nothing but this word is there.
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

    /// Waits until the thread has ended; its stack.
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

/// A place where tasks of this process, and of those that it forks, wait for each other.
///
/// It is a number that only grows: "three threads have arrived", "the parent is ready".
#[repr(transparent)]
pub struct Turnstile(AtomicU32);

// SAFETY: As for the number in it.
unsafe impl crate::mem::Shareable for Turnstile {}

impl Turnstile {
    /// A turnstile that nobody has passed, for the threads of one process; `mem::shared()` makes
    /// one for several.
    pub const fn new() -> Self {
        Turnstile(AtomicU32::new(0))
    }

    /// Passes it.
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

/// Becomes another user who has no capabilities but those given.
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

/// Makes a call that returns 0, or an error, as another user; what it returns.
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
