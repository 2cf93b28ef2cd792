/* SPDX-License-Identifier: MIT */
/*
 * test_fault_kill.c - SIGKILL of the recorder at random moments, the guest busy:
 * the tape opens as it is, and no number is missing but those that a gap record
 * tells of. All that could be read from it before the kill is still there; of a
 * guest that the recorder keeps up with, all that was older than the flush time.
 * Of a ring tape that was wrapped, all that holds from its oldest record on.
 */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fault_rig.h"

#define FLUSH_MS 500u
/* Other work on the machine may keep the recorder from running; its own part must fit into the flush time. */
#define SLACK_MS    (FAULT_IS_SLOW ? 5000u : 1500u)
#define NS_PER_MS   1000000ull
#define MAX_WRAP_MS 60000u
/* A ring is filled fast, but not faster than a recorder under a sanitizer can. */
#define RING_RECORDS_A_MS (FAULT_IS_SLOW ? 15u : 60u)
#define MAX_MORE_SLOTS    (FAULT_IS_SLOW ? 4u : 20u)

/* Ways to record: what is written how may differ, what a kill may cost must not. A line more tests one more. */
static const struct kill_case {
	const char *name;
	unsigned records_a_ms; /* 0: more than can be stored, so that much is on its way */
	bool without_uring;
	const char *options[8];
} cases[] = {
	{"drop, full speed", 0, false, {"--on-full", "drop", "--ring-bytes", "1M"}},
	{"block, full speed", 0, false, {"--on-full", "block", "--snapshot-interval", "100ms"}},
	{"block, paced", 20, false, {"--on-full", "block", "--snapshot-interval", "150ms"}},
	{"ring, block", 0, false, {"--ring-size", "32M", "--on-full", "block", "--snapshot-interval", "200ms"}},
	{"drop, paced, pwrite", 40, true, {"--on-full", "drop", "--snapshot-interval", "100ms"}},
	{"ring, paced",
	 RING_RECORDS_A_MS,
	 false,
	 {"--ring-size", "32M", "--on-full", "drop", "--snapshot-interval", "200ms"}},
};
#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

/* Killed when it has been all around. */
static bool is_ring(const struct kill_case *kill_case)
{
	return !strcmp(kill_case->options[0], "--ring-size");
}

struct outcome {
	unsigned tapes, empty, looks, wraps;
	uint64_t calls, gap_lost, worst_ns;
};

/* Until the ring has been written over, and a bit on. False: it takes too long on this machine. */
static bool wait_for_wrap(const struct record_run *run)
{
	for (unsigned i = 0; i < MAX_WRAP_MS / 100; i++) {
		struct tape_reader *reader;
		uint64_t nr_overwritten = 0;

		if (!tape_reader_open(&reader, run->tape_path, NULL)) {
			nr_overwritten = tape_reader_info(reader)->nr_overwritten;
			tape_reader_close(reader);
		}
		if (nr_overwritten > fault_below(MAX_MORE_SLOTS))
			return true;
		fault_pause_ms(100);
	}
	return false;
}

/* What anybody can read while it is recorded. */
static bool look(const struct record_run *run, struct fault_sums *sums)
{
	struct stat st;

	if (stat(run->tape_path, &st) || st.st_size < 4096)
		return false;
	fault_read_tape(run, sums);
	return true;
}

