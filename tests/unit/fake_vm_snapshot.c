/* SPDX-License-Identifier: MIT */
/* fake_vm_snapshot.c - the fake VM's snapshots and reads of RAM, right and wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm_private.h"

#define FAKE_REGS 40u

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + 4095) / 4096 * 4096;
}

/* Staging memory of at least that size. True: a new descriptor that must be sent. */
static bool need_staging(struct fake_vm *vm, uint64_t bytes)
{
	if (bytes <= vm->staging_bytes)
		return false;
	if (vm->staging_fd >= 0)
		close(vm->staging_fd);
	vm->staging_fd = memfd_create("fake-staging", MFD_CLOEXEC);
	CHECK(vm->staging_fd >= 0);
	CHECK(!ftruncate(vm->staging_fd, (off_t)bytes));
	vm->staging_bytes = bytes;
	return true;
}

static void put(struct fake_vm *vm, uint64_t offset, const void *bytes, size_t size_bytes)
{
	CHECK_INT(pwrite(vm->staging_fd, bytes, size_bytes, (off_t)offset), size_bytes);
}

static void keep_copy(struct fake_vm *vm, uint64_t id, uint64_t tsc)
{
	struct fake_snapshot *copy;

	if (vm->nr_snapshots >= FAKE_VM_SNAPSHOTS) {
		vm->nr_snapshots++;
		return;
	}
	copy = &vm->snapshots[vm->nr_snapshots++];
	copy->id = id;
	copy->tsc = tsc;
	copy->ram = malloc(fake_vm_all_pages(vm) * 4096);
	CHECK(copy->ram);
	memcpy(copy->ram, vm->ram, fake_vm_all_pages(vm) * 4096);
}

static void put_pages(struct fake_vm *vm, uint64_t offset)
{
	for (size_t page = 0; page < fake_vm_all_pages(vm); page++) {
		size_t extra = page >= vm->ram_pages, in_block = page - (extra ? vm->ram_pages : 0);
		const uint64_t *words = vm->dirty + (extra ? fake_vm_words(vm->ram_pages) : 0);

		if (!(words[in_block / 64] >> (in_block % 64) & 1) || (extra && !vm->extra_block))
			continue;
		put(vm, offset, vm->ram + page * 4096, 4096);
		offset += 4096;
	}
}

static void put_marks(struct fake_vm *vm, const struct proto_snapshot_data *data)
{
	struct trap_mark mark = {.snapshot_id = data->snapshot_id, .realtime_ns = data->realtime_ns};

	for (unsigned i = 0; i < vm->nr_rings; i++) {
		pthread_mutex_lock(&vm->rings[i].lock);
		fake_vm_append_body(vm, i, TRAP_MARK, &mark, sizeof(mark));
		pthread_mutex_unlock(&vm->rings[i].lock);
	}
}

static void put_vcpus(struct fake_vm *vm, uint64_t offset)
{
	for (unsigned v = 0; v < vm->nr_vcpus; v++)
		for (unsigned r = 0; r < FAKE_REGS; r++) {
			uint64_t value = (uint64_t)v << 32 | r;

			put(vm, offset, &value, sizeof(value));
			offset += sizeof(value);
		}
}

static void break_snapshot(struct fake_vm *vm, struct proto_snapshot_data *data)
{
	uint64_t word = ~0ull;

	switch (vm->fault) {
	case FAULT_SNAPSHOT_SHORT:
		data->staging_bytes += 1ull << 20;
		break;
	case FAULT_SNAPSHOT_COUNT:
		data->nr_pages--;
		break;
	case FAULT_SNAPSHOT_BITS:
		put(vm, (fake_vm_words(vm->ram_pages) - 1) * 8, &word, sizeof(word));
		break;
	case FAULT_SNAPSHOT_OFFSET:
		data->pages_offset = data->staging_bytes;
		data->nr_pages = data->nr_pages ? data->nr_pages : 1;
		break;
	case FAULT_SNAPSHOT_PROTECTED:
		data->nr_protected = (uint32_t)data->nr_pages + 1;
		break;
	case FAULT_SNAPSHOT_ID:
		data->snapshot_id += 17;
		break;
	case FAULT_SNAPSHOT_VCPUS:
		data->nr_vcpus = 1u << 31;
		break;
	default:
		break;
	}
}

