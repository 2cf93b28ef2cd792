/* SPDX-License-Identifier: MIT */
/* Executables by what identity records tell of them: where the kernel keeps the path, and its last name. */
#include <string.h>

#include <xxhash.h>

#include "process_table.h"

static bool read_exe(const struct trap_view *view, struct process_exe *out)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;
	bool has_path = false, has_name = false;

	memset(out, 0, sizeof(*out));
	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label != PLAN_LABEL_EXE)
			continue;
		if (!has_path) {
			if (fragment.len_bytes < 16)
				return false;
			for (int i = 8; i-- > 0;) {
				out->mnt = out->mnt << 8 | bytes[i];
				out->dentry = out->dentry << 8 | bytes[8 + i];
			}
			has_path = true;
		} else if (fragment.len_bytes && fragment.len_bytes < sizeof(out->name)) {
			memcpy(out->name, bytes, fragment.len_bytes);
			/* a name that was cut can't be compared */
			has_name = (fragment.status & ~TRAP_FRAG_AGAIN) == TRAP_FRAG_WHOLE;
		}
	}
	return has_path && has_name;
}

static bool ends_in(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return slash && !strcmp(slash + 1, name);
}

void process_exe_apply(struct processes *p, uint32_t i, const struct trap_view *view)
{
	struct thread_entry *t = &p->threads[i];
	struct process_exe exe;
	char path[512];
	uint64_t key, known;

	if (!read_exe(view, &exe))
		return;
	t->exe_told = true;
	key = XXH3_64bits(&exe, sizeof(exe));
	if (u64_map_get(&p->exes, key, &known)) {
		t->pub.exe = (const char *)(uintptr_t)known;
		return;
	}
	if (p->find_exe && p->find_exe(p->find_exe_ctx, view->header.tsc, &exe, path, sizeof(path)) &&
	    ends_in(path, exe.name)) {
		t->pub.exe = process_table_string(p, path, strlen(path));
		u64_map_set(&p->exes, key, (uintptr_t)t->pub.exe);
		return;
	}
	/* What was executed may be a script, or a link to what runs now: the name tells. */
	if (!t->pub.in_call || t->role != CALL_ROLE_EXEC)
		t->pub.exe = ends_in(t->pub.exe, exe.name) ? t->pub.exe : "";
	else
		t->pub.exe = t->exec_path && ends_in(t->exec_path, exe.name) ? t->exec_path : "";
}
