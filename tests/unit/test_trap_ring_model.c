/* SPDX-License-Identifier: MIT */
/*
 * Every outcome that C11 allows of a trap ring's producer and consumer, both of
 * them the real code, for a few records: no sleep is missed, no byte is read
 * before it is written or written before it is read. And none can be
 * spared: without the producer's barriers, the consumer's, or any release or
 * acquire the same search finds what goes wrong.
 *
 * Atomics are calls of a machine: a location is the list of all values that it
 * ever had, and a thread knows, for each location, the oldest that it may still
 * read. Release and acquire hand such knowledge on, full barriers exchange it
 * with one view that all of them share. A thread is run again from its start
 * for each step, with what its loads returned before, so a state of the search
 * is a few hundred bytes, and each is visited once.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "check.h"

static uint64_t model_load(const void *p, int order);
static bool model_store(const void *p, uint64_t value, int order);
static void model_fence(void);
static void model_signal(int fd);

#define __atomic_load_n(p, order)         model_load(p, order)
#define __atomic_store_n(p, value, order) (model_store(p, value, order) ? (void)0 : (void)(*(p) = (value)))
#define __sync_synchronize()              model_fence()
/* the consumer's way to tell a producer of room */
#define timerfd_settime(fd, flags, value, old) ((void)(value), model_signal(fd))

#include "../../format/trap_ring.c"
#include "trap_ring_producer.h"

#define DATA_BYTES  ((uint64_t)TRAP_RING_MIN_BYTES)
#define MAX_VALUES  20
#define MAX_OPS     120
#define MAX_RECORDS 9
#define SLOTS       (1u << 20)

/* The last two are no atomics, but how far the data were written and copied out. */
enum { HEAD, TAIL, WAITING, LOCATIONS, WRITTEN = LOCATIONS, COPIED, VIEWED };
enum { PRODUCER, CONSUMER, THREADS };
enum { DATA_FD, ROOM_FD, FDS };

/* What a thread surely knows of each location: the number of a value; of the data, 8 bytes each. */
struct view {
	uint16_t at[VIEWED];
};

struct value {
	uint32_t value;
	struct view view; /* goes to whoever acquires it */
};

struct location {
	struct value values[MAX_VALUES]; /* the first one: 0 */
	uint32_t nr;
};

enum op_type { OP_NONE, OP_LOAD, OP_STORE, OP_FENCE, OP_WAIT, OP_SIGNAL, OP_END };

struct op {
	uint8_t type, where;
	bool is_ordered; /* acquire, release */
	uint32_t value;
};

struct thread {
	/* at fences, relaxed loads become acquired ones, and relaxed stores behind them release what was known there */
	struct view now, acquired, released;
	uint32_t nr_ops;
	uint8_t results[MAX_OPS]; /* loads: number of the value */
	struct op next;
};

struct machine {
	struct location locations[LOCATIONS];
	struct view fence;
	struct {
		uint32_t is_set;
		struct view view;
	} fds[FDS];
	uint32_t nr_signals;
	struct thread threads[THREADS];
};

/* What is left out of the code. */
enum mutant {
	WHOLE,
	NO_PRODUCER_FENCE,
	NO_CONSUMER_FENCE,
	NO_HEAD_RELEASE,
	NO_HEAD_ACQUIRE,
	NO_TAIL_RELEASE,
	NO_TAIL_ACQUIRE,
	MUTANTS
};

static const char *const mutant_names[MUTANTS] = {"whole",
						  "no barrier of the producer's",
						  "no barrier of the consumer's",
						  "no release of head",
						  "no acquire of head",
						  "no release of tail",
						  "no acquire of tail"};

struct scenario {
	const char *name;
	uint32_t sizes[MAX_RECORDS]; /* of the records */
	uint32_t watermark_bytes;
	bool every_look; /* the producer looks at each record above the watermark */
	bool eager;      /* the consumer takes all that there is, not only from the watermark on */
	bool block;      /* the producer waits for room; otherwise it goes on to the next record */
};

static uint8_t memory[2 * TRAP_RING_PAGE + TRAP_RING_MIN_BYTES] __attribute__((aligned(4096)));
static uint8_t buffer[2 * TRAP_RING_MIN_BYTES];
static const struct scenario *scenario;
static unsigned nr_records;
static enum mutant mutant;
static struct trap_writer writer;
static struct trap_ring ring;

/* the run of a thread up to its next step */
static jmp_buf out_of_run;
static const struct machine *run_of;
static unsigned run_thread, run_op;
static struct op run_next;

static uint64_t (*seen)[2];
static uint64_t nr_states, nr_ends, nr_bad;
static const char *bad;

