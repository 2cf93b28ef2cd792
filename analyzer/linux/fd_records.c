/* SPDX-License-Identifier: MIT */
/*
 * What is read from and written to descriptors that carry structs, not text:
 * inotify, fanotify, signalfd, eventfd, timerfd. Layouts of the uapi headers, which
 * are alike for 32-bit programs.
 */
#include <linux/fanotify.h>
#include <signal.h>
#include <string.h>

#include "arg_put.h"
#include "fd_object.h"

/* inotify.h: struct inotify_event {s32 wd; u32 mask, cookie, len; char name[len]} */
#define INOTIFY_HEAD_BYTES 16

static size_t put_inotify(struct record_reader *r, struct strbuf *out)
{
	int32_t watch = (int32_t)read_u32(r);
	uint32_t mask = read_u32(r), cookie = read_u32(r), len = read_u32(r);
	const char *name = (const char *)r->data + INOTIFY_HEAD_BYTES;

	if (len > r->len - INOTIFY_HEAD_BYTES)
		return 0;
	strbuf_put(out, "{wd=");
	strbuf_put_i64(out, watch);
	strbuf_put(out, ", mask=");
	name_set_put_flags(&names_inotify, mask, out);
	strbuf_put(out, ", cookie=");
	strbuf_put_u64(out, cookie);
	if (len) {
		strbuf_put(out, ", name=");
		put_quoted((const uint8_t *)name, strnlen(name, len), true, out);
	}
	strbuf_put_char(out, '}');
	return INOTIFY_HEAD_BYTES + (size_t)len;
}

/* signalfd.h: struct signalfd_siginfo; which fields mean something depends on the code, the others are 0 */
#define SIGNALFD_BYTES 128

