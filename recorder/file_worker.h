/* SPDX-License-Identifier: MIT */
/*
 * file_worker.h - what may take long with files, on a thread of its own, so that
 * neither records nor the VM wait for it: syncing a tape that has ended, copying
 * one. One task after the other. The functions are the main thread's.
 */
#ifndef FILE_WORKER_H
#define FILE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

/*
 * Copies the first size_bytes of from_fd to to_fd, which is empty, in any thread,
 * and waits for it. -ENOSPC, before it begins: less than twice that is free.
 */
int file_copy(int from_fd, uint64_t size_bytes, int to_fd);
/* Why a copy was not made, for people. Static, or as strerror(). */
const char *file_copy_problem(int negative_errno);

struct file_worker;

/* wake is called, from its thread, when a task is done. No thread is made before the first task. */
int file_worker_create(struct file_worker **out, void (*wake)(void *ctx), void *wake_ctx, struct record_error *error);
/* Waits for all tasks. */
void file_worker_destroy(struct file_worker *worker);

/* Makes sure that all of it is on the disk; takes fd. path is copied. */
void file_worker_sync(struct file_worker *worker, int fd, const char *path);
/*
 * Copies, or clones, the first size_bytes of from_fd to to_fd, which is empty or (is_cloned) has all of it; syncs;
 * takes both.
 */
void file_worker_copy(struct file_worker *worker, int from_fd, uint64_t size_bytes, int to_fd, const char *path,
		      bool is_cloned);

struct file_result {
	bool was_copy;
	int error; /* negative errno; 0: done */
	uint64_t size_bytes;
	char path[4096];
};
/* False: nothing was done since the last call. */
bool file_worker_poll(struct file_worker *worker, struct file_result *out);
bool file_worker_is_idle(struct file_worker *worker);

#endif
