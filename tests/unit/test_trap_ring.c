/* SPDX-License-Identifier: MIT */
/* Trap ring, one thread: wrap, full, gap, largest record, and a lying producer or consumer. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The producer's barriers are counted. */
static unsigned barriers;
#define TRAP_LOAD_ACQUIRE(p)         __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define TRAP_STORE_RELEASE(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)
#define TRAP_STORE_RELAXED(p, value) __atomic_store_n(p, value, __ATOMIC_RELAXED)
#define TRAP_FULL_BARRIER()          (barriers++, __sync_synchronize())

#include "check.h"
#include "trap_record.h"
#include "trap_ring.h"
#include "trap_ring_producer.h"

#define DATA_BYTES ((uint64_t)TRAP_RING_MIN_BYTES)

static uint64_t random_state = 4101842887655102017ull;
static uint8_t buffer[4 * TRAP_RECORD_MAX_BYTES];

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct pair {
	struct trap_writer writer;
	struct trap_ring ring;
	uint8_t *memory; /* the producer's mapping */
	int room_fd;     /* the producer's end of the room timer */
};

static int make_memory(uint64_t watermark_bytes, struct trap_writer *writer, uint8_t **memory)
{
	size_t size = trap_ring_memory_bytes(DATA_BYTES);
	int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	*memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(*memory != MAP_FAILED);
	trap_writer_init(writer, *memory, DATA_BYTES, watermark_bytes, 3);
	return fd;
}

static void pair_init(struct pair *pair, uint64_t watermark_bytes)
{
	int fd = make_memory(watermark_bytes, &pair->writer, &pair->memory);
	int room_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	pair->room_fd = dup(room_fd);
	CHECK_INT(trap_ring_init(&pair->ring, fd, trap_ring_memory_bytes(DATA_BYTES), eventfd(0, 0), room_fd), 0);
	CHECK_INT(pair->ring.data_bytes, DATA_BYTES);
	CHECK_INT(pair->ring.vcpu, 3);
}

static void pair_deinit(struct pair *pair)
{
	trap_ring_deinit(&pair->ring);
	munmap(pair->memory, trap_ring_memory_bytes(DATA_BYTES));
	close(pair->room_fd);
}

/* A record whose bytes all follow from its tsc. Returns false when there was no room. */
static bool append(struct trap_writer *w, uint32_t size_bytes, uint64_t tsc)
{
	struct trap_record *record = trap_writer_reserve(w, size_bytes);
	struct trap_fragment fragment = {.gva = tsc};

	if (!record) {
		trap_writer_drop(w, tsc);
		return false;
	}
	memset(record, 0, sizeof(*record));
	record->type = TRAP_ENTER;
	record->tsc = tsc;
	if (size_bytes >= sizeof(*record) + sizeof(fragment)) {
		record->nr_fragments = 1;
		fragment.len_bytes = (uint16_t)(size_bytes - sizeof(*record) - sizeof(fragment));
		memcpy(record + 1, &fragment, sizeof(fragment));
		memset((uint8_t *)(record + 1) + sizeof(fragment), (int)(tsc & 0xff), fragment.len_bytes);
	}
	trap_writer_commit(w, size_bytes);
	return true;
}

/* What the consumer expects next, and what it learned of losses. */
struct tally {
	uint64_t seq, tsc, records, lost, gaps;
};

