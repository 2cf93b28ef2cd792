/* SPDX-License-Identifier: MIT */
/*
 * fault_clock.c - for LD_PRELOAD: the wall clock of a program is wrong by as many
 * ns as stand in the file that VMTAPE_FAULT_CLOCK names, at any moment. The
 * other clocks stay as they are.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step_ns;

__attribute__((constructor)) static void find_file(void)
{
	const char *path = getenv("VMTAPE_FAULT_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*step_ns), PROT_READ, MAP_SHARED, fd, 0);

	if (memory != MAP_FAILED)
		step_ns = memory;
	if (fd >= 0)
		close(fd);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *out)
{
	long ret = syscall(SYS_clock_gettime, clock, out);
	int64_t ns;

	if (ret || !step_ns || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return (int)ret;
	ns = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + *step_ns;
	out->tv_sec = ns / 1000000000;
	out->tv_nsec = ns % 1000000000;
	return 0;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;
	int ret = clock_gettime(CLOCK_REALTIME, &now);

	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return ret;
}

__attribute__((visibility("default"))) time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
