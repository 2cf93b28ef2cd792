/* SPDX-License-Identifier: MIT */
/*
 * Orders of the tables in the kernel's read-only data (scripts/kallsyms.c):
 *   until 6.4:  offsets, relative_base, num_syms, names, markers, [seqs_of_names since 6.2], token_table, token_index
 *   since 6.5:  num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
 * (404bad70fcf7) Offsets are from relative_base; with KALLSYMS_ABSOLUTE_PERCPU (until 6.14, 01157ddc58dc) those >= 0
 * are absolute and the others count down from relative_base - 1. Without KALLSYMS_BASE_RELATIVE (until 6.10) there are
 * whole addresses.
 */
#include "kallsyms.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define NR_TOKENS         256u
#define FIRST_DIGIT       0x30u
#define MAX_TOKEN_BYTES   512u
#define MAX_NAME_BYTES    1024u /* KSYM_NAME_LEN is 512 since 6.1, 128 before */
#define MAX_NAMES_BYTES   (256u << 20)
#define MAX_SEQS_BYTES    (8u << 20)
#define NAMES_PER_MARKER  256u
#define MAX_ENTRY_BYTES   1026u
#define SEQ_BYTES         3u
#define MAX_PADDING_BYTES 7u
#define SHORT_TOKEN_BYTES 16u
/* That expand() may write to, the bytes behind a short token included. */
#define NAME_ROOM_BYTES (MAX_NAME_BYTES + SHORT_TOKEN_BYTES)
/* Bytes or entries looked at before the search gives up: a real kernel takes a few million. */
#define SEARCH_BUDGET 400000000u
#define HINT_COST     1000u

struct search {
	const uint8_t *image;
	size_t size;
	uint64_t image_gva;
	kallsyms_accept_fn accept;
	void *ctx;
	uint64_t budget;
	unsigned nr_token_tables, nr_name_tables, nr_address_tables;
	struct kallsyms *found;
	bool no_memory;
};

struct token_table {
	size_t start;     /* of the strings */
	size_t index_end; /* behind the u16 array that follows them */
	uint16_t offsets[NR_TOKENS];
	uint16_t lengths[NR_TOKENS];
};

struct name_table {
	size_t count_at; /* num_syms */
	size_t names;
	uint32_t nr;
};

static uint16_t get_u16(const struct search *s, size_t at)
{
	return s->image[at] | s->image[at + 1] << 8;
}

static uint32_t get_u32(const struct search *s, size_t at)
{
	const uint8_t *p = s->image + at;

	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const struct search *s, size_t at)
{
	return get_u32(s, at) | (uint64_t)get_u32(s, at + 4) << 32;
}

static bool spend(struct search *s, uint64_t cost)
{
	if (s->budget < cost) {
		s->budget = 0;
		return false;
	}
	s->budget -= cost;
	return true;
}

static size_t align_up(size_t at, size_t alignment)
{
	return (at + alignment - 1) & ~(alignment - 1);
}

/* ---- token table ----------------------------------------------------- */

bool kallsyms_next_hint(const uint8_t *image, size_t size_bytes, size_t *from, size_t *hint)
{
	/* Digits are in use in every kernel's names, so each stands for itself: NUL, then "0" to "9". */
	static const char digits[] = "\0000\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	static const size_t middle = 11; /* of '5': memchr() for it outruns memmem(), above all over zeros */

	while (*from < size_bytes && size_bytes - *from >= sizeof(digits)) {
		size_t left = size_bytes - *from - (sizeof(digits) - 1 - middle);
		const uint8_t *five = memchr(image + *from + middle, '5', left - middle);

		if (!five)
			break;
		*hint = five - middle + 1 - image;
		*from = *hint;
		if (!memcmp(five - middle, digits, sizeof(digits)))
			return true;
	}
	*from = size_bytes;
	return false;
}

static bool token_index_matches(struct search *s, struct token_table *table, size_t at)
{
	uint32_t extra;

	if (at > s->size || s->size - at < 2 * NR_TOKENS || get_u16(s, at))
		return false;
	/* The walk back to the first string may have run on into the table before: seqs_of_names ends in any byte. */
	extra = table->offsets[1] - get_u16(s, at + 2);
	if (extra > table->lengths[0])
		return false;
	for (unsigned i = 1; i < NR_TOKENS; i++)
		if (get_u16(s, at + 2 * i) != table->offsets[i] - extra)
			return false;
	table->start += extra;
	table->lengths[0] -= extra;
	for (unsigned i = 1; i < NR_TOKENS; i++)
		table->offsets[i] -= extra;
	table->index_end = at + 2 * NR_TOKENS;
	return true;
}