static void check_records(struct tally *tally, const uint8_t *data, int64_t size)
{
	for (int64_t at = 0; at < size;) {
		struct trap_view view;
		struct trap_fragment fragment;
		struct trap_gap gap;
		const uint8_t *bytes;
		size_t position = 0;
		int n = trap_view_parse(&view, data + at, (size_t)(size - at), NULL);

		CHECK(n > 0);
		at += n;
		CHECK_INT(view.header.vcpu, 3);
		if (view.header.type == TRAP_GAP) {
			trap_view_gap(&view, &gap);
			CHECK_INT(gap.first_seq, tally->seq);
			CHECK_INT(gap.first_tsc, tally->tsc);
			CHECK_INT(gap.last_tsc, tally->tsc + gap.lost_records - 1);
			CHECK_INT(view.header.tsc, gap.first_tsc);
			CHECK(gap.lost_records > 0);
			tally->seq += gap.lost_records;
			tally->tsc += gap.lost_records;
			tally->lost += gap.lost_records;
			tally->gaps++;
			CHECK_INT(view.header.seq, tally->seq++);
			continue;
		}
		CHECK_INT(view.header.seq, tally->seq++);
		CHECK_INT(view.header.tsc, tally->tsc++);
		tally->records++;
		while (trap_view_next_fragment(&view, &position, &fragment, &bytes))
			for (unsigned i = 0; i < fragment.len_bytes; i++)
				CHECK(bytes[i] == (uint8_t)view.header.tsc);
	}
}

static uint32_t random_size(void)
{
	uint32_t most = next_random() % 16 ? 400 : 20000;

	return (uint32_t)(sizeof(struct trap_record) + sizeof(struct trap_fragment) + next_random() % most / 8 * 8);
}

/* Random sizes, fills and buffers: wraps hundreds of times, drops and gaps in between. */
static void test_wrap(void)
{
	struct tally tally = {0};
	uint64_t tsc = 0, wanted = 0, dropped = 0;
	struct pair pair;

	pair_init(&pair, DATA_BYTES / 4);
	while (tsc < 300000) {
		for (unsigned n = (unsigned)(next_random() % 120); n; n--, wanted++)
			dropped += !append(&pair.writer, random_size(), tsc++);
		for (unsigned n = (unsigned)(next_random() % 4); n; n--) {
			size_t room = TRAP_RECORD_MAX_BYTES + next_random() % TRAP_RECORD_MAX_BYTES;
			int64_t got = trap_ring_drain(&pair.ring, buffer, room);

			CHECK(got >= 0 && (size_t)got <= room);
			check_records(&tally, buffer, got);
		}
	}
	for (int64_t got = 1; got;) {
		got = trap_ring_drain(&pair.ring, buffer, sizeof(buffer));
		CHECK(got >= 0);
		check_records(&tally, buffer, got);
	}
	CHECK_INT(trap_ring_fill_bytes(&pair.ring), 0);
	CHECK(trap_writer_flush_gap(&pair.writer));
	check_records(&tally, buffer, trap_ring_drain(&pair.ring, buffer, sizeof(buffer)));
	CHECK_INT(tally.records + tally.lost, wanted);
	CHECK_INT(tally.lost, dropped);
	CHECK_INT(pair.writer.shared->lost_records, dropped);
	CHECK_INT(pair.writer.shared->next_seq, tally.seq);
	printf("%" PRIu64 " records, %" PRIu64 " lost in %" PRIu64 " gaps\n", tally.records, dropped, tally.gaps);
	CHECK(tally.gaps > 100 && dropped > 1000 && tally.records > 100000);
	CHECK(pair.writer.head > 100 * DATA_BYTES);
	pair_deinit(&pair);
}

/* Wherever head stands and whatever must be told, the largest record fits into an empty ring. */
static void test_largest(void)
{
	struct pair pair;
	uint32_t largest;

	pair_init(&pair, DATA_BYTES);
	largest = trap_writer_max_record(&pair.writer);
	CHECK(largest >= DATA_BYTES / 2 - 4096 && largest < DATA_BYTES / 2);
	for (uint64_t at = 0; at < DATA_BYTES; at += 8) {
		for (int gap = 0; gap < 2; gap++) {
			pair.writer.head = pair.writer.tail = pair.ring.tail = at;
			((struct trap_ring_consumer *)(pair.memory + TRAP_RING_PAGE))->tail = at;
			CHECK(!trap_writer_reserve(&pair.writer, largest + 8));
			CHECK(!trap_writer_reserve(&pair.writer, UINT32_MAX));
			CHECK(!trap_writer_reserve(&pair.writer, sizeof(struct trap_record) - 8));
			if (gap)
				trap_writer_drop(&pair.writer, 1);
			CHECK(append(&pair.writer, largest, 2));
			CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)),
				  largest + (gap ? TRAP_GAP_BYTES : 0));
		}
	}
	pair_deinit(&pair);
}

