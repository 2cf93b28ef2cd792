/* SPDX-License-Identifier: MIT */
/*
 * work_net.c - system calls on sockets: the families unix, inet, inet6, netlink,
 * packet and vsock, options of many levels, ancillary data, several messages in
 * one call, ioctls of interfaces.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "workload.h"

static void close_two(int one, int two)
{
	must(close(one));
	must(close(two));
}

/* Descriptors and credentials through a UNIX socket. */
static void ancillary(void)
{
	char buf[64], room[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8)));
	struct iovec parts[2] = {{"with ", 5}, {"descriptors", 11}}, into = {buf, sizeof(buf)};
	struct msghdr out = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = room, .msg_controllen = sizeof(room)};
	struct msghdr in = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&out);
	int pair[2], one = 1;

	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
	must(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	memset(room, 0, sizeof(room));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(header), (int[]){pair[0], 2}, 2 * sizeof(int));
	header = CMSG_NXTHDR(&out, header);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_CREDENTIALS;
	header->cmsg_len = CMSG_LEN(sizeof(struct ucred));
	memcpy(CMSG_DATA(header), &(struct ucred){getpid(), 0, 0}, sizeof(struct ucred));
	must(sendmsg(pair[0], &out, MSG_NOSIGNAL | MSG_DONTWAIT));
	must(recvmsg(pair[1], &in, MSG_CMSG_CLOEXEC));
	must(sendmsg(pair[0], &(struct msghdr){.msg_iov = parts, .msg_iovlen = 2}, 0));
	in.msg_controllen = 0;
	into.iov_len = 7;
	must(recvmsg(pair[1], &in, MSG_TRUNC));
	fails(recvmsg(pair[1], &in, MSG_DONTWAIT), EAGAIN);
	fails(sendmsg(pair[0], (void *)16, 0), EFAULT);
	fails(sendmsg(99, &out, 0), EBADF);
	close_two(pair[0], pair[1]);
	fails(socketpair(AF_INET, SOCK_STREAM, 0, pair), EOPNOTSUPP);
	fails(socketpair(AF_UNIX, SOCK_STREAM, 77, pair), EPROTONOSUPPORT);
}

static void unix_names(void)
{
	struct sockaddr_un hidden = {.sun_family = AF_UNIX, .sun_path = "\0work_net \"hidden\"\1"}, name;
	struct sockaddr_un in_file = {.sun_family = AF_UNIX, .sun_path = "/tmp/work_net.socket"};
	socklen_t hidden_length = offsetof(struct sockaddr_un, sun_path) + 19, length = sizeof(name);
	char buf[32];

	unlink(in_file.sun_path);
	int server = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	must(bind(server, (struct sockaddr *)&hidden, hidden_length));
	must(getsockname(server, (struct sockaddr *)&name, &length));
	int client = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	must(bind(client, (struct sockaddr *)&in_file, sizeof(in_file)));
	must(sendto(client, "to a hidden name", 16, 0, (struct sockaddr *)&hidden, hidden_length));
	length = sizeof(name);
	must(recvfrom(server, buf, sizeof(buf), MSG_PEEK, (struct sockaddr *)&name, &length));
	length = 5;
	must(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&name, &length));
	must(sendto(server, "and back", 8, 0, (struct sockaddr *)&in_file, sizeof(in_file)));
	must(recvfrom(client, buf, sizeof(buf), 0, NULL, NULL));
	int unnamed = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	must(bind(unnamed, (struct sockaddr *)&hidden, sizeof(sa_family_t))); /* the kernel finds a name */
	length = sizeof(name);
	must(getsockname(unnamed, (struct sockaddr *)&name, &length));
	fails(getpeername(unnamed, (struct sockaddr *)&name, &length), ENOTCONN);
	fails(bind(unnamed, (struct sockaddr *)&in_file, sizeof(in_file)), EADDRINUSE);
	fails(listen(unnamed, 3), EOPNOTSUPP);
	must(close(unnamed));
	close_two(client, server);
	must(unlink(in_file.sun_path));
}

