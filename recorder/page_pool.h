/* SPDX-License-Identifier: MIT */
/*
 * page_pool.h - threads that compress pages of guest memory for the tape thread.
 * They start with the first chunk.
 */
#ifndef PAGE_POOL_H
#define PAGE_POOL_H

#include "tape.h"

struct page_pool;
/* kick is called, from one of its threads, each time that a chunk is compressed. NULL: no memory. */
struct page_pool *page_pool_create(void (*kick)(void *ctx), void *ctx);
/* Nobody waits for a chunk any more. */
void page_pool_destroy(struct page_pool *pool);
/* Threads that suit the CPUs that this process may run on. */
unsigned page_pool_default_threads(void);
/* For tape_pages_encode_with(); several tapes may use it, one after the other. */
struct tape_page_coder page_pool_coder(struct page_pool *pool);

#endif
