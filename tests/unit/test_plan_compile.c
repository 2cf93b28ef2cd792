/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "check.h"
#include "decode_fixture.h"
#include "error.h"
#include "linux/semantics.h"

static void *plan;
static size_t size_bytes;

static const char *name_of(void *ctx, uint8_t abi, uint32_t nr)
{
	return linux_syscall_name(abi, nr);
}

static int64_t nr_of(void *ctx, uint8_t abi, const char *name)
{
	return linux_syscall_nr(abi, name);
}

static const struct plan_names names = {name_of, nr_of, NULL};

static void compile(const struct linux_plan_choice *choice)
{
	struct plan_error why = {0};
	struct vmtape_error *error = linux_plan_compile(NULL, 7, choice, &plan, &size_bytes);

	if (error) {
		fprintf(stderr, "%s\n", error->message);
		exit(1);
	}
	if (plan_check(plan, size_bytes, &why)) {
		fprintf(stderr, "%s\n", why.message);
		exit(1);
	}
}

static const struct plan_call *find(uint8_t abi, const char *name)
{
	int64_t nr = linux_syscall_nr(abi, name);

	CHECK(nr >= 0);
	return plan_find_call(plan, abi, (uint32_t)nr);
}

static const struct plan_step *step(struct plan_range range, unsigned index)
{
	CHECK(index < range.count);
	return plan_get_steps(plan, range) + index;
}

static void test_strings_and_buffers(void)
{
	const struct plan_call *call = find(TRAP_ABI_X86_64, "openat");
	const struct plan_step *s = step(call->enter, 0);

	CHECK_INT(call->enter.count, 1);
	CHECK_INT(call->exit.count, 0);
	CHECK_INT(s->op, PLAN_OP_STRING);
	CHECK_INT(s->base, TRAP_REG_RSI);
	CHECK_INT(s->cap, 1024);
	CHECK_INT(s->label, PLAN_LABEL_ARG0 + 1);
	CHECK(s->flags & PLAN_STEP_AGAIN);

	/* const char *, and yet no string */
	call = find(TRAP_ABI_X86_64, "write");
	s = step(call->enter, 0);
	CHECK_INT(s->op, PLAN_OP_BYTES);
	CHECK_INT(s->len_from, TRAP_REG_RDX);
	CHECK_INT(s->cap, 256);

	call = find(TRAP_ABI_X86_64, "read");
	CHECK_INT(call->enter.count, 0);
	s = step(call->exit, 0);
	CHECK_INT(s->len_from, TRAP_REG_RAX);
	CHECK(s->flags & PLAN_STEP_IF_OK);
}

static void test_flags_of_calls(void)
{
	static const char *const identity[] = {"execve", "execveat", "clone",  "clone3",    "fork",  "vfork",
					       "prctl",  "setuid",   "setgid", "setresuid", "setsid"};

	for (size_t i = 0; i < sizeof(identity) / sizeof(identity[0]); i++)
		CHECK(find(TRAP_ABI_X86_64, identity[i])->flags & PLAN_CALL_IDENTITY);
	CHECK_INT(find(TRAP_ABI_X86_64, "exit")->flags, PLAN_CALL_NO_RETURN);
	CHECK_INT(find(TRAP_ABI_I386, "exit_group")->flags, PLAN_CALL_NO_RETURN);
	/* nothing behind a pointer, nobody new */
	CHECK(!find(TRAP_ABI_X86_64, "getppid"));
	CHECK(!find(TRAP_ABI_X86_64, "close"));
}

static void test_execve(void)
{
	const struct plan_call *call = find(TRAP_ABI_X86_64, "execve");

	CHECK_INT(call->enter.count, 3);
	CHECK_INT(step(call->enter, 0)->op, PLAN_OP_STRING);
	CHECK_INT(step(call->enter, 1)->op, PLAN_OP_STRINGS);
	CHECK_INT(step(call->enter, 1)->max_items, 64);
	CHECK_INT(step(call->enter, 1)->cap, 256);
	CHECK_INT(step(call->enter, 2)->op, PLAN_OP_STRINGS);
}

static void test_deep(void)
{
	const struct plan_call *call = find(TRAP_ABI_X86_64, "sendmsg");
	unsigned values = 0, deep = 0;

	for (unsigned i = 0; i < call->enter.count; i++) {
		values += step(call->enter, i)->op == PLAN_OP_VALUE;
		deep += step(call->enter, i)->label == PLAN_LABEL_DEEP0 + 1;
	}
	CHECK_INT(values, 6);
	CHECK_INT(deep, 3);

	/* the length of what accept writes is what it leaves at its third argument */
	call = find(TRAP_ABI_X86_64, "accept");
	CHECK_INT(step(call->exit, 0)->op, PLAN_OP_VALUE);
	CHECK_INT(step(call->exit, 0)->base, TRAP_REG_RDX);
	CHECK_INT(step(call->exit, 1)->len_from, PLAN_SRC_VALUE | 0);
	CHECK(step(call->exit, 1)->flags & PLAN_STEP_LEN32);
}

