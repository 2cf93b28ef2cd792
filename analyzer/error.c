/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct vmtape_error vmtape_error_no_memory = {
	.code = VMTAPE_ERROR_NO_MEMORY,
	.address = UINT64_MAX,
	.message = "out of memory",
};

struct vmtape_error vmtape_error_not_recorded = {
	.code = VMTAPE_ERROR_NOT_RECORDED,
	.address = UINT64_MAX,
	.message = "memory was not recorded",
};

static struct vmtape_error *error_create(enum vmtape_error_code code, uint64_t address, const char *format,
					 va_list args)
{
	struct vmtape_error *error = malloc(sizeof(*error));
	char *text = NULL, *whole = NULL;
	int failed;

	if (!error)
		return &vmtape_error_no_memory;
	failed = vasprintf(&text, format, args) < 0;
	if (!failed && address != UINT64_MAX) {
		failed = asprintf(&whole, "%s (guest address 0x%" PRIx64 ")", text, address) < 0;
		free(text);
		text = whole;
	}
	if (failed) {
		free(error);
		return &vmtape_error_no_memory;
	}
	*error = (struct vmtape_error){.code = code, .address = address, .message = text};
	return error;
}

struct vmtape_error *vmtape_error_create(enum vmtape_error_code code, const char *format, ...)
{
	struct vmtape_error *error;
	va_list args;

	va_start(args, format);
	error = error_create(code, UINT64_MAX, format, args);
	va_end(args);
	return error;
}

struct vmtape_error *vmtape_error_create_at(enum vmtape_error_code code, uint64_t address, const char *format, ...)
{
	struct vmtape_error *error;
	va_list args;

	va_start(args, format);
	error = error_create(code, address, format, args);
	va_end(args);
	return error;
}

void vmtape_error_destroy(struct vmtape_error *error)
{
	if (!error || error == &vmtape_error_no_memory || error == &vmtape_error_not_recorded)
		return;
	free(error->message);
	free(error);
}
