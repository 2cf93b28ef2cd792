/* SPDX-License-Identifier: MIT */
/*
 * name_set.h - names of flags and enumerations, most of them out of the C headers
 * (uapi_names.rules). A name_set is constant; values outside it print as numbers.
 */
#ifndef NAME_SET_H
#define NAME_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strbuf.h"

struct named_value {
	uint64_t value;
	const char *name;
};

#define NAMED(constant)                         \
	{                                       \
		(uint64_t)(constant), #constant \
	}
#define NAMED_AS(value, text)           \
	{                               \
		(uint64_t)(value), text \
	}

struct name_set {
	const struct named_value *values; /* flags: composites before their parts */
	size_t n;
	const char *unknown; /* strace's word for a number without a name: "O_???" */
	/* Bits that together are one number. Of flags it comes first (O_ACCMODE), of one name last ("IPC_64|IPC_STAT").
	 */
	uint64_t enum_mask;
	const char *huge; /* flags: name of the shift of a page size's logarithm, six bits from bit 26 on */
	uint32_t query;   /* flags: not a sum, but a question (personality(0xffffffff)); 0: none */
	bool wide;        /* 64 bits matter; else 32 */
	bool decimal;     /* unknown numbers are decimal */
};

#define NAME_SET(set, array, ...) \
	const struct name_set set = {.values = (array), .n = sizeof(array) / sizeof((array)[0]), __VA_ARGS__}

/* NULL: none. */
const char *name_set_find(const struct name_set *set, uint64_t value);
void name_set_put_one(const struct name_set *set, uint64_t value, struct strbuf *out);
/* "A|B|0x10" */
void name_set_put_flags(const struct name_set *set, uint64_t value, struct strbuf *out);

/* false and nothing put: no such signal. "SIGINT", "SIGRT_3" */
bool signal_name_put(uint32_t number, struct strbuf *out);
/* strace's "[INT CHLD]", "~[KILL STOP]"; bit n of the set is signal n + 1. */
void signal_set_put(uint64_t set, struct strbuf *out);
/* The same of old calls' sets of 32. */
void signal_set_put_old(uint32_t set, struct strbuf *out);

/* names_unexported.c; the others are in uapi_names.h, which is made by uapi_names.py */
extern const struct name_set names_dumpable, names_futex, names_module_delete, names_st_flags, names_syslog;
/* NULL: no such request; "A or B" where headers use one number twice. */
const char *ioctl_name_find(uint32_t request);

#include "uapi_names.h"

#endif
