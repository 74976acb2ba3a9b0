/* SPDX-License-Identifier: GPL-2.0 */
/* new_syscall: hello() logs its argument. */
#include "grade.h"

#define CALL 548

static long hello(unsigned long i)
{
	return _syscall(CALL, i);
}

static int logged(long i)
{
	static char line[100];
	const char *text = read_log(1), *found;

	sprintf(line, ",Hello World, i'm sys_hello with arg: %ld\n", i);
	found = strstr(text, line);
	return found ? found[-1] - '0' : -1;
}

int main(int argc, char **argv)
{
	long value, ret, other;
	int level;

	begin(argv);
	value = 1000 + draw(1000000);
	rewind_log();
	ret = hello(value);
	level = logged(value);
	verdict("call", ret == 0, "hello(%ld) = %ld", value, ret);
	verdict("log", level >= 0, "its line is %s", level < 0 ? "not in the log" : "in the log");
	verdict("level", level == 1, "its level is %d, and KERN_ALERT is 1", level);
	rewind_log();
	value = 0x100000000 * (1 + draw(1000)) + draw(1000);
	ret = hello(value);
	other = hello(-value);
	level = logged(value) >= 0 && logged(-value) >= 0;
	verdict("long", ret == 0 && other == 0 && level, "hello(%ld) = %ld and hello(%ld) = %ld, and they are %s",
		value, ret, -value, other, level ? "logged with all their digits" : "not both logged with all their digits");
	return 0;
}
