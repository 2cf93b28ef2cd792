/* SPDX-License-Identifier: MIT */
/* Raw traps as text, and as Nitro (github.com/KVM-VMI/nitro) writes them. */
#include <inttypes.h>
#include <string.h>

#include "filter.h"
#include "output/output.h"

static const char *name_of(const char *const *names, size_t n, unsigned i)
{
	return i < n && names[i] ? names[i] : "?";
}

const char *output_abi_name(uint8_t abi)
{
	static const char *const names[TRAP_ABIS] = {"x86_64", "x32", "i386"};

	return name_of(names, TRAP_ABIS, abi);
}

const char *output_type_name(uint8_t type)
{
	static const char *const names[TRAP_TYPES] = {"pad", "enter", "exit", "identity", "gap", "mark", "plan"};

	return name_of(names, TRAP_TYPES, type);
}

const char *output_via_name(uint8_t via)
{
	static const char *const names[TRAP_VIAS] = {"none",    "syscall", "sysret", "sysenter",
						     "sysexit", "int80",   "iret"};

	return name_of(names, TRAP_VIAS, via);
}

const char *output_reg_name(int reg)
{
	static const char *const names[TRAP_REGS] = {
		"rax",  "rcx",     "rdx", "rbx", "rsp", "rbp", "rsi",    "rdi", "r8",      "r9",      "r10",
		"r11",  "r12",     "r13", "r14", "r15", "rip", "rflags", "cr3", "fs_base", "gs_base", "kernel_gs_base",
		"task", "task_id", "nr",
	};

	return name_of(names, TRAP_REGS, (unsigned)reg);
}

static void put_label(struct strbuf *out, uint8_t label)
{
	static const char *const names[] = {"comm", "parent", "start_time", "sigframe", "mm", "exe"};

	if (label < PLAN_LABEL_ARG0 + LINUX_SYSCALL_ARGS)
		strbuf_printf(out, "arg%u", label);
	else if (label >= PLAN_LABEL_DEEP0 && label < PLAN_LABEL_DEEP0 + LINUX_SYSCALL_ARGS)
		strbuf_printf(out, "deep%u", label - PLAN_LABEL_DEEP0);
	else if (label == PLAN_LABEL_RET)
		strbuf_put(out, "ret");
	else if (label >= PLAN_LABEL_COMM && label <= PLAN_LABEL_EXE)
		strbuf_put(out, names[label - PLAN_LABEL_COMM]);
	else
		strbuf_printf(out, "label%u", label);
}

static void put_fragments(struct strbuf *out, const struct trap_view *view)
{
	static const char *const statuses[TRAP_FRAG_STATUSES] = {"", " cut", " not-present", " not-canonical"};
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		strbuf_put(out, " {");
		put_label(out, fragment.label);
		strbuf_printf(out, " 0x%" PRIx64 "%s%s \"", (uint64_t)fragment.gva,
			      name_of(statuses, TRAP_FRAG_STATUSES, fragment.status & (unsigned)~TRAP_FRAG_AGAIN),
			      fragment.status & TRAP_FRAG_AGAIN ? " again" : "");
		strbuf_put_escaped(out, bytes, fragment.len_bytes);
		strbuf_put(out, "\"}");
	}
}

static void put_body(struct strbuf *out, const struct trap_view *view)
{
	struct trap_plan_change plan;
	struct trap_mark mark;
	struct trap_gap gap;

	switch (view->header.type) {
	case TRAP_GAP:
		trap_view_gap(view, &gap);
		strbuf_printf(out, " lost=%" PRIu64 " first_seq=%" PRIu64 " first_tsc=%" PRIu64 " last_tsc=%" PRIu64,
			      (uint64_t)gap.lost_records, (uint64_t)gap.first_seq, (uint64_t)gap.first_tsc,
			      (uint64_t)gap.last_tsc);
		break;
	case TRAP_MARK:
		trap_view_mark(view, &mark);
		strbuf_printf(out, " snapshot=%" PRIu64, (uint64_t)mark.snapshot_id);
		break;
	case TRAP_PLAN:
		trap_view_plan(view, &plan);
		strbuf_printf(out, " plan=%u", plan.plan_id);
		break;
	default:
		break;
	}
}

void output_text_trap(struct strbuf *out, const struct output_trap *trap, const struct output_options *options)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} flags[] = {{TRAP_F_CPL0, " cpl0"},
		     {TRAP_F_DIVERTED, " diverted"},
		     {TRAP_F_UNPAIRED, " unpaired"},
		     {TRAP_F_CUT, " cut"}};
	const struct trap_view *view = trap->view;
	char buffer[32];

	time_put_clock(out, trap->time_ns, options->local);
	strbuf_printf(out, " vcpu=%u seq=%" PRIu64 " tsc=%" PRIu64 " %s", view->header.vcpu, (uint64_t)view->header.seq,
		      (uint64_t)view->header.tsc, output_type_name(view->header.type));
	if (view->header.via)
		strbuf_printf(out, " %s", output_via_name(view->header.via));
	if (view->header.abi)
		strbuf_printf(out, " %s", output_abi_name(view->header.abi));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (view->header.flags & flags[i].flag)
			strbuf_put(out, flags[i].name);
	if (view->header.type <= TRAP_IDENTITY) {
		strbuf_put_char(out, ' ');
		output_put_thread(out, trap->thread, view->regs[TRAP_REG_CR3]);
	}
	if (trap->call)
		strbuf_printf(out, " %s", call_shown_name(trap->call, buffer, sizeof(buffer)));
	for (int reg = 0; reg < TRAP_REGS; reg++)
		if (trap_view_has(view, (enum trap_reg)reg))
			strbuf_printf(out, " %s=0x%" PRIx64, output_reg_name(reg), view->regs[reg]);
	put_body(out, view);
	put_fragments(out, view);
	strbuf_put_char(out, '\n');
}

bool output_nitro_trap(struct strbuf *out, const struct output_trap *trap)
{
	const struct trap_view *view = trap->view;
	bool enter = view->header.type == TRAP_ENTER;
	char buffer[32];

	if (!enter && view->header.type != TRAP_EXIT)
		return false;
	strbuf_printf(out,
		      "{\"event\": {\"cr3\": \"0x%" PRIx64 "\", \"vcpu\": %u, \"rax\": \"0x%" PRIx64
		      "\", \"direction\": \"%s\", \"type\": \"%s\"}, \"name\": \"",
		      view->regs[TRAP_REG_CR3], view->header.vcpu, view->regs[TRAP_REG_RAX], enter ? "enter" : "exit",
		      view->header.via == TRAP_VIA_SYSENTER || view->header.via == TRAP_VIA_SYSEXIT ? "sysenter"
												    : "syscall");
	strbuf_put(out, call_shown_name(trap->call, buffer, sizeof(buffer)));
	strbuf_put(out, "\", \"process\": ");
	if (trap->thread->pid < 0) {
		strbuf_put(out, "null}");
		return true;
	}
	strbuf_printf(out, "{\"pid\": %d, \"name\": \"", trap->thread->pid);
	strbuf_put_json(out, trap->thread->comm, strlen(trap->thread->comm));
	strbuf_put(out, "\"}}");
	return true;
}
