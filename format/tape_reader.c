/* SPDX-License-Identifier: MIT */
/* tape_reader.c - opens a tape, and answers what is on it: figures, meta lines, plans. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tape_read.h"

/* ---- headers --------------------------------------------------------- */

static int judge_identity(const struct tape_identity *identity, struct tape_error *error)
{
	uint64_t unknown = identity->required_features & ~TAPE_REQUIRED_FEATURES;

	if (identity->version != TAPE_VERSION)
		return tape_fail(error, -EPROTONOSUPPORT, 8,
				 "tape has version %u, this program knows version %u: use a newer one",
				 identity->version, TAPE_VERSION);
	if (unknown)
		return tape_fail(error, -EPROTONOSUPPORT, 24,
				 "tape needs features that this program does not know (bits 0x%" PRIx64
				 "): use a newer one",
				 unknown);
	if (identity->slot_bytes < TAPE_SLOT_MIN_BYTES || identity->slot_bytes > TAPE_SLOT_MAX_BYTES ||
	    identity->slot_bytes % TAPE_PAGE_BYTES)
		return tape_fail(error, -EBADMSG, 12, "slot size %u is not valid", identity->slot_bytes);
	if (identity->required_features & TAPE_FEATURE_RING &&
	    (identity->nr_places < TAPE_RING_MIN_PLACES || identity->nr_places > TAPE_RING_MAX_PLACES))
		return tape_fail(error, -EBADMSG, 56, "a ring of %u slots is not valid", identity->nr_places);
	return 0;
}

static int read_identity(struct tape_reader *reader, struct tape_error *error)
{
	uint8_t bytes[TAPE_FILE_HEADER_BYTES] = {0}, slot_bytes[TAPE_SLOT_HEADER_BYTES];
	uint64_t size_bytes = reader->source.size_bytes;
	struct tape_slot_header from_slot;
	bool has_magic, has_slot, intact = false;
	int result;

	if (!size_bytes)
		return tape_fail(error, -EMEDIUMTYPE, 0, "not a tape: the file is empty");
	result = tape_source_read(&reader->source, 0, bytes, size_bytes < sizeof(bytes) ? size_bytes : sizeof(bytes));
	if (result)
		return tape_fail(error, result, 0, "cannot read the file header: %s", strerror(-result));
	has_magic = tape_get_file_header(bytes, &reader->identity, &intact);
	if (size_bytes < sizeof(bytes))
		return has_magic ? tape_fail(error, -EBADMSG, size_bytes,
					     "cut off inside the file header (%" PRIu64
					     " of %zu bytes): nothing is in it",
					     size_bytes, sizeof(bytes))
				 : tape_fail(error, -EMEDIUMTYPE, 0, "not a tape: no magic number");
	if (!has_magic || !intact) {
		/* The header of the slot behind it says the same. */
		has_slot = !tape_source_read(&reader->source, TAPE_FILE_HEADER_BYTES, slot_bytes, sizeof(slot_bytes)) &&
			   tape_get_slot_header(slot_bytes, &from_slot);
		if (!has_slot)
			return has_magic ? tape_fail(error, -EBADMSG, 0, "file header is damaged (checksum)")
					 : tape_fail(error, -EMEDIUMTYPE, 0, "not a tape: no magic number");
		reader->identity = from_slot.identity;
		tape_reader_problem(reader, 0, "file header is damaged; went on with that of the slot behind it");
	}
	return judge_identity(&reader->identity, error);
}

/* ---- contents -------------------------------------------------------- */

static int add_meta(struct tape_reader *reader, char *line)
{
	char *equals = strchr(line, '=');

	if (reader->nr_metas == reader->metas_room) {
		size_t room = reader->metas_room ? reader->metas_room * 2 : 32;
		struct tape_meta_line *metas = reallocarray(reader->metas, room, sizeof(*metas));

		if (!metas) {
			free(line);
			return -ENOMEM;
		}
		reader->metas = metas;
		reader->metas_room = room;
	}
	*equals = 0;
	reader->metas[reader->nr_metas++] = (struct tape_meta_line){line, equals + 1};
	return 0;
}

/* A ring tape brings what it still needs again and again: who follows it for days must not keep each copy. */
static bool is_known_meta(const struct tape_reader *reader, const char *line, size_t length)
{
	for (size_t i = reader->nr_metas; i > 0 && reader->generation; i--) {
		const struct tape_meta_line *meta = &reader->metas[i - 1];
		size_t key_length = strlen(meta->key);

		if (key_length < length && !memcmp(meta->key, line, key_length) && line[key_length] == '=')
			return strlen(meta->value) == length - key_length - 1 &&
			       !memcmp(meta->value, line + key_length + 1, length - key_length - 1);
	}
	return false;
}

