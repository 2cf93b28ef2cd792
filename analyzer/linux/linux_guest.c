/* SPDX-License-Identifier: MIT */
#include "linux_guest_private.h"
#include "trap_abi.h"

#include <stdlib.h>
#include <string.h>

void linux_guest_destroy(struct linux_guest *guest)
{
	if (!guest)
		return;
	kallsyms_destroy(guest->symbols);
	btf_types_destroy(guest->types);
	linux_syscalls_destroy(guest->syscalls);
	free(guest->banner);
	free(guest->release);
	free(guest);
}

const struct linux_guest_facts *linux_guest_facts(const struct linux_guest *guest)
{
	return &guest->facts;
}

bool linux_guest_symbol(const struct linux_guest *guest, const char *name, gva_t *out)
{
	return kallsyms_lookup(guest->symbols, name, &out->v);
}

/* ---- types ------------------------------------------------------------- */

static struct vmtape_error *no_types(void)
{
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "the guest's kernel has no usable BTF");
}

struct vmtape_error *linux_guest_member(const struct linux_guest *guest, const char *type, const char *member,
					uint32_t *offset, uint32_t *size_bytes)
{
	struct btf_field field = {0};
	struct vmtape_error *error = guest->types ? btf_types_member(guest->types, type, member, &field) : no_types();

	*offset = field.offset_bytes;
	*size_bytes = field.size_bytes;
	return error;
}

struct vmtape_error *linux_guest_type_size(const struct linux_guest *guest, const char *type, uint32_t *size_bytes)
{
	*size_bytes = 0;
	return guest->types ? btf_types_size(guest->types, type, size_bytes) : no_types();
}

struct vmtape_error *linux_fields_find(const struct linux_guest *guest, struct linux_field *fields, size_t n)
{
	if (!guest->types)
		return no_types();
	for (size_t i = 0; i < n; i++) {
		struct vmtape_error *error =
			btf_types_member(guest->types, fields[i].type, fields[i].member, &fields[i].at);

		if (error && !fields[i].optional)
			return error;
		vmtape_error_destroy(error);
	}
	return NULL;
}

struct vmtape_error *linux_field_read(const struct linux_guest *guest, struct guest_memory *memory, uint64_t base,
				      const struct linux_field *field, uint64_t *out)
{
	uint32_t size = field->at.size_bytes;
	uint8_t bytes[8] = {0};
	struct vmtape_error *error;
	uint64_t value = 0;

	*out = 0;
	if (!size || size > sizeof(bytes))
		return vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s.%s is no number: %u bytes", field->type,
					   field->member, size);
	/* A bitfield begins in the byte that holds its first bit: read no further than it reaches. */
	if (field->at.nr_bits)
		size = (field->at.bit_shift + field->at.nr_bits + 7) / 8;
	if (size > sizeof(bytes))
		return vmtape_error_create(VMTAPE_ERROR_FORMAT, "bitfield %s.%s reaches over 8 bytes", field->type,
					   field->member);
	error = guest_read_virt(memory, guest->facts.kernel_space, GVA(base + field->at.offset_bytes), bytes, size);
	if (error)
		return error;
	for (uint32_t i = size; i-- > 0;)
		value = value << 8 | bytes[i];
	if (field->at.nr_bits) {
		value >>= field->at.bit_shift;
		if (field->at.nr_bits < 64)
			value &= (1ull << field->at.nr_bits) - 1;
	}
	*out = value;
	return NULL;
}

/* ---- who runs ------------------------------------------------------------ */

/* Offset of the current task's pointer from the per-CPU base that GS holds in the kernel. */
static struct vmtape_error *find_current(const struct linux_guest *guest, uint64_t *offset)
{
	/* Linux 6.2 moved current_task into pcpu_hot (e57ef2ed97c1), 6.15 moved it out again (a1e4cc0155ad). */
	struct linux_field hot = {.type = "pcpu_hot", .member = "current_task"};
	struct vmtape_error *error;
	gva_t symbol;

	if (linux_guest_symbol(guest, "current_task", &symbol)) {
		*offset = symbol.v;
		return NULL;
	}
	if (linux_guest_symbol(guest, "pcpu_hot", &symbol)) {
		error = linux_fields_find(guest, &hot, 1);
		*offset = symbol.v + hot.at.offset_bytes;
		return error;
	}
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
				   "the guest's kernel has neither a symbol current_task nor pcpu_hot");
}

struct vmtape_error *linux_guest_plan_task(const struct linux_guest *guest, struct plan_task *out)
{
	struct linux_field fields[] = {
		{.type = "task_struct", .member = "pid"},
		{.type = "task_struct", .member = "tgid"},
	};
	struct vmtape_error *error;
	uint64_t offset;

	*out = (struct plan_task){0};
	error = find_current(guest, &offset);
	if (!error)
		error = linux_fields_find(guest, fields, 2);
	if (error)
		return error;
	if (fields[1].at.offset_bytes != fields[0].at.offset_bytes + 4 || fields[0].at.offset_bytes > INT32_MAX)
		return vmtape_error_create(VMTAPE_ERROR_UNSUPPORTED,
					   "task_struct.tgid at %u does not follow pid at %u: no id word",
					   fields[1].at.offset_bytes, fields[0].at.offset_bytes);
	*out = (struct plan_task){
		.flags = PLAN_TASK_VALID | PLAN_TASK_ID_VALID,
		.base = TRAP_REG_KERNEL_GS_BASE,
		.id_offset = fields[0].at.offset_bytes,
		.offset = offset,
		.kernel_cr3_mask = guest->facts.kernel_cr3_mask,
		.kernel_cr3_set = 0,
	};
	return NULL;
}

