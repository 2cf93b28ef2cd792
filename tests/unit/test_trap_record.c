/* SPDX-License-Identifier: MIT */
/* Record parser: whole records, each truncation, each bad field, random corruption. */
#include <errno.h>
#include <stdbool.h>

#include "check.h"
#include "trap_record.h"

static uint64_t random_state = 88172645463325252ull;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct made {
	uint64_t words[TRAP_RECORD_MAX_BYTES / 8];
	size_t size;
	uint64_t regs[TRAP_REGS];
	struct trap_fragment fragments[40];
	uint8_t bytes[40][100];
};

/* A random valid record of a system call. */
static void make(struct made *made)
{
	struct trap_record header = {0};
	uint8_t *out = (uint8_t *)made->words;
	size_t at = sizeof(header);

	memset(made, 0, sizeof(*made));
	header.type = (uint8_t)(TRAP_ENTER + next_random() % 3);
	header.abi = (uint8_t)(next_random() % TRAP_ABIS);
	header.via = (uint8_t)(next_random() % TRAP_VIAS);
	header.flags = (uint8_t)(next_random() % 16);
	header.vcpu = (uint16_t)next_random();
	header.nr_fragments = (uint16_t)(next_random() % 40);
	header.reg_mask = (uint32_t)(next_random() & ((1u << TRAP_REGS) - 1));
	header.seq = next_random();
	header.tsc = next_random();
	for (unsigned reg = 0; reg < TRAP_REGS; reg++) {
		if (!(header.reg_mask >> reg & 1))
			continue;
		made->regs[reg] = next_random();
		memcpy(out + at, &made->regs[reg], 8);
		at += 8;
	}
	for (unsigned i = 0; i < header.nr_fragments; i++) {
		struct trap_fragment *fragment = &made->fragments[i];

		fragment->gva = next_random();
		fragment->want_bytes = (uint32_t)next_random();
		fragment->len_bytes = (uint16_t)(next_random() % 100);
		fragment->status = (uint8_t)(next_random() % TRAP_FRAG_STATUSES | (next_random() & TRAP_FRAG_AGAIN));
		fragment->label = (uint8_t)next_random();
		for (unsigned j = 0; j < fragment->len_bytes; j++)
			made->bytes[i][j] = (uint8_t)next_random();
		memcpy(out + at, fragment, sizeof(*fragment));
		memcpy(out + at + sizeof(*fragment), made->bytes[i], fragment->len_bytes);
		at += sizeof(*fragment) + (fragment->len_bytes + 7) / 8 * 8;
	}
	header.size_bytes = (uint32_t)at;
	memcpy(out, &header, sizeof(header));
	made->size = at;
}

/* From memory of just the size, so that a sanitizer sees each byte too many. */
static int parse(struct trap_view *view, const void *data, size_t size, const char **why, void **copy)
{
	*copy = malloc(size ? size : 1);
	CHECK(*copy);
	if (size)
		memcpy(*copy, data, size);
	return trap_view_parse(view, *copy, size, why);
}

static void walk(const struct trap_view *view)
{
	const uint8_t *end = view->raw + view->header.size_bytes, *bytes;
	struct trap_fragment fragment;
	size_t position = 0;
	unsigned n = 0, sum = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		CHECK(bytes >= view->raw && bytes + fragment.len_bytes <= end);
		for (unsigned i = 0; i < fragment.len_bytes; i++)
			sum += bytes[i];
		n++;
	}
	CHECK_INT(n, view->header.nr_fragments);
	CHECK(sum < UINT32_MAX);
}

