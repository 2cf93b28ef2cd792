/* SPDX-License-Identifier: MIT */
/* Capture plan of a Linux guest: what each of its calls points at, by the same meanings that decode it later. */
#include <errno.h>
#include <string.h>

#include "arg_decode.h"
#include "plan_steps.h"
#include "record_layout.h"
#include "semantics.h"
#include "user_abi.h"

/*
 * After a successful exec the new program's stack begins with argc and argv: all
 * of it is there, while the caller's strings may not have been in memory.
 */
static void add_new_argv(struct capture *c, int i)
{
	if (!c->narrow)
		capture_add(c, &c->exit,
			    (struct plan_step){.op = PLAN_OP_STRINGS,
					       .flags = EXIT_FLAGS | PLAN_STEP_DIVERTED,
					       .base = TRAP_REG_RSP,
					       .len_from = PLAN_SRC_CONST,
					       .offset = USER_STACK_ARGV,
					       .cap = CAP_ITEM,
					       .max_items = MAX_ARGV,
					       .label = (uint8_t)(PLAN_LABEL_DEEP0 + i)});
}

static bool is_in(const struct arg_spec *arg)
{
	return arg->direction & ARG_IN;
}

static bool is_out(const struct arg_spec *arg)
{
	return arg->direction & ARG_OUT;
}

/*
 * At an exit into a signal handler RAX is the handler's: the result, and with it
 * the length of what the call wrote, is in the signal frame that RSP points at.
 */
static void add_sized_by_frame(struct capture *c, uint8_t base, size_t size_bytes, size_t cap, uint8_t label)
{
	size_t first = c->exit.n;
	uint8_t result;

	if (c->narrow || first + 2 > PLAN_MAX_CALL_STEPS)
		return;
	result = capture_value(c, &c->exit, TRAP_REG_RSP, USER_FRAME_REG(USER_FRAME_RAX), 8);
	capture_sized(c, &c->exit, base, result, size_bytes, cap, true, label);
	for (size_t i = first; i < c->exit.n; i++)
		c->exit.steps[i].flags |= PLAN_STEP_DIVERTED;
}

static void compile_sized(struct capture *c, const struct arg_spec *arg, int i, size_t size_bytes, size_t cap,
			  bool len32)
{
	uint8_t base = capture_arg_reg(c, i), label = (uint8_t)(PLAN_LABEL_ARG0 + i);

	if (arg->len >= LEN_AT && arg->len < LEN_AT + LINUX_SYSCALL_ARGS) {
		uint8_t length = capture_value(c, &c->exit, capture_arg_reg(c, arg->len - LEN_AT), 0, 4);

		capture_sized(c, &c->exit, base, length, size_bytes, cap, true, label);
		return;
	}
	if (arg->len == LEN_OWN0 || arg->len == LEN_OWN4) {
		uint8_t length = capture_value(c, &c->enter, base, arg->len == LEN_OWN0 ? 0 : 4, 4);

		capture_sized(c, &c->enter, base, length, size_bytes, cap, true, label);
		return;
	}
	if (arg->len == LEN_RET) {
		capture_sized(c, &c->exit, base, TRAP_REG_RAX, size_bytes, cap, false, label);
		add_sized_by_frame(c, base, size_bytes, cap, label);
		return;
	}
	if (arg->len >= LINUX_SYSCALL_ARGS)
		return;
	if (is_in(arg))
		capture_sized(c, &c->enter, base, capture_arg_reg(c, arg->len), size_bytes, cap, len32, label);
	if (is_out(arg))
		capture_sized(c, &c->exit, base, capture_arg_reg(c, arg->len), size_bytes, cap, len32, label);
}

