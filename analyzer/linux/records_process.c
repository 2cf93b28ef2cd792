/* SPDX-License-Identifier: MIT */
#include "record_layout.h"

#include <signal.h>
#include <string.h>

#include <sys/wait.h>

void put_handler(uint64_t handler, struct strbuf *out)
{
	if (handler == (uintptr_t)SIG_DFL)
		strbuf_put(out, "SIG_DFL");
	else if (handler == (uintptr_t)SIG_IGN)
		strbuf_put(out, "SIG_IGN");
	else
		strbuf_put_hex(out, handler);
}

/* The kernel's struct sigaction, not libc's: asm/signal.h */
#define KERNEL_SA_RESTORER 0x04000000u

static void put_sigaction(struct record_reader *r, struct strbuf *out)
{
	uint64_t handler = read_word(r), flags = read_word(r), restorer = read_word(r);

	strbuf_put(out, "{sa_handler=");
	put_handler(handler, out);
	strbuf_put(out, ", sa_mask=");
	signal_set_put(read_u64(r), out);
	strbuf_put(out, ", sa_flags=");
	name_set_put_flags(&names_sigaction, flags, out);
	if (flags & KERNEL_SA_RESTORER) {
		strbuf_put(out, ", sa_restorer=");
		strbuf_put_hex(out, restorer);
	}
	strbuf_put_char(out, '}');
}

static void put_sigstack(struct record_reader *r, struct strbuf *out)
{
	uint64_t stack = read_word(r);
	uint32_t flags = read_u32(r);

	strbuf_put(out, "{ss_sp=");
	if (stack)
		strbuf_put_hex(out, stack);
	else
		strbuf_put(out, "NULL");
	strbuf_put(out, ", ss_flags=");
	name_set_put_flags(&names_sigstack, flags, out);
	strbuf_printf(out, ", ss_size=%llu}", (unsigned long long)read_word(r));
}

/* Positive ones belong to the signal. */
const struct name_set *signal_code_names(uint32_t number, uint32_t code)
{
	if ((int32_t)code <= 0 || code == (uint32_t)SI_KERNEL)
		return &names_signal_code;
	switch (number) {
	case SIGCHLD:
		return &names_child_code;
	case SIGSEGV:
		return &names_segv_code;
	case SIGBUS:
		return &names_bus_code;
	case SIGILL:
		return &names_ill_code;
	case SIGFPE:
		return &names_fpe_code;
	default:
		return &names_signal_code;
	}
}

static bool is_fault(uint32_t number)
{
	return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE || number == SIGTRAP;
}

/* As strace has it: a signal that was queued brings no value if that is zero. */
static void put_value(struct record_reader *r, bool always, struct strbuf *out)
{
	uint64_t value = read_word(r);

	if (!value && !always)
		return;
	strbuf_printf(out, ", si_int=%d, si_ptr=", (int32_t)value);
	if (value)
		strbuf_put_hex(out, value);
	else
		strbuf_put(out, "NULL");
}

/* What a code tells besides the sender, by the union of asm-generic/siginfo.h. */
static void put_siginfo_rest(struct record_reader *r, uint32_t number, int32_t code, struct strbuf *out)
{
	uint64_t fault;

	if (code == SI_TIMER) {
		strbuf_printf(out, ", si_timerid=%#x", read_u32(r));
		strbuf_printf(out, ", si_overrun=%d", (int32_t)read_u32(r));
		put_value(r, true, out);
	} else if (code == SI_QUEUE || code == SI_MESGQ) {
		put_value(r, false, out);
	} else if (code > 0 && code != SI_KERNEL && is_fault(number)) {
		fault = read_word(r);
		strbuf_put(out, ", si_addr=");
		if (fault)
			strbuf_put_hex(out, fault);
		else
			strbuf_put(out, "NULL");
	}
}

