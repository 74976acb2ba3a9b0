/* SPDX-License-Identifier: GPL-2.0 */
/*
 * INFO0940, project 1: the copy-on-write faults of processes of a name.
 *
 * What is counted here is what all readings of the handout agree on: memory that was
 * written before, shared with a child that is alive, and written to by its parent.
 */
#include "grade.h"

#define SET 385
#define GET 386
#define CLEANUP 387

#define PAGE 4096
#define AREA 64
#define RACED 10
#define RACERS 4
#define MAX 128

struct pf_stat {
	int nb_vma;
	long cow_page_faults;
	long vma_fault[MAX];
	unsigned long vma_list_start[MAX];
	unsigned long vma_list_end[MAX];
};

static struct {
	struct pf_stat pf;
	unsigned char behind[4096];
} out, second;

/* The process that is followed: commands of a byte, each answered by one. */

struct hello {
	char *area, *fresh, *shared;
};

static char *map(int pages, int flags, int fd)
{
	/* With pages that nobody may touch around, it is merged with nothing. */
	char *at = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mmap(at + PAGE, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
}

/* Writes that do not read first: that would map the zero page. */
static void write_pages(volatile char *at, int pages)
{
	int i;

	for (i = 0; i < pages; i++)
		at[i * PAGE] = pages;
}

static int target(void)
{
	unsigned char command[2];
	struct hello h;
	int child = 0, i, fd = open("/proc/grade-shared", O_RDWR);
	volatile char sum = 0;

	h.area = map(AREA, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	h.fresh = map(AREA, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	h.shared = fd < 0 ? NULL : map(8, MAP_SHARED, fd);
	if (h.shared == MAP_FAILED)
		h.shared = NULL;
	write_pages(h.area, AREA);
	write(4, &h, sizeof(h));

	while (read(3, command, 2) == 2) {
		switch (command[0]) {
		case 'f':	/* share all with a child that does nothing */
			child = fork();
			if (!child) {
				/* So that one process has the name. */
				prctl(PR_SET_NAME, (unsigned long)"child", 0, 0, 0);
				for (;;)
					nap(1000000);
			}
			nap(100);
			break;
		case 'k':
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
			break;
		case 'w':
			write_pages(h.area, command[1]);
			break;
		case 't':
			write_pages(h.fresh, command[1]);
			break;
		case 's':	/* a page that is there, and told of each first write */
			for (i = 0; h.shared && i < 8; i++)
				sum += h.shared[i * PAGE];
			if (h.shared)
				write_pages(h.shared, 8);
			break;
		case 'm':	/* many VMAs: every other page is read-only */
			{
				char *many = map(400, MAP_PRIVATE | MAP_ANONYMOUS, -1);

				for (i = 0; i < 400; i += 2)
					syscall(__NR_mprotect, many + i * PAGE, PAGE, PROT_READ);
			}
			break;
		}
		write(4, command, 1);
	}
	return 0;
}

struct process {
	int pid, to, from;
	struct hello at;
};

static int tell(struct process *p, char command, int count)
{
	unsigned char text[2] = { command, count };

	write(p->to, text, 2);
	return read(p->from, text, 1) == 1 ? 0 : -1;
}

/* A process is called by its file, as a user would. */
static void start(struct process *p, const char *name)
{
	char path[64], *argv[] = { (char *)name, "target", NULL }, *envp[] = { NULL };
	int to[2], from[2];

	sprintf(path, "/tests/%s", name);
	link("/tests/test", path);
	pipe(to);
	pipe(from);
	p->pid = fork();
	if (p->pid == 0) {
		dup2(to[0], 13);
		dup2(from[1], 14);
		dup2(13, 3);
		dup2(14, 4);
		execve(path, argv, envp);
		exit(1);
	}
	close(to[0]);
	close(from[1]);
	p->to = to[1];
	p->from = from[0];
	memset(&p->at, 0, sizeof(p->at));
	read(p->from, &p->at, sizeof(p->at));
}

static void stop(struct process *p)
{
	close(p->to);
	close(p->from);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
}

static void random_name(char *name, int length)
{
	int i;

	for (i = 0; i < length; i++)
		name[i] = 'a' + draw(26);
	name[length] = 0;
}

/* Whether the length of a name includes the NUL; learnt by the first call. */
static int with_nul;

/*
 * What the kernel returns: no errno in between. A function that is called among the
 * arguments would change registers that are loaded.
 */
static long set(const char *name)
{
	size_t length = strlen(name) + with_nul;

	return _syscall(SET, name, length);
}

static long get(const char *name, void *pf)
{
	size_t length = strlen(name) + with_nul;

	return _syscall(GET, name, length, pf);
}

static long cleanup(void)
{
	return _syscall(CLEANUP);
}

static long faults_at(const struct pf_stat *pf, char *start)
{
	int i;

	for (i = 0; i < pf->nb_vma && i < MAX; i++)
		if (pf->vma_list_start[i] == (unsigned long)start)
			return pf->vma_fault[i];
	return -1;
}

/*
 * One count, with the name set while the process is there, or before it starts: which of
 * them a solution has in mind is left open.
 */
struct count {
	struct process p;
	long set, get;
	int pages, first;
};

static void count(struct count *c, const char *name, int before)
{
	c->pages = 5 + draw(AREA - 10);
	c->first = 3 + draw(AREA - 10);
	if (before)
		c->set = set(name);
	start(&c->p, name);
	if (!before)
		c->set = set(name);
	tell(&c->p, 'f', 0);
	tell(&c->p, 'w', c->pages);
	tell(&c->p, 't', c->first);
	memset(&out, 0, sizeof(out));
	c->get = get(name, &out.pf);
}

static int right(const struct count *c)
{
	return c->set >= 0 && c->get >= 0 && faults_at(&out.pf, c->p.at.area) == c->pages;
}

static void end_count(struct count *c)
{
	tell(&c->p, 'k', 0);
	stop(&c->p);
	cleanup();
}

/* Which way, and which length, this solution takes. */
static int before;

static int find_way(struct count *c, const char *name)
{
	int way, works = -1;

	for (way = 0; way < 4; way++) {
		with_nul = way & 1;
		before = way >> 1;
		count(c, name, before);
		if (right(c))
			return 1;
		if (works < 0 && c->set >= 0 && c->get >= 0 && out.pf.nb_vma > 0)
			works = way;
		end_count(c);
	}
	/* What counts wrongly may still do the rest. */
	if (works < 0)
		works = 0;
	with_nul = works & 1;
	before = works >> 1;
	count(c, name, before);
	return right(c);
}

/* The name of a process that is there, with the length by which it is found. */
static void choose(const char *name)
{
	for (with_nul = 0; with_nul < 2; with_nul++) {
		memset(&out, 0, sizeof(out));
		if (set(name) >= 0 && get(name, &out.pf) >= 0 && out.pf.nb_vma > 0)
			return;
		cleanup();
	}
	with_nul = 0;
	set(name);
}

/* /proc/PID/maps: how many, and whether this is the i-th. */
static char maps[16384];

static int read_maps(int pid, const struct pf_stat *pf, int *wrong)
{
	char path[40], *line = maps;
	int n = 0, length = 0, got, fd;

	sprintf(path, "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY);
	while ((got = read(fd, maps + length, sizeof(maps) - 1 - length)) > 0)
		length += got;
	close(fd);
	maps[length] = 0;
	*wrong = 0;
	while (*line) {
		unsigned long from = strtoul(line, &line, 16), to = strtoul(line + 1, &line, 16);

		if (n < MAX && (n >= pf->nb_vma || pf->vma_list_start[n] != from || pf->vma_list_end[n] != to))
			++*wrong;
		n++;
		line = strchr(line, '\n') + 1;
	}
	return n;
}

static void test_count(void)
{
	struct count c;
	struct process other;
	char name[16], longer[17];
	int found, n, wrong, old;
	long sum, rest, total;

	random_name(name, 7);
	found = find_way(&c, name);
	verdict("set", c.set >= 0, "pf_set_param(\"%s\", %d) = %ld", name, (int)strlen(name) + with_nul, c.set);
	verdict("get", c.get >= 0, "pf_get_info() = %ld", c.get);
	verdict("vma-faults", found, "%d pages were copied, and for their VMA %ld are counted", c.pages,
		faults_at(&out.pf, c.p.at.area));
	sum = out.pf.cow_page_faults;
	verdict("total", sum >= c.pages && sum <= c.pages + 100,
		"%d pages of one VMA were copied, and %ld faults are counted in all", c.pages, sum);
	rest = faults_at(&out.pf, c.p.at.fresh);
	verdict("first-touch", rest == 0, "%d pages were touched for the first time, and %ld are counted",
		c.first, rest);
	n = read_maps(c.p.pid, &out.pf, &wrong);
	verdict("vma-number", n == out.pf.nb_vma, "there are %d VMAs, and nb_vma is %d", n, out.pf.nb_vma);
	verdict("vma-bounds", !wrong, "%d of %d VMAs have other bounds than /proc/PID/maps says", wrong, n);

	tell(&c.p, 's', 0);
	get(name, &out.pf);
	total = faults_at(&out.pf, c.p.at.shared);
	verdict("shared", c.p.at.shared && total == 0,
		"8 pages of a shared file were written, and %ld are counted", total);

	/* Another process, whose name begins as that one's does. */
	sprintf(longer, "%sx", name);
	old = out.pf.cow_page_faults;
	start(&other, longer);
	tell(&other, 'f', 0);
	tell(&other, 'w', 60);
	get(name, &out.pf);
	verdict("name", out.pf.cow_page_faults < old + 50,
		"60 pages of \"%s\" were copied, and %ld faults more are counted for \"%s\"", longer,
		out.pf.cow_page_faults - old, name);
	tell(&other, 'k', 0);
	stop(&other);

	tell(&c.p, 'k', 0);
	stop(&c.p);
	total = cleanup();
	verdict("cleanup", total >= 0, "pf_cleanup() = %ld", total);
	found = find_way(&c, name);
	verdict("again", found, "after pf_cleanup() the calls %s as before", found ? "work" : "do not work");
	end_count(&c);
}

/* Are there lines since rewind_log() with the prefix, and what is their level? */
static void error_line(int *prefix, int *level)
{
	const char *text = read_log(1), *line = text, *found;

	while (*line) {
		const char *end = strchr(line, '\n');

		found = strstr(line, "[INFO940] [ERROR]");
		if (found && found < end) {
			*prefix = 1;
			if (*line == '3')
				*level = 1;
		}
		line = end + 1;
	}
}

static void test_errors(void)
{
	struct process p;
	char name[16];
	long ret;
	int prefix = 0, level = 0;

	with_nul = 0;
	random_name(name, 6);
	cleanup();
	rewind_log();
	start(&p, name);
	ret = get(name, &out.pf);
	verdict("before", ret < 0, "pf_get_info() before any pf_set_param() = %ld", ret);
	error_line(&prefix, &level);
	rewind_log();
	ret = _syscall(SET, NULL, 5);
	error_line(&prefix, &level);
	verdict("null", ret < 0, "pf_set_param(NULL, 5) = %ld", ret);
	verdict("prefix", prefix, "errors that were made %s \"[INFO940] [ERROR]\" to the log", prefix ? "wrote" : "did not write");
	verdict("level", level, "%s", level ? "at the level KERN_ERR" : "no such line has the level KERN_ERR");
	stop(&p);
	cleanup();
}

static void test_pointers(void)
{
	static char big[70000];
	struct process p;
	char name[16];
	long a, b, c, d;

	random_name(name, 6);
	start(&p, name);
	choose(name);
	a = get(name, NULL);
	/* The kernel's view of the first MiB: nobody's since 5.13, and writable. */
	b = get(name, (void *)0xc0090000UL);
	c = _syscall(GET, (void *)0xc0090000UL, 6, &out.pf);
	d = _syscall(SET, (void *)0x10, 6);
	verdict("pointers", a < 0 && b < 0 && c < 0 && d < 0,
		"with bad pointers the calls return %ld, %ld, %ld, %ld", a, b, c, d);
	memset(big, 'n', sizeof(big) - 1);
	a = _syscall(SET, big, sizeof(big));
	b = _syscall(SET, big, 200);
	c = _syscall(SET, big, (size_t)-1);
	d = _syscall(GET, big, 4000, &out.pf);
	_syscall(SET, big, 0);
	verdict("length", 1, "with names that are too long the calls return %ld, %ld, %ld, %ld", a, b, c, d);
	stop(&p);
	cleanup();
}

static void test_many(void)
{
	struct process p;
	char name[16];
	long ret;
	unsigned int i;
	int over = 0, junk = 0, n;

	random_name(name, 6);
	start(&p, name);
	choose(name);
	memset(&out, 0xaa, sizeof(out));
	memset(&second, 0x55, sizeof(second));
	ret = get(name, &out.pf);
	get(name, &second.pf);
	n = out.pf.nb_vma;
	for (i = n < 0 ? 0 : n; ret >= 0 && i < MAX; i++) {
		long one[] = { out.pf.vma_fault[i], out.pf.vma_list_start[i], out.pf.vma_list_end[i] };
		long two[] = { second.pf.vma_fault[i], second.pf.vma_list_start[i], second.pf.vma_list_end[i] };
		int j;

		/* Written by nobody, or cleared. */
		for (j = 0; j < 3; j++)
			junk += !((one[j] == (long)0xaaaaaaaa && two[j] == 0x55555555) ||
				  (one[j] == two[j] && (one[j] == 0 || one[j] == -1)));
	}
	verdict("uninitialised", ret >= 0 && !junk, "returns %ld; %d of the values behind the last VMA are neither 0 nor left alone",
		ret, junk);

	tell(&p, 'm', 0);
	memset(&out, 0xaa, sizeof(out));
	ret = get(name, &out.pf);
	for (i = 0; i < sizeof(out.behind); i++)
		over += out.behind[i] != 0xaa;
	verdict("many", !over, "a process with more than 400 VMAs: returns %ld, %d bytes behind struct pf_stat are written",
		ret, over);
	stop(&p);
	cleanup();
}

/* Faults, on one CPU, against the three calls on the other. */
static void copy_often(struct process *p)
{
	int i;

	for (i = 0; i < 40; i++) {
		tell(p, 'f', 0);
		tell(p, 'w', AREA);
		tell(p, 'k', 0);
	}
}

/*
 * Faults while the calls are made: first by one process, then by more than there are CPUs,
 * so that each is also interrupted where it must not be. These make no call that has to
 * fail, and not for ever: what fails is logged.
 */
static void test_race(void)
{
	struct process p[RACED];
	char names[RACED][16];
	pid_t racers[RACERS];
	int i, k;

	for (i = 0; i < RACED; i++) {
		random_name(names[i], 6);
		start(&p[i], names[i]);
	}
	choose(names[0]);
	racers[0] = fork();
	while (!racers[0]) {
		set(names[0]);
		get(names[0], &second.pf);
		cleanup();
	}
	copy_often(&p[0]);
	kill(racers[0], SIGKILL);
	waitpid(racers[0], NULL, 0);

	for (k = 0; k < RACERS; k++) {
		racers[k] = fork();
		if (racers[k])
			continue;
		for (i = 0; i < 500 * RACED; i++) {
			set(names[i % RACED]);
			if (i % RACED == RACED - 1)
				cleanup();
		}
		exit(0);
	}
	copy_often(&p[0]);
	for (k = 0; k < RACERS; k++)
		waitpid(racers[k], NULL, 0);
	for (i = 0; i < RACED; i++)
		stop(&p[i]);
	cleanup();
	cleanup();
	verdict("race", 1, "80 times %d faults while the calls were made", AREA);
}

static void kmemleak(const char *command)
{
	int fd = open("/sys/kernel/debug/kmemleak", O_RDWR);

	write(fd, command, strlen(command));
	close(fd);
}

/* What nobody refers to any more, after many names. */
static void test_leak(void)
{
	static char text[400];
	struct process p;
	char name[16];
	int i, fd, n;

	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	kmemleak("scan");
	kmemleak("clear");
	for (i = 0; i < 60; i++) {
		random_name(name, 8);
		if (i % 20 == 0) {
			start(&p, name);
			choose(name);
			tell(&p, 'f', 0);
			tell(&p, 'w', 20);
			tell(&p, 'k', 0);
			stop(&p);
		} else {
			set(name);
		}
		if (i % 3 == 2)
			cleanup();
	}
	cleanup();
	/* It looks at what is older than 5 seconds. */
	nap(6000);
	for (i = 0; i < 2; i++) {
		kmemleak("scan");
		nap(1500);
	}
	fd = open("/sys/kernel/debug/kmemleak", O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	verdict("leak", fd >= 0 && n == 0, "kmemleak has %s: %d", n > 0 ? "found memory that is lost" : "nothing to say", n);
	if (n > 0) {
		text[n] = 0;
		printf("%s\n", text);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "target"))
		return target();
	begin(argv);
	if (!strcmp(argv[1], "count"))
		test_count();
	else if (!strcmp(argv[1], "errors"))
		test_errors();
	else if (!strcmp(argv[1], "pointers"))
		test_pointers();
	else if (!strcmp(argv[1], "many"))
		test_many();
	else if (!strcmp(argv[1], "race"))
		test_race();
	else if (!strcmp(argv[1], "leak"))
		test_leak();
	return 0;
}
