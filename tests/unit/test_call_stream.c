/* SPDX-License-Identifier: MIT */
/*
 * test_call_stream.c - calls come in order of entry, each with its end, whatever
 * the window: a stream with a tiny one, which needs its second reader, gives
 * the same as one with a large window; and parts of a tape. Who takes calls in
 * batches gets those before one that takes long at once, and may say stop.
 */
#include "call_batch.h"
#include "call_fds.h"
#include "call_fixture.h"
#include "call_stream.h"
#include "check.h"
#include "filter.h"
#include "plan.h"

#define NR_READ       0
#define NR_PTRACE     101
#define NR_GETPPID    110
#define NR_EXIT_GROUP 231
#define NR_THREADS    12
#define NR_STEPS      4000

static uint64_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* Threads that read, for a moment or for most of the tape, on two vCPUs; one exits, one never returns. */
static void write_tape(struct fixture_tape *tape)
{
	bool open[NR_THREADS] = {0};
	uint64_t state = 7;

	fixture_tape_init(tape);
	for (uint64_t step = 0; step < NR_STEPS; step++) {
		int32_t thread = (int32_t)(random_next(&state) % NR_THREADS);
		struct fixture_record r;

		/* The first two go to sleep for long. */
		if (thread < 2 && step > 100 + 10 * (uint64_t)thread && step < NR_STEPS - 100 && open[thread])
			continue;
		if (thread == 2 && open[2])
			continue;
		r = open[thread] ? fixture_exit(1000 + step, 100, 100 + thread, NR_READ, (int64_t)step)
				 : fixture_enter(1000 + step, 100, 100 + thread, NR_READ);
		r.args[0] = step;
		r.vcpu = (uint16_t)(random_next(&state) % 2);
		open[thread] = !open[thread];
		fixture_tape_add(tape, &r);
	}
	{
		struct fixture_record r = fixture_enter(1000 + NR_STEPS, 200, 200, NR_EXIT_GROUP);

		fixture_tape_add(tape, &r);
	}
	fixture_tape_finish(tape, true);
}

struct summary {
	uint64_t count, complete, open, no_exit, exit_only, hash, last_tsc;
	bool ran_ahead;
};

static void mix(struct summary *s, uint64_t value)
{
	s->hash = (s->hash ^ value) * 0x100000001b3ull;
}

static struct summary read_all(const struct fixture_tape *tape, const struct call_stream_options *options)
{
	struct session *session = fixture_session(tape);
	struct summary s = {.hash = 0xcbf29ce484222325ull};
	struct call_stream_stats stats;
	struct call_stream *stream;
	struct call_item item;
	bool more;

	FIXTURE_OK(call_stream_create(&stream, session, options));
	for (;;) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (!more)
			break;
		CHECK(!item.is_gap);
		CHECK(item.call.tsc >= s.last_tsc);
		s.last_tsc = item.call.tsc;
		s.count++;
		s.complete += item.call.state == CALL_COMPLETE;
		s.open += item.call.state == CALL_OPEN;
		s.no_exit += item.call.state == CALL_NO_EXIT;
		s.exit_only += item.call.state == CALL_EXIT_ONLY;
		if (item.call.state == CALL_COMPLETE) {
			/* The result is the number of the step that ended it. */
			CHECK_INT(item.call.ret, item.call.end_tsc - 1000);
			CHECK_INT(item.call.args[0], item.call.tsc - 1000);
			CHECK_INT(item.call.duration_ns, item.call.end_tsc - item.call.tsc);
		}
		mix(&s, item.call.tsc);
		mix(&s, (uint64_t)item.call.thread.tid);
		mix(&s, item.call.state);
		mix(&s, (uint64_t)item.call.ret);
	}
	/* The end stays the end. */
	FIXTURE_OK(call_stream_next(stream, &item, &more));
	CHECK(!more);
	call_stream_get_stats(stream, &stats);
	s.ran_ahead = stats.ran_ahead;
	CHECK_INT(stats.guesses, 0);
	call_stream_destroy(stream);
	session_close(session);
	return s;
}

