/* SPDX-License-Identifier: MIT */
/*
 * tape_read.h - inside of the tape reader, private to format/: where bytes come
 * from, the list of chunks, problems, loading. Nothing here believes the file;
 * memory is bounded by the file's size and a constant (FORMAT.md).
 */
#ifndef TAPE_READ_H
#define TAPE_READ_H

#include <zstd.h>

#include "tape_compact.h"
#include "tape_private.h"

struct tape_source {
	int fd;                /* -1: from memory */
	const uint8_t *memory; /* NULL: from fd */
	uint64_t size_bytes;   /* when it was opened */
};

struct tape_scratch {
	uint8_t *data;
	size_t room_bytes;
};

struct tape_stored_chunk {
	uint64_t offset;
	uint32_t slot;   /* index into slots */
	bool bad;        /* reported already; contents can't be had */
	bool gone;       /* overwritten since, or not needed any more */
	bool held;       /* a cursor has its contents, and knows it by its place */
	bool from_index; /* header is what the index says: tag, slot_seq and hash are not known yet */
	struct tape_chunk_header header;
};

#include "tape_loader.h"

struct tape_slot {
	uint64_t start; /* of its place in the file */
	uint64_t seq;
	uint64_t first_snapshot; /* ordinal: what its header says */
	uint64_t end;            /* file offset behind its last intact chunk */
	size_t first_chunk, nr_chunks;
	size_t index_chunk; /* SIZE_MAX: none */
	bool has_header;
	bool closed; /* has an intact trailer */
};

struct tape_stored_snapshot {
	struct tape_snapshot snapshot; /* info.ranges and vcpu_regs are owned */
	uint64_t ordinal;
	uint32_t nr_maps;
	bool full; /* its map is the one that was made anew */
	uint64_t offset;
};

struct tape_view { /* where each page is, as of one snapshot */
	struct tape_extents extents;
	uint32_t index;
	uint64_t used; /* clock of use; 0: free */
};

struct tape_cached_pages {
	uint8_t *data;
	size_t room_bytes;
	size_t chunk; /* SIZE_MAX: none */
	uint64_t used;
};

struct tape_meta_line {
	char *key;
	const char *value; /* in key's allocation */
};

struct tape_cached_plan {
	size_t chunk;
	uint8_t *data;
};

#define TAPE_VIEWS        4
#define TAPE_PAGE_CACHE   64
#define TAPE_MAX_PROBLEMS 4096

struct tape_reader {
	struct tape_source source;
	struct tape_identity identity;
	uint64_t tag;
	struct tape_info info;
	char *end_reason;
	struct {
		uint64_t chunks, records, pages, snapshots;
	} written; /* what the end chunk says */

	struct tape_stored_chunk *chunks; /* in order of slot and offset */
	size_t nr_chunks, chunks_room;
	struct tape_slot *slots; /* in order of seq */
	size_t nr_slots, slots_room;
	size_t *traps; /* TRAPS chunks that are not carried, by vCPU, then in order */
	size_t nr_traps;
	size_t *carried; /* TRAPS chunks that are, in order */
	size_t nr_carried;
	bool was_overtaken;  /* by the writer of a ring, while it followed */
	size_t *page_chunks; /* PAGES chunks in order */
	size_t nr_page_chunks;
	struct tape_extents page_index; /* where each page number is */
	bool page_index_built;
	bool told_overwritten; /* by a recorder, since it was opened */
	size_t *maps;          /* PAGE_MAP chunks by ordinal and part */
	size_t nr_maps;
	struct tape_stored_snapshot *snapshots; /* by ordinal, from the first base on which one that counts builds */
	size_t nr_snapshots;
	size_t first_snapshot; /* of them: the oldest that counts */

	struct tape_meta_line *metas;
	size_t nr_metas, metas_room;
	struct tape_cached_plan *plans; /* in order */
	size_t nr_plans;

	struct tape_problem *problems;
	size_t nr_problems, problems_room;
	uint64_t nr_reported; /* by verify */
	void (*report)(void *ctx, uint64_t offset, const char *message);
	void *report_ctx;
	struct tape_reported
		reported;           /* range and times of the problem that is being reported; to 0: only its offset */
	struct tape_seal_info seal; /* found by verify */
	bool expects_key, expects_value;
	uint8_t expected_key[TAPE_PUBLIC_KEY_BYTES];
	uint8_t expected_value[TAPE_CHAIN_BYTES];

	struct tape_loader loader;
	struct tape_scratch scratch;     /* of pieces of the file that are looked at */
	struct tape_brief_cache *briefs; /* made with the first that is asked for */
	struct tape_view views[TAPE_VIEWS];
	struct tape_cached_pages cache[TAPE_PAGE_CACHE];
	uint64_t clock;      /* of use, for views and cache */
	uint64_t generation; /* how often it was refreshed */
	size_t nr_gone;      /* chunks that are gone, and still listed */
};

/* ---- tape_source.c --------------------------------------------------- */

int tape_source_open(struct tape_source *out, const char *path, struct tape_error *error);
void tape_source_close(struct tape_source *source);
/* 0, -ENODATA when the file is shorter, or a negative errno. */
int tape_source_read(const struct tape_source *source, uint64_t offset, void *bytes, size_t size_bytes);
/* The bytes in place or in scratch; valid until the next use of scratch. */
int tape_source_get(const struct tape_source *source, uint64_t offset, size_t size_bytes, struct tape_scratch *scratch,
		    const uint8_t **out);
/* First offset >= this that is not in a hole of the file; size_bytes when there is none. */
uint64_t tape_source_next_data(const struct tape_source *source, uint64_t offset);
int tape_scratch_reserve(struct tape_scratch *scratch, size_t size_bytes);