/* ---- what the code calls ---------------------------------------------- */

static const struct thread *running(void)
{
	return &run_of->threads[run_thread];
}

/* A step that was made before, or the end of this run. */
static uint8_t step(struct op op)
{
	if (run_op < running()->nr_ops)
		return running()->results[run_op++];
	run_next = op;
	longjmp(out_of_run, 1);
}

static int location_of(const void *p)
{
	const struct trap_ring_producer *producer = (const void *)memory;
	const struct trap_ring_consumer *consumer = (const void *)(memory + TRAP_RING_PAGE);

	return p == &producer->head ? HEAD : p == &consumer->tail ? TAIL : p == &producer->waiting ? WAITING : -1;
}

static uint64_t model_load(const void *p, int order)
{
	int where = location_of(p);
	bool left_out = (mutant == NO_HEAD_ACQUIRE && where == HEAD) || (mutant == NO_TAIL_ACQUIRE && where == TAIL);
	struct op op = {.type = OP_LOAD, .where = (uint8_t)where, .is_ordered = order == __ATOMIC_ACQUIRE && !left_out};

	CHECK(where >= 0);
	return run_of->locations[where].values[step(op)].value;
}

static bool model_store(const void *p, uint64_t value, int order)
{
	int where = location_of(p);
	bool left_out = (mutant == NO_HEAD_RELEASE && where == HEAD) || (mutant == NO_TAIL_RELEASE && where == TAIL);
	struct op op = {.type = OP_STORE,
			.where = (uint8_t)where,
			.is_ordered = order == __ATOMIC_RELEASE && !left_out,
			.value = (uint32_t)value};

	if (where >= 0)
		step(op);
	return where >= 0;
}

static void model_fence(void)
{
	if (mutant != (run_thread == PRODUCER ? NO_PRODUCER_FENCE : NO_CONSUMER_FENCE))
		step((struct op){.type = OP_FENCE});
}

static void model_signal(int fd)
{
	step((struct op){.type = OP_SIGNAL, .where = (uint8_t)fd});
}

static void model_wait(int fd)
{
	step((struct op){.type = OP_WAIT, .where = (uint8_t)fd});
}

/* ---- the two threads ---------------------------------------------------- */

/*
 * One record, as patched QEMU and KVM append it, but that a lost one is not counted: the bytes in the ring are those of
 * the producer's last run, so they must be the same on all ways, without gap records or padding.
 */
static void append(uint32_t size_bytes)
{
	struct trap_record *record = trap_writer_reserve(&writer, size_bytes);

	while (!record && scenario->block) {
		trap_writer_wait_begin(&writer);
		record = trap_writer_reserve(&writer, size_bytes);
		if (!record) {
			model_signal(DATA_FD);
			model_wait(ROOM_FD);
		}
		trap_writer_wait_end(&writer, 0);
	}
	if (!record)
		return; /* lost: there, too, nobody looks then */
	record->type = TRAP_ENTER;
	trap_writer_commit(&writer, size_bytes);
	if (trap_writer_should_signal(&writer))
		model_signal(DATA_FD);
}

static void produce(void)
{
	trap_writer_init(&writer, memory, DATA_BYTES, scenario->watermark_bytes, 0);
	if (scenario->every_look)
		writer.look_bytes = 0;
	for (unsigned i = 0; i < nr_records; i++)
		append(scenario->sizes[i]);
}

/* As the recorder's drain thread, but that it has only this ring, and that nothing but the ring wakes it. */
static void consume(void)
{
	ring = (struct trap_ring){.memory = memory,
				  .memory_bytes = sizeof(memory),
				  .data_bytes = DATA_BYTES,
				  .data_fd = -1,
				  .room_fd = scenario->block ? ROOM_FD : -1};
	for (;;) {
		int64_t fill_bytes = trap_ring_fill_bytes(&ring);

		CHECK(fill_bytes >= 0);
		if (fill_bytes >= (scenario->eager ? 1 : (int64_t)scenario->watermark_bytes))
			CHECK(trap_ring_drain(&ring, buffer, sizeof(buffer)) > 0);
		else
			model_wait(DATA_FD);
	}
}

/* ---- the machine --------------------------------------------------------- */

static void join(struct view *view, const struct view *other)
{
	for (unsigned i = 0; i < VIEWED; i++)
		if (other->at[i] > view->at[i])
			view->at[i] = other->at[i];
}

static void note_bad(const char *what)
{
	nr_bad++;
	bad = what;
}

