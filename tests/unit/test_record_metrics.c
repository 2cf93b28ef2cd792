/* SPDX-License-Identifier: MIT */
/*
 * test_record_metrics.c - figures for Prometheus: the text by its own rules,
 * names from strangers escaped, from a file and over a socket, with clients
 * that do their worst while a guest is recorded without loss.
 */
#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "metrics.h"
#include "pause.h"
#include "record_run.h"
#include "socket_client.h"

#define NR_RECORDS 20000u

/* ---- the text format ------------------------------------------------- */

static size_t name_bytes(const char *text)
{
	size_t n = 0;

	while (isalnum((unsigned char)text[n]) || text[n] == '_' || text[n] == ':')
		n++;
	return n;
}

/* The value of a label, unescaped; returns what is behind the closing brace. */
static const char *parse_label(const char *text, char *value)
{
	CHECK(!strncmp(text, "{vm=\"", 5));
	text += 5;
	while (*text != '"') {
		CHECK(*text && *text != '\n');
		if (*text == '\\') {
			text++;
			CHECK(*text == '\\' || *text == '"' || *text == 'n');
			*value++ = *text == 'n' ? '\n' : *text;
			text++;
		} else {
			*value++ = *text++;
		}
	}
	*value = '\0';
	CHECK(text[1] == '}');
	return text + 2;
}

/*
 * Reads all of the text as a scraper does, and fails at whatever breaks the
 * format; returns the value of one figure. Each must have its HELP and TYPE
 * right before it, and counters end with _total.
 */
static double metric(const char *text, const char *wanted, const char *vm_name)
{
	char help[128] = "", type[128] = "", kind[16], name[128], label[128];
	double found = -1;
	unsigned n = 0;

	while (*text) {
		const char *end = strchr(text, '\n');

		CHECK(end);
		if (!strncmp(text, "# HELP ", 7)) {
			CHECK_INT(sscanf(text, "# HELP %127s", help), 1);
		} else if (!strncmp(text, "# TYPE ", 7)) {
			CHECK_INT(sscanf(text, "# TYPE %127s %15s", type, kind), 2);
			CHECK_STR(type, help);
			CHECK(!strcmp(kind, "gauge") || !strcmp(kind, "counter"));
			CHECK_INT(!strcmp(kind, "counter"),
				  strlen(type) > 6 && !strcmp(type + strlen(type) - 6, "_total"));
		} else {
			size_t size = name_bytes(text);
			const char *value;
			char *behind;

			CHECK(size && size < sizeof(name));
			memcpy(name, text, size);
			name[size] = '\0';
			CHECK_STR(name, type);
			CHECK(!strncmp(name, "vmtape_", 7));
			value = parse_label(text + size, label);
			CHECK_STR(label, vm_name);
			CHECK(*value == ' ');
			if (!strcmp(name + 7, wanted))
				found = strtod(value, &behind);
			else
				strtod(value, &behind);
			CHECK(behind == end);
			help[0] = type[0] = '\0';
			n++;
		}
		text = end + 1;
	}
	CHECK(n > 20);
	if (found < 0)
		fprintf(stderr, "no figure %s\n", wanted);
	CHECK(found >= 0);
	return found;
}

