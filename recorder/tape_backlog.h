/* SPDX-License-Identifier: MIT */
/*
 * tape_backlog.h - which records are on their way to the file: handed to the
 * sink, but not known to be written. So that after a failure each record counts
 * either as stored or as lost. Owned by one thread.
 */
#ifndef TAPE_BACKLOG_H
#define TAPE_BACKLOG_H

#include <stdint.h>

#include "pipeline.h"

struct backlog_entry;
struct tape_backlog {
	struct backlog_entry *head, *tail;
	uint64_t records, gap_lost; /* of all that is in it */
};

/* The records are in the file when the sink has written this many bytes. */
void tape_backlog_add(struct tape_backlog *backlog, const struct record_tally *tally, uint64_t upto_bytes);
/* Takes out what is written by now, and adds it to sum. */
void tape_backlog_take(struct tape_backlog *backlog, uint64_t written_bytes, struct record_tally *sum);

#endif
