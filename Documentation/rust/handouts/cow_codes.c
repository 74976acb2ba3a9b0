// SPDX-License-Identifier: GPL-2.0
/*
 * Write to pages in five ways. For each, show how many faults had the error code
 * of a write to a page that is there, which is what a page-fault handler can count,
 * and how many pages were copied, which is what pf_get_info() counts.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __NR_pf_set_param
#define __NR_pf_set_param 550
#define __NR_pf_get_info 551
#endif

#define NAME "cow_codes"
#define PAGES 100
#define TRACING "/sys/kernel/tracing/"

/* As in <linux/pf_stat.h> */
#define MAX_SIZE 128
struct pf_stat {
	int nb_vma;
	long cow_page_faults;
	long vma_fault[MAX_SIZE];
	unsigned long vma_list_start[MAX_SIZE];
	unsigned long vma_list_end[MAX_SIZE];
};

static char *mem;
static size_t page, size;

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	check(!file || fputs(text, file) < 0 || fclose(file), path);
}

/* How many pages of the mapping have been copied */
static long copied(void)
{
	static struct pf_stat pf;
	int i;

	check(syscall(__NR_pf_get_info, NAME, strlen(NAME), &pf), "pf_get_info");
	for (i = 0; i < pf.nb_vma; i++)
		if ((unsigned long)mem >= pf.vma_list_start[i] &&
		    (unsigned long)mem < pf.vma_list_end[i])
			return pf.vma_fault[i];
	return 0;
}

/* How many of the events that were traced have that error code */
static int with_code(const char *code)
{
	FILE *trace = fopen(TRACING "trace", "r");
	char line[256];
	int n = 0;

	check(!trace, TRACING "trace");
	while (fgets(line, sizeof(line), trace))
		n += !!strstr(line, code);
	fclose(trace);
	return n;
}

static void write_all(void)
{
	size_t i;

	for (i = 0; i < size; i += page)
		mem[i] = 1;
}

static void read_all(void)
{
	check(!!memchr(mem, 1, size), "memchr");
}

static void nothing(void)
{
}

static void in_child(void (*work)(void))
{
	pid_t pid = fork();

	check(pid < 0, "fork");
	if (!pid) {
		work();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void child_writes(void)
{
	in_child(write_all);
}

static void child_was_there(void)
{
	write_all();
	in_child(nothing);
}

static void kernel_writes(void)
{
	int zero = open("/dev/zero", O_RDONLY);

	check(read(zero, mem, size) != (ssize_t)size, "read");
	close(zero);
}

static void child_reads_file(void)
{
	in_child(kernel_writes);
}

static void show(const char *what, void (*before)(void), void (*work)(void))
{
	char filter[100];
	long already;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(mem == MAP_FAILED, "mmap");
	before();

	snprintf(filter, sizeof(filter), "address >= 0x%lx && address < 0x%lx",
		 (unsigned long)mem, (unsigned long)mem + size);
	put(TRACING "events/exceptions/page_fault_user/filter", filter);
	put(TRACING "trace", "");
	already = copied();
	work();
	printf("%-42s%6d%8ld\n", what, with_code("error_code=0x7\n"),
	       copied() - already);
	munmap(mem, size);
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	size = PAGES * page;
	check(prctl(PR_SET_NAME, NAME), "prctl");
	check(syscall(__NR_pf_set_param, NAME, strlen(NAME)), "pf_set_param");
	put(TRACING "events/exceptions/page_fault_user/enable", "1");

	printf("%-42s%6s%8s\n", "", "code 7", "copied");
	show("a child writes its parent's pages", write_all, child_writes);
	show("the parent does when the child is gone", child_was_there, write_all);
	show("read before, from the zero page", read_all, write_all);
	show("never touched before", nothing, write_all);
	show("read(2) writes, in a child", write_all, child_reads_file);

	put(TRACING "events/exceptions/page_fault_user/enable", "0");
	return 0;
}
