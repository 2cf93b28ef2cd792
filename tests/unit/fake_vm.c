/* SPDX-License-Identifier: MIT */
#include "fake_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm_private.h"
#include "plan.h"
#include "trap_record.h"

uint64_t fake_tsc(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- made and ended -------------------------------------------------- */

void fake_vm_init(struct fake_vm *vm, unsigned nr_vcpus, unsigned ram_pages, bool shared)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memset(vm, 0, sizeof(*vm));
	vm->nr_vcpus = nr_vcpus;
	vm->ram_pages = ram_pages;
	vm->shared = shared;
	vm->fd = vm->staging_fd = -1;
	strcpy(vm->folder, "/tmp/vmtape-test-XXXXXX");
	CHECK(mkdtemp(vm->folder));
	snprintf(vm->socket_path, sizeof(vm->socket_path), "%s/vm.sock", vm->folder);
	memcpy(address.sun_path, vm->socket_path, sizeof(vm->socket_path));
	vm->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(vm->listen_fd >= 0);
	CHECK(!bind(vm->listen_fd, (struct sockaddr *)&address, sizeof(address)));
	CHECK(!listen(vm->listen_fd, 4));
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&vm->ram_lock, NULL);
	pthread_cond_init(&vm->changed, NULL);

	vm->ram_fd = memfd_create("fake-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(vm->ram_fd >= 0);
	CHECK(!ftruncate(vm->ram_fd, (off_t)fake_vm_all_pages(vm) * 4096));
	vm->ram = mmap(NULL, fake_vm_all_pages(vm) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vm->ram_fd, 0);
	CHECK(vm->ram != MAP_FAILED);
	vm->dirty = calloc(fake_vm_words(vm->ram_pages) + fake_vm_words(FAKE_EXTRA_PAGES), 8);
	CHECK(vm->dirty);
}

void fake_vm_start(struct fake_vm *vm)
{
	CHECK(!pthread_create(&vm->thread, NULL, fake_vm_serve, vm));
}

static void free_rings(struct fake_vm *vm)
{
	for (unsigned i = 0; i < vm->nr_rings; i++) {
		struct fake_ring *ring = &vm->rings[i];

		munmap(ring->memory, trap_ring_memory_bytes(vm->start.ring_bytes));
		close(ring->memory_fd);
		close(ring->data_fd);
		close(ring->room_fd);
	}
	vm->nr_rings = 0;
}

void fake_vm_end(struct fake_vm *vm)
{
	if (vm->listen_fd < 0)
		return;
	atomic_store(&vm->ending, true);
	fake_vm_hang_up(vm);
	shutdown(vm->listen_fd, SHUT_RDWR);
	pthread_join(vm->thread, NULL);
	close(vm->listen_fd);
	vm->listen_fd = -1;
}

void fake_vm_deinit(struct fake_vm *vm)
{
	fake_vm_end(vm);
	free_rings(vm);
	for (unsigned i = 0; i < vm->nr_snapshots && i < FAKE_VM_SNAPSHOTS; i++)
		free(vm->snapshots[i].ram);
	munmap(vm->ram, fake_vm_all_pages(vm) * 4096);
	close(vm->ram_fd);
	if (vm->staging_fd >= 0)
		close(vm->staging_fd);
	free(vm->dirty);
	unlink(vm->socket_path);
	rmdir(vm->folder);
}

void fake_vm_hang_up(struct fake_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->fd >= 0)
		shutdown(vm->fd, SHUT_RDWR);
	pthread_mutex_unlock(&vm->lock);
}

static void wait_flag(struct fake_vm *vm, const bool *flag, const char *what)
{
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&vm->lock);
	while (!*flag && !ret)
		ret = pthread_cond_timedwait(&vm->changed, &vm->lock, &until);
	pthread_mutex_unlock(&vm->lock);
	if (ret)
		fprintf(stderr, "the recorder did not %s the VM\n", what);
	CHECK(!ret);
}

void fake_vm_wait_started(struct fake_vm *vm)
{
	wait_flag(vm, &vm->started, "start");
}

void fake_vm_wait_stopped(struct fake_vm *vm)
{
	wait_flag(vm, &vm->stopped, "stop");
}

