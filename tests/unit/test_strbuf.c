/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "check.h"
#include "strbuf.h"

static void check_escaped(const char *bytes, size_t n, const char *expected)
{
	struct strbuf buf = {0};

	strbuf_put_escaped(&buf, bytes, n);
	CHECK_STR(buf.data ? buf.data : "", expected);
	strbuf_deinit(&buf);
}
#define ESCAPED(literal, expected) check_escaped(literal, sizeof(literal) - 1, expected)

static void check_json(const char *bytes, size_t n, const char *expected)
{
	struct strbuf buf = {0};

	strbuf_put_json(&buf, bytes, n);
	CHECK_STR(buf.data ? buf.data : "", expected);
	strbuf_deinit(&buf);
}
#define JSON(literal, expected) check_json(literal, sizeof(literal) - 1, expected)

static void test_numbers(void)
{
	struct strbuf buf = {0};

	strbuf_put_u64(&buf, 0);
	strbuf_put_char(&buf, ' ');
	strbuf_put_u64(&buf, UINT64_MAX);
	strbuf_put_char(&buf, ' ');
	strbuf_put_i64(&buf, INT64_MIN);
	strbuf_put_char(&buf, ' ');
	strbuf_put_i64(&buf, -1);
	strbuf_put_char(&buf, ' ');
	strbuf_put_hex(&buf, 0);
	strbuf_put_char(&buf, ' ');
	strbuf_put_hex(&buf, UINT64_MAX);
	CHECK_STR(buf.data, "0 18446744073709551615 -9223372036854775808 -1 0x0 0xffffffffffffffff");
	CHECK_INT(buf.len, strlen(buf.data));
	strbuf_reset(&buf);
	CHECK_INT(buf.len, 0);
	CHECK_STR(buf.data, "");
	strbuf_deinit(&buf);
}

/* Digits and their number, around each power and over all lengths, as printf has them. */
static void test_number(uint64_t value)
{
	char expected[128];
	struct strbuf buf = {0};

	snprintf(expected, sizeof(expected), "%" PRIu64 " %" PRId64 " 0x%" PRIx64 " %06" PRIu64 " %09" PRIu64, value,
		 (int64_t)value, value, value, value);
	strbuf_put_u64(&buf, value);
	strbuf_put_char(&buf, ' ');
	strbuf_put_i64(&buf, (int64_t)value);
	strbuf_put_char(&buf, ' ');
	strbuf_put_hex(&buf, value);
	strbuf_put_char(&buf, ' ');
	strbuf_put_padded(&buf, value, 6);
	strbuf_put_char(&buf, ' ');
	strbuf_put_padded(&buf, value, 9);
	CHECK_STR(buf.data, expected);
	strbuf_deinit(&buf);
}

static void test_powers(void)
{
	uint64_t ten = 1;

	for (int i = 0; i < 20; i++, ten *= 10)
		for (uint64_t near = 0; near < 3; near++)
			test_number(ten + near - 1);
	for (int bit = 0; bit < 64; bit++)
		for (uint64_t near = 0; near < 3; near++)
			test_number((1ull << bit) + near - 1);
}

static void test_hex_bytes(void)
{
	struct strbuf buf = {0};

	strbuf_put_hex_bytes(&buf, "\x00\x1f\xa0\xff", 4);
	CHECK_STR(buf.data, "001fa0ff");
	strbuf_put_hex_bytes(&buf, NULL, 0);
	CHECK_INT(buf.len, 8);
	strbuf_deinit(&buf);
}

/* Memory of the caller's serves until it is full, and is never freed or grown. */
static void test_lent(void)
{
	char memory[8];
	struct strbuf buf;

	strbuf_init_on(&buf, memory, sizeof(memory));
	CHECK_STR(buf.data, "");
	strbuf_put(&buf, "sevens.");
	CHECK(buf.data == memory);
	strbuf_put_char(&buf, '8');
	CHECK(buf.data != memory);
	CHECK_STR(buf.data, "sevens.8");
	CHECK_STR(memory, "sevens.");
	strbuf_cut(&buf, 5);
	CHECK_STR(buf.data, "seven");
	strbuf_cut(&buf, 6);
	CHECK_INT(buf.len, 5);
	strbuf_deinit(&buf);
	strbuf_init_on(&buf, memory, sizeof(memory));
	strbuf_put_bytes(&buf, "", SIZE_MAX / 2);
	strbuf_put_char(&buf, 'x');
	CHECK(buf.failed && !buf.len);
	strbuf_deinit(&buf);
}

