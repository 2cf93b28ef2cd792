/* SPDX-License-Identifier: MIT */
/*
 * loop.h - what the main thread waits for: signals, time, other threads, and a
 * descriptor or two. Every wait of the main thread goes through loop_wait(), so
 * that signals and the once-a-second tick are served wherever it waits.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

#define LOOP_NEVER UINT64_MAX

#define LOOP_MAX_SERVED 2

/* A descriptor that is served wherever the main thread waits. */
struct loop_served {
	int fd;
	void (*serve)(void *ctx); /* never waits */
	void *ctx;
};

struct loop {
	int signal_fd;
	int wake_fd;
	uint64_t stop_at_ns; /* --duration; LOOP_NEVER: none */
	uint64_t stopped_ns; /* when stop became true */
	uint64_t next_tick_ns;
	void (*tick)(void *ctx); /* once a second; NULL: none */
	void *tick_ctx;
	struct loop_served served[LOOP_MAX_SERVED];
	unsigned nr_served;
	int stop_signal;   /* 0: the duration is over */
	bool stop;         /* end in good order */
	bool stop_now;     /* a second signal: end at once */
	bool snapshot_now; /* SIGUSR1; who serves it clears it */
	bool has_trigger;  /* SIGUSR1 is one, too */
	bool trigger_now;  /* SIGUSR2; who serves it clears it */
};

enum loop_result {
	LOOP_READY = 1,    /* a descriptor is readable or hung up */
	LOOP_WOKEN = 2,    /* a thread called loop_wake(), or a signal came: look again */
	LOOP_TIME = 3,     /* until_ns is reached */
	LOOP_STOP_NOW = 4, /* give up */
};

/* Blocks the signals in this thread and those that it makes later. */
int loop_init(struct loop *loop, struct record_error *error);
void loop_deinit(struct loop *loop);
/* fds that are negative are left out; nr_fds <= 4. */
enum loop_result loop_wait(struct loop *loop, const int *fds, unsigned nr_fds, uint64_t until_ns);
/* serve is called when fd is readable; then loop_wait() returns LOOP_WOKEN. */
void loop_serve(struct loop *loop, int fd, void (*serve)(void *ctx), void *ctx);
/* As a first signal, but for its number: 0. */
void loop_stop(struct loop *loop);
/* From any thread. */
void loop_wake(struct loop *loop);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

#endif
