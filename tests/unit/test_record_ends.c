/* SPDX-License-Identifier: MIT */
/*
 * test_record_ends.c - however it ends, what was recorded can be read: recorder
 * or VM killed at random moments, signals, duration, full disk, file limit.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "pause.h"
#include "record_account.h"
#include "record_run.h"
#include "trap_record.h"

#define KILLS    10
#define FLUSH_NS 1000000000ull
/* Other work on the machine may keep the recorder from running; its own part must fit into the flush time. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLACK_NS 5000000000ull
#else
#define SLACK_NS 1500000000ull
#endif

struct guest {
	struct fake_vm *vm;
	atomic_bool ending;
	bool full_speed;
	pthread_t thread;
};

/* A guest that makes records and writes memory, recorded or not. */
static void *run_guest(void *arg)
{
	struct guest *guest = arg;
	unsigned n = 0;

	while (!atomic_load(&guest->ending)) {
		for (unsigned i = 0; i < 200; i++, n++) {
			if (atomic_load(&guest->vm->trapping))
				fake_vm_append(guest->vm, n % 2);
			if (n % 16 == 0)
				fake_vm_write(guest->vm, n / 16 % guest->vm->ram_pages, n % 4096, (uint8_t)n);
		}
		if (!guest->full_speed)
			pause_ms(2);
	}
	return NULL;
}

static void guest_start(struct guest *guest, struct fake_vm *vm, bool full_speed)
{
	*guest = (struct guest){.vm = vm, .full_speed = full_speed};
	CHECK(!pthread_create(&guest->thread, NULL, run_guest, guest));
}

static void guest_stop(struct guest *guest)
{
	atomic_store(&guest->ending, true);
	pthread_join(guest->thread, NULL);
}

/* All records of the tape are right and without a hole; returns the calls. */
static uint64_t check_records(struct tape_reader *reader, uint64_t *last_tsc)
{
	uint64_t next_seq[2] = {0};

	return record_account_whole(reader, next_seq, last_tsc);
}

/* SIGKILL at random moments; the guest goes on, and the next recorder attaches to the same VM. */
static void kill_recorder(void)
{
	uint64_t worst_ns = 0;
	struct guest guest;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 4096, true);
	fake_vm_start(&vm);
	guest_start(&guest, &vm, false);
	for (unsigned i = 0; i < KILLS; i++) {
		unsigned after_ms = 20 + (unsigned)random() % (i % 2 ? 2500 : 400);
		uint64_t killed, last_tsc, records, missing_ns;
		struct record_run recorder;
		struct tape_reader *reader;
		struct stat st;
		bool cut_off;

		pthread_mutex_lock(&vm.lock);
		vm.started = false;
		pthread_mutex_unlock(&vm.lock);
		record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full", "block",
				 "--snapshot-interval", "150ms", "--force", NULL);
		fake_vm_wait_started(&vm);
		pause_ms(after_ms);
		killed = fake_tsc();
		kill(recorder.pid, SIGKILL);
		record_run_wait(&recorder, 10);
		fake_vm_wait_stopped(&vm);

		/* under a sanitizer the tape's first bytes come late; nothing is flushed yet then */
		CHECK(!stat(recorder.tape_path, &st));
		if (!st.st_size && after_ms * 1000000ull < FLUSH_NS) {
			printf("killed after %4u ms: before the tape had begun\n", after_ms);
			record_run_deinit(&recorder);
			continue;
		}
		reader = record_run_open_tape(&recorder);
		CHECK_INT(record_run_verify(reader, &cut_off), 0);
		CHECK(cut_off);
		records = check_records(reader, &last_tsc);
		missing_ns = last_tsc ? killed - last_tsc : after_ms * 1000000ull;
		if (missing_ns > worst_ns)
			worst_ns = missing_ns;
		printf("killed after %4u ms: %" PRIu64 " records, %u snapshots, the last %.3f s are missing\n",
		       after_ms, records, tape_reader_info(reader)->nr_snapshots, (double)missing_ns / 1e9);
		CHECK(missing_ns < FLUSH_NS + SLACK_NS);
		tape_reader_close(reader);
		record_run_deinit(&recorder);
	}
	guest_stop(&guest);
	printf("%u recorders killed, at most %.3f s missing\n", KILLS, (double)worst_ns / 1e9);
	fake_vm_deinit(&vm);
}

