/* SPDX-License-Identifier: MIT */
/*
 * tape.h - write and read a tape (.vmt). FORMAT.md is normative; this is the
 * only implementation that writes. Functions return 0 or a negative errno and
 * fill a struct tape_error (may be NULL) with a message and the file offset.
 * A writer or reader belongs to one thread at a time; tape_chunk_encode() may
 * run in any thread.
 */
#ifndef TAPE_H
#define TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan_abi.h"
#include "trap_abi.h"
#include "trap_record.h"
#include "vcpu_state.h"

#define TAPE_PAGE_BYTES      4096u
#define TAPE_SLOT_BYTES      (4u << 20)
#define TAPE_TRAPS_MAX_BYTES (1u << 20) /* raw bytes of one chunk of traps */
#define TAPE_RING_MIN_BYTES  (32ull << 20)
#define TAPE_RING_MAX_BYTES  (4096ull << 30)
#define TAPE_NO_OFFSET       UINT64_MAX

#define TAPE_CHAIN_BYTES         32u /* a value of the hash chain */
#define TAPE_PUBLIC_KEY_BYTES    32u /* Ed25519 */
#define TAPE_RAW_SIGNATURE_BYTES 64u
#define TAPE_SIGN_MS             1000u /* what is older than this gets signed */

struct tape_error {
	int error;       /* negative errno */
	uint64_t offset; /* in the file, or TAPE_NO_OFFSET */
	char message[256];
};

/* ---- chunks ---------------------------------------------------------- */

enum tape_chunk_type {
	TAPE_CHUNK_META = 1,      /* key=value lines: producer, VM, host, recorder, tsc_hz … */
	TAPE_CHUNK_PLAN = 2,      /* a capture plan as it was uploaded */
	TAPE_CHUNK_TRAPS = 3,     /* records of one vCPU */
	TAPE_CHUNK_PAGES = 4,     /* contents of guest pages */
	TAPE_CHUNK_SNAPSHOT = 5,  /* commits a snapshot */
	TAPE_CHUNK_INDEX = 6,     /* closes a slot */
	TAPE_CHUNK_END = 7,       /* clean end of the tape: why, and the totals */
	TAPE_CHUNK_PAGE_MAP = 8,  /* part of a snapshot: which pages it brings, and where they are */
	TAPE_CHUNK_SIGNATURE = 9, /* signs the hash chain up to here */
	TAPE_CHUNK_TYPES
};

/* An encoded chunk, ready to be placed; owned by the caller until tape_writer_append(). */
struct tape_chunk;
void tape_chunk_destroy(struct tape_chunk *chunk);
size_t tape_chunk_stored_bytes(const struct tape_chunk *chunk);

/*
 * Encodes chunks of records, one after another, for one thread at a time.
 * zstd_level above 0 is zstd's. Below 0 less and less is searched for matches
 * (-1, -3 and -5 differ; records that can't be predicted take it as zstd's). 0
 * stores them as they are; TAPE_LEVEL_PREDICTED takes out what was to be
 * expected, and compresses nothing.
 */
#define TAPE_LEVEL_PREDICTED (-100)
struct tape_encoder;
int tape_encoder_create(struct tape_encoder **out, int zstd_level, struct tape_error *error);
/* For the chunks that follow; 0: they are stored as they are. */
void tape_encoder_set_level(struct tape_encoder *encoder, int zstd_level);
void tape_encoder_destroy(struct tape_encoder *encoder);
/* Whole records of one vCPU (raw, as in the ring, no TRAP_PAD), at most TAPE_TRAPS_MAX_BYTES. */
int tape_encoder_traps(struct tape_encoder *encoder, struct tape_chunk **out, uint16_t vcpu, const void *records,
		       size_t size_bytes, struct tape_error *error);
/* The same with an encoder of its own, for one chunk. */
int tape_chunk_encode_traps(struct tape_chunk **out, uint16_t vcpu, const void *records, size_t size_bytes,
			    int zstd_level, struct tape_error *error);
int tape_chunk_encode_meta(struct tape_chunk **out, const char *text, struct tape_error *error);
int tape_chunk_encode_plan(struct tape_chunk **out, const void *plan, size_t size_bytes, struct tape_error *error);

/* ---- writer ---------------------------------------------------------- */

/*
 * Where bytes go. write() may keep the buffer until done is called, from any
 * thread, with the result (negative errno, or anything else when all was
 * written); it owns nothing. When write() itself fails, done is not called.
 * Writes never overlap one another.
 */
