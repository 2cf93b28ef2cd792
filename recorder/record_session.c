/* SPDX-License-Identifier: MIT */
#include "record_session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain.h"
#include "producer_calls.h"
#include "ram_snapshot.h"
#include "record_meta.h"
#include "record_plan.h"
#include "record_progress.h"
#include "tape_file.h"
#include "tape_thread.h"

#define FIRST_QUICK_MS 1000

/* Why a recording ends. */
enum ending {
	ENDING_NOT = 0,
	ENDING_ASKED,    /* signal, duration */
	ENDING_VM_GONE,  /* socket closed */
	ENDING_BROKEN,   /* the VM sent what cannot be */
	ENDING_NO_WRITE, /* disk full, write error */
	ENDING_NOW,      /* second signal */
};

struct session {
	const struct record_options *options;
	struct loop loop;
	struct tape_file file;
	struct producer producer;
	struct proto_welcome welcome;
	struct trap_ring *early_rings; /* that came before the drain thread runs */
	unsigned nr_early_rings;
	struct tape_thread *tape;
	struct drain *drain;
	struct ram_snapshot snapshot;
	struct record_plan plan;
	struct record_progress progress;

	bool was_reset; /* PROTO_EVENT_RESET came */
	uint64_t next_snapshot_ns;
	uint64_t quick_ms; /* to the next snapshot while the guest is not known */
	bool told_no_snapshot;
	enum ending ending;
	struct record_error why; /* of the endings that are errors */
};

static void wake(void *ctx)
{
	loop_wake(ctx);
}

/* ---- what the VM sends by itself ------------------------------------- */

static int add_ring(void *ctx, struct trap_ring *ring, struct record_error *error)
{
	struct session *session = ctx;
	struct trap_ring *rings;

	if (session->drain)
		return drain_add_ring(session->drain, ring, error);
	rings = reallocarray(session->early_rings, session->nr_early_rings + 1, sizeof(*rings));
	if (!rings) {
		trap_ring_deinit(ring);
		return record_error_set(error, -ENOMEM, "out of memory");
	}
	rings[session->nr_early_rings++] = *ring;
	session->early_rings = rings;
	return 0;
}

static int on_event(void *ctx, struct producer_message *message, struct record_error *error)
{
	struct session *session = ctx;
	struct proto_event event;
	struct trap_ring ring;
	int ret;

	if (message->header.type == PROTO_RING) {
		ret = producer_open_ring(message, &ring, error);
		if (!ret)
			ret = add_ring(session, &ring, error);
		if (!ret)
			report("a vCPU was plugged: it is recorded, too");
		return ret;
	}
	ret = producer_expect(message, PROTO_EVENT, sizeof(event), 0, error);
	if (ret)
		return ret;
	memcpy(&event, message->body, sizeof(event));
	switch (event.kind) {
	case PROTO_EVENT_RESET:
		session->was_reset = true;
		break;
	case PROTO_EVENT_SHUTDOWN:
		report("the guest was powered off");
		break;
	case PROTO_EVENT_RAM:
		session->snapshot.map_changed = true;
		break;
	default: /* one that a newer VM knows */
		break;
	}
	return 0;
}

/* ---- start ----------------------------------------------------------- */

static unsigned nr_encoders(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores >= 16 ? 4 : cores >= 8 ? 2 : 1;
}

static int connect_vm(struct session *session, struct record_error *error)
{
	int ret = producer_init(&session->producer, &session->loop, session->options->socket_path, error);

	if (ret)
		return ret;
	session->producer.is_starting = true;
	session->producer.on_event = on_event;
	session->producer.event_ctx = session;
	return producer_hello(&session->producer, &session->welcome, error);
}

static int get_map(struct session *session, struct record_error *error)
{
	struct record_error why = {0};
	int ret = producer_get_ram(&session->producer, &session->snapshot.ram, &why);

	return ret ? record_error_set(error, ret, "%s: %s", session->options->socket_path, why.message) : 0;
}

static int start_trapping(struct session *session, struct record_error *error)
{
	const struct record_options *options = session->options;
	struct proto_start start = {
		.ring_bytes = options->ring_bytes,
		.watermark_bytes = options->ring_bytes / 8,
		.policy = options->block ? PROTO_BLOCK : PROTO_DROP,
		.block_limit_ms = options->block_limit_ms,
		.flags = options->no_snapshots ? 0 : PROTO_START_DIRTY_LOG,
	};
	struct record_error why = {0};
	const void *plan;
	size_t plan_bytes;
	int ret;

	record_plan_get_first(&session->plan, &plan, &plan_bytes);
	start.plan_bytes = (uint32_t)plan_bytes;
	ret = producer_start(&session->producer, &start, plan, session->welcome.nr_vcpus, add_ring, session, &why);
	if (ret == -EREMOTEIO)
		return record_error_set(error, ret, "%s: the VM (%s) refuses to be recorded: %s", options->socket_path,
					record_producer_label(&session->welcome), why.message);
	if (ret)
		return record_error_set(error, ret, "%s: %s", options->socket_path, why.message);
	return 0;
}

