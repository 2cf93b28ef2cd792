/* SPDX-License-Identifier: MIT */
/*
 * strbuf.h - a growing byte string. Out of memory sets failed, and nothing more
 * is taken; data is always NUL-terminated. Zero-initialise; strbuf_deinit frees.
 * Short puts are inline: a line of output is some forty of them.
 */
#ifndef STRBUF_H
#define STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct strbuf {
	char *data; /* NULL while empty */
	size_t len, room;
	bool failed;
	bool lent; /* data is the caller's */
};

void strbuf_deinit(struct strbuf *buf);
void strbuf_reset(struct strbuf *buf); /* keeps the memory */
/* Begin on memory of the caller's, of at least one byte; what does not fit moves to memory that strbuf_deinit frees. */
void strbuf_init_on(struct strbuf *buf, void *memory, size_t size_bytes);
/* Back to a length of before. */
void strbuf_cut(struct strbuf *buf, size_t len);
void strbuf_put_u64(struct strbuf *buf, uint64_t value);
void strbuf_put_i64(struct strbuf *buf, int64_t value);
void strbuf_put_hex(struct strbuf *buf, uint64_t value); /* 0x… */
/* Decimal, with zeros before it up to this many digits (at most 20). */
void strbuf_put_padded(struct strbuf *buf, uint64_t value, unsigned digits);
void strbuf_put_hex_bytes(struct strbuf *buf, const void *bytes, size_t n); /* two digits each */
void strbuf_printf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As C escapes bytes in a literal, strace's way: \n, \", \\, octal for the rest; without the quotes. */
void strbuf_put_escaped(struct strbuf *buf, const void *bytes, size_t n);
/* As JSON escapes a string; bytes that are no UTF-8 become U+FFFD; without the quotes. */
void strbuf_put_json(struct strbuf *buf, const void *bytes, size_t n);

/* For the inline functions: room for n more bytes and the NUL; false: failed. */
bool strbuf_grow(struct strbuf *buf, size_t n);

static inline bool strbuf_reserve(struct strbuf *buf, size_t n)
{
	return n < buf->room - buf->len || strbuf_grow(buf, n);
}

static inline void strbuf_put_bytes(struct strbuf *buf, const void *bytes, size_t n)
{
	if (!strbuf_reserve(buf, n))
		return;
	if (n)
		memcpy(buf->data + buf->len, bytes, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
}

static inline void strbuf_put(struct strbuf *buf, const char *text)
{
	strbuf_put_bytes(buf, text, strlen(text));
}

static inline void strbuf_put_char(struct strbuf *buf, char c)
{
	if (!strbuf_reserve(buf, 1))
		return;
	buf->data[buf->len] = c;
	buf->data[++buf->len] = '\0';
}

/* strbuf_put_json() between quotes. */
static inline void strbuf_put_json_string(struct strbuf *buf, const void *bytes, size_t n)
{
	strbuf_put_char(buf, '"');
	strbuf_put_json(buf, bytes, n);
	strbuf_put_char(buf, '"');
}

#endif