static void options(int fd, int datagram)
{
	struct linger linger = {1, 5};
	struct timeval patience = {1, 500000};
	struct tcp_info info;
	struct ip_mreq group = {.imr_multiaddr = {htonl(0xe0000105)}, .imr_interface = {htonl(INADDR_LOOPBACK)}};
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
	struct sock_fprog program = {1, code};
	static const int numbers[] = {SO_TYPE,       SO_ERROR,     SO_RCVBUF,   SO_SNDBUF,    SO_PROTOCOL,    SO_DOMAIN,
				      SO_ACCEPTCONN, SO_KEEPALIVE, SO_PRIORITY, SO_REUSEPORT, SO_INCOMING_CPU};
	int value = 1;
	socklen_t length;
	char text[64];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		length = sizeof(value);
		must(getsockopt(fd, SOL_SOCKET, numbers[i], &value, &length));
	}
	value = 1;
	must(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
	must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value)));
	must(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &value, sizeof(value)));
	value = 65536;
	must(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)));
	must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof(value)));
	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	length = sizeof(patience);
	must(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, &length));
	length = sizeof(linger);
	must(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	must(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value, sizeof(value)));
	may(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	length = sizeof(text);
	may(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, text, &length));
	value = 0x10;
	must(setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof(value)));
	value = 32;
	must(setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof(value)));
	value = 1;
	must(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, sizeof(value)));
	length = sizeof(value);
	must(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &length));
	if (datagram) {
		may(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
		must(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &value, sizeof(value)));
		must(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)));
		value = 1;
		must(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &value, sizeof(value)));
		value = 0;
		must(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &value, sizeof(value)));
	} else {
		static const int tcp[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_QUICKACK, TCP_SYNCNT};

		value = 9;
		for (size_t i = 0; i < sizeof(tcp) / sizeof(tcp[0]); i++)
			must(setsockopt(fd, IPPROTO_TCP, tcp[i], &value, sizeof(value)));
		length = sizeof(info);
		must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
		length = sizeof(text);
		must(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &length));
		may(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
		length = sizeof(value);
		must(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &length));
	}
	fails(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof(value)), ENOPROTOOPT);
	fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), EINVAL);
	may(getsockopt(fd, 7777, 3, &value, &length));
	fails(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, (void *)16), EFAULT);
}

static int listener(int family, struct sockaddr *address, socklen_t length)
{
	int fd = must(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), value = 1;

	if (family == AF_INET6)
		must(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)));
	must(bind(fd, address, length));
	must(listen(fd, 128));
	must(getsockname(fd, address, &length));
	return fd;
}

