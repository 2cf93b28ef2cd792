/* SPDX-License-Identifier: MIT */
/* vmtape.h: calls. */
#include "public_call.h"

#include <stdlib.h>
#include <string.h>

#include "arg_plain.h"
#include "call_stream.h"
#include "linux/arg_decode.h"
#include "output/output.h"

struct vmtape_calls {
	struct vmtape_tape *tape;
	struct call_stream *stream;
	struct filter *filter;
	struct public_call call;
	uint64_t lost;
};

struct vmtape_error *public_filter(struct filter **out, const struct vmtape_tape *tape, const char *text)
{
	struct filter_times times = {.start_ns = session_start_ns(tape->session)};

	*out = NULL;
	return text ? filter_create(out, text, &times) : NULL;
}

static const char *text_of(const struct strbuf *buf)
{
	return buf->data ? buf->data : "";
}

static void show_args(struct public_call *out, const struct call *call)
{
	struct vmtape_call *shown = &out->shown;

	shown->nr_args = call_shown_args(call);
	for (int i = 0; i < shown->nr_args; i++) {
		bool is_pointer;

		strbuf_reset(&out->arg_texts[i]);
		call_shown_arg(call, i, &out->arg_texts[i]);
		shown->args[i] = (struct vmtape_arg){
			.name = call_arg_name(call, i),
			.value = call->args[i],
			.number = call_arg_number(call, i, &is_pointer),
			.text = text_of(&out->arg_texts[i]),
		};
	}
}

void public_call_show(struct public_call *out, struct vmtape_tape *tape, const struct call *call)
{
	out->tape = tape;
	out->has_enter = call->has_enter;
	out->has_exit = call->has_exit;
	out->enter = call->enter;
	out->exit = call->exit;
	memcpy(out->comm, call->thread.comm, sizeof(out->comm));
	strbuf_reset(&out->ret_text);
	if (call->ret_known)
		call_ret_text(call, &out->ret_text);
	else
		strbuf_put_char(&out->ret_text, '?');
	out->shown = (struct vmtape_call){
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
		.process = out->comm[0] ? out->comm : NULL,
		.exe = call->thread.exe && call->thread.exe[0] ? call->thread.exe : NULL,
		.ret_known = call->ret_known,
		.ret = call->ret,
		.ret_text = text_of(&out->ret_text),
		.error_name = call_error_name(call),
		.interrupted = call->interrupted,
		.uncertain = call->uncertain || call->thread.uncertain,
		.signal = call->signal ? call->signal : -1,
	};
	show_args(out, call);
}

void public_call_deinit(struct public_call *call)
{
	strbuf_deinit(&call->ret_text);
	for (int i = 0; i < VMTAPE_CALL_ARGS; i++)
		strbuf_deinit(&call->arg_texts[i]);
}

/* ---- iteration ------------------------------------------------------- */

struct vmtape_error *vmtape_calls_create_span(struct vmtape_calls **out, struct vmtape_tape *tape,
					      const struct vmtape_span *span)
{
	struct call_stream_options options = {
		.read_all = true, .from_tsc = span->from_tsc, .to_tsc = span->to_tsc ? span->to_tsc : UINT64_MAX};
	struct vmtape_calls *calls = calloc(1, sizeof(*calls));
	struct vmtape_error *error;

	*out = NULL;
	if (!calls)
		return &vmtape_error_no_memory;
	calls->tape = tape;
	error = public_filter(&calls->filter, tape, span->filter);
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

struct vmtape_error *vmtape_calls_create(struct vmtape_calls **out, struct vmtape_tape *tape, const char *filter)
{
	struct vmtape_span span = {.filter = filter};

	return vmtape_calls_create_span(out, tape, &span);
}

void vmtape_calls_destroy(struct vmtape_calls *calls)
{
	if (!calls)
		return;
	call_stream_destroy(calls->stream);
	filter_destroy(calls->filter);
	public_call_deinit(&calls->call);
	free(calls);
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
		public_call_show(&calls->call, calls->tape, &item.call);
		*call = &calls->call.shown;
		return NULL;
	}
}

uint64_t vmtape_calls_lost(const struct vmtape_calls *calls)
{
	return calls->lost;
}

/* ---- copies ---------------------------------------------------------- */

/* Two passes over all that a call points to: the first counts, the second has somewhere to put it. */
struct keeper {
	uint8_t *to;
	size_t used;
};

static const void *keep_bytes(struct keeper *keeper, const void *bytes, size_t n)
{
	const void *kept = keeper->to ? keeper->to + keeper->used : bytes;

	if (keeper->to)
		memcpy(keeper->to + keeper->used, bytes, n);
	/* Records want their alignment. */
	keeper->used += (n + 7) & ~(size_t)7;
	return kept;
}

static const char *keep_text(struct keeper *keeper, const char *text)
{
	return text ? keep_bytes(keeper, text, strlen(text) + 1) : NULL;
}

static void keep_view(struct keeper *keeper, struct trap_view *view)
{
	const void *raw = keep_bytes(keeper, view->raw, view->header.size_bytes);

	if (keeper->to)
		trap_view_parse(view, raw, view->header.size_bytes, NULL);
}

static void keep_all(struct keeper *keeper, struct public_call *call)
{
	struct vmtape_call *shown = &call->shown;

	if (call->has_enter)
		keep_view(keeper, &call->enter);
	if (call->has_exit)
		keep_view(keeper, &call->exit);
	shown->name = keep_text(keeper, shown->name);
	shown->exe = keep_text(keeper, shown->exe);
	shown->ret_text = keep_text(keeper, shown->ret_text);
	for (int i = 0; i < shown->nr_args; i++) {
		shown->args[i].name = keep_text(keeper, shown->args[i].name);
		shown->args[i].text = keep_text(keeper, shown->args[i].text);
	}
}

struct vmtape_call *vmtape_call_copy(const struct vmtape_call *call)
{
	struct public_call *copy = malloc(sizeof(*copy));
	struct keeper keeper = {0};

	if (!copy)
		return NULL;
	memcpy(copy, call, sizeof(*copy));
	memset(&copy->ret_text, 0, sizeof(copy->ret_text));
	memset(copy->arg_texts, 0, sizeof(copy->arg_texts));
	keep_all(&keeper, copy);
	copy->owned = malloc(keeper.used + 1);
	if (!copy->owned) {
		free(copy);
		return NULL;
	}
	keeper = (struct keeper){.to = copy->owned};
	keep_all(&keeper, copy);
	if (copy->shown.process)
		copy->shown.process = copy->comm;
	return &copy->shown;
}

void vmtape_call_free(struct vmtape_call *call)
{
	struct public_call *copy = (struct public_call *)call;

	if (!copy)
		return;
	free(copy->owned);
	free(copy);
}

/* ---- texts ----------------------------------------------------------- */

size_t vmtape_text_plain(const char *text, enum vmtape_text *kind, void *out, size_t room_bytes)
{
	struct strbuf plain = {0};
	enum arg_plain found = text_to_plain(text, strlen(text), &plain);
	size_t size_bytes;

	*kind = found == ARG_PLAIN_STRING ? VMTAPE_TEXT_STRING
		: found == ARG_PLAIN_CUT  ? VMTAPE_TEXT_STRING_CUT
					  : VMTAPE_TEXT_NAMES;
	size_bytes = plain.len;
	if (size_bytes && room_bytes)
		memcpy(out, plain.data, size_bytes < room_bytes ? size_bytes : room_bytes);
	strbuf_deinit(&plain);
	return size_bytes;
}
