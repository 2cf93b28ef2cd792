/* SPDX-License-Identifier: MIT */
/*
 * event_stream.h - a made-up but realistic stream of traps for the benches, the
 * same for vmtape and its peer: enters and exits of some tasks, 60 calls of very
 * different frequency, plausible registers, and a path with every third call. It is
 * made once and then repeats; one turn is longer than what zstd looks back at level 1.
 */
#ifndef EVENT_STREAM_H
#define EVENT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#define EVENT_STREAM_EVENTS 16384u /* a power of two */
#define EVENT_ENTER_REGS    12u
#define EVENT_EXIT_REGS     7u
#define EVENT_PATH_MAX      60u

/* As a plan for Linux asks for them; registers stand in the order of a trap record. */
struct stream_event {
	uint64_t regs[EVENT_ENTER_REGS];
	const char *path; /* NULL: none */
	uint8_t path_bytes;
	bool is_exit;
};

enum stream_enter_reg {
	ENTER_RAX,
	ENTER_RDX,
	ENTER_RSP,
	ENTER_RSI,
	ENTER_RDI,
	ENTER_R8,
	ENTER_R9,
	ENTER_R10,
	ENTER_RIP,
	ENTER_CR3,
	ENTER_TASK,
	ENTER_TASK_ID
};
enum stream_exit_reg { EXIT_RAX, EXIT_RSP, EXIT_RIP, EXIT_CR3, EXIT_TASK, EXIT_TASK_ID, EXIT_NR };

struct event_stream {
	struct stream_event events[EVENT_STREAM_EVENTS];
	double path_share;         /* of all events */
	double path_bytes_average; /* over all events */
};

/* The same stream for the same seed. NULL: no memory. The caller frees it. */
struct event_stream *event_stream_create(uint64_t seed);

#endif
