/* SPDX-License-Identifier: MIT */
/* What an argument means by the C type alone that the guest's metadata gives it. */
#include <string.h>

#include "record_layout.h"
#include "semantics.h"

static const struct record_layout *const layouts[] = {
	&layout_int,          &layout_uint,        &layout_word,       &layout_offset,      &layout_time,
	&layout_cap_header,   &layout_timespec,    &layout_timespec64, &layout_timeval,     &layout_itimerval,
	&layout_itimerspec,   &layout_utimbuf,     &layout_rusage,     &layout_tms,         &layout_timezone,
	&layout_stat,         &layout_statx,       &layout_statfs,     &layout_open_how,    &layout_sigaction,
	&layout_sigstack,     &layout_siginfo,     &layout_rlimit,     &layout_rlimit64,    &layout_utsname,
	&layout_uring_params, &layout_futex_waitv, &layout_io_event,   &layout_iocb,        &layout_timex,
	&layout_aio_context,  &layout_sysinfo,     &layout_sigevent,   &layout_sched_param, &layout_timex64,
};

struct c_type {
	char base[48]; /* "struct timespec" */
	int pointers;
	bool is_const;
};

/* Words of base are joined by one space; a type that is too long means nothing here. */
static void parse_type(const char *text, struct c_type *out)
{
	size_t used = 0;

	memset(out, 0, sizeof(*out));
	while (*text) {
		size_t n = strcspn(text, " *");

		if (*text == '*') {
			out->pointers++;
			text++;
		} else if (*text == ' ') {
			text++;
		} else if (n == 5 && !memcmp(text, "const", 5)) {
			out->is_const |= !out->pointers;
			text += n;
		} else if (n == 6 && !memcmp(text, "__user", 6)) {
			text += n;
		} else {
			if (used + n + 2 > sizeof(out->base)) {
				out->base[0] = '\0';
				return;
			}
			if (used)
				out->base[used++] = ' ';
			memcpy(out->base + used, text, n);
			used += n;
			text += n;
		}
	}
}

static const struct record_layout *find_layout(const struct c_type *type)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		for (size_t j = 0; j < sizeof(layouts[i]->types) / sizeof(layouts[i]->types[0]); j++) {
			if (layouts[i]->types[j] && !strcmp(layouts[i]->types[j], type->base))
				return layouts[i];
		}
	}
	return NULL;
}

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(text, list[i]))
			return true;
	}
	return false;
}
#define IS_ONE_OF(text, ...)                                \
	is_one_of(text, (const char *const[]){__VA_ARGS__}, \
		  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void number_by_type(const char *base, const char *name, struct arg_spec *out)
{
	if (IS_ONE_OF(name, "fd", "dfd", "olddfd", "newdfd") && IS_ONE_OF(base, "int", "unsigned int"))
		out->kind = name[0] == 'f' ? ARG_FD : ARG_DIRFD;
	else if (!strcmp(base, "umode_t"))
		out->kind = ARG_MODE;
	else if (IS_ONE_OF(base, "uid_t", "gid_t"))
		out->kind = ARG_ID;
	else if (IS_ONE_OF(base, "int", "pid_t", "clockid_t", "key_t", "timer_t", "mqd_t", "__s32", "s32", "rwf_t"))
		out->kind = ARG_INT;
	else if (IS_ONE_OF(base, "size_t", "compat_size_t"))
		out->kind = ARG_ULONG;
	else if (IS_ONE_OF(base, "long", "loff_t", "off_t", "compat_off_t"))
		out->kind = ARG_LONG;
	else if (IS_ONE_OF(base, "unsigned", "unsigned int", "u32", "__u32", "uint32_t"))
		out->kind = IS_ONE_OF(name, "flags", "flag", "mask") ? ARG_HEX32 : ARG_UINT;
	else
		out->kind = ARG_HEX;
}

void arg_spec_by_type(const char *type_text, const char *name, struct arg_spec *out)
{
	struct c_type type;

	memset(out, 0, sizeof(*out));
	out->kind = ARG_HEX;
	out->len = LEN_NONE;
	if (!type_text)
		return;
	parse_type(type_text, &type);
	if (!type.pointers && strcmp(type.base, "cap_user_header_t") && strcmp(type.base, "__sighandler_t")) {
		number_by_type(type.base, name ? name : "", out);
		return;
	}
	out->kind = ARG_ADDRESS;
	if (type.pointers > 1)
		return;
	if (!strcmp(type.base, "char")) {
		if (type.is_const) {
			out->kind = ARG_STRING;
			out->direction = ARG_IN;
		}
		return;
	}
	if (!strcmp(type.base, "sigset_t")) {
		out->kind = ARG_SIGSET;
		out->direction = type.is_const ? ARG_IN : ARG_OUT;
		return;
	}
	out->layout = find_layout(&type);
	if (out->layout) {
		out->kind = ARG_RECORD;
		out->direction = type.is_const ? ARG_IN : out->layout->direction;
	}
}

void call_spec_arg(const struct linux_syscall *syscall, const struct call_spec *spec, const struct arg_variant *variant,
		   int i, struct arg_spec *out)
{
	const struct variant_set *set = spec ? spec->variants : NULL;
	bool odd = spec && syscall && syscall->abi == TRAP_ABI_I386 && spec->flags & CALL_F_ODD_ON_I386;

	memset(out, 0, sizeof(*out));
	out->len = LEN_NONE;
	if (variant && i >= set->at && i < set->at + VARIANT_ARGS)
		*out = variant->args[i - set->at];
	if (out->kind == ARG_DEFAULT && spec && !odd)
		*out = spec->args[i];
	if (out->kind != ARG_DEFAULT)
		return;
	arg_spec_by_type(syscall ? syscall->arg_types[i] : NULL, syscall ? syscall->arg_names[i] : NULL, out);
	if (out->kind == ARG_ADDRESS && syscall && syscall->arg_layouts[i] && !odd) {
		out->kind = ARG_RECORD;
		out->layout = syscall->arg_layouts[i];
		out->direction = !strncmp(syscall->arg_types[i], "const ", 6) ? ARG_IN : ARG_INOUT;
	}
}
