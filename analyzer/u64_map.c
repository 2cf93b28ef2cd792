/* SPDX-License-Identifier: MIT */
#include "u64_map.h"

#include <stdlib.h>
#include <string.h>

/* Task words share their low and high bits: mix before masking. */
static size_t home(const struct u64_map *map, uint64_t key)
{
	key ^= key >> 31;
	key *= 0x9e3779b97f4a7c15ull;
	key ^= key >> 29;
	return (size_t)key & (map->room - 1);
}

void u64_map_deinit(struct u64_map *map)
{
	free(map->slots);
	*map = (struct u64_map){0};
}

void u64_map_clear(struct u64_map *map)
{
	if (map->slots)
		memset(map->slots, 0, map->room * sizeof(*map->slots));
	map->count = 0;
}

static struct u64_map_slot *slot_of(const struct u64_map *map, uint64_t key)
{
	size_t at = home(map, key);

	while (map->slots[at].used && map->slots[at].key != key)
		at = (at + 1) & (map->room - 1);
	return &map->slots[at];
}

static bool grow(struct u64_map *map)
{
	struct u64_map bigger = {.room = map->room ? map->room * 2 : 64};

	bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < map->room; i++)
		if (map->slots[i].used)
			*slot_of(&bigger, map->slots[i].key) = map->slots[i];
	bigger.count = map->count;
	free(map->slots);
	*map = bigger;
	return true;
}

bool u64_map_set(struct u64_map *map, uint64_t key, uint64_t value)
{
	struct u64_map_slot *slot;

	if ((map->count + 1) * 4 > map->room * 3 && !grow(map))
		return false;
	slot = slot_of(map, key);
	if (!slot->used)
		map->count++;
	*slot = (struct u64_map_slot){.key = key, .value = value, .used = true};
	return true;
}

bool u64_map_get(const struct u64_map *map, uint64_t key, uint64_t *value)
{
	const struct u64_map_slot *slot;

	if (!map->count)
		return false;
	slot = slot_of(map, key);
	if (slot->used && value)
		*value = slot->value;
	return slot->used;
}

bool u64_map_remove(struct u64_map *map, uint64_t key)
{
	struct u64_map_slot *slot;
	size_t hole, at;

	if (!map->count)
		return false;
	slot = slot_of(map, key);
	if (!slot->used)
		return false;
	/* Close the hole, so that no later key of the run is cut off from its home. */
	hole = (size_t)(slot - map->slots);
	for (at = (hole + 1) & (map->room - 1); map->slots[at].used; at = (at + 1) & (map->room - 1)) {
		size_t from_home = (at - home(map, map->slots[at].key)) & (map->room - 1);
		size_t from_hole = (at - hole) & (map->room - 1);

		if (from_home < from_hole)
			continue;
		map->slots[hole] = map->slots[at];
		hole = at;
	}
	map->slots[hole].used = false;
	map->count--;
	return true;
}
