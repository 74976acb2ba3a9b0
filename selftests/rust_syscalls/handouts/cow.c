// SPDX-License-Identifier: GPL-2.0
/*
 * A process for `tester` to look at: it shares 16 pages with its parent and
 * writes to 10 of them. It prints its id and the address of the pages, and
 * waits to be killed.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "handouts.h"

#define SHARED	16
#define WRITTEN	10

int main(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	/* With a page on each side, so that it is a separate mapping. */
	char *area = mmap(NULL, (SHARED + 2) * page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	if (area == MAP_FAILED)
		fail("mmap");
	area += page;
	if (mprotect(area, SHARED * page, PROT_READ | PROT_WRITE))
		fail("mprotect");
	memset(area, 1, SHARED * page);

	switch (fork()) {
	case -1:
		fail("fork");
		break;
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < WRITTEN; i++)
			area[i * page] = 2;
		printf("%d %#lx\n", getpid(), (unsigned long)area);
		fflush(stdout);
	}
	pause();
	return 0;
}