static void test_whole(void)
{
	static struct made made;

	for (int round = 0; round < 500; round++) {
		const uint8_t *bytes;
		struct trap_fragment fragment;
		struct trap_view view;
		size_t position = 0;
		void *copy;

		make(&made);
		CHECK_INT(parse(&view, made.words, made.size, NULL, &copy), made.size);
		CHECK(!memcmp(&view.header, made.words, sizeof(view.header)));
		CHECK(!memcmp(view.regs, made.regs, sizeof(made.regs)));
		CHECK(!view.body);
		for (unsigned i = 0; i < view.header.nr_fragments; i++) {
			CHECK(trap_view_next_fragment(&view, &position, &fragment, &bytes));
			CHECK(!memcmp(&fragment, &made.fragments[i], sizeof(fragment)));
			CHECK(!memcmp(bytes, made.bytes[i], fragment.len_bytes));
		}
		CHECK(!trap_view_next_fragment(&view, &position, &fragment, &bytes));
		free(copy);
	}
}

static void test_truncation(void)
{
	static struct made made;

	for (int round = 0; round < 20; round++) {
		make(&made);
		for (size_t size = 0; size < made.size; size++) {
			struct trap_view view;
			void *copy;

			CHECK_INT(parse(&view, made.words, size, NULL, &copy), -EAGAIN);
			free(copy);
		}
	}
}

static void test_corruption(void)
{
	static struct made made;
	unsigned refused = 0, taken = 0;

	for (int round = 0; round < 20000; round++) {
		const char *why = NULL;
		struct trap_view view;
		void *copy;
		int size;

		make(&made);
		for (unsigned n = 1 + next_random() % 3; n; n--)
			((uint8_t *)made.words)[next_random() % made.size] ^= (uint8_t)(1u << next_random() % 8);
		size = parse(&view, made.words, made.size, &why, &copy);
		if (size > 0) {
			CHECK((size_t)size <= made.size);
			walk(&view);
			taken++;
		} else {
			CHECK(size == -EAGAIN || (size == -EBADMSG && why));
			refused++;
		}
		free(copy);
	}
	/* both happen: the test reaches what it is for */
	CHECK(refused > 1000 && taken > 1000);
}

static void expect_bad(struct made *made, const char *expected)
{
	const char *why = NULL;
	struct trap_view view;

	CHECK_INT(trap_view_parse(&view, made->words, made->size, &why), -EBADMSG);
	CHECK_STR(why, expected);
}

static void test_fields(void)
{
	static struct made made;
	struct trap_record *header = (struct trap_record *)made.words;
	struct trap_fragment *fragment;

	do
		make(&made);
	while (!header->nr_fragments || header->reg_mask & 1);

#define BAD(field, value, why)                       \
	do {                                         \
		struct trap_record before = *header; \
		header->field = value;               \
		expect_bad(&made, why);              \
		*header = before;                    \
	} while (0)

	BAD(size_bytes, 24, "impossible record size");
	BAD(size_bytes, header->size_bytes + 1, "impossible record size");
	BAD(size_bytes, TRAP_RECORD_MAX_BYTES + 8, "impossible record size");
	BAD(size_bytes, 0, "impossible record size");
	BAD(type, TRAP_PAD, "unknown record type");
	BAD(type, TRAP_TYPES, "unknown record type");
	BAD(type, TRAP_GAP, "registers or fragments in a record that has none");
	BAD(abi, TRAP_ABIS, "unknown system-call ABI");
	BAD(via, TRAP_VIAS, "unknown instruction of entry or exit");
	BAD(flags, 0x10, "unknown record flags");
	BAD(reg_mask, 1u << TRAP_REGS, "unknown registers");
	BAD(nr_fragments, header->nr_fragments - 1, "bytes behind the last fragment");
	BAD(nr_fragments, header->nr_fragments + 1, "fragment lies past the end of its record");

	fragment = (struct trap_fragment *)((uint8_t *)made.words + sizeof(*header) +
					    8 * (size_t)__builtin_popcount(header->reg_mask));
	fragment->status = TRAP_FRAG_STATUSES;
	expect_bad(&made, "fragment of unknown status");
	fragment->status = TRAP_FRAG_WHOLE;
	fragment->len_bytes = 65535;
	expect_bad(&made, "fragment is longer than its record");

	memset(header, 0, sizeof(*header));
	header->size_bytes = sizeof(*header) + 8;
	header->type = TRAP_ENTER;
	header->reg_mask = 3;
	made.size = header->size_bytes;
	expect_bad(&made, "registers lie past the end of their record");
}

