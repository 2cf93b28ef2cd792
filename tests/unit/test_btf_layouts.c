/* SPDX-License-Identifier: MIT */
/* A call that the tables do not know, with a struct that only the guest's own types describe. */
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "call_builder.h"
#include "check.h"
#include "linux/arg_decode.h"
#include "linux/btf_layouts.h"

#define TARGET 0x7ffe0000u

static struct btf_types *make_types(void)
{
	struct btf *btf = btf__new_empty();
	struct btf_types *types;
	const void *data;
	uint32_t size;
	int u8, u16, u32, s64, chr, text, pair, pointer, inner, both;

	CHECK(btf);
	u8 = btf__add_int(btf, "unsigned char", 1, 0);
	u16 = btf__add_int(btf, "unsigned short", 2, 0);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	s64 = btf__add_int(btf, "long long", 8, BTF_INT_SIGNED);
	chr = btf__add_int(btf, "char", 1, BTF_INT_SIGNED);
	text = btf__add_array(btf, u32, chr, 8);
	pair = btf__add_array(btf, u32, u16, 2);
	pointer = btf__add_ptr(btf, u8);
	inner = btf__add_struct(btf, "inner", 8);
	CHECK(!btf__add_field(btf, "a", u8, 0, 0));
	CHECK(!btf__add_field(btf, "b", u32, 32, 0));
	both = btf__add_union(btf, NULL, 8);
	CHECK(!btf__add_field(btf, "first", s64, 0, 0));
	CHECK(!btf__add_field(btf, "second", u32, 0, 0));

	CHECK(btf__add_struct(btf, "newer", 56) > 0);
	CHECK(!btf__add_field(btf, "flags", u16, 0, 0));
	CHECK(!btf__add_field(btf, "bit", u32, 32, 1));
	CHECK(!btf__add_field(btf, "name", text, 64, 0));
	CHECK(!btf__add_field(btf, "in", inner, 128, 0));
	CHECK(!btf__add_field(btf, NULL, both, 192, 0));
	CHECK(!btf__add_field(btf, "p", pointer, 256, 0));
	CHECK(!btf__add_field(btf, "t\033wo", pair, 320, 0));

	/* not for a reader by natural alignment; within itself; overlapping without end */
	CHECK(btf__add_struct(btf, "packed", 12) > 0);
	CHECK(!btf__add_field(btf, "x", u8, 0, 0));
	CHECK(!btf__add_field(btf, "y", u32, 8, 0));
	pointer = btf__add_struct(btf, "self", 8);
	CHECK(!btf__add_field(btf, "again", pointer, 0, 0));
	for (int i = 0; i < 60; i++)
		CHECK(!btf__add_field(btf, NULL, pointer, 0, 0));

	data = btf__raw_data(btf, &size);
	CHECK(data);
	CHECK(!btf_types_create(&types, data, size));
	btf__free(btf);
	return types;
}

static void test_types(struct btf_layouts *layouts)
{
	CHECK(btf_layouts_find(layouts, "struct newer *"));
	CHECK(btf_layouts_find(layouts, "const struct newer *") == btf_layouts_find(layouts, "struct newer *"));
	CHECK_INT(btf_layouts_find(layouts, "struct newer *")->size_bytes, 56);
	CHECK(!btf_layouts_find(layouts, "struct newer"));
	CHECK(!btf_layouts_find(layouts, "struct newer **"));
	CHECK(!btf_layouts_find(layouts, "struct nowhere *"));
	CHECK(!btf_layouts_find(layouts, "struct packed *"));
	CHECK(!btf_layouts_find(layouts, "struct self *"));
	CHECK(!btf_layouts_find(layouts, "unsigned long"));
}

static void expect(const struct call *call, const char *expected)
{
	struct strbuf out = {0};

	call_args_text(call, &out);
	CHECK_STR(out.data, expected);
	strbuf_deinit(&out);
}

static void test_call(struct btf_layouts *layouts)
{
	static struct call_builder b;
	uint8_t before[56] = {7, 0, 0, 0, 1, 0, 0, 0, 'a', '"', 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4}, after[56];

	memset(before + 24, 0xff, 8);
	before[40] = 1;
	before[42] = 2;
	memcpy(after, before, sizeof(after));
	after[0] = 8;

	call_builder_init(&b, TRAP_ABI_X86_64, "never_heard_of");
	b.syscall.nr_args = 2;
	b.syscall.arg_types[0] = "struct newer *";
	b.syscall.arg_names[0] = "what";
	b.syscall.arg_types[1] = "unsigned int";
	b.syscall.arg_names[1] = "n";
	b.syscall.arg_layouts[0] = btf_layouts_find(layouts, "struct newer *");
	b.call.args[0] = TARGET;
	b.call.args[1] = 5;
	record_builder_add(&b.enter, 0, TRAP_FRAG_WHOLE, TARGET, sizeof(before), before, sizeof(before));
	record_builder_add(&b.exit, 0, TRAP_FRAG_WHOLE, TARGET, sizeof(after), after, sizeof(after));
	call_builder_finish(&b, true, -EINVAL);
	expect(&b.call, "{flags=7, name=\"a\\\"\", in={a=3, b=4}, first=-1, p=NULL, t\\33wo=[1, 2]}, 5");
	b.call.ret = 0;
	expect(&b.call, "{flags=7, name=\"a\\\"\", in={a=3, b=4}, first=-1, p=NULL, t\\33wo=[1, 2]} => "
			"{flags=8, name=\"a\\\"\", in={a=3, b=4}, first=-1, p=NULL, t\\33wo=[1, 2]}, 5");
}

int main(void)
{
	struct btf_types *types = make_types();
	struct btf_layouts *layouts = btf_layouts_create(types);

	CHECK(layouts);
	test_types(layouts);
	test_call(layouts);
	btf_layouts_destroy(layouts);
	btf_types_destroy(types);
	return 0;
}
