/* SPDX-License-Identifier: MIT */
/* Arguments that point at something: strings, buffers, arrays, structs. */
#include "arg_put.h"

#include <errno.h>
#include <string.h>

#include "plan_abi.h"
#include "user_abi.h"

#define BRIEF_ITEMS 32 /* strings of a list, as strace shows by default */

uint64_t arg_value(const struct arg_context *ctx)
{
	uint64_t value = ctx->call->args[ctx->index];

	return ctx->narrow ? (uint32_t)value : value;
}

bool arg_piece(const struct arg_context *ctx, enum captured_when when, struct captured *out)
{
	return captured_find(ctx->call, when, (uint8_t)(PLAN_LABEL_ARG0 + ctx->index), arg_value(ctx), out);
}

bool arg_is_written(const struct arg_context *ctx)
{
	const struct call *call = ctx->call;

	switch ((enum arg_when)ctx->arg.when) {
	case ARG_WHEN_POSITIVE:
		return call_is_ok(call) && call->ret > 0;
	case ARG_WHEN_INTERRUPTED:
		/* what the kernel gives to ptrace, and what user space gets */
		return call->has_exit && call->ret_known && (call->ret == -516 || call->ret == -EINTR);
	default:
		return call_is_ok(call);
	}
}

static bool length_at(const struct arg_context *ctx, int index, uint64_t *out)
{
	uint64_t gva = ctx->narrow ? (uint32_t)ctx->call->args[index] : ctx->call->args[index];
	struct captured piece;

	if (!captured_find(ctx->call, CAPTURED_AFTER, (uint8_t)(PLAN_LABEL_ARG0 + index), gva, &piece) || piece.len < 4)
		return false;
	*out = piece.data[0] | piece.data[1] << 8 | piece.data[2] << 16 | (uint32_t)piece.data[3] << 24;
	return true;
}

static bool own_length(const struct arg_context *ctx, size_t offset, uint64_t *out)
{
	struct captured piece;
	struct record_reader r = {.at = offset};

	if (!arg_piece(ctx, CAPTURED_BEFORE, &piece) || piece.len < offset + 4)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	*out = read_u32(&r);
	return true;
}

bool arg_length(const struct arg_context *ctx, uint64_t *out)
{
	uint8_t len = ctx->arg.len;

	if (len == LEN_RET) {
		*out = (uint64_t)ctx->call->ret;
		return call_is_ok(ctx->call);
	}
	if (len >= LEN_AT && len < LEN_AT + LINUX_SYSCALL_ARGS)
		return length_at(ctx, len - LEN_AT, out);
	if (len == LEN_OWN0 || len == LEN_OWN4)
		return own_length(ctx, len == LEN_OWN0 ? 0 : 4, out);
	if (len >= LINUX_SYSCALL_ARGS)
		return false;
	*out = ctx->narrow ? (uint32_t)ctx->call->args[len] : ctx->call->args[len];
	return true;
}

void put_address(uint64_t value, struct strbuf *out)
{
	if (value)
		strbuf_put_hex(out, value);
	else
		strbuf_put(out, "NULL");
}

void put_quoted(const uint8_t *data, size_t len, bool all, struct strbuf *out)
{
	strbuf_put_char(out, '"');
	strbuf_put_escaped(out, data, len);
	strbuf_put(out, all ? "\"" : "\"...");
}

static bool put_string(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT, ended;
	struct captured piece;
	size_t len;

	if (out_arg && !arg_is_written(ctx))
		return false;
	if (!arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece))
		return false;
	/* The kernel could not read it to its end either. */
	if (!out_arg && !piece.whole && ctx->call->ret_known && ctx->call->ret == -EFAULT)
		return false;
	len = captured_string(&piece, &ended);
	put_quoted(piece.data, len, ended, ctx->out);
	return true;
}

