// SPDX-License-Identifier: GPL-2.0
/*
 * Like test.c, but it first checks that 329 is xxxhal(). It reports errors and
 * then exits with status 1.
 */
#include "handouts.h"

#ifndef __x86_64__
#error "Compile it for x86-64: on i386, 329 is epoll_create1()"
#endif

int main(int argc, char **argv)
{
	long ret;

	if (argc < 2) {
		printf("Must provide a string to give to system call.\n");
		return -1;
	}
	need_numbers();

	printf("Making system call with \"%s\".\n", argv[1]);
	fflush(stdout);
	ret = syscall(329, argv[1]);
	if (ret == -1)
		fail("xxxhal");
	printf("System call returned %ld.\n", ret);
	return 0;
}
