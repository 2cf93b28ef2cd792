/* SPDX-License-Identifier: MIT */
/* Text form of plans: print and parse give the identical block; errors name line and column. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>

#include "random_plan.h"

static const char *name_of(void *ctx, uint8_t abi, uint32_t nr)
{
	static const char *const names[] = {"read", "write", "open", "exit", "default", "has space", "9lives", "_x1"};

	/* the same names at other numbers, as Linux has it */
	if (abi == TRAP_ABI_I386)
		nr -= 3;
	return nr < sizeof(names) / sizeof(names[0]) ? names[nr] : NULL;
}

static int64_t number_of(void *ctx, uint8_t abi, const char *name)
{
	for (uint32_t nr = 0; nr < 8; nr++)
		if (!strcmp(name_of(ctx, TRAP_ABI_X86_64, nr), name))
			return abi == TRAP_ABI_I386 ? nr + 3 : nr;
	return -1;
}

static const struct plan_names names = {name_of, number_of, NULL};

static char *print(const void *plan, size_t size, const struct plan_names *with)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	CHECK(out);
	CHECK_INT(plan_print(out, plan, size, with), 0);
	CHECK(!fclose(out));
	return text;
}

static void expect_round_trip(const void *plan, size_t size, const struct plan_names *with)
{
	char *text = print(plan, size, with);
	struct plan_error error = {0};
	size_t again_size = 0;
	void *again = NULL;

	if (plan_parse(text, with, &again, &again_size, &error)) {
		fprintf(stderr, "line %u: %s\n%s", error.line, error.message, text);
		exit(1);
	}
	if (again_size != size || memcmp(again, plan, size)) {
		fprintf(stderr, "another plan came back of\n%s", text);
		exit(1);
	}
	free(again);
	free(text);
}

static void test_random(void)
{
	uint64_t state = 42;

	for (int i = 0; i < 3000; i++) {
		size_t size;
		void *plan = random_plan(&state, &size);

		expect_round_trip(plan, size, i % 2 ? &names : NULL);
		free(plan);
	}
}

static void test_largest(void)
{
	struct plan_builder *builder;
	struct plan_step steps[PLAN_MAX_CALL_STEPS];
	uint64_t state = 7;
	size_t size;
	void *plan;

	CHECK_INT(plan_builder_create(&builder, 1), 0);
	plan_builder_set_task(builder, &(struct plan_task){.kernel_cr3_mask = ~0ull});
	/* downwards, so that the builder must sort */
	for (uint32_t nr = PLAN_MAX_CALLS; nr-- > 0;) {
		for (unsigned i = 0; i < 4; i++)
			random_step(&state, steps, i, PLAN_AT_ENTER);
		CHECK_INT(plan_builder_set_call(builder, TRAP_ABI_X86_64, nr, 0, steps, 4, NULL, 0), 0);
	}
	CHECK_INT(plan_builder_set_call(builder, TRAP_ABI_X86_64, 100000, 0, steps, 4, NULL, 0), -E2BIG);
	for (uint64_t i = 0; i < PLAN_MAX_CR3; i++)
		CHECK_INT(plan_builder_add_cr3(builder, i << 12), 0);
	CHECK_INT(plan_builder_add_cr3(builder, 5 << 12), 0);
	CHECK_INT(plan_builder_add_cr3(builder, PLAN_MAX_CR3 << 12), -E2BIG);
	CHECK_INT(plan_builder_finish(builder, &plan, &size, NULL), 0);
	CHECK_INT(plan_get_header(plan)->nr_steps, PLAN_MAX_STEPS);
	expect_round_trip(plan, size, &names);
	free(plan);

	/* one step too many */
	CHECK_INT(plan_builder_set_steps(builder, PLAN_DEFAULT_ENTER, steps, 1), 0);
	CHECK_INT(plan_builder_finish(builder, &plan, &size, NULL), -E2BIG);
	CHECK(!plan);
	plan_builder_destroy(builder);
}