/* A reservation without commit leaves nothing behind, not even its gap record. */
static void test_abandon(void)
{
	struct tally tally = {0};
	struct pair pair;

	pair_init(&pair, DATA_BYTES);
	CHECK(append(&pair.writer, 64, 0));
	trap_writer_drop(&pair.writer, 1);
	for (int i = 0; i < 10000; i++)
		CHECK(trap_writer_reserve(&pair.writer, 1024));
	CHECK(append(&pair.writer, 64, 2));
	check_records(&tally, buffer, trap_ring_drain(&pair.ring, buffer, sizeof(buffer)));
	CHECK_INT(tally.records, 2);
	CHECK_INT(tally.gaps, 1);
	pair_deinit(&pair);
}

/* A tail that can't be is a full ring: nothing is written, and an honest tail later makes it good. */
static void test_wild_tail(void)
{
	static const uint64_t wild[] = {1ull << 63, UINT64_MAX, DATA_BYTES * 3, 1ull << 40};
	static uint8_t before[2 * TRAP_RING_PAGE + TRAP_RING_MIN_BYTES];
	struct tally tally = {0};
	struct trap_ring_consumer *consumer;
	struct pair pair;
	uint64_t tsc = 0;

	pair_init(&pair, 8192);
	consumer = (struct trap_ring_consumer *)(pair.memory + TRAP_RING_PAGE);
	while (append(&pair.writer, 4096, tsc++))
		;
	memcpy(before + 2 * TRAP_RING_PAGE, pair.memory + 2 * TRAP_RING_PAGE, DATA_BYTES);
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		consumer->tail = wild[i];
		for (int n = 0; n < 100; n++)
			CHECK(!append(&pair.writer, 48 + 8 * (uint32_t)n, tsc++));
		/* signalled once for this value, not for each record */
		CHECK_INT(trap_writer_should_signal(&pair.writer), 1);
		CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
	}
	CHECK(!memcmp(before + 2 * TRAP_RING_PAGE, pair.memory + 2 * TRAP_RING_PAGE, DATA_BYTES));
	consumer->tail = 0;
	for (int64_t got = 1; got;) {
		got = trap_ring_drain(&pair.ring, buffer, sizeof(buffer));
		CHECK(got >= 0);
		check_records(&tally, buffer, got);
	}
	CHECK(append(&pair.writer, 2048, tsc++));
	check_records(&tally, buffer, trap_ring_drain(&pair.ring, buffer, sizeof(buffer)));
	CHECK_INT(tally.records + tally.lost, tsc);

	/* unaligned but within the fill: costs records, never memory outside the data */
	while (append(&pair.writer, 4096, tsc++))
		;
	consumer->tail += 4099;
	for (int i = 0; i < 100; i++)
		append(&pair.writer, 2048, tsc++);
	CHECK(pair.writer.head - consumer->tail <= DATA_BYTES);
	pair_deinit(&pair);
}

