/* SPDX-License-Identifier: MIT */
/* Members through typedefs and anonymous structs, bitfields, equal names; and that damaged BTF is refused. */
#include <bpf/btf.h>

#include "check.h"
#include "linux/btf_types.h"

static struct btf *make_btf(void)
{
	struct btf *btf = btf__new_empty();
	int u32, u64, chr, list, inner, anonymous, typedef_id, pointer, array, index_type, only_forward;

	CHECK(btf);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	u64 = btf__add_int(btf, "unsigned long", 8, 0);
	chr = btf__add_int(btf, "char", 1, BTF_INT_SIGNED);
	index_type = u32;
	array = btf__add_array(btf, index_type, chr, 16);

	list = btf__add_struct(btf, "list_head", 16);
	pointer = btf__add_ptr(btf, list);
	CHECK(pointer > 0);
	/* Members go to the last struct: make it again behind its pointer type. */
	list = btf__add_struct(btf, "list", 16);
	CHECK(!btf__add_field(btf, "next", pointer, 0, 0));
	CHECK(!btf__add_field(btf, "prev", pointer, 64, 0));

	inner = btf__add_struct(btf, NULL, 12);
	CHECK(!btf__add_field(btf, "low", u32, 0, 0));
	CHECK(!btf__add_field(btf, "high", u32, 32, 0));
	CHECK(!btf__add_field(btf, "flag", u32, 64, 1));
	CHECK(!btf__add_field(btf, "kind", u32, 65, 5));
	CHECK(!btf__add_field(btf, "far", u32, 64 + 13, 9));
	anonymous = btf__add_union(btf, NULL, 12);
	CHECK(!btf__add_field(btf, "whole", u64, 0, 0));
	CHECK(!btf__add_field(btf, NULL, inner, 0, 0));
	typedef_id = btf__add_typedef(btf, "list_t", btf__add_const(btf, list));

	CHECK(btf__add_struct(btf, "task", 64) > 0);
	CHECK(!btf__add_field(btf, "comm", array, 0, 0));
	CHECK(!btf__add_field(btf, NULL, anonymous, 128, 0));
	CHECK(!btf__add_field(btf, "tasks", typedef_id, 256, 0));

	/* The same name twice, as a private struct of another source file. */
	CHECK(btf__add_struct(btf, "mount", 8) > 0);
	CHECK(!btf__add_field(btf, "other", u64, 0, 0));
	CHECK(btf__add_struct(btf, "mount", 24) > 0);
	CHECK(!btf__add_field(btf, "root", u64, 128, 0));
	CHECK(btf__add_union(btf, "file", 4) > 0);
	CHECK(!btf__add_field(btf, "in_union", u32, 0, 0));
	CHECK(btf__add_struct(btf, "file", 12) > 0);
	CHECK(!btf__add_field(btf, "in_struct", u32, 64, 0));
	only_forward = btf__add_fwd(btf, "opaque", BTF_FWD_STRUCT);
	CHECK(btf__add_typedef(btf, "opaque_t", only_forward) > 0);
	CHECK(btf__add_enum(btf, "colour", 4) > 0);
	CHECK(!btf__add_enum_value(btf, "RED", 1));
	return btf;
}

static struct btf_types *parse(const struct btf *btf)
{
	const void *data;
	struct btf_types *types;
	struct vmtape_error *error;
	__u32 size;

	data = btf__raw_data(btf, &size);
	CHECK(data);
	error = btf_types_create(&types, data, size);
	if (error)
		fprintf(stderr, "%s\n", error->message);
	CHECK(!error);
	CHECK_INT(btf_types_count(types), btf__type_cnt(btf) - 1);
	return types;
}

static void expect_member(const struct btf_types *types, const char *type, const char *path, uint32_t offset,
			  uint32_t size, unsigned shift, unsigned bits)
{
	struct btf_field field;
	struct vmtape_error *error = btf_types_member(types, type, path, &field);

	if (error)
		fprintf(stderr, "%s\n", error->message);
	CHECK(!error);
	CHECK_INT(field.offset_bytes, offset);
	CHECK_INT(field.size_bytes, size);
	CHECK_INT(field.bit_shift, shift);
	CHECK_INT(field.nr_bits, bits);
}

static void expect_none(const struct btf_types *types, const char *type, const char *path)
{
	struct btf_field field;
	struct vmtape_error *error = btf_types_member(types, type, path, &field);

	CHECK(error);
	CHECK_INT(error->code, VMTAPE_ERROR_NOT_FOUND);
	vmtape_error_destroy(error);
}

