/* SPDX-License-Identifier: MIT */
/* captured.h - the pieces of guest memory that a call's records brought. They live as long as the call. */
#ifndef CAPTURED_H
#define CAPTURED_H

#include "call.h"

struct captured {
	const uint8_t *data;
	size_t len;
	uint64_t want; /* bytes asked for; strings: with the NUL, 0 when the end was not seen */
	bool whole;
};

enum captured_when {
	CAPTURED_BEFORE, /* as the call began; read at its end if it was not in memory before */
	CAPTURED_AFTER,  /* as the call ended */
};

/* The call succeeded, so that what it wrote means something. */
bool call_is_ok(const struct call *call);
/* false: nothing from this address was taken for this label (enum plan_label). */
bool captured_find(const struct call *call, enum captured_when when, uint8_t label, uint64_t gva, struct captured *out);
/* The same for a given size, where several pieces may begin at one address. */
bool captured_find_sized(const struct call *call, enum captured_when when, uint8_t label, uint64_t gva, uint64_t want,
			 struct captured *out);
/* Item of the array of strings that the exit brought for this label, and how many it has; false: it did not. */
bool captured_exit_item(const struct call *call, uint8_t label, size_t item, size_t *count, struct captured *out);
/* Length up to a NUL; *ended says whether it is known that the string ends there. */
size_t captured_string(const struct captured *piece, bool *ended);

#endif
