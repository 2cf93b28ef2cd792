/* SPDX-License-Identifier: MIT */
/* test_pairing.c - exits find their entries: across vCPUs, signals, exec, gaps, reuse of ids; and without task words.
 */
#include "call_fixture.h"
#include "check.h"
#include "pairing.h"

#define NR_READ       0
#define NR_PAUSE      34
#define NR_EXECVE     59
#define NR_EXIT       60
#define NR_SIGRETURN  15
#define NR_EXIT_GROUP 231

/* What came out, as one word a call: "0C" is call 0, complete; X: no exit, O: open, E: exit only; ~: uncertain. */
struct outcome {
	char text[256];
	struct pairing *pairing;
};

static void on_begin(void *ctx, uint64_t call, const struct trap_view *enter)
{
	CHECK_INT(enter->header.type, TRAP_ENTER);
}

static void on_end(void *ctx, uint64_t call, const struct pairing_end *end)
{
	struct outcome *o = ctx;
	size_t n = strlen(o->text);

	CHECK((end->state == CALL_COMPLETE) == (end->exit != NULL));
	snprintf(o->text + n, sizeof(o->text) - n, "%s%" PRIu64 "%c%s", n ? " " : "", call, "CXOE"[end->state],
		 end -> uncertain ? "~" : "");
}

static void on_exit_only(void *ctx, uint64_t call, const struct trap_view *view)
{
	struct outcome *o = ctx;
	size_t n = strlen(o->text);

	CHECK_INT(view->header.type, TRAP_EXIT);
	snprintf(o->text + n, sizeof(o->text) - n, "%s%" PRIu64 "E", n ? " " : "", call);
}

static enum call_role on_role(void *ctx, uint8_t abi, uint32_t nr)
{
	return call_role_of(linux_syscall_name(abi, nr));
}

static void start(struct outcome *o)
{
	struct pairing_sink sink = {on_begin, on_end, on_exit_only, on_role, o};

	*o = (struct outcome){0};
	FIXTURE_OK(pairing_create(&o->pairing, &sink));
}

static void feed(struct outcome *o, struct fixture_record r)
{
	struct trap_view view = fixture_view(&r);

	FIXTURE_OK(pairing_feed(o->pairing, &view));
}

static void expect(struct outcome *o, const char *text)
{
	pairing_finish(o->pairing);
	CHECK_STR(o->text, text);
	pairing_destroy(o->pairing);
}

static void test_across_vcpus(void)
{
	struct fixture_record r;
	struct outcome o;

	start(&o);
	feed(&o, fixture_enter(1, 10, 10, NR_READ));
	r = fixture_enter(2, 11, 11, NR_READ);
	r.vcpu = 1;
	feed(&o, r);
	/* Each goes on where the other was. */
	r = fixture_exit(3, 10, 10, NR_READ, 5);
	r.vcpu = 1;
	feed(&o, r);
	feed(&o, fixture_exit(4, 11, 11, NR_READ, 6));
	feed(&o, fixture_enter(5, 11, 11, NR_READ));
	expect(&o, "0C 1C 2O");
}

static void test_no_exit(void)
{
	struct outcome o;

	start(&o);
	feed(&o, fixture_enter(1, 10, 10, NR_EXIT_GROUP));
	feed(&o, fixture_enter(2, 11, 12, NR_EXIT));
	feed(&o, fixture_enter(3, 11, 11, NR_READ));
	/* Killed, and its memory given to another thread. */
	{
		struct fixture_record r = fixture_enter(4, 11, 11, NR_READ);

		r.pid = r.tid = 99;
		feed(&o, r);
	}
	expect(&o, "0X 1X 2X 3O");
}

static void test_exit_only(void)
{
	struct fixture_record r = fixture_exit(1, 10, 10, NR_READ, 1);
	struct outcome o;

	start(&o);
	r.flags = TRAP_F_UNPAIRED;
	feed(&o, r);
	/* The entry's number and the exit's differ: each stands alone. */
	feed(&o, fixture_enter(2, 10, 10, NR_READ));
	feed(&o, fixture_exit(3, 10, 10, NR_PAUSE, -4));
	expect(&o, "0E 1X~ 2E");
}

static void test_exec_by_thread(void)
{
	struct fixture_record r;
	struct outcome o;

	start(&o);
	feed(&o, fixture_enter(1, 10, 10, NR_READ));
	feed(&o, fixture_enter(2, 10, 12, NR_EXECVE));
	/* The first thread is gone, the one that called has its id. */
	r = fixture_exit(3, 10, 12, NR_EXECVE, 0);
	r.tid = 10;
	r.flags = TRAP_F_DIVERTED;
	r.rip = 0x401000;
	pairing_end_task(o.pairing, 0xffff888000000000ull + 10 * 0x1000);
	feed(&o, r);
	expect(&o, "0X 1C");
}

