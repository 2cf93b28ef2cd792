/* SPDX-License-Identifier: MIT */
/* Arguments of calls about sockets: addresses, options, messages. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/netlink.h>

#include "arg_decode.h"
#include "arg_put.h"
#include "plan_abi.h"
#include "user_abi.h"

#define FAMILY_BYTES 2

static uint16_t network_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t host_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_unix(const struct captured *piece, struct strbuf *out)
{
	const char *path = (const char *)piece->data + FAMILY_BYTES;
	size_t len = piece->len - FAMILY_BYTES;

	strbuf_put(out, "{sa_family=AF_UNIX");
	if (len && path[0]) {
		strbuf_put(out, ", sun_path=");
		put_quoted((const uint8_t *)path, strnlen(path, len), true, out);
	} else if (len) {
		/* abstract: the name is all that follows the NUL */
		strbuf_put(out, ", sun_path=@");
		put_quoted((const uint8_t *)path + 1, len - 1, true, out);
	}
	strbuf_put_char(out, '}');
}

static void put_inet(const struct captured *piece, struct strbuf *out)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, piece->data + offsetof(struct sockaddr_in, sin_addr), text, sizeof(text));
	strbuf_printf(out, "{sa_family=AF_INET, sin_port=htons(%u), sin_addr=inet_addr(\"%s\")}",
		      network_u16(piece->data + offsetof(struct sockaddr_in, sin_port)), text);
}

static void put_inet6(const struct captured *piece, struct strbuf *out)
{
	const uint8_t *p = piece->data;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, p + offsetof(struct sockaddr_in6, sin6_addr), text, sizeof(text));
	strbuf_printf(out,
		      "{sa_family=AF_INET6, sin6_port=htons(%u), sin6_flowinfo=htonl(%u), inet_pton(AF_INET6, \"%s\", "
		      "&sin6_addr), sin6_scope_id=%u}",
		      network_u16(p + offsetof(struct sockaddr_in6, sin6_port)),
		      ntohl(host_u32(p + offsetof(struct sockaddr_in6, sin6_flowinfo))), text,
		      host_u32(p + offsetof(struct sockaddr_in6, sin6_scope_id)));
}

static void put_netlink(const struct captured *piece, struct strbuf *out)
{
	strbuf_printf(out, "{sa_family=AF_NETLINK, nl_pid=%d, nl_groups=%08x}",
		      (int32_t)host_u32(piece->data + offsetof(struct sockaddr_nl, nl_pid)),
		      host_u32(piece->data + offsetof(struct sockaddr_nl, nl_groups)));
}

void put_sockaddr(const struct captured *piece, struct strbuf *out)
{
	uint16_t family = (uint16_t)(piece->data[0] | piece->data[1] << 8);

	if (family == AF_UNIX) {
		put_unix(piece, out);
	} else if (family == AF_INET && piece->len >= sizeof(struct sockaddr_in)) {
		put_inet(piece, out);
	} else if (family == AF_INET6 && piece->len >= sizeof(struct sockaddr_in6)) {
		put_inet6(piece, out);
	} else if (family == AF_NETLINK && piece->len >= sizeof(struct sockaddr_nl)) {
		put_netlink(piece, out);
	} else {
		strbuf_put(out, "{sa_family=");
		name_set_put_one(&names_family, family, out);
		if (piece->len > FAMILY_BYTES) {
			strbuf_put(out, ", sa_data=");
			put_quoted(piece->data + FAMILY_BYTES, piece->len - FAMILY_BYTES, true, out);
		}
		strbuf_put_char(out, '}');
	}
}

/* An out address may be longer than the room that there was: only as much was written. */
static uint64_t room_before(const struct arg_context *ctx, int index)
{
	uint64_t gva = ctx->narrow ? (uint32_t)ctx->call->args[index] : ctx->call->args[index];
	struct captured piece;

	if (!captured_find(ctx->call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + index), gva, &piece) ||
	    piece.len < 4)
		return UINT64_MAX;
	return host_u32(piece.data);
}

bool put_sockaddr_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct captured piece;
	uint64_t len, room;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &len))
		return false;
	if (out_arg) {
		room = room_before(ctx, ctx->arg.len - LEN_AT);
		len = len < room ? len : room;
	} else {
		len = (uint32_t)len;
	}
	if (!arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece))
		return false;
	if (piece.len > len)
		piece.len = (size_t)len;
	if (piece.len < FAMILY_BYTES)
		return false;
	put_sockaddr(&piece, ctx->out);
	return true;
}

bool put_socklen_arg(struct arg_context *ctx)
{
	struct captured before, after;

	if (!arg_piece(ctx, CAPTURED_BEFORE, &before) || before.len < 4)
		return false;
	strbuf_printf(ctx->out, "[%d", (int32_t)host_u32(before.data));
	if (call_is_ok(ctx->call) && arg_piece(ctx, CAPTURED_AFTER, &after) && after.len >= 4 &&
	    memcmp(before.data, after.data, 4))
		strbuf_printf(ctx->out, " => %d", (int32_t)host_u32(after.data));
	strbuf_put_char(ctx->out, ']');
	return true;
}

