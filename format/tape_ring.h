/* SPDX-License-Identifier: MIT */
/*
 * tape_ring.h - what a ring tape carries forward, private to format/: before a
 * slot is overwritten, what the younger ones need of it is put into new chunks,
 * so that whatever is on the tape can always be decoded. Belongs to a writer.
 */
#ifndef TAPE_RING_H
#define TAPE_RING_H

#include "tape_private.h"

struct tape_ring;
struct tape_pages;

int tape_ring_create(struct tape_ring **out, const struct tape_sink *sink, const struct tape_identity *identity,
		     struct tape_error *error);
void tape_ring_destroy(struct tape_ring *ring);
/* Whose pages are carried; NULL: there are none (any more). */
void tape_ring_set_pages(struct tape_ring *ring, struct tape_pages *pages);

/* Ordinal of the oldest snapshot that counts once a slot of this number has been opened. */
uint64_t tape_ring_first_snapshot(const struct tape_ring *ring, uint64_t slot_seq);
/* A slot was opened: what its place held is gone. */
void tape_ring_slot_opened(struct tape_ring *ring, uint64_t slot_seq);
/* A chunk is placed in the open slot; its buffer is still there. -ENOMEM */
int tape_ring_chunk_placed(struct tape_ring *ring, uint32_t slot_offset, const struct tape_chunk *chunk);

/* Who runs, for the beginning of the open slot, which is the oldest one some time; NULL: nothing to say. */
int tape_ring_tasks(struct tape_ring *ring, struct tape_chunk **out, struct tape_error *error);

/* The chunk that should be placed next, or NULL: none has to be by now. The ring keeps it until it is taken. */
int tape_ring_next(struct tape_ring *ring, const struct tape_chunk **out, struct tape_error *error);
struct tape_chunk *tape_ring_take(struct tape_ring *ring);
/* So many slots can be opened before a place is taken of which something still waits. */
uint64_t tape_ring_ahead(const struct tape_ring *ring);
/* There are fewer of these than there should be: the open slot should do what it can. */
bool tape_ring_is_pressed(const struct tape_ring *ring);
/* What is in use takes more than the ring has. */
bool tape_ring_is_overfull(const struct tape_ring *ring);
/* Pages that wait are not carried: they are lost. */
void tape_ring_give_up_pages(struct tape_ring *ring);

#endif
