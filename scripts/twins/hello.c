// SPDX-License-Identifier: GPL-2.0
/*
 * kernel/hello.rs in C, for `make bench`: what a C system call would cost.
 */

#include <linux/ratelimit.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

#define MESSAGE_MAX 256

SYSCALL_DEFINE1(hello, unsigned long, i)
{
	static DEFINE_RATELIMIT_STATE(limit, HZ, 300);

	if (__ratelimit(&limit))
		printk(KERN_ALERT "Hello World, i'm sys_hello with arg: %ld\n", (long)i);
	return 0;
}

SYSCALL_DEFINE1(xxxhal, const char __user *, msg)
{
	static DEFINE_RATELIMIT_STATE(limit, HZ, 300);
	char buf[MESSAGE_MAX + 1];
	long len;

	len = strncpy_from_user(buf, msg, MESSAGE_MAX);
	if (len < 0)
		return len;
	if (len == MESSAGE_MAX)
		return -EFAULT;

	if (__ratelimit(&limit))
		printk(KERN_INFO "xxxhal syscall called with \"%*pE\"\n", (int)len, buf);
	return 0;
}
