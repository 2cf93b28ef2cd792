/* SPDX-License-Identifier: MIT */
/*
 * semantics.h - what each argument of a Linux system call means: one table, by
 * name, over defaults that follow from the C types of the guest's own metadata.
 * The capture plan and the decoder both read it. All of it is constant data, but for an index of names that is built
 * once, by whichever thread asks first.
 */
#ifndef SEMANTICS_H
#define SEMANTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arg_spec.h"
#include "call.h"
#include "name_set.h"

/* What the result is. */
enum ret_kind {
	RET_INT = 0,
	RET_ADDRESS,
	RET_OCTAL,
	RET_HEX,
	RET_FLAGS, /* "0x1 (flags FD_CLOEXEC)" */
	RET_SEALS, /* "0x2 (seals F_SEAL_SHRINK)" */
	RET_NAMES, /* "0x40000 (PER_LINUX|ADDR_NO_RANDOMIZE)" */
	RET_NAME,  /* "1 (SUID_DUMP_USER)" */
	RET_POLL,  /* with what is ready */
	RET_SELECT,
	RET_SIGNAL,
	RET_TIME,
	RET_PRIORITY, /* of ioprio_get */
	RET_HANDLER,
};

/* call_spec.flags */
#define CALL_F_NEW_IDENTITY 0x01 /* changes who the caller is, or makes a new task */
#define CALL_F_NO_RETURN    0x02
#define CALL_F_NEW_IMAGE    0x04 /* after success the arguments' memory is gone */
#define CALL_F_ODD_ON_I386  0x08 /* the 32-bit call has another list of arguments: show its numbers only */

/* Arguments that depend on the value of another: fcntl, ioctl, prctl, futex. */
#define VARIANT_ARGS 4
struct arg_variant {
	uint32_t value;
	uint8_t nr_args;
	uint8_t ret; /* enum ret_kind */
	const struct name_set *ret_names;
	struct arg_spec args[VARIANT_ARGS];
};

struct variant_set {
	uint8_t selector; /* number of the argument that decides */
	uint8_t at;       /* first of the arguments that it decides about */
	uint32_t mask;    /* of the selector's value */
	const struct arg_variant *variants;
	size_t n;
};

struct call_spec {
	const char *name;
	uint8_t flags;
	uint8_t ret; /* enum ret_kind */
	const struct name_set *ret_names;
	struct arg_spec args[LINUX_SYSCALL_ARGS];
	const struct variant_set *variants;
	int (*nr_shown)(const struct call *call); /* NULL: all */
};

/* By the name that user space uses; NULL: only types are known. */
const struct call_spec *call_spec_find(const char *name);
/* By name and ABI: 32-bit calls may have another list of arguments. syscall may be NULL. */
const struct call_spec *call_spec_of(const struct linux_syscall *syscall);
/* Of a call that was not settled, or NULL: all that is known, or nothing. Returns scratch. */
const struct call_meaning *call_meaning_find(const struct linux_syscall *syscall, struct call_meaning *scratch);
/* What call_meaning_settle() has found out, or else found out now, in scratch. syscall may be NULL. */
static inline const struct call_meaning *call_meaning_of(const struct linux_syscall *syscall,
							 struct call_meaning *scratch)
{
	if (syscall && syscall->meaning.settled)
		return &syscall->meaning;
	return call_meaning_find(syscall, scratch);
}
size_t call_spec_count(void);
const struct call_spec *call_spec_get(size_t index);

/* variants.c */
extern const struct variant_set variants_fcntl, variants_ioctl, variants_prctl, variants_futex, variants_arch_prctl,
	variants_epoll_ctl, variants_futex_time64, variants_ptrace;
/* variants_kernel.c */
extern const struct variant_set variants_bpf, variants_keyctl, variants_quotactl, variants_quotactl_fd,
	variants_seccomp, variants_landlock, variants_fsconfig, variants_shmctl, variants_msgctl, variants_semctl,
	variants_uring_register, variants_uring_enter;
/* semantics_kernel.c: the calls that are not in semantics.c */
extern const struct call_spec kernel_calls[];
extern const size_t nr_kernel_calls;
/* semantics_i386.c: names begin with "i386:" or "x32:" */
extern const struct call_spec i386_calls[];
extern const size_t nr_i386_calls;
/* NULL: the call has none, or none for this value. */
const struct arg_variant *call_variant(const struct call_spec *spec, const uint64_t *args);

/* Number of arguments: the guest's own, else what the table has. spec may be NULL. */
int call_spec_nr_args(const struct linux_syscall *syscall, const struct call_spec *spec);
/* By the C type alone. */
void arg_spec_by_type(const char *type_text, const char *name, struct arg_spec *out);
/* Meaning of argument i by table or type; variant may be NULL. call_meaning has the ones without. */
void call_spec_arg(const struct linux_syscall *syscall, const struct call_spec *spec, const struct arg_variant *variant,
		   int i, struct arg_spec *out);

#endif
