/* SPDX-License-Identifier: MIT */
/* Structs of rings, events, limits of a task, mounts: each as the uapi header of its name has it. */
#include "record_layout.h"

/* ---- linux/io_uring.h ----------------------------------------------------- */

static const struct record_field sq_offsets_fields[] = {
	F_U32("head"),      F_U32("tail"),
	F_U32("ring_mask"), F_U32("ring_entries"),
	F_U32("flags"),     F_U32("dropped"),
	F_U32("array"),     {.name = "resv1", .kind = FIELD_HEX, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	F_SKIP(8),          F_END};
static const struct record_layout layout_sq_offsets = {.size_bytes = 40, .fields = sq_offsets_fields};

static const struct record_field cq_offsets_fields[] = {
	F_U32("head"),      F_U32("tail"),
	F_U32("ring_mask"), F_U32("ring_entries"),
	F_U32("overflow"),  F_U32("cqes"),
	F_U32("flags"),     {.name = "resv1", .kind = FIELD_HEX, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	F_SKIP(8),          F_END};
static const struct record_layout layout_cq_offsets = {.size_bytes = 40, .fields = cq_offsets_fields};

static const struct record_field uring_asked_fields[] = {F_SKIP(8), F_FLAGS("flags", 4, io_uring_setup),
							 F_U32("sq_thread_cpu"), F_U32("sq_thread_idle"), F_END};

static void put_uring_made(struct record_reader *r, struct strbuf *out)
{
	uint32_t sq = read_u32(r), cq = read_u32(r);

	strbuf_put(out, "{flags=");
	name_set_put_flags(&names_io_uring_setup, read_u32(r), out);
	strbuf_printf(out, ", sq_thread_cpu=%u", read_u32(r));
	strbuf_printf(out, ", sq_thread_idle=%u, sq_entries=%u, cq_entries=%u, features=", read_u32(r), sq, cq);
	name_set_put_flags(&names_io_uring_feature, read_u32(r), out);
	read_skip(r, 16); /* wq_fd, resv */
	strbuf_put(out, ", sq_off=");
	record_put(&layout_sq_offsets, r, out);
	strbuf_put(out, ", cq_off=");
	record_put(&layout_cq_offsets, r, out);
	strbuf_put_char(out, '}');
}

static const struct record_layout layout_uring_made = {.size_bytes = 120, .narrow_bytes = 120, .put = put_uring_made};
const struct record_layout layout_uring_params = {.types = {"struct io_uring_params"},
						  .size_bytes = 120,
						  .narrow_bytes = 120,
						  .direction = ARG_INOUT,
						  .fields = uring_asked_fields,
						  .written = &layout_uring_made};

/* struct io_uring_getevents_arg; min_wait_usec is padding before 6.12 */
static const struct record_field uring_wait_fields[] = {
	F_POINTER64("sigmask"),
	F_U32("sigmask_sz"),
	{.kind = FIELD_UNSIGNED, .name = "min_wait_usec", .size_bytes = 4, .flags = FIELD_F_NONZERO},
	F_POINTER64("ts"),
	F_END};
const struct record_layout layout_uring_wait = {
	.size_bytes = 24, .narrow_bytes = 24, .direction = ARG_IN, .fields = uring_wait_fields};

/* ---- linux/futex.h, linux/aio_abi.h ------------------------------------------ */

static const struct record_field futex_waitv_fields[] = {F_X64("val"), F_POINTER64("uaddr"),
							 F_FLAGS("flags", 4, futex_waiter), F_SKIP(4), F_END};
const struct record_layout layout_futex_waitv = {.types = {"struct futex_waitv"},
						 .size_bytes = 24,
						 .narrow_bytes = 24,
						 .direction = ARG_IN,
						 .fields = futex_waitv_fields};

static const struct record_field futex_pair_fields[] = {{.kind = FIELD_RECORD, .n = 2, .layout = &layout_futex_waitv},
							F_END};
const struct record_layout layout_futex_pair = {
	.size_bytes = 48, .narrow_bytes = 48, .direction = ARG_IN, .fields = futex_pair_fields};

static const struct record_field io_event_fields[] = {F_X64("data"), F_X64("obj"), F_S64("res"), F_S64("res2"), F_END};
const struct record_layout layout_io_event = {.types = {"struct io_event"},
					      .size_bytes = 32,
					      .narrow_bytes = 32,
					      .direction = ARG_OUT,
					      .fields = io_event_fields};

static void put_iocb(struct record_reader *r, struct strbuf *out)
{
	uint64_t data = read_u64(r), buffer, bytes;
	uint16_t opcode, priority;
	int64_t offset;
	uint32_t fd, flags, event_fd;

	read_skip(r, 8); /* key, rw_flags */
	opcode = read_u16(r);
	priority = read_u16(r);
	fd = read_u32(r);
	buffer = read_u64(r);
	bytes = read_u64(r);
	offset = (int64_t)read_u64(r);
	read_skip(r, 8);
	flags = read_u32(r);
	event_fd = read_u32(r);
	strbuf_put_char(out, '{');
	strbuf_printf(out, "aio_data=%#llx, aio_lio_opcode=", (unsigned long long)data);
	name_set_put_one(&names_aio_command, opcode, out);
	if (priority)
		strbuf_printf(out, ", aio_reqprio=%d", (int16_t)priority);
	strbuf_printf(out, ", aio_fildes=%d", (int32_t)fd);
	/* pread, pwrite, poll's event mask, preadv, pwritev */
	if (opcode <= 1 || opcode == 7 || opcode == 8) {
		strbuf_printf(out, ", aio_buf=%#llx, aio_nbytes=%llu, aio_offset=%lld", (unsigned long long)buffer,
			      (unsigned long long)bytes, (long long)offset);
	} else if (opcode == 5) {
		strbuf_put(out, ", aio_buf=");
		name_set_put_flags(&names_poll_events, (uint32_t)buffer, out);
	}
	if (flags) {
		strbuf_put(out, ", aio_flags=");
		name_set_put_flags(&names_aio_flags, flags, out);
		strbuf_printf(out, ", aio_resfd=%d", (int32_t)event_fd);
	}
	strbuf_put_char(out, '}');
}

const struct record_layout layout_iocb = {
	.types = {"struct iocb"}, .size_bytes = 64, .narrow_bytes = 64, .direction = ARG_IN, .put = put_iocb};

/* ---- linux/sched/types.h -------------------------------------------------------- */

static const struct record_field sched_attr_fields[] = {F_U32("size"),
							F_NAME("sched_policy", 4, sched),
							F_FLAGS("sched_flags", 8, sched_attr_flags),
							F_S32("sched_nice"),
							F_U32("sched_priority"),
							F_U64("sched_runtime"),
							F_U64("sched_deadline"),
							F_U64("sched_period"),
							F_U32("sched_util_min"),
							F_U32("sched_util_max"),
							F_END};
const struct record_layout layout_sched_attr = {.types = {"struct sched_attr"},
						.size_bytes = 56,
						.narrow_bytes = 56,
						.direction = ARG_IN,
						.fields = sched_attr_fields};

/* ---- linux/mount.h, linux/landlock.h, linux/seccomp.h ------------------------------- */

static const struct record_field mount_attr_fields[] = {F_FLAGS("attr_set", 8, mount_attr),
							F_FLAGS("attr_clr", 8, mount_attr),
							F_NAME("propagation", 8, mount), F_S64("userns_fd"), F_END};
const struct record_layout layout_mount_attr = {.types = {"struct mount_attr"},
						.size_bytes = 32,
						.narrow_bytes = 32,
						.direction = ARG_IN,
						.fields = mount_attr_fields};

static const struct record_field landlock_ruleset_fields[] = {F_FLAGS("handled_access_fs", 8, landlock_fs),
							      F_FLAGS("handled_access_net", 8, landlock_net),
							      F_X64("scoped"), F_END};
const struct record_layout layout_landlock_ruleset = {.types = {"struct landlock_ruleset_attr"},
						      .size_bytes = 24,
						      .narrow_bytes = 24,
						      .direction = ARG_IN,
						      .fields = landlock_ruleset_fields};

static const struct record_field landlock_path_fields[] = {F_FLAGS("allowed_access", 8, landlock_fs),
							   F_S32("parent_fd"), F_END};
const struct record_layout layout_landlock_path = {
	.size_bytes = 12, .narrow_bytes = 12, .direction = ARG_IN, .fields = landlock_path_fields};

static const struct record_field landlock_port_fields[] = {F_FLAGS("allowed_access", 8, landlock_net), F_U64("port"),
							   F_END};
const struct record_layout layout_landlock_port = {
	.size_bytes = 16, .narrow_bytes = 16, .direction = ARG_IN, .fields = landlock_port_fields};

/* linux/filter.h: struct sock_fprog */
static const struct record_field filter_program_fields[] = {F_U16("len"), F_POINTER("filter"), F_END};
const struct record_layout layout_filter_program = {
	.size_bytes = 16, .narrow_bytes = 8, .direction = ARG_IN, .fields = filter_program_fields};

static void put_seccomp_action(struct record_reader *r, struct strbuf *out)
{
	name_set_put_one(&names_seccomp_action, read_u32(r), out);
}
const struct record_layout layout_seccomp_action = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_IN, .put = put_seccomp_action};

static const struct record_field seccomp_sizes_fields[] = {F_U16("seccomp_notif"), F_U16("seccomp_notif_resp"),
							   F_U16("seccomp_data"), F_END};
const struct record_layout layout_seccomp_sizes = {
	.size_bytes = 6, .narrow_bytes = 6, .direction = ARG_OUT, .fields = seccomp_sizes_fields};

/* ---- linux/perf_event.h ----------------------------------------------------------------- */

static void put_perf_config(uint32_t type, uint64_t config, struct strbuf *out)
{
	switch (type) {
	case 0: /* PERF_TYPE_HARDWARE */
		name_set_put_one(&names_perf_hardware, config, out);
		break;
	case 1: /* PERF_TYPE_SOFTWARE */
		name_set_put_one(&names_perf_software, config, out);
		break;
	case 2: /* PERF_TYPE_TRACEPOINT: the number of an event */
		strbuf_put_u64(out, config);
		break;
	default:
		strbuf_printf(out, "%#llx", (unsigned long long)config);
		break;
	}
}

static void put_perf_attr(struct record_reader *r, struct strbuf *out)
{
	static const uint16_t versions[] = {64, 72, 80, 96, 104, 112, 120, 128, 136};
	static const char *const bits[] = {"disabled",       "inherit",        "pinned",     "exclusive",
					   "exclude_user",   "exclude_kernel", "exclude_hv", "exclude_idle",
					   "mmap",           "comm",           "freq",       "inherit_stat",
					   "enable_on_exec", "task",           "watermark"};
	static const char *const skids[] = {"arbitrary skid", "constant skid", "requested to have 0 skid",
					    "must have 0 skid"};
	uint32_t type = read_u32(r), size_bytes = read_u32(r);
	uint64_t config = read_u64(r), period = read_u64(r), sample = read_u64(r), format = read_u64(r);
	uint64_t flags = read_u64(r);
	size_t version = 0, nr_versions = sizeof(versions) / sizeof(versions[0]);

	strbuf_put(out, "{type=");
	name_set_put_one(&names_perf_type, type, out);
	strbuf_put(out, ", size=");
	while (version < nr_versions && versions[version] != size_bytes)
		version++;
	if (version < nr_versions)
		strbuf_printf(out, "PERF_ATTR_SIZE_VER%zu", version);
	else
		strbuf_printf(out, "%#x /* PERF_ATTR_SIZE_??? */", size_bytes);
	strbuf_put(out, ", config=");
	put_perf_config(type, config, out);
	strbuf_printf(out, ", %s=%llu, sample_type=", flags >> 10 & 1 ? "sample_freq" : "sample_period",
		      (unsigned long long)period);
	name_set_put_flags(&names_perf_sample, sample, out);
	strbuf_put(out, ", read_format=");
	name_set_put_flags(&names_perf_read, format, out);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		if (flags >> i & 1)
			strbuf_printf(out, ", %s=1", bits[i]);
	}
	strbuf_printf(out, ", precise_ip=%u /* %s */", (unsigned)(flags >> 15 & 3), skids[flags >> 15 & 3]);
	strbuf_put(out, ", ...}");
}
const struct record_layout layout_perf_attr = {.types = {"struct perf_event_attr"},
					       .size_bytes = 136,
					       .narrow_bytes = 136,
					       .direction = ARG_IN,
					       .put = put_perf_attr};

