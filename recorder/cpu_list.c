/* SPDX-License-Identifier: MIT */
#include "cpu_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A number below CPU_SETSIZE at *at, which is moved behind it; -1: none. */
static int take_cpu(const char **at)
{
	char *end;
	unsigned long cpu;

	if (!isdigit((unsigned char)**at))
		return -1;
	cpu = strtoul(*at, &end, 10);
	*at = end;
	return cpu < CPU_SETSIZE ? (int)cpu : -1;
}

int cpu_list_parse(cpu_set_t *out, const char *text, struct record_error *error)
{
	const char *at = text;

	CPU_ZERO(out);
	for (;;) {
		int first = take_cpu(&at), last = first;

		if (first >= 0 && *at == '-') {
			at++;
			last = take_cpu(&at);
		}
		if (first < 0 || last < first || (*at && *at != ','))
			return record_error_set(error, -EINVAL,
						"\"%s\" is no list of CPUs: want numbers below %d and ranges, such as "
						"0,2-3",
						text, CPU_SETSIZE);
		for (int cpu = first; cpu <= last; cpu++)
			CPU_SET((size_t)cpu, out);
		if (!*at++)
			return 0;
	}
}

int cpu_list_pin(const cpu_set_t *cpus, struct record_error *error)
{
	cpu_set_t got;
	int saved;

	if (!sched_setaffinity(0, sizeof(*cpus), cpus) && !sched_getaffinity(0, sizeof(got), &got)) {
		/* The kernel leaves out silently those that are offline or not in our cgroup. */
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET((size_t)cpu, cpus) && !CPU_ISSET((size_t)cpu, &got))
				return record_error_set(error, -EINVAL,
							"CPU %d is not there, or this process may not run on it", cpu);
		return 0;
	}
	saved = -errno;
	if (saved == -EINVAL)
		return record_error_set(error, saved,
					"none of these CPUs is there, or this process may not run on them");
	return record_error_set(error, saved, "threads cannot be pinned: %s", strerror(-saved));
}

unsigned cpu_list_allowed(void)
{
	cpu_set_t cpus;
	int n = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);

	return n > 0 ? (unsigned)n : 1;
}
