/* SPDX-License-Identifier: MIT */
/*
 * test_record_follow.c - `vmtape events --follow` on a tape that the real
 * recorder is writing: the same lines as reading it afterwards, of an append
 * tape, a series, and a ring, of which a slow reader loses what it tells of. And
 * --trigger-when, with a VM whose calls have no names.
 */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "service_run.h"

#define MAX_TAPES 16
/* Slots of a ring that are overwritten while a reader sleeps: more than it has; a sanitizer makes it slow. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLEPT_SLOTS 10
#define LEAST_LINES 1000
#else
#define SLEPT_SLOTS 20
#define LEAST_LINES 10000
#endif

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* ---- a guest --------------------------------------------------------- */

struct guest {
	struct fake_vm *vm;
	atomic_bool ending;
	unsigned burst, pause_ms;
	pthread_t thread;
};

/* The second vCPU makes one call in a hundred, so that the first must wait for what it may have. */
static void *run_guest(void *arg)
{
	struct guest *guest = arg;
	unsigned n = 0;

	while (!atomic_load(&guest->ending)) {
		for (unsigned i = 0; i < guest->burst; i++, n++) {
			if (atomic_load(&guest->vm->trapping))
				fake_vm_append(guest->vm, n % 100 == 0);
			if (n % 64 == 0)
				fake_vm_write(guest->vm, n / 64 % guest->vm->ram_pages, n % 4096, (uint8_t)n);
		}
		pause_ms(guest->pause_ms);
	}
	return NULL;
}

static void guest_start(struct guest *guest, struct fake_vm *vm, unsigned burst, unsigned pause)
{
	*guest = (struct guest){.vm = vm, .burst = burst, .pause_ms = pause};
	CHECK(!pthread_create(&guest->thread, NULL, run_guest, guest));
}

static void guest_stop(struct guest *guest)
{
	atomic_store(&guest->ending, true);
	pthread_join(guest->thread, NULL);
}

/* ---- the analyzer ---------------------------------------------------- */

struct output {
	char path[160];
	pid_t pid;
	char *text;
	char **lines;
	size_t nr_lines;
};

