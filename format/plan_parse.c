/* SPDX-License-Identifier: MIT */
/* plan_parse.c - a plan from its text form; grammar: docs/capture-plans.md. The first fault ends it. */
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plan_parse_steps.h"
#include "plan_validate.h"
#include "plan_words.h"

/* A call under construction: its lines may come in any order and anywhere. */
struct parse_call {
	uint32_t nr;
	uint8_t abi;
	uint8_t flags;
	bool seen_flags, seen_enter, seen_exit;
	uint8_t nr_enter, nr_exit;
	struct plan_step enter[PLAN_MAX_CALL_STEPS], exit[PLAN_MAX_CALL_STEPS];
};

/* Directives that may come only once. */
enum seen {
	SEEN_ID = 1 << 0,
	SEEN_MAX_RECORD = 1 << 1,
	SEEN_SKIP = 1 << 2,
	SEEN_REGS_ENTER = 1 << 3,
	SEEN_REGS_EXIT = 1 << 4,
	SEEN_KERNEL_CR3 = 1 << 5,
	SEEN_TASK = 1 << 6,
	SEEN_IDENTITY = 1 << 7,
	SEEN_DIVERTED = 1 << 8,
	SEEN_DEFAULT_SKIP = 1 << 9,
	SEEN_DEFAULT_ENTER = 1 << 10,
	SEEN_DEFAULT_EXIT = 1 << 11,
};

struct parser {
	struct plan_scan scan;
	const struct plan_names *names;
	struct plan_builder *builder;
	unsigned seen;
	uint32_t plan_id, enter_regs, exit_regs;
	uint16_t max_record_bytes, flags;
	struct plan_task task;
	struct parse_call *calls;
	size_t nr_calls, room_calls;
};

/* ---- lines ------------------------------------------------------------- */

static int once(struct parser *p, const char *start, enum seen seen, const char *what)
{
	if (p->seen & seen)
		return plan_scan_fail(&p->scan, start, "second line of '%s'", what);
	p->seen |= seen;
	return 0;
}

static int take_slot(struct parser *p, const char *start, enum seen seen, const char *what, enum plan_slot slot)
{
	struct plan_step steps[PLAN_MAX_CALL_STEPS];
	struct plan_step_line line = {.abi = TRAP_ABI_X86_64, .steps = steps, .place = PLAN_AT_IDENTITY};

	line.is_exit = slot == PLAN_DIVERTED || slot == PLAN_DEFAULT_EXIT;
	if (slot == PLAN_DEFAULT_ENTER)
		line.place = PLAN_AT_ENTER;
	else if (slot == PLAN_DEFAULT_EXIT)
		line.place = PLAN_AT_EXIT;
	if (once(p, start, seen, what) || plan_parse_step_line(&p->scan, &line))
		return -EINVAL;
	return plan_builder_set_steps(p->builder, slot, steps, line.n);
}

static int take_default(struct parser *p, const char *start)
{
	const char *word = p->scan.at;

	if (plan_scan_word(&p->scan, "enter, exit or skip"))
		return -EINVAL;
	if (!strcmp(p->scan.word, "skip")) {
		p->flags |= PLAN_F_DEFAULT_SKIP;
		return once(p, start, SEEN_DEFAULT_SKIP, "default skip") || plan_scan_expect_end(&p->scan) ? -EINVAL
													   : 0;
	}
	if (!strcmp(p->scan.word, "enter"))
		return take_slot(p, start, SEEN_DEFAULT_ENTER, "default enter", PLAN_DEFAULT_ENTER);
	if (!strcmp(p->scan.word, "exit"))
		return take_slot(p, start, SEEN_DEFAULT_EXIT, "default exit", PLAN_DEFAULT_EXIT);
	return plan_scan_fail(&p->scan, word, "expected enter, exit or skip");
}

