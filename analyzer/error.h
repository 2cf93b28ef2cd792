/* SPDX-License-Identifier: MIT */
/*
 * error.h - errors of the analyzer. NULL is success; anything else is owned by
 * who got it and freed with vmtape_error_destroy(), which takes the static
 * ones, too. "Not recorded" is an ordinary result with a code of its own.
 */
#ifndef VMTAPE_ERROR_H
#define VMTAPE_ERROR_H

#include <stdint.h>

enum vmtape_error_code {
	VMTAPE_ERROR_NO_MEMORY = 1,
	VMTAPE_ERROR_IO,           /* tape could not be read */
	VMTAPE_ERROR_FORMAT,       /* tape or guest structure is not what it must be */
	VMTAPE_ERROR_UNSUPPORTED,  /* newer than this code */
	VMTAPE_ERROR_NOT_RECORDED, /* the page or fact is not on the tape */
	VMTAPE_ERROR_NOT_FOUND,    /* no such symbol, type, member, call */
	VMTAPE_ERROR_USAGE,        /* bad filter, option, plan text */
};

struct vmtape_error {
	enum vmtape_error_code code;
	uint64_t address; /* guest address, or UINT64_MAX */
	char *message;
};

extern struct vmtape_error vmtape_error_no_memory;
extern struct vmtape_error vmtape_error_not_recorded;

struct vmtape_error *vmtape_error_create(enum vmtape_error_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));
/* With the guest address that it is about; the message gets it appended. */
struct vmtape_error *vmtape_error_create_at(enum vmtape_error_code code, uint64_t address, const char *format, ...)
	__attribute__((format(printf, 3, 4), returns_nonnull));
void vmtape_error_destroy(struct vmtape_error *error);

#endif
