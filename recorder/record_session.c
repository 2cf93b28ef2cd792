/* SPDX-License-Identifier: MIT */
#include "record_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "record_state.h"

#define FIRST_QUICK_MS 1000

/* ---- recording ------------------------------------------------------- */

void record_check_threads(struct session *session)
{
	struct record_error why;

	if (session->ending)
		return;
	if (tape_thread_error(session->tape, &why)) {
		session->why = why;
		/* Records that no reader would take are the VM's doing, not the disk's. */
		session->ending = why.error == -EBADMSG ? ENDING_BROKEN : ENDING_NO_WRITE;
	} else if (drain_error(session->drain, &why)) {
		session->why = why;
		session->ending = ENDING_BROKEN;
	}
}

/* Tells when the disk becomes full, and when there is room again. True: it is full, and the tape waits. */
static bool check_room(struct session *session)
{
	bool is_full = tape_thread_is_waiting(session->tape);
	uint64_t lost;

	if (is_full == session->told_full || tape_thread_error(session->tape, NULL))
		return is_full;
	session->told_full = is_full;
	lost = record_progress_lost(&session->progress);
	if (is_full) {
		session->full_since_ns = now_ns();
		session->lost_before_full = lost;
		ram_snapshot_give_room(&session->snapshot);
		report_warning("%s: the disk is full: recording waits for room; %" PRIu64 " records lost so far",
			       session->tape_path, lost);
		return true;
	}
	report_warning("%s: there is room again after %.1f s: recording goes on; %" PRIu64 " records lost meanwhile",
		       session->tape_path, (double)(now_ns() - session->full_since_ns) / NS_PER_S,
		       lost - session->lost_before_full);
	return false;
}

/* Notes why it ends; not every error is a reason to. */
static void take_error(struct session *session, int error, const struct record_error *why)
{
	if (!error)
		return;
	record_check_threads(session);
	if (session->ending)
		return;
	session->why = *why;
	if (error == -ECONNRESET)
		session->ending = ENDING_VM_GONE;
	else if (error == -EINTR)
		session->ending = ENDING_NOW;
	else if (error == -EPROTO)
		session->ending = ENDING_BROKEN;
}

int record_take_snapshot(struct session *session, struct record_error *error)
{
	bool first = !session->snapshot.committed, asked = session->loop.snapshot_now;
	int ret;

	session->loop.snapshot_now = false;
	ret = ram_snapshot_take(&session->snapshot, error);
	session->next_snapshot_ns = now_ns() + session->options->snapshot_interval_ms * NS_PER_MS;
	record_service_snapshot(session, !ret);
	if (!ret) {
		if (first || asked)
			report("%s snapshot taken, guest paused for %.1f ms", first ? "base" : "the",
			       (double)session->snapshot.figures.pause_ns / NS_PER_MS);
		session->told_no_snapshot = false;
		record_plan_snapshot_taken(&session->plan);
		return 0;
	}
	take_error(session, ret, error);
	if (!session->ending && !session->told_no_snapshot) {
		report("no snapshot could be taken, events are recorded on: %s", error->message);
		session->told_no_snapshot = true;
	}
	return ret;
}

/*
 * While the guest is not known, snapshots come after 1, 2, 4 ... seconds, up to the interval. Once its plan is in
 * force, one comes at once: calls name their threads from now on, and whose descriptors changed until then only memory
 * can tell.
 */
static void quicken_snapshot(struct session *session)
{
	uint64_t soon = now_ns() + (session->plan.is_wanted ? session->quick_ms * NS_PER_MS : 0);

	session->plan.asks_snapshot = false;
	if (soon < session->next_snapshot_ns)
		session->next_snapshot_ns = soon;
	if (session->plan.is_wanted && session->quick_ms < session->options->snapshot_interval_ms)
		session->quick_ms *= 2;
}

static void serve_reset(struct session *session)
{
	struct record_error why = {0};
	int ret;

	session->was_reset = false;
	report("the guest was reset");
	session->quick_ms = FIRST_QUICK_MS;
	ret = record_plan_forget(&session->plan, &why);
	take_error(session, ret, &why);
}

