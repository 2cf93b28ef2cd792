/* SPDX-License-Identifier: MIT */
/*
 * test_record_control.c - the control socket: each command, those that are none,
 * clients that do their worst; and triggers, which freeze the tape or copy it
 * while recording goes on.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "fake_vm.h"
#include "pause.h"
#include "record_account.h"
#include "service_run.h"
#include "socket_client.h"
#include "trap_record.h"

/* ---- words ----------------------------------------------------------- */

static void check_command(const char *line, enum control_verb verb, const char *text)
{
	struct control_command command;
	const char *why;

	CHECK_INT(control_parse(&command, line, &why), 0);
	CHECK_INT(command.verb, verb);
	CHECK_STR(command.text, text);
}

static void check_no_command(const char *line, const char *said)
{
	struct control_command command;
	const char *why = NULL;

	CHECK(control_parse(&command, line, &why) < 0);
	CHECK(why && strstr(why, said));
}

static void test_words(void)
{
	char longest[RECORD_TEXT_MAX_BYTES + 6], *text = NULL;
	size_t size_bytes;
	FILE *out;

	check_command("status", CONTROL_STATUS, "");
	check_command("status  ", CONTROL_STATUS, "");
	check_command("stop", CONTROL_STOP, "");
	check_command("stop  for lunch ", CONTROL_STOP, "for lunch");
	check_command("note a=b\x1b[0m\xff", CONTROL_NOTE, "a=b?[0m?");
	check_command("trigger", CONTROL_TRIGGER, "");
	check_no_command("", "not a command");
	check_no_command(" status", "not a command");
	check_no_command("statu", "not a command");
	check_no_command("statuses", "not a command");
	check_no_command("STATUS", "not a command");
	check_no_command("status now", "takes no text");
	check_no_command("note", "needs a text");
	check_no_command("note   ", "needs a text");
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "note ", 5);
	longest[sizeof(longest) - 1] = '\0';
	check_command(longest, CONTROL_NOTE, longest + 5);
	check_no_command(
		"note 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
		"8901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"2345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
		"6789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789",
		"longer than 400");
	CHECK_INT(control_measure("ab\ncd\n", 6), 3);
	CHECK_INT(control_measure("ab", 2), 0);
	CHECK_INT(control_measure("", 0), 0);

	out = open_memstream(&text, &size_bytes);
	CHECK(out);
	control_put_string(out, "a\"\\\n\x80\xc3\xa4");
	fclose(out);
	CHECK_STR(text, "\"a\\\"\\\\??\xc3\xa4\"");
	free(text);
}

/* ---- a recording with a control socket -------------------------------- */

struct bench {
	struct fake_vm vm;
	struct record_run recorder;
	char control[160];
};

static void bench_start(struct bench *bench, const char *output, const char *const *more)
{
	const char *options[RECORD_RUN_MAX_OPTIONS] = {"--plan",        "generic", "--on-full", "block",
						       "--block-limit", "60s",     "--control", bench->control};
	struct service_setup setup;
	char path[200];
	unsigned n = 8;

	fake_vm_init(&bench->vm, 2, 256, true);
	fake_vm_start(&bench->vm);
	snprintf(bench->control, sizeof(bench->control), "%s/control", bench->vm.folder);
	setup = (struct service_setup){.folder = bench->vm.folder, .socket_path = bench->vm.socket_path};
	if (output) {
		snprintf(path, sizeof(path), "%s/%s", bench->vm.folder, output);
		setup.output = path;
	}
	while (*more)
		options[n++] = *more++;
	service_run_start(&bench->recorder, &setup, options);
	fake_vm_wait_started(&bench->vm);
	record_run_expect_text(&bench->recorder, "base snapshot taken");
}

static void bench_end(struct bench *bench)
{
	CHECK(access(bench->control, F_OK) < 0);
	record_run_deinit(&bench->recorder);
	fake_vm_deinit(&bench->vm);
}

static void append_records(struct fake_vm *vm, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		CHECK(fake_vm_append(vm, i % 2));
}

/* One command on a connection of its own. */
static void ask(const struct bench *bench, const char *line, const char *begin, char *answer, size_t room)
{
	int fd = socket_client_connect(bench->control);
	char *text;

	socket_client_send(fd, line, strlen(line));
	text = socket_client_read(fd, 1);
	if (strncmp(text, begin, strlen(begin)))
		fprintf(stderr, "to %s came %s", line, text);
	CHECK(!strncmp(text, begin, strlen(begin)));
	CHECK(strchr(text, '\n') == text + strlen(text) - 1);
	if (answer)
		snprintf(answer, room, "%s", text);
	free(text);
	close(fd);
}

