/* SPDX-License-Identifier: MIT */
/*
 * test_fault_full.c - a disk that becomes full under a busy recorder, and has
 * room again, or not: what was produced is on the tape or told as lost, to the
 * record. The disk is a tmpfs that is made larger.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fault_rig.h"
#include "trap_record.h"

/* Blocks are few and soon sealed: what waits in memory is little, and the rings overflow after a second or two. */
#define SMALL "--ring-bytes", "128K", "--flush", "50ms"

struct disk {
	char folder[64];
	struct fault_guest guest;
	struct fake_vm vm;
	struct record_run run;
};

static void set_room(const struct disk *disk, const char *size)
{
	char options[32];

	snprintf(options, sizeof(options), "size=%s", size);
	CHECK(!mount("none", disk->folder, "tmpfs", MS_REMOUNT, options));
}

/* A recorder on a disk of 2 MiB, and a guest that fills it. */
static void disk_init(struct disk *disk, const char *const *options)
{
	strcpy(disk->folder, "/tmp/vmtape-full-XXXXXX");
	CHECK(mkdtemp(disk->folder));
	CHECK(!mount("none", disk->folder, "tmpfs", 0, "size=2m"));
	fake_vm_init(&disk->vm, FAULT_VCPUS, 512, true);
	fake_vm_start(&disk->vm);
	record_run_start_with(&disk->run, disk->vm.socket_path, disk->folder, 0, options, "--plan", "generic",
			      "--snapshot-interval", "200ms", NULL);
	fake_vm_wait_started(&disk->vm);
	fault_guest_start(&disk->guest, &disk->vm, 20);
	record_run_expect_text(&disk->run, "the disk is full: recording waits for room");
}

static void disk_deinit(struct disk *disk)
{
	fault_guest_deinit(&disk->guest);
	record_run_deinit(&disk->run);
	fake_vm_deinit(&disk->vm);
	CHECK(!umount(disk->folder));
	rmdir(disk->folder);
}

static unsigned count_text(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text++;
	}
	return n;
}

/* It tries once a second. */
static void wait_for_writing(struct disk *disk)
{
	for (unsigned i = 0; i < 200; i++) {
		record_run_expect_text(&disk->run, "there is room again");
		if (count_text(disk->run.text, "there is room again") ==
		    count_text(disk->run.text, "recording waits for room"))
			return;
		fault_pause_ms(50);
	}
	CHECK(!"it still waits");
}

/* Ends it: with status 0, by SIGTERM. */
static void end_well(struct disk *disk)
{
	fault_guest_stop(&disk->guest);
	kill(disk->run.pid, SIGTERM);
	record_run_wait(&disk->run, 60);
	fake_vm_end(&disk->vm);
	record_run_check(&disk->run, 0, "stopped by SIGTERM");
	record_run_check(&disk->run, 0, "the disk was full for");
}

/* Waits until the rings have overflowed, so that something is lost. */
static void wait_for_loss(struct disk *disk)
{
	for (unsigned i = 0; i < 6000; i++) {
		uint64_t lost = 0;

		for (unsigned v = 0; v < FAULT_VCPUS; v++) {
			struct fake_ring *ring = &disk->vm.rings[v];

			pthread_mutex_lock(&ring->lock);
			lost += ring->writer.lost_records;
			pthread_mutex_unlock(&ring->lock);
		}
		if (lost > 100)
			return;
		fault_pause_ms(10);
	}
	CHECK(!"the rings never overflowed");
}

/* Full, a little room, full again, much room. */
static void full_and_back(const char *label, const char *const *options, bool loses)
{
	struct fault_sums sums;
	struct disk disk;

	disk_init(&disk, options);
	if (loses)
		wait_for_loss(&disk);
	else
		fault_pause_ms(500);
	set_room(&disk, "3m");
	fault_pause_ms(1500);
	set_room(&disk, "2g");
	wait_for_writing(&disk);
	fault_pause_ms(500);
	end_well(&disk);
	fault_check_whole(&disk.run, &disk.vm, label, &sums);
	CHECK(!loses || sums.gap_lost > 100);
	CHECK(loses || record_run_said(&disk.run, "none lost"));
	CHECK(sums.snapshots >= 2);
	/* Once each time: not once a write that found no room. */
	CHECK(count_text(disk.run.text, "recording waits for room") <= 3);
	CHECK_INT(count_text(disk.run.text, "recording waits for room"),
		  count_text(disk.run.text, "there is room again"));
	disk_deinit(&disk);
}

