/* SPDX-License-Identifier: MIT */
/* test_library.c - libvmtape through its public header, on a tape in a file. */
#include "vmtape.h"

#include <unistd.h>

#include "call_fixture.h"
#include "check.h"

static char path[] = "/tmp/vmtape-test-XXXXXX";

static void remove_file(void)
{
	unlink(path);
}

static void write_tape(void)
{
	struct fixture_record r = fixture_enter(20, 5, 6, 0);
	struct fixture_tape tape;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	atexit(remove_file);
	fixture_tape_init(&tape);
	r.args[0] = 3;
	fixture_tape_add(&tape, &r);
	r = fixture_exit(50, 5, 6, 0, -9);
	fixture_tape_add(&tape, &r);
	r = fixture_enter(60, 5, 6, 34);
	fixture_tape_add(&tape, &r);
	fixture_tape_finish(&tape, true);
	CHECK_INT(write(fd, tape.bytes, tape.size_bytes), tape.size_bytes);
	CHECK_INT(close(fd), 0);
	fixture_tape_deinit(&tape);
}

static void check_error(struct vmtape_error *error, const char *part)
{
	CHECK(error);
	CHECK(strstr(vmtape_error_message(error), part));
	vmtape_error_free(error);
}

int main(void)
{
	const struct vmtape_call *call;
	struct vmtape_tape *tape = NULL;
	struct vmtape_calls *calls = NULL;

	write_tape();
	CHECK(strchr(vmtape_version(), '.'));
	check_error(vmtape_open(&tape, "/nonexistent/tape.vmt"), "/nonexistent/tape.vmt");
	CHECK(!vmtape_open(&tape, path));
	CHECK_INT(vmtape_nr_records(tape), 3);
	CHECK_INT(vmtape_start_ns(tape), FIXTURE_TIME_NS + 20);
	CHECK(!vmtape_guest_banner(tape) && !vmtape_guest_release(tape) && vmtape_guest_problem(tape));

	check_error(vmtape_calls_create(&calls, tape, "proc.pid ="), "column 11");
	CHECK(!vmtape_calls_create(&calls, tape, "proc.pid = 5"));
	CHECK(!vmtape_calls_next(calls, &call) && call);
	CHECK_INT(call->nr, 0);
	CHECK(!call->name);
	CHECK_STR(call->abi, "x86_64");
	CHECK_INT(call->state, VMTAPE_CALL_COMPLETE);
	CHECK_INT(call->pid, 5);
	CHECK_INT(call->tid, 6);
	CHECK_INT(call->time_ns, FIXTURE_TIME_NS + 20);
	CHECK_INT(call->duration_ns, 30);
	CHECK(call->ret_known && call->ret == -9);
	CHECK(strstr(call->ret_text, "-"));
	CHECK(call->nr_args >= 1 && call->args[0].value == 3 && call->args[0].name && call->args[0].text);
	CHECK(!vmtape_calls_next(calls, &call) && call);
	CHECK_INT(call->state, VMTAPE_CALL_OPEN);
	CHECK(!call->ret_known);
	CHECK_STR(call->ret_text, "?");
	CHECK(!vmtape_calls_next(calls, &call) && !call);
	CHECK_INT(vmtape_calls_lost(calls), 0);
	vmtape_calls_destroy(calls);
	vmtape_calls_destroy(NULL);
	vmtape_close(tape);
	vmtape_close(NULL);
	vmtape_error_free(NULL);
	return 0;
}