static void output_start(struct output *out, const char *folder, const char *name, ...)
{
	char *argv[16] = {(char *)VMTAPE_PATH, "events", "--assume-linux"};
	va_list more;
	int n = 3;

	*out = (struct output){0};
	snprintf(out->path, sizeof(out->path), "%s/%s", folder, name);
	va_start(more, name);
	while ((argv[n] = va_arg(more, char *)))
		CHECK(++n < 15);
	va_end(more);
	fflush(NULL);
	out->pid = fork();
	CHECK(out->pid >= 0);
	if (out->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open(out->path, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
}

static int output_wait(struct output *out)
{
	int status;

	CHECK_INT(waitpid(out->pid, &status, 0), out->pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void output_read(struct output *out)
{
	struct stat st;
	int fd = open(out->path, O_RDONLY);
	size_t have = 0, room = 0;

	CHECK(fd >= 0 && !fstat(fd, &st));
	out->text = malloc((size_t)st.st_size + 1);
	CHECK(out->text);
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, out->text + have, (size_t)st.st_size - have);

		CHECK(n > 0);
		have += (size_t)n;
	}
	close(fd);
	out->text[have] = '\0';
	for (char *line = out->text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (out->nr_lines == room) {
			room = room ? room * 2 : 1024;
			out->lines = realloc(out->lines, room * sizeof(*out->lines));
			CHECK(out->lines);
		}
		out->lines[out->nr_lines++] = line;
	}
}

static void output_deinit(struct output *out)
{
	unlink(out->path);
	free(out->text);
	free(out->lines);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- the same lines -------------------------------------------------- */

static unsigned find_tapes(const char *folder, char paths[][200])
{
	char pattern[200];
	glob_t found;
	unsigned n;

	snprintf(pattern, sizeof(pattern), "%s/*.vmt", folder);
	CHECK_INT(glob(pattern, 0, NULL, &found), 0);
	CHECK(found.gl_pathc <= MAX_TAPES);
	for (n = 0; n < found.gl_pathc; n++)
		snprintf(paths[n], sizeof(paths[n]), "%s", found.gl_pathv[n]);
	globfree(&found);
	return n;
}

static void check_same(struct output *followed, const char *folder, char tapes[][200], unsigned nr_tapes)
{
	struct output after[MAX_TAPES];
	char **lines = NULL;
	size_t nr = 0;

	for (unsigned i = 0; i < nr_tapes; i++) {
		output_start(&after[i], folder, "after", tapes[i], NULL);
		CHECK_INT(output_wait(&after[i]), 0);
		output_read(&after[i]);
		lines = realloc(lines, (nr + after[i].nr_lines + 1) * sizeof(*lines));
		CHECK(lines);
		memcpy(lines + nr, after[i].lines, after[i].nr_lines * sizeof(*lines));
		nr += after[i].nr_lines;
	}
	qsort(lines, nr, sizeof(*lines), compare_lines);
	qsort(followed->lines, followed->nr_lines, sizeof(*followed->lines), compare_lines);
	for (size_t i = 0; i < nr && i < followed->nr_lines; i++)
		CHECK_STR(followed->lines[i], lines[i]);
	CHECK_INT(followed->nr_lines, nr);
	for (unsigned i = 0; i < nr_tapes; i++)
		output_deinit(&after[i]);
	free(lines);
}

static void remove_tapes(char tapes[][200], unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		unlink(tapes[i]);
}

/* Snapshots are left out: behind the last one that is there so far, times are by the TSC's rate alone. */
static void gives_the_same(const char *what, const char *option, const char *value, unsigned least_tapes)
{
	const char *const options[] = {"--plan",
				       "generic",
				       "--on-full",
				       "block",
				       "--block-limit",
				       "30s",
				       "--no-snapshots",
				       "--flush",
				       "300ms",
				       option,
				       value,
				       option ? "--rotate" : NULL,
				       NULL};
	char pattern[200], tapes[MAX_TAPES][200];
	struct record_run recorder;
	struct output followed;
	struct guest guest;
	struct fake_vm vm;
	struct service_setup setup = {.output = pattern};
	unsigned nr;

	fake_vm_init(&vm, 2, 512, true);
	fake_vm_start(&vm);
	snprintf(pattern, sizeof(pattern), "%s/%s", vm.folder, option ? "t-%Y%m%dT%H%M%SZ.vmt" : "t.vmt");
	setup.folder = vm.folder;
	setup.socket_path = vm.socket_path;
	service_run_start(&recorder, &setup, options);
	fake_vm_wait_started(&vm);
	record_run_expect_text(&recorder, "recording ");
	CHECK_INT(find_tapes(vm.folder, tapes), 1);
	output_start(&followed, vm.folder, "followed", "--follow", tapes[0], NULL);
	guest_start(&guest, &vm, 200, 5);
	pause_ms(6000);
	guest_stop(&guest);
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	CHECK_INT(output_wait(&followed), 0);
	fake_vm_end(&vm);
	output_read(&followed);
	nr = find_tapes(vm.folder, tapes);
	printf("%s: %zu lines of %u tapes\n", what, followed.nr_lines, nr);
	CHECK(nr >= least_tapes);
	CHECK(followed.nr_lines > LEAST_LINES);
	check_same(&followed, vm.folder, tapes, nr);
	output_deinit(&followed);
	remove_tapes(tapes, nr);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- a ring ---------------------------------------------------------- */

static uint64_t number_of(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	CHECK(at);
	return strtoull(at + strlen(key), NULL, 10);
}

/*
 * Each record of vCPU 1, in order, or a line that tells of it; of vCPU 0 only such
 * lines. Returns how many are told of only.
 */
static uint64_t check_account(const struct output *out, uint64_t next[2], unsigned nr_others)
{
	uint64_t lost = 0, others = 0;

	for (size_t i = 0; i < out->nr_lines; i++) {
		uint64_t vcpu = number_of(out->lines[i], "\"vcpu\": ");

		CHECK(vcpu < 2);
		if (strstr(out->lines[i], "\"lost_records\": ")) {
			uint64_t n = number_of(out->lines[i], "\"lost_records\": ");

			uint64_t first = number_of(out->lines[i], "\"first_seq\": ");

			CHECK(first >= next[vcpu]);
			others += vcpu ? first - next[vcpu] : 0;
			next[vcpu] = first + n;
			lost += n;
		} else {
			uint64_t seq = number_of(out->lines[i], "\"seq\": ");

			CHECK_INT(vcpu, 1);
			CHECK(seq >= next[1]);
			others += seq - next[1];
			next[1] = seq + 1;
		}
	}
	/* Marks and plan changes have numbers, too, but are no calls to match. */
	CHECK(others <= nr_others);
	return lost;
}

static void wait_overwritten(const char *path, uint64_t slots)
{
	for (unsigned i = 0; i < 4800; i++) {
		struct tape_reader *reader;
		uint64_t now = 0;

		if (!tape_reader_open(&reader, path, NULL)) {
			now = tape_reader_info(reader)->nr_overwritten;
			tape_reader_close(reader);
		}
		if (now >= slots)
			return;
		pause_ms(50);
	}
	CHECK(!"the ring goes round");
}

static void follows_ring(bool stopped)
{
	uint64_t next[2] = {0}, lost;
	struct record_run recorder;
	struct output followed;
	struct guest guest;
	struct fake_vm vm;

	fake_vm_init(&vm, 2, 512, true);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full", "block",
			 "--block-limit", "30s", "--ring-size", "32M", "--snapshot-interval", "300ms", NULL);
	fake_vm_wait_started(&vm);
	record_run_expect_text(&recorder, "recording ");
	output_start(&followed, vm.folder, "followed", "--follow", "--traps", "--format", "json", "-f", "evt.cpu = 1",
		     recorder.tape_path, NULL);
	guest_start(&guest, &vm, 500, stopped ? 1 : 10);
	if (stopped) {
		pause_ms(2000);
		kill(followed.pid, SIGSTOP);
	}
	wait_overwritten(recorder.tape_path, stopped ? SLEPT_SLOTS : 4);
	if (stopped)
		kill(followed.pid, SIGCONT);
	guest_stop(&guest);
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 60);
	record_run_check(&recorder, 0, "none lost");
	CHECK_INT(output_wait(&followed), 0);
	fake_vm_end(&vm);
	output_read(&followed);
	lost = check_account(&followed, next, vm.nr_rounds + vm.nr_plans);
	printf("ring%s: %zu lines, %" PRIu64 " records told of as lost\n", stopped ? ", and a reader that slept" : "",
	       followed.nr_lines, lost);
	CHECK(next[1] >= vm.rings[1].appended);
	CHECK(!stopped || lost > 10000);
	output_deinit(&followed);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- ends ------------------------------------------------------------ */

static void ends_well(void)
{
	struct record_run recorder;
	struct output out;
	struct guest guest;
	struct fake_vm vm;
	int pipe_fds[2], status;
	pid_t pid;

	fake_vm_init(&vm, 2, 512, true);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", NULL);
	fake_vm_wait_started(&vm);
	record_run_expect_text(&recorder, "recording ");
	guest_start(&guest, &vm, 10, 5);

	output_start(&out, vm.folder, "out", "--follow", "--count", "7", recorder.tape_path, NULL);
	CHECK_INT(output_wait(&out), 0);
	output_read(&out);
	CHECK_INT(out.nr_lines, 7);
	output_deinit(&out);

	output_start(&out, vm.folder, "out", "--follow", "-f", "evt.cpu = 77", recorder.tape_path, NULL);
	pause_ms(1000);
	kill(out.pid, SIGINT);
	CHECK_INT(output_wait(&out), 0);
	output_deinit(&out);

	/* Its reader goes away, though it has nothing to say. */
	CHECK(!pipe(pipe_fds));
	pid = fork();
	if (!pid) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		execl(VMTAPE_PATH, VMTAPE_PATH, "events", "--follow", "--assume-linux", "-f", "evt.cpu = 77",
		      recorder.tape_path, NULL);
		_exit(127);
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	guest_stop(&guest);
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 30);
	fake_vm_end(&vm);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* ---- a call as a trigger --------------------------------------------- */

/* The value of a figure in a file of metrics. */
static unsigned long figure(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[512];
	unsigned long value = 0;
	bool is_there = false;

	CHECK(file);
	while (!is_there && fgets(line, sizeof(line), file)) {
		is_there = !strncmp(line, name, strlen(name)) && line[strlen(name)] == '{';
		if (is_there)
			CHECK_INT(sscanf(strrchr(line, ' '), "%lu", &value), 1);
	}
	fclose(file);
	CHECK(is_there);
	return value;
}

static void fires_when(void)
{
	struct record_run recorder;
	char copies[220], metrics[220];
	struct fake_vm vm;
	glob_t found;

	fake_vm_init(&vm, 2, 512, true);
	fake_vm_start(&vm);
	snprintf(metrics, sizeof(metrics), "%s/metrics.prom", vm.folder);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--snapshot-interval", "100ms",
			 "--metrics", metrics, "--on-trigger", "copy", "--trigger-when", "evt.cpu = 1",
			 "--trigger-rest", "1s", NULL);
	fake_vm_wait_started(&vm);
	record_run_expect_text(&recorder, "recording ");
	for (unsigned i = 0; i < 60; i++) {
		fake_vm_append(&vm, 0);
		pause_ms(100);
	}
	for (unsigned i = 0; i < 10; i++)
		fake_vm_append(&vm, 1);
	record_run_expect_text(&recorder, "trigger: a call matched: ");
	record_run_expect_text(&recorder, ": the tape as it was");
	record_run_expect_text(&recorder, "more calls matched meanwhile");
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, "looking for them took");
	CHECK(strstr(recorder.text, "a call matched") &&
	      !strstr(strstr(recorder.text, "a call matched") + 1, "a call matched"));
	snprintf(copies, sizeof(copies), "%s/out-trigger-*.vmt", vm.folder);
	CHECK_INT(glob(copies, 0, NULL, &found), 0);
	CHECK_INT(found.gl_pathc, 1);
	unlink(found.gl_pathv[0]);
	globfree(&found);
	/* an entry and an exit each */
	CHECK_INT(figure(metrics, "vmtape_trigger_matches_total"), 5);
	CHECK_INT(figure(metrics, "vmtape_trigger_watch_starts_total"), 1);
	CHECK_INT(figure(metrics, "vmtape_triggers_total"), 1);
	unlink(metrics);
	fake_vm_end(&vm);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* The tape is changed between a trigger and its copy: what fired it is on a tape before, which is not kept. */
static void copies_all_tapes(const char *max_age, unsigned first_ms, unsigned least_copies)
{
	const char *const options[] = {"--plan", "generic",      "--rotate", "--max-age",       max_age, "--keep",
				       "1",      "--on-trigger", "copy",     "--trigger-after", "3s",    NULL};
	char pattern[200], tapes[MAX_TAPES][200];
	struct service_setup setup = {.output = pattern};
	struct record_run recorder;
	struct fake_vm vm;
	unsigned nr, nr_copies = 0, nr_with_call = 0;

	fake_vm_init(&vm, 1, 512, true);
	fake_vm_start(&vm);
	snprintf(pattern, sizeof(pattern), "%s/t-%%Y%%m%%dT%%H%%M%%SZ.vmt", vm.folder);
	setup.folder = vm.folder;
	setup.socket_path = vm.socket_path;
	service_run_start(&recorder, &setup, options);
	fake_vm_wait_started(&vm);
	record_run_expect_text(&recorder, "recording ");
	pause_ms(first_ms);
	fake_vm_append(&vm, 0);
	kill(recorder.pid, SIGUSR1);
	record_run_expect_text(&recorder, "recording goes on in");
	record_run_expect_text(&recorder, "the tape as it was");
	pause_ms(4000);
	service_run_stop(&recorder, SIGTERM, 0, "none lost");
	fake_vm_end(&vm);
	nr = find_tapes(vm.folder, tapes);
	for (unsigned i = 0; i < nr; i++)
		nr_copies += strstr(tapes[i], "-trigger-") != NULL;
	printf("tapes of %s: %u copies\n", max_age, nr_copies);
	CHECK(nr_copies >= least_copies);
	CHECK_INT(nr, nr_copies + 1);
	/* The copy of the first one has the call, as it was made before the change. */
	for (unsigned i = 0; i < nr; i++) {
		struct output out;

		if (!strstr(tapes[i], "-trigger-"))
			continue;
		output_start(&out, vm.folder, "out", tapes[i], NULL);
		output_wait(&out);
		output_read(&out);
		nr_with_call += out.nr_lines > 0;
		output_deinit(&out);
	}
	CHECK_INT(nr_with_call, 1);
	remove_tapes(tapes, nr);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Before the VM is touched. */
static void refuses_filter(void)
{
	struct record_run recorder;
	struct fake_vm vm;

	fake_vm_init(&vm, 1, 512, true);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--on-trigger", "freeze", "--trigger-when",
			 "proc.name = ", NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "--trigger-when: ");
	CHECK_INT(vm.nr_clients, 0);
	record_run_deinit(&recorder);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--trigger-when", "proc.name = cat", NULL);
	record_run_wait(&recorder, 20);
	record_run_check(&recorder, 2, "--trigger-when goes with --on-trigger only");
	record_run_deinit(&recorder);
	fake_vm_end(&vm);
	fake_vm_deinit(&vm);
}

/* An analyzer that dies again and again is no reason to stop. */
static void outlives_analyzer(void)
{
	static const char script[] = "#!/bin/sh\ncase \"$*\" in *--check*) exit 0;; esac\n"
				     "echo 'vmtape: it is broken' >&2; exit 2\n";
	struct record_run recorder;
	char path[160];
	struct fake_vm vm;
	int fd;

	fake_vm_init(&vm, 1, 512, true);
	fake_vm_start(&vm);
	snprintf(path, sizeof(path), "%s/broken", vm.folder);
	fd = open(path, O_WRONLY | O_CREAT, 0700);
	CHECK_INT(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	close(fd);
	setenv("VMTAPE", path, 1);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-trigger", "freeze",
			 "--trigger-when", "proc.name = cat", NULL);
	fake_vm_wait_started(&vm);
	fake_vm_append(&vm, 0);
	record_run_expect_text(&recorder, "vmtape ended with status 2: vmtape: it is broken; again in 1 s");
	record_run_expect_text(&recorder, "it is broken; again in 2 s");
	unsetenv("VMTAPE");
	kill(recorder.pid, SIGTERM);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, "none lost");
	unlink(path);
	fake_vm_end(&vm);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	gives_the_same("append", NULL, NULL, 1);
	gives_the_same("series", "--max-age", "2s", 3);
	follows_ring(false);
	follows_ring(true);
	ends_well();
	fires_when();
	copies_all_tapes("3s", 1500, 2);
	copies_all_tapes("1s", 300, 3);
	refuses_filter();
	outlives_analyzer();
	return 0;
}