/* The VM dies: what is in its rings is still taken, and the tape has an end. */
static void kill_vm(void)
{
	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t last_tsc, appended = 0, records;
		struct record_run recorder;
		struct tape_reader *reader;
		struct guest guest;
		struct fake_vm vm;
		bool cut_off;

		fake_vm_init(&vm, 2, 4096, i % 2);
		fake_vm_start(&vm);
		record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full", "block",
				 "--snapshot-interval", "100ms", NULL);
		fake_vm_wait_started(&vm);
		guest_start(&guest, &vm, true);
		pause_ms((unsigned)random() % 500);
		guest_stop(&guest);
		fake_vm_hang_up(&vm);
		record_run_wait(&recorder, 20);
		fake_vm_end(&vm);
		record_run_check(&recorder, 0, "the VM ended");
		reader = record_run_open_tape(&recorder);
		CHECK_INT(record_run_verify(reader, &cut_off), 0);
		CHECK(!cut_off);
		CHECK_STR(tape_reader_info(reader)->end_reason, "the VM ended");
		records = check_records(reader, &last_tsc);
		for (unsigned v = 0; v < 2; v++)
			appended += vm.rings[v].appended;
		CHECK_INT(records, appended);
		printf("VM ended: %" PRIu64 " of %" PRIu64 " records\n", records, appended);
		tape_reader_close(reader);
		record_run_deinit(&recorder);
		fake_vm_deinit(&vm);
	}
}

/* A VM that does not answer: the first signal waits for it, for a time, the second does not. */
static void two_signals(void)
{
	struct record_run recorder;
	struct tape_reader *reader;
	struct fake_vm vm;
	bool cut_off;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", NULL);
	record_run_expect_text(&recorder, "base snapshot taken");
	pthread_mutex_lock(&vm.lock);
	kill(recorder.pid, SIGINT);
	record_run_expect_text(&recorder, "stopping in good order");
	kill(recorder.pid, SIGINT);
	record_run_wait(&recorder, 4);
	pthread_mutex_unlock(&vm.lock);
	record_run_check(&recorder, 2, "stopped at once");
	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(cut_off);
	tape_reader_close(reader);
	record_run_deinit(&recorder);

	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", NULL);
	record_run_expect_text(&recorder, "base snapshot taken");
	pthread_mutex_lock(&vm.lock);
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 30);
	pthread_mutex_unlock(&vm.lock);
	record_run_check(&recorder, 0, "no answer in 5 s");
	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Stopped before the VM answers: no tape is left. */
static void stopped_at_start(void)
{
	struct record_run recorder;
	struct fake_vm vm;

	fake_vm_init(&vm, 1, 256, true);
	vm.fault = FAULT_SILENT;
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, NULL);
	while (!fake_vm_count(&vm, &vm.nr_clients))
		pause_ms(10);
	pause_ms(200);
	kill(recorder.pid, SIGINT);
	record_run_wait(&recorder, 3);
	record_run_check(&recorder, 2, "stopped before the recording began");
	CHECK(access(recorder.tape_path, F_OK) < 0);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Records until the file system, or the limit of the process, takes no more. */
