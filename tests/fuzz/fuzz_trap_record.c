/* SPDX-License-Identifier: MIT */
/* Record parser over any bytes, as a tape's block or a drained ring would hold them: record behind record. */
#include <errno.h>
#include <stdlib.h>

#include "trap_record.h"

static volatile uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		struct trap_fragment fragment;
		struct trap_plan_change plan;
		const char *why = NULL;
		const uint8_t *bytes;
		struct trap_view view;
		struct trap_mark mark;
		struct trap_gap gap;
		size_t position = 0;
		unsigned n = 0;
		int length = trap_view_parse(&view, data + at, size - at, &why);

		if (length <= 0) {
			if (!why == (length != -EAGAIN))
				abort();
			break;
		}
		if ((size_t)length > size - at || (size_t)length < sizeof(struct trap_record))
			abort();
		while (trap_view_next_fragment(&view, &position, &fragment, &bytes)) {
			for (unsigned i = 0; i < fragment.len_bytes; i++)
				sink ^= bytes[i];
			if (bytes + fragment.len_bytes > data + at + length)
				abort();
			n++;
		}
		if (n != view.header.nr_fragments)
			abort();
		trap_view_gap(&view, &gap);
		trap_view_mark(&view, &mark);
		trap_view_plan(&view, &plan);
		at += (size_t)length;
	}
	return 0;
}
