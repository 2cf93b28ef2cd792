/* SPDX-License-Identifier: MIT */
/* Arguments that point at structs whose length or content the call itself says. */
#include "arg_put.h"
#include "plan_abi.h"
#include "user_abi.h"

bool put_sized_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct captured piece;
	/* none has words, and all are aligned as 64-bit callers have them (__aligned_u64) */
	struct record_reader r = {.brief = ctx->brief, .sized = true};
	uint64_t bytes;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &bytes) ||
	    !arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece) || piece.len < 4)
		return false;
	r.data = piece.data;
	r.len = piece.len < bytes ? piece.len : (size_t)bytes;
	record_put(ctx->arg.layout, &r, ctx->out);
	return true;
}

/* struct msgbuf {long type; char text[]} */
bool put_queued_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	enum captured_when when = out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE;
	struct record_reader r = {.narrow = ctx->narrow};
	size_t word = ctx->narrow ? 4 : 8;
	struct captured piece;
	uint64_t bytes;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &bytes) || !arg_piece(ctx, when, &piece) ||
	    piece.len < word)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	strbuf_printf(ctx->out, "{mtype=%lld, mtext=", (long long)read_sword(&r));
	if (!bytes)
		strbuf_put(ctx->out, "\"\"");
	else if (!captured_find(ctx->call, when, (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index), arg_value(ctx) + word,
				&piece))
		put_address(arg_value(ctx) + word, ctx->out);
	else
		put_quoted(piece.data, piece.len < bytes ? piece.len : (size_t)bytes, piece.len >= bytes, ctx->out);
	strbuf_put_char(ctx->out, '}');
	return true;
}

bool put_nodes_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct record_reader r = {.narrow = ctx->narrow};
	size_t word = ctx->narrow ? 4 : 8, count;
	struct captured piece;
	uint64_t bits;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &bits) ||
	    !arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece) || piece.len < word)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	/* mm/mempolicy.c: get_nodes() looks at one bit less */
	bits = bits ? bits - 1 : 0;
	bits = (bits + 8 * word - 1) / (8 * word);
	count = piece.len / word < bits ? piece.len / word : (size_t)bits;
	strbuf_put_char(ctx->out, '[');
	for (size_t i = 0; i < count; i++)
		strbuf_printf(ctx->out, "%s%#0*llx", i ? ", " : "", (int)(2 * word), (unsigned long long)read_word(&r));
	strbuf_put(ctx->out, count < bits ? ", ...]" : "]");
	return true;
}

bool put_control_blocks_arg(struct arg_context *ctx)
{
	struct record_reader pointers = {.narrow = ctx->narrow};
	size_t word = ctx->narrow ? 4 : 8, count;
	struct captured array, piece;
	uint64_t items;

	if (!arg_length(ctx, &items) || !arg_piece(ctx, CAPTURED_BEFORE, &array) || array.len < word)
		return false;
	pointers.data = array.data;
	pointers.len = array.len;
	count = array.len / word;
	if (count > items)
		count = (size_t)items;
	strbuf_put_char(ctx->out, '[');
	for (size_t i = 0; i < count; i++) {
		uint64_t gva = read_word(&pointers);

		if (i)
			strbuf_put(ctx->out, ", ");
		if (captured_find(ctx->call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index), gva, &piece) &&
		    piece.len >= layout_iocb.size_bytes) {
			struct record_reader r = {.data = piece.data, .len = piece.len};

			record_put(&layout_iocb, &r, ctx->out);
		} else {
			put_address(gva, ctx->out);
		}
	}
	strbuf_put(ctx->out, count < items ? ", ...]" : "]");
	return true;
}
