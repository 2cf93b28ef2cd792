/* SPDX-License-Identifier: MIT */
/* Any bytes as the kernel's BTF: what passes the checks must be safe to ask, for each of its types. */
#include <string.h>

#include "linux/btf_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const questions[][2] = {
		{"task_struct", "comm"},
		{"task_struct", "tasks.next"},
		{"struct file", "f_path.dentry"},
		{"cred", "uid.val"},
		{"union x", "y"},
		{"syscall_metadata", "nb_args"},
		{"cpuinfo_x86", "x86_capability"},
	};
	struct btf_types *types;
	struct btf_field field;
	uint32_t bytes;

	vmtape_error_destroy(btf_types_create(&types, data, size));
	if (!types)
		return 0;
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
		vmtape_error_destroy(btf_types_member(types, questions[i][0], questions[i][1], &field));
		vmtape_error_destroy(btf_types_size(types, questions[i][0], &bytes));
	}
	btf_types_destroy(types);
	return 0;
}
