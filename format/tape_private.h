/* SPDX-License-Identifier: MIT */
/*
 * tape_private.h - what the files of the tape share: layout of headers as
 * FORMAT.md has it, chunks before they are placed, errors.
 */
#ifndef TAPE_PRIVATE_H
#define TAPE_PRIVATE_H

#include <roaring/roaring.h>
#include <roaring/roaring64.h>

#include "bytes.h"
#include "tape.h"
#include "tape_brief.h"

#define TAPE_VERSION            1
#define TAPE_FEATURE_RING       1ull              /* the oldest slots are overwritten */
#define TAPE_REQUIRED_FEATURES  TAPE_FEATURE_RING /* bits that this code knows */
#define TAPE_COMPAT_CHAIN       1ull              /* compatible feature: has a hash chain */
#define TAPE_FILE_HEADER_BYTES  256u
#define TAPE_SLOT_HEADER_BYTES  128u
#define TAPE_SLOT_TRAILER_BYTES 32u
#define TAPE_CHUNK_HEADER_BYTES 96u
#define TAPE_SLOT_MIN_BYTES     (16u << 10)
#define TAPE_SLOT_MAX_BYTES     (64u << 20)
#define TAPE_RAW_MAX_BYTES      (2u << 20) /* of any chunk but TRAPS */
#define TAPE_META_MAX_BYTES     (64u << 10)
#define TAPE_PAGES_MAX          256u /* pages of one chunk */
#define TAPE_PAGE_IDS_MAX_BYTES (10u * TAPE_PAGES_MAX)
#define TAPE_MAP_MAX_PAGES      65536u /* of one PAGE_MAP chunk */
#define TAPE_SLOT_MAX_CHUNKS    8192u
#define TAPE_RING_MIN_PLACES    8u
#define TAPE_RING_MAX_PLACES    ((uint32_t)(TAPE_RING_MAX_BYTES / TAPE_SLOT_BYTES))

enum tape_codec {
	TAPE_STORED = 0,
	TAPE_ZSTD = 1, /* TRAPS and PAGES only: see FORMAT.md, "Memory of a reader" */
};

#define TAPE_LAYOUT_1 1 /* TRAPS: rows; PAGES: successive numbers; of every other type the only one */
/* TRAPS: tape_compact.h; PAGES: any numbers, listed before the contents; SNAPSHOT: with what it cost the guest */
#define TAPE_LAYOUT_2 2

/* tape_chunk_header.flags */
#define TAPE_F_CARRIED 0x01 /* stood in an older slot before */
#define TAPE_F_FULL    0x02 /* SNAPSHOT, PAGE_MAP: of all pages, made anew for a snapshot that was an increment */

#define TAPE_NO_VCPU 0xffffu

#define TAPE_SECTION_NRS    1 /* of an INDEX chunk */
#define TAPE_SECTION_SPACES 2
#define TAPE_SECTION_BRIEFS 3

/* Page ids of tape maps in memory that name no stored page. */
#define TAPE_PAGE_ZERO UINT64_MAX
#define TAPE_PAGE_LOST (UINT64_MAX - 1) /* the map that would tell is damaged or missing */
#define TAPE_PAGE_NONE (UINT64_MAX - 2) /* never recorded */
#define TAPE_PAGE_MAX  (1ull << 62)     /* ids are below */

#define TAPE_MAX_GFN (1ull << 52)

/* ---- errors ---------------------------------------------------------- */

