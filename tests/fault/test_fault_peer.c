/* SPDX-License-Identifier: MIT */
/*
 * test_fault_peer.c - a VM that goes wrong at any message: the recorder ends in
 * bounded time, says why when it fails, never crashes, and keeps what it had.
 * tests/fuzz/fuzz_producer_proto.c does the same to its protocol code alone.
 */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fault_rig.h"

#define LAST_MESSAGE 16u /* that a recording this short is sure to get, about */

struct tally {
	unsigned good, bad, tapes;
	uint64_t calls;
};

static void keep_what_came(const struct record_run *run, struct tally *tally)
{
	struct fault_sums sums;
	struct stat st;

	if (stat(run->tape_path, &st) || !st.st_size)
		return;
	fault_read_tape(run, &sums);
	tally->tapes++;
	tally->calls += sums.calls;
}

/* One line: that which names the socket or the tape and is no notice. */
static void say_why(const struct record_run *run, unsigned message, unsigned way, double seconds)
{
	const char *text = strstr(run->text, "/vm.sock: ");

	if (!text)
		text = strstr(run->text, "/out.vmt: ");
	text = text ? text + 10 : run->text;
	printf("message %2u, %-20s %4.1f s: %.*s\n", message, fake_mangle_name(way), seconds, (int)strcspn(text, "\n"),
	       text);
}

static void run_once(unsigned message, unsigned way, struct tally *tally)
{
	struct fault_guest guest;
	struct record_run run;
	struct fake_vm vm;
	uint64_t started_ns = fake_tsc();
	bool begun;

	fake_vm_init(&vm, FAULT_VCPUS, 512, way % 2);
	vm.mangle_at = message;
	vm.mangle_way = way;
	vm.mangle_seed = (uint64_t)random();
	fake_vm_start(&vm);
	record_run_start(&run, vm.socket_path, vm.folder, 0, "--plan", "generic", "--ring-bytes", "64K",
			 "--snapshot-interval", "100ms", "--duration", "600ms", NULL);
	for (unsigned i = 0; i < 200 && !atomic_load(&vm.trapping); i++)
		fault_pause_ms(1);
	begun = atomic_load(&vm.trapping);
	if (begun)
		fault_guest_start(&guest, &vm, 5);
	/* The longest that it waits for an answer is 30 s, to START. */
	record_run_wait(&run, 60);
	if (begun)
		fault_guest_stop(&guest);
	fake_vm_end(&vm);
	if ((run.status != 0 && run.status != 2) || !run.text[0]) {
		fprintf(stderr, "message %u, %s: status %d:\n%s", message, fake_mangle_name(way), run.status, run.text);
		CHECK(!"it must end with 0 or 2, and say why");
	}
	if (run.status)
		say_why(&run, message, way, (double)(fake_tsc() - started_ns) / 1e9);
	tally->good += run.status == 0;
	tally->bad += run.status == 2;
	keep_what_came(&run, tally);
	if (begun)
		fault_guest_deinit(&guest);
	record_run_deinit(&run);
	fake_vm_deinit(&vm);
}

int main(void)
{
	/* A message that is cut may be waited for for 30 s. */
	unsigned runs = fault_is_long() ? 500 : 24;
	struct tally tally = {0};

	fault_seed();
	for (unsigned i = 0; i < runs; i++) {
		unsigned message = 1 + fault_below(LAST_MESSAGE), way = i % FAKE_MANGLE_WAYS;

		run_once(message, way, &tally);
	}
	printf("%u peers went wrong: %u recordings ended with status 2 and a reason, %u well; %u tapes kept, all "
	       "sound, "
	       "with %" PRIu64 " records\n",
	       runs, tally.bad, tally.good, tally.tapes, tally.calls);
	CHECK_INT(tally.good + tally.bad, runs);
	CHECK(tally.bad > runs / 8 && tally.tapes > runs / 8);
	return 0;
}
