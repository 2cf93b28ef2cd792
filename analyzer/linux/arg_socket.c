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
	strbuf_printf(out, "{sa_family=AF_NETLINK, nl_pid=%d, nl_groups=%#08x}",
		      (int32_t)host_u32(piece->data + offsetof(struct sockaddr_nl, nl_pid)),
		      host_u32(piece->data + offsetof(struct sockaddr_nl, nl_groups)));
}

static void put_packet(const struct captured *piece, struct strbuf *out)
{
	struct record_reader r = {.data = piece->data, .len = piece->len, .at = FAMILY_BYTES};
	uint16_t protocol = read_u16(&r), hardware;
	uint32_t interface = read_u32(&r);
	uint8_t type, length;

	hardware = read_u16(&r);
	type = read_u8(&r);
	length = read_u8(&r);
	strbuf_put(out, "{sa_family=AF_PACKET, sll_protocol=htons(");
	name_set_put_one(&names_ethernet, ntohs(protocol), out);
	strbuf_printf(out, "), sll_ifindex=%d, sll_hatype=", (int32_t)interface);
	name_set_put_one(&names_arp_hardware, hardware, out);
	strbuf_put(out, ", sll_pkttype=");
	name_set_put_one(&names_packet_type, type, out);
	strbuf_printf(out, ", sll_halen=%u", length);
	if (length) {
		strbuf_put(out, ", sll_addr=[");
		for (uint8_t i = 0; i < length && r.at < r.len; i++)
			strbuf_printf(out, "%s%02x", i ? ", " : "", read_u8(&r));
		strbuf_put_char(out, ']');
	}
	strbuf_put_char(out, '}');
}

static void put_vsock(const struct captured *piece, struct strbuf *out)
{
	struct record_reader r = {.data = piece->data, .len = piece->len, .at = 4};
	uint32_t port = read_u32(&r), cid = read_u32(&r);

	strbuf_put(out, "{sa_family=AF_VSOCK, svm_cid=");
	name_set_put_one(&names_vsock_cid, cid, out);
	strbuf_printf(out, ", svm_port=%#x, svm_flags=%#x}", port, read_u8(&r));
}

static void put_xdp(const struct captured *piece, struct strbuf *out)
{
	struct record_reader r = {.data = piece->data, .len = piece->len, .at = FAMILY_BYTES};
	uint16_t flags = read_u16(&r);
	uint32_t interface = read_u32(&r), queue = read_u32(&r);

	strbuf_printf(out,
		      "{sa_family=AF_XDP, sxdp_flags=%#x, sxdp_ifindex=%u, sxdp_queue_id=%u, sxdp_shared_umem_fd=%d}",
		      flags, interface, queue, (int32_t)read_u32(&r));
}

/* linux/if_alg.h: struct sockaddr_alg {u16 family; u8 type[14]; u32 feat, mask; u8 name[64]} */
#define ALG_BYTES      88
#define ALG_TYPE_BYTES 14
#define ALG_NAME       24
static void put_alg(const struct captured *piece, struct strbuf *out)
{
	const char *type = (const char *)piece->data + FAMILY_BYTES, *name = (const char *)piece->data + ALG_NAME;

	strbuf_put(out, "{sa_family=AF_ALG, salg_type=");
	put_quoted((const uint8_t *)type, strnlen(type, ALG_TYPE_BYTES), true, out);
	strbuf_printf(out, ", salg_feat=%#x, salg_mask=%#x, salg_name=", host_u32(piece->data + 16),
		      host_u32(piece->data + 20));
	put_quoted((const uint8_t *)name, strnlen(name, ALG_BYTES - ALG_NAME), true, out);
	strbuf_put_char(out, '}');
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
	} else if (family == AF_PACKET && piece->len >= 12) {
		put_packet(piece, out);
	} else if (family == AF_VSOCK && piece->len >= 16) {
		put_vsock(piece, out);
	} else if (family == AF_XDP && piece->len >= 16) {
		put_xdp(piece, out);
	} else if (family == AF_ALG && piece->len >= ALG_BYTES) {
		put_alg(piece, out);
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
	case IPPROTO_UDP:
		return &names_udp_option;
	case SOL_PACKET:
		return &names_packet_option;
	case SOL_NETLINK:
		return &names_netlink_option;
	default:
		return NULL;
	}
}

