/* SPDX-License-Identifier: MIT */
/*
 * call_batch.h - calls that were taken off a stream and own what they are made
 * of, so that one thread can build and show them while another goes on with the
 * stream: call_stream_take(), call_stream_give_back(). In between, one thread at
 * a time may use a batch, any number theirs.
 */
#ifndef CALL_BATCH_H
#define CALL_BATCH_H

#include "call_fds.h"
#include "call_stream.h"
#include "record_store.h"

enum stored_kind {
	STORED_CALL,
	STORED_GAP,     /* enter is the gap record */
	STORED_NOTHING, /* out of the time asked for */
};

struct stored_call {
	struct stored_record enter, exit;
	uint8_t kind;  /* enum stored_kind */
	uint8_t state; /* enum call_state */
	bool done, uncertain;
	struct call_thread thread;
};

struct call_batch {
	struct session *session;
	struct stored_call *calls;
	struct call_fds *fds; /* one each; NULL: not followed */
	uint32_t nr, room;
	bool has_fds;
	struct record_block **blocks; /* that its records lie in */
	uint32_t nr_blocks, room_blocks;
	struct call_stream_stats stats; /* when it was taken */
};

/* Zero-initialise; a batch must have been given back. */
void call_batch_deinit(struct call_batch *batch);
/* The i-th call or gap; valid until the batch is given back. */
void call_batch_item(const struct call_batch *batch, uint32_t i, struct call_item *item);

#endif
