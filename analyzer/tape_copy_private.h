/* SPDX-License-Identifier: MIT */
/* tape_copy_private.h - what the files of tape_copy share. */
#ifndef VMTAPE_TAPE_COPY_PRIVATE_H
#define VMTAPE_TAPE_COPY_PRIVATE_H

#include "bytes.h"
#include "tape_copy.h"

struct vcpu_lane {
	struct byte_buffer records;
	uint64_t next_seq, last_tsc, max_tsc; /* of those written; if started */
	bool started;
	uint64_t nr_left; /* records that were not wanted: the numbers of later ones are lower by so many */
	uint64_t part;    /* the newest one that has records of it; in that part: */
	bool at_seam;     /* all of them so far were in an earlier one, too */
	bool is_twice;    /* there were such */
	bool is_joined;   /* and the last one that was written was among them */
};

struct tape_copy {
	struct out_file *file;
	struct tape_writer *writer;
	struct tape_encoder *encoder;
	struct tape_pages *pages;
	struct vcpu_lane *lanes;
	size_t nr_lanes;
	size_t held_bytes;
	struct byte_buffer meta;
	struct {
		uint32_t id;
		size_t size_bytes;
		void *bytes;
	} * plans;
	size_t nr_plans;
	uint64_t nr_parts; /* with the one that is copied */
	bool was_damaged;  /* the part before */
	uint64_t last_tsc; /* of the snapshot that was written last */
	bool has_seam;     /* an earlier part had snapshots: */
	uint64_t seam_tsc; /* the last one of them */
	bool has_skipped;  /* what comes next builds on a snapshot that is not on the new tape */
	struct tape_copy_stats stats;
};

/* tape_copy.c: what the writer of the new tape says. */
struct vmtape_error *tape_copy_failed(const struct tape_error *why, int result);

/* tape_copy_snapshot.c */

/* An increment, if all that it brings is there and the one before it was copied; else all of memory. Within a tape, the
 * TSC may go back (the guest was reset): only those of other tapes are told by it. */
struct vmtape_error *tape_copy_snapshot(struct tape_copy *copy, struct session *session, uint32_t index, bool first);

#endif
