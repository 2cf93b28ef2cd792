/* SPDX-License-Identifier: MIT */
/* plan_parse_steps.h - the steps of one line of a plan's text. */
#ifndef PLAN_PARSE_STEPS_H
#define PLAN_PARSE_STEPS_H

#include "plan_scan.h"
#include "plan_validate.h"

/* A line of steps: its ABI gives the argument names a meaning. */
struct plan_step_line {
	uint8_t abi;
	bool is_exit;
	enum plan_place place;
	struct plan_step *steps; /* room for PLAN_MAX_CALL_STEPS */
	unsigned n;
};

/* Adds the rest of the line; every step is valid then. */
int plan_parse_step_line(struct plan_scan *scan, struct plan_step_line *line);

#endif
