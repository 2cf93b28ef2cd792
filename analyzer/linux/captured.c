/* SPDX-License-Identifier: MIT */
#include "captured.h"

#include <string.h>

#include "semantics.h"

#define LAST_ERRNO  4095
#define ANY_SIZE    UINT64_MAX
#define STATUS_MASK 0x7fu

bool call_is_ok(const struct call *call)
{
	return call->has_exit && call->ret_known && !(call->ret < 0 && call->ret >= -LAST_ERRNO);
}

static bool better(const struct captured *a, const struct captured *b)
{
	return !b->data || (a->whole && !b->whole) || (a->whole == b->whole && a->len > b->len);
}

/* The best of a record's pieces, those that were read again or the others. */
static void search(const struct trap_view *view, bool again, uint8_t label, uint64_t gva, uint64_t want,
		   struct captured *best)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		struct captured piece = {.data = bytes, .len = fragment.len_bytes, .want = fragment.want_bytes};
		uint8_t status = fragment.status & STATUS_MASK;

		if (fragment.label != label || fragment.gva != gva || again != !!(fragment.status & TRAP_FRAG_AGAIN))
			continue;
		if (want != ANY_SIZE && fragment.want_bytes != want)
			continue;
		if (status != TRAP_FRAG_WHOLE && status != TRAP_FRAG_CUT && !fragment.len_bytes)
			continue;
		piece.whole = status == TRAP_FRAG_WHOLE;
		if (better(&piece, best))
			*best = piece;
	}
}

/* After a successful exec, the addresses belong to another program. */
static bool again_means_nothing(const struct call *call)
{
	const struct call_spec *spec = call_spec_of(call->syscall);

	return spec && spec->flags & CALL_F_NEW_IMAGE && (!call->ret_known || call->ret == 0);
}

bool captured_find_sized(const struct call *call, enum captured_when when, uint8_t label, uint64_t gva, uint64_t want,
			 struct captured *out)
{
	memset(out, 0, sizeof(*out));
	if (when == CAPTURED_BEFORE) {
		if (call->has_enter)
			search(&call->enter, false, label, gva, want, out);
		if (!out->whole && call->has_exit && !again_means_nothing(call))
			search(&call->exit, true, label, gva, want, out);
	} else if (call->has_exit) {
		search(&call->exit, false, label, gva, want, out);
	}
	return out->data;
}

bool captured_find(const struct call *call, enum captured_when when, uint8_t label, uint64_t gva, struct captured *out)
{
	return captured_find_sized(call, when, label, gva, ANY_SIZE, out);
}

bool captured_exit_item(const struct call *call, uint8_t label, size_t item, size_t *count, struct captured *out)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0, seen = 0;

	*count = 0;
	if (!call->has_exit)
		return false;
	/* the array's own fragment comes first, then one for each string */
	while (trap_view_next_fragment(&call->exit, &position, &fragment, &bytes)) {
		if (fragment.label != label || (fragment.status & TRAP_FRAG_AGAIN))
			continue;
		if (!seen++) {
			if ((fragment.status & STATUS_MASK) != TRAP_FRAG_WHOLE)
				return false;
			*count = fragment.len_bytes / 8;
			continue;
		}
		if (seen - 2 != item)
			continue;
		*out = (struct captured){.data = bytes,
					 .len = fragment.len_bytes,
					 .want = fragment.want_bytes,
					 .whole = (fragment.status & STATUS_MASK) == TRAP_FRAG_WHOLE};
		return fragment.len_bytes || out->whole;
	}
	return false;
}

size_t captured_string(const struct captured *piece, bool *ended)
{
	size_t len = strnlen((const char *)piece->data, piece->len);

	*ended = len < piece->len || (piece->whole && piece->want == (uint64_t)piece->len + 1);
	return len;
}
