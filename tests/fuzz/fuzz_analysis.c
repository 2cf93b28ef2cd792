/* SPDX-License-Identifier: MIT */
/*
 * fuzz_analysis - a string of raw records, whatever they say: through process
 * table, pairing and decoding to every form of output. Records are cut out by
 * their size alone; those that the parser refuses are passed over.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/call_fixture.h"
#include "output/output.h"
#include "process_fds.h"
#include "processes.h"

#define MAX_OPEN 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct open_call {
	struct trap_view enter; /* into the input */
	struct call_thread thread;
};

struct analysis {
	struct session *session;
	struct pairing *pairing;
	struct processes *processes;
	struct call_thread thread;
	struct call_fds fds; /* of the record at hand */
	struct trap_view view;
	struct open_call open[MAX_OPEN]; /* by number, modulo */
	struct strbuf out;
};

static void show(struct analysis *a, enum call_state state, const struct trap_view *enter,
		 const struct trap_view *leave, const struct call_thread *thread)
{
	static const struct output_options options;
	struct call call;

	/* whatever the descriptors are of: they are put behind arguments of any number */
	strbuf_reset(&a->out);
	call_build(&call, a->session, state, enter, leave, thread, false);
	call.fds = &a->fds;
	call.show_fds = true;
	output_text_call(&a->out, &call, &options);
	output_json_call(&a->out, &call);
	/* One line each, whatever the guest put into its strings. */
	if (!a->out.failed) {
		const char *end = memchr(a->out.data, '\n', a->out.len);

		if (!end ||
		    memchr(end + 1, '\n', a->out.len - (size_t)(end + 1 - a->out.data)) != a->out.data + a->out.len - 1)
			abort();
	}
}

static void on_begin(void *ctx, uint64_t number, const struct trap_view *enter)
{
	struct analysis *a = ctx;

	a->open[number % MAX_OPEN] = (struct open_call){*enter, a->thread};
}

static void on_end(void *ctx, uint64_t number, const struct pairing_end *end)
{
	struct analysis *a = ctx;
	struct open_call *open = &a->open[number % MAX_OPEN];

	show(a, end->state, &open->enter, end->exit, &open->thread);
}

static void on_exit_only(void *ctx, uint64_t number, const struct trap_view *view)
{
	struct analysis *a = ctx;

	show(a, CALL_EXIT_ONLY, NULL, view, &a->thread);
}

static enum call_role on_role(void *ctx, uint8_t abi, uint32_t nr)
{
	struct analysis *a = ctx;

	return session_role(a->session, 0, abi, nr);
}

static void on_gone(void *ctx, uint64_t task)
{
	struct analysis *a = ctx;

	pairing_end_task(a->pairing, task);
}

static struct session *shared_session(void)
{
	static struct fixture_tape tape;
	static struct session *session;

	if (!session) {
		fixture_tape_init(&tape);
		fixture_tape_finish(&tape, true);
		session = fixture_session(&tape);
	}
	return session;
}

static struct fd_call *call_at(struct analysis *a, uint64_t rax)
{
	static struct fd_call calls[TRAP_ABIS][1024];
	uint8_t abi = a->view.header.abi;
	uint32_t nr = trap_syscall_nr(abi, rax);

	if (abi >= TRAP_ABIS || nr >= 1024)
		return NULL;
	fd_call_of(session_syscall(a->session, 0, abi, nr), &calls[abi][nr]);
	return &calls[abi][nr];
}

static void take_fds(struct analysis *a)
{
	static const struct fd_call other = {.dirfd = -1, .path = -1, .flags = -1};
	const struct fd_call *call;

	call_fds_release(&a->fds);
	if (a->view.header.type == TRAP_ENTER) {
		call = call_at(a, a->view.regs[TRAP_REG_RAX]);
		process_fds_enter(a->processes, &a->view, call ? call : &other, &a->fds);
	} else if (a->view.header.type == TRAP_EXIT) {
		call = trap_view_has(&a->view, TRAP_REG_NR) ? call_at(a, a->view.regs[TRAP_REG_NR]) : NULL;
		process_fds_exit(a->processes, &a->view, call, &a->fds);
	}
}

static void take(struct analysis *a)
{
	static const struct output_options options;
	struct output_trap trap = {&a->view, NULL, &a->thread, -1};
	bool enter = a->view.header.type == TRAP_ENTER;

	FIXTURE_OK(processes_before(a->processes, &a->view));
	processes_identify(a->processes, &a->view, &a->thread);
	take_fds(a);
	FIXTURE_OK(pairing_feed(a->pairing, &a->view));
	FIXTURE_OK(processes_after(
		a->processes, &a->view,
		enter ? on_role(a, a->view.header.abi, trap_syscall_nr(a->view.header.abi, a->view.regs[TRAP_REG_RAX]))
		      : CALL_ROLE_NONE));
	strbuf_reset(&a->out);
	output_text_trap(&a->out, &trap, &options);
	output_json_trap(&a->out, &trap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct analysis a = {.session = shared_session()};
	struct pairing_sink sink = {on_begin, on_end, on_exit_only, on_role, &a};
	uint8_t *copy = malloc(size + 8);

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	FIXTURE_OK(pairing_create(&a.pairing, &sink));
	FIXTURE_OK(processes_create(&a.processes, on_gone, &a));
	if (!process_fds_want(a.processes))
		abort();
	for (size_t at = 0; size - at >= sizeof(struct trap_record);) {
		uint32_t record_bytes;

		memcpy(&record_bytes, copy + at, sizeof(record_bytes));
		/* The next record is where this one says, if that can be. */
		if (record_bytes < 8 || record_bytes % 8 || record_bytes > size - at)
			break;
		if (trap_view_parse(&a.view, copy + at, record_bytes, NULL) > 0 && a.view.header.type != TRAP_PAD)
			take(&a);
		at += record_bytes;
	}
	/* Calls that are left; more than MAX_OPEN of them would share their places. */
	if (pairing_take_number(a.pairing) <= MAX_OPEN)
		pairing_finish(a.pairing);
	pairing_destroy(a.pairing);
	call_fds_release(&a.fds);
	processes_destroy(a.processes);
	strbuf_deinit(&a.out);
	free(copy);
	return 0;
}
