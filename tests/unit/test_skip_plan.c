/* SPDX-License-Identifier: MIT */
/*
 * test_skip_plan.c - a filter that passes over parts of the tape shows what one
 * that reads all of it shows, line for line: a guest made by chance, with forks,
 * execs, renames, migrations, reused task words, losses and calls that last, and
 * filters made by chance. And an index that says otherwise than the records is told.
 */
#include "call_fixture.h"
#include "check.h"
#include "plan_abi.h"
#include "skip_compare.h"
#include "strbuf.h"

#define NR_THREADS 48
#define NR_STEPS   60000
#define STEP_NS    1000000ull
#define NR_READ    0
#define NR_POLL    7
#define NR_CLONE   56
#define NR_FORK    57
#define NR_EXECVE  59
#define NR_EXIT    60
#define NR_WAIT4   61
#define NR_PTRACE  101
#define NR_PRCTL   157
#define NR_MOUNT   165
#define NR_GETPPID 110
#define NR_GROUP   231
#define NR_FILTERS 24
#define NO_THREAD  (-1)

static uint64_t chance(uint64_t *state, uint64_t n)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (*state >> 33) % n;
}

/* ---- a guest --------------------------------------------------------- */

struct thread {
	bool used, in_call, done;
	int32_t pid, tid, parent;
	uint64_t nr, until; /* of the call that it is in; earliest step of its end */
	char comm[16];
	int child; /* made by the fork that it is in */
};

struct guest {
	struct fixture_tape tape;
	struct thread threads[NR_THREADS];
	int running[FIXTURE_VCPUS];
	uint64_t last_task[FIXTURE_VCPUS]; /* of the vCPU's last record */
	int32_t last_id[FIXTURE_VCPUS];
	uint64_t losing[FIXTURE_VCPUS], lost[FIXTURE_VCPUS], lost_tsc[FIXTURE_VCPUS]; /* records still to be lost */
	int32_t ended[NR_THREADS]; /* processes that can be waited for */
	unsigned nr_ended;
	int32_t next_pid;
	uint64_t state, tsc;
	bool has_losses, busy;
};

static uint64_t task_word(const struct guest *g, int i)
{
	(void)g;
	return 0xffff888000000000ull + (uint64_t)i * 0x2000;
}

static void put(struct guest *g, int vcpu, struct fixture_record *r)
{
	r->vcpu = (uint16_t)vcpu;
	if (g->losing[vcpu]) {
		if (!g->lost[vcpu]++)
			g->lost_tsc[vcpu] = r->tsc;
		if (--g->losing[vcpu])
			return;
		*r = (struct fixture_record){.type = TRAP_GAP,
					     .vcpu = (uint16_t)vcpu,
					     .tsc = g->lost_tsc[vcpu],
					     .gap = {g->lost[vcpu], 0, g->lost_tsc[vcpu], r->tsc}};
		g->lost[vcpu] = 0;
	}
	fixture_tape_add(&g->tape, r);
}

static void put_identity(struct guest *g, int vcpu, int i)
{
	const struct thread *t = &g->threads[i];
	struct fixture_record r = fixture_enter(g->tsc, t->pid, t->tid, 0);
	uint64_t parent = (uint64_t)(uint32_t)t->parent << 32 | (uint32_t)t->parent, start = (uint64_t)t->tid * 1000;

	r.type = TRAP_IDENTITY;
	r.task = task_word(g, i);
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_COMM, .bytes = t->comm, .len_bytes = 16};
	r.fragments[1] = (struct fixture_fragment){.label = PLAN_LABEL_PARENT, .bytes = &parent, .len_bytes = 8};
	r.fragments[2] = (struct fixture_fragment){.label = PLAN_LABEL_START_TIME, .bytes = &start, .len_bytes = 8};
	r.nr_fragments = 3;
	put(g, vcpu, &r);
}

