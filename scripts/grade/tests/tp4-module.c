// SPDX-License-Identifier: GPL-2.0
/*
 * Write a thread's id to /proc/grade, and read how many refer to its task, and the
 * values of the members of struct task_struct that members.h lists: those that a
 * submission has added.
 */
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

static int tid;

static ssize_t mark_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	int ret = kstrtoint_from_user(buf, len, 10, &tid);

	return ret ?: len;
}

static ssize_t mark_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct task_struct *task;
	char text[600];
	int n;

	rcu_read_lock();
	task = pid_task(find_vpid(tid), PIDTYPE_PID);
	if (!task) {
		rcu_read_unlock();
		return -ESRCH;
	}
	n = scnprintf(text, sizeof(text), "%d", refcount_read(&task->usage));
#define MEMBER(name) n += scnprintf(text + n, sizeof(text) - n, " %ld", (long)task->name);
#include "members.h"
	rcu_read_unlock();
	return simple_read_from_buffer(buf, len, pos, text, n);
}

static const struct proc_ops mark_ops = {
	.proc_read = mark_read,
	.proc_write = mark_write,
	.proc_lseek = default_llseek,
};

static int __init mark_init(void)
{
	return proc_create("grade", 0600, NULL, &mark_ops) ? 0 : -ENOMEM;
}
module_init(mark_init);

static void __exit mark_exit(void)
{
	remove_proc_entry("grade", NULL);
}
module_exit(mark_exit);

MODULE_DESCRIPTION("Reads what make_vcpu marks");
MODULE_LICENSE("GPL");
