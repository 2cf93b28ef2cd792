/* SPDX-License-Identifier: MIT */
/*
 * fault_rig.h - what the fault tests of the recorder share: a guest of two vCPUs
 * that knows what it produced and when, and the account of a tape against it.
 * Everything exits on failure.
 */
#ifndef FAULT_RIG_H
#define FAULT_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fake_vm.h"
#include "record_account.h"
#include "record_run.h"

#define FAULT_VCPUS 2u

/* Under a sanitizer the recorder is slow, and on a busy machine late. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FAULT_IS_SLOW 1
#else
#define FAULT_IS_SLOW 0
#endif

struct fault_sample {
	uint64_t tsc, seq; /* at tsc, all numbers below seq were given away */
};

struct fault_vcpu {
	struct fault_guest *guest;
	unsigned vcpu;
	pthread_t thread;
	uint64_t max_append_ns; /* longest time that the guest was kept in one trap */
	uint64_t tries;         /* records that it wanted to make */
	struct fault_sample *samples;
	unsigned nr_samples;
};

struct fault_guest {
	struct fake_vm *vm;
	unsigned records_a_ms; /* of each vCPU; 0: as fast as it can */
	atomic_bool ending;
	struct fault_vcpu vcpus[FAULT_VCPUS];
};

/* VMTAPE_LONG is set: the full counts. */
bool fault_is_long(void);
void fault_pause_ms(unsigned ms);
/* A number below n, from random(). */
unsigned fault_below(unsigned n);
/* Seeds random() (VMTAPE_FAULT_SEED, or the time) and prints the seed. */
void fault_seed(void);

/* What is mounted from here on is seen by nobody else, and gone when the test ends, however it does. False: not
 * permitted. */
bool fault_private_mounts(void);

/* Starts the threads of a VM whose rings are there. They stop by themselves when trapping ends. */
void fault_guest_start(struct fault_guest *guest, struct fake_vm *vm, unsigned records_a_ms);
void fault_guest_stop(struct fault_guest *guest);
void fault_guest_deinit(struct fault_guest *guest);
/* All numbers of a vCPU below this had been given away at tsc. */
uint64_t fault_guest_seq_at(const struct fault_guest *guest, unsigned vcpu, uint64_t tsc);

struct fault_sums {
	uint64_t calls, gaps, gap_lost, others;
	unsigned snapshots;
	uint64_t overwritten; /* slots of a ring tape: what was in them is not on it any more */
	bool cut_off;
	struct vcpu_account vcpus[FAKE_VM_MAX_VCPUS + 1];
};
/* Opens the tape without repair, verifies it and walks all of it: it may be cut off, and nothing else. */
void fault_read_tape(const struct record_run *run, struct fault_sums *out);
/*
 * That, of a tape with an end: what each vCPU produced is on it or in a gap, from the first number on that is. Prints
 * one line that begins with label.
 */
void fault_check_whole(const struct record_run *run, const struct fake_vm *vm, const char *label,
		       struct fault_sums *out);
/*
 * The same of a recording that ended with a failure to write: the tape is cut
 * off, and what is not on it was told as lost, to the record.
 */
void fault_check_failed(const struct record_run *run, const struct fake_vm *vm, const char *label,
			struct fault_sums *out);

#endif
