/* SPDX-License-Identifier: MIT */
/*
 * core_elf.c - guest memory as an ELF64 core: what QEMU's dump-guest-memory
 * makes without paging, for crash, drgn and gdb. The headers come first, so that
 * the file can be written to a pipe.
 */
#include <elf.h>
#include <string.h>

#include "bytes.h"
#include "memory_image.h"
#include "vcpu_state.h"

#define MEMORY_ALIGN 4096u /* of the memory in the file, so that holes are whole blocks */

/* ---- notes ----------------------------------------------------------- */

static void add_padded(struct byte_buffer *out, const void *bytes, size_t size_bytes)
{
	static const uint8_t zeros[4];

	byte_buffer_add(out, bytes, size_bytes);
	byte_buffer_add(out, zeros, -size_bytes % 4);
}

static void add_note(struct byte_buffer *out, const char *name, uint32_t type, const void *desc, size_t size_bytes)
{
	byte_buffer_add_u32(out, (uint32_t)strlen(name) + 1);
	byte_buffer_add_u32(out, (uint32_t)size_bytes);
	byte_buffer_add_u32(out, type);
	add_padded(out, name, strlen(name) + 1);
	add_padded(out, desc, size_bytes);
}

/* struct elf_prstatus of x86-64: the process id at 32, user_regs_struct at 112, 336 bytes (linux/elfcore.h,
 * sys/user.h). */
#define PRSTATUS_BYTES 336u
#define PRSTATUS_PID   32u
#define PRSTATUS_REGS  112u
#define NOT_A_REG      UINT16_MAX

static const uint16_t user_regs[27] = {
	TRAP_REG_R15,     TRAP_REG_R14,     TRAP_REG_R13,     TRAP_REG_R12,     TRAP_REG_RBP,     TRAP_REG_RBX,
	TRAP_REG_R11,     TRAP_REG_R10,     TRAP_REG_R9,      TRAP_REG_R8,      TRAP_REG_RAX,     TRAP_REG_RCX,
	TRAP_REG_RDX,     TRAP_REG_RSI,     TRAP_REG_RDI,     NOT_A_REG,        TRAP_REG_RIP,     VCPU_CS_SELECTOR,
	TRAP_REG_RFLAGS,  TRAP_REG_RSP,     VCPU_SS_SELECTOR, TRAP_REG_FS_BASE, TRAP_REG_GS_BASE, VCPU_DS_SELECTOR,
	VCPU_ES_SELECTOR, VCPU_FS_SELECTOR, VCPU_GS_SELECTOR,
};

static void add_prstatus(struct byte_buffer *out, const struct memory_image *image, uint32_t vcpu)
{
	uint8_t desc[PRSTATUS_BYTES] = {0};

	put_le32(desc + PRSTATUS_PID, vcpu + 1);
	for (size_t i = 0; i < sizeof(user_regs) / sizeof(user_regs[0]); i++)
		if (user_regs[i] != NOT_A_REG)
			put_le64(desc + PRSTATUS_REGS + 8 * i, memory_image_register(image, vcpu, user_regs[i]));
	add_note(out, "CORE", NT_PRSTATUS, desc, sizeof(desc));
}

/*
 * QEMU's own note, version 1 (QEMU: docs/specs and target/i386/arch_dump.c tell its shape): control registers and
 * tables, by which crash finds a kernel that tells nothing of itself. Limits and flags of segments are not recorded.
 */
static void add_segment(struct byte_buffer *out, uint64_t selector, uint64_t limit, uint64_t base)
{
	byte_buffer_add_u32(out, (uint32_t)selector);
	byte_buffer_add_u32(out, (uint32_t)limit);
	byte_buffer_add_u64(out, 0);
	byte_buffer_add_u64(out, base);
}

static void add_cpu_state(struct byte_buffer *out, const struct memory_image *image, uint32_t vcpu)
{
	static const uint8_t general[] = {
		TRAP_REG_RAX, TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX, TRAP_REG_RSI, TRAP_REG_RDI,
		TRAP_REG_RSP, TRAP_REG_RBP, TRAP_REG_R8,  TRAP_REG_R9,  TRAP_REG_R10, TRAP_REG_R11,
		TRAP_REG_R12, TRAP_REG_R13, TRAP_REG_R14, TRAP_REG_R15, TRAP_REG_RIP, TRAP_REG_RFLAGS,
	};
	struct byte_buffer desc = {0};
	const size_t size_bytes = 440;

#define REG(reg) memory_image_register(image, vcpu, (reg))
	byte_buffer_add_u32(&desc, 1);
	byte_buffer_add_u32(&desc, (uint32_t)size_bytes);
	for (size_t i = 0; i < sizeof(general); i++)
		byte_buffer_add_u64(&desc, REG(general[i]));
	add_segment(&desc, REG(VCPU_CS_SELECTOR), 0, 0);
	add_segment(&desc, REG(VCPU_DS_SELECTOR), 0, 0);
	add_segment(&desc, REG(VCPU_ES_SELECTOR), 0, 0);
	add_segment(&desc, REG(VCPU_FS_SELECTOR), 0, REG(TRAP_REG_FS_BASE));
	add_segment(&desc, REG(VCPU_GS_SELECTOR), 0, REG(TRAP_REG_GS_BASE));
	add_segment(&desc, REG(VCPU_SS_SELECTOR), 0, 0);
	add_segment(&desc, REG(VCPU_LDT_SELECTOR), 0, REG(VCPU_LDT_BASE));
	add_segment(&desc, REG(VCPU_TR_SELECTOR), 0, REG(VCPU_TR_BASE));
	add_segment(&desc, 0, REG(VCPU_GDT_LIMIT), REG(VCPU_GDT_BASE));
	add_segment(&desc, 0, REG(VCPU_IDT_LIMIT), REG(VCPU_IDT_BASE));
	byte_buffer_add_u64(&desc, REG(VCPU_CR0));
	byte_buffer_add_u64(&desc, 0);
	byte_buffer_add_u64(&desc, REG(VCPU_CR2));
	byte_buffer_add_u64(&desc, REG(TRAP_REG_CR3));
	byte_buffer_add_u64(&desc, REG(VCPU_CR4));
	byte_buffer_add_u64(&desc, REG(TRAP_REG_KERNEL_GS_BASE));
#undef REG
	if (desc.bad)
		out->bad = true;
	else
		add_note(out, "QEMU", 0, desc.data, desc.size_bytes);
	byte_buffer_deinit(&desc);
}

