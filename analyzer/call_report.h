/* SPDX-License-Identifier: MIT */
/* call_report.h - what commands share that sum up a tape's calls in rows: options, the walk, CSV. Only for the command.
 */
#ifndef CALL_REPORT_H
#define CALL_REPORT_H

#include "call_stream.h"
#include "command.h"
#include "filter.h"

enum report_format { REPORT_TEXT, REPORT_JSON, REPORT_CSV };

#define REPORT_MAX_ROWS (1u << 18) /* what further ones would be is counted */

struct report {
	const char *name, *help; /* of the command */
	const char *filter_text;
	struct command_span span;
	enum report_format format;
	bool local;
	uint64_t top; /* rows to show; 0: all */
	struct session *session;
	struct filter *filter;
	struct strbuf line;
	uint64_t gaps, rest; /* gaps; calls that found no row */
	size_t shown;
	/* A call that matched. */
	struct vmtape_error *(*take)(struct report *report, const struct call *call);
	/* All were taken: shows them. */
	struct vmtape_error *(*show)(struct report *report);
};

/* The whole command: its exit status. */
int report_main(struct report *report, int argc, char **argv);
/* A row is on report->line: false: stop. */
bool report_row(struct report *report);

void report_put_csv(struct strbuf *out, const char *text, size_t n);
void report_put_json(struct strbuf *out, const char *text, size_t n);
/* , "first_time": "…Z", "last_time": "…Z" */
void report_put_times(struct strbuf *out, int64_t first_ns, int64_t last_ns);

#endif