static void test_bodies(void)
{
	uint64_t words[16] = {0};
	struct trap_record *header = (struct trap_record *)words;
	struct trap_gap gap = {5, 100, 7, 9}, gap_out;
	struct trap_mark mark = {3, 4}, mark_out;
	struct trap_plan_change plan = {77, 0}, plan_out;
	struct trap_view view;
	const char *why;

	header->type = TRAP_GAP;
	header->size_bytes = sizeof(*header) + sizeof(gap);
	memcpy(header + 1, &gap, sizeof(gap));
	CHECK_INT(trap_view_parse(&view, words, sizeof(words), NULL), header->size_bytes);
	trap_view_gap(&view, &gap_out);
	CHECK(!memcmp(&gap, &gap_out, sizeof(gap)));
	CHECK(!view.fragments_bytes);
	/* not a mark: nothing is read past the body */
	trap_view_mark(&view, &mark_out);
	CHECK_INT(mark_out.snapshot_id, 0);
	header->size_bytes += 8;
	CHECK_INT(trap_view_parse(&view, words, sizeof(words), &why), -EBADMSG);
	CHECK_STR(why, "record size does not match its type");

	header->type = TRAP_MARK;
	header->size_bytes = sizeof(*header) + sizeof(mark);
	memcpy(header + 1, &mark, sizeof(mark));
	CHECK_INT(trap_view_parse(&view, words, sizeof(words), NULL), header->size_bytes);
	trap_view_mark(&view, &mark_out);
	CHECK(!memcmp(&mark, &mark_out, sizeof(mark)));

	header->type = TRAP_PLAN;
	header->size_bytes = sizeof(*header) + sizeof(plan);
	memcpy(header + 1, &plan, sizeof(plan));
	CHECK_INT(trap_view_parse(&view, words, sizeof(words), NULL), header->size_bytes);
	trap_view_plan(&view, &plan_out);
	CHECK_INT(plan_out.plan_id, 77);
}

static void same_views(const struct trap_view *a, const struct trap_view *b)
{
	CHECK(!memcmp(&a->header, &b->header, sizeof(a->header)));
	CHECK(!memcmp(a->regs, b->regs, sizeof(a->regs)));
	CHECK(a->raw == b->raw && a->body == b->body && a->fragments == b->fragments);
	CHECK_INT(a->fragments_bytes, b->fragments_bytes);
}

/* Whichever way a processor opens records, it is the same view; the record ends where its memory ends. */
static void test_openers(void)
{
	trap_view_opener *openers[] = {trap_view_open, trap_view_fastest_open()};

	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t mask = i < 2 * TRAP_REGS ? (i % 2 ? 1u << i / 2 : (1u << i / 2) - 1) : i * 2654435761u;
		struct trap_record header = {.type = TRAP_ENTER + i % 3, .seq = i, .tsc = ~(uint64_t)i};
		uint64_t *record;

		header.reg_mask = mask & ((1u << TRAP_REGS) - 1);
		header.size_bytes = (uint32_t)sizeof(header) + 8 * (uint32_t)__builtin_popcount(header.reg_mask);
		record = malloc(header.size_bytes);
		CHECK(record);
		memcpy(record, &header, sizeof(header));
		for (unsigned j = sizeof(header) / 8; j < header.size_bytes / 8; j++)
			record[j] = (uint64_t)j << 56 | (i + 1);
		for (unsigned j = 0; j < sizeof(openers) / sizeof(openers[0]); j++) {
			struct trap_view view, parsed;

			memset(&view, 0x5a, sizeof(view));
			CHECK_INT(trap_view_parse(&parsed, record, header.size_bytes, NULL), header.size_bytes);
			openers[j](&view, record);
			same_views(&parsed, &view);
		}
		free(record);
	}
}

int main(void)
{
	test_openers();
	test_whole();
	test_truncation();
	test_corruption();
	test_fields();
	test_bodies();
	return 0;
}
