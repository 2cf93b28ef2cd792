/* SPDX-License-Identifier: MIT */
/*
 * cut_choice.h - which records of a tape a cut by filter keeps: the calls that
 * match, and all that tells who runs, what is open and what is mapped. A few
 * bits for each record that is kept. One thread.
 */
#ifndef CUT_CHOICE_H
#define CUT_CHOICE_H

#include "filter.h"
#include "session.h"

struct cut_choice;
/* Reads all calls entered in [from_tsc, to_tsc); progress may be NULL. */
struct vmtape_error *cut_choice_create(struct cut_choice **out, struct session *session, const struct filter *filter,
				       uint64_t from_tsc, uint64_t to_tsc,
				       void (*progress)(void *ctx, uint64_t nr_records), void *ctx);
void cut_choice_destroy(struct cut_choice *choice);

uint64_t cut_choice_calls(const struct cut_choice *choice); /* that match */
bool cut_choice_keeps(struct cut_choice *choice, const struct trap_view *view);

#endif
