/* SPDX-License-Identifier: MIT */
#include "tape_contents.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

#include "tape.h"

/* ---- hash to number -------------------------------------------------- */

#define WAYS      4u
#define MIN_SETS  1024u
#define MAX_SETS  (1u << 16) /* 6 MiB, whatever the size of the guest: contents of 1 GiB */
#define NR_SECRET XXH3_SECRET_SIZE_MIN

struct content {
	XXH128_hash_t hash;
	uint64_t id;
};

struct tape_contents {
	/* Secret and random, so that a guest cannot make up two pages of the same hash. */
	uint8_t secret[NR_SECRET];
	struct content *list; /* nr_sets times WAYS, the last one used first */
	size_t nr_sets;
	size_t nr_used;
};

static struct content *new_list(size_t nr_sets)
{
	struct content *list = calloc(nr_sets * WAYS, sizeof(*list));

	for (size_t i = 0; list && i < nr_sets * WAYS; i++)
		list[i].id = TAPE_CONTENT_NONE;
	return list;
}

struct tape_contents *tape_contents_create(void)
{
	struct tape_contents *contents = calloc(1, sizeof(*contents));

	if (!contents)
		return NULL;
	contents->nr_sets = MIN_SETS;
	contents->list = new_list(MIN_SETS);
	if (contents->list && getrandom(contents->secret, NR_SECRET, 0) == NR_SECRET)
		return contents;
	tape_contents_destroy(contents);
	return NULL;
}

void tape_contents_destroy(struct tape_contents *contents)
{
	if (!contents)
		return;
	free(contents->list);
	free(contents);
}

/* The place of this hash, moved to the front of its set; the oldest of the set goes when it has none. */
static struct content *place(struct content *list, size_t nr_sets, XXH128_hash_t hash)
{
	struct content *set = &list[(hash.low64 & (nr_sets - 1)) * WAYS], found;
	unsigned way = 0;

	while (way < WAYS - 1 && set[way].id != TAPE_CONTENT_NONE && !XXH128_isEqual(set[way].hash, hash))
		way++;
	found = set[way];
	if (found.id == TAPE_CONTENT_NONE || !XXH128_isEqual(found.hash, hash))
		found = (struct content){hash, TAPE_CONTENT_NONE};
	for (; way; way--)
		set[way] = set[way - 1];
	set[0] = found;
	return set;
}

/* Without memory for a larger one the cache stays as it is. */
static void grow(struct tape_contents *contents)
{
	size_t nr_sets = contents->nr_sets * 2;
	struct content *list;

	if (contents->nr_used < contents->nr_sets * WAYS / 2 || contents->nr_sets == MAX_SETS)
		return;
	list = new_list(nr_sets);
	if (!list)
		return;
	for (size_t i = contents->nr_sets * WAYS; i-- > 0;)
		if (contents->list[i].id != TAPE_CONTENT_NONE)
			place(list, nr_sets, contents->list[i].hash)->id = contents->list[i].id;
	free(contents->list);
	contents->list = list;
	contents->nr_sets = nr_sets;
}

uint64_t *tape_contents_find(struct tape_contents *contents, const void *page)
{
	XXH128_hash_t hash = XXH3_128bits_withSecret(page, TAPE_PAGE_BYTES, contents->secret, NR_SECRET);
	uint64_t *id;

	grow(contents);
	id = &place(contents->list, contents->nr_sets, hash)->id;
	contents->nr_used += *id == TAPE_CONTENT_NONE;
	return id;
}

/* ---- use of numbers -------------------------------------------------- */

#define LOST 0x80000000u

struct tape_ref {
	uint64_t id;
	uint32_t count; /* 0: free place; LOST: or'ed to it */
};

void tape_refs_deinit(struct tape_refs *refs)
{
	free(refs->list);
	*refs = (struct tape_refs){0};
}

static size_t home(const struct tape_refs *refs, uint64_t id)
{
	return (id * 0x9e3779b97f4a7c15u >> 32) & (refs->room - 1);
}

static struct tape_ref *find(const struct tape_refs *refs, uint64_t id)
{
	size_t i = home(refs, id);

	while (refs->list[i].count && refs->list[i].id != id)
		i = (i + 1) & (refs->room - 1);
	return &refs->list[i];
}

static int refs_grow(struct tape_refs *refs)
{
	struct tape_refs larger = {.count = refs->count, .room = refs->room ? refs->room * 2 : 4096};

	larger.list = calloc(larger.room, sizeof(*larger.list));
	if (!larger.list)
		return -ENOMEM;
	for (size_t i = 0; i < refs->room; i++)
		if (refs->list[i].count)
			*find(&larger, refs->list[i].id) = refs->list[i];
	free(refs->list);
	*refs = larger;
	return 0;
}

int tape_refs_get(struct tape_refs *refs, uint64_t id)
{
	struct tape_ref *ref;

	if (refs->count >= refs->room / 4 * 3 && refs_grow(refs))
		return -ENOMEM;
	ref = find(refs, id);
	refs->count += !ref->count;
	ref->id = id;
	ref->count++;
	return 0;
}

/* Those behind a place that became free move up, so that no search ends before them. */
static void close_gap(struct tape_refs *refs, size_t gap)
{
	size_t mask = refs->room - 1, i = gap;

	for (;;) {
		i = (i + 1) & mask;
		if (!refs->list[i].count)
			break;
		if (((i - home(refs, refs->list[i].id)) & mask) < ((i - gap) & mask))
			continue;
		refs->list[gap] = refs->list[i];
		gap = i;
	}
	refs->list[gap] = (struct tape_ref){0};
}

void tape_refs_put(struct tape_refs *refs, uint64_t id)
{
	struct tape_ref *ref = refs->room ? find(refs, id) : NULL;

	if (!ref || !ref->count)
		return;
	ref->count--;
	if (ref->count & ~LOST)
		return;
	refs->count--;
	close_gap(refs, (size_t)(ref - refs->list));
}

bool tape_refs_is_live(const struct tape_refs *refs, uint64_t id)
{
	return refs->room && find(refs, id)->count;
}

void tape_refs_lose(struct tape_refs *refs, uint64_t id)
{
	struct tape_ref *ref = refs->room ? find(refs, id) : NULL;

	if (ref && ref->count)
		ref->count |= LOST;
}

bool tape_refs_is_kept(const struct tape_refs *refs, uint64_t id)
{
	return tape_refs_is_live(refs, id) && !(find(refs, id)->count & LOST);
}
