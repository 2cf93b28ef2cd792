/* SPDX-License-Identifier: MIT */
/*
 * The pointers between __start_syscalls_metadata and __stop_syscalls_metadata
 * are freed after boot. The records that they point at stay, each under a symbol
 * of its own, and so does the array by number that init_syscall_trace() makes.
 */
#include "syscalls_meta.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOL_PREFIX  "__syscall_meta_"
#define NAME_PREFIX    "sys_"
#define MAX_PROTOTYPES 4096u
#define NAME_BYTES     128u

enum { NAME, NR_ARGS, TYPES, ARGS, FIELDS };

struct reader {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct guest_space space;
	struct linux_field fields[FIELDS];
};

static void prototype_deinit(struct syscall_prototype *prototype)
{
	free(prototype->name);
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		free(prototype->arg_names[i]);
		free(prototype->arg_types[i]);
	}
}

void syscall_prototypes_deinit(struct syscall_prototypes *prototypes)
{
	for (size_t i = 0; i < prototypes->nr; i++)
		prototype_deinit(&prototypes->sorted[i]);
	free(prototypes->sorted);
	free(prototypes->by_nr);
	*prototypes = (struct syscall_prototypes){0};
}

static struct vmtape_error *read_text(struct reader *reader, uint64_t gva, char **out)
{
	char text[NAME_BYTES];
	struct vmtape_error *error;

	error = guest_read_string(reader->memory, reader->space, GVA(gva), text, sizeof(text));
	if (error)
		return error;
	if (!text[0])
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva, "empty name in system-call metadata");
	*out = strdup(text);
	return *out ? NULL : &vmtape_error_no_memory;
}

/* Element i of a guest array of pointers to strings. */
static struct vmtape_error *read_element(struct reader *reader, uint64_t array, int i, char **out)
{
	struct vmtape_error *error;
	uint64_t gva;

	error = guest_read_u64(reader->memory, reader->space, GVA(array + 8 * (uint64_t)i), &gva);
	return error ? error : read_text(reader, gva, out);
}

static struct vmtape_error *read_prototype(struct reader *reader, uint64_t gva, struct syscall_prototype *out)
{
	uint64_t values[FIELDS];
	struct vmtape_error *error;
	char *name = NULL;

	*out = (struct syscall_prototype){.gva = gva};
	for (int i = 0; i < FIELDS; i++) {
		error = linux_field_read(reader->guest, reader->memory, gva, &reader->fields[i], &values[i]);
		if (error)
			return error;
	}
	if (values[NR_ARGS] > LINUX_SYSCALL_ARGS)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva, "system call with %" PRIu64 " arguments",
					      values[NR_ARGS]);
	out->nr_args = values[NR_ARGS];
	error = read_text(reader, values[NAME], &name);
	if (!error) {
		size_t skip = strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) ? 0 : strlen(NAME_PREFIX);

		out->name = strdup(name + skip);
		if (!out->name)
			error = &vmtape_error_no_memory;
	}
	free(name);
	for (int i = 0; i < out->nr_args && !error; i++) {
		error = read_element(reader, values[TYPES], i, &out->arg_types[i]);
		if (!error)
			error = read_element(reader, values[ARGS], i, &out->arg_names[i]);
	}
	if (error)
		prototype_deinit(out);
	return error;
}

