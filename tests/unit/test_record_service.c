/* SPDX-License-Identifier: MIT */
/*
 * test_record_service.c - under a service manager: lines for the journal, the
 * messages of sd_notify(3), and all of it as a user without any right but that
 * on the VM's socket.
 */
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "pause.h"
#include "service_run.h"

#define NOBODY 65534

/* ---- the journal ----------------------------------------------------- */

/* Each line has a priority and nothing that drives a terminal; returns how many have this one. */
static unsigned count_lines(const char *text, int priority)
{
	unsigned n = 0;

	while (*text) {
		const char *end = strchr(text, '\n');

		CHECK(end);
		CHECK(text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>');
		n += text[1] - '0' == priority;
		for (; text < end; text++)
			CHECK(*text != '\r' && *text != '\033');
		text = end + 1;
	}
	return n;
}

static void test_journal(void)
{
	static const char *const options[] = {"--plan", "generic", "--duration", "1500ms", NULL};
	struct service_setup setup;
	struct record_run recorder;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	setup = (struct service_setup){.folder = vm.folder, .socket_path = vm.socket_path, .journal = true};
	service_run_start(&recorder, &setup, options);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, "<6>recording VM fake?[31m");
	CHECK(record_run_said(&recorder, "none lost"));
	CHECK_INT(count_lines(recorder.text, 5), 1);
	CHECK_INT(count_lines(recorder.text, 3), 0);
	record_run_deinit(&recorder);
	/* An error, of a path with lines in it. */
	setup.socket_path = "/nowhere/a\nb";
	service_run_start(&recorder, &setup, options);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 2, "<3>/nowhere/a?b: no such socket");
	CHECK_INT(count_lines(recorder.text, 3), 1);
	record_run_deinit(&recorder);
	/* stderr was redirected: no priorities. */
	setup = (struct service_setup){.folder = vm.folder, .socket_path = vm.socket_path, .wrong_journal = true};
	service_run_start(&recorder, &setup, options);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, "vmtape-record: recording VM");
	CHECK(!record_run_said(&recorder, "<6>"));
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- the service manager --------------------------------------------- */

struct manager {
	int fd;
	char path[128];
	unsigned nr_ready, nr_stopping, nr_watchdog, nr_status, nr_extend;
	char last_status[512];
};

static void manager_init(struct manager *manager, const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memset(manager, 0, sizeof(*manager));
	snprintf(manager->path, sizeof(manager->path), "%s/notify", folder);
	strcpy(address.sun_path, manager->path);
	manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(manager->fd >= 0);
	CHECK(!bind(manager->fd, (struct sockaddr *)&address, sizeof(address)));
}

static void manager_line(struct manager *manager, const char *line)
{
	if (!strcmp(line, "READY=1")) {
		CHECK_INT(manager->nr_stopping, 0);
		manager->nr_ready++;
	} else if (!strcmp(line, "STOPPING=1")) {
		CHECK_INT(manager->nr_ready, 1);
		manager->nr_stopping++;
	} else if (!strcmp(line, "WATCHDOG=1")) {
		manager->nr_watchdog++;
	} else if (!strncmp(line, "STATUS=", 7)) {
		manager->nr_status++;
		snprintf(manager->last_status, sizeof(manager->last_status), "%s", line + 7);
	} else if (!strncmp(line, "EXTEND_TIMEOUT_USEC=", 20)) {
		CHECK(strtoull(line + 20, NULL, 10) > 1000000);
		manager->nr_extend++;
	} else {
		fprintf(stderr, "the service manager was told: %s\n", line);
		CHECK(false);
	}
}

static void manager_read(struct manager *manager)
{
	char text[1024], *rest, *line;
	ssize_t n;

	while ((n = recv(manager->fd, text, sizeof(text) - 1, 0)) >= 0) {
		text[n] = '\0';
		rest = text;
		while ((line = strsep(&rest, "\n")))
			manager_line(manager, line);
	}
}

static void manager_deinit(struct manager *manager)
{
	close(manager->fd);
	unlink(manager->path);
}

