/* SPDX-License-Identifier: MIT */
/*
 * lttng_peer.c - the peer of ring_append.c and recorder_load.c: the same events
 * through LTTng-UST. bench/throughput.py compiles it where LTTng is installed,
 * and makes the session that it writes to. Prints "name value" lines.
 */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_events.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_clock.h"
#include "event_stream.h"

#define CALLS_BATCH 200000u

static const char text32[33] = "/usr/lib/x86_64-linux-gnu/libc.s";

static void die(const char *what)
{
	fprintf(stderr, "lttng_peer: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* As ring_append.c does it: the state may have changed between two calls. */
static void append_calls(unsigned repetitions)
{
	uint64_t args[6] = {3, 0x7ffc12345678, 4096, 0, 0x550012340010, 0x7f0012345000};

	for (unsigned i = 0; i <= repetitions; i++) {
		uint64_t start_ns = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (unsigned n = 0; n < CALLS_BATCH; n++) {
			__asm__ volatile("" : : "r"(args) : "memory");
			lttng_ust_tracepoint(vmtape_bench, call, n & 255, 0x7f0012340000ull + n % 64, args, text32);
		}
		/* the first one warms up */
		if (i)
			printf("append_ns %.2f\n",
			       (double)(bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns) / CALLS_BATCH);
	}
}

static void send(const struct stream_event *event, bool no_paths)
{
	if (event->is_exit)
		lttng_ust_tracepoint(vmtape_bench, exit, event->regs);
	else if (event->path_bytes && !no_paths)
		lttng_ust_tracepoint(vmtape_bench, enter_path, event->regs, event->path, event->path_bytes);
	else
		lttng_ust_tracepoint(vmtape_bench, enter, event->regs);
}

static void send_stream(double rate, double seconds, uint64_t limit, bool no_paths)
{
	struct event_stream *stream = event_stream_create(1);
	uint64_t start_ns = bench_clock_ns(CLOCK_MONOTONIC), made = 0, cpu_ns, wall_ns;
	struct pace pace = pace_start(rate);

	if (!stream)
		die("no memory");
	cpu_ns = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	while (made < limit) {
		uint64_t n = pace_wait(&pace);

		if (bench_clock_ns(CLOCK_MONOTONIC) - start_ns >= seconds * 1e9)
			break;
		for (; n && made < limit; n--, made++)
			send(&stream->events[made & (EVENT_STREAM_EVENTS - 1)], no_paths);
	}
	cpu_ns = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	wall_ns = bench_clock_ns(CLOCK_MONOTONIC) - start_ns;
	printf("events %" PRIu64 "\nseconds %.3f\nrate %.0f\nproducer_ns %.2f\n", made, (double)wall_ns / 1e9,
	       (double)made * 1e9 / (double)wall_ns, made ? (double)cpu_ns / (double)made : 0);
	free(stream);
}

int main(int argc, char **argv)
{
	bool no_paths = argc > 6 && !strcmp(argv[6], "no-paths");
	cpu_set_t cpus;
	int cpu;

	if (argc < 4) {
		fprintf(stderr, "Usage: lttng_peer append CPU REPETITIONS\n"
				"       lttng_peer stream CPU RATE SECONDS MOST_EVENTS [no-paths]\n"
				"CPU -1: any. RATE in events a second; 0: as fast as it can.\n");
		return 2;
	}
	cpu = atoi(argv[2]);
	if (cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((size_t)cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			die("this CPU");
	}
	if (!strcmp(argv[1], "append"))
		append_calls((unsigned)atoi(argv[3]));
	else if (!strcmp(argv[1], "stream") && argc > 5)
		send_stream(atof(argv[3]), atof(argv[4]), strtoull(argv[5], NULL, 10), no_paths);
	else
		return 2;
	return 0;
}