/* What a buffer holds, and how many bytes it has in all; *total may be 0, with no piece. */
static bool find_buffer(const struct arg_context *ctx, struct captured *piece, uint64_t *total)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	uint64_t room;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, total))
		return false;
	/* recvfrom(MSG_TRUNC) returns more than there was room for */
	if (out_arg && ctx->index + 1 < call_spec_nr_args(ctx->call->syscall, ctx->spec)) {
		room = ctx->narrow ? (uint32_t)ctx->call->args[ctx->index + 1] : ctx->call->args[ctx->index + 1];
		*total = *total < room ? *total : room;
	}
	if (!*total)
		return true;
	if (!arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, piece) || !piece->len)
		return false;
	if (piece->len > *total)
		piece->len = (size_t)*total;
	return true;
}

static bool put_buffer(struct arg_context *ctx)
{
	struct captured piece = {0};
	uint64_t total;

	if (!find_buffer(ctx, &piece, &total))
		return false;
	if (!total)
		strbuf_put(ctx->out, "\"\"");
	else if (!ctx->call->show_fds || !put_fd_records(ctx, &piece, total))
		put_quoted(piece.data, piece.len, piece.len == total, ctx->out);
	return true;
}

bool put_buffer_records(struct arg_context *ctx)
{
	struct captured piece = {0};
	uint64_t total;

	return ctx->arg.kind == ARG_BUFFER && find_buffer(ctx, &piece, &total) && total &&
	       put_fd_records(ctx, &piece, total);
}

void put_more(bool any, uint64_t left, struct strbuf *out)
{
	strbuf_put(out, any ? ", ..." : "...");
	if (!left)
		return;
	strbuf_put(out, " /* ");
	strbuf_put_u64(out, left);
	strbuf_put(out, " more */");
}

static uint64_t item_word(const struct captured *array, size_t index, size_t word)
{
	struct record_reader r = {.data = array->data, .len = array->len, .at = index * word, .narrow = word == 4};

	return read_word(&r);
}

/* The pointers that lie in the array's own piece; *all: the array ends behind them. */
static bool string_array(const struct arg_context *ctx, struct captured *array, size_t *count, bool *all)
{
	size_t word = ctx->narrow ? 4 : 8;

	if (!arg_piece(ctx, CAPTURED_BEFORE, array))
		return false;
	*count = array->len / word;
	for (size_t i = 0; i < *count; i++) {
		if (!item_word(array, i, word))
			*count = i;
	}
	*all = *count < array->len / word || (array->whole && array->want == (*count + 1) * word);
	return true;
}

/*
 * A string of an exec's argv that was not in memory as the call began, from the
 * new program's own argv. An interpreter stands before the arguments of a script,
 * and the script's path in place of the first.
 */
static bool find_new_argument(struct arg_context *ctx, size_t item, size_t count, struct captured *out)
{
	uint8_t label = (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index);
	size_t new_count;

	captured_exit_item(ctx->call, label, 0, &new_count, out);
	if (new_count < count || (new_count > count && !item))
		return false;
	return captured_exit_item(ctx->call, label, item + (new_count - count), &new_count, out);
}

static bool put_strings(struct arg_context *ctx)
{
	size_t word = ctx->narrow ? 4 : 8, start = ctx->out->len, count, shown, i;
	struct captured array, piece;
	bool all, ended;

	if (!string_array(ctx, &array, &count, &all))
		return false;
	shown = ctx->brief && count > BRIEF_ITEMS ? BRIEF_ITEMS : count;
	strbuf_put_char(ctx->out, '[');
	for (i = 0; i < shown; i++) {
		uint64_t gva = item_word(&array, i, word);
		struct captured later;
		size_t len;
		bool found;

		if (arg_text_is_full(ctx, start))
			break;
		if (i)
			strbuf_put(ctx->out, ", ");
		found = captured_find(ctx->call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + ctx->index), gva, &piece);
		if ((!found || !piece.whole) && all && find_new_argument(ctx, i, count, &later)) {
			piece = later;
			found = true;
		}
		if (!found) {
			put_address(gva, ctx->out);
			continue;
		}
		len = captured_string(&piece, &ended);
		put_quoted(piece.data, len, ended, ctx->out);
	}
	if (!all || i < count)
		put_more(i > 0, all ? count - i : 0, ctx->out);
	strbuf_put_char(ctx->out, ']');
	return true;
}

