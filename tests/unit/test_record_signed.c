/* SPDX-License-Identifier: MIT */
/*
 * test_record_signed.c - vmtape-record --sign-key: a recording that ends well is
 * signed to its end, one that is killed up to its last second, though the guest
 * has gone quiet; a file that is no such key is refused before the VM is touched.
 */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "pause.h"
#include "record_run.h"
#include "tape_key.h"

#define NR_RECORDS 400u
#define PATIENCE   200u /* tenths of a second */

static char key_path[128];
static uint8_t public_key[TAPE_PUBLIC_KEY_BYTES];

/* A copy whose mode is known. */
static void copy_key(const char *folder, const char *from, mode_t mode)
{
	char text[1024];
	size_t count;
	FILE *file = fopen(from, "r");

	CHECK(file);
	count = fread(text, 1, sizeof(text), file);
	fclose(file);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", folder);
	file = fopen(key_path, "w");
	CHECK(file);
	CHECK_INT(fwrite(text, 1, count, file), count);
	CHECK_INT(fclose(file), 0);
	CHECK_INT(chmod(key_path, mode), 0);
}

static void append_records(struct fake_vm *vm)
{
	for (unsigned i = 0; i < NR_RECORDS; i++)
		CHECK(fake_vm_append(vm, i % 2));
}

/* Problems, and what was found of signatures; key: whose they must be. */
static unsigned verify(const struct record_run *recorder, const uint8_t *key, struct tape_seal_info *seal,
		       uint64_t *nr_records, bool *cut_off)
{
	struct tape_reader *reader = record_run_open_tape(recorder);
	unsigned problems;

	CHECK(tape_reader_info(reader)->has_chain);
	tape_reader_expect(reader, key, NULL);
	problems = record_run_verify(reader, cut_off);
	*seal = *tape_reader_seal(reader);
	*nr_records = tape_reader_info(reader)->nr_records;
	tape_reader_close(reader);
	return problems;
}

static void test_ended(void)
{
	struct tape_seal_info seal;
	struct record_run recorder;
	uint64_t nr_records;
	struct fake_vm vm;
	bool cut_off;

	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	copy_key(vm.folder, "golden/test-sign-key.pem", 0640);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--sign-key", key_path, NULL);
	fake_vm_wait_started(&vm);
	append_records(&vm);
	record_run_expect_text(&recorder, "base snapshot taken");
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, "signing with key 37e9dcdba5ce");
	record_run_check(&recorder, 0, "warning: others can read the key");
	CHECK_INT(verify(&recorder, public_key, &seal, &nr_records, &cut_off), 0);
	CHECK(!cut_off);
	CHECK(nr_records >= NR_RECORDS);
	CHECK(seal.nr_signatures >= 1);
	CHECK_INT(seal.unsigned_chunks, 0);
	unlink(key_path);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

static void test_killed_when_quiet(void)
{
	struct tape_seal_info seal = {0};
	struct record_run recorder;
	uint64_t nr_records = 0;
	struct fake_vm vm;
	bool cut_off;

	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	copy_key(vm.folder, "golden/test-sign-key.pem", 0600);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "none", "--no-snapshots", "--flush",
			 "100ms", "--sign-key", key_path, NULL);
	fake_vm_wait_started(&vm);
	append_records(&vm);
	record_run_expect_text(&recorder, "recording");
	for (unsigned i = 0; i < PATIENCE && (nr_records < NR_RECORDS || !seal.nr_signatures || seal.unsigned_chunks);
	     i++) {
		struct stat status;

		pause_ms(100);
		if (!stat(recorder.tape_path, &status) && status.st_size > 4096)
			verify(&recorder, NULL, &seal, &nr_records, &cut_off);
	}
	kill(recorder.pid, SIGKILL);
	record_run_wait(&recorder, 10);
	CHECK(!record_run_said(&recorder, "warning"));
	CHECK_INT(verify(&recorder, public_key, &seal, &nr_records, &cut_off), 0);
	CHECK(cut_off);
	CHECK(nr_records >= NR_RECORDS);
	CHECK(seal.nr_signatures >= 1);
	CHECK_INT(seal.unsigned_chunks, 0);
	unlink(key_path);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

static void test_no_key(void)
{
	struct record_run recorder;
	struct fake_vm vm;
	struct stat status;

	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--sign-key", "golden/test-sign-pub.pem", NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "golden/test-sign-pub.pem holds a public key");
	CHECK(stat(recorder.tape_path, &status));
	record_run_deinit(&recorder);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--sign-key", "nowhere.pem", NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "nowhere.pem: No such file");
	CHECK(stat(recorder.tape_path, &status));
	CHECK_INT(vm.nr_clients, 0);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

int main(void)
{
	CHECK_INT(tape_public_key_load(public_key, "golden/test-sign-pub.pem", NULL), 0);
	test_ended();
	test_killed_when_quiet();
	test_no_key();
	return 0;
}
