// SPDX-License-Identifier: GPL-2.0
/*
 * exec N: executes itself N times, one after another, each time with a thread,
 * and prints what became of libc's registration of restartable sequences.
 */
#include <pthread.h>
#include <sys/rseq.h>

#include "handouts.h"

static void *thread(void *arg)
{
	return arg;
}

/* The area that libc asks the kernel to write to. */
static int cpu_id(void)
{
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	return __atomic_load_n(&area->cpu_id, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	int left = argc > 1 ? atoi(argv[1]) : 0;
	pthread_t id;

	errno = pthread_create(&id, NULL, thread, NULL);
	if (errno)
		fail("pthread_create");
	pthread_join(id, NULL);

	if (left > 0) {
		char buf[16];

		snprintf(buf, sizeof(buf), "%d", left - 1);
		execl("/proc/self/exe", argv[0], buf, NULL);
		fail("execl");
	}

	switch (cpu_id()) {
	case RSEQ_CPU_ID_UNINITIALIZED:
		printf("rseq: not tried\n");
		break;
	case RSEQ_CPU_ID_REGISTRATION_FAILED:
		printf("rseq: failed\n");
		break;
	default:
		printf("rseq: registered\n");
	}
	return 0;
}
