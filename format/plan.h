/* SPDX-License-Identifier: MIT */
/*
 * plan.h - capture plans in user space: build, validate, and their text form
 * both ways (docs/capture-plans.md). 0 or negative errno; a struct plan_error
 * (may be NULL) says which line and why.
 */
#ifndef PLAN_H
#define PLAN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "plan_abi.h"

struct plan_error {
	unsigned line; /* of the text, from 1; 0: not a matter of one line */
	char message[240];
};

/* ---- build ----------------------------------------------------------- */

struct plan_builder;
int plan_builder_create(struct plan_builder **out, uint32_t plan_id);
void plan_builder_destroy(struct plan_builder *builder);
void plan_builder_set_task(struct plan_builder *builder, const struct plan_task *task);
void plan_builder_set_regs(struct plan_builder *builder, uint32_t enter_regs, uint32_t exit_regs);
void plan_builder_set_flags(struct plan_builder *builder, uint16_t flags);
void plan_builder_set_max_record(struct plan_builder *builder, uint16_t size_bytes);
enum plan_slot { PLAN_IDENTITY, PLAN_DIVERTED, PLAN_DEFAULT_ENTER, PLAN_DEFAULT_EXIT };
int plan_builder_set_steps(struct plan_builder *builder, enum plan_slot slot, const struct plan_step *steps, size_t n);
/* A second time for the same call replaces the first. */
int plan_builder_set_call(struct plan_builder *builder, uint8_t abi, uint32_t nr, uint8_t flags,
			  const struct plan_step *enter, size_t nr_enter, const struct plan_step *exit, size_t nr_exit);
int plan_builder_add_cr3(struct plan_builder *builder, uint64_t cr3);
/* Sorted, validated block; the caller frees *out. */
int plan_builder_finish(struct plan_builder *builder, void **out, size_t *size_bytes, struct plan_error *error);

/* The generic plan of DESIGN section 3, which serves any guest. The caller frees *out. */
int plan_generic(uint32_t plan_id, void **out, size_t *size_bytes);

/* ---- look at --------------------------------------------------------- */

/* plan_validate() of plan_exec.h, with a message. */
int plan_check(const void *plan, size_t size_bytes, struct plan_error *error);
const struct plan_header *plan_get_header(const void *plan);
const struct plan_call *plan_find_call(const void *plan, uint8_t abi, uint32_t nr); /* NULL: not in the table */
const struct plan_step *plan_get_steps(const void *plan, struct plan_range range);

/* ---- text ------------------------------------------------------------ */

/* Names of system calls, both ways; either function may be NULL: numbers only. */
struct plan_names {
	const char *(*name)(void *ctx, uint8_t abi, uint32_t nr);
	int64_t (*nr)(void *ctx, uint8_t abi, const char *name); /* -1: no such call */
	void *ctx;
};
int plan_print(FILE *out, const void *plan, size_t size_bytes, const struct plan_names *names);
/* The caller frees *out. */
int plan_parse(const char *text, const struct plan_names *names, void **out, size_t *size_bytes,
	       struct plan_error *error);

#endif
