/* SPDX-License-Identifier: MIT */
/*
 * ram_snapshot.h - takes snapshots: all of RAM while the guest runs, then, in
 * rounds, the pages that it wrote meanwhile, the last of them in a short pause.
 * Main thread. Errors as in producer.h; after one, the next snapshot makes up
 * for what this one missed.
 */
#ifndef RAM_SNAPSHOT_H
#define RAM_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "page_feed.h"

/* How fast the guest's TSC runs, for a VM that does not know: from the clocks of the first pause and a later one. */
struct tsc_rate {
	bool is_wanted;
	uint64_t first_tsc, first_ns; /* 0: none yet */
	uint64_t told_span_ns;        /* that the rate on the tape was measured over */
};

/* Of the snapshot that is being taken. */
struct snapshot_figures {
	uint64_t started_ns;
	uint64_t pause_ns; /* of all pauses */
	unsigned nr_rounds;
	struct tape_snapshot_cost cost;
};

struct ram_snapshot {
	struct producer *producer;
	struct page_feed feed;
	struct guest_ram ram;
	struct guest_ram old_ram; /* what the tape has been given of it; empty: all is to be read */
	bool map_changed;         /* PROTO_EVENT_RAM came */
	bool is_base;             /* the next commit brings all of RAM */
	bool has_looked;          /* the pages that were dirty at the start are no more */
	struct staging staging;
	struct tsc_rate rate;
	uint64_t last_id;
	uint64_t committed; /* snapshots posted to the tape */
	uint64_t last_job;  /* the commit of the last one */
	struct snapshot_figures figures;
};

void ram_snapshot_init(struct ram_snapshot *snapshot, struct producer *producer, struct tape_thread *tape,
		       struct loop *loop);
void ram_snapshot_deinit(struct ram_snapshot *snapshot);
/* Takes over the memory map. */
void ram_snapshot_set_map(struct ram_snapshot *snapshot, struct guest_ram *ram);
/* Another tape has begun: the next snapshot is one that needs none before it. */
void ram_snapshot_restart(struct ram_snapshot *snapshot);
/* Nothing of a snapshot that failed takes room beside the tape from here on. */
void ram_snapshot_give_room(struct ram_snapshot *snapshot);
int ram_snapshot_take(struct ram_snapshot *snapshot, struct record_error *error);

#endif