struct tape_sink {
	int (*write)(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		     void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx);
	void *ctx;
	/* What was written before, waiting for it if need be; only for ring tapes. 0 or a negative errno. */
	int (*read)(void *ctx, uint64_t offset, void *buffer, size_t size_bytes);
};

struct tape_writer;
/* Writes the file header (uuid and time are made here). */
int tape_writer_create(struct tape_writer **out, const struct tape_sink *sink, struct tape_error *error);
/*
 * A ring tape: a file of at most ring_bytes, the oldest slots of
 * which are overwritten. What the others still need of them (meta lines, plans,
 * memory) is read back and written again; sink->read is needed for that.
 */
int tape_writer_create_ring(struct tape_writer **out, const struct tape_sink *sink, uint64_t ring_bytes,
			    struct tape_error *error);
void tape_writer_destroy(struct tape_writer *writer);
/* Takes the chunk, places it in the current slot or opens the next one, and writes it. */
int tape_writer_append(struct tape_writer *writer, struct tape_chunk *chunk, struct tape_error *error);
/*
 * A write that failed shows in the next call, or here; from then on every call
 * fails with the same error, as what comes later would have a hole before it.
 */
int tape_writer_check(const struct tape_writer *writer, struct tape_error *error);
/* Size of the file so far. */
uint64_t tape_writer_size_bytes(const struct tape_writer *writer);

struct tape_key; /* tape_key.h */
/*
 * Before the first chunk. Borrows the key until the writer is destroyed. Each slot is signed, and at each append what
 * is older than TAPE_SIGN_MS.
 */
int tape_writer_sign_with(struct tape_writer *writer, const struct tape_key *key, struct tape_error *error);
/* Age of the oldest chunk that is not signed; 0: none. Who has nothing to append for TAPE_SIGN_MS calls sign(). */
uint64_t tape_writer_unsigned_ms(const struct tape_writer *writer);
int tape_writer_sign(struct tape_writer *writer, struct tape_error *error);
/* The chain's value behind the last chunk. */
void tape_writer_chain(const struct tape_writer *writer, uint8_t value[TAPE_CHAIN_BYTES]);

struct tape_totals {
	uint64_t records;
	uint64_t lost_records;
	uint64_t snapshots;
};
/* Closes the slot (index) and writes the end chunk. */
int tape_writer_finish(struct tape_writer *writer, const char *reason, const struct tape_totals *totals,
		       struct tape_error *error);

/* ---- snapshots, writing --------------------------------------------- */

struct tape_ram_range {
	uint64_t gpa;
	uint64_t size_bytes;
};

/* How a snapshot came about. nr_pauses 0: not known, as on tapes of earlier versions; then all is 0. */
struct tape_snapshot_cost {
	uint32_t nr_pauses;
	uint64_t longest_pause_ns;
	uint64_t duration_ns;     /* from its beginning until the last page was copied */
	uint64_t dirty_pages;     /* that its first pause found written */
	uint64_t paused_pages;    /* copied in a pause */
	uint64_t protected_pages; /* copied behind the last pause, protected from being written until then */
	uint64_t running_pages;   /* copied between pauses; one that is written again is counted again */
};

struct tape_snapshot_info {
	uint64_t id;
	uint64_t tsc;
	uint64_t realtime_ns;
	uint64_t pause_ns; /* of all its pauses */
	struct tape_snapshot_cost cost;
	uint32_t nr_vcpus;
	uint32_t nr_regs;
	const uint64_t *vcpu_regs; /* nr_vcpus * nr_regs, by enum vcpu_reg */
	uint32_t nr_ranges;
	const struct tape_ram_range *ranges;
	bool base; /* every page of RAM is in it; else only those changed since the last */
};

/*
 * Pages of all snapshots of a tape: zero pages and duplicates are stored once.
 * add() copies the page; whatever is full is encoded and appended. Pages added
 * before commit() may be added again: the last content counts.
 */
struct tape_pages;
int tape_pages_create(struct tape_pages **out, struct tape_writer *writer, int zstd_level, struct tape_error *error);
void tape_pages_destroy(struct tape_pages *pages);
int tape_pages_add(struct tape_pages *pages, uint64_t gfn, const void *page, struct tape_error *error);
/*
 * Chunks of pages that other threads compress. They come onto the tape in the
 * order of their pages, whichever is done first. Whoever is given one by post()
 * calls tape_page_job_run(), in any thread; wait() returns when that has returned.
 */
