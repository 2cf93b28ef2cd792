/* SPDX-License-Identifier: MIT */
/* test_tape_series.c - names of tapes from a pattern and the time, and which files the pattern fits. */
#include "check.h"
#include "tape_series.h"

static void check_pattern(const char *pattern, bool good, const char *said)
{
	struct record_error error = {0};

	CHECK_INT(tape_series_check(pattern, &error) == 0, good);
	if (!good && !strstr(error.message, said))
		fprintf(stderr, "%s: %s\n", pattern, error.message);
	CHECK(good || strstr(error.message, said));
}

static void check_path(const char *pattern, unsigned copy, const char *want)
{
	/* 2026-02-28 23:59:07 UTC */
	char *path = tape_series_path(pattern, 1772323147, copy);
	const char *slash = strrchr(pattern, '/'), *name = strrchr(want, '/');

	CHECK_STR(path, want);
	CHECK(tape_series_fits(slash ? slash + 1 : pattern, name ? name + 1 : want));
	free(path);
}

int main(void)
{
	static const char vm[] = "vm-%Y%m%dT%H%M%SZ.vmt";

	check_pattern(vm, true, NULL);
	check_pattern("/var/lib/x/%F-%j-%y", true, NULL);
	check_pattern("vm.vmt", false, "must have a time");
	check_pattern("vm%%.vmt", false, "must have a time");
	check_pattern("%Y/vm.vmt", false, "not its folder");
	check_pattern("%Y/vm-%d.vmt", false, "not its folder");
	check_pattern("vm-%D", false, "%D is not for names");
	check_pattern("vm-%Y%", false, "is not for names");
	check_pattern("vm-%Y%\xff", false, "is not for names");

	check_path(vm, 1, "vm-20260228T235907Z.vmt");
	check_path(vm, 2, "vm-20260228T235907Z-2.vmt");
	check_path("/a.b/c%%-%F", 1, "/a.b/c%-2026-02-28");
	check_path("/a.b/c%%-%F", 12, "/a.b/c%-2026-02-28-12");
	check_path("../%j.%y.vmt", 3, "../059.26-3.vmt");
	check_path(".%S", 2, ".07-2");

	CHECK(!tape_series_fits(vm, "vm-20260228T235907Z.vm"));
	CHECK(!tape_series_fits(vm, "vm-20260228T235907Z.vmt~"));
	CHECK(!tape_series_fits(vm, "vm-2026022T235907Z.vmt"));
	CHECK(!tape_series_fits(vm, "vm-2026022xT235907Z.vmt"));
	CHECK(!tape_series_fits(vm, "vm-20260228T235907Z-.vmt"));
	CHECK(!tape_series_fits(vm, "vm-20260228T235907Z-2x.vmt"));
	CHECK(!tape_series_fits(vm, "vm-20260228T235907Z-2-2.vmt"));
	CHECK(!tape_series_fits(vm, "xvm-20260228T235907Z.vmt"));
	CHECK(!tape_series_fits(vm, ""));
	CHECK(!tape_series_fits(vm, "vm-%Y%m%dT%H%M%SZ.vmt"));
	CHECK(tape_series_fits("%d", "07"));
	CHECK(!tape_series_fits("%d", "7"));
	return 0;
}
