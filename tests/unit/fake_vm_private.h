/* SPDX-License-Identifier: MIT */
/* fake_vm_private.h - what the parts of the fake VM share: memory, rings and the thread that serves. */
#ifndef FAKE_VM_PRIVATE_H
#define FAKE_VM_PRIVATE_H

#include "fake_vm.h"

#define FAKE_EXTRA_PAGES 16u
#define FAKE_LOW_PAGES   160u /* of the first block, below the hole at 640 KiB */
#define FAKE_HIGH_GPA    0x100000ull
#define FAKE_EXTRA_GPA   0x100000000ull

void *fake_vm_serve(void *vm);
/* A snapshot request, with vm->lock held; the faults of snapshots are here. */
void fake_vm_serve_snapshot(struct fake_vm *vm, uint32_t request, const struct proto_snapshot *ask);
void fake_vm_serve_read_ram(struct fake_vm *vm, uint32_t request, const struct proto_read_ram *ask);
void fake_vm_send(struct fake_vm *vm, enum proto_type type, uint32_t request, const void *body, size_t body_bytes,
		  const int *fds, unsigned nr_fds);
void fake_vm_send_error(struct fake_vm *vm, uint32_t request, int error, const char *text);

/* The same message, spoilt as vm->mangle_way says. */
void fake_vm_send_mangled(struct fake_vm *vm, const struct proto_header *header, const void *body, size_t body_bytes,
			  const int *fds, unsigned nr_fds);

void fake_vm_make_ring(struct fake_vm *vm, unsigned vcpu);
/* The ring's lock is held. */
void fake_vm_append_body(struct fake_vm *vm, unsigned vcpu, enum trap_type type, const void *body, uint32_t body_bytes);

static inline size_t fake_vm_all_pages(const struct fake_vm *vm)
{
	return vm->ram_pages + FAKE_EXTRA_PAGES;
}
static inline size_t fake_vm_words(size_t pages)
{
	return (pages + 63) / 64;
}
/* Pages behind ram_pages are the extra block's. ram_lock is held. */
static inline void fake_vm_mark_dirty(struct fake_vm *vm, size_t page)
{
	uint64_t *words = vm->dirty;

	if (page >= vm->ram_pages) {
		words += fake_vm_words(vm->ram_pages);
		page -= vm->ram_pages;
	}
	words[page / 64] |= 1ull << (page % 64);
}

#endif
