/* SPDX-License-Identifier: MIT */
/*
 * From text to tree, by recursive descent:
 *   or    = and { "or" and }
 *   and   = not { "and" not }
 *   not   = "not" not | "(" or ")" | test
 *   test  = FIELD [ "exists" | OP value | "in" "(" value { "," value } ")" ]
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "filter_private.h"
#include "linux/arg_decode.h"

#define ERRNO_MAX 4095

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,
	TOKEN_QUOTED,
	TOKEN_OP, /* = != < <= > >= */
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_COMMA,
};

struct token {
	enum token_kind kind;
	enum filter_op op;
	const char *text; /* in filter->strings */
	unsigned column;
};

struct parser {
	struct filter *filter;
	const struct filter_times *times;
	const char *start, *at;
	char *string_at;
	struct token token;
	unsigned depth;
	struct vmtape_error *error;
};

static const struct {
	const char *name;
	enum filter_kind kind;
} fields[FILTER_FIELDS] = {
	[FILTER_PROC_NAME] = {"proc.name", FILTER_KIND_TEXT},
	[FILTER_PROC_PID] = {"proc.pid", FILTER_KIND_NUMBER},
	[FILTER_PROC_PPID] = {"proc.ppid", FILTER_KIND_NUMBER},
	[FILTER_PROC_EXE] = {"proc.exe", FILTER_KIND_TEXT},
	[FILTER_THREAD_TID] = {"thread.tid", FILTER_KIND_NUMBER},
	[FILTER_EVT_TYPE] = {"evt.type", FILTER_KIND_TEXT},
	[FILTER_EVT_DIR] = {"evt.dir", FILTER_KIND_TEXT},
	[FILTER_EVT_RES] = {"evt.res", FILTER_KIND_RESULT},
	[FILTER_EVT_FAILED] = {"evt.failed", FILTER_KIND_BOOL},
	[FILTER_EVT_LATENCY] = {"evt.latency", FILTER_KIND_LATENCY},
	[FILTER_EVT_CPU] = {"evt.cpu", FILTER_KIND_NUMBER},
	[FILTER_EVT_TIME] = {"evt.time", FILTER_KIND_TIME},
	[FILTER_EVT_STATE] = {"evt.state", FILTER_KIND_TEXT},
	[FILTER_EVT_ABI] = {"evt.abi", FILTER_KIND_TEXT},
	[FILTER_EVT_ARG] = {"evt.arg.NAME", FILTER_KIND_ARG},
	[FILTER_USER_UID] = {"user.uid", FILTER_KIND_NUMBER},
	[FILTER_PROC_CWD] = {"proc.cwd", FILTER_KIND_TEXT},
	[FILTER_PROC_CMDLINE] = {"proc.cmdline", FILTER_KIND_TEXT},
	[FILTER_PROC_PIDNS] = {"proc.pidns", FILTER_KIND_NUMBER},
	[FILTER_CONTAINER_ID] = {"container.id", FILTER_KIND_TEXT},
	[FILTER_CONTAINER_FULL_ID] = {"container.full_id", FILTER_KIND_TEXT},
	[FILTER_FD_NUM] = {"fd.num", FILTER_KIND_NUMBER},
	[FILTER_FD_TYPE] = {"fd.type", FILTER_KIND_TEXT},
	[FILTER_FD_NAME] = {"fd.name", FILTER_KIND_TEXT},
	[FILTER_FD_L4PROTO] = {"fd.l4proto", FILTER_KIND_TEXT},
	[FILTER_FD_UNCERTAIN] = {"fd.uncertain", FILTER_KIND_BOOL},
	[FILTER_FD_IP] = {"fd.ip", FILTER_KIND_TEXT},
	[FILTER_FD_PORT] = {"fd.port", FILTER_KIND_NUMBER},
	[FILTER_FD_LIP] = {"fd.lip", FILTER_KIND_TEXT},
	[FILTER_FD_LPORT] = {"fd.lport", FILTER_KIND_NUMBER},
	[FILTER_FD_RIP] = {"fd.rip", FILTER_KIND_TEXT},
	[FILTER_FD_RPORT] = {"fd.rport", FILTER_KIND_NUMBER},
	[FILTER_FD_CIP] = {"fd.cip", FILTER_KIND_TEXT},
	[FILTER_FD_CPORT] = {"fd.cport", FILTER_KIND_NUMBER},
	[FILTER_FD_SIP] = {"fd.sip", FILTER_KIND_TEXT},
	[FILTER_FD_SPORT] = {"fd.sport", FILTER_KIND_NUMBER},
};

