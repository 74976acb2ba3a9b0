// SPDX-License-Identifier: GPL-2.0
/*
 * Like hello.c, but it reports errors and then exits with status 1.
 */
#include "handouts.h"

int main(void)
{
	/* No other call has this number. */
	long ret = syscall(548, 42);

	if (ret == -1)
		fail("sys_hello (is CONFIG_HELLO_SYSCALLS on?)");
	printf("System call sys_hello returned %ld\n", ret);
	return 0;
}
