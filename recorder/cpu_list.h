/* SPDX-License-Identifier: MIT */
/* cpu_list.h - lists of CPUs as "0,2-3", and which CPUs this process may run on. */
#ifndef CPU_LIST_H
#define CPU_LIST_H

#include <sched.h>

#include "report.h"

/* 0, or -EINVAL and a message that says what is wrong with the list. */
int cpu_list_parse(cpu_set_t *out, const char *text, struct record_error *error);
/* Pins the calling thread, and those that it will make; CPUs that are not there or not allowed are an error. */
int cpu_list_pin(const cpu_set_t *cpus, struct record_error *error);
/* CPUs that the calling thread may run on; at least 1. */
unsigned cpu_list_allowed(void);

#endif
