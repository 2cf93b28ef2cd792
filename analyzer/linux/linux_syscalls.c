/* SPDX-License-Identifier: MIT */
/*
 * Number to call, for each ABI of the guest. x86-64: the kernel's table and its
 * metadata by number. i386 and x32: the table where the kernel still has one (it
 * serves dispatch no more since 6.9, 1e3ad78334a6, and its stable backports),
 * else the kernel's function for a uapi name, which follows a few rules.
 */
#include <stdlib.h>
#include <string.h>

#include "btf_layouts.h"
#include "linux_guest_private.h"
#include "syscalls_meta.h"
#include "trap_abi.h"

#define MAX_SYSCALLS 1024u
#define NAME_BYTES   128u
/* From here on a call has one number on all architectures, but for those below 424 that only 32-bit ones have. */
#define FIRST_COMMON_NR 424u
/* Names of one function that are looked at; sys_ni_syscall has the most, about ten. */
#define MAX_ALIASES 32u

struct linux_syscalls {
	struct syscall_prototypes prototypes;
	struct btf_layouts *layouts;            /* NULL: the guest has no BTF */
	struct linux_syscall *calls[TRAP_ABIS]; /* without a name: no such call */
	uint32_t nr[TRAP_ABIS];
};

struct builder {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct linux_syscalls *out;
};

void linux_syscalls_destroy(struct linux_syscalls *syscalls)
{
	if (!syscalls)
		return;
	syscall_prototypes_deinit(&syscalls->prototypes);
	btf_layouts_destroy(syscalls->layouts);
	for (int abi = 0; abi < TRAP_ABIS; abi++)
		free(syscalls->calls[abi]);
	free(syscalls);
}

/* ---- the kernel's functions ------------------------------------------------ */

/* "__x64_sys_read" → "read"; NULL: no system call's function. Before 4.17 they were plain "sys_read". */
static const char *strip_prefix(const char *symbol)
{
	static const char *const prefixes[] = {
		"__x64_sys_",        "__ia32_compat_sys_", "__ia32_sys_", "__x64_compat_sys_",
		"__x32_compat_sys_", "compat_sys_",        "sys_",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(symbol, prefixes[i], strlen(prefixes[i])))
			return symbol + strlen(prefixes[i]);
	return NULL;
}

/*
 * What the function at gva implements; several names may share an address: one
 * with a prototype is the better. "" : sys_ni_syscall. NULL: not known.
 */
static const char *function_name(const struct builder *builder, uint64_t gva)
{
	const struct kallsyms *symbols = builder->guest->symbols;
	const char *best = NULL;

	for (uint32_t i = kallsyms_first_at(symbols, gva); i < symbols->nr && symbols->symbols[i].address == gva; i++) {
		const char *name = strip_prefix(kallsyms_name(symbols, i));

		if (!name)
			continue;
		if (!strcmp(name, "ni_syscall"))
			return "";
		if (!best || (!syscall_prototype_by_name(&builder->out->prototypes, best) &&
			      syscall_prototype_by_name(&builder->out->prototypes, name)))
			best = name;
	}
	return best;
}

/* Does the kernel have a function for 32-bit callers by this name? */
static bool has_compat_function(const struct builder *builder, const char *name)
{
	static const char *const prefixes[] = {"__ia32_compat_sys_", "__ia32_sys_", "compat_sys_", "sys_"};
	char symbol[2 * NAME_BYTES];
	gva_t gva;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		snprintf(symbol, sizeof(symbol), "%s%s", prefixes[i], name);
		if (linux_guest_symbol(builder->guest, symbol, &gva))
			return true;
	}
	return false;
}

