/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "call_pool.h"
#include "terminal.h"

int command_misused(const char *name, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "vmtape %s: ", name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see vmtape %s --help\n", name);
	return STATUS_BAD;
}

int command_failed(struct vmtape_error *error)
{
	terminal_end();
	fprintf(stderr, "vmtape: %s\n", error->message);
	vmtape_error_destroy(error);
	return STATUS_BAD;
}

bool command_choose_fields(const char *name, struct table *table, const char *fields)
{
	struct strbuf names = {0};
	const char *bad;
	int bad_len;

	if (table_choose(table, fields, &bad, &bad_len))
		return true;
	table_put_names(table, &names);
	command_misused(name, "--fields: \"%.*s\" is none of %s", bad_len, bad, names.data);
	strbuf_deinit(&names);
	return false;
}

int command_bad_option(const char *name, char **argv)
{
	const char *given = argv[optind - 1];

	if (optopt && strncmp(given, "--", 2))
		return command_misused(name, "option -%c is not known, or lacks its value", optopt);
	if (optopt)
		return command_misused(name, "option %s lacks its value, or takes none", given);
	return command_misused(name, "option %s is not known", given);
}

const char *command_operand(const char *name, int argc, char **argv, const char *what)
{
	if (optind == argc)
		command_misused(name, "the %s is missing", what);
	else if (optind + 1 < argc)
		command_misused(name, "\"%s\" is one operand too many", argv[optind + 1]);
	else
		return argv[optind];
	return NULL;
}

bool command_number(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

bool command_threads(const char *text, unsigned *out)
{
	uint64_t n;

	if (!command_number(text, &n) || !n || n > CALL_POOL_MAX_THREADS)
		return false;
	*out = (unsigned)n;
	return true;
}

struct vmtape_error *command_resolve_time(const char *text, const struct session *session, bool local, uint64_t *tsc)
{
	int64_t time_ns;
	struct vmtape_error *error = time_parse(text, session_start_ns(session), local, &time_ns);

	if (error)
		return error;
	if (guest_clock_tsc(session_clock(session), time_ns, tsc))
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_USAGE,
				   "time \"%s\": the tape has no clock (no snapshot), so that it can't be placed",
				   text);
}

struct vmtape_error *command_resolve_span(struct command_span *span, const struct session *session, bool local)
{
	struct vmtape_error *error = NULL;

	span->from_tsc = 0;
	span->to_tsc = UINT64_MAX;
	if (span->from)
		error = command_resolve_time(span->from, session, local, &span->from_tsc);
	if (!error && span->to)
		error = command_resolve_time(span->to, session, local, &span->to_tsc);
	return error;
}

void command_note_guest(struct session *session)
{
	if (session_guest(session))
		return;
	fprintf(stderr, "vmtape: guest not identified: %s\n", session_guest_problem(session)->message);
}

void command_note_damage(struct session *session)
{
	const struct tape_problem *problems;
	size_t n = tape_reader_problems(session_reader(session), &problems);

	if (n)
		fprintf(stderr,
			"vmtape: %zu damaged part%s of the tape left out, the first at offset %" PRIu64
			": `vmtape verify` tells more\n",
			n, n == 1 ? "" : "s", problems[0].offset);
}

void command_note_names(const struct call_stream *stream)
{
	struct call_stream_stats stats;

	call_stream_get_stats(stream, &stats);
	if (stats.names_full)
		fprintf(stderr, "vmtape: so many command lines, programs and directories that later ones are shown "
				"as not known\n");
}

/* ---- sandbox --------------------------------------------------------- */

/* The sanitizers' runtimes need what the sandbox refuses. */
#ifdef VMTAPE_SANITIZED
static bool no_sandbox = true;
#else
static bool no_sandbox;
#endif
static bool verbose;

void command_take_common(int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		if (!strcmp(argv[i], "--")) {
			while (i < *argc)
				argv[kept++] = argv[i++];
			break;
		}
		if (!strcmp(argv[i], "--no-sandbox"))
			no_sandbox = true;
		else if (!strcmp(argv[i], "--verbose"))
			verbose = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	*argc = kept;
}

struct vmtape_error *command_confine(const struct sandbox_room *room)
{
	struct sandbox_state state;
	struct vmtape_error *error;

	if (no_sandbox) {
		if (verbose)
			fprintf(stderr, "vmtape: no sandbox\n");
		return NULL;
	}
	error = sandbox_enter(room, &state);
	if (error || !verbose)
		return error;
	if (state.landlock_abi)
		fprintf(stderr, "vmtape: sandbox: seccomp and Landlock (ABI %d)\n", state.landlock_abi);
	else
		fprintf(stderr, "vmtape: sandbox: seccomp alone, without Landlock: %s\n",
			strerror(state.landlock_error));
	return NULL;
}

struct vmtape_error *command_confine_maker(char *const *paths, unsigned count, const char *output)
{
	struct sandbox_room room = {
		.read = paths, .nr_read = count, .write_beside = strcmp(output, "-") ? output : NULL};

	return command_confine(&room);
}

static struct vmtape_error *open_all(struct session **out, char *const *paths, unsigned count,
				     const struct session_options *options)
{
	struct sandbox_room room = {.read = paths, .nr_read = count};
	struct vmtape_error *error = command_confine(&room);

	for (unsigned i = 0; i < count && !error; i++)
		error = session_open(&out[i], paths[i], options);
	if (error || no_sandbox)
		return error;
	return sandbox_seal();
}

struct vmtape_error *command_open(struct session **out, const char *path, const struct session_options *options)
{
	return open_all(out, (char *[]){(char *)path}, 1, options);
}

struct vmtape_error *command_open_all(struct session **out, char *const *paths, unsigned count)
{
	return open_all(out, paths, count, NULL);
}

/* ---- output ---------------------------------------------------------- */

bool command_write(struct strbuf *line)
{
	if (line->failed) {
		errno = ENOMEM;
		return false;
	}
	if (line->len)
		fwrite_unlocked(line->data, 1, line->len, stdout); /* who writes holds the turn */
	strbuf_reset(line);
	return !ferror(stdout);
}

int command_finish(int status)
{
	bool failed = fflush(stdout) || ferror(stdout);
	int why = errno;

	terminal_end();
	errno = why;
	if (!failed || errno == EPIPE)
		return status;
	fprintf(stderr, "vmtape: standard output: %s\n", strerror(errno));
	return STATUS_BAD;
}

/* ---- progress -------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_start(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress){.what = what, .total = total, .start_ms = now_ms()};
	progress->off = !total || !isatty(STDERR_FILENO) || isatty(STDOUT_FILENO);
}

void progress_show(struct progress *progress, uint64_t done)
{
	int64_t now;

	if (progress->off || done - progress->last_done < 4096)
		return;
	progress->last_done = done;
	now = now_ms();
	if (now - progress->start_ms < 1000 || now - progress->last_ms < 200)
		return;
	progress->last_ms = now;
	progress->shown = true;
	fprintf(stderr, "\r%s: %3d %% ", progress->what,
		(int)(100.0 * (double)(done < progress->total ? done : progress->total) / (double)progress->total));
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fprintf(stderr, "\r\033[K");
	progress->shown = false;
}