static int store_meta(struct session *session, struct record_error *error)
{
	char *text = record_meta_text(session->options, &session->welcome);
	struct tape_error why = {0};
	struct tape_chunk *chunk;
	int ret;

	if (!text)
		return record_error_set(error, -ENOMEM, "out of memory");
	ret = tape_chunk_encode_meta(&chunk, text, &why);
	free(text);
	if (ret)
		return record_error_set(error, ret, "the tape's description cannot be stored: %s",
					why.message[0] ? why.message : strerror(-ret));
	tape_thread_post_chunk(session->tape, chunk);
	return 0;
}

static int start_threads(struct session *session, struct record_error *error)
{
	int ret = tape_thread_create(&session->tape, session->file.fd, nr_encoders(), session->options->level, wake,
				     &session->loop, error);

	if (!ret)
		ret = store_meta(session, error);
	if (!ret)
		ret = record_plan_started(&session->plan, &session->producer, session->tape, &session->loop, error);
	if (!ret)
		ret = drain_create(&session->drain, tape_thread_pipeline(session->tape), session->options->flush_ms,
				   wake, &session->loop, error);
	while (!ret && session->nr_early_rings)
		ret = drain_add_ring(session->drain, &session->early_rings[--session->nr_early_rings], error);
	return ret;
}

static void say_start(const struct session *session)
{
	char name[64], version[64];
	uint64_t all = guest_ram_bytes(&session->snapshot.ram);

	report_clean(name, sizeof(name), session->welcome.vm_name, sizeof(session->welcome.vm_name));
	report_clean(version, sizeof(version), session->welcome.qemu_version, sizeof(session->welcome.qemu_version));
	report("recording %s%s (%s %s, %u vCPUs, %" PRIu64 " MiB RAM) to %s", name[0] ? "VM " : "a VM", name,
	       record_producer_name(&session->welcome), version, session->welcome.nr_vcpus, all >> 20,
	       session->options->out_path);
	/* Firmware and device memory never is; what counts is the guest's own. */
	if (!session->options->no_snapshots && guest_ram_shared_bytes(&session->snapshot.ram) < all / 2)
		report("the guest's RAM is not shared: snapshots read it through QEMU, which is slower; "
		       "-object memory-backend-memfd,share=on makes it fast");
}

static int start(struct session *session, struct record_error *error)
{
	const struct record_options *options = session->options;
	struct record_error why = {0};
	int ret = record_plan_init(&session->plan, options, error);

	if (!ret)
		ret = tape_file_open(&session->file, options->out_path, options->force, error);
	if (!ret)
		ret = connect_vm(session, error);
	if (!ret)
		ret = get_map(session, error);
	if (!ret)
		ret = start_trapping(session, error);
	if (!ret)
		ret = tape_file_begin(&session->file, error);
	if (!ret) {
		ret = start_threads(session, &why);
		if (ret)
			record_error_set(error, ret, "%s: %s", options->out_path, why.message);
	}
	session->producer.is_starting = false;
	if (ret)
		return ret;
	session->snapshot.producer = &session->producer;
	session->snapshot.feed.tape = session->tape;
	session->snapshot.rate.is_wanted = !session->welcome.tsc_hz;
	record_progress_init(&session->progress, session->tape, session->drain,
			     record_producer_label(&session->welcome));
	session->loop.tick = record_progress_tick;
	session->loop.tick_ctx = &session->progress;
	if (options->duration_ms)
		session->loop.stop_at_ns = now_ns() + options->duration_ms * NS_PER_MS;
	say_start(session);
	return 0;
}

/* ---- recording ------------------------------------------------------- */

static void check_threads(struct session *session)
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

