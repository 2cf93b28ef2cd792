/* SPDX-License-Identifier: MIT */
/*
 * tape_loader.h - reads, checks and decompresses one chunk after another, and
 * knows nothing of the reader whose list they are on: each thread that loads
 * has a loader of its own, and chunks of its own to give it. Zeroed memory is a
 * loader. Included by tape_read.h, which has the types.
 */
#ifndef TAPE_LOADER_H
#define TAPE_LOADER_H

/* Where a chunk's bytes are, and what must be said in its header. */
struct tape_origin {
	const struct tape_source *source;
	uint64_t tag;
	uint64_t slot_seq;
};

struct tape_loader {
	ZSTD_DCtx *zstd;
	struct tape_scratch stored;  /* payload as it is in the file */
	struct tape_scratch compact; /* of layout 2 */
	struct compact_model *model; /* made with the first of them */
	bool is_sound; /* what was loaded last are records that trap_view_parse() need not look at again */
	char why[128]; /* what is wrong with the chunk, when a function has returned -EBADMSG */
};

void tape_loader_deinit(struct tape_loader *loader);

/* The three return 0, -ENOMEM, or -EBADMSG with loader->why, which goes on from the words "TRAPS chunk". */

/* The file's header agrees with what the index said: *chunk has it then. */
int tape_loader_header(struct tape_loader *loader, const struct tape_origin *from, struct tape_stored_chunk *chunk);
/* Checked stored bytes, in loader->stored or in place. */
int tape_loader_stored(struct tape_loader *loader, const struct tape_origin *from, struct tape_stored_chunk *chunk,
		       const uint8_t **out);
/* Checked raw payload in *raw. */
int tape_loader_load(struct tape_loader *loader, const struct tape_origin *from, struct tape_stored_chunk *chunk,
		     struct tape_scratch *raw);

#endif
