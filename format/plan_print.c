/* SPDX-License-Identifier: MIT */
/* plan_print.c - a plan as text; plan_parse() makes the identical block of it. Grammar: docs/capture-plans.md. */
#include "plan.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "plan_exec.h"
#include "plan_words.h"

struct printer {
	FILE *out;
	const void *plan;
	const struct plan_header *header;
	const struct plan_names *names;
};

static void print_signed(FILE *out, int64_t value)
{
	uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	fprintf(out, "%c%" PRIu64, value < 0 ? '-' : '+', size);
}

static void print_source(FILE *out, uint8_t abi, bool is_exit, uint8_t source)
{
	int arg = plan_reg_arg(abi, source);

	if (source & PLAN_SRC_VALUE)
		fprintf(out, "$%u", source & ~PLAN_SRC_VALUE);
	else if (arg >= 0)
		fprintf(out, "arg%d", arg);
	else if (is_exit && source == TRAP_REG_RAX)
		fputs("ret", out);
	else
		fputs(plan_word_of(plan_reg_words, source), out);
}

static void print_type(FILE *out, uint8_t abi, bool is_exit, const struct plan_step *s)
{
	uint32_t entry = s->flags & PLAN_STEP_PTR32 ? 8 : 16;

	switch (s->op) {
	case PLAN_OP_VALUE:
		fprintf(out, "u%u", 8 * s->len);
		return;
	case PLAN_OP_STRING:
		fprintf(out, "string[%u]", s->cap);
		return;
	case PLAN_OP_STRINGS:
		fprintf(out, "strings[%u,%u]", s->cap, s->max_items);
		return;
	case PLAN_OP_BYTES:
		fputs("bytes[", out);
		if (s->len_from == PLAN_SRC_CONST) {
			fprintf(out, "%u", s->len);
			if (s->len != s->cap)
				fprintf(out, ",%u", s->cap);
		} else {
			print_source(out, abi, is_exit, s->len_from);
			if (s->len != 1)
				fprintf(out, "*%u", s->len);
			fprintf(out, ",%u", s->cap);
		}
		fputc(']', out);
		return;
	case PLAN_OP_IOVEC:
		fputs("iovec[", out);
		if (s->len_from == PLAN_SRC_CONST)
			fprintf(out, "%u", s->len / entry);
		else
			print_source(out, abi, is_exit, s->len_from);
		fprintf(out, ",%u,%u]", s->cap, s->max_items);
		return;
	}
}

static void print_steps(const struct printer *p, struct plan_range range, uint8_t abi, bool is_exit)
{
	const struct plan_step *steps = plan_get_steps(p->plan, range);

	for (unsigned i = 0; i < range.count; i++) {
		const struct plan_step *s = &steps[i];
		const char *label = plan_word_of(plan_label_words, s->label);

		fputc(' ', p->out);
		if (s->label != plan_default_label(abi, is_exit, s)) {
			if (label)
				fprintf(p->out, "%s=", label);
			else
				fprintf(p->out, "%u=", s->label);
		}
		print_signed(p->out, s->offset);
		fputc('(', p->out);
		print_source(p->out, abi, is_exit, s->base);
		fputs("):", p->out);
		print_type(p->out, abi, is_exit, s);
		for (const struct plan_word *flag = plan_step_flag_words; flag->word; flag++)
			if (s->flags & flag->value)
				fprintf(p->out, "!%s", flag->word);
	}
	fputc('\n', p->out);
}

/* A name that the parser would read as the same call, or NULL. */
static const char *call_name(const struct plan_names *names, uint8_t abi, uint32_t nr)
{
	const char *name = names && names->name ? names->name(names->ctx, abi, nr) : NULL;
	size_t n = 0;

	if (!name || !(isalpha((unsigned char)*name) || *name == '_') || plan_is_directive(name))
		return NULL;
	while (isalnum((unsigned char)name[n]) || name[n] == '_')
		n++;
	if (name[n] || n >= PLAN_MAX_WORD)
		return NULL;
	return names->nr && names->nr(names->ctx, abi, name) != (int64_t)nr ? NULL : name;
}