/* Shared memory that claims what can't be is refused; what lay before it is not lost. */
static void test_wild_head(void)
{
	struct pair pair;
	struct trap_ring_producer *shared;
	struct trap_record *first;
	const struct {
		uint32_t size_bytes;
		uint8_t type;
	} bad[] = {{0, TRAP_ENTER},
		   {24, TRAP_ENTER},
		   {100, TRAP_ENTER},
		   {1u << 31, TRAP_ENTER},
		   {TRAP_RECORD_MAX_BYTES + 8, TRAP_ENTER},
		   {4096, TRAP_ENTER} /* past head */,
		   {64, TRAP_TYPES},
		   {64, 255},
		   {64, TRAP_PAD} /* not up to the end */,
		   {0, TRAP_PAD}};

	pair_init(&pair, DATA_BYTES);
	shared = (struct trap_ring_producer *)pair.memory;
	first = (struct trap_record *)(pair.memory + 2 * TRAP_RING_PAGE);
	CHECK(append(&pair.writer, 64, 0));
	CHECK(append(&pair.writer, 64, 1));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		first->size_bytes = bad[i].size_bytes;
		first->type = bad[i].type;
		CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)), -EBADMSG);
	}
	first->size_bytes = 64;
	first->type = TRAP_ENTER;
	shared->head = DATA_BYTES + 8;
	CHECK_INT(trap_ring_fill_bytes(&pair.ring), -EBADMSG);
	CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)), -EBADMSG);
	shared->head = UINT64_MAX - 7;
	CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)), -EBADMSG);
	shared->head = 100;
	CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)), -EBADMSG);
	shared->head = 128;

	/* the second is bad: the first comes out, then the error */
	((struct trap_record *)((uint8_t *)first + 64))->type = TRAP_TYPES;
	CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)), 64);
	CHECK_INT(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)), -EBADMSG);
	pair_deinit(&pair);
}

/* The eventfd is wanted at the watermark, once for each state of the tail. */
static void test_watermark(void)
{
	struct pair pair;
	struct pollfd room = {.events = POLLIN};
	uint64_t tsc = 0;

	pair_init(&pair, 1024);
	room.fd = pair.room_fd;
	for (int i = 0; i < 15; i++) {
		CHECK(append(&pair.writer, 64, tsc++));
		CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
	}
	CHECK(append(&pair.writer, 64, tsc++));
	CHECK_INT(trap_writer_should_signal(&pair.writer), 1);
	for (int i = 0; i < 100; i++) {
		CHECK(append(&pair.writer, 64, tsc++));
		CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
	}
	CHECK(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)) > 0);
	CHECK(append(&pair.writer, 64, tsc++));
	CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
	for (int i = 0; i < 14; i++)
		CHECK(append(&pair.writer, 64, tsc++));
	CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
	CHECK(append(&pair.writer, 64, tsc++));
	CHECK_INT(trap_writer_should_signal(&pair.writer), 1);

	/* a waiting producer gets room, one that does not wait is left alone */
	CHECK(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)) > 0);
	CHECK_INT(poll(&room, 1, 10), 0);
	trap_writer_wait_begin(&pair.writer);
	CHECK(append(&pair.writer, 64, tsc++));
	CHECK(trap_ring_drain(&pair.ring, buffer, sizeof(buffer)) > 0);
	CHECK_INT(poll(&room, 1, 20000), 1);
	trap_writer_wait_end(&pair.writer, 12345);
	CHECK_INT(pair.writer.shared->blocked_ns, 12345);
	CHECK_INT(pair.writer.shared->waiting, 0);
	pair_deinit(&pair);
}

/*
 * Above the watermark a moved tail is seen at the next look, look_bytes later
 * at most, wherever it moves; a ring that is too full looks at once. Where
 * nothing moves, a barrier serves many records.
 */
