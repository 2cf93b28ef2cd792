/* SPDX-License-Identifier: MIT */
/*
 * test_records_threads.c - calls become lines in two threads at once, as they do
 * in one: nothing between a call and its line keeps anything. Under
 * ThreadSanitizer, what is kept without care is found even if the lines are right.
 */
#include <pthread.h>

#include "call_builder.h"
#include "call_fixture.h"
#include "call_stream.h"
#include "check.h"
#include "linux/arg_decode.h"
#include "linux/semantics.h"
#include "output/output.h"

struct job {
	const struct call *const *calls;
	size_t n;
	struct strbuf out;
};

static void put_lines(struct strbuf *out, const struct call *call)
{
	struct output_options plain = {0}, colored = {.local = true, .terminal = {.color = true}};

	output_text_call(out, call, &plain);
	output_text_call(out, call, &colored);
	output_json_call(out, call);
	for (int half = 0; half < 2; half++) {
		const struct trap_view *view = half ? &call->exit : &call->enter;
		struct output_trap trap = {view, call, &call->thread, call->time_ns};

		if (!(half ? call->has_exit : call->has_enter))
			continue;
		output_text_trap(out, &trap, &plain);
		output_json_trap(out, &trap);
		output_nitro_trap(out, &trap);
	}
}

static void *run(void *ctx)
{
	struct job *job = ctx;

	for (size_t i = 0; i < job->n; i++)
		put_lines(&job->out, job->calls[i]);
	return NULL;
}

/* Both threads read the same calls. A third run of one comes last, so that it prepares nothing for them. */
static void check_both(const struct call *const *calls, size_t n)
{
	struct job jobs[3] = {{calls, n, {0}}, {calls, n, {0}}, {calls, n, {0}}};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, run, &jobs[i]));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	run(&jobs[2]);
	CHECK(jobs[2].out.len > n);
	for (int i = 0; i < 2; i++) {
		CHECK(!jobs[i].out.failed);
		CHECK_STR(jobs[i].out.data, jobs[2].out.data);
	}
	for (int i = 0; i < 3; i++)
		strbuf_deinit(&jobs[i].out);
}

/* ---- a tape ---------------------------------------------------------- */

static void test_tape(const char *path)
{
	struct session_options options = {.assume_linux = true};
	struct call_stream_options stream_options = {.to_tsc = UINT64_MAX, .fds = true};
	struct call_stream *stream;
	struct session *session;
	struct call_item item;
	unsigned seen = 0;
	bool more;

	FIXTURE_OK(session_open(&session, path, &options));
	FIXTURE_OK(call_stream_create(&stream, session, &stream_options));
	for (;;) {
		const struct call *call = &item.call;

		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (!more)
			break;
		if (item.is_gap)
			continue;
		item.call.show_fds = true;
		check_both(&call, 1);
		seen++;
	}
	CHECK(seen > 100);
	call_stream_destroy(stream);
	session_close(session);
}

/* ---- every call that has a meaning ------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* Small numbers, flags, and addresses at which pieces of some shape lie, at entry and exit. */
static void build(struct call_builder *b, uint8_t abi, const char *name, uint64_t *random)
{
	uint8_t bytes[96];

	call_builder_init(b, abi, name);
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		uint64_t value = next_random(random);

		b->call.args[i] = value % 3 ? value % 64 : (uint32_t)value;
		for (size_t at = 0; at < sizeof(bytes); at++)
			bytes[at] = (uint8_t)(at % 4 ? 0 : next_random(random) % 32);
		record_builder_add(&b->enter, (uint8_t)(PLAN_LABEL_ARG0 + i), TRAP_FRAG_WHOLE, b->call.args[i],
				   sizeof(bytes), bytes, sizeof(bytes));
		record_builder_add(&b->exit, (uint8_t)(PLAN_LABEL_ARG0 + i), TRAP_FRAG_WHOLE, b->call.args[i],
				   sizeof(bytes), bytes, sizeof(bytes));
	}
	call_builder_finish(b, true, (int64_t)(next_random(random) % 64) - 16);
	b->call.thread = (struct call_thread){.pid = 1, .tid = 2, .ppid = 0, .comm = "a \"b\"", .exe = "/bin/a"};
	b->call.time_ns = FIXTURE_TIME_NS + (int64_t)(next_random(random) % 5) * 500000000;
	b->call.duration_ns = 1234567;
}

/* settle: beforehand, as a session does; else by each thread for itself. */
static void test_every_call(uint8_t abi, bool settle)
{
	size_t n = call_spec_count();
	struct call_builder *builders = calloc(n, sizeof(*builders));
	const struct call **calls = calloc(n, sizeof(*calls));
	uint64_t random = abi + 1;

	CHECK(builders && calls);
	for (size_t i = 0; i < n; i++) {
		const char *name = call_spec_get(i)->name, *colon = strchr(name, ':');

		build(&builders[i], abi, colon ? colon + 1 : name, &random);
		if (settle)
			call_meaning_settle(&builders[i].syscall);
		calls[i] = &builders[i].call;
	}
	check_both(calls, n);
	free(calls);
	free(builders);
}

int main(void)
{
	/* the first to be run, so that the index of names is built by two threads at once */
	test_every_call(TRAP_ABI_X86_64, false);
	test_every_call(TRAP_ABI_X86_64, true);
	test_every_call(TRAP_ABI_I386, true);
	test_every_call(TRAP_ABI_I386, false);
	test_every_call(TRAP_ABI_X32, true);
	test_tape("golden/small-v1.vmt");
	test_tape("golden/ring-v1.vmt");
	return 0;
}