struct tape_page_job;
void tape_page_job_run(struct tape_page_job *job);
/* For lists of whoever has it: the job behind it. */
struct tape_page_job **tape_page_job_next(struct tape_page_job *job);
struct tape_page_coder {
	unsigned max_jobs; /* that are with it at a time */
	void (*post)(void *ctx, struct tape_page_job *job);
	void (*wait)(void *ctx, struct tape_page_job *job);
	void *ctx;
};
/* Before the first page. -ENOMEM */
int tape_pages_encode_with(struct tape_pages *pages, const struct tape_page_coder *coder, struct tape_error *error);
/*
 * Where the map of a large guest's pages waits while a snapshot is taken: a file
 * of bytes that nobody else has. 0 or a negative errno; what cannot be written
 * stays in memory.
 */
struct tape_page_spill {
	int (*write)(void *ctx, uint64_t offset, const void *data, size_t size_bytes);
	int (*read)(void *ctx, uint64_t offset, void *data, size_t size_bytes);
	void (*clear)(void *ctx); /* nothing of it is wanted any more */
	void *ctx;
	size_t max_bytes; /* of the map in memory; as much again of what is known from earlier snapshots */
};
/* Before the first page. */
void tape_pages_spill_to(struct tape_pages *pages, const struct tape_page_spill *spill);
/* Appends the chunks that are compressed by now. */
int tape_pages_collect(struct tape_pages *pages, struct tape_error *error);
/* The next pages may have to wait for one to be compressed. */
bool tape_pages_is_busy(const struct tape_pages *pages);
/* Writes what is left and the snapshot chunk: until then a reader does not see it. */
int tape_pages_commit(struct tape_pages *pages, const struct tape_snapshot_info *info, struct tape_error *error);

struct tape_pages_stats {
	uint64_t added, zero, duplicate, unchanged, stored, stored_bytes;
	/* of a ring tape: what the contents that it needs take, and how many had no room to be carried forward */
	uint64_t live_bytes, lost;
};
void tape_pages_get_stats(const struct tape_pages *pages, struct tape_pages_stats *out);

/* ---- reader ---------------------------------------------------------- */

struct tape_reader;
/*
 * Opens a tape that is finished, was cut off, or is still being written; what is
 * damaged is skipped and listed as a problem. -EMEDIUMTYPE: not a tape;
 * -EPROTONOSUPPORT: a version or required feature that this code does not know.
 */
int tape_reader_open(struct tape_reader **out, const char *path, struct tape_error *error);
/* From memory, which must outlive the reader (tests, fuzzing). */
int tape_reader_open_memory(struct tape_reader **out, const void *data, size_t size_bytes, struct tape_error *error);
void tape_reader_close(struct tape_reader *reader);

/*
 * Takes in what was written since the tape was opened, or refreshed last: 1, or 0 when there is nothing. What a ring
 * tape has overwritten meanwhile is not there any more. What info, snapshots and meta lines tell may have changed, and
 * snapshots may have other indices. Cursors must be at rest: tape_cursor_rest(). -ESTALE: the file is another one now,
 * or was cut short.
 */
int tape_reader_refresh(struct tape_reader *reader, struct tape_error *error);

struct tape_info {
	uint32_t version;
	uint8_t uuid[16];
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t size_bytes;
	uint64_t ring_bytes;     /* of a ring tape, which does not grow beyond; else 0 */
	uint64_t nr_overwritten; /* slots of it */
	uint64_t nr_carried;     /* identity records from these: what tasks were before the oldest slot */
	uint32_t nr_slots;
	uint32_t nr_vcpus; /* highest vCPU seen + 1 */
	uint32_t nr_snapshots;
	uint32_t nr_plans;
	uint64_t nr_records; /* in intact chunks */
	uint64_t first_tsc, last_tsc;
	uint64_t traps_raw_bytes, traps_stored_bytes;
	uint64_t pages_raw_bytes, pages_stored_bytes;
	bool has_chain; /* hash chain over its slots */
	bool finished;  /* has its end chunk */
	const char *end_reason;
	struct tape_totals totals; /* of the end chunk */
};
const struct tape_info *tape_reader_info(const struct tape_reader *reader);
/* Value of a META key, the latest one, or NULL; lives as long as the reader. */
const char *tape_reader_meta(const struct tape_reader *reader, const char *key);
/* Each META line in order, whether a later one replaces it or not: its key, NULL behind the last one. */
const char *tape_reader_meta_line(const struct tape_reader *reader, size_t number, const char **value);

