/* SPDX-License-Identifier: MIT */
/*
 * test_record_rotate.c - from tape to tape without the loss of a record: all
 * numbers of all files together have no hole, and each file is whole and can be
 * decoded alone. Limits, what is kept, and files that cannot be opened.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "pause.h"
#include "record_account.h"
#include "service_run.h"
#include "trap_record.h"

/* What each vCPU makes in a few milliseconds; what a sanitizer makes slow must still be kept up with. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BURST 100u
#else
#define BURST 500u
#endif
#define MAX_TAPES 64
#define PATTERN   "tape-%Y%m%dT%H%M%SZ.vmt"

/* ---- a guest --------------------------------------------------------- */

struct guest {
	struct fake_vm *vm;
	atomic_bool ending;
	unsigned pause_ms;
	pthread_t thread;
};

static void *run_guest(void *arg)
{
	struct guest *guest = arg;
	unsigned n = 0;

	while (!atomic_load(&guest->ending)) {
		for (unsigned i = 0; i < BURST; i++, n++) {
			if (atomic_load(&guest->vm->trapping))
				fake_vm_append(guest->vm, n % 2);
			if (n % 64 == 0)
				fake_vm_write(guest->vm, n / 64 % guest->vm->ram_pages, n % 4096, (uint8_t)n);
		}
		pause_ms(guest->pause_ms);
	}
	return NULL;
}

static void guest_start(struct guest *guest, struct fake_vm *vm, unsigned pause)
{
	*guest = (struct guest){.vm = vm, .pause_ms = pause};
	CHECK(!pthread_create(&guest->thread, NULL, run_guest, guest));
}

static void guest_stop(struct guest *guest)
{
	atomic_store(&guest->ending, true);
	pthread_join(guest->thread, NULL);
}

/* ---- the tapes ------------------------------------------------------- */

struct tapes {
	unsigned nr;
	struct {
		char path[512];
	} list[MAX_TAPES];
};

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool is_tape(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && !strncmp(name, "tape-2", 6) && !strcmp(name + n - 4, ".vmt");
}

/* All tapes of the folder, in the order in which they were made. */
static void find_tapes(struct tapes *tapes, const char *folder)
{
	struct {
		uint64_t created_ns;
		char path[512];
	} list[MAX_TAPES];
	DIR *dir = opendir(folder);
	struct dirent *entry;

	CHECK(dir);
	tapes->nr = 0;
	while ((entry = readdir(dir))) {
		struct tape_reader *reader;
		struct tape_error error = {0};
		struct stat st;

		if (!is_tape(entry->d_name))
			continue;
		CHECK(tapes->nr < MAX_TAPES);
		snprintf(list[tapes->nr].path, sizeof(list[0].path), "%s/%s", folder, entry->d_name);
		/* Killed between the making of the next file and its first bytes. */
		if (!stat(list[tapes->nr].path, &st) && !st.st_size) {
			unlink(list[tapes->nr].path);
			continue;
		}
		if (tape_reader_open(&reader, list[tapes->nr].path, &error)) {
			fprintf(stderr, "%s: %s\n", list[tapes->nr].path, error.message);
			exit(1);
		}
		list[tapes->nr++].created_ns = tape_reader_info(reader)->created_ns;
		tape_reader_close(reader);
	}
	closedir(dir);
	qsort(list, tapes->nr, sizeof(list[0]), compare);
	for (unsigned i = 0; i < tapes->nr; i++)
		memcpy(tapes->list[i].path, list[i].path, sizeof(list[i].path));
}

static unsigned count_tapes(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	CHECK(dir);
	while ((entry = readdir(dir)))
		n += is_tape(entry->d_name);
	closedir(dir);
	return n;
}

static void wait_tapes(const char *folder, unsigned nr)
{
	for (unsigned i = 0; i < 6000 && count_tapes(folder) < nr; i++)
		pause_ms(20);
	CHECK(count_tapes(folder) >= nr);
	pause_ms(100);
}

static void remove_tapes(const char *folder)
{
	struct tapes tapes;

	find_tapes(&tapes, folder);
	for (unsigned i = 0; i < tapes.nr; i++)
		unlink(tapes.list[i].path);
}

static const char *name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

static uint64_t fake_page_of(unsigned page)
{
	/* Pages behind the low ones lie behind the hole. */
	return page < 160 ? page : page - 160 + 256;
}