/* SIGTERM while it waits: it ends in a few seconds, and says what it could not write. */
static void end_while_full(void)
{
	static const char *const options[] = {"--on-full", "drop", SMALL, NULL};
	uint64_t asked_ns, took_ns;
	struct fault_sums sums;
	struct disk disk;

	disk_init(&disk, options);
	wait_for_loss(&disk);
	fault_guest_stop(&disk.guest);
	asked_ns = fake_tsc();
	kill(disk.run.pid, SIGTERM);
	record_run_wait(&disk.run, 20);
	took_ns = fake_tsc() - asked_ns;
	fake_vm_end(&disk.vm);
	record_run_check(&disk.run, 2, "No space left on device: recording stopped; what was written before is kept");
	printf("SIGTERM ended it in %.1f s\n", (double)took_ns / 1e9);
	fault_check_failed(&disk.run, &disk.vm, "ended while full", &sums);
	CHECK(took_ns < 15000000000ull);
	disk_deinit(&disk);
}

/* SIGTERM while it waits, and room comes in the seconds that are left: all is there. */
static void room_at_the_end(void)
{
	static const char *const options[] = {"--on-full", "drop", SMALL, NULL};
	struct fault_sums sums;
	struct disk disk;

	disk_init(&disk, options);
	wait_for_loss(&disk);
	fault_guest_stop(&disk.guest);
	kill(disk.run.pid, SIGTERM);
	record_run_expect_text(&disk.run, "stopping in good order");
	set_room(&disk, "2g");
	record_run_wait(&disk.run, 60);
	fake_vm_end(&disk.vm);
	record_run_check(&disk.run, 0, "stopped by SIGTERM");
	fault_check_whole(&disk.run, &disk.vm, "room came at the end", &sums);
	disk_deinit(&disk);
}

static void two_signals(void)
{
	static const char *const options[] = {"--on-full", "block", "--block-limit", "20ms", NULL};
	struct fault_sums sums;
	struct disk disk;
	uint64_t asked_ns;

	disk_init(&disk, options);
	asked_ns = fake_tsc();
	kill(disk.run.pid, SIGTERM);
	record_run_expect_text(&disk.run, "stopping in good order");
	kill(disk.run.pid, SIGTERM);
	record_run_wait(&disk.run, 10);
	printf("a second signal ended it in %.1f s\n", (double)(fake_tsc() - asked_ns) / 1e9);
	record_run_check(&disk.run, 2, "stopped at once by a second signal");
	fault_guest_stop(&disk.guest);
	fake_vm_end(&disk.vm);
	fault_read_tape(&disk.run, &sums);
	disk_deinit(&disk);
}

/* As long as the VM is there; when it is gone, nobody waits for long. */
static void vm_ends_while_full(void)
{
	static const char *const options[] = {"--on-full", "drop", NULL};
	struct fault_sums sums;
	struct disk disk;

	disk_init(&disk, options);
	/* Its vCPUs end with it. */
	fault_guest_stop(&disk.guest);
	fake_vm_hang_up(&disk.vm);
	record_run_wait(&disk.run, 20);
	fake_vm_end(&disk.vm);
	record_run_check(&disk.run, 2, "No space left on device");
	fault_check_failed(&disk.run, &disk.vm, "VM ended while full", &sums);
	disk_deinit(&disk);
}

/* A disk that is full before it begins, or a user who wants it so: it ends. */
static void stops(void)
{
	char folder[] = "/tmp/vmtape-full-XXXXXX";
	struct record_run run;
	char path[64] = "";
	struct fake_vm vm;
	int fd;

	CHECK(mkdtemp(folder));
	CHECK(!mount("none", folder, "tmpfs", 0, "size=4k"));
	snprintf(path, sizeof(path), "%s/filler", folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK_INT(write(fd, path, sizeof(path)), sizeof(path));
	close(fd);
	fake_vm_init(&vm, 2, 512, true);
	fake_vm_start(&vm);
	record_run_start(&run, vm.socket_path, folder, 0, "--plan", "generic", NULL);
	record_run_wait(&run, 20);
	fake_vm_end(&vm);
	record_run_check(&run, 2, "No space left on device");
	record_run_deinit(&run);
	fake_vm_deinit(&vm);
	unlink(path);
	CHECK(!umount(folder));
	rmdir(folder);
}

int main(void)
{
	static const char *const drop[] = {"--on-full", "drop", SMALL, NULL};
	static const char *const block[] = {"--on-full", "block", "--block-limit", "5ms", SMALL, NULL};
	static const char *const calm[] = {"--on-full", "drop", "--ring-bytes", "16M", NULL};
	unsigned rounds = fault_is_long() ? 5 : 1;

	fault_seed();
	if (!fault_private_mounts())
		SKIP("nothing can be mounted here: a full disk was NOT tested");
	for (unsigned i = 0; i < rounds; i++) {
		full_and_back("full and back, drop", drop, true);
		if (!FAULT_IS_SLOW || fault_is_long()) {
			full_and_back("full and back, block", block, true);
			setenv("VMTAPE_NO_URING", "1", 1);
			full_and_back("full and back, no loss, pwritev", calm, false);
			unsetenv("VMTAPE_NO_URING");
		}
		end_while_full();
		room_at_the_end();
		two_signals();
		vm_ends_while_full();
		stops();
	}
	return 0;
}
