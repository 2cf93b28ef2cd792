/* SPDX-License-Identifier: MIT */
/* Names for calls about sockets; the order is the one in which strace prints flags. */
#include <linux/in6.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "name_set.h"

static const struct named_value family_values[] = {
	NAMED(AF_UNSPEC), NAMED(AF_UNIX),    NAMED(AF_INET),     NAMED(AF_AX25), NAMED(AF_IPX),     NAMED(AF_APPLETALK),
	NAMED(AF_NETROM), NAMED(AF_BRIDGE),  NAMED(AF_ATMPVC),   NAMED(AF_X25),  NAMED(AF_INET6),   NAMED(AF_ROSE),
	NAMED(AF_DECnet), NAMED(AF_NETBEUI), NAMED(AF_SECURITY), NAMED(AF_KEY),  NAMED(AF_NETLINK), NAMED(AF_PACKET),
	NAMED(AF_ECONET), NAMED(AF_RDS),     NAMED(AF_LLC),      NAMED(AF_CAN),  NAMED(AF_TIPC),    NAMED(AF_BLUETOOTH),
	NAMED(AF_ALG),    NAMED(AF_NFC),     NAMED(AF_VSOCK),    NAMED(AF_KCM),  NAMED(AF_QIPCRTR), NAMED(AF_SMC),
	NAMED(AF_XDP),    NAMED(AF_MCTP)};
NAME_SET(names_family, family_values, .unknown = "AF_???");

#define TYPE_MASK 0xfu /* linux/net.h: SOCK_TYPE_MASK */
static const struct named_value socket_type_values[] = {
	NAMED(SOCK_STREAM), NAMED(SOCK_DGRAM),  NAMED(SOCK_RAW),     NAMED(SOCK_RDM),     NAMED(SOCK_SEQPACKET),
	NAMED(SOCK_DCCP),   NAMED(SOCK_PACKET), NAMED(SOCK_CLOEXEC), NAMED(SOCK_NONBLOCK)};
NAME_SET(names_socket_type, socket_type_values, .unknown = "SOCK_???", .enum_mask = TYPE_MASK);

static const struct named_value socket_type_flag_values[] = {NAMED(SOCK_CLOEXEC), NAMED(SOCK_NONBLOCK)};
NAME_SET(names_socket_type_flags, socket_type_flag_values, .unknown = "SOCK_???");

static const struct named_value ip_protocol_values[] = {
	NAMED(IPPROTO_IP),     NAMED(IPPROTO_ICMP),    NAMED(IPPROTO_IGMP),    NAMED(IPPROTO_IPIP), NAMED(IPPROTO_TCP),
	NAMED(IPPROTO_EGP),    NAMED(IPPROTO_PUP),     NAMED(IPPROTO_UDP),     NAMED(IPPROTO_IDP),  NAMED(IPPROTO_DCCP),
	NAMED(IPPROTO_IPV6),   NAMED(IPPROTO_ROUTING), NAMED(IPPROTO_GRE),     NAMED(IPPROTO_ESP),  NAMED(IPPROTO_AH),
	NAMED(IPPROTO_ICMPV6), NAMED(IPPROTO_SCTP),    NAMED(IPPROTO_UDPLITE), NAMED(IPPROTO_MPLS), NAMED(IPPROTO_RAW),
	NAMED(IPPROTO_MPTCP)};
NAME_SET(names_ip_protocol, ip_protocol_values, .decimal = true);

static const struct named_value netlink_protocol_values[] = {
	NAMED(NETLINK_ROUTE),          NAMED(NETLINK_USERSOCK),  NAMED(NETLINK_SOCK_DIAG),     NAMED(NETLINK_NFLOG),
	NAMED(NETLINK_XFRM),           NAMED(NETLINK_SELINUX),   NAMED(NETLINK_ISCSI),         NAMED(NETLINK_AUDIT),
	NAMED(NETLINK_FIB_LOOKUP),     NAMED(NETLINK_CONNECTOR), NAMED(NETLINK_NETFILTER),     NAMED(NETLINK_DNRTMSG),
	NAMED(NETLINK_KOBJECT_UEVENT), NAMED(NETLINK_GENERIC),   NAMED(NETLINK_SCSITRANSPORT), NAMED(NETLINK_ECRYPTFS),
	NAMED(NETLINK_RDMA),           NAMED(NETLINK_CRYPTO)};
