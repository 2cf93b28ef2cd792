/* SPDX-License-Identifier: MIT */
/*
 * test_call_pool.c - what several threads make of a tape is what one makes of
 * it, call by call, in lines, counts and names, whatever the size of batches;
 * it ends where it is told to, and errors come behind all that was before them.
 */
#include <errno.h>

#include "call_fixture.h"
#include "call_groups.h"
#include "call_pool.h"
#include "check.h"
#include "output/output.h"
#include "plan_abi.h"

#define NR_READ    0
#define NR_OPENAT  257
#define NR_THREADS 12
#define NR_STEPS   800
#define MAX_LINES  1000000u

static const unsigned thread_counts[] = {1, 2, 5};
static const uint32_t batch_sizes[] = {1, 3, 64, 0};

static uint64_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

static void add_identity(struct fixture_tape *tape, uint64_t tsc, int32_t pid, int32_t tid, uint64_t name)
{
	struct fixture_record r = fixture_enter(tsc, pid, tid, 0);
	char comm[16] = {0};

	snprintf(comm, sizeof(comm), "name-%u", (unsigned)(name % 5));
	r.type = TRAP_IDENTITY;
	r.via = TRAP_VIA_NONE;
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_COMM, .bytes = comm, .len_bytes = sizeof(comm)};
	r.nr_fragments = 1;
	fixture_tape_add(tape, &r);
}

/* Threads of four processes that read and open, fail, sleep for long, and change their names; and a loss. */
static void write_tape(struct fixture_tape *tape)
{
	bool open[NR_THREADS] = {0};
	uint64_t state = 11, nrs[NR_THREADS] = {0};

	fixture_tape_init(tape);
	for (uint64_t step = 0; step < NR_STEPS; step++) {
		int32_t thread = (int32_t)(random_next(&state) % NR_THREADS), pid = 100 * (1 + thread % 4);
		int32_t tid = pid + thread / 4;
		uint64_t tsc = 1000 + step * 10;
		char path[32];
		struct fixture_record r;

		if (thread < 2 && open[thread] && step > 50 && step < NR_STEPS - 50)
			continue;
		if (step == NR_STEPS / 2) {
			r = (struct fixture_record){
				.type = TRAP_GAP,
				.tsc = tsc,
				.gap = {.lost_records = 77, .first_tsc = tsc - 5, .last_tsc = tsc - 1}};
			fixture_tape_add(tape, &r);
			continue;
		}
		if (!open[thread] && random_next(&state) % 8 == 0)
			add_identity(tape, tsc - 5, pid, tid, random_next(&state));
		if (!open[thread])
			nrs[thread] = random_next(&state) % 2 ? NR_READ : NR_OPENAT;
		r = open[thread]
			    ? fixture_exit(tsc, pid, tid, nrs[thread], random_next(&state) % 3 ? (int64_t)step : -2)
			    : fixture_enter(tsc, pid, tid, nrs[thread]);
		r.vcpu = (uint16_t)(random_next(&state) % 2);
		r.args[1] = 0x7f0000001000;
		if (!open[thread] && nrs[thread] == NR_OPENAT) {
			snprintf(path, sizeof(path), "/tmp/%u", (unsigned)(random_next(&state) % 40));
			r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_ARG0 + 1,
								   .gva = r.args[1],
								   .bytes = path,
								   .len_bytes = (uint16_t)strlen(path),
								   .want_bytes = (uint32_t)strlen(path) + 1};
			r.nr_fragments = 1;
		}
		open[thread] = !open[thread];
		fixture_tape_add(tape, &r);
	}
	fixture_tape_finish(tape, true);
}

/* ---- lines ----------------------------------------------------------- */

struct lines {
	struct session *session;
	bool json;
	struct strbuf text;
	uint32_t batches_left;
	uint32_t batches;
};

struct worker {
	struct strbuf text;
	struct call_item item;
};

static void put_item(const struct lines *lines, struct strbuf *out, const struct call_item *item)
{
	struct output_options options = {0};

	if (item->is_gap && lines->json)
		output_json_gap(out, item, session_clock(lines->session));
	else if (item->is_gap)
		output_text_gap(out, item, session_clock(lines->session), &options);
	else if (lines->json)
		output_json_call(out, &item->call);
	else
		output_text_call(out, &item->call, &options);
}

static void put_batch(void *ctx, void *worker, const struct call_batch *batch)
{
	struct worker *w = worker;

	CHECK(batch->nr > 0);
	strbuf_reset(&w->text);
	for (uint32_t i = 0; i < batch->nr; i++) {
		call_batch_item(batch, i, &w->item);
		put_item(ctx, &w->text, &w->item);
	}
}