static int read_meta(struct tape_reader *reader, struct tape_stored_chunk *chunk)
{
	const char *at, *end;
	const uint8_t *payload;
	int result = tape_load_stored(reader, chunk, &payload);

	if (result)
		return result;
	at = (const char *)payload;
	for (end = at + chunk->header.stored_bytes; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((stop ? stop : end) - at);
		const char *equals = memchr(at, '=', length);
		char *line;

		if (length && (!equals || equals == at || memchr(at, 0, length)))
			return tape_reader_problem(reader, chunk->offset,
						   "META chunk has a line that is not key=value");
		if (length && !is_known_meta(reader, at, length)) {
			line = strndup(at, length);
			if (!line || add_meta(reader, line))
				return -ENOMEM;
		}
		at += length + 1;
	}
	return 0;
}

static int read_end(struct tape_reader *reader, struct tape_stored_chunk *chunk)
{
	struct tape_info *info = &reader->info;
	struct byte_reader payload;
	const uint8_t *bytes;
	int result = tape_load_stored(reader, chunk, &bytes);

	if (result)
		return result;
	payload = byte_reader(bytes, chunk->header.stored_bytes);
	info->totals.records = byte_reader_u64(&payload);
	info->totals.lost_records = byte_reader_u64(&payload);
	info->totals.snapshots = byte_reader_u64(&payload);
	reader->written.chunks = byte_reader_u64(&payload);
	reader->written.records = byte_reader_u64(&payload);
	reader->written.pages = byte_reader_u64(&payload);
	reader->written.snapshots = byte_reader_u64(&payload);
	byte_reader_u64(&payload);
	if (payload.bad) {
		chunk->bad = true;
		info->totals = (struct tape_totals){0};
		return tape_reader_problem(reader, chunk->offset, "END chunk is too short");
	}
	free(reader->end_reason);
	reader->end_reason = strndup((const char *)payload.at, payload.left_bytes);
	info->end_reason = reader->end_reason;
	return reader->end_reason ? 0 : -ENOMEM;
}

/* Meta lines and the end are read at once; of the rest only headers are looked at. */
static int read_contents(struct tape_reader *reader, size_t from)
{
	reader->info.finished = false;
	for (size_t i = from; i < reader->nr_chunks; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[i];
		int result = 0;

		if (chunk->bad)
			continue;
		if (chunk->header.type == TAPE_CHUNK_META)
			result = read_meta(reader, chunk);
		else if (chunk->header.type == TAPE_CHUNK_END)
			result = read_end(reader, chunk);
		if (result == -ENOMEM)
			return result;
		reader->info.finished = reader->info.finished || (chunk->header.type == TAPE_CHUNK_END && !result);
	}
	return 0;
}

static void count(struct tape_info *info, const struct tape_stored_chunk *chunk)
{
	const struct tape_chunk_header *header = &chunk->header;

	switch (header->type) {
	case TAPE_CHUNK_TRAPS:
		if (header->flags & TAPE_F_CARRIED)
			break;
		if (header->vcpu >= info->nr_vcpus)
			info->nr_vcpus = header->vcpu + 1u;
		if (!info->nr_records || header->min_tsc < info->first_tsc)
			info->first_tsc = header->min_tsc;
		if (header->max_tsc > info->last_tsc)
			info->last_tsc = header->max_tsc;
		info->nr_records += header->nr_items;
		info->traps_raw_bytes += header->raw_bytes;
		info->traps_stored_bytes += tape_chunk_bytes(header);
		break;
	case TAPE_CHUNK_PAGES:
		info->pages_raw_bytes += header->raw_bytes;
		info->pages_stored_bytes += tape_chunk_bytes(header);
		break;
	default:
		break;
	}
}

struct sort_context {
	const struct tape_stored_chunk *chunks;
};

static int compare_traps(const void *a, const void *b, void *ctx)
{
	const struct tape_stored_chunk *chunks = ((struct sort_context *)ctx)->chunks;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	if (chunks[x].header.vcpu != chunks[y].header.vcpu)
		return chunks[x].header.vcpu > chunks[y].header.vcpu ? 1 : -1;
	return (x > y) - (x < y);
}