static void test_i386(void)
{
	const struct plan_call *call = find(TRAP_ABI_I386, "open");
	const struct plan_step *s = step(call->enter, 0);

	CHECK_INT(s->base, TRAP_REG_RBX);
	CHECK(s->flags & PLAN_STEP_PTR32);
	s = step(find(TRAP_ABI_I386, "writev")->enter, 0);
	CHECK_INT(s->op, PLAN_OP_IOVEC);
	CHECK_INT(s->len, 8);
	s = step(find(TRAP_ABI_I386, "nanosleep")->enter, 0);
	CHECK_INT(s->len, 8);
	CHECK_INT(step(find(TRAP_ABI_X86_64, "nanosleep")->enter, 0)->len, 16);
	for (uint32_t nr = 0; nr < 512; nr++) {
		call = plan_find_call(plan, TRAP_ABI_I386, nr);
		for (unsigned i = 0; call && i < call->enter.count; i++)
			CHECK(step(call->enter, i)->flags & PLAN_STEP_PTR32);
	}
}

static void test_head(void)
{
	const struct plan_header *header = plan_get_header(plan);
	const uint32_t arguments = 1u << TRAP_REG_RDI | 1u << TRAP_REG_RSI | 1u << TRAP_REG_RDX | 1u << TRAP_REG_R10 |
				   1u << TRAP_REG_R8 | 1u << TRAP_REG_R9 | 1u << TRAP_REG_RBX | 1u << TRAP_REG_RBP;
	const struct plan_step *s = step(header->diverted, 0);

	CHECK_INT(header->plan_id, 7);
	CHECK_INT(header->max_record_bytes, 4096);
	CHECK((header->enter_regs & arguments) == arguments);
	CHECK(header->exit_regs >> TRAP_REG_NR & 1);
	CHECK(header->exit_regs >> TRAP_REG_RDI & 1);
	CHECK(header->task.flags & PLAN_TASK_VALID);
	CHECK_INT(header->identity.count, 1);
	CHECK_INT(s->base, TRAP_REG_RSP);
	CHECK_INT(s->label, PLAN_LABEL_SIGFRAME);
	CHECK(s->len >= 256 && s->flags & PLAN_STEP_QUIET);
}

/* By type alone, for a call that the table does not know: the guest's metadata is all there is. */
static void test_types(void)
{
	static const char *const types[] = {"const char *", "struct timespec *", "const sigset_t *", "size_t"};
	static const char *const arg_names[] = {"path", "ts", "set", "n"};
	const struct plan_call *call;

	CHECK(!call_spec_find("set_thread_area"));
	fixture_set_prototype(TRAP_ABI_X86_64, "set_thread_area", 4, types, arg_names);
	free(plan);
	compile(&(struct linux_plan_choice){0});
	call = find(TRAP_ABI_X86_64, "set_thread_area");
	CHECK(call);
	CHECK_INT(call->enter.count, 2);
	CHECK_INT(step(call->enter, 0)->op, PLAN_OP_STRING);
	CHECK_INT(step(call->enter, 1)->label, PLAN_LABEL_ARG0 + 2);
	CHECK_INT(call->exit.count, 1);
	CHECK_INT(step(call->exit, 0)->len, 16);
}

static void test_text(void)
{
	char *text = NULL;
	size_t text_bytes, again_bytes;
	struct plan_error why = {0};
	void *again;
	FILE *out = open_memstream(&text, &text_bytes);

	CHECK(out);
	CHECK_INT(plan_print(out, plan, size_bytes, &names), 0);
	fclose(out);
	CHECK(strstr(text, "openat"));
	if (plan_parse(text, &names, &again, &again_bytes, &why)) {
		fprintf(stderr, "line %u: %s\n", why.line, why.message);
		exit(1);
	}
	CHECK_INT(again_bytes, size_bytes);
	CHECK(!memcmp(again, plan, size_bytes));
	free(again);
	free(text);
}

/* A kernel whose current task was not found: arguments are still taken. */
static void test_no_task(void)
{
	fixture_set_task(false);
	free(plan);
	compile(&(struct linux_plan_choice){0});
	CHECK_INT(plan_get_header(plan)->task.flags, 0);
	CHECK_INT(plan_get_header(plan)->identity.count, 0);
	CHECK(find(TRAP_ABI_X86_64, "openat"));
	fixture_set_task(true);
}

static bool wants(void *ctx, const struct linux_syscall *syscall)
{
	return !strcmp(syscall->name, ctx);
}

static void test_choice(void)
{
	struct linux_plan_choice choice = {wants, "getpid", PLAN_F_SKIP_EXIT};
	struct vmtape_error *error;
	void *none;
	size_t size;

	free(plan);
	compile(&choice);
	CHECK_INT(plan_get_header(plan)->flags, PLAN_F_DEFAULT_SKIP | PLAN_F_SKIP_EXIT);
	CHECK(find(TRAP_ABI_X86_64, "getpid"));
	CHECK(!find(TRAP_ABI_X86_64, "openat"));
	choice.ctx = "no-such-call";
	error = linux_plan_compile(NULL, 7, &choice, &none, &size);
	CHECK(error && error->code == VMTAPE_ERROR_USAGE);
	vmtape_error_destroy(error);
}

int main(void)
{
	compile(&(struct linux_plan_choice){0});
	test_strings_and_buffers();
	test_flags_of_calls();
	test_execve();
	test_deep();
	test_i386();
	test_head();
	test_text();
	test_types();
	test_no_task();
	test_choice();
	free(plan);
	printf("%zu calls with explicit meanings\n", call_spec_count());
	return 0;
}
