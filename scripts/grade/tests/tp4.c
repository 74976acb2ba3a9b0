/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TP4: make_vcpu. The marks are read by the module, whatever the member is called.
 */
#include "grade.h"

#define CALL 333
#define THREADS 8

/* What the kernel returns: no errno in between. */
static long make_vcpu(int pid)
{
	return _syscall(CALL, (long)pid);
}

struct process {
	int tid[THREADS];	/* [0] is the leader, and the process */
	int threads;
};

/* A thread that only makes a system call without arguments: pause, again and again, or exit. */
static int start_thread(void *stack_top, long call)
{
	unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			      CLONE_THREAD | CLONE_SYSVSEM;
	register long r8 asm("r8") = call;
	long ret;

	asm volatile("syscall\n\t"
		     "test %%rax, %%rax\n\t"
		     "jnz 1f\n\t"
		     "xor %%edi, %%edi\n"
		     "2:\tmov %%r8, %%rax\n\t"
		     "syscall\n\t"
		     "jmp 2b\n"
		     "1:"
		     : "=a"(ret), "+r"(r8)
		     : "0"(__NR_clone), "D"(flags), "S"(stack_top), "d"(0)
		     : "rcx", "r11", "r10", "memory");
	return ret;
}

static char stacks[THREADS][4096] __attribute__((aligned(64)));

static void start_process(struct process *p, int threads)
{
	int fds[2], i;

	pipe(fds);
	p->threads = threads;
	if (fork() == 0) {
		p->tid[0] = getpid();
		for (i = 1; i < threads; i++)
			p->tid[i] = start_thread(stacks[i] + sizeof(stacks[i]), __NR_pause);
		write(fds[1], p, sizeof(*p));
		for (;;)
			nap(1000000);
	}
	read(fds[0], p, sizeof(*p));
	close(fds[0]);
	close(fds[1]);
	nap(200);
}

static void end_process(struct process *p)
{
	kill(p->tid[0], SIGKILL);
	waitpid(p->tid[0], NULL, 0);
}

/* The values of the new members of a thread, and how many refer to its task. */
#define MEMBERS 16
struct mark {
	int members;
	long value[MEMBERS];
	long usage;
};

static int read_mark(int tid, struct mark *m)
{
	char text[600], *at = text;
	int fd = open("/proc/grade", O_RDWR), n;

	memset(m, 0, sizeof(*m));
	n = sprintf(text, "%d", tid);
	if (fd < 0 || write(fd, text, n) != n)
		return -1;
	lseek(fd, 0, SEEK_SET);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	m->usage = atol(at);
	while ((at = strchr(at, ' ')) && m->members < MEMBERS)
		m->value[m->members++] = atol(++at);
	return 0;
}

static int member;

/* In an int of one bit, 1 reads as -1. */
#define UNREADABLE LONG_MIN

static long mark_of(int tid)
{
	struct mark m;

	return read_mark(tid, &m) < 0 || member >= m.members ? UNREADABLE : m.value[member];
}

/* Which of the new members is the mark: the one that the call sets. */
static void find_member(const struct mark *before, int tid)
{
	struct mark after;
	int i;

	read_mark(tid, &after);
	for (i = 0; i < after.members; i++)
		if (!before->value[i] && after.value[i]) {
			member = i;
			return;
		}
}

static int is_word(char c)
{
	return isalpha(c) || c == '_';
}

/* Do all lines that name a thread of p have a word in common? */
static int common_tag(const char *text, const struct process *p)
{
	static char lines[64][400];
	int n = 0, i, j;
	const char *at;

	while (*text && n < 64) {
		size_t length = strchr(text, '\n') - text;

		for (i = 0; i < p->threads; i++)
			if (has_number(text, length, p->tid[i]))
				break;
		if (i < p->threads) {
			size_t l = length < 399 ? length : 399;

			memcpy(lines[n], text, l);
			lines[n++][l] = 0;
		}
		text += length + 1;
	}
	if (!n)
		return 0;
	for (at = lines[0]; *at; at++) {
		char word[64];
		int l = 0;

		if (!is_word(*at) || (at > lines[0] && is_word(at[-1])))
			continue;
		while (is_word(at[l]) && l < 63) {
			word[l] = at[l];
			l++;
		}
		word[l] = 0;
		if (l < 2)
			continue;
		for (j = 1; j < n; j++) {
			const char *found = lines[j];

			while ((found = strstr(found, word))) {
				if ((found == lines[j] || !is_word(found[-1])) && !is_word(found[l]))
					break;
				found++;
			}
			if (!found)
				break;
		}
		if (j == n)
			return 1;
	}
	return 0;
}