static void do_load(struct machine *m, struct thread *t, unsigned number)
{
	unsigned where = t->next.where;
	const struct view *view = &m->locations[where].values[number].view;

	t->now.at[where] = (uint16_t)number;
	join(&t->acquired, view);
	if (t->next.is_ordered)
		join(&t->now, view);
	join(&t->acquired, &t->now);
}

static void do_store(struct machine *m, struct thread *t)
{
	unsigned where = t->next.where;
	struct location *location = &m->locations[where];
	struct value *added = &location->values[location->nr];

	CHECK(location->nr < MAX_VALUES);
	/* the data that it tells of: are they ours to give away? */
	if (where == HEAD) {
		t->now.at[WRITTEN] = (uint16_t)(t->next.value / 8);
		if (t->next.value > DATA_BYTES && t->now.at[COPIED] < (t->next.value - DATA_BYTES) / 8)
			note_bad("bytes are overwritten that may not have been copied out");
	} else if (where == TAIL) {
		t->now.at[COPIED] = (uint16_t)(t->next.value / 8);
		if (t->now.at[WRITTEN] < t->next.value / 8)
			note_bad("bytes are copied that may not have been written");
	}
	t->now.at[where] = (uint16_t)location->nr;
	join(&t->acquired, &t->now);
	added->value = t->next.value;
	added->view = t->next.is_ordered ? t->now : t->released;
	added->view.at[where] = (uint16_t)location->nr++;
}

static void do_fence(struct machine *m, struct thread *t)
{
	join(&t->acquired, &m->fence);
	t->now = t->released = m->fence = t->acquired;
}

/* Makes the step that the thread is at; a load reads value number. */
static void do_step(struct machine *m, struct thread *t, unsigned number)
{
	switch (t->next.type) {
	case OP_LOAD:
		do_load(m, t, number);
		break;
	case OP_STORE:
		do_store(m, t);
		break;
	case OP_FENCE:
		do_fence(m, t);
		break;
	case OP_WAIT:
		m->fds[t->next.where].is_set = 0;
		join(&t->acquired, &m->fds[t->next.where].view);
		join(&t->now, &m->fds[t->next.where].view);
		break;
	case OP_SIGNAL:
		m->nr_signals += t->next.where == DATA_FD;
		m->fds[t->next.where].is_set = 1;
		join(&m->fds[t->next.where].view, &t->now);
		break;
	}
	CHECK(t->nr_ops < MAX_OPS);
	t->results[t->nr_ops++] = (uint8_t)number;
}

/* Runs a thread through its steps so far, and finds the next one. */
static void find_next(struct machine *m, unsigned thread)
{
	run_of = m;
	run_thread = thread;
	run_op = 0;
	if (!setjmp(out_of_run)) {
		if (thread == PRODUCER)
			produce();
		else
			consume();
		run_next = (struct op){.type = OP_END};
	}
	m->threads[thread].next = run_next;
}

/*
 * Up to a step whose place among the other thread's matters. Stores and signals
 * are made at once: made earlier they only add to what the other thread may
 * read, and what was there before them it may still read.
 */
static void settle(struct machine *m, unsigned thread)
{
	struct thread *t = &m->threads[thread];

	find_next(m, thread);
	while (t->next.type == OP_STORE || t->next.type == OP_SIGNAL) {
		do_step(m, t, 0);
		find_next(m, thread);
	}
}

/* By 128 bits of hash. */
static bool was_seen(const struct machine *m)
{
	uint64_t a = 0x9e3779b97f4a7c15ull, b = 0xc2b2ae3d27d4eb4full;

	for (size_t at = 0; at < sizeof(*m); at += 4) {
		uint32_t word;

		memcpy(&word, (const uint8_t *)m + at, sizeof(word));
		a = (a ^ word) * 0x9fb21c651e98df25ull;
		a ^= a >> 29;
		b = (b + word) * 0xd6e8feb86659fd93ull;
		b ^= b >> 32;
	}
	a |= 1;
	for (uint64_t slot = b & (SLOTS - 1);; slot = (slot + 1) & (SLOTS - 1)) {
		if (seen[slot][0] == a && seen[slot][1] == b)
			return true;
		if (!seen[slot][0]) {
			seen[slot][0] = a;
			seen[slot][1] = b;
			nr_states++;
			CHECK(nr_states < SLOTS / 2);
			return false;
		}
	}
}

