/* SPDX-License-Identifier: MIT */
/*
 * linux_guest_fixture.h - a Linux guest made by hand: RAM with page tables, a
 * kernel image with kallsyms, BTF and system-call metadata, and a few tasks with
 * files. Small, but laid out as a kernel does it; tests bend it as they like.
 */
#ifndef LINUX_GUEST_FIXTURE_H
#define LINUX_GUEST_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_memory.h"
#include "linux/linux_guest.h"
#include "vcpu_state.h"

#define FIXTURE_RAM_BYTES (8u << 20)
#define FIXTURE_TEXT      0xffffffff9a000000ull
#define FIXTURE_TEXT_GPA  0x200000ull
#define FIXTURE_LSTAR     (FIXTURE_TEXT + 0x1000)
#define FIXTURE_SLIDE     0x19000000ull
#define FIXTURE_TOP_GPA   (FIXTURE_TEXT_GPA + 0x20000) /* init_top_pgt */
#define FIXTURE_PGD_GPA   0x6000ull                    /* of the process; its user half is behind */
#define FIXTURE_NR_CALLS  335u

/* Offsets in the fixture's task_struct: odd on purpose, as nothing may be taken for granted. */
enum {
	TASK_FLAGS = 0x2c,
	TASK_EXIT_STATE = 0x440,
	TASK_PID = 0x578,
	TASK_TASKS = 0x490,
	TASK_MM = 0x4e8,
	TASK_REAL_PARENT = 0x590,
	TASK_START = 0x668,
	TASK_CRED = 0x720,
	TASK_COMM = 0x738,
	TASK_FILES = 0x780,
	TASK_NSPROXY = 0x788,
	TASK_SIGNAL = 0x790,
	TASK_THREAD_NODE = 0x650,
	TASK_BYTES = 0x800,
};

/* struct mount: mountpoint at 24, vfsmount at 32, list at 64, namespace at 80 */
enum { FIXTURE_MOUNT_ROOT, FIXTURE_MOUNT_DEEP, FIXTURE_MOUNT_BIND, FIXTURE_MOUNTS };

struct linux_guest_fixture {
	/* What to build; set before linux_guest_fixture_build(). */
	int levels;
	bool pti;
	bool pcpu_hot;        /* current_task inside it, as from 6.2 to 6.14 */
	bool addresses_first; /* order of kallsyms */
	bool no_metadata, no_btf;
	bool booting;    /* system_state is SYSTEM_BOOTING */
	bool maple;      /* regions in a maple tree, as from 6.1 on, not in a list */
	bool i386_table; /* ia32_sys_call_table, as before 6.9 */

	/* What was built. */
	uint8_t *ram;
	uint64_t direct_map, gs_base;
	uint64_t init_task, kthread, leader, thread, zombie;
	uint64_t maple_leaf; /* the second one */
	uint64_t first_vma, last_vma;
	uint64_t exe_dentry, exe_directory; /* d_parent is at 24 */
	uint64_t mounts[FIXTURE_MOUNTS], mount_point, mount_namespace;
	uint64_t regs[VCPU_REGS];
	struct linux_vcpu vcpu;
	struct guest_memory *memory;
	uint64_t missing_gfn; /* not recorded; 0: all are */

	uint64_t heap;
};

void linux_guest_fixture_build(struct linux_guest_fixture *f);
void linux_guest_fixture_deinit(struct linux_guest_fixture *f);
/* To the kernel image or the direct map. Reads after it need linux_guest_fixture_reopen(). */
void linux_guest_fixture_put(struct linux_guest_fixture *f, uint64_t gva, uint64_t value, unsigned bytes);
/* Drops what the page cache holds. */
void linux_guest_fixture_reopen(struct linux_guest_fixture *f);

#endif