/* ---- linux/timex.h ----------------------------------------------------------------------- */

static const struct record_layout layout_inner_timeval = {.size_bytes = 16, .put = put_timeval};
static const struct record_field timex_fields[] = {F_FLAGS("modes", 4, adjtimex_modes),
						   F_SWORD("offset"),
						   F_SWORD("freq"),
						   F_SWORD("maxerror"),
						   F_SWORD("esterror"),
						   F_FLAGS("status", 4, adjtimex_status),
						   F_SWORD("constant"),
						   F_SWORD("precision"),
						   F_SWORD("tolerance"),
						   F_RECORD("time", inner_timeval),
						   F_SWORD("tick"),
						   F_SWORD("ppsfreq"),
						   F_SWORD("jitter"),
						   F_S32("shift"),
						   F_SWORD("stabil"),
						   F_SWORD("jitcnt"),
						   F_SWORD("calcnt"),
						   F_SWORD("errcnt"),
						   F_SWORD("stbcnt"),
						   F_S32("tai"),
						   F_END};
const struct record_layout layout_timex = {.types = {"struct old_timex32"},
					   .size_bytes = 208,
					   .narrow_bytes = 128,
					   .direction = ARG_OUT,
					   .fields = timex_fields};

static void put_timex64(struct record_reader *r, struct strbuf *out)
{
	r->narrow = false;
	record_put(&layout_timex, r, out);
}
const struct record_layout layout_timex64 = {.types = {"struct __kernel_timex"},
					     .size_bytes = 208,
					     .narrow_bytes = 208,
					     .direction = ARG_OUT,
					     .put = put_timex64};

