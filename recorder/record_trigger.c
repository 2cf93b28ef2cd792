/* SPDX-License-Identifier: MIT */
/*
 * record_trigger.c - something happened, and what led to it is to be kept: the
 * trigger is noted on the tape, recording goes on for a while, and then the tape
 * is frozen, or copied while recording goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record_meta.h"
#include "record_state.h"

#define NUMBERS  256            /* of notes, and of triggers: a ring carries the latest of each number on */
#define MATCH_NS (5 * NS_PER_S) /* from a call's being on the tape to its being found there, about */

int record_note(struct session *session, const char *key, unsigned number, const char *text, struct record_error *error)
{
	char *line = record_meta_event(key, (number - 1) % NUMBERS + 1, text);
	struct tape_chunk *chunk;
	int ret = line ? tape_chunk_encode_meta(&chunk, line, NULL) : -ENOMEM;

	free(line);
	if (ret)
		return record_error_set(error, ret, "it cannot be noted on the tape: %s", strerror(-ret));
	tape_thread_post_chunk(session->tape, chunk);
	return 0;
}

static void copy_previous(struct session *session);

/* Something fired it that is not older than window_ns. */
static int fire(struct session *session, const char *text, uint64_t window_ns, struct record_error *error)
{
	const struct record_options *options = session->options;
	struct record_trigger_state *trigger = &session->trigger;
	int ret;

	if (options->on_trigger == TRIGGER_NONE)
		return record_error_set(error, -EINVAL, "there is no --on-trigger");
	ret = record_note(session, "trigger", ++session->rotation.nr_triggers, text, error);
	if (ret)
		return ret;
	trigger->nr_triggers++;
	report("trigger%s%s: the tape is %s in %.3f s", text[0] ? ": " : "", text,
	       options->on_trigger == TRIGGER_COPY ? "copied" : "frozen", (double)options->trigger_after_ms / 1000);
	/* The first one counts: what it was to save must not move away. */
	if (trigger->due_ns != LOOP_NEVER)
		return 0;
	trigger->due_ns = now_ns() + options->trigger_after_ms * NS_PER_MS;
	snprintf(trigger->text, sizeof(trigger->text), "%s", text);
	/* By then the tape before may be removed. */
	if (options->on_trigger == TRIGGER_COPY && now_ns() - session->rotation.began_ns <= window_ns)
		copy_previous(session);
	return 0;
}

int record_trigger(struct session *session, const char *text, struct record_error *error)
{
	return fire(session, text, 0, error);
}

/* ---- calls that match ------------------------------------------------ */

static bool is_served(const struct record_trigger_state *trigger)
{
	return trigger->due_ns == LOOP_NEVER && !trigger->copy_job && !trigger->nr_copying;
}

static bool is_at_work(const struct record_trigger_state *trigger)
{
	return !is_served(trigger) || now_ns() < trigger->rest_ns;
}

static void look_served(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;

	if (!trigger->rests_after || !is_served(trigger))
		return;
	trigger->rests_after = false;
	trigger->rest_ns = now_ns() + session->options->trigger_rest_ms * NS_PER_MS;
}

static void on_match(void *ctx, const char *line)
{
	struct session *session = ctx;
	struct record_trigger_state *trigger = &session->trigger;
	char clean[RECORD_TEXT_MAX_BYTES - 32], text[RECORD_TEXT_MAX_BYTES];
	struct record_error why = {0};

	if (session->ending)
		return;
	if (is_at_work(trigger)) {
		trigger->nr_more++;
		return;
	}
	report_clean(clean, sizeof(clean), line, strlen(line));
	snprintf(text, sizeof(text), "a call matched: %s", clean);
	/* It went to the tape, and was found there, before we hear of it. */
	if (fire(session, text, session->options->flush_ms * NS_PER_MS + MATCH_NS, &why))
		report_warning("a call matched, and nothing is done: %s", why.message);
	else
		trigger->rests_after = true;
}

