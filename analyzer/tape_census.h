/* SPDX-License-Identifier: MIT */
/* tape_census.h - one pass over a tape's records, counting: what info tells. */
#ifndef TAPE_CENSUS_H
#define TAPE_CENSUS_H

#include "session.h"

struct tape_census {
	uint64_t types[TRAP_TYPES];
	uint64_t abis[TRAP_ABIS]; /* of entries */
	uint64_t vias[TRAP_VIAS]; /* of entries and exits */
	uint64_t gaps, lost_records;
	uint64_t missing_records; /* no gap record tells of them: damage */
	uint64_t without_task;    /* entries and exits that name no thread */
	uint64_t unpaired_exits;  /* their entry was not seen by the producer */
	uint64_t cut_records;
	uint64_t raw_bytes;
	uint64_t first_gap_tsc, last_gap_tsc; /* 0: no gap */
};

/* progress (may be NULL) is called with the number of records so far. */
struct vmtape_error *tape_census_take(struct tape_census *out, struct session *session,
				      void (*progress)(void *ctx, uint64_t records), void *ctx);

#endif
