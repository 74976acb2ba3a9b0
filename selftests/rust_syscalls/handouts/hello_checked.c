// SPDX-License-Identifier: GPL-2.0
/*
 * hello.c, but it names an error, and ends with status 1 then.
 */
#include "handouts.h"

int main(void)
{
	/* A number that no other call has. */
	long ret = syscall(548, 42);

	if (ret == -1)
		fail("sys_hello (is CONFIG_HELLO_SYSCALLS on?)");
	printf("System call sys_hello returned %ld\n", ret);
	return 0;
}
