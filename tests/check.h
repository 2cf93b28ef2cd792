/* SPDX-License-Identifier: MIT */
/* check.h - the whole of the test framework: a failed check names its place and values, and the program fails. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

#define CHECK_INT(actual, expected)                                                                                 \
	do {                                                                                                        \
		int64_t check_a = (int64_t)(actual), check_e = (int64_t)(expected);                                 \
		if (check_a != check_e) {                                                                           \
			fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", __FILE__, __LINE__, #actual, \
				check_a, check_e);                                                                  \
			exit(1);                                                                                    \
		}                                                                                                   \
	} while (0)

#define CHECK_STR(actual, expected)                                                                       \
	do {                                                                                              \
		const char *check_a = (actual), *check_e = (expected);                                    \
		if (!check_a || strcmp(check_a, check_e)) {                                               \
			fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #actual, \
				check_a ? check_a : "(null)", check_e);                                   \
			exit(1);                                                                          \
		}                                                                                         \
	} while (0)

/* Ends the test as skipped. */
#define SKIP(reason)                             \
	do {                                     \
		printf("skipped: %s\n", reason); \
		exit(77);                        \
	} while (0)

#endif
