/* SPDX-License-Identifier: MIT */
/*
 * sequence.h - records that are missing though no gap record tells of them: a
 * vCPU's records are numbered without a hole, so a hole is damage of the tape.
 * Zero-initialise; sequence_deinit frees. One thread an object.
 */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include "trap_record.h"

struct sequence_vcpu {
	bool started;
	uint64_t next_seq, last_tsc;
};

struct sequence {
	struct sequence_vcpu *vcpus;
	uint32_t room;
};

void sequence_deinit(struct sequence *sequence);
/*
 * The vCPU's next record. true: records are missing before it, and *out tells
 * of them as a producer's gap would.
 */
bool sequence_next(struct sequence *sequence, const struct trap_view *view, struct trap_gap *out);

/* The vCPU's next records, up to this one, are there and are not read. */
void sequence_pass(struct sequence *sequence, uint32_t vcpu, uint64_t last_seq, uint64_t last_tsc);
/* Are records of the vCPU missing before the one of this number? */
bool sequence_misses(const struct sequence *sequence, uint32_t vcpu, uint64_t seq);
/* Of the vCPU's latest record, read or passed; 0: there is none. */
uint64_t sequence_last_tsc(const struct sequence *sequence, uint32_t vcpu);

#endif
