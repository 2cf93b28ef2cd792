/* SPDX-License-Identifier: MIT */
/*
 * test_output.c - a small tape as text, JSON Lines, raw traps and Nitro's JSON,
 * byte for byte as in golden/events.*. With VMTAPE_UPDATE_GOLDEN set, writes
 * those files instead: look at the difference before it is committed.
 */
#include "call_fixture.h"
#include "check.h"
#include "output/output.h"
#include "tracker.h"

#define NR_READ         0
#define NR_WRITE        1
#define NR_RT_SIGRETURN 15
#define NR_NANOSLEEP    35
#define NR_EXECVE       59
#define NR_EXIT_GROUP   231
#define NR_OPENAT       257
#define NR_UNKNOWN      999

#define MS 1000000ull

static struct fixture_fragment bytes_at(uint8_t label, uint64_t gva, const void *bytes, size_t n)
{
	return (struct fixture_fragment){.label = label, .gva = gva, .bytes = bytes, .len_bytes = (uint16_t)n};
}

static struct fixture_fragment text_at(uint8_t label, uint64_t gva, const char *text)
{
	struct fixture_fragment fragment = bytes_at(label, gva, text, strlen(text));

	fragment.want_bytes = fragment.len_bytes + 1u; /* with its NUL */
	return fragment;
}

static void add_identity(struct fixture_tape *tape, uint64_t tsc, int32_t pid, int32_t tid, const char *comm)
{
	struct fixture_record r = fixture_enter(tsc, pid, tid, 0);
	char name[16] = {0};
	uint64_t parent = 1ull << 32 | 1, start_ns = 5;

	memcpy(name, comm, strlen(comm));
	r.type = TRAP_IDENTITY;
	r.via = TRAP_VIA_NONE;
	r.fragments[0] = bytes_at(PLAN_LABEL_COMM, 0, name, sizeof(name));
	r.fragments[1] = bytes_at(PLAN_LABEL_PARENT, 0, &parent, sizeof(parent));
	r.fragments[2] = bytes_at(PLAN_LABEL_START_TIME, 0, &start_ns, sizeof(start_ns));
	r.nr_fragments = 3;
	fixture_tape_add(tape, &r);
}

static void add_files(struct fixture_tape *tape)
{
	struct fixture_record r;

	/* A call that began before the tape. */
	r = fixture_exit(1 * MS, 231, 231, NR_READ, 7);
	r.flags = TRAP_F_UNPAIRED;
	fixture_tape_add(tape, &r);
	r = fixture_enter(2 * MS, 231, 231, NR_OPENAT);
	r.args[0] = (uint64_t)-100;
	r.args[1] = 0x7f0000001000;
	r.args[2] = 02000000;
	r.fragments[0] = text_at(1, 0x7f0000001000, "/etc/passwd");
	r.nr_fragments = 1;
	fixture_tape_add(tape, &r);
	r = fixture_exit(2 * MS + 12345, 231, 231, NR_OPENAT, 3);
	fixture_tape_add(tape, &r);
	/* Bytes that are no UTF-8, a quote, a newline; and it fails. */
	r = fixture_enter(3 * MS, 231, 231, NR_OPENAT);
	r.args[0] = (uint64_t)-100;
	r.args[1] = 0x7f0000001000;
	r.fragments[0] = text_at(1, 0x7f0000001000, "/tmp/\"odd\"\n\377\303\251");
	r.nr_fragments = 1;
	fixture_tape_add(tape, &r);
	r = fixture_exit(3 * MS + 800, 231, 231, NR_OPENAT, -2);
	fixture_tape_add(tape, &r);
	r = fixture_enter(4 * MS, 231, 231, NR_UNKNOWN);
	r.args[0] = 1;
	r.args[1] = 0x7f0000001000;
	r.args[2] = 0x7f0000001100;
	r.fragments[0] = bytes_at(1, 0x7f0000001000, "text\0more", 9);
	r.fragments[1] = bytes_at(2, 0x7f0000001100, "\1\2\3\4", 4);
	r.nr_fragments = 2;
	fixture_tape_add(tape, &r);
	r = fixture_exit(4 * MS + 10, 231, 231, NR_UNKNOWN, -38);
	fixture_tape_add(tape, &r);
}

