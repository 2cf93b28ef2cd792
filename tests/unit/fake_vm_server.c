/* SPDX-License-Identifier: MIT */
/* fake_vm_server.c - the fake VM's socket: handshake, RAM map, rings, plans; and what can be wrong with them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm_private.h"
#include "plan.h"

/* A client that is gone is no failure of the fake. */
void fake_vm_send(struct fake_vm *vm, enum proto_type type, uint32_t request, const void *body, size_t body_bytes,
		  const int *fds, unsigned nr_fds)
{
	struct proto_header header = {
		.magic = PROTO_MAGIC,
		.type = (uint16_t)type,
		.nr_fds = (uint16_t)nr_fds,
		.request = request,
		.size_bytes = (uint32_t)body_bytes,
	};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)body, body_bytes}};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (++vm->nr_sent == vm->mangle_at) {
		fake_vm_send_mangled(vm, &header, body, body_bytes, fds, nr_fds);
		return;
	}
	if (vm->fault == FAULT_HUGE_MESSAGE)
		header.size_bytes = 0xffffffff;
	if (vm->fault == FAULT_UNKNOWN_TYPE)
		header.type = PROTO_TYPES + 5;
	if (vm->fault == FAULT_WRONG_REQUEST)
		header.request += 1000;
	if (vm->fault == FAULT_MISSING_FDS)
		header.nr_fds = 3;
	if (nr_fds) {
		struct cmsghdr *head = &control.header;

		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * nr_fds);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
	}
	if (vm->fd >= 0 && sendmsg(vm->fd, &message, MSG_NOSIGNAL) < 0)
		CHECK(errno == EPIPE || errno == ECONNRESET);
}

void fake_vm_send_error(struct fake_vm *vm, uint32_t request, int error, const char *text)
{
	struct proto_error body = {.error = error};

	strncpy(body.message, text, sizeof(body.message) - 1);
	fake_vm_send(vm, PROTO_ERROR, request, &body, sizeof(body), NULL, 0);
}

static bool receive_all(struct fake_vm *vm, void *buffer, size_t size_bytes)
{
	uint8_t *to = buffer;

	while (size_bytes) {
		ssize_t n = recv(vm->fd, to, size_bytes, 0);

		if (n <= 0)
			return false;
		to += n;
		size_bytes -= (size_t)n;
	}
	return true;
}

static void send_raw(struct fake_vm *vm, const void *bytes, size_t size_bytes)
{
	if (send(vm->fd, bytes, size_bytes, MSG_NOSIGNAL) < 0)
		CHECK(errno == EPIPE || errno == ECONNRESET);
}

/* ---- handshake ------------------------------------------------------- */

/* False: hang up. */
static bool serve_hello(struct fake_vm *vm, uint32_t request)
{
	struct proto_welcome welcome = {
		.version = PROTO_VERSION,
		.producer = vm->is_kvm ? PROTO_PRODUCER_KVM : PROTO_PRODUCER_TCG,
		.abi_version = TRAP_ABI_VERSION,
		.nr_vcpus = vm->nr_vcpus,
		.page_bytes = 4096,
		.tsc_hz = vm->hides_tsc_hz ? 0 : 1000000000,
		.uuid = {1, 2, 3},
		.vm_name = "fake\x1b[31m",
		.qemu_version = "0.0",
	};
	int fds[12];
	unsigned nr_fds = 0;

	switch (vm->fault) {
	case FAULT_SILENT:
		return true;
	case FAULT_GARBAGE:
		send_raw(vm, "\xff\xfe this is not it, not at all, not by far", 40);
		return true;
	case FAULT_HANGUP:
		return false;
	case FAULT_REFUSE_VERSION:
		fake_vm_send_error(vm, request, EPROTONOSUPPORT, "this VM speaks versions 7 to 9");
		return false;
	case FAULT_VERSION:
		welcome.version = 2;
		break;
	case FAULT_ABI:
		welcome.abi_version = TRAP_ABI_VERSION + 1;
		break;
	case FAULT_VCPUS:
		welcome.nr_vcpus = 100000;
		break;
	case FAULT_PAGE_BYTES:
		welcome.page_bytes = 65536;
		break;
	case FAULT_EXTRA_FDS:
		nr_fds = 1;
		break;
	case FAULT_MANY_FDS:
		nr_fds = 12;
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < nr_fds; i++)
		fds[i] = vm->ram_fd;
	fake_vm_send(vm, PROTO_WELCOME, request, &welcome, vm->fault == FAULT_SHORT_WELCOME ? 10 : sizeof(welcome), fds,
		     nr_fds);
	return true;
}

