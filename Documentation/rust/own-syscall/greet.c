// SPDX-License-Identifier: GPL-2.0
/* Calls greet() and prints what it says. */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_greet
#define __NR_greet 554
#endif

int main(void)
{
	char buf[32];
	long len = syscall(__NR_greet, buf, sizeof(buf));

	if (len < 0) {
		perror("greet");
		return 1;
	}
	printf("%.*s\n", (int)len, buf);
	return 0;
}
