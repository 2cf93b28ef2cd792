/* SPDX-License-Identifier: MIT */
/*
 * process_maps.h - the memory regions of one process at one moment: those of the
 * last snapshot before it, and what the calls since then have mapped, changed and
 * unmapped.
 */
#ifndef PROCESS_MAPS_H
#define PROCESS_MAPS_H

#include "session.h"

struct map_region {
	uint64_t start, end; /* end: behind the last byte */
	uint64_t offset_bytes;
	uint8_t permissions; /* sum of enum map_permission */
	bool uncertain;      /* the call that made it may be another's */
	char *file;          /* path; NULL: none, or not known */
	const char *what;    /* "[heap]", "[stack]", "[vdso]", or "" */
};

enum map_permission { MAP_READ = 1, MAP_WRITE = 2, MAP_EXEC = 4, MAP_IS_SHARED = 8 };

struct process_maps {
	struct map_region *regions; /* by address */
	size_t count, room;
	uint64_t brk;
	bool partial;   /* what an execve has mapped, or a fork copied, no snapshot has shown yet */
	bool uncertain; /* records were lost, or a call could not be followed, since the snapshot */
	bool known;     /* a snapshot or a call told anything of this process */
};

/* tsc: UINT64_MAX is the end of the tape. */
struct vmtape_error *process_maps_create(struct process_maps *out, struct session *session, int32_t pid, uint64_t tsc);
void process_maps_deinit(struct process_maps *maps);

/* May a call of this name change what is mapped? */
bool process_maps_concerns(const char *name);

/* ---- changes; false: no memory ------------------------------------------- */

bool process_maps_unmap(struct process_maps *maps, uint64_t start, uint64_t end);
/* In place of what was there. file is copied, and may be NULL. */
bool process_maps_map(struct process_maps *maps, const struct map_region *region);
bool process_maps_protect(struct process_maps *maps, uint64_t start, uint64_t end, uint8_t permissions);
/* Pages that go elsewhere, or grow where they are. keep: the old place stays mapped. */
bool process_maps_move(struct process_maps *maps, uint64_t from, uint64_t from_bytes, uint64_t to, uint64_t to_bytes,
		       bool keep);
bool process_maps_set_brk(struct process_maps *maps, uint64_t brk);

#endif
