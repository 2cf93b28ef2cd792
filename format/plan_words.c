/* SPDX-License-Identifier: MIT */
/* plan_words.c - tables of the plan's text form; see plan_words.h. */
#include "plan_words.h"

#include <string.h>

const struct plan_word plan_reg_words[] = {
	{"rax", TRAP_REG_RAX},         {"rcx", TRAP_REG_RCX},
	{"rdx", TRAP_REG_RDX},         {"rbx", TRAP_REG_RBX},
	{"rsp", TRAP_REG_RSP},         {"rbp", TRAP_REG_RBP},
	{"rsi", TRAP_REG_RSI},         {"rdi", TRAP_REG_RDI},
	{"r8", TRAP_REG_R8},           {"r9", TRAP_REG_R9},
	{"r10", TRAP_REG_R10},         {"r11", TRAP_REG_R11},
	{"r12", TRAP_REG_R12},         {"r13", TRAP_REG_R13},
	{"r14", TRAP_REG_R14},         {"r15", TRAP_REG_R15},
	{"rip", TRAP_REG_RIP},         {"rflags", TRAP_REG_RFLAGS},
	{"cr3", TRAP_REG_CR3},         {"fs_base", TRAP_REG_FS_BASE},
	{"gs_base", TRAP_REG_GS_BASE}, {"kernel_gs_base", TRAP_REG_KERNEL_GS_BASE},
	{"task", TRAP_REG_TASK},       {"task_id", TRAP_REG_TASK_ID},
	{"nr", TRAP_REG_NR},           {NULL, 0},
};

const struct plan_word plan_label_words[] = {
	{"arg0", PLAN_LABEL_ARG0},         {"arg1", PLAN_LABEL_ARG0 + 1},
	{"arg2", PLAN_LABEL_ARG0 + 2},     {"arg3", PLAN_LABEL_ARG0 + 3},
	{"arg4", PLAN_LABEL_ARG0 + 4},     {"arg5", PLAN_LABEL_ARG0 + 5},
	{"deep0", PLAN_LABEL_DEEP0},       {"deep1", PLAN_LABEL_DEEP0 + 1},
	{"deep2", PLAN_LABEL_DEEP0 + 2},   {"deep3", PLAN_LABEL_DEEP0 + 3},
	{"deep4", PLAN_LABEL_DEEP0 + 4},   {"deep5", PLAN_LABEL_DEEP0 + 5},
	{"ret", PLAN_LABEL_RET},           {"comm", PLAN_LABEL_COMM},
	{"parent", PLAN_LABEL_PARENT},     {"start_time", PLAN_LABEL_START_TIME},
	{"sigframe", PLAN_LABEL_SIGFRAME}, {"mm", PLAN_LABEL_MM},
	{"exe", PLAN_LABEL_EXE},           {NULL, 0},
};

const struct plan_word plan_step_flag_words[] = {
	{"kernel", PLAN_STEP_KERNEL},     {"again", PLAN_STEP_AGAIN},
	{"ok", PLAN_STEP_IF_OK},          {"quiet", PLAN_STEP_QUIET},
	{"len32", PLAN_STEP_LEN32},       {"ptr32", PLAN_STEP_PTR32},
	{"diverted", PLAN_STEP_DIVERTED}, {NULL, 0},
};

const struct plan_word plan_call_flag_words[] = {
	{"skip", PLAN_CALL_SKIP},
	{"identity", PLAN_CALL_IDENTITY},
	{"no-return", PLAN_CALL_NO_RETURN},
	{NULL, 0},
};

static const uint8_t arg_regs[2][6] = {
	{TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX, TRAP_REG_R10, TRAP_REG_R8, TRAP_REG_R9},
	{TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX, TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_RBP},
};

const char *plan_word_of(const struct plan_word *words, unsigned value)
{
	for (; words->word; words++)
		if (words->value == value)
			return words->word;
	return NULL;
}

int plan_word_value(const struct plan_word *words, const char *word)
{
	for (; words->word; words++)
		if (!strcmp(words->word, word))
			return (int)words->value;
	return -1;
}

const char *plan_abi_prefix(uint8_t abi)
{
	return abi == TRAP_ABI_I386 ? "i386:" : abi == TRAP_ABI_X32 ? "x32:" : "";
}

int plan_arg_reg(uint8_t abi, unsigned arg)
{
	return arg_regs[abi == TRAP_ABI_I386][arg];
}

int plan_reg_arg(uint8_t abi, uint8_t reg)
{
	for (int arg = 0; arg < 6; arg++)
		if (arg_regs[abi == TRAP_ABI_I386][arg] == reg)
			return arg;
	return -1;
}

uint8_t plan_default_label(uint8_t abi, int is_exit, const struct plan_step *step)
{
	int arg = plan_reg_arg(abi, step->base);

	if (step->op == PLAN_OP_VALUE)
		return 0;
	if (arg >= 0)
		return (uint8_t)(PLAN_LABEL_ARG0 + arg);
	return is_exit && step->base == TRAP_REG_RAX ? PLAN_LABEL_RET : 0;
}

int plan_is_directive(const char *word)
{
	static const char *const directives[] = {"vmtape-plan", "id",  "max-record", "kernel-cr3", "task",   "regs",
						 "skip",        "cr3", "identity",   "diverted",   "default"};

	for (unsigned i = 0; i < sizeof(directives) / sizeof(directives[0]); i++)
		if (!strcmp(word, directives[i]))
			return 1;
	return 0;
}