/* The first snapshot needs no other, and is the guest's memory as it was, page by page. */
static void check_base(struct tape_reader *reader, const struct fake_vm *vm)
{
	const struct tape_snapshot *snapshot = tape_reader_snapshot(reader, 0);
	const struct fake_snapshot *truth = NULL;
	struct tape_error error = {0};
	uint8_t page[4096];

	CHECK(snapshot->info.base);
	for (unsigned i = 0; i < vm->nr_snapshots && i < FAKE_VM_SNAPSHOTS; i++)
		if (vm->snapshots[i].id == snapshot->info.id)
			truth = &vm->snapshots[i];
	if (!truth)
		CHECK(vm->nr_snapshots > FAKE_VM_SNAPSHOTS);
	for (unsigned i = 0; i < vm->ram_pages && truth; i++) {
		CHECK_INT(tape_reader_page(reader, 0, fake_page_of(i), page, &error), 0);
		CHECK(!memcmp(page, truth->ram + (size_t)i * 4096, 4096));
	}
}

/* What a user would do with one of them. */
static void run_vmtape(const char *command, const char *path)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s %s '%s' >/dev/null 2>&1", VMTAPE_PATH, command, path);
	CHECK_INT(system(line), 0);
}

/* killed: the last one, or last two, may lack what was not flushed. Returns the calls on all tapes. */
static uint64_t check_tapes(const struct tapes *tapes, const struct fake_vm *vm, bool killed)
{
	uint64_t next_seq[2] = {0}, all = 0, last_tsc;
	char chain[2 * TAPE_CHAIN_BYTES + 1] = "";
	bool was_cut = false;

	for (unsigned i = 0; i < tapes->nr; i++) {
		bool is_last = i + 1 == tapes->nr, may_be_cut = killed && i + 2 >= tapes->nr, cut_off;
		struct tape_error error = {0};
		const struct tape_info *info;
		struct tape_reader *reader;
		char text[600];

		CHECK_INT(tape_reader_open(&reader, tapes->list[i].path, &error), 0);
		info = tape_reader_info(reader);
		CHECK_INT(record_run_verify(reader, &cut_off), 0);
		CHECK(may_be_cut || !cut_off);
		/* Two ends are missing only when the last tape has hardly begun. */
		if (is_last && was_cut)
			CHECK_INT(info->nr_records, 0);
		was_cut = cut_off;
		/* Records go on where those of the tape before ended. */
		all += record_account_whole(reader, next_seq, &last_tsc);
		if (!is_last && !cut_off) {
			snprintf(text, sizeof(text), "continued in %s: ", name_of(tapes->list[i + 1].path));
			if (strncmp(info->end_reason, text, strlen(text)))
				fprintf(stderr, "ended with \"%s\", not \"%s\"\n", info->end_reason, text);
			CHECK(!strncmp(info->end_reason, text, strlen(text)));
		}
		if (i) {
			CHECK_STR(tape_reader_meta(reader, "continues"), name_of(tapes->list[i - 1].path));
			/* Killed before it was written, nothing else is on the tape, either. */
			if (tape_reader_meta(reader, "continues_chain"))
				CHECK_STR(tape_reader_meta(reader, "continues_chain"), chain);
			else
				CHECK(cut_off && !info->nr_records);
			CHECK(!strncmp(tape_reader_meta(reader, "start_reason"), "continues a recording: ", 23));
		} else {
			CHECK_STR(tape_reader_meta(reader, "start_reason"), "command line");
		}
		CHECK_STR(tape_reader_meta(reader, "note"), "all of it");
		/* Of a VM that does not know it the rate is measured anew for each tape. */
		if (info->nr_snapshots || !vm->hides_tsc_hz) {
			CHECK(tape_reader_meta(reader, "tsc_hz"));
			CHECK(llabs(strtoll(tape_reader_meta(reader, "tsc_hz"), NULL, 10) - 1000000000) <
			      (vm->hides_tsc_hz ? 10000000 : 1));
		}
		CHECK_INT(info->nr_plans, 1);
		if (!cut_off) {
			CHECK_INT(info->totals.records, info->nr_records);
			CHECK_INT(info->totals.lost_records, 0);
			CHECK_INT(info->totals.snapshots, info->nr_snapshots);
			CHECK(info->nr_snapshots >= 1);
		}
		if (info->nr_snapshots)
			check_base(reader, vm);
		for (unsigned k = 0; k < TAPE_CHAIN_BYTES; k++)
			sprintf(chain + 2 * k, "%02x", tape_reader_seal(reader)->value[k]);
		tape_reader_close(reader);
		if (!cut_off)
			run_vmtape("verify", tapes->list[i].path);
		if (i == 1)
			run_vmtape("events --traps", tapes->list[i].path);
	}
	return all;
}

static void start(struct record_run *recorder, const struct fake_vm *vm, const char *const *options)
{
	struct service_setup setup = {.folder = vm->folder, .socket_path = vm->socket_path};
	char pattern[200];

	snprintf(pattern, sizeof(pattern), "%s/%s", vm->folder, PATTERN);
	setup.output = pattern;
	service_run_start(recorder, &setup, options);
}

