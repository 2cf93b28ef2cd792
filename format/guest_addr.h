/* SPDX-License-Identifier: MIT */
/* guest_addr.h - guest-virtual and guest-physical addresses, as types that do not mix. */
#ifndef GUEST_ADDR_H
#define GUEST_ADDR_H

#include <stdint.h>

typedef struct {
	uint64_t v;
} gva_t;

typedef struct {
	uint64_t v;
} gpa_t;

#define GVA(x) ((gva_t){(x)})
#define GPA(x) ((gpa_t){(x)})

#endif