void record_watch_step(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;

	call_watch_step(&session->watch, session->tape_path, on_match, session);
	if (!trigger->nr_more || is_at_work(trigger))
		return;
	report("%u more calls matched meanwhile", trigger->nr_more);
	trigger->nr_more = 0;
}

/* ---- the copy -------------------------------------------------------- */

/* "a.vmt" to "a-trigger-TIME.vmt". */
static char *default_pattern(const char *tape_path)
{
	const char *slash = strrchr(tape_path, '/'), *dot = strrchr(tape_path, '.');
	char *pattern = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&pattern, &size_bytes);

	if (!out)
		return NULL;
	if (!dot || (slash && dot < slash))
		dot = tape_path + strlen(tape_path);
	for (const char *c = tape_path; *c; c++) {
		if (c == dot)
			fputs("-trigger-%Y%m%dT%H%M%SZ", out);
		/* Its own percent signs are none of time. */
		fputs(*c == '%' && c > slash ? "%%" : (char[]){*c, '\0'}, out);
	}
	if (!*dot)
		fputs("-trigger-%Y%m%dT%H%M%SZ", out);
	if (fclose(out)) {
		free(pattern);
		return NULL;
	}
	return pattern;
}

/* The file for a copy of this tape. */
static int open_target(const struct session *session, const char *tape_path, struct tape_file *copy, char **path,
		       struct record_error *error)
{
	const char *wanted = session->options->copy_pattern;
	char *pattern = wanted ? strdup(wanted) : default_pattern(tape_path);
	int ret = pattern ? record_open_new(pattern, copy, path, error)
			  : record_error_set(error, -ENOMEM, "out of memory");

	free(pattern);
	return ret ? ret : tape_file_begin(copy, 0, error);
}