static int take_regs(struct parser *p, const char *start)
{
	const char *word = p->scan.at;
	uint32_t regs = 0;
	bool enter;

	if (plan_scan_word(&p->scan, "enter or exit"))
		return -EINVAL;
	enter = !strcmp(p->scan.word, "enter");
	if (!enter && strcmp(p->scan.word, "exit"))
		return plan_scan_fail(&p->scan, word, "expected enter or exit");
	if (once(p, start, enter ? SEEN_REGS_ENTER : SEEN_REGS_EXIT, enter ? "regs enter" : "regs exit"))
		return -EINVAL;
	while (!plan_scan_at_end(&p->scan)) {
		int reg;

		word = p->scan.at;
		if (plan_scan_word(&p->scan, "a register"))
			return -EINVAL;
		reg = plan_word_value(plan_reg_words, p->scan.word);
		if (reg < 0)
			return plan_scan_fail(&p->scan, word, "'%s' is no register", p->scan.word);
		regs |= 1u << reg;
	}
	*(enter ? &p->enter_regs : &p->exit_regs) = regs;
	return 0;
}

/* task +OFFSET(REG) [id +OFFSET] */
static int take_task(struct parser *p, const char *start)
{
	const char *word;
	int64_t offset;
	int reg;

	if (once(p, start, SEEN_TASK, "task") || plan_scan_offset(&p->scan, INT64_MAX, &offset) ||
	    plan_scan_expect(&p->scan, '('))
		return -EINVAL;
	word = p->scan.at;
	if (plan_scan_word(&p->scan, "a register"))
		return -EINVAL;
	reg = plan_word_value(plan_reg_words, p->scan.word);
	if (reg < 0)
		return plan_scan_fail(&p->scan, word, "'%s' is no register", p->scan.word);
	if (plan_scan_expect(&p->scan, ')'))
		return -EINVAL;
	p->task.flags = PLAN_TASK_VALID;
	p->task.base = (uint8_t)reg;
	p->task.offset = offset;
	if (plan_scan_at_end(&p->scan))
		return 0;
	word = p->scan.at;
	if (plan_scan_word(&p->scan, "id"))
		return -EINVAL;
	if (strcmp(p->scan.word, "id"))
		return plan_scan_fail(&p->scan, word, "expected id");
	plan_scan_space(&p->scan);
	if (plan_scan_offset(&p->scan, INT32_MAX, &offset))
		return -EINVAL;
	p->task.flags |= PLAN_TASK_ID_VALID;
	p->task.id_offset = (int32_t)offset;
	return plan_scan_expect_end(&p->scan);
}

static int take_skip(struct parser *p)
{
	const char *word = p->scan.at;
	uint16_t flag;

	if (plan_scan_word(&p->scan, "enter or exit"))
		return -EINVAL;
	flag = !strcmp(p->scan.word, "enter")  ? PLAN_F_SKIP_ENTER
	       : !strcmp(p->scan.word, "exit") ? PLAN_F_SKIP_EXIT
					       : 0;
	if (!flag)
		return plan_scan_fail(&p->scan, word, "expected enter or exit");
	if (once(p, word, SEEN_SKIP, "skip"))
		return -EINVAL;
	p->flags |= flag;
	return plan_scan_expect_end(&p->scan);
}

static int take_cr3(struct parser *p)
{
	while (!plan_scan_at_end(&p->scan)) {
		const char *start = p->scan.at;
		uint64_t cr3;

		if (plan_scan_number(&p->scan, UINT64_MAX, "address space", &cr3))
			return -EINVAL;
		if (cr3 & 0xfff || cr3 >> 52)
			return plan_scan_fail(&p->scan, start,
					      "address space is no page-table root: a multiple of 0x1000 below 2^52");
		if (plan_builder_add_cr3(p->builder, cr3))
			return plan_scan_fail(&p->scan, start, "over %d address spaces", PLAN_MAX_CR3);
	}
	return 0;
}