/* hint: the string of token '0', number 0x30 of the table. */
static bool read_token_table(struct search *s, size_t hint, struct token_table *table)
{
	size_t at = hint;

	/* at - 1 is the NUL of the string before; 48 strings lie there. */
	for (unsigned i = 0; i < FIRST_DIGIT; i++) {
		size_t limit = at > MAX_TOKEN_BYTES ? at - MAX_TOKEN_BYTES : 0;

		if (at == 0)
			return false;
		at--;
		while (at > limit && s->image[at - 1])
			at--;
	}
	table->start = at;
	for (unsigned i = 0; i < NR_TOKENS; i++) {
		size_t room = s->size - at, len;

		if (at - table->start > UINT16_MAX)
			return false;
		if (room > MAX_TOKEN_BYTES)
			room = MAX_TOKEN_BYTES;
		len = strnlen((const char *)s->image + at, room);
		if (len == room)
			return false;
		table->offsets[i] = at - table->start;
		table->lengths[i] = len;
		at += len + 1;
	}
	for (size_t pad = 0; pad <= MAX_PADDING_BYTES; pad++)
		if (token_index_matches(s, table, at + pad))
			return true;
	return false;
}

/* ---- names ----------------------------------------------------------- */

/* Length of the entry's data; *at moves to it. */
static uint32_t entry_length(const struct search *s, size_t *at)
{
	uint32_t len = s->image[(*at)++];

	/* Two bytes for long ones: Linux 6.1, commit 73bbb94466fd. Before, 127 was the longest. */
	if (len & 0x80)
		len = (len & 0x7f) | (uint32_t)s->image[(*at)++] << 7;
	return len;
}

/* The names must reach from names to the markers exactly, and each marker must point at its entry. */
static bool names_are_whole(struct search *s, size_t names, uint32_t nr, size_t markers, unsigned marker_bytes)
{
	size_t at = names;

	for (uint32_t i = 0; i < nr; i++) {
		size_t left = markers - at;
		uint32_t len;

		if (i % NAMES_PER_MARKER == 0) {
			size_t marker_at = markers + (size_t)(i / NAMES_PER_MARKER) * marker_bytes;
			uint64_t marker = marker_bytes == 8 ? get_u64(s, marker_at) : get_u32(s, marker_at);

			if (marker != at - names || !spend(s, NAMES_PER_MARKER))
				return false;
		}
		if (left < 2)
			return false;
		len = entry_length(s, &at);
		if (len == 0 || len > markers - at)
			return false;
		at += len;
	}
	return markers - at <= MAX_PADDING_BYTES;
}

static bool try_addresses(struct search *s, const struct token_table *tokens, const struct name_table *names);

/* Markers are known: num_syms and the names lie before, at a distance that the last marker gives. */
static bool try_markers(struct search *s, const struct token_table *tokens, size_t markers, uint32_t nr_markers,
			unsigned marker_bytes)
{
	size_t last_at = markers + (size_t)(nr_markers - 1) * marker_bytes;
	uint64_t last = marker_bytes == 8 ? get_u64(s, last_at) : get_u32(s, last_at);
	size_t lowest, highest;

	if (last + 16 > markers)
		return false;
	highest = (markers - last) & ~(size_t)3;
	lowest = highest > NAMES_PER_MARKER * MAX_ENTRY_BYTES ? highest - NAMES_PER_MARKER * MAX_ENTRY_BYTES : 8;
	for (size_t at = highest; at >= lowest && at >= 8; at -= 4) {
		/* num_syms is 4 bytes, aligned to 8 on most kernels (8 bytes before 5.0). */
		for (unsigned back = 4; back <= 8; back += 4) {
			struct name_table names = {.count_at = at - back, .names = at};

			if (!spend(s, 1))
				return false;
			names.nr = get_u32(s, names.count_at);
			if (names.nr / NAMES_PER_MARKER + !!(names.nr % NAMES_PER_MARKER) != nr_markers ||
			    (back == 8 && get_u32(s, at - 4)))
				continue;
			if (!names_are_whole(s, at, names.nr, markers, marker_bytes))
				continue;
			s->nr_name_tables++;
			if (try_addresses(s, tokens, &names))
				return true;
		}
	}
	return false;
}

