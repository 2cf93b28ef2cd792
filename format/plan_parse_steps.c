/* SPDX-License-Identifier: MIT */
/* plan_parse_steps.c - see plan_parse_steps.h; grammar: docs/capture-plans.md. */
#include "plan_parse_steps.h"

#include <errno.h>
#include <string.h>

static int take_source(struct plan_scan *scan, const struct plan_step_line *line, uint8_t *out)
{
	const char *start = scan->at;
	uint64_t index;
	int value;

	if (plan_scan_char(scan, '$')) {
		if (plan_scan_number(scan, PLAN_MAX_CALL_STEPS - 1, "number of a step", &index))
			return -EINVAL;
		*out = (uint8_t)(PLAN_SRC_VALUE | index);
		return 0;
	}
	if (plan_scan_word(scan, "a register, arg0 to arg5, ret or $step"))
		return -EINVAL;
	if (!strncmp(scan->word, "arg", 3) && scan->word[3] >= '0' && scan->word[3] <= '5' && !scan->word[4]) {
		*out = (uint8_t)plan_arg_reg(line->abi, (unsigned)(scan->word[3] - '0'));
		return 0;
	}
	value = !strcmp(scan->word, "ret") ? TRAP_REG_RAX : plan_word_value(plan_reg_words, scan->word);
	if (value < 0)
		return plan_scan_fail(scan, start, "'%s' is no register; arg0 to arg5, ret and $step are good too",
				      scan->word);
	*out = (uint8_t)value;
	return 0;
}

static int take_cap(struct plan_scan *scan, struct plan_step *s)
{
	uint64_t cap = 0;
	int err = plan_scan_number(scan, PLAN_MAX_STEP_CAP, "cap", &cap);

	s->cap = (uint16_t)cap;
	return err;
}

static int take_items(struct plan_scan *scan, struct plan_step *s)
{
	uint64_t items = 0;
	int err = plan_scan_number(scan, PLAN_MAX_ITEMS, "number of items", &items);

	s->max_items = (uint8_t)items;
	return err;
}

/* bytes[N] bytes[N,CAP] bytes[SOURCE,CAP] bytes[SOURCE*N,CAP] */
static int take_bytes(struct plan_scan *scan, const struct plan_step_line *line, struct plan_step *s)
{
	const char *start = scan->at;
	uint64_t number = 1;

	if (plan_scan_is_digit(*scan->at)) {
		if (plan_scan_number(scan, UINT32_MAX, "length", &number))
			return -EINVAL;
		s->len = (uint32_t)number;
		if (plan_scan_char(scan, ','))
			return take_cap(scan, s);
		if (number > PLAN_MAX_STEP_CAP)
			return plan_scan_fail(scan, start, "length is over %u: add a cap behind a comma",
					      PLAN_MAX_STEP_CAP);
		s->cap = (uint16_t)number;
		return 0;
	}
	if (take_source(scan, line, &s->len_from))
		return -EINVAL;
	if (plan_scan_char(scan, '*') && plan_scan_number(scan, UINT32_MAX, "size of an element", &number))
		return -EINVAL;
	s->len = (uint32_t)number;
	return plan_scan_expect(scan, ',') || take_cap(scan, s) ? -EINVAL : 0;
}

/* iovec[N,CAP,ITEMS] iovec[SOURCE,CAP,ITEMS]: N and SOURCE count entries; bytes of one are known behind the flags. */
static int take_iovec(struct plan_scan *scan, const struct plan_step_line *line, struct plan_step *s)
{
	uint64_t number = 1;

	if (plan_scan_is_digit(*scan->at)) {
		if (plan_scan_number(scan, UINT32_MAX / 8, "number of entries", &number))
			return -EINVAL;
	} else if (take_source(scan, line, &s->len_from)) {
		return -EINVAL;
	}
	s->len = (uint32_t)number;
	if (plan_scan_expect(scan, ',') || take_cap(scan, s) || plan_scan_expect(scan, ',') || take_items(scan, s))
		return -EINVAL;
	return 0;
}

