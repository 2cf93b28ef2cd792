/* SPDX-License-Identifier: MIT */
/*
 * linux_guest.h - what a Linux guest's memory tells about itself: banner,
 * kallsyms, BTF, the ftrace metadata of its system calls, its tasks. No profile,
 * no version numbers: members and symbols are tested for. All strings belong to
 * the guest object and are plain bytes of the guest: escape them on output. Once
 * identified, a guest does not change: any number of threads may ask.
 */
#ifndef LINUX_GUEST_H
#define LINUX_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "guest_memory.h"
#include "linux/arg_spec.h"
#include "plan_abi.h"

/* One vCPU's registers of a snapshot: values[i] is enum vcpu_reg i, nr of them. */
struct linux_vcpu {
	const uint64_t *values;
	uint32_t nr;
};

struct linux_guest;

/*
 * Find the running kernel in memory (not the leftovers of its decompressor:
 * LSTAR must be its entry_SYSCALL_64). On failure the error says what was looked
 * for and not found; log (may be NULL) gets a line for each step, found or not.
 */
struct vmtape_error *linux_guest_identify(struct linux_guest **out, struct guest_memory *memory,
					  const struct linux_vcpu *vcpus, size_t nr_vcpus, FILE *log);
void linux_guest_destroy(struct linux_guest *guest);

struct linux_guest_facts {
	const char *banner;  /* "Linux version 6.1.0-…" without the newline */
	const char *release; /* "6.1.0-56-cloud-amd64" */
	gva_t text;          /* _text */
	gpa_t text_gpa;
	uint64_t kaslr_slide; /* virtual */
	bool booting;         /* still in start_kernel(): PTI and per-CPU areas are not final */
	int levels;           /* of page tables */
	bool pti;
	struct guest_space kernel_space;
	uint64_t kernel_cr3_mask; /* user CR3 & mask is the same task's kernel CR3 */
	gva_t page_offset;        /* direct map */
	size_t nr_symbols;
	size_t nr_types;         /* BTF; 0: none */
	size_t nr_syscall_names; /* with ftrace metadata */
};
const struct linux_guest_facts *linux_guest_facts(const struct linux_guest *guest);

/* false: no such symbol. Names are without the type letter. */
bool linux_guest_symbol(const struct linux_guest *guest, const char *name, gva_t *out);
/* Offset in bytes of "a.b.c" in struct type ("task_struct"), through anonymous members; size of the member. */
struct vmtape_error *linux_guest_member(const struct linux_guest *guest, const char *type, const char *member,
					uint32_t *offset, uint32_t *size_bytes);
struct vmtape_error *linux_guest_type_size(const struct linux_guest *guest, const char *type, uint32_t *size_bytes);

/* ---- system calls ---------------------------------------------------- */

struct linux_syscall {
	uint32_t nr;
	uint8_t abi;             /* enum trap_abi */
	const char *name;        /* as user space calls it: "stat" */
	const char *kernel_name; /* as the kernel does, without sys_: "newstat"; NULL if not known */
	int nr_args;             /* -1: not known */
	const char *arg_names[LINUX_SYSCALL_ARGS];
	const char *arg_types[LINUX_SYSCALL_ARGS]; /* C type: "const char *" */
	/* Structs of the guest's own that arguments point at, by its BTF; NULL: none. */
	const struct record_layout *arg_layouts[LINUX_SYSCALL_ARGS];
	struct call_meaning meaning; /* by call_meaning_settle() */
};
/*
 * Find out once what the members above mean. A call that was not settled is
 * decoded alike, but slower; to be done before other threads see the call.
 */
void call_meaning_settle(struct linux_syscall *syscall);
/* NULL: the guest has no such call. Works for a guest without metadata, by sys_call_table and built-in prototypes. */
const struct linux_syscall *linux_guest_syscall(const struct linux_guest *guest, uint8_t abi, uint32_t nr);
int64_t linux_guest_syscall_nr(const struct linux_guest *guest, uint8_t abi, const char *name);
/* The number's name by the uapi headers alone, for an unknown guest; NULL: none. */
const char *linux_syscall_name(uint8_t abi, uint32_t nr);
int64_t linux_syscall_nr(uint8_t abi, const char *name);
/* Highest number + 1 of the table. */
uint32_t linux_guest_nr_syscalls(const struct linux_guest *guest, uint8_t abi);

/* ---- who runs -------------------------------------------------------- */

/* plan_header.task for this guest: current_task or pcpu_hot, pid/tgid word, KPTI mask. */
struct vmtape_error *linux_guest_plan_task(const struct linux_guest *guest, struct plan_task *out);
/*
 * Identity steps: PLAN_LABEL_COMM, _PARENT (id word), _START_TIME, _MM, and _EXE twice: 16 bytes {vfsmount, dentry} of
 * the executable, and its last name. Kernel reads from TRAP_REG_TASK on.
 */
struct vmtape_error *linux_guest_identity_steps(const struct linux_guest *guest, struct plan_step *out, size_t room,
						size_t *n);

struct linux_task {
	gva_t task;
	int32_t pid;  /* thread id */
	int32_t tgid; /* process id */
	int32_t ppid; /* of the real parent's process; 0: none */
	char comm[16 + 1];
	uint64_t start_ns; /* since boot (start_boottime) */
	uint32_t uid;
	uint64_t cr3; /* 0: kernel thread */
	bool kernel_thread;
	bool exiting;  /* zombie or dead */
	char exe[512]; /* path of the executable; empty: none, or not recorded */
};
/*
 * Every thread of every process, in the kernel's order. memory is a snapshot of
 * the same boot. Bounded; a broken list ends the walk with an error after the
 * tasks that were found.
 */
struct vmtape_error *linux_guest_tasks(const struct linux_guest *guest, struct guest_memory *memory,
				       void (*found)(void *ctx, const struct linux_task *task), void *ctx);

struct linux_fd {
	int32_t fd;
	uint32_t flags; /* file.f_flags */
	char path[512]; /* "/etc/passwd", "socket:[123]", "pipe:[7]", "anon_inode:[eventpoll]" */
};
struct vmtape_error *linux_guest_fds(const struct linux_guest *guest, struct guest_memory *memory, gva_t task,
				     void (*found)(void *ctx, const struct linux_fd *fd), void *ctx);

/* Path of {mnt, dentry}, as readlink of /proc/PID/exe gives it. out holds size_bytes; a path that does not fit is an
 * error. */
struct vmtape_error *linux_guest_path(const struct linux_guest *guest, struct guest_memory *memory, gva_t mnt,
				      gva_t dentry, char *out, size_t size_bytes);

#endif
