/* SPDX-License-Identifier: MIT */
/*
 * test_fault_disk.c - a disk that fails, through io_uring and without: short
 * writes, I/O errors, a quota that is used up for a while, a write that hangs,
 * a sync that fails. What was produced is on the tape or told as lost.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "fault_fuse.h"
#include "fault_rig.h"

struct rig {
	struct fault_fuse disk;
	struct fault_guest guest;
	struct fake_vm vm;
	struct record_run run;
	struct record_run file; /* the same, with the path of what is on the disk */
};

static void rig_init_with(struct rig *rig, const char *const *options, unsigned records_a_ms)
{
	if (!fault_fuse_mount(&rig->disk))
		SKIP("no FUSE file system can be mounted here: failing disks were NOT tested");
	fake_vm_init(&rig->vm, FAULT_VCPUS, 512, true);
	fake_vm_start(&rig->vm);
	record_run_start_with(&rig->run, rig->vm.socket_path, rig->disk.folder, 0, options, "--plan", "generic",
			      "--flush", "200ms", NULL);
	fake_vm_wait_started(&rig->vm);
	fault_guest_start(&rig->guest, &rig->vm, records_a_ms);
}

static void rig_init(struct rig *rig)
{
	static const char *const options[] = {"--on-full", "drop", "--ring-bytes", "16M", "--snapshot-interval",
					      "200ms",     NULL};

	rig_init_with(rig, options, 20);
}

/* status and what is said at the end. */
static void rig_end(struct rig *rig, int status, const char *said)
{
	fault_guest_stop(&rig->guest);
	record_run_wait(&rig->run, 60);
	fake_vm_end(&rig->vm);
	record_run_check(&rig->run, status, said);
	rig->file = rig->run;
	strcpy(rig->file.tape_path, rig->disk.file_path);
}

static void rig_deinit(struct rig *rig)
{
	fault_guest_deinit(&rig->guest);
	record_run_deinit(&rig->run);
	fake_vm_deinit(&rig->vm);
	fault_fuse_unmount(&rig->disk);
}

static void short_writes(const char *label)
{
	struct fault_sums sums;
	struct rig rig;

	rig_init(&rig);
	atomic_store(&rig.disk.is_short, true);
	fault_pause_ms(1500);
	kill(rig.run.pid, SIGTERM);
	rig_end(&rig, 0, "stopped by SIGTERM");
	fault_check_whole(&rig.file, &rig.vm, label, &sums);
	printf("  %u of %u writes came back short\n", atomic_load(&rig.disk.shorts), atomic_load(&rig.disk.writes));
	CHECK(atomic_load(&rig.disk.shorts) > 3);
	rig_deinit(&rig);
}

static void io_error(const char *label)
{
	struct fault_sums sums;
	struct rig rig;

	rig_init(&rig);
	atomic_store(&rig.disk.fail_from_bytes, 300 + fault_below(3u << 20));
	atomic_store(&rig.disk.write_error, EIO);
	for (unsigned i = 0; i < 2000 && !atomic_load(&rig.disk.errors); i++)
		fault_pause_ms(10);
	/* It ends by itself. */
	rig_end(&rig, 2, "Input/output error: recording stopped; what was written before is kept");
	fault_check_failed(&rig.file, &rig.vm, label, &sums);
	CHECK_INT(atomic_load(&rig.disk.errors), 1);
	rig_deinit(&rig);
}

static void quota(const char *label)
{
	struct fault_sums sums;
	struct rig rig;

	rig_init(&rig);
	atomic_store(&rig.disk.fail_from_bytes, 1000 + fault_below(1u << 20));
	atomic_store(&rig.disk.write_error, EDQUOT);
	record_run_expect_text(&rig.run, "the disk is full: recording waits for room");
	fault_pause_ms(1200);
	atomic_store(&rig.disk.write_error, 0);
	record_run_expect_text(&rig.run, "there is room again");
	kill(rig.run.pid, SIGTERM);
	rig_end(&rig, 0, "stopped by SIGTERM");
	fault_check_whole(&rig.file, &rig.vm, label, &sums);
	printf("  %u writes found no room\n", atomic_load(&rig.disk.errors));
	/* One try a second. */
	CHECK(atomic_load(&rig.disk.errors) >= 1 && atomic_load(&rig.disk.errors) < 30);
	rig_deinit(&rig);
}