enum filter_kind filter_kind_of(enum filter_field field)
{
	return fields[field].kind;
}

/* The first error stays. Always false. */
static bool fail(struct parser *p, unsigned column, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool fail(struct parser *p, unsigned column, const char *format, ...)
{
	char text[512];
	va_list args;

	if (p->error)
		return false;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	p->error = vmtape_error_create(VMTAPE_ERROR_USAGE, "filter, column %u: %s", column, text);
	return false;
}

/* ---- tokens ---------------------------------------------------------- */

static bool is_word_char(char c)
{
	return c && !isspace((unsigned char)c) && !strchr("()=!<>,\"'", c);
}

static bool quoted(struct parser *p)
{
	char quote = *p->at++;

	p->token.kind = TOKEN_QUOTED;
	p->token.text = p->string_at;
	while (*p->at && *p->at != quote) {
		if (*p->at == '\\' && p->at[1])
			p->at++;
		*p->string_at++ = *p->at++;
	}
	if (!*p->at)
		return fail(p, p->token.column, "the quote that opens here is not closed");
	p->at++;
	*p->string_at++ = '\0';
	return true;
}

static bool operator_token(struct parser *p)
{
	static const struct {
		const char *text;
		enum filter_op op;
	} ops[] = {
		{"!=", FILTER_NE}, {"<=", FILTER_LE}, {">=", FILTER_GE}, {"==", FILTER_EQ},
		{"=", FILTER_EQ},  {"<", FILTER_LT},  {">", FILTER_GT},
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strncmp(p->at, ops[i].text, strlen(ops[i].text)))
			continue;
		p->at += strlen(ops[i].text);
		p->token.kind = TOKEN_OP;
		p->token.op = ops[i].op;
		return true;
	}
	return fail(p, p->token.column, "'!' is no operator alone: use != or not");
}

static bool next(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
	p->token = (struct token){.column = (unsigned)(p->at - p->start) + 1};
	switch (*p->at) {
	case '\0':
		p->token.kind = TOKEN_END;
		return true;
	case '(':
	case ')':
	case ',':
		p->token.kind = *p->at == '(' ? TOKEN_OPEN : *p->at == ')' ? TOKEN_CLOSE : TOKEN_COMMA;
		p->at++;
		return true;
	case '"':
	case '\'':
		return quoted(p);
	case '=':
	case '!':
	case '<':
	case '>':
		return operator_token(p);
	default:
		p->token.kind = TOKEN_WORD;
		p->token.text = p->string_at;
		while (is_word_char(*p->at))
			*p->string_at++ = *p->at++;
		*p->string_at++ = '\0';
		return true;
	}
}

static bool is_word(const struct parser *p, const char *word)
{
	return p->token.kind == TOKEN_WORD && !strcasecmp(p->token.text, word);
}

static const char *token_name(const struct parser *p)
{
	static const char *const names[] = {
		[TOKEN_END] = "the end", [TOKEN_OP] = "an operator", [TOKEN_OPEN] = "'('",
		[TOKEN_CLOSE] = "')'",   [TOKEN_COMMA] = "','",
	};

	return p->token.text ? p->token.text : names[p->token.kind];
}

/* ---- values ---------------------------------------------------------- */

static uint32_t new_node(struct parser *p, enum filter_op op)
{
	struct filter *f = p->filter;

	if (f->nr_nodes == FILTER_MAX_NODES) {
		fail(p, p->token.column, "the filter has more than %d terms", FILTER_MAX_NODES);
		return FILTER_NONE;
	}
	f->nodes[f->nr_nodes] = (struct filter_node){.op = op, .left = FILTER_NONE, .right = FILTER_NONE};
	return f->nr_nodes++;
}

static bool whole_number(const char *text, int64_t *out, char **end)
{
	errno = 0;
	if (*text == '-') {
		*out = strtoll(text, end, 0);
		return *end != text && !errno;
	}
	*out = (int64_t)strtoull(text, end, 0);
	return *end != text && isdigit((unsigned char)*text) && !errno;
}

