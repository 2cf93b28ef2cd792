/* SPDX-License-Identifier: MIT */
/*
 * test_record_snapshots.c - memory on the tape is memory as it was in the pause,
 * page by page, while the guest writes on: RAM shared or not, few or many dirty
 * pages, a memory map that changes; and plans that an analyzer finds in between.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "fake_vm_private.h"
#include "plan.h"
#include "record_run.h"

struct writer {
	struct fake_vm *vm;
	unsigned pages_a_ms; /* 0: as many as it can */
	atomic_bool ending;
	pthread_t thread;
};

static void *run_writer(void *arg)
{
	struct writer *writer = arg;
	struct fake_vm *vm = writer->vm;
	uint64_t x = 88172645463325252u;

	while (!atomic_load(&writer->ending)) {
		for (unsigned i = 0; i < (writer->pages_a_ms ? writer->pages_a_ms : 1000); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* A third becomes zero again, or what its neighbours are. */
			fake_vm_write(vm, (unsigned)(x % vm->ram_pages), x % 3 ? (unsigned)(x >> 20) % 4096 : 0,
				      x % 3 == 1 ? 0 : (uint8_t)(x >> 40));
		}
		if (writer->pages_a_ms)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return NULL;
}

static void check_page(struct tape_reader *reader, uint32_t index, uint64_t gfn, const uint8_t *want)
{
	struct tape_error error = {0};
	uint8_t page[4096];
	int ret = tape_reader_page(reader, index, gfn, page, &error);

	if (ret || memcmp(page, want, sizeof(page)))
		fprintf(stderr, "snapshot %u, gfn 0x%" PRIx64 ": %s\n", index, gfn, ret ? error.message : "differs");
	CHECK_INT(ret, 0);
	CHECK(!memcmp(page, want, sizeof(page)));
}

/* The fake's pauses take 1 ms each, and every fourth page of a pause is said to have been protected. */
static void check_cost(const struct tape_snapshot_info *info)
{
	const struct tape_snapshot_cost *cost = &info->cost;

	CHECK(cost->nr_pauses >= 1);
	CHECK_INT(info->pause_ns, cost->nr_pauses * 1000000ull);
	CHECK_INT(cost->longest_pause_ns, 1000000);
	CHECK(cost->duration_ns > 0 && cost->duration_ns < 120000000000u);
	CHECK_INT(cost->protected_pages, (cost->paused_pages + cost->protected_pages) / 4);
	/* One round: all that was dirty was copied in its pause; only memory that was plugged is read while it runs. */
	if (cost->nr_pauses == 1) {
		CHECK_INT(cost->dirty_pages, cost->paused_pages + cost->protected_pages);
		CHECK(!cost->running_pages || cost->running_pages == FAKE_EXTRA_PAGES);
	} else {
		CHECK(cost->running_pages > 0);
	}
}

/* Each snapshot of the tape against the copy that the VM made in the pause. */
static unsigned check_snapshots(struct fake_vm *vm, struct tape_reader *reader, bool extra_in_last)
{
	unsigned n = vm->nr_snapshots < FAKE_VM_SNAPSHOTS ? vm->nr_snapshots : FAKE_VM_SNAPSHOTS;

	CHECK_INT(tape_reader_info(reader)->nr_snapshots, vm->nr_snapshots);
	for (unsigned i = 0; i < n; i++) {
		const struct tape_snapshot *snapshot = tape_reader_snapshot(reader, i);
		const struct fake_snapshot *want = &vm->snapshots[i];

		CHECK_INT(snapshot->info.id, want->id);
		CHECK_INT(snapshot->info.tsc, want->tsc);
		CHECK_INT(snapshot->info.base, i == 0 || snapshot->info.base);
		CHECK_INT(snapshot->info.nr_vcpus, vm->nr_vcpus);
		CHECK_INT(snapshot->info.vcpu_regs[5], 5);
		check_cost(&snapshot->info);
		for (unsigned page = 0; page < vm->ram_pages; page++)
			check_page(reader, i,
				   page < FAKE_LOW_PAGES ? page : FAKE_HIGH_GPA / 4096 + page - FAKE_LOW_PAGES,
				   want->ram + (size_t)page * 4096);
		if (i == n - 1 && extra_in_last)
			for (unsigned page = 0; page < FAKE_EXTRA_PAGES; page++)
				check_page(reader, i, FAKE_EXTRA_GPA / 4096 + page,
					   want->ram + (size_t)(vm->ram_pages + page) * 4096);
	}
	return n;
}

/* A RAM block more, as when memory is plugged. */
static void plug_ram(struct fake_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	pthread_mutex_lock(&vm->ram_lock);
	vm->extra_block = true;
	for (unsigned i = 0; i < FAKE_EXTRA_PAGES; i++)
		vm->ram[(size_t)(vm->ram_pages + i) * 4096 + i] = (uint8_t)(i + 1);
	pthread_mutex_unlock(&vm->ram_lock);
	pthread_mutex_unlock(&vm->lock);
	fake_vm_send_event(vm, PROTO_EVENT_RAM);
}

static void run(unsigned ram_pages, bool shared, unsigned pages_a_ms, const char *interval, bool plug,
		const char *duration)
{
	struct record_run recorder;
	struct tape_reader *reader;
	struct writer writer;
	struct fake_vm vm;
	bool cut_off;
	unsigned n;

	fake_vm_init(&vm, 2, ram_pages, shared);
	for (unsigned i = 0; i < ram_pages; i += 3)
		fake_vm_write(&vm, i, i % 4096, (uint8_t)(i | 1));
	writer = (struct writer){.vm = &vm, .pages_a_ms = pages_a_ms};
	CHECK(!pthread_create(&writer.thread, NULL, run_writer, &writer));
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--snapshot-interval", interval,
			 "--duration", duration, NULL);
	fake_vm_wait_started(&vm);
	if (plug) {
		record_run_expect_text(&recorder, "base snapshot taken");
		plug_ram(&vm);
		kill(recorder.pid, SIGUSR1);
	}
	record_run_wait(&recorder, 120);
	fake_vm_end(&vm);
	atomic_store(&writer.ending, true);
	pthread_join(writer.thread, NULL);
	record_run_check(&recorder, 0, "the duration asked for is over");
	CHECK_INT(record_run_said(&recorder, "RAM is not shared"), !shared);

	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	n = check_snapshots(&vm, reader, plug);
	CHECK(n >= 2);
	printf("%u pages, %s, %u pages written a ms: %u snapshots equal, %u rounds, %u reads of RAM; %s", ram_pages,
	       shared ? "shared" : "not shared", pages_a_ms, n, vm.nr_rounds, vm.nr_reads, recorder.text);
	if (!pages_a_ms && ram_pages > 16384)
		CHECK(vm.nr_rounds > n);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* A snapshot that the VM refuses costs only the snapshot. */
static void refused(void)
{
	struct record_run recorder;
	struct tape_reader *reader;
	struct fake_vm vm;
	bool cut_off;

	fake_vm_init(&vm, 1, 1024, true);
	vm.fault = FAULT_SNAPSHOT_REFUSED;
	/* And on a host without io_uring. */
	setenv("VMTAPE_NO_URING", "1", 1);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--snapshot-interval", "100ms",
			 NULL);
	fake_vm_wait_started(&vm);
	record_run_expect_text(&recorder, "no snapshot could be taken, events are recorded on: a migration runs");
	for (unsigned i = 0; i < 1000; i++)
		CHECK(fake_vm_append(&vm, 0));
	kill(recorder.pid, SIGINT);
	record_run_wait(&recorder, 30);
	fake_vm_end(&vm);
	unsetenv("VMTAPE_NO_URING");
	record_run_check(&recorder, 0, "1,000 events, none lost, 0 snapshots");
	record_run_check(&recorder, 0, "writing with pwrite");
	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* A VM that does not know how fast its TSC runs: one snapshot is enough to tell the time. */
static void rate(void)
{
	struct record_run recorder;
	struct tape_reader *reader;
	struct fake_vm vm;
	const char *hz;

	fake_vm_init(&vm, 1, 256, true);
	vm.hides_tsc_hz = true;
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", NULL);
	record_run_expect_text(&recorder, "base snapshot taken");
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	kill(recorder.pid, SIGKILL);
	record_run_wait(&recorder, 30);
	fake_vm_end(&vm);
	reader = record_run_open_tape(&recorder);
	hz = tape_reader_meta(reader, "tsc_hz");
	CHECK(hz);
	printf("TSC of 1000000000 Hz, measured as %s\n", hz);
	CHECK(strtoull(hz, NULL, 10) > 990000000 && strtoull(hz, NULL, 10) < 1010000000);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- plans ----------------------------------------------------------- */

static void write_file(const char *path, const void *bytes, size_t size_bytes, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, bytes, size_bytes), size_bytes);
	close(fd);
}