static void test_windows(const struct fixture_tape *tape)
{
	static const uint32_t windows[] = {3, 4, 7, 50, 1000};
	struct summary all = read_all(tape, &(struct call_stream_options){.to_tsc = UINT64_MAX});

	CHECK(!all.ran_ahead);
	CHECK(all.complete > 1000 && all.open > 1 && all.no_exit == 1 && !all.exit_only);
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		struct summary part =
			read_all(tape, &(struct call_stream_options){.to_tsc = UINT64_MAX, .window_calls = windows[i]});

		CHECK(part.ran_ahead);
		CHECK_INT(part.count, all.count);
		CHECK(part.hash == all.hash);
	}
	/* By bytes: of records behind the oldest call, in blocks. */
	for (size_t bytes = 1; bytes < 200000; bytes = bytes * 5 + 777) {
		struct summary part =
			read_all(tape, &(struct call_stream_options){.to_tsc = UINT64_MAX, .window_bytes = bytes});

		CHECK(part.ran_ahead);
		CHECK(part.hash == all.hash);
	}
}

static void test_span(const struct fixture_tape *tape)
{
	struct summary all = read_all(tape, &(struct call_stream_options){.to_tsc = UINT64_MAX});
	struct summary early = read_all(tape, &(struct call_stream_options){.to_tsc = 2500});
	struct summary late = read_all(tape, &(struct call_stream_options){.from_tsc = 2500, .to_tsc = UINT64_MAX});
	struct summary none = read_all(tape, &(struct call_stream_options){.from_tsc = 100, .to_tsc = 100});
	struct summary narrow =
		read_all(tape, &(struct call_stream_options){.from_tsc = 2500, .to_tsc = 2600, .window_calls = 5});
	struct summary wide = read_all(tape, &(struct call_stream_options){.from_tsc = 2500, .to_tsc = 2600});

	CHECK_INT(early.count + late.count, all.count);
	CHECK_INT(early.complete + late.complete, all.complete);
	CHECK_INT(none.count, 0);
	CHECK(narrow.count > 10 && narrow.hash == wide.hash);
	/* What begins in the span ends behind it: the sleepers of the first part have their results. */
	CHECK_INT(early.open, 1);
}

