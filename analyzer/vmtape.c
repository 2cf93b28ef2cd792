/* SPDX-License-Identifier: MIT */
/* The library's public face: thin, so that what lies behind it may change. */
#include "vmtape.h"

#include <stdlib.h>
#include <string.h>

#include "arg_plain.h"
#include "call_stream.h"
#include "filter.h"
#include "linux/arg_decode.h"
#include "output/output.h"

struct vmtape_tape {
	struct session *session;
};

struct vmtape_calls {
	struct vmtape_tape *tape;
	struct call_stream *stream;
	struct filter *filter;
	struct vmtape_call shown;
	char comm[16 + 1];
	struct strbuf ret_text, arg_texts[VMTAPE_CALL_ARGS];
	uint64_t lost;
};

const char *vmtape_version(void)
{
	return VMTAPE_VERSION;
}

const char *vmtape_error_message(const struct vmtape_error *error)
{
	return error->message;
}

void vmtape_error_free(struct vmtape_error *error)
{
	vmtape_error_destroy(error);
}

struct vmtape_error *vmtape_open(struct vmtape_tape **out, const char *path)
{
	struct vmtape_tape *tape = calloc(1, sizeof(*tape));
	struct vmtape_error *error;

	if (!tape)
		return &vmtape_error_no_memory;
	error = session_open(&tape->session, path, NULL);
	if (error) {
		free(tape);
		return error;
	}
	*out = tape;
	return NULL;
}

void vmtape_close(struct vmtape_tape *tape)
{
	if (!tape)
		return;
	session_close(tape->session);
	free(tape);
}

const char *vmtape_guest_banner(struct vmtape_tape *tape)
{
	const struct linux_guest *guest = session_guest(tape->session);

	return guest ? linux_guest_facts(guest)->banner : NULL;
}

const char *vmtape_guest_release(struct vmtape_tape *tape)
{
	const struct linux_guest *guest = session_guest(tape->session);

	return guest ? linux_guest_facts(guest)->release : NULL;
}

const char *vmtape_guest_problem(struct vmtape_tape *tape)
{
	return session_guest(tape->session) ? NULL : session_guest_problem(tape->session)->message;
}

int64_t vmtape_start_ns(const struct vmtape_tape *tape)
{
	return session_start_ns(tape->session);
}

int64_t vmtape_end_ns(const struct vmtape_tape *tape)
{
	return session_end_ns(tape->session);
}

uint64_t vmtape_nr_records(const struct vmtape_tape *tape)
{
	return session_info(tape->session)->nr_records;
}

/* ---- calls ----------------------------------------------------------- */

struct vmtape_error *vmtape_calls_create(struct vmtape_calls **out, struct vmtape_tape *tape, const char *filter)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct filter_times times = {.start_ns = session_start_ns(tape->session)};
	struct vmtape_calls *calls = calloc(1, sizeof(*calls));
	struct vmtape_error *error = NULL;

	if (!calls)
		return &vmtape_error_no_memory;
	calls->tape = tape;
	if (filter)
		error = filter_create(&calls->filter, filter, &times);
	options.fds = filter_needs_fds(calls->filter);
	if (!error)
		error = call_stream_create(&calls->stream, tape->session, &options);
	if (error) {
		vmtape_calls_destroy(calls);
		return error;
	}
	*out = calls;
	return NULL;
}

void vmtape_calls_destroy(struct vmtape_calls *calls)
{
	if (!calls)
		return;
	call_stream_destroy(calls->stream);
	filter_destroy(calls->filter);
	strbuf_deinit(&calls->ret_text);
	for (int i = 0; i < VMTAPE_CALL_ARGS; i++)
		strbuf_deinit(&calls->arg_texts[i]);
	free(calls);
}

static const char *text_of(const struct strbuf *buf)
{
	return buf->data ? buf->data : "";
}

static void show_args(struct vmtape_calls *calls, const struct call *call)
{
	struct vmtape_call *shown = &calls->shown;

	shown->nr_args = call_shown_args(call);
	for (int i = 0; i < shown->nr_args; i++) {
		strbuf_reset(&calls->arg_texts[i]);
		call_shown_arg(call, i, &calls->arg_texts[i]);
		shown->args[i] = (struct vmtape_arg){
			.name = call_arg_name(call, i),
			.value = call->args[i],
			.text = text_of(&calls->arg_texts[i]),
		};
	}
}

static void show(struct vmtape_calls *calls, const struct call *call)
{
	memcpy(calls->comm, call->thread.comm, sizeof(calls->comm));
	strbuf_reset(&calls->ret_text);
	if (call->ret_known)
		call_ret_text(call, &calls->ret_text);
	else
		strbuf_put_char(&calls->ret_text, '?');
	calls->shown = (struct vmtape_call){
		.name = call->syscall ? call->syscall->name : NULL,
		.nr = call->nr_known ? (int64_t)call->nr : -1,
		.abi = output_abi_name(call->abi),
		.state = (enum vmtape_call_state)call->state,
		.time_ns = call->time_ns,
		.duration_ns = call->duration_ns,
		.tsc = call->tsc,
		.vcpu = call->vcpu,
		.pid = call->thread.pid,
		.tid = call->thread.tid,
		.ppid = call->thread.ppid,
		.process = calls->comm[0] ? calls->comm : NULL,
		.exe = call->thread.exe && call->thread.exe[0] ? call->thread.exe : NULL,
		.ret_known = call->ret_known,
		.ret = call->ret,
		.ret_text = text_of(&calls->ret_text),
		.error_name = call_error_name(call),
		.interrupted = call->interrupted,
		.uncertain = call->uncertain || call->thread.uncertain,
	};
	show_args(calls, call);
}

struct vmtape_error *vmtape_calls_next(struct vmtape_calls *calls, const struct vmtape_call **call)
{
	struct call_item item;
	bool more;

	*call = NULL;
	for (;;) {
		struct vmtape_error *error = call_stream_next(calls->stream, &item, &more);

		if (error || !more)
			return error;
		if (item.is_gap) {
			calls->lost += item.gap.lost_records;
			continue;
		}
		if (!filter_match(calls->filter, &item.call, 0))
			continue;
		show(calls, &item.call);
		*call = &calls->shown;
		return NULL;
	}
}

uint64_t vmtape_calls_lost(const struct vmtape_calls *calls)
{
	return calls->lost;
}