static void wait_plans(struct fake_vm *vm, unsigned n)
{
	for (unsigned i = 0; i < 4000 && fake_vm_count(vm, &vm->nr_plans) < n; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	CHECK_INT(fake_vm_count(vm, &vm->nr_plans), n);
}

/* An analyzer that knows nobody at its first two looks, then makes a plan; and the guest is reset once. */
static void identify(void)
{
	char script[1024], path[128], plan_path[128], count_path[128];
	struct record_run recorder;
	struct tape_reader *reader;
	size_t plan_bytes, bytes;
	const void *on_tape;
	struct fake_vm vm;
	void *plan;

	fake_vm_init(&vm, 1, 1024, true);
	CHECK_INT(plan_generic(4711, &plan, &plan_bytes), 0);
	snprintf(path, sizeof(path), "%s/analyzer", vm.folder);
	snprintf(plan_path, sizeof(plan_path), "%s/plan", vm.folder);
	snprintf(count_path, sizeof(count_path), "%s/count", vm.folder);
	snprintf(script, sizeof(script),
		 "#!/bin/sh\n"
		 "[ \"$1 $2 $3\" = 'plan --binary -o' ] || exit 2\n"
		 "shift 3; out=$1; shift; [ \"$1\" = -- ] && shift\n"
		 "[ -s \"$1\" ] || exit 2\n"
		 "echo x >> %s\n"
		 "[ $(wc -l < %s) -le 2 ] && { echo 'vmtape: no banner found'; exit 1; }\n"
		 "cp %s \"$out\"; printf 'vmtape: Fake OS 1.0\\033[31m\\nmore\\n'\n",
		 count_path, count_path, plan_path);
	write_file(path, script, strlen(script), 0700);
	write_file(plan_path, plan, plan_bytes, 0600);
	setenv("VMTAPE", path, 1);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "auto", NULL);
	wait_plans(&vm, 2);
	record_run_expect_text(&recorder, "no banner found");
	record_run_expect_text(&recorder, "guest identified: Fake OS 1.0?[31m; plan 2 is in force");
	fake_vm_send_event(&vm, PROTO_EVENT_RESET);
	wait_plans(&vm, 4);
	record_run_expect_text(&recorder, "plan 4 is in force");
	kill(recorder.pid, SIGINT);
	record_run_wait(&recorder, 30);
	fake_vm_end(&vm);
	record_run_check(&recorder, 0, "the guest was reset");
	reader = record_run_open_tape(&recorder);
	for (uint32_t id = 1; id <= 4; id++) {
		CHECK_INT(vm.plan_ids[id - 1], id);
		CHECK_INT(tape_reader_plan(reader, id, &on_tape, &bytes), 0);
		CHECK_INT(plan_get_header(on_tape)->plan_id, id);
	}
	printf("%s", recorder.text);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	unlink(path);
	unlink(plan_path);
	unlink(count_path);
	fake_vm_deinit(&vm);
	free(plan);
}

