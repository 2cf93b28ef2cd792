/* SPDX-License-Identifier: MIT */
/*
 * fuzz_producer_proto.c - a hostile VM on the socket: what it sends, descriptors
 * included, against the recorder's client, which goes through all of its
 * requests. Input: packets of [number of descriptors, 1 byte][the kind of each,
 * 1 byte][length, 2 bytes, little-endian][bytes]; a packet is one sendmsg().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bytes.h"
#include "producer_calls.h"
#include "trap_ring_producer.h"

#define MAX_INPUT_BYTES (64u << 10)
#define MAX_PACKET_FDS  12u
#define RING_BYTES      ((uint64_t)TRAP_RING_MIN_BYTES)
#define RAM_BYTES       (64u * 4096)
#define STAGING_BYTES   (32u * 4096)
#define NR_RINGS        2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum kind { KIND_RAM, KIND_RING_0, KIND_RING_1, KIND_EVENT, KIND_TIMER, KIND_STAGING, KIND_NULL, KIND_SOCKET, KINDS };

static int kinds[KINDS];
static uint8_t *rings[NR_RINGS];

static int make_memory(const char *name, size_t size_bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size_bytes))
		abort();
	return fd;
}

static void make_kinds(void)
{
	size_t memory_bytes = trap_ring_memory_bytes(RING_BYTES);

	kinds[KIND_RAM] = make_memory("ram", RAM_BYTES);
	kinds[KIND_STAGING] = make_memory("staging", STAGING_BYTES);
	for (unsigned i = 0; i < NR_RINGS; i++) {
		kinds[KIND_RING_0 + i] = make_memory("ring", memory_bytes);
		rings[i] = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, kinds[KIND_RING_0 + i], 0);
		if (rings[i] == MAP_FAILED)
			abort();
	}
	kinds[KIND_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kinds[KIND_TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	kinds[KIND_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	kinds[KIND_SOCKET] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Each ring with one record, as a vCPU fills it. */
static void fill_rings(void)
{
	for (unsigned i = 0; i < NR_RINGS; i++) {
		struct trap_writer writer;
		struct trap_record *record;

		memset(rings[i], 0, 2 * TRAP_RING_PAGE);
		trap_writer_init(&writer, rings[i], RING_BYTES, RING_BYTES / 8, (uint16_t)i);
		record = trap_writer_reserve(&writer, sizeof(*record));
		if (!record)
			abort();
		memset(record, 0, sizeof(*record));
		record->type = TRAP_ENTER;
		trap_writer_commit(&writer, sizeof(*record));
	}
}

/* ---- the hostile side ------------------------------------------------ */

/* Sends one packet; returns the bytes of input that it took, 0: there is none. */
static size_t send_packet(int fd, const uint8_t *data, size_t size_bytes)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * MAX_PACKET_FDS)];
	} control = {0};
	int fds[MAX_PACKET_FDS];
	struct iovec part;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	size_t nr_fds, length, at = 1;

	if (!size_bytes)
		return 0;
	nr_fds = data[0] % (MAX_PACKET_FDS + 1);
	if (size_bytes < 1 + nr_fds + 2)
		return 0;
	for (size_t i = 0; i < nr_fds; i++)
		fds[i] = kinds[data[at++] % KINDS];
	length = get_le16(data + at);
	at += 2;
	if (length > size_bytes - at)
		length = size_bytes - at;
	part = (struct iovec){(void *)(data + at), length};
	if (nr_fds) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * nr_fds);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
	}
	/* What finds no room is not sent: no peer of a fuzzer may hang. */
	if (length && sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return 0;
	return at + length;
}

/* ---- the client ------------------------------------------------------ */

static int take_ring(void *ctx, struct trap_ring *ring, struct record_error *error)
{
	static uint8_t records[2 * TRAP_RECORD_MAX_BYTES];

	for (unsigned i = 0; i < 3 && trap_ring_drain(ring, records, sizeof(records)) > 0; i++)
		;
	trap_ring_deinit(ring);
	return 0;
}

static int take_event(void *ctx, struct producer_message *message, struct record_error *error)
{
	struct trap_ring ring;
	int ret;

	if (message->header.type != PROTO_RING)
		return producer_expect(message, PROTO_EVENT, sizeof(struct proto_event), 0, error);
	ret = producer_open_ring(message, &ring, error);
	return ret ? ret : take_ring(ctx, &ring, error);
}

/* Errors say why, and are those that producer.h tells of. */
static bool goes_on(int ret, const struct record_error *error)
{
	if (!ret)
		return true;
	if (!error->message[0] || (ret != -ECONNRESET && ret != -EREMOTEIO && ret != -EPROTO && ret != -ENOMEM))
		abort();
	return ret == -EREMOTEIO;
}

static void run_client(struct producer *producer)
{
	const struct proto_start start = {.ring_bytes = RING_BYTES, .watermark_bytes = RING_BYTES / 8};
	struct staging staging = {.fd = -1};
	struct record_error error = {0};
	struct proto_snapshot_data snapshot;
	struct proto_welcome welcome = {0};
	struct guest_ram ram = {0};
	uint64_t words[4];
	bool going = goes_on(producer_hello(producer, &welcome, &error), &error);

	if (going)
		going = goes_on(producer_get_ram(producer, &ram, &error), &error);
	if (going)
		going = goes_on(producer_start(producer, &start, NULL, welcome.nr_vcpus, take_ring, NULL, &error),
				&error);
	for (unsigned i = 0; i < 3 && going; i++) {
		int ret = producer_snapshot(producer, i + 1, i ? 100 : UINT64_MAX, &ram, &staging, &snapshot, &error);

		going = goes_on(ret, &error);
		if (!ret)
			staging_read(&staging, snapshot.bitmaps_offset, words, sizeof(words), &error);
	}
	if (going)
		going = goes_on(producer_read_ram(producer, 0, 0, 8192, &staging, &error), &error);
	if (going)
		going = goes_on(producer_set_plan(producer, NULL, 0, &error), &error);
	if (going)
		going = goes_on(producer_stop(producer, 0, &error), &error);
	if (going)
		goes_on(producer_serve_events(producer, &error), &error);
	staging_deinit(&staging);
	guest_ram_deinit(&ram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct loop loop = {.signal_fd = -1, .wake_fd = -1, .stop_at_ns = LOOP_NEVER};
	struct producer producer = {
		.path = "socket",
		.loop = &loop,
		.on_event = take_event,
		.in = {.fds = {-1, -1, -1}},
	};
	static bool is_made;
	int pair[2];

	if (size_bytes > MAX_INPUT_BYTES)
		return 0;
	if (!is_made)
		make_kinds();
	is_made = true;
	fill_rings();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	for (size_t at = 0, n; at < size_bytes && (n = send_packet(pair[1], data + at, size_bytes - at));)
		at += n;
	shutdown(pair[1], SHUT_WR);
	producer.fd = pair[0];
	run_client(&producer);
	producer_deinit(&producer);
	close(pair[1]);
	return 0;
}