static void test_notify(void)
{
	static const char *const options[] = {"--plan", "generic", NULL};
	struct service_setup setup;
	struct record_run recorder;
	struct manager manager;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 256, true);
	manager_init(&manager, vm.folder);
	setup = (struct service_setup){
		.folder = vm.folder,
		.socket_path = vm.socket_path,
		.notify_path = manager.path,
		.watchdog_usec = "5000000",
	};
	/* No VM answers yet: not ready. */
	service_run_start(&recorder, &setup, options);
	pause_ms(500);
	manager_read(&manager);
	CHECK_INT(manager.nr_ready, 0);
	fake_vm_start(&vm);
	fake_vm_wait_started(&vm);
	for (unsigned i = 0; i < 100; i++)
		CHECK(fake_vm_append(&vm, i % 2));
	pause_ms(3500);
	manager_read(&manager);
	CHECK_INT(manager.nr_ready, 1);
	CHECK_INT(manager.nr_stopping, 0);
	CHECK(manager.nr_watchdog >= 2 && manager.nr_watchdog <= 4);
	CHECK(manager.nr_status >= 3 && manager.nr_status <= 6);
	CHECK_INT(manager.nr_extend, 0);
	printf("status: %s\n", manager.last_status);
	CHECK(strstr(manager.last_status, "Recording fake?[31m: 100 events, 0 lost"));
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	manager_read(&manager);
	CHECK_INT(manager.nr_stopping, 1);
	CHECK(manager.nr_extend >= 1);
	record_run_deinit(&recorder);

	/* A manager that does not listen, whose socket fills up: nothing waits for it. */
	setup.watchdog_usec = NULL;
	service_run_start(&recorder, &setup, options);
	record_run_expect_text(&recorder, "base snapshot taken");
	for (unsigned i = 0; i < 1000; i++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

		strcpy(address.sun_path, manager.path);
		if (sendto(fd, "", 1, 0, (struct sockaddr *)&address, sizeof(address)) < 0)
			i = 1000;
		close(fd);
	}
	pause_ms(1500);
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	record_run_deinit(&recorder);
	manager_deinit(&manager);
	fake_vm_deinit(&vm);
}

/* ---- what is kept for who reads the tape ------------------------------ */

static char *run_info(const char *tape_path, const char *format)
{
	char command[512], *text = calloc(1, 65536);
	FILE *pipe;

	CHECK(text);
	snprintf(command, sizeof(command), "%s info --format %s '%s'", VMTAPE_PATH, format, tape_path);
	pipe = popen(command, "r");
	CHECK(pipe);
	CHECK(fread(text, 1, 65535, pipe) > 0);
	CHECK_INT(pclose(pipe), 0);
	return text;
}

static void test_evidence(void)
{
	static const char *const options[] = {
		"--plan", "none", "--duration", "300ms", "--note", "case 4711,\nseen by a \"b\" \033[1m", NULL};
	static const char *const reasoned[] = {"--plan",         "none",        "--duration", "300ms",
					       "--start-reason", "alert: disk", NULL};
	struct service_setup setup;
	struct record_run recorder;
	struct tape_reader *reader;
	struct fake_vm vm;
	char host[256] = "", pid[32], *text;

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	setup = (struct service_setup){.folder = vm.folder, .socket_path = vm.socket_path};
	service_run_start(&recorder, &setup, options);
	snprintf(pid, sizeof(pid), "%d", (int)recorder.pid);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, "none lost");
	reader = record_run_open_tape(&recorder);
	CHECK(!gethostname(host, sizeof(host) - 1));
	CHECK_STR(tape_reader_meta(reader, "note"), "case 4711,?seen by a \"b\" ?[1m");
	CHECK_STR(tape_reader_meta(reader, "host_name"), host);
	CHECK_STR(tape_reader_meta(reader, "recorder_pid"), pid);
	CHECK_STR(tape_reader_meta(reader, "start_reason"), "command line");
	CHECK_STR(tape_reader_info(reader)->end_reason, "the duration asked for is over");
	tape_reader_close(reader);
	text = run_info(recorder.tape_path, "text");
	CHECK(strstr(text, "\nnote         case 4711,?seen by a \\\"b\\\" ?[1m\n"));
	CHECK(strstr(text, "\nstart        command line\n"));
	CHECK(strstr(text, "\nhost         "));
	free(text);
	text = run_info(recorder.tape_path, "json");
	CHECK(strstr(text, "\"note\": \"case 4711,?seen by a \\\"b\\\" ?[1m\""));
	CHECK(strstr(text, "\"start_reason\": \"command line\""));
	CHECK(strstr(text, "\"notes\": [], \"triggers\": []"));
	free(text);
	record_run_deinit(&recorder);

	setup.notify_path = "/nowhere";
	service_run_start(&recorder, &setup, options);
	record_run_wait(&recorder, 30);
	reader = record_run_open_tape(&recorder);
	CHECK_STR(tape_reader_meta(reader, "start_reason"), "service");
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	service_run_start(&recorder, &setup, reasoned);
	record_run_wait(&recorder, 30);
	reader = record_run_open_tape(&recorder);
	CHECK_STR(tape_reader_meta(reader, "start_reason"), "alert: disk");
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- without rights -------------------------------------------------- */

