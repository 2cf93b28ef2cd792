/* SPDX-License-Identifier: MIT */
/* Validator of plans; what it accepts must run over any memory and come back from its text. */
#include "../plan_torture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct torture_memory memory = {data, size};
	struct plan_error error = {0};
	void *plan;

	if (size < 8)
		return 0;
	plan = malloc(size);
	TORTURE_ASSERT(plan);
	memcpy(plan, data, size);
	if (plan_check(plan, size, &error)) {
		TORTURE_ASSERT(error.message[0]);
	} else {
		torture_run(plan, &memory);
		torture_text(plan, size, NULL);
	}
	free(plan);
	return 0;
}