/* A record of the thread that runs there; who it is comes first, when another one ran before, or it changed. */
static void put_call(struct guest *g, int vcpu, struct fixture_record *r, bool tell)
{
	int i = g->running[vcpu];

	if (tell || g->last_task[vcpu] != task_word(g, i) || g->last_id[vcpu] != g->threads[i].tid)
		put_identity(g, vcpu, i);
	g->last_task[vcpu] = task_word(g, i);
	g->last_id[vcpu] = g->threads[i].tid;
	r->task = task_word(g, i);
	put(g, vcpu, r);
}

static int make_thread(struct guest *g, int32_t pid, int32_t parent, const char *comm)
{
	for (int i = 0; i < NR_THREADS; i++) {
		struct thread *t = &g->threads[i];

		if (t->used)
			continue;
		*t = (struct thread){.used = true, .tid = g->next_pid++, .parent = parent, .child = NO_THREAD};
		t->pid = pid ? pid : t->tid;
		snprintf(t->comm, sizeof(t->comm), "%s", comm);
		return i;
	}
	return NO_THREAD;
}

static bool runs(const struct guest *g, int i)
{
	for (int v = 0; v < FIXTURE_VCPUS; v++)
		if (g->running[v] == i)
			return true;
	return false;
}

static void vanish(struct guest *g, int i)
{
	int32_t pid = g->threads[i].pid;

	for (int v = 0; v < FIXTURE_VCPUS; v++)
		if (g->running[v] == i)
			g->running[v] = NO_THREAD;
	g->threads[i] = (struct thread){.child = NO_THREAD};
	for (int k = 0; k < NR_THREADS; k++)
		if (g->threads[k].used && g->threads[k].pid == pid)
			return;
	if (g->nr_ended < NR_THREADS)
		g->ended[g->nr_ended++] = pid;
}

static void vanish_all(struct guest *g, int32_t pid)
{
	for (int k = 0; k < NR_THREADS; k++)
		if (g->threads[k].used && g->threads[k].pid == pid)
			vanish(g, k);
}

static void schedule(struct guest *g, int vcpu, uint64_t step)
{
	for (int tries = 0; tries < 20; tries++) {
		int i = (int)chance(&g->state, NR_THREADS);
		const struct thread *t = &g->threads[i];

		if (t->used && !runs(g, i) && (!t->in_call || step >= t->until)) {
			g->running[vcpu] = i;
			return;
		}
	}
}

static uint64_t next_call(struct guest *g, uint64_t step)
{
	static const uint64_t quiet[] = {NR_READ, NR_READ, NR_READ, NR_POLL, NR_GETPPID};
	static const uint64_t busy[] = {NR_READ, NR_FORK, NR_CLONE, NR_EXECVE, NR_PRCTL, NR_WAIT4, NR_EXIT, NR_GROUP};
	bool is_busy = g->busy || step % 12000 < 300;

	if (step / 500 % 31 == 5 && !chance(&g->state, 40))
		return chance(&g->state, 2) ? NR_PTRACE : NR_MOUNT;
	return is_busy ? busy[chance(&g->state, sizeof(busy) / sizeof(busy[0]))]
		       : quiet[chance(&g->state, sizeof(quiet) / sizeof(quiet[0]))];
}

static void enter(struct guest *g, int vcpu, uint64_t step)
{
	int i = g->running[vcpu];
	struct thread *t = &g->threads[i];
	struct fixture_record r;

	t->nr = next_call(g, step);
	if ((t->nr == NR_GROUP || t->nr == NR_EXIT) && t->pid < 116)
		t->nr = NR_READ;
	r = fixture_enter(g->tsc, t->pid, t->tid, t->nr);
	r.args[0] = t->nr == NR_CLONE ? 0x10000 /* CLONE_THREAD */ : step;
	if (t->nr == NR_PRCTL)
		r.args[0] = chance(&g->state, 2) ? 36 : 15, r.args[1] = 1;
	put_call(g, vcpu, &r, false);
	t->in_call = true;
	t->until = step + (chance(&g->state, 60) ? chance(&g->state, 4) : chance(&g->state, 20000));
	if (t->nr == NR_FORK || t->nr == NR_CLONE)
		t->child =
			make_thread(g, t->nr == NR_CLONE ? t->pid : 0, t->nr == NR_CLONE ? t->parent : t->pid, t->comm);
	if (t->nr == NR_EXIT)
		vanish(g, i);
	else if (t->nr == NR_GROUP)
		vanish_all(g, t->pid);
}