static void send_block(struct fake_vm *vm, uint32_t request, const struct proto_ram_block *head,
		       const struct proto_ram_range *ranges, unsigned nr_ranges)
{
	uint8_t bytes[sizeof(*head) + 2 * sizeof(*ranges)];

	memcpy(bytes, head, sizeof(*head));
	memcpy(bytes + sizeof(*head), ranges, nr_ranges * sizeof(*ranges));
	fake_vm_send(vm, PROTO_RAM_BLOCK, request, bytes, sizeof(*head) + nr_ranges * sizeof(*ranges), &vm->ram_fd,
		     vm->shared);
}

static void serve_get_ram(struct fake_vm *vm, uint32_t request)
{
	uint64_t bytes = vm->ram_pages * 4096ull, low = FAKE_LOW_PAGES * 4096ull;
	struct proto_ram_block head = {.block = 0, .nr_ranges = 2, .block_bytes = bytes, .name = "fake.ram"};
	struct proto_ram_range ranges[2] = {{.gpa = 0, .size_bytes = low}, {FAKE_HIGH_GPA, bytes - low, low}};
	const struct proto_ram_block extra = {
		.block = 1,
		.nr_ranges = 1,
		.block_bytes = FAKE_EXTRA_PAGES * 4096,
		.fd_offset = bytes,
		.name = "fake.extra",
	};
	const struct proto_ram_range extra_range = {.gpa = FAKE_EXTRA_GPA, .size_bytes = FAKE_EXTRA_PAGES * 4096};

	switch (vm->fault) {
	case FAULT_RAM_INDEX:
		head.block = 7;
		break;
	case FAULT_RAM_SIZE:
		head.block_bytes = 1ull << 60;
		break;
	case FAULT_RAM_SHORT:
		head.block_bytes += 1ull << 30;
		break;
	case FAULT_RAM_RANGE:
		ranges[1].size_bytes += 4096;
		break;
	case FAULT_RAM_RANGES:
		head.nr_ranges = 60;
		break;
	case FAULT_RAM_OVERLAP:
		ranges[1].gpa = 4096;
		break;
	default:
		break;
	}
	if (vm->fault != FAULT_RAM_NONE)
		send_block(vm, request, &head, ranges, 2);
	if (vm->extra_block)
		send_block(vm, request, &extra, &extra_range, 1);
	fake_vm_send(vm, PROTO_DONE, request, NULL, 0, NULL, 0);
}

/* ---- rings and plans ------------------------------------------------- */

static void note_plan(struct fake_vm *vm, const void *plan, size_t size_bytes)
{
	struct plan_error why = {0};
	struct plan_header header = {0};
	struct trap_plan_change change = {0};

	if (size_bytes) {
		if (plan_check(plan, size_bytes, &why))
			fprintf(stderr, "the recorder sent a plan that is not valid: %s\n", why.message);
		CHECK(!why.message[0]);
		memcpy(&header, plan, sizeof(header));
	}
	CHECK(vm->nr_plans < 64);
	vm->plan_ids[vm->nr_plans++] = change.plan_id = header.plan_id;
	for (unsigned i = 0; i < vm->nr_rings; i++) {
		pthread_mutex_lock(&vm->rings[i].lock);
		fake_vm_append_body(vm, i, TRAP_PLAN, &change, sizeof(change));
		pthread_mutex_unlock(&vm->rings[i].lock);
	}
}

static void send_ring(struct fake_vm *vm, unsigned vcpu, uint32_t request)
{
	struct fake_ring *ring = &vm->rings[vcpu];
	struct proto_ring body = {.vcpu = vcpu, .memory_bytes = trap_ring_memory_bytes(vm->start.ring_bytes)};
	int fds[3] = {ring->memory_fd, ring->data_fd, ring->room_fd};
	unsigned nr_fds = vm->is_kvm ? 2 : 3;

	switch (vm->fault) {
	case FAULT_RING_SIZE:
		body.memory_bytes += 1 << 20;
		break;
	case FAULT_RING_MAGIC:
		ring->memory[0] ^= 1;
		break;
	case FAULT_RING_VCPU:
		body.vcpu = vcpu + 1;
		break;
	case FAULT_RING_EVENTFD:
		fds[1] = vm->ram_fd;
		break;
	case FAULT_RING_ANONYMOUS:
		fds[0] = ring->data_fd;
		break;
	case FAULT_RING_FDS:
		nr_fds = 1;
		break;
	default:
		break;
	}
	fake_vm_send(vm, PROTO_RING, request, &body, sizeof(body), fds, nr_fds);
}

