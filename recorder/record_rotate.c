/* SPDX-License-Identifier: MIT */
/*
 * record_rotate.c - limits of a tape's size and age, and the way from one tape
 * to the next: that one is opened first, the tape thread switches between two
 * blocks of records, and a base snapshot makes it readable alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "record_meta.h"
#include "record_state.h"

#define FIRST_PATIENCE_NS (5 * NS_PER_S)
#define MAX_PATIENCE_NS   (300 * NS_PER_S)
#define MAX_COPIES        1000

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- the file -------------------------------------------------------- */

/* The name of this second may be taken. */
int record_open_new(const char *pattern, struct tape_file *file, char **path, struct record_error *error)
{
	time_t now = time(NULL);
	int ret = -EEXIST;

	for (unsigned copy = 1; ret == -EEXIST && copy <= MAX_COPIES; copy++) {
		*path = tape_series_path(pattern, now, copy);
		if (!*path)
			return record_error_set(error, -ENOMEM, "no name for a tape can be made of %s", pattern);
		ret = tape_file_open(file, *path, false, error);
		if (ret) {
			free(*path);
			*path = NULL;
		}
	}
	return ret;
}

int record_open_tape(struct session *session, struct record_error *error)
{
	const struct record_options *options = session->options;
	int ret;

	if (options->rotate) {
		ret = tape_series_create(&session->rotation.series, options->out_path, error);
		return ret ? ret : record_open_new(options->out_path, &session->file, &session->tape_path, error);
	}
	session->tape_path = strdup(options->out_path);
	if (!session->tape_path)
		return record_error_set(error, -ENOMEM, "out of memory");
	return tape_file_open(&session->file, session->tape_path, options->force, error);
}

/* ---- from tape to tape ----------------------------------------------- */

static int encode_meta(const struct session *session, const char *why, struct tape_chunk **out,
		       struct record_error *error)
{
	char reason[RECORD_TEXT_MAX_BYTES];
	const struct record_origin origin = {.reason = reason, .continues = name_of(session->tape_path)};
	struct tape_error tape_error = {0};
	char *text;
	int ret;

	snprintf(reason, sizeof(reason), "continues a recording: %s", why);
	text = record_meta_text(session->options, &session->welcome, &origin);
	ret = text ? tape_chunk_encode_meta(out, text, &tape_error) : -ENOMEM;
	free(text);
	return ret ? record_error_set(error, ret, "the tape's description cannot be stored: %s", strerror(-ret)) : 0;
}

static int switch_files(struct session *session, const struct tape_file *next, const char *next_path, const char *why,
			struct record_error *error)
{
	struct tape_chunk *meta = NULL, *plan = NULL;
	char reason[TAPE_REASON_ROOM];
	uint64_t job;
	int ret = encode_meta(session, why, &meta, error);

