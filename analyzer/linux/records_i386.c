/* SPDX-License-Identifier: MIT */
/* Structs that only 32-bit programs have. */
#include "record_layout.h"

static void put_u16_item(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_u64(out, read_u16(r));
}
const struct record_layout layout_u16 = {
	.size_bytes = 2, .narrow_bytes = 2, .brackets = true, .direction = ARG_OUT, .put = put_u16_item};

static void put_old_offset(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_i64(out, (int32_t)read_u32(r));
}
const struct record_layout layout_old_offset = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_INOUT, .put = put_old_offset};

static void put_old_sigset(struct record_reader *r, struct strbuf *out)
{
	signal_set_put_old(read_u32(r), out);
}
const struct record_layout layout_old_sigset = {
	.size_bytes = 4, .narrow_bytes = 4, .direction = ARG_OUT, .put = put_old_sigset};

/* arch/x86/include/asm/ia32.h: struct old_sigaction32 {handler, mask, flags, restorer} */
static void put_old_sigaction(struct record_reader *r, struct strbuf *out)
{
	uint32_t handler = read_u32(r), mask = read_u32(r), flags = read_u32(r), restorer = read_u32(r);

	strbuf_put(out, "{sa_handler=");
	put_handler(handler, out);
	strbuf_put(out, ", sa_mask=");
	signal_set_put_old(mask, out);
	strbuf_put(out, ", sa_flags=");
	name_set_put_flags(&names_sigaction, flags, out);
	if (flags & 0x04000000u) /* SA_RESTORER: asm/signal.h */
		strbuf_printf(out, ", sa_restorer=%#x", restorer);
	strbuf_put_char(out, '}');
}
const struct record_layout layout_old_sigaction = {
	.size_bytes = 16, .narrow_bytes = 16, .direction = ARG_OUT, .put = put_old_sigaction};

/* asm/ldt.h: struct user_desc {entry_number, base_addr, limit, bits} */
static void put_user_desc(struct record_reader *r, struct strbuf *out)
{
	uint32_t entry = read_u32(r), base = read_u32(r), limit = read_u32(r), bits = read_u32(r);

	strbuf_printf(out, "{entry_number=%d, base_addr=%#x, limit=%#08x", (int32_t)entry, base, limit);
	strbuf_printf(
		out,
		", seg_32bit=%u, contents=%u, read_exec_only=%u, limit_in_pages=%u, seg_not_present=%u, useable=%u}",
		bits & 1, bits >> 1 & 3, bits >> 3 & 1, bits >> 4 & 1, bits >> 5 & 1, bits >> 6 & 1);
}
const struct record_layout layout_user_desc = {
	.size_bytes = 16, .narrow_bytes = 16, .direction = ARG_OUT, .put = put_user_desc};

/* asm-generic/statfs.h with 32-bit words, aligned to 4: arch/x86 compat_statfs64 */
static void put_statfs64(struct record_reader *r, struct strbuf *out)
{
	static const char *const numbers[] = {"f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree"};
	uint32_t first;

	strbuf_put(out, "{f_type=");
	name_set_put_one(&names_fs_type, read_u32(r), out);
	strbuf_printf(out, ", f_bsize=%u", read_u32(r));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		strbuf_printf(out, ", %s=%llu", numbers[i], (unsigned long long)read_u64(r));
	first = read_u32(r);
	strbuf_printf(out, ", f_fsid={val=[%#x, %#x]}", first, read_u32(r));
	strbuf_printf(out, ", f_namelen=%u", read_u32(r));
	strbuf_printf(out, ", f_frsize=%u, f_flags=", read_u32(r));
	name_set_put_flags(&names_st_flags, read_u32(r), out);
	strbuf_put_char(out, '}');
}
const struct record_layout layout_statfs64 = {.narrow_bytes = 84, .direction = ARG_OUT, .put = put_statfs64};