NAME_SET(names_netlink_protocol, netlink_protocol_values, .unknown = "NETLINK_???");

/* The unexported ones are linux/socket.h's. */
static const struct named_value message_values[] = {NAMED(MSG_OOB),
						    NAMED(MSG_PEEK),
						    NAMED(MSG_DONTROUTE),
						    NAMED(MSG_CTRUNC),
						    NAMED_AS(0x10, "MSG_PROBE"),
						    NAMED(MSG_TRUNC),
						    NAMED(MSG_DONTWAIT),
						    NAMED(MSG_EOR),
						    NAMED(MSG_WAITALL),
						    NAMED(MSG_FIN),
						    NAMED(MSG_SYN),
						    NAMED(MSG_CONFIRM),
						    NAMED(MSG_RST),
						    NAMED(MSG_ERRQUEUE),
						    NAMED(MSG_NOSIGNAL),
						    NAMED(MSG_MORE),
						    NAMED(MSG_WAITFORONE),
						    NAMED_AS(0x20000, "MSG_SENDPAGE_NOTLAST"),
						    NAMED(MSG_BATCH),
						    NAMED_AS(0x80000, "MSG_NO_SHARED_FRAGS"),
						    NAMED(MSG_ZEROCOPY),
						    NAMED(MSG_FASTOPEN),
						    NAMED(MSG_CMSG_CLOEXEC),
						    NAMED_AS(0x80000000u, "MSG_CMSG_COMPAT")};
NAME_SET(names_message, message_values, .unknown = "MSG_???");

static const struct named_value shutdown_values[] = {NAMED(SHUT_RD), NAMED(SHUT_WR), NAMED(SHUT_RDWR)};
NAME_SET(names_shutdown, shutdown_values, .unknown = "SHUT_???");

static const struct named_value sockopt_level_values[] = {NAMED(SOL_IP),
							  NAMED(SOL_SOCKET),
							  NAMED(SOL_TCP),
							  NAMED_AS(IPPROTO_UDP, "SOL_UDP"),
							  NAMED(SOL_IPV6),
							  NAMED(SOL_ICMPV6),
							  NAMED_AS(132, "SOL_SCTP"),
							  NAMED_AS(136, "SOL_UDPLITE"),
							  NAMED(SOL_RAW),
							  NAMED(SOL_PACKET),
							  NAMED(SOL_NETLINK),
							  NAMED_AS(282, "SOL_TLS"),
							  NAMED_AS(279, "SOL_ALG")};
NAME_SET(names_sockopt_level, sockopt_level_values, .unknown = "SOL_??");

static const struct named_value so_values[] = {NAMED(SO_DEBUG),
					       NAMED(SO_REUSEADDR),
					       NAMED(SO_TYPE),
					       NAMED(SO_ERROR),
					       NAMED(SO_DONTROUTE),
					       NAMED(SO_BROADCAST),
					       NAMED(SO_SNDBUF),
					       NAMED(SO_RCVBUF),
					       NAMED(SO_KEEPALIVE),
					       NAMED(SO_OOBINLINE),
					       NAMED(SO_NO_CHECK),
					       NAMED(SO_PRIORITY),
					       NAMED(SO_LINGER),
					       NAMED(SO_BSDCOMPAT),
					       NAMED(SO_REUSEPORT),
					       NAMED(SO_PASSCRED),
					       NAMED(SO_PEERCRED),
					       NAMED(SO_RCVLOWAT),
					       NAMED(SO_SNDLOWAT),
					       NAMED_AS(20, "SO_RCVTIMEO_OLD"),
					       NAMED_AS(21, "SO_SNDTIMEO_OLD"),
					       NAMED(SO_BINDTODEVICE),
					       NAMED(SO_ATTACH_FILTER),
					       NAMED(SO_DETACH_FILTER),
					       NAMED(SO_PEERNAME),
					       NAMED_AS(29, "SO_TIMESTAMP_OLD"),
					       NAMED(SO_ACCEPTCONN),
					       NAMED(SO_PEERSEC),
					       NAMED(SO_SNDBUFFORCE),
					       NAMED(SO_RCVBUFFORCE),
					       NAMED(SO_PASSSEC),
					       NAMED_AS(35, "SO_TIMESTAMPNS_OLD"),
					       NAMED(SO_MARK),
					       NAMED_AS(37, "SO_TIMESTAMPING_OLD"),
					       NAMED(SO_PROTOCOL),
					       NAMED(SO_DOMAIN),
					       NAMED(SO_RXQ_OVFL),
					       NAMED(SO_PEEK_OFF),
					       NAMED(SO_BUSY_POLL),
					       NAMED(SO_ATTACH_BPF),
					       NAMED(SO_INCOMING_CPU),
					       NAMED(SO_COOKIE),
					       NAMED(SO_PEERGROUPS),
					       NAMED(SO_ZEROCOPY)};
