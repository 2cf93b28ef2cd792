/* SPDX-License-Identifier: MIT */
/*
 * events_follow.c - `vmtape events --follow`: calls of a tape as it is written,
 * and of the tapes that continue it. A record waits until no vCPU can have an
 * earlier one on its way to the file: there are later ones of all, or as much
 * time has passed as the recorder takes to write one.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "call_live.h"
#include "events.h"
#include "tracker.h"

#define LOOK_MS         200
#define SLACK_MS        1000  /* beyond the recorder's own limit */
#define MAX_LAG_MS      60000 /* of records that come late again and again */
#define SNAPSHOT_MS     30000 /* from a snapshot's mark until it is there */
#define FLUSH_MS        1000  /* of a tape that does not tell */
#define MAX_TRIES       8     /* to identify the guest */
#define HISTORY         32
#define CONTINUED       "continued in "
#define MAX_TAPES_TO_GO 1000000 /* that nobody writes any more, one behind the other: a ring of names */

struct follow {
	struct events *e;
	const char *path; /* of the tape at hand */
	char *own_path;
	struct call_live *calls; /* or: */
	struct tracker *traps;
	uint64_t flush_ms, lag_ms;
	struct {
		int64_t ms;
		uint64_t tsc; /* the newest that was there then */
	} history[HISTORY];
	unsigned nr_history;  /* ever */
	uint64_t settled_tsc; /* as old as the lag */
	uint64_t newest_tsc;  /* that was there at the look before */
	uint64_t nr_late;
	int64_t awaits_since_ms;
	bool told_waiting, told_late;
	char told_problem[256];
};

static volatile sig_atomic_t is_asked_to_end;

static void ask_end(int number)
{
	(void)number;
	is_asked_to_end = 1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_over(const struct follow *f)
{
	f->e->interrupted = f->e->interrupted || is_asked_to_end;
	return f->e->stopped || f->e->interrupted;
}

/* Until the next look at the tape. Who reads us may be gone, though we have nothing to say. */
static void wait_a_bit(const struct follow *f)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	fflush(stdout);
	if (poll(&out, 1, LOOK_MS) > 0 && out.revents & (POLLERR | POLLHUP | POLLNVAL))
		f->e->stopped = true;
}

