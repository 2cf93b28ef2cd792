/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_groups.h"

void table_init(struct table *table, const struct table_column *columns, size_t nr_columns)
{
	*table = (struct table){.columns = columns, .nr_columns = nr_columns};
	for (size_t i = 0; i < nr_columns; i++)
		if (!columns[i].hidden)
			table->chosen[table->nr_chosen++] = i;
}

bool table_set_form(struct table *table, const char *name)
{
	static const char *const names[] = {"text", "csv", "json"};

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(name, names[i]))
			continue;
		table->form = (enum table_form)i;
		return true;
	}
	return false;
}

bool table_choose(struct table *table, const char *fields, const char **bad, int *bad_len)
{
	table->nr_chosen = 0;
	for (;;) {
		size_t n = strcspn(fields, ","), i;

		for (i = 0; i < table->nr_columns; i++)
			if (strlen(table->columns[i].name) == n && !strncmp(table->columns[i].name, fields, n))
				break;
		if (i == table->nr_columns || table->nr_chosen == TABLE_MAX_COLUMNS) {
			*bad = fields;
			*bad_len = (int)(n < 40 ? n : 40);
			return false;
		}
		table->chosen[table->nr_chosen++] = i;
		if (!fields[n])
			return true;
		fields += n + 1;
	}
}

void table_put_names(const struct table *table, struct strbuf *out)
{
	for (size_t i = 0; i < table->nr_columns; i++)
		strbuf_printf(out, "%s%s", i ? ", " : "", table->columns[i].name);
}

static void put_csv(struct strbuf *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		strbuf_put(out, text);
		return;
	}
	strbuf_put_char(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			strbuf_put_char(out, '"');
		strbuf_put_char(out, *text);
	}
	strbuf_put_char(out, '"');
}

/* Columns are one space apart; the last one is not filled up. */
static void put_text(struct strbuf *out, const struct table_column *column, const char *text, bool last)
{
	int width = column->width;

	if (last && width < 0)
		strbuf_put(out, text);
	else
		strbuf_printf(out, "%*s", width, text);
	for (; last && out->len && out->data[out->len - 1] == ' '; out->len--)
		;
	strbuf_put_char(out, last ? '\n' : ' ');
}

void table_put_head(const struct table *table, struct strbuf *out)
{
	if (table->form == TABLE_JSON)
		return;
	if (table->form == TABLE_TEXT && table->bold)
		strbuf_put(out, "\033[1m");
	for (size_t i = 0; i < table->nr_chosen; i++) {
		const struct table_column *column = &table->columns[table->chosen[i]];

		if (table->form == TABLE_CSV)
			strbuf_printf(out, "%s%s", column->name, i + 1 == table->nr_chosen ? "\r\n" : ",");
		else
			put_text(out, column, column->title, i + 1 == table->nr_chosen);
	}
	if (table->form == TABLE_TEXT && table->bold)
		strbuf_put(out, "\033[0m");
}

static void put_plain(struct strbuf *out, const struct table_column *column, const struct table_cell *cell, bool text)
{
	switch (cell->kind) {
	case CELL_NUMBER:
		if (text && column->is_span) {
			if (cell->number < 0)
				strbuf_put_char(out, '-');
			call_put_span(out, cell->number < 0 ? -(uint64_t)cell->number : (uint64_t)cell->number);
		} else {
			strbuf_printf(out, "%" PRId64, cell->number);
		}
		break;
	case CELL_RATIO:
		strbuf_printf(out, text ? "%.2f" : "%.4f", cell->ratio);
		break;
	case CELL_TEXT:
		strbuf_put(out, cell->text);
		break;
	default:
		strbuf_put(out, text ? "-" : "");
		break;
	}
}

static void put_json(struct strbuf *out, const struct table_column *column, const struct table_cell *cell)
{
	const char *text = cell->raw ? cell->raw : cell->text;

	if (cell->kind == CELL_UNKNOWN) {
		strbuf_put(out, "null");
	} else if (cell->kind == CELL_TEXT) {
		strbuf_put_char(out, '"');
		strbuf_put_json(out, text, strlen(text));
		strbuf_put_char(out, '"');
	} else {
		put_plain(out, column, cell, false);
	}
}

void table_put_row(const struct table *table, struct strbuf *out, const struct table_cell *cells)
{
	struct strbuf plain = {0};

	for (size_t i = 0; i < table->nr_chosen; i++) {
		const struct table_column *column = &table->columns[table->chosen[i]];
		const struct table_cell *cell = &cells[table->chosen[i]];
		bool last = i + 1 == table->nr_chosen;

		if (table->form == TABLE_JSON) {
			strbuf_printf(out, "%s\"%s\": ", i ? ", " : "{", column->name);
			put_json(out, column, cell);
			if (last)
				strbuf_put(out, "}\n");
			continue;
		}
		strbuf_reset(&plain);
		put_plain(&plain, column, cell, table->form == TABLE_TEXT);
		if (table->form == TABLE_TEXT) {
			put_text(out, column, plain.data ? plain.data : "", last);
		} else {
			put_csv(out, plain.data ? plain.data : "");
			strbuf_put(out, last ? "\r\n" : ",");
		}
	}
	strbuf_deinit(&plain);
}
