/* SPDX-License-Identifier: MIT */
/*
 * lttng_events.h - the same events for LTTng-UST as recorder_load.c and
 * ring_append.c make; registers as one array, which costs LTTng least. Its own
 * time stamp is the only one. Included by LTTng's headers more than once.
 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER vmtape_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_events.h"

#if !defined(LTTNG_EVENTS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LTTNG_EVENTS_H

#include <lttng/tracepoint.h>
#include <stdint.h>

/* clang-format off */
LTTNG_UST_TRACEPOINT_EVENT(vmtape_bench, call,
	LTTNG_UST_TP_ARGS(uint64_t, nr, uint64_t, ip, const uint64_t *, args, const char *, text),
	LTTNG_UST_TP_FIELDS(
		lttng_ust_field_integer(uint64_t, nr, nr)
		lttng_ust_field_integer(uint64_t, ip, ip)
		lttng_ust_field_array(uint64_t, args, args, 6)
		lttng_ust_field_array_text(char, text, text, 32)
	)
)

LTTNG_UST_TRACEPOINT_EVENT(vmtape_bench, enter,
	LTTNG_UST_TP_ARGS(const uint64_t *, regs),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_array(uint64_t, regs, regs, 12))
)

LTTNG_UST_TRACEPOINT_EVENT(vmtape_bench, enter_path,
	LTTNG_UST_TP_ARGS(const uint64_t *, regs, const char *, path, uint8_t, path_bytes),
	LTTNG_UST_TP_FIELDS(
		lttng_ust_field_array(uint64_t, regs, regs, 12)
		lttng_ust_field_sequence_text(char, path, path, uint8_t, path_bytes)
	)
)

LTTNG_UST_TRACEPOINT_EVENT(vmtape_bench, exit,
	LTTNG_UST_TP_ARGS(const uint64_t *, regs),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_array(uint64_t, regs, regs, 7))
)
/* clang-format on */

#endif

#include <lttng/tracepoint-event.h>
