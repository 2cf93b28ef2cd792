/* SPDX-License-Identifier: MIT */
#include "strbuf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_deinit(struct strbuf *buf)
{
	free(buf->data);
	*buf = (struct strbuf){0};
}

void strbuf_reset(struct strbuf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool reserve(struct strbuf *buf, size_t n)
{
	size_t room = buf->room ? buf->room : 64;
	char *data;

	if (buf->failed)
		return false;
	if (n < buf->room - buf->len)
		return true;
	if (n >= SIZE_MAX / 2 - buf->len)
		goto fail;
	while (room <= buf->len + n)
		room *= 2;
	data = realloc(buf->data, room);
	if (!data)
		goto fail;
	buf->data = data;
	buf->room = room;
	return true;
fail:
	buf->failed = true;
	return false;
}

void strbuf_put_bytes(struct strbuf *buf, const void *bytes, size_t n)
{
	if (!reserve(buf, n))
		return;
	if (n)
		memcpy(buf->data + buf->len, bytes, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
}

void strbuf_put(struct strbuf *buf, const char *text)
{
	strbuf_put_bytes(buf, text, strlen(text));
}

void strbuf_put_char(struct strbuf *buf, char c)
{
	strbuf_put_bytes(buf, &c, 1);
}

void strbuf_put_u64(struct strbuf *buf, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	strbuf_put_bytes(buf, digits + at, sizeof(digits) - at);
}

void strbuf_put_i64(struct strbuf *buf, int64_t value)
{
	if (value < 0)
		strbuf_put_char(buf, '-');
	strbuf_put_u64(buf, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void strbuf_put_hex(struct strbuf *buf, uint64_t value)
{
	char digits[16];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	strbuf_put_bytes(buf, "0x", 2);
	strbuf_put_bytes(buf, digits + at, sizeof(digits) - at);
}

void strbuf_printf(struct strbuf *buf, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0) {
		buf->failed = true;
		return;
	}
	if (!reserve(buf, (size_t)n))
		return;
	va_start(args, format);
	vsnprintf(buf->data + buf->len, (size_t)n + 1, format, args);
	va_end(args);
	buf->len += (size_t)n;
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t escape_byte(char *out, uint8_t c, bool digit_follows)
{
	static const char letters[] = "\tt\nn\vv\ff\rr\"\"\\\\";
	size_t n = 0;

	out[n++] = '\\';
	for (size_t i = 0; i + 1 < sizeof(letters); i += 2) {
		if ((uint8_t)letters[i] == c) {
			out[n++] = letters[i + 1];
			return n;
		}
	}
	/* As short as it can be, unless an octal digit behind it would join in. */
	if (digit_follows || c >= 0100)
		out[n++] = (char)('0' + (c >> 6));
	if (digit_follows || c >= 010)
		out[n++] = (char)('0' + (c >> 3 & 7));
	out[n++] = (char)('0' + (c & 7));
	return n;
}

void strbuf_put_escaped(struct strbuf *buf, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t start = 0;

	for (size_t i = 0; i < n; i++) {
		char text[4];
		size_t len;

		if (is_plain(p[i]))
			continue;
		strbuf_put_bytes(buf, p + start, i - start);
		len = escape_byte(text, p[i], i + 1 < n && p[i + 1] >= '0' && p[i + 1] <= '7');
		strbuf_put_bytes(buf, text, len);
		start = i + 1;
	}
	if (start < n)
		strbuf_put_bytes(buf, p + start, n - start);
}

/* Length of the well-formed UTF-8 sequence at p, of which left bytes are there; 0: none (RFC 3629, table 3-7 of
 * Unicode). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (left < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

static void put_json_ascii(struct strbuf *buf, uint8_t c)
{
	static const char letters[] = "\bb\tt\nn\ff\rr\"\"\\\\";

	for (size_t i = 0; i + 1 < sizeof(letters); i += 2) {
		if ((uint8_t)letters[i] == c) {
			strbuf_put_char(buf, '\\');
			strbuf_put_char(buf, letters[i + 1]);
			return;
		}
	}
	strbuf_printf(buf, "\\u%04x", c);
}

void strbuf_put_json(struct strbuf *buf, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t start = 0, i = 0;

	while (i < n) {
		size_t len = utf8_sequence(p + i, n - i);

		/* Control characters of ISO 6429's second set: some terminals obey them. */
		if (len == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0) {
			strbuf_put_bytes(buf, p + start, i - start);
			strbuf_printf(buf, "\\u%04x", p[i + 1]);
			i += 2;
			start = i;
			continue;
		}
		if (len > 1 || (len == 1 && is_plain(p[i]))) {
			i += len;
			continue;
		}
		strbuf_put_bytes(buf, p + start, i - start);
		if (len)
			put_json_ascii(buf, p[i]);
		else
			strbuf_put(buf, "\xef\xbf\xbd");
		start = ++i;
	}
	if (start < n)
		strbuf_put_bytes(buf, p + start, n - start);
}
