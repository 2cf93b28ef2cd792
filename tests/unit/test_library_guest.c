/* SPDX-License-Identifier: MIT */
/*
 * test_library_guest.c - libvmtape on a guest that is known: memory at the time
 * of a call, registers, raw traps, processes, copies, hooks.
 */
#include <string.h>
#include <unistd.h>

#include "call_fixture.h"
#include "check.h"
#include "guest_tape.h"
#include "linux_guest_fixture.h"
#include "vmtape.h"

#define OK(error)                                                                                           \
	do {                                                                                                \
		struct vmtape_error *ok_error = (error);                                                    \
		if (ok_error) {                                                                             \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, vmtape_error_message(ok_error)); \
			exit(1);                                                                            \
		}                                                                                           \
	} while (0)

static char path[] = "/tmp/vmtape-test-XXXXXX";

static void remove_file(void)
{
	unlink(path);
}

static void refuse(struct vmtape_error *error)
{
	CHECK(error && vmtape_error_message(error)[0]);
	vmtape_error_free(error);
}

static void test_snapshots(struct vmtape_tape *tape)
{
	struct vmtape_snapshot info;
	uint64_t value;

	CHECK_INT(vmtape_nr_snapshots(tape), 1);
	CHECK(vmtape_snapshot_info(tape, 0, &info) && !vmtape_snapshot_info(tape, 1, &info));
	CHECK(vmtape_snapshot_info(tape, 0, &info));
	CHECK_INT(info.tsc, GUEST_TAPE_TSC);
	CHECK_INT(info.time_ns, FIXTURE_TIME_NS + GUEST_TAPE_TSC);
	CHECK_INT(info.ram_bytes, FIXTURE_RAM_BYTES);
	CHECK(info.base && info.nr_vcpus == 1);
	CHECK_INT(vmtape_snapshot_at(tape, GUEST_TAPE_TSC - 1), -1);
	CHECK_INT(vmtape_snapshot_at(tape, VMTAPE_END), 0);
	CHECK(vmtape_snapshot_register(tape, 0, 0, "cr3", &value) && value == FIXTURE_PGD_GPA);
	CHECK(vmtape_snapshot_register(tape, 0, 0, "lstar", &value) && value == FIXTURE_LSTAR);
	CHECK(!vmtape_snapshot_register(tape, 0, 1, "cr3", &value));
	CHECK(!vmtape_snapshot_register(tape, 0, 0, "eax", &value));
	CHECK_STR(vmtape_register_name(0), "rax");
	CHECK_STR(vmtape_register_name(VCPU_APIC_ID), "apic_id");
	CHECK(!vmtape_register_name(VCPU_REGS));
}

static void test_memory(struct vmtape_tape *tape)
{
	struct vmtape_read r;
	char text[8192];

	OK(vmtape_read_physical(tape, VMTAPE_END, GUEST_TAPE_PAGE, text, 12, &r));
	CHECK(!r.why && r.size_bytes == 12 && !r.captured_bytes && r.snapshot == 0);
	CHECK_INT(r.snapshot_ns, FIXTURE_TIME_NS + GUEST_TAPE_TSC);
	CHECK_STR(text, "/etc/passwd");
	OK(vmtape_read_physical(tape, GUEST_TAPE_TSC - 1, GUEST_TAPE_PAGE, text, 12, &r));
	CHECK(!r.size_bytes && strstr(r.why, "no snapshot") && r.snapshot == -1);
	/* The last page, and what is behind RAM. */
	OK(vmtape_read_physical(tape, VMTAPE_END, FIXTURE_RAM_BYTES - 10, text, 20, &r));
	CHECK(r.size_bytes == 10 && strstr(r.why, "not recorded"));
	OK(vmtape_read_physical(tape, VMTAPE_END, UINT64_MAX - 3, text, 20, &r));
	CHECK(!r.size_bytes && r.why);

	OK(vmtape_read_virtual(tape, VMTAPE_END, FIXTURE_PGD_GPA | 3, GUEST_TAPE_PATH, text, sizeof(text), &r));
	CHECK_INT(r.size_bytes, 4096);
	CHECK(strstr(r.why, "not mapped"));
	OK(vmtape_read_virtual(tape, VMTAPE_END, FIXTURE_PGD_GPA, 1ull << 62, text, 1, &r));
	CHECK(!r.size_bytes && r.why);

	OK(vmtape_read_process(tape, VMTAPE_END, 100, GUEST_TAPE_BUFFER, text, 16, &r));
	CHECK(!r.why && r.size_bytes == 16);
	CHECK_STR(text, "before the read");
	OK(vmtape_read_process(tape, VMTAPE_END, 200, GUEST_TAPE_BUFFER, text, 16, &r));
	CHECK(!r.size_bytes && strstr(r.why, "does not know the process"));
}