/* Every string of the environment was taken. */
static bool environment_is_whole(const struct arg_context *ctx, const struct captured *array, size_t count)
{
	struct captured piece;

	for (size_t i = 0; i < count; i++) {
		uint64_t gva = item_word(array, i, ctx->narrow ? 4 : 8);
		bool ended;

		if (!captured_find(ctx->call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + ctx->index), gva, &piece))
			return false;
		captured_string(&piece, &ended);
		if (!ended)
			return false;
	}
	return true;
}

static bool put_environ(struct arg_context *ctx)
{
	struct captured array;
	size_t count;
	bool all;

	if (!string_array(ctx, &array, &count, &all))
		return false;
	if (!ctx->brief && all && environment_is_whole(ctx, &array, count))
		return put_strings(ctx);
	put_address(arg_value(ctx), ctx->out);
	strbuf_printf(ctx->out, " /* %zu%s var%s */", count, all ? "" : " or more", all && count == 1 ? "" : "s");
	return true;
}

bool put_iovecs(struct arg_context *ctx, enum captured_when when, uint8_t label, uint64_t gva, uint64_t items,
		uint64_t left)
{
	size_t word = ctx->narrow ? 4 : 8, start = ctx->out->len, count, i;
	struct captured array, piece;

	if (!captured_find_sized(ctx->call, when, label, gva, items * 2 * word, &array) &&
	    !captured_find(ctx->call, CAPTURED_BEFORE, label, gva, &array))
		return false;
	count = array.len / (2 * word);
	if (count > items)
		count = (size_t)items;
	strbuf_put_char(ctx->out, '[');
	for (i = 0; i < count && !arg_text_is_full(ctx, start); i++) {
		uint64_t base = item_word(&array, 2 * i, word), len = item_word(&array, 2 * i + 1, word);
		uint64_t shown = len < left ? len : left;

		strbuf_put(ctx->out, i ? ", {iov_base=" : "{iov_base=");
		if (!base || (when == CAPTURED_AFTER && !call_is_ok(ctx->call))) {
			put_address(base, ctx->out);
		} else if (!shown) {
			strbuf_put(ctx->out, "\"\"");
		} else if (captured_find_sized(ctx->call, when, label, base, len, &piece) && piece.len) {
			size_t n = piece.len < shown ? piece.len : (size_t)shown;

			put_quoted(piece.data, n, n == shown, ctx->out);
		} else {
			put_address(base, ctx->out);
		}
		strbuf_put(ctx->out, ", iov_len=");
		strbuf_put_u64(ctx->out, len);
		strbuf_put_char(ctx->out, '}');
		left -= shown;
	}
	if (i < items)
		put_more(i > 0, items - i, ctx->out);
	strbuf_put_char(ctx->out, ']');
	return true;
}

static bool put_iovec_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	uint64_t items, left = UINT64_MAX;

	if (!arg_length(ctx, &items))
		return false;
	if (!items) {
		strbuf_put(ctx->out, "[]");
		return true;
	}
	if (items > UINT32_MAX)
		return false;
	if (out_arg && call_is_ok(ctx->call))
		left = (uint64_t)ctx->call->ret;
	return put_iovecs(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + ctx->index),
			  arg_value(ctx), items, left);
}

static void put_layout(const struct arg_context *ctx, const struct captured *piece, size_t at)
{
	struct record_reader r = {
		.data = piece->data + at, .len = piece->len - at, .narrow = ctx->narrow, .brief = ctx->brief};

	record_put(ctx->arg.layout, &r, ctx->out);
}

static bool whole_record(const struct arg_context *ctx, enum captured_when when, struct captured *out)
{
	size_t size_bytes = record_size(ctx->arg.layout, ctx->narrow);

	return size_bytes && arg_piece(ctx, when, out) && out->len >= size_bytes;
}

