/* SPDX-License-Identifier: MIT */
/* trap_record.c - the one place where raw records are checked; see trap_record.h. */
#include "trap_record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_AVX512
#endif

#define TRAP_F_ALL (TRAP_F_CPL0 | TRAP_F_DIVERTED | TRAP_F_UNPAIRED | TRAP_F_CUT)

static int bad(const char **why, const char *what)
{
	if (why)
		*why = what;
	return -EBADMSG;
}

static size_t padded(size_t size_bytes)
{
	return (size_bytes + 7) & ~(size_t)7;
}

/* Without the instruction that not every machine has, the compiler's own way is a call. */
static inline unsigned count_bits(uint32_t mask)
{
	mask -= mask >> 1 & 0x55555555;
	mask = (mask & 0x33333333) + (mask >> 2 & 0x33333333);
	return ((mask + (mask >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

static size_t body_bytes(uint8_t type)
{
	switch (type) {
	case TRAP_GAP:
		return sizeof(struct trap_gap);
	case TRAP_MARK:
		return sizeof(struct trap_mark);
	case TRAP_PLAN:
		return sizeof(struct trap_plan_change);
	default:
		return 0;
	}
}

static int check_fragments(const struct trap_view *view, const char **why)
{
	size_t at = 0;

	for (unsigned i = 0; i < view->header.nr_fragments; i++) {
		struct trap_fragment fragment;

		if (view->fragments_bytes - at < sizeof(fragment))
			return bad(why, "fragment lies past the end of its record");
		memcpy(&fragment, view->fragments + at, sizeof(fragment));
		at += sizeof(fragment);
		if ((fragment.status & ~TRAP_FRAG_AGAIN) >= TRAP_FRAG_STATUSES)
			return bad(why, "fragment of unknown status");
		if (view->fragments_bytes - at < padded(fragment.len_bytes))
			return bad(why, "fragment is longer than its record");
		at += padded(fragment.len_bytes);
	}
	if (at != view->fragments_bytes)
		return bad(why, "bytes behind the last fragment");
	return 0;
}

/* NULL, or what no record's header may say. */
static const char *judge_header(const struct trap_record *header)
{
	if (header->type == TRAP_PAD || header->type >= TRAP_TYPES)
		return "unknown record type";
	if (header->abi >= TRAP_ABIS)
		return "unknown system-call ABI";
	if (header->via >= TRAP_VIAS)
		return "unknown instruction of entry or exit";
	if (header->flags & ~TRAP_F_ALL)
		return "unknown record flags";
	if (header->reg_mask >> TRAP_REGS)
		return "unknown registers";
	if (body_bytes(header->type) && (header->reg_mask || header->nr_fragments))
		return "registers or fragments in a record that has none";
	return NULL;
}

bool trap_record_is_plain(const struct trap_record *header)
{
	return !judge_header(header) && !body_bytes(header->type);
}

/*
 * A call of memset() costs more than these stores, and a string instruction, which a compiler makes of a loop, more
 * than both.
 */
static inline void clear_regs(uint64_t *regs)
{
	static const uint64_t zeros[8];

	_Static_assert(TRAP_REGS == 25, "as many as are cleared");
	memcpy(regs, zeros, sizeof(zeros));
	memcpy(regs + 8, zeros, sizeof(zeros));
	memcpy(regs + 16, zeros, sizeof(zeros));
	regs[24] = 0;
}

/* Returns what lies behind them. */
static inline const uint8_t *take_regs(uint64_t *regs, uint32_t mask, const uint8_t *bytes)
{
	clear_regs(regs);
	for (; mask; mask &= mask - 1) {
		memcpy(&regs[__builtin_ctz(mask)], bytes, 8);
		bytes += 8;
	}
	return bytes;
}

/* behind: what lies behind its registers. */
static inline void open_rest(struct trap_view *out, const uint8_t *record, const uint8_t *behind)
{
	bool has_body = out->header.type >= TRAP_GAP;

	out->raw = record;
	out->body = has_body ? behind : NULL;
	out->fragments = has_body ? NULL : behind;
	out->fragments_bytes = has_body ? 0 : (size_t)(record + out->header.size_bytes - behind);
}

void trap_view_open(struct trap_view *out, const void *record)
{
	const uint8_t *bytes = record;

	memcpy(&out->header, bytes, sizeof(out->header));
	open_rest(out, bytes, take_regs(out->regs, out->header.reg_mask, bytes + sizeof(out->header)));
}

#ifdef HAVE_AVX512
/* Eight registers in one instruction, which reads no more than there are; 0 where the mask has no bit. */
#define TAKE_8(n)                                                                                                     \
	do {                                                                                                          \
		_mm512_storeu_si512(out->regs + (n), _mm512_maskz_expandloadu_epi64((__mmask8)(mask >> (n)), bytes)); \
		bytes += 8 * (size_t)__builtin_popcount(mask >> (n)&0xff);                                            \
	} while (0)

__attribute__((target("avx512f,bmi,popcnt"))) static void open_by_avx512(struct trap_view *out, const void *record)
{
	const uint8_t *bytes = (const uint8_t *)record + sizeof(out->header);
	uint32_t mask;

	memcpy(&out->header, record, sizeof(out->header));
	memcpy(&mask, (const uint8_t *)record + offsetof(struct trap_record, reg_mask), sizeof(mask));
	TAKE_8(0);
	TAKE_8(8);
	TAKE_8(16);
	_Static_assert(TRAP_REGS == 25, "one is left");
	out->regs[24] = 0;
	if (mask >> 24 & 1) {
		memcpy(&out->regs[24], bytes, 8);
		bytes += 8;
	}
	open_rest(out, record, bytes);
}
#undef TAKE_8
#endif

trap_view_opener *trap_view_fastest_open(void)
{
#ifdef HAVE_AVX512
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
		return open_by_avx512;
#endif
	return trap_view_open;
}

int trap_view_parse(struct trap_view *out, const void *data, size_t size_bytes, const char **why)
{
	struct trap_record *header = &out->header;
	const size_t at = sizeof(*header);
	const char *wrong;

	if (size_bytes < at)
		return -EAGAIN;
	memcpy(header, data, at);
	if (header->size_bytes < at || header->size_bytes > TRAP_RECORD_MAX_BYTES || header->size_bytes % 8)
		return bad(why, "impossible record size");
	wrong = judge_header(header);
	if (wrong)
		return bad(why, wrong);
	if (header->size_bytes > size_bytes)
		return -EAGAIN;
	if (body_bytes(header->type) && header->size_bytes != at + body_bytes(header->type))
		return bad(why, "record size does not match its type");
	if (header->size_bytes - at < 8 * (size_t)count_bits(header->reg_mask))
		return bad(why, "registers lie past the end of their record");
	trap_view_open(out, data);
	if (!out->body && check_fragments(out, why))
		return -EBADMSG;
	return (int)header->size_bytes;
}

/* A view of another type gives zeros. */
static void copy_body(const struct trap_view *view, uint8_t type, void *out, size_t size_bytes)
{
	if (view->header.type == type && view->body)
		memcpy(out, view->body, size_bytes);
	else
		memset(out, 0, size_bytes);
}

void trap_view_gap(const struct trap_view *view, struct trap_gap *out)
{
	copy_body(view, TRAP_GAP, out, sizeof(*out));
}

void trap_view_mark(const struct trap_view *view, struct trap_mark *out)
{
	copy_body(view, TRAP_MARK, out, sizeof(*out));
}

void trap_view_plan(const struct trap_view *view, struct trap_plan_change *out)
{
	copy_body(view, TRAP_PLAN, out, sizeof(*out));
}
