/* SPDX-License-Identifier: MIT */
/*
 * tape_fixture.h - for tests of the tape: records made by hand, a tape in
 * memory, and reproducible numbers. Everything exits on failure.
 */
#ifndef TAPE_FIXTURE_H
#define TAPE_FIXTURE_H

#include "bytes.h"
#include "tape.h"
#include "tape_private.h"

/* A file in memory that grows as it is written; write_later: done is called by fixture_complete() only. */
struct fixture_file {
	uint8_t *bytes;
	size_t size_bytes;
	size_t room_bytes;
	bool write_later;
	uint64_t fail_from; /* writes that reach beyond this offset fail (-ENOSPC); 0: none */
	struct fixture_write *waiting;
	/* Looks at each write before it is done; NULL: nobody does. */
	void (*before_write)(void *ctx, uint64_t offset, const void *buffer, size_t size_bytes);
	void *before_write_ctx;
};
struct tape_sink fixture_sink(struct fixture_file *file);
/* Ends all writes that wait, in order. */
void fixture_complete(struct fixture_file *file);
void fixture_file_deinit(struct fixture_file *file);

/* A writer with slots of slot_bytes, a fixed uuid and time of creation. */
struct tape_writer *fixture_writer(struct fixture_file *file, uint32_t slot_bytes);
/* The same of a ring tape; 0 places: not a ring. */
struct tape_writer *fixture_ring_writer(struct fixture_file *file, uint32_t slot_bytes, uint32_t nr_places);

/* One whose tape has a hash chain, and, with a key file, signatures. */
struct tape_writer *fixture_sealed_writer(struct fixture_file *file, uint32_t slot_bytes, const char *key_path);

struct fixture_call {
	uint8_t type; /* TRAP_ENTER or TRAP_EXIT */
	uint16_t vcpu;
	uint64_t seq, tsc, nr, cr3;
	const char *text; /* fragment; NULL: none */
};
void fixture_add_call(struct byte_buffer *out, const struct fixture_call *call);
void fixture_add_gap(struct byte_buffer *out, uint16_t vcpu, uint64_t seq, uint64_t tsc, const struct trap_gap *gap);

/* The chunk of these records, appended; out is emptied. */
void fixture_append_traps(struct tape_writer *writer, uint16_t vcpu, struct byte_buffer *records);
void fixture_append_meta(struct tape_writer *writer, const char *text);

/* Compresses pages' chunks only when they are waited for, the newest first; at other times some, by chance. */
struct fixture_coder {
	struct tape_page_job *posted; /* newest first */
	uint64_t random;
};
struct tape_page_coder fixture_page_coder(struct fixture_coder *coder);

/* splitmix64: the same numbers everywhere. */
uint64_t fixture_random(uint64_t *state);
/* 4096 bytes that depend on number; number 0: zeros; incompressible if it is odd. */
void fixture_page(uint8_t *page, uint64_t number);

/* Counts, and prints the first ten when loud. */
struct fixture_report {
	uint64_t count;
	bool loud;
};
void fixture_report(void *ctx, uint64_t offset, const char *message);

#endif
