/* SPDX-License-Identifier: MIT */
/*
 * fault_fuse.h - a disk that fails as a test wants it to: a file system of one
 * file, out.vmt, served by a thread through /dev/fuse. What is written stands in
 * a file outside, which a test can read whatever became of the disk. Fields may
 * be set at any time.
 */
#ifndef FAULT_FUSE_H
#define FAULT_FUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fault_fuse {
	char folder[64];
	char file_path[96]; /* what is on the disk */
	int device_fd, file_fd;
	pthread_t thread;

	atomic_int write_error; /* errno of each write that reaches beyond fail_from_bytes; 0: none */
	atomic_uint_fast64_t fail_from_bytes;
	atomic_int sync_error; /* errno of fsync() */
	atomic_bool is_short;  /* a write takes a part only, of random length */
	atomic_uint delay_ms;  /* before the next write, once */
	atomic_uint slow_ms;   /* before every write */

	atomic_uint writes, shorts, errors; /* what came of it */
};

/* False: not permitted here. Exits on any other failure. */
bool fault_fuse_mount(struct fault_fuse *fuse);
void fault_fuse_unmount(struct fault_fuse *fuse);

#endif
