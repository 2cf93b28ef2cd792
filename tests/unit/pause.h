/* SPDX-License-Identifier: MIT */
/* pause.h - waits for so long, or until a signal comes. */
#ifndef PAUSE_H
#define PAUSE_H

#include <time.h>

static inline void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

#endif
