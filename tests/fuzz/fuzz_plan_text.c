/* SPDX-License-Identifier: MIT */
/* Parser of plans' text; what it accepts must be valid and come back from its own text. */
#include "../plan_torture.h"

static const char *const call_names[] = {"read", "write", "open", "close", "openat", "execve", "exit", "recvmsg"};

static const char *name_of(void *ctx, uint8_t abi, uint32_t nr)
{
	return nr < 8 ? call_names[nr] : NULL;
}

static int64_t number_of(void *ctx, uint8_t abi, const char *name)
{
	for (int nr = 0; nr < 8; nr++)
		if (!strcmp(call_names[nr], name))
			return nr;
	return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct plan_names names = {name_of, number_of, NULL};
	static const uint8_t bytes[] = "memory of a guest, all of it\0and then nothing";
	struct torture_memory memory = {bytes, sizeof(bytes)};
	struct plan_error error = {0};
	char *text = malloc(size + 1);
	size_t plan_size;
	void *plan;

	TORTURE_ASSERT(text);
	memcpy(text, data, size);
	text[size] = 0;
	if (plan_parse(text, &names, &plan, &plan_size, &error)) {
		TORTURE_ASSERT(error.message[0] && !plan);
	} else {
		TORTURE_ASSERT(!plan_check(plan, plan_size, NULL));
		torture_run(plan, &memory);
		torture_text(plan, plan_size, &names);
	}
	free(plan);
	free(text);
	return 0;
}
