/* SPDX-License-Identifier: MIT */
/*
 * decode_tracer.c - a producer by ptrace: runs a program, takes at each of its
 * system calls what the compiled plan asks for, and prints the decoded calls as
 * strace does. decode_truth.py compares the two. Follows one thread.
 * usage: decode_tracer OUT PROGRAM ARGS…; exit status 77: tracing is not allowed
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/audit.h>

#include "decode_fixture.h"
#include "plan_exec.h"

struct tracer {
	pid_t pid;
	uint8_t abi;
	const void *plan;
	struct plan_exec exec;
	const struct plan_call *open; /* what the entry asks to read again */
	uint32_t again;
	__u64 entry[TRAP_REGS];
	uint8_t enter_record[TRAP_RECORD_MAX_BYTES], exit_record[TRAP_RECORD_MAX_BYTES];
};

/* Reads to the first byte that is not there. */
static int read_memory(void *ctx, __u64 gva, void *dst, __u32 len, int kernel)
{
	const struct tracer *t = ctx;
	__u32 done = 0;

	while (!kernel && done < len) {
		__u32 chunk = 4096 - (__u32)((gva + done) & 4095);
		struct iovec to = {(uint8_t *)dst + done, chunk < len - done ? chunk : len - done};
		struct iovec from = {(void *)(uintptr_t)(gva + done), to.iov_len};

		if (process_vm_readv(t->pid, &to, 1, &from, 1, 0) != (ssize_t)to.iov_len)
			break;
		done += (__u32)to.iov_len;
	}
	return (int)done;
}

static void take_regs(const struct user_regs_struct *from, __u64 *to)
{
	to[TRAP_REG_RBX] = from->rbx;
	to[TRAP_REG_RCX] = from->rcx;
	to[TRAP_REG_RBP] = from->rbp;
	to[TRAP_REG_RDI] = from->rdi;
	to[TRAP_REG_RSI] = from->rsi;
	to[TRAP_REG_RDX] = from->rdx;
	to[TRAP_REG_R10] = from->r10;
	to[TRAP_REG_R8] = from->r8;
	to[TRAP_REG_R9] = from->r9;
	to[TRAP_REG_RSP] = from->rsp;
	to[TRAP_REG_RIP] = from->rip;
}

static void run_steps(struct tracer *t, uint8_t *record, __u64 *regs, uint8_t type, uint32_t reg_mask)
{
	const struct plan_header *header = plan_get_header(t->plan);
	struct trap_record head = {.type = type, .abi = t->abi, .reg_mask = reg_mask};
	uint8_t *fragments = record + sizeof(head) + 8 * (size_t)__builtin_popcount(reg_mask);
	uint32_t room = (uint32_t)(header->max_record_bytes - (fragments - record));

	plan_exec_init(&t->exec, t->plan, t->abi, regs, read_memory, t, fragments, room);
	if (type == TRAP_ENTER) {
		t->open = plan_lookup(t->plan, t->abi, (uint32_t)regs[TRAP_REG_RAX]);
		t->again = t->open ? plan_exec_run(&t->exec, t->open->enter) : 0;
	} else if (t->open) {
		if (t->again)
			plan_exec_again(&t->exec, t->open->enter, t->again);
		plan_exec_run(&t->exec, t->open->exit);
	}
	head.nr_fragments = t->exec.nr_fragments;
	head.flags = t->exec.flags;
	head.size_bytes = (uint32_t)(fragments - record) + t->exec.used_bytes;
	memcpy(record, &head, sizeof(head));
	record += sizeof(head);
	for (int reg = 0; reg < TRAP_REGS; reg++) {
		if (reg_mask >> reg & 1) {
			memcpy(record, &regs[reg], 8);
			record += 8;
		}
	}
}

static void open_record(struct trap_view *view, const uint8_t *record)
{
	const char *why = "";

	if (trap_view_parse(view, record, TRAP_RECORD_MAX_BYTES, &why) <= 0) {
		fprintf(stderr, "decode_tracer: own record: %s\n", why);
		exit(2);
	}
}

static const enum trap_reg x86_64_args[LINUX_SYSCALL_ARGS] = {TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX,
							      TRAP_REG_R10, TRAP_REG_R8,  TRAP_REG_R9};