static bool put_socket_level_option(struct arg_context *ctx, uint32_t option, const struct captured *piece)
{
	struct record_reader r = {.data = piece->data, .len = piece->len, .narrow = ctx->narrow};

	switch (option) {
	case SO_LINGER:
		if (piece->len != 8)
			return false;
		strbuf_printf(ctx->out, "{l_onoff=%d, l_linger=%d}", (int32_t)host_u32(piece->data),
			      (int32_t)host_u32(piece->data + 4));
		return true;
	case SO_ERROR:
		if (piece->len != 4 || !linux_errno_name((int)host_u32(piece->data)))
			return false;
		strbuf_printf(ctx->out, "[%s]", linux_errno_name((int)host_u32(piece->data)));
		return true;
	case SO_PEERCRED:
		if (piece->len != 12)
			return false;
		strbuf_printf(ctx->out, "{pid=%d, uid=%d, gid=%d}", (int32_t)host_u32(piece->data),
			      (int32_t)host_u32(piece->data + 4), (int32_t)host_u32(piece->data + 8));
		return true;
	case 20: /* SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD */
	case 21:
		/* net/core/sock.c: x32's is the 64-bit one */
		r.narrow = ctx->call->abi == TRAP_ABI_I386;
		if (piece->len < (r.narrow ? 8u : 16u))
			return false;
		put_timeval(&r, ctx->out);
		return true;
	case SO_ATTACH_FILTER:
	case SO_ATTACH_REUSEPORT_CBPF:
		if (piece->len < record_size(&layout_filter_program, ctx->narrow))
			return false;
		record_put(&layout_filter_program, &r, ctx->out);
		return true;
	default:
		return false;
	}
}

/* struct ip_mreq, or struct ip_mreqn with the interface's number */
static bool put_membership(struct arg_context *ctx, const struct captured *piece)
{
	char group[INET_ADDRSTRLEN], interface[INET_ADDRSTRLEN];

	if (piece->len < 8)
		return false;
	inet_ntop(AF_INET, piece->data, group, sizeof(group));
	inet_ntop(AF_INET, piece->data + 4, interface, sizeof(interface));
	if (piece->len < 12) {
		strbuf_printf(ctx->out, "{imr_multiaddr=inet_addr(\"%s\"), imr_interface=inet_addr(\"%s\")}", group,
			      interface);
		return true;
	}
	strbuf_printf(ctx->out, "{imr_multiaddr=inet_addr(\"%s\"), imr_address=inet_addr(\"%s\"), imr_ifindex=%d}",
		      group, interface, (int32_t)host_u32(piece->data + 8));
	return true;
}

static bool put_known_option(struct arg_context *ctx, const struct captured *piece)
{
	uint32_t level = (uint32_t)ctx->call->args[1], option = (uint32_t)ctx->call->args[2];

	if (level == SOL_SOCKET)
		return put_socket_level_option(ctx, option, piece);
	if (level == IPPROTO_IP && (option == IP_ADD_MEMBERSHIP || option == IP_DROP_MEMBERSHIP))
		return put_membership(ctx, piece);
	if (level == IPPROTO_IPV6 && (option == IPV6_ADD_MEMBERSHIP || option == IPV6_DROP_MEMBERSHIP) &&
	    piece->len >= 20) {
		char group[INET6_ADDRSTRLEN];

		inet_ntop(AF_INET6, piece->data, group, sizeof(group));
		strbuf_printf(ctx->out, "{inet_pton(AF_INET6, \"%s\", &ipv6mr_multiaddr), ipv6mr_interface=%d}", group,
			      (int32_t)host_u32(piece->data + 16));
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
