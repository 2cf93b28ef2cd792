/* SPDX-License-Identifier: MIT */
/*
 * test_ring_names.c - a ring tape names tasks that were told of in slots which
 * are overwritten by now: as they were last told of, and as state, not as events.
 */
#include "call_fixture.h"
#include "call_stream.h"
#include "check.h"
#include "tape_fixture.h"
#include "tracker.h"

#define NR_READ    0
#define SLOT_BYTES (16u << 10)
#define NR_PLACES  8u
#define SLEEPER    50
#define RENAMED    51
#define WORKER     1000 /* and those behind it */

struct ring_tape {
	struct fixture_file file;
	struct tape_writer *writer;
	struct byte_buffer records;
	uint64_t tsc;
};

static void add(struct ring_tape *tape, const struct fixture_record *record)
{
	struct trap_view view = fixture_view(record);

	byte_buffer_add(&tape->records, view.raw, view.header.size_bytes);
	if (tape->records.size_bytes > 3000)
		fixture_append_traps(tape->writer, 0, &tape->records);
}

static void identity(struct ring_tape *tape, int32_t pid, const char *comm)
{
	struct fixture_record r = fixture_enter(++tape->tsc, pid, pid, 0);
	char name[16] = {0};

	memcpy(name, comm, strlen(comm));
	r.type = TRAP_IDENTITY;
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_COMM, .bytes = name, .len_bytes = 16};
	r.nr_fragments = 1;
	add(tape, &r);
}

static void call(struct ring_tape *tape, int32_t pid)
{
	struct fixture_record enter = fixture_enter(++tape->tsc, pid, pid, NR_READ);
	struct fixture_record exit = fixture_exit(++tape->tsc, pid, pid, NR_READ, 0);

	add(tape, &enter);
	add(tape, &exit);
}

static uint64_t nr_overwritten(const struct ring_tape *tape)
{
	struct tape_reader *reader;
	uint64_t nr;

	CHECK_INT(tape_reader_open_memory(&reader, tape->file.bytes, tape->file.size_bytes, NULL), 0);
	nr = tape_reader_info(reader)->nr_overwritten;
	tape_reader_close(reader);
	return nr;
}

/* nr_workers tasks in turn, more than the ring holds; then two others do something. */
static void work(struct ring_tape *tape, int32_t nr_workers)
{
	for (int32_t i = 0; nr_overwritten(tape) < 20; i++) {
		identity(tape, WORKER + i % nr_workers, "worker");
		for (unsigned n = 0; n < 20; n++)
			call(tape, WORKER + i % nr_workers);
	}
	call(tape, SLEEPER);
	call(tape, RENAMED);
	fixture_append_traps(tape->writer, 0, &tape->records);
	CHECK_INT(tape_writer_finish(tape->writer, "done", &(struct tape_totals){0}, NULL), 0);
}

/* The two are told of before that. */
static void record(struct ring_tape *tape, int32_t nr_workers)
{
	*tape = (struct ring_tape){0};
	tape->writer = fixture_ring_writer(&tape->file, SLOT_BYTES, NR_PLACES);
	identity(tape, SLEEPER, "sleeper");
	identity(tape, RENAMED, "before");
	identity(tape, RENAMED, "after");
	work(tape, nr_workers);
}

static void ring_tape_deinit(struct ring_tape *tape)
{
	tape_writer_destroy(tape->writer);
	byte_buffer_deinit(&tape->records);
	fixture_file_deinit(&tape->file);
}

static struct session *open_session(const struct ring_tape *tape)
{
	const struct session_options options = {.assume_linux = true};
	struct session *session;

	FIXTURE_OK(session_open_memory(&session, tape->file.bytes, tape->file.size_bytes, &options));
	return session;
}

struct seen {
	uint64_t records, identities, nameless, workers;
	char sleeper[17], renamed[17];
};

static void see(void *ctx, const struct trap_view *view, const struct call_thread *thread)
{
	struct seen *seen = ctx;

	seen->records++;
	seen->identities += view->header.type == TRAP_IDENTITY;
	seen->nameless += !thread->comm[0];
	seen->workers += !strcmp(thread->comm, "worker");
	if (thread->tid == SLEEPER)
		memcpy(seen->sleeper, thread->comm, sizeof(seen->sleeper));
	if (thread->tid == RENAMED)
		memcpy(seen->renamed, thread->comm, sizeof(seen->renamed));
}

static struct seen follow(struct session *session, uint64_t until_tsc)
{
	struct seen seen = {0};
	const struct tracker_sink sink = {.record = see, .ctx = &seen};
	struct tracker *tracker;
	bool more = true;