static const enum trap_reg i386_args[LINUX_SYSCALL_ARGS] = {TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX,
							    TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_RBP};

static void print_call(struct tracer *t, FILE *out, bool returned)
{
	struct call call = {.abi = t->abi, .nr_known = true, .args_known = true, .has_enter = true};
	struct strbuf text = {0};

	call.nr = (uint32_t)t->entry[TRAP_REG_RAX];
	call.syscall = linux_guest_syscall(NULL, t->abi, call.nr);
	open_record(&call.enter, t->enter_record);
	if (returned) {
		call.has_exit = call.ret_known = true;
		open_record(&call.exit, t->exit_record);
		call.ret = (int64_t)call.exit.regs[TRAP_REG_RAX];
		if (t->abi == TRAP_ABI_I386)
			call.ret = (int32_t)(uint32_t)call.ret;
	}
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++)
		call.args[i] = t->abi == TRAP_ABI_I386 ? (uint32_t)call.enter.regs[i386_args[i]]
						       : call.enter.regs[x86_64_args[i]];

	strbuf_printf(&text, "%s(", call.syscall ? call.syscall->name : "?");
	call_args_text(&call, &text);
	strbuf_put(&text, ") = ");
	call_ret_text(&call, &text);
	fprintf(out, "%s\n", text.data);
	strbuf_deinit(&text);
}

#define X32_BIT 0x40000000u /* asm/unistd.h: __X32_SYSCALL_BIT */

static uint8_t abi_of(pid_t pid, uint32_t nr)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0 && info.arch == AUDIT_ARCH_I386)
		return TRAP_ABI_I386;
	return nr & X32_BIT ? TRAP_ABI_X32 : TRAP_ABI_X86_64;
}

static void on_stop(struct tracer *t, FILE *out, bool entering)
{
	const struct plan_header *header = plan_get_header(t->plan);
	struct user_regs_struct regs;
	__u64 values[TRAP_REGS] = {0};

	if (ptrace(PTRACE_GETREGS, t->pid, NULL, &regs))
		exit(2);
	if (entering) {
		take_regs(&regs, t->entry);
		t->abi = abi_of(t->pid, (uint32_t)regs.orig_rax);
		t->entry[TRAP_REG_RAX] = (uint32_t)regs.orig_rax & (t->abi == TRAP_ABI_X32 ? ~X32_BIT : ~0u);
		run_steps(t, t->enter_record, t->entry, TRAP_ENTER, header->enter_regs);
		return;
	}
	memcpy(values, t->entry, sizeof(values));
	values[TRAP_REG_RAX] = regs.rax;
	values[TRAP_REG_RSP] = regs.rsp;
	values[TRAP_REG_RIP] = regs.rip;
	values[TRAP_REG_NR] = t->entry[TRAP_REG_RAX];
	run_steps(t, t->exit_record, values, TRAP_EXIT, header->exit_regs);
	print_call(t, out, true);
}

static int trace(struct tracer *t, FILE *out)
{
	bool entering = true, started = false;
	int status, signal = 0;

	for (;;) {
		if (waitpid(t->pid, &status, 0) < 0)
			return 2;
		if (!WIFSTOPPED(status)) {
			if (!started)
				return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
			break;
		}
		signal = 0;
		if (!started) {
			started = true;
			ptrace(PTRACE_SETOPTIONS, t->pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
			/* the stop behind execve: its exit is still to come */
		} else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			on_stop(t, out, entering);
			entering = !entering;
		} else {
			signal = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, t->pid, NULL, signal);
	}
	if (!entering)
		print_call(t, out, false);
	return 0;
}

int main(int argc, char **argv)
{
	static struct tracer t;
	size_t size_bytes;
	void *plan;
	FILE *out;
	int status;

	if (argc < 3)
		return 2;
	out = fopen(argv[1], "we");
	if (!out || linux_plan_compile(NULL, 1, &(struct linux_plan_choice){0}, &plan, &size_bytes))
		return 2;
	t.plan = plan;
	t.pid = fork();
	if (!t.pid) {
		/* the first stop comes with the new program */
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(77);
		execv(argv[2], argv + 2);
		_exit(2);
	}
	status = t.pid < 0 ? 2 : trace(&t, out);
	free(plan);
	return fclose(out) ? 2 : status;
}
