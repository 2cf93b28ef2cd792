/* SPDX-License-Identifier: MIT */
/* Arguments that are sets and lists: signals, descriptors, CPUs, directory entries; clone3's struct. */
#include <dirent.h>
#include <string.h>

#include <linux/sched.h>

#include "arg_put.h"
#include "plan_abi.h"
#include "user_abi.h"

static uint64_t set_u64(const struct captured *piece)
{
	struct record_reader r = {.data = piece->data, .len = piece->len};

	return read_u64(&r);
}

bool put_sigset_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct captured piece;

	if ((out_arg && !arg_is_written(ctx)) || !arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece) ||
	    piece.len < 8)
		return false;
	signal_set_put(set_u64(&piece), ctx->out);
	return true;
}

bool put_sigset_pair_arg(struct arg_context *ctx)
{
	struct record_reader r = {.narrow = ctx->narrow};
	struct captured pair, set;
	uint64_t gva, size_bytes;

	if (!arg_piece(ctx, CAPTURED_BEFORE, &pair) || pair.len < (ctx->narrow ? 8u : 16u))
		return false;
	r.data = pair.data;
	r.len = pair.len;
	gva = read_word(&r);
	size_bytes = read_word(&r);
	strbuf_put(ctx->out, "{sigmask=");
	if (captured_find(ctx->call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index), gva, &set) &&
	    set.len >= 8)
		signal_set_put(set_u64(&set), ctx->out);
	else
		put_address(gva, ctx->out);
	strbuf_printf(ctx->out, ", sigsetsize=%llu}", (unsigned long long)size_bytes);
	return true;
}

bool put_fd_set(const struct captured *piece, uint64_t count, struct strbuf *out)
{
	bool any = false;

	if (piece->len < (count + 7) / 8)
		return false;
	strbuf_put_char(out, '[');
	for (uint64_t fd = 0; fd < count; fd++) {
		if (!(piece->data[fd / 8] >> fd % 8 & 1))
			continue;
		strbuf_printf(out, "%s%llu", any ? " " : "", (unsigned long long)fd);
		any = true;
	}
	strbuf_put_char(out, ']');
	return true;
}

bool put_fdset_arg(struct arg_context *ctx)
{
	struct captured piece;
	uint64_t count;

	if (!arg_length(ctx, &count) || (int32_t)(uint32_t)count < 0)
		return false;
	return arg_piece(ctx, CAPTURED_BEFORE, &piece) && put_fd_set(&piece, (uint32_t)count, ctx->out);
}

bool put_cpuset_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct captured piece;
	uint64_t bytes;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &bytes) || bytes > UINT32_MAX ||
	    !arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece))
		return false;
	return put_fd_set(&piece, bytes * 8, ctx->out);
}

/* ---- directory entries: struct linux_dirent64 {u64 ino; s64 off; u16 reclen; u8 type; char name[]} ---- */

#define DIRENT_HEAD_BYTES 19

static void put_entry(const uint8_t *data, size_t len, struct strbuf *out)
{
	struct record_reader r = {.data = data, .len = len};
	uint64_t inode = read_u64(&r), offset = read_u64(&r);
	uint16_t record_bytes = read_u16(&r);

	strbuf_printf(out, "{d_ino=%llu, d_off=%lld, d_reclen=%u, d_type=", (unsigned long long)inode,
		      (long long)offset, record_bytes);
	name_set_put_one(&names_entry_type, read_u8(&r), out);
	strbuf_put(out, ", d_name=");
	put_quoted(data + DIRENT_HEAD_BYTES, strnlen((const char *)data + DIRENT_HEAD_BYTES, len - DIRENT_HEAD_BYTES),
		   true, out);
	strbuf_put_char(out, '}');
}

static size_t entry_bytes(const struct captured *piece, size_t at)
{
	size_t left = piece->len - at, bytes;

	if (left < DIRENT_HEAD_BYTES)
		return 0;
	bytes = piece->data[at + 16] | (size_t)piece->data[at + 17] << 8;
	return bytes > DIRENT_HEAD_BYTES && bytes <= left ? bytes : 0;
}

