/* SPDX-License-Identifier: MIT */
#include "plan_steps.h"

#include "user_abi.h"

static const enum trap_reg x86_64_args[LINUX_SYSCALL_ARGS] = {TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX,
							      TRAP_REG_R10, TRAP_REG_R8,  TRAP_REG_R9};
static const enum trap_reg i386_args[LINUX_SYSCALL_ARGS] = {TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX,
							    TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_RBP};

uint8_t capture_arg_reg(const struct capture *c, int i)
{
	return (uint8_t)(c->i386 ? i386_args[i] : x86_64_args[i]);
}

/* Its index in the list; what does not fit any more is left out. */
int capture_add(struct capture *c, struct step_list *list, struct plan_step step)
{
	if (list->n == PLAN_MAX_CALL_STEPS)
		return -1;
	if (c->narrow) {
		step.flags |= PLAN_STEP_PTR32;
		if (step.len_from != PLAN_SRC_CONST)
			step.flags |= PLAN_STEP_LEN32;
	}
	list->steps[list->n] = step;
	return (int)list->n++;
}

static uint8_t direction_flags(const struct capture *c, const struct step_list *list)
{
	return list == &c->enter ? ENTER_FLAGS : EXIT_FLAGS;
}

void capture_bytes(struct capture *c, struct step_list *list, uint8_t base, size_t size_bytes, uint8_t label)
{
	if (size_bytes)
		capture_add(c, list,
			    (struct plan_step){.op = PLAN_OP_BYTES,
					       .flags = direction_flags(c, list),
					       .base = base,
					       .len_from = PLAN_SRC_CONST,
					       .len = (uint32_t)size_bytes,
					       .cap = (uint16_t)size_bytes,
					       .label = label});
}

/* items of size_bytes each, their number from len_from. */
void capture_sized(struct capture *c, struct step_list *list, uint8_t base, uint8_t len_from, size_t size_bytes,
		   size_t cap, bool len32, uint8_t label)
{
	if (size_bytes)
		capture_add(c, list,
			    (struct plan_step){.op = PLAN_OP_BYTES,
					       .flags = direction_flags(c, list) | (len32 ? PLAN_STEP_LEN32 : 0),
					       .base = base,
					       .len_from = len_from,
					       .len = (uint32_t)size_bytes,
					       .cap = (uint16_t)(cap / size_bytes * size_bytes),
					       .label = label});
}

uint8_t capture_value(struct capture *c, struct step_list *list, uint8_t base, size_t offset, size_t size_bytes)
{
	int index = capture_add(c, list,
				(struct plan_step){.op = PLAN_OP_VALUE,
						   .flags = list == &c->exit ? PLAN_STEP_IF_OK : 0,
						   .base = base,
						   .len_from = PLAN_SRC_CONST,
						   .offset = (int32_t)offset,
						   .len = (uint32_t)size_bytes});

	return index < 0 ? PLAN_SRC_CONST : (uint8_t)(PLAN_SRC_VALUE | index);
}

void capture_string(struct capture *c, struct step_list *list, uint8_t base, uint8_t label)
{
	capture_add(c, list,
		    (struct plan_step){.op = PLAN_OP_STRING,
				       .flags = direction_flags(c, list),
				       .base = base,
				       .len_from = PLAN_SRC_CONST,
				       .cap = CAP_STRING,
				       .label = label});
}

void capture_strings(struct capture *c, uint8_t base, uint8_t max_items, uint8_t label)
{
	capture_add(c, &c->enter,
		    (struct plan_step){.op = PLAN_OP_STRINGS,
				       .flags = ENTER_FLAGS,
				       .base = base,
				       .len_from = PLAN_SRC_CONST,
				       .cap = CAP_ITEM,
				       .max_items = max_items,
				       .label = label});
}

void capture_iovec(struct capture *c, struct step_list *list, uint8_t base, uint8_t len_from, uint8_t label)
{
	capture_add(c, list,
		    (struct plan_step){.op = PLAN_OP_IOVEC,
				       .flags = direction_flags(c, list),
				       .base = base,
				       .len_from = len_from,
				       .len = c->narrow ? 8 : 16,
				       .cap = CAP_ITEM,
				       .max_items = MAX_IOVECS,
				       .label = label});
}

void capture_message(struct capture *c, struct step_list *list, uint8_t base, int i)
{
	const struct user_msghdr *layout = user_msghdr(c->narrow);
	size_t word = c->narrow ? 4 : 8;
	uint8_t deep = (uint8_t)(PLAN_LABEL_DEEP0 + i), pointer, length;

	capture_bytes(c, list, base, layout->size_bytes, (uint8_t)(PLAN_LABEL_ARG0 + i));
	pointer = capture_value(c, list, base, layout->name, word);
	length = capture_value(c, list, base, layout->name_len, 4);
	capture_sized(c, list, pointer, length, 1, CAP_SOCKADDR, true, deep);
	pointer = capture_value(c, list, base, layout->iov, word);
	length = capture_value(c, list, base, layout->iov_len, word);
	capture_iovec(c, list, pointer, length, deep);
	pointer = capture_value(c, list, base, layout->control, word);
	length = capture_value(c, list, base, layout->control_len, word);
	capture_sized(c, list, pointer, length, 1, CAP_BUFFER, false, deep);
}

size_t capture_mmsghdr_bytes(const struct capture *c)
{
	return user_msghdr(c->narrow)->size_bytes + (c->narrow ? 4u : 8u);
}

/* Of an array of struct mmsghdr: itself, and what the first MAX_MESSAGES say. */
void capture_messages(struct capture *c, struct step_list *list, uint8_t base, uint8_t len_from, int i)
{
	const struct user_msghdr *layout = user_msghdr(c->narrow);
	size_t word = c->narrow ? 4 : 8, item_bytes = layout->size_bytes + word;
	uint8_t deep = (uint8_t)(PLAN_LABEL_DEEP0 + i), pointer, length;

	capture_sized(c, list, base, len_from, item_bytes, CAP_MESSAGES, true, (uint8_t)(PLAN_LABEL_ARG0 + i));
	for (size_t n = 0; n < MAX_MESSAGES; n++) {
		pointer = capture_value(c, list, base, n * item_bytes + layout->iov, word);
		length = capture_value(c, list, base, n * item_bytes + layout->iov_len, word);
		capture_iovec(c, list, pointer, length, deep);
		pointer = capture_value(c, list, base, n * item_bytes + layout->name, word);
		length = capture_value(c, list, base, n * item_bytes + layout->name_len, 4);
		capture_sized(c, list, pointer, length, 1, CAP_SOCKADDR, true, deep);
	}
	/* descriptors are passed in the first, if at all; a list of steps has no room for more */
	pointer = capture_value(c, list, base, layout->control, word);
	length = capture_value(c, list, base, layout->control_len, word);
	capture_sized(c, list, pointer, length, 1, CAP_BUFFER, false, deep);
}