	FIXTURE_OK(tracker_create(&tracker, session, &sink, 0));
	while (more)
		FIXTURE_OK(until_tsc ? tracker_step_until(tracker, until_tsc, &more) : tracker_step(tracker, &more));
	CHECK_INT(tracker_records(tracker), seen.records);
	if (until_tsc) {
		const struct process_thread *sleeper = processes_by_tid(tracker_processes(tracker), SLEEPER);

		CHECK(sleeper && !strcmp(sleeper->comm, "sleeper"));
	}
	tracker_destroy(tracker);
	return seen;
}

static void test_named(void)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct fixture_report report = {.loud = true};
	struct ring_tape tape;
	struct session *session;
	const struct tape_info *info;
	struct call_stream *stream;
	struct call_item item;
	struct seen seen;
	uint64_t calls = 0;
	bool more;

	record(&tape, 5);
	session = open_session(&tape);
	info = session_info(session);
	CHECK(info->nr_overwritten >= 20);
	CHECK_INT(info->nr_carried, 7);
	CHECK_INT(tape_reader_verify(session_reader(session), fixture_report, &report), 0);
	seen = follow(session, 0);
	CHECK_STR(seen.sleeper, "sleeper");
	CHECK_STR(seen.renamed, "after");
	CHECK_INT(seen.nameless, 0);
	CHECK_INT(seen.workers, seen.records - 4);
	/* What was carried is no event: those are as many as the tape says, and none of the two is told of again. */
	CHECK_INT(seen.records, info->nr_records);
	CHECK(seen.identities * 30 < seen.records);
	/* Nobody has to wait for the first event. */
	follow(session, info->first_tsc);
	FIXTURE_OK(call_stream_create(&stream, session, &options));
	for (more = true; more; calls += more) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		CHECK(!more || (!item.is_gap && item.call.thread.comm[0]));
	}
	CHECK(calls > 100);
	call_stream_destroy(stream);
	session_close(session);
	ring_tape_deinit(&tape);
}

/* More tasks than a slot tells of: those that were told of last are known. */
static void test_too_many(void)
{
	struct ring_tape tape;
	struct session *session;
	struct seen seen;

	record(&tape, 60);
	session = open_session(&tape);
	CHECK(session_info(session)->nr_carried > 5 && session_info(session)->nr_carried < 60);
	seen = follow(session, 0);
	CHECK_STR(seen.sleeper, "");
	CHECK_STR(seen.renamed, "");
	CHECK_INT(seen.nameless, 4);
	session_close(session);
	ring_tape_deinit(&tape);
}

/* Records were lost in a slot that is overwritten by now: what was said before is uncertain, and nobody else is. */
static void test_loss(void)
{
	struct fixture_record gap = {.type = TRAP_GAP, .gap = {.lost_records = 5}};
	struct ring_tape tape;
	struct session *session;
	struct tracker *tracker;
	struct call_thread thread;
	struct fixture_record of = fixture_enter(0, SLEEPER, SLEEPER, NR_READ);
	struct trap_view view;
	bool more;

	tape = (struct ring_tape){0};
	tape.writer = fixture_ring_writer(&tape.file, SLOT_BYTES, NR_PLACES);
	identity(&tape, SLEEPER, "sleeper");
	gap.tsc = gap.gap.first_tsc = ++tape.tsc;
	gap.gap.last_tsc = ++tape.tsc;
	add(&tape, &gap);
	identity(&tape, RENAMED, "after");
	work(&tape, 5);
	session = open_session(&tape);
	FIXTURE_OK(tracker_create(&tracker, session, &(struct tracker_sink){0}, 0));
	FIXTURE_OK(tracker_step_until(tracker, session_info(session)->first_tsc, &more));
	while (more)
		FIXTURE_OK(tracker_step_until(tracker, session_info(session)->first_tsc, &more));
	view = fixture_view(&of);
	processes_identify(tracker_processes(tracker), &view, &thread);
	CHECK(!strcmp(thread.comm, "sleeper") && thread.uncertain);
	of = fixture_enter(0, RENAMED, RENAMED, NR_READ);
	view = fixture_view(&of);
	processes_identify(tracker_processes(tracker), &view, &thread);
	CHECK(!strcmp(thread.comm, "after") && !thread.uncertain);
	tracker_destroy(tracker);
	session_close(session);
	ring_tape_deinit(&tape);
}

int main(void)
{
	test_loss();
	test_named();
	test_too_many();
	return 0;
}
