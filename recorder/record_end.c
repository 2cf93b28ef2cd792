/* SPDX-License-Identifier: MIT */
/* record_end.c - the end of a recording: the last snapshot, what is left in the rings, the tape's end, the summary. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "record_state.h"

#define STOP_PATIENCE_MS 2000
#define ROOM_PATIENCE_MS 3000 /* for room on a full disk, when the recording ends */

void record_ask_end(struct session *session, const char *format, ...)
{
	va_list args;

	if (session->ending)
		return;
	va_start(args, format);
	vsnprintf(session->asked_reason, sizeof(session->asked_reason), format, args);
	va_end(args);
	session->ending = ENDING_ASKED;
}

static void end_reason(const struct session *session, char *out, size_t room)
{
	switch (session->ending) {
	case ENDING_ASKED:
		if (session->asked_reason[0])
			snprintf(out, room, "%s", session->asked_reason);
		else if (session->loop.stop_signal)
			snprintf(out, room, "stopped by SIG%s", sigabbrev_np(session->loop.stop_signal));
		else
			snprintf(out, room, "the duration asked for is over");
		break;
	case ENDING_VM_GONE:
		snprintf(out, room, "the VM ended");
		break;
	default:
		snprintf(out, room, "%.120s", session->why.message);
		break;
	}
}

/* Waits for a thread's end of work. False: a second signal came. */
static bool wait_drained(struct session *session)
{
	while (!drain_is_finished(session->drain))
		if (loop_wait(&session->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return false;
	return true;
}

static bool wait_job(struct session *session, uint64_t job)
{
	while (!tape_thread_is_done(session->tape, job))
		if (loop_wait(&session->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return false;
	return true;
}

/* Tapes before this one may still be on their way to the disk. */
static bool wait_worker(struct session *session)
{
	for (;;) {
		record_poll_worker(session);
		if (file_worker_is_idle(session->worker))
			return true;
		if (loop_wait(&session->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return false;
	}
}

/* The last snapshot, and off with the traps. The VM may end on the way, which changes nothing. */
static void stop_vm(struct session *session)
{
	struct record_error why = {0};
	int ret = 0;

	if (!session->options->no_snapshots && !session->skips_last_snapshot &&
	    !tape_thread_is_waiting(session->tape)) {
		ret = ram_snapshot_take(&session->snapshot, &why);
		record_service_snapshot(session, !ret);
		if (ret && ret != -EINTR)
			report("the last snapshot could not be taken: %s", why.message);
	}
	if (!ret || ret == -EREMOTEIO || ret == -ENOSPC)
		ret = producer_stop(&session->producer, 0, &why);
	if (ret == -EINTR)
		session->ending = ENDING_NOW;
	else if (ret && ret != -ECONNRESET && ret != -EREMOTEIO)
		report("the VM did not answer at the end: %s", why.message);
}

static void end_now(struct session *session, const char *path)
{
	report_error("%s: stopped at once by a second signal: the tape has no end, but what is in it can be read",
		     path);
	/* The threads may hang in a write; closing the socket, which the kernel does, ends the traps. */
	plan_auto_deinit(&session->plan.analyzer);
	call_watch_deinit(&session->watch);
	record_service_deinit(session);
	_exit(2);
}

static void end_watch(struct session *session)
{
	struct call_watch *watch = &session->watch;

	call_watch_stop(watch);
	if (watch->nr_starts)
		report("%" PRIu64 " calls matched --trigger-when; looking for them took %.1f s of CPU time",
		       watch->nr_matches, (double)call_watch_cpu_ns(watch) / NS_PER_S);
}

int record_end(struct session *session)
{
	const char *path = session->tape_path;
	char reason[TAPE_REASON_ROOM];
	uint64_t job;

	record_service_ending(session);
	end_watch(session);
	tape_thread_give_up_at(session->tape, now_ns() + ROOM_PATIENCE_MS * NS_PER_MS);
	if (session->ending == ENDING_ASKED)
		stop_vm(session);
	/* Off with the traps before the rings are counted; a VM that does not answer sees our end as well. */
	else if (session->ending == ENDING_NO_WRITE &&
		 producer_stop(&session->producer, STOP_PATIENCE_MS, NULL) == -EINTR)
		session->ending = ENDING_NOW;
	if (session->ending == ENDING_NOW)
		end_now(session, path);
	plan_auto_abort(&session->plan.analyzer);
	end_reason(session, reason, sizeof(reason));
	/* Its close ends the traps, whatever the VM thought of our requests. */
	producer_deinit(&session->producer);

	drain_finish(session->drain);
	if (!wait_drained(session))
		end_now(session, path);
	drain_get_stats(session->drain, &session->progress.final_drain);
	session->progress.drain = NULL;
	job = tape_thread_finish(session->tape, reason, record_progress_lost(&session->progress));
	if (!wait_job(session, job))
		end_now(session, path);
	if (session->ending == ENDING_ASKED || session->ending == ENDING_VM_GONE) {
		enum ending asked = session->ending;

		session->ending = ENDING_NOT;
		record_check_threads(session);
		if (!session->ending)
			session->ending = asked;
	}
	if (session->ending == ENDING_NO_WRITE) {
		report_error("%s: %s: recording stopped; what was written before is kept and can be read", path,
			     session->why.message);
		snprintf(reason, sizeof(reason), "%s",
			 session->why.error == -ENOSPC || session->why.error == -EDQUOT ? "the disk is full"
											: "it could not be written");
	} else if (session->ending == ENDING_BROKEN) {
		report_error("%s: %s: recording stopped; what came before is kept", session->options->socket_path,
			     session->why.message);
		snprintf(reason, sizeof(reason), "the VM broke the protocol");
	} else if (session->ending == ENDING_VM_GONE) {
		report("the VM ended: the tape is whole up to there");
	}
	record_trigger_finish(session);
	if (!wait_worker(session))
		end_now(session, path);
	record_progress_summary(&session->progress, path, reason);
	return session->ending == ENDING_ASKED || session->ending == ENDING_VM_GONE ? 0 : 2;
}