NAME_SET(names_so, so_values, .unknown = "SO_???");

static const struct named_value ip_option_values[] = {NAMED(IP_TOS),
						      NAMED(IP_TTL),
						      NAMED(IP_HDRINCL),
						      NAMED(IP_OPTIONS),
						      NAMED(IP_RECVOPTS),
						      NAMED(IP_RETOPTS),
						      NAMED(IP_PKTINFO),
						      NAMED(IP_MTU_DISCOVER),
						      NAMED(IP_RECVERR),
						      NAMED(IP_RECVTTL),
						      NAMED(IP_RECVTOS),
						      NAMED(IP_MTU),
						      NAMED(IP_FREEBIND),
						      NAMED(IP_TRANSPARENT),
						      NAMED(IP_BIND_ADDRESS_NO_PORT),
						      NAMED(IP_MULTICAST_IF),
						      NAMED(IP_MULTICAST_TTL),
						      NAMED(IP_MULTICAST_LOOP),
						      NAMED(IP_ADD_MEMBERSHIP),
						      NAMED(IP_DROP_MEMBERSHIP),
						      NAMED(IP_MULTICAST_ALL)};
NAME_SET(names_ip_option, ip_option_values, .unknown = "IP_???");

static const struct named_value ipv6_option_values[] = {
	NAMED(IPV6_UNICAST_HOPS),   NAMED(IPV6_MULTICAST_IF),    NAMED(IPV6_MULTICAST_HOPS), NAMED(IPV6_MULTICAST_LOOP),
	NAMED(IPV6_ADD_MEMBERSHIP), NAMED(IPV6_DROP_MEMBERSHIP), NAMED(IPV6_MTU_DISCOVER),   NAMED(IPV6_MTU),
	NAMED(IPV6_RECVERR),        NAMED(IPV6_V6ONLY),          NAMED(IPV6_RECVPKTINFO),    NAMED(IPV6_PKTINFO),
	NAMED(IPV6_RECVTCLASS),     NAMED(IPV6_TCLASS)};
NAME_SET(names_ipv6_option, ipv6_option_values, .unknown = "IPV6_???");

static const struct named_value tcp_option_values[] = {
	NAMED(TCP_NODELAY),      NAMED(TCP_MAXSEG),       NAMED(TCP_CORK),     NAMED(TCP_KEEPIDLE),
	NAMED(TCP_KEEPINTVL),    NAMED(TCP_KEEPCNT),      NAMED(TCP_SYNCNT),   NAMED(TCP_LINGER2),
	NAMED(TCP_DEFER_ACCEPT), NAMED(TCP_WINDOW_CLAMP), NAMED(TCP_INFO),     NAMED(TCP_QUICKACK),
	NAMED(TCP_CONGESTION),   NAMED(TCP_USER_TIMEOUT), NAMED(TCP_FASTOPEN), NAMED(TCP_NOTSENT_LOWAT),
	NAMED(TCP_ULP)};
NAME_SET(names_tcp_option, tcp_option_values, .unknown = "TCP_???");
