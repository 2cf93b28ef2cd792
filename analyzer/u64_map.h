/* SPDX-License-Identifier: MIT */
/* u64_map.h - a hash map from uint64_t to uint64_t. Zero-initialise; u64_map_deinit frees. One thread an object. */
#ifndef U64_MAP_H
#define U64_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct u64_map_slot {
	uint64_t key, value;
	bool used;
};

struct u64_map {
	struct u64_map_slot *slots;
	size_t room, count; /* room is a power of two, or 0 */
};

void u64_map_deinit(struct u64_map *map);
void u64_map_clear(struct u64_map *map); /* keeps the memory */
/* false: out of memory; the map is as before. */
bool u64_map_set(struct u64_map *map, uint64_t key, uint64_t value);
bool u64_map_get(const struct u64_map *map, uint64_t key, uint64_t *value);
bool u64_map_remove(struct u64_map *map, uint64_t key);

#endif
