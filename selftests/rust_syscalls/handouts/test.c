// SPDX-License-Identifier: GPL-2.0
/*
 * From the handout about xxxhal(): passes a string to the kernel log. Like the
 * handout's program, it makes whichever call has number 329 and exits with what
 * syscall() returned. After an error, that is -1, which becomes status 255.
 * test_checked.c does neither.
 */
#include <stdio.h>
#include <unistd.h>

#ifndef __x86_64__
#error "Compile it for x86-64: on i386, 329 is epoll_create1()"
#endif

int main(int argc, char **argv)
{
	long ret = -1;

	if (argc > 1) {
		printf("Making system call with \"%s\".\n", argv[1]);
		ret = syscall(329, argv[1]);
		printf("System call returned %ld.\n", ret);
	} else {
		printf("Must provide a string to give to system call.\n");
	}
	return ret;
}