struct tape_problem {
	uint64_t offset;
	const char *message;
};
size_t tape_reader_problems(const struct tape_reader *reader, const struct tape_problem **out);

/* The plan with this id as uploaded; -ENOENT: none, -EBADMSG: damaged. Lives until the next tape_reader_refresh(). */
int tape_reader_plan(const struct tape_reader *reader, uint32_t plan_id, const void **out, size_t *size_bytes);

struct tape_snapshot {
	struct tape_snapshot_info info;
	uint64_t ordinal;  /* on the tape, whatever is gone of it; rises */
	uint64_t nr_pages; /* brought by this one, zero pages included */
	uint64_t nr_zero;
};
const struct tape_snapshot *tape_reader_snapshot(const struct tape_reader *reader, uint32_t index);
/* Page as of snapshot index. -ENOENT: no RAM there, or not recorded. */
int tape_reader_page(struct tape_reader *reader, uint32_t index, uint64_t gfn, void *page, struct tape_error *error);

/* Pages that are alike, from a gfn on: not recorded, all zero, with contents, or with a map that is damaged. */
enum tape_run_kind {
	TAPE_RUN_NONE,
	TAPE_RUN_ZERO,
	TAPE_RUN_STORED, /* the contents may be damaged still: tape_reader_page() tells */
	TAPE_RUN_LOST,
};
struct tape_page_run {
	enum tape_run_kind kind;
	uint64_t nr_pages; /* not 0; the next run may be of the same kind */
};
int tape_reader_page_run(struct tape_reader *reader, uint32_t index, uint64_t gfn, struct tape_page_run *out,
			 struct tape_error *error);
/*
 * The same of the pages that this snapshot brings, in order; found() stops the walk by not returning 0. *whole: no part
 * of its map is missing, and the snapshot before it is there. Returns what found() did.
 */
int tape_reader_brought_runs(struct tape_reader *reader, uint32_t index,
			     int (*found)(void *ctx, uint64_t gfn, const struct tape_page_run *run), void *ctx,
			     bool *whole, struct tape_error *error);

/* Reads every chunk and checks all sums, indices and sequences; each problem is reported. Returns their number. */
uint64_t tape_reader_verify(struct tape_reader *reader, void (*report)(void *ctx, uint64_t offset, const char *message),
			    void *ctx);

/* What a problem concerns, for the report function of tape_reader_verify() while it runs. */
struct tape_reported {
	uint64_t from, to;            /* file offsets; to is behind the last byte */
	uint64_t first_tsc, last_tsc; /* of the events there, or of those around; 0 and UINT64_MAX: not known */
	uint64_t after_ns, before_ns; /* wall clock: written between two signatures; 0: not known */
};
void tape_reader_reported(const struct tape_reader *reader, uint64_t offset, struct tape_reported *out);

/* ---- hash chain and signatures --------------------------------------- */

/* What tape_reader_verify() shall find, else that is a problem; NULL: nothing special. Copied. */
void tape_reader_expect(struct tape_reader *reader, const uint8_t public_key[TAPE_PUBLIC_KEY_BYTES],
			const uint8_t chain_value[TAPE_CHAIN_BYTES]);

/* What tape_reader_verify() found. */
struct tape_seal_info {
	uint64_t nr_breaks;                        /* places where the chain does not go on */
	uint8_t value[TAPE_CHAIN_BYTES];           /* behind the last chunk */
	uint64_t end_offset;                       /* of that */
	uint64_t nr_signatures;                    /* good ones */
	uint8_t public_key[TAPE_PUBLIC_KEY_BYTES]; /* that made them */
	uint64_t signed_ns;                        /* wall clock of the last one */
	uint64_t signed_offset;                    /* where it ends; what is behind is not signed: */
	uint64_t unsigned_chunks, unsigned_bytes;  /* INDEX not counted */
};
const struct tape_seal_info *tape_reader_seal(const struct tape_reader *reader);
/* The key that the newest signature names, without a check. -ENOENT: the tape is not signed. */
int tape_reader_signer(struct tape_reader *reader, uint8_t public_key[TAPE_PUBLIC_KEY_BYTES]);

/* ---- records, in time order ------------------------------------------ */

/* All vCPUs merged by TSC; each vCPU's own order is kept. Bounded memory. */
struct tape_cursor;
int tape_cursor_create(struct tape_cursor **out, struct tape_reader *reader, struct tape_error *error);
void tape_cursor_destroy(struct tape_cursor *cursor);
/* First record with tsc >= this; each vCPU starts at a chunk that can hold it. */
int tape_cursor_seek(struct tape_cursor *cursor, uint64_t tsc, struct tape_error *error);
/*
 * Of a ring tape that was overwritten: gives identity records from before its
 * oldest slot, too, in their place by TSC: what tasks were last said to be, back
 * to the oldest snapshot. They are state, not events. What was said before
 * *since_tsc was lost, or left out for want of room (0: nothing). Begins anew.
 */