void fake_vm_serve_snapshot(struct fake_vm *vm, uint32_t request, const struct proto_snapshot *ask)
{
	size_t words = fake_vm_words(vm->ram_pages) + (vm->extra_block ? fake_vm_words(FAKE_EXTRA_PAGES) : 0);
	struct proto_snapshot_data data = {
		.snapshot_id = ask->snapshot_id,
		.nr_vcpus = vm->nr_vcpus,
		.nr_regs = FAKE_REGS,
		.pause_ns = 1000000,
	};
	struct timespec now;
	bool is_new;

	vm->nr_rounds++;
	if (vm->fault == FAULT_SNAPSHOT_REFUSED) {
		fake_vm_send_error(vm, request, EBUSY, "a migration runs");
		return;
	}
	pthread_mutex_lock(&vm->ram_lock);
	if (vm->fault == FAULT_SNAPSHOT_COUNT)
		vm->dirty[0] |= 1;
	for (size_t i = 0; i < words; i++)
		data.nr_pages += (unsigned)__builtin_popcountll(vm->dirty[i]);
	data.whole = data.nr_pages <= ask->max_pages && vm->fault != FAULT_SNAPSHOT_ENDLESS;
	data.vcpus_offset = page_up(words * 8);
	data.pages_offset = data.vcpus_offset + page_up(vm->nr_vcpus * FAKE_REGS * 8);
	is_new = need_staging(vm, data.pages_offset + (data.whole ? data.nr_pages * 4096 : 0));
	data.staging_bytes = vm->staging_bytes;
	clock_gettime(CLOCK_REALTIME, &now);
	data.tsc = data.monotonic_ns = fake_tsc();
	data.realtime_ns =
		(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)atomic_load(&vm->clock_step_ns);
	put(vm, 0, vm->dirty, words * 8);
	if (data.whole) {
		data.nr_protected = (uint32_t)(data.nr_pages / 4);
		put_vcpus(vm, data.vcpus_offset);
		put_pages(vm, data.pages_offset);
		put_marks(vm, &data);
		keep_copy(vm, data.snapshot_id, data.tsc);
	}
	memset(vm->dirty, 0, words * 8);
	pthread_mutex_unlock(&vm->ram_lock);
	break_snapshot(vm, &data);
	fake_vm_send(vm, PROTO_SNAPSHOT_DATA, request, &data, sizeof(data), &vm->staging_fd,
		     is_new && vm->fault != FAULT_SNAPSHOT_NO_FD);
}

void fake_vm_serve_read_ram(struct fake_vm *vm, uint32_t request, const struct proto_read_ram *ask)
{
	struct proto_ram_data data = {.size_bytes = ask->size_bytes};
	uint64_t base = ask->block ? vm->ram_pages * 4096ull : 0;
	bool is_new;

	vm->nr_reads++;
	CHECK(!vm->shared);
	CHECK(ask->size_bytes && ask->size_bytes <= PROTO_MAX_READ_BYTES && ask->block < 2);
	CHECK(base + ask->block_offset + ask->size_bytes <= fake_vm_all_pages(vm) * 4096);
	is_new = need_staging(vm, PROTO_MAX_READ_BYTES);
	pthread_mutex_lock(&vm->ram_lock);
	put(vm, 0, vm->ram + base + ask->block_offset, ask->size_bytes);
	pthread_mutex_unlock(&vm->ram_lock);
	data.staging_bytes = vm->staging_bytes;
	if (vm->fault == FAULT_READ_RAM_SHORT)
		data.size_bytes -= 4096;
	fake_vm_send(vm, PROTO_RAM_DATA, request, &data, sizeof(data), &vm->staging_fd, is_new);
}
