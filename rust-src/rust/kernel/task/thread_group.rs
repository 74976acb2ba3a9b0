// SPDX-License-Identifier: GPL-2.0

//! Thread groups: the threads of one process.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h).

use super::Task;
use crate::{
    bindings,
    container_of,
    error::to_result,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr, //
};

/// A locked thread group, see [`Task::with_thread_group`].
///
/// # Invariants
///
/// - The lock of the thread group that `member` belongs to is held.
/// - `member` has not been released. So its `signal` and `sighand` are valid, it is on the group's
///   list of threads, and so is every task that can be reached from there.
pub struct ThreadGroup<'a> {
    member: &'a Task,
    _not_send: NotThreadSafe,
}

/// A thread that belongs to a locked thread group.
///
/// References to this type exist only while the group is locked. Its methods rely on that.
///
/// # Invariants
///
/// The lock of the thread group that this task belongs to is held.
#[repr(transparent)]
pub struct Thread(Task);

/// Iterator over the threads of a locked thread group, returned by [`ThreadGroup::threads`].
///
/// # Invariants
///
/// `head` is the list head of a thread group that is locked for at least `'a`; `next` is `head` or
/// the `thread_node` of a task on that list.
pub struct Threads<'a> {
    head: *const bindings::list_head,
    next: *const bindings::list_head,
    _locked: PhantomData<&'a Thread>,
}

/// Keeps a process from changing its credentials by `execve()`, returned by [`Task::lock_exec`].
///
/// # Invariants
///
/// `exec_update_lock` of the task's `signal` is held for reading.
pub struct ExecGuard<'a> {
    task: &'a Task,
    _not_send: NotThreadSafe,
}

impl Drop for ExecGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the lock is held.
        unsafe { bindings::up_read(self.task.exec_update_lock()) };
    }
}

impl Task {
    /// Locks the process of this task against `execve()`.
    ///
    /// While the guard exists, no thread of the process gets another address space or other
    /// credentials by `execve()`. An `execve()` may still replace the thread group leader. The lock
    /// is a semaphore: this may sleep, and so may the holder. Take it before any spinlock.
    ///
    /// Fails with [`EINTR`] if the current task is being killed.
    ///
    /// # Examples
    ///
    /// ```
    /// let current = current!();
    /// let exec = current.lock_exec()?;
    /// // What is checked here stays true until the guard is dropped.
    /// let _uid = current.get_cred().euid();
    /// drop(exec);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "exec_update_lock")]
    #[inline]
    pub fn lock_exec(&self) -> Result<ExecGuard<'_>> {
        // SAFETY: `exec_update_lock()` returns a valid lock.
        to_result(unsafe { bindings::down_read_killable(self.exec_update_lock()) })?;

        // INVARIANT: The lock has just been taken.
        Ok(ExecGuard {
            task: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Returns a pointer to a valid lock.
    #[inline]
    fn exec_update_lock(&self) -> *mut bindings::rw_semaphore {
        // SAFETY: By the type invariant, `self` is a valid task. Its `signal` stays the same from
        // before the task can be found until it is freed.
        unsafe { &raw mut (*(*self.as_ptr()).signal).exec_update_lock }
    }

    /// Calls `f` with the thread group that this task belongs to, locked.
    ///
    /// Returns [`None`] if the task has been released: it was reaped, or it was the leader and
    /// another thread of the group took over its id by `execve()`. A released task has lost its id,
    /// so another lookup of the id finds its new owner, never this task.
    ///
    /// While `f` runs, no thread joins or leaves the group: `copy_process()` and `__exit_signal()`
    /// both need the lock. The threads still run, and may exit, which makes them zombies but keeps
    /// them in the group.
    ///
    /// The lock is `sighand_struct::siglock`, taken as by `spin_lock_irqsave()`: `f` must not
    /// sleep, and must not lock the group again.
    ///
    /// # Examples
    ///
    /// ```
    /// let current = current!();
    /// let (found, leader) = current
    ///     .with_thread_group(|group| {
    ///         let found = group.threads().any(|thread| thread.pid() == current.pid());
    ///         (found, group.leader().pid())
    ///     })
    ///     .ok_or(ESRCH)?;
    ///
    /// assert!(found);
    /// assert_eq!(leader, current.tgid());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "lock_task_sighand")]
    #[inline]
    pub fn with_thread_group<R>(&self, f: impl FnOnce(&ThreadGroup<'_>) -> R) -> Option<R> {
        let mut irq_flags = 0;
        // SAFETY: By the type invariant, `self` is a valid task.
        let sighand = unsafe { bindings::lock_task_sighand(self.as_ptr(), &mut irq_flags) };
        if sighand.is_null() {
            return None;
        }

        // INVARIANT: `lock_task_sighand` took the lock. A task that has a `sighand` has not been
        // released, and cannot be released without this lock.
        let result = f(&ThreadGroup {
            member: self,
            _not_send: NotThreadSafe,
        });

        // SAFETY: The lock is still held: what `f` got does not unlock it. `irq_flags` was saved
        // when it was taken.
        unsafe { bindings::unlock_task_sighand(self.as_ptr(), &mut irq_flags) };
        Some(result)
    }
}

impl ThreadGroup<'_> {
    /// Returns the thread group leader. It may have exited even if other threads are alive.
    #[inline]
    pub fn leader(&self) -> &Thread {
        // SAFETY: By the type invariant, `member` is valid. `de_thread()` may be installing another
        // leader under `tasklist_lock`; the read is volatile to correspond to `READ_ONCE()`.
        let leader = unsafe { (&raw const (*self.member.as_ptr()).group_leader).read_volatile() };

        // SAFETY: A leader leaves the group last, or when `de_thread()` releases it after
        // installing another. Both need the lock, so by the type invariant, `leader` is in the
        // group for as long as `self` is borrowed.
        unsafe { Thread::from_raw(leader) }
    }

    /// Returns the threads of the group in the order in which they joined. Some may have exited,
    /// see [`Thread::is_live`].
    #[doc(alias = "for_each_thread")]
    #[inline]
    pub fn threads(&self) -> Threads<'_> {
        // SAFETY: By the type invariant, `member` and its `signal` are valid.
        let head = unsafe { &raw const (*(*self.member.as_ptr()).signal).thread_head };

        // INVARIANT: The group is locked for as long as `self` is borrowed. `next` is the entry
        // after the head of a circular list.
        Threads {
            head,
            // SAFETY: `head` is valid, and the list does not change while the lock is held.
            next: unsafe { (*head).next },
            _locked: PhantomData,
        }
    }
}

impl<'a> Iterator for Threads<'a> {
    type Item = &'a Thread;