/* ---- tape_brief_read.c ----------------------------------------------- */

void tape_brief_cache_destroy(struct tape_brief_cache *cache);
/* What the index of its slot says of a chunk. 0, -ENOMEM. */
int tape_reader_brief(struct tape_reader *reader, size_t number, struct tape_chunk_brief *out);

/* ---- tape_problem.c -------------------------------------------------- */

/* Adds to the list, and reports when verify is at work. Always returns -EBADMSG. */
int tape_reader_problem(struct tape_reader *reader, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Reports without listing; verify only. */
void tape_reader_report(struct tape_reader *reader, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- tape_scan.c ----------------------------------------------------- */

/* Finds slots and chunks; what is wrong becomes a problem. Only -ENOMEM and I/O errors fail. */
int tape_scan(struct tape_reader *reader, struct tape_error *error);

/* For who follows a tape: 1: an intact header of this tape that may stand there; 0: none; or a negative errno. */
int tape_scan_header(struct tape_reader *reader, uint64_t start, struct tape_slot_header *out);
/* The greatest number of all slots of a ring tape: 1, 0 (no slot is intact), or a negative errno. */
int tape_scan_newest(struct tape_reader *reader, uint64_t *newest, struct tape_error *error);
/*
 * Adds the slot of this number (unless its header says another), or the chunks behind those of the slot that are known.
 * growing: it may still be written, so what is not there is not damage.
 */
int tape_scan_slot(struct tape_reader *reader, uint64_t start, uint64_t slot_seq, bool growing);
int tape_scan_on(struct tape_reader *reader, size_t number, bool growing);
/* The header of a last chunk may be there before its payload is: takes such chunks off, from this number on. */
void tape_scan_drop_torn(struct tape_reader *reader, size_t from);

/* NULL, or why no reader can use a chunk with this header. */
const char *tape_judge_header(const struct tape_chunk_header *header);

/* ---- tape_reader.c --------------------------------------------------- */

/* Chunks from this number on are new: they are counted, listed, and those that are read at once are read. */
int tape_reader_take(struct tape_reader *reader, size_t from, struct tape_error *error);

/* ---- tape_load.c ----------------------------------------------------- */

struct tape_origin tape_chunk_origin(const struct tape_reader *reader, const struct tape_stored_chunk *chunk);
/* What a loader has returned, and why: one that is bad is marked so, and reported. Returns result. */
int tape_load_failed(struct tape_reader *reader, struct tape_stored_chunk *chunk, int result, const char *why);
/* Checked stored bytes of a chunk, which live until the next load. */
int tape_load_stored(struct tape_reader *reader, struct tape_stored_chunk *chunk, const uint8_t **out);
/* Checked raw payload in *raw; reader->loader.is_sound tells of it. -EBADMSG: the chunk is bad, a problem is listed. */
int tape_load(struct tape_reader *reader, struct tape_stored_chunk *chunk, struct tape_scratch *raw);

/* ---- tape_snapshot.c ------------------------------------------------- */

/* Snapshots in chunks from this number on. */
int tape_snapshots_add(struct tape_reader *reader, size_t from, struct tape_error *error);
/* Forgets those on which none that counts builds, if they are many. */
void tape_snapshots_trim(struct tape_reader *reader);
void tape_snapshots_deinit(struct tape_reader *reader);
/* Pages that one snapshot brings; where a part of its map is missing, TAPE_PAGE_LOST. *map sums up the parts. */
int tape_snapshot_extents(struct tape_reader *reader, uint32_t index, struct tape_extents *out,
			  struct tape_page_map *sum, bool *whole);
/* All pages as of one snapshot, of reader->snapshots; valid until the next view is asked for. */
int tape_snapshot_view(struct tape_reader *reader, uint32_t index, const struct tape_extents **out);

/* ---- tape_page_index.c ----------------------------------------------- */

/* Before the first find. 0 or -ENOMEM; what is wrong in chunks becomes a problem. */
int tape_page_index_build(struct tape_reader *reader);
/* Adds chunks from this number on; an error: it must be built anew. */
int tape_page_index_grow(struct tape_reader *reader, size_t from);
/* The chunk that holds this page number, the page in it, and how many follow there in order; NULL: none. */
struct tape_stored_chunk *tape_page_index_find(struct tape_reader *reader, uint64_t id, uint32_t *page,
					       uint64_t *nr_pages);

/* ---- tape_cursor.c --------------------------------------------------- */

/* For tests: decompressed bytes of all vCPUs; beyond that they are read again when they are needed. */
void tape_cursor_limit(struct tape_cursor *cursor, uint64_t max_loaded_bytes);

/* ---- tape_seal_check.c ----------------------------------------------- */

/* Verify's walk over chain and signatures: each slot in order, then the end. What is wrong is reported. */
struct tape_seal_check {
	struct tape_reader *reader;
	uint8_t root[TAPE_CHAIN_BYTES];
	uint8_t value[TAPE_CHAIN_BYTES];
	uint64_t next_seq;
	uint64_t sure_offset; /* from here on nothing has confirmed the value yet */
	const struct tape_slot *before;
	bool before_was_foreign; /* it did not fit the slot before it */
	bool saw_signature, told_root, told_key, saw_expected_value;
};
int tape_seal_check_begin(struct tape_seal_check *check, struct tape_reader *reader);
void tape_seal_check_slot(struct tape_seal_check *check, const struct tape_slot *slot);
void tape_seal_check_end(struct tape_seal_check *check);

#endif
