/* SPDX-License-Identifier: MIT */
/* A list of regions by address that do not overlap. */
#include <stdlib.h>
#include <string.h>

#include "process_maps.h"

#define MAX_REGIONS 262144 /* of one process: four times vm.max_map_count's default */

static uint64_t page_up(uint64_t value)
{
	return value > UINT64_MAX - 4095 ? ~4095ull : (value + 4095) & ~4095ull;
}

/* The first region that ends behind this address. */
static size_t find(const struct process_maps *m, uint64_t address)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->regions[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool insert(struct process_maps *m, size_t at, const struct map_region *region)
{
	struct map_region copy = *region;

	if (m->count >= MAX_REGIONS) {
		m->uncertain = true;
		return true;
	}
	if (m->count == m->room) {
		size_t room = m->room ? m->room * 2 : 64;
		struct map_region *regions = realloc(m->regions, room * sizeof(*regions));

		if (!regions)
			return false;
		m->regions = regions;
		m->room = room;
	}
	if (copy.file) {
		copy.file = strdup(copy.file);
		if (!copy.file)
			return false;
	}
	if (!copy.what)
		copy.what = "";
	memmove(m->regions + at + 1, m->regions + at, (m->count - at) * sizeof(*m->regions));
	m->regions[at] = copy;
	m->count++;
	return true;
}

static void drop(struct process_maps *m, size_t at)
{
	free(m->regions[at].file);
	memmove(m->regions + at, m->regions + at + 1, (m->count - at - 1) * sizeof(*m->regions));
	m->count--;
}

/* A border between two regions here, if there is one in its middle. */
static bool split(struct process_maps *m, uint64_t address)
{
	size_t at = find(m, address);
	struct map_region tail;

	if (at == m->count || m->regions[at].start >= address)
		return true;
	tail = m->regions[at];
	tail.start = address;
	if (tail.file)
		tail.offset_bytes += address - m->regions[at].start;
	if (!insert(m, at + 1, &tail))
		return false;
	m->regions[at].end = address;
	return true;
}

bool process_maps_unmap(struct process_maps *m, uint64_t start, uint64_t end)
{
	size_t at;

	if (start >= end)
		return true;
	if (!split(m, start) || !split(m, end))
		return false;
	at = find(m, start);
	while (at < m->count && m->regions[at].start < end)
		drop(m, at);
	return true;
}

bool process_maps_map(struct process_maps *m, const struct map_region *region)
{
	struct map_region whole = *region;

	whole.end = page_up(whole.end);
	return whole.start >= whole.end ||
	       (process_maps_unmap(m, whole.start, whole.end) && insert(m, find(m, whole.start), &whole));
}

bool process_maps_protect(struct process_maps *m, uint64_t start, uint64_t end, uint8_t permissions)
{
	end = page_up(end);
	if (start >= end)
		return true;
	if (!split(m, start) || !split(m, end))
		return false;
	for (size_t at = find(m, start); at < m->count && m->regions[at].start < end; at++)
		m->regions[at].permissions = permissions | (m->regions[at].permissions & MAP_IS_SHARED);
	return true;
}

bool process_maps_move(struct process_maps *m, uint64_t from, uint64_t from_bytes, uint64_t to, uint64_t to_bytes,
		       bool keep)
{
	size_t at = find(m, from);
	struct map_region moved;
	bool good;

	from_bytes = page_up(from_bytes);
	to_bytes = page_up(to_bytes);
	/* what is not known can't be moved */
	if (at == m->count || m->regions[at].start > from) {
		m->uncertain = true;
		return process_maps_unmap(m, from, from + from_bytes);
	}
	moved = m->regions[at];
	if (moved.file) {
		moved.offset_bytes += from - moved.start;
		moved.file = strdup(moved.file);
		if (!moved.file)
			return false;
	}
	moved.start = to;
	moved.end = to + to_bytes;
	good = keep || process_maps_unmap(m, from, from + from_bytes);
	if (good)
		good = process_maps_map(m, &moved);
	free(moved.file);
	return good;
}

bool process_maps_set_brk(struct process_maps *m, uint64_t brk)
{
	uint64_t before = page_up(m->brk), now = page_up(brk);
	struct map_region heap = {.start = before, .end = now, .permissions = MAP_READ | MAP_WRITE, .what = "[heap]"};
	size_t at = find(m, before ? before - 1 : 0);
	bool good = true;

	if (m->brk && now < before)
		good = process_maps_unmap(m, now, before);
	else if (m->brk && now > before && at < m->count && m->regions[at].end == before &&
		 !strcmp(m->regions[at].what, "[heap]") && m->regions[at].permissions == (MAP_READ | MAP_WRITE))
		m->regions[at].end = now;
	else if (m->brk && now > before)
		good = process_maps_map(m, &heap);
	m->brk = brk;
	return good;
}

void process_maps_deinit(struct process_maps *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->regions[i].file);
	free(m->regions);
	*m = (struct process_maps){0};
}