/* "12", "12ns", "1.5ms" */
static bool latency(const char *text, int64_t *out)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"", 1}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	char *end;
	double value = strtod(text, &end);

	if (end == text || !isdigit((unsigned char)*text) || !(value >= 0 && value < 9e9))
		return whole_number(text, out, &end) && !*end;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name))
			continue;
		*out = (int64_t)(value * units[i].ns);
		return true;
	}
	return false;
}

static bool result(const char *text, struct filter_node *node)
{
	char *end;

	node->is_success = !strcasecmp(text, "SUCCESS");
	if (node->is_success)
		return true;
	node->is_number = true;
	if (whole_number(text, &node->number, &end) && !*end)
		return true;
	for (int error = 1; error <= ERRNO_MAX; error++) {
		const char *name = linux_errno_name(error);

		if (!name || strcasecmp(name, text))
			continue;
		node->number = -error;
		return true;
	}
	return false;
}

static bool set_value(struct parser *p, enum filter_field field, struct filter_node *node)
{
	const char *text = p->token.text;
	struct vmtape_error *error;
	char *end;

	node->text = text;
	switch (fields[field].kind) {
	case FILTER_KIND_TEXT:
		return true;
	case FILTER_KIND_ARG:
		node->is_number = whole_number(text, &node->number, &end) && !*end;
		return true;
	case FILTER_KIND_NUMBER:
		node->is_number = true;
		return (whole_number(text, &node->number, &end) && !*end) ||
		       fail(p, p->token.column, "%s is compared with a number, not \"%s\"", fields[field].name, text);
	case FILTER_KIND_BOOL:
		node->is_number = true;
		node->number = !strcasecmp(text, "true") || !strcmp(text, "1");
		return node->number || !strcasecmp(text, "false") || !strcmp(text, "0") ||
		       fail(p, p->token.column, "%s is true or false, not \"%s\"", fields[field].name, text);
	case FILTER_KIND_RESULT:
		return result(text, node) ||
		       fail(p, p->token.column,
			    "evt.res is compared with a number, SUCCESS or an error's name such as ENOENT, not \"%s\"",
			    text);
	case FILTER_KIND_LATENCY:
		node->is_number = true;
		return latency(text, &node->number) ||
		       fail(p, p->token.column, "\"%s\" is no time span: write 500, 20us, 1.5ms or 2s", text);
	case FILTER_KIND_TIME:
		node->is_number = true;
		if (!p->times)
			return fail(p, p->token.column, "evt.time can't be used here");
		error = time_parse(text, p->times->start_ns, p->times->local, &node->number);
		if (error)
			fail(p, p->token.column, "%s", error->message);
		vmtape_error_destroy(error);
		return !error;
	}
	return false;
}

static uint32_t value(struct parser *p, enum filter_field field)
{
	uint32_t i;

	/* evt.dir's values look like operators. */
	if (field == FILTER_EVT_DIR && p->token.kind == TOKEN_OP &&
	    (p->token.op == FILTER_LT || p->token.op == FILTER_GT)) {
		p->token.kind = TOKEN_WORD;
		p->token.text = p->token.op == FILTER_LT ? "<" : ">";
	}
	if (p->token.kind != TOKEN_WORD && p->token.kind != TOKEN_QUOTED) {
		fail(p, p->token.column, "a value for %s is expected here, not %s", fields[field].name, token_name(p));
		return FILTER_NONE;
	}
	i = new_node(p, FILTER_VALUE);
	if (i == FILTER_NONE || !set_value(p, field, &p->filter->nodes[i]) || !next(p))
		return FILTER_NONE;
	return i;
}

/* ---- tests ----------------------------------------------------------- */

