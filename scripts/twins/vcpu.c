// SPDX-License-Identifier: GPL-2.0
/*
 * kernel/vcpu.rs in C, for `make bench`: what a C system call would cost.
 */

#include <linux/cred.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/security.h>
#include <linux/syscalls.h>

#define LISTED_MAX 64

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
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 500);
	char name[TASK_COMM_LEN], caller[TASK_COMM_LEN];
	struct task_struct *task, *thread;
	pid_t listed[LISTED_MAX], process;
	size_t threads = 0, i;
	unsigned long flags;
	int err;

	if (pid < 0)
		return -EINVAL;

	for (;;) {
		task = pid ? find_get_task_by_vpid(pid) : get_task_struct(current);
		if (!task)
			return -ESRCH;

		err = may_mark(task);
		if (!err && lock_task_sighand(task, &flags))
			break;
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
	put_task_struct(task);

	if (!__ratelimit(&limit))
		return 0;

	get_task_comm(caller, current);
	printk(KERN_INFO "make_vcpu: process %d (%*pE), called by %d (%*pE)\n", process,
	       (int)strlen(name), name, task_pid_nr(current), (int)strlen(caller), caller);
	for (i = 0; i < min(threads, LISTED_MAX); i++)
		printk(KERN_INFO "make_vcpu: thread %d marked\n", listed[i]);
	printk(KERN_INFO "make_vcpu: %zu threads of process %d marked\n", threads, process);
	return 0;
}
