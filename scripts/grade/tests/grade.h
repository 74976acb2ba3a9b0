/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests in the guest share. They have no C library: glibc makes calls of its
 * own with numbers that an exercise may use.
 *
 * A line of the form "NONCE row pass|fail text" is one verdict; each run has another
 * nonce, and what else is printed counts for nothing.
 */
#include "nolibc.h"

static const char *nonce;
static unsigned long seed;

static inline unsigned long draw(unsigned long below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8 & 0xffffff) % below;
}

#define verdict(row, good, text, ...) \
	printf("%s %s %s " text "\n", nonce, row, (good) ? "pass" : "fail", ##__VA_ARGS__)

static inline void nap(long ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	select(0, NULL, NULL, NULL, &tv);
}

/* What the kernel has logged since the last rewind_log(), as /dev/kmsg has it. */
static int log_fd = -1;
static char log_text[65536];
static size_t log_used;

static inline void rewind_log(void)
{
	if (log_fd >= 0)
		close(log_fd);
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	lseek(log_fd, 0, SEEK_END);
	log_used = 0;
}

static inline void write_log(const char *text)
{
	int fd = open("/dev/kmsg", O_WRONLY);

	write(fd, text, strlen(text));
	close(fd);
}

/* The kernel's messages alone, a line each; "PRIORITY," before each with levels. */
static inline const char *read_log(int levels)
{
	static char record[9000];
	ssize_t n;

	/* A message that ends without a newline is there once another one follows. */
	write_log("<6>grade\n");
	while ((n = read(log_fd, record, sizeof(record) - 1)) != 0) {
		char *text, *end;

		if (n < 0 && errno == EPIPE)
			continue;
		if (n < 0)
			break;
		record[n] = 0;
		text = strchr(record, ';');
		/* Behind the priority, in units of 8, who wrote it: 0 is the kernel. */
		if (!text || atoi(record) > 7)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = 0;
		if (log_used + strlen(text) + 32 > sizeof(log_text))
			break;
		if (levels)
			log_used += sprintf(log_text + log_used, "%d,", atoi(record));
		log_used += sprintf(log_text + log_used, "%s\n", text);
	}
	log_text[log_used] = 0;
	return log_text;
}

/* Is the number there, with no digit beside it? */
static inline int has_number(const char *text, size_t length, long number)
{
	char digits[24];
	size_t n = sprintf(digits, "%ld", number), i;

	for (i = 0; i + n <= length; i++)
		if (!memcmp(text + i, digits, n) &&
		    (i == 0 || !isdigit(text[i - 1])) &&
		    (i + n == length || !isdigit(text[i + n])))
			return 1;
	return 0;
}

/* Called first: takes the nonce from standard input, and says in the log what begins. */
static inline void begin(char **argv)
{
	static char line[80];
	char text[200];
	ssize_t n = read(0, line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = 0;
	if (strchr(line, '\n'))
		*strchr(line, '\n') = 0;
	nonce = line;
	seed = argv[2] ? strtoul(argv[2], NULL, 10) : 1;
	sprintf(text, "<6>grade %s: %s\n", nonce, argv[1]);
	write_log(text);
}