bool fake_vm_is_stopped(struct fake_vm *vm)
{
	bool stopped;

	pthread_mutex_lock(&vm->lock);
	stopped = vm->stopped;
	pthread_mutex_unlock(&vm->lock);
	return stopped;
}

unsigned fake_vm_count(struct fake_vm *vm, const unsigned *counter)
{
	unsigned count;

	pthread_mutex_lock(&vm->lock);
	count = *counter;
	pthread_mutex_unlock(&vm->lock);
	return count;
}

/* ---- guest memory ---------------------------------------------------- */

void fake_vm_write(struct fake_vm *vm, unsigned page, unsigned offset, uint8_t value)
{
	pthread_mutex_lock(&vm->ram_lock);
	/* The recorder reads it at the same time, from another process: no order is promised, or needed. */
	__atomic_store_n(&vm->ram[(size_t)page * 4096 + offset], value, __ATOMIC_RELAXED);
	fake_vm_mark_dirty(vm, page);
	pthread_mutex_unlock(&vm->ram_lock);
}

/* ---- rings ----------------------------------------------------------- */

void fake_vm_make_ring(struct fake_vm *vm, unsigned vcpu)
{
	struct fake_ring *ring = &vm->rings[vcpu];
	size_t bytes = trap_ring_memory_bytes(vm->start.ring_bytes);

	memset(ring, 0, sizeof(*ring));
	pthread_mutex_init(&ring->lock, NULL);
	ring->memory_fd =
		memfd_create("fake-ring", MFD_CLOEXEC | (vm->fault == FAULT_RING_UNSEALED ? 0 : MFD_ALLOW_SEALING));
	ring->data_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->room_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	CHECK(ring->memory_fd >= 0 && ring->data_fd >= 0 && ring->room_fd >= 0);
	CHECK(!ftruncate(ring->memory_fd, (off_t)bytes));
	ring->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->memory_fd, 0);
	CHECK(ring->memory != MAP_FAILED);
	trap_writer_init(&ring->writer, ring->memory, vm->start.ring_bytes, vm->start.watermark_bytes, (uint16_t)vcpu);
	if (vcpu >= vm->nr_rings)
		vm->nr_rings = vcpu + 1;
}

static void signal_data(struct fake_ring *ring)
{
	uint64_t one = 1;

	if (write(ring->data_fd, &one, sizeof(one)) < 0)
		CHECK_INT(errno, EAGAIN);
}

/* Policy block: waits for room, at most as long as the recorder said. The lock is held. */
static struct trap_record *wait_for_room(struct fake_vm *vm, struct fake_ring *ring, uint32_t size_bytes)
{
	uint64_t started = fake_tsc(), limit_ns = vm->start.block_limit_ms * 1000000ull;
	struct trap_record *record = NULL;

	trap_writer_wait_begin(&ring->writer);
	signal_data(ring);
	while (!(record = trap_writer_reserve(&ring->writer, size_bytes)) && fake_tsc() - started < limit_ns &&
	       atomic_load(&vm->trapping)) {
		struct pollfd room = {.fd = ring->room_fd, .events = POLLIN};
		uint64_t count;

		if (vm->is_kvm)
			nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
		else if (poll(&room, 1, 20) == 1 && read(ring->room_fd, &count, sizeof(count)) < 0)
			CHECK_INT(errno, EAGAIN);
	}
	trap_writer_wait_end(&ring->writer, fake_tsc() - started);
	return record;
}

static struct trap_record *reserve(struct fake_vm *vm, struct fake_ring *ring, uint32_t size_bytes)
{
	struct trap_record *record = trap_writer_reserve(&ring->writer, size_bytes);

	if (!record && vm->start.policy == PROTO_BLOCK)
		record = wait_for_room(vm, ring, size_bytes);
	if (!record) {
		trap_writer_drop(&ring->writer, fake_tsc());
		ring->dropped++;
	}
	return record;
}

static void commit(struct fake_ring *ring, uint32_t size_bytes)
{
	trap_writer_commit(&ring->writer, size_bytes);
	if (trap_writer_should_signal(&ring->writer))
		signal_data(ring);
}