/* ---- handles of files, vectors of another process -------------------------------------------- */

static const struct record_field plain_iovec_fields[] = {F_POINTER("iov_base"), F_WORD("iov_len"), F_END};
const struct record_layout layout_plain_iovec = {
	.size_bytes = 16, .narrow_bytes = 8, .direction = ARG_IN, .fields = plain_iovec_fields};

/* linux/quota.h: struct if_dqblk, struct if_dqinfo; sizes in blocks of 1 KiB */
static const struct record_field quota_fields[] = {
	F_U64("dqb_bhardlimit"),
	F_U64("dqb_bsoftlimit"),
	F_U64("dqb_curspace"),
	F_U64("dqb_ihardlimit"),
	F_U64("dqb_isoftlimit"),
	F_U64("dqb_curinodes"),
	{.name = "dqb_btime", .kind = FIELD_UNSIGNED, .size_bytes = 8, .flags = FIELD_F_VERBOSE},
	{.name = "dqb_itime", .kind = FIELD_UNSIGNED, .size_bytes = 8, .flags = FIELD_F_VERBOSE},
	{.name = "dqb_valid",
	 .kind = FIELD_FLAGS,
	 .size_bytes = 4,
	 .flags = FIELD_F_VERBOSE,
	 .names = &names_quota_valid},
	F_END};
const struct record_layout layout_quota = {
	.size_bytes = 72, .narrow_bytes = 68, .direction = ARG_OUT, .fields = quota_fields};

static void put_quota_format(struct record_reader *r, struct strbuf *out)
{
	name_set_put_one(&names_quota_format, read_u32(r), out);
}
const struct record_layout layout_quota_format = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_quota_format};

static void put_aio_context(struct record_reader *r, struct strbuf *out)
{
	strbuf_printf(out, "%#llx", (unsigned long long)read_word(r));
}
const struct record_layout layout_aio_context = {.types = {"aio_context_t"},
						 .size_bytes = 8,
						 .narrow_bytes = 4,
						 .brackets = true,
						 .direction = ARG_OUT,
						 .put = put_aio_context};

static void put_mempolicy(struct record_reader *r, struct strbuf *out)
{
	name_set_put_flags(&names_mempolicy, read_u32(r), out);
}
const struct record_layout layout_mempolicy = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_mempolicy};