static void print_call_head(const struct printer *p, const struct plan_call *call)
{
	const char *name = call_name(p->names, call->abi, call->nr);

	if (name)
		fprintf(p->out, "%s%s", plan_abi_prefix(call->abi), name);
	else
		fprintf(p->out, "%s%" PRIu32, plan_abi_prefix(call->abi), call->nr);
}

static void print_call(const struct printer *p, const struct plan_call *call)
{
	if (call->flags || (!call->enter.count && !call->exit.count)) {
		print_call_head(p, call);
		for (const struct plan_word *flag = plan_call_flag_words; flag->word; flag++)
			if (call->flags & flag->value)
				fprintf(p->out, " %s", flag->word);
		fputs(call->flags ? "\n" : " record\n", p->out);
	}
	if (call->enter.count) {
		print_call_head(p, call);
		fputs(" enter", p->out);
		print_steps(p, call->enter, call->abi, false);
	}
	if (call->exit.count) {
		print_call_head(p, call);
		fputs(" exit", p->out);
		print_steps(p, call->exit, call->abi, true);
	}
}

static void print_regs(FILE *out, const char *which, uint32_t regs)
{
	fprintf(out, "regs %s", which);
	for (unsigned reg = 0; reg < TRAP_REGS; reg++)
		if (regs >> reg & 1)
			fprintf(out, " %s", plan_word_of(plan_reg_words, reg));
	fputc('\n', out);
}

static void print_header(const struct printer *p)
{
	const struct plan_header *header = p->header;
	const struct plan_task *task = &header->task;

	fprintf(p->out, "vmtape-plan %u\nid %" PRIu32 "\nmax-record %u\n", PLAN_VERSION, header->plan_id,
		header->max_record_bytes);
	if (header->flags & PLAN_F_SKIP_ENTER)
		fputs("skip enter\n", p->out);
	if (header->flags & PLAN_F_SKIP_EXIT)
		fputs("skip exit\n", p->out);
	for (unsigned i = 0; i < header->nr_cr3; i++)
		fprintf(p->out, "cr3 0x%" PRIx64 "\n", (uint64_t)plan_cr3s(p->plan)[i]);
	print_regs(p->out, "enter", header->enter_regs);
	print_regs(p->out, "exit", header->exit_regs);
	if (task->kernel_cr3_mask || task->kernel_cr3_set)
		fprintf(p->out, "kernel-cr3 0x%" PRIx64 " 0x%" PRIx64 "\n", (uint64_t)task->kernel_cr3_mask,
			(uint64_t)task->kernel_cr3_set);
	if (task->flags & PLAN_TASK_VALID) {
		fputs("task ", p->out);
		print_signed(p->out, task->offset);
		fprintf(p->out, "(%s)", plan_word_of(plan_reg_words, task->base));
		if (task->flags & PLAN_TASK_ID_VALID) {
			fputs(" id ", p->out);
			print_signed(p->out, task->id_offset);
		}
		fputc('\n', p->out);
	}
}

static void print_range(const struct printer *p, const char *name, struct plan_range range, bool is_exit)
{
	if (!range.count)
		return;
	fputs(name, p->out);
	print_steps(p, range, TRAP_ABI_X86_64, is_exit);
}

int plan_print(FILE *out, const void *plan, size_t size_bytes, const struct plan_names *names)
{
	struct printer p = {.out = out, .plan = plan, .header = plan, .names = names};

	if (plan_validate(plan, size_bytes, NULL))
		return -EINVAL;
	print_header(&p);
	print_range(&p, "identity", p.header->identity, false);
	print_range(&p, "diverted", p.header->diverted, true);
	if (p.header->flags & PLAN_F_DEFAULT_SKIP)
		fputs("default skip\n", out);
	print_range(&p, "default enter", p.header->default_enter, false);
	print_range(&p, "default exit", p.header->default_exit, true);
	for (unsigned i = 0; i < p.header->nr_calls; i++)
		print_call(&p, plan_calls(plan) + i);
	return ferror(out) ? -EIO : 0;
}