static void test_generic(void)
{
	const struct plan_header *header;
	const struct plan_step *steps;
	size_t size;
	void *plan;

	CHECK_INT(plan_generic(9, &plan, &size), 0);
	CHECK_INT(plan_check(plan, size, NULL), 0);
	header = plan_get_header(plan);
	CHECK_INT(header->plan_id, 9);
	CHECK_INT(header->nr_calls, 0);
	CHECK_INT(header->default_enter.count, 9);
	steps = plan_get_steps(plan, header->default_enter);
	for (unsigned i = 0; i < 9; i++) {
		CHECK_INT(steps[i].op, PLAN_OP_BYTES);
		CHECK_INT(steps[i].len, 64);
		CHECK_INT(steps[i].flags, PLAN_STEP_QUIET);
	}
	expect_round_trip(plan, size, NULL);
	free(plan);
}

static void test_by_hand(void)
{
	static const char text[] = "# what people write\n"
				   "\n"
				   "vmtape-plan 1 # the version\r\n"
				   "read exit +0(arg1):bytes[ret,512]!ok\n"
				   "\topen   enter\t+0(arg0):string[1024]!again #path\n"
				   "i386:open enter +0(arg0):string[0x400]!ptr32!again\n"
				   "write enter +8(arg1):u64 deep1=-16($0):bytes[rdx*16,32]!len32\n"
				   "exit no-return\n"
				   "task +0x100(kernel_gs_base) id -8\n"
				   "kernel-cr3 0xffffffffffffe7ff 0";
	const struct plan_step *steps;
	const struct plan_call *call;
	struct plan_error error;
	size_t size;
	void *plan;

	if (plan_parse(text, &names, &plan, &size, &error)) {
		fprintf(stderr, "line %u: %s\n", error.line, error.message);
		exit(1);
	}
	CHECK_INT(plan_get_header(plan)->nr_calls, 5);
	CHECK_INT(plan_get_header(plan)->max_record_bytes, PLAN_MAX_RECORD_BYTES);
	CHECK_INT(plan_get_header(plan)->task.id_offset, -8);
	CHECK(!plan_find_call(plan, TRAP_ABI_X86_64, 77));
	call = plan_find_call(plan, TRAP_ABI_X86_64, 0);
	CHECK(call && call->exit.count == 1 && call->enter.count == 0);
	steps = plan_get_steps(plan, call->exit);
	CHECK_INT(steps->base, TRAP_REG_RSI);
	CHECK_INT(steps->len_from, TRAP_REG_RAX);
	CHECK_INT(steps->cap, 512);
	CHECK_INT(steps->label, PLAN_LABEL_ARG0 + 1);
	CHECK_INT(steps->flags, PLAN_STEP_IF_OK);
	call = plan_find_call(plan, TRAP_ABI_I386, 5);
	CHECK(call && call->enter.count == 1);
	steps = plan_get_steps(plan, call->enter);
	CHECK_INT(steps->base, TRAP_REG_RBX);
	CHECK_INT(steps->cap, 1024);
	call = plan_find_call(plan, TRAP_ABI_X86_64, 1);
	steps = plan_get_steps(plan, call->enter);
	CHECK_INT(steps[1].base, PLAN_SRC_VALUE);
	CHECK_INT(steps[1].label, PLAN_LABEL_DEEP0 + 1);
	CHECK_INT(steps[1].offset, -16);
	CHECK_INT(steps[1].len, 16);
	CHECK_INT(plan_find_call(plan, TRAP_ABI_X86_64, 3)->flags, PLAN_CALL_NO_RETURN);
	free(plan);
}

static int64_t any_number(void *ctx, uint8_t abi, const char *name)
{
	uint32_t nr = 5381;

	while (*name)
		nr = nr * 33 + (uint8_t)*name++;
	return nr & 0xffff;
}