    #[inline]
    fn next(&mut self) -> Option<&'a Thread> {
        if ptr::eq(self.next, self.head) {
            return None;
        }

        // SAFETY: By the type invariants, `self.next` is the `thread_node` of a task.
        let task = unsafe { container_of!(self.next, bindings::task_struct, thread_node) };

        // INVARIANT: The list is circular: the entry after a node is another node or the head.
        // SAFETY: The node is valid, and the list does not change while the lock is held.
        self.next = unsafe { (*self.next).next };

        // SAFETY: The task is in a group that is locked for at least `'a`.
        Some(unsafe { Thread::from_raw(task) })
    }
}

impl Thread {
    /// Creates a reference to a [`Thread`] from a valid pointer.
    ///
    /// # Safety
    ///
    /// For the lifetime `'a`, `task` must be in a thread group that is locked.
    #[inline]
    unsafe fn from_raw<'a>(task: *const bindings::task_struct) -> &'a Thread {
        // INVARIANT: The safety requirements guarantee that the group is locked.
        // SAFETY: A task that is in its thread group is valid and refcounted.
        // CAST: `Thread` and `Task` are transparent wrappers around `task_struct`.
        unsafe { &*task.cast() }
    }

    /// Determines whether the thread has not exited yet.
    ///
    /// A live thread may exit at any time, even while the group is locked. A dead one stays dead.
    #[inline]
    pub fn is_live(&self) -> bool {
        // SAFETY: By the type invariant, the task is valid. The state is written under
        // `tasklist_lock`; the read is volatile to correspond to `READ_ONCE()`.
        unsafe { (&raw const (*self.as_ptr()).exit_state).read_volatile() == 0 }
    }

    /// Sets or clears the vCPU mark of the thread.
    ///
    /// Threads that it creates from now on inherit the mark, since they do so under the lock that
    /// is held here. A reader without the lock, like [`Task::is_vcpu`], sees the new mark at the
    /// latest once it has seen the group unlocked. The mark orders nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_MAKE_VCPU)]
    /// # {
    /// let current = current!();
    /// let mark = |vcpu| {
    ///     current.with_thread_group(|group| {
    ///         for thread in group.threads() {
    ///             thread.set_vcpu(vcpu);
    ///         }
    ///     })
    /// };
    ///
    /// mark(true).ok_or(ESRCH)?;
    /// assert!(current.is_vcpu());
    /// # mark(false).ok_or(ESRCH)?;
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[cfg(CONFIG_MAKE_VCPU)]
    #[inline]
    pub fn set_vcpu(&self, vcpu: bool) {
        // SAFETY: By the type invariant, the task is valid. Others read the mark without the lock,
        // and `execve()` clears it when only one thread is left; the write is volatile to
        // correspond to `WRITE_ONCE()`.
        unsafe { (&raw mut (*self.as_ptr()).is_vcpu).write_volatile(vcpu.into()) };
    }
}

impl Deref for Thread {
    type Target = Task;

    #[inline]
    fn deref(&self) -> &Task {
        &self.0
    }
}
