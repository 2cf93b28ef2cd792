/* SPDX-License-Identifier: MIT */
/*
 * test_fault_clock.c - the wall clock is set while it is recorded, back and
 * forth, on the VM's side and the recorder's: flushes, snapshots and the
 * duration go on by the monotonic clock, all records are there, and time on the
 * tape does not run backwards.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fault_rig.h"

#define NS_PER_S    1000000000ll
#define PHASE_MS    (FAULT_IS_SLOW ? 2000u : 700u)
#define CAN_PRELOAD (!FAULT_IS_SLOW) /* a sanitizer's library must come first */

static int64_t *share_step(char *path)
{
	int fd = mkstemp(path);
	void *memory;

	CHECK(fd >= 0);
	CHECK(!ftruncate(fd, sizeof(int64_t)));
	memory = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED);
	close(fd);
	return memory;
}

static off_t size_of(const char *path)
{
	struct stat st;

	CHECK(!stat(path, &st));
	return st.st_size;
}

/* As a user sees it: each trap's time, in the order of the tape. */
static void check_times(const struct record_run *run)
{
	char line[4096], last[64] = "", command[300];
	unsigned n = 0, same_or_later = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "'%s' events --traps --format json '%s' 2>/dev/null", VMTAPE_PATH,
		 run->tape_path);
	pipe = popen(command, "r");
	CHECK(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		const char *text = strstr(line, "\"time\": \"");
		char now[64] = "";

		CHECK(text && sscanf(text + 9, "%63[^\"]", now) == 1);
		same_or_later += strcmp(now, last) >= 0;
		if (strcmp(now, last) < 0 && n - same_or_later < 3)
			fprintf(stderr, "%s comes after %s\n", now, last);
		strcpy(last, now);
		n++;
	}
	CHECK_INT(pclose(pipe), 0);
	printf("  %u times shown, none before another that stands before it\n", n);
	CHECK(n > 100);
	CHECK_INT(same_or_later, n);
}

static void step_clock(const int64_t *steps_s, unsigned nr_steps, const char *label)
{
	char step_path[] = "/tmp/vmtape-clock-XXXXXX", duration[32];
	int64_t *step_ns = share_step(step_path);
	struct fault_guest guest;
	struct fault_sums sums;
	struct tape_reader *reader;
	struct record_run run;
	struct fake_vm vm;
	time_t age_s;
	uint64_t started_ns, took_ms, due_ms = (nr_steps + 1) * PHASE_MS;
	off_t size_bytes = 0;

	fake_vm_init(&vm, FAULT_VCPUS, 512, true);
	/* Wrong from the start, which shows that the recorder sees it. */
	*step_ns = -10 * 86400 * NS_PER_S;
	atomic_store(&vm.clock_step_ns, *step_ns);
	fake_vm_start(&vm);
	snprintf(duration, sizeof(duration), "%ums", (unsigned)due_ms);
	if (CAN_PRELOAD) {
		setenv("LD_PRELOAD", FAULT_CLOCK_PATH, 1);
		setenv("VMTAPE_FAULT_CLOCK", step_path, 1);
	}
	record_run_start(&run, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full", "drop", "--ring-bytes",
			 "16M", "--flush", "100ms", "--snapshot-interval", "100ms", "--duration", duration, NULL);
	unsetenv("LD_PRELOAD");
	unsetenv("VMTAPE_FAULT_CLOCK");
	fake_vm_wait_started(&vm);
	started_ns = fake_tsc();
	fault_guest_start(&guest, &vm, 5);
	for (unsigned i = 0; i < nr_steps; i++) {
		fault_pause_ms(PHASE_MS);
		/* More was flushed in each phase. */
		CHECK(size_of(run.tape_path) > size_bytes);
		size_bytes = size_of(run.tape_path);
		*step_ns += steps_s[i] * NS_PER_S;
		atomic_store(&vm.clock_step_ns, *step_ns);
	}
	record_run_wait(&run, 30);
	took_ms = (fake_tsc() - started_ns) / 1000000;
	fault_guest_stop(&guest);
	fake_vm_end(&vm);
	record_run_check(&run, 0, "the duration asked for is over");
	fault_check_whole(&run, &vm, label, &sums);
	printf("  %.1f s recorded where %.1f s were due, %u snapshots%s\n", (double)took_ms / 1000,
	       (double)due_ms / 1000, sums.snapshots, CAN_PRELOAD ? "" : "; only the VM's clock was set");
	CHECK(took_ms + 100 > due_ms && took_ms < due_ms + (FAULT_IS_SLOW ? 30000 : 3000));
	CHECK(sums.snapshots >= nr_steps);
	reader = record_run_open_tape(&run);
	age_s = time(NULL) - (time_t)(tape_reader_info(reader)->created_ns / NS_PER_S);
	CHECK(!CAN_PRELOAD || (age_s >= 10 * 86400 && age_s < 10 * 86400 + 120));
	tape_reader_close(reader);
	check_times(&run);
	fault_guest_deinit(&guest);
	record_run_deinit(&run);
	fake_vm_deinit(&vm);
	munmap(step_ns, sizeof(*step_ns));
	unlink(step_path);
}

int main(void)
{
	static const int64_t back_and_forth[] = {-3600, 7200, -86400, 10};
	static const int64_t far[] = {365 * 86400ll, -730 * 86400ll, 1};

	fault_seed();
	for (unsigned i = 0; i < (fault_is_long() ? 10u : 1u); i++) {
		step_clock(back_and_forth, 4, "an hour back, two forth, a day back");
		if (!FAULT_IS_SLOW || fault_is_long())
			step_clock(far, 3, "a year forth, two back");
	}
	return 0;
}