static const struct record_field signalfd_fields[] = {
	{.name = "ssi_errno", .kind = FIELD_SIGNED, .size_bytes = 4, .at = 4 + 1, .flags = FIELD_F_NONZERO},
	{.name = "ssi_pid", .kind = FIELD_SIGNED, .size_bytes = 4, .at = 12 + 1, .flags = FIELD_F_NONZERO},
	{.name = "ssi_uid", .kind = FIELD_UNSIGNED, .size_bytes = 4},
	{.name = "ssi_fd", .kind = FIELD_SIGNED, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	{.name = "ssi_tid", .kind = FIELD_UNSIGNED, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	{.name = "ssi_band",
	 .kind = FIELD_FLAGS,
	 .size_bytes = 4,
	 .flags = FIELD_F_NONZERO,
	 .names = &names_poll_events},
	{.name = "ssi_overrun", .kind = FIELD_UNSIGNED, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	{.name = "ssi_trapno", .kind = FIELD_UNSIGNED, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	{.name = "ssi_status", .kind = FIELD_SIGNED, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	{.name = "ssi_int", .kind = FIELD_SIGNED, .size_bytes = 4, .flags = FIELD_F_NONZERO},
	{.name = "ssi_ptr", .kind = FIELD_HEX, .size_bytes = 8, .flags = FIELD_F_NONZERO},
	{.name = "ssi_utime", .kind = FIELD_UNSIGNED, .size_bytes = 8, .flags = FIELD_F_NONZERO},
	{.name = "ssi_stime", .kind = FIELD_UNSIGNED, .size_bytes = 8, .flags = FIELD_F_NONZERO},
	{.name = "ssi_addr", .kind = FIELD_HEX, .size_bytes = 8, .flags = FIELD_F_NONZERO},
	F_END,
};
static const struct record_layout layout_signalfd = {.size_bytes = SIGNALFD_BYTES, .fields = signalfd_fields};

static size_t put_signalfd(struct record_reader *r, struct strbuf *out)
{
	uint32_t number = read_u32(r), code;

	if (r->len < SIGNALFD_BYTES)
		return 0;
	read_u32(r);
	code = read_u32(r);
	r->at = 0;
	strbuf_put(out, "{ssi_signo=");
	if (!signal_name_put(number, out))
		strbuf_put_u64(out, number);
	strbuf_put(out, ", ssi_code=");
	name_set_put_one(signal_code_names(number, code), code, out);
	strbuf_put(out, ", ");
	record_put_members(&layout_signalfd, r, out);
	strbuf_put_char(out, '}');
	return SIGNALFD_BYTES;
}

static size_t put_counter(struct record_reader *r, struct strbuf *out)
{
	if (r->len < 8)
		return 0;
	strbuf_put_u64(out, read_u64(r));
	return 8;
}

/* ---- fanotify.h: struct fanotify_event_metadata, then {u8 type, pad; u16 len} and what the type says ---- */

#define FANOTIFY_HEAD_BYTES 24
#define INFO_HEAD_BYTES     4
#define FID_HEAD_BYTES      8 /* struct file_handle: u32 bytes; s32 type; the handle */

static bool has_name(uint8_t type)
{
	return type == FAN_EVENT_INFO_TYPE_DFID_NAME || type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME ||
	       type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME;
}

static void put_file_id(struct record_reader *r, uint8_t type, struct strbuf *out)
{
	uint32_t first = read_u32(r), second = read_u32(r), bytes = read_u32(r);
	int32_t kind = (int32_t)read_u32(r);
	size_t left = r->len > r->at ? r->len - r->at : 0;

	strbuf_put(out, ", fsid={val=[");
	strbuf_put_hex(out, first);
	strbuf_put(out, ", ");
	strbuf_put_hex(out, second);
	strbuf_put(out, "]}, handle_type=");
	strbuf_put_i64(out, kind);
	strbuf_put(out, ", f_handle=0x");
	strbuf_put_hex_bytes(out, r->data + (left ? r->at : 0), bytes < left ? bytes : left);
	if (has_name(type) && bytes < left) {
		strbuf_put(out, ", name=");
		put_quoted(r->data + r->at + bytes, strnlen((const char *)r->data + r->at + bytes, left - bytes), true,
			   out);
	}
}

static void put_info(struct record_reader *r, uint8_t type, struct strbuf *out)
{
	strbuf_put(out, "{info_type=");
	name_set_put_one(&names_fanotify_info, type, out);
	switch (type) {
	case FAN_EVENT_INFO_TYPE_PIDFD:
		strbuf_put(out, ", pidfd=");
		strbuf_put_i64(out, (int32_t)read_u32(r));
		break;
	case FAN_EVENT_INFO_TYPE_ERROR:
		strbuf_put(out, ", error=");
		strbuf_put_i64(out, (int32_t)read_u32(r));
		strbuf_put(out, ", error_count=");
		strbuf_put_u64(out, read_u32(r));
		break;
	case FAN_EVENT_INFO_TYPE_FID:
	case FAN_EVENT_INFO_TYPE_DFID:
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		put_file_id(r, type, out);
		break;
	default:
		break;
	}
	strbuf_put_char(out, '}');
}

static void put_infos(const uint8_t *data, size_t len, struct strbuf *out)
{
	size_t at = 0;

	strbuf_put(out, ", info=[");
	while (len - at >= INFO_HEAD_BYTES) {
		size_t bytes = data[at + 2] | (size_t)data[at + 3] << 8;
		struct record_reader r = {.data = data + at, .len = bytes, .at = INFO_HEAD_BYTES};

		if (bytes < INFO_HEAD_BYTES || bytes > len - at)
			break;
		if (at)
			strbuf_put(out, ", ");
		put_info(&r, data[at], out);
		at += bytes;
	}
	strbuf_put(out, at < len ? at ? ", ...]" : "...]" : "]");
}

static size_t put_fanotify(struct record_reader *r, struct strbuf *out)
{
	uint32_t bytes = read_u32(r);
	uint8_t version = read_u8(r);
	uint16_t head;

	read_u8(r);
	head = read_u16(r);
	if (r->len < FANOTIFY_HEAD_BYTES || head < FANOTIFY_HEAD_BYTES || bytes < head || bytes > r->len)
		return 0;
	strbuf_put(out, "{vers=");
	strbuf_put_u64(out, version);
	strbuf_put(out, ", mask=");
	name_set_put_flags(&names_fanotify_mask, read_u64(r), out);
	strbuf_put(out, ", fd=");
	strbuf_put_i64(out, (int32_t)read_u32(r));
	strbuf_put(out, ", pid=");
	strbuf_put_i64(out, (int32_t)read_u32(r));
	if (bytes > head)
		put_infos(r->data + head, bytes - head, out);
	strbuf_put_char(out, '}');
	return bytes;
}

/* struct fanotify_response {s32 fd; u32 response} */
static size_t put_response(struct record_reader *r, struct strbuf *out)
{
	if (r->len < 8)
		return 0;
	strbuf_put(out, "{fd=");
	strbuf_put_i64(out, (int32_t)read_u32(r));
	strbuf_put(out, ", response=");
	name_set_put_flags(&names_fanotify_response, read_u32(r), out);
	strbuf_put_char(out, '}');
	return 8;
}

/* ---- which -------------------------------------------------------------- */

/* Appends one record and returns its size; 0: it is not all there, nothing was appended. */
typedef size_t (*put_record_fn)(struct record_reader *r, struct strbuf *out);

static put_record_fn printer_of(enum fd_kind kind, bool reads, size_t *head_bytes)
{
	*head_bytes = 8;
	if (kind == FD_EVENTFD)
		return put_counter;
	if (!reads)
		return kind == FD_FANOTIFY ? put_response : NULL;
	switch (kind) {
	case FD_TIMERFD:
		return put_counter;
	case FD_SIGNALFD:
		*head_bytes = SIGNALFD_BYTES;
		return put_signalfd;
	case FD_INOTIFY:
		*head_bytes = INOTIFY_HEAD_BYTES;
		return put_inotify;
	case FD_FANOTIFY:
		*head_bytes = FANOTIFY_HEAD_BYTES;
		return put_fanotify;
	default:
		return NULL;
	}
}

bool call_has_fd_records(const struct call *call)
{
	const struct call_fds *fds = call->fds;
	const struct fd_object *object = fds ? fds->objects[0] : NULL;
	size_t unused;

	/* printer_of() knows one for a read of each kind that has any */
	return object && fds->args & 1 && !(fds->uncertain & 1) && printer_of(object->kind, true, &unused);
}

bool put_fd_records(const struct arg_context *ctx, const struct captured *piece, uint64_t total)
{
	size_t at = 0, bytes, head_bytes, start = ctx->out->len;
	put_record_fn put;

	/* read(fd, buffer, bytes) and write(fd, buffer, bytes) alone */
	if (ctx->index != 1 || !call_has_fd_records(ctx->call))
		return false;
	put = printer_of(ctx->call->fds->objects[0]->kind, ctx->arg.direction == ARG_OUT, &head_bytes);
	if (!put || !ctx->spec || (strcmp(ctx->spec->name, "read") && strcmp(ctx->spec->name, "write")))
		return false;
	strbuf_put_char(ctx->out, '[');
	while (piece->len - at >= head_bytes && !arg_text_is_full(ctx, start)) {
		struct record_reader r = {.data = piece->data + at, .len = piece->len - at};
		size_t len = ctx->out->len;

		if (at)
			strbuf_put(ctx->out, ", ");
		bytes = put(&r, ctx->out);
		if (!bytes) {
			strbuf_cut(ctx->out, len);
			break;
		}
		at += bytes;
	}
	strbuf_put(ctx->out, at == total ? "]" : at ? ", ...]" : "...]");
	if (at)
		return true;
	strbuf_cut(ctx->out, start);
	return false;
}