static void serve_start(struct fake_vm *vm, uint32_t request, const uint8_t *body, size_t size_bytes)
{
	unsigned n = vm->nr_vcpus;

	CHECK(size_bytes >= sizeof(vm->start));
	if (vm->fault == FAULT_NO_SUPPORT) {
		fake_vm_send_error(
			vm, request, EOPNOTSUPP,
			"this KVM cannot trap system calls: it lacks vmtape's patches (kvm/README.md of vmtape "
			"tells how to build and load modules that have them)");
		return;
	}
	/* A recorder that was killed leaves rings behind; the next gets new ones. */
	for (unsigned i = 0; i < vm->nr_rings; i++) {
		munmap(vm->rings[i].memory, trap_ring_memory_bytes(vm->start.ring_bytes));
		close(vm->rings[i].memory_fd);
		close(vm->rings[i].data_fd);
		close(vm->rings[i].room_fd);
	}
	vm->nr_rings = 0;
	memcpy(&vm->start, body, sizeof(vm->start));
	CHECK_INT(size_bytes, sizeof(vm->start) + vm->start.plan_bytes);
	/* As in QEMU, the first snapshot finds all dirty. */
	pthread_mutex_lock(&vm->ram_lock);
	for (size_t page = 0; page < fake_vm_all_pages(vm); page++)
		fake_vm_mark_dirty(vm, page);
	pthread_mutex_unlock(&vm->ram_lock);
	if (vm->fault == FAULT_RAM_CUT)
		CHECK(!ftruncate(vm->ram_fd, 4096));
	for (unsigned i = 0; i < n; i++)
		fake_vm_make_ring(vm, i);
	note_plan(vm, body + sizeof(vm->start), vm->start.plan_bytes);
	for (unsigned i = 0; i < n - (vm->fault == FAULT_RING_COUNT); i++)
		send_ring(vm, i, request);
	if (vm->fault == FAULT_RING_MANY)
		send_ring(vm, 0, request);
	fake_vm_send(vm, PROTO_DONE, request, NULL, 0, NULL, 0);
	atomic_store(&vm->trapping, true);
	vm->stopped = false;
	vm->started = true;
	if (vm->fault == FAULT_EVENT_UNKNOWN) {
		struct proto_event event = {.kind = 4711};

		fake_vm_send(vm, PROTO_EVENT, 0, &event, sizeof(event), NULL, 0);
	}
	if (vm->fault == FAULT_ANSWER_UNASKED)
		fake_vm_send(vm, PROTO_DONE, 4711, NULL, 0, NULL, 0);
}

static void serve_set_plan(struct fake_vm *vm, uint32_t request, const uint8_t *body, size_t size_bytes)
{
	struct proto_set_plan head;

	CHECK(size_bytes >= sizeof(head));
	memcpy(&head, body, sizeof(head));
	CHECK_INT(size_bytes, sizeof(head) + head.plan_bytes);
	if (vm->fault == FAULT_PLAN_REFUSED) {
		fake_vm_send_error(vm, request, EINVAL, "no such plan");
		return;
	}
	note_plan(vm, body + sizeof(head), head.plan_bytes);
	fake_vm_send(vm, PROTO_DONE, request, NULL, 0, NULL, 0);
}

/* ---- the thread ------------------------------------------------------ */

static void stop(struct fake_vm *vm)
{
	atomic_store(&vm->trapping, false);
	for (unsigned i = 0; i < vm->nr_rings; i++) {
		pthread_mutex_lock(&vm->rings[i].lock);
		trap_writer_flush_gap(&vm->rings[i].writer);
		pthread_mutex_unlock(&vm->rings[i].lock);
	}
	vm->stopped = true;
}

/* What a producer writes that has run wild, while its ring is in use. */
static void break_ring(struct fake_vm *vm)
{
	struct trap_writer *writer = &vm->rings[0].writer;
	uint32_t four = 4;

	if (vm->fault == FAULT_RING_BROKEN)
		__atomic_store_n(&writer->shared->head, vm->start.ring_bytes * 5, __ATOMIC_RELEASE);
	if (vm->fault == FAULT_RECORD_BROKEN) {
		memcpy(writer->data + writer->head, &four, sizeof(four));
		__atomic_store_n(&writer->shared->head, writer->head + 64, __ATOMIC_RELEASE);
	}
}

