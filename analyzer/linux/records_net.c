/* SPDX-License-Identifier: MIT */
/* Requests about network interfaces: struct ifreq {char name[16]; union {…}} of linux/if.h, by request. */
#include <string.h>

#include "arg_put.h"
#include "record_layout.h"

#define NAME_BYTES   16
#define IFREQ_BYTES  40 /* the union has an address of 16 bytes, and a struct of three words and more */
#define IFREQ_NARROW 32

static void put_interface(struct record_reader *r, struct strbuf *out)
{
	const char *name = (const char *)r->data;
	size_t n = r->len < NAME_BYTES ? r->len : NAME_BYTES;

	strbuf_put(out, "{ifr_name=");
	put_quoted((const uint8_t *)name, strnlen(name, n), true, out);
	read_skip(r, NAME_BYTES);
}

static void put_asked(struct record_reader *r, struct strbuf *out)
{
	put_interface(r, out);
	strbuf_put_char(out, '}');
}

static void put_number(struct record_reader *r, const char *name, struct strbuf *out)
{
	put_interface(r, out);
	strbuf_printf(out, ", %s=%d}", name, (int32_t)read_u32(r));
}

static void put_index(struct record_reader *r, struct strbuf *out)
{
	put_number(r, "ifr_ifindex", out);
}

static void put_mtu(struct record_reader *r, struct strbuf *out)
{
	put_number(r, "ifr_mtu", out);
}

static void put_metric(struct record_reader *r, struct strbuf *out)
{
	put_number(r, "ifr_metric", out);
}

static void put_queue(struct record_reader *r, struct strbuf *out)
{
	put_number(r, "ifr_qlen", out);
}

static void put_flags(struct record_reader *r, struct strbuf *out)
{
	put_interface(r, out);
	strbuf_put(out, ", ifr_flags=");
	name_set_put_flags(&names_interface, read_u16(r), out);
	strbuf_put_char(out, '}');
}

/* linux/if_tun.h */
static void put_tunnel(struct record_reader *r, struct strbuf *out)
{
	put_interface(r, out);
	strbuf_put(out, ", ifr_flags=");
	name_set_put_flags(&names_tunnel, read_u16(r), out);
	strbuf_put_char(out, '}');
}

static void put_address_as(struct record_reader *r, const char *name, struct strbuf *out)
{
	struct captured address;

	put_interface(r, out);
	strbuf_printf(out, ", %s=", name);
	address = (struct captured){.data = r->data + NAME_BYTES, .len = NAME_BYTES, .whole = true};
	put_sockaddr(&address, out);
	strbuf_put_char(out, '}');
}

static void put_own_address(struct record_reader *r, struct strbuf *out)
{
	put_address_as(r, "ifr_addr", out);
}

static void put_peer_address(struct record_reader *r, struct strbuf *out)
{
	put_address_as(r, "ifr_dstaddr", out);
}

static void put_broadcast(struct record_reader *r, struct strbuf *out)
{
	put_address_as(r, "ifr_broadaddr", out);
}

static void put_netmask(struct record_reader *r, struct strbuf *out)
{
	put_address_as(r, "ifr_netmask", out);
}

static void put_hardware(struct record_reader *r, struct strbuf *out)
{
	put_interface(r, out);
	strbuf_put(out, ", ifr_hwaddr={sa_family=");
	name_set_put_one(&names_arp_hardware, read_u16(r), out);
	strbuf_put(out, ", sa_data=");
	for (int i = 0; i < 6; i++)
		strbuf_printf(out, "%s%02x", i ? ":" : "", read_u8(r));
	strbuf_put(out, "}}");
}

static void put_asked_by_index(struct record_reader *r, struct strbuf *out)
{
	read_skip(r, NAME_BYTES);
	strbuf_printf(out, "{ifr_ifindex=%d", (int32_t)read_u32(r));
	strbuf_put_char(out, '}');
}

static void put_name(struct record_reader *r, struct strbuf *out)
{
	const char *name = (const char *)r->data;

	read_skip(r, NAME_BYTES);
	strbuf_printf(out, "{ifr_ifindex=%d, ifr_name=", (int32_t)read_u32(r));
	put_quoted((const uint8_t *)name, strnlen(name, NAME_BYTES), true, out);
	strbuf_put_char(out, '}');
}

/* What a set brings; what a get asks with, and what it gets. */
#define IFREQ(what, put_)                                                                                   \
	const struct record_layout layout_ifreq_##what = {                                                  \
		.size_bytes = IFREQ_BYTES, .narrow_bytes = IFREQ_NARROW, .direction = ARG_IN, .put = put_}; \
	const struct record_layout layout_ifreq_get_##what = {.size_bytes = IFREQ_BYTES,                    \
							      .narrow_bytes = IFREQ_NARROW,                 \
							      .direction = ARG_INOUT,                       \
							      .put = put_asked,                             \
							      .written = &layout_ifreq_##what}
IFREQ(index, put_index);
IFREQ(mtu, put_mtu);
IFREQ(metric, put_metric);
IFREQ(queue, put_queue);
IFREQ(flags, put_flags);
IFREQ(address, put_own_address);
IFREQ(peer, put_peer_address);
IFREQ(broadcast, put_broadcast);
IFREQ(netmask, put_netmask);
IFREQ(hardware, put_hardware);

const struct record_layout layout_ifreq_tunnel = {
	.size_bytes = IFREQ_BYTES, .narrow_bytes = IFREQ_NARROW, .direction = ARG_IN, .put = put_tunnel};
static const struct record_layout layout_ifreq_named = {
	.size_bytes = IFREQ_BYTES, .narrow_bytes = IFREQ_NARROW, .put = put_name};
const struct record_layout layout_ifreq_get_name = {.size_bytes = IFREQ_BYTES,
						    .narrow_bytes = IFREQ_NARROW,
						    .direction = ARG_INOUT,
						    .put = put_asked_by_index,
						    .written = &layout_ifreq_named};