static void compile_fixed(struct capture *c, const struct arg_spec *arg, int i, size_t size_bytes)
{
	uint8_t label = (uint8_t)(PLAN_LABEL_ARG0 + i);

	if (is_in(arg))
		capture_bytes(c, &c->enter, capture_arg_reg(c, i), size_bytes, label);
	if (!is_out(arg) || !size_bytes)
		return;
	capture_bytes(c, &c->exit, capture_arg_reg(c, i), size_bytes, label);
	/* What is left of an interrupted sleep is written although the call fails. */
	if (arg->when == ARG_WHEN_INTERRUPTED && c->exit.n)
		c->exit.steps[c->exit.n - 1].flags &= (uint8_t)~PLAN_STEP_IF_OK;
}

/* struct msgbuf: the length that the call has is without the type's word, which is a piece of its own. */
static void compile_queued(struct capture *c, const struct arg_spec *arg, int i)
{
	struct step_list *list = is_in(arg) ? &c->enter : &c->exit;
	uint8_t length = arg->len == LEN_RET ? (uint8_t)TRAP_REG_RAX : capture_arg_reg(c, arg->len);
	size_t word = c->narrow ? 4 : 8, first = list->n;

	capture_bytes(c, list, capture_arg_reg(c, i), word, (uint8_t)(PLAN_LABEL_ARG0 + i));
	capture_sized(c, list, capture_arg_reg(c, i), length, 1, CAP_BUFFER, false, (uint8_t)(PLAN_LABEL_DEEP0 + i));
	if (list->n == first + 2)
		list->steps[first + 1].offset = (int32_t)word;
}

static void compile_arg(struct capture *c, const struct arg_spec *arg, int i)
{
	uint8_t base = capture_arg_reg(c, i), label = (uint8_t)(PLAN_LABEL_ARG0 + i);
	uint8_t deep = (uint8_t)(PLAN_LABEL_DEEP0 + i), value;

	switch ((enum arg_kind)arg->kind) {
	case ARG_STRING:
		capture_string(c, is_in(arg) ? &c->enter : &c->exit, base, label);
		break;
	case ARG_BUFFER:
		compile_sized(c, arg, i, 1, CAP_BUFFER, false);
		break;
	case ARG_DIRENTS:
		compile_sized(c, arg, i, 1, CAP_DIRENTS, false);
		break;
	case ARG_STRINGS:
		capture_strings(c, base, MAX_ARGV, label);
		add_new_argv(c, i);
		break;
	case ARG_ENVIRON:
		capture_strings(c, base, MAX_ENVIRON, label);
		break;
	case ARG_IOVEC:
		if (is_in(arg)) {
			capture_iovec(c, &c->enter, base, capture_arg_reg(c, arg->len), label);
			break;
		}
		/* the addresses, for a call that fails */
		capture_sized(c, &c->enter, base, capture_arg_reg(c, arg->len), c->narrow ? 8 : 16, CAP_BUFFER, false,
			      label);
		capture_iovec(c, &c->exit, base, capture_arg_reg(c, arg->len), label);
		break;
	case ARG_RECORD:
	case ARG_SOCKLEN:
		compile_fixed(c, arg, i, record_size(arg->layout, c->narrow));
		break;
	case ARG_RECORDS:
		compile_sized(c, arg, i, record_size(arg->layout, c->narrow), CAP_BUFFER, true);
		break;
	case ARG_SOCKADDR:
	case ARG_OPTION:
		compile_sized(c, arg, i, 1, CAP_SOCKADDR, true);
		break;
	case ARG_CPUSET:
		compile_sized(c, arg, i, 1, CAP_SOCKADDR, false);
		break;
	case ARG_SIGSET:
		compile_fixed(c, arg, i, SIGSET_BYTES);
		break;
	case ARG_SIGSET_PAIR:
		compile_fixed(c, arg, i, c->narrow ? 8 : 16);
		value = capture_value(c, &c->enter, base, 0, c->narrow ? 4 : 8);
		capture_bytes(c, &c->enter, value, 8, deep);
		break;
	case ARG_FDSET:
		compile_fixed(c, arg, i, FDSET_BYTES);
		break;
	case ARG_MESSAGE:
		if (!is_out(arg)) {
			capture_message(c, &c->enter, base, i);
			break;
		}
		capture_bytes(c, &c->enter, base, user_msghdr(c->narrow)->size_bytes, label);
		capture_message(c, &c->exit, base, i);
		break;
	case ARG_SIZED:
		compile_sized(c, arg, i, 1, CAP_STRUCT, true);
		break;
	case ARG_MESSAGES:
		if (!is_out(arg)) {
			capture_messages(c, &c->enter, base, capture_arg_reg(c, arg->len), i);
			capture_sized(c, &c->exit, base, TRAP_REG_RAX, capture_mmsghdr_bytes(c), CAP_MESSAGES, true,
				      label);
			break;
		}
		capture_sized(c, &c->enter, base, capture_arg_reg(c, arg->len), capture_mmsghdr_bytes(c), CAP_MESSAGES,
			      true, label);
		capture_messages(c, &c->exit, base, TRAP_REG_RAX, i);
		break;
	case ARG_QUEUED:
		compile_queued(c, arg, i);
		break;
	case ARG_NODES:
		compile_fixed(c, arg, i, NODES_BYTES);
		break;
	case ARG_CONTROL_BLOCKS:
		compile_sized(c, arg, i, c->narrow ? 4 : 8, CAP_STRUCT, true);
		for (size_t n = 0; n < MAX_BLOCKS; n++) {
			value = capture_value(c, &c->enter, base, n * (c->narrow ? 4 : 8), c->narrow ? 4 : 8);
			capture_bytes(c, &c->enter, value, record_size(&layout_iocb, false), deep);
		}
		break;
	case ARG_CLONE_ARGS:
		compile_sized(c, arg, i, 1, CLONE_ARGS_BYTES, false);
		value = capture_value(c, &c->exit, base, CLONE_ARGS_PIDFD, 8);
		capture_bytes(c, &c->exit, value, 4, deep);
		value = capture_value(c, &c->exit, base, CLONE_ARGS_PARENT_TID, 8);
		capture_bytes(c, &c->exit, value, 4, deep);
		break;
	default:
		break;
	}
}

