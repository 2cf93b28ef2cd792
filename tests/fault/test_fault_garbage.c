/* SPDX-License-Identifier: MIT */
/*
 * test_fault_garbage.c - files of garbage as tapes: noise, noise behind good
 * headers, pieces of good tapes put together wrongly. The reader refuses or
 * reads on, verify finds what is wrong, the commands end with their own status,
 * and nothing crashes.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fault_rig.h"
#include "tape_private.h"
#include "tape_reading.h"

#define MAX_BYTES (96u << 10)

static uint64_t state;

/* splitmix64 */
static uint64_t number(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static size_t below(size_t n)
{
	return n ? number() % n : 0;
}

static void noise(uint8_t *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		bytes[i] = (uint8_t)(number() >> 24);
}

enum kind { NOISE, HEADER, TWO_HEADERS, PATCHED, SPLICED, REPEATED, CHUNKS, KINDS };

/* Noise between chunk headers whose sums are right: what is behind them is not. */
static void put_chunks(uint8_t *bytes, size_t size_bytes)
{
	uint64_t tag = tape_tag(bytes + 32);
	size_t at = TAPE_FILE_HEADER_BYTES + TAPE_SLOT_HEADER_BYTES;
	uint32_t slot_bytes = get_le32(bytes + 12);

	for (uint32_t n = 0; at + TAPE_CHUNK_HEADER_BYTES + 64 < size_bytes && at < slot_bytes / 2; n++) {
		struct tape_chunk_header header = {
			.type = (uint16_t)(1 + below(9)),
			.codec = (uint8_t)below(3),
			.layout = (uint8_t)(below(8) ? 1 : below(256)),
			.stored_bytes = (uint32_t)below(below(4) ? 200 : size_bytes - at),
			.raw_bytes = (uint32_t)below(below(4) ? 4096 : 1u << 31),
			.tag = tag,
			.number = n,
			.vcpu = (uint16_t)(below(2) ? below(4) : TAPE_NO_VCPU),
			.nr_items = (uint32_t)below(below(2) ? 300 : 1u << 31),
			.min_tsc = number() >> below(64),
			.max_tsc = number() >> below(64),
			.first_seq = number() >> below(64),
			.last_seq = number() >> below(64),
		};
		uint64_t room = size_bytes - at - TAPE_CHUNK_HEADER_BYTES;

		if (!below(2))
			header.raw_bytes = header.stored_bytes;
		header.payload_hash = tape_hash(bytes + at + TAPE_CHUNK_HEADER_BYTES,
						header.stored_bytes < room ? header.stored_bytes : room);
		tape_put_chunk_header(bytes + at, &header);
		at += tape_chunk_bytes(&header);
	}
}

static size_t make(uint8_t *bytes, enum kind kind, const uint8_t *good, size_t good_bytes)
{
	size_t size_bytes = below(MAX_BYTES), n, from, to;

	switch (kind) {
	case NOISE:
		noise(bytes, size_bytes);
		return size_bytes;
	case HEADER:
	case TWO_HEADERS:
	case CHUNKS:
		n = kind == HEADER ? TAPE_FILE_HEADER_BYTES : TAPE_FILE_HEADER_BYTES + TAPE_SLOT_HEADER_BYTES;
		size_bytes += n;
		noise(bytes, size_bytes);
		memcpy(bytes, good, n);
		if (kind == CHUNKS)
			put_chunks(bytes, size_bytes);
		return size_bytes;
	case PATCHED:
		memcpy(bytes, good, good_bytes);
		for (unsigned i = 0; i < 1 + below(4); i++) {
			from = below(good_bytes);
			n = 1 + below(below(2) ? 16 : 4096);
			noise(bytes + from, n < good_bytes - from ? n : good_bytes - from);
		}
		return good_bytes;
	case SPLICED: /* one piece over another */
		memcpy(bytes, good, good_bytes);
		from = below(good_bytes);
		to = below(good_bytes);
		n = below(good_bytes - (from > to ? from : to));
		memmove(bytes + to, good + from, n);
		return below(2) ? good_bytes : below(good_bytes);
	default: /* a good tape, twice */
		memcpy(bytes, good, good_bytes);
		n = below(2) ? get_le32(good + 12) : below(good_bytes);
		n = n < good_bytes ? n : good_bytes;
		memcpy(bytes + n, good, good_bytes);
		return n + good_bytes;
	}
}

/* The commands read it as a user would: they end with a status of their own, in time. */
static void run_commands(const char *path)
{
	static const char *const commands[] = {"verify", "info", "events", "ps", "stats"};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char line[400];
		int status;

		snprintf(line, sizeof(line), "timeout 60 '%s' %s '%s' >/dev/null 2>&1", VMTAPE_PATH, commands[i], path);
		status = system(line);
		CHECK(WIFEXITED(status));
		if (WEXITSTATUS(status) > 2)
			fprintf(stderr, "vmtape %s %s: status %d\n", commands[i], path, WEXITSTATUS(status));
		CHECK(WEXITSTATUS(status) <= 2);
	}
}

int main(void)
{
	unsigned nr_files = fault_is_long() ? 10000 : 500, opened = 0, unsound = 0, commands = 0;
	static uint8_t bytes[MAX_BYTES * 2];
	char path[] = "/tmp/vmtape-garbage-XXXXXX";
	uint8_t *good[NR_GOLDEN_TAPES];
	size_t good_bytes[NR_GOLDEN_TAPES];
	int fd = mkstemp(path);

	fault_seed();
	state = (uint64_t)random() << 32 | (uint64_t)random();
	CHECK(fd >= 0);
	for (unsigned i = 0; i < NR_GOLDEN_TAPES; i++) {
		good[i] = tape_reading_golden(i, &good_bytes[i]);
		CHECK(good_bytes[i] <= MAX_BYTES);
	}
	for (unsigned i = 0; i < nr_files; i++) {
		unsigned of = i / KINDS % NR_GOLDEN_TAPES;
		size_t size_bytes = make(bytes, (enum kind)(i % KINDS), good[of], good_bytes[of]);
		struct tape_reader *reader;
		struct tape_reading reading;
		struct tape_error error = {0};

		CHECK(!ftruncate(fd, 0));
		CHECK_INT(pwrite(fd, bytes, size_bytes, 0), size_bytes);
		if (tape_reader_open(&reader, path, &error)) {
			CHECK(error.message[0]);
		} else {
			tape_reading_all(&reading, reader);
			opened++;
			unsound += reading.problems != 0;
		}
		if (i % 50 == 0 || i % 50 == 25 + i / 50 % KINDS) {
			run_commands(path);
			commands += 5;
		}
	}
	printf("%u files of garbage: %u refused, %u opened, %u of them with problems found; %u commands ended well\n",
	       nr_files, nr_files - opened, opened, unsound, commands);
	CHECK(opened > nr_files / 4 && unsound > opened / 2);
	for (unsigned i = 0; i < NR_GOLDEN_TAPES; i++)
		free(good[i]);
	close(fd);
	unlink(path);
	return 0;
}