static bool keep_batch(void *ctx, void *worker, const struct call_batch *batch)
{
	struct lines *lines = ctx;
	const struct worker *w = worker;

	(void)batch;
	strbuf_put_bytes(&lines->text, w->text.data, w->text.len);
	lines->batches++;
	return !lines->batches_left || --lines->batches_left;
}

static struct vmtape_error *run(struct lines *lines, struct call_stream *stream, unsigned nr_threads,
				uint32_t batch_calls)
{
	struct worker *workers = calloc(call_pool_workers(nr_threads), sizeof(*workers));
	struct call_pool_job job = {put_batch, keep_batch, lines, workers, sizeof(*workers)};
	struct vmtape_error *error;

	CHECK(workers != NULL);
	error = call_pool_run(stream, &job, &(struct call_pool_options){nr_threads, batch_calls});
	for (unsigned i = 0; i < call_pool_workers(nr_threads); i++)
		strbuf_deinit(&workers[i].text);
	free(workers);
	return error;
}

/* Call after call, without a pool. */
static void put_all(struct lines *lines, const struct call_stream_options *options)
{
	struct call_stream *stream;
	struct call_item item;
	bool more = true;

	FIXTURE_OK(call_stream_create(&stream, lines->session, options));
	for (unsigned i = 0; more && i < MAX_LINES; i++) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (more)
			put_item(lines, &lines->text, &item);
	}
	call_stream_destroy(stream);
}

static void test_lines(struct session *session, bool json, const struct call_stream_options *options)
{
	struct lines all = {.session = session, .json = json};

	put_all(&all, options);
	CHECK(all.text.len > 0);
	for (size_t t = 0; t < sizeof(thread_counts) / sizeof(thread_counts[0]); t++) {
		for (size_t b = 0; b < sizeof(batch_sizes) / sizeof(batch_sizes[0]); b++) {
			struct lines lines = {.session = session, .json = json};
			struct call_stream *stream;

			FIXTURE_OK(call_stream_create(&stream, session, options));
			FIXTURE_OK(run(&lines, stream, thread_counts[t], batch_sizes[b]));
			call_stream_destroy(stream);
			CHECK_INT(lines.text.len, all.text.len);
			CHECK(!memcmp(lines.text.data, all.text.data, all.text.len));
			strbuf_deinit(&lines.text);
		}
	}
	strbuf_deinit(&all.text);
}

static void test_tape(const struct fixture_tape *tape)
{
	struct session *session = fixture_session(tape);

	for (int json = 0; json < 2; json++) {
		test_lines(session, json, &(struct call_stream_options){.to_tsc = UINT64_MAX});
		test_lines(session, json, &(struct call_stream_options){.to_tsc = UINT64_MAX, .fds = true});
		/* With the second reader, and records in blocks that are given back late. */
		test_lines(session, json,
			   &(struct call_stream_options){.to_tsc = UINT64_MAX, .window_calls = 4, .fds = true});
		test_lines(session, json, &(struct call_stream_options){.to_tsc = UINT64_MAX, .window_bytes = 1});
	}
	session_close(session);
}

static void test_golden(const char *path)
{
	struct session *session;

	FIXTURE_OK(session_open(&session, path, &(struct session_options){.assume_linux = true}));
	session_guest(session);
	test_lines(session, false, &(struct call_stream_options){.to_tsc = UINT64_MAX, .fds = true});
	test_lines(session, true, &(struct call_stream_options){.to_tsc = UINT64_MAX, .fds = true});
	session_close(session);
}

/* ---- ends ------------------------------------------------------------ */

static size_t count_lines(const struct strbuf *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->len; i++)
		n += text->data[i] == '\n';
	return n;
}

static void test_stop(const struct fixture_tape *tape)
{
	struct session *session = fixture_session(tape);
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct lines all = {.session = session};

	put_all(&all, &options);
	for (size_t t = 0; t < sizeof(thread_counts) / sizeof(thread_counts[0]); t++) {
		struct lines lines = {.session = session, .batches_left = 30};
		struct call_stream *stream;

		FIXTURE_OK(call_stream_create(&stream, session, &options));
		FIXTURE_OK(run(&lines, stream, thread_counts[t], 3));
		call_stream_destroy(stream);
		CHECK_INT(lines.batches, 30);
		CHECK_INT(count_lines(&lines.text), 90);
		CHECK(!memcmp(lines.text.data, all.text.data, lines.text.len));
		strbuf_deinit(&lines.text);
	}
	strbuf_deinit(&all.text);
	session_close(session);
}

