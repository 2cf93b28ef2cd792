/* SPDX-License-Identifier: MIT */
/* vmtape files - who touched which file how. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "call_fd_text.h"
#include "call_report.h"
#include "call_touch.h"
#include "linux/captured.h"
#include "u64_map.h"

struct file_row {
	int32_t pid;
	char comm[16 + 1];
	struct fd_object *path;
	uint64_t opens, failed, reads, bytes_read, writes, bytes_written, maps, removes, renames, execs, changes;
	int64_t first_ns, last_ns;
	bool uncertain;
};

struct files {
	struct report report;
	struct touch_cache cache;
	struct u64_map by_key;
	struct file_row *rows;
	size_t count, room;
};

static const char help[] =
	"Usage: vmtape files TAPE [OPTION]...\n"
	"Show which process touched which file how: opens, reads and writes with their bytes, and the rest, a row for "
	"each\n"
	"process and path; those with the most bytes come first.\n\n"
	"  -f, --filter FILTER   only the calls that match: see vmtape events --help\n"
	"      --from TIME       entered at TIME or later: HH:MM:SS[.frac], +SECONDS from the start, ISO 8601\n"
	"      --to TIME         entered before TIME\n"
	"      --top N           the first N rows\n"
	"      --format FORMAT   text (default), json: one object a line, csv\n"
	"      --local           times of --from and --to are in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"OPENS +N: N that failed. OTHER: m mapped, x executed, d removed, r renamed, c changed (owner, mode, size, new "
	"name);\n"
	"? the path is not sure, as records were lost.\n"
	"Exit status: 0 done, 1 no file was touched, 2 bad usage or bad input.\n";

static struct file_row *row_of(struct files *f, const struct call *call, struct fd_object *path)
{
	uint64_t key, at;
	struct file_row *row;

	/* others may have the same hash: to the next place then */
	for (uint64_t place = 0;; place++) {
		key = XXH3_64bits_withSeed(path->name, path->name_len, (uint32_t)call->thread.pid | place << 32);
		if (!u64_map_get(&f->by_key, key, &at))
			break;
		row = &f->rows[at];
		if (row->pid == call->thread.pid && row->path->name_len == path->name_len &&
		    !memcmp(row->path->name, path->name, path->name_len))
			return row;
	}
	if (f->count == REPORT_MAX_ROWS) {
		f->report.rest++;
		return NULL;
	}
	if (f->count == f->room) {
		size_t room = f->room ? f->room * 2 : 256;
		struct file_row *rows = realloc(f->rows, room * sizeof(*rows));

		if (!rows)
			return NULL;
		f->rows = rows;
		f->room = room;
	}
	if (!u64_map_set(&f->by_key, key, f->count))
		return NULL;
	row = &f->rows[f->count++];
	*row = (struct file_row){.pid = call->thread.pid, .path = fd_object_hold(path), .first_ns = call->time_ns};
	memcpy(row->comm, call->thread.comm, sizeof(row->comm));
	return row;
}

static struct file_row *touched(struct files *f, const struct call *call, struct fd_object *path, bool uncertain)
{
	struct file_row *row;

	if (!path || !path->name_len || (path->kind != FD_FILE && path->kind != FD_DIRECTORY && path->kind != FD_MEMFD))
		return NULL;
	row = row_of(f, call, path);
	if (!row)
		return NULL;
	row->last_ns = call->time_ns;
	row->uncertain |= uncertain || call->uncertain;
	memcpy(row->comm, call->thread.comm, sizeof(row->comm));
	return row;
}

static void data(struct files *f, const struct call *call, int arg, bool in, bool bytes)
{
	struct file_row *row;

	if (arg < 0 || !call_is_ok(call) || call->ret < 0)
		return;
	row = touched(f, call, call->fds->objects[arg], call->fds->uncertain >> arg & 1);
	if (!row)
		return;
	row->reads += in;
	row->writes += !in;
	row->bytes_read += in && bytes ? (uint64_t)call->ret : 0;
	row->bytes_written += !in && bytes ? (uint64_t)call->ret : 0;
}

static void named(struct files *f, const struct call *call, const struct call_touch *touch)
{
	for (int i = 0; i < 2; i++) {
		bool uncertain = false, ok = call_is_ok(call);
		struct fd_object *path;
		struct file_row *row;

		if (touch->paths[i] < 0)
			continue;
		path = call_touch_path(call, touch, i, &uncertain);
		row = path ? touched(f, call, path, uncertain) : NULL;
		fd_object_release(path);
		if (!row)
			continue;
		row->opens += ok && touch->what == TOUCH_OPEN;
		row->failed += !ok && call->ret_known;
		row->removes += ok && touch->what == TOUCH_REMOVE;
		row->renames += ok && touch->what == TOUCH_RENAME;
		row->execs += ok && touch->what == TOUCH_EXEC;
		row->changes += ok && touch->what == TOUCH_CHANGE;
	}
}

static struct vmtape_error *take(struct report *report, const struct call *call)
{
	struct files *f = (struct files *)report;
	const struct call_touch *touch = call_touch(&f->cache, call);
	struct file_row *row;