/* Entries of a table in kernel memory; its length is known by the symbol behind it. */
static uint64_t *read_table(const struct builder *builder, const char *name, uint32_t *n)
{
	const struct kallsyms *symbols = builder->guest->symbols;
	struct vmtape_error *error = NULL;
	uint64_t size, *table;
	uint32_t behind;
	gva_t gva;

	*n = 0;
	if (!linux_guest_symbol(builder->guest, name, &gva))
		return NULL;
	behind = kallsyms_first_at(symbols, gva.v + 1);
	size = behind < symbols->nr ? (symbols->symbols[behind].address - gva.v) / 8 : 0;
	if (size > MAX_SYSCALLS)
		size = MAX_SYSCALLS;
	table = calloc(size ? size : 1, sizeof(*table));
	if (!table)
		return NULL;
	for (*n = 0; *n < size && !error; (*n)++) {
		error = guest_read_u64(builder->memory, builder->guest->facts.kernel_space,
				       GVA(gva.v + 8 * (uint64_t)*n), &table[*n]);
		/* Alignment before the next symbol is no function. */
		if (error || !function_name(builder, table[*n]))
			break;
	}
	vmtape_error_destroy(error);
	return table;
}

/* ---- names of 32-bit calls -------------------------------------------------- */

/* Where no rule leads from arch/x86/entry/syscalls/syscall_32.tbl's name to its function, or a wrong one would. */
static const struct {
	const char *name, *function;
} odd_names[] = {
	{"umount", "oldumount"},     {"umount2", "umount"},      {"select", "old_select"},
	{"_newselect", "select"},    {"readdir", "old_readdir"}, {"mmap", "ia32_mmap"},
	{"mmap2", "mmap_pgoff"},     {"_llseek", "llseek"},      {"getrlimit", "old_getrlimit"},
	{"ugetrlimit", "getrlimit"}, {"olduname", "uname"},      {"oldolduname", "olduname"},
};

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

static bool is_i386_name(const char *prefix, const char *name, const char *suffix)
{
	char other[NAME_BYTES];

	snprintf(other, sizeof(other), "%s%s%s", prefix, name, suffix);
	return linux_syscall_nr(TRAP_ABI_I386, other) >= 0;
}

/* The n-th name that the kernel's function for a 32-bit call may bear, best first; false: no more. */
static bool candidate(const char *name, unsigned n, char out[NAME_BYTES])
{
	int cut = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(odd_names) / sizeof(*odd_names); i++) {
		if (!strcmp(odd_names[i].name, name)) {
			snprintf(out, NAME_BYTES, "%s", odd_names[i].function);
			return n == 0;
		}
	}
	switch (n) {
	case 0: /* 64-bit arguments in halves */
		snprintf(out, NAME_BYTES, "ia32_%s", name);
		break;
	case 1: /* 32-bit times: futex → futex_time32 */
		snprintf(out, NAME_BYTES, "%s_time32", name);
		break;
	case 2: /* clock_gettime → clock_gettime32 */
		snprintf(out, NAME_BYTES, "%s32", name);
		break;
	case 3: /* 16-bit ids: there is chown32 → chown is chown16 */
		if (is_i386_name("", name, "32"))
			snprintf(out, NAME_BYTES, "%s16", name);
		break;
	case 4: /* there is oldstat → stat is newstat; oldstat is stat */
		if (is_i386_name("old", name, ""))
			snprintf(out, NAME_BYTES, "new%s", name);
		else if (!strncmp(name, "old", 3))
			snprintf(out, NAME_BYTES, "%s", name + 3);
		break;
	case 5:
		snprintf(out, NAME_BYTES, "%s", name);
		break;
	case 6: /* stat64 → newstat, fstatat64 → newfstatat */
		if (ends_with(name, "64"))
			snprintf(out, NAME_BYTES, "new%.*s", (int)strlen(name) - 2, name);
		break;
	case 7: /* futex_time64, clock_gettime64, chown32 */
		if (ends_with(name, "_time64"))
			cut = 7;
		else if (ends_with(name, "64") || ends_with(name, "32"))
			cut = 2;
		if (cut)
			snprintf(out, NAME_BYTES, "%.*s", (int)strlen(name) - cut, name);
		break;
	default:
		return false;
	}
	return true;
}

/* ---- tables -------------------------------------------------------------------- */

static void fill(struct linux_syscall *call, uint8_t abi, uint32_t nr, const char *name, const char *kernel_name,
		 const struct syscall_prototype *prototype)
{
	*call = (struct linux_syscall){
		.nr = nr,
		.abi = abi,
		.name = name,
		.kernel_name = prototype ? prototype->name : kernel_name,
		.nr_args = prototype ? prototype->nr_args : -1,
	};
	for (int i = 0; prototype && i < prototype->nr_args; i++) {
		call->arg_names[i] = prototype->arg_names[i];
		call->arg_types[i] = prototype->arg_types[i];
	}
}

