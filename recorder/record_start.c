/* SPDX-License-Identifier: MIT */
/* record_start.c - from the command line to a VM that traps: files, handshake, memory map, threads. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu_list.h"
#include "record_meta.h"
#include "record_state.h"

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
		.watermark_bytes = drain_watermark_bytes(options->ring_bytes),
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
	const char *reason = session->options->start_reason;
	const struct record_origin origin = {.reason = reason ? reason : record_start_reason()};
	char *text = record_meta_text(session->options, &session->welcome, &origin);
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
	int ret = tape_thread_create(&session->tape, session->file.fd, session->options->tape_ring_bytes,
				     session->sign_key, pipeline_default_threads(), session->options->level, wake,
				     &session->loop, error);

	if (!ret)
		ret = store_meta(session, error);
	if (!ret)
		ret = record_plan_started(&session->plan, &session->producer, session->tape, session->tape_path,
					  &session->loop, error);
	if (!ret)
		ret = drain_create(&session->drain, tape_thread_pipeline(session->tape), session->options->flush_ms,
				   wake, &session->loop, error);
	while (!ret && session->nr_early_rings)
		ret = drain_add_ring(session->drain, &session->early_rings[--session->nr_early_rings], error);
	return ret;
}

/* The tape's first bytes are in the file: a disk that is full shows now. */
static int wait_begun(struct session *session, struct record_error *error)
{
	uint64_t job = tape_thread_post_flush(session->tape);

	while (!tape_thread_is_done(session->tape, job))
		if (loop_wait(&session->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
	return tape_thread_error(session->tape, error);
}

static int load_sign_key(struct session *session, struct record_error *error)
{
	const char *path = session->options->sign_key_path;
	char fingerprint[TAPE_FINGERPRINT_CHARS];
	uint8_t public_key[TAPE_PUBLIC_KEY_BYTES];
	struct tape_error why = {0};
	bool exposed;
	int ret;

	if (!path)
		return 0;
	ret = tape_key_load(&session->sign_key, path, &exposed, &why);
	if (ret)
		return record_error_set(error, ret, "--sign-key: %s", why.message);
	if (exposed)
		report("warning: others can read the key that signs: chmod 600 %s", path);
	tape_key_public(session->sign_key, public_key);
	tape_key_fingerprint(fingerprint, public_key);
	report("signing with key %s", fingerprint);
	return 0;
}

static void say_start(const struct session *session)
{
	char name[64], version[64];
	uint64_t all = guest_ram_bytes(&session->snapshot.ram);

	report_clean(name, sizeof(name), session->welcome.vm_name, sizeof(session->welcome.vm_name));
	report_clean(version, sizeof(version), session->welcome.qemu_version, sizeof(session->welcome.qemu_version));
	report("recording %s%s (%s %s, %u vCPUs, %" PRIu64 " MiB RAM) to %s", name[0] ? "VM " : "a VM", name,
	       record_producer_name(&session->welcome), version, session->welcome.nr_vcpus, all >> 20,
	       session->tape_path);
	/* Firmware and device memory never is; what counts is the guest's own. */
	if (!session->options->no_snapshots && guest_ram_shared_bytes(&session->snapshot.ram) < all / 2)
		report("the guest's RAM is not shared: snapshots read it through QEMU, which is slower; "
		       "-object memory-backend-memfd,share=on makes it fast");
}

int record_start(struct session *session, struct record_error *error)
{
	const struct record_options *options = session->options;
	struct record_error why = {0};
	int ret = 0;

	if (options->is_pinned && cpu_list_pin(&options->cpus, &why))
		return record_error_set(error, why.error, "--cpus: %s", why.message);
	ret = record_plan_init(&session->plan, options, error);
	if (!ret)
		ret = call_watch_init(&session->watch, options->trigger_when, error);
	if (!ret)
		ret = load_sign_key(session, error);
	if (!ret)
		ret = record_service_init(session, error);
	if (!ret)
		ret = file_worker_create(&session->worker, wake, &session->loop, error);
	if (!ret)
		ret = record_open_tape(session, error);
	if (!ret)
		ret = connect_vm(session, error);
	if (!ret)
		ret = get_map(session, error);
	if (!ret)
		ret = start_trapping(session, error);
	if (!ret)
		ret = tape_file_begin(&session->file, options->tape_ring_bytes, error);
	if (!ret) {
		ret = start_threads(session, &why);
		if (!ret)
			ret = wait_begun(session, &why);
		if (ret)
			record_error_set(error, ret, "%s: %s", session->tape_path, why.message);
	}
	session->producer.is_starting = false;
	if (ret)
		return ret;
	/* Not before: a recording does not begin on a full disk. */
	if (!options->stop_when_full)
		tape_thread_wait_when_full(session->tape);
	session->snapshot.producer = &session->producer;
	session->snapshot.feed.tape = session->tape;
	session->snapshot.feed.beside = strdup(session->tape_path);
	tape_thread_spill_beside(session->tape, session->tape_path);
	session->snapshot.rate.is_wanted = !session->welcome.tsc_hz;
	record_progress_init(&session->progress, session->tape, session->drain,
			     record_producer_label(&session->welcome));
	record_service_started(session);
	if (options->duration_ms)
		session->loop.stop_at_ns = now_ns() + options->duration_ms * NS_PER_MS;
	say_start(session);
	record_rotation_started(session);
	call_watch_start(&session->watch);
	return 0;
}