static void test_growth(void)
{
	struct strbuf buf = {0};

	for (int i = 0; i < 5000; i++)
		strbuf_printf(&buf, "%04d ", i);
	CHECK(!buf.failed);
	CHECK_INT(buf.len, 25000);
	CHECK_INT(strlen(buf.data), 25000);
	CHECK(!memcmp(buf.data + 5 * 4321, "4321 ", 5));
	/* a byte string may hold NUL */
	strbuf_reset(&buf);
	strbuf_put_bytes(&buf, "a\0b", 3);
	strbuf_put_bytes(&buf, NULL, 0);
	CHECK_INT(buf.len, 3);
	CHECK(!memcmp(buf.data, "a\0b", 4));
	strbuf_deinit(&buf);
}

static void test_failure(void)
{
	struct strbuf buf = {0};

	strbuf_put(&buf, "kept");
	strbuf_put_bytes(&buf, "", SIZE_MAX / 2);
	CHECK(buf.failed);
	CHECK_STR(buf.data, "kept");
	strbuf_put(&buf, "dropped");
	CHECK_STR(buf.data, "kept");
	strbuf_deinit(&buf);
	CHECK(!buf.data && !buf.failed);
}

/* As strace 6.1 printed these bytes of a write. */
static void test_escapes(void)
{
	ESCAPED("hello\nworld\t\1\0012\"\\\377", "hello\\nworld\\t\\1\\0012\\\"\\\\\\377");
	ESCAPED("\177ELF\2\1\1\0\0", "\\177ELF\\2\\1\\1\\0\\0");
	ESCAPED("\v\f\r\a\b", "\\v\\f\\r\\7\\10");
	ESCAPED("\0000\0\0008\0007", "\\0000\\0\\08\\0007");
	ESCAPED("", "");
	ESCAPED("\200\3008", "\\200\\3008");
}

static void test_json(void)
{
	JSON("plain /path", "plain /path");
	JSON("a\"b\\c\n\t\r\b\f\x01\x1f", "a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f");
	JSON("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	/* stray continuation, overlong, surrogate, above U+10FFFF, cut at the end */
	JSON("\x80", "\xef\xbf\xbd");
	JSON("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
	JSON("\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	JSON("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	JSON("\xf4\x90\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
	JSON("x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd");
	JSON("\x7f", "\\u007f");
	JSON("a\0b", "a\\u0000b");
}

/* Each byte at each place of eight and of what is left behind eight: none slips through as plain. */
static void test_each_byte(void)
{
	for (size_t at = 0; at < 19; at++) {
		for (int c = 0; c < 256; c++) {
			bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
			char bytes[19], expected[64] = {0}, escape[8];
			struct strbuf buf = {0};

			memset(bytes, c & 1 ? ' ' : '~', sizeof(bytes));
			if (plain)
				snprintf(escape, sizeof(escape), "%c", c);
			else if (c == '"' || c == '\\')
				snprintf(escape, sizeof(escape), "\\%c", c);
			else if (c >= '\t' && c <= '\r')
				snprintf(escape, sizeof(escape), "\\%c", "tnvfr"[c - '\t']);
			else
				snprintf(escape, sizeof(escape), "\\%o", (unsigned)c);
			memcpy(expected, bytes, at);
			strcpy(expected + at, escape);
			memcpy(expected + at + strlen(escape), bytes, sizeof(bytes) - at - 1);
			bytes[at] = (char)c;
			strbuf_put_escaped(&buf, bytes, sizeof(bytes));
			CHECK_STR(buf.data, expected);
			strbuf_reset(&buf);
			strbuf_put_json(&buf, bytes, sizeof(bytes));
			CHECK((buf.len == sizeof(bytes) && !memcmp(buf.data, bytes, buf.len)) == plain);
			strbuf_deinit(&buf);
		}
	}
}

int main(void)
{
	test_numbers();
	test_powers();
	test_hex_bytes();
	test_lent();
	test_each_byte();
	test_growth();
	test_failure();
	test_escapes();
	test_json();
	return 0;
}
