/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the handouts' programs: how to exit when something is wrong.
 */
#ifndef HANDOUTS_H
#define HANDOUTS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Prints what failed and why, according to errno, and exits. */
static inline void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/*
 * Returns whether the calls have the handouts' numbers. If not, the numbers
 * belong to other calls, which must not be made by mistake. This makes a call
 * that does nothing, whichever of two calls it is, and tells them apart by
 * their errors.
 */
static inline int have_numbers(void)
{
#ifdef __x86_64__
	/* xxxhal() cannot read here; for pkey_mprotect(), it is not page-aligned. */
	return syscall(329, 1, 0, 0, 0) == -1 && errno == EFAULT;
#else
	/*
	 * pf_get_info() is not permitted, or has nowhere to write to, or nothing to
	 * report. rseq() cannot write there, or does not exist. But rseq() first
	 * refuses a second area in a process for which libc has registered one, so
	 * this runs in a vfork() child, which has none.
	 */
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		syscall(386, -4096L, 32, NULL, 0);
		_exit(errno != EINVAL && errno != EACCES && errno != EPERM);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
#endif
}

static inline void need_numbers(void)
{
	if (have_numbers())
		return;
	fprintf(stderr, "Not the handout's number: turn on CONFIG_X86_HANDOUT_SYSCALL_NRS\n");
	exit(EXIT_FAILURE);
}

#endif /* HANDOUTS_H */