static void leave(struct guest *g, int vcpu)
{
	struct thread *t = &g->threads[g->running[vcpu]];
	struct fixture_record r = fixture_exit(g->tsc, t->pid, t->tid, t->nr, (int64_t)chance(&g->state, 3) - 1);
	bool tell = false;

	if (t->nr == NR_FORK || t->nr == NR_CLONE) {
		bool there = t->child != NO_THREAD && g->threads[t->child].used;

		r.ret = there ? (uint64_t)g->threads[t->child].tid : (uint64_t)-11;
	} else if (t->nr == NR_WAIT4) {
		r.ret = g->nr_ended ? (uint64_t)g->ended[--g->nr_ended] : (uint64_t)-10;
	} else if (t->nr == NR_PRCTL || t->nr == NR_EXECVE) {
		r.ret = 0;
		tell = true;
		snprintf(t->comm, sizeof(t->comm), "n%u", (unsigned)chance(&g->state, 6));
	}
	if (t->nr == NR_EXECVE && t->tid != t->pid) {
		r.ret = (uint64_t)-2;
		tell = false;
	}
	t->in_call = false;
	put_call(g, vcpu, &r, tell);
}

/* Attached to: some are in a call already, and leave it at last. */
static void begin_inside_calls(struct guest *g)
{
	static const uint64_t nrs[] = {NR_READ, NR_POLL, NR_WAIT4, NR_GETPPID};

	for (int i = 0; i < NR_THREADS; i++) {
		struct thread *t = &g->threads[i];

		if (!t->used || !chance(&g->state, 3))
			continue;
		t->in_call = true;
		t->nr = nrs[chance(&g->state, sizeof(nrs) / sizeof(nrs[0]))];
		t->until = chance(&g->state, NR_STEPS * 3 / 4);
	}
}

static void write_guest(struct guest *g, uint64_t seed, bool has_losses, size_t chunk_bytes)
{
	memset(g, 0, sizeof(*g));
	g->state = seed;
	g->has_losses = has_losses;
	g->next_pid = 100;
	fixture_tape_init(&g->tape);
	g->tape.chunk_bytes = chunk_bytes;
	for (int v = 0; v < FIXTURE_VCPUS; v++)
		g->running[v] = NO_THREAD;
	for (int i = 0; i < 16; i++)
		make_thread(g, 0, 1, "init");
	begin_inside_calls(g);
	for (uint64_t step = 0; step < NR_STEPS; step++) {
		int v = (int)chance(&g->state, FIXTURE_VCPUS), i = g->running[v];

		g->tsc = 1000 + step * STEP_NS;
		if (step % 3000 == 3)
			make_thread(g, 0, 1, "late");
		if (i == NO_THREAD || !chance(&g->state, 8) || (g->threads[i].in_call && step < g->threads[i].until)) {
			g->running[v] = NO_THREAD;
			schedule(g, v, step);
			i = g->running[v];
		}
		if (g->has_losses && !g->losing[v] && !chance(&g->state, 12000))
			g->losing[v] = 1 + chance(&g->state, 30);
		/* Killed: no record tells. */
		if (i != NO_THREAD && g->threads[i].pid > 118 && !chance(&g->state, 4000)) {
			vanish_all(g, g->threads[i].pid);
			continue;
		}
		if (i == NO_THREAD || (g->threads[i].in_call && step < g->threads[i].until))
			continue;
		if (g->threads[i].in_call)
			leave(g, v);
		else
			enter(g, v, step);
	}
	fixture_tape_finish(&g->tape, true);
}

/* ---- filters --------------------------------------------------------- */