/* An analyzer that is not there, fails, or makes nonsense: said once, and recording goes on. */
static void bad_analyzer(const char *script, enum fake_fault fault, const char *said)
{
	struct record_run recorder;
	char path[128];
	struct fake_vm vm;

	fake_vm_init(&vm, 1, 256, true);
	vm.fault = fault;
	snprintf(path, sizeof(path), "%s/analyzer", vm.folder);
	if (script)
		write_file(path, script, strlen(script), 0700);
	setenv("VMTAPE", path, 1);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--duration", "3s", NULL);
	record_run_wait(&recorder, 30);
	fake_vm_end(&vm);
	record_run_check(&recorder, 0, said);
	CHECK(!strstr(strstr(recorder.text, said) + 1, said));
	CHECK_INT(vm.nr_plans, 1);
	record_run_deinit(&recorder);
	unlink(path);
	fake_vm_deinit(&vm);
}

int main(void)
{
	run(8192, true, 20, "250ms", false, "2s");
	run(8192, false, 20, "250ms", true, "2s");
	run(2048, true, 1, "200ms", true, "2s");
	run(24000, true, 0, "500ms", false, "1s");
	run(18000, false, 0, "500ms", false, "1s");
	refused();
	rate();
	identify();
	bad_analyzer(NULL, FAULT_NONE, "cannot be run");
	bad_analyzer("#!/bin/sh\necho 'it is broken'; exit 2\n", FAULT_NONE, "it is broken");
	bad_analyzer("#!/bin/sh\nkill -9 $$\n", FAULT_NONE, "killed by signal 9");
	bad_analyzer("#!/bin/sh\necho nonsense > \"$4\"; exit 0\n", FAULT_NONE, "not valid");
	return 0;
}