/* Nobody can go on: the producer made its last record, or sleeps; and so does the consumer. */
static void check_end(struct machine *m)
{
	const struct location *head = &m->locations[HEAD], *tail = &m->locations[TAIL];
	uint32_t fill_bytes = head->values[head->nr - 1].value - tail->values[tail->nr - 1].value;
	uint32_t look_bytes = scenario->every_look ? 0 : scenario->watermark_bytes / 8;

	nr_ends++;
	CHECK(m->threads[CONSUMER].next.type == OP_WAIT);
	if (look_bytes > TRAP_LOOK_BYTES)
		look_bytes = TRAP_LOOK_BYTES;
	if (m->threads[PRODUCER].next.type != OP_END)
		note_bad("producer and consumer sleep");
	else if (fill_bytes >= scenario->watermark_bytes + look_bytes)
		note_bad("the consumer sleeps, and the ring is above its watermark");
	/* once for each tail */
	if (!scenario->block)
		CHECK(m->nr_signals <= tail->nr);
}

static void explore(const struct machine *m)
{
	bool is_end = true;

	if ((bad && mutant != WHOLE) || was_seen(m))
		return;
	for (unsigned i = 0; i < THREADS; i++) {
		const struct thread *t = &m->threads[i];
		unsigned first = 0, behind = 1;

		if (t->next.type == OP_END || (t->next.type == OP_WAIT && !m->fds[t->next.where].is_set))
			continue;
		is_end = false;
		if (t->next.type == OP_LOAD) {
			first = t->now.at[t->next.where];
			behind = m->locations[t->next.where].nr;
		}
		for (unsigned number = first; number < behind; number++) {
			struct machine next = *m;

			do_step(&next, &next.threads[i], number);
			settle(&next, i);
			explore(&next);
		}
	}
	if (is_end) {
		struct machine end = *m;

		check_end(&end);
	}
}

static void search(const struct scenario *s, unsigned records, enum mutant what)
{
	struct machine start;

	memset(&start, 0, sizeof(start));
	memset(memory, 0, sizeof(memory));
	memset(seen, 0, SLOTS * sizeof(seen[0]));
	scenario = s;
	nr_records = records;
	mutant = what;
	nr_states = nr_ends = nr_bad = 0;
	bad = NULL;
	for (unsigned i = 0; i < LOCATIONS; i++)
		start.locations[i].nr = 1;
	for (unsigned i = 0; i < THREADS; i++)
		settle(&start, i);
	explore(&start);
}

/* Sizes: 64 bytes are half of what may come between two looks at a watermark of 1024. */
static const struct scenario scenarios[] = {
	{.name = "from the watermark on", .sizes = {960, 64, 960, 64, 64, 64, 64}, .watermark_bytes = 1024},
	{.name = "all that there is, at each wake-up",
	 .sizes = {1024, 64, 896, 64, 64, 64},
	 .watermark_bytes = 1024,
	 .eager = true},
	{.name = "a look at each record",
	 .sizes = {1024, 64, 960, 64},
	 .watermark_bytes = 1024,
	 .every_look = true,
	 .eager = true},
	{.name = "a full ring", .sizes = {16384, 16384, 16384, 16384, 16384, 16384, 16384}, .watermark_bytes = 20480},
	{.name = "a full ring, and a producer that waits",
	 .sizes = {16384, 16384, 16384, 16384, 16384, 16384},
	 .watermark_bytes = 20480,
	 .block = true},
};

static unsigned count_records(const struct scenario *s)
{
	unsigned n = 0;

	while (n < MAX_RECORDS && s->sizes[n])
		n++;
	return n;
}

int main(void)
{
	const unsigned nr = sizeof(scenarios) / sizeof(scenarios[0]);

	seen = mmap(NULL, SLOTS * sizeof(seen[0]), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(seen != MAP_FAILED);
	for (unsigned i = 0; i < nr; i++) {
		uint64_t states = 0, ends = 0;

		/* it may end, or wait for long, behind any record */
		for (unsigned n = 1; n <= count_records(&scenarios[i]); n++) {
			search(&scenarios[i], n, WHOLE);
			if (bad)
				fprintf(stderr, "%s, %u records: %s\n", scenarios[i].name, n, bad);
			CHECK(!bad);
			CHECK(nr_ends > 0);
			states += nr_states;
			ends += nr_ends;
		}
		printf("%s: %" PRIu64 " states, %" PRIu64 " ends\n", scenarios[i].name, states, ends);
	}
	for (enum mutant m = WHOLE + 1; m < MUTANTS; m++) {
		unsigned found = 0;

		for (unsigned i = 0; i < nr; i++) {
			search(&scenarios[i], count_records(&scenarios[i]), m);
			found += bad != NULL;
			if (bad)
				printf("%s, %s: %s\n", mutant_names[m], scenarios[i].name, bad);
		}
		CHECK(found > 0);
	}
	return 0;
}
