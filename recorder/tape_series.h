/* SPDX-License-Identifier: MIT */
/*
 * tape_series.h - tapes of one VM that follow one another: their names, made
 * from a pattern and the time (UTC), and which of them are kept. Removed are
 * only tapes of this run, and older ones in the same folder whose name fits the
 * pattern and that say of themselves that they are of the same VM. Main thread.
 */
#ifndef TAPE_SERIES_H
#define TAPE_SERIES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "producer_proto.h"
#include "report.h"

/* Only the file's name may have conversions, and only those that give digits. */
int tape_series_check(const char *pattern, struct record_error *error);
/* The path for this moment; with copy > 1 "-copy" before the suffix. The caller frees it; NULL: no memory. */
char *tape_series_path(const char *pattern, time_t when, unsigned copy);
/* May this name (no path) come from the pattern? */
bool tape_series_fits(const char *pattern, const char *name);

struct tape_series;
/* pattern must outlive the series. */
int tape_series_create(struct tape_series **out, const char *pattern, struct record_error *error);
void tape_series_destroy(struct tape_series *series);
/* Finds the tapes of this VM that earlier runs left. VMs without name and UUID have none. */
void tape_series_adopt(struct tape_series *series, const struct proto_welcome *welcome);
/* A tape of this run has ended. */
void tape_series_add(struct tape_series *series, const char *path);
/*
 * Removes the oldest, so that at most max_count are left and max_bytes in all, the
 * one that is being written (current_bytes) included. 0: no limit.
 */
void tape_series_trim(struct tape_series *series, uint64_t max_count, uint64_t max_bytes, uint64_t current_bytes);
unsigned tape_series_count(const struct tape_series *series);

#endif
