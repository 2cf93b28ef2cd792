/* SPDX-License-Identifier: MIT */
/* command.h - what vmtape's subcommands share: exit statuses, complaints, output, progress. Only for the command. */
#ifndef COMMAND_H
#define COMMAND_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "sandbox.h"
#include "session.h"
#include "strbuf.h"
#include "table.h"

enum command_status {
	STATUS_DONE = 0,
	STATUS_NOTHING = 1, /* found nothing, or a check failed */
	STATUS_BAD = 2,     /* bad usage or bad input */
	STATUS_GO_ON = -1,  /* options are read, the work is to be done */
};

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand's name */
};

int cmd_info(int argc, char **argv);
int cmd_cut(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_memory(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_fds(int argc, char **argv);
int cmd_files(int argc, char **argv);
int cmd_maps(int argc, char **argv);
int cmd_net(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_verify(int argc, char **argv);

/* "vmtape events: …; see vmtape events --help" on stderr; STATUS_BAD. */
int command_misused(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The error on stderr, which is freed; STATUS_BAD. */
int command_failed(struct vmtape_error *error);
/* getopt_long() returned '?' or ':'. */
/* --fields, whose columns the table then shows; true: all of them are there, else what is wrong has been told. */
bool command_choose_fields(const char *name, struct table *table, const char *fields);
int command_bad_option(const char *name, char **argv);
/* The one operand, or NULL after a complaint. */
const char *command_operand(const char *name, int argc, char **argv, const char *what);

/* A decimal number and nothing else. */
bool command_number(const char *text, uint64_t *out);
/* --threads: from 1 to CALL_POOL_MAX_THREADS. */
bool command_threads(const char *text, unsigned *out);

/* ---- options of several commands ------------------------------------- */

/* Times of --from, --to and --at need the tape: they are kept as text until it is open. */
struct command_span {
	const char *from, *to;
	uint64_t from_tsc, to_tsc;
};
/* NULL texts: 0 and UINT64_MAX. */
struct vmtape_error *command_resolve_span(struct command_span *span, const struct session *session, bool local);
struct vmtape_error *command_resolve_time(const char *text, const struct session *session, bool local, uint64_t *tsc);
/* One line on stderr when the guest is not known. */
void command_note_guest(struct session *session);
/* One line on stderr when parts of the tape could not be read, after reading it. */
void command_note_damage(struct session *session);
/* One line on stderr when there was no room for what processes are called, after the last call. */
struct call_stream;
void command_note_names(const struct call_stream *stream);

/* ---- sandbox (sandbox.h) --------------------------------------------- */

/* Takes --no-sandbox and --verbose, which all commands have, out of the arguments. */
void command_take_common(int *argc, char **argv);
/* Before anything of a tape is read: from here on only the room is open. Nothing happens with --no-sandbox. */
struct vmtape_error *command_confine(const struct sandbox_room *room);
/* session_open() of a tape by whom nothing else is opened: confined before, sealed behind. */
struct vmtape_error *command_open(struct session **out, const char *path, const struct session_options *options);
/* The same of several tapes; those that were opened are in out, also with an error. */
struct vmtape_error *command_open_all(struct session **out, char *const *paths, unsigned count);
/* Before a command that makes a file of these tapes opens them; output "-" is standard output. */
struct vmtape_error *command_confine_maker(char *const *paths, unsigned count, const char *output);

/* ---- output ---------------------------------------------------------- */

/* Writes the line to stdout and empties it; false: stop, the reader is gone or the disk is full. */
bool command_write(struct strbuf *line);
/* Flushes stdout and waits for the pager. status, or STATUS_BAD when something could not be written; a reader that went
 * away is no error. */
int command_finish(int status);

/* ---- progress -------------------------------------------------------- */

/* On stderr, when that is a terminal and stdout is not, from the first second on. */
struct progress {
	const char *what;
	uint64_t total, last_done;
	int64_t start_ms, last_ms;
	bool off, shown;
};
void progress_start(struct progress *progress, const char *what, uint64_t total);
void progress_show(struct progress *progress, uint64_t done); /* cheap; call it often */
void progress_end(struct progress *progress);

#endif
