/* SPDX-License-Identifier: MIT */
/* filter_private.h - the tree between filter_parse.c and filter.c. */
#ifndef FILTER_PRIVATE_H
#define FILTER_PRIVATE_H

#include "filter.h"
#include "strbuf.h"

enum filter_field {
	FILTER_PROC_NAME,
	FILTER_PROC_PID,
	FILTER_PROC_PPID,
	FILTER_PROC_EXE,
	FILTER_THREAD_TID,
	FILTER_EVT_TYPE,
	FILTER_EVT_DIR,
	FILTER_EVT_RES,
	FILTER_EVT_FAILED,
	FILTER_EVT_LATENCY,
	FILTER_EVT_CPU,
	FILTER_EVT_TIME,
	FILTER_EVT_STATE,
	FILTER_EVT_ABI,
	FILTER_EVT_ARG, /* name in the node's text */
	FILTER_USER_UID,
	/* From here on: only where descriptors are followed. */
	FILTER_PROC_CWD,
	FILTER_PROC_CMDLINE,
	FILTER_PROC_PIDNS,
	FILTER_CONTAINER_ID,
	FILTER_CONTAINER_FULL_ID,
	FILTER_FD_NUM,
	FILTER_FD_TYPE,
	FILTER_FD_NAME,
	FILTER_FD_L4PROTO,
	FILTER_FD_UNCERTAIN,
	FILTER_FD_IP,
	FILTER_FD_PORT,
	FILTER_FD_LIP,
	FILTER_FD_LPORT,
	FILTER_FD_RIP,
	FILTER_FD_RPORT,
	FILTER_FD_CIP,
	FILTER_FD_CPORT,
	FILTER_FD_SIP,
	FILTER_FD_SPORT,
	FILTER_FIELDS
};

enum filter_kind {
	FILTER_KIND_TEXT,
	FILTER_KIND_NUMBER,
	FILTER_KIND_BOOL,
	FILTER_KIND_RESULT,  /* number, errno name, SUCCESS */
	FILTER_KIND_LATENCY, /* number of ns, or with a unit */
	FILTER_KIND_TIME,
	FILTER_KIND_ARG, /* text and number */
};

enum filter_op {
	FILTER_AND,
	FILTER_OR,
	FILTER_NOT,
	FILTER_EQ,
	FILTER_NE,
	FILTER_LT,
	FILTER_LE,
	FILTER_GT,
	FILTER_GE,
	FILTER_CONTAINS,
	FILTER_STARTSWITH,
	FILTER_ENDSWITH,
	FILTER_IN,
	FILTER_EXISTS,
	FILTER_VALUE, /* an item of a list */
};

#define FILTER_NONE UINT32_MAX

struct filter_node {
	enum filter_op op;
	enum filter_field field;
	uint32_t left,
		right;    /* AND, OR, NOT: children; comparison: left is its first value; value: right is the next */
	const char *name; /* comparison: of FILTER_EVT_ARG */
	const char *text; /* value */
	bool is_number, is_success;
	int64_t number;
};

struct filter {
	struct filter_node *nodes;
	uint32_t nr_nodes, root;
	char *strings; /* all texts, one after the other */
};

/* One node of the tree, as filter_match() has it. */
bool filter_match_node(const struct filter *filter, uint32_t node, const struct call *call, char dir);

enum filter_kind filter_kind_of(enum filter_field field);

#endif
