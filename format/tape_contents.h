/* SPDX-License-Identifier: MIT */
/*
 * tape_contents.h - which page contents a tape holds, private to format/: a
 * cache from hash to page number, of bounded size, and, for a ring tape, how
 * often each number is in use. A content that the cache forgot is stored again.
 */
#ifndef TAPE_CONTENTS_H
#define TAPE_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAPE_CONTENT_NONE UINT64_MAX

/* ---- hash to number -------------------------------------------------- */

struct tape_contents;
/* NULL: no memory, or no random numbers. */
struct tape_contents *tape_contents_create(void);
void tape_contents_destroy(struct tape_contents *contents);

/* A place for this page's content: its number, TAPE_CONTENT_NONE if it has none; may be written until the next call. */
uint64_t *tape_contents_find(struct tape_contents *contents, const void *page);

/* ---- use of numbers -------------------------------------------------- */

/* Numbers that are in use, with counts; the others take no memory. Zeroed: empty. */
struct tape_refs {
	struct tape_ref *list; /* open addressing */
	size_t count, room;
};
void tape_refs_deinit(struct tape_refs *refs);
/* -ENOMEM */
int tape_refs_get(struct tape_refs *refs, uint64_t id);
void tape_refs_put(struct tape_refs *refs, uint64_t id);
bool tape_refs_is_live(const struct tape_refs *refs, uint64_t id);
/* The content is gone from the tape, though it is in use. */
void tape_refs_lose(struct tape_refs *refs, uint64_t id);
/* In use, and still to be had. */
bool tape_refs_is_kept(const struct tape_refs *refs, uint64_t id);

#endif