static void put_leaf(struct strbuf *out, uint64_t *state)
{
	static const char *const calls[] = {"ptrace", "mount", "wait4", "poll", "getppid", "read", "nosuch", "execve"};
	static const char *const rest[] = {
		"evt.failed",       "evt.res = SUCCESS", "evt.latency > 5s", "evt.state = no-exit", "evt.cpu = 1",
		"evt.abi = x86_64", "evt.abi = i386",    "evt.state = open", "evt.res exists",      "evt.arg.0 exists"};
	const char *name = calls[chance(state, 8)];

	switch (chance(state, 10)) {
	case 0:
	case 1:
	case 2:
		strbuf_printf(out, "evt.type = %s", name);
		break;
	case 3:
		strbuf_printf(out, "evt.type in (%s, %s)", name, calls[chance(state, 2)]);
		break;
	case 4:
		strbuf_printf(out, "evt.type != %s", name);
		break;
	case 5:
		strbuf_printf(out, "evt.time %s +%u", chance(state, 2) ? ">=" : "<", (unsigned)chance(state, 62));
		break;
	case 6:
		strbuf_printf(out, "proc.name = n%u", (unsigned)chance(state, 6));
		break;
	case 7:
		strbuf_printf(out, "proc.pid = %u", (unsigned)(100 + chance(state, 40)));
		break;
	case 8:
		strbuf_printf(out, "proc.ppid = %u", (unsigned)chance(state, 130));
		break;
	default:
		strbuf_put(out, rest[chance(state, 10)]);
	}
}

static void put_filter(struct strbuf *out, uint64_t *state, unsigned depth)
{
	uint64_t kind = depth ? chance(state, 5) : 9;

	if (kind > 2) {
		put_leaf(out, state);
		return;
	}
	if (kind == 2) {
		strbuf_put(out, "not (");
		put_filter(out, state, depth - 1);
		strbuf_put(out, ")");
		return;
	}
	strbuf_put(out, "(");
	put_filter(out, state, depth - 1);
	strbuf_put(out, kind ? ") and (" : ") or (");
	put_filter(out, state, depth - 1);
	strbuf_put(out, ")");
}

static void test_filters(uint64_t seed, bool has_losses, size_t chunk_bytes, unsigned nr_filters)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct skip_counts counts = {0};
	struct session *session;
	uint64_t state = seed;

	CHECK(guest);
	write_guest(guest, seed, has_losses, chunk_bytes);
	session = fixture_session(&guest->tape);
	skip_compare(session, "evt.type = ptrace", options, &counts);
	if (seed < 3)
		CHECK(counts.skipped > counts.records / (has_losses ? 8 : 4));
	options.window_calls = 50;
	skip_compare(session, "evt.type = mount", options, &counts);
	for (unsigned i = 0; i < nr_filters; i++) {
		struct strbuf text = {0};

		options = (struct call_stream_options){.to_tsc = UINT64_MAX};
		if (!chance(&state, 4))
			options.from_tsc = chance(&state, NR_STEPS * STEP_NS);
		if (!chance(&state, 4))
			options.to_tsc = chance(&state, NR_STEPS * STEP_NS);
		if (!chance(&state, 4))
			options.window_calls = 20;
		put_filter(&text, &state, 3);
		skip_compare(session, text.data, options, &counts);
		strbuf_deinit(&text);
	}
	printf("seed %llu%s: %llu filters, %llu of %llu records passed over, %llu bytes of lines\n",
	       (unsigned long long)seed, has_losses ? ", with losses" : "", (unsigned long long)counts.filters,
	       (unsigned long long)counts.skipped, (unsigned long long)counts.records,
	       (unsigned long long)counts.lines);
	session_close(session);
	fixture_tape_deinit(&guest->tape);
	free(guest);
}

int main(int argc, char **argv)
{
	unsigned nr_filters = argc > 1 ? (unsigned)atoi(argv[1]) : NR_FILTERS;

	uint64_t first = argc > 2 ? (uint64_t)atoi(argv[2]) : 1;

	for (uint64_t seed = first; seed < first + 2; seed++) {
		test_filters(seed, false, 0, nr_filters);
		test_filters(seed, true, 0, nr_filters);
		test_filters(seed, false, 4 << 10, nr_filters / 2);
		test_filters(seed, true, 4 << 10, nr_filters / 2);
	}
	return 0;
}
