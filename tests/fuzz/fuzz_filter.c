/* SPDX-License-Identifier: MIT */
/* fuzz_filter - any text as a filter: parsed or refused with a column, and evaluated. */
#include <stdlib.h>
#include <string.h>

#include "filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct linux_syscall syscall = {
		.name = "openat",
		.nr = 257,
		.nr_args = 2,
		.arg_names = {"dfd", "filename"},
		.arg_types = {"int", "const char *"},
	};
	static const struct filter_times times = {.start_ns = 1767323045000000000ll};
	struct call call = {
		.nr_known = true,
		.nr = 257,
		.syscall = &syscall,
		.args = {3, 4},
		.args_known = true,
		.ret_known = true,
		.ret = -2,
		.thread = {.pid = 1, .tid = 2, .ppid = -1, .exe = "/bin/cat", .comm = "cat"},
	};
	char *text = strndup((const char *)data, size);
	struct filter *filter;
	struct vmtape_error *error;

	if (!text)
		return 0;
	error = filter_create(&filter, text, &times);
	if (error) {
		if (error->code == VMTAPE_ERROR_USAGE && !strstr(error->message, "column") &&
		    !strstr(error->message, "longer"))
			abort();
		vmtape_error_destroy(error);
	} else {
		filter_match(filter, &call, 0);
		filter_match(filter, &call, '>');
		filter_destroy(filter);
	}
	free(text);
	return 0;
}