	if (!ret)
		ret = record_plan_chunk(&session->plan, &plan, error);
	if (ret) {
		tape_chunk_destroy(meta);
		return ret;
	}
	snprintf(reason, sizeof(reason), "continued in %.300s: %.150s", name_of(next_path), why);
	job = tape_thread_post_rotate(session->tape, next->fd, reason, meta, plan);
	while (!tape_thread_is_done(session->tape, job))
		if (loop_wait(&session->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
	return tape_thread_rotate_error(session->tape, error);
}

static void begin_account(struct session *session)
{
	struct record_rotation *rotation = &session->rotation;
	struct tape_stats stats;

	tape_thread_get_stats(session->tape, &stats);
	rotation->began_ns = now_ns();
	rotation->committed_before = session->snapshot.committed;
	rotation->pages_before = stats.pages.stored_bytes;
	rotation->has_base = false;
	rotation->base_bytes = rotation->base_job = 0;
	rotation->retry_ns = 0;
	rotation->patience_ns = FIRST_PATIENCE_NS;
	rotation->nr_notes = rotation->nr_triggers = 0;
	tape_thread_set_alarm(session->tape, session->options->max_bytes);
}

static void trim(struct session *session)
{
	const struct record_options *options = session->options;
	struct tape_stats stats;

	if (!session->rotation.series)
		return;
	tape_thread_get_stats(session->tape, &stats);
	tape_series_trim(session->rotation.series, options->keep_count, options->keep_bytes, stats.file_bytes);
}

int record_rotate(struct session *session, const char *why, struct record_error *error)
{
	struct tape_file next = {.fd = -1};
	struct tape_file old = session->file;
	char *path = NULL;
	int ret;

	if (!session->rotation.series)
		return record_error_set(error, -EINVAL, "the recording is not one with --rotate");
	ret = record_open_new(session->options->out_path, &next, &path, error);
	if (!ret)
		ret = tape_file_begin(&next, 0, error);
	if (!ret)
		ret = switch_files(session, &next, path, why, error);
	if (ret) {
		/* At a second signal the tape thread may still have it. */
		if (ret != -EINTR)
			tape_file_discard(&next);
		free(path);
		return ret;
	}
	session->file = next;
	tape_series_add(session->rotation.series, old.path);
	file_worker_sync(session->worker, old.fd, old.path);
	free(session->rotation.previous_path);
	session->rotation.previous_path = session->tape_path;
	session->tape_path = path;
	record_plan_moved(&session->plan, path);
	ram_snapshot_restart(&session->snapshot);
	if (!session->options->no_snapshots)
		session->next_snapshot_ns = now_ns();
	begin_account(session);
	record_trigger_rotated(session);
	trim(session);
	report("recording goes on in %s: %s", path, why);
	return 0;
}

/* ---- limits ---------------------------------------------------------- */

/* Is the tape readable alone, as far as it ever will be? */
static bool has_base(const struct session *session)
{
	return session->options->no_snapshots || session->told_no_snapshot || session->rotation.has_base;
}

static void look_at_base(struct session *session)
{
	struct record_rotation *rotation = &session->rotation;
	struct tape_stats stats;

	if (rotation->has_base || session->snapshot.committed == rotation->committed_before)
		return;
	if (!rotation->base_job)
		rotation->base_job = session->snapshot.last_job;
	if (!tape_thread_is_done(session->tape, rotation->base_job))
		return;
	tape_thread_get_stats(session->tape, &stats);
	rotation->has_base = true;
	rotation->base_bytes = stats.pages.stored_bytes - rotation->pages_before;
}

/*
 * Tapes would follow one another without an end, and hold nothing but base
 * snapshots, if one alone reached the limit: half of a tape is left for the rest.
 */
static uint64_t size_limit(struct session *session)
{
	struct record_rotation *rotation = &session->rotation;
	uint64_t limit = session->options->max_bytes;

	if (!rotation->series || 2 * rotation->base_bytes <= limit)
		return limit;
	if (!rotation->told_large_base)
		report_warning("the memory of this VM alone takes %" PRIu64
			       " MiB at the start of each tape: tapes get twice as large, over the limit of --max-size",
			       rotation->base_bytes >> 20);
	rotation->told_large_base = true;
	return 2 * rotation->base_bytes;
}

/* Which limit is reached; false: none. */
static bool is_due(struct session *session, char *why, size_t room)
{
	const struct record_options *options = session->options;
	struct tape_stats stats;
	uint64_t limit;

	if (options->max_age_ms && now_ns() - session->rotation.began_ns >= options->max_age_ms * NS_PER_MS) {
		snprintf(why, room, "it is %" PRIu64 " s old", options->max_age_ms / 1000);
		return true;
	}
	if (!options->max_bytes)
		return false;
	tape_thread_get_stats(session->tape, &stats);
	limit = size_limit(session);
	if (stats.file_bytes < limit) {
		tape_thread_set_alarm(session->tape, limit);
		return false;
	}
	if (session->rotation.series && !has_base(session))
		return false;
	snprintf(why, room, "it has the size of %" PRIu64 " MiB", options->max_bytes >> 20);
	return true;
}

static void rotate_or_try_later(struct session *session, const char *why)
{
	struct record_rotation *rotation = &session->rotation;
	struct record_error error = {0};
	int ret;

	if (now_ns() < rotation->retry_ns)
		return;
	ret = record_rotate(session, why, &error);
	if (ret == -EINTR)
		session->ending = ENDING_NOW;
	if (!ret || session->ending)
		return;
	record_check_threads(session);
	if (session->ending)
		return;
	rotation->retry_ns = now_ns() + rotation->patience_ns;
	report_warning("%s is written on, and the next tape tried again in %" PRIu64 " s: %s", session->tape_path,
		       (uint64_t)(rotation->patience_ns / NS_PER_S), error.message);
	rotation->patience_ns *= 2;
	if (rotation->patience_ns > MAX_PATIENCE_NS)
		rotation->patience_ns = MAX_PATIENCE_NS;
}

void record_rotation_started(struct session *session)
{
	if (session->rotation.series)
		tape_series_adopt(session->rotation.series, &session->welcome);
	begin_account(session);
	trim(session);
}

void record_rotation_step(struct session *session)
{
	char why[128];

	look_at_base(session);
	trim(session);
	if (!is_due(session, why, sizeof(why)))
		return;
	if (session->rotation.series) {
		rotate_or_try_later(session, why);
		return;
	}
	/* A last snapshot may be as large as all of the tape. */
	session->skips_last_snapshot = session->options->max_bytes;
	record_ask_end(session, "the limit for a tape is reached: %s", why);
}

uint64_t record_rotation_until_ns(const struct session *session)
{
	const struct record_rotation *rotation = &session->rotation;
	const struct record_options *options = session->options;
	uint64_t until = options->max_age_ms ? rotation->began_ns + options->max_age_ms * NS_PER_MS : LOOP_NEVER;

	/* The size may be reached before the base snapshot is there, and tapes to be kept grow. */
	if (options->max_bytes || options->keep_bytes) {
		uint64_t soon = now_ns() + NS_PER_S;

		until = soon < until ? soon : until;
	}
	return rotation->retry_ns > until ? rotation->retry_ns : until;
}

void record_poll_worker(struct session *session)
{
	struct file_result result;

	while (file_worker_poll(session->worker, &result)) {
		if (result.was_copy)
			record_copy_done(session, &result);
		else if (result.error)
			report_warning("%s: has ended, but cannot be made sure to be on the disk: %s", result.path,
				       strerror(-result.error));
	}
}

void record_rotation_deinit(struct session *session)
{
	tape_series_destroy(session->rotation.series);
	session->rotation.series = NULL;
	free(session->tape_path);
	free(session->rotation.previous_path);
	session->tape_path = session->rotation.previous_path = NULL;
}