/* What the documentation shows as a plan, or as lines of one, is one: its indented blocks in lower case. */
static void test_documentation(void)
{
	static const char path[] = "../docs/capture-plans.md";
	static const struct plan_names any = {NULL, any_number, NULL};
	static char block[8192], line[1024];
	FILE *file = fopen(path, "r");
	unsigned blocks = 0;
	bool more = true;

	if (!file) {
		perror(path);
		exit(1);
	}
	while (more) {
		more = fgets(line, sizeof(line), file);
		if (more && !strncmp(line, "    ", 4)) {
			CHECK(strlen(block) + strlen(line) < sizeof(block));
			strcat(block, line + 4);
			continue;
		}
		if (islower((unsigned char)block[0]) && strncmp(block, "line ", 5)) {
			char text[sizeof(block) + 32];
			struct plan_error error;
			size_t size;
			void *plan;

			snprintf(text, sizeof(text), "%s%s", strncmp(block, "vmtape-plan", 11) ? "vmtape-plan 1\n" : "",
				 block);
			if (plan_parse(text, &any, &plan, &size, &error)) {
				fprintf(stderr, "%s: line %u: %s\n%s", path, error.line, error.message, text);
				exit(1);
			}
			expect_round_trip(plan, size, &any);
			free(plan);
			blocks++;
		}
		block[0] = 0;
	}
	fclose(file);
	CHECK(blocks >= 4);
}

static void expect_error(const char *lines, unsigned line, const char *message)
{
	struct plan_error error = {0};
	size_t size;
	char text[512];
	void *plan;

	snprintf(text, sizeof(text), "vmtape-plan 1\n%s", lines);
	CHECK(plan_parse(text, &names, &plan, &size, &error) < 0);
	CHECK(!plan);
	CHECK_STR(error.message, message);
	CHECK_INT(error.line, line);
	/* without anybody to tell, too */
	CHECK(plan_parse(text, &names, &plan, &size, NULL) < 0);
}

