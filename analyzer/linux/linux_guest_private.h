/* SPDX-License-Identifier: MIT */
/* linux_guest_private.h - what the files of linux/ that read a guest share; nothing else includes it. */
#ifndef LINUX_GUEST_PRIVATE_H
#define LINUX_GUEST_PRIVATE_H

#include "btf_types.h"
#include "kallsyms.h"
#include "kernel_image.h"
#include "linux_guest.h"

struct linux_syscalls;

struct linux_guest {
	struct kallsyms *symbols;
	struct btf_types *types; /* NULL: the guest has none */
	struct linux_syscalls *syscalls;
	struct linux_guest_facts facts;
	char *banner, *release;
};

/* A line to the log; bytes that do not print become '?'. log may be NULL. */
void linux_note(FILE *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- members of guest structures -------------------------------------- */

/* A member that some reader needs. Optional ones that do not exist have size 0. */
struct linux_field {
	const char *type, *member;
	bool optional;
	struct btf_field at;
};
/* Fill in .at of each; the first that is missing and not optional is the error. */
struct vmtape_error *linux_fields_find(const struct linux_guest *guest, struct linux_field *fields, size_t n);

/* A member of up to 8 bytes, bitfields included, of the object at base. */
struct vmtape_error *linux_field_read(const struct linux_guest *guest, struct guest_memory *memory, uint64_t base,
				      const struct linux_field *field, uint64_t *out);

/* ---- system calls ------------------------------------------------------ */

/* Never fails for what the guest lacks; the log says what was found. */
struct vmtape_error *linux_syscalls_create(struct linux_guest *guest, struct guest_memory *memory, FILE *log);
void linux_syscalls_destroy(struct linux_syscalls *syscalls);

/* ---- paths --------------------------------------------------------------- */

#define LINUX_PATH_BYTES 512u

struct linux_paths;
struct vmtape_error *linux_paths_create(struct linux_paths **out, const struct linux_guest *guest,
					struct guest_memory *memory);
void linux_paths_destroy(struct linux_paths *paths);
/* The path that a struct path {mnt, dentry} stands for. */
struct vmtape_error *linux_path_of(struct linux_paths *paths, uint64_t mnt, uint64_t dentry,
				   char out[LINUX_PATH_BYTES]);
/* As readlink of /proc/PID/fd/N gives it, for a struct file; a path too long loses its beginning ("..."). */
struct vmtape_error *linux_path_of_file(struct linux_paths *paths, uint64_t file, char out[LINUX_PATH_BYTES]);

#endif
