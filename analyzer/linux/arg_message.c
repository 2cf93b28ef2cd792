/* SPDX-License-Identifier: MIT */
/* struct msghdr and struct mmsghdr: addresses, data and control messages of sockets. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "arg_put.h"
#include "plan_abi.h"
#include "user_abi.h"

#define FAMILY_BYTES 2

static uint32_t message_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

struct message {
	uint64_t name, iov, iov_len, control, control_len;
	uint32_t name_len, flags;
};

static void read_header(struct record_reader *r, struct message *out)
{
	out->name = read_word(r);
	out->name_len = read_u32(r);
	out->iov = read_word(r);
	out->iov_len = read_word(r);
	out->control = read_word(r);
	out->control_len = read_word(r);
	out->flags = read_u32(r);
}

static bool read_message(const struct arg_context *ctx, enum captured_when when, struct message *out)
{
	const struct user_msghdr *layout = user_msghdr(ctx->narrow);
	struct record_reader r = {.narrow = ctx->narrow};
	struct captured piece;

	if (!arg_piece(ctx, when, &piece) || piece.len < layout->size_bytes)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	read_header(&r, out);
	return true;
}

/* What SOL_SOCKET's control messages carry; false: it has no form of its own, or is cut. */
static bool put_socket_data(uint32_t type, struct record_reader *r, struct strbuf *out)
{
	if (type == SCM_CREDENTIALS && r->len >= 12)
		strbuf_printf(out, "{pid=%d, uid=%u, gid=%u}", (int32_t)message_u32(r->data), message_u32(r->data + 4),
			      message_u32(r->data + 8));
	else if (type == SO_TIMESTAMP_OLD && r->len >= (r->narrow ? 8 : 16))
		put_timeval(r, out);
	else if (type == SO_TIMESTAMPNS_OLD && r->len >= (r->narrow ? 8 : 16))
		put_timespec(r, out);
	else
		return false;
	return true;
}