static void hanging_write(const char *label)
{
	struct fault_sums sums;
	struct rig rig;

	rig_init(&rig);
	fault_pause_ms(300);
	atomic_store(&rig.disk.delay_ms, fault_is_long() ? 10000 : 2000);
	fault_pause_ms(fault_is_long() ? 11000 : 2500);
	kill(rig.run.pid, SIGTERM);
	rig_end(&rig, 0, "stopped by SIGTERM");
	fault_check_whole(&rig.file, &rig.vm, label, &sums);
	rig_deinit(&rig);
}

static uint64_t count_calls(struct rig *rig, unsigned vcpu)
{
	struct fake_ring *ring = &rig->vm.rings[vcpu];
	uint64_t calls;

	pthread_mutex_lock(&ring->lock);
	calls = ring->appended;
	pthread_mutex_unlock(&ring->lock);
	return calls;
}

/* A disk that is slower than the guest, which waits: each vCPU gets its share of what there is. */
static void slow_disk(const char *label)
{
	static const char *const options[] = {"--on-full",    "block", "--block-limit",  "20s",
					      "--ring-bytes", "4M",    "--no-snapshots", NULL};
	uint64_t before[FAULT_VCPUS], done[FAULT_VCPUS];
	struct fault_sums sums;
	struct rig rig;

	rig_init_with(&rig, options, 0);
	atomic_store(&rig.disk.slow_ms, 50);
	/* until all that lies before the rings is full */
	fault_pause_ms(fault_is_long() ? 10000 : 3000);
	for (unsigned v = 0; v < FAULT_VCPUS; v++)
		before[v] = count_calls(&rig, v);
	fault_pause_ms(3000);
	for (unsigned v = 0; v < FAULT_VCPUS; v++)
		done[v] = count_calls(&rig, v) - before[v];
	atomic_store(&rig.disk.slow_ms, 0);
	kill(rig.run.pid, SIGTERM);
	rig_end(&rig, 0, "stopped by SIGTERM");
	fault_check_whole(&rig.file, &rig.vm, label, &sums);
	printf("  in 3 s vCPU 0 made %" PRIu64 " records, vCPU 1 %" PRIu64 "\n", done[0], done[1]);
	CHECK(done[0] < 4 * done[1] + 10000 && done[1] < 4 * done[0] + 10000);
	rig_deinit(&rig);
}

static void sync_error(const char *label)
{
	struct fault_sums sums;
	struct rig rig;

	rig_init(&rig);
	atomic_store(&rig.disk.sync_error, EIO);
	fault_pause_ms(300);
	kill(rig.run.pid, SIGTERM);
	rig_end(&rig, 2, "syncing: Input/output error: recording stopped");
	fault_read_tape(&rig.file, &sums);
	printf("%s: %" PRIu64 " records on the tape, status 2\n", label, sums.calls);
	rig_deinit(&rig);
}

int main(void)
{
	unsigned runs = fault_is_long() ? 20 : FAULT_IS_SLOW ? 1 : 2;

	fault_seed();
	if (!fault_private_mounts())
		SKIP("nothing can be mounted here: failing disks were NOT tested");
	for (unsigned i = 0; i < runs; i++) {
		bool plain = i % 2;

		if (plain)
			setenv("VMTAPE_NO_URING", "1", 1);
		else
			unsetenv("VMTAPE_NO_URING");
		short_writes(plain ? "short writes, pwritev" : "short writes, io_uring");
		io_error(plain ? "EIO, pwritev" : "EIO, io_uring");
		quota(plain ? "quota, pwritev" : "quota, io_uring");
		hanging_write(plain ? "hanging write, pwritev" : "hanging write, io_uring");
		slow_disk(plain ? "slow disk, pwritev" : "slow disk, io_uring");
		sync_error(plain ? "failed sync, pwritev" : "failed sync, io_uring");
	}
	return 0;
}
