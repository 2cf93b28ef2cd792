/* SPDX-License-Identifier: MIT */
/* Times as people write them, both ways; the declarations are in clock.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"

#define SECOND_NS 1000000000ll
#define DAY_NS    (86400 * SECOND_NS)

static void split(int64_t time_ns, bool local, struct tm *tm, long *ns)
{
	time_t seconds = (time_t)(time_ns / SECOND_NS);

	*ns = (long)(time_ns % SECOND_NS);
	if (local)
		localtime_r(&seconds, tm);
	else
		gmtime_r(&seconds, tm);
}

/* Calls of one second follow each other, and the C library takes a lock of all threads for each time. */
static const struct tm *split_again(int64_t time_ns, bool local, uint64_t *ns)
{
	static _Thread_local struct {
		int64_t second; /* + 1; 0: none yet */
		bool local;
		struct tm tm;
	} last;
	int64_t second = time_ns / SECOND_NS;
	long rest;

	*ns = (uint64_t)(time_ns % SECOND_NS);
	if (last.second != second + 1 || last.local != local) {
		split(time_ns, local, &last.tm, &rest);
		last.second = second + 1;
		last.local = local;
	}
	return &last.tm;
}

static void put_of_day(struct strbuf *out, const struct tm *tm)
{
	strbuf_put_padded(out, (uint64_t)tm->tm_hour, 2);
	strbuf_put_char(out, ':');
	strbuf_put_padded(out, (uint64_t)tm->tm_min, 2);
	strbuf_put_char(out, ':');
	strbuf_put_padded(out, (uint64_t)tm->tm_sec, 2);
	strbuf_put_char(out, '.');
}

static void put_day(struct strbuf *out, const struct tm *tm)
{
	strbuf_put_padded(out, (uint64_t)(tm->tm_year + 1900), 4);
	strbuf_put_char(out, '-');
	strbuf_put_padded(out, (uint64_t)(tm->tm_mon + 1), 2);
	strbuf_put_char(out, '-');
	strbuf_put_padded(out, (uint64_t)tm->tm_mday, 2);
}

void time_put_clock(struct strbuf *out, int64_t time_ns, bool local)
{
	uint64_t ns;

	if (time_ns < 0) {
		strbuf_put(out, "--:--:--.------");
		return;
	}
	put_of_day(out, split_again(time_ns, local, &ns));
	strbuf_put_padded(out, ns / 1000, 6);
}

void time_put_iso(struct strbuf *out, int64_t time_ns)
{
	uint64_t ns;
	const struct tm *tm = split_again(time_ns < 0 ? 0 : time_ns, false, &ns);

	put_day(out, tm);
	strbuf_put_char(out, 'T');
	put_of_day(out, tm);
	strbuf_put_padded(out, ns, 9);
	strbuf_put_char(out, 'Z');
}

void time_put_date(struct strbuf *out, int64_t time_ns, bool local)
{
	const struct tm *tm;
	uint64_t ns;

	if (time_ns < 0) {
		strbuf_put(out, "not known");
		return;
	}
	tm = split_again(time_ns, local, &ns);
	put_day(out, tm);
	strbuf_put_char(out, ' ');
	put_of_day(out, tm);
	strbuf_put_padded(out, ns / 1000000, 3);
}

/* n digits, not more. */
static bool digits(const char **at, int n, int *out)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if (!isdigit((unsigned char)(*at)[i]))
			return false;
		value = value * 10 + (*at)[i] - '0';
	}
	*at += n;
	*out = value;
	return true;
}

/* ".123", up to nine digits; nothing is 0. */
static bool fraction(const char **at, int64_t *ns)
{
	int64_t unit = SECOND_NS / 10;

	*ns = 0;
	if (**at != '.' && **at != ',')
		return true;
	++*at;
	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); ++*at, unit /= 10)
		*ns += (**at - '0') * unit;
	return true;
}

/* HH:MM[:SS[.frac]] */
static bool clock_of_day(const char **at, int *hour, int *minute, int *second, int64_t *ns)
{
	*second = 0;
	*ns = 0;
	if (!digits(at, 2, hour) || **at != ':')
		return false;
	++*at;
	if (!digits(at, 2, minute))
		return false;
	if (**at == ':') {
		++*at;
		if (!digits(at, 2, second) || !fraction(at, ns))
			return false;
	}
	return *hour < 24 && *minute < 60 && *second < 61;
}

static int64_t seconds_of(struct tm *tm, bool local)
{
	tm->tm_isdst = -1;
	return local ? (int64_t)mktime(tm) : (int64_t)timegm(tm);
}

static bool parse_relative(const char *text, int64_t start_ns, int64_t *out)
{
	int64_t seconds = 0, ns;
	const char *at = text + 1;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++) {
		if (seconds > 1000000000)
			return false;
		seconds = seconds * 10 + *at - '0';
	}
	if (!fraction(&at, &ns))
		return false;
	if (*at == 's')
		at++;
	*out = start_ns + seconds * SECOND_NS + ns;
	return !*at;
}

static bool parse_of_day(const char *text, int64_t start_ns, bool local, int64_t *out)
{
	struct tm tm;
	int64_t ns;
	long unused;

	split(start_ns, local, &tm, &unused);
	if (!clock_of_day(&text, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ns) || *text)
		return false;
	*out = seconds_of(&tm, local) * SECOND_NS + ns;
	if (*out < start_ns - DAY_NS / 2)
		*out += DAY_NS;
	return true;
}

static bool parse_iso(const char *text, bool local, int64_t *out)
{
	struct tm tm = {0};
	int64_t ns = 0;
	int offset = 0, sign = 0;

	if (!digits(&text, 4, &tm.tm_year) || *text++ != '-' || !digits(&text, 2, &tm.tm_mon) || *text++ != '-' ||
	    !digits(&text, 2, &tm.tm_mday))
		return false;
	if (tm.tm_year < 1970 || tm.tm_year > 2261 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (*text == 'T' || *text == ' ' || *text == 't') {
		text++;
		if (!clock_of_day(&text, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ns))
			return false;
	}
	if (*text == 'Z' || *text == 'z') {
		sign = 1;
		text++;
	} else if (*text == '+' || *text == '-') {
		int hour, minute = 0;

		sign = *text++ == '+' ? 1 : -1;
		if (!digits(&text, 2, &hour))
			return false;
		if (*text == ':')
			text++;
		if (*text && !digits(&text, 2, &minute))
			return false;
		offset = hour * 3600 + minute * 60;
	}
	*out = (seconds_of(&tm, local && !sign) - sign * offset) * SECOND_NS + ns;
	return !*text;
}

struct vmtape_error *time_parse(const char *text, int64_t start_ns, bool local, int64_t *out)
{
	bool good;

	if (*text == '+' || (isdigit((unsigned char)text[0]) && text[1] && text[2] == ':')) {
		if (start_ns < 0)
			return vmtape_error_create(VMTAPE_ERROR_USAGE,
						   "time \"%s\": the tape has no clock (no snapshot), so that it "
						   "can't be placed",
						   text);
		good = *text == '+' ? parse_relative(text, start_ns, out) : parse_of_day(text, start_ns, local, out);
	} else {
		good = parse_iso(text, local, out);
	}
	if (good)
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_USAGE,
				   "time \"%s\" is none of HH:MM[:SS[.frac]], +SECONDS or "
				   "YYYY-MM-DD[THH:MM:SS[.frac][Z|+hh:mm]]",
				   text);
}
