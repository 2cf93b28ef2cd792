/* SPDX-License-Identifier: MIT */
/* tracker_private.h - what the files of the tracker share. */
#ifndef VMTAPE_TRACKER_PRIVATE_H
#define VMTAPE_TRACKER_PRIVATE_H

#include "linux/linux_state.h"
#include "sequence.h"
#include "tracker.h"
#include "u64_map.h"

#define TRACKER_FD_CALLS 1024 /* numbers that a table may have; beyond, no call is about descriptors */

struct tracker {
	struct session *session;
	struct tracker_sink sink;
	struct tape_cursor *cursor;
	struct pairing *pairing;
	struct processes *processes;
	struct sequence sequence;
	uint32_t next_snapshot;
	uint64_t next_snapshot_tsc; /* or earlier */
	uint64_t records;
	struct call_thread thread; /* of the record at hand, if it is identified */
	bool is_identified;
	uint64_t tsc;
	struct trap_view held; /* read, but later than asked for */
	bool has_held, skipped;
	uint64_t carried_since_tsc;  /* what a ring tape says of its tasks does not go back behind this; 0: no matter */
	struct vmtape_error *failed; /* within a callback */
	uint64_t passed_ordinal;     /* of the latest snapshot, + 1 */
	uint64_t awaited_id;         /* of a snapshot that is not there yet */
	bool awaits;
	/* Descriptors, if they are wanted. */
	struct fd_call *fd_calls[TRAP_ABIS]; /* by number */
	uint8_t *fd_calls_known[TRAP_ABIS];
	const struct linux_guest *fd_guest;
	struct call_fds fds; /* of the record at hand */
	struct linux_state *state;
	bool fds_wanted;
	bool plans_seen, any_leaves_out; /* what tracker_any_leaves_out() found */
	struct skip_plan *skip;          /* NULL: all is read */
	struct u64_map passed;           /* tasks that have come in what is passed over, and until when that is */
	bool has_passed;                 /* that of the record at hand */
	uint64_t doubted_tsc;            /* up to here, what the tape carried of its tasks may be outdated */
};

/* tracker_fds.c */

/* Until a record tells which plan rules, and behind damage that may have taken such a record: as if all did. */
bool tracker_any_leaves_out(struct tracker *t);
/* Before pairing sees the record. */
void tracker_follow_fds(struct tracker *t, const struct trap_view *view);

#endif