static void check_read(const struct vmtape_call *call, enum vmtape_direction when, const char *expected,
		       size_t captured)
{
	struct vmtape_read r;
	char text[17] = "";

	OK(vmtape_call_read(call, when, GUEST_TAPE_BUFFER, text, 16, &r));
	CHECK(!r.why && r.size_bytes == 16 && r.snapshot == 0);
	CHECK_STR(text, expected);
	CHECK_INT(r.captured_bytes, captured);
}

/* In turn: openat, read, stat of app; openat of cat, which no snapshot knows. */
static void test_call_memory(struct vmtape_tape *tape)
{
	const struct vmtape_call *call;
	struct vmtape_call *copies[GUEST_TAPE_CALLS];
	struct vmtape_calls *calls;
	struct vmtape_read r;
	char text[64];
	unsigned n = 0;

	OK(vmtape_calls_create(&calls, tape, NULL));
	for (;;) {
		OK(vmtape_calls_next(calls, &call));
		if (!call)
			break;
		CHECK(n < GUEST_TAPE_CALLS);
		copies[n] = vmtape_call_copy(call);
		CHECK(copies[n++]);
	}
	vmtape_calls_destroy(calls);
	CHECK_INT(n, GUEST_TAPE_CALLS);

	CHECK_STR(copies[0]->name, "openat");
	CHECK_STR(copies[0]->process, "app");
	CHECK_STR(copies[0]->args[1].name, "filename");
	CHECK_STR(copies[0]->args[1].text, "\"/etc/passwd\"");
	CHECK_INT(copies[0]->args[0].number, -100);
	/* The path's NUL was seen, too; what follows is the snapshot's. */
	OK(vmtape_call_read(copies[0], VMTAPE_ENTER, GUEST_TAPE_PATH, text, 20, &r));
	CHECK(!r.why && r.size_bytes == 20 && r.captured_bytes == 12);
	OK(vmtape_call_read_string(copies[0], VMTAPE_ENTER, GUEST_TAPE_PATH, text, sizeof(text), &r));
	CHECK(!r.why && r.size_bytes == 11 && r.captured_bytes == 11 && !memcmp(text, "/etc/passwd", 11));
	OK(vmtape_call_read_string(copies[0], VMTAPE_ENTER, GUEST_TAPE_PATH + 5, text, 3, &r));
	CHECK(r.why && r.size_bytes == 3);

	CHECK_STR(copies[1]->name, "read");
	check_read(copies[1], VMTAPE_ENTER, "before the read", 0);
	check_read(copies[1], VMTAPE_EXIT, "root:x:0he read", 8);
	/* A read that begins before what was captured. */
	OK(vmtape_call_read(copies[1], VMTAPE_EXIT, GUEST_TAPE_BUFFER - 4, text, 16, &r));
	CHECK(r.captured_bytes == 8 && !memcmp(text + 4, "root:x:0he r", 12));

	CHECK_INT(copies[2]->tid, 101);
	CHECK_STR(copies[2]->error_name, "ENOENT");
	OK(vmtape_call_read_string(copies[2], VMTAPE_EXIT, GUEST_TAPE_NEXT, text, sizeof(text), &r));
	CHECK(!r.why && r.size_bytes == 8);

	CHECK_STR(copies[3]->process, "cat");
	OK(vmtape_call_read(copies[3], VMTAPE_ENTER, copies[3]->args[1].value, text, 20, &r));
	CHECK(r.size_bytes == 12 && strstr(r.why, "does not know this address space"));
	CHECK(!copies[4]->name && copies[4]->nr == 999);
	CHECK_INT(copies[5]->state, VMTAPE_CALL_OPEN);
	for (unsigned i = 0; i < n; i++)
		vmtape_call_free(copies[i]);
	vmtape_call_free(NULL);
}