static void add_threads(struct fixture_tape *tape)
{
	struct fixture_record r;

	add_identity(tape, 5 * MS, 231, 240, "worker");
	r = fixture_enter(6 * MS, 231, 240, NR_WRITE);
	r.args[0] = 1;
	r.args[1] = 0x7f0000002000;
	r.args[2] = 6;
	r.vcpu = 1;
	r.fragments[0] = bytes_at(1, 0x7f0000002000, "hello\n", 6);
	r.nr_fragments = 1;
	fixture_tape_add(tape, &r);
	r = fixture_exit(6 * MS + 4000, 231, 240, NR_WRITE, 6);
	fixture_tape_add(tape, &r);
	/* A signal's handler runs, and the call is not made again. */
	r = fixture_enter(7 * MS, 231, 240, NR_NANOSLEEP);
	r.args[0] = 0x7f0000003000;
	fixture_tape_add(tape, &r);
	r = fixture_exit(8 * MS, 231, 240, NR_NANOSLEEP, 0);
	r.flags = TRAP_F_DIVERTED;
	r.via = TRAP_VIA_IRET;
	r.rip = 0x401000;
	r.rsp -= 1024;
	fixture_tape_add(tape, &r);
	r = fixture_enter(9 * MS, 231, 240, NR_RT_SIGRETURN);
	fixture_tape_add(tape, &r);
	r = fixture_exit(9 * MS + 500, 231, 240, NR_RT_SIGRETURN, -4);
	r.flags = TRAP_F_DIVERTED;
	r.via = TRAP_VIA_IRET;
	fixture_tape_add(tape, &r);
}

/* With the frame that the kernel left for the handler: entry's RIP, CS, and EINTR in RAX. */
static void add_signal(struct fixture_tape *tape)
{
	static uint64_t frame[32];
	struct fixture_record r = fixture_enter(9 * MS + 100000, 231, 240, NR_NANOSLEEP);

	r.args[0] = 0x7f0000003000;
	fixture_tape_add(tape, &r);
	frame[6 + 13] = (uint64_t)-4;
	frame[6 + 16] = r.rip;
	frame[6 + 18] = 0x33;
	r = fixture_exit(9 * MS + 200000, 231, 240, NR_NANOSLEEP, 0);
	r.args[0] = 15;
	r.flags = TRAP_F_DIVERTED;
	r.via = TRAP_VIA_IRET;
	r.rip = 0x401000;
	r.rsp -= 1024;
	r.fragments[0] = bytes_at(PLAN_LABEL_SIGFRAME, r.rsp, frame, sizeof(frame));
	r.nr_fragments = 1;
	fixture_tape_add(tape, &r);
}

static void add_end(struct fixture_tape *tape)
{
	struct fixture_record gap = {.type = TRAP_GAP,
				     .vcpu = 1,
				     .tsc = 12 * MS,
				     .gap = {.lost_records = 123, .first_tsc = 10 * MS, .last_tsc = 11 * MS}};
	struct fixture_record r;
	static const char path[] = "/bin/dog";

	r = fixture_enter(10 * MS, 231, 240, NR_READ);
	r.args[2] = 1;
	fixture_tape_add(tape, &r);
	fixture_tape_add(tape, &gap);
	r = fixture_exit(13 * MS, 231, 240, NR_READ, 0);
	fixture_tape_add(tape, &r);
	add_identity(tape, 14 * MS, 231, 231, "cat");
	r = fixture_enter(15 * MS, 231, 231, NR_EXECVE);
	r.args[0] = 0x7f0000004000;
	r.fragments[0] = text_at(0, 0x7f0000004000, path);
	r.nr_fragments = 1;
	fixture_tape_add(tape, &r);
	add_identity(tape, 15 * MS + 100, 231, 231, "dog");
	r = fixture_exit(15 * MS + 200, 231, 231, NR_EXECVE, 0);
	r.flags = TRAP_F_DIVERTED;
	r.via = TRAP_VIA_IRET;
	r.rip = 0x402000;
	fixture_tape_add(tape, &r);
	/* Nobody knows who this is: no task word. */
	r = fixture_enter(16 * MS, 900, 900, NR_READ);
	r.task = 0;
	fixture_tape_add(tape, &r);
	r = fixture_enter(17 * MS, 231, 231, NR_EXIT_GROUP);
	fixture_tape_add(tape, &r);
}