/* As the first plan of a recording has them: what descriptors a call is about, nothing tells. */
static void test_unnamed_threads(void)
{
	static const struct {
		uint64_t nr; /* of a call of a thread that is not named, between an open and a read */
		bool sure;
	} cases[] = {{39, true}, {NR_READ, false}, {2, false}, {3, false}, {57, false}, {59, false}, {9999, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct call_stream_options options = {.to_tsc = UINT64_MAX, .fds = true};
		struct fixture_record records[] = {
			fixture_enter(10, 7, 7, 2),           fixture_exit(20, 7, 7, 2, 3),
			fixture_enter(22, 8, 8, cases[i].nr), fixture_exit(24, 8, 8, cases[i].nr, 0),
			fixture_enter(30, 7, 7, NR_READ),
		};
		struct fixture_tape tape;
		struct session *session;
		struct call_stream *stream;
		struct call_item item;
		bool more;

		records[0].fragments[0] =
			(struct fixture_fragment){.label = PLAN_LABEL_ARG0, .bytes = "/a", .len_bytes = 2};
		records[0].nr_fragments = 1;
		records[2].task = records[3].task = 0;
		records[4].args[0] = 3;
		fixture_tape_init(&tape);
		for (size_t k = 0; k < sizeof(records) / sizeof(records[0]); k++)
			fixture_tape_add(&tape, &records[k]);
		fixture_tape_finish(&tape, true);
		session = fixture_session(&tape);
		FIXTURE_OK(call_stream_create(&stream, session, &options));
		for (int k = 0; k < 3; k++)
			FIXTURE_OK(call_stream_next(stream, &item, &more));
		CHECK(more && item.call.fds->objects[0]);
		CHECK_STR(item.call.fds->objects[0]->name, "/a");
		CHECK_INT(!(item.call.fds->uncertain & 1), cases[i].sure);
		call_stream_destroy(stream);
		session_close(session);
		fixture_tape_deinit(&tape);
	}
}

/* No record tells which plan rules: if one of the tape leaves out what descriptors need, none is sure. */
static void test_plans(void)
{
	static const struct {
		uint32_t skip; /* number of a call */
		bool sure;
	} cases[] = {{39, true}, {3, false}, {57, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture_record r = fixture_enter(10, 7, 7, 2), records[4];
		struct call_stream_options options = {.to_tsc = UINT64_MAX, .fds = true};
		struct plan_builder *builder;
		struct fixture_tape tape;
		struct session *session;
		struct call_stream *stream;
		struct call_item item;
		void *plan;
		bool more;

		CHECK_INT(plan_builder_create(&builder, 1), 0);
		CHECK_INT(plan_builder_set_call(builder, TRAP_ABI_X86_64, cases[i].skip, PLAN_CALL_SKIP, NULL, 0, NULL,
						0),
			  0);
		fixture_tape_init(&tape);
		CHECK_INT(plan_builder_finish(builder, &plan, &tape.plan_bytes, NULL), 0);
		tape.plan = plan;
		r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_ARG0, .bytes = "/a", .len_bytes = 2};
		r.nr_fragments = 1;
		records[0] = r;
		records[1] = fixture_exit(20, 7, 7, 2, 3);
		records[2] = fixture_enter(30, 7, 7, NR_READ);
		records[2].args[0] = 3;
		records[3] = fixture_exit(40, 7, 7, NR_READ, 0);
		for (int k = 0; k < 4; k++)
			fixture_tape_add(&tape, &records[k]);
		fixture_tape_finish(&tape, true);
		session = fixture_session(&tape);
		FIXTURE_OK(call_stream_create(&stream, session, &options));
		for (int k = 0; k < 2; k++)
			FIXTURE_OK(call_stream_next(stream, &item, &more));
		CHECK(more && item.call.fds->objects[0]);
		CHECK_STR(item.call.fds->objects[0]->name, "/a");
		CHECK_INT(!(item.call.fds->uncertain & 1), cases[i].sure);
		call_stream_destroy(stream);
		session_close(session);
		fixture_tape_deinit(&tape);
		plan_builder_destroy(builder);
		free(plan);
	}
}

static void test_gap(bool damage)
{
	struct fixture_record gap = {
		.type = TRAP_GAP, .tsc = 30, .gap = {.lost_records = 5, .first_tsc = 21, .last_tsc = 29}};
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct fixture_record records[] = {
		fixture_enter(10, 7, 7, NR_READ),
		fixture_enter(20, 8, 8, NR_GETPPID),
		gap,
		fixture_exit(40, 7, 7, NR_READ, 1),
		fixture_enter(50, 8, 8, NR_READ),
		fixture_exit(60, 8, 8, NR_READ, 2),
		fixture_exit(70, 9, 9, NR_GETPPID, 3),
	};
	static const char *const expected[] = {"read complete ~", "getppid no-exit ~", "gap 5", "read complete",
					       "getppid exit-only"};
	static const char *const states[] = {"complete", "no-exit", "open", "exit-only"};
	struct fixture_tape tape;
	struct session *session;
	struct call_stream *stream;
	struct call_item item;
	bool more;
	char text[64];

	fixture_tape_init(&tape);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		/* With damage, the gap record is on the missing part, too. */
		if (damage && records[i].type == TRAP_GAP)
			fixture_skip(0, 5);
		else
			fixture_tape_add(&tape, &records[i]);
	}
	fixture_tape_finish(&tape, true);
	session = fixture_session(&tape);
	FIXTURE_OK(call_stream_create(&stream, session, &options));
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		CHECK(more);
		if (item.is_gap)
			snprintf(text, sizeof(text), "gap %u", (unsigned)item.gap.lost_records);
		else
			snprintf(text, sizeof(text), "%s %s%s", item.call.syscall->name, states[item.call.state],
				 item.call.uncertain ? " ~" : "");
		CHECK_STR(text, expected[i]);
	}
	FIXTURE_OK(call_stream_next(stream, &item, &more));
	CHECK(!more);
	call_stream_destroy(stream);
	session_close(session);
	fixture_tape_deinit(&tape);
}

