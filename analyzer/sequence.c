/* SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stdlib.h>
#include <string.h>

void sequence_deinit(struct sequence *sequence)
{
	free(sequence->vcpus);
	*sequence = (struct sequence){0};
}

static struct sequence_vcpu *of_vcpu(struct sequence *sequence, uint32_t vcpu)
{
	if (vcpu >= sequence->room) {
		uint32_t room = vcpu + 16;
		struct sequence_vcpu *vcpus = realloc(sequence->vcpus, room * sizeof(*vcpus));

		if (!vcpus)
			return NULL;
		memset(vcpus + sequence->room, 0, (room - sequence->room) * sizeof(*vcpus));
		sequence->vcpus = vcpus;
		sequence->room = room;
	}
	return &sequence->vcpus[vcpu];
}

bool sequence_next(struct sequence *sequence, const struct trap_view *view, struct trap_gap *out)
{
	struct sequence_vcpu *vcpu = of_vcpu(sequence, view->header.vcpu);
	uint64_t first = view->header.seq;
	bool missing;

	if (!vcpu)
		return false;
	/* What a gap record accounts for is not missing. */
	if (view->header.type == TRAP_GAP) {
		struct trap_gap gap;

		trap_view_gap(view, &gap);
		if (gap.first_seq <= first)
			first = gap.first_seq;
	}
	missing = vcpu->started && first > vcpu->next_seq;
	if (missing)
		*out = (struct trap_gap){
			.lost_records = first - vcpu->next_seq,
			.first_seq = vcpu->next_seq,
			.first_tsc = vcpu->last_tsc,
			.last_tsc = view->header.tsc,
		};
	vcpu->started = true;
	vcpu->next_seq = view->header.seq + 1;
	vcpu->last_tsc = view->header.tsc;
	return missing;
}

void sequence_pass(struct sequence *sequence, uint32_t vcpu, uint64_t last_seq, uint64_t last_tsc)
{
	struct sequence_vcpu *at = of_vcpu(sequence, vcpu);

	if (at)
		*at = (struct sequence_vcpu){.started = true, .next_seq = last_seq + 1, .last_tsc = last_tsc};
}

bool sequence_misses(const struct sequence *sequence, uint32_t vcpu, uint64_t seq)
{
	return vcpu < sequence->room && sequence->vcpus[vcpu].started && seq > sequence->vcpus[vcpu].next_seq;
}

uint64_t sequence_last_tsc(const struct sequence *sequence, uint32_t vcpu)
{
	return vcpu < sequence->room ? sequence->vcpus[vcpu].last_tsc : 0;
}
