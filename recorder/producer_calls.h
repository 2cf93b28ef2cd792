/* SPDX-License-Identifier: MIT */
/*
 * producer_calls.h - the requests of producer_proto.h, one function each, with
 * every field of the answers checked. Errors as in producer.h.
 */
#ifndef PRODUCER_CALLS_H
#define PRODUCER_CALLS_H

#include <sys/types.h>

#include "guest_ram.h"
#include "producer.h"
#include "trap_ring.h"

#define PRODUCER_MAX_VCPUS 1024
#define HANDSHAKE_MS       5000

/* Memory of the peer that answers are laid in; read with staging_read(), never mapped: it may shrink at any time. */
struct staging {
	int fd; /* -1: none came yet */
	uint64_t size_bytes;
};
void staging_deinit(struct staging *staging);
/* All of it, or -EPROTO. */
int staging_read(const struct staging *staging, uint64_t offset, void *buffer, size_t size_bytes,
		 struct record_error *error);

int producer_hello(struct producer *producer, struct proto_welcome *out, struct record_error *error);
/* ram must be empty. */
int producer_get_ram(struct producer *producer, struct guest_ram *ram, struct record_error *error);
/* Rings come through ring_added, which takes them over even when it fails. */
typedef int (*producer_ring_fn)(void *ctx, struct trap_ring *ring, struct record_error *error);
int producer_start(struct producer *producer, const struct proto_start *start, const void *plan, uint32_t nr_vcpus,
		   producer_ring_fn ring_added, void *ctx, struct record_error *error);
/* The ring of a PROTO_RING message; the caller takes *out. */
int producer_open_ring(struct producer_message *message, struct trap_ring *out, struct record_error *error);
int producer_set_plan(struct producer *producer, const void *plan, size_t size_bytes, struct record_error *error);
int producer_snapshot(struct producer *producer, uint64_t snapshot_id, uint64_t max_pages, const struct guest_ram *ram,
		      struct staging *staging, struct proto_snapshot_data *out, struct record_error *error);
/* The bytes are at offset 0 of the staging memory then. */
int producer_read_ram(struct producer *producer, uint32_t block, uint64_t block_offset, uint64_t size_bytes,
		      struct staging *staging, struct record_error *error);
/* patience_ms as for producer_answer(). */
int producer_stop(struct producer *producer, unsigned patience_ms, struct record_error *error);

#endif
