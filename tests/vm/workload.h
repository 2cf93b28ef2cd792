/* SPDX-License-Identifier: MIT */
/*
 * workload.h - for the programs that make system calls on purpose inside the
 * test guest: what they expect of each call, and how they complain. Linked
 * statically, so that the guest needs no libraries.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls that are younger than the C library's list; an older kernel answers ENOSYS. */
enum {
	NR_cachestat = 451,
	NR_fchmodat2 = 452,
	NR_map_shadow_stack = 453,
	NR_futex_wake = 454,
	NR_futex_wait = 455,
	NR_futex_requeue = 456,
	NR_statmount = 457,
	NR_listmount = 458,
	NR_lsm_get_self_attr = 459,
	NR_lsm_set_self_attr = 460,
	NR_lsm_list_modules = 461,
	NR_mseal = 462,
	NR_setxattrat = 463,
	NR_getxattrat = 464,
	NR_listxattrat = 465,
	NR_removexattrat = 466,
	NR_open_tree_attr = 467,
	NR_file_getattr = 468,
	NR_file_setattr = 469,
	NR_listns = 470,
};

/* The call must not fail; its value is returned. */
#define must(call)                                                                                      \
	({                                                                                              \
		long must_value = (long)(call);                                                         \
		if (must_value == -1) {                                                                 \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerror(errno)); \
			exit(1);                                                                        \
		}                                                                                       \
		must_value;                                                                             \
	})

/* The call must fail with this errno. */
#define fails(call, error)                                                                                            \
	do {                                                                                                          \
		errno = 0;                                                                                            \
		long fails_value = (long)(call);                                                                      \
		if (fails_value != -1 || errno != (error)) {                                                          \
			fprintf(stderr, "%s:%d: %s: %ld, errno %d, not %s\n", __FILE__, __LINE__, #call, fails_value, \
				errno, #error);                                                                       \
			exit(1);                                                                                      \
		}                                                                                                     \
	} while (0)

/* The call may succeed or fail, as the kernel's configuration has it; its value is returned. */
#define may(call)                            \
	({                                   \
		long may_value = (long)call; \
		may_value;                   \
	})

#endif