static uint64_t meta_number(const struct follow *f, const char *key, uint64_t otherwise)
{
	const char *text = tape_reader_meta(session_reader(f->e->session), key);

	return text && *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- the guest ------------------------------------------------------- */

static bool has_no_snapshots(const struct follow *f)
{
	const char *text = tape_reader_meta(session_reader(f->e->session), "option.snapshots");

	return text && !strcmp(text, "no");
}

/* Lines without names are of no use to who waits for names. */
static bool is_ready(const struct follow *f)
{
	struct session *session = f->e->session;

	return session_guest(session) || session_info(session)->finished || f->e->assume_linux || has_no_snapshots(f) ||
	       session_tries(session) >= MAX_TRIES;
}

static void say_waiting(struct follow *f)
{
	bool has_snapshot = session_info(f->e->session)->nr_snapshots;
	const char *why = session_guest_problem(f->e->session)->message;

	if (!has_snapshot && !f->told_waiting)
		fprintf(stderr, "vmtape: %s: waiting for the first snapshot of the guest's memory\n", f->path);
	else if (has_snapshot && strcmp(why, f->told_problem))
		fprintf(stderr, "vmtape: guest not identified: %s; waiting for another snapshot\n", why);
	if (has_snapshot)
		snprintf(f->told_problem, sizeof(f->told_problem), "%s", why);
	f->told_waiting = true;
}

static struct vmtape_error *wait_ready(struct follow *f)
{
	while (!is_over(f) && !is_ready(f)) {
		struct vmtape_error *error;
		bool more;

		say_waiting(f);
		wait_a_bit(f);
		error = session_refresh(f->e->session, &more);
		if (error)
			return error;
	}
	if (!is_over(f))
		command_note_guest(f->e->session);
	return NULL;
}

/* ---- what is settled ------------------------------------------------- */

static struct tracker *tracker_of(const struct follow *f)
{
	return f->calls ? call_live_tracker(f->calls) : f->traps;
}

/* Everything up to the newest record that was there a while ago has come. */
static void note_newest(struct follow *f)
{
	uint64_t newest = session_info(f->e->session)->last_tsc;
	int64_t now = now_ms();

	for (unsigned i = 0; i < HISTORY && i < f->nr_history; i++)
		if (now - f->history[i].ms >= (int64_t)f->lag_ms && f->history[i].tsc > f->settled_tsc)
			f->settled_tsc = f->history[i].tsc;
	if (f->nr_history && (uint64_t)(now - f->history[(f->nr_history - 1) % HISTORY].ms) < f->lag_ms * 2 / HISTORY)
		return;
	f->history[f->nr_history % HISTORY].ms = now;
	f->history[f->nr_history++ % HISTORY].tsc = newest;
}

static uint64_t settled_tsc(struct follow *f)
{
	const struct guest_clock *clock = session_clock(f->e->session);
	const struct tape_info *info = session_info(f->e->session);
	uint64_t tsc = tape_cursor_frontier(tracker_cursor(tracker_of(f)), (uint32_t)meta_number(f, "vcpus", 1));
	double lag_ticks = clock->ns_per_tick > 0 ? (double)(f->lag_ms - SLACK_MS) * 1e6 / clock->ns_per_tick : 0;

	if (info->finished)
		return UINT64_MAX;
	note_newest(f);
	if (f->settled_tsc > tsc)
		tsc = f->settled_tsc;
	/*
	 * What is older than the newest by so much left its ring before that did, or along with it: chunks that are
	 * written together may be seen one after the other, so it is the newest of the look before.
	 */
	if (lag_ticks > 0 && (double)f->newest_tsc > lag_ticks && f->newest_tsc - (uint64_t)lag_ticks > tsc)
		tsc = f->newest_tsc - (uint64_t)lag_ticks;
	f->newest_tsc = info->last_tsc;
	return tsc;
}

static void check_late(struct follow *f)
{
	uint64_t nr_late = tape_cursor_late(tracker_cursor(tracker_of(f)));

	if (nr_late == f->nr_late)
		return;
	f->nr_late = nr_late;
	if (!f->told_late)
		fprintf(stderr, "vmtape: records came later than the recorder's --flush promises: lines may be out of "
				"order\n");
	f->told_late = true;
	f->lag_ms = f->lag_ms * 2 < MAX_LAG_MS ? f->lag_ms * 2 : MAX_LAG_MS;
}

/*
 * A snapshot heals the table of processes: what comes behind it waits for it, but
 * not for ever. true: it is not waited for any more.
 */
static bool skip_snapshot(struct follow *f)
{
	struct tracker *tracker = tracker_of(f);
	bool skips = false;

	if (!tracker_awaits(tracker)) {
		f->awaits_since_ms = 0;
		return false;
	}
	if (!f->awaits_since_ms)
		f->awaits_since_ms = now_ms();
	skips = now_ms() - f->awaits_since_ms > SNAPSHOT_MS || session_info(f->e->session)->finished;
	if (!skips)
		return false;
	tracker_skip_snapshot(tracker);
	f->awaits_since_ms = 0;
	return true;
}

/* ---- one tape -------------------------------------------------------- */

static struct vmtape_error *take_in(struct follow *f)
{
	struct tracker *tracker = tracker_of(f);
	struct vmtape_error *error;
	bool more;

	tracker_rest(tracker);
	error = session_refresh(f->e->session, &more);
	if (!error)
		error = tracker_go_on(tracker);
	if (error)
		return error;
	tracker_until(tracker, settled_tsc(f));
	check_late(f);
	return NULL;
}

static struct vmtape_error *show_some(struct follow *f)
{
	struct vmtape_error *error = NULL;
	struct call_item item;
	bool more = true;

	while (!error && !is_over(f) && (more || skip_snapshot(f))) {
		if (f->calls)
			error = call_live_next(f->calls, &item, &more);
		else
			error = tracker_live_step(f->traps, &more);
		if (!error && more && f->calls)
			events_show_item(f->e, &item);
	}
	return error;
}

/* All of it has been read up to its end. */
static struct vmtape_error *end_tape(struct follow *f)
{
	struct vmtape_error *error;

	if (!f->calls)
		return NULL;
	error = call_live_finish(f->calls);
	return error ? error : show_some(f);
}

static struct vmtape_error *follow_records(struct follow *f)
{
	struct vmtape_error *error;

	for (;;) {
		bool was_finished = session_info(f->e->session)->finished;

		error = take_in(f);
		if (!error)
			error = show_some(f);
		if (error || is_over(f))
			return error;
		if (was_finished)
			return end_tape(f);
		wait_a_bit(f);
	}
}

static struct vmtape_error *follow_tape(struct follow *f, bool only_new)
{
	struct events *e = f->e;
	struct tracker_sink sink = {.record = events_show_trap, .ctx = e};
	uint64_t newest = session_info(e->session)->last_tsc;
	struct vmtape_error *error = wait_ready(f);

	if (error || is_over(f))
		return error;
	error = events_prepare(e);
	if (error)
		return error;
	if (only_new)
		e->span.from_tsc = newest + 1;
	f->flush_ms = meta_number(f, "option.flush_ms", FLUSH_MS);
	f->lag_ms = f->flush_ms + SLACK_MS < MAX_LAG_MS ? f->flush_ms + SLACK_MS : MAX_LAG_MS;
	if (events_are_traps(e))
		error = tracker_create(&f->traps, e->session, &sink, e->span.from_tsc);
	else
		error = call_live_create(&f->calls, e->session, e->span.from_tsc);
	if (!error && f->calls && e->fds)
		error = call_live_want_fds(f->calls);
	return error ? error : follow_records(f);
}

static void leave_tape(struct follow *f)
{
	call_live_destroy(f->calls);
	tracker_destroy(f->traps);
	f->calls = NULL;
	f->traps = NULL;
	f->nr_history = 0;
	f->settled_tsc = f->newest_tsc = f->nr_late = 0;
	f->awaits_since_ms = 0;
}

/* ---- from tape to tape ----------------------------------------------- */

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Beside the tape at hand. */
static char *path_beside(const struct follow *f, const char *name, size_t length)
{
	char *path;

	if (asprintf(&path, "%.*s%.*s", (int)(name_of(f->path) - f->path), f->path, (int)length, name) < 0)
		return NULL;
	return path;
}

static bool continues(const struct follow *f, struct session *next)
{
	const char *before = tape_reader_meta(session_reader(next), "continues");

	return before && !strcmp(before, name_of(f->path));
}

/*
 * The reason of the end names it: "continued in NAME: why"; a name may have a
 * colon, too. NULL: there is none, and *error says why one that should be is not.
 */
static struct session *open_next(struct follow *f, char **path, struct vmtape_error **error)
{
	struct session_options options = {.assume_linux = f->e->assume_linux};
	const char *reason = session_info(f->e->session)->end_reason, *colon;

	*error = NULL;
	if (!reason || strncmp(reason, CONTINUED, strlen(CONTINUED)))
		return NULL;
	reason += strlen(CONTINUED);
	for (colon = strstr(reason, ": "); colon; colon = strstr(colon + 1, ": ")) {
		struct session *next = NULL;
		struct vmtape_error *why = NULL;

		if (memchr(reason, '/', (size_t)(colon - reason)))
			break;
		*path = path_beside(f, reason, (size_t)(colon - reason));
		why = *path ? session_open(&next, *path, &options) : &vmtape_error_no_memory;
		if (!why && continues(f, next)) {
			vmtape_error_destroy(*error);
			*error = NULL;
			return next;
		}
		if (!why)
			why = vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s does not continue %s, whose end says so",
						  *path, f->path);
		session_close(next);
		free(*path);
		if (*error)
			vmtape_error_destroy(why);
		else
			*error = why;
	}
	return NULL;
}

static struct vmtape_error *follow_series(struct follow *f)
{
	struct vmtape_error *error = follow_tape(f, f->e->only_new);

	for (unsigned i = 0; !error && !is_over(f) && i < MAX_TAPES_TO_GO; i++) {
		char *path = NULL;
		struct session *next = open_next(f, &path, &error);

		leave_tape(f);
		if (!next)
			break;
		if (f->e->plugin)
			hook_plugin_forget(f->e->plugin);
		session_close(f->e->session);
		f->e->session = next;
		free(f->own_path);
		f->path = f->own_path = path;
		f->e->span.from = NULL;
		error = follow_tape(f, false);
	}
	return error;
}

struct vmtape_error *events_follow(struct events *e, const char *path)
{
	struct follow f = {.e = e, .path = path};
	struct sigaction action = {.sa_handler = ask_end};
	struct vmtape_error *error;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 65536);
	if (e->format == FORMAT_NITRO)
		strbuf_put_char(&e->line, '[');
	error = follow_series(&f);
	leave_tape(&f);
	if (e->format == FORMAT_NITRO && !ferror(stdout)) {
		strbuf_put(&e->line, "\n]\n");
		command_write(&e->line);
	}
	free(f.own_path);
	return error;
}
