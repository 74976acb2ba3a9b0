// SPDX-License-Identifier: GPL-2.0
/*
 * From the handout about make_vcpu(), TP4: a process with threads marks them
 * all.
 *
 * To see what the kernel logs: dmesg | grep make_vcpu
 */
#define _GNU_SOURCE

#include <pthread.h>

#include "handouts.h"

#ifndef __x86_64__
#error "Compile it for x86-64: on i386, 333 is preadv()"
#endif

#define THREADS 4

static pid_t tids[THREADS];
/* Waited for twice: when all have started, and when they may end. */
static pthread_barrier_t barrier;

static void *thread(void *tid)
{
	*(pid_t *)tid = gettid();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* Prints the line of /proc/<pid>/status that shows the mark. */
static void show_mark(pid_t tid)
{
	char path[64], line[128];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	status = fopen(path, "r");
	if (!status)
		fail(path);
	while (fgets(line, sizeof(line), status))
		if (!strncmp(line, "Vcpu:", 5))
			printf("thread %d: %s", tid, line);
	fclose(status);
}

int main(void)
{
	pthread_t threads[THREADS];
	int i;

	need_numbers();

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++) {
		errno = pthread_create(&threads[i], NULL, thread, &tids[i]);
		if (errno)
			fail("pthread_create");
	}
	pthread_barrier_wait(&barrier);

	if (syscall(333, getpid()) == -1)
		fail("make_vcpu");
	printf("make_vcpu(%d) returned 0\n", getpid());

	show_mark(getpid());
	for (i = 0; i < THREADS; i++)
		show_mark(tids[i]);

	pthread_barrier_wait(&barrier);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