static bool find_field(struct parser *p, enum filter_field *out, const char **name)
{
	static const char prefix[] = "evt.arg.";

	*name = NULL;
	if (!strncmp(p->token.text, prefix, strlen(prefix)) && p->token.text[strlen(prefix)]) {
		*out = FILTER_EVT_ARG;
		*name = p->token.text + strlen(prefix);
		return true;
	}
	if (!strcmp(p->token.text, "proc.exepath")) {
		*out = FILTER_PROC_EXE;
		return true;
	}
	for (int i = 0; i < FILTER_FIELDS; i++) {
		if (i == FILTER_EVT_ARG || strcmp(p->token.text, fields[i].name))
			continue;
		*out = (enum filter_field)i;
		return true;
	}
	return fail(
		p, p->token.column,
		"no field is called \"%s\": there are proc.name, proc.pid, proc.ppid, proc.exe, thread.tid, evt.type, "
		"evt.dir, evt.res, evt.failed, evt.latency, evt.cpu, evt.time, evt.state, evt.abi, evt.arg.NAME, "
		"proc.exepath, "
		"proc.cwd, proc.cmdline, proc.pidns, user.uid, container.id, container.full_id, fd.num, fd.type, "
		"fd.name, "
		"fd.l4proto, fd.uncertain, fd.ip, fd.port, fd.lip, fd.lport, fd.rip, fd.rport, fd.cip, fd.cport, "
		"fd.sip "
		"and fd.sport",
		p->token.text);
}

static bool operator_of(struct parser *p, enum filter_field field, enum filter_op *out)
{
	static const struct {
		const char *word;
		enum filter_op op;
	} words[] = {
		{"contains", FILTER_CONTAINS}, {"startswith", FILTER_STARTSWITH},
		{"endswith", FILTER_ENDSWITH}, {"in", FILTER_IN},
		{"exists", FILTER_EXISTS},
	};
	enum filter_kind kind = fields[field].kind;

	if (p->token.kind == TOKEN_OP) {
		*out = p->token.op;
		if (*out >= FILTER_LT && (kind == FILTER_KIND_TEXT || kind == FILTER_KIND_BOOL))
			return fail(p, p->token.column, "%s has no order: use = or !=", fields[field].name);
		return true;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!is_word(p, words[i].word))
			continue;
		*out = words[i].op;
		if (*out <= FILTER_ENDSWITH && kind != FILTER_KIND_TEXT && kind != FILTER_KIND_ARG)
			return fail(p, p->token.column, "%s is no text: %s can't be used", fields[field].name,
				    words[i].word);
		return true;
	}
	return fail(p, p->token.column,
		    "an operator (= != < <= > >= contains startswith endswith in exists) is expected after %s, not %s",
		    fields[field].name, token_name(p));
}

static bool list(struct parser *p, uint32_t test, enum filter_field field)
{
	uint32_t *link = &p->filter->nodes[test].left;

	if (p->token.kind != TOKEN_OPEN)
		return fail(p, p->token.column, "'(' is expected after in");
	do {
		uint32_t i;

		if (!next(p))
			return false;
		i = value(p, field);
		if (i == FILTER_NONE)
			return false;
		*link = i;
		link = &p->filter->nodes[i].right;
	} while (p->token.kind == TOKEN_COMMA);
	if (p->token.kind != TOKEN_CLOSE)
		return fail(p, p->token.column, "',' or ')' is expected in the list, not %s", token_name(p));
	return next(p);
}

static uint32_t test(struct parser *p)
{
	struct filter_node *node;
	enum filter_field field = FILTER_FIELDS;
	enum filter_op op = FILTER_EXISTS;
	const char *name;
	uint32_t i;

	if (p->token.kind != TOKEN_WORD) {
		fail(p, p->token.column, "a field such as proc.name is expected here, not %s", token_name(p));
		return FILTER_NONE;
	}
	i = new_node(p, FILTER_EXISTS);
	if (i == FILTER_NONE || !find_field(p, &field, &name) || !next(p))
		return FILTER_NONE;
	node = &p->filter->nodes[i];
	node->field = field;
	node->name = name;
	if (fields[field].kind == FILTER_KIND_BOOL && p->token.kind != TOKEN_OP && !is_word(p, "exists")) {
		uint32_t yes = new_node(p, FILTER_VALUE);

		if (yes == FILTER_NONE)
			return FILTER_NONE;
		p->filter->nodes[yes].is_number = true;
		p->filter->nodes[yes].number = 1;
		node->op = FILTER_EQ;
		node->left = yes;
		return i;
	}
	if (!operator_of(p, field, &op) || !next(p))
		return FILTER_NONE;
	node->op = op;
	if (op == FILTER_EXISTS)
		return i;
	if (op == FILTER_IN)
		return list(p, i, field) ? i : FILTER_NONE;
	node->left = value(p, field);
	return node->left == FILTER_NONE ? FILTER_NONE : i;
}

/* ---- and, or, not ---------------------------------------------------- */

static uint32_t or_level(struct parser *p);

