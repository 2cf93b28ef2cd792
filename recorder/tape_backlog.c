/* SPDX-License-Identifier: MIT */
#include "tape_backlog.h"

#include <stdlib.h>

struct backlog_entry {
	struct backlog_entry *next;
	uint64_t upto_bytes;
	struct record_tally tally;
};

void tape_backlog_add(struct tape_backlog *backlog, const struct record_tally *tally, uint64_t upto_bytes)
{
	struct backlog_entry *entry = malloc(sizeof(*entry));

	/* A hundred bytes: where they are not to be had, there is nothing left to save. */
	if (!entry) {
		report_always("out of memory");
		abort();
	}
	*entry = (struct backlog_entry){NULL, upto_bytes, *tally};
	if (backlog->tail)
		backlog->tail->next = entry;
	else
		backlog->head = entry;
	backlog->tail = entry;
	backlog->records += tally->records;
	backlog->gap_lost += tally->gap_lost;
}

void tape_backlog_take(struct tape_backlog *backlog, uint64_t written_bytes, struct record_tally *sum)
{
	while (backlog->head && backlog->head->upto_bytes <= written_bytes) {
		struct backlog_entry *entry = backlog->head;

		backlog->head = entry->next;
		if (!backlog->head)
			backlog->tail = NULL;
		backlog->records -= entry->tally.records;
		backlog->gap_lost -= entry->tally.gap_lost;
		record_tally_add(sum, &entry->tally);
		free(entry);
	}
}
