/* SPDX-License-Identifier: MIT */
#include "decode_fixture.h"

#include <string.h>

#define MAX_NR 600

static struct linux_syscall table[TRAP_ABIS][MAX_NR];
static bool no_task;

static struct linux_syscall *entry(uint8_t abi, uint32_t nr)
{
	struct linux_syscall *syscall;

	if (abi >= TRAP_ABIS || nr >= MAX_NR)
		return NULL;
	syscall = &table[abi][nr];
	if (!syscall->name) {
		syscall->nr = nr;
		syscall->abi = abi;
		syscall->name = linux_syscall_name(abi, nr);
		syscall->nr_args = -1;
	}
	return syscall->name ? syscall : NULL;
}

void fixture_set_prototype(uint8_t abi, const char *name, int nr_args, const char *const *types,
			   const char *const *names)
{
	int64_t nr = linux_syscall_nr(abi, name);
	struct linux_syscall *syscall = nr < 0 ? NULL : entry(abi, (uint32_t)nr);

	if (!syscall)
		return;
	syscall->nr_args = nr_args;
	for (int i = 0; i < nr_args; i++) {
		syscall->arg_types[i] = types[i];
		syscall->arg_names[i] = names[i];
	}
}

void fixture_set_task(bool has_task)
{
	no_task = !has_task;
}

const struct linux_syscall *linux_guest_syscall(const struct linux_guest *guest, uint8_t abi, uint32_t nr)
{
	return entry(abi, nr);
}

uint32_t linux_guest_nr_syscalls(const struct linux_guest *guest, uint8_t abi)
{
	return MAX_NR;
}

struct vmtape_error *linux_guest_plan_task(const struct linux_guest *guest, struct plan_task *out)
{
	memset(out, 0, sizeof(*out));
	if (no_task)
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "no current_task");
	*out = (struct plan_task){.flags = PLAN_TASK_VALID | PLAN_TASK_ID_VALID,
				  .base = TRAP_REG_KERNEL_GS_BASE,
				  .id_offset = 2416,
				  .offset = 0x1fbc0,
				  .kernel_cr3_mask = ~0x1800ull};
	return NULL;
}

struct vmtape_error *linux_guest_identity_steps(const struct linux_guest *guest, struct plan_step *out, size_t room,
						size_t *n)
{
	*n = 0;
	if (no_task || !room)
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "no task_struct");
	out[(*n)++] = (struct plan_step){.op = PLAN_OP_BYTES,
					 .flags = PLAN_STEP_KERNEL,
					 .base = TRAP_REG_TASK,
					 .len_from = PLAN_SRC_CONST,
					 .offset = 2976,
					 .len = 16,
					 .cap = 16,
					 .label = PLAN_LABEL_COMM};
	return NULL;
}