static uint32_t not_level(struct parser *p)
{
	uint32_t i;

	if (++p->depth > FILTER_MAX_DEPTH) {
		fail(p, p->token.column, "the filter is nested more than %d deep", FILTER_MAX_DEPTH);
		return FILTER_NONE;
	}
	if (is_word(p, "not")) {
		i = new_node(p, FILTER_NOT);
		if (i == FILTER_NONE || !next(p))
			return FILTER_NONE;
		p->filter->nodes[i].left = not_level(p);
		if (p->filter->nodes[i].left == FILTER_NONE)
			return FILTER_NONE;
	} else if (p->token.kind == TOKEN_OPEN) {
		unsigned column = p->token.column;

		if (!next(p))
			return FILTER_NONE;
		i = or_level(p);
		if (i == FILTER_NONE)
			return FILTER_NONE;
		if (p->token.kind != TOKEN_CLOSE) {
			fail(p, p->token.column, "')' is expected for the '(' of column %u, not %s", column,
			     token_name(p));
			return FILTER_NONE;
		}
		if (!next(p))
			return FILTER_NONE;
	} else {
		i = test(p);
	}
	p->depth--;
	return i;
}

static uint32_t chain(struct parser *p, const char *word, enum filter_op op, uint32_t (*level)(struct parser *p))
{
	uint32_t left = level(p);

	while (left != FILTER_NONE && is_word(p, word)) {
		uint32_t i = new_node(p, op);

		if (i == FILTER_NONE || !next(p))
			return FILTER_NONE;
		p->filter->nodes[i].left = left;
		p->filter->nodes[i].right = level(p);
		if (p->filter->nodes[i].right == FILTER_NONE)
			return FILTER_NONE;
		left = i;
	}
	return left;
}

static uint32_t and_level(struct parser *p)
{
	return chain(p, "and", FILTER_AND, not_level);
}

static uint32_t or_level(struct parser *p)
{
	return chain(p, "or", FILTER_OR, and_level);
}

struct vmtape_error *filter_create(struct filter **out, const char *text, const struct filter_times *times)
{
	struct parser p = {.times = times, .start = text, .at = text};
	size_t length = strlen(text);

	if (length > FILTER_MAX_BYTES)
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "the filter is longer than %d bytes", FILTER_MAX_BYTES);
	p.filter = calloc(1, sizeof(*p.filter));
	if (!p.filter)
		return &vmtape_error_no_memory;
	p.filter->nodes = calloc(FILTER_MAX_NODES, sizeof(*p.filter->nodes));
	/* Each token is followed by a NUL, and none is shorter than one byte. */
	p.filter->strings = malloc(2 * length + 2);
	p.string_at = p.filter->strings;
	if (!p.filter->nodes || !p.filter->strings) {
		filter_destroy(p.filter);
		return &vmtape_error_no_memory;
	}
	if (next(&p)) {
		p.filter->root = or_level(&p);
		if (p.filter->root != FILTER_NONE && p.token.kind != TOKEN_END)
			fail(&p, p.token.column, "and, or, or the end is expected here, not %s", token_name(&p));
	}
	if (p.error) {
		filter_destroy(p.filter);
		return p.error;
	}
	*out = p.filter;
	return NULL;
}

void filter_destroy(struct filter *filter)
{
	if (!filter)
		return;
	free(filter->nodes);
	free(filter->strings);
	free(filter);
}

const char *filter_needs(const struct filter *filter)
{
	for (uint32_t i = 0; i < filter->nr_nodes; i++) {
		const struct filter_node *node = &filter->nodes[i];

		if (node->op == FILTER_AND || node->op == FILTER_OR || node->op == FILTER_NOT ||
		    node->op == FILTER_VALUE || node->field == FILTER_EVT_TYPE || node->field == FILTER_EVT_DIR ||
		    node->field == FILTER_EVT_ABI)
			continue;
		return fields[node->field].name;
	}
	return NULL;
}

bool filter_needs_fds(const struct filter *filter)
{
	for (uint32_t i = 0; filter && i < filter->nr_nodes; i++) {
		const struct filter_node *node = &filter->nodes[i];

		if (node->op != FILTER_AND && node->op != FILTER_OR && node->op != FILTER_NOT &&
		    node->op != FILTER_VALUE && node->field >= FILTER_PROC_CWD)
			return true;
	}
	return false;
}
