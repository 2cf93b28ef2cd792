/* SPDX-License-Identifier: MIT */
/*
 * tape_ahead.h - threads that load chunks before a cursor needs them, a few at
 * a time, oldest wish first. One thread asks and takes; it works on what waits
 * itself while it would have to. The source must not change, nor go, while
 * anything is asked for: tape_ahead_drop() ends that.
 */
#ifndef TAPE_AHEAD_H
#define TAPE_AHEAD_H

#include "tape_read.h"

/*
 * Chunks that n threads have been asked for at a time. Each takes up to TAPE_TRAPS_MAX_BYTES, a thread besides twice as
 * much for what is compressed, and a model of 1.1 MiB: 6.2 MiB for one thread and its chunks, 5.2 for each more.
 */
#define TAPE_AHEAD_CHUNKS(n) (2u * (n) + 1)
#define TAPE_AHEAD_MAX       64u

struct tape_ahead;
/* 0, -ENOMEM, -EINVAL (no thread, or more than TAPE_AHEAD_MAX), or what pthread_create() has failed with. */
int tape_ahead_create(struct tape_ahead **out, unsigned nr_threads);
void tape_ahead_destroy(struct tape_ahead *ahead);

bool tape_ahead_has_room(const struct tape_ahead *ahead);
/* There must be room. place: by which it is taken; the chunk is copied. */
void tape_ahead_ask(struct tape_ahead *ahead, size_t place, const struct tape_stored_chunk *chunk,
		    const struct tape_origin *from);

struct tape_ahead_loaded {
	int result; /* of tape_loader_load() */
	char why[128];
	bool is_sound;
	struct tape_chunk_header header; /* with what an index does not say */
};
/*
 * Waits for what was asked for at this place, loading by loader meanwhile what nobody has begun. Its bytes change
 * places with *raw. False: it was not asked for.
 */
bool tape_ahead_take(struct tape_ahead *ahead, size_t place, struct tape_loader *loader, struct tape_scratch *raw,
		     struct tape_ahead_loaded *out);
/* Nothing is asked for any more at places that are passed(ctx, place); NULL: at none. */
void tape_ahead_drop(struct tape_ahead *ahead, bool (*passed)(const void *ctx, size_t place), const void *ctx);

#endif
