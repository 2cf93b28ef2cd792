/* SPDX-License-Identifier: MIT */
/* record_service.c - what a recording tells while it runs: the live line, metrics. Once a second, and when asked. */
#include <time.h>

#include "record_state.h"

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
	out->last_pause_ns = session->snapshot.last_pause_ns;
	out->max_pause_ns = service->max_pause_ns;
	out->all_pauses_ns = service->all_pauses_ns;
	out->snapshots_failed = service->snapshots_failed;
}

static void serve_clients(void *ctx)
{
	client_server_serve(ctx);
}

static void tick(void *ctx)
{
	struct session *session = ctx;

	record_progress_tick(&session->progress);
	if (session->service.metrics)
		metrics_tick(session->service.metrics);
}

int record_service_init(struct session *session, struct record_error *error)
{
	const char *target = session->options->metrics;

	return target ? metrics_create(&session->service.metrics, target, fill_metrics, session, error) : 0;
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
	session->loop.tick = tick;
	session->loop.tick_ctx = session;
}

void record_service_ending(struct session *session)
{
	session->service.is_recording = false;
}

void record_service_snapshot(struct session *session, bool taken)
{
	struct record_service *service = &session->service;
	uint64_t pause_ns = session->snapshot.last_pause_ns;

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
}
