/* SPDX-License-Identifier: MIT */
/*
 * decode_fixture.h - a guest for tests of the decoder: linux_guest's functions
 * with the uapi's names and whatever prototypes a test gives, no task, no memory.
 */
#ifndef DECODE_FIXTURE_H
#define DECODE_FIXTURE_H

#include "linux/arg_decode.h"

/* Overrides a call's prototype: as the guest's metadata would give it. */
void fixture_set_prototype(uint8_t abi, const char *name, int nr_args, const char *const *types,
			   const char *const *names);
/* Whether the guest has a task word (default) or not. */
void fixture_set_task(bool has_task);

#endif