/* By ordinal and part of PAGE_MAP; copies in order. */
static int compare_seqs(const void *a, const void *b, void *ctx)
{
	const struct tape_stored_chunk *chunks = ((struct sort_context *)ctx)->chunks;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	const struct tape_chunk_header *p = &chunks[x].header, *q = &chunks[y].header;

	if (p->first_seq != q->first_seq)
		return p->first_seq > q->first_seq ? 1 : -1;
	if (p->last_seq != q->last_seq)
		return p->last_seq > q->last_seq ? 1 : -1;
	return (x > y) - (x < y);
}

/* Those of the last nr_new of the list, sorted, come between the others, which are sorted, too. */
static int merge_new(size_t *list, size_t nr, size_t nr_new, int (*compare)(const void *, const void *, void *),
		     struct sort_context *context)
{
	size_t old = nr - nr_new, to = nr, *new;

	qsort_r(list + old, nr_new, sizeof(*list), compare, context);
	if (!old || !nr_new || compare(&list[old - 1], &list[old], context) < 0)
		return 0;
	new = reallocarray(NULL, nr_new, sizeof(*new));
	if (!new)
		return -ENOMEM;
	memcpy(new, list + old, nr_new * sizeof(*new));
	while (nr_new)
		if (old && compare(&list[old - 1], &new[nr_new - 1], context) > 0)
			list[--to] = list[--old];
		else
			list[--to] = new[--nr_new];
	free(new);
	return 0;
}

/* TRAPS that are carried are another kind than those that are not. */
struct kind {
	uint16_t type;
	bool carried_traps;
	int (*compare)(const void *, const void *, void *);
};

static bool is_of(const struct tape_stored_chunk *chunk, const struct kind *kind)
{
	bool carried_traps = chunk->header.type == TAPE_CHUNK_TRAPS && chunk->header.flags & TAPE_F_CARRIED;

	return !chunk->bad && chunk->header.type == kind->type && carried_traps == kind->carried_traps;
}