const struct name_set *socket_option_names(uint64_t level)
{
	switch ((uint32_t)level) {
	case SOL_SOCKET:
		return &names_so;
	case IPPROTO_IP:
		return &names_ip_option;
	case IPPROTO_IPV6:
		return &names_ipv6_option;
	case IPPROTO_TCP:
		return &names_tcp_option;
	default:
		return NULL;
	}
}

static bool put_known_option(struct arg_context *ctx, const struct captured *piece)
{
	const uint64_t *args = ctx->call->args;

	if ((uint32_t)args[1] != SOL_SOCKET)
		return false;
	if ((uint32_t)args[2] == SO_LINGER && piece->len == 8) {
		strbuf_printf(ctx->out, "{l_onoff=%d, l_linger=%d}", (int32_t)host_u32(piece->data),
			      (int32_t)host_u32(piece->data + 4));
		return true;
	}
	if ((uint32_t)args[2] == SO_ERROR && piece->len == 4 && linux_errno_name((int)host_u32(piece->data))) {
		strbuf_printf(ctx->out, "[%s]", linux_errno_name((int)host_u32(piece->data)));
		return true;
	}
	if ((uint32_t)args[2] == SO_PEERCRED && piece->len == 12) {
		strbuf_printf(ctx->out, "{pid=%d, uid=%d, gid=%d}", (int32_t)host_u32(piece->data),
			      (int32_t)host_u32(piece->data + 4), (int32_t)host_u32(piece->data + 8));
		return true;
	}
	return false;
}

bool put_option_arg(struct arg_context *ctx)
{
	bool out_arg = ctx->arg.direction == ARG_OUT;
	struct captured piece;
	uint64_t len;

	if ((out_arg && !arg_is_written(ctx)) || !arg_length(ctx, &len))
		return false;
	len = (uint32_t)len;
	if (!arg_piece(ctx, out_arg ? CAPTURED_AFTER : CAPTURED_BEFORE, &piece) || !piece.len)
		return false;
	if (piece.len > len)
		piece.len = (size_t)len;
	if (put_known_option(ctx, &piece))
		return true;
	if (len == 4 && piece.len == 4)
		strbuf_printf(ctx->out, "[%d]", (int32_t)host_u32(piece.data));
	else
		put_quoted(piece.data, piece.len, piece.len == len, ctx->out);
	return true;
}

/* ---- struct msghdr ------------------------------------------------------ */

struct message {
	uint64_t name, iov, iov_len, control, control_len;
	uint32_t name_len, flags;
};

static bool read_message(const struct arg_context *ctx, enum captured_when when, struct message *out)
{
	const struct user_msghdr *layout = user_msghdr(ctx->narrow);
	struct record_reader r = {.narrow = ctx->narrow};
	struct captured piece;

	if (!arg_piece(ctx, when, &piece) || piece.len < layout->size_bytes)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	out->name = read_word(&r);
	out->name_len = read_u32(&r);
	out->iov = read_word(&r);
	out->iov_len = read_word(&r);
	out->control = read_word(&r);
	out->control_len = read_word(&r);
	out->flags = read_u32(&r);
	return true;
}

static void put_control_data(uint32_t type, const uint8_t *data, size_t len, struct strbuf *out)
{
	if (type == SCM_RIGHTS) {
		strbuf_put_char(out, '[');
		for (size_t i = 0; i + 4 <= len; i += 4)
			strbuf_printf(out, "%s%d", i ? ", " : "", (int32_t)host_u32(data + i));
		strbuf_put_char(out, ']');
	} else if (type == SCM_CREDENTIALS && len >= 12) {
		strbuf_printf(out, "{pid=%d, uid=%u, gid=%u}", (int32_t)host_u32(data), host_u32(data + 4),
			      host_u32(data + 8));
	} else {
		put_quoted(data, len, true, out);
	}
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
		else
			strbuf_printf(out, "%#x", type);
		if (len > head) {
			size_t n = len - head < end - at - head ? (size_t)(len - head) : end - at - head;

			strbuf_put(out, ", cmsg_data=");
			if (level == SOL_SOCKET)
				put_control_data(type, piece->data + at + head, n, out);
			else
				put_quoted(piece->data + at + head, n, n == len - head, out);
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
			const struct message *before)
{
	uint8_t deep = (uint8_t)(PLAN_LABEL_DEEP0 + ctx->index);
	uint64_t left = when == CAPTURED_AFTER ? (uint64_t)ctx->call->ret : UINT64_MAX;
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
		put_message(ctx, CAPTURED_BEFORE, &before, NULL);
		return true;
	}
	if (!call_is_ok(ctx->call)) {
		strbuf_printf(ctx->out, "{msg_namelen=%d}", (int32_t)before.name_len);
		return true;
	}
	if (!read_message(ctx, CAPTURED_AFTER, &after))
		return false;
	put_message(ctx, CAPTURED_AFTER, &after, &before);
	return true;
}
