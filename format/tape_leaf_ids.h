/* SPDX-License-Identifier: MIT */
/*
 * tape_leaf_ids.h - the page ids of 512 neighbouring pages, private to format/:
 * as runs of equal or rising ids, which most memory has few of, or as a list
 * where there are many: of 32 bits each, if the ids lie that near to each other.
 * Zeroed: TAPE_PAGE_NONE for each. One thread.
 */
#ifndef TAPE_LEAF_IDS_H
#define TAPE_LEAF_IDS_H

#include <stddef.h>
#include <stdint.h>

#define TAPE_LEAF_PAGES 512u

struct tape_leaf_ids {
	struct tape_id_run *runs; /* one behind the other, over all pages; NULL: a list, or none */
	uint16_t nr_runs, room;
	uint32_t *near; /* or a list: ids less base */
	uint64_t base;
	uint64_t *list; /* or a list of whole ids */
};

void tape_leaf_ids_deinit(struct tape_leaf_ids *ids);
uint64_t tape_leaf_ids_get(const struct tape_leaf_ids *ids, unsigned index);
/* -ENOMEM: it is as it was. */
int tape_leaf_ids_set(struct tape_leaf_ids *ids, unsigned index, uint64_t id);
/* Memory that it takes. */
size_t tape_leaf_ids_bytes(const struct tape_leaf_ids *ids);
/* Many were set: takes no more memory than it needs, if there is memory for that. */
void tape_leaf_ids_pack(struct tape_leaf_ids *ids);

#endif