static void put_siginfo(struct record_reader *r, struct strbuf *out)
{
	uint32_t number = read_u32(r), error = read_u32(r), code = read_u32(r), status;
	bool child = number == SIGCHLD && (int32_t)code > 0;

	if (!number && !error && !code) {
		strbuf_put(out, "{}");
		return;
	}
	strbuf_put(out, "{si_signo=");
	if (!signal_name_put(number, out))
		strbuf_put_u64(out, number);
	strbuf_put(out, ", si_code=");
	name_set_put_one(signal_code_names(number, code), code, out);
	if (!r->narrow)
		read_skip(r, 4);
	if (child || (int32_t)code == SI_USER || (int32_t)code == SI_TKILL || (int32_t)code == SI_QUEUE ||
	    (int32_t)code == SI_MESGQ) {
		strbuf_printf(out, ", si_pid=%d", (int32_t)read_u32(r));
		strbuf_printf(out, ", si_uid=%u", read_u32(r));
	}
	put_siginfo_rest(r, number, (int32_t)code, out);
	if (child) {
		status = read_u32(r);
		strbuf_put(out, ", si_status=");
		if (code == CLD_EXITED || !signal_name_put(status, out))
			strbuf_put_i64(out, (int32_t)status);
		strbuf_put(out, ", si_utime=");
		put_ticks(read_word(r), out);
		strbuf_put(out, ", si_stime=");
		put_ticks(read_word(r), out);
	}
	strbuf_put_char(out, '}');
}

static void put_wait_status(struct record_reader *r, struct strbuf *out)
{
	int status = (int)read_u32(r);

	if (WIFEXITED(status)) {
		strbuf_printf(out, "{WIFEXITED(s) && WEXITSTATUS(s) == %d}", WEXITSTATUS(status));
	} else if (WIFSTOPPED(status)) {
		strbuf_put(out, "{WIFSTOPPED(s) && WSTOPSIG(s) == ");
		/* ptrace's mark of a stop at a system call */
		if (!signal_name_put(WSTOPSIG(status) & 0x7f, out))
			strbuf_put_i64(out, WSTOPSIG(status) & 0x7f);
		strbuf_put(out, WSTOPSIG(status) & 0x80 ? " | 0x80}" : "}");
	} else if (WIFCONTINUED(status)) {
		strbuf_put(out, "{WIFCONTINUED(s)}");
	} else {
		strbuf_put(out, "{WIFSIGNALED(s) && WTERMSIG(s) == ");
		if (!signal_name_put(WTERMSIG(status), out))
			strbuf_put_i64(out, WTERMSIG(status));
		strbuf_put(out, WCOREDUMP(status) ? " && WCOREDUMP(s)}" : "}");
	}
}

static void put_limit(uint64_t value, uint64_t infinity, const char *name, struct strbuf *out)
{
	if (value == infinity)
		strbuf_put(out, name);
	else if (value > 1024 && value % 1024 == 0)
		strbuf_printf(out, "%llu*1024", (unsigned long long)value / 1024);
	else
		strbuf_put_u64(out, value);
}

static void put_rlimit(struct record_reader *r, struct strbuf *out)
{
	uint64_t infinity = r->narrow ? UINT32_MAX : UINT64_MAX;
	const char *name = r->narrow ? "RLIM_INFINITY" : "RLIM64_INFINITY";

	strbuf_put(out, "{rlim_cur=");
	put_limit(read_word(r), infinity, name, out);
	strbuf_put(out, ", rlim_max=");
	put_limit(read_word(r), infinity, name, out);
	strbuf_put_char(out, '}');
}

static void put_rlimit64(struct record_reader *r, struct strbuf *out)
{
	strbuf_put(out, "{rlim_cur=");
	put_limit(read_u64(r), UINT64_MAX, "RLIM64_INFINITY", out);
	strbuf_put(out, ", rlim_max=");
	put_limit(read_u64(r), UINT64_MAX, "RLIM64_INFINITY", out);
	strbuf_put_char(out, '}');
}

#define UTS_FIELD_BYTES 65 /* linux/utsname.h: __NEW_UTS_LEN + 1 */

static void put_uts_field(struct record_reader *r, const char *name, struct strbuf *out)
{
	const char *text = (const char *)r->data + r->at;

	strbuf_put(out, name);
	strbuf_put_char(out, '"');
	if (r->at + UTS_FIELD_BYTES <= r->len)
		strbuf_put_escaped(out, text, strnlen(text, UTS_FIELD_BYTES));
	strbuf_put_char(out, '"');
	read_skip(r, UTS_FIELD_BYTES);
}

