/* SPDX-License-Identifier: MIT */
/*
 * count_calls - the most frequent system calls of a tape.
 *
 *   cc count_calls.c $(pkg-config --cflags --libs vmtape) -o count_calls
 *   ./count_calls guest.vmt ['proc.name = cat']
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtape.h>

#define MAX_NAMES 1024

struct count {
	char name[64];
	unsigned long calls, errors;
};

static struct count counts[MAX_NAMES];
static size_t nr_counts;

static void add(const struct vmtape_call *call)
{
	const char *name = call->name ? call->name : "?";
	size_t i;

	for (i = 0; i < nr_counts; i++)
		if (!strcmp(counts[i].name, name))
			break;
	if (i == MAX_NAMES)
		return;
	if (i == nr_counts)
		snprintf(counts[nr_counts++].name, sizeof(counts[0].name), "%s", name);
	counts[i].calls++;
	counts[i].errors += call->error_name != NULL;
}

static int by_calls(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return x->calls < y->calls ? 1 : x->calls > y->calls ? -1 : strcmp(x->name, y->name);
}

static struct vmtape_error *count_all(struct vmtape_tape *tape, const char *filter)
{
	const struct vmtape_call *call;
	struct vmtape_calls *calls;
	struct vmtape_error *error = vmtape_calls_create(&calls, tape, filter);

	if (error)
		return error;
	while (!(error = vmtape_calls_next(calls, &call)) && call)
		add(call);
	vmtape_calls_destroy(calls);
	return error;
}

int main(int argc, char **argv)
{
	struct vmtape_tape *tape = NULL;
	struct vmtape_error *error;
	const char *release;

	if (argc < 2) {
		fprintf(stderr, "usage: count_calls TAPE [FILTER]\n");
		return 2;
	}
	error = vmtape_open(&tape, argv[1]);
	if (!error)
		error = count_all(tape, argc > 2 ? argv[2] : NULL);
	if (error) {
		fprintf(stderr, "count_calls: %s\n", vmtape_error_message(error));
		vmtape_error_free(error);
		vmtape_close(tape);
		return 2;
	}
	release = vmtape_guest_release(tape);
	printf("guest: %s\n", release ? release : "not identified");
	qsort(counts, nr_counts, sizeof(counts[0]), by_calls);
	for (size_t i = 0; i < nr_counts; i++)
		printf("%8lu %8lu %s\n", counts[i].calls, counts[i].errors, counts[i].name);
	vmtape_close(tape);
	return nr_counts ? 0 : 1;
}