static void test_traps(struct vmtape_tape *tape)
{
	struct vmtape_span span = {.filter = "evt.dir = < and proc.name = app"};
	const struct vmtape_trap *trap;
	struct vmtape_traps *traps;
	uint64_t value;
	unsigned n = 0;

	OK(vmtape_traps_create(&traps, tape, NULL));
	for (;; n++) {
		OK(vmtape_traps_next(traps, &trap));
		if (!trap)
			break;
		CHECK(n != 0 || (!strcmp(trap->type, "enter") && !strcmp(trap->name, "openat") &&
				 trap->nr_fragments == 1 && trap->fragments[0].whole &&
				 trap->fragments[0].size_bytes == 11 && vmtape_trap_register(trap, "rax", &value) &&
				 value == 257 && !vmtape_trap_register(trap, "rbx", &value)));
		CHECK(n != 6 || !strcmp(trap->type, "identity"));
	}
	CHECK_INT(n, 12);
	vmtape_traps_destroy(traps);

	OK(vmtape_traps_create(&traps, tape, &span));
	for (n = 0;; n++) {
		OK(vmtape_traps_next(traps, &trap));
		if (!trap)
			break;
		CHECK_STR(trap->type, "exit");
	}
	/* Its other thread has a name of its own. */
	CHECK_INT(n, 2);
	vmtape_traps_destroy(traps);

	span = (struct vmtape_span){.from_tsc = 3000, .to_tsc = 5000};
	OK(vmtape_traps_create(&traps, tape, &span));
	for (n = 0;; n++) {
		OK(vmtape_traps_next(traps, &trap));
		if (!trap)
			break;
	}
	CHECK_INT(n, 2);
	vmtape_traps_destroy(traps);
	span.filter = "nonsense";
	refuse(vmtape_traps_create(&traps, tape, &span));
}

static void test_processes(struct vmtape_tape *tape)
{
	struct vmtape_processes *processes;
	const struct vmtape_process *p, *app = NULL, *cat = NULL;

	OK(vmtape_processes_create(&processes, tape, VMTAPE_END));
	for (size_t i = 0; (p = vmtape_processes_get(processes, i)); i++) {
		CHECK(i < vmtape_processes_count(processes));
		app = p->pid == 100 ? p : app;
		cat = p->pid == 200 ? p : cat;
	}
	CHECK(app && cat);
	CHECK_STR(app->name, "app");
	CHECK_INT(app->nr_threads, 2);
	CHECK_INT(app->uid, 1100);
	CHECK(app->exe && !app->kernel_thread);
	CHECK_STR(cat->name, "cat");
	vmtape_processes_destroy(processes);
}

/* ---- hooks ----------------------------------------------------------- */

static char seen[512];

static int note(void *ctx, struct vmtape_event *event)
{
	size_t length = strlen(seen);

	snprintf(seen + length, sizeof(seen) - length, "%s%s%s ", (const char *)ctx,
		 event->direction == VMTAPE_ENTER ? ">" : "<", event->call->name ? event->call->name : "?");
	CHECK_STR(event->trap->type, event->direction == VMTAPE_ENTER ? "enter" : "exit");
	return VMTAPE_HOOK_GO_ON;
}

static int stop(void *ctx, struct vmtape_event *event)
{
	return VMTAPE_HOOK_STOP;
}

