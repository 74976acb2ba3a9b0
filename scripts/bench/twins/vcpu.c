// SPDX-License-Identifier: GPL-2.0
/*
 * kernel/vcpu.rs in C, for `make bench`: what a C system call would cost.
 */

#include <linux/cred.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/security.h>
#include <linux/syscalls.h>

#define LISTED_MAX 64

/* hello.c */
bool user_may_log(size_t bytes);

static int may_mark(struct task_struct *task)
{
	const struct cred *cred;
	bool may;

	if (task->flags & PF_KTHREAD)
		return -EINVAL;

	cred = get_task_cred(task);
	may = uid_eq(current_euid(), cred->euid) || uid_eq(current_euid(), cred->uid) ||
	      ns_capable(cred->user_ns, CAP_SYS_NICE);
	put_cred(cred);

	return may && !security_task_setscheduler(task) ? 0 : -EPERM;
}

SYSCALL_DEFINE1(make_vcpu, pid_t, pid)
{
	char name[TASK_COMM_LEN], caller[TASK_COMM_LEN];
	struct task_struct *task, *thread;
	pid_t listed[LISTED_MAX], process;
	size_t threads = 0, i;
	unsigned long flags;
	struct rw_semaphore *exec;
	int err;

	if (pid < 0)
		return -EINVAL;

	for (;;) {
		task = pid ? find_get_task_by_vpid(pid) : get_task_struct(current);
		if (!task)
			return -ESRCH;

		exec = &task->signal->exec_update_lock;
		err = down_read_killable(exec);
		if (!err) {
			err = may_mark(task);
			if (!err && lock_task_sighand(task, &flags))
				break;
			up_read(exec);
		}
		put_task_struct(task);
		if (err)
			return err;
	}

	__for_each_thread(task->signal, thread) {
		if (READ_ONCE(thread->exit_state))
			continue;
		WRITE_ONCE(thread->is_vcpu, 1);

		if (threads < LISTED_MAX)
			listed[threads] = task_pid_nr(thread);
		threads++;
	}
	process = task_tgid_nr(task->group_leader);
	get_task_comm(name, task->group_leader);
	unlock_task_sighand(task, &flags);
	up_read(exec);
	put_task_struct(task);

	if (!user_may_log(200 + 60 * (min(threads, LISTED_MAX) + 1)))
		return 0;

	get_task_comm(caller, current);
	printk(KERN_INFO "make_vcpu: process %d (%*pE), called by %d (%*pE)\n", process,
	       (int)strlen(name), name, task_pid_nr(current), (int)strlen(caller), caller);
	for (i = 0; i < min(threads, LISTED_MAX); i++)
		printk(KERN_INFO "make_vcpu: thread %d marked\n", listed[i]);
	printk(KERN_INFO "make_vcpu: %zu threads of process %d marked\n", threads, process);
	return 0;
}