static void fill_x86_64(struct builder *builder, const uint64_t *table, uint32_t nr_table)
{
	struct linux_syscalls *out = builder->out;

	for (uint32_t nr = 0; nr < MAX_SYSCALLS; nr++) {
		const struct syscall_prototype *prototype = syscall_prototype_by_nr(&out->prototypes, nr);
		const char *name = linux_syscall_name(TRAP_ABI_X86_64, nr);
		const char *function = nr < nr_table ? function_name(builder, table[nr]) : NULL;

		/* A table that could be read is the last word on what exists. */
		if (nr_table && (nr >= nr_table || (function && !*function)))
			continue;
		if (!prototype && function)
			prototype = syscall_prototype_by_name(&out->prototypes, function);
		if (!prototype && !nr_table && name)
			prototype = syscall_prototype_by_name(&out->prototypes, name);
		if (!name)
			name = prototype ? prototype->name : function;
		if (!name)
			continue;
		fill(&out->calls[TRAP_ABI_X86_64][nr], TRAP_ABI_X86_64, nr, name, function, prototype);
		/* 32-bit callers' structs differ, and BTF does not say which are theirs */
		for (int i = 0; prototype && i < prototype->nr_args; i++)
			out->calls[TRAP_ABI_X86_64][nr].arg_layouts[i] =
				btf_layouts_find(out->layouts, prototype->arg_types[i]);
		out->nr[TRAP_ABI_X86_64] = nr + 1;
	}
}

static void swap_args(struct linux_syscall *call, int a, int b)
{
	const char *name = call->arg_names[a], *type = call->arg_types[a];

	call->arg_names[a] = call->arg_names[b];
	call->arg_types[a] = call->arg_types[b];
	call->arg_names[b] = name;
	call->arg_types[b] = type;
}

/* i386 and x32. table may be NULL. */
static void fill_compat(struct builder *builder, uint8_t abi, const uint64_t *table, uint32_t nr_table)
{
	struct linux_syscalls *out = builder->out;
	const struct linux_syscall *native = out->calls[TRAP_ABI_X86_64];

	for (uint32_t nr = 0; nr < MAX_SYSCALLS; nr++) {
		const char *name = linux_syscall_name(abi, nr), *kernel_name = NULL;
		const struct syscall_prototype *prototype = NULL;
		char text[NAME_BYTES];
		bool exists = false;

		/* Calls that are newer than the headers which this was built with. */
		if (!name && nr >= FIRST_COMMON_NR && native[nr].name && !linux_syscall_name(TRAP_ABI_X86_64, nr))
			name = native[nr].name;
		if (!name)
			continue;
		/* x32 has numbers of its own from 512 on only. */
		if (abi == TRAP_ABI_X32 && native[nr].name) {
			out->calls[abi][nr] = native[nr];
			out->calls[abi][nr].abi = abi;
			out->nr[abi] = nr + 1;
			continue;
		}
		if (nr < nr_table) {
			kernel_name = function_name(builder, table[nr]);
			if (kernel_name && !*kernel_name)
				continue;
			exists = kernel_name;
		} else if (nr_table) {
			continue;
		}
		if (kernel_name)
			prototype = syscall_prototype_by_name(&out->prototypes, kernel_name);
		for (unsigned n = 0; !prototype && candidate(name, n, text); n++) {
			if (!text[0])
				continue;
			exists |= has_compat_function(builder, text);
			prototype = syscall_prototype_by_name(&out->prototypes, text);
		}
		if (!exists && !prototype && out->prototypes.nr)
			continue;
		fill(&out->calls[abi][nr], abi, nr, name, kernel_name, prototype);
		/* CONFIG_CLONE_BACKWARDS of 32-bit x86: tls comes before child_tidptr. */
		if (abi == TRAP_ABI_I386 && !strcmp(name, "clone") && out->calls[abi][nr].nr_args == 5)
			swap_args(&out->calls[abi][nr], 3, 4);
		out->nr[abi] = nr + 1;
	}
}