static int take_type(struct plan_scan *scan, const struct plan_step_line *line, struct plan_step *s)
{
	static const struct plan_word types[] = {
		{"u8", 1},
		{"u16", 2},
		{"u32", 4},
		{"u64", 8},
		{"bytes", 16 + PLAN_OP_BYTES},
		{"string", 16 + PLAN_OP_STRING},
		{"strings", 16 + PLAN_OP_STRINGS},
		{"iovec", 16 + PLAN_OP_IOVEC},
		{NULL, 0},
	};
	const char *start = scan->at;
	int err = 0, type;

	if (plan_scan_word(scan, "a type"))
		return -EINVAL;
	type = plan_word_value(types, scan->word);
	if (type < 0)
		return plan_scan_fail(scan, start, "'%s' is no type: u8, u16, u32, u64, bytes, string, strings, iovec",
				      scan->word);
	if (type < 16) {
		s->op = PLAN_OP_VALUE;
		s->len = (uint32_t)type;
		return 0;
	}
	s->op = (uint8_t)(type - 16);
	if (plan_scan_expect(scan, '['))
		return -EINVAL;
	switch (s->op) {
	case PLAN_OP_BYTES:
		err = take_bytes(scan, line, s);
		break;
	case PLAN_OP_STRING:
		err = take_cap(scan, s);
		break;
	case PLAN_OP_STRINGS:
		err = take_cap(scan, s) || plan_scan_expect(scan, ',') || take_items(scan, s);
		break;
	case PLAN_OP_IOVEC:
		err = take_iovec(scan, line, s);
		break;
	}
	return err || plan_scan_expect(scan, ']') ? -EINVAL : 0;
}

/* name= or number= before the offset; none: the default. */
static int take_label(struct plan_scan *scan, int *out)
{
	const char *start = scan->at;
	uint64_t number;

	*out = -1;
	if (*scan->at == '+' || *scan->at == '-')
		return 0;
	if (plan_scan_is_digit(*scan->at)) {
		if (plan_scan_number(scan, UINT8_MAX, "label", &number))
			return -EINVAL;
		*out = (int)number;
	} else {
		if (plan_scan_word(scan, "a step: [LABEL=]+OFFSET(SOURCE):TYPE"))
			return -EINVAL;
		*out = plan_word_value(plan_label_words, scan->word);
		if (*out < 0)
			return plan_scan_fail(scan, start, "'%s' is no label", scan->word);
	}
	return plan_scan_expect(scan, '=');
}

/* [LABEL=]+OFFSET(SOURCE):TYPE[!FLAG]... */
static int take_step(struct plan_scan *scan, struct plan_step_line *line)
{
	const char *start = scan->at, *fault;
	struct plan_step *s;
	int64_t offset;
	int label;

	if (line->n == PLAN_MAX_CALL_STEPS)
		return plan_scan_fail(scan, start, "over %d steps on a line", PLAN_MAX_CALL_STEPS);
	s = &line->steps[line->n];
	*s = (struct plan_step){.len_from = PLAN_SRC_CONST};
	if (take_label(scan, &label) || plan_scan_offset(scan, INT32_MAX, &offset) || plan_scan_expect(scan, '(') ||
	    take_source(scan, line, &s->base) || plan_scan_expect(scan, ')') || plan_scan_expect(scan, ':') ||
	    take_type(scan, line, s))
		return -EINVAL;
	s->offset = (int32_t)offset;
	while (plan_scan_char(scan, '!')) {
		const char *flag_start = scan->at;
		int flag;

		if (plan_scan_word(scan, "a flag"))
			return -EINVAL;
		flag = plan_word_value(plan_step_flag_words, scan->word);
		if (flag < 0)
			return plan_scan_fail(scan, flag_start,
					      "'%s' is no flag: kernel, again, ok, quiet, len32, ptr32", scan->word);
		if (s->flags & flag)
			return plan_scan_fail(scan, flag_start, "second '%s'", scan->word);
		s->flags |= (uint8_t)flag;
	}
	if (!plan_scan_at_end(scan) && scan->at[-1] != ' ' && scan->at[-1] != '\t')
		return plan_scan_fail(scan, scan->at, "expected '!' and a flag, or a space");
	if (s->op == PLAN_OP_IOVEC) {
		uint32_t entry = s->flags & PLAN_STEP_PTR32 ? 8 : 16;

		if (s->len > UINT32_MAX / entry)
			return plan_scan_fail(scan, start, "iovec of 4 GiB or more");
		s->len *= entry;
	}
	s->label = label >= 0 ? (uint8_t)label : plan_default_label(line->abi, line->is_exit, s);
	fault = plan_step_fault(line->steps, line->n, line->place);
	if (fault)
		return plan_scan_fail(scan, start, "%s", fault);
	line->n++;
	return 0;
}

int plan_parse_step_line(struct plan_scan *scan, struct plan_step_line *line)
{
	while (!plan_scan_at_end(scan))
		if (take_step(scan, line))
			return -EINVAL;
	return 0;
}