static void test_text(void)
{
	static const char vile[] = "a\"b\\c\nd} 1\n# TYPE evil counter";
	struct metrics_values values = {
		.vm_name = vile,
		.is_up = true,
		.start_time_s = 1700000000.25,
		.nr_vcpus = 4,
		.lost_records = 18446744073709551615u,
		.last_pause_ns = 1234567,
		.all_pauses_ns = 3000000001,
		.matches = 4711,
		.watch_starts = 2,
	};
	char long_name[600], *text;
	size_t size_bytes;

	values.tape.traps.events = 9007199254740993; /* no double */
	values.rings.fill_percent = 37;
	text = metrics_text(&values, &size_bytes);
	CHECK(text);
	CHECK_INT(size_bytes, strlen(text));
	CHECK(metric(text, "up", vile) == 1);
	CHECK(metric(text, "start_time_seconds", vile) == 1700000000.25);
	CHECK(metric(text, "ring_fill_ratio", vile) > 0.369 && metric(text, "ring_fill_ratio", vile) < 0.371);
	CHECK(metric(text, "snapshot_pause_last_seconds", vile) == 0.001234567);
	CHECK(metric(text, "snapshot_pause_seconds_total", vile) == 3.000000001);
	CHECK(metric(text, "trigger_matches_total", vile) == 4711);
	CHECK(metric(text, "trigger_watch_starts_total", vile) == 2);
	CHECK(strstr(text, " 9007199254740993\n"));
	CHECK(strstr(text, " 18446744073709551615\n"));
	free(text);

	memset(long_name, '"', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	values.vm_name = long_name;
	text = metrics_text(&values, &size_bytes);
	CHECK(text && strstr(text, "\\\"\"} "));
	free(text);
}

static void test_requests(void)
{
	CHECK_INT(metrics_measure_request("GET / HTTP/1.1\r\nHost: x\r\n\r\nmore", 31), 27);
	CHECK_INT(metrics_measure_request("GET /\n\n", 7), 7);
	CHECK_INT(metrics_measure_request("GET / HTTP/1.1\r\nHost: x\r\n", 25), 0);
	CHECK_INT(metrics_measure_request("\r\n", 2), 0);
	CHECK_INT(metrics_measure_request("\n", 1), 0);
	CHECK_INT(metrics_measure_request("", 0), 0);
}

/* ---- a recording ----------------------------------------------------- */

static char *read_file(const char *path)
{
	char *text = calloc(1, 65536);
	int fd = open(path, O_RDONLY);

	CHECK(text);
	CHECK(fd >= 0);
	CHECK(read(fd, text, 65535) > 0);
	close(fd);
	return text;
}

static char *scrape(const char *path)
{
	char *answer = socket_client_ask(path, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
	char *body = strstr(answer, "\r\n\r\n");
	size_t size_bytes = 0;

	CHECK(!strncmp(answer, "HTTP/1.0 200 OK\r\n", 17));
	CHECK(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
	CHECK(body);
	CHECK_INT(sscanf(strstr(answer, "Content-Length:"), "Content-Length: %zu", &size_bytes), 1);
	memmove(answer, body + 4, strlen(body + 4) + 1);
	CHECK_INT(strlen(answer), size_bytes);
	return answer;
}

static void append_records(struct fake_vm *vm)
{
	for (unsigned i = 0; i < NR_RECORDS; i++)
		CHECK(fake_vm_append(vm, i % 2));
}

/* Until the file shows that all has been recorded; a tick is a second. */
static void wait_events(char *(*get)(const char *path), const char *path, double events)
{
	for (unsigned i = 0; i < 400; i++) {
		char *text = get(path);
		/* No name yet: it has not begun. */
		double have = strstr(text, "{vm=\"\"}") ? 0 : metric(text, "events_total", "fake?[31m");

		free(text);
		if (have == events)
			return;
		CHECK(have < events);
		pause_ms(50);
	}
	fprintf(stderr, "%s never showed %.0f events\n", path, events);
	CHECK(false);
}

static void into_file(void)
{
	double pauses;
	struct record_run recorder;
	struct fake_vm vm;
	char path[128], temp[160], *text;
	struct stat st;

	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	snprintf(path, sizeof(path), "%s/vmtape.prom", vm.folder);
	snprintf(temp, sizeof(temp), "%s.tmp", path);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--metrics", path, "--on-full",
			 "block", NULL);
	fake_vm_wait_started(&vm);
	append_records(&vm);
	wait_events(read_file, path, NR_RECORDS);
	text = read_file(path);
	CHECK(metric(text, "up", "fake?[31m") == 1);
	CHECK(metric(text, "vcpus", "fake?[31m") == 2);
	CHECK(metric(text, "lost_records_total", "fake?[31m") == 0);
	CHECK(metric(text, "snapshots_total", "fake?[31m") >= 1);
	CHECK(metric(text, "pages_total", "fake?[31m") >= 1024);
	/* The VM's pauses are of 1 ms; the base has two, the increments one. */
	pauses = metric(text, "snapshot_pause_last_seconds", "fake?[31m") / 0.001;
	CHECK(pauses == 1 || pauses == 2);
	CHECK(metric(text, "record_raw_bytes_total", "fake?[31m") > 50.0 * NR_RECORDS);
	CHECK(metric(text, "tape_bytes", "fake?[31m") > metric(text, "record_stored_bytes_total", "fake?[31m"));
	free(text);
	CHECK(!stat(path, &st));
	CHECK(st.st_mode & 0004);
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, "none lost");
	text = read_file(path);
	CHECK(metric(text, "up", "fake?[31m") == 0);
	CHECK(metric(text, "events_total", "fake?[31m") == NR_RECORDS);
	free(text);
	CHECK(access(temp, F_OK) < 0);
	unlink(path);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* A file that cannot be written is found before the VM is touched; later it does not end the recording. */
static void bad_targets(void)
{
	struct record_run recorder;
	struct fake_vm vm;
	char folder[128], path[160], target[200];

	fake_vm_init(&vm, 2, 256, true);
	fake_vm_start(&vm);
	snprintf(folder, sizeof(folder), "%s/gone", vm.folder);
	snprintf(path, sizeof(path), "%s/x.prom", folder);
	snprintf(target, sizeof(target), "unix:%s", path);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--metrics", path, NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "metrics cannot be written: No such file");
	record_run_deinit(&recorder);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--metrics", target, NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "cannot be made a socket: No such file");
	record_run_deinit(&recorder);
	CHECK_INT(fake_vm_count(&vm, &vm.nr_clients), 0);

	CHECK(!mkdir(folder, 0700));
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--metrics", path, NULL);
	record_run_expect_text(&recorder, "base snapshot taken");
	unlink(path);
	CHECK(!rmdir(folder));
	record_run_expect_text(&recorder, "metrics cannot be written, recording goes on");
	CHECK(!mkdir(folder, 0700));
	record_run_expect_text(&recorder, "metrics are written again");
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, NULL);
	record_run_deinit(&recorder);
	/* What is no socket is not removed. */
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--metrics", target, NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "is there already, and is no socket");
	record_run_deinit(&recorder);
	CHECK(!access(path, F_OK));
	unlink(path);
	CHECK(!rmdir(folder));
	fake_vm_deinit(&vm);
}

/* ---- clients that do their worst ------------------------------------- */

struct guest {
	struct fake_vm *vm;
	atomic_bool ending;
	pthread_t thread;
};

static void *run_guest(void *arg)
{
	struct guest *guest = arg;

	while (!atomic_load(&guest->ending)) {
		for (unsigned i = 0; i < 500; i++)
			fake_vm_append(guest->vm, i % 2);
		pause_ms(1);
	}
	return NULL;
}

static void check_answer(const char *path, const char *request, const char *begin)
{
	char *answer = socket_client_ask(path, request);

	if (strncmp(answer, begin, strlen(begin)))
		fprintf(stderr, "to \"%.40s\" came \"%.200s\"\n", request, answer);
	CHECK(!strncmp(answer, begin, strlen(begin)));
	free(answer);
}

static void over_socket(void)
{
	enum { NR_SILENT = 30 };
	static char flood[1 << 20];
	struct record_run recorder;
	char path[128], target[160], *text;
	int silent[NR_SILENT], greedy;
	struct guest guest;
	struct fake_vm vm;
	struct stat st;
	double before;

	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	snprintf(path, sizeof(path), "%s/metrics.sock", vm.folder);
	snprintf(target, sizeof(target), "unix:%s", path);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--metrics", target, "--on-full",
			 "block", "--block-limit", "60s", NULL);
	fake_vm_wait_started(&vm);
	append_records(&vm);
	wait_events(scrape, path, NR_RECORDS);
	CHECK(!stat(path, &st));
	CHECK_INT(st.st_mode & 0777, 0660);
	guest = (struct guest){.vm = &vm};
	CHECK(!pthread_create(&guest.thread, NULL, run_guest, &guest));

	check_answer(path, "GET /\n\n", "HTTP/1.0 200 OK\r\n");
	check_answer(path, "HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.0 200 OK\r\n");
	check_answer(path, "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 405 ");
	check_answer(path, "\n\n", "HTTP/1.0 405 ");
	check_answer(path, "\x16\x03\x01\x02\xff\r\n\r\n", "HTTP/1.0 405 ");

	for (int i = 0; i < NR_SILENT; i++) {
		silent[i] = socket_client_connect(path);
		if (i % 2)
			socket_client_send(silent[i], "GET / HTTP/1.1\r\nX-Slow: ", 24);
	}
	memset(flood, 'A', sizeof(flood));
	greedy = socket_client_connect(path);
	socket_client_send(greedy, flood, sizeof(flood));
	text = scrape(path);
	before = metric(text, "events_total", "fake?[31m");
	free(text);
	/* Answers that nobody fetches. */
	for (int i = 0; i < 20; i++) {
		int fd = socket_client_connect(path);

		socket_client_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
		close(fd);
	}
	for (unsigned i = 0; i < 200; i++) {
		text = scrape(path);
		if (metric(text, "events_total", "fake?[31m") > before)
			break;
		free(text);
		text = NULL;
		pause_ms(50);
	}
	CHECK(text);
	free(text);
	/* The silent ones are sent away in the end. */
	text = socket_client_read(silent[NR_SILENT - 1], 0);
	CHECK_STR(text, "");
	free(text);
	for (int i = 0; i < NR_SILENT; i++)
		close(silent[i]);
	close(greedy);
	atomic_store(&guest.ending, true);
	pthread_join(guest.thread, NULL);

	/* A killed recorder's socket is no obstacle for the next one. */
	kill(recorder.pid, SIGKILL);
	record_run_wait(&recorder, 20);
	fake_vm_wait_stopped(&vm);
	record_run_deinit(&recorder);
	CHECK(!access(path, F_OK));
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--metrics", target, NULL);
	text = scrape(path);
	CHECK(metric(text, "up", "fake?[31m") == 1);
	free(text);
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 0, "none lost");
	CHECK(access(path, F_OK) < 0);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_text();
	test_requests();
	into_file();
	bad_targets();
	over_socket();
	return 0;
}