int tape_cursor_want_carried(struct tape_cursor *cursor, uint64_t *since_tsc, struct tape_error *error);
/* Was the record that was given last such a one, or a row of a chunk that is skipped? */
bool tape_cursor_is_carried(const struct tape_cursor *cursor);
/* Gives out no record behind this time, until it is told another. */
void tape_cursor_until(struct tape_cursor *cursor, uint64_t tsc);
/*
 * From now on so many threads load chunks before they are needed, in memory of 1 MiB and 5.2 for each thread. One core
 * is used for each, and the caller's. 0: none do, as at first; nor do they on a tape of more than 1024 vCPUs. What is
 * given out is the same. Fails with -EINVAL (more than 64), -ENOMEM, -EAGAIN or, where no thread may be made, -EPERM:
 * then none do. One thread may use a cursor still, and nobody else its reader between two calls.
 */
int tape_cursor_read_ahead(struct tape_cursor *cursor, unsigned nr_threads, struct tape_error *error);
/* 1 and a record (valid until the next call), 0 at the end, or a negative errno. */
int tape_cursor_next(struct tape_cursor *cursor, struct trap_view *out, struct tape_error *error);

/*
 * What a chunk of records holds, by the index of its slot, which only tape_reader_verify() compares with the records.
 * Lent until the next one is asked for.
 */
struct tape_chunk_brief {
	size_t number; /* of the chunk, until tape_reader_refresh() */
	uint16_t vcpu;
	uint32_t nr_records;
	uint64_t min_tsc, max_tsc;
	uint64_t first_seq, last_seq;
	bool known;          /* false: anything may be in it, and what follows says nothing */
	bool has_unnumbered; /* an exit whose call is not known */
	bool has_nameless;   /* an entry or exit without a task word */
	uint32_t nr_nrs;
	const uint8_t *nrs; /* tape_brief_nr() */
	/* TRAP_IDENTITY records, in order: who runs in it, and what is new of whom. */
	const uint8_t *rows;
	size_t rows_bytes;
};
/* Which call, of nr_nrs; the ABI is that of the entry or exit. */
uint32_t tape_brief_nr(const struct tape_chunk_brief *brief, uint32_t i, uint8_t *abi);
/* All chunks of records, in the order of the tape; their numbers are below *nr_chunks. 0 or a negative errno. */
int tape_reader_briefs(struct tape_reader *reader, void (*found)(void *ctx, const struct tape_chunk_brief *brief),
		       void *ctx, size_t *nr_chunks, struct tape_error *error);
/* Reads the chunk of that number for its TRAP_GAP records. -EBADMSG: it is damaged, which is listed as a problem. */
int tape_reader_gaps(struct tape_reader *reader, size_t number, void (*found)(void *ctx, const struct trap_gap *gap),
		     void *ctx, struct tape_error *error);

/*
 * Chunks that are not wanted: asked before each is read, when all that comes before it was given out. The cursor gives
 * out a skipped chunk's rows instead of its records; they are state, not events, as carried ones are. Before the first
 * record. NULL: reads all.
 */
struct tape_skipper {
	bool (*may)(void *ctx, size_t number); /* false: it must be read, and skip is not asked */
	bool (*skip)(void *ctx, const struct tape_chunk_brief *brief);
	void *ctx;
};
void tape_cursor_skip(struct tape_cursor *cursor, const struct tape_skipper *skipper);

/*
 * Before tape_reader_refresh() the cursor steps over the record that it gave out last; after it, it takes in what came.
 * From the first go_on() on, the reader forgets what this cursor has passed: it is the only one then.
 */
void tape_cursor_rest(struct tape_cursor *cursor);
int tape_cursor_go_on(struct tape_cursor *cursor, struct tape_error *error);
/*
 * Up to this time there are records of each of nr_vcpus vCPUs, or of each that has any if those are more: none that is
 * earlier will come. 0: not known.
 */
uint64_t tape_cursor_frontier(const struct tape_cursor *cursor, uint32_t nr_vcpus);
/* Chunks that came when later records had been given out. */
uint64_t tape_cursor_late(const struct tape_cursor *cursor);

#endif