static void members(void)
{
	struct btf *btf = make_btf();
	struct btf_types *types = parse(btf);
	uint32_t size;

	expect_member(types, "task", "comm", 0, 16, 0, 0);
	expect_member(types, "struct task", "whole", 16, 8, 0, 0);
	expect_member(types, "task", "high", 20, 4, 0, 0);
	expect_member(types, "task", "flag", 24, 4, 0, 1);
	expect_member(types, "task", "kind", 24, 4, 1, 5);
	expect_member(types, "task", "far", 25, 4, 5, 9);
	expect_member(types, "task", "tasks.prev", 40, 8, 0, 0);
	expect_member(types, "list_t", "prev", 8, 8, 0, 0);
	expect_member(types, "mount", "other", 0, 8, 0, 0);
	expect_member(types, "mount", "root", 16, 8, 0, 0);
	expect_member(types, "file", "in_struct", 8, 4, 0, 0);
	expect_member(types, "file", "in_union", 0, 4, 0, 0);
	expect_member(types, "union file", "in_union", 0, 4, 0, 0);
	expect_none(types, "struct file", "in_union");
	expect_none(types, "task", "tasks.prev.next");
	expect_none(types, "task", "nothing");
	expect_none(types, "task", "");
	expect_none(types, "task", "tasks.");
	expect_none(types, "task", "comm.x");
	expect_none(types, "nothing", "x");
	expect_none(types, "opaque_t", "x");
	expect_none(types, "unsigned int", "x");

	CHECK(!btf_types_size(types, "task", &size));
	CHECK_INT(size, 64);
	CHECK(!btf_types_size(types, "union file", &size));
	CHECK_INT(size, 4);
	CHECK(!btf_types_size(types, "unsigned long", &size));
	CHECK_INT(size, 8);
	CHECK(!btf_types_size(types, "enum colour", &size));
	CHECK_INT(size, 4);
	vmtape_error_destroy(btf_types_size(types, "opaque_t", &size));
	CHECK_INT(size, 0);
	btf_types_destroy(types);
	btf__free(btf);
}

static void put_u32(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = value >> 8 * i;
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void expect_refused(const uint8_t *data, size_t size, enum vmtape_error_code code)
{
	struct btf_types *types;
	struct vmtape_error *error = btf_types_create(&types, data, size);

	CHECK(error && !types);
	CHECK_INT(error->code, code);
	vmtape_error_destroy(error);
}

/* One word of a copy changed, at an offset from the start of the header or of the types. */
static void expect_word_refused(const void *data, size_t size, size_t offset, uint32_t value,
				enum vmtape_error_code code)
{
	uint8_t *copy = malloc(size);

	CHECK(copy);
	memcpy(copy, data, size);
	put_u32(copy + offset, value);
	expect_refused(copy, size, code);
	free(copy);
}

static void damage(void)
{
	struct btf *btf = make_btf();
	__u32 size;
	const uint8_t *data = btf__raw_data(btf, &size);
	uint8_t *copy = malloc(size);

	CHECK(data && copy);
	for (size_t n = 0; n < size; n++)
		expect_refused(data, n, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 0, 0x0001eb9e, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 0, 0x0002eb9f, VMTAPE_ERROR_UNSUPPORTED);
	expect_word_refused(data, size, 4, 20, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 4, size + 4, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 8, 2, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 8, 0xfffffffc, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 12, 0xfffffffc, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 12, 0, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 16, 0xfffffff0, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 20, 0, VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 20, get_u32(data + 20) - 1, VMTAPE_ERROR_FORMAT);
	/* First type: "unsigned int". Name, kind, members. */
	expect_word_refused(data, size, 24, get_u32(data + 20), VMTAPE_ERROR_FORMAT);
	expect_word_refused(data, size, 28, 31u << 24, VMTAPE_ERROR_UNSUPPORTED);
	expect_word_refused(data, size, 28, BTF_KIND_STRUCT << 24 | 0xffff, VMTAPE_ERROR_FORMAT);
	/* A variable, as long as the integer was, of a type that does not exist. */
	memcpy(copy, data, size);
	put_u32(copy + 28, BTF_KIND_VAR << 24);
	put_u32(copy + 32, btf__type_cnt(btf));
	expect_refused(copy, size, VMTAPE_ERROR_FORMAT);

	/* Anything else may be accepted, but never hurts: each byte in turn, then questions. */
	for (size_t i = 0; i < size; i++) {
		struct btf_types *types;
		struct btf_field field;
		uint32_t bytes;

		memcpy(copy, data, size);
		copy[i] ^= 1 + i % 255;
		vmtape_error_destroy(btf_types_create(&types, copy, size));
		if (!types)
			continue;
		vmtape_error_destroy(btf_types_member(types, "task", "tasks.prev", &field));
		vmtape_error_destroy(btf_types_member(types, "task", "far", &field));
		vmtape_error_destroy(btf_types_size(types, "task", &bytes));
		btf_types_destroy(types);
	}
	free(copy);
	btf__free(btf);
}

/* Types that contain themselves: found nothing, in bounded time. */
static void endless_types(void)
{
	struct btf *btf = btf__new_empty();
	struct btf_types *types;
	struct btf_member_info listed[4];
	uint32_t size;

	CHECK(btf);
	CHECK_INT(btf__add_struct(btf, "self", 8), 1);
	for (unsigned i = 0; i < 64; i++)
		CHECK(!btf__add_field(btf, NULL, 1, 0, 0));
	CHECK_INT(btf__add_typedef(btf, "loop", 2), 2);
	types = parse(btf);
	expect_none(types, "self", "x");
	expect_none(types, "loop", "x");
	CHECK_INT(btf_types_members(types, "self", listed, 4), 0);
	vmtape_error_destroy(btf_types_size(types, "loop", &size));
	btf_types_destroy(types);
	btf__free(btf);
}

int main(void)
{
	members();
	damage();
	endless_types();
	return 0;
}
