/* SPDX-License-Identifier: MIT */
/*
 * test_record_rings.c - what goes into the rings comes out of the tape: by policy
 * block every record, by policy drop every record or a gap that counts it.
 */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "record_account.h"
#include "record_run.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define NR_RECORDS 150000u
#else
#define NR_RECORDS 1000000u
#endif

struct vcpu_thread {
	struct fake_vm *vm;
	unsigned vcpu;
	unsigned count;
	pthread_t thread;
};

static void *run_vcpu(void *arg)
{
	struct vcpu_thread *vcpu = arg;

	for (unsigned i = 0; i < vcpu->count; i++)
		fake_vm_append(vcpu->vm, vcpu->vcpu);
	return NULL;
}

/* Two vCPUs at full speed; after half a second the recorder is stopped for a while, if pause_ms. */
static void run(bool kvm, bool block, const char *ring_bytes, unsigned pause_ms, bool plug)
{
	struct vcpu_account accounts[FAKE_VM_MAX_VCPUS + 1] = {0};
	struct vcpu_thread vcpus[3];
	unsigned nr_threads = plug ? 3 : 2;
	uint64_t dropped = 0, appended = 0;
	struct record_run recorder;
	struct tape_reader *reader;
	struct fake_vm vm;
	bool cut_off;

	fake_vm_init(&vm, 2, 1024, true);
	vm.is_kvm = kvm;
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full",
			 block ? "block" : "drop", "--block-limit", "20s", "--ring-bytes", ring_bytes,
			 "--snapshot-interval", "300ms", NULL);
	fake_vm_wait_started(&vm);
	CHECK_INT(vm.start.policy, block ? PROTO_BLOCK : PROTO_DROP);
	if (plug)
		fake_vm_plug_vcpu(&vm);
	if (pause_ms)
		kill(recorder.pid, SIGSTOP);
	for (unsigned i = 0; i < nr_threads; i++) {
		vcpus[i] = (struct vcpu_thread){.vm = &vm, .vcpu = i, .count = NR_RECORDS};
		CHECK(!pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i]));
	}
	if (pause_ms) {
		nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000000l}, NULL);
		kill(recorder.pid, SIGCONT);
	}
	for (unsigned i = 0; i < nr_threads; i++)
		pthread_join(vcpus[i].thread, NULL);
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 60);
	fake_vm_end(&vm);
	record_run_check(&recorder, 0, "stopped by SIGTERM");

	reader = record_run_open_tape(&recorder);
	CHECK_STR(tape_reader_meta(reader, "producer"), kvm ? "qemu-kvm" : "qemu-tcg");
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	record_account(reader, accounts);
	for (unsigned i = 0; i < nr_threads; i++) {
		CHECK_INT(accounts[i].calls, vm.rings[i].appended);
		CHECK_INT(accounts[i].gap_lost, vm.rings[i].writer.lost_records);
		/* A loss at the very end, when the ring was full, is told of by the recorder. */
		CHECK_INT(accounts[i].next_seq, vm.rings[i].writer.seq + (vm.rings[i].writer.untold.lost_records != 0));
		/* a full ring loses marks and plans like any record */
		CHECK(!block || accounts[i].others >= 1);
		appended += accounts[i].calls;
		dropped += accounts[i].gap_lost;
	}
	printf("%s, %s, rings of %s: %" PRIu64 " records, %" PRIu64 " lost in %" PRIu64 " gaps, %u snapshots, %" PRIu64
	       " bytes; said: %s",
	       kvm ? "KVM" : "TCG", block ? "block" : "drop", ring_bytes, appended, dropped,
	       accounts[0].gaps + accounts[1].gaps, vm.nr_snapshots, tape_reader_info(reader)->size_bytes,
	       recorder.text);
	if (block) {
		CHECK_INT(dropped, 0);
		CHECK_INT(appended, (uint64_t)nr_threads * NR_RECORDS);
		CHECK(record_run_said(&recorder, "none lost"));
	} else if (pause_ms) {
		CHECK(dropped > 0);
		CHECK(record_run_said(&recorder, "shows where"));
	}
	CHECK_INT(tape_reader_info(reader)->totals.lost_records, dropped);
	CHECK_INT(tape_reader_info(reader)->totals.records, tape_reader_info(reader)->nr_records);
	CHECK_INT(tape_reader_info(reader)->nr_snapshots, vm.nr_snapshots);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

int main(void)
{
	run(false, true, "8M", 0, false);
	run(false, true, "64K", 300, true);
	run(false, false, "256K", 400, false);
	run(false, false, "1M", 0, true);
	run(false, false, "16M", 0, true);
	run(true, true, "64K", 300, true);
	run(true, false, "256K", 400, true);
	return 0;
}