/* Markers: 0, then rising in plausible steps, ending at the token table or before seqs_of_names (3 bytes a symbol). */
static bool try_names(struct search *s, const struct token_table *tokens, unsigned marker_bytes)
{
	size_t end = tokens->start;
	size_t start = end > MAX_SEQS_BYTES ? align_up(end - MAX_SEQS_BYTES, 4) : 0;

	if (!spend(s, (end - start) / 4))
		return false;
	for (size_t at = start; at + marker_bytes <= end; at += 4) {
		uint64_t previous = 0;
		uint32_t n = 1;

		if (get_u32(s, at))
			continue;
		if (marker_bytes == 8 && (at + 8 > end || get_u32(s, at + 4)))
			continue;
		for (size_t next = at + marker_bytes; next + marker_bytes <= end; next += marker_bytes, n++) {
			uint64_t value = marker_bytes == 8 ? get_u64(s, next) : get_u32(s, next);

			if (value < previous + 2 * NAMES_PER_MARKER ||
			    value > previous + NAMES_PER_MARKER * MAX_ENTRY_BYTES)
				break;
			previous = value;
		}
		if (!spend(s, n))
			return false;
		/* By chance the first bytes of what follows may look like one more marker. */
		for (uint32_t count = n; count && count + 1 >= n; count--) {
			size_t rest = end - (at + (size_t)count * marker_bytes);
			size_t seqs_min = (size_t)SEQ_BYTES * (NAMES_PER_MARKER * (size_t)(count - 1) + 1);
			size_t seqs_max = (size_t)SEQ_BYTES * NAMES_PER_MARKER * count + 2 * MAX_PADDING_BYTES;

			if (rest > MAX_PADDING_BYTES && (rest < seqs_min || rest > seqs_max))
				continue;
			if (try_markers(s, tokens, at, count, marker_bytes))
				return true;
		}
		if (n > 2)
			at += (size_t)(n - 2) * marker_bytes;
	}
	return false;
}

/* ---- addresses ------------------------------------------------------- */

enum address_encoding {
	WHOLE_ADDRESSES,
	PLACE_RELATIVE,
	BASE_RELATIVE,
	BASE_RELATIVE_ABSOLUTE_PERCPU,
	ADDRESS_ENCODINGS,
};

static const char *const encoding_names[ADDRESS_ENCODINGS] = {
	"whole addresses",
	"place-relative",
	"base-relative",
	"base-relative with absolute per-CPU",
};

static uint64_t decode_address(const struct search *s, size_t table, uint64_t base, enum address_encoding encoding,
			       uint32_t i)
{
	uint32_t offset;

	if (encoding == WHOLE_ADDRESSES)
		return get_u64(s, table + 8 * (size_t)i);
	offset = get_u32(s, table + 4 * (size_t)i);
	if (encoding == PLACE_RELATIVE)
		return s->image_gva + table + 4 * (size_t)i + (int32_t)offset;
	if (encoding == BASE_RELATIVE)
		return base + offset;
	return offset & 0x80000000u ? base - 1 - (uint64_t)(int64_t)(int32_t)offset : offset;
}

static struct kallsyms *build(struct search *s, const struct token_table *tokens, const struct name_table *names,
			      size_t table, uint64_t base, enum address_encoding encoding);

static bool try_encoding(struct search *s, const struct token_table *tokens, const struct name_table *names,
			 size_t table, uint64_t base, enum address_encoding encoding)
{
	uint64_t previous = 0;
	struct kallsyms *symbols;

	/* Symbols are sorted by address; a wrong place or encoding shows within a few entries. */
	for (uint32_t i = 0; i < names->nr; i++) {
		uint64_t address = decode_address(s, table, base, encoding, i);

		if (address < previous || !spend(s, 1))
			return false;
		previous = address;
	}
	if (previous >> 63 == 0)
		return false;
	s->nr_address_tables++;
	symbols = build(s, tokens, names, table, base, encoding);
	if (!symbols)
		return false;
	snprintf(symbols->layout, sizeof(symbols->layout), "%s, addresses %s names", encoding_names[encoding],
		 table < names->names ? "before" : "behind");
	if (s->accept(s->ctx, symbols)) {
		s->found = symbols;
		return true;
	}
	kallsyms_destroy(symbols);
	return false;
}

