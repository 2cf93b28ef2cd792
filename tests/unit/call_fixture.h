/* SPDX-License-Identifier: MIT */
/*
 * call_fixture.h - for tests of the analyzer: records of threads that make
 * calls, made by hand, and tapes of them in memory. Everything exits on failure.
 */
#ifndef CALL_FIXTURE_H
#define CALL_FIXTURE_H

#include "session.h"
#include "tape.h"

#define FIXTURE_VCPUS  4
#define FIXTURE_TSC_HZ 1000000000ull
/* 2026-01-02T03:04:05.000000000Z at TSC 0 */
#define FIXTURE_TIME_NS 1767323045000000000ull

struct fixture_fragment {
	uint8_t label, status;
	uint64_t gva;
	const void *bytes;
	uint16_t len_bytes;
	uint32_t want_bytes; /* 0: len_bytes */
};

struct fixture_record {
	uint8_t type, abi, via, flags;
	uint16_t vcpu;
	uint64_t tsc;
	uint64_t task; /* 0: no task word */
	int32_t pid, tid;
	uint64_t nr; /* of an entry: RAX; of an exit: TRAP_REG_NR, unless flags has TRAP_F_UNPAIRED */
	uint64_t ret;
	uint64_t args[6]; /* of an exit: RDI alone, unless it is 0 */
	uint64_t rip, rsp, cr3;
	struct fixture_fragment fragments[4];
	unsigned nr_fragments;
	struct trap_gap gap;
};

/* A record's bytes and view; both live until the next call. Numbers it in its vCPU's order. */
struct trap_view fixture_view(const struct fixture_record *record);

/* ---- tapes ----------------------------------------------------------- */

struct fixture_tape {
	uint8_t *bytes; /* the file */
	size_t size_bytes, room;
	struct {
		uint8_t *bytes;
		size_t size_bytes, room;
	} vcpus[FIXTURE_VCPUS];
	uint64_t records, lost;
	size_t chunk_bytes; /* at most, but for one record; 0: 64 KiB */
	const void *plan;   /* lent; NULL: none */
	size_t plan_bytes;
};

void fixture_tape_init(struct fixture_tape *tape);
void fixture_tape_add(struct fixture_tape *tape, const struct fixture_record *record);
/* Numbers of this vCPU that no record bears and no gap tells of, as damage would leave it. */
void fixture_skip(uint16_t vcpu, uint64_t records);
/* Writes all, with a pair of TSC and wall clock (a snapshot without pages) at TSC 0 if with_clock. */
void fixture_tape_finish(struct fixture_tape *tape, bool with_clock);
void fixture_tape_deinit(struct fixture_tape *tape);
/* Opened, with Linux assumed. */
struct session *fixture_session(const struct fixture_tape *tape);

/* Entry and exit of a thread, with RIP, RSP and CR3 that follow from its ids. */
struct fixture_record fixture_enter(uint64_t tsc, int32_t pid, int32_t tid, uint64_t nr);
struct fixture_record fixture_exit(uint64_t tsc, int32_t pid, int32_t tid, uint64_t nr, int64_t ret);

#define FIXTURE_OK(error)                                                                           \
	do {                                                                                        \
		struct vmtape_error *fixture_error = (error);                                       \
		if (fixture_error) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, fixture_error->message); \
			exit(1);                                                                    \
		}                                                                                   \
	} while (0)

#endif
