/* SPDX-License-Identifier: MIT */
/* Arguments of a call of which nothing is known but its registers; declared in arg_plain.h. */
#include <string.h>

#include "arg_plain.h"
#include "linux/arg_decode.h"

int call_shown_args(const struct call *call)
{
	int n = call->syscall ? call_nr_args(call) : LINUX_SYSCALL_ARGS;

	if (!call->args_known)
		return 0;
	return n < LINUX_SYSCALL_ARGS ? n : LINUX_SYSCALL_ARGS;
}

/* What was captured at the address, wherever the plan had it from: its labels mean registers of another ABI, maybe. */
static const uint8_t *captured_at(const struct call *call, uint64_t gva, size_t *n)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (call->has_enter && trap_view_next_fragment(&call->enter, &position, &fragment, &bytes)) {
		if (fragment.gva != gva || !fragment.len_bytes || fragment.label >= PLAN_LABEL_DEEP0)
			continue;
		*n = fragment.len_bytes;
		return bytes;
	}
	return NULL;
}

/* Control characters other than these are a sign that it is no text. */
static bool is_text(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((bytes[i] < 0x20 && !strchr("\t\n\r", bytes[i])) || bytes[i] == 0x7f)
			return false;
	return n > 0;
}

static bool raw_text(const struct call *call, int i, struct strbuf *out)
{
	size_t room = 0, n;
	const uint8_t *bytes = captured_at(call, call->args[i], &room);

	n = bytes ? strnlen((const char *)bytes, room) : 0;
	if (!is_text(bytes, n)) {
		strbuf_put_hex(out, call->args[i]);
		return false;
	}
	strbuf_put_char(out, '"');
	strbuf_put_escaped(out, bytes, n);
	strbuf_put(out, n == room ? "\"..." : "\"");
	return true;
}

bool call_shown_arg(const struct call *call, int i, struct strbuf *out)
{
	return call->syscall ? call_arg_text(call, i, out) : raw_text(call, i, out);
}

bool call_shown_more(const struct call *call, int i, struct strbuf *out)
{
	size_t len = out->len;

	if (call->syscall)
		return call_arg_more(call, i, out);
	if (raw_text(call, i, out))
		return true;
	strbuf_cut(out, len);
	return false;
}

void call_shown_arg_list(const struct call *call, struct strbuf *out)
{
	if (call->syscall) {
		call_args_text(call, out);
		return;
	}
	if (!call->args_known)
		strbuf_put_char(out, '?');
	for (int i = 0; i < call_shown_args(call); i++) {
		if (i)
			strbuf_put(out, ", ");
		raw_text(call, i, out);
	}
}