static void check_killed(const struct record_run *run, const struct fault_guest *guest, uint64_t killed_ns,
			 const struct fault_sums *before, struct outcome *outcome)
{
	uint64_t due_ns = killed_ns - (FLUSH_MS + SLACK_MS) * NS_PER_MS;
	struct fault_sums sums;
	struct stat st;

	CHECK(!stat(run->tape_path, &st));
	if (!st.st_size) {
		/* nothing may have been due */
		for (unsigned v = 0; v < FAULT_VCPUS && guest->records_a_ms; v++)
			CHECK_INT(fault_guest_seq_at(guest, v, due_ns), 0);
		outcome->empty++;
		return;
	}
	fault_read_tape(run, &sums);
	CHECK(sums.cut_off);
	for (unsigned v = 0; v < FAULT_VCPUS; v++) {
		const struct fault_vcpu *vcpu = &guest->vcpus[v];
		uint64_t due = guest->records_a_ms ? fault_guest_seq_at(guest, v, due_ns) : 0, missing_ns = 0;

		if (due < before->vcpus[v].next_seq)
			due = before->vcpus[v].next_seq;
		if (sums.vcpus[v].next_seq < due)
			fprintf(stderr,
				"vCPU %u: %" PRIu64 " records were due, numbers on the tape end at %" PRIu64 "\n", v,
				due, sums.vcpus[v].next_seq);
		CHECK(sums.vcpus[v].next_seq >= due);
		for (unsigned i = vcpu->nr_samples; i && vcpu->samples[i - 1].seq > sums.vcpus[v].next_seq; i--)
			if (vcpu->samples[i - 1].tsc < killed_ns)
				missing_ns = killed_ns - vcpu->samples[i - 1].tsc;
		if (guest->records_a_ms && missing_ns > outcome->worst_ns)
			outcome->worst_ns = missing_ns;
	}
	if (sums.overwritten)
		CHECK(sums.vcpus[0].first_seq && sums.vcpus[1].first_seq);
	outcome->wraps += sums.overwritten > 0;
	outcome->tapes++;
	outcome->calls += sums.calls;
	outcome->gap_lost += sums.gap_lost;
}

static void kill_once(const struct kill_case *kill_case, struct outcome *outcome)
{
	unsigned after_ms = fault_below(!kill_case->records_a_ms ? 600 : fault_below(3) ? 2000 : 300);
	struct fault_sums before = {0};
	struct fault_guest guest;
	struct record_run run;
	struct fake_vm vm;
	uint64_t killed_ns;

	fake_vm_init(&vm, FAULT_VCPUS, 2048, true);
	fake_vm_start(&vm);
	if (kill_case->without_uring)
		setenv("VMTAPE_NO_URING", "1", 1);
	record_run_start_with(&run, vm.socket_path, vm.folder, 0, kill_case->options, "--plan", "generic", "--flush",
			      "500ms", NULL);
	unsetenv("VMTAPE_NO_URING");
	fake_vm_wait_started(&vm);
	fault_guest_start(&guest, &vm, kill_case->records_a_ms);
	if (is_ring(kill_case) && !wait_for_wrap(&run))
		fprintf(stderr, "%s: not once around after %u s\n", kill_case->name, MAX_WRAP_MS / 1000);
	fault_pause_ms(after_ms);
	/* Of a ring what was read can be overwritten the next moment. */
	if (!is_ring(kill_case))
		outcome->looks += look(&run, &before);
	killed_ns = fake_tsc();
	kill(run.pid, SIGKILL);
	record_run_wait(&run, 20);
	/* The guest goes on, whatever its policy: the close of the socket ends the traps. */
	fake_vm_wait_stopped(&vm);
	fault_guest_stop(&guest);
	fake_vm_end(&vm);
	check_killed(&run, &guest, killed_ns, &before, outcome);
	fault_guest_deinit(&guest);
	record_run_deinit(&run);
	fake_vm_deinit(&vm);
}

int main(void)
{
	unsigned kills = fault_is_long() ? 100 : 10;
	struct outcome outcome = {0};

	fault_seed();
	for (unsigned i = 0; i < kills; i++)
		kill_once(&cases[i % NR_CASES], &outcome);
	printf("%u recorders killed in %zu ways: %u tapes opened as they were (%u had not begun), %" PRIu64
	       " records on them, %" PRIu64 " told lost\n",
	       kills, NR_CASES, outcome.tapes, outcome.empty, outcome.calls, outcome.gap_lost);
	printf("%u of them were rings that had been all around\n", outcome.wraps);
	printf("%u read before the kill, too: 0 records of that missing; of paced guests at most the last %.3f s\n",
	       outcome.looks, (double)outcome.worst_ns / 1e9);
	CHECK_INT(outcome.tapes + outcome.empty, kills);
	CHECK(outcome.tapes > kills / 2 && outcome.calls > 0 && outcome.wraps);
	return 0;
}