/* As a user does. */
static int send_command(const struct bench *bench, const char *words, char *answer, size_t room)
{
	char command[600];
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "%s --send '%s' %s 2>&1", record_run_path(), bench->control, words);
	pipe = popen(command, "r");
	CHECK(pipe);
	answer[fread(answer, 1, room - 1, pipe)] = '\0';
	status = pclose(pipe);
	printf("%s: %s", words, answer);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static uint64_t number_of(const char *answer, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
	at = strstr(answer, quoted);
	if (!at)
		fprintf(stderr, "no %s in %s", key, answer);
	CHECK(at);
	return strtoull(at + strlen(quoted), NULL, 10);
}

static void test_commands(void)
{
	static const char *const options[] = {"--rotate", "--note", "first", NULL};
	char answer[1024], path[256];
	struct tape_reader *reader;
	struct tape_error error;
	uint64_t snapshots;
	struct bench bench;
	struct stat st;
	const char *tape;
	bool cut_off;

	bench_start(&bench, "c-%Y%m%dT%H%M%SZ.vmt", options);
	CHECK(!stat(bench.control, &st));
	CHECK_INT(st.st_mode & 07777, 0600);
	append_records(&bench.vm, 5000);
	for (unsigned i = 0; i < 200; i++) {
		ask(&bench, "status\n", "{\"ok\": true", answer, sizeof(answer));
		if (number_of(answer, "events") == 5000)
			break;
		pause_ms(50);
	}
	CHECK_INT(send_command(&bench, "status", answer, sizeof(answer)), 0);
	CHECK_INT(number_of(answer, "events"), 5000);
	CHECK_INT(number_of(answer, "lost_records"), 0);
	CHECK_INT(number_of(answer, "pid"), bench.recorder.pid);
	CHECK(strstr(answer, "\"state\": \"recording\", \"vm\": \"fake?[31m\", \"tape\": \""));
	snapshots = number_of(answer, "snapshots");
	CHECK_INT(send_command(&bench, "snapshot", answer, sizeof(answer)), 0);
	CHECK_INT(number_of(answer, "pause_ns"), 1000000);
	CHECK(number_of(answer, "id") > snapshots);
	CHECK_INT(send_command(&bench, "note --it is 'me'", answer, sizeof(answer)), 0);
	CHECK_INT(send_command(&bench, "rotate", answer, sizeof(answer)), 0);
	tape = strstr(answer, "\"tape\": \"");
	CHECK(tape);
	CHECK_INT(sscanf(tape, "\"tape\": \"%255[^\"]", path), 1);
	ask(&bench, "note second tape\r\n", "{\"ok\": true}", NULL, 0);

	CHECK_INT(send_command(&bench, "frobnicate", answer, sizeof(answer)), 1);
	CHECK(strstr(answer, "\"ok\": false, \"error\": \"not a command"));
	CHECK_INT(send_command(&bench, "trigger", answer, sizeof(answer)), 1);
	CHECK(strstr(answer, "no --on-trigger"));
	CHECK_INT(send_command(&bench, "note", answer, sizeof(answer)), 1);
	CHECK_INT(send_command(&bench, "", answer, sizeof(answer)), 2);
	ask(&bench, "\n", "{\"ok\": false, \"error\": \"not a command", NULL, 0);
	kill(bench.recorder.pid, SIGUSR2);
	record_run_expect_text(&bench.recorder, "nothing is done: there is no --on-trigger");

	CHECK_INT(send_command(&bench, "stop enough of it", answer, sizeof(answer)), 0);
	record_run_wait(&bench.recorder, 20);
	record_run_check(&bench.recorder, 0, "stopped at the control socket: enough of it");
	CHECK_INT(tape_reader_open(&reader, path, &error), 0);
	CHECK_STR(tape_reader_info(reader)->end_reason, "stopped at the control socket: enough of it");
	CHECK_STR(tape_reader_meta(reader, "start_reason"), "continues a recording: asked for at the control socket");
	CHECK(strstr(tape_reader_meta(reader, "note.1"), "Z second tape"));
	CHECK_STR(tape_reader_meta(reader, "note"), "first");
	CHECK(!tape_reader_meta(reader, "note.2"));
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	snprintf(answer, sizeof(answer), "%s/%s", bench.vm.folder, tape_reader_meta(reader, "continues"));
	tape_reader_close(reader);
	unlink(path);
	CHECK_INT(tape_reader_open(&reader, answer, &error), 0);
	CHECK(strstr(tape_reader_meta(reader, "note.1"), "Z --it is me"));
	tape_reader_close(reader);
	unlink(answer);
	CHECK_INT(send_command(&bench, "status", answer, sizeof(answer)), 2);
	CHECK(strstr(answer, "cannot connect"));
	bench_end(&bench);
}