static bool put_record(struct arg_context *ctx)
{
	const struct record_layout *layout = ctx->arg.layout;
	size_t size_bytes = record_size(layout, ctx->narrow);
	struct captured before, after;
	bool in = ctx->arg.direction & ARG_IN && whole_record(ctx, CAPTURED_BEFORE, &before);
	bool out = ctx->arg.direction & ARG_OUT && arg_is_written(ctx) && whole_record(ctx, CAPTURED_AFTER, &after);

	if (!in && (!out || ctx->arg.direction == ARG_INOUT))
		return false;
	if (in && out && layout->written && layout->written != layout) {
		ctx->arg.layout = layout->written;
		put_layout(ctx, &after, 0);
		return true;
	}
	if (layout->brackets)
		strbuf_put_char(ctx->out, '[');
	put_layout(ctx, in ? &before : &after, 0);
	if (layout->brackets)
		strbuf_put_char(ctx->out, ']');
	if (in && out && (layout->brackets || layout->written) && memcmp(before.data, after.data, size_bytes)) {
		strbuf_put(ctx->out, layout->brackets ? " => [" : " => ");
		put_layout(ctx, &after, 0);
		if (layout->brackets)
			strbuf_put_char(ctx->out, ']');
	}
	return true;
}

static bool put_records(struct arg_context *ctx)
{
	size_t size_bytes = record_size(ctx->arg.layout, ctx->narrow), count;
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct captured piece;
	uint64_t items;

	if (!size_bytes || (out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &items) || items > UINT32_MAX)
		return false;
	if (!items) {
		strbuf_put(ctx->out, "[]");
		return true;
	}
	if (!arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece) || piece.len < size_bytes)
		return false;
	count = piece.len / size_bytes;
	if (count > items)
		count = (size_t)items;
	strbuf_put_char(ctx->out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i)
			strbuf_put(ctx->out, ", ");
		put_layout(ctx, &piece, i * size_bytes);
	}
	if (count < items)
		put_more(true, items - count, ctx->out);
	strbuf_put_char(ctx->out, ']');
	return true;
}

bool put_pointer_arg(struct arg_context *ctx)
{
	switch ((enum arg_kind)ctx->arg.kind) {
	case ARG_STRING:
		return put_string(ctx);
	case ARG_BUFFER:
		return put_buffer(ctx);
	case ARG_STRINGS:
		return put_strings(ctx);
	case ARG_ENVIRON:
		return put_environ(ctx);
	case ARG_IOVEC:
		return put_iovec_arg(ctx);
	case ARG_RECORD:
		return put_record(ctx);
	case ARG_RECORDS:
		return put_records(ctx);
	case ARG_SOCKADDR:
		return put_sockaddr_arg(ctx);
	case ARG_SOCKLEN:
		return put_socklen_arg(ctx);
	case ARG_OPTION:
		return put_option_arg(ctx);
	case ARG_SIGSET:
		return put_sigset_arg(ctx);
	case ARG_SIGSET_PAIR:
		return put_sigset_pair_arg(ctx);
	case ARG_FDSET:
		return put_fdset_arg(ctx);
	case ARG_CPUSET:
		return put_cpuset_arg(ctx);
	case ARG_MESSAGE:
		return put_message_arg(ctx);
	case ARG_DIRENTS:
		return put_dirents_arg(ctx);
	case ARG_CLONE_ARGS:
		return put_clone_args_arg(ctx);
	case ARG_SIZED:
		return put_sized_arg(ctx);
	case ARG_MESSAGES:
		return put_messages_arg(ctx);
	case ARG_QUEUED:
		return put_queued_arg(ctx);
	case ARG_NODES:
		return put_nodes_arg(ctx);
	case ARG_CONTROL_BLOCKS:
		return put_control_blocks_arg(ctx);
	default:
		return false;
	}
}
