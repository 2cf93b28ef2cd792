/* SPDX-License-Identifier: MIT */
/* plan_words.h - the words of a plan's text form, shared by its printer and its parser (docs/capture-plans.md). */
#ifndef PLAN_WORDS_H
#define PLAN_WORDS_H

#include <stdint.h>

#include "plan_abi.h"
#include "trap_abi.h"

#define PLAN_MAX_WORD 64 /* with its NUL */

#define PLAN_BIT(reg) (1u << TRAP_REG_##reg)

/* All that an unknown guest's arguments could be in, and what tells its tasks apart. */
#define PLAN_DEFAULT_ENTER_REGS                                                                               \
	(0xffffu | PLAN_BIT(RIP) | PLAN_BIT(RFLAGS) | PLAN_BIT(CR3) | PLAN_BIT(FS_BASE) | PLAN_BIT(GS_BASE) | \
	 PLAN_BIT(KERNEL_GS_BASE))
#define PLAN_DEFAULT_EXIT_REGS                                                                                   \
	(PLAN_BIT(RAX) | PLAN_BIT(RSP) | PLAN_BIT(RIP) | PLAN_BIT(CR3) | PLAN_BIT(FS_BASE) | PLAN_BIT(GS_BASE) | \
	 PLAN_BIT(KERNEL_GS_BASE) | PLAN_BIT(NR))

struct plan_word {
	const char *word;
	unsigned value;
};

/* Tables end with a NULL word. */
extern const struct plan_word plan_reg_words[];       /* enum trap_reg */
extern const struct plan_word plan_label_words[];     /* enum plan_label */
extern const struct plan_word plan_step_flag_words[]; /* PLAN_STEP_* */
extern const struct plan_word plan_call_flag_words[]; /* PLAN_CALL_* */

const char *plan_word_of(const struct plan_word *words, unsigned value); /* NULL: none */
int plan_word_value(const struct plan_word *words, const char *word);    /* -1: none */

const char *plan_abi_prefix(uint8_t abi);    /* "", "x32:", "i386:" */
int plan_arg_reg(uint8_t abi, unsigned arg); /* register of argument 0 to 5 */
int plan_reg_arg(uint8_t abi, uint8_t reg);  /* -1: holds no argument */

/* The label that a step gets which names none. */
uint8_t plan_default_label(uint8_t abi, int is_exit, const struct plan_step *step);

/* Words that begin a line of their own, and so can't be names of calls. */
int plan_is_directive(const char *word);

#endif
