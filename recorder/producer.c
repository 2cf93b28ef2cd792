/* SPDX-License-Identifier: MIT */
#include "producer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STOP_PATIENCE_NS (5 * NS_PER_S)
#define NOTICE_NS        (5 * NS_PER_S)
#define SEND_PATIENCE_NS (5 * NS_PER_S)

void producer_message_release(struct producer_message *message)
{
	for (unsigned i = 0; i < PRODUCER_MAX_FDS; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
		message->fds[i] = -1;
	}
	free(message->body);
	message->body = NULL;
}

static void message_reset(struct producer *producer)
{
	producer->in = (struct producer_message){.fds = {-1, -1, -1}};
	producer->header_have = producer->body_have = 0;
}

static int connect_error(const char *path, int saved, struct record_error *error)
{
	switch (saved) {
	case ENOENT:
		return record_error_set(error, -saved,
					"%s: no such socket: start the VM with -object "
					"vmtape-recorder,id=ID,socket=PATH, or object-add it",
					path);
	case ECONNREFUSED:
		return record_error_set(error, -saved, "%s: no VM listens there (any more), or it is not a socket",
					path);
	case EACCES:
	case EPERM:
		return record_error_set(error, -saved, "%s: permission denied: run as the user of the VM, or as root",
					path);
	case EAGAIN:
		return record_error_set(error, -saved, "%s: busy: others wait for this VM already", path);
	case EPROTOTYPE:
		return record_error_set(error, -saved, "%s: is a socket, but of another type: not a vmtape socket",
					path);
	default:
		return record_error_set(error, -saved, "%s: cannot connect: %s", path, strerror(saved));
	}
}

int producer_init(struct producer *producer, struct loop *loop, const char *path, struct record_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*producer = (struct producer){.fd = -1, .path = path, .loop = loop};
	message_reset(producer);
	if (strlen(path) >= sizeof(address.sun_path))
		return record_error_set(error, -ENAMETOOLONG,
					"%s: longer than the %zu bytes that a socket's path can have", path,
					sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	producer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (producer->fd < 0)
		return connect_error(path, errno, error);
	if (connect(producer->fd, (struct sockaddr *)&address, sizeof(address))) {
		int ret = connect_error(path, errno, error);

		producer_deinit(producer);
		return ret;
	}
	return 0;
}

void producer_deinit(struct producer *producer)
{
	producer_message_release(&producer->in);
	if (producer->fd >= 0)
		close(producer->fd);
	producer->fd = -1;
}

/* ---- receiving ------------------------------------------------------- */

static int gone(struct record_error *error)
{
	return record_error_set(error, -ECONNRESET, "the VM ended or closed the connection");
}

/* Descriptors of one recvmsg(): kept in the message, or closed and an error. */
static int take_fds(struct producer *producer, struct msghdr *header, bool expected, struct record_error *error)
{
	unsigned have = 0;
	int ret = 0;

	for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
		size_t n;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		n = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
			while (have < PRODUCER_MAX_FDS && producer->in.fds[have] >= 0)
				have++;
			if (!expected || have >= PRODUCER_MAX_FDS) {
				close(fd);
				ret = -EPROTO;
			} else {
				producer->in.fds[have++] = fd;
			}
		}
	}
	if (ret || header->msg_flags & MSG_CTRUNC)
		return record_error_set(error, -EPROTO, "a message came with descriptors that it must not have");
	return 0;
}

/* Up to size_bytes: their number, 0 when nothing is there, or an error. */
static ssize_t receive_bytes(struct producer *producer, void *buffer, size_t size_bytes, bool fds_expected,
			     struct record_error *error)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control;
	struct iovec part = {.iov_base = buffer, .iov_len = size_bytes};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	int ret;

	do
		n = recvmsg(producer->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : gone(error);
	ret = take_fds(producer, &message, fds_expected, error);
	if (ret)
		return ret;
	return n ? n : gone(error);
}