/* Notes without an end take no more room than the latest 256 do. */
static void test_many_notes(void)
{
	static const char *const options[] = {NULL};
	struct tape_reader *reader;
	struct bench bench;
	char line[64];

	bench_start(&bench, NULL, options);
	for (unsigned i = 1; i <= 258; i++) {
		snprintf(line, sizeof(line), "note number %u\n", i);
		ask(&bench, line, "{\"ok\": true}", NULL, 0);
	}
	service_run_stop(&bench.recorder, SIGTERM, 0, "none lost");
	reader = record_run_open_tape(&bench.recorder);
	CHECK(strstr(tape_reader_meta(reader, "note.1"), "Z number 257"));
	CHECK(strstr(tape_reader_meta(reader, "note.2"), "Z number 258"));
	CHECK(strstr(tape_reader_meta(reader, "note.3"), "Z number 3"));
	CHECK(strstr(tape_reader_meta(reader, "note.256"), "Z number 256"));
	CHECK(!tape_reader_meta(reader, "note.257"));
	tape_reader_close(reader);
	bench_end(&bench);
}

/* Floods, half-closed, silent and torn clients; commands in one packet; and everybody else is still served. */
static void test_hostile(void)
{
	static const char *const options[] = {"--on-trigger", "freeze", NULL};
	enum { NR_SILENT = 20 };
	static char flood[1 << 20];
	int silent[NR_SILENT], fd;
	struct bench bench;
	char *text;

	bench_start(&bench, NULL, options);
	for (int i = 0; i < NR_SILENT; i++) {
		silent[i] = socket_client_connect(bench.control);
		socket_client_send(silent[i], "stat", 4);
	}
	memset(flood, 'x', sizeof(flood));
	fd = socket_client_connect(bench.control);
	socket_client_send(fd, flood, sizeof(flood));
	text = socket_client_read(fd, 1);
	CHECK(!strncmp(text, "{\"ok\": false, \"error\": \"the command is too long\"}", 49) || !*text);
	free(text);
	close(fd);
	ask(&bench, "status\n", "{\"ok\": true", NULL, 0);

	/* Nobody reads the answers. */
	fd = socket_client_connect(bench.control);
	for (size_t i = 0; i < sizeof(flood); i += 7)
		memcpy(flood + i, "status\n", sizeof(flood) - i < 7 ? sizeof(flood) - i : 7);
	CHECK(send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
	ask(&bench, "status\n", "{\"ok\": true", NULL, 0);
	close(fd);

	/* Three commands at once, then no more from this side: three answers, and the end. */
	fd = socket_client_connect(bench.control);
	socket_client_send(fd, "note one\nsnapshot\nstatus\nhalf a li", 34);
	CHECK(!shutdown(fd, SHUT_WR));
	text = socket_client_read(fd, 0);
	CHECK(!strncmp(text, "{\"ok\": true}\n{\"ok\": true, \"id\": ", 31));
	CHECK(strstr(text, "}\n{\"ok\": true, \"state\": "));
	free(text);
	close(fd);

	/* Away before the answer. */
	for (int i = 0; i < 50; i++) {
		fd = socket_client_connect(bench.control);
		socket_client_send(fd, "snapshot\n", 9);
		close(fd);
	}
	fd = socket_client_connect(bench.control);
	socket_client_send(fd, "status\0\n", 8);
	text = socket_client_read(fd, 1);
	CHECK_STR(text, "{\"ok\": false, \"error\": \"the command has a NUL in it\"}\n");
	free(text);
	close(fd);
	append_records(&bench.vm, 1000);
	for (int i = 0; i < NR_SILENT; i++)
		close(silent[i]);
	ask(&bench, "stop\n", "{\"ok\": true}", NULL, 0);
	record_run_wait(&bench.recorder, 20);
	record_run_check(&bench.recorder, 0, "1,000 events, none lost");
	CHECK(record_run_said(&bench.recorder, "; stopped at the control socket\n"));
	bench_end(&bench);
}

/* ---- triggers -------------------------------------------------------- */

/* All numbers from the first on; returns the calls. */
static uint64_t check_records(struct tape_reader *reader)
{
	uint64_t next_seq[2] = {0}, last_tsc;

	return record_account_whole(reader, next_seq, &last_tsc);
}

static void test_freeze(int signal_number)
{
	static const char *const options[] = {"--on-trigger", "freeze", "--trigger-after", "1s", NULL};
	struct tape_reader *reader;
	struct bench bench;
	char answer[1024];
	bool cut_off;

	bench_start(&bench, NULL, options);
	append_records(&bench.vm, 3000);
	if (signal_number)
		kill(bench.recorder.pid, signal_number);
	else
		CHECK_INT(send_command(&bench, "trigger disk on fire", answer, sizeof(answer)), 0);
	if (!signal_number) {
		CHECK_INT(number_of(answer, "trigger"), 1);
		CHECK_INT(number_of(answer, "after_ms"), 1000);
		CHECK(strstr(answer, "\"action\": \"freeze\""));
	}
	record_run_expect_text(&bench.recorder, "the tape is frozen in 1.000 s");
	append_records(&bench.vm, 2000);
	record_run_wait(&bench.recorder, 20);
	record_run_check(&bench.recorder, 0,
			 signal_number ? "frozen by a trigger: signal" : "frozen by a trigger: disk on fire");
	reader = record_run_open_tape(&bench.recorder);
	CHECK(!strncmp(tape_reader_info(reader)->end_reason, "frozen by a trigger: ", 21));
	CHECK(strstr(tape_reader_meta(reader, "trigger.1"), signal_number ? "Z signal" : "Z disk on fire"));
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	CHECK_INT(check_records(reader), 5000);
	tape_reader_close(reader);
	bench_end(&bench);
}

/* The path of the copy, out of what the recorder said. */
static void copy_path(const struct record_run *recorder, char *out, unsigned nth)
{
	static const char said[] = ": the tape as it was, ";
	const char *end = recorder->text, *begin;

	do {
		end = strstr(end + 1, said);
		CHECK(end);
	} while (--nth);
	begin = end;
	while (begin > recorder->text && begin[-1] != ' ')
		begin--;
	memcpy(out, begin, (size_t)(end - begin));
	out[end - begin] = '\0';
}

struct guest {
	struct fake_vm *vm;
	unsigned burst;
	atomic_bool ending;
	pthread_t thread;
};

static void *run_guest(void *arg)
{
	struct guest *guest = arg;

	while (!atomic_load(&guest->ending)) {
		for (unsigned i = 0; i < guest->burst; i++) {
			fake_vm_append(guest->vm, i % 2);
			fake_vm_write(guest->vm, i % 200, i % 200, (uint8_t)i);
		}
		pause_ms(3);
	}
	return NULL;
}

/* While a guest is busy: the copy is a tape, whole up to its last record, with what came before the trigger. */
static void test_copy(void)
{
	static const char *const options[] = {"--on-trigger", "copy", "--trigger-after", "500ms", NULL};
	uint64_t before, calls, nr_tape;
	struct tape_reader *reader;
	struct tape_error error;
	struct guest guest;
	struct bench bench;
	char answer[1024], path[512], second[512];
	bool cut_off;

	bench_start(&bench, "a%b.vmt", options);
	guest = (struct guest){.vm = &bench.vm, .burst = 200};
	CHECK(!pthread_create(&guest.thread, NULL, run_guest, &guest));
	do {
		ask(&bench, "status\n", "{\"ok\": true", answer, sizeof(answer));
		before = number_of(answer, "events");
	} while (before < 10000);
	ask(&bench, "trigger alarm\n", "{\"ok\": true, \"trigger\": 1, \"action\": \"copy\"", NULL, 0);
	/* One more meanwhile is noted, and changes nothing. */
	ask(&bench, "trigger again\n", "{\"ok\": true, \"trigger\": 2", NULL, 0);
	record_run_expect_text(&bench.recorder, ": the tape as it was, ");
	copy_path(&bench.recorder, path, 1);
	printf("copy: %s\n", path);
	CHECK(strstr(path, "/a%b-trigger-2"));
	CHECK_INT(tape_reader_open(&reader, path, &error), 0);
	CHECK(strstr(tape_reader_meta(reader, "trigger.1"), "Z alarm"));
	CHECK(strstr(tape_reader_meta(reader, "trigger.2"), "Z again"));
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(cut_off);
	calls = check_records(reader);
	CHECK(calls >= before);
	CHECK(tape_reader_info(reader)->nr_snapshots >= 1);
	tape_reader_close(reader);

	/* A copy that is due when the recording ends is still made. */
	kill(bench.recorder.pid, SIGUSR1);
	record_run_expect_text(&bench.recorder, "trigger: signal");
	atomic_store(&guest.ending, true);
	pthread_join(guest.thread, NULL);
	service_run_stop(&bench.recorder, SIGTERM, 0, "none lost");
	copy_path(&bench.recorder, second, 2);
	reader = record_run_open_tape(&bench.recorder);
	nr_tape = check_records(reader);
	CHECK_INT(nr_tape, bench.vm.rings[0].appended + bench.vm.rings[1].appended);
	CHECK(nr_tape > calls);
	CHECK(strstr(tape_reader_meta(reader, "trigger.3"), "Z signal"));
	tape_reader_close(reader);
	CHECK_INT(tape_reader_open(&reader, second, &error), 0);
	CHECK_INT(check_records(reader), nr_tape);
	tape_reader_close(reader);
	printf("copies: %" PRIu64 " and %" PRIu64 " calls\n", calls, nr_tape);
	unlink(path);
	unlink(second);
	bench_end(&bench);
}

/* A ring that was written over many times: its copy can be read from its oldest record on, while it goes on. */
static void test_copy_ring(void)
{
	static const char *const options[] = {"--ring-size", "32M", "--on-trigger", "copy", NULL};
	struct tape_reader *reader;
	struct tape_error error;
	struct guest guest;
	struct bench bench;
	char answer[1024], path[512];
	uint64_t bytes;
	bool cut_off;

	bench_start(&bench, NULL, options);
	guest = (struct guest){.vm = &bench.vm, .burst = 3000};
	CHECK(!pthread_create(&guest.thread, NULL, run_guest, &guest));
	do {
		pause_ms(100);
		ask(&bench, "status\n", "{\"ok\": true", answer, sizeof(answer));
		bytes = number_of(answer, "events") * 57;
	} while (bytes < 60u << 20);
	ask(&bench, "trigger alarm\n", "{\"ok\": true", NULL, 0);
	record_run_expect_text(&bench.recorder, ": the tape as it was, ");
	atomic_store(&guest.ending, true);
	pthread_join(guest.thread, NULL);
	service_run_stop(&bench.recorder, SIGTERM, 0, "none lost");
	printf("%s", bench.recorder.text);
	copy_path(&bench.recorder, path, 1);
	CHECK_INT(tape_reader_open(&reader, path, &error), 0);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(cut_off);
	CHECK(strstr(tape_reader_meta(reader, "trigger.1"), "Z alarm"));
	CHECK(tape_reader_info(reader)->size_bytes <= 32u << 20);
	CHECK(tape_reader_info(reader)->nr_records > 100000);
	CHECK(tape_reader_info(reader)->nr_snapshots >= 1);
	printf("ring: %" PRIu64 " records in the copy\n", tape_reader_info(reader)->nr_records);
	tape_reader_close(reader);
	unlink(path);
	bench_end(&bench);
}

static void test_no_copy(void)
{
	const char *options[] = {"--on-trigger", "copy:/nowhere/%Y%m%d.vmt", NULL};
	struct bench bench;

	bench_start(&bench, NULL, options);
	ask(&bench, "trigger\n", "{\"ok\": true", NULL, 0);
	record_run_expect_text(&bench.recorder, "the tape could not be copied: /nowhere/");
	append_records(&bench.vm, 100);
	ask(&bench, "rotate\n", "{\"ok\": false, \"error\": \"the recording is not one with --rotate\"}", NULL, 0);
	service_run_stop(&bench.recorder, SIGTERM, 0, "100 events, none lost");
	bench_end(&bench);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_words();
	test_commands();
	test_many_notes();
	test_hostile();
	test_freeze(0);
	test_freeze(SIGUSR1);
	test_freeze(SIGUSR2);
	test_copy();
	test_copy_ring();
	test_no_copy();
	return 0;
}