/* Beforehand, so that decoding only reads. */
static void settle_all(struct linux_syscalls *syscalls)
{
	for (int abi = 0; abi < TRAP_ABIS; abi++)
		for (uint32_t nr = 0; nr < syscalls->nr[abi]; nr++)
			if (syscalls->calls[abi][nr].name)
				call_meaning_settle(&syscalls->calls[abi][nr]);
}

static bool has_symbol(const struct builder *builder, const char *a, const char *b)
{
	gva_t gva;

	return linux_guest_symbol(builder->guest, a, &gva) || linux_guest_symbol(builder->guest, b, &gva);
}

struct vmtape_error *linux_syscalls_create(struct linux_guest *guest, struct guest_memory *memory, FILE *log)
{
	struct builder builder = {.guest = guest, .memory = memory};
	uint32_t nr_table, nr_compat = 0;
	struct vmtape_error *error;
	uint64_t *table, *compat;

	guest->syscalls = builder.out = calloc(1, sizeof(*builder.out));
	if (!builder.out)
		return &vmtape_error_no_memory;
	for (int abi = 0; abi < TRAP_ABIS; abi++) {
		builder.out->calls[abi] = calloc(MAX_SYSCALLS, sizeof(*builder.out->calls[abi]));
		if (!builder.out->calls[abi])
			return &vmtape_error_no_memory;
	}
	if (guest->types) {
		builder.out->layouts = btf_layouts_create(guest->types);
		if (!builder.out->layouts)
			return &vmtape_error_no_memory;
	}
	table = read_table(&builder, "sys_call_table", &nr_table);
	error = syscall_prototypes_read(&builder.out->prototypes, guest, memory, nr_table, log);
	if (!error) {
		fill_x86_64(&builder, table, nr_table);
		if (has_symbol(&builder, "ia32_sys_call_table", "ia32_sys_call")) {
			compat = read_table(&builder, "ia32_sys_call_table", &nr_compat);
			fill_compat(&builder, TRAP_ABI_I386, compat, nr_compat);
			free(compat);
		}
		if (has_symbol(&builder, "x32_sys_call_table", "x32_sys_call"))
			fill_compat(&builder, TRAP_ABI_X32, NULL, 0);
		settle_all(builder.out);
		linux_note(log, "system calls: sys_call_table has %u entries; x86-64 up to %u, x32 %u, i386 %u%s",
			   nr_table, builder.out->nr[TRAP_ABI_X86_64], builder.out->nr[TRAP_ABI_X32],
			   builder.out->nr[TRAP_ABI_I386],
			   builder.out->prototypes.nr ? "" : "; no prototypes, names only");
	}
	free(table);
	guest->facts.nr_syscall_names = builder.out->prototypes.nr;
	return error;
}

/* ---- questions ------------------------------------------------------------------ */

const struct linux_syscall *linux_guest_syscall(const struct linux_guest *guest, uint8_t abi, uint32_t nr)
{
	const struct linux_syscalls *syscalls = guest->syscalls;

	if (abi >= TRAP_ABIS || nr >= syscalls->nr[abi] || !syscalls->calls[abi][nr].name)
		return NULL;
	return &syscalls->calls[abi][nr];
}

int64_t linux_guest_syscall_nr(const struct linux_guest *guest, uint8_t abi, const char *name)
{
	uint32_t n = linux_guest_nr_syscalls(guest, abi);

	for (uint32_t nr = 0; nr < n; nr++) {
		const struct linux_syscall *call = linux_guest_syscall(guest, abi, nr);

		if (call && !strcmp(call->name, name))
			return nr;
	}
	for (uint32_t nr = 0; nr < n; nr++) {
		const struct linux_syscall *call = linux_guest_syscall(guest, abi, nr);

		if (call && call->kernel_name && !strcmp(call->kernel_name, name))
			return nr;
	}
	return -1;
}

uint32_t linux_guest_nr_syscalls(const struct linux_guest *guest, uint8_t abi)
{
	return abi < TRAP_ABIS ? guest->syscalls->nr[abi] : 0;
}