static int check_header(struct producer *producer, struct record_error *error)
{
	struct proto_header *header = &producer->in.header;
	unsigned nr_fds = 0;

	memcpy(header, producer->header_bytes, sizeof(*header));
	if (header->magic != PROTO_MAGIC)
		return record_error_set(error, -EPROTO,
					"not a vmtape socket: what it says begins with 0x%08x, not 0x%08x",
					header->magic, PROTO_MAGIC);
	if (header->type == 0 || header->type >= PROTO_TYPES)
		return record_error_set(error, -EPROTO, "a message has the unknown type %u", header->type);
	if (header->size_bytes > PROTO_MAX_BYTES)
		return record_error_set(error, -EPROTO, "a message says that it has %u bytes, over the limit of %u",
					header->size_bytes, PROTO_MAX_BYTES);
	while (nr_fds < PRODUCER_MAX_FDS && producer->in.fds[nr_fds] >= 0)
		nr_fds++;
	if (header->nr_fds != nr_fds)
		return record_error_set(error, -EPROTO, "a message says that it brings %u descriptors, but has %u",
					header->nr_fds, nr_fds);
	producer->in.body = calloc(1, (size_t)header->size_bytes + 8);
	if (!producer->in.body)
		return record_error_set(error, -ENOMEM, "out of memory");
	return 0;
}

int producer_receive(struct producer *producer, struct producer_message *out, struct record_error *error)
{
	ssize_t n;

	while (producer->header_have < sizeof(producer->header_bytes)) {
		n = receive_bytes(producer, producer->header_bytes + producer->header_have,
				  sizeof(producer->header_bytes) - producer->header_have, !producer->header_have,
				  error);
		if (n <= 0)
			return (int)n;
		producer->header_have += (size_t)n;
		if (producer->header_have == sizeof(producer->header_bytes)) {
			int ret = check_header(producer, error);

			if (ret)
				return ret;
		}
	}
	while (producer->body_have < producer->in.header.size_bytes) {
		n = receive_bytes(producer, producer->in.body + producer->body_have,
				  producer->in.header.size_bytes - producer->body_have, false, error);
		if (n <= 0)
			return (int)n;
		producer->body_have += (size_t)n;
	}
	*out = producer->in;
	message_reset(producer);
	return 1;
}

static int serve_event(struct producer *producer, struct producer_message *message, struct record_error *error)
{
	int ret = 0;

	if (message->header.request)
		ret = record_error_set(error, -EPROTO, "an answer came to request %u, which nobody made",
				       message->header.request);
	else if (producer->on_event)
		ret = producer->on_event(producer->event_ctx, message, error);
	producer_message_release(message);
	return ret;
}