static void step(struct session *session)
{
	struct record_error why = {0};
	int ret;

	ret = producer_serve_events(&session->producer, &why);
	take_error(session, ret, &why);
	if (!session->ending)
		record_control_step(session);
	/* All that follows wants to write. */
	if (check_room(session))
		return;
	if (!session->ending && session->was_reset)
		serve_reset(session);
	if (!session->ending && !session->options->no_snapshots &&
	    (session->loop.snapshot_now || now_ns() >= session->next_snapshot_ns))
		record_take_snapshot(session, &why);
	if (!session->ending)
		record_watch_step(session);
	if (!session->ending)
		record_trigger_step(session);
	if (!session->ending)
		record_rotation_step(session);
	if (session->ending)
		return;
	ret = record_plan_step(&session->plan, &why);
	take_error(session, ret, &why);
	if (session->plan.asks_snapshot)
		quicken_snapshot(session);
}

static void record(struct session *session)
{
	session->quick_ms = FIRST_QUICK_MS;
	session->next_snapshot_ns = session->options->no_snapshots ? LOOP_NEVER : now_ns();
	for (;;) {
		struct plan_auto *analyzer = &session->plan.analyzer;
		int fds[4] = {-1, -1, -1, -1};
		uint64_t until;

		record_check_threads(session);
		if (!session->ending && session->loop.stop)
			session->ending = ENDING_ASKED;
		record_poll_worker(session);
		if (!session->ending)
			step(session);
		if (session->ending)
			return;
		until = record_rotation_until_ns(session);
		if (session->next_snapshot_ns < until)
			until = session->next_snapshot_ns;
		if (session->trigger.due_ns < until && !session->trigger.copy_job)
			until = session->trigger.due_ns;
		if (call_watch_until_ns(&session->watch) < until)
			until = call_watch_until_ns(&session->watch);
		/* What came while the step waited for something else. */
		if (session->control.nr_pending || session->loop.trigger_now)
			until = 0;
		if (plan_auto_is_running(analyzer) && analyzer->kill_ns < until)
			until = analyzer->kill_ns;
		/* What is due waits, too; the tape's thread wakes us. */
		if (session->told_full)
			until = session->control.nr_pending ? 0 : LOOP_NEVER;
		fds[0] = session->producer.fd;
		fds[1] = analyzer->pid_fd;
		if (!session->told_full) {
			fds[2] = session->watch.out_fd;
			fds[3] = session->watch.said_fd;
		}
		if (loop_wait(&session->loop, fds, 4, until) == LOOP_STOP_NOW)
			session->ending = ENDING_NOW;
	}
}

static void deinit(struct session *session)
{
	record_service_deinit(session);
	call_watch_deinit(&session->watch);
	record_plan_deinit(&session->plan);
	ram_snapshot_deinit(&session->snapshot);
	producer_deinit(&session->producer);
	drain_destroy(session->drain);
	tape_thread_destroy(session->tape);
	tape_key_destroy(session->sign_key);
	while (session->nr_early_rings)
		trap_ring_deinit(&session->early_rings[--session->nr_early_rings]);
	free(session->early_rings);
	record_trigger_deinit(session);
	file_worker_destroy(session->worker);
	tape_file_close(&session->file);
	record_rotation_deinit(session);
	loop_deinit(&session->loop);
}

int record_session_run(const struct record_options *options)
{
	struct session session = {
		.options = options,
		.file = {.fd = -1},
		.service = {.notify = {.fd = -1}},
		.watch = {.out_fd = -1, .said_fd = -1, .start_ns = LOOP_NEVER},
		.trigger = {.due_ns = LOOP_NEVER, .from_fd = -1, .copy = {.fd = -1}},
		.producer = {.fd = -1, .in = {.fds = {-1, -1, -1}}},
	};
	struct record_error error = {0};
	int status = 2;

	session.plan.analyzer = (struct plan_auto){.pid_fd = -1, .output_fd = -1};
	ram_snapshot_init(&session.snapshot, &session.producer, NULL, &session.loop);
	if (loop_init(&session.loop, &error)) {
		report_error("%s", error.message);
		return 2;
	}
	if (record_start(&session, &error)) {
		report_error("%s", error.message);
	} else {
		record(&session);
		status = record_end(&session);
	}
	deinit(&session);
	return status;
}