bool put_dirents_arg(struct arg_context *ctx)
{
	struct captured piece = {0};
	size_t entries = 0, end;
	uint64_t total;
	bool all;

	if (!arg_is_written(ctx) || !arg_length(ctx, &total))
		return false;
	if (total && !arg_piece(ctx, CAPTURED_AFTER, &piece))
		return false;
	all = piece.len >= total;
	if (all)
		piece.len = (size_t)total;
	for (end = 0; end < piece.len; entries++) {
		size_t bytes = entry_bytes(&piece, end);

		if (!bytes)
			break;
		end += bytes;
	}
	/* what ends in the middle of an entry was cut by the capture; else it is no list of entries */
	if (end < piece.len && (all || !entries))
		return false;
	if (ctx->brief) {
		put_address(arg_value(ctx), ctx->out);
		strbuf_printf(ctx->out, " /* %zu %sentr%s */", entries, all ? "" : "or more ",
			      entries == 1 ? "y" : "ies");
		return true;
	}
	strbuf_put_char(ctx->out, '[');
	for (size_t at = 0; at < end; at += entry_bytes(&piece, at)) {
		if (at)
			strbuf_put(ctx->out, ", ");
		put_entry(piece.data + at, entry_bytes(&piece, at), ctx->out);
	}
	strbuf_put(ctx->out, all ? "]" : ", ...]");
	return true;
}

/* ---- clone3 --------------------------------------------------------------- */

struct clone_request {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, set_tid_size,
		cgroup;
};

static void put_field(const char *name, uint64_t value, bool address, struct strbuf *out)
{
	strbuf_put(out, name);
	if (address)
		put_address(value, out);
	else
		strbuf_printf(out, "%#llx", (unsigned long long)value);
}

static void put_clone_request(const struct clone_request *a, struct strbuf *out)
{
	strbuf_put(out, "{flags=");
	name_set_put_flags(&names_clone, a->flags, out);
	if (a->flags & CLONE_PIDFD)
		put_field(", pidfd=", a->pidfd, true, out);
	if (a->flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
		put_field(", child_tid=", a->child_tid, true, out);
	if (a->flags & CLONE_PARENT_SETTID)
		put_field(", parent_tid=", a->parent_tid, true, out);
	strbuf_put(out, ", exit_signal=");
	if (a->exit_signal > UINT32_MAX || !signal_name_put((uint32_t)a->exit_signal, out))
		strbuf_put_u64(out, a->exit_signal);
	put_field(", stack=", a->stack, true, out);
	put_field(", stack_size=", a->stack_bytes, false, out);
	if (a->flags & CLONE_SETTLS)
		put_field(", tls=", a->tls, true, out);
	if (a->set_tid || a->set_tid_size) {
		put_field(", set_tid=", a->set_tid, true, out);
		strbuf_printf(out, ", set_tid_size=%llu", (unsigned long long)a->set_tid_size);
	}
	if (a->flags & CLONE_INTO_CGROUP)
		strbuf_printf(out, ", cgroup=%llu", (unsigned long long)a->cgroup);
	strbuf_put_char(out, '}');
}

bool put_clone_args_arg(struct arg_context *ctx)
{
	struct clone_request a;
	struct captured piece;
	struct record_reader r = {0};

	if (!arg_piece(ctx, CAPTURED_BEFORE, &piece) || piece.len < CLONE_ARGS_SIZE_VER0)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	a.flags = read_u64(&r);
	a.pidfd = read_u64(&r);
	a.child_tid = read_u64(&r);
	a.parent_tid = read_u64(&r);
	a.exit_signal = read_u64(&r);
	a.stack = read_u64(&r);
	a.stack_bytes = read_u64(&r);
	a.tls = read_u64(&r);
	a.set_tid = read_u64(&r);
	a.set_tid_size = read_u64(&r);
	a.cgroup = read_u64(&r);
	put_clone_request(&a, ctx->out);
	if (a.flags & CLONE_PARENT_SETTID && call_is_ok(ctx->call) &&
	    captured_find(ctx->call, CAPTURED_AFTER, (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index), a.parent_tid, &piece) &&
	    piece.len >= 4) {
		r = (struct record_reader){.data = piece.data, .len = piece.len};
		strbuf_printf(ctx->out, " => {parent_tid=[%d]}", (int32_t)read_u32(&r));
	}
	return true;
}