static void stream(int family, struct sockaddr *address, socklen_t length)
{
	struct sockaddr_storage peer_name;
	socklen_t peer_length = sizeof(peer_name);
	char buf[256];
	int pipes[2], number;

	int server = listener(family, address, length);
	fails(accept(server, NULL, NULL), EAGAIN);
	int client = must(socket(family, SOCK_STREAM, IPPROTO_TCP));
	fails(getpeername(client, (struct sockaddr *)&peer_name, &peer_length), ENOTCONN);
	fails(shutdown(99, SHUT_RDWR), EBADF);
	must(connect(client, address, length));
	fails(connect(client, address, length), EISCONN);
	int peer = must(accept4(server, (struct sockaddr *)&peer_name, &peer_length, SOCK_NONBLOCK | SOCK_CLOEXEC));
	peer_length = sizeof(peer_name);
	must(getpeername(client, (struct sockaddr *)&peer_name, &peer_length));
	options(client, 0);
	must(send(client, "GET /\r\n", 7, MSG_MORE));
	must(send(client, "!", 1, MSG_OOB));
	struct pollfd ready = {peer, POLLIN | POLLPRI, 0};
	must(poll(&ready, 1, 1000));
	may(recv(peer, buf, 1, MSG_OOB));
	must(ioctl(peer, FIONREAD, &number));
	may(ioctl(peer, SIOCATMARK, &number));
	must(recv(peer, buf, 3, MSG_PEEK));
	must(recv(peer, buf, sizeof(buf), 0));
	must(pipe(pipes));
	must(write(pipes[1], "by way of a pipe", 16));
	must(splice(pipes[0], NULL, client, NULL, 16, SPLICE_F_MORE));
	int file = must(open("/etc/passwd", O_RDONLY));
	must(sendfile(client, file, NULL, 40));
	must(close(file));
	must(shutdown(client, SHUT_WR));
	must(poll(&ready, 1, 1000));
	while (must(read(peer, buf, sizeof(buf))) > 0)
		;
	must(shutdown(peer, SHUT_RDWR));
	fails(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
	fails(accept4(server, NULL, NULL, 0x77), EINVAL);
	close_two(pipes[0], pipes[1]);
	close_two(peer, client);
	must(close(server));
}

static void datagrams(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, names[3];
	socklen_t length = sizeof(address);
	char bufs[3][16], control[64];
	struct iovec parts[3] = {{bufs[0], 16}, {bufs[1], 16}, {bufs[2], 4}}, out[2] = {{"first", 5}, {" and more", 9}};
	struct mmsghdr in[3], sent[3];
	struct timespec patience = {0, 50000000};

	int server = must(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
	must(bind(server, (struct sockaddr *)&address, sizeof(address)));
	must(getsockname(server, (struct sockaddr *)&address, &length));
	int client = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	options(server, 1);
	must(connect(client, (struct sockaddr *)&address, sizeof(address)));
	for (int i = 0; i < 3; i++) {
		sent[i] = (struct mmsghdr){{.msg_iov = out, .msg_iovlen = i % 2 + 1}, 0};
		in[i] = (struct mmsghdr){{.msg_name = &names[i],
					  .msg_namelen = sizeof(names[i]),
					  .msg_iov = &parts[i],
					  .msg_iovlen = 1,
					  .msg_control = i == 0 ? control : NULL,
					  .msg_controllen = i == 0 ? sizeof(control) : 0},
					 0};
	}
	must(sendmmsg(client, sent, 3, MSG_NOSIGNAL));
	must(recvmmsg(server, in, 3, MSG_WAITFORONE, &patience));
	fails(recvmmsg(server, in, 3, MSG_DONTWAIT, NULL), EAGAIN);
	fails(sendmmsg(99, sent, 3, 0), EBADF);
	must(connect(client, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
	fails(send(client, "x", 1, 0), EDESTADDRREQ);
	address.sin_addr.s_addr = htonl(0x7f000002);
	must(sendto(client, "", 0, MSG_CONFIRM, (struct sockaddr *)&address, sizeof(address)));
	fails(sendto(client, "x", 1, 0, (struct sockaddr *)&address, 3), EINVAL);
	address.sin_port = 0;
	fails(sendto(client, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)), EINVAL);
	close_two(client, server);
	int raw = must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	struct icmphdr echo = {.type = ICMP_ECHO, .checksum = htons(0xf7ff)};
	must(sendto(raw, &echo, sizeof(echo), 0, (struct sockaddr *)&address, sizeof(address)));
	must(close(raw));
	fails(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	fails(socket(AF_INET, SOCK_STREAM, 77), EPROTONOSUPPORT);
}

static void route_messages(void)
{
	struct {
		struct nlmsghdr head;
		struct rtgenmsg family;
	} request = {{.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
		      .nlmsg_type = RTM_GETLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		      .nlmsg_seq = 77},
		     {AF_UNSPEC}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK}, own = {.nl_family = AF_NETLINK, .nl_groups = 1};
	socklen_t length = sizeof(own);
	static char buf[16384];
	struct iovec into = {buf, sizeof(buf)};
	struct msghdr in = {.msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = &into, .msg_iovlen = 1};

	int fd = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	must(bind(fd, (struct sockaddr *)&own, sizeof(own)));
	must(getsockname(fd, (struct sockaddr *)&own, &length));
	must(sendto(fd, &request, request.head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)));
	must(recvmsg(fd, &in, 0));
	must(recv(fd, buf, sizeof(buf), 0));
	request.head.nlmsg_type = RTM_GETADDR;
	must(send(fd, &request, request.head.nlmsg_len, 0));
	must(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&kernel, &length));
	must(close(fd));
	fd = must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
	must(bind(fd, (struct sockaddr *)&own, sizeof(own)));
	fails(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	must(close(fd));
	fails(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
}

static void other_families(void)
{
	struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1};
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 1234};
	struct ifreq interface = {.ifr_name = "lo"};
	struct ifconf all = {.ifc_len = 4 * sizeof(interface)};
	struct ifreq list[4];
	socklen_t length = sizeof(link);

	int fd = (int)may(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)));
	may(bind(fd, (struct sockaddr *)&link, sizeof(link)));
	may(getsockname(fd, (struct sockaddr *)&link, &length));
	may(close(fd));
	fd = (int)may(socket(AF_VSOCK, SOCK_STREAM, 0));
	may(bind(fd, (struct sockaddr *)&vm, sizeof(vm)));
	may(close(fd));
	may(close(may(socket(AF_ALG, SOCK_SEQPACKET, 0))));
	may(close(may(socket(AF_BLUETOOTH, SOCK_RAW, 1))));
	fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(ioctl(fd, SIOCGIFINDEX, &interface));
	must(ioctl(fd, SIOCGIFFLAGS, &interface));
	must(ioctl(fd, SIOCGIFMTU, &interface));
	must(ioctl(fd, SIOCGIFADDR, &interface));
	may(ioctl(fd, SIOCGIFHWADDR, &interface));
	all.ifc_req = list;
	must(ioctl(fd, SIOCGIFCONF, &all));
	strcpy(interface.ifr_name, "absent0");
	fails(ioctl(fd, SIOCGIFINDEX, &interface), ENODEV);
	must(close(fd));
}

int main(void)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int value = 1;

	must(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	ancillary();
	unix_names();
	stream(AF_INET, (struct sockaddr *)&four, sizeof(four));
	stream(AF_INET6, (struct sockaddr *)&six, sizeof(six));
	datagrams();
	int fd = must(socket(AF_INET6, SOCK_DGRAM, 0));
	must(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &value, sizeof(value)));
	must(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, sizeof(value)));
	six.sin6_port = htons(9);
	six.sin6_flowinfo = htonl(5);
	six.sin6_scope_id = 1;
	must(sendto(fd, "by IPv6", 7, 0, (struct sockaddr *)&six, sizeof(six)));
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
	must(connect(fd, (struct sockaddr *)&six, sizeof(six)));
	must(close(fd));
	route_messages();
	other_families();
	return 0;
}
