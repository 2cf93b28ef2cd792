/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - figures of a recording in the text format 0.0.4 of Prometheus,
 * into a file that is replaced once a second, or over a UNIX socket to whoever
 * asks by HTTP. Main thread.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "client_server.h"
#include "drain.h"
#include "tape_thread.h"

struct metrics_values {
	const char *vm_name; /* clean; a label of each figure */
	bool is_up;          /* records now */
	double start_time_s; /* Unix time */
	double now_s;
	unsigned nr_vcpus;
	uint64_t lost_records;
	struct tape_stats tape;
	struct drain_stats rings;
	uint64_t last_pause_ns, max_pause_ns, all_pauses_ns;
	uint64_t snapshots_failed;
	uint64_t triggers, copies, copies_failed;
	uint64_t matches, watch_starts; /* of --trigger-when */
};

/* The text, which the caller frees; NULL: no memory. */
char *metrics_text(const struct metrics_values *values, size_t *size_bytes);

struct metrics;
typedef void (*metrics_fill_fn)(void *ctx, struct metrics_values *out);

/* target: "unix:SOCKET", or a file; it must outlive the metrics. fill is called whenever figures are wanted. */
int metrics_create(struct metrics **out, const char *target, metrics_fill_fn fill, void *ctx,
		   struct record_error *error);
/* A file gets its last figures. */
void metrics_destroy(struct metrics *metrics);
/* NULL: a file. */
struct client_server *metrics_server(const struct metrics *metrics);
/* Once a second. A file that cannot be written is told of once. */
void metrics_tick(struct metrics *metrics);

/* Of HTTP requests, for client_server.h. */
size_t metrics_measure_request(const char *text, size_t size_bytes);

#endif
