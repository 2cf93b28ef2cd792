/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "linux_guest_private.h"

#define MAX_FDS     (1u << 20) /* default of fs.nr_open */
#define CHUNK_SLOTS 512u

enum { FILES, FDT, MAX_FD, FD_ARRAY, F_FLAGS, FIELDS };

struct vmtape_error *linux_guest_fds(const struct linux_guest *guest, struct guest_memory *memory, gva_t task,
				     void (*found)(void *ctx, const struct linux_fd *fd), void *ctx)
{
	struct linux_field fields[FIELDS] = {
		[FILES] = {.type = "struct task_struct", .member = "files"},
		[FDT] = {.type = "struct files_struct", .member = "fdt"},
		[MAX_FD] = {.type = "struct fdtable", .member = "max_fds"},
		[FD_ARRAY] = {.type = "struct fdtable", .member = "fd"},
		[F_FLAGS] = {.type = "struct file", .member = "f_flags"},
	};
	struct linux_paths *paths = NULL;
	uint64_t files, fdt, max_fd, array, slots[CHUNK_SLOTS];
	struct vmtape_error *error;

	error = linux_fields_find(guest, fields, FIELDS);
	if (!error)
		error = linux_field_read(guest, memory, task.v, &fields[FILES], &files);
	if (error || !files) /* a kernel thread or a zombie has none */
		return error;
	error = linux_field_read(guest, memory, files, &fields[FDT], &fdt);
	if (!error)
		error = linux_field_read(guest, memory, fdt, &fields[MAX_FD], &max_fd);
	if (!error)
		error = linux_field_read(guest, memory, fdt, &fields[FD_ARRAY], &array);
	if (!error && max_fd > MAX_FDS)
		error = vmtape_error_create_at(VMTAPE_ERROR_FORMAT, fdt, "table of %" PRIu64 " file descriptors",
					       max_fd);
	if (!error)
		error = linux_paths_create(&paths, guest, memory);

	for (uint32_t fd = 0; !error && fd < max_fd; fd++) {
		uint32_t slot = fd % CHUNK_SLOTS;
		struct linux_fd out = {.fd = (int32_t)fd};
		struct vmtape_error *unread;
		uint64_t flags;

		if (!slot) {
			uint32_t n = max_fd - fd < CHUNK_SLOTS ? max_fd - fd : CHUNK_SLOTS;

			error = guest_read_virt(memory, guest->facts.kernel_space, GVA(array + 8 * (uint64_t)fd), slots,
						8 * n);
			if (error)
				break;
		}
		if (!slots[slot])
			continue;
		/* That one file's page is missing leaves its path empty; that it is open is known. */
		unread = linux_field_read(guest, memory, slots[slot], &fields[F_FLAGS], &flags);
		out.flags = (uint32_t)flags;
		if (!unread)
			unread = linux_path_of_file(paths, slots[slot], out.path);
		vmtape_error_destroy(unread);
		found(ctx, &out);
	}
	linux_paths_destroy(paths);
	return error;
}