static int fail(void *ctx, struct vmtape_event *event)
{
	return VMTAPE_HOOK_FAILED;
}

static int put(void *ctx, struct vmtape_event *event)
{
	CHECK(event->direction == VMTAPE_EXIT || !vmtape_event_hook(event));
	CHECK(vmtape_event_put_text(event, "path", "a\"b\x01"));
	CHECK(vmtape_event_put_number(event, "n", event->direction == VMTAPE_ENTER ? 1 : -2));
	CHECK_STR(vmtape_event_hook(event), event->direction == VMTAPE_ENTER
						    ? "{\"path\": \"a\\\"b\\u0001\", \"n\": 1}"
						    : "{\"path\": \"a\\\"b\\u0001\", \"n\": -2}");
	return VMTAPE_HOOK_GO_ON;
}

static void expect(struct vmtape_tape *tape, struct vmtape_hooks *hooks, const struct vmtape_span *span,
		   const char *expected)
{
	seen[0] = '\0';
	OK(vmtape_hooks_run(hooks, tape, span));
	CHECK_STR(seen, expected);
}

static void test_hooks(struct vmtape_tape *tape)
{
	struct vmtape_span span = {.filter = "proc.name = cat"};
	struct vmtape_hooks *hooks;

	OK(vmtape_hooks_create(&hooks));
	expect(tape, hooks, NULL, "");
	OK(vmtape_hooks_add(hooks, VMTAPE_ENTER, "openat", note, ""));
	expect(tape, hooks, NULL, ">openat >openat ");
	OK(vmtape_hooks_add(hooks, VMTAPE_EXIT, "[or]*", note, "p"));
	expect(tape, hooks, NULL, ">openat p<openat p<read >openat p<openat ");
	OK(vmtape_hooks_add(hooks, VMTAPE_ENTER, "*", note, "a"));
	expect(tape, hooks, &span, ">openat a>openat p<openat a>? ");
	OK(vmtape_hooks_add(hooks, VMTAPE_ENTER, "stat", put, ""));
	OK(vmtape_hooks_add(hooks, VMTAPE_EXIT, "stat", put, ""));
	OK(vmtape_hooks_add(hooks, VMTAPE_EXIT, "read", fail, ""));
	OK(vmtape_hooks_run(hooks, tape, NULL));
	CHECK_INT(vmtape_hooks_failed(hooks), 1);
	OK(vmtape_hooks_add(hooks, VMTAPE_ENTER, "read", stop, ""));
	expect(tape, hooks, NULL, ">openat a>openat p<openat a>read p<read ");
	span.filter = "proc.pid =";
	refuse(vmtape_hooks_run(hooks, tape, &span));
	vmtape_hooks_destroy(hooks);
	vmtape_hooks_destroy(NULL);
}

int main(void)
{
	struct vmtape_span span = {0};
	struct vmtape_tape *tape;
	struct vmtape_calls *calls;
	const struct vmtape_call *call;
	uint64_t tsc;

	CHECK(mkstemp(path) >= 0);
	atexit(remove_file);
	guest_tape_write(path);
	OK(vmtape_open(&tape, path));
	CHECK_STR(vmtape_guest_release(tape), "6.66.0-test");
	test_snapshots(tape);
	test_memory(tape);
	test_call_memory(tape);
	test_traps(tape);
	test_processes(tape);
	test_hooks(tape);

	CHECK(vmtape_tsc_at(tape, FIXTURE_TIME_NS + 6000, &tsc) && tsc == 6000);
	OK(vmtape_parse_time(tape, "+0.000004", &tsc));
	CHECK_INT(tsc, 6000);
	refuse(vmtape_parse_time(tape, "soon", &tsc));
	span.from_tsc = 6000;
	OK(vmtape_calls_create_span(&calls, tape, &span));
	OK(vmtape_calls_next(calls, &call));
	CHECK_STR(call->name, "stat");
	vmtape_calls_destroy(calls);
	vmtape_close(tape);
	return 0;
}
