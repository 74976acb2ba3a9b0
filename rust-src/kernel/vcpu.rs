// SPDX-License-Identifier: GPL-2.0

//! The system call that marks all threads of a process as vCPUs.
//!
//! C header: [`include/linux/vcpu.h`](srctree/include/linux/vcpu.h) has the rules of the mark.
//!
//! Documentation: Documentation/userspace-api/make_vcpu.rst

use kernel::{
    cred::CAP_SYS_NICE,
    prelude::*,
    printk,
    ratelimit::user_may_log,
    security,
    str::Escaped,
    sync::aref::ARef,
    task::{
        Comm,
        Kuid,
        Pid,
        Task,
        ThreadGroup, //
    }, //
};

use core::{
    mem::MaybeUninit,
    ptr, //
};

/// Marks all threads of a process as vCPUs.
///
/// `pid` is the id of any of its threads in the caller's pid namespace, or 0 for the caller's own
/// process. When the call returns 0, no live thread of the process is unmarked, and no thread that
/// it creates later starts unmarked. Threads that have exited are left alone; a process that has no
/// other threads does not change.
///
/// Returns 0 or one of these errors, in which case nothing has been marked:
///
/// - `EINVAL`: `pid` is negative, or is the id of a kernel thread.
/// - `ESRCH`: there is no such thread.
/// - `EINTR`: the caller is being killed.
/// - `EPERM`: the caller may not change how that thread is scheduled, see [`may_mark`].
#[syscall]
fn make_vcpu(pid: Pid) -> Result {
    if pid < 0 {
        return Err(EINVAL);
    }

    // Left uninitialized: most processes have few threads.
    let mut listed = [MaybeUninit::uninit(); LISTED_MAX];
    let marked = loop {
        let task = find(pid).ok_or(ESRCH)?;
        // Permission that is checked now would no longer hold after an exec.
        let _exec = task.lock_exec()?;
        may_mark(&task)?;

        // A task that was released has lost its id. If another thread's `execve()` released it, the
        // process lives on and `pid` now belongs to that thread: look again.
        if let Some(marked) = task.with_thread_group(|group| Marked::mark(group, &mut listed)) {
            break marked;
        };
    };

    marked.log();
    Ok(())
}

/// Finds the thread that `pid` refers to.
fn find(pid: Pid) -> Option<ARef<Task>> {
    if pid == 0 {
        Some(ARef::from(&**current!()))
    } else {
        Task::find_by_vpid(pid)
    }
}

/// Checks whether the caller may mark the process of `task`, by the rules of `sched_setaffinity()`.
///
/// This checks the current credentials of `task`, on behalf of all threads of its process, although
/// a thread can have different ones. If `task` itself changes them with `setuid()` before it is
/// marked, that comes too late.
fn may_mark(task: &Task) -> Result {
    if task.is_kthread() {
        return Err(EINVAL);
    }

    let cred = task.get_cred();
    let euid = Kuid::current_euid();
    let same_owner = euid == cred.euid() || euid == cred.uid();
    if !same_owner && !cred.current_ns_capable(CAP_SYS_NICE) {
        return Err(EPERM);
    }

    // LSMs refuse with various errnos. The caller always gets the same one.
    security::task_setscheduler(task).map_err(|_| EPERM)
}

/// How many threads the log lists individually.
const LISTED_MAX: usize = 64;

/// What was marked, for the log. All ids are those in the init pid namespace.
struct Marked<'a> {
    process: Pid,
    name: Comm,
    threads: usize,
    /// The ids of the first threads.
    listed: &'a [Pid],
}

impl<'a> Marked<'a> {
    /// Marks the live threads of `group`, and stores the ids of the first ones in `list`.
    fn mark(group: &ThreadGroup<'_>, list: &'a mut [MaybeUninit<Pid>]) -> Self {
        let mut threads = 0;
        for thread in group.threads().filter(|thread| thread.is_live()) {
            thread.set_vcpu(true);

            if let Some(listed) = list.get_mut(threads) {
                listed.write(thread.pid());
            }
            threads += 1;
        }

        let listed = &list[..threads.min(list.len())];
        let leader = group.leader();
        Self {
            process: leader.tgid(),
            name: leader.comm(),
            threads,
            // SAFETY: The loop has written these. `MaybeUninit<Pid>` has the layout of `Pid`.
            listed: unsafe { &*(ptr::from_ref(listed) as *const [Pid]) },
        }
    }

    /// Logs all lines of the call, or nothing if users have logged too much recently.
    fn log(&self) {
        /// The maximum length of the first line, in which both names may have to be escaped
        /// entirely.
        const PROCESS_MAX: usize = 200;
        /// The maximum length of each other line.
        const THREAD_MAX: usize = 60;

        if !user_may_log(PROCESS_MAX + (self.listed.len() + 1) * THREAD_MAX) {
            return;
        }

        let caller = current!();
        printk!(
            Info,
            "make_vcpu: process {} ({}), called by {} ({})\n",
            self.process,
            Escaped::new(self.name.to_bytes()),
            caller.pid(),
            Escaped::new(caller.comm().to_bytes())
        );
        for thread in self.listed {
            printk!(Info, "make_vcpu: thread {thread} marked\n");
        }
        printk!(
            Info,
            "make_vcpu: {} threads of process {} marked\n",
            self.threads,
            self.process
        );
    }
}

// These run in a kernel thread, the one kind of process that the system call refuses to mark.
#[kunit_tests(rust_make_vcpu)]
mod tests {
    use super::*;

    #[test]
    fn rejects_negative_ids() {
        assert_eq!(make_vcpu(-1), Err(EINVAL));
        assert_eq!(make_vcpu(Pid::MIN), Err(EINVAL));
    }

    #[test]
    fn finds_no_thread_beyond_the_last_id() {
        assert_eq!(make_vcpu(Pid::MAX), Err(ESRCH));
    }

    #[test]
    fn rejects_kernel_threads() {
        assert_eq!(make_vcpu(0), Err(EINVAL));
        assert_eq!(make_vcpu(current!().pid()), Err(EINVAL));
        assert!(!current!().is_vcpu());
    }

    #[test]
    fn marks_and_counts_live_threads() -> Result {
        let current = current!();
        let mut listed = [MaybeUninit::uninit(); 1];
        let (marked, is_vcpu) = current
            .with_thread_group(|group| {
                let marked = Marked::mark(group, &mut listed);
                let is_vcpu = current.is_vcpu();
                group.threads().for_each(|thread| thread.set_vcpu(false));
                (marked, is_vcpu)
            })
            .ok_or(ESRCH)?;

        assert!(is_vcpu);
        assert!(!current.is_vcpu());
        assert_eq!(marked.process, current.tgid());
        assert_eq!(marked.name.to_bytes(), current.comm().to_bytes());
        assert_eq!(marked.threads, 1);
        assert_eq!(marked.listed, [current.pid()]);
        Ok(())
    }
}