/* An argument whose length another one says, of one variant of the call: one step for all variants of that length. */
static void compile_variant_sized(struct capture *c, const struct variant_set *set, int i)
{
	const struct arg_spec *widest[LINUX_SYSCALL_ARGS] = {0};
	size_t bytes[LINUX_SYSCALL_ARGS] = {0};

	for (size_t v = 0; v < set->n; v++) {
		const struct arg_spec *arg = &set->variants[v].args[i - set->at];

		if (arg->kind == ARG_BUFFER && arg->len == LEN_RET) {
			compile_sized(c, arg, i, 1, CAP_BUFFER, true);
			break;
		}
	}
	for (size_t v = 0; v < set->n; v++) {
		const struct arg_spec *arg = &set->variants[v].args[i - set->at];
		size_t item = arg->kind == ARG_RECORDS ? record_size(arg->layout, c->narrow) : 1;

		if ((arg->kind != ARG_SIZED && arg->kind != ARG_BUFFER && arg->kind != ARG_RECORDS) ||
		    arg->len >= LINUX_SYSCALL_ARGS || !is_in(arg) || item <= bytes[arg->len])
			continue;
		widest[arg->len] = arg;
		bytes[arg->len] = item;
	}
	for (int n = 0; n < LINUX_SYSCALL_ARGS; n++) {
		if (widest[n])
			compile_sized(c, widest[n], i, bytes[n], CAP_STRUCT, true);
	}
}