/* A busy guest, tapes that end by size and by age. */
static void loses_nothing(const char *limit, const char *value, bool shared)
{
	const char *const options[] = {
		"--plan", "generic", "--on-full", "block",     "--block-limit",       "30s",   "--rotate",
		limit,    value,     "--note",    "all of it", "--snapshot-interval", "400ms", NULL};
	struct record_run recorder;
	struct tapes tapes;
	struct guest guest;
	struct fake_vm vm;
	uint64_t calls, appended;
	char said[64];

	fake_vm_init(&vm, 2, 512, shared);
	vm.hides_tsc_hz = !shared;
	fake_vm_start(&vm);
	start(&recorder, &vm, options);
	fake_vm_wait_started(&vm);
	guest_start(&guest, &vm, 5);
	wait_tapes(vm.folder, BURST == 500 ? 4 : 3);
	guest_stop(&guest);
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	fake_vm_end(&vm);
	find_tapes(&tapes, vm.folder);
	printf("%s %s: %u tapes; said:\n%s", limit, value, tapes.nr, recorder.text);
	CHECK(tapes.nr >= 3);
	/* 512 small pages are far from the limit. */
	CHECK(!record_run_said(&recorder, "alone takes"));
	snprintf(said, sizeof(said), " in %u tapes (", tapes.nr);
	CHECK(record_run_said(&recorder, said));
	calls = check_tapes(&tapes, &vm, false);
	appended = vm.rings[0].appended + vm.rings[1].appended;
	CHECK_INT(calls, appended);
	remove_tapes(vm.folder);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Killed at any moment, between two tapes, too: all but the last are whole, and there is no hole. */
static void kills(void)
{
	static const char *const options[] = {
		"--plan",   "generic",   "--on-full", "block",  "--block-limit", "30s",
		"--rotate", "--max-age", "1s",        "--note", "all of it",     "--snapshot-interval",
		"300ms",    "--flush",   "200ms",     NULL};
	struct guest guest;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	guest_start(&guest, &vm, 5);
	for (unsigned i = 0; i < 6; i++) {
		struct record_run recorder;
		struct tapes tapes;
		uint64_t calls;

		pthread_mutex_lock(&vm.lock);
		vm.started = false;
		pthread_mutex_unlock(&vm.lock);
		start(&recorder, &vm, options);
		fake_vm_wait_started(&vm);
		/* Most of them about when a tape ends. */
		wait_tapes(vm.folder, 2);
		pause_ms(850 + (unsigned)random() % 120 - (i % 3 ? 0 : 500));
		kill(recorder.pid, SIGKILL);
		record_run_wait(&recorder, 10);
		fake_vm_wait_stopped(&vm);
		find_tapes(&tapes, vm.folder);
		CHECK(tapes.nr >= 1);
		calls = check_tapes(&tapes, &vm, true);
		printf("killed: %u tapes, %" PRIu64 " calls\n", tapes.nr, calls);
		remove_tapes(vm.folder);
		record_run_deinit(&recorder);
	}
	guest_stop(&guest);
	fake_vm_deinit(&vm);
}

/* ---- what is kept ---------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
	char command[1200];

	snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
	CHECK_INT(system(command), 0);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Tapes of an earlier run go first; what only looks like one stays. */
static void keeps(void)
{
	static const char *const first[] = {"--plan", "none",       "--rotate", "--max-age",
					    "1h",     "--duration", "300ms",    NULL};
	static const char *const second[] = {"--plan", "none", "--rotate",   "--max-age", "1s",
					     "--keep", "2",    "--duration", "3500ms",    NULL};
	char alien[256], text[256], golden[256], link_path[256], earlier[512];
	struct record_run recorder;
	struct tapes tapes;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	start(&recorder, &vm, first);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, NULL);
	record_run_deinit(&recorder);
	find_tapes(&tapes, vm.folder);
	CHECK_INT(tapes.nr, 1);
	strcpy(earlier, tapes.list[0].path);
	/* Of another VM; no tape; a name that does not fit; a link. */
	snprintf(golden, sizeof(golden), "%s/tape-19990101T000000Z.vmt", vm.folder);
	copy_file("golden/small-v1.vmt", golden);
	snprintf(text, sizeof(text), "%s/tape-19990101T000001Z.vmt", vm.folder);
	write_text(text, "precious");
	snprintf(alien, sizeof(alien), "%s/tape-old.vmt", vm.folder);
	copy_file(earlier, alien);
	snprintf(link_path, sizeof(link_path), "%s/tape-19990101T000002Z.vmt", vm.folder);
	CHECK(!symlink("tape-old.vmt", link_path));

	start(&recorder, &vm, second);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, name_of(earlier));
	printf("%s", recorder.text);
	CHECK(access(earlier, F_OK) < 0);
	CHECK(!access(golden, F_OK) && !access(text, F_OK) && !access(alien, F_OK) && !access(link_path, F_OK));
	unlink(golden);
	unlink(text);
	unlink(alien);
	unlink(link_path);
	find_tapes(&tapes, vm.folder);
	CHECK_INT(tapes.nr, 2);
	remove_tapes(vm.folder);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