static int take_kernel_cr3(struct parser *p, const char *start)
{
	uint64_t mask, set;

	if (once(p, start, SEEN_KERNEL_CR3, "kernel-cr3") || plan_scan_number(&p->scan, UINT64_MAX, "mask", &mask))
		return -EINVAL;
	plan_scan_space(&p->scan);
	if (plan_scan_number(&p->scan, UINT64_MAX, "bits to set", &set))
		return -EINVAL;
	p->task.kernel_cr3_mask = mask;
	p->task.kernel_cr3_set = set;
	return plan_scan_expect_end(&p->scan);
}

static int take_id(struct parser *p, const char *start)
{
	uint64_t number;

	if (once(p, start, SEEN_ID, "id") || plan_scan_number(&p->scan, UINT32_MAX, "id", &number))
		return -EINVAL;
	p->plan_id = (uint32_t)number;
	return plan_scan_expect_end(&p->scan);
}

static int take_max_record(struct parser *p, const char *start)
{
	const char *at = p->scan.at;
	uint64_t number;

	if (once(p, start, SEEN_MAX_RECORD, "max-record") ||
	    plan_scan_number(&p->scan, TRAP_RECORD_MAX_BYTES / 2, "max-record", &number))
		return -EINVAL;
	if (number < PLAN_MIN_RECORD_BYTES || number % 8)
		return plan_scan_fail(&p->scan, at, "max-record is a multiple of 8, %d to %u", PLAN_MIN_RECORD_BYTES,
				      TRAP_RECORD_MAX_BYTES / 2);
	p->max_record_bytes = (uint16_t)number;
	return plan_scan_expect_end(&p->scan);
}

/* [i386:|x32:]NAME or NUMBER, the start of which is p->scan.word when it is a word. */
static int take_call(struct parser *p, struct parse_call **out)
{
	const char *start = p->scan.at;
	uint8_t abi = TRAP_ABI_X86_64;
	struct parse_call *call;
	uint64_t nr;

	for (uint8_t other = TRAP_ABI_X32; other < TRAP_ABIS; other++) {
		const char *prefix = plan_abi_prefix(other);

		if (!strncmp(p->scan.at, prefix, strlen(prefix))) {
			abi = other;
			p->scan.at += strlen(prefix);
			break;
		}
	}
	if (plan_scan_is_digit(*p->scan.at)) {
		if (plan_scan_number(&p->scan, abi == TRAP_ABI_I386 ? UINT32_MAX : 0xbfffffffu, "number of a call",
				     &nr))
			return -EINVAL;
	} else {
		int64_t found;

		if (plan_scan_word(&p->scan, "a directive, or name or number of a system call"))
			return -EINVAL;
		if (!p->names || !p->names->nr)
			return plan_scan_fail(&p->scan, start,
					      "'%s': names of system calls are not known here, only numbers",
					      p->scan.word);
		found = p->names->nr(p->names->ctx, abi, p->scan.word);
		if (found < 0 || found > UINT32_MAX)
			return plan_scan_fail(&p->scan, start, "'%s' is neither a directive nor a system call",
					      p->scan.word);
		nr = (uint64_t)found;
	}
	if (abi != TRAP_ABI_I386 && (nr & 0x40000000))
		return plan_scan_fail(&p->scan, start, "number with the bit of x32: write x32:%u",
				      (uint32_t)nr & 0xbfffffffu);

	/* lines of a call mostly follow each other */
	for (size_t i = p->nr_calls; i-- > 0;) {
		if (p->calls[i].abi == abi && p->calls[i].nr == nr) {
			*out = &p->calls[i];
			return 0;
		}
	}
	if (p->nr_calls == PLAN_MAX_CALLS)
		return plan_scan_fail(&p->scan, start, "over %d system calls", PLAN_MAX_CALLS);
	if (p->nr_calls == p->room_calls) {
		size_t room = p->room_calls ? 2 * p->room_calls : 16;

		call = realloc(p->calls, room * sizeof(*call));
		if (!call)
			return plan_scan_fail_memory(&p->scan);
		p->calls = call;
		p->room_calls = room;
	}
	call = &p->calls[p->nr_calls++];
	memset(call, 0, sizeof(*call));
	call->abi = abi;
	call->nr = (uint32_t)nr;
	*out = call;
	return 0;
}