static struct vmtape_error *read_by_nr(struct reader *reader, struct syscall_prototypes *prototypes,
				       uint32_t nr_syscalls)
{
	struct vmtape_error *error;
	uint64_t array;
	gva_t symbol;

	prototypes->by_nr = calloc(nr_syscalls ? nr_syscalls : 1, sizeof(*prototypes->by_nr));
	if (!prototypes->by_nr)
		return &vmtape_error_no_memory;
	if (!linux_guest_symbol(reader->guest, "syscalls_metadata", &symbol))
		return NULL;
	error = guest_read_u64(reader->memory, reader->space, symbol, &array);
	/* Empty until the kernel's init calls have run. */
	if (!error && array) {
		for (uint32_t i = 0; i < nr_syscalls && !error; i++)
			error = guest_read_u64(reader->memory, reader->space, GVA(array + 8 * (uint64_t)i),
					       &prototypes->by_nr[i]);
		if (!error)
			prototypes->nr_by_nr = nr_syscalls;
	}
	vmtape_error_destroy(error);
	return NULL;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Addresses of all metadata records, by the array and by their symbols, without repeats. */
static uint64_t *collect(const struct linux_guest *guest, const struct syscall_prototypes *prototypes, size_t *n)
{
	uint64_t *addresses = malloc(MAX_PROTOTYPES * sizeof(*addresses));
	size_t kept = 0;

	*n = 0;
	if (!addresses)
		return NULL;
	for (uint32_t i = 0; i < prototypes->nr_by_nr && *n < MAX_PROTOTYPES; i++)
		if (prototypes->by_nr[i])
			addresses[(*n)++] = prototypes->by_nr[i];
	for (uint32_t i = 0; i < guest->symbols->nr && *n < MAX_PROTOTYPES; i++)
		if (!strncmp(kallsyms_name(guest->symbols, i), SYMBOL_PREFIX, strlen(SYMBOL_PREFIX)))
			addresses[(*n)++] = guest->symbols->symbols[i].address;
	qsort(addresses, *n, sizeof(*addresses), compare_u64);
	for (size_t i = 0; i < *n; i++)
		if (!kept || addresses[i] != addresses[kept - 1])
			addresses[kept++] = addresses[i];
	*n = kept;
	return addresses;
}

struct vmtape_error *syscall_prototypes_read(struct syscall_prototypes *out, const struct linux_guest *guest,
					     struct guest_memory *memory, uint32_t nr_syscalls, FILE *log)
{
	struct reader reader = {
		.guest = guest,
		.memory = memory,
		.space = guest->facts.kernel_space,
		.fields =
			{
				[NAME] = {.type = "syscall_metadata", .member = "name"},
				[NR_ARGS] = {.type = "syscall_metadata", .member = "nb_args"},
				[TYPES] = {.type = "syscall_metadata", .member = "types"},
				[ARGS] = {.type = "syscall_metadata", .member = "args"},
			},
	};
	struct vmtape_error *error;
	size_t n, unreadable = 0;
	uint64_t *addresses;

	*out = (struct syscall_prototypes){0};
	error = linux_fields_find(guest, reader.fields, FIELDS);
	if (error) {
		linux_note(log, "system-call metadata: none: %s", error->message);
		vmtape_error_destroy(error);
		return NULL;
	}
	error = read_by_nr(&reader, out, nr_syscalls);
	if (error)
		return error;
	addresses = collect(guest, out, &n);
	out->sorted = addresses ? malloc((n ? n : 1) * sizeof(*out->sorted)) : NULL;
	if (!out->sorted)
		error = &vmtape_error_no_memory;
	for (size_t i = 0; i < n && !error; i++) {
		error = read_prototype(&reader, addresses[i], &out->sorted[out->nr]);
		if (!error) {
			out->nr++;
		} else if (error->code != VMTAPE_ERROR_NO_MEMORY) {
			vmtape_error_destroy(error);
			error = NULL;
			unreadable++;
		}
	}
	free(addresses);
	linux_note(log, "system-call metadata: %zu prototypes, %u numbers in syscalls_metadata, %zu unreadable",
		   out->nr, out->nr_by_nr, unreadable);
	return error;
}

const struct syscall_prototype *syscall_prototype_by_name(const struct syscall_prototypes *prototypes, const char *name)
{
	for (size_t i = 0; i < prototypes->nr; i++)
		if (!strcmp(prototypes->sorted[i].name, name))
			return &prototypes->sorted[i];
	return NULL;
}

const struct syscall_prototype *syscall_prototype_by_nr(const struct syscall_prototypes *prototypes, uint32_t nr)
{
	uint64_t gva = nr < prototypes->nr_by_nr ? prototypes->by_nr[nr] : 0;
	size_t low = 0, high = prototypes->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (prototypes->sorted[middle].gva < gva)
			low = middle + 1;
		else
			high = middle;
	}
	return gva && low < prototypes->nr && prototypes->sorted[low].gva == gva ? &prototypes->sorted[low] : NULL;
}
