/* SPDX-License-Identifier: MIT */
/* record_account.h - walks a tape of the fake VM and adds up, for each vCPU, what is on it. Everything exits on
 * failure. */
#ifndef RECORD_ACCOUNT_H
#define RECORD_ACCOUNT_H

#include <stdint.h>

#include "fake_vm.h"
#include "tape.h"

struct vcpu_account {
	uint64_t first_seq; /* of the first record, or of the gap that it tells of; not 0 only where a ring was
			       overwritten */
	uint64_t next_seq;  /* behind the last record; all before it are there, or a gap record tells of them */
	uint64_t calls, gaps, gap_lost, others;
};

/*
 * Each vCPU's numbers have no hole but those that a gap record tells of, and each record is as it was made. They begin
 * with 0, unless what was before has been overwritten.
 */
void record_account(struct tape_reader *reader, struct vcpu_account accounts[FAKE_VM_MAX_VCPUS + 1]);
/*
 * That, where nothing was lost: numbers go on from next_seq, which is left behind the last one, and there is no gap.
 * Returns the calls' records; *last_tsc is 0 where there is no record.
 */
uint64_t record_account_whole(struct tape_reader *reader, uint64_t next_seq[2], uint64_t *last_tsc);

#endif
