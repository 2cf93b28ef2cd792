/* SPDX-License-Identifier: MIT */
/*
 * tape_copy.h - parts of tapes onto a new one: lines of META, plans, snapshots,
 * records. What is damaged is left out and counted, and never replaced by
 * older contents. Memory is bounded. One thread.
 */
#ifndef TAPE_COPY_H
#define TAPE_COPY_H

#include "out_file.h"
#include "session.h"

struct tape_copy_part {
	uint64_t from_tsc, to_tsc;             /* records from, up to but without; UINT64_MAX: all */
	int64_t first_snapshot, last_snapshot; /* -1: none */
	/* Records must follow those of the parts before; those that are there already are taken once. */
	bool continues;
	/* Is the record taken? Those that follow one that is not are numbered anew. NULL: all are. */
	bool (*keep)(void *keep_ctx, const struct trap_view *view);
	void *keep_ctx;
	/* Called now and then; may be NULL. */
	void (*progress)(void *ctx, uint64_t nr_records);
	void *ctx;
};

/* By their clocks, the guest's TSC was set back between the two: no order of TSC tells which records come first. */
bool tape_copy_was_reset(const struct session *before, const struct session *after);

struct tape_copy_stats {
	uint64_t records, lost_records, snapshots;
	uint64_t missing_records; /* that the tape it was copied from should have */
	uint64_t missing_pages;   /* the same, of snapshots that are written as base */
	uint64_t missing_plans;
	uint64_t left_records;      /* that part.keep did not want */
	uint64_t twice_records;     /* that an earlier part had */
	uint64_t skipped_snapshots; /* that are not newer than the last one of the parts before */
};

struct tape_copy;
/* A new tape; the file must be a new one, and is finished by its owner. */
struct vmtape_error *tape_copy_create(struct tape_copy **out, struct out_file *file);
void tape_copy_destroy(struct tape_copy *copy);

/* A line of META. What the text has of control characters is replaced. */
struct vmtape_error *tape_copy_meta(struct tape_copy *copy, const char *key, const char *value);
/* All lines of another tape, but those with keys that begin with one of these texts; NULL is behind the last one. */
struct vmtape_error *tape_copy_metas(struct tape_copy *copy, struct session *session, const char *const *without);
/*
 * Plans that are not on the new tape yet; those that can't be had are counted. One with the id of another that differs
 * is an error.
 */
struct vmtape_error *tape_copy_plans(struct tape_copy *copy, struct session *session);
/* Records and snapshots, in order of time. */
struct vmtape_error *tape_copy_part(struct tape_copy *copy, struct session *session, const struct tape_copy_part *part);
struct vmtape_error *tape_copy_finish(struct tape_copy *copy, const char *reason);

void tape_copy_get_stats(const struct tape_copy *copy, struct tape_copy_stats *out);

#endif