static int take_call_steps(struct parser *p, const char *start, struct parse_call *call, bool is_exit)
{
	struct plan_step_line line = {
		.abi = call->abi, .is_exit = is_exit, .steps = is_exit ? call->exit : call->enter};
	bool *seen = is_exit ? &call->seen_exit : &call->seen_enter;

	line.place = is_exit ? PLAN_AT_EXIT : PLAN_AT_ENTER;
	if (*seen)
		return plan_scan_fail(&p->scan, start, "second line of this call's %s", is_exit ? "exit" : "entry");
	*seen = true;
	if (plan_parse_step_line(&p->scan, &line))
		return -EINVAL;
	*(is_exit ? &call->nr_exit : &call->nr_enter) = (uint8_t)line.n;
	if (line.n && (call->flags & PLAN_CALL_SKIP || (is_exit && call->flags & PLAN_CALL_NO_RETURN)))
		return plan_scan_fail(&p->scan, start, "steps for a call that has none by its flags");
	return 0;
}

/* CALL enter STEP... | CALL exit STEP... | CALL record | CALL FLAG... */
static int take_call_line(struct parser *p)
{
	const char *start = p->scan.at, *word;
	struct parse_call *call = NULL;
	int err = take_call(p, &call);

	if (err)
		return err;
	plan_scan_space(&p->scan);
	word = p->scan.at;
	if (plan_scan_word(&p->scan, "enter, exit, record, skip, identity or no-return"))
		return -EINVAL;
	if (!strcmp(p->scan.word, "enter") || !strcmp(p->scan.word, "exit"))
		return take_call_steps(p, start, call, p->scan.word[1] == 'x');
	if (call->seen_flags)
		return plan_scan_fail(&p->scan, start, "second line of this call's flags");
	call->seen_flags = true;
	if (!strcmp(p->scan.word, "record"))
		return plan_scan_expect_end(&p->scan);
	for (;;) {
		int flag = plan_word_value(plan_call_flag_words, p->scan.word);

		if (flag < 0)
			return plan_scan_fail(&p->scan, word,
					      "expected enter, exit, record, skip, identity or no-return");
		call->flags |= (uint8_t)flag;
		if (plan_scan_at_end(&p->scan))
			break;
		word = p->scan.at;
		if (plan_scan_word(&p->scan, "skip, identity or no-return"))
			return -EINVAL;
	}
	if ((call->flags & PLAN_CALL_SKIP && (call->nr_enter || call->nr_exit)) ||
	    (call->flags & PLAN_CALL_NO_RETURN && call->nr_exit))
		return plan_scan_fail(&p->scan, start, "this call has steps, which its flags rule out");
	return 0;
}

static int take_version(struct parser *p)
{
	const char *start = p->scan.at;
	uint64_t version;

	if (strncmp(p->scan.at, "vmtape-plan", 11) || plan_scan_is_word(p->scan.at[11]))
		return plan_scan_fail(&p->scan, start, "a plan begins with the line 'vmtape-plan %d'", PLAN_VERSION);
	p->scan.at += 11;
	plan_scan_space(&p->scan);
	start = p->scan.at;
	if (plan_scan_number(&p->scan, UINT32_MAX, "version", &version))
		return -EINVAL;
	if (version != PLAN_VERSION)
		return plan_scan_fail(&p->scan, start,
				      "version %" PRIu64 " is not known; this program reads version %d", version,
				      PLAN_VERSION);
	return plan_scan_expect_end(&p->scan);
}

