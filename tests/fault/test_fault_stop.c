/* SPDX-License-Identifier: MIT */
/*
 * test_fault_stop.c - a recorder that is stopped (SIGSTOP) for long: the guest
 * is kept no longer than its policy says, and what it loses is counted and
 * placed, to the record.
 */
#include <signal.h>

#include "check.h"
#include "fault_rig.h"

#define BLOCK_LIMIT_MS 100u
/* The machine, too, may keep a vCPU's thread from running. */
#define SLACK_MS 2000u

static void stop_once(bool block, bool kvm, unsigned stopped_ms)
{
	struct fault_guest guest;
	struct fault_sums sums;
	struct record_run run;
	struct fake_vm vm;
	uint64_t most_ns = 0, tries = 0;
	char label[96];

	fake_vm_init(&vm, FAULT_VCPUS, 1024, true);
	vm.is_kvm = kvm;
	fake_vm_start(&vm);
	record_run_start(&run, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full", block ? "block" : "drop",
			 "--block-limit", "100ms", "--ring-bytes", "128K", "--snapshot-interval", "300ms", NULL);
	record_run_expect_text(&run, "base snapshot taken");
	fault_guest_start(&guest, &vm, 20);
	fault_pause_ms(200);
	kill(run.pid, SIGSTOP);
	fault_pause_ms(stopped_ms);
	kill(run.pid, SIGCONT);
	fault_pause_ms(400);
	fault_guest_stop(&guest);
	kill(run.pid, SIGTERM);
	record_run_wait(&run, 60);
	fake_vm_end(&vm);
	record_run_check(&run, 0, "stopped by SIGTERM");
	snprintf(label, sizeof(label), "stopped for %.1f s, %s, %s", (double)stopped_ms / 1000, kvm ? "KVM" : "TCG",
		 block ? "block" : "drop");
	fault_check_whole(&run, &vm, label, &sums);
	for (unsigned v = 0; v < FAULT_VCPUS; v++) {
		if (guest.vcpus[v].max_append_ns > most_ns)
			most_ns = guest.vcpus[v].max_append_ns;
		tries += guest.vcpus[v].tries;
	}
	printf("  the longest that a trap kept the guest: %.1f ms\n", (double)most_ns / 1e6);
	CHECK(most_ns < ((block ? BLOCK_LIMIT_MS : 0) + SLACK_MS) * 1000000ull);
	/* every trap was served, whatever became of its record */
	CHECK(tries <= sums.calls + sums.gap_lost);
	CHECK(sums.gap_lost > 0);
	CHECK(record_run_said(&run, "shows where"));
	fault_guest_deinit(&guest);
	record_run_deinit(&run);
	fake_vm_deinit(&vm);
}

int main(void)
{
	unsigned stopped_ms = fault_is_long() ? 30000 : 3000;

	fault_seed();
	stop_once(false, false, stopped_ms);
	stop_once(true, false, stopped_ms);
	if (fault_is_long()) {
		stop_once(false, true, stopped_ms);
		stop_once(true, true, stopped_ms);
	}
	return 0;
}
