/* SPDX-License-Identifier: MIT */
/*
 * test_skip_edges.c - what a filter passes over, on small tapes made by hand: exits
 * of calls that began before the tape, and losses at the ends of chunks.
 */
#include "call_fixture.h"
#include "check.h"
#include "skip_compare.h"
#include "tape_private.h"

#define NR_READ    0
#define NR_PTRACE  101
#define NR_GETPPID 110

/* ---- attached to a guest that runs ----------------------------------- */

static void add_on(struct fixture_tape *tape, uint16_t vcpu, struct fixture_record r)
{
	r.vcpu = vcpu;
	fixture_tape_add(tape, &r);
}

/* What a filter by time shows of it; so many records are passed over. */
static uint64_t show_ptrace(struct fixture_tape *tape, uint64_t nr_passed)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct skip_counts counts = {0};
	struct session *session;

	fixture_tape_finish(tape, true);
	session = fixture_session(tape);
	skip_compare(session, "evt.type = ptrace and evt.time >= +0.00000001", options, &counts);
	CHECK_INT(counts.skipped, nr_passed);
	session_close(session);
	fixture_tape_deinit(tape);
	return counts.lines - 1; /* the NUL */
}

/* The thread's exit comes before what is passed over of it, though in the time of that chunk. */
static void test_exit_before_passed(void)
{
	struct fixture_tape tape;

	fixture_tape_init(&tape);
	add_on(&tape, 0, fixture_enter(10, 7, 7, NR_GETPPID));
	add_on(&tape, 0, fixture_exit(20, 7, 7, NR_GETPPID, 1));
	add_on(&tape, 1, fixture_exit(50, 9, 9, NR_PTRACE, 0));
	add_on(&tape, 0, fixture_enter(90, 9, 9, NR_READ));
	add_on(&tape, 0, fixture_exit(95, 9, 9, NR_READ, 0));
	add_on(&tape, 0, fixture_exit(100, 7, 7, NR_READ, 0));
	CHECK(show_ptrace(&tape, 5));
}

/* And an exit that comes behind is one of a call that the tape has, and that began too early to match. */
static void test_exit_behind_passed(void)
{
	struct fixture_tape tape;

	fixture_tape_init(&tape);
	add_on(&tape, 0, fixture_enter(10, 7, 7, NR_GETPPID));
	add_on(&tape, 0, fixture_enter(11, 9, 9, NR_PTRACE));
	add_on(&tape, 0, fixture_exit(12, 7, 7, NR_GETPPID, 1));
	tape.chunk_bytes = tape.vcpus[0].size_bytes;
	add_on(&tape, 1, fixture_exit(50, 9, 9, NR_PTRACE, 0));
	add_on(&tape, 0, fixture_enter(60, 7, 7, NR_GETPPID));
	CHECK(!show_ptrace(&tape, 4));
}

/* Who comes next is told at the end of the chunk, and leaves his call in the next one. */
static void test_exit_behind_identity(void)
{
	struct fixture_record identity = fixture_enter(60, 9, 9, 0);
	struct fixture_tape tape;

	fixture_tape_init(&tape);
	identity.type = TRAP_IDENTITY;
	add_on(&tape, 0, fixture_enter(10, 7, 7, NR_GETPPID));
	add_on(&tape, 0, fixture_exit(20, 7, 7, NR_GETPPID, 1));
	add_on(&tape, 0, identity);
	tape.chunk_bytes = tape.vcpus[0].size_bytes;
	add_on(&tape, 0, fixture_exit(61, 9, 9, NR_PTRACE, 0));
	CHECK(show_ptrace(&tape, 3));
}

/* ---- losses at the ends of chunks ------------------------------------ */

static void add_gap(struct fixture_tape *tape, uint16_t vcpu, uint64_t tsc, uint64_t last_tsc, uint64_t seq)
{
	struct fixture_record r = {.type = TRAP_GAP, .tsc = tsc, .gap = {3, seq, tsc, last_tsc}};

	add_on(tape, vcpu, r);
}

/* The exit of a call that matches is lost; its thread goes on in a chunk that has no call that matches. */
static void add_lost_exit(struct fixture_tape *tape)
{
	add_on(tape, 1, fixture_enter(210, 9, 9, NR_PTRACE));
	add_on(tape, 2, fixture_enter(200, 7, 7, NR_GETPPID));
	add_on(tape, 2, fixture_enter(220, 9, 9, NR_READ));
	add_on(tape, 2, fixture_exit(230, 9, 9, NR_READ, 0));
	/* Behind all losses: passed over. */
	add_on(tape, 3, fixture_enter(300, 11, 11, NR_READ));
	add_on(tape, 3, fixture_exit(310, 11, 11, NR_READ, 0));
}

