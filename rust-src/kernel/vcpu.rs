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
        ThreadGroupGuard, //
    }, //
};

/// Marks every thread of a process as a vCPU.
///
/// `pid` is the id of any of its threads in the caller's pid namespace, or 0 for the caller's own
/// process. When the call returns 0, no live thread of the process is unmarked, and no thread that
/// it creates later starts unmarked. Threads that have exited are left alone; a process that has
/// no others stays as it is.
///
/// Returns 0, or one of these, and then nothing has been marked:
///
/// - `EINVAL`: `pid` is negative, or it belongs to a kernel thread.
/// - `ESRCH`: there is no such thread.
/// - `EINTR`: the caller is being killed.
/// - `EPERM`: the caller may not change how that thread is scheduled, see [`may_mark`].
#[syscall]
fn make_vcpu(pid: Pid) -> Result {
    if pid < 0 {
        return Err(EINVAL);
    }

    let marked = loop {
        let task = find(pid).ok_or(ESRCH)?;
        // What is allowed now is not allowed any more after an exec.
        let _exec = task.lock_exec()?;
        may_mark(&task)?;

        // A task that has been released has lost its id. When that happened by another thread's
        // `execve()`, the process lives on, and `pid` now belongs to that thread: look again.
        if let Some(group) = task.lock_thread_group() {
            break Marked::mark(&group);
        };
    };

    marked.log();
    Ok(())
}

/// Finds the thread that the caller means by `pid`.
fn find(pid: Pid) -> Option<ARef<Task>> {
    if pid == 0 {
        Some(ARef::from(&**current!()))
    } else {
        Task::find_by_vpid(pid)
    }
}

/// Asks whether the caller may mark the process of `task`. The rules are those of
/// `sched_setaffinity()`.
///
/// The answer is about the credentials that `task` has at this moment, for all threads of its
/// process. A thread can have others of its own. When `task` changes its credentials by itself, by
/// `setuid()`, before it is marked, that comes too late.
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

    // Each LSM has an errno of its own for a refusal. To the caller it is one and the same.
    security::task_setscheduler(task).map_err(|_| EPERM)
}

/// How many threads the log lists one by one.
const LISTED_MAX: usize = 64;

/// What has been marked, for the log. All ids are those of the init pid namespace.
struct Marked {
    process: Pid,
    name: Comm,
    threads: usize,
    /// The ids of the first threads; what is behind the first `threads` is meaningless.
    listed: [Pid; LISTED_MAX],
}

impl Marked {
    /// Marks the live threads of `group`.
    fn mark(group: &ThreadGroupGuard<'_>) -> Self {
        let mut threads = 0;
        let mut listed = [0; LISTED_MAX];
        for thread in group.threads().filter(|thread| thread.is_live()) {
            thread.set_vcpu(true);

            if let Some(listed) = listed.get_mut(threads) {
                *listed = thread.pid();
            }
            threads += 1;
        }

        let leader = group.leader();
        Self {
            process: leader.tgid(),
            name: leader.comm(),
            threads,
            listed,
        }
    }

    /// Logs the whole call, or nothing when users have logged too much of late.
    fn log(&self) {
        /// The longest first line, with two names all of which has to be escaped.
        const PROCESS_MAX: usize = 200;
        /// The longest other line.
        const THREAD_MAX: usize = 60;

        if !user_may_log(PROCESS_MAX + (self.threads.min(LISTED_MAX) + 1) * THREAD_MAX) {
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
        for thread in self.listed.iter().take(self.threads) {
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

// A kernel thread runs these: the one kind of process that the system call refuses to mark.
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
        let group = current.lock_thread_group().ok_or(ESRCH)?;

        let marked = Marked::mark(&group);
        let is_vcpu = current.is_vcpu();
        group.threads().for_each(|thread| thread.set_vcpu(false));
        drop(group);

        assert!(is_vcpu);
        assert!(!current.is_vcpu());
        assert_eq!(marked.process, current.tgid());
        assert_eq!(marked.name.to_bytes(), current.comm().to_bytes());
        assert_eq!(marked.threads, 1);
        assert_eq!(marked.listed[0], current.pid());
        Ok(())
    }
}
