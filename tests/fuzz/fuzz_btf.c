/* SPDX-License-Identifier: MIT */
/* Any bytes as the kernel's BTF: what passes the checks must be safe to ask, for each of its types. */
#include <string.h>

#include "linux/btf_layouts.h"
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
	static const char *const pointers[] = {"struct task_struct *", "const struct file *", "struct list_head *",
					       "struct task *", "struct self *"};
	static const uint8_t bytes_there[512];
	struct btf_layouts *layouts;
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
	layouts = btf_layouts_create(types);
	for (size_t i = 0; layouts && i < sizeof(pointers) / sizeof(*pointers); i++) {
		const struct record_layout *layout = btf_layouts_find(layouts, pointers[i]);
		struct record_reader reader = {.data = bytes_there, .len = sizeof(bytes_there)};
		struct strbuf out = {0};

		if (layout)
			record_put(layout, &reader, &out);
		strbuf_deinit(&out);
	}
	btf_layouts_destroy(layouts);
	btf_types_destroy(types);
	return 0;
}