/* One step a direction that serves all variants of the argument, and the values of the selector that have none. */
static void compile_variants(struct capture *c, const struct variant_set *set, const struct arg_spec *other, int i)
{
	size_t in_bytes = 0, out_bytes = 0;
	bool string_in = false, string_out = false;
	struct arg_spec all = {.kind = ARG_RECORD, .len = LEN_NONE};

	for (size_t v = 0; v <= set->n; v++) {
		const struct arg_spec *arg = v < set->n ? &set->variants[v].args[i - set->at] : other;
		size_t size_bytes = arg->kind == ARG_RECORD   ? record_size(arg->layout, c->narrow)
				    : arg->kind == ARG_SIGSET ? SIGSET_BYTES
							      : 0;

		if (is_in(arg) && size_bytes > in_bytes)
			in_bytes = size_bytes;
		if (is_out(arg) && size_bytes > out_bytes)
			out_bytes = size_bytes;
		string_in |= arg->kind == ARG_STRING && is_in(arg);
		string_out |= arg->kind == ARG_STRING && is_out(arg);
	}
	compile_variant_sized(c, set, i);
	if (string_in)
		capture_string(c, &c->enter, capture_arg_reg(c, i), (uint8_t)(PLAN_LABEL_ARG0 + i));
	if (string_out && out_bytes < USER_COMM_BYTES)
		out_bytes = USER_COMM_BYTES;
	all.direction = ARG_IN;
	compile_fixed(c, &all, i, in_bytes);
	all.direction = ARG_OUT;
	compile_fixed(c, &all, i, out_bytes);
}

/* The signal mask that rt_sigreturn puts back, from the frame on the user's stack. */
static void compile_sigreturn(struct capture *c)
{
	if (c->narrow)
		return;
	capture_add(c, &c->enter,
		    (struct plan_step){.op = PLAN_OP_BYTES,
				       .flags = ENTER_FLAGS,
				       .base = TRAP_REG_RSP,
				       .len_from = PLAN_SRC_CONST,
				       .offset = USER_UCONTEXT_SIGMASK,
				       .len = 8,
				       .cap = 8,
				       .label = PLAN_LABEL_ARG0});
}

static int compile_call(struct plan_builder *builder, const struct linux_syscall *syscall, bool always)
{
	const struct call_spec *spec = call_spec_of(syscall);
	struct capture c = {.i386 = syscall->abi == TRAP_ABI_I386,
			    .narrow = user_abi_is_narrow(syscall->abi, syscall->nr)};
	int nr_args = call_spec_nr_args(syscall, spec);
	uint8_t flags = 0;

	if (capture_multiplexed(&c, syscall))
		nr_args = 0;
	for (int i = 0; i < nr_args; i++) {
		struct arg_spec arg;

		call_spec_arg(syscall, spec, NULL, i, &arg);
		if (spec && spec->variants && i >= spec->variants->at && i < spec->variants->at + VARIANT_ARGS)
			compile_variants(&c, spec->variants, &arg, i);
		else
			compile_arg(&c, &arg, i);
	}
	if (!strcmp(syscall->name, "rt_sigreturn"))
		compile_sigreturn(&c);
	if (spec && spec->flags & CALL_F_NEW_IDENTITY)
		flags |= PLAN_CALL_IDENTITY;
	if (spec && spec->flags & CALL_F_NO_RETURN) {
		flags |= PLAN_CALL_NO_RETURN;
		c.exit.n = 0;
	}
	if (!c.enter.n && !c.exit.n && !flags && !always)
		return 0;
	return plan_builder_set_call(builder, syscall->abi, syscall->nr, flags, c.enter.steps, c.enter.n, c.exit.steps,
				     c.exit.n);
}

/* Calls that the choice leaves out are not in the table, and PLAN_F_DEFAULT_SKIP passes them over. */
static int compile_table(struct plan_builder *builder, const struct linux_guest *guest, uint8_t abi,
			 const struct linux_plan_choice *choice, size_t *nr_wanted)
{
	uint32_t n = linux_guest_nr_syscalls(guest, abi);

	for (uint32_t nr = 0; nr < n && nr < PLAN_MAX_CALLS; nr++) {
		const struct linux_syscall *syscall = linux_guest_syscall(guest, abi, nr);
		int error;

		if (!syscall || !syscall->name || (choice->wants && !choice->wants(choice->ctx, syscall)))
			continue;
		++*nr_wanted;
		error = compile_call(builder, syscall, choice->wants);
		if (error)
			return error;
	}
	return 0;
}

