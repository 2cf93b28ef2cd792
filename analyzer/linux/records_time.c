/* SPDX-License-Identifier: MIT */
#include "record_layout.h"

#include <time.h>

#include <sys/stat.h>

void put_date(int64_t seconds, uint64_t fraction, int digits, struct strbuf *out)
{
	time_t when = seconds;
	struct tm tm;
	char text[64];

	if (!seconds || !gmtime_r(&when, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	strbuf_printf(out, " /* %s", text);
	if (digits && fraction)
		strbuf_printf(out, ".%0*llu", digits, (unsigned long long)fraction);
	strbuf_put(out, "+0000 */");
}

void put_timespec(struct record_reader *r, struct strbuf *out)
{
	int64_t seconds = read_sword(r);

	strbuf_printf(out, "{tv_sec=%lld, tv_nsec=%llu}", (long long)seconds, (unsigned long long)read_word(r));
}

void put_timeval(struct record_reader *r, struct strbuf *out)
{
	int64_t seconds = read_sword(r);

	strbuf_printf(out, "{tv_sec=%lld, tv_usec=%llu}", (long long)seconds, (unsigned long long)read_word(r));
}

/* struct __kernel_timespec: 64-bit even for 32-bit callers (clock_gettime64 and its kin) */
static void put_timespec64(struct record_reader *r, struct strbuf *out)
{
	r->narrow = false;
	put_timespec(r, out);
}

static void put_itimerval(struct record_reader *r, struct strbuf *out)
{
	strbuf_put(out, "{it_interval=");
	put_timeval(r, out);
	strbuf_put(out, ", it_value=");
	put_timeval(r, out);
	strbuf_put_char(out, '}');
}

static void put_itimerspec(struct record_reader *r, struct strbuf *out)
{
	strbuf_put(out, "{it_interval=");
	put_timespec(r, out);
	strbuf_put(out, ", it_value=");
	put_timespec(r, out);
	strbuf_put_char(out, '}');
}

static void put_itimerspec64(struct record_reader *r, struct strbuf *out)
{
	r->narrow = false;
	put_itimerspec(r, out);
}

static void put_utime_item(struct record_reader *r, struct strbuf *out)
{
	int64_t seconds = read_sword(r);
	uint64_t nanoseconds = read_word(r);

	if (nanoseconds == (r->narrow ? (uint32_t)UTIME_NOW : UTIME_NOW)) {
		strbuf_put(out, "UTIME_NOW");
	} else if (nanoseconds == (r->narrow ? (uint32_t)UTIME_OMIT : UTIME_OMIT)) {
		strbuf_put(out, "UTIME_OMIT");
	} else {
		strbuf_printf(out, "{tv_sec=%lld, tv_nsec=%llu}", (long long)seconds, (unsigned long long)nanoseconds);
		put_date(seconds, nanoseconds, 9, out);
	}
}

static void put_timespecs_at(struct record_reader *r, struct strbuf *out)
{
	strbuf_put_char(out, '[');
	put_utime_item(r, out);
	strbuf_put(out, ", ");
	put_utime_item(r, out);
	strbuf_put_char(out, ']');
}

static void put_timespecs64_at(struct record_reader *r, struct strbuf *out)
{
	r->narrow = false;
	put_timespecs_at(r, out);
}

static void put_timevals_at(struct record_reader *r, struct strbuf *out)
{
	for (int i = 0; i < 2; i++) {
		int64_t seconds = read_sword(r);
		uint64_t microseconds = read_word(r);

		strbuf_printf(out, "%s{tv_sec=%lld, tv_usec=%llu}", i ? ", " : "[", (long long)seconds,
			      (unsigned long long)microseconds);
		put_date(seconds, microseconds, 6, out);
	}
	strbuf_put_char(out, ']');
}

static void put_utimbuf(struct record_reader *r, struct strbuf *out)
{
	int64_t access = read_sword(r), modification = read_sword(r);

	strbuf_printf(out, "{actime=%lld", (long long)access);
	put_date(access, 0, 0, out);
	strbuf_printf(out, ", modtime=%lld", (long long)modification);
	put_date(modification, 0, 0, out);
	strbuf_put_char(out, '}');
}

static void put_rusage(struct record_reader *r, struct strbuf *out)
{
	static const char *const counters[] = {"maxrss", "ixrss",    "idrss",   "isrss",   "minflt",
					       "majflt", "nswap",    "inblock", "oublock", "msgsnd",
					       "msgrcv", "nsignals", "nvcsw",   "nivcsw"};

	strbuf_put(out, "{ru_utime=");
	put_timeval(r, out);
	strbuf_put(out, ", ru_stime=");
	put_timeval(r, out);
	if (r->brief) {
		strbuf_put(out, ", ...}");
		return;
	}
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		strbuf_printf(out, ", ru_%s=%llu", counters[i], (unsigned long long)read_word(r));
	strbuf_put_char(out, '}');
}

/* x32's, of waitid (kernel/exit.c: COMPAT_USE_64BIT_TIME) */
static void put_rusage64(struct record_reader *r, struct strbuf *out)
{
	r->narrow = false;
	put_rusage(r, out);
}

#define USER_HZ 100 /* asm-generic/param.h */

void put_ticks(uint64_t ticks, struct strbuf *out)
{
	strbuf_put_u64(out, ticks);
	if (ticks)
		strbuf_printf(out, " /* %llu.%02u s */", (unsigned long long)(ticks / USER_HZ),
			      (unsigned)(ticks % USER_HZ));
}

static void put_tms(struct record_reader *r, struct strbuf *out)
{
	static const char *const names[] = {"{tms_utime=", ", tms_stime=", ", tms_cutime=", ", tms_cstime="};

	for (int i = 0; i < 4; i++) {
		strbuf_put(out, names[i]);
		put_ticks(read_word(r), out);
	}
	strbuf_put_char(out, '}');
}

static void put_timezone(struct record_reader *r, struct strbuf *out)
{
	int32_t west = (int32_t)read_u32(r);

	strbuf_printf(out, "{tz_minuteswest=%d, tz_dsttime=%d}", west, (int32_t)read_u32(r));
}

const struct record_layout layout_timespec = {.types = {"struct timespec", "struct old_timespec32"},
					      .size_bytes = 16,
					      .narrow_bytes = 8,
					      .direction = ARG_OUT,
					      .put = put_timespec};
const struct record_layout layout_timespec64 = {.types = {"struct __kernel_timespec"},
						.size_bytes = 16,
						.narrow_bytes = 16,
						.direction = ARG_OUT,
						.put = put_timespec64};
const struct record_layout layout_timeval = {
	.types = {"struct __kernel_old_timeval", "struct timeval", "struct old_timeval32"},
	.size_bytes = 16,
	.narrow_bytes = 8,
	.direction = ARG_OUT,
	.put = put_timeval};
const struct record_layout layout_itimerval = {.types = {"struct __kernel_old_itimerval", "struct itimerval"},
					       .size_bytes = 32,
					       .narrow_bytes = 16,
					       .direction = ARG_OUT,
					       .put = put_itimerval};
const struct record_layout layout_itimerspec = {.types = {"struct __kernel_itimerspec", "struct itimerspec"},
						.size_bytes = 32,
						.narrow_bytes = 16,
						.direction = ARG_OUT,
						.put = put_itimerspec};
const struct record_layout layout_timespecs_at = {
	.size_bytes = 32, .narrow_bytes = 16, .direction = ARG_IN, .put = put_timespecs_at};
const struct record_layout layout_itimerspec64 = {
	.size_bytes = 32, .narrow_bytes = 32, .direction = ARG_OUT, .put = put_itimerspec64};
const struct record_layout layout_timespecs64_at = {
	.size_bytes = 32, .narrow_bytes = 32, .direction = ARG_IN, .put = put_timespecs64_at};
const struct record_layout layout_timevals_at = {
	.size_bytes = 32, .narrow_bytes = 16, .direction = ARG_IN, .put = put_timevals_at};
const struct record_layout layout_utimbuf = {
	.types = {"struct utimbuf"}, .size_bytes = 16, .narrow_bytes = 8, .direction = ARG_IN, .put = put_utimbuf};
const struct record_layout layout_rusage = {
	.types = {"struct rusage"}, .size_bytes = 144, .narrow_bytes = 72, .direction = ARG_OUT, .put = put_rusage};
const struct record_layout layout_rusage64 = {
	.size_bytes = 144, .narrow_bytes = 144, .direction = ARG_OUT, .put = put_rusage64};
const struct record_layout layout_tms = {
	.types = {"struct tms"}, .size_bytes = 32, .narrow_bytes = 16, .direction = ARG_OUT, .put = put_tms};
const struct record_layout layout_timezone = {
	.types = {"struct timezone"}, .size_bytes = 8, .narrow_bytes = 8, .direction = ARG_OUT, .put = put_timezone};