/*
 * Programs and libraries may lie where others cannot look. Those of the test
 * are the recorder's; what is not the system's own is copied.
 */
static int copy_library(struct dl_phdr_info *info, size_t size, void *folder)
{
	char command[1024];

	if (!info->dlpi_name[0] || !strncmp(info->dlpi_name, "/lib", 4) || !strncmp(info->dlpi_name, "/usr/", 5) ||
	    !strchr(info->dlpi_name, '/'))
		return 0;
	snprintf(command, sizeof(command), "cp '%s' '%s/'", info->dlpi_name, (const char *)folder);
	CHECK_INT(system(command), 0);
	return 0;
}

static void copy_program(char *folder)
{
	char command[1024];

	CHECK(mkdtemp(folder));
	CHECK(!chmod(folder, 0755));
	snprintf(command, sizeof(command), "cp '%s' '%s/'", record_run_path(), folder);
	CHECK_INT(system(command), 0);
	dl_iterate_phdr(copy_library, folder);
}

/* A user who may use the VM's socket, and nothing else, records all that there is to record. */
static void test_unprivileged(void)
{
	static const char *const options[] = {"--plan", "generic", "--on-full", "block", NULL};
	char folder[] = "/tmp/vmtape-nobody-XXXXXX", program_folder[] = "/tmp/vmtape-program-XXXXXX", text[160];
	struct service_setup setup;
	struct record_run recorder;
	struct tape_reader *reader;
	struct fake_vm vm;
	struct stat st;
	bool cut_off;

	if (geteuid()) {
		printf("not root: the test's own user was used all along, and another one could NOT be tried\n");
		return;
	}
	copy_program(program_folder);
	CHECK(mkdtemp(folder));
	CHECK(!chown(folder, NOBODY, NOBODY));
	fake_vm_init(&vm, 2, 1024, true);
	CHECK(!chmod(vm.folder, 0711));
	fake_vm_start(&vm);
	setup = (struct service_setup){.folder = folder, .socket_path = vm.socket_path, .uid = NOBODY};
	setup.program_folder = program_folder;
	snprintf(text, sizeof(text), "%s: permission denied", vm.socket_path);
	CHECK(!chmod(vm.socket_path, 0600));
	service_run_start(&recorder, &setup, options);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 2, text);
	record_run_deinit(&recorder);

	CHECK(!chown(vm.socket_path, 0, NOBODY));
	CHECK(!chmod(vm.socket_path, 0660));
	service_run_start(&recorder, &setup, options);
	fake_vm_wait_started(&vm);
	for (unsigned i = 0; i < 50000; i++)
		CHECK(fake_vm_append(&vm, i % 2));
	record_run_expect_text(&recorder, "base snapshot taken");
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	CHECK(!stat(recorder.tape_path, &st));
	CHECK_INT(st.st_uid, NOBODY);
	CHECK_INT(st.st_mode & 07777, 0600);
	reader = record_run_open_tape(&recorder);
	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	CHECK(tape_reader_info(reader)->nr_records >= 50000);
	CHECK(tape_reader_info(reader)->nr_snapshots >= 1);
	tape_reader_close(reader);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
	CHECK(!rmdir(folder));
	snprintf(text, sizeof(text), "rm -r '%s'", program_folder);
	CHECK_INT(system(text), 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_journal();
	test_notify();
	test_evidence();
	test_unprivileged();
	return 0;
}