#define REG(name) (1u << TRAP_REG_##name)
/*
 * Registers that carry arguments, and what pairing and address spaces need. The
 * mask is one for all ABIs: RBX and RBP are only for 32-bit callers, and left out
 * of the records of a guest that has no such table.
 */
#define ENTER_REGS \
	(REG(RAX) | REG(RDI) | REG(RSI) | REG(RDX) | REG(R10) | REG(R8) | REG(R9) | REG(RIP) | REG(RSP) | REG(CR3))
#define ENTER_REGS_I386 (REG(RBX) | REG(RCX) | REG(RBP))
/* RDI: of an exit that went to a signal's handler, the signal. */
#define EXIT_REGS (REG(RAX) | REG(RDI) | REG(RIP) | REG(RSP) | REG(CR3) | REG(NR))

static int compile_head(struct plan_builder *builder, const struct linux_guest *guest, const struct plan_task *task,
			const struct plan_step *identity, size_t nr_identity)
{
	const struct plan_step stack = {.op = PLAN_OP_BYTES,
					.flags = PLAN_STEP_QUIET,
					.base = TRAP_REG_RSP,
					.len_from = PLAN_SRC_CONST,
					.len = STACK_BYTES,
					.cap = STACK_BYTES,
					.label = PLAN_LABEL_SIGFRAME};
	bool has_i386 = linux_guest_nr_syscalls(guest, TRAP_ABI_I386);
	int error;

	plan_builder_set_regs(builder, has_i386 ? ENTER_REGS | ENTER_REGS_I386 : ENTER_REGS, EXIT_REGS);
	plan_builder_set_max_record(builder, MAX_RECORD);
	if (task)
		plan_builder_set_task(builder, task);
	error = plan_builder_set_steps(builder, PLAN_DIVERTED, &stack, 1);
	if (!error && nr_identity)
		error = plan_builder_set_steps(builder, PLAN_IDENTITY, identity, nr_identity);
	return error;
}

struct vmtape_error *linux_plan_compile(const struct linux_guest *guest, uint32_t plan_id,
					const struct linux_plan_choice *choice, void **plan, size_t *size_bytes)
{
	struct plan_step identity[PLAN_MAX_CALL_STEPS];
	struct plan_builder *builder = NULL;
	struct vmtape_error *failure;
	struct plan_error why = {0};
	struct plan_task task = {0};
	size_t nr_identity = 0, nr_wanted = 0;
	bool has_task = true;
	int error;

	*plan = NULL;
	*size_bytes = 0;
	/* A kernel whose current task could not be found can still have its arguments captured. */
	failure = linux_guest_plan_task(guest, &task);
	if (!failure)
		failure = linux_guest_identity_steps(guest, identity, PLAN_MAX_CALL_STEPS, &nr_identity);
	if (failure) {
		vmtape_error_destroy(failure);
		has_task = task.flags & PLAN_TASK_VALID;
		nr_identity = 0;
	}

	error = plan_builder_create(&builder, plan_id);
	if (!error)
		error = compile_head(builder, guest, has_task ? &task : NULL, identity, nr_identity);
	if (!error)
		error = compile_table(builder, guest, TRAP_ABI_X86_64, choice, &nr_wanted);
	if (!error)
		error = compile_table(builder, guest, TRAP_ABI_I386, choice, &nr_wanted);
	if (!error)
		error = compile_table(builder, guest, TRAP_ABI_X32, choice, &nr_wanted);
	if (!error && choice->wants && !nr_wanted) {
		plan_builder_destroy(builder);
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "the filter leaves none of the guest's system calls");
	}
	if (!error) {
		plan_builder_set_flags(builder, choice->flags | (choice->wants ? PLAN_F_DEFAULT_SKIP : 0));
		error = plan_builder_finish(builder, plan, size_bytes, &why);
	}
	plan_builder_destroy(builder);
	if (error == -ENOMEM)
		return &vmtape_error_no_memory;
	if (error)
		return vmtape_error_create(VMTAPE_ERROR_FORMAT, "capture plan: %s",
					   why.message[0] ? why.message : strerror(-error));
	return NULL;
}
