/* SPDX-License-Identifier: GPL-2.0 */
/* xxxhal: a string of the caller into the log. */
#include "grade.h"

#define CALL 329

static long xxxhal(const char *text)
{
	return _syscall(CALL, text);
}

/* Is the line of this string in the log, and at which level? -1: it is not. */
static int logged(const char *string)
{
	static char line[400];
	const char *text = read_log(1), *found;

	sprintf(line, ",xxxhal syscall called with \"%s\"", string);
	found = strstr(text, line);
	return found ? found[-1] - '0' : -1;
}

static void fill(char *at, int n)
{
	int i;

	for (i = 0; i < n; i++)
		at[i] = 'a' + draw(26);
	at[n] = 0;
}

int main(int argc, char **argv)
{
	static char text[4096];
	long ret, other;
	int level;

	begin(argv);
	if (!strcmp(argv[1], "call")) {
		fill(text, 5 + draw(20));
		rewind_log();
		ret = xxxhal(text);
		level = logged(text);
		verdict("call", ret == 0, "xxxhal(\"%s\") = %ld", text, ret);
		verdict("log", level >= 0, "\"xxxhal syscall called with \"%s\"\" is %s", text,
			level < 0 ? "not in the log" : "in the log");
		verdict("level", level == 6, "its level is %d, and KERN_INFO is 6", level);
		fill(text, 255);
		ret = xxxhal(text);
		verdict("longest", ret == 0, "with 255 bytes and a NUL it returns %ld", ret);
		rewind_log();
		strcpy(text, "%s%d 100%");
		ret = xxxhal(text);
		level = logged(text);
		verdict("format", ret == 0 && level >= 0, "\"%s\" is %s", text, level < 0 ? "not in the log" : "in the log");
	} else if (!strcmp(argv[1], "errors")) {
		fill(text, 256);
		ret = xxxhal(text);
		fill(text, 1000 + draw(3000));
		other = xxxhal(text);
		verdict("too-long", ret == -EFAULT && other == -EFAULT,
			"with 256 bytes it returns %ld, with more %ld", ret, other);
		ret = xxxhal(NULL);
		other = xxxhal((char *)0xffff888000090000UL);
		verdict("pointer", ret == -EFAULT && other == -EFAULT,
			"with NULL it returns %ld, with an address of the kernel %ld", ret, other);
	}
	return 0;
}
