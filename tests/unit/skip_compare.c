/* SPDX-License-Identifier: MIT */
#include "skip_compare.h"

#include "call_fixture.h"
#include "check.h"
#include "filter.h"
#include "output/output.h"
#include "skip_plan.h"

static void show(struct strbuf *out, struct session *session, const struct filter *filter,
		 const struct call_stream_options *options)
{
	struct call_stream *stream;
	struct call_item item;
	bool more;

	FIXTURE_OK(call_stream_create(&stream, session, options));
	for (;;) {
		FIXTURE_OK(call_stream_next(stream, &item, &more));
		if (!more)
			break;
		if (item.is_gap) {
			output_json_gap(out, &item, session_clock(session));
		} else if (filter_match(filter, &item.call, 0)) {
			output_json_call(out, &item.call);
			strbuf_printf(out, " %d %d\n", item.call.uncertain, item.call.thread.uncertain);
		}
	}
	call_stream_destroy(stream);
}

static void print_difference(const char *a, const char *b)
{
	size_t at = 0, line = 0;

	for (; a[at] && a[at] == b[at]; at++)
		if (a[at] == '\n')
			line = at + 1;
	fprintf(stderr, "read all: %.*s\nskipping: %.*s\n", (int)strcspn(a + line, "\n"), a + line,
		(int)strcspn(b + line, "\n"), b + line);
}

void skip_compare(struct session *session, const char *text, struct call_stream_options options,
		  struct skip_counts *counts)
{
	struct filter_times times = {.start_ns = session_start_ns(session)};
	struct skip_question question = {NULL, options.from_tsc, options.to_tsc, false};
	struct strbuf all = {0}, some = {0};
	struct skip_plan_stats stats;
	struct skip_plan *plan;
	struct filter *filter;

	FIXTURE_OK(filter_create(&filter, text, &times));
	question.filter = filter;
	FIXTURE_OK(skip_plan_create(&plan, session, &question));
	skip_plan_get_stats(plan, &stats);
	skip_plan_destroy(plan);
	counts->records += stats.nr_records;
	counts->skipped += stats.nr_records - stats.nr_needed_records;
	counts->filters++;
	options.read_all = false;
	options.filter = filter;
	show(&some, session, filter, &options);
	/* A stream that knows no filter leaves nothing out. */
	options.read_all = true;
	options.filter = NULL;
	show(&all, session, filter, &options);
	strbuf_put_char(&all, '\0');
	strbuf_put_char(&some, '\0');
	counts->lines += all.len;
	if (all.len != some.len || memcmp(all.data, some.data, all.len)) {
		fprintf(stderr, "%s (from %llu to %llu)\n", text, (unsigned long long)options.from_tsc,
			(unsigned long long)options.to_tsc);
		print_difference(all.data, some.data);
		CHECK(!"the same lines");
	}
	strbuf_deinit(&all);
	strbuf_deinit(&some);
	filter_destroy(filter);
}
