/* SPDX-License-Identifier: MIT */
/* System-call numbers and names of the installed uapi headers: good for any guest, as numbers are never reused. */
#include <string.h>

#include "linux_guest.h"
#include "trap_abi.h"

#include "uapi_syscalls.inc"

static const struct {
	const char *const *names;
	uint32_t nr;
} tables[TRAP_ABIS] = {
	[TRAP_ABI_X86_64] = {uapi_x86_64, sizeof(uapi_x86_64) / sizeof(*uapi_x86_64)},
	[TRAP_ABI_X32] = {uapi_x32, sizeof(uapi_x32) / sizeof(*uapi_x32)},
	[TRAP_ABI_I386] = {uapi_i386, sizeof(uapi_i386) / sizeof(*uapi_i386)},
};

const char *linux_syscall_name(uint8_t abi, uint32_t nr)
{
	if (abi >= TRAP_ABIS || nr >= tables[abi].nr)
		return NULL;
	return tables[abi].names[nr];
}

int64_t linux_syscall_nr(uint8_t abi, const char *name)
{
	if (abi >= TRAP_ABIS)
		return -1;
	for (uint32_t nr = 0; nr < tables[abi].nr; nr++)
		if (tables[abi].names[nr] && !strcmp(tables[abi].names[nr], name))
			return nr;
	return -1;
}
