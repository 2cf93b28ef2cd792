/* SPDX-License-Identifier: MIT */
/*
 * arg_put.h - one argument on its way to text: what is known of it, and the
 * printers of each kind. A printer returns false when what it needs was not
 * captured, with nothing put; the caller then shows the number.
 */
#ifndef ARG_PUT_H
#define ARG_PUT_H

#include "captured.h"
#include "record_layout.h"
#include "semantics.h"
#include "strbuf.h"

/*
 * A list ends with "..." once its text is longer: many items of a hostile record
 * may point at one piece of it.
 */
#define ARG_TEXT_MAX (1u << 20)

struct arg_context {
	const struct call *call;
	const struct call_meaning *meaning;
	const struct call_spec *spec;      /* NULL: only types are known */
	const struct arg_variant *variant; /* NULL: none */
	struct arg_spec arg;
	int index;
	bool narrow; /* i386 */
	bool brief;  /* as strace without -v */
	struct strbuf *out;
};

/* What all arguments have in common; scratch: of call_meaning_of(). */
void arg_context_begin(struct arg_context *ctx, const struct call *call, struct call_meaning *scratch,
		       struct strbuf *out);
/* Go to an argument; false: the call has no such one. */
bool arg_context_select(struct arg_context *ctx, int index);
/* The list whose text began at start is as long as it may be. */
static inline bool arg_text_is_full(const struct arg_context *ctx, size_t start)
{
	return ctx->out->len - start > ARG_TEXT_MAX;
}
/* What ends a list that is not shown whole: "...", behind what is; left: how many are not shown, 0: not known. */
void put_more(bool any, uint64_t left, struct strbuf *out);
uint64_t arg_value(const struct arg_context *ctx);
/* What this argument points at, before or after the call. */
bool arg_piece(const struct arg_context *ctx, enum captured_when when, struct captured *out);
/* What the argument says was written: only of a call that went as arg.when asks. */
bool arg_is_written(const struct arg_context *ctx);
/* Bytes or items of the target, by arg.len; false: not known. */
bool arg_length(const struct arg_context *ctx, uint64_t *out);

void put_address(uint64_t value, struct strbuf *out);
/* "abc", or "abc"... if the whole has total bytes. */
void put_quoted(const uint8_t *data, size_t len, bool all, struct strbuf *out);

/* arg_number.c: kinds without a pointer; true: the text says more than the number */
bool put_number_arg(struct arg_context *ctx);
void put_io_priority(uint64_t value, struct strbuf *out);
/* arg_pointer.c */
bool put_pointer_arg(struct arg_context *ctx);
bool put_iovecs(struct arg_context *ctx, enum captured_when when, uint8_t label, uint64_t gva, uint64_t items,
		uint64_t left);
/* A buffer's records by put_fd_records(). */
bool put_buffer_records(struct arg_context *ctx);
/* fd_records.c: what was read from or written to a descriptor that carries structs; false: it is none, nothing put */
bool call_has_fd_records(const struct call *call); /* it may be such a descriptor */
bool put_fd_records(const struct arg_context *ctx, const struct captured *piece, uint64_t total);
/* arg_socket.c */
void put_sockaddr(const struct captured *piece, struct strbuf *out);
bool put_sockaddr_arg(struct arg_context *ctx);
bool put_socklen_arg(struct arg_context *ctx);
bool put_option_arg(struct arg_context *ctx);
const struct name_set *socket_option_names(uint64_t level);
/* arg_message.c */
bool put_message_arg(struct arg_context *ctx);
bool put_messages_arg(struct arg_context *ctx);
/* arg_structs.c */
bool put_sized_arg(struct arg_context *ctx);
bool put_queued_arg(struct arg_context *ctx);
bool put_nodes_arg(struct arg_context *ctx);
bool put_control_blocks_arg(struct arg_context *ctx);
/* arg_sets.c */
bool put_fd_set(const struct captured *piece, uint64_t count, struct strbuf *out);
bool put_fdset_arg(struct arg_context *ctx);
bool put_cpuset_arg(struct arg_context *ctx);
bool put_sigset_arg(struct arg_context *ctx);
bool put_sigset_pair_arg(struct arg_context *ctx);
bool put_dirents_arg(struct arg_context *ctx);
bool put_clone_args_arg(struct arg_context *ctx);

#endif
