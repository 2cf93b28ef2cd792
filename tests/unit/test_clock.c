/* SPDX-License-Identifier: MIT */
/* test_clock.c - TSC to UTC and back; times as text, both ways. */
#include "check.h"
#include "clock.h"

#define NOON 1767268800000000000ll /* 2026-01-01T12:00:00Z */

static void test_pairs(void)
{
	/* The host's clock ran 10 % fast between the second and third pair; the fourth was set back. */
	struct clock_pair pairs[] = {
		{3000000, 2200000}, {1000000, 100000}, {2000000, 1100000}, {4000000, 2100000}, {2000000, 1100000}};
	struct guest_clock clock;
	uint64_t tsc;

	CHECK(guest_clock_init(&clock, pairs, 5, 1000000000));
	CHECK_INT(clock.nr_pairs, 3);
	CHECK_INT(guest_clock_ns(&clock, 1000000), 100000);
	CHECK_INT(guest_clock_ns(&clock, 950000), 50000);
	CHECK_INT(guest_clock_ns(&clock, 0), 0);
	CHECK_INT(guest_clock_ns(&clock, 2500000), 1650000);
	CHECK_INT(guest_clock_ns(&clock, 3500000), 2700000);
	CHECK_INT(guest_clock_duration_ns(&clock, 100, 350), 250);
	CHECK_INT(guest_clock_duration_ns(&clock, 350, 100), -1);
	for (uint64_t at = 1000001; at < 5000000; at += 123457) {
		CHECK(guest_clock_tsc(&clock, guest_clock_ns(&clock, at), &tsc));
		CHECK(guest_clock_ns(&clock, tsc) >= guest_clock_ns(&clock, at));
		CHECK(tsc <= at && at - tsc <= 2);
	}
	CHECK(guest_clock_ns(&clock, UINT64_MAX) >= 0);
	CHECK(guest_clock_tsc(&clock, INT64_MAX, &tsc));
	guest_clock_deinit(&clock);
}

static void test_precision(void)
{
	struct clock_pair pair = {123456789, 1767268800123456789};
	struct guest_clock clock;

	CHECK(guest_clock_init(&clock, &pair, 1, 1000000000));
	CHECK_INT(guest_clock_ns(&clock, 123456790), 1767268800123456790);
	CHECK_INT(guest_clock_ns(&clock, 123456788), 1767268800123456788);
	guest_clock_deinit(&clock);
}

static void test_unknown(void)
{
	struct clock_pair pairs[] = {{1000, 5000}, {2000, 7000}};
	struct guest_clock clock;
	uint64_t tsc;

	CHECK(guest_clock_init(&clock, NULL, 0, 1000000000));
	CHECK_INT(guest_clock_ns(&clock, 1), -1);
	CHECK_INT(guest_clock_duration_ns(&clock, 1, 2), 1);
	CHECK(!guest_clock_tsc(&clock, 1, &tsc));
	guest_clock_deinit(&clock);
	CHECK(guest_clock_init(&clock, pairs, 1, 0));
	CHECK_INT(guest_clock_ns(&clock, 1), -1);
	CHECK_INT(guest_clock_duration_ns(&clock, 1, 2), -1);
	guest_clock_deinit(&clock);
	/* No frequency, but two pairs. */
	CHECK(guest_clock_init(&clock, pairs, 2, 0));
	CHECK_INT(guest_clock_ns(&clock, 3000), 9000);
	guest_clock_deinit(&clock);
}

static void check_time(const char *text, int64_t start_ns, int64_t expected)
{
	struct vmtape_error *error;
	int64_t ns = -2;

	error = time_parse(text, start_ns, false, &ns);
	if (error)
		fprintf(stderr, "%s\n", error->message);
	CHECK(!error);
	CHECK_INT(ns, expected);
}

static void check_bad(const char *text, int64_t start_ns)
{
	int64_t ns;
	struct vmtape_error *error = time_parse(text, start_ns, false, &ns);

	if (!error)
		fprintf(stderr, "\"%s\" was taken as a time\n", text);
	CHECK(error);
	CHECK_INT(error->code, VMTAPE_ERROR_USAGE);
	CHECK(strstr(error->message, text));
	vmtape_error_destroy(error);
}

static void test_parse(void)
{
	static const char *const bad[] = {"",
					  "yesterday",
					  "25:00",
					  "12:60",
					  "12:00:61",
					  "12:00:00.",
					  "12:00:00x",
					  "+",
					  "+x",
					  "+1.5.2",
					  "2026-13-01",
					  "2026-01-01T",
					  "2026-01-01T1",
					  "2026-01-01T12:00:00+",
					  "1969-01-01",
					  "12:00:00Z",
					  "2026-01-01T12:00:00Zx",
					  "+99999999999999999999"};

	check_time("+1.5", NOON, NOON + 1500000000);
	check_time("+2s", NOON, NOON + 2000000000);
	check_time("12:00:01.123456", NOON, NOON + 1123456000);
	check_time("12:01", NOON, NOON + 60000000000);
	check_time("11:59:59", NOON, NOON - 1000000000);
	/* A tape that begins before midnight: the small hours are those of the next day. */
	check_time("00:10:00", NOON + 43199ll * 1000000000, NOON + (43200ll + 600) * 1000000000);
	check_time("2026-01-01T12:00:00Z", NOON, NOON);
	check_time("2026-01-01T12:00:00.25", -1, NOON + 250000000);
	check_time("2026-01-01 13:00:00+01:00", NOON, NOON);
	check_time("2026-01-01T10:30:00-0130", NOON, NOON);
	check_time("2026-01-01", NOON, NOON - 43200ll * 1000000000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(bad[i], NOON);
	check_bad("+1", -1);
	check_bad("12:00:00", -1);
}

static void test_print(void)
{
	struct strbuf out = {0};

	time_put_clock(&out, NOON + 1123456789, false);
	CHECK_STR(out.data, "12:00:01.123456");
	strbuf_reset(&out);
	time_put_iso(&out, NOON + 1123456789);
	CHECK_STR(out.data, "2026-01-01T12:00:01.123456789Z");
	strbuf_reset(&out);
	time_put_date(&out, NOON + 1123456789, false);
	CHECK_STR(out.data, "2026-01-01 12:00:01.123");
	strbuf_deinit(&out);
}

int main(void)
{
	test_pairs();
	test_precision();
	test_unknown();
	test_parse();
	test_print();
	return 0;
}