/* Memory runs out at this record; 0: never. */
static uint64_t records_left;

int __real_tape_cursor_next(struct tape_cursor *cursor, struct trap_view *out, struct tape_error *error);
int __wrap_tape_cursor_next(struct tape_cursor *cursor, struct trap_view *out, struct tape_error *error);
int __wrap_tape_cursor_next(struct tape_cursor *cursor, struct trap_view *out, struct tape_error *error)
{
	if (records_left && !--records_left) {
		snprintf(error->message, sizeof(error->message), "no more memory");
		return -ENOMEM;
	}
	return __real_tape_cursor_next(cursor, out, error);
}

/* A thread that calls again and again: 100 calls are whole before the record that can't be read. */
static void test_error(void)
{
	struct fixture_tape tape;

	fixture_tape_init(&tape);
	for (uint64_t i = 0; i < 200; i++)
		for (int leaves = 0; leaves < 2; leaves++) {
			struct fixture_record r = leaves ? fixture_exit(1005 + i * 10, 7, 7, NR_READ, (int64_t)i)
							 : fixture_enter(1000 + i * 10, 7, 7, NR_READ);

			fixture_tape_add(&tape, &r);
		}
	fixture_tape_finish(&tape, true);
	for (size_t t = 0; t < sizeof(thread_counts) / sizeof(thread_counts[0]); t++) {
		struct lines lines = {.session = fixture_session(&tape)};
		struct call_stream *stream;
		struct vmtape_error *error;

		FIXTURE_OK(call_stream_create(&stream, lines.session,
					      &(struct call_stream_options){.to_tsc = UINT64_MAX}));
		records_left = 201;
		error = run(&lines, stream, thread_counts[t], 7);
		records_left = 0;
		CHECK(error != NULL);
		CHECK(strstr(error->message, "no more memory") != NULL);
		vmtape_error_destroy(error);
		CHECK_INT(count_lines(&lines.text), 100);
		call_stream_destroy(stream);
		session_close(lines.session);
		strbuf_deinit(&lines.text);
	}
	fixture_tape_deinit(&tape);
}

/* ---- counts ---------------------------------------------------------- */

static void put_counts(struct strbuf *out, const struct fixture_tape *tape, const char *by, unsigned nr_threads,
		       uint32_t batch_calls)
{
	struct session *session = fixture_session(tape);
	struct call_groups groups = {.nr_threads = nr_threads, .batch_calls = batch_calls};
	struct call_stream_options options = {.to_tsc = UINT64_MAX};

	CHECK(call_groups_parse(&groups, by));
	FIXTURE_OK(call_groups_count(&groups, session, NULL, &options, NULL, NULL));
	CHECK_INT(groups.lost_records, 77);
	for (size_t i = 0; i < groups.count; i++) {
		const struct call_group *group = groups.list[i];

		call_group_put_name(group, false, out);
		strbuf_put_char(out, ' ');
		call_group_put_name(group, true, out);
		strbuf_printf(out, " %u %u %u %u %u\n", (unsigned)group->count, (unsigned)group->errors,
			      (unsigned)group->latency.total, (unsigned)group->latency.max,
			      (unsigned)histogram_percentile(&group->latency, 0.9));
	}
	call_groups_deinit(&groups);
	session_close(session);
}

static void test_counts(const struct fixture_tape *tape)
{
	static const char *const keys[] = {"syscall", "process", "thread,vcpu", "file,errno", "process,file"};

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		struct strbuf all = {0};

		put_counts(&all, tape, keys[k], 1, 1);
		CHECK(all.len > 0);
		for (size_t t = 0; t < sizeof(thread_counts) / sizeof(thread_counts[0]); t++) {
			for (size_t b = 0; b < sizeof(batch_sizes) / sizeof(batch_sizes[0]); b++) {
				struct strbuf text = {0};

				put_counts(&text, tape, keys[k], thread_counts[t], batch_sizes[b]);
				CHECK_STR(text.data, all.data);
				strbuf_deinit(&text);
			}
		}
		strbuf_deinit(&all);
	}
}

int main(void)
{
	struct fixture_tape tape;

	write_tape(&tape);
	test_tape(&tape);
	test_stop(&tape);
	test_counts(&tape);
	fixture_tape_deinit(&tape);
	test_error();
	test_golden("golden/small-v1.vmt");
	test_golden("golden/ring-v1.vmt");
	CHECK(call_pool_default_threads() >= 1 && call_pool_default_threads() <= CALL_POOL_DEFAULT_THREADS);
	return 0;
}
