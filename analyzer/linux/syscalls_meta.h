/* SPDX-License-Identifier: MIT */
/*
 * syscalls_meta.h - prototypes of the kernel's system-call functions, from the
 * ftrace metadata that CONFIG_FTRACE_SYSCALLS leaves in its memory. By the
 * kernel's names: "newstat", not "stat".
 */
#ifndef SYSCALLS_META_H
#define SYSCALLS_META_H

#include "linux_guest_private.h"

struct syscall_prototype {
	uint64_t gva; /* of the guest's struct syscall_metadata */
	char *name;   /* without "sys_" */
	int nr_args;
	char *arg_names[LINUX_SYSCALL_ARGS];
	char *arg_types[LINUX_SYSCALL_ARGS];
};

struct syscall_prototypes {
	struct syscall_prototype *sorted; /* by gva */
	size_t nr;
	uint64_t *by_nr; /* x86-64: gva of the metadata of each number, or 0 */
	uint32_t nr_by_nr;
};

/* nr_syscalls: length of the kernel's table. What can't be read is left out; the log says so. */
struct vmtape_error *syscall_prototypes_read(struct syscall_prototypes *out, const struct linux_guest *guest,
					     struct guest_memory *memory, uint32_t nr_syscalls, FILE *log);
void syscall_prototypes_deinit(struct syscall_prototypes *prototypes);
const struct syscall_prototype *syscall_prototype_by_name(const struct syscall_prototypes *prototypes,
							  const char *name);
const struct syscall_prototype *syscall_prototype_by_nr(const struct syscall_prototypes *prototypes, uint32_t nr);

#endif