/* Fills *error (may be NULL) and returns code. */
int tape_fail(struct tape_error *error, int code, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- headers --------------------------------------------------------- */

/* What file and slot headers both say of the tape. */
struct tape_identity {
	uint16_t version;
	uint32_t slot_bytes;
	uint64_t compat_features;
	uint64_t required_features;
	uint8_t uuid[16];
	uint64_t created_ns;
	uint32_t nr_places; /* of a ring; 0: slots are never overwritten */
};

struct tape_slot_header {
	struct tape_identity identity;
	uint64_t seq;
	uint64_t first_snapshot; /* ordinal of the oldest one that counts, as far as this slot knows */
};

struct tape_chunk_header {
	uint16_t type; /* enum tape_chunk_type, or one that this code does not know */
	uint8_t codec; /* enum tape_codec */
	uint8_t layout;
	uint32_t stored_bytes;
	uint32_t raw_bytes;
	uint64_t tag;
	uint32_t slot_seq; /* low 32 bits */
	uint32_t number;   /* in its slot, from 0 */
	uint16_t vcpu;
	uint16_t flags; /* TAPE_F_* */
	uint32_t nr_items;
	uint64_t min_tsc, max_tsc;
	uint64_t first_seq, last_seq;
	uint64_t payload_hash;
};

/* Records that count: they are in a sequence, and the slot's index tells of them. Carried ones do not. */
static inline bool tape_has_events(const struct tape_chunk_header *header)
{
	return header->type == TAPE_CHUNK_TRAPS && !(header->flags & TAPE_F_CARRIED);
}

uint64_t tape_hash(const void *bytes, size_t size_bytes);
/* What marks the chunks of one tape. */
uint64_t tape_tag(const uint8_t uuid[16]);

void tape_put_file_header(uint8_t bytes[TAPE_FILE_HEADER_BYTES], const struct tape_identity *identity);
void tape_put_slot_header(uint8_t bytes[TAPE_SLOT_HEADER_BYTES], const struct tape_slot_header *header);
/* Puts a value of the hash chain into a slot header that is complete else. */
void tape_put_slot_chain(uint8_t bytes[TAPE_SLOT_HEADER_BYTES], const uint8_t value[TAPE_CHAIN_BYTES]);
void tape_put_slot_trailer(uint8_t bytes[TAPE_SLOT_TRAILER_BYTES], uint64_t tag, uint64_t slot_seq,
			   uint32_t index_offset);
void tape_put_chunk_header(uint8_t bytes[TAPE_CHUNK_HEADER_BYTES], const struct tape_chunk_header *header);

/* True if the magic is there; *intact tells whether the checksum fits. */
bool tape_get_file_header(const uint8_t bytes[TAPE_FILE_HEADER_BYTES], struct tape_identity *out, bool *intact);
/* These are true only for an intact one. */
bool tape_get_slot_header(const uint8_t bytes[TAPE_SLOT_HEADER_BYTES], struct tape_slot_header *out);
bool tape_get_slot_trailer(const uint8_t bytes[TAPE_SLOT_TRAILER_BYTES], uint64_t tag, uint64_t slot_seq,
			   uint32_t *index_offset);
bool tape_get_chunk_header(const uint8_t bytes[TAPE_CHUNK_HEADER_BYTES], struct tape_chunk_header *out);
/* Does it have the magic, intact or not? */
bool tape_is_chunk_magic(const uint8_t bytes[4]);

static inline uint32_t tape_pad_bytes(uint32_t size_bytes)
{
	return -size_bytes & 7;
}

/* Header, payload and padding. */
static inline uint64_t tape_chunk_bytes(const struct tape_chunk_header *header)
{
	return (uint64_t)TAPE_CHUNK_HEADER_BYTES + header->stored_bytes + tape_pad_bytes(header->stored_bytes);
}

/* SNAPSHOT payloads, of at least TAPE_SNAPSHOT_HEAD_BYTES. */
#define TAPE_SNAPSHOT_HEAD_BYTES 80u
bool tape_snapshot_is_base(const uint8_t *payload);
struct tape_map_writer;
/* The chunk's snapshot brings all pages, by this map. */
void tape_snapshot_make_full(struct tape_chunk *chunk, const struct tape_map_writer *map);

/* Largest raw payload of this type. */
uint32_t tape_raw_limit(uint16_t type);
const char *tape_type_name(uint16_t type);

/* ---- what a slot's records touch ------------------------------------- */

/*
 * System-call numbers (tape_nr_key()) and address spaces (CR3 >> 12, without
 * bit 63) of records. Empty ones may be NULL.
 */
struct tape_touched {
	roaring_bitmap_t *nrs;
	roaring64_bitmap_t *spaces;
};

#define TAPE_NR_UNKNOWN UINT32_MAX /* an exit whose entry the producer did not see */

static inline uint32_t tape_nr_key(uint8_t abi, uint64_t rax)
{
	return (uint32_t)abi << 28 | ((uint32_t)rax & 0x0fffffff);
}

static inline uint64_t tape_space_key(uint64_t cr3)
{
	return (cr3 & ~(1ull << 63)) >> 12;
}

/*
 * The last identity record of each task among records that stay where they
 * are. Of tasks for which there is no place, it tells only that there are some.
 */
#define TAPE_ROWS_TASKS 1024u /* a power of two */
struct tape_rows_tasks {
	uint64_t lossy_tsc; /* records were lost up to here; 0: none */
	uint32_t count;
	bool crowded;
	uint64_t task[TAPE_ROWS_TASKS]; /* 0: no task */
	const uint8_t *record[TAPE_ROWS_TASKS];
};

/* What one walk over the records of a TRAPS payload tells. */
struct tape_rows {
	uint32_t nr_records;
	uint64_t min_tsc, max_tsc;
	uint64_t first_seq, last_seq;
	struct tape_touched touched;
	struct tape_rows_tasks tasks;
};
/* -EBADMSG when sizes do not chain up (*bad_at: where), -ENOMEM. */
int tape_rows_walk(struct tape_rows *out, const uint8_t *records, size_t size_bytes, size_t *bad_at);
void tape_touched_deinit(struct tape_touched *touched);
/* The word that names the task of a record of this size; 0: it names none. */
uint64_t tape_row_task(const uint8_t *record, uint32_t size_bytes);
/* Of types TRAP_IDENTITY and TRAP_GAP. */
void tape_rows_note(struct tape_rows_tasks *tasks, const uint8_t *record);
/* All identity records that the walk has noted, or that had no place; out is bad on -ENOMEM. */
void tape_rows_gather(const struct tape_rows_tasks *tasks, const uint8_t *records, size_t size_bytes,
		      struct byte_buffer *out);

/* Size of the record, of which left_bytes bytes are there at most; 0: none can begin here. */
static inline uint32_t tape_row_bytes(const uint8_t *record, size_t left_bytes)
{
	uint32_t size_bytes = left_bytes >= sizeof(struct trap_record) ? get_le32(record) : 0;

	return size_bytes < sizeof(struct trap_record) || size_bytes > left_bytes || size_bytes & 7 ||
			       size_bytes > TRAP_RECORD_MAX_BYTES
		       ? 0
		       : size_bytes;
}

/* Is it one for tape_rows_note()? */
static inline bool tape_row_is_noted(const uint8_t *record)
{
	uint8_t type = record[offsetof(struct trap_record, type)];

	return type == TRAP_IDENTITY || type == TRAP_GAP;
}

/* All but what it touches. min_tsc begins with UINT64_MAX. */
static inline void tape_rows_count(struct tape_rows *rows, const uint8_t *record)
{
	uint64_t tsc = get_le64(record + offsetof(struct trap_record, tsc));

	rows->min_tsc = tsc < rows->min_tsc ? tsc : rows->min_tsc;
	rows->max_tsc = tsc > rows->max_tsc ? tsc : rows->max_tsc;
	rows->last_seq = get_le64(record + offsetof(struct trap_record, seq));
	if (!rows->nr_records++)
		rows->first_seq = rows->last_seq;
	if (tape_row_is_noted(record))
		tape_rows_note(&rows->tasks, record);
}

/* Gathers what records touch; *out is complete after tape_touch_finish(). */
#define TAPE_TOUCH_NRS    1024u
#define TAPE_TOUCH_RECENT 256u /* a power of two */
struct tape_touch {
	struct tape_touched *out;
	uint8_t dense[TRAP_ABIS][TAPE_TOUCH_NRS];
	uint64_t recent[TAPE_TOUCH_RECENT];
	bool unknown;
};
int tape_touch_begin(struct tape_touch *touch, struct tape_touched *out);
void tape_touch_nr(struct tape_touch *touch, uint8_t abi, uint64_t rax);
void tape_touch_space(struct tape_touch *touch, uint64_t cr3);
void tape_touch_record(struct tape_touch *touch, const uint8_t *record, uint32_t size_bytes);
void tape_touch_finish(struct tape_touch *touch);

/* ---- chunks before they are placed ----------------------------------- */

struct tape_chunk {
	struct tape_chunk_header header;
	uint8_t *buffer; /* room for the header, payload, padding; malloc'ed */
	struct tape_touched touched;
	uint64_t lossy_tsc;            /* of TRAPS: records were lost up to here; 0: none */
	struct byte_buffer identities; /* of TRAPS: the last identity record of each task in it, in no order */
	struct tape_brief brief;       /* of TRAPS that are not carried */
	bool has_digest;
	uint8_t digest[TAPE_CHAIN_BYTES]; /* of payload and padding, for the hash chain */
};

/*
 * Makes the digest, so that the thread that places the chunk need not look at its payload. Whoever encodes a chunk
 * calls it, and again after a change of the payload. The functions below do.
 */
void tape_chunk_digest(struct tape_chunk *chunk);

/* Pages of any rising ids: layout 2. */
int tape_chunk_encode_pages(struct tape_chunk **out, const uint64_t *ids, uint32_t nr_pages, const void *contents,
			    int zstd_level, struct tape_error *error);
/* Bytes from outside: ids of a PAGES chunk of layout 2, and the length of their list at the start of the payload. */
bool tape_page_ids_decode(uint64_t ids[TAPE_PAGES_MAX], size_t *list_bytes, const struct tape_chunk_header *header,
			  const uint8_t *payload, size_t size_bytes);

/* Payload of header->type, compressed unless zstd_level is 0 or it does not pay. Sets sizes, codec and hash. */
int tape_chunk_encode(struct tape_chunk **out, const struct tape_chunk_header *header, const void *raw,
		      size_t raw_bytes, int zstd_level, struct tape_error *error);
struct ZSTD_CCtx_s;
/* The same, by a context that serves for many, and header->layout as it is. */
int tape_chunk_encode_by(struct tape_chunk **out, const struct tape_chunk_header *header, const void *raw,
			 size_t raw_bytes, struct ZSTD_CCtx_s *zstd, struct tape_error *error);

/* The payload as it is stored, copied; all of *header but stored_bytes and payload_hash counts. */
int tape_chunk_wrap(struct tape_chunk **out, const struct tape_chunk_header *header, const void *payload,
		    size_t stored_bytes, struct tape_error *error);

/* ---- index of a slot ------------------------------------------------- */

#define TAPE_INDEX_HEAD_BYTES  16u
#define TAPE_INDEX_ENTRY_BYTES 56u

struct tape_index_entry {
	uint32_t slot_offset;            /* of the chunk header, in the slot */
	struct tape_chunk_header header; /* tag, slot_seq, number, payload_hash are not in an entry */
};

struct tape_index {
	struct tape_index_entry *entries;
	uint32_t nr_entries, room;
	struct tape_touched touched;
	bool has_nrs, has_spaces;  /* false: nothing known, any may be there */
	struct tape_briefs briefs; /* as they are written */
	/* As they were read, in the payload; NULL: none. */
	const uint8_t *briefs_at;
	uint32_t briefs_bytes;
};

void tape_index_deinit(struct tape_index *index);
void tape_index_reset(struct tape_index *index, uint32_t slot_bytes); /* for a new slot */
/* Upper bound of the payload if chunk is added, too (NULL: as it is). */
size_t tape_index_bound(const struct tape_index *index, const struct tape_chunk *chunk);
int tape_index_add(struct tape_index *index, const struct tape_chunk *chunk, uint32_t slot_offset);
/* The payload; byte_buffer is bad on -ENOMEM. */
void tape_index_encode(const struct tape_index *index, struct byte_buffer *out);
/* Bytes from outside: 0, -ENOMEM, or -EBADMSG with *why. */
int tape_index_decode(struct tape_index *out, const uint8_t *payload, size_t size_bytes, uint32_t slot_bytes,
		      const char **why);

/* ---- writer ---------------------------------------------------------- */

/* As tape_writer_create(), for tests: smaller slots, fixed identity. slot_bytes, uuid and created_ns count. */
int tape_writer_create_as(struct tape_writer **out, const struct tape_sink *sink, const struct tape_identity *identity,
			  struct tape_error *error);
uint32_t tape_writer_slot_bytes(const struct tape_writer *writer);
/* NULL: not a ring tape. */
struct tape_ring *tape_writer_ring(struct tape_writer *writer);

/* ---- page maps ------------------------------------------------------- */

/* One page of a snapshot. */
struct tape_page_place {
	uint64_t gfn;
	uint64_t id; /* or TAPE_PAGE_ZERO */
};

/*
 * Payload of a PAGE_MAP chunk for places sorted by gfn, from the start of
 * the array; returns how many it took (at most max_pages), 0 on -ENOMEM.
 */
size_t tape_page_map_encode(struct byte_buffer *out, uint64_t ordinal, uint32_t part,
			    const struct tape_page_place *places, size_t nr_places, size_t max_pages);

/*
 * Pages of a snapshot, in order of gfn, become PAGE_MAP chunks, which emit()
 * takes: part after part, whenever one is full.
 */
struct tape_map_writer {
	int (*emit)(void *ctx, struct tape_chunk *chunk, struct tape_error *error);
	void *ctx;
	uint64_t ordinal;
	uint16_t flags;   /* of the chunks */
	size_t max_pages; /* of one chunk */
	struct tape_error *error;
	struct tape_page_place *places;
	size_t nr_places;
	uint32_t nr_parts;
	uint64_t nr_pages, nr_zero;
};
/* slot_bytes: of the tape. -ENOMEM */
int tape_map_writer_init(struct tape_map_writer *map, uint32_t slot_bytes);
void tape_map_writer_deinit(struct tape_map_writer *map);
int tape_map_writer_add(struct tape_map_writer *map, uint64_t gfn, uint64_t id);
/* The last part. */
int tape_map_writer_finish(struct tape_map_writer *map);

/*
 * A run of pages: gfn + i is page id + i, or, with TAPE_EXTENT_SAME in id or
 * for TAPE_PAGE_ZERO and TAPE_PAGE_LOST, all have the same.
 */
#define TAPE_EXTENT_SAME (1ull << 63)
struct tape_extent {
	uint64_t gfn;
	uint64_t count;
	uint64_t id;
};

/* Sorted by gfn, without overlap. */
struct tape_extents {
	struct tape_extent *list;
	size_t count, room;
};

void tape_extents_deinit(struct tape_extents *extents);
/* Page id of the page that is n pages into the extent. */
uint64_t tape_extent_id(const struct tape_extent *extent, uint64_t n);
/* Appends one that lies behind all others; joins it to the last one if it continues that. */
int tape_extents_add(struct tape_extents *extents, uint64_t gfn, uint64_t count, uint64_t id);
/* The one that gfn is in; NULL: none. */
const struct tape_extent *tape_extents_at(const struct tape_extents *extents, uint64_t gfn);
/* Page id at gfn; TAPE_PAGE_NONE when there is none. */
uint64_t tape_extents_find(const struct tape_extents *extents, uint64_t gfn);
/* out = lower, replaced by upper where upper has something. */
int tape_extents_merge(struct tape_extents *out, const struct tape_extents *lower, const struct tape_extents *upper);

struct tape_page_map {
	uint64_t ordinal;
	uint32_t part;
	uint64_t nr_pages;
	uint64_t nr_zero;
};
/* Bytes from outside, appended to extents: 0, -ENOMEM, or -EBADMSG with *why. */
int tape_page_map_decode(struct tape_page_map *out, struct tape_extents *extents, const uint8_t *payload,
			 size_t size_bytes, const char **why);

#endif
