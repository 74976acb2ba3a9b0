// SPDX-License-Identifier: GPL-2.0
/*
 * kernel/hello.rs in C, for `make bench`: what a C system call would cost.
 */

#include <linux/capability.h>
#include <linux/syscalls.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#define MESSAGE_MAX 256
#define LINE_MAX 1000
#define NOTE_MAX 40
#define PREFIX "xxxhal syscall called with \""

/* rust/kernel/ratelimit.rs */
bool user_may_log(size_t bytes);
bool user_may_log(size_t bytes)
{
	const u64 time = NSEC_PER_SEC / SZ_2K;
	static atomic64_t full_at;
	static atomic_t refused;
	u64 now, new;
	s64 old;
	int n;

	if (has_capability_noaudit(current, CAP_SYSLOG))
		return true;

	now = ktime_get();
	old = atomic64_read(&full_at);
	do {
		new = max((u64)old, now) + (bytes + NOTE_MAX) * time;
		if (new > now + SZ_16K * time) {
			atomic_inc(&refused);
			return false;
		}
	} while (!atomic64_try_cmpxchg_relaxed(&full_at, &old, new));

	n = atomic_read(&refused) ? atomic_xchg(&refused, 0) : 0;
	if (n)
		printk(KERN_NOTICE "%d calls were not logged\n", n);
	return true;
}

SYSCALL_DEFINE1(hello, unsigned long, i)
{
	if (user_may_log(60))
		printk(KERN_ALERT "Hello World, i'm sys_hello with arg: %ld\n", (long)i);
	return 0;
}

SYSCALL_DEFINE1(xxxhal, const char __user *, msg)
{
	char buf[MESSAGE_MAX + 1];
	long len;

	len = strncpy_from_user(buf, msg, MESSAGE_MAX);
	if (len < 0)
		return len;
	if (len == MESSAGE_MAX)
		return -EFAULT;

	if (user_may_log(min(sizeof(PREFIX) - 1 + 4 * len, LINE_MAX)))
		printk(KERN_INFO PREFIX "%*pE\"\n", (int)len, buf);
	return 0;
}