static void test_mark(void)
{
	struct process target, other, single;
	struct mark before;
	int i, missed = 0, stray = 0, stale = 0, unlogged = 0;
	const char *text;
	long ret;

	start_process(&other, 2 + draw(3));
	start_process(&target, 4 + draw(4));
	start_process(&single, 1);
	if (read_mark(target.tid[0], &before) < 0 || !before.members) {
		verdict("field", 0, "no new member of struct task_struct was found");
		return;
	}
	verdict("field", 1, "%d new member(s)", before.members);

	rewind_log();
	ret = make_vcpu(target.tid[0]);
	text = read_log(0);
	verdict("call", ret >= 0, "make_vcpu(pid of a process with %d threads) = %ld", target.threads, ret);
	find_member(&before, target.tid[target.threads - 1]);
	stale = before.value[member] != 0;
	for (i = 0; i < target.threads; i++) {
		long mark = mark_of(target.tid[i]);

		missed += mark == 0 || mark == UNREADABLE;
		unlogged += !has_number(text, strlen(text), target.tid[i]);
	}
	for (i = 0; i < other.threads; i++)
		stray += mark_of(other.tid[i]) != 0;
	stray += mark_of(single.tid[0]) != 0;
	stray += mark_of(getpid()) != 0;
	stray += mark_of(1) != 0;
	verdict("fresh", !stale, "before the call the mark is %ld", before.value[member]);
	verdict("all", !missed, "%d of the %d threads have no mark", missed, target.threads);
	verdict("only", !stray, "%d of %d threads of other processes have a mark", stray, other.threads + 3);
	verdict("log", !unlogged, "%d of the %d threads are not in the log", unlogged, target.threads);
	verdict("tag", common_tag(text, &target), "the lines that name threads %s",
		common_tag(text, &target) ? "have a word in common" : "have no word in common, or there is none");
	end_process(&target);
	end_process(&other);
	end_process(&single);
}

static void test_references(void)
{
	struct process target;
	struct mark m;
	long before[THREADS], grown = 0;
	int i;

	start_process(&target, 3);
	for (i = 0; i < target.threads; i++) {
		read_mark(target.tid[i], &m);
		before[i] = m.usage;
	}
	for (i = 0; i < 20; i++)
		make_vcpu(target.tid[0]);
	nap(500);
	for (i = 0; i < target.threads; i++) {
		read_mark(target.tid[i], &m);
		grown += m.usage - before[i];
	}
	verdict("references", grown < 20, "after 20 calls there are %ld references more", grown);
	end_process(&target);
}

static void test_unknown(void)
{
	int pid = 20000 + draw(8000);
	long ret;

	ret = make_vcpu(pid);
	verdict("unknown", 1, "a pid of no process: returns %ld", ret);
	verdict("esrch", ret == -ESRCH, "a pid of no process: returns %ld", ret);
	ret = make_vcpu(-1 - (int)draw(1000));
	verdict("negative", ret < 0, "a negative pid: returns %ld", ret);
}

static void test_race(void)
{
	struct process target;
	int i;
	long ret = 0;

	if ((target.tid[0] = fork()) == 0) {
		for (;;) {
			if (start_thread(stacks[1] + sizeof(stacks[1]), __NR_exit) < 0)
				nap(1);
			nap(1);
		}
	}
	for (i = 0; i < 150; i++)
		ret = make_vcpu(target.tid[0]);
	end_process(&target);
	for (i = 0; i < 30; i++) {
		if ((target.tid[0] = fork()) == 0)
			exit(0);
		make_vcpu(target.tid[0]);
		waitpid(target.tid[0], NULL, 0);
	}
	verdict("race", 1, "150 calls while threads came and went; the last returned %ld", ret);
}

int main(int argc, char **argv)
{
	begin(argv);
	if (!strcmp(argv[1], "mark"))
		test_mark();
	else if (!strcmp(argv[1], "references"))
		test_references();
	else if (!strcmp(argv[1], "unknown"))
		test_unknown();
	else if (!strcmp(argv[1], "race"))
		test_race();
	return 0;
}