/* False: hang up. */
static bool serve(struct fake_vm *vm, const struct proto_header *header, const uint8_t *body)
{
	switch (header->type) {
	case PROTO_HELLO:
		CHECK_INT(header->size_bytes, sizeof(struct proto_hello));
		return serve_hello(vm, header->request);
	case PROTO_GET_RAM:
		serve_get_ram(vm, header->request);
		return true;
	case PROTO_START:
		serve_start(vm, header->request, body, header->size_bytes);
		return true;
	case PROTO_SET_PLAN:
		serve_set_plan(vm, header->request, body, header->size_bytes);
		return true;
	case PROTO_SNAPSHOT:
		CHECK_INT(header->size_bytes, sizeof(struct proto_snapshot));
		if (vm->fault == FAULT_SNAPSHOT_HANGUP)
			return false;
		fake_vm_serve_snapshot(vm, header->request, (const struct proto_snapshot *)body);
		break_ring(vm);
		return true;
	case PROTO_READ_RAM:
		CHECK_INT(header->size_bytes, sizeof(struct proto_read_ram));
		fake_vm_serve_read_ram(vm, header->request, (const struct proto_read_ram *)body);
		return true;
	case PROTO_STOP:
		stop(vm);
		fake_vm_send(vm, PROTO_DONE, header->request, NULL, 0, NULL, 0);
		return true;
	default:
		fprintf(stderr, "the recorder sent a message of type %u\n", header->type);
		CHECK(false);
		return false;
	}
}

static void serve_client(struct fake_vm *vm)
{
	bool goes_on = true;

	if (vm->fault == FAULT_QMP)
		send_raw(vm, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n", 46);
	if (vm->fault == FAULT_BUSY) {
		fake_vm_send_error(vm, 0, EBUSY, "client 4711 records this VM");
		return;
	}
	while (goes_on) {
		struct proto_header header;
		uint8_t *body;

		if (!receive_all(vm, &header, sizeof(header)))
			return;
		CHECK_INT(header.magic, PROTO_MAGIC);
		CHECK(header.request != 0);
		CHECK(header.size_bytes <= PROTO_MAX_BYTES);
		body = malloc((size_t)header.size_bytes + 8);
		CHECK(body);
		goes_on = receive_all(vm, body, header.size_bytes);
		if (goes_on) {
			pthread_mutex_lock(&vm->lock);
			goes_on = serve(vm, &header, body);
			pthread_cond_broadcast(&vm->changed);
			pthread_mutex_unlock(&vm->lock);
		}
		free(body);
	}
}

void *fake_vm_serve(void *arg)
{
	struct fake_vm *vm = arg;

	while (!atomic_load(&vm->ending)) {
		int fd = accept(vm->listen_fd, NULL, NULL);

		if (fd < 0)
			break;
		pthread_mutex_lock(&vm->lock);
		vm->fd = fd;
		vm->nr_clients++;
		pthread_mutex_unlock(&vm->lock);
		serve_client(vm);
		pthread_mutex_lock(&vm->lock);
		close(vm->fd);
		vm->fd = -1;
		stop(vm);
		/* A new client gets a whole staging memory of its own. */
		if (vm->staging_fd >= 0)
			close(vm->staging_fd);
		vm->staging_fd = -1;
		vm->staging_bytes = 0;
		pthread_cond_broadcast(&vm->changed);
		pthread_mutex_unlock(&vm->lock);
	}
	return NULL;
}

void fake_vm_send_event(struct fake_vm *vm, enum proto_event_kind kind)
{
	struct proto_event event = {.kind = kind, .tsc = fake_tsc()};

	pthread_mutex_lock(&vm->lock);
	fake_vm_send(vm, PROTO_EVENT, 0, &event, sizeof(event), NULL, 0);
	pthread_mutex_unlock(&vm->lock);
}

void fake_vm_plug_vcpu(struct fake_vm *vm)
{
	struct proto_event event = {.kind = PROTO_EVENT_RING};
	unsigned vcpu;

	pthread_mutex_lock(&vm->lock);
	vcpu = vm->nr_rings;
	fake_vm_make_ring(vm, vcpu);
	fake_vm_send(vm, PROTO_EVENT, 0, &event, sizeof(event), NULL, 0);
	send_ring(vm, vcpu, 0);
	pthread_mutex_unlock(&vm->lock);
}
