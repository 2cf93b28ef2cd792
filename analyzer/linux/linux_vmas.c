/* SPDX-License-Identifier: MIT */
/* Linux 6.1 keeps a process's regions in a maple tree (d4af56c5c7c6) and has no list of them any more (763ecb035029).
 */
#include "linux_vmas.h"

#include <inttypes.h>
#include <string.h>

#include "linux_guest_private.h"

#define MAX_REGIONS  (1u << 20) /* vm.max_map_count is 65530 */
#define NODE_BYTES   256u       /* of struct maple_node, aligned to as much */
#define MAX_DEPTH    16
#define VM_READ_     0x1u
#define VM_WRITE_    0x2u
#define VM_EXEC_     0x4u
#define VM_MAYSHARE_ 0x80u
#define PAGE_SHIFT_  12
#define NODE_MASK    0xffull
#define XA_NODE_MIN  4096u

/* enum maple_type, in bits 3 to 6 of a pointer to a node. */
enum { MAPLE_DENSE, MAPLE_LEAF_64, MAPLE_RANGE_64, MAPLE_ARANGE_64 };

enum {
	MM,
	MMAP,
	MM_MT,
	MA_ROOT,
	START_BRK,
	BRK,
	START_STACK,
	VDSO,
	VM_START,
	VM_END,
	VM_FLAGS,
	VM_FILE,
	VM_PGOFF,
	VM_NEXT,
	PIVOTS64,
	SLOTS64,
	PIVOTS_A,
	SLOTS_A,
	FIELDS
};

struct vma_walk {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct linux_paths *paths;
	struct linux_field fields[FIELDS];
	void (*found)(void *ctx, const struct linux_vma *vma);
	void *ctx;
	unsigned count;
	uint64_t end; /* of the latest region */
	char path[LINUX_PATH_BYTES];
};

static struct vmtape_error *get(struct vma_walk *w, uint64_t base, int field, uint64_t *out)
{
	return linux_field_read(w->guest, w->memory, base, &w->fields[field], out);
}

static uint64_t get_or_zero(struct vma_walk *w, uint64_t base, int field)
{
	uint64_t value = 0;

	if (w->fields[field].at.size_bytes)
		vmtape_error_destroy(get(w, base, field, &value));
	return value;
}

static struct vmtape_error *visit(struct vma_walk *w, uint64_t gva)
{
	struct linux_vma vma = {.file = ""};
	uint64_t flags, file, offset;
	struct vmtape_error *error;

	if (++w->count > MAX_REGIONS)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva, "more than %u regions", MAX_REGIONS);
	error = get(w, gva, VM_START, &vma.start);
	if (!error)
		error = get(w, gva, VM_END, &vma.end);
	if (!error)
		error = get(w, gva, VM_FLAGS, &flags);
	if (!error)
		error = get(w, gva, VM_FILE, &file);
	if (!error)
		error = get(w, gva, VM_PGOFF, &offset);
	if (error)
		return error;
	if (vma.start >= vma.end)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva, "region that ends before it begins");
	/* they come by address; a list that does not may be a circle */
	if (vma.start < w->end)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva, "region that begins before the last one ends");
	w->end = vma.end;
	vma.read = flags & VM_READ_;
	vma.write = flags & VM_WRITE_;
	vma.exec = flags & VM_EXEC_;
	vma.shared = flags & VM_MAYSHARE_;
	if (file) {
		vma.offset_bytes = offset << PAGE_SHIFT_;
		error = linux_path_of_file(w->paths, file, w->path);
		if (!error)
			vma.file = w->path;
		vmtape_error_destroy(error);
	}
	w->found(w->ctx, &vma);
	return NULL;
}

static uint64_t word(const uint8_t *node, uint32_t offset)
{
	uint64_t value = 0;

	for (int i = 8; i-- > 0;)
		value = value << 8 | node[offset + (uint32_t)i];
	return value;
}

/* The last slot reaches to the node's own end; what lies behind it is left over from earlier. */
static struct vmtape_error *walk_node(struct vma_walk *w, uint64_t entry, uint64_t min, uint64_t max, int depth)
{
	uint8_t node[NODE_BYTES];
	unsigned type = entry >> 3 & 0xf;
	int pivots = type == MAPLE_ARANGE_64 ? PIVOTS_A : PIVOTS64, slots = pivots + 1;
	uint32_t pivots_at = w->fields[pivots].at.offset_bytes, slots_at = w->fields[slots].at.offset_bytes;
	uint32_t n = w->fields[slots].at.size_bytes / 8, nr_pivots = w->fields[pivots].at.size_bytes / 8;
	struct vmtape_error *error;