static int take_line(struct parser *p)
{
	const char *start = p->scan.at;
	size_t n = 0;

	while (plan_scan_is_word(p->scan.at[n]))
		n++;
	if (n && n < sizeof(p->scan.word)) {
		memcpy(p->scan.word, p->scan.at, n);
		p->scan.word[n] = 0;
	}
	if (!n || n >= sizeof(p->scan.word) || p->scan.at[n] == ':' || !plan_is_directive(p->scan.word))
		return take_call_line(p);
	p->scan.at += n;
	plan_scan_space(&p->scan);

	if (!strcmp(p->scan.word, "id"))
		return take_id(p, start);
	if (!strcmp(p->scan.word, "max-record"))
		return take_max_record(p, start);
	if (!strcmp(p->scan.word, "skip"))
		return take_skip(p);
	if (!strcmp(p->scan.word, "cr3"))
		return take_cr3(p);
	if (!strcmp(p->scan.word, "regs"))
		return take_regs(p, start);
	if (!strcmp(p->scan.word, "kernel-cr3"))
		return take_kernel_cr3(p, start);
	if (!strcmp(p->scan.word, "task"))
		return take_task(p, start);
	if (!strcmp(p->scan.word, "identity"))
		return take_slot(p, start, SEEN_IDENTITY, "identity", PLAN_IDENTITY);
	if (!strcmp(p->scan.word, "diverted"))
		return take_slot(p, start, SEEN_DIVERTED, "diverted", PLAN_DIVERTED);
	if (!strcmp(p->scan.word, "default"))
		return take_default(p, start);
	return plan_scan_fail(&p->scan, start, "second line of '%s'", p->scan.word);
}

static int take_text(struct parser *p, const char *text)
{
	bool versioned = false;

	for (p->scan.at = text; *p->scan.at; p->scan.line++) {
		p->scan.line_start = p->scan.at;
		if (!plan_scan_at_end(&p->scan)) {
			int err = versioned ? take_line(p) : take_version(p);

			if (err)
				return err;
			versioned = true;
		}
		while (*p->scan.at && *p->scan.at != '\n')
			p->scan.at++;
		if (*p->scan.at)
			p->scan.at++;
	}
	p->scan.line_start = p->scan.at;
	return versioned ? 0
			 : plan_scan_fail(&p->scan, p->scan.at, "empty: a plan begins with the line 'vmtape-plan %d'",
					  PLAN_VERSION);
}

static int finish(struct parser *p, void **out, size_t *size_bytes)
{
	int err;

	plan_builder_set_regs(p->builder, p->enter_regs, p->exit_regs);
	plan_builder_set_flags(p->builder, p->flags);
	plan_builder_set_max_record(p->builder, p->max_record_bytes);
	plan_builder_set_task(p->builder, &p->task);
	for (size_t i = 0; i < p->nr_calls; i++) {
		const struct parse_call *call = &p->calls[i];

		err = plan_builder_set_call(p->builder, call->abi, call->nr, call->flags, call->enter, call->nr_enter,
					    call->exit, call->nr_exit);

		if (err)
			return plan_scan_fail_memory(&p->scan);
	}
	err = plan_builder_finish(p->builder, out, size_bytes, p->scan.error);
	if (!err)
		((struct plan_header *)*out)->plan_id = p->plan_id;
	return err;
}

int plan_parse(const char *text, const struct plan_names *names, void **out, size_t *size_bytes,
	       struct plan_error *error)
{
	struct parser p = {.scan = {.line = 1, .error = error},
			   .names = names,
			   .enter_regs = PLAN_DEFAULT_ENTER_REGS,
			   .exit_regs = PLAN_DEFAULT_EXIT_REGS,
			   .max_record_bytes = PLAN_MAX_RECORD_BYTES};
	int err;

	*out = NULL;
	err = plan_builder_create(&p.builder, 0);
	if (err) {
		plan_scan_fail_memory(&p.scan);
		return err;
	}
	err = take_text(&p, text);
	if (!err)
		err = finish(&p, out, size_bytes);
	plan_builder_destroy(p.builder);
	free(p.calls);
	return err;
}