/* Calls that begin before that time; so many records were read or passed over for it, and the last one's state. */
static unsigned count_until(struct session *session, const char *text, uint64_t to_tsc, uint64_t *records,
			    enum call_state *state)
{
	struct filter_times times = {.start_ns = session_start_ns(session)};
	struct call_stream_options options = {.to_tsc = to_tsc};
	struct call_stream_stats stats;
	struct call_stream *stream;
	struct filter *filter;
	struct call_item item;
	unsigned nr = 0;
	bool more;

	FIXTURE_OK(filter_create(&filter, text, &times));
	options.filter = filter;
	FIXTURE_OK(call_stream_create(&stream, session, &options));
	for (;;) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (!more)
			break;
		if (!filter_match(filter, &item.call, 0))
			continue;
		*state = item.call.state;
		nr++;
	}
	call_stream_get_stats(stream, &stats);
	*records = stats.records;
	call_stream_destroy(stream);
	filter_destroy(filter);
	return nr;
}

/* Nothing behind --to has to be looked at, unless a call is open that is wanted. */
static void test_stops_behind_to(void)
{
	enum call_state state = CALL_OPEN;
	struct fixture_tape tape;
	struct session *session;
	struct fixture_record r;
	uint64_t records;

	fixture_tape_init(&tape);
	tape.chunk_bytes = 4096;
	for (uint64_t tsc = 1000; tsc < 200000; tsc += 20) {
		r = fixture_enter(tsc, 7, 7, NR_GETPPID);
		fixture_tape_add(&tape, &r);
		r = fixture_exit(tsc + 10, 7, 7, NR_GETPPID, 1);
		fixture_tape_add(&tape, &r);
	}
	r = fixture_enter(1500, 9, 9, NR_PTRACE);
	r.vcpu = 1;
	fixture_tape_add(&tape, &r);
	r = fixture_exit(150000, 9, 9, NR_PTRACE, 0);
	r.vcpu = 2;
	fixture_tape_add(&tape, &r);
	fixture_tape_finish(&tape, true);
	session = fixture_session(&tape);
	CHECK_INT(count_until(session, "evt.type = mount", 3000, &records, &state), 0);
	CHECK(records < tape.records / 50);
	CHECK_INT(count_until(session, "evt.type = ptrace", 3000, &records, &state), 1);
	CHECK_INT(state, CALL_COMPLETE);
	CHECK(records > tape.records / 2 && records < tape.records * 4 / 5);
	session_close(session);
	fixture_tape_deinit(&tape);
}