static bool try_offsets(struct search *s, const struct token_table *tokens, const struct name_table *names,
			size_t table, size_t base_at)
{
	uint64_t base;

	if (base_at > s->size || s->size - base_at < 8)
		return false;
	base = get_u64(s, base_at);
	if (base >> 47 != 0x1ffff)
		return false;
	return try_encoding(s, tokens, names, table, base, BASE_RELATIVE) ||
	       try_encoding(s, tokens, names, table, base, BASE_RELATIVE_ABSOLUTE_PERCPU);
}

static bool try_addresses(struct search *s, const struct token_table *tokens, const struct name_table *names)
{
	size_t whole_bytes = 8 * (size_t)names->nr, offset_bytes = 4 * (size_t)names->nr;

	for (size_t alignment = 8; alignment >= 4; alignment -= 4) {
		size_t behind = align_up(tokens->index_end, alignment);
		size_t base_at = names->count_at - 8;

		/* Behind the token index, since 6.5. */
		if (behind <= s->size && s->size - behind >= offset_bytes) {
			size_t offsets_end = align_up(behind + offset_bytes, alignment);

			if (try_offsets(s, tokens, names, behind, offsets_end) ||
			    try_encoding(s, tokens, names, behind, 0, PLACE_RELATIVE))
				return true;
			if (s->size - behind >= whole_bytes &&
			    try_encoding(s, tokens, names, behind, 0, WHOLE_ADDRESSES))
				return true;
		}
		/* Before num_syms. */
		if (names->count_at >= 8 + align_up(offset_bytes, alignment) &&
		    try_offsets(s, tokens, names, base_at - align_up(offset_bytes, alignment), base_at))
			return true;
		if (names->count_at >= whole_bytes &&
		    try_encoding(s, tokens, names, names->count_at - whole_bytes, 0, WHOLE_ADDRESSES))
			return true;
	}
	return false;
}

/* ---- result ---------------------------------------------------------- */

/* Seeded: a guest must not be able to choose names that all fall into one bucket. */
static uint64_t hash_name(const struct kallsyms *symbols, const char *name, size_t len)
{
	return XXH3_64bits_withSeed(name, len, symbols->hash_seed);
}

/* Tokens as they are copied: nearly all are short, and a copy of a fixed size is a single move. */
struct short_tokens {
	char text[NR_TOKENS][SHORT_TOKEN_BYTES];
};

static void fill_short_tokens(const struct search *s, const struct token_table *tokens, struct short_tokens *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < NR_TOKENS; i++)
		if (tokens->lengths[i] <= SHORT_TOKEN_BYTES)
			memcpy(out->text[i], s->image + tokens->start + tokens->offsets[i], tokens->lengths[i]);
}

/* Writes the name with its type letter, NUL-terminated; 0: too long. out has room for NAME_ROOM_BYTES. */
static size_t expand(const struct search *s, const struct token_table *tokens, const struct short_tokens *short_tokens,
		     size_t at, uint32_t len, char *out)
{
	size_t n = 0;

	for (uint32_t i = 0; i < len; i++) {
		uint8_t token = s->image[at + i];
		size_t token_bytes = tokens->lengths[token];

		if (token_bytes >= MAX_NAME_BYTES - n)
			return 0;
		if (token_bytes <= SHORT_TOKEN_BYTES)
			memcpy(out + n, short_tokens->text[token], SHORT_TOKEN_BYTES);
		else
			memcpy(out + n, s->image + tokens->start + tokens->offsets[token], token_bytes);
		n += token_bytes;
	}
	out[n] = '\0';
	return n;
}

/* The bucket that holds the name, or the empty one where it belongs. Names of another hash are not looked at. */
static struct kallsyms_bucket *find_bucket(const struct kallsyms *symbols, const char *name, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & symbols->bucket_mask, tag = (uint32_t)(hash >> 32);

	while (symbols->buckets[at].number && (symbols->buckets[at].tag != tag ||
					       strcmp(kallsyms_name(symbols, symbols->buckets[at].number - 1), name)))
		at = (at + 1) & symbols->bucket_mask;
	return &symbols->buckets[at];
}

static bool is_global(const struct kallsyms_symbol *symbol)
{
	return symbol->type >= 'A' && symbol->type <= 'Z';
}

/* One entry a name: a hostile table of equal names must not make this quadratic. */
static void index_name(struct kallsyms *symbols, uint32_t i, size_t len)
{
	const char *name = kallsyms_name(symbols, i);
	uint64_t hash = hash_name(symbols, name, len);
	struct kallsyms_bucket *bucket = find_bucket(symbols, name, hash);

	if (!bucket->number || (is_global(&symbols->symbols[i]) && !is_global(&symbols->symbols[bucket->number - 1])))
		*bucket = (struct kallsyms_bucket){.number = i + 1, .tag = (uint32_t)(hash >> 32)};
}