static void test_looks(void)
{
	const uint32_t size_bytes = 64, look_bytes = 1024, watermark_bytes = 8192;
	struct trap_ring_consumer *consumer;
	struct pair pair;
	uint64_t tsc = 0;

	pair_init(&pair, watermark_bytes);
	consumer = (struct trap_ring_consumer *)(pair.memory + TRAP_RING_PAGE);
	for (unsigned moved_after = 0; moved_after < 4 * look_bytes / size_bytes; moved_after++) {
		uint64_t moved_at, wanted = pair.writer.head - consumer->tail < watermark_bytes;

		while (pair.writer.head - consumer->tail < watermark_bytes) {
			CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
			CHECK(append(&pair.writer, size_bytes, tsc++));
		}
		CHECK_INT(trap_writer_should_signal(&pair.writer), wanted);
		for (unsigned n = 0; n < moved_after; n++) {
			CHECK(append(&pair.writer, size_bytes, tsc++));
			CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
		}
		/* and stays above */
		consumer->tail = pair.writer.head - watermark_bytes + 64;
		moved_at = pair.writer.head;
		do {
			CHECK(append(&pair.writer, size_bytes, tsc++));
			CHECK(pair.writer.head <= moved_at + look_bytes);
		} while (!trap_writer_should_signal(&pair.writer));
		consumer->tail = pair.writer.head;
		pair.writer.look_at = pair.writer.head;
	}

	pair.writer.look_at = 0;
	barriers = 0;
	for (unsigned n = 0; n < (DATA_BYTES - 2 * watermark_bytes) / size_bytes; n++) {
		CHECK(append(&pair.writer, size_bytes, tsc++));
		trap_writer_should_signal(&pair.writer);
	}
	printf("%u barriers for %" PRIu64 " records\n", barriers, (DATA_BYTES - 2 * watermark_bytes) / size_bytes);
	CHECK(barriers > 0 && barriers <= DATA_BYTES / look_bytes);

	while (append(&pair.writer, size_bytes, tsc++))
		;
	trap_writer_should_signal(&pair.writer);
	consumer->tail += 64;
	CHECK(!append(&pair.writer, 4096, tsc++));
	CHECK_INT(trap_writer_should_signal(&pair.writer), 1);
	CHECK_INT(trap_writer_should_signal(&pair.writer), 0);
	pair_deinit(&pair);
}

static int try_init(void (*spoil)(struct trap_ring_producer *shared, size_t *memory_bytes, int fd))
{
	size_t memory_bytes = trap_ring_memory_bytes(DATA_BYTES);
	struct trap_writer writer;
	struct trap_ring ring;
	uint8_t *memory;
	int fd = make_memory(4096, &writer, &memory), err;

	spoil((struct trap_ring_producer *)memory, &memory_bytes, fd);
	err = trap_ring_init(&ring, fd, memory_bytes, eventfd(0, 0), eventfd(0, 0));
	munmap(memory, trap_ring_memory_bytes(DATA_BYTES));
	if (!err)
		trap_ring_deinit(&ring);
	return err;
}

static void spoil_nothing(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
}
static void spoil_magic(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	shared->magic++;
}
static void spoil_version(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	shared->version++;
}
static void spoil_data_bytes(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	shared->data_bytes *= 2;
}
static void spoil_head(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	shared->head = DATA_BYTES + 8;
}
static void spoil_tail(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	((struct trap_ring_consumer *)((uint8_t *)shared + TRAP_RING_PAGE))->tail = 4;
}
static void spoil_size(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	*memory_bytes -= 4096;
}
static void spoil_tiny(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	*memory_bytes = 4096;
}
static void spoil_file(struct trap_ring_producer *shared, size_t *memory_bytes, int fd)
{
	CHECK(!ftruncate(fd, 4096));
}

static void test_init(void)
{
	int before = dup(0), after;

	CHECK_INT(try_init(spoil_nothing), 0);
	CHECK_INT(try_init(spoil_magic), -EBADMSG);
	CHECK_INT(try_init(spoil_version), -EPROTONOSUPPORT);
	CHECK_INT(try_init(spoil_data_bytes), -EBADMSG);
	CHECK_INT(try_init(spoil_head), -EBADMSG);
	CHECK_INT(try_init(spoil_tail), -EBADMSG);
	CHECK_INT(try_init(spoil_size), -EBADMSG);
	CHECK_INT(try_init(spoil_tiny), -EBADMSG);
	CHECK_INT(try_init(spoil_file), -EBADMSG);
	/* and no descriptor was left open */
	close(before);
	after = dup(0);
	CHECK_INT(after, before);
	close(after);
}

int main(void)
{
	test_init();
	test_wrap();
	test_largest();
	test_abandon();
	test_wild_tail();
	test_wild_head();
	test_watermark();
	test_looks();
	return 0;
}
