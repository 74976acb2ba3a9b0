/* SPDX-License-Identifier: GPL-2.0 */
/* Syscalls & LKMs: a call without arguments, and a module that logs. */
#include "grade.h"

#define CALL 548

/* But for what the kernel itself says of a module that is not its own. */
static int count_lines(const char *text)
{
	const char *end, *found;
	int n = 0;

	while ((end = strchr(text, '\n'))) {
		found = strstr(text, "taints kernel");
		n += !found || found > end;
		text = end + 1;
	}
	return n;
}

static int load(const char *path)
{
	int fd = open(path, O_RDONLY), ret;

	if (fd < 0)
		return -ENOENT;
	ret = _syscall(__NR_finit_module, fd, "", 0);
	close(fd);
	return ret;
}

int main(int argc, char **argv)
{
	long ret;
	int n;

	begin(argv);
	if (!strcmp(argv[1], "call")) {
		rewind_log();
		ret = _syscall(CALL, 1, 2, 3);
		n = count_lines(read_log(0));
		verdict("call", ret >= 0, "call %d returns %ld", CALL, ret);
		verdict("log", n > 0, "it logs %d lines", n);
	} else if (!strcmp(argv[1], "module")) {
		rewind_log();
		ret = load("/submitted.ko");
		n = count_lines(read_log(0));
		verdict("load", ret == 0, "to load it gives %ld", ret);
		verdict("greets", n > 0, "loaded, it logs %d lines", n);
		rewind_log();
		ret = _syscall(__NR_delete_module, "helloModule", O_NONBLOCK);
		n = count_lines(read_log(0));
		verdict("unload", ret == 0, "to unload it gives %ld, and logs %d lines", ret, n);
		ret = load("/submitted.ko");
		verdict("reload", ret == 0, "to load it again gives %ld", ret);
		_syscall(__NR_delete_module, "helloModule", O_NONBLOCK);
	}
	return 0;
}