static bool make_buckets(struct kallsyms *symbols)
{
	uint32_t size = 64;

	while (size < symbols->nr + symbols->nr / 2)
		size *= 2;
	symbols->buckets = calloc(size, sizeof(*symbols->buckets));
	symbols->bucket_mask = size - 1;
	return symbols->buckets;
}

static struct kallsyms *build(struct search *s, const struct token_table *tokens, const struct name_table *names,
			      size_t table, uint64_t base, enum address_encoding encoding)
{
	struct kallsyms *symbols = calloc(1, sizeof(*symbols));
	size_t at = names->names, used = 0, room = (size_t)names->nr * 24 + NAME_ROOM_BYTES;
	struct short_tokens short_tokens;

	if (!symbols)
		goto no_memory;
	symbols->nr = names->nr;
	if (getrandom(&symbols->hash_seed, sizeof(symbols->hash_seed), GRND_NONBLOCK) < 0)
		symbols->hash_seed = (uintptr_t)symbols;
	symbols->symbols = malloc(names->nr * sizeof(*symbols->symbols));
	symbols->names = malloc(room);
	if (!symbols->symbols || !symbols->names || !make_buckets(symbols))
		goto no_memory;
	fill_short_tokens(s, tokens, &short_tokens);
	for (uint32_t i = 0; i < names->nr; i++) {
		uint32_t len = entry_length(s, &at);
		size_t n;

		if (room - used < NAME_ROOM_BYTES) {
			char *grown = realloc(symbols->names, room * 2);

			if (!grown)
				goto no_memory;
			symbols->names = grown;
			room *= 2;
		}
		n = expand(s, tokens, &short_tokens, at, len, symbols->names + used);
		at += len;
		if (!n || used > MAX_NAMES_BYTES || !spend(s, n)) {
			kallsyms_destroy(symbols);
			return NULL;
		}
		symbols->symbols[i] = (struct kallsyms_symbol){
			.address = decode_address(s, table, base, encoding, i),
			.name = used + 1,
			.type = symbols->names[used],
		};
		index_name(symbols, i, n - 1);
		used += n + 1;
	}
	return symbols;

no_memory:
	s->no_memory = true;
	kallsyms_destroy(symbols);
	return NULL;
}

struct vmtape_error *kallsyms_find(struct kallsyms **out, const uint8_t *image, size_t size_bytes, uint64_t image_gva,
				   kallsyms_accept_fn accept, void *ctx)
{
	struct search s = {.image = image,
			   .size = size_bytes,
			   .image_gva = image_gva,
			   .accept = accept,
			   .ctx = ctx,
			   .budget = SEARCH_BUDGET};
	size_t from = 0, hint;

	*out = NULL;
	while (!s.found && s.budget && !s.no_memory && kallsyms_next_hint(image, size_bytes, &from, &hint)) {
		struct token_table tokens;

		if (!spend(&s, HINT_COST) || !read_token_table(&s, hint, &tokens))
			continue;
		s.nr_token_tables++;
		/* Markers were 8 bytes wide until 4.20: 80ffbaa5b1bd. */
		if (!try_names(&s, &tokens, 4))
			try_names(&s, &tokens, 8);
	}
	if (s.found) {
		*out = s.found;
		return NULL;
	}
	if (s.no_memory)
		return &vmtape_error_no_memory;
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
				   "no kallsyms of the running kernel: %u token tables, %u name tables, %u address "
				   "tables looked at%s",
				   s.nr_token_tables, s.nr_name_tables, s.nr_address_tables,
				   s.budget ? "" : ", then given up");
}

void kallsyms_destroy(struct kallsyms *symbols)
{
	if (!symbols)
		return;
	free(symbols->symbols);
	free(symbols->names);
	free(symbols->buckets);
	free(symbols);
}

bool kallsyms_lookup(const struct kallsyms *symbols, const char *name, uint64_t *address)
{
	uint32_t number = find_bucket(symbols, name, hash_name(symbols, name, strlen(name)))->number;

	*address = number ? symbols->symbols[number - 1].address : 0;
	return number;
}

uint32_t kallsyms_first_at(const struct kallsyms *symbols, uint64_t address)
{
	uint32_t low = 0, high = symbols->nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (symbols->symbols[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
