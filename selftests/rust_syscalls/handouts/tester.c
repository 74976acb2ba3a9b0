// SPDX-License-Identifier: GPL-2.0
/*
 * A tester for the calls of INFO0940's project 1, about copy-on-write faults.
 * The handout does not contain one: its tester is distributed separately. This
 * one has the options of a tester that was published with a solution.
 */
#include <linux/pf_stat.h>

#include "handouts.h"

#ifdef __x86_64__
#error "Compile it with -m32: the numbers are those of i386"
#endif

#define PF_SET_PARAM	385
#define PF_GET_INFO	386
#define PF_CLEANUP	387

static void show_usage(void)
{
	fprintf(stderr, "usage: tester -o set_param|get_info|cleanup [-p NAME]\n");
	exit(2);
}

/* Prints the error in words where errno says less than the call means. */
static void explain(const char *call)
{
	const char *text = strerror(errno);

	switch (errno) {
	case EINVAL:
		text = "invalid argument";
		break;
	case ENOMEM:
		text = "out of memory";
		break;
	case EACCES:
		text = "the data structure is not initialised";
		break;
	}
	fprintf(stderr, "%s: %s\n", call, text);
	exit(EXIT_FAILURE);
}

static void print(const struct pf_stat *pf)
{
	int i;

	printf("Number of VMA       : %d\n", pf->nb_vma);
	printf("Number of COW faults: %ld\n", pf->cow_page_faults);
	for (i = 0; i < pf->nb_vma; i++) {
		unsigned long start = pf->vma_list_start[i];
		unsigned long end = pf->vma_list_end[i];

		printf(" [%2d]: 0x%lx - 0x%lx (size: 0x%lx): %ld cow faults\n",
		       i, start, end, end - start, pf->vma_fault[i]);
	}
}

int main(int argc, char **argv)
{
	const char *operation = NULL, *name = NULL;
	struct pf_stat pf;
	int option;

	while ((option = getopt(argc, argv, "o:p:")) != -1) {
		switch (option) {
		case 'o':
			operation = optarg;
			break;
		case 'p':
			name = optarg;
			break;
		default:
			show_usage();
		}
	}
	if (!operation || optind != argc)
		show_usage();
	need_numbers();

	/* The length is that of strlen(), without the NUL. */
	if (!strcmp(operation, "set_param") && name) {
		if (syscall(PF_SET_PARAM, name, strlen(name)) == -1)
			explain("pf_set_param");
	} else if (!strcmp(operation, "get_info") && name) {
		if (syscall(PF_GET_INFO, name, strlen(name), &pf) == -1)
			explain("pf_get_info");
		print(&pf);
	} else if (!strcmp(operation, "cleanup")) {
		if (syscall(PF_CLEANUP) == -1)
			explain("pf_cleanup");
	} else {
		show_usage();
	}
	return 0;
}