/* So many records are passed over: all that are behind the loss and have no call that matches. */
static void show_losses(struct fixture_tape *tape, uint64_t nr_passed)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct skip_counts counts = {0};
	struct session *session = fixture_session(tape);

	skip_compare(session, "evt.type = ptrace", options, &counts);
	CHECK_INT(counts.skipped, nr_passed);
	session_close(session);
	fixture_tape_deinit(tape);
}

static void test_gaps_at_ends(void)
{
	struct fixture_tape tape;

	/* the first record of its vCPU */
	fixture_tape_init(&tape);
	add_gap(&tape, 0, 205, 225, 0);
	add_on(&tape, 0, fixture_enter(240, 5, 5, NR_GETPPID));
	add_lost_exit(&tape);
	fixture_tape_finish(&tape, true);
	show_losses(&tape, 2);
	/* the last one of its chunk */
	fixture_tape_init(&tape);
	add_on(&tape, 0, fixture_enter(100, 5, 5, NR_GETPPID));
	add_on(&tape, 0, fixture_exit(101, 5, 5, NR_GETPPID, 0));
	add_on(&tape, 0, fixture_enter(102, 5, 5, NR_GETPPID));
	add_gap(&tape, 0, 110, 225, 3);
	tape.chunk_bytes = tape.vcpus[0].size_bytes;
	add_on(&tape, 0, fixture_exit(240, 5, 5, NR_GETPPID, 0));
	add_lost_exit(&tape);
	fixture_tape_finish(&tape, true);
	show_losses(&tape, 3); /* with the exit at 240 */
	/* and of all */
	fixture_tape_init(&tape);
	add_on(&tape, 0, fixture_enter(100, 5, 5, NR_GETPPID));
	add_gap(&tape, 0, 110, 225, 1);
	add_lost_exit(&tape);
	fixture_tape_finish(&tape, true);
	show_losses(&tape, 2);
}

/* As a bad sector would leave the chunk of vCPU 0 that begins then. */
static void damage(struct fixture_tape *tape, uint64_t min_tsc)
{
	struct tape_chunk_header header;
	unsigned nr = 0;

	for (size_t at = 0; at + TAPE_CHUNK_HEADER_BYTES < tape->size_bytes; at += 8)
		if (tape_get_chunk_header(tape->bytes + at, &header) && tape_has_events(&header) && !header.vcpu &&
		    header.min_tsc == min_tsc) {
			tape->bytes[at + TAPE_CHUNK_HEADER_BYTES] ^= 1;
			nr++;
		}
	CHECK_INT(nr, 1);
}

/* Nothing tells any more how long the loss was. */
static void test_damaged_gap(void)
{
	struct fixture_tape tape;

	fixture_tape_init(&tape);
	tape.chunk_bytes = 1;
	add_on(&tape, 0, fixture_enter(100, 5, 5, NR_GETPPID));
	add_gap(&tape, 0, 110, 225, 1);
	add_on(&tape, 0, fixture_exit(320, 5, 5, NR_GETPPID, 0));
	add_lost_exit(&tape);
	fixture_tape_finish(&tape, true);
	damage(&tape, 110);
	show_losses(&tape, 0);
}

/* Found when the chunk is read for the call in it: what comes next must show the loss, and only what is behind that is
 * passed over. */
static void test_damaged_call(void)
{
	struct fixture_tape tape;

	fixture_tape_init(&tape);
	tape.chunk_bytes = 1;
	add_on(&tape, 0, fixture_enter(100, 9, 9, NR_PTRACE));
	add_on(&tape, 0, fixture_enter(110, 8, 8, NR_PTRACE));
	add_on(&tape, 0, fixture_enter(320, 5, 5, NR_GETPPID));
	add_on(&tape, 0, fixture_exit(330, 5, 5, NR_GETPPID, 0));
	add_on(&tape, 0, fixture_enter(340, 5, 5, NR_GETPPID));
	fixture_tape_finish(&tape, true);
	damage(&tape, 110);
	show_losses(&tape, 3); /* by the plan, which can't know */
}

int main(void)
{
	test_exit_before_passed();
	test_exit_behind_passed();
	test_exit_behind_identity();
	test_gaps_at_ends();
	test_damaged_gap();
	test_damaged_call();
	return 0;
}
