/* SPDX-License-Identifier: MIT */
/*
 * table.h - rows of a command, as aligned text, CSV (RFC 4180) or JSON Lines,
 * with all columns or those of --fields. Texts in cells are escaped by who makes
 * them, so that nothing that a guest chose can reach a terminal as it is.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strbuf.h"

#define TABLE_MAX_COLUMNS 24u

enum table_form {
	TABLE_TEXT,
	TABLE_CSV,
	TABLE_JSON,
};

struct table_column {
	const char *name;  /* of --fields, CSV and JSON: "p50_ns" */
	const char *title; /* of text: "P50" */
	int width;         /* of text; negative: to the left */
	bool is_span;      /* nanoseconds, which text shows as "1.25 ms" */
	bool hidden;       /* only there when --fields asks for it */
};

enum cell_kind {
	CELL_UNKNOWN, /* "-", nothing, null */
	CELL_NUMBER,
	CELL_RATIO,
	CELL_TEXT, /* escaped */
};
struct table_cell {
	enum cell_kind kind;
	int64_t number;
	double ratio;
	const char *text;
	const char *raw; /* of a text, for JSON, which escapes in its own way; NULL: as text */
};

struct table {
	const struct table_column *columns;
	size_t nr_columns;
	enum table_form form;
	size_t chosen[TABLE_MAX_COLUMNS];
	size_t nr_chosen;
	bool bold; /* the head of text */
};

void table_init(struct table *table, const struct table_column *columns, size_t nr_columns);
/* "text", "csv" or "json"; false: none of them. */
bool table_set_form(struct table *table, const char *name);
/* Names separated by commas; false: *bad (length *bad_len) is no column, or there are too many. */
bool table_choose(struct table *table, const char *fields, const char **bad, int *bad_len);
/* "pid, ppid, name" */
void table_put_names(const struct table *table, struct strbuf *out);

/* Nothing for JSON. */
void table_put_head(const struct table *table, struct strbuf *out);
/* Cells by the number of their column. */
void table_put_row(const struct table *table, struct strbuf *out, const struct table_cell *cells);

#endif
