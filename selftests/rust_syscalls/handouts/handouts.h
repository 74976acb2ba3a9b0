/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the handouts' programs share: how they end when something is wrong.
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

/* What failed, and why: errno. */
static inline void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/*
 * Whether the calls have the handouts' numbers. Otherwise these belong to other
 * calls, which one had better not make: ask by a call that does nothing, whichever
 * of the two it is, and fails differently.
 */
static inline int have_numbers(void)
{
#ifdef __x86_64__
	/* xxxhal() cannot read there; to pkey_mprotect() that is no page's address. */
	return syscall(329, 1, 0, 0, 0) == -1 && errno == EFAULT;
#else
	/*
	 * pf_get_info() has nowhere to write to, or nothing to say. rseq() cannot
	 * write there, or does not exist. But first it objects to a second area in
	 * a process for which libc has registered one: a child by vfork() has none.
	 */
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		syscall(386, -4096L, 32, NULL, 0);
		_exit(errno != EINVAL && errno != EACCES);
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