static void test_signals(void)
{
	struct fixture_record r;
	struct outcome o;

	start(&o);
	feed(&o, fixture_enter(1, 10, 10, NR_PAUSE));
	r = fixture_exit(2, 10, 10, NR_PAUSE, 0);
	r.flags = TRAP_F_DIVERTED;
	r.rip = 0x402000;
	r.rsp -= 1000;
	feed(&o, r);
	feed(&o, fixture_enter(3, 10, 10, NR_READ));
	feed(&o, fixture_exit(4, 10, 10, NR_READ, 1));
	feed(&o, fixture_enter(5, 10, 10, NR_SIGRETURN));
	r = fixture_exit(6, 10, 10, NR_SIGRETURN, -4);
	r.flags = TRAP_F_DIVERTED;
	r.rip = 0x7f0000000000ull + NR_PAUSE * 16;
	feed(&o, r);
	expect(&o, "0C 1C 2C");
}

static void test_gap(void)
{
	struct fixture_record gap = {
		.type = TRAP_GAP, .vcpu = 1, .tsc = 20, .gap = {.lost_records = 3, .first_tsc = 20, .last_tsc = 60}};
	struct outcome o;

	start(&o);
	feed(&o, fixture_enter(10, 10, 10, NR_READ));
	feed(&o, fixture_enter(11, 11, 11, NR_READ));
	feed(&o, fixture_enter(12, 13, 13, NR_READ));
	feed(&o, fixture_exit(13, 13, 13, NR_READ, 1));
	feed(&o, gap);
	/* While one vCPU's records are lost, what another one shows may be a later call's. */
	feed(&o, fixture_enter(30, 13, 13, NR_READ));
	feed(&o, fixture_exit(40, 13, 13, NR_READ, 1));
	feed(&o, fixture_enter(70, 12, 12, NR_READ));
	/* May be the exit of a call that was lost with its entry; the call after the gap is not in doubt. */
	feed(&o, fixture_exit(110, 10, 10, NR_READ, 1));
	feed(&o, fixture_exit(111, 12, 12, NR_READ, 1));
	feed(&o, fixture_enter(112, 11, 11, NR_READ));
	feed(&o, fixture_exit(113, 11, 11, NR_READ, 1));
	expect(&o, "2C 3C~ 0C~ 4C 1X~ 5C");
}

static struct fixture_record nameless(struct fixture_record r)
{
	r.task = 0;
	return r;
}

static void test_without_task(void)
{
	struct fixture_record r;
	struct outcome o;

	start(&o);
	feed(&o, nameless(fixture_enter(1, 10, 10, NR_READ)));
	feed(&o, nameless(fixture_enter(2, 10, 11, NR_PAUSE)));
	/* Another PCID on another vCPU. */
	r = nameless(fixture_exit(3, 10, 10, NR_READ, 1));
	r.cr3 |= 5;
	feed(&o, r);
	/* A handler's stack is another; the number finds the call. */
	r = nameless(fixture_exit(4, 10, 11, NR_PAUSE, 0));
	r.flags = TRAP_F_DIVERTED;
	r.rsp -= 4096;
	r.rip = 0x403000;
	feed(&o, r);
	feed(&o, nameless(fixture_exit(5, 12, 12, NR_READ, 1)));
	CHECK_INT(pairing_guesses(o.pairing), 3);
	expect(&o, "0C 1C 2E");
}

/* Many threads, ended in another order than they began in. */
static void test_many(void)
{
	struct outcome o;

	start(&o);
	for (int i = 0; i < 20000; i++) {
		feed(&o, fixture_enter((uint64_t)i, 10, 10 + i, NR_READ));
		feed(&o, fixture_exit((uint64_t)i, 10, 10 + i, NR_READ, 0));
		o.text[0] = '\0';
	}
	for (int i = 0; i < 20000; i++)
		feed(&o, fixture_enter((uint64_t)i, 10, 10 + i, NR_READ));
	for (int i = 19999; i >= 0; i--) {
		feed(&o, fixture_exit((uint64_t)i, 10, 10 + i, NR_READ, 0));
		CHECK(strstr(o.text, "C"));
		o.text[0] = '\0';
	}
	expect(&o, "");
}

int main(void)
{
	test_across_vcpus();
	test_no_exit();
	test_exit_only();
	test_exec_by_thread();
	test_signals();
	test_gap();
	test_without_task();
	test_many();
	return 0;
}