static void put_calls(struct strbuf *out, struct session *session, bool json)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct output_options text = {0};
	struct call_stream *stream;
	struct call_item item;
	bool more;

	FIXTURE_OK(call_stream_create(&stream, session, &options));
	for (;;) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (!more)
			break;
		if (item.is_gap && json)
			output_json_gap(out, &item, session_clock(session));
		else if (item.is_gap)
			output_text_gap(out, &item, session_clock(session), &text);
		else if (json)
			output_json_call(out, &item.call);
		else
			output_text_call(out, &item.call, &text);
	}
	call_stream_destroy(stream);
}

enum trap_format {
	TRAPS_TEXT,
	TRAPS_JSON,
	TRAPS_NITRO,
};

struct trap_writer {
	struct session *session;
	struct strbuf *out;
	enum trap_format format;
};

static void put_trap(void *ctx, const struct trap_view *view, const struct call_thread *thread)
{
	struct trap_writer *w = ctx;
	struct output_options options = {0};
	bool enter = view->header.type == TRAP_ENTER, is_call = enter || view->header.type == TRAP_EXIT;
	struct call call;
	struct output_trap trap = {view, is_call ? &call : NULL, thread,
				   guest_clock_ns(session_clock(w->session), view->header.tsc)};

	if (is_call)
		call_build(&call, w->session, enter ? CALL_OPEN : CALL_EXIT_ONLY, enter ? view : NULL,
			   enter ? NULL : view, thread, false);
	if (w->format == TRAPS_TEXT)
		output_text_trap(w->out, &trap, &options);
	else if (w->format == TRAPS_JSON)
		output_json_trap(w->out, &trap);
	else if (output_nitro_trap(w->out, &trap))
		strbuf_put_char(w->out, '\n');
}

static void put_traps(struct strbuf *out, struct session *session, enum trap_format format)
{
	struct trap_writer writer = {session, out, format};
	struct tracker_sink sink = {.record = put_trap, .ctx = &writer};
	struct tracker *tracker;
	bool more = true;

	FIXTURE_OK(tracker_create(&tracker, session, &sink, 0));
	while (more)
		FIXTURE_OK(tracker_step(tracker, &more));
	tracker_destroy(tracker);
}

static void compare(const char *path, const struct strbuf *got)
{
	size_t n, line = 1;
	char *golden;
	FILE *file;

	CHECK(!got->failed && got->len);
	if (getenv("VMTAPE_UPDATE_GOLDEN")) {
		file = fopen(path, "w");
		CHECK(file && fwrite(got->data, 1, got->len, file) == got->len);
		CHECK_INT(fclose(file), 0);
		return;
	}
	file = fopen(path, "r");
	if (!file) {
		fprintf(stderr, "%s is missing\n", path);
		exit(1);
	}
	golden = calloc(1, got->len + 2);
	CHECK(golden);
	n = fread(golden, 1, got->len + 1, file);
	fclose(file);
	for (size_t i = 0; i < got->len && i < n && got->data[i] == golden[i]; i++)
		line += golden[i] == '\n';
	if (n != got->len || memcmp(golden, got->data, n)) {
		fprintf(stderr, "%s: line %zu differs; now it is:\n%s", path, line, got->data);
		exit(1);
	}
	free(golden);
}

int main(void)
{
	static const char *const paths[] = {"golden/events.txt", "golden/events.jsonl", "golden/traps.txt",
					    "golden/traps.jsonl", "golden/nitro.jsonl"};
	struct strbuf out = {0};
	struct fixture_tape tape;
	struct session *session;

	fixture_tape_init(&tape);
	add_identity(&tape, MS / 2, 231, 231, "cat");
	add_files(&tape);
	add_threads(&tape);
	add_signal(&tape);
	add_end(&tape);
	fixture_tape_finish(&tape, true);
	session = fixture_session(&tape);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		strbuf_reset(&out);
		if (i < 2)
			put_calls(&out, session, i == 1);
		else
			put_traps(&out, session, (enum trap_format)(i - 2));
		compare(paths[i], &out);
	}
	strbuf_deinit(&out);
	session_close(session);
	fixture_tape_deinit(&tape);
	return 0;
}