/* The same of SOL_IP's. */
static bool put_ip_data(uint32_t type, struct record_reader *r, struct strbuf *out)
{
	char here[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	if (type != IP_PKTINFO || r->len < sizeof(struct in_pktinfo))
		return false;
	inet_ntop(AF_INET, r->data + offsetof(struct in_pktinfo, ipi_spec_dst), here, sizeof(here));
	inet_ntop(AF_INET, r->data + offsetof(struct in_pktinfo, ipi_addr), to, sizeof(to));
	strbuf_printf(out, "{ipi_ifindex=%u, ipi_spec_dst=inet_addr(\"%s\"), ipi_addr=inet_addr(\"%s\")}",
		      message_u32(r->data), here, to);
	return true;
}

static void put_rights(const uint8_t *data, size_t len, bool all, struct strbuf *out)
{
	strbuf_put_char(out, '[');
	for (size_t i = 0; i + 4 <= len; i += 4)
		strbuf_printf(out, "%s%d", i ? ", " : "", (int32_t)message_u32(data + i));
	strbuf_put(out, all ? "]" : len < 4 ? "...]" : ", ...]");
}

/* all: data is not cut. */
static void put_control_data(uint32_t level, uint32_t type, struct record_reader *r, bool all, struct strbuf *out)
{
	if (level == SOL_SOCKET && type == SCM_RIGHTS)
		put_rights(r->data, r->len, all, out);
	else if (!(level == SOL_SOCKET && put_socket_data(type, r, out)) &&
		 !(level == SOL_IP && put_ip_data(type, r, out)))
		put_quoted(r->data, r->len, all, out);
}

/* The list of struct cmsghdr {size_t len; int level, type}, each aligned to a word. */
static void put_control(const struct arg_context *ctx, const struct captured *piece, uint64_t total)
{
	size_t word = ctx->narrow ? 4 : 8, head = word + 8, at = 0;
	size_t end = piece->len < total ? piece->len : (size_t)total;
	struct strbuf *out = ctx->out;

	strbuf_put_char(out, '[');
	while (at < end && end - at >= head) {
		struct record_reader r = {.data = piece->data + at, .len = end - at, .narrow = ctx->narrow};
		uint64_t len = read_word(&r);
		uint32_t level = read_u32(&r), type = read_u32(&r);

		if (len < head)
			break;
		strbuf_printf(out, "%s{cmsg_len=%llu, cmsg_level=", at ? ", " : "", (unsigned long long)len);
		name_set_put_one(&names_sockopt_level, level, out);
		strbuf_put(out, ", cmsg_type=");
		if (level == SOL_SOCKET)
			name_set_put_one(&names_control, type, out);
		else if (level == SOL_IP)
			name_set_put_one(&names_ip_option, type, out);
		else
			strbuf_printf(out, "%#x", type);
		if (len > head) {
			size_t n = len - head < end - at - head ? (size_t)(len - head) : end - at - head;

			r = (struct record_reader){.data = piece->data + at + head, .len = n, .narrow = ctx->narrow};
			strbuf_put(out, ", cmsg_data=");
			put_control_data(level, type, &r, n == len - head, out);
		}
		strbuf_put_char(out, '}');
		if (len > end - at)
			break;
		at += ((size_t)len + word - 1) / word * word;
	}
	strbuf_put_char(out, ']');
}

static void put_message_name(struct arg_context *ctx, enum captured_when when, const struct message *m,
			     const struct message *before, uint8_t deep)
{
	struct captured piece;

	strbuf_put(ctx->out, "{msg_name=");
	if (m->name && m->name_len >= FAMILY_BYTES && captured_find(ctx->call, when, deep, m->name, &piece) &&
	    piece.len >= FAMILY_BYTES) {
		if (piece.len > m->name_len)
			piece.len = m->name_len;
		put_sockaddr(&piece, ctx->out);
	} else {
		put_address(m->name, ctx->out);
	}
	if (before && before->name_len != m->name_len)
		strbuf_printf(ctx->out, ", msg_namelen=%d => %d", (int32_t)before->name_len, (int32_t)m->name_len);
	else
		strbuf_printf(ctx->out, ", msg_namelen=%d", (int32_t)m->name_len);
}

static void put_message(struct arg_context *ctx, enum captured_when when, const struct message *m,
			const struct message *before, uint64_t left)
{
	uint8_t deep = (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index);
	struct captured piece;

	put_message_name(ctx, when, m, before, deep);
	strbuf_put(ctx->out, ", msg_iov=");
	if (!m->iov_len && m->iov)
		strbuf_put(ctx->out, "[]");
	else if (m->iov_len > UINT32_MAX || !put_iovecs(ctx, when, deep, m->iov, m->iov_len, left))
		put_address(m->iov, ctx->out);
	strbuf_printf(ctx->out, ", msg_iovlen=%llu", (unsigned long long)m->iov_len);
	if (m->control && m->control_len) {
		strbuf_put(ctx->out, ", msg_control=");
		if (captured_find(ctx->call, when, deep, m->control, &piece) && piece.len)
			put_control(ctx, &piece, m->control_len);
		else
			put_address(m->control, ctx->out);
	}
	strbuf_printf(ctx->out, ", msg_controllen=%llu, msg_flags=", (unsigned long long)m->control_len);
	name_set_put_flags(&names_message, m->flags, ctx->out);
	strbuf_put_char(ctx->out, '}');
}

bool put_message_arg(struct arg_context *ctx)
{
	struct message before, after;

	if (!read_message(ctx, CAPTURED_BEFORE, &before))
		return false;
	if (ctx->arg.direction == ARG_IN) {
		put_message(ctx, CAPTURED_BEFORE, &before, NULL, UINT64_MAX);
		return true;
	}
	if (!call_is_ok(ctx->call)) {
		strbuf_printf(ctx->out, "{msg_namelen=%d}", (int32_t)before.name_len);
		return true;
	}
	if (!read_message(ctx, CAPTURED_AFTER, &after))
		return false;
	put_message(ctx, CAPTURED_AFTER, &after, &before, (uint64_t)ctx->call->ret);
	return true;
}

/* ---- struct mmsghdr: a struct msghdr and how many bytes went ---------------------- */

static size_t many_bytes(const struct arg_context *ctx)
{
	return user_msghdr(ctx->narrow)->size_bytes + (ctx->narrow ? 4u : 8u);
}

static bool read_many(const struct arg_context *ctx, const struct captured *array, size_t index, struct message *out,
		      uint32_t *bytes)
{
	struct record_reader r = {.data = array->data, .len = array->len, .narrow = ctx->narrow};

	r.at = index * many_bytes(ctx);
	if (r.at + many_bytes(ctx) > array->len)
		return false;
	read_header(&r, out);
	r.at = index * many_bytes(ctx) + user_msghdr(ctx->narrow)->size_bytes;
	*bytes = read_u32(&r);
	return true;
}

/* Those that the call took or filled, or what was asked if it failed. */
bool put_messages_arg(struct arg_context *ctx)
{
	bool receives = ctx->arg.direction & ARG_OUT, done = call_is_ok(ctx->call), all = true;
	struct captured before, after = {0};
	size_t start = ctx->out->len;
	uint64_t items, shown, i;

	if (!arg_length(ctx, &items))
		return false;
	shown = (uint32_t)items;
	if (done && (uint64_t)ctx->call->ret < shown)
		shown = (uint64_t)ctx->call->ret;
	if (!shown) {
		strbuf_put(ctx->out, "[]");
		return true;
	}
	if (receives && !done)
		return false;
	if (!arg_piece(ctx, CAPTURED_BEFORE, &before) || before.len < many_bytes(ctx))
		return false;
	if (done && !arg_piece(ctx, CAPTURED_AFTER, &after))
		return false;
	strbuf_put_char(ctx->out, '[');
	for (i = 0; i < shown; i++) {
		struct message message, written;
		uint32_t bytes = 0;

		all = !arg_text_is_full(ctx, start) && read_many(ctx, &before, i, &message, &bytes) &&
		      (!done || read_many(ctx, &after, i, &written, &bytes));
		if (!all)
			break;
		strbuf_put(ctx->out, i ? ", {msg_hdr=" : "{msg_hdr=");
		if (receives)
			put_message(ctx, CAPTURED_AFTER, &written, NULL, bytes);
		else
			put_message(ctx, CAPTURED_BEFORE, &message, NULL, UINT64_MAX);
		if (done)
			strbuf_printf(ctx->out, ", msg_len=%u", bytes);
		strbuf_put_char(ctx->out, '}');
	}
	if (!all)
		put_more(i > 0, shown - i, ctx->out);
	strbuf_put_char(ctx->out, ']');
	return true;
}
