/* SPDX-License-Identifier: MIT */
#include "strbuf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_init_on(struct strbuf *buf, void *memory, size_t size_bytes)
{
	*buf = (struct strbuf){.data = memory, .room = size_bytes, .lent = true};
	buf->data[0] = '\0';
}

void strbuf_deinit(struct strbuf *buf)
{
	if (!buf->lent)
		free(buf->data);
	*buf = (struct strbuf){0};
}

void strbuf_cut(struct strbuf *buf, size_t len)
{
	if (len >= buf->len)
		return;
	buf->len = len;
	buf->data[len] = '\0';
}

void strbuf_reset(struct strbuf *buf)
{
	buf->failed = false;
	strbuf_cut(buf, 0);
}

bool strbuf_grow(struct strbuf *buf, size_t n)
{
	size_t room = buf->room > 64 ? buf->room : 64;
	char *data = NULL;

	if (buf->failed)
		return false;
	if (n >= SIZE_MAX / 2 - buf->len)
		goto fail;
	while (room <= buf->len + n)
		room *= 2;
	data = realloc(buf->lent ? NULL : buf->data, room);
	if (!data)
		goto fail;
	if (buf->lent)
		memcpy(data, buf->data, buf->len + 1);
	buf->data = data;
	buf->room = room;
	buf->lent = false;
	return true;
fail:
	/* no room from now on, so that shorter puts come here, too */
	buf->failed = true;
	buf->room = buf->len;
	return false;
}

static unsigned decimal_digits(uint64_t value)
{
	static const uint64_t powers[] = {
		0,
		10,
		100,
		1000,
		10000,
		100000,
		1000000,
		10000000,
		100000000,
		1000000000,
		10000000000,
		100000000000,
		1000000000000,
		10000000000000,
		100000000000000,
		1000000000000000,
		10000000000000000,
		100000000000000000,
		1000000000000000000,
		10000000000000000000u,
	};
	/* bits · log10(2), rounded down: right, or one too few */
	unsigned below = (64u - (unsigned)__builtin_clzll(value | 1)) * 1233 >> 12;

	return below + (value >= powers[below]);
}

/* n digits that end before end; what does not fit into them is left out. */
static void write_decimal(char *end, uint64_t value, unsigned n)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";

	for (; n >= 2; n -= 2, value /= 100) {
		end -= 2;
		memcpy(end, pairs + value % 100 * 2, 2);
	}
	if (n)
		end[-1] = (char)('0' + value % 10);
}

static void put_decimal(struct strbuf *buf, uint64_t value, unsigned digits)
{
	if (!strbuf_reserve(buf, digits))
		return;
	buf->len += digits;
	write_decimal(buf->data + buf->len, value, digits);
	buf->data[buf->len] = '\0';
}

void strbuf_put_u64(struct strbuf *buf, uint64_t value)
{
	if (value < 10)
		strbuf_put_char(buf, (char)('0' + value));
	else
		put_decimal(buf, value, decimal_digits(value));
}

void strbuf_put_padded(struct strbuf *buf, uint64_t value, unsigned digits)
{
	unsigned n = decimal_digits(value);

	put_decimal(buf, value, n < digits ? digits : n);
}

void strbuf_put_i64(struct strbuf *buf, int64_t value)
{
	if (value < 0)
		strbuf_put_char(buf, '-');
	strbuf_put_u64(buf, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static const char *hex_pair(uint8_t byte)
{
	static const char pairs[] = "000102030405060708090a0b0c0d0e0f"
				    "101112131415161718191a1b1c1d1e1f"
				    "202122232425262728292a2b2c2d2e2f"
				    "303132333435363738393a3b3c3d3e3f"
				    "404142434445464748494a4b4c4d4e4f"
				    "505152535455565758595a5b5c5d5e5f"
				    "606162636465666768696a6b6c6d6e6f"
				    "707172737475767778797a7b7c7d7e7f"
				    "808182838485868788898a8b8c8d8e8f"
				    "909192939495969798999a9b9c9d9e9f"
				    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
				    "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
				    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
				    "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
				    "e0e1e2e3e4e5e6e7e8e9eaebecedeeef"
				    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

	return pairs + 2 * (size_t)byte;
}

void strbuf_put_hex(struct strbuf *buf, uint64_t value)
{
	unsigned n = value ? (67u - (unsigned)__builtin_clzll(value)) / 4 : 1;
	char *out;

	if (!strbuf_reserve(buf, n + 2))
		return;
	out = buf->data + buf->len;
	buf->len += n + 2;
	buf->data[buf->len] = '\0';
	*out++ = '0';
	*out++ = 'x';
	for (; n >= 2; value >>= 8) {
		n -= 2;
		memcpy(out + n, hex_pair((uint8_t)value), 2);
	}
	if (n)
		out[0] = hex_pair((uint8_t)value)[1];
}

void strbuf_put_hex_bytes(struct strbuf *buf, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	if (n >= SIZE_MAX / 4)
		buf->failed = true;
	if (!strbuf_reserve(buf, 2 * n))
		return;
	for (size_t i = 0; i < n; i++) {
		memcpy(buf->data + buf->len, hex_pair(p[i]), 2);
		buf->len += 2;
	}
	buf->data[buf->len] = '\0';
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
	if (!strbuf_reserve(buf, (size_t)n))
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

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Some byte of the eight is 0. */
static bool has_zero(uint64_t bytes)
{
	return (bytes - EACH_BYTE(1)) & ~bytes & EACH_BYTE(0x80);
}

static bool all_plain(uint64_t bytes)
{
	/* above 0x7f, or below 0x20 */
	if ((bytes | (bytes - EACH_BYTE(0x20))) & EACH_BYTE(0x80))
		return false;
	return !has_zero(bytes ^ EACH_BYTE(0x7f)) && !has_zero(bytes ^ EACH_BYTE('"')) &&
	       !has_zero(bytes ^ EACH_BYTE('\\'));
}

/* Bytes at p that stand for themselves, as C and JSON alike write them. */
static size_t plain_run(const uint8_t *p, size_t n)
{
	size_t i = 0;
	uint64_t bytes;

	for (; n - i >= 8; i += 8) {
		memcpy(&bytes, p + i, 8);
		if (!all_plain(bytes))
			break;
	}
	while (i < n && is_plain(p[i]))
		i++;
	return i;
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
	size_t i = plain_run(p, n), len;

	strbuf_put_bytes(buf, p, i);
	while (i < n) {
		char text[4];

		len = escape_byte(text, p[i], i + 1 < n && p[i + 1] >= '0' && p[i + 1] <= '7');
		strbuf_put_bytes(buf, text, len);
		i++;
		len = plain_run(p + i, n - i);
		strbuf_put_bytes(buf, p + i, len);
		i += len;
	}
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

	while ((i += plain_run(p + i, n - i)) < n) {
		size_t len = utf8_sequence(p + i, n - i);

		/* Control characters of ISO 6429's second set: some terminals obey them. */
		if (len == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0) {
			strbuf_put_bytes(buf, p + start, i - start);
			strbuf_printf(buf, "\\u%04x", p[i + 1]);
			i += 2;
			start = i;
			continue;
		}
		if (len > 1) {
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
