/* SPDX-License-Identifier: MIT */
/* Validator of plans: each rule, and every bit of valid plans flipped: refused, or harmless. */
#include <stdbool.h>

#include "plan_torture.h"
#include "random_plan.h"

static void test_flips(void)
{
	unsigned refused = 0, taken = 0;
	uint64_t state = 11;

	for (int i = 0; i < 10; i++) {
		struct plan_error error;
		size_t size;
		uint8_t *plan;

		do
			plan = random_plan(&state, &size);
		while (size > 1500 && (free(plan), true));
		for (size_t bit = 0; bit < 8 * size; bit++) {
			struct torture_memory memory = {plan, size};

			plan[bit / 8] ^= (uint8_t)(1u << bit % 8);
			error.message[0] = 0;
			if (plan_check(plan, size, &error)) {
				CHECK(error.message[0]);
				refused++;
			} else {
				torture_run(plan, &memory);
				if (bit % 16 == 0)
					torture_text(plan, size, NULL);
				taken++;
			}
			plan[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		CHECK_INT(plan_check(plan, size, NULL), 0);
		for (size_t less = 0; less < size; less++)
			CHECK(plan_check(plan, less, NULL) < 0);
		free(plan);
	}
	printf("bits flipped: %u plans refused, %u run\n", refused, taken);
	CHECK(refused > 1000 && taken > 1000);
}

/* ---- each rule --------------------------------------------------------------- */

/*
 * The plan that the rules are tried on: identity, default exit, three calls
 * (the first with an entry and an exit step), two address spaces.
 */
static void *sound_plan(size_t *size)
{
	static const char text[] = "vmtape-plan 1\nkernel-cr3 0xffffffffffffe7ff 0\ntask +64(kernel_gs_base) id +8\n"
				   "cr3 0x1000 0x2000\n"
				   "identity +0(task):bytes[16]!kernel\n"
				   "default exit +0(arg0):bytes[8]\n"
				   "1 enter +0(arg1):u64 +0($0):bytes[arg2,16]!again +0(arg1):string[8] "
				   "+0(arg1):strings[8,4] +0(arg1):iovec[arg2,8,4] +0(arg1):bytes[8]\n"
				   "1 exit +0(arg1):bytes[8]!ok\n"
				   "2 skip\ni386:1 no-return\n";
	struct plan_error error;
	void *plan;

	if (plan_parse(text, NULL, &plan, size, &error)) {
		fprintf(stderr, "line %u: %s\n", error.line, error.message);
		exit(1);
	}
	return plan;
}

#define REFUSED(change, why)                                       \
	do {                                                       \
		size_t size;                                       \
		struct plan_header *h = sound_plan(&size);         \
		struct plan_call *c = (struct plan_call *)(h + 1); \
		struct plan_step *s = (struct plan_step *)(c + 3); \
		__u64 *cr3 = (__u64 *)(s + 9);                     \
		const char *fault = NULL;                          \
		(void)c, (void)s, (void)cr3;                       \
		CHECK_INT(h->nr_steps, 9);                         \
		CHECK_INT(plan_validate(h, size, &fault), 0);      \
		change;                                            \
		CHECK(plan_validate(h, size, NULL) < 0);           \
		plan_validate(h, size, &fault);                    \
		CHECK_STR(fault, why);                             \
		free(h);                                           \
	} while (0)

static void test_header_rules(void)
{
	REFUSED(h->magic++, "not a capture plan");
	REFUSED(h->version = 2, "plan of an unknown version");
	REFUSED(size = 79, "plan is shorter than its header");
	REFUSED(size--, "plan's size does not match its counts");
	REFUSED(h->size_bytes += 8, "plan's size does not match its counts");
	REFUSED(h->nr_calls++, "plan's size does not match its counts");
	REFUSED(h->nr_cr3--, "plan's size does not match its counts");
	REFUSED(h->nr_calls = PLAN_MAX_CALLS + 1, "too many calls, steps or address spaces");
	REFUSED(h->nr_steps = PLAN_MAX_STEPS + 1, "too many calls, steps or address spaces");
	REFUSED(h->nr_cr3 = PLAN_MAX_CR3 + 1, "too many calls, steps or address spaces");
	REFUSED(h->flags = 8, "unknown plan flags");
	REFUSED(h->flags = PLAN_F_SKIP_ENTER | PLAN_F_SKIP_EXIT, "plan skips both entry and exit");
	REFUSED(h->flags = PLAN_F_DEFAULT_SKIP, "default steps, but other calls are skipped");
	REFUSED(h->max_record_bytes = 504, "largest record is out of range or no multiple of 8");
	REFUSED(h->max_record_bytes = 513, "largest record is out of range or no multiple of 8");
	REFUSED(h->max_record_bytes = 32776, "largest record is out of range or no multiple of 8");
	REFUSED(h->enter_regs = 1u << TRAP_REGS, "unknown registers");
	REFUSED(h->exit_regs = 1u << 31, "unknown registers");
	REFUSED(h->task.flags = 4, "unknown task flags");
	REFUSED(h->task.flags = 0, "fields of a task word that is not valid");
	REFUSED(h->task.flags = PLAN_TASK_ID_VALID, "fields of a task word that is not valid");
	REFUSED(h->task.flags = PLAN_TASK_VALID, "offset of an id word that is not valid");
	REFUSED(h->task.reserved = 1, "reserved field of the task word is not 0");
	REFUSED(h->task.base = TRAP_REGS, "task word's base is no register");
	REFUSED(h->task.kernel_cr3_mask = 0, "kernel reads without a kernel CR3");
	REFUSED((h->task.kernel_cr3_mask = 0, memset(&h->task, 0, 16)), "kernel reads without a kernel CR3");
	REFUSED(cr3[0] = 0x1001, "address space is no page-table root");
	REFUSED(cr3[1] = 1ull << 52, "address space is no page-table root");
	REFUSED(cr3[1] = 0x1000, "address spaces are not in order");
	REFUSED(cr3[0] = 0x3000, "address spaces are not in order");
}

static void test_range_rules(void)
{
	REFUSED(h->identity.first = 1, "ranges do not follow each other");
	REFUSED(h->identity.count = 0, "ranges do not follow each other");
	REFUSED((h->identity.count = 0, h->identity.first = 1), "empty range with a first step");
	REFUSED(h->diverted.first = 3, "empty range with a first step");
	REFUSED(h->default_exit.count = 17, "too many steps in a range");
	REFUSED(h->default_exit.count = 9, "ranges do not follow each other");
	REFUSED(c[0].exit.first = 1, "ranges do not follow each other");
	REFUSED(c[0].exit.first = 65535, "ranges do not follow each other");
	REFUSED(c[0].exit.count = 2, "ranges do not follow each other");
	REFUSED((c[0].exit.count = 0, c[0].exit.first = 0), "steps that belong to no range");
}

static void test_call_rules(void)
{
	REFUSED(c[0].abi = TRAP_ABIS, "unknown system-call ABI");
	REFUSED(c[0].nr |= 0x40000000, "system-call number with the bit of x32");
	REFUSED(c[0].flags = 8, "unknown call flags");
	REFUSED(c[0].reserved = 1, "reserved field of a call is not 0");
	REFUSED(c[1].nr = 1, "calls are not in order");
	REFUSED(c[1].nr = 0, "calls are not in order");
	REFUSED(c[0].abi = TRAP_ABI_I386, "calls are not in order");
	REFUSED(c[0].flags = PLAN_CALL_SKIP, "steps for a call that is skipped");
	REFUSED(c[0].flags = PLAN_CALL_NO_RETURN, "exit steps for a call that never returns");
}

static void test_step_rules(void)
{
	/* 0 identity, 1 default exit, 2 u64, 3 bytes, 4 string, 5 strings, 6 iovec, 7 bytes, 8 exit bytes */
	REFUSED(s[0].op = 0, "unknown step operation");
	REFUSED(s[0].op = PLAN_OPS, "unknown step operation");
	REFUSED(s[1].flags = 0x80, "unknown step flags");
	REFUSED(s[1].base = TRAP_REGS, "step's address is neither a register nor an earlier value");
	REFUSED(s[1].base = PLAN_SRC_VALUE, "step's address is neither a register nor an earlier value");
	REFUSED(s[2].base = PLAN_SRC_VALUE, "step's address is neither a register nor an earlier value");
	REFUSED(s[3].base = PLAN_SRC_VALUE | 1, "step's address is neither a register nor an earlier value");
	REFUSED(s[4].base = PLAN_SRC_VALUE | 1, "step's address is neither a register nor an earlier value");
	REFUSED(s[4].base = PLAN_SRC_VALUE | 16, "step's address is neither a register nor an earlier value");
	REFUSED(s[4].base = 0x80, "step's address is neither a register nor an earlier value");
	REFUSED(s[4].base = PLAN_SRC_CONST, "step's address is neither a register nor an earlier value");
	REFUSED(s[3].len_from = TRAP_REGS, "step's length is neither a register nor an earlier value");
	REFUSED(s[3].len_from = PLAN_SRC_VALUE | 5, "step's length is neither a register nor an earlier value");
	REFUSED(s[8].flags = PLAN_STEP_AGAIN, "only entry steps can be read again");
	REFUSED(s[0].flags = PLAN_STEP_AGAIN, "only entry steps can be read again");
	REFUSED(s[3].flags = PLAN_STEP_IF_OK, "only exit steps can depend on the result");
	REFUSED(s[0].flags = PLAN_STEP_IF_OK, "only exit steps can depend on the result");
	REFUSED(s[7].flags = PLAN_STEP_LEN32, "a constant length has no 32-bit source");
	REFUSED(s[3].flags |= PLAN_STEP_KERNEL, "kernel memory is neither read again nor at 32-bit addresses");
	REFUSED(s[7].flags = PLAN_STEP_KERNEL | PLAN_STEP_PTR32,
		"kernel memory is neither read again nor at 32-bit addresses");
	REFUSED(s[2].len = 3, "a value is 1, 2, 4 or 8 bytes long");
	REFUSED(s[2].len = 0, "a value is 1, 2, 4 or 8 bytes long");
	REFUSED(s[2].len_from = TRAP_REG_RAX, "a value is 1, 2, 4 or 8 bytes long");
	REFUSED(s[2].cap = 8, "a value has no cap, items or label");
	REFUSED(s[2].max_items = 1, "a value has no cap, items or label");
	REFUSED(s[2].label = 1, "a value has no cap, items or label");
	REFUSED(s[2].flags = PLAN_STEP_QUIET, "a value is no fragment that could be quiet or read again");
	REFUSED(s[2].flags = PLAN_STEP_AGAIN, "a value is no fragment that could be quiet or read again");
	REFUSED(s[4].cap = 0, "step's cap is out of range");
	REFUSED(s[4].cap = 32769, "step's cap is out of range");
	REFUSED(s[5].max_items = 0, "step's number of items is out of range");
	REFUSED(s[6].max_items = 65, "step's number of items is out of range");
	REFUSED(s[7].max_items = 1, "step takes no items");
	REFUSED(s[4].max_items = 1, "step takes no items");
	REFUSED(s[7].len = 0, "length is always 0");
	REFUSED(s[6].len = 8, "length does not fit the size of an iovec");
	REFUSED(s[6].flags = PLAN_STEP_PTR32, "length does not fit the size of an iovec");
	REFUSED((s[6].len_from = PLAN_SRC_CONST, s[6].len = 24), "length does not fit the size of an iovec");
	REFUSED((s[6].len_from = PLAN_SRC_CONST, s[6].len = 0), "length does not fit the size of an iovec");
	REFUSED(s[4].len = 1, "strings have no length");
	REFUSED(s[5].len_from = TRAP_REG_RDX, "strings have no length");
}

/* Messages say which call or range it is. */
static void test_messages(void)
{
	struct plan_error error;
	size_t size;
	struct plan_header *h = sound_plan(&size);
	struct plan_call *c = (struct plan_call *)(h + 1);
	struct plan_step *s = (struct plan_step *)(c + 3);
	uint8_t *unaligned = malloc(size + 1);

	s[4].cap = 0;
	CHECK(plan_check(h, size, &error) < 0);
	CHECK_STR(error.message, "call 1: step's cap is out of range");
	s[4].cap = 8;
	c[2].flags = 0xff;
	CHECK(plan_check(h, size, &error) < 0);
	CHECK_STR(error.message, "call i386:1: unknown call flags");
	c[2].flags = 0;
	s[1].cap = 0;
	CHECK(plan_check(h, size, &error) < 0);
	CHECK_STR(error.message, "default exit: step's cap is out of range");
	s[1].cap = 8;
	CHECK_INT(plan_check(h, size, &error), 0);
	CHECK(unaligned);
	memcpy(unaligned + 1, h, size);
	CHECK(plan_check(unaligned + 1, size, &error) < 0);
	CHECK_STR(error.message, "plan is not aligned to 8 bytes");
	free(unaligned);
	free(h);
}

int main(void)
{
	test_header_rules();
	test_range_rules();
	test_call_rules();
	test_step_rules();
	test_messages();
	test_flips();
	return 0;
}
