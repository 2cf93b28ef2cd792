/* SPDX-License-Identifier: MIT */
/*
 * record_plan.h - which capture plan is in force: the one that the user named,
 * or the generic one until the analyzer finds out from the snapshots who the
 * guest is. Main thread; errors as in producer.h.
 */
#ifndef RECORD_PLAN_H
#define RECORD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "plan_auto.h"
#include "producer.h"
#include "record_options.h"
#include "tape_thread.h"

struct record_plan {
	const struct record_options *options;
	struct producer *producer;
	struct tape_thread *tape;
	struct loop *loop;
	void *fallback; /* until the guest is known; else always */
	size_t fallback_bytes;
	void *in_force; /* as the VM has it now */
	size_t in_force_bytes;
	const char *tape_path; /* that the analyzer is to look at */
	uint32_t last_id;
	bool has_analyzer;
	bool is_wanted;      /* the guest is not known yet */
	bool was_identified; /* once, at least */
	bool told_not_yet;
	uint64_t snapshot_job; /* flush behind the latest snapshot that no analyzer looked at; 0: none */
	bool asks_snapshot;    /* the last one did not do, or a plan came into force that names threads */
	struct plan_auto analyzer;
	char last_failure[256];
};

/* Makes or reads the first plan; a bad file is found here, before the VM is touched. */
int record_plan_init(struct record_plan *plan, const struct record_options *options, struct record_error *error);
void record_plan_deinit(struct record_plan *plan);
/* The plan for PROTO_START. */
void record_plan_get_first(const struct record_plan *plan, const void **out, size_t *size_bytes);
/* It is in force: goes to the tape. tape_path must live until record_plan_moved(). */
int record_plan_started(struct record_plan *plan, struct producer *producer, struct tape_thread *tape,
			const char *tape_path, struct loop *loop, struct record_error *error);
/* The plan in force, for another tape to begin with; the caller takes the chunk. */
int record_plan_chunk(const struct record_plan *plan, struct tape_chunk **out, struct record_error *error);
/* Recording goes on in another tape. */
void record_plan_moved(struct record_plan *plan, const char *tape_path);
/* A snapshot was posted to the tape. */
void record_plan_snapshot_taken(struct record_plan *plan);
/* Start the analyzer, look after it, put its plan in force. Never waits for it. */
int record_plan_step(struct record_plan *plan, struct record_error *error);
/* The guest was reset: it may be another one. */
int record_plan_forget(struct record_plan *plan, struct record_error *error);

#endif
