/* SPDX-License-Identifier: MIT */
/*
 * test_cut_choice.c - a cut by filter: calls that match are decoded as on the whole tape, descriptors and processes
 * included, other calls are gone, and the numbers of records have no hole but those that were lost.
 */
#include <unistd.h>

#include "call_fixture.h"
#include "call_stream.h"
#include "check.h"
#include "cut_choice.h"
#include "tape_copy.h"
#include "tape_fixture.h"

#define NR_READ   0
#define NR_CLOSE  3
#define NR_MMAP   9
#define NR_GETPID 39
#define NR_FORK   57
#define NR_OPENAT 257
#define NR_ODD    900

static struct fixture_tape tape;
static uint64_t now;

static void call(int32_t pid, uint16_t vcpu, uint64_t nr, uint64_t arg, const char *path, int64_t ret)
{
	struct fixture_record r = fixture_enter(now += 10, pid, pid, nr);

	r.vcpu = vcpu;
	r.args[0] = arg;
	r.args[1] = 0x1000;
	if (path)
		r.fragments[r.nr_fragments++] = (struct fixture_fragment){.label = PLAN_LABEL_ARG0 + 1,
									  .gva = 0x1000,
									  .bytes = path,
									  .len_bytes = (uint16_t)strlen(path)};
	fixture_tape_add(&tape, &r);
	r = fixture_exit(now += 10, pid, pid, nr, ret);
	r.vcpu = vcpu;
	fixture_tape_add(&tape, &r);
}

static void make_tape(void)
{
	struct fixture_record gap = {.type = TRAP_GAP, .vcpu = 1};

	fixture_tape_init(&tape);
	for (int i = 0; i < 50; i++) {
		call(10, 0, NR_GETPID, 0, NULL, 10);
		call(10, 0, NR_OPENAT, (uint64_t)-100, i % 2 ? "/etc/passwd" : "/tmp/x", 3);
		call(10, 1, NR_READ, 3, NULL, 5);
		call(10, 1, NR_CLOSE, 3, NULL, 0);
		call(20, 1, NR_GETPID, 0, NULL, 20);
		call(20, 1, NR_ODD, 0, NULL, 0);
		call(20, 1, NR_MMAP, 0, NULL, 0);
		if (i != 25)
			continue;
		gap.tsc = now += 10;
		gap.gap = (struct trap_gap){.lost_records = 7, .first_seq = 26 * 10, .first_tsc = now, .last_tsc = now};
		fixture_tape_add(&tape, &gap);
		call(10, 0, NR_FORK, 0, NULL, 20);
	}
	fixture_tape_finish(&tape, true);
}

/* What matches, as text; both tapes must give the same. */
static size_t list(struct session *session, const struct filter *filter, struct strbuf *out)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX, .fds = true};
	struct call_stream *stream;
	struct call_item item;
	size_t n = 0;
	bool more;

	FIXTURE_OK(call_stream_create(&stream, session, &options));
	for (;;) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (!more)
			break;
		if (item.is_gap) {
			strbuf_printf(out, "gap %llu\n", (unsigned long long)item.gap.lost_records);
			continue;
		}
		if (!filter_match(filter, &item.call, 0))
			continue;
		n++;
		strbuf_printf(out, "%llu %d %s %lld ", (unsigned long long)item.call.tsc, item.call.thread.pid,
			      item.call.syscall->name, (long long)item.call.ret);
		if (item.call.fds && item.call.fds->objects[0])
			strbuf_printf(out, "%s%s", item.call.fds->objects[0]->name,
				      item.call.fds->uncertain & 1 ? "?" : "");
		strbuf_put_char(out, '\n');
	}
	call_stream_destroy(stream);
	return n;
}

static bool keeps(void *ctx, const struct trap_view *view)
{
	return cut_choice_keeps(ctx, view);
}

static void cut(struct session *session, struct cut_choice *choice, const char *path, struct tape_copy_stats *stats)
{
	struct tape_copy_part part = {.to_tsc = UINT64_MAX, .keep = keeps, .keep_ctx = choice};
	static const char *const none[] = {NULL};
	struct out_file *file;
	struct tape_copy *copy;

	FIXTURE_OK(out_file_create(&file, path, true));
	FIXTURE_OK(tape_copy_create(&copy, file));
	FIXTURE_OK(tape_copy_metas(copy, session, none));
	FIXTURE_OK(tape_copy_part(copy, session, &part));
	tape_copy_get_stats(copy, stats);
	FIXTURE_OK(tape_copy_finish(copy, "cut"));
	FIXTURE_OK(out_file_finish(file));
	tape_copy_destroy(copy);
	out_file_destroy(file);
}

/* Names of calls that are on the tape, and whether each record's number follows the one before. */
static void check_records(const char *path, bool has_read)
{
	uint64_t next[FIXTURE_VCPUS] = {0}, reads = 0, others = 0;
	struct fixture_report report = {.loud = true};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	struct trap_gap gap;

	CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) > 0) {
		uint64_t *expected = &next[view.header.vcpu];

		if (view.header.type == TRAP_GAP) {
			trap_view_gap(&view, &gap);
			CHECK_INT(gap.first_seq, *expected);
			*expected += gap.lost_records;
		}
		CHECK_INT(view.header.seq, *expected);
		(*expected)++;
		if (view.header.type != TRAP_ENTER)
			continue;
		reads += view.regs[TRAP_REG_RAX] == NR_READ;
		others += view.regs[TRAP_REG_RAX] == NR_GETPID;
	}
	CHECK_INT(reads, has_read ? 25 : 0);
	CHECK_INT(others, has_read ? 0 : 50);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
}

int main(void)
{
	static const char *const texts[] = {"evt.type = read and fd.name = /etc/passwd",
					    "evt.type = getpid and proc.pid = 20"};
	char path[] = "/tmp/vmtape-cut.XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	make_tape();
	for (int which = 0; which < 2; which++) {
		struct session *session = fixture_session(&tape), *part;
		struct session_options options = {.assume_linux = true};
		struct strbuf whole = {0}, of_part = {0};
		struct tape_copy_stats stats;
		struct cut_choice *choice;
		struct filter *filter;

		FIXTURE_OK(filter_create(&filter, texts[which], NULL));
		FIXTURE_OK(cut_choice_create(&choice, session, filter, 0, UINT64_MAX, NULL, NULL));
		CHECK_INT(cut_choice_calls(choice), which ? 50 : 25);
		cut(session, choice, path, &stats);
		CHECK_INT(stats.left_records, which ? 2 * 100 : 2 * (25 + 100));
		check_records(path, !which);
		FIXTURE_OK(session_open(&part, path, &options));
		CHECK_INT(list(session, filter, &whole), which ? 50 : 25);
		CHECK_INT(list(part, filter, &of_part), which ? 50 : 25);
		CHECK_STR(of_part.data, whole.data);
		strbuf_deinit(&whole);
		strbuf_deinit(&of_part);
		filter_destroy(filter);
		cut_choice_destroy(choice);
		session_close(part);
		session_close(session);
	}
	fixture_tape_deinit(&tape);
	unlink(path);
	return 0;
}
