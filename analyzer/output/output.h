/* SPDX-License-Identifier: MIT */
/*
 * output.h - calls, traps and gaps as lines of text or JSON (docs/events-json.md).
 * Each function appends one line with its newline; guest bytes are escaped.
 * Any number of threads may, each into a buffer of its own, of one call too.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "call_stream.h"
#include "strbuf.h"
#include "terminal.h"

struct output_options {
	bool local;               /* text: times in the local time zone, not UTC */
	struct terminal terminal; /* text of calls and gaps: colours */
};

void output_text_call(struct strbuf *out, const struct call *call, const struct output_options *options);
void output_text_gap(struct strbuf *out, const struct call_item *item, const struct guest_clock *clock,
		     const struct output_options *options);
void output_json_call(struct strbuf *out, const struct call *call);
void output_json_gap(struct strbuf *out, const struct call_item *item, const struct guest_clock *clock);

/* ---- raw traps ------------------------------------------------------- */

/* A record, and the call that it alone tells of (of TRAP_ENTER and TRAP_EXIT, else NULL). */
struct output_trap {
	const struct trap_view *view;
	const struct call *call;
	const struct call_thread *thread;
	int64_t time_ns;
};
void output_text_trap(struct strbuf *out, const struct output_trap *trap, const struct output_options *options);
void output_json_trap(struct strbuf *out, const struct output_trap *trap);
/* An item of Nitro's array, without separator; false: Nitro has no such thing. */
bool output_nitro_trap(struct strbuf *out, const struct output_trap *trap);

/* What hooks have put, into the line or item that was appended last, one of these forms. NULL: nothing. */
void output_text_hook(struct strbuf *out, const char *json);
void output_json_hook(struct strbuf *out, const char *json);
void output_nitro_hook(struct strbuf *out, const char *json);

/* ---- pieces ---------------------------------------------------------- */

/* cat[231], cat[231/232], ?[cr3=0x1c34000] */
void output_put_thread(struct strbuf *out, const struct call_thread *thread, uint64_t cr3);
/* "pid": 1, "tid": 1, "ppid": 0, "process": "init", "exe": "/sbin/init" */
void output_json_thread(struct strbuf *out, const struct call_thread *thread);
/* A number that every JSON parser reads exactly, or a string in hex. */
void output_json_number(struct strbuf *out, int64_t value);
const char *output_abi_name(uint8_t abi);
const char *output_type_name(uint8_t type);
const char *output_via_name(uint8_t via);
const char *output_reg_name(int reg);

#endif
