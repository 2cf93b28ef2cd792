/* SPDX-License-Identifier: MIT */
#include "arg_plain.h"

#include <string.h>

#include "linux/semantics.h"

/* One escape behind a backslash; returns what follows it. */
static const char *unescape(const char *at, const char *end, struct strbuf *out)
{
	static const char names[] = "ntrvfab", bytes[] = "\n\t\r\v\f\a\b";
	const char *name = memchr(names, *at, sizeof(names) - 1);
	unsigned value = 0;
	int digits = 0;

	if (name) {
		strbuf_put_char(out, bytes[name - names]);
		return at + 1;
	}
	for (; at < end && digits < 3 && *at >= '0' && *at <= '7'; at++, digits++)
		value = value * 8 + (unsigned)(*at - '0');
	if (digits) {
		strbuf_put_char(out, (char)value);
		return at;
	}
	strbuf_put_char(out, *at);
	return at + 1;
}

enum arg_plain text_to_plain(const char *text, size_t n, struct strbuf *out)
{
	const char *at = text + 1, *end = text + n;
	size_t len = out->len;

	if (n < 2 || text[0] != '"')
		goto as_is;
	while (at < end && *at != '"') {
		if (*at == '\\' && at + 1 < end)
			at = unescape(at + 1, end, out);
		else
			strbuf_put_char(out, *at++);
	}
	if (at < end && end - at == 1)
		return ARG_PLAIN_STRING;
	if (at < end && end - at == 4 && !memcmp(at, "\"...", 4))
		return ARG_PLAIN_CUT;
	if (out->data && !out->failed) {
		out->len = len;
		out->data[len] = '\0';
	}
as_is:
	strbuf_put_bytes(out, text, n);
	return ARG_PLAIN_TEXT;
}

enum arg_plain call_arg_plain(const struct call *call, int i, struct strbuf *out)
{
	struct strbuf text = {0};
	enum arg_plain kind = ARG_PLAIN_NUMBER;

	if (call_shown_arg(call, i, &text) && text.len)
		kind = text_to_plain(text.data, text.len, out);
	else if (text.len)
		strbuf_put_bytes(out, text.data, text.len);
	strbuf_deinit(&text);
	return kind;
}

int64_t call_arg_number(const struct call *call, int i, bool *is_pointer)
{
	struct call_meaning scratch;
	uint64_t value = call->args[i];

	*is_pointer = false;
	switch ((enum arg_width)call_meaning_of(call->syscall, &scratch)->widths[i]) {
	case WIDTH_POINTER:
		*is_pointer = true;
		return (int64_t)value;
	case WIDTH_S32:
		return (int32_t)(uint32_t)value;
	case WIDTH_U32:
		return (uint32_t)value;
	case WIDTH_U16:
		return (uint16_t)value;
	default:
		return (int64_t)value;
	}
}
