/* SPDX-License-Identifier: MIT */
/* union bpf_attr of linux/bpf.h, by command. What lies behind the size that the caller gives is left out. */
#include "record_layout.h"

#define BPF_LAYOUT(what, bytes)                          \
	const struct record_layout layout_bpf_##what = { \
		.size_bytes = bytes, .narrow_bytes = bytes, .direction = ARG_IN, .fields = what##_fields}

static const struct record_field map_create_fields[] = {
	F_NAME("map_type", 4, bpf_map),
	F_U32("key_size"),
	F_U32("value_size"),
	F_U32("max_entries"),
	F_FLAGS("map_flags", 4, bpf_map_flags),
	F_S32("inner_map_fd"),
	{.kind = FIELD_UNSIGNED, .name = "numa_node", .size_bytes = 4, .flags = FIELD_F_NONZERO},
	F_TEXT("map_name", 16),
	F_U32("map_ifindex"),
	F_S32("btf_fd"),
	F_U32("btf_key_type_id"),
	F_U32("btf_value_type_id"),
	F_U32("btf_vmlinux_value_type_id"),
	F_X64("map_extra"),
	F_END};
BPF_LAYOUT(map_create, 72);

static const struct record_field element_fields[] = {F_S32("map_fd"), F_POINTER64("key"), F_POINTER64("value"),
						     F_FLAGS("flags", 8, bpf_update), F_END};
BPF_LAYOUT(element, 32);

static const struct record_field next_key_fields[] = {F_S32("map_fd"), F_POINTER64("key"), F_POINTER64("next_key"),
						      F_END};
BPF_LAYOUT(next_key, 24);

static const struct record_field delete_fields[] = {F_S32("map_fd"), F_POINTER64("key"), F_END};
BPF_LAYOUT(delete, 16);

static void put_kernel_version(struct record_reader *r, struct strbuf *out)
{
	uint32_t version = read_u32(r);

	strbuf_printf(out, "KERNEL_VERSION(%u, %u, %u)", version >> 16, version >> 8 & 0xff, version & 0xff);
}
static const struct record_layout layout_kernel_version = {.size_bytes = 4, .put = put_kernel_version};

static const struct record_field prog_load_fields[] = {F_NAME("prog_type", 4, bpf_program),
						       F_U32("insn_cnt"),
						       F_POINTER64("insns"),
						       F_POINTER64("license"),
						       F_U32("log_level"),
						       F_U32("log_size"),
						       F_POINTER64("log_buf"),
						       F_RECORD("kern_version", kernel_version),
						       F_FLAGS("prog_flags", 4, bpf_load),
						       F_TEXT("prog_name", 16),
						       F_U32("prog_ifindex"),
						       F_NAME("expected_attach_type", 4, bpf_attach),
						       F_S32("prog_btf_fd"),
						       F_U32("func_info_rec_size"),
						       F_POINTER64("func_info"),
						       F_U32("func_info_cnt"),
						       F_U32("line_info_rec_size"),
						       F_POINTER64("line_info"),
						       F_U32("line_info_cnt"),
						       F_U32("attach_btf_id"),
						       F_S32("attach_prog_fd"),
						       F_U32("core_relo_cnt"),
						       F_POINTER64("fd_array"),
						       F_POINTER64("core_relos"),
						       F_U32("core_relo_rec_size"),
						       F_END};
BPF_LAYOUT(prog_load, 148);

static const struct record_field object_fields[] = {F_POINTER64("pathname"), F_S32("bpf_fd"),
						    F_FLAGS("file_flags", 4, bpf_map_flags), F_END};
BPF_LAYOUT(object, 16);

static const struct record_field attach_fields[] = {
	F_S32("target_fd"),    F_S32("attach_bpf_fd"),  F_NAME("attach_type", 4, bpf_attach),
	F_X32("attach_flags"), F_S32("replace_bpf_fd"), F_END};
BPF_LAYOUT(attach, 20);

static const struct record_field id_fields[] = {F_U32("start_id"), F_U32("next_id"), F_X32("open_flags"), F_END};
BPF_LAYOUT(id, 12);

static const struct record_field map_id_fields[] = {F_U32("map_id"), F_U32("next_id"), F_X32("open_flags"), F_END};
BPF_LAYOUT(map_id, 12);

static const struct record_field prog_id_fields[] = {F_U32("prog_id"), F_U32("next_id"), F_X32("open_flags"), F_END};
BPF_LAYOUT(prog_id, 12);

static const struct record_field info_inner_fields[] = {F_S32("bpf_fd"), F_U32("info_len"), F_POINTER64("info"), F_END};
static const struct record_layout layout_info_inner = {.size_bytes = 16, .fields = info_inner_fields};
static const struct record_field info_fields[] = {F_RECORD("info", info_inner), F_END};
BPF_LAYOUT(info, 16);

static const struct record_field btf_load_fields[] = {F_POINTER64("btf"),     F_POINTER64("btf_log_buf"),
						      F_U32("btf_size"),      F_U32("btf_log_size"),
						      F_U32("btf_log_level"), F_END};
BPF_LAYOUT(btf_load, 28);

static const struct record_field link_inner_fields[] = {F_S32("prog_fd"), F_S32("target_fd"),
							F_NAME("attach_type", 4, bpf_attach), F_X32("flags"), F_END};
static const struct record_layout layout_link_inner = {.size_bytes = 16, .fields = link_inner_fields};
static const struct record_field link_create_fields[] = {F_RECORD("link_create", link_inner), F_END};
BPF_LAYOUT(link_create, 16);

static const struct record_field raw_tracepoint_inner_fields[] = {F_POINTER64("name"), F_S32("prog_fd"), F_END};
static const struct record_layout layout_raw_tracepoint_inner = {.size_bytes = 12,
								 .fields = raw_tracepoint_inner_fields};
static const struct record_field raw_tracepoint_fields[] = {F_RECORD("raw_tracepoint", raw_tracepoint_inner), F_END};
BPF_LAYOUT(raw_tracepoint, 12);