static struct plan_step task_step(uint8_t op, uint8_t base, uint32_t offset, uint16_t len, uint8_t label)
{
	return (struct plan_step){
		.op = op,
		.flags = PLAN_STEP_KERNEL,
		.base = base,
		.len_from = PLAN_SRC_CONST,
		.offset = offset,
		.len = op == PLAN_OP_STRING ? 0 : len,
		.cap = op == PLAN_OP_VALUE ? 0 : len,
		.label = label,
	};
}

/* mm->exe_file->f_path, and its dentry's name: a dentry may be another file's by the time that a snapshot shows it. */
static size_t exe_steps(struct plan_step *out, size_t first, uint32_t mm, uint32_t exe_file, uint32_t path,
			uint32_t name)
{
	uint8_t value = (uint8_t)(PLAN_SRC_VALUE | first);

	out[0] = task_step(PLAN_OP_VALUE, TRAP_REG_TASK, mm, 8, 0);
	out[1] = task_step(PLAN_OP_VALUE, value, exe_file, 8, 0);
	out[2] = task_step(PLAN_OP_BYTES, value + 1, path, 16, PLAN_LABEL_EXE);
	out[3] = task_step(PLAN_OP_VALUE, value + 1, path + 8, 8, 0);
	out[4] = task_step(PLAN_OP_VALUE, value + 3, name, 8, 0);
	out[5] = task_step(PLAN_OP_STRING, value + 4, 0, 64, PLAN_LABEL_EXE);
	return 6;
}

struct vmtape_error *linux_guest_identity_steps(const struct linux_guest *guest, struct plan_step *out, size_t room,
						size_t *n)
{
	enum { COMM, PARENT, PID, START, OLD_START, MM, EXE_FILE, PATH_MNT, PATH_DENTRY, NAME, FIELDS };
	struct linux_field fields[FIELDS] = {
		[COMM] = {.type = "task_struct", .member = "comm"},
		[PARENT] = {.type = "task_struct", .member = "real_parent"},
		[PID] = {.type = "task_struct", .member = "pid"},
		/* Linux 5.5 renamed it: cf25e24db61c. */
		[START] = {.type = "task_struct", .member = "start_boottime", .optional = true},
		[OLD_START] = {.type = "task_struct", .member = "real_start_time", .optional = true},
		[MM] = {.type = "task_struct", .member = "mm"},
		[EXE_FILE] = {.type = "mm_struct", .member = "exe_file", .optional = true},
		[PATH_MNT] = {.type = "file", .member = "f_path.mnt", .optional = true},
		[PATH_DENTRY] = {.type = "file", .member = "f_path.dentry", .optional = true},
		[NAME] = {.type = "dentry", .member = "d_name.name", .optional = true},
	};
	const struct btf_field *start;
	struct vmtape_error *error;
	size_t used = 0;

	*n = 0;
	error = linux_fields_find(guest, fields, FIELDS);
	if (error)
		return error;
	if (room < 11)
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "identity needs room for 11 steps, not %zu", room);
	for (size_t i = 0; i < FIELDS; i++)
		if (fields[i].at.offset_bytes > INT32_MAX)
			return vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s.%s is out of reach", fields[i].type,
						   fields[i].member);
	out[used++] = task_step(PLAN_OP_STRING, TRAP_REG_TASK, fields[COMM].at.offset_bytes, 16, PLAN_LABEL_COMM);
	out[used++] = task_step(PLAN_OP_VALUE, TRAP_REG_TASK, fields[PARENT].at.offset_bytes, 8, 0);
	out[used] = task_step(PLAN_OP_BYTES, PLAN_SRC_VALUE | (used - 1), fields[PID].at.offset_bytes, 8,
			      PLAN_LABEL_PARENT);
	used++;
	start = fields[START].at.size_bytes ? &fields[START].at : &fields[OLD_START].at;
	if (start->size_bytes)
		out[used++] = task_step(PLAN_OP_BYTES, TRAP_REG_TASK, start->offset_bytes, 8, PLAN_LABEL_START_TIME);
	out[used++] = task_step(PLAN_OP_BYTES, TRAP_REG_TASK, fields[MM].at.offset_bytes, 8, PLAN_LABEL_MM);
	if (fields[NAME].at.size_bytes && fields[EXE_FILE].at.size_bytes && fields[PATH_MNT].at.size_bytes &&
	    fields[PATH_DENTRY].at.offset_bytes == fields[PATH_MNT].at.offset_bytes + 8)
		used += exe_steps(out + used, used, fields[MM].at.offset_bytes, fields[EXE_FILE].at.offset_bytes,
				  fields[PATH_MNT].at.offset_bytes, fields[NAME].at.offset_bytes);
	*n = used;
	return NULL;
}
