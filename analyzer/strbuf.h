/* SPDX-License-Identifier: MIT */
/*
 * strbuf.h - a growing byte string. Out of memory sets failed and drops what
 * does not fit; data is always NUL-terminated. Zero-initialise; strbuf_deinit frees.
 */
#ifndef STRBUF_H
#define STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
	char *data; /* NULL while empty */
	size_t len, room;
	bool failed;
};

void strbuf_deinit(struct strbuf *buf);
void strbuf_reset(struct strbuf *buf); /* keeps the memory */
void strbuf_put(struct strbuf *buf, const char *text);
void strbuf_put_bytes(struct strbuf *buf, const void *bytes, size_t n);
void strbuf_put_char(struct strbuf *buf, char c);
void strbuf_put_u64(struct strbuf *buf, uint64_t value);
void strbuf_put_i64(struct strbuf *buf, int64_t value);
void strbuf_put_hex(struct strbuf *buf, uint64_t value); /* 0x… */
void strbuf_printf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As C escapes bytes in a literal, strace's way: \n, \", \\, octal for the rest; without the quotes. */
void strbuf_put_escaped(struct strbuf *buf, const void *bytes, size_t n);
/* As JSON escapes a string; bytes that are no UTF-8 become U+FFFD; without the quotes. */
void strbuf_put_json(struct strbuf *buf, const void *bytes, size_t n);

#endif