/* Behind three short calls, one that ends when all of the tape's 20,000 others have. */
static void test_batches(bool stop)
{
	static const struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct call_stream_stats stats;
	struct call_batch batch = {0};
	struct call_stream *stream;
	struct fixture_tape tape;
	struct fixture_record r;
	struct session *session;
	struct call_item item;
	uint64_t count = 0;
	bool more;

	fixture_tape_init(&tape);
	for (uint64_t i = 0; i < 20000; i++) {
		if (i == 3) {
			r = fixture_enter(1000 + 2 * i - 1, 100, 101, NR_READ);
			fixture_tape_add(&tape, &r);
		}
		r = fixture_enter(1000 + 2 * i, 100, 100, NR_GETPPID);
		fixture_tape_add(&tape, &r);
		r = fixture_exit(1001 + 2 * i, 100, 100, NR_GETPPID, 1);
		fixture_tape_add(&tape, &r);
	}
	r = fixture_exit(60000, 100, 101, NR_READ, 4242);
	fixture_tape_add(&tape, &r);
	fixture_tape_finish(&tape, true);

	session = fixture_session(&tape);
	FIXTURE_OK(call_stream_create(&stream, session, &options));
	FIXTURE_OK(call_stream_take(stream, &batch, 16, &more));
	CHECK(more);
	CHECK_INT(batch.nr, 3);
	CHECK(batch.stats.records < 4096);
	call_stream_give_back(stream, &batch);
	if (stop)
		call_stream_stop(stream);
	FIXTURE_OK(call_stream_take(stream, &batch, 16, &more));
	CHECK_INT(more, !stop);
	if (stop) {
		call_stream_get_stats(stream, &stats);
		CHECK(stats.records < 4096);
		CHECK_INT(batch.nr, 0);
	} else {
		CHECK_INT(batch.nr, 16);
		call_batch_item(&batch, 0, &item);
		CHECK_INT(item.call.ret, 4242);
		CHECK_INT(item.call.state, CALL_COMPLETE);
	}
	for (; more && batch.nr; count += batch.nr) {
		call_stream_give_back(stream, &batch);
		FIXTURE_OK(call_stream_take(stream, &batch, 1000, &more));
	}
	CHECK_INT(count, stop ? 0 : 20001 - 3 - 16);
	call_batch_deinit(&batch);
	call_stream_destroy(stream);
	session_close(session);
	fixture_tape_deinit(&tape);
}

/* What a filter passes over on its way to a second call is not waited for, either. */
static void test_rare_batch(void)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct filter_times times;
	struct call_batch batch = {0};
	struct call_stream *stream;
	struct filter *filter;
	struct fixture_tape tape;
	struct fixture_record r;
	struct session *session;
	bool more;

	fixture_tape_init(&tape);
	r = fixture_enter(1000, 100, 100, NR_READ);
	fixture_tape_add(&tape, &r);
	r = fixture_exit(1001, 100, 100, NR_READ, 1);
	fixture_tape_add(&tape, &r);
	for (uint64_t tsc = 1002; tsc < 41002; tsc += 2) {
		r = fixture_enter(tsc, 100, 100, NR_GETPPID);
		fixture_tape_add(&tape, &r);
		r = fixture_exit(tsc + 1, 100, 100, NR_GETPPID, 1);
		fixture_tape_add(&tape, &r);
	}
	fixture_tape_finish(&tape, true);

	session = fixture_session(&tape);
	times = (struct filter_times){.start_ns = session_start_ns(session)};
	FIXTURE_OK(filter_create(&filter, "evt.type = read", &times));
	options.filter = filter;
	FIXTURE_OK(call_stream_create(&stream, session, &options));
	FIXTURE_OK(call_stream_take(stream, &batch, 16, &more));
	CHECK(more);
	CHECK_INT(batch.nr, 1);
	CHECK(batch.stats.records < 4096);
	call_stream_give_back(stream, &batch);
	FIXTURE_OK(call_stream_take(stream, &batch, 16, &more));
	CHECK(!more);
	call_batch_deinit(&batch);
	call_stream_destroy(stream);
	filter_destroy(filter);
	session_close(session);
	fixture_tape_deinit(&tape);
}

int main(void)
{
	struct fixture_tape tape;

	write_tape(&tape);
	test_windows(&tape);
	test_span(&tape);
	fixture_tape_deinit(&tape);
	test_gap(false);
	test_gap(true);
	test_plans();
	test_unnamed_threads();
	test_stops_behind_to();
	test_batches(false);
	test_batches(true);
	test_rare_batch();
	return 0;
}