/* Adds the numbers of the intact chunks of one kind, from this one on; the list stays sorted. */
static int list_kind(struct tape_reader *reader, size_t from, const struct kind *kind, size_t **list, size_t *nr)
{
	struct sort_context context = {reader->chunks};
	size_t nr_new = 0, *longer;

	for (size_t i = from; i < reader->nr_chunks; i++)
		nr_new += is_of(&reader->chunks[i], kind);
	if (!nr_new && *list)
		return 0;
	longer = reallocarray(*list, *nr + nr_new + 1, sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	*list = longer;
	for (size_t i = from; i < reader->nr_chunks; i++)
		if (is_of(&reader->chunks[i], kind))
			longer[(*nr)++] = i;
	return merge_new(longer, *nr, nr_new, kind->compare, &context);
}

static int list_plans(struct tape_reader *reader, size_t from)
{
	size_t nr_new = 0, *numbers = NULL;
	struct tape_cached_plan *plans;
	int result = list_kind(reader, from, &(struct kind){TAPE_CHUNK_PLAN, false, compare_traps}, &numbers, &nr_new);

	if (result)
		return result;
	plans = reallocarray(reader->plans, reader->nr_plans + nr_new + 1, sizeof(*plans));
	if (plans)
		reader->plans = plans;
	for (size_t i = 0; i < nr_new && plans; i++)
		plans[reader->nr_plans++] = (struct tape_cached_plan){.chunk = numbers[i]};
	free(numbers);
	reader->info.nr_plans = (uint32_t)reader->nr_plans;
	return plans ? 0 : -ENOMEM;
}

static int list_contents(struct tape_reader *reader, size_t from)
{
	static const struct kind traps = {TAPE_CHUNK_TRAPS, false, compare_traps},
				 carried = {TAPE_CHUNK_TRAPS, true, compare_traps},
				 pages = {TAPE_CHUNK_PAGES, false, compare_traps},
				 maps = {TAPE_CHUNK_PAGE_MAP, false, compare_seqs};

	for (size_t i = from; i < reader->nr_chunks; i++)
		if (!reader->chunks[i].bad)
			count(&reader->info, &reader->chunks[i]);
	if (list_kind(reader, from, &traps, &reader->traps, &reader->nr_traps) ||
	    list_kind(reader, from, &carried, &reader->carried, &reader->nr_carried) ||
	    list_kind(reader, from, &pages, &reader->page_chunks, &reader->nr_page_chunks) ||
	    list_kind(reader, from, &maps, &reader->maps, &reader->nr_maps))
		return -ENOMEM;
	if (reader->nr_carried && reader->info.nr_overwritten)
		reader->info.nr_carried = reader->chunks[reader->carried[0]].header.nr_items;
	return list_plans(reader, from);
}

int tape_reader_take(struct tape_reader *reader, size_t from, struct tape_error *error)
{
	if (read_contents(reader, from) || list_contents(reader, from))
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for the contents of the tape");
	return tape_snapshots_add(reader, from, error);
}

/* ---- open and close -------------------------------------------------- */

static int init(struct tape_reader *reader, struct tape_error *error)
{
	int result = read_identity(reader, error);

	if (result)
		return result;
	reader->tag = tape_tag(reader->identity.uuid);
	reader->info.version = reader->identity.version;
	memcpy(reader->info.uuid, reader->identity.uuid, 16);
	reader->info.created_ns = reader->identity.created_ns;
	reader->info.has_chain = reader->identity.compat_features & TAPE_COMPAT_CHAIN;
	reader->info.size_bytes = reader->source.size_bytes;
	reader->info.ring_bytes = (uint64_t)reader->identity.nr_places * reader->identity.slot_bytes;
	result = tape_scan(reader, error);
	if (result)
		return result;
	return tape_reader_take(reader, 0, error);
}

static int open_source(struct tape_reader **out, const struct tape_source *source, struct tape_error *error)
{
	struct tape_reader *reader = calloc(1, sizeof(*reader));
	int result;

	if (!reader) {
		struct tape_source copy = *source;

		tape_source_close(&copy);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a tape reader");
	}
	reader->source = *source;
	result = init(reader, error);
	if (result) {
		tape_reader_close(reader);
		return result;
	}
	*out = reader;
	return 0;
}

int tape_reader_open(struct tape_reader **out, const char *path, struct tape_error *error)
{
	struct tape_source source;
	int result = tape_source_open(&source, path, error);

	return result ? result : open_source(out, &source, error);
}

int tape_reader_open_memory(struct tape_reader **out, const void *data, size_t size_bytes, struct tape_error *error)
{
	const struct tape_source source = {.fd = -1, .memory = data, .size_bytes = size_bytes};

	return open_source(out, &source, error);
}

void tape_reader_close(struct tape_reader *reader)
{
	if (!reader)
		return;
	tape_snapshots_deinit(reader);
	for (size_t i = 0; i < reader->nr_metas; i++)
		free(reader->metas[i].key);
	for (size_t i = 0; i < reader->nr_plans && reader->plans; i++)
		free(reader->plans[i].data);
	for (size_t i = 0; i < reader->nr_problems; i++)
		free((char *)reader->problems[i].message);
	free(reader->metas);
	free(reader->plans);
	free(reader->problems);
	free(reader->chunks);
	free(reader->slots);
	free(reader->traps);
	free(reader->carried);
	free(reader->page_chunks);
	tape_extents_deinit(&reader->page_index);
	free(reader->maps);
	free(reader->end_reason);
	free(reader->scratch.data);
	tape_loader_deinit(&reader->loader);
	tape_brief_cache_destroy(reader->briefs);
	tape_source_close(&reader->source);
	free(reader);
}

/* ---- answers --------------------------------------------------------- */

const struct tape_info *tape_reader_info(const struct tape_reader *reader)
{
	return &reader->info;
}

const char *tape_reader_meta(const struct tape_reader *reader, const char *key)
{
	for (size_t i = reader->nr_metas; i > 0; i--)
		if (!strcmp(reader->metas[i - 1].key, key))
			return reader->metas[i - 1].value;
	return NULL;
}

const char *tape_reader_meta_line(const struct tape_reader *reader, size_t number, const char **value)
{
	if (number >= reader->nr_metas)
		return NULL;
	*value = reader->metas[number].value;
	return reader->metas[number].key;
}

int tape_reader_plan(const struct tape_reader *reader, uint32_t plan_id, const void **out, size_t *size_bytes)
{
	/* What a plan turns out to be is remembered; that does not change the answers. */
	struct tape_reader *cache = (struct tape_reader *)reader;
	int missing = -ENOENT;

	for (size_t i = reader->nr_plans; i > 0; i--) {
		struct tape_cached_plan *plan = &cache->plans[i - 1];
		struct tape_stored_chunk *chunk = &cache->chunks[plan->chunk];
		struct tape_scratch raw = {0};
		int result;

		if (chunk->header.first_seq != plan_id)
			continue;
		if (!plan->data) {
			result = tape_load(cache, chunk, &raw);
			if (result == -ENOMEM)
				return result;
			if (result) {
				free(raw.data);
				missing = -EBADMSG;
				continue;
			}
			plan->data = raw.data;
		}
		*out = plan->data;
		*size_bytes = chunk->header.raw_bytes;
		return 0;
	}
	return missing;
}
