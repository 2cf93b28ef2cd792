/* SPDX-License-Identifier: MIT */
#include "name_set.h"

#include <signal.h>

const char *name_set_find(const struct name_set *set, uint64_t value)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->values[i].value == value)
			return set->values[i].name;
	}
	return NULL;
}

const char *ioctl_name_find(uint32_t request)
{
	size_t low = 0, high = nr_ioctl_requests;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ioctl_requests[middle].value == request)
			return ioctl_requests[middle].name;
		if (ioctl_requests[middle].value < request)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static uint64_t narrow(const struct name_set *set, uint64_t value)
{
	return set->wide ? value : (uint32_t)value;
}

static void put_unknown(const struct name_set *set, uint64_t value, struct strbuf *out)
{
	if (set->decimal || !value)
		strbuf_put_u64(out, value);
	else
		strbuf_put_hex(out, value);
	if (set->unknown)
		strbuf_printf(out, " /* %s */", set->unknown);
}

void name_set_put_one(const struct name_set *set, uint64_t value, struct strbuf *out)
{
	const char *name;

	value = narrow(set, value);
	name = set->enum_mask ? name_set_find(set, value & ~set->enum_mask) : NULL;
	if (name && value & ~set->enum_mask) {
		strbuf_printf(out, "%s|", name);
		value &= set->enum_mask;
	}
	name = name_set_find(set, value);
	if (name)
		strbuf_put(out, name);
	else
		put_unknown(set, value, out);
}

static void put_bar(struct strbuf *out, bool *any)
{
	if (*any)
		strbuf_put_char(out, '|');
	*any = true;
}

/* MAP_HUGE_SHIFT, SHM_HUGE_SHIFT, MFD_HUGE_SHIFT: asm-generic/hugetlb_encode.h */
#define HUGE_SHIFT 26
#define HUGE_MASK  ((uint64_t)0x3f << HUGE_SHIFT)

void name_set_put_flags(const struct name_set *set, uint64_t value, struct strbuf *out)
{
	const char *name;
	bool any = false;
	uint64_t left, huge;

	value = left = narrow(set, value);
	if (set->query && value == set->query) {
		strbuf_put_hex(out, value);
		return;
	}
	if (set->enum_mask) {
		name = name_set_find(set, value & set->enum_mask);
		if (name) {
			put_bar(out, &any);
			strbuf_put(out, name);
		} else if (value & set->enum_mask) {
			put_bar(out, &any);
			put_unknown(set, value & set->enum_mask, out);
		}
		left &= ~set->enum_mask;
	} else if (!value) {
		name = name_set_find(set, 0);
		strbuf_put(out, name ? name : "0");
		return;
	}
	for (size_t i = 0; i < set->n && left; i++) {
		uint64_t bits = set->values[i].value;

		if (!bits || (bits & set->enum_mask) || (left & bits) != bits)
			continue;
		put_bar(out, &any);
		strbuf_put(out, set->values[i].name);
		left &= ~bits;
	}
	if (!left && !any) {
		strbuf_put_char(out, '0');
		return;
	}
	if (!any) {
		put_unknown(set, left, out);
		return;
	}
	huge = set->huge ? left & HUGE_MASK : 0;
	if (left & ~huge) {
		put_bar(out, &any);
		strbuf_put_hex(out, left & ~huge);
	}
	if (huge) {
		put_bar(out, &any);
		strbuf_printf(out, "%u<<%s", (unsigned)(huge >> HUGE_SHIFT), set->huge);
	}
}

static const struct named_value signals[] = {
	NAMED(SIGHUP),  NAMED(SIGINT),    NAMED(SIGQUIT), NAMED(SIGILL),    NAMED(SIGTRAP), NAMED(SIGABRT),
	NAMED(SIGBUS),  NAMED(SIGFPE),    NAMED(SIGKILL), NAMED(SIGUSR1),   NAMED(SIGSEGV), NAMED(SIGUSR2),
	NAMED(SIGPIPE), NAMED(SIGALRM),   NAMED(SIGTERM), NAMED(SIGSTKFLT), NAMED(SIGCHLD), NAMED(SIGCONT),
	NAMED(SIGSTOP), NAMED(SIGTSTP),   NAMED(SIGTTIN), NAMED(SIGTTOU),   NAMED(SIGURG),  NAMED(SIGXCPU),
	NAMED(SIGXFSZ), NAMED(SIGVTALRM), NAMED(SIGPROF), NAMED(SIGWINCH),  NAMED(SIGIO),   NAMED(SIGPWR),
	NAMED(SIGSYS),
};

/* The kernel's first real-time signal; libc's SIGRTMIN lies above those that it keeps for itself. */
#define FIRST_REAL_TIME 32u
#define LAST_SIGNAL     64u

bool signal_name_put(uint32_t number, struct strbuf *out)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (signals[i].value == number) {
			strbuf_put(out, signals[i].name);
			return true;
		}
	}
	if (number < FIRST_REAL_TIME || number > LAST_SIGNAL)
		return false;
	if (number == FIRST_REAL_TIME)
		strbuf_put(out, "SIGRTMIN");
	else
		strbuf_printf(out, "SIGRT_%u", number - FIRST_REAL_TIME);
	return true;
}

static void put_set(uint64_t set, uint32_t last, struct strbuf *out)
{
	bool any = false;

	/* strace names what is missing once that is the shorter list. */
	if ((uint32_t)__builtin_popcountll(set) > last * 2 / 3) {
		strbuf_put_char(out, '~');
		set = ~set;
	}
	strbuf_put_char(out, '[');
	for (uint32_t number = 1; number <= last; number++) {
		struct strbuf name = {0};

		if (!(set >> (number - 1) & 1))
			continue;
		if (any)
			strbuf_put_char(out, ' ');
		any = true;
		if (signal_name_put(number, &name) && name.len > 3)
			strbuf_put_bytes(out, name.data + 3, name.len - 3);
		strbuf_deinit(&name);
	}
	strbuf_put_char(out, ']');
}

void signal_set_put(uint64_t set, struct strbuf *out)
{
	put_set(set, LAST_SIGNAL, out);
}

void signal_set_put_old(uint32_t set, struct strbuf *out)
{
	put_set(set, FIRST_REAL_TIME, out);
}
