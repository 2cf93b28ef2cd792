/* SPDX-License-Identifier: MIT */
/* What a call's name and types say, looked up once for each call of a guest; declared in semantics.h. */
#include <string.h>

#include "semantics.h"
#include "trap_abi.h"

static enum call_oddity oddity_of(const struct linux_syscall *syscall)
{
	static const struct {
		const char *name;
		uint8_t oddity;
		bool everywhere; /* else of i386 only */
	} odd[] = {
		{"clone", ODDITY_CLONE, true},    {"socketcall", ODDITY_SOCKETCALL, false}, {"ipc", ODDITY_IPC, false},
		{"mmap", ODDITY_OLD_MMAP, false}, {"select", ODDITY_OLD_SELECT, false},
	};

	if (syscall->abi == TRAP_ABI_X86_64 && !strcmp(syscall->name, "rt_sigreturn"))
		return ODDITY_SIGRETURN;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		if ((odd[i].everywhere || syscall->abi == TRAP_ABI_I386) && !strcmp(syscall->name, odd[i].name))
			return (enum call_oddity)odd[i].oddity;
	return ODDITY_NONE;
}

static enum arg_width width_of(const char *type, uint8_t abi)
{
	static const struct {
		const char *type;
		uint8_t width;
	} widths[] = {
		{"int", WIDTH_S32},     {"pid_t", WIDTH_S32},        {"key_t", WIDTH_S32},    {"clockid_t", WIDTH_S32},
		{"timer_t", WIDTH_S32}, {"key_serial_t", WIDTH_S32}, {"mqd_t", WIDTH_S32},    {"__s32", WIDTH_S32},
		{"s32", WIDTH_S32},     {"unsigned int", WIDTH_U32}, {"unsigned", WIDTH_U32}, {"u32", WIDTH_U32},
		{"__u32", WIDTH_U32},   {"uid_t", WIDTH_U32},        {"gid_t", WIDTH_U32},    {"qid_t", WIDTH_U32},
		{"rwf_t", WIDTH_U32},   {"umode_t", WIDTH_U16},
	};

	if (!type || strchr(type, '*'))
		return WIDTH_POINTER;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		if (!strcmp(type, widths[i].type))
			return (enum arg_width)widths[i].width;
	return abi == TRAP_ABI_I386 && !strcmp(type, "long") ? WIDTH_S32 : WIDTH_WORD;
}

/* An argument without a name is shown by its number, which no other has. */
static bool is_named_again(const struct linux_syscall *syscall, int i)
{
	const char *name = syscall->arg_names[i];

	for (int earlier = 0; name && name[0] && earlier < i; earlier++)
		if (syscall->arg_names[earlier] && !strcmp(name, syscall->arg_names[earlier]))
			return true;
	return false;
}

static uint8_t plain_name_bytes(const char *name)
{
	size_t n = 0;

	for (; name && name[n]; n++)
		if (n == UINT8_MAX || name[n] < 0x20 || name[n] > 0x7e || name[n] == '"' || name[n] == '\\')
			return 0;
	return (uint8_t)n;
}

static void find_meaning(const struct linux_syscall *syscall, struct call_meaning *out)
{
	out->spec = call_spec_of(syscall);
	out->oddity = syscall->name ? (uint8_t)oddity_of(syscall) : ODDITY_NONE;
	out->nr_args = (uint8_t)call_spec_nr_args(syscall, out->spec);
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		call_spec_arg(syscall, out->spec, NULL, i, &out->args[i]);
		out->widths[i] = WIDTH_POINTER;
		if (i >= syscall->nr_args)
			continue;
		out->name_bytes[i] = plain_name_bytes(syscall->arg_names[i]);
		out->widths[i] = (uint8_t)width_of(syscall->arg_types[i], syscall->abi);
		if (is_named_again(syscall, i))
			out->named_again |= (uint8_t)(1u << i);
	}
}

void call_meaning_settle(struct linux_syscall *syscall)
{
	struct call_meaning meaning = {0};

	syscall->meaning.settled = false;
	find_meaning(syscall, &meaning);
	meaning.settled = true;
	syscall->meaning = meaning;
}

const struct call_meaning *call_meaning_find(const struct linux_syscall *syscall, struct call_meaning *scratch)
{
	memset(scratch, 0, sizeof(*scratch));
	if (syscall)
		find_meaning(syscall, scratch);
	return scratch;
}
