/* SPDX-License-Identifier: MIT */
#include "record_layout.h"

static uint64_t read_field(struct record_reader *r, size_t size_bytes)
{
	size_t align = r->narrow && size_bytes > 4 ? 4 : size_bytes;
	uint64_t value = 0;

	r->at = (r->at + align - 1) / align * align;
	if (r->at <= r->len && size_bytes <= r->len - r->at) {
		for (size_t i = size_bytes; i-- > 0;)
			value = value << 8 | r->data[r->at + i];
	}
	r->at += size_bytes;
	return value;
}

uint8_t read_u8(struct record_reader *r)
{
	return (uint8_t)read_field(r, 1);
}

uint16_t read_u16(struct record_reader *r)
{
	return (uint16_t)read_field(r, 2);
}

uint32_t read_u32(struct record_reader *r)
{
	return (uint32_t)read_field(r, 4);
}

uint64_t read_u64(struct record_reader *r)
{
	return read_field(r, 8);
}

uint64_t read_word(struct record_reader *r)
{
	return read_field(r, r->narrow ? 4 : 8);
}

int64_t read_sword(struct record_reader *r)
{
	return r->narrow ? (int32_t)read_field(r, 4) : (int64_t)read_field(r, 8);
}

void read_skip(struct record_reader *r, size_t n)
{
	r->at += n;
}

static void put_int(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_i64(out, (int32_t)read_u32(r));
}

static void put_uint(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_u64(out, read_u32(r));
}

static void put_word(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_u64(out, read_word(r));
}

static void put_offset(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_i64(out, (int64_t)read_u64(r));
}

static void put_address(struct record_reader *r, struct strbuf *out)
{
	uint64_t value = read_word(r);

	if (value)
		strbuf_put_hex(out, value);
	else
		strbuf_put(out, "NULL");
}

static void put_pair(struct record_reader *r, struct strbuf *out)
{
	int32_t first = (int32_t)read_u32(r);

	strbuf_printf(out, "[%d, %d]", first, (int32_t)read_u32(r));
}

static void put_signal(struct record_reader *r, struct strbuf *out)
{
	uint32_t number = read_u32(r);

	if (!signal_name_put(number, out))
		strbuf_put_u64(out, number);
}

static void put_time(struct record_reader *r, struct strbuf *out)
{
	int64_t seconds = read_sword(r);

	strbuf_put_i64(out, seconds);
	put_date(seconds, 0, 0, out);
}

static void put_cap_header(struct record_reader *r, struct strbuf *out)
{
	strbuf_put(out, "{version=");
	name_set_put_one(&names_capability_version, read_u32(r), out);
	strbuf_printf(out, ", pid=%d}", (int32_t)read_u32(r));
}

static void put_capabilities(uint64_t set, struct strbuf *out)
{
	bool any = false;

	for (unsigned i = 0; i < 64; i++) {
		const char *name = set >> i & 1 ? name_set_find(&names_capability, i) : NULL;

		if (!name)
			continue;
		strbuf_printf(out, "%s1<<%s", any ? "|" : "", name);
		any = true;
		set &= ~((uint64_t)1 << i);
	}
	if (set && any)
		strbuf_put_char(out, '|');
	if (set)
		strbuf_put_hex(out, set);
	else if (!any)
		strbuf_put_char(out, '0');
}

/* Two records of 32 capabilities each (version 3), of which the second holds the high halves. */
static void put_cap_data(struct record_reader *r, struct strbuf *out)
{
	static const char *const names[] = {"{effective=", ", permitted=", ", inheritable="};
	uint32_t words[6];

	for (int i = 0; i < 6; i++)
		words[i] = read_u32(r);
	for (int i = 0; i < 3; i++) {
		strbuf_put(out, names[i]);
		put_capabilities(words[i] | (uint64_t)words[i + 3] << 32, out);
	}
	strbuf_put_char(out, '}');
}

static void put_owner(struct record_reader *r, struct strbuf *out)
{
	strbuf_put(out, "{type=");
	name_set_put_one(&names_owner, read_u32(r), out);
	strbuf_printf(out, ", pid=%d}", (int32_t)read_u32(r));
}

static void put_sembuf(struct record_reader *r, struct strbuf *out)
{
	uint16_t number = read_u16(r);
	int16_t change = (int16_t)read_u16(r);

	strbuf_printf(out, "{sem_num=%u, sem_op=%d, sem_flg=", number, change);
	name_set_put_flags(&names_sem, read_u16(r), out);
	strbuf_put_char(out, '}');
}

static void put_mq_attr(struct record_reader *r, struct strbuf *out)
{
	strbuf_put(out, "{mq_flags=");
	name_set_put_flags(&names_open_flags, read_word(r), out);
	strbuf_printf(out, ", mq_maxmsg=%lld", (long long)read_sword(r));
	strbuf_printf(out, ", mq_msgsize=%lld", (long long)read_sword(r));
	strbuf_printf(out, ", mq_curmsgs=%lld}", (long long)read_sword(r));
}

const struct record_layout layout_int = {
	.types = {"int"}, .size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_int};
const struct record_layout layout_uint = {.types = {"uid_t", "gid_t", "unsigned int"},
					  .size_bytes = 4,
					  .narrow_bytes = 4,
					  .brackets = true,
					  .direction = ARG_OUT,
					  .put = put_uint};
const struct record_layout layout_word = {.types = {"size_t"},
					  .size_bytes = 8,
					  .narrow_bytes = 4,
					  .brackets = true,
					  .direction = ARG_OUT,
					  .put = put_word};
const struct record_layout layout_offset = {.types = {"loff_t"},
					    .size_bytes = 8,
					    .narrow_bytes = 8,
					    .brackets = true,
					    .direction = ARG_INOUT,
					    .put = put_offset};
const struct record_layout layout_address = {
	.size_bytes = 8, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_address};
const struct record_layout layout_pair = {.size_bytes = 8, .narrow_bytes = 8, .direction = ARG_OUT, .put = put_pair};
const struct record_layout layout_signal = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_signal};
const struct record_layout layout_time = {.types = {"__kernel_old_time_t"},
					  .size_bytes = 8,
					  .narrow_bytes = 4,
					  .brackets = true,
					  .direction = ARG_OUT,
					  .put = put_time};
const struct record_layout layout_cap_header = {
	.types = {"cap_user_header_t"}, .size_bytes = 8, .narrow_bytes = 8, .direction = ARG_IN, .put = put_cap_header};
const struct record_layout layout_cap_data = {
	.size_bytes = 24, .narrow_bytes = 24, .direction = ARG_OUT, .put = put_cap_data};
const struct record_layout layout_owner = {.size_bytes = 8, .narrow_bytes = 8, .direction = ARG_OUT, .put = put_owner};
const struct record_layout layout_sembuf = {.size_bytes = 6, .narrow_bytes = 6, .direction = ARG_IN, .put = put_sembuf};
const struct record_layout layout_mq_attr = {
	.types = {"struct mq_attr"}, .size_bytes = 64, .narrow_bytes = 32, .direction = ARG_IN, .put = put_mq_attr};

static void put_tsc(struct record_reader *r, struct strbuf *out)
{
	name_set_put_one(&names_tsc, read_u32(r), out);
}
const struct record_layout layout_tsc = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_tsc};