static void put_utsname(struct record_reader *r, struct strbuf *out)
{
	put_uts_field(r, "{sysname=", out);
	put_uts_field(r, ", nodename=", out);
	if (r->brief) {
		strbuf_put(out, ", ...}");
		return;
	}
	put_uts_field(r, ", release=", out);
	put_uts_field(r, ", version=", out);
	put_uts_field(r, ", machine=", out);
	put_uts_field(r, ", domainname=", out);
	strbuf_put_char(out, '}');
}

static void put_sysinfo(struct record_reader *r, struct strbuf *out)
{
	static const char *const memory[] = {"totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap"};
	int64_t uptime = read_sword(r);
	uint64_t loads[3];

	for (int i = 0; i < 3; i++)
		loads[i] = read_word(r);
	strbuf_printf(out, "{uptime=%lld, loads=[%llu, %llu, %llu]", (long long)uptime, (unsigned long long)loads[0],
		      (unsigned long long)loads[1], (unsigned long long)loads[2]);
	for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
		strbuf_printf(out, ", %s=%llu", memory[i], (unsigned long long)read_word(r));
	strbuf_printf(out, ", procs=%u", read_u16(r));
	read_skip(r, 2); /* pad */
	strbuf_printf(out, ", totalhigh=%llu", (unsigned long long)read_word(r));
	strbuf_printf(out, ", freehigh=%llu", (unsigned long long)read_word(r));
	strbuf_printf(out, ", mem_unit=%u}", read_u32(r));
}

static void put_sigevent(struct record_reader *r, struct strbuf *out)
{
	uint64_t value = read_word(r);
	uint32_t number = read_u32(r), notify = read_u32(r);

	strbuf_put_char(out, '{');
	if (value)
		strbuf_printf(out, "sigev_value={sival_int=%d, sival_ptr=%#llx}, ", (int32_t)value,
			      (unsigned long long)value);
	strbuf_put(out, "sigev_signo=");
	if (!signal_name_put(number, out))
		strbuf_put_u64(out, number);
	strbuf_put(out, ", sigev_notify=");
	name_set_put_one(&names_sigevent_notify, notify, out);
	if (notify == SIGEV_THREAD_ID)
		strbuf_printf(out, ", sigev_notify_thread_id=%d", (int32_t)read_u32(r));
	strbuf_put_char(out, '}');
}

static void put_sched_param(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_i64(out, (int32_t)read_u32(r));
}

const struct record_layout layout_sigaction = {.types = {"struct sigaction"},
					       .size_bytes = 32,
					       .narrow_bytes = 20,
					       .direction = ARG_OUT,
					       .put = put_sigaction};
const struct record_layout layout_sigstack = {.types = {"stack_t", "struct sigaltstack"},
					      .size_bytes = 24,
					      .narrow_bytes = 12,
					      .direction = ARG_OUT,
					      .put = put_sigstack};
const struct record_layout layout_siginfo = {.types = {"siginfo_t", "struct siginfo"},
					     .size_bytes = 128,
					     .narrow_bytes = 128,
					     .direction = ARG_OUT,
					     .put = put_siginfo};
const struct record_layout layout_wait_status = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_wait_status};
const struct record_layout layout_rlimit = {
	.types = {"struct rlimit"}, .size_bytes = 16, .narrow_bytes = 8, .direction = ARG_OUT, .put = put_rlimit};
const struct record_layout layout_rlimit64 = {
	.types = {"struct rlimit64"}, .size_bytes = 16, .narrow_bytes = 16, .direction = ARG_OUT, .put = put_rlimit64};
const struct record_layout layout_utsname = {.types = {"struct new_utsname"},
					     .size_bytes = 6 * UTS_FIELD_BYTES,
					     .narrow_bytes = 6 * UTS_FIELD_BYTES,
					     .direction = ARG_OUT,
					     .put = put_utsname};
const struct record_layout layout_sysinfo = {
	.types = {"struct sysinfo"}, .size_bytes = 112, .narrow_bytes = 64, .direction = ARG_OUT, .put = put_sysinfo};
const struct record_layout layout_sigevent = {
	.types = {"struct sigevent"}, .size_bytes = 64, .narrow_bytes = 64, .direction = ARG_IN, .put = put_sigevent};
const struct record_layout layout_sched_param = {.types = {"struct sched_param"},
						 .size_bytes = 4,
						 .narrow_bytes = 4,
						 .brackets = true,
						 .direction = ARG_OUT,
						 .put = put_sched_param};