static void add_notes(struct byte_buffer *out, const struct memory_export *job)
{
	for (uint32_t i = 0; i < job->image->nr_vcpus; i++)
		add_prstatus(out, job->image, i);
	for (uint32_t i = 0; i < job->image->nr_vcpus; i++)
		add_cpu_state(out, job->image, i);
	if (job->vmcoreinfo)
		add_note(out, "VMCOREINFO", 0, job->vmcoreinfo, job->vmcoreinfo_bytes);
}

/* ---- headers --------------------------------------------------------- */

static void add_elf_header(struct byte_buffer *out, size_t nr_segments)
{
	static const uint8_t ident[EI_NIDENT] = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
						 ELFCLASS64, ELFDATA2LSB, EV_CURRENT};

	byte_buffer_add(out, ident, sizeof(ident));
	byte_buffer_add_u16(out, ET_CORE);
	byte_buffer_add_u16(out, EM_X86_64);
	byte_buffer_add_u32(out, EV_CURRENT);
	byte_buffer_add_u64(out, 0);                  /* entry */
	byte_buffer_add_u64(out, sizeof(Elf64_Ehdr)); /* program headers */
	byte_buffer_add_u64(out, 0);                  /* no sections */
	byte_buffer_add_u32(out, 0);
	byte_buffer_add_u16(out, sizeof(Elf64_Ehdr));
	byte_buffer_add_u16(out, sizeof(Elf64_Phdr));
	byte_buffer_add_u16(out, (uint16_t)nr_segments);
	byte_buffer_add_u16(out, 0);
	byte_buffer_add_u16(out, 0);
	byte_buffer_add_u16(out, 0);
}

static void add_segment_header(struct byte_buffer *out, uint32_t type, uint64_t offset, uint64_t gva, uint64_t gpa,
			       uint64_t size_bytes)
{
	byte_buffer_add_u32(out, type);
	byte_buffer_add_u32(out, type == PT_LOAD ? PF_R | PF_W | PF_X : 0);
	byte_buffer_add_u64(out, offset);
	byte_buffer_add_u64(out, gva);
	byte_buffer_add_u64(out, gpa);
	byte_buffer_add_u64(out, size_bytes);
	byte_buffer_add_u64(out, size_bytes);
	byte_buffer_add_u64(out, 0);
}

/* The kernel's image first, for readers that take the first segment that has an address. */
static void add_loads(struct byte_buffer *out, const struct memory_export *job, uint64_t memory_at)
{
	const struct memory_image *image = job->image;
	uint64_t at = memory_at;

	for (size_t i = 0; i < image->nr_ranges && job->kernel.size_bytes; i++) {
		const struct guest_range *range = &image->ranges[i];

		if (job->kernel.start.v >= range->start.v && job->kernel.start.v - range->start.v < range->size_bytes)
			add_segment_header(out, PT_LOAD, at + job->kernel.start.v - range->start.v, job->kernel_gva.v,
					   job->kernel.start.v, job->kernel.size_bytes);
		at += range->size_bytes;
	}
	at = memory_at;
	for (size_t i = 0; i < image->nr_ranges; i++) {
		const struct guest_range *range = &image->ranges[i];

		add_segment_header(out, PT_LOAD, at, job->direct_map.v ? job->direct_map.v + range->start.v : 0,
				   range->start.v, range->size_bytes);
		at += range->size_bytes;
	}
}

struct vmtape_error *memory_export_elf(const struct memory_export *job)
{
	const struct memory_image *image = job->image;
	size_t nr_segments = image->nr_ranges + 1 + (job->kernel.size_bytes > 0);
	uint64_t notes_at = sizeof(Elf64_Ehdr) + nr_segments * sizeof(Elf64_Phdr), memory_at;
	struct byte_buffer head = {0}, notes = {0};
	struct vmtape_error *error = NULL;

	add_notes(&notes, job);
	memory_at = (notes_at + notes.size_bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
	add_elf_header(&head, nr_segments);
	add_segment_header(&head, PT_NOTE, notes_at, 0, 0, notes.size_bytes);
	add_loads(&head, job, memory_at);
	if (head.bad || notes.bad)
		error = &vmtape_error_no_memory;
	if (!error)
		error = out_file_write(job->file, head.data, head.size_bytes);
	if (!error && notes.size_bytes)
		error = out_file_write(job->file, notes.data, notes.size_bytes);
	if (!error)
		error = out_file_zeros(job->file, memory_at - notes_at - notes.size_bytes);
	byte_buffer_deinit(&head);
	byte_buffer_deinit(&notes);
	for (size_t i = 0; i < image->nr_ranges && !error; i++)
		error = memory_image_write(job->image, job->file, i, job->progress, job->progress_ctx);
	return error;
}