/* Notes why it ends; not every error is a reason to. */
static void take_error(struct session *session, int error, const struct record_error *why)
{
	if (!error)
		return;
	check_threads(session);
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

static void take_snapshot(struct session *session)
{
	bool first = !session->snapshot.committed, asked = session->loop.snapshot_now;
	struct record_error why = {0};
	int ret;

	session->loop.snapshot_now = false;
	ret = ram_snapshot_take(&session->snapshot, &why);
	session->next_snapshot_ns = now_ns() + session->options->snapshot_interval_ms * NS_PER_MS;
	if (!ret) {
		if (first || asked)
			report("%s snapshot taken, guest paused for %.1f ms", first ? "base" : "the",
			       (double)session->snapshot.figures.pause_ns / NS_PER_MS);
		session->told_no_snapshot = false;
		record_plan_snapshot_taken(&session->plan);
		return;
	}
	take_error(session, ret, &why);
	if (!session->ending && !session->told_no_snapshot) {
		report("no snapshot could be taken, events are recorded on: %s", why.message);
		session->told_no_snapshot = true;
	}
}

/* While the guest is not known, snapshots come after 1, 2, 4 ... seconds, up to the interval. */
static void quicken_snapshot(struct session *session)
{
	uint64_t soon = now_ns() + session->quick_ms * NS_PER_MS;

	session->plan.asks_snapshot = false;
	if (soon < session->next_snapshot_ns)
		session->next_snapshot_ns = soon;
	if (session->quick_ms < session->options->snapshot_interval_ms)
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
	if (!session->ending && session->was_reset)
		serve_reset(session);
	if (!session->ending && !session->options->no_snapshots &&
	    (session->loop.snapshot_now || now_ns() >= session->next_snapshot_ns))
		take_snapshot(session);
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
		uint64_t until;

		check_threads(session);
		if (!session->ending && session->loop.stop)
			session->ending = ENDING_ASKED;
		if (!session->ending)
			step(session);
		if (session->ending)
			return;
		until = session->next_snapshot_ns;
		if (plan_auto_is_running(analyzer) && analyzer->kill_ns < until)
			until = analyzer->kill_ns;
		if (loop_wait(&session->loop, (int[]){session->producer.fd, analyzer->pid_fd}, 2, until) ==
		    LOOP_STOP_NOW)
			session->ending = ENDING_NOW;
	}
}

/* ---- end ------------------------------------------------------------- */

static void end_reason(const struct session *session, char *out, size_t room)
{
	switch (session->ending) {
	case ENDING_ASKED:
		if (session->loop.stop_signal)
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

/* The last snapshot, and off with the traps. The VM may end on the way, which changes nothing. */
static void stop_vm(struct session *session)
{
	struct record_error why = {0};
	int ret = 0;

	if (!session->options->no_snapshots) {
		ret = ram_snapshot_take(&session->snapshot, &why);
		if (ret && ret != -EINTR)
			report("the last snapshot could not be taken: %s", why.message);
	}
	if (!ret || ret == -EREMOTEIO)
		ret = producer_stop(&session->producer, &why);
	if (ret == -EINTR)
		session->ending = ENDING_NOW;
	else if (ret && ret != -ECONNRESET && ret != -EREMOTEIO)
		report("the VM did not answer at the end: %s", why.message);
}

static void end_now(struct session *session, const char *path)
{
	report_always("%s: stopped at once by a second signal: the tape has no end, but what is in it can be read",
		      path);
	/* The threads may hang in a write; closing the socket, which the kernel does, ends the traps. */
	plan_auto_deinit(&session->plan.analyzer);
	_exit(2);
}

static int finish(struct session *session)
{
	const char *path = session->options->out_path;
	char reason[128];
	uint64_t job;

	if (session->ending == ENDING_ASKED)
		stop_vm(session);
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
		check_threads(session);
		if (!session->ending)
			session->ending = asked;
	}
	if (session->ending == ENDING_NO_WRITE) {
		report_always("%s: %s: recording stopped; what was written before is kept and can be read", path,
			      session->why.message);
		snprintf(reason, sizeof(reason), "%s",
			 session->why.error == -ENOSPC ? "the disk is full" : "it could not be written");
	} else if (session->ending == ENDING_BROKEN) {
		report_always("%s: %s: recording stopped; what came before is kept", session->options->socket_path,
			      session->why.message);
		snprintf(reason, sizeof(reason), "the VM broke the protocol");
	} else if (session->ending == ENDING_VM_GONE) {
		report("the VM ended: the tape is whole up to there");
	}
	record_progress_summary(&session->progress, path, reason);
	return session->ending == ENDING_ASKED || session->ending == ENDING_VM_GONE ? 0 : 2;
}

static void deinit(struct session *session)
{
	record_plan_deinit(&session->plan);
	ram_snapshot_deinit(&session->snapshot);
	producer_deinit(&session->producer);
	drain_destroy(session->drain);
	tape_thread_destroy(session->tape);
	while (session->nr_early_rings)
		trap_ring_deinit(&session->early_rings[--session->nr_early_rings]);
	free(session->early_rings);
	tape_file_close(&session->file);
	loop_deinit(&session->loop);
}

int record_session_run(const struct record_options *options)
{
	struct session session = {
		.options = options,
		.file = {.fd = -1},
		.producer = {.fd = -1, .in = {.fds = {-1, -1, -1}}},
	};
	struct record_error error = {0};
	int status = 2;

	session.plan.analyzer = (struct plan_auto){.pid_fd = -1, .output_fd = -1};
	ram_snapshot_init(&session.snapshot, &session.producer, NULL, &session.loop);
	if (loop_init(&session.loop, &error)) {
		report_always("%s", error.message);
		return 2;
	}
	if (start(&session, &error)) {
		report_always("%s", error.message);
	} else {
		record(&session);
		status = finish(&session);
	}
	deinit(&session);
	return status;
}