static int open_copy(struct session *session, struct record_error *error)
{
	struct record_trigger_state *trigger = &session->trigger;
	int ret = open_target(session, session->tape_path, &trigger->copy, &trigger->copy_path, error);
	char own[64];

	if (ret)
		return ret;
	/* The tape's own descriptor only writes. This one is the same file, whatever its name is now. */
	snprintf(own, sizeof(own), "/proc/self/fd/%d", session->file.fd);
	trigger->from_fd = open(own, O_RDONLY | O_CLOEXEC);
	if (trigger->from_fd < 0)
		trigger->from_fd = open(session->tape_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (trigger->from_fd < 0)
		return record_error_set(error, -errno, "%s: cannot be read: %s", session->tape_path, strerror(errno));
	return 0;
}

static void give_up_copy(struct session *session, const char *why)
{
	struct record_trigger_state *trigger = &session->trigger;

	report_warning("the tape could not be copied: %s", why);
	trigger->nr_failed++;
	if (trigger->from_fd >= 0)
		close(trigger->from_fd);
	tape_file_discard(&trigger->copy);
	free(trigger->copy_path);
	trigger->copy_path = NULL;
	trigger->from_fd = -1;
	trigger->copy_job = 0;
}

/* What fired the trigger, or came behind it, may be on the tape before this one, which has its end. */
static void copy_previous(struct session *session)
{
	const char *from_path = session->rotation.previous_path;
	struct tape_file copy = {.fd = -1};
	struct record_error why = {0};
	char *path = NULL;
	struct stat st;
	int from_fd;

	if (!from_path)
		return;
	from_fd = open(from_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from_fd < 0 || fstat(from_fd, &st)) {
		report_warning("%s: the tape before could not be copied: %s", from_path, strerror(errno));
		session->trigger.nr_failed++;
		if (from_fd >= 0)
			close(from_fd);
		return;
	}
	if (open_target(session, from_path, &copy, &path, &why)) {
		report_warning("%s: the tape before could not be copied: %s", from_path, why.message);
		session->trigger.nr_failed++;
		tape_file_discard(&copy);
		close(from_fd);
	} else {
		file_worker_copy(session->worker, from_fd, (uint64_t)st.st_size, copy.fd, path, false);
		session->trigger.nr_copying++;
	}
	free(path);
}

void record_trigger_rotated(struct session *session)
{
	if (session->trigger.due_ns != LOOP_NEVER && session->options->on_trigger == TRIGGER_COPY)
		copy_previous(session);
}

static void start_copy(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;
	struct record_error why = {0};

	if (open_copy(session, &why)) {
		give_up_copy(session, why.message);
		return;
	}
	trigger->copy_job = tape_thread_post_copy(session->tape, trigger->from_fd, trigger->copy.fd);
}

static void hand_over(struct session *session, uint64_t size_bytes, bool is_cloned)
{
	struct record_trigger_state *trigger = &session->trigger;

	file_worker_copy(session->worker, trigger->from_fd, size_bytes, trigger->copy.fd, trigger->copy_path,
			 is_cloned);
	free(trigger->copy_path);
	trigger->copy_path = NULL;
	trigger->from_fd = trigger->copy.fd = -1;
	trigger->copy_job = 0;
	trigger->nr_copying++;
}

/* The tape is flushed up to a place, and nothing before that place is written any more: another thread copies. */
static void take_copy(struct session *session)
{
	struct tape_copy copy;

	tape_thread_get_copy(session->tape, &copy);
	if (copy.error)
		give_up_copy(session, file_copy_problem(copy.error));
	else
		hand_over(session, copy.size_bytes, copy.is_cloned);
}

void record_copy_done(struct session *session, const struct file_result *result)
{
	session->trigger.nr_copying--;
	look_served(session);
	if (result->error) {
		report_warning("%s: the copy of the tape failed: %s", result->path, file_copy_problem(result->error));
		session->trigger.nr_failed++;
		unlink(result->path);
		return;
	}
	session->trigger.nr_copies++;
	report("%s: the tape as it was, %.1f MiB", result->path, (double)result->size_bytes / (1u << 20));
}

/* ---- in time --------------------------------------------------------- */

static void serve_due(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;

	trigger->due_ns = LOOP_NEVER;
	if (session->options->on_trigger == TRIGGER_COPY)
		start_copy(session);
	else
		record_ask_end(session, "frozen by a trigger%s%s", trigger->text[0] ? ": " : "", trigger->text);
}

void record_trigger_step(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;
	struct record_error why = {0};

	if (session->loop.trigger_now) {
		session->loop.trigger_now = false;
		if (record_trigger(session, "signal", &why))
			report_warning("a signal for a trigger came, and nothing is done: %s", why.message);
	}
	if (trigger->copy_job && tape_thread_is_done(session->tape, trigger->copy_job))
		take_copy(session);
	if (now_ns() >= trigger->due_ns && !trigger->copy_job)
		serve_due(session);
	look_served(session);
}

/* The tape has its end, and nobody writes it any more. */
static void copy_ended_tape(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;
	struct record_error why = {0};
	struct stat st;

	if (open_copy(session, &why)) {
		give_up_copy(session, why.message);
	} else if (fstat(trigger->from_fd, &st)) {
		give_up_copy(session, strerror(errno));
	} else {
		hand_over(session, (uint64_t)st.st_size, false);
	}
}

void record_trigger_finish(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;

	if (trigger->copy_job)
		take_copy(session);
	/* Recording ended before it was due. */
	if (trigger->due_ns != LOOP_NEVER && session->options->on_trigger == TRIGGER_COPY)
		copy_ended_tape(session);
	trigger->due_ns = LOOP_NEVER;
}

void record_trigger_deinit(struct session *session)
{
	struct record_trigger_state *trigger = &session->trigger;

	if (trigger->from_fd >= 0)
		close(trigger->from_fd);
	tape_file_discard(&trigger->copy);
	free(trigger->copy_path);
	trigger->copy_path = NULL;
	trigger->from_fd = -1;
}