static void test_errors(void)
{
	struct plan_error error;
	size_t size;
	void *plan;

	CHECK_INT(plan_parse("", NULL, &plan, &size, &error), -EINVAL);
	CHECK_STR(error.message, "column 1: empty: a plan begins with the line 'vmtape-plan 1'");
	CHECK_INT(plan_parse("\n id 7\n", NULL, &plan, &size, &error), -EINVAL);
	CHECK_STR(error.message, "column 2: a plan begins with the line 'vmtape-plan 1'");
	CHECK_INT(error.line, 2);
	CHECK_INT(plan_parse("vmtape-plan 2\n", NULL, &plan, &size, &error), -EINVAL);
	CHECK_STR(error.message, "column 13: version 2 is not known; this program reads version 1");
	CHECK_INT(plan_parse("vmtape-plan 1\nread enter", NULL, &plan, &size, &error), -EINVAL);
	CHECK_STR(error.message, "column 1: 'read': names of system calls are not known here, only numbers");

	expect_error("vmtape-plan 1\n", 2, "column 1: second line of 'vmtape-plan'");
	expect_error("id 1\nid 2\n", 3, "column 1: second line of 'id'");
	expect_error("id 4294967296\n", 2, "column 4: id is over 4294967295");
	expect_error("id 0x100000000\n", 2, "column 4: id is over 4294967295");
	expect_error("id 12x\n", 2, "column 6: expected id, a number");
	expect_error("id 0x\n", 2, "column 6: expected hexadecimal digits");
	expect_error("id 1 2\n", 2, "column 6: nothing more belongs on this line");
	expect_error("max-record 511\n", 2, "column 12: max-record is a multiple of 8, 512 to 32768");
	expect_error("max-record 32776\n", 2, "column 12: max-record is over 32768");
	expect_error("regs both\n", 2, "column 6: expected enter or exit");
	expect_error("regs enter rax zax\n", 2, "column 16: 'zax' is no register");
	expect_error("skip all\n", 2, "column 6: expected enter or exit");
	expect_error("skip enter\nskip exit\n", 3, "column 6: second line of 'skip'");
	expect_error("cr3 0x1001\n", 2,
		     "column 5: address space is no page-table root: a multiple of 0x1000 below 2^52");
	expect_error("task 8(rax)\n", 2, "column 6: expected an offset: + or - and a number");
	expect_error("task +8(rax)\n", 0, "kernel reads without a kernel CR3");
	expect_error("nope enter\n", 2, "column 1: 'nope' is neither a directive nor a system call");
	expect_error("0x40000001 enter\n", 2, "column 1: number with the bit of x32: write x32:1");
	expect_error("i386: enter\n", 2, "column 6: expected a directive, or name or number of a system call");
	expect_error("read\n", 2, "column 5: expected enter, exit, record, skip, identity or no-return");
	expect_error("read maybe\n", 2, "column 6: expected enter, exit, record, skip, identity or no-return");
	expect_error("read enter\nread enter\n", 3, "column 1: second line of this call's entry");
	expect_error("read skip\nread identity\n", 3, "column 1: second line of this call's flags");
	expect_error("read skip\nread enter +0(arg0):u8\n", 3, "column 1: steps for a call that has none by its flags");
	expect_error("read exit +0(arg0):u8\nread no-return\n", 3,
		     "column 1: this call has steps, which its flags rule out");
	expect_error("read enter 0(arg1):u8\n", 2, "column 13: expected '='");
	expect_error("read enter arg9=+0(arg1):u8\n", 2, "column 12: 'arg9' is no label");
	expect_error("read enter +0(arg6):u8\n", 2,
		     "column 15: 'arg6' is no register; arg0 to arg5, ret and $step are good too");
	expect_error("read enter +0(arg1:u8\n", 2, "column 19: expected ')'");
	expect_error("read enter +0(arg1):u7\n", 2,
		     "column 21: 'u7' is no type: u8, u16, u32, u64, bytes, string, strings, iovec");
	expect_error("read enter +0(arg1):bytes[70000]\n", 2,
		     "column 27: length is over 32768: add a cap behind a comma");
	expect_error("read enter +0(arg1):bytes[0]\n", 2, "column 12: step's cap is out of range");
	expect_error("read enter +0(arg1):string[8]!loud\n", 2,
		     "column 31: 'loud' is no flag: kernel, again, ok, quiet, len32, ptr32");
	expect_error("read enter +0(arg1):string[8]!again!again\n", 2, "column 37: second 'again'");
	expect_error("read enter +0(arg1):string[8]+0(arg2):u8\n", 2, "column 30: expected '!' and a flag, or a space");
	expect_error("read enter +0(arg1):strings[8,65]\n", 2, "column 31: number of items is over 64");
	expect_error("read enter +0(arg1):string[8]!ok\n", 2, "column 12: only exit steps can depend on the result");
	expect_error("read exit +0(arg1):string[8]!again\n", 2, "column 11: only entry steps can be read again");
	expect_error("read enter +0($0):string[8]\n", 2,
		     "column 12: step's address is neither a register nor an earlier value");
	expect_error("read enter +0(arg0):string[8] +0($0):u8\n", 2,
		     "column 31: step's address is neither a register nor an earlier value");
	expect_error("read enter +2147483648(arg0):u8\n", 2, "column 13: offset is over 2147483647");
	expect_error("identity +0(rax):u8!kernel\n", 0, "kernel reads without a kernel CR3");
	expect_error("default skip\ndefault enter +0(rax):u8\n", 0, "default steps, but other calls are skipped");
	expect_error("read enter +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 "
		     "+0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 +0(rax):u8 "
		     "+0(rax):u8 +0(rax):u8\n",
		     2, "column 188: over 16 steps on a line");
	expect_error("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa enter\n", 2,
		     "column 1: word is too long for a directive, or name or number of a system call");
}

int main(void)
{
	test_by_hand();
	test_generic();
	test_random();
	test_largest();
	test_documentation();
	test_errors();
	return 0;
}