#define REG_MASK                                                                                                  \
	(1u << TRAP_REG_RAX | 1u << TRAP_REG_RDX | 1u << TRAP_REG_RSI | 1u << TRAP_REG_RDI | 1u << TRAP_REG_RIP | \
	 1u << TRAP_REG_CR3)
#define NR_REGS 6

/* A number that depends on all of its inputs. */
static uint64_t mix(uint64_t seq, unsigned vcpu, unsigned index)
{
	uint64_t x = (seq * 16 + index) * 64 + vcpu + 1;

	x *= 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

static unsigned fragment_bytes(uint64_t seq)
{
	return seq % 4 == 0 ? (unsigned)(seq % 61) : 0;
}

bool fake_vm_append(struct fake_vm *vm, unsigned vcpu)
{
	struct fake_ring *ring = &vm->rings[vcpu];
	uint32_t size_bytes = sizeof(struct trap_record) + NR_REGS * 8 + sizeof(struct trap_fragment) + 64;
	struct trap_record *record;
	uint64_t *regs;
	unsigned len;

	pthread_mutex_lock(&ring->lock);
	record = reserve(vm, ring, size_bytes);
	if (record) {
		/* A gap record before it, if one is due, takes a number, too. */
		uint64_t seq = ring->writer.seq + (ring->writer.untold.lost_records != 0);

		len = fragment_bytes(seq);
		record->type = seq % 2 ? TRAP_EXIT : TRAP_ENTER;
		record->abi = TRAP_ABI_X86_64;
		record->via = TRAP_VIA_SYSCALL;
		record->flags = 0;
		record->nr_fragments = len ? 1 : 0;
		record->reg_mask = REG_MASK;
		record->tsc = fake_tsc();
		regs = (uint64_t *)(record + 1);
		for (unsigned i = 0; i < NR_REGS; i++)
			regs[i] = mix(seq, vcpu, i);
		size_bytes = sizeof(*record) + NR_REGS * 8;
		if (len) {
			struct trap_fragment *fragment = (struct trap_fragment *)(regs + NR_REGS);

			memset(fragment, 0, sizeof(*fragment) + (len + 7) / 8 * 8);
			fragment->gva = seq;
			fragment->want_bytes = len;
			fragment->len_bytes = (uint16_t)len;
			memset(fragment + 1, (int)(seq & 0xff), len);
			size_bytes += sizeof(*fragment) + (len + 7) / 8 * 8;
		}
		commit(ring, size_bytes);
		ring->appended++;
	}
	pthread_mutex_unlock(&ring->lock);
	return record != NULL;
}

bool fake_record_check(const struct trap_view *view)
{
	static const enum trap_reg regs[NR_REGS] = {TRAP_REG_RAX, TRAP_REG_RDX, TRAP_REG_RSI,
						    TRAP_REG_RDI, TRAP_REG_RIP, TRAP_REG_CR3};
	uint64_t seq = view->header.seq;
	unsigned len = fragment_bytes(seq);
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	if (view->header.type != (seq % 2 ? TRAP_EXIT : TRAP_ENTER) || view->header.reg_mask != REG_MASK ||
	    view->header.nr_fragments != (len ? 1 : 0))
		return false;
	for (unsigned i = 0; i < NR_REGS; i++)
		if (view->regs[regs[i]] != mix(seq, view->header.vcpu, i))
			return false;
	if (!len)
		return true;
	if (!trap_view_next_fragment(view, &position, &fragment, &bytes) || fragment.gva != seq ||
	    fragment.len_bytes != len)
		return false;
	for (unsigned i = 0; i < len; i++)
		if (bytes[i] != (seq & 0xff))
			return false;
	return true;
}

void fake_vm_append_body(struct fake_vm *vm, unsigned vcpu, enum trap_type type, const void *body, uint32_t body_bytes)
{
	struct fake_ring *ring = &vm->rings[vcpu];
	struct trap_record *record = reserve(vm, ring, sizeof(*record) + body_bytes);

	if (!record)
		return;
	memset(record, 0, sizeof(*record));
	record->type = (uint8_t)type;
	record->tsc = fake_tsc();
	memcpy(record + 1, body, body_bytes);
	commit(ring, sizeof(*record) + body_bytes);
}
