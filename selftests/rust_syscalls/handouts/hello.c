// SPDX-License-Identifier: GPL-2.0
/*
 * From the handout about a new system call in Linux 5.18: makes the call with
 * number 548, and prints what syscall() returned. Like the handout's program,
 * it always exits with status 0; hello_checked.c does not.
 */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("System call sys_hello returned %ld\n", syscall(548, 42));
	return 0;
}