int producer_serve_events(struct producer *producer, struct record_error *error)
{
	struct producer_message message;
	int ret;

	/* As many as a quiet peer can have sent; a flood must not keep us from the rest. */
	for (unsigned n = 0; n < 64; n++) {
		ret = producer_receive(producer, &message, error);
		if (ret <= 0)
			return ret;
		ret = serve_event(producer, &message, error);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- requests -------------------------------------------------------- */

static int send_all(struct producer *producer, const void *bytes, size_t size_bytes, struct record_error *error)
{
	uint64_t until = now_ns() + SEND_PATIENCE_NS;
	const uint8_t *from = bytes;

	while (size_bytes) {
		ssize_t n = send(producer->fd, from, size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd writable = {.fd = producer->fd, .events = POLLOUT};

		if (n > 0) {
			from += n;
			size_bytes -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return gone(error);
		if (now_ns() >= until)
			return record_error_set(error, -ETIMEDOUT, "%s: takes no request", producer->path);
		if (loop_wait(producer->loop, NULL, 0, now_ns()) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
		poll(&writable, 1, 100);
	}
	return 0;
}

int producer_send(struct producer *producer, enum proto_type type, const void *body, size_t body_bytes,
		  const void *more, size_t more_bytes, uint32_t *request, struct record_error *error)
{
	struct proto_header header = {
		.magic = PROTO_MAGIC,
		.type = (uint16_t)type,
		.size_bytes = (uint32_t)(body_bytes + more_bytes),
	};
	int ret;

	if (body_bytes + more_bytes > PROTO_MAX_BYTES)
		return record_error_set(error, -E2BIG, "a request of %zu bytes is over the limit of %u",
					body_bytes + more_bytes, PROTO_MAX_BYTES);
	if (++producer->last_request == 0)
		producer->last_request = 1;
	header.request = *request = producer->last_request;
	ret = send_all(producer, &header, sizeof(header), error);
	if (!ret && body_bytes)
		ret = send_all(producer, body, body_bytes, error);
	if (!ret && more_bytes)
		ret = send_all(producer, more, more_bytes, error);
	return ret;
}

static int remote_error(struct producer *producer, struct producer_message *message, struct record_error *error)
{
	struct proto_error said = {0};
	char text[sizeof(said.message)];
	size_t n = message->header.size_bytes;

	memcpy(&said, message->body, n < sizeof(said) ? n : sizeof(said));
	report_clean(text, sizeof(text), said.message, sizeof(said.message));
	producer->remote_error = said.error > 0 && said.error < 4096 ? said.error : EPROTO;
	return record_error_set(error, -EREMOTEIO, "%s", text[0] ? text : strerror(producer->remote_error));
}

static uint64_t give_up_ns(const struct producer *producer, uint64_t asked_ns, unsigned patience_ms)
{
	const struct loop *loop = producer->loop;

	if (patience_ms)
		return asked_ns + patience_ms * NS_PER_MS;
	if (loop->stop)
		return (asked_ns > loop->stopped_ns ? asked_ns : loop->stopped_ns) + STOP_PATIENCE_NS;
	return LOOP_NEVER;
}

int producer_answer(struct producer *producer, uint32_t request, unsigned patience_ms, struct producer_message *out,
		    struct record_error *error)
{
	uint64_t asked_ns = now_ns(), notice_ns = asked_ns + NOTICE_NS;

	for (;;) {
		int ret = producer_receive(producer, out, error);
		uint64_t until, now;

		if (ret < 0)
			return ret;
		/* One that serves somebody else says so before it reads what we ask. */
		if (ret &&
		    (out->header.request == request || (out->header.type == PROTO_ERROR && !out->header.request))) {
			if (out->header.type != PROTO_ERROR)
				return 0;
			ret = remote_error(producer, out, error);
			producer_message_release(out);
			return ret;
		}
		if (ret) {
			/* On to the clock and the signals, or a flood of events would keep us here. */
			ret = serve_event(producer, out, error);
			if (ret)
				return ret;
		}
		if (producer->is_starting && producer->loop->stop)
			return record_error_set(error, -EINTR, "stopped before the recording began");
		now = now_ns();
		until = give_up_ns(producer, asked_ns, patience_ms);
		if (now >= until)
			return record_error_set(error, -ETIMEDOUT, "%s: no answer in %llu s", producer->path,
						(unsigned long long)((now - asked_ns) / NS_PER_S));
		if (now >= notice_ns) {
			report("the VM has not answered for %llu s (is it stopped?); records are still taken",
			       (unsigned long long)((now - asked_ns) / NS_PER_S));
			notice_ns = now + 6 * NOTICE_NS;
		}
		if (loop_wait(producer->loop, &producer->fd, 1, until < notice_ns ? until : notice_ns) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
	}
}

int producer_expect(struct producer_message *message, enum proto_type type, size_t min_bytes, unsigned max_fds,
		    struct record_error *error)
{
	const struct proto_header *header = &message->header;

	if (header->type != type)
		return record_error_set(error, -EPROTO, "an answer has the type %u, not %u", header->type, type);
	if (header->size_bytes < min_bytes)
		return record_error_set(error, -EPROTO, "an answer of type %u has %u bytes, fewer than %zu", type,
					header->size_bytes, min_bytes);
	if (header->nr_fds > max_fds)
		return record_error_set(error, -EPROTO, "an answer of type %u brings %u descriptors, over %u", type,
					header->nr_fds, max_fds);
	return 0;
}