static uint64_t all_bytes(const struct tapes *tapes)
{
	uint64_t sum = 0;
	struct stat st;

	for (unsigned i = 0; i < tapes->nr; i++) {
		CHECK(!stat(tapes->list[i].path, &st));
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

static void keeps_size(void)
{
	static const char *const options[] = {"--plan",      "generic", "--rotate",  "--max-size", "4M",
					      "--keep-size", "12M",     "--on-full", "block",      NULL};
	struct record_run recorder;
	struct tapes tapes;
	struct guest guest;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	start(&recorder, &vm, options);
	fake_vm_wait_started(&vm);
	guest_start(&guest, &vm, 10);
	record_run_expect_text(&recorder, "removed, the oldest tape");
	pause_ms(1000);
	guest_stop(&guest);
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	find_tapes(&tapes, vm.folder);
	printf("kept: %u tapes, %" PRIu64 " bytes\n", tapes.nr, all_bytes(&tapes));
	CHECK(tapes.nr >= 2);
	CHECK(all_bytes(&tapes) < 18u << 20);
	remove_tapes(vm.folder);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- what goes wrong -------------------------------------------------- */

/* The folder is away when the next tape is due: the old one is written on, until the next can be begun. */
static void no_next_file(void)
{
	static const char *const options[] = {"--plan",   "generic",   "--on-full", "block",  "--block-limit", "30s",
					      "--rotate", "--max-age", "1s",        "--note", "all of it",     NULL};
	struct service_setup setup;
	char folder[128], away[128], pattern[256];
	struct record_run recorder;
	struct tapes tapes;
	struct guest guest;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	snprintf(folder, sizeof(folder), "%s/tapes", vm.folder);
	snprintf(away, sizeof(away), "%s/away", vm.folder);
	snprintf(pattern, sizeof(pattern), "%s/%s", folder, PATTERN);
	CHECK(!mkdir(folder, 0700));
	setup = (struct service_setup){.folder = vm.folder, .socket_path = vm.socket_path, .output = pattern};
	service_run_start(&recorder, &setup, options);
	fake_vm_wait_started(&vm);
	guest_start(&guest, &vm, 5);
	record_run_expect_text(&recorder, "base snapshot taken");
	CHECK(!rename(folder, away));
	record_run_expect_text(&recorder, "is written on, and the next tape tried again");
	CHECK(!rename(away, folder));
	record_run_expect_text(&recorder, "recording goes on in");
	pause_ms(300);
	guest_stop(&guest);
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	fake_vm_end(&vm);
	find_tapes(&tapes, folder);
	printf("%s", recorder.text);
	CHECK(tapes.nr >= 2);
	CHECK_INT(check_tapes(&tapes, &vm, false), vm.rings[0].appended + vm.rings[1].appended);
	remove_tapes(folder);
	CHECK(!rmdir(folder));
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Without --rotate a limit ends the recording, in good order. */
static void limits(const char *option, const char *value, const char *reason)
{
	const char *const options[] = {"--plan", "generic", "--on-full", "block", option, value, NULL};
	struct service_setup setup;
	struct record_run recorder;
	struct tape_reader *reader;
	struct guest guest;
	struct fake_vm vm;
	bool cut_off;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	setup = (struct service_setup){.folder = vm.folder, .socket_path = vm.socket_path};
	service_run_start(&recorder, &setup, options);
	fake_vm_wait_started(&vm);
	guest_start(&guest, &vm, 10);
	record_run_wait(&recorder, 60);
	guest_stop(&guest);
	record_run_check(&recorder, 0, reason);
	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	CHECK_STR(tape_reader_info(reader)->end_reason, reason);
	printf("%s %s: %" PRIu64 " bytes\n", option, value, tape_reader_info(reader)->size_bytes);
	if (!strcmp(option, "--max-size"))
		CHECK(tape_reader_info(reader)->size_bytes >= 4u << 20 &&
		      tape_reader_info(reader)->size_bytes < 8u << 20);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	srandom((unsigned)time(NULL));
	loses_nothing("--max-age", "1s", true);
	loses_nothing("--max-size", "4M", false);
	kills();
	keeps();
	keeps_size();
	no_next_file();
	limits("--max-size", "4M", "the limit for a tape is reached: it has the size of 4 MiB");
	limits("--max-age", "1s", "the limit for a tape is reached: it is 1 s old");
	return 0;
}
