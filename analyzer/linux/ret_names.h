/* SPDX-License-Identifier: MIT */
/* ret_names.h - what a failed call's number says. */
#ifndef RET_NAMES_H
#define RET_NAMES_H

#include <stdbool.h>

/* The kernel will make the call again, or would have: no result that user space gets. */
bool errno_is_restart(int number);
/* "No such file or directory"; NULL: no such number. */
const char *errno_text(int number);

#endif
