/* SPDX-License-Identifier: MIT */
/* record_service.c - what a recording tells while it runs: the live line, metrics, service manager. Once a second, and
 * when asked. */
#include <inttypes.h>
#include <time.h>

#include "record_state.h"

#define STOP_TIMEOUT_US 30000000u

static double unix_time_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fill_metrics(void *ctx, struct metrics_values *out)
{
	const struct session *session = ctx;
	const struct record_service *service = &session->service;

	out->vm_name = service->vm_name;
	out->is_up = service->is_recording;
	out->start_time_s = service->start_time_s;
	out->now_s = unix_time_s();
	out->nr_vcpus = session->welcome.nr_vcpus;
	if (!session->progress.tape)
		return;
	tape_thread_get_stats(session->tape, &out->tape);
	out->rings = record_progress_rings(&session->progress);
	out->lost_records = record_progress_lost(&session->progress);
	out->triggers = session->trigger.nr_triggers;
	out->copies = session->trigger.nr_copies;
	out->copies_failed = session->trigger.nr_failed;
	out->matches = session->watch.nr_matches;
	out->watch_starts = session->watch.nr_starts;
	out->last_pause_ns = session->snapshot.figures.pause_ns;
	out->max_pause_ns = service->max_pause_ns;
	out->all_pauses_ns = service->all_pauses_ns;
	out->snapshots_failed = service->snapshots_failed;
}

static void serve_clients(void *ctx)
{
	client_server_serve(ctx);
}

/* The line that systemctl status shows. */
static void tell_status(const struct session *session)
{
	struct tape_stats stats;

	tape_thread_get_stats(session->tape, &stats);
	notify_send(&session->service.notify,
		    "STATUS=%s %s: %" PRIu64 " events, %" PRIu64 " lost, %" PRIu64 " snapshots, %" PRIu64
		    " MiB of tape",
		    session->service.is_recording ? "Recording" : "Ending the recording of",
		    session->service.vm_name[0] ? session->service.vm_name : "the VM", stats.traps.events,
		    record_progress_lost(&session->progress), stats.snapshots, stats.file_bytes >> 20);
}

static void tick(void *ctx)
{
	struct session *session = ctx;

	const struct notify *notify = &session->service.notify;

	record_progress_tick(&session->progress);
	notify_watchdog(notify);
	tell_status(session);
	/* As long as we are alive what is in the buffers is on its way to the disk, however slow that is. */
	if (!session->service.is_recording)
		notify_send(notify, "EXTEND_TIMEOUT_USEC=%u", STOP_TIMEOUT_US);
	if (session->service.metrics)
		metrics_tick(session->service.metrics);
	if (session->control.server)
		client_server_expire(session->control.server);
}

int record_service_init(struct session *session, struct record_error *error)
{
	const char *target = session->options->metrics;
	int ret;

	notify_init(&session->service.notify);
	session->loop.has_trigger = session->options->on_trigger != TRIGGER_NONE;
	ret = target ? metrics_create(&session->service.metrics, target, fill_metrics, session, error) : 0;
	return ret ? ret : record_control_init(session, error);
}

void record_service_started(struct session *session)
{
	struct record_service *service = &session->service;

	report_clean(service->vm_name, sizeof(service->vm_name), session->welcome.vm_name,
		     sizeof(session->welcome.vm_name));
	service->start_time_s = unix_time_s();
	service->is_recording = true;
	if (service->metrics && metrics_server(service->metrics))
		loop_serve(&session->loop, client_server_fd(metrics_server(service->metrics)), serve_clients,
			   metrics_server(service->metrics));
	if (session->control.server)
		loop_serve(&session->loop, client_server_fd(session->control.server), serve_clients,
			   session->control.server);
	/* Nobody is woken each second for what nobody sees. */
	if (session->progress.is_terminal || service->notify.fd >= 0 || service->metrics || session->control.server)
		session->loop.tick = tick;
	session->loop.tick_ctx = session;
	notify_send(&service->notify, "READY=1");
	tell_status(session);
}

void record_service_ending(struct session *session)
{
	session->service.is_recording = false;
	record_control_ending(session);
	notify_send(&session->service.notify, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%u", STOP_TIMEOUT_US);
	tell_status(session);
}

void record_service_snapshot(struct session *session, bool taken)
{
	struct record_service *service = &session->service;
	uint64_t pause_ns = session->snapshot.figures.pause_ns;

	if (!taken) {
		service->snapshots_failed++;
		return;
	}
	service->all_pauses_ns += pause_ns;
	if (pause_ns > service->max_pause_ns)
		service->max_pause_ns = pause_ns;
}

void record_service_deinit(struct session *session)
{
	session->loop.nr_served = 0;
	session->loop.tick = NULL;
	metrics_destroy(session->service.metrics);
	session->service.metrics = NULL;
	client_server_destroy(session->control.server);
	session->control.server = NULL;
	notify_deinit(&session->service.notify);
}