	if (type < MAPLE_LEAF_64 || type > MAPLE_ARANGE_64 || depth > MAX_DEPTH ||
	    pivots_at + 8 * nr_pivots > NODE_BYTES || slots_at + 8 * n > NODE_BYTES)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, entry, "maple node of type %u at depth %d", type,
					      depth);
	error = guest_read_virt(w->memory, w->guest->facts.kernel_space, GVA(entry & ~NODE_MASK), node, sizeof(node));
	for (uint32_t i = 0; !error && i < n; i++) {
		uint64_t last = i < nr_pivots ? word(node, pivots_at + 8 * i) : max;
		uint64_t slot = word(node, slots_at + 8 * i);

		if ((!last && i) || last > max)
			last = max;
		if (last < min)
			return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, entry, "pivots of a maple node fall");
		if (type != MAPLE_LEAF_64 && slot >= XA_NODE_MIN)
			error = walk_node(w, slot, min, last, depth + 1);
		else if (type == MAPLE_LEAF_64 && slot >= XA_NODE_MIN && !(slot & 3))
			error = visit(w, slot);
		if (last == max)
			break;
		min = last + 1;
	}
	return error;
}

static struct vmtape_error *walk_list(struct vma_walk *w, uint64_t vma)
{
	struct vmtape_error *error = NULL;

	while (!error && vma) {
		error = visit(w, vma);
		if (!error)
			error = get(w, vma, VM_NEXT, &vma);
	}
	return error;
}

static struct vmtape_error *walk_mm(struct vma_walk *w, uint64_t mm)
{
	uint64_t root;
	struct vmtape_error *error;

	if (!w->fields[MM_MT].at.size_bytes) {
		if (!w->fields[MMAP].at.size_bytes)
			return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
						   "struct mm_struct has neither mm_mt nor mmap");
		error = get(w, mm, MMAP, &root);
		return error ? error : walk_list(w, root);
	}
	error = get(w, mm + w->fields[MM_MT].at.offset_bytes, MA_ROOT, &root);
	if (error || !root)
		return error;
	if ((root & 3) != 2) /* a single entry */
		return visit(w, root);
	return walk_node(w, root, 0, UINT64_MAX, 0);
}

struct vmtape_error *linux_guest_vmas(const struct linux_guest *guest, struct guest_memory *memory, gva_t task,
				      struct linux_mm *mm, bool *has_mm,
				      void (*found)(void *ctx, const struct linux_vma *vma), void *ctx)
{
	struct vma_walk w = {
		.guest = guest,
		.memory = memory,
		.fields =
			{
				[MM] = {.type = "struct task_struct", .member = "mm"},
				[MMAP] = {.type = "struct mm_struct", .member = "mmap", .optional = true},
				[MM_MT] = {.type = "struct mm_struct", .member = "mm_mt", .optional = true},
				[MA_ROOT] = {.type = "struct maple_tree", .member = "ma_root", .optional = true},
				[START_BRK] = {.type = "struct mm_struct", .member = "start_brk", .optional = true},
				[BRK] = {.type = "struct mm_struct", .member = "brk", .optional = true},
				[START_STACK] = {.type = "struct mm_struct", .member = "start_stack", .optional = true},
				[VDSO] = {.type = "struct mm_struct", .member = "context.vdso", .optional = true},
				[VM_START] = {.type = "struct vm_area_struct", .member = "vm_start"},
				[VM_END] = {.type = "struct vm_area_struct", .member = "vm_end"},
				[VM_FLAGS] = {.type = "struct vm_area_struct", .member = "vm_flags"},
				[VM_FILE] = {.type = "struct vm_area_struct", .member = "vm_file"},
				[VM_PGOFF] = {.type = "struct vm_area_struct", .member = "vm_pgoff"},
				[VM_NEXT] = {.type = "struct vm_area_struct", .member = "vm_next", .optional = true},
				[PIVOTS64] = {.type = "struct maple_range_64", .member = "pivot", .optional = true},
				[SLOTS64] = {.type = "struct maple_range_64", .member = "slot", .optional = true},
				[PIVOTS_A] = {.type = "struct maple_arange_64", .member = "pivot", .optional = true},
				[SLOTS_A] = {.type = "struct maple_arange_64", .member = "slot", .optional = true},
			},
		.found = found,
		.ctx = ctx,
	};
	uint64_t at;
	struct vmtape_error *error;

	*mm = (struct linux_mm){0};
	*has_mm = false;
	error = linux_fields_find(guest, w.fields, FIELDS);
	if (!error)
		error = get(&w, task.v, MM, &at);
	if (error || !at)
		return error;
	*has_mm = true;
	mm->start_brk = get_or_zero(&w, at, START_BRK);
	mm->brk = get_or_zero(&w, at, BRK);
	mm->stack = get_or_zero(&w, at, START_STACK);
	mm->vdso = get_or_zero(&w, at, VDSO);
	error = linux_paths_create(&w.paths, guest, memory);
	if (error)
		return error;
	error = walk_mm(&w, at);
	linux_paths_destroy(w.paths);
	return error;
}
