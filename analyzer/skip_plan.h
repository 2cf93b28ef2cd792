/* SPDX-License-Identifier: MIT */
/*
 * skip_plan.h - which chunks of a tape a question can do without, by what the
 * slots' indices say. A chunk is needed if a call in it may match, if it changes
 * who runs (fork, exec, exit, wait), or if its brief leaves anything open: lost
 * records, a snapshot in its midst, records without a task. Of the others the
 * rows of their briefs keep the process table as it would be. Made once, then
 * only read; any number of trackers may share it.
 */
#ifndef SKIP_PLAN_H
#define SKIP_PLAN_H

#include "filter.h"
#include "session.h"

struct skip_question {
	const struct filter *filter; /* NULL: all calls */
	uint64_t from_tsc, to_tsc;   /* calls that are entered at or after, and before */
	bool reads_all;              /* no chunk is passed over, but what can't match is left out */
};

struct skip_plan;
/* The session and the filter must outlive it. */
struct vmtape_error *skip_plan_create(struct skip_plan **out, struct session *session,
				      const struct skip_question *question);
void skip_plan_destroy(struct skip_plan *plan);

/* Must the chunk (tape_chunk_brief.number) be read, whatever is known when it comes? */
bool skip_plan_needs(const struct skip_plan *plan, size_t number);
/* May a call match that is entered then? nr NULL: not known. Never false of one that does. */
bool skip_plan_wants(const struct skip_plan *plan, uint64_t tsc, uint8_t abi, const uint32_t *nr);
/* Times decide, so that it matters when the entry of an exit was that is in what is passed over. */
bool skip_plan_by_time(const struct skip_plan *plan);

struct skip_plan_stats {
	size_t nr_chunks, nr_needed;
	uint64_t nr_records, nr_needed_records;
};
void skip_plan_get_stats(const struct skip_plan *plan, struct skip_plan_stats *out);

#endif