static void no_room(const char *folder, uint64_t fsize_bytes, const char *said)
{
	struct record_run recorder;
	struct tape_reader *reader;
	struct guest guest;
	struct fake_vm vm;
	uint64_t last_tsc, records;
	bool cut_off;

	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	guest_start(&guest, &vm, true);
	record_run_start(&recorder, vm.socket_path, folder, fsize_bytes, "--plan", "generic", "--on-full", "block",
			 "--on-disk-full", "stop", "--snapshot-interval", "200ms", NULL);
	record_run_wait(&recorder, 60);
	fake_vm_wait_stopped(&vm);
	guest_stop(&guest);
	printf("%s", recorder.text);
	record_run_check(&recorder, 2, said);
	record_run_check(&recorder, 2, "what was written before is kept");
	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(cut_off);
	records = check_records(reader, &last_tsc);
	CHECK(records > 1000);
	printf("no room: %" PRIu64 " records on %" PRIu64 " bytes of tape\n", records,
	       tape_reader_info(reader)->size_bytes);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

static void full_disk(void)
{
	char folder[] = "/tmp/vmtape-full-XXXXXX";

	CHECK(mkdtemp(folder));
	no_room(folder, 3 << 20, "File too large");
	if (mount("none", folder, "tmpfs", 0, "size=6m")) {
		rmdir(folder);
		SKIP("no tmpfs can be mounted here: a full disk was NOT tested, a file limit was");
	}
	no_room(folder, 0, "No space left on device");
	CHECK(!umount(folder));
	rmdir(folder);
}

/* ---- the output file ------------------------------------------------- */

static void check_refused(const char *socket_path, const char *out, const char *option, const char *said)
{
	char command[600], text[1024] = "";
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "%s --connect %s -o '%s' %s 2>&1", record_run_path(), socket_path, out,
		 option);
	pipe = popen(command, "r");
	CHECK(pipe);
	text[fread(text, 1, sizeof(text) - 1, pipe)] = '\0';
	status = pclose(pipe);
	printf("%s", text);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 2);
	CHECK(strstr(text, said));
	CHECK(strchr(text, '\n') == text + strlen(text) - 1);
}

static void write_old(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, "precious", 8), 8);
	close(fd);
}

static void check_old(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0);
	CHECK_INT(read(fd, text, sizeof(text)), 8);
	CHECK_STR(text, "precious");
	close(fd);
}

static void output_files(void)
{
	struct record_run recorder;
	struct tape_reader *reader;
	char path[128];
	struct fake_vm vm;
	struct stat st;

	fake_vm_init(&vm, 2, 256, true);
	snprintf(path, sizeof(path), "%s/out.vmt", vm.folder);
	write_old(path);
	check_refused(vm.socket_path, path, "", "exists already; --force");
	check_old(path);
	check_refused("/nowhere", path, "--force", "no such socket");
	check_old(path);
	check_refused(vm.socket_path, "/nowhere/x.vmt", "", "does its folder exist?");
	check_refused(vm.socket_path, "/proc/x.vmt", "", "cannot be created");
	check_refused(vm.socket_path, vm.folder, "--force", "cannot be written");
	check_refused(vm.socket_path, "/dev/null", "--force", "not a regular file");
	check_refused(vm.socket_path, path, "--plan /nowhere", "/nowhere: cannot read a plan");
	check_refused(vm.socket_path, path, "--plan /dev/zero", "cannot read a plan");
	check_refused(vm.socket_path, path, "--plan /bin/sh", "neither the text nor the binary");
	check_refused(vm.socket_path, path, "--plan /etc/passwd", "/etc/passwd: line 1: ");

	/* Over an old file, and while it is written nobody else may. */
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--force", "--plan", "none", NULL);
	record_run_expect_text(&recorder, "base snapshot taken");
	check_refused(vm.socket_path, path, "--force", "another vmtape-record is writing it");
	CHECK(!stat(path, &st));
	CHECK_INT(st.st_mode & 0777, 0600);
	kill(recorder.pid, SIGINT);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, "none lost");
	reader = record_run_open_tape(&recorder);
	CHECK_INT(tape_reader_info(reader)->nr_plans, 1);
	CHECK_STR(tape_reader_meta(reader, "vm_name"), "fake?[31m");
	CHECK_STR(tape_reader_meta(reader, "producer"), "qemu-tcg");
	CHECK_STR(tape_reader_meta(reader, "tsc_hz"), "1000000000");
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	srandom((unsigned)time(NULL));
	output_files();
	kill_recorder();
	kill_vm();
	two_signals();
	stopped_at_start();
	full_disk();
	return 0;
}