	if (!touch || !call->fds)
		return NULL;
	if (touch->what == TOUCH_DATA || touch->what == TOUCH_MESSAGES) {
		data(f, call, touch->in, true, touch->what == TOUCH_DATA);
		data(f, call, touch->out, false, touch->what == TOUCH_DATA);
	} else if (touch->fd >= 0 && call_is_ok(call)) {
		row = touched(f, call, call->fds->objects[touch->fd], call->fds->uncertain >> touch->fd & 1);
		if (row) {
			row->maps += touch->what == TOUCH_MAP;
			row->changes += touch->what == TOUCH_CHANGE;
		}
	} else {
		named(f, call, touch);
	}
	return NULL;
}

static int by_bytes(const void *a, const void *b)
{
	const struct file_row *x = a, *y = b;
	uint64_t m = x->bytes_read + x->bytes_written, n = y->bytes_read + y->bytes_written;
	int order;

	if (m != n)
		return m > n ? -1 : 1;
	order = strcmp(x->path->name, y->path->name);
	return order ? order : x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void put_text(struct strbuf *out, const struct file_row *row)
{
	char opens[32], other[8] = "";
	size_t n = 0;
	struct strbuf comm = {0};

	snprintf(opens, sizeof(opens), row->failed ? "%" PRIu64 "+%" PRIu64 : "%" PRIu64, row->opens, row->failed);
	if (row->maps)
		other[n++] = 'm';
	if (row->execs)
		other[n++] = 'x';
	if (row->removes)
		other[n++] = 'd';
	if (row->renames)
		other[n++] = 'r';
	if (row->changes)
		other[n++] = 'c';
	if (row->uncertain)
		other[n++] = '?';
	strbuf_put_escaped(&comm, row->comm, strlen(row->comm));
	strbuf_printf(out, "%7" PRId32 " %-15s %7s %7" PRIu64 " %10" PRIu64 " %7" PRIu64 " %10" PRIu64 " %-6s ",
		      row->pid, comm.data ? comm.data : "?", opens, row->reads, row->bytes_read, row->writes,
		      row->bytes_written, other);
	strbuf_put_escaped(out, row->path->name, row->path->name_len);
	strbuf_put_char(out, '\n');
	strbuf_deinit(&comm);
}

static void put_json(struct strbuf *out, const struct file_row *row)
{
	strbuf_printf(out, "{\"pid\": %" PRId32 ", \"process\": ", row->pid);
	report_put_json(out, row->comm, strlen(row->comm));
	strbuf_put(out, ", \"path\": ");
	report_put_json(out, row->path->name, row->path->name_len);
	strbuf_printf(out,
		      ", \"opens\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"reads\": %" PRIu64
		      ", \"bytes_read\": %" PRIu64 ", \"writes\": %" PRIu64 ", \"bytes_written\": %" PRIu64
		      ", \"maps\": %" PRIu64 ", \"execs\": %" PRIu64 ", \"removes\": %" PRIu64 ", \"renames\": %" PRIu64
		      ", \"changes\": %" PRIu64,
		      row->opens, row->failed, row->reads, row->bytes_read, row->writes, row->bytes_written, row->maps,
		      row->execs, row->removes, row->renames, row->changes);
	report_put_times(out, row->first_ns, row->last_ns);
	strbuf_put(out, row->uncertain ? ", \"uncertain\": true}\n" : "}\n");
}

static void put_csv(struct strbuf *out, const struct file_row *row)
{
	strbuf_printf(out, "%" PRId32 ",", row->pid);
	report_put_csv(out, row->comm, strlen(row->comm));
	strbuf_printf(out,
		      ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
		      ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d,",
		      row->opens, row->failed, row->reads, row->bytes_read, row->writes, row->bytes_written, row->maps,
		      row->execs, row->removes, row->renames, row->changes, row->uncertain);
	report_put_csv(out, row->path->name, row->path->name_len);
	strbuf_put_char(out, '\n');
}

static struct vmtape_error *show(struct report *r)
{
	struct files *f = (struct files *)r;

	if (f->count)
		qsort(f->rows, f->count, sizeof(*f->rows), by_bytes);
	if (r->format == REPORT_CSV)
		strbuf_put(&r->line,
			   "pid,process,opens,failed,reads,bytes_read,writes,bytes_written,maps,execs,removes,"
			   "renames,changes,uncertain,path\n");
	else if (r->format == REPORT_TEXT && f->count)
		strbuf_printf(&r->line, "%7s %-15s %7s %7s %10s %7s %10s %-6s %s\n", "PID", "PROCESS", "OPENS", "READS",
			      "BYTES", "WRITES", "BYTES", "OTHER", "PATH");
	for (size_t i = 0; i < f->count; i++) {
		if (r->format == REPORT_JSON)
			put_json(&r->line, &f->rows[i]);
		else if (r->format == REPORT_CSV)
			put_csv(&r->line, &f->rows[i]);
		else
			put_text(&r->line, &f->rows[i]);
		if (!report_row(r))
			break;
	}
	return NULL;
}

int cmd_files(int argc, char **argv)
{
	struct files f = {.report = {.name = "files", .help = help, .take = take, .show = show}};
	int status = report_main(&f.report, argc, argv);

	for (size_t i = 0; i < f.count; i++)
		fd_object_release(f.rows[i].path);
	free(f.rows);
	u64_map_deinit(&f.by_key);
	return status;
}
