/* SPDX-License-Identifier: MIT */
/* What a filter can say of a call of which little is known: no, yes, or perhaps. */
#include "filter_private.h"

enum answer {
	NO,
	PERHAPS,
	YES,
};

/* As filter.c compares a number that lies somewhere between from and to. */
static enum answer compare_time(const struct filter *f, const struct filter_node *node, int64_t from, int64_t to)
{
	const struct filter_node *value = node->left == FILTER_NONE ? NULL : &f->nodes[node->left];

	/* The ends of what time can be stand for "not known": a call without a time matches nothing. */
	if (node->op != FILTER_IN && node->op != FILTER_EQ &&
	    (from <= 0 || to == INT64_MAX || !value || !value->is_number))
		return PERHAPS;
	switch (node->op) {
	case FILTER_LT:
		return to < value->number ? YES : from >= value->number ? NO : PERHAPS;
	case FILTER_LE:
		return to <= value->number ? YES : from > value->number ? NO : PERHAPS;
	case FILTER_GT:
		return from > value->number ? YES : to <= value->number ? NO : PERHAPS;
	case FILTER_GE:
		return from >= value->number ? YES : to < value->number ? NO : PERHAPS;
	case FILTER_EQ:
	case FILTER_IN:
		for (; value; value = value->right == FILTER_NONE ? NULL : &f->nodes[value->right])
			if (!value->is_number || (value->number >= from && value->number <= to))
				return PERHAPS;
		return NO;
	default:
		return PERHAPS;
	}
}

static enum answer ask(const struct filter *f, uint32_t i, const struct filter_reach *reach)
{
	const struct filter_node *node = &f->nodes[i];
	enum answer left, right;

	switch (node->op) {
	case FILTER_AND:
		left = ask(f, node->left, reach);
		right = left == NO ? NO : ask(f, node->right, reach);
		return left < right ? left : right;
	case FILTER_OR:
		left = ask(f, node->left, reach);
		right = left == YES ? YES : ask(f, node->right, reach);
		return left > right ? left : right;
	case FILTER_NOT:
		return (enum answer)(YES - ask(f, node->left, reach));
	default:
		break;
	}
	if (node->field == FILTER_EVT_TIME)
		return compare_time(f, node, reach->from_ns, reach->to_ns);
	if (reach->call && (node->field == FILTER_EVT_TYPE || node->field == FILTER_EVT_ABI))
		return filter_match_node(f, i, reach->call, 0) ? YES : NO;
	return PERHAPS;
}

bool filter_may_match(const struct filter *filter, const struct filter_reach *reach)
{
	return !filter || ask(filter, filter->root, reach) != NO;
}

bool filter_asks_time(const struct filter *filter)
{
	for (uint32_t i = 0; filter && i < filter->nr_nodes; i++) {
		enum filter_op op = filter->nodes[i].op;

		if (op != FILTER_AND && op != FILTER_OR && op != FILTER_NOT && op != FILTER_VALUE &&
		    filter->nodes[i].field == FILTER_EVT_TIME)
			return true;
	}
	return false;
}
