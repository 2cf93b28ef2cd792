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

#endif
