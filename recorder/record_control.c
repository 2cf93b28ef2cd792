/* SPDX-License-Identifier: MIT */
/*
 * record_control.c - what the commands of the control socket do. A command may
 * come wherever the main thread waits; it is done between two steps of the
 * recording, and then answered.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record_meta.h"
#include "record_state.h"

#define IDLE_MS 60000

/* ---- answers --------------------------------------------------------- */

struct answer {
	FILE *out;
	char *text;
	size_t size_bytes;
};

static bool answer_begin(struct answer *answer, bool fine)
{
	*answer = (struct answer){0};
	answer->out = open_memstream(&answer->text, &answer->size_bytes);
	if (answer->out)
		fprintf(answer->out, "{\"ok\": %s", fine ? "true" : "false");
	return answer->out;
}

static void answer_count(const struct answer *answer, const char *key, uint64_t value)
{
	fprintf(answer->out, ", \"%s\": %" PRIu64, key, value);
}

static void answer_text(const struct answer *answer, const char *key, const char *text)
{
	fprintf(answer->out, ", \"%s\": ", key);
	control_put_string(answer->out, text);
}

static void answer_end(struct session *session, uint64_t client, struct answer *answer)
{
	fputs("}\n", answer->out);
	if (!fclose(answer->out))
		client_server_answer(session->control.server, client, answer->text, answer->size_bytes);
	free(answer->text);
}

static void refuse(struct session *session, uint64_t client, const char *why)
{
	struct answer answer;

	if (!answer_begin(&answer, false))
		return;
	answer_text(&answer, "error", why);
	answer_end(session, client, &answer);
}

static void answer_status(struct session *session, uint64_t client)
{
	struct tape_stats stats;
	struct answer answer;

	if (!answer_begin(&answer, true))
		return;
	tape_thread_get_stats(session->tape, &stats);
	answer_text(&answer, "state", session->service.is_recording ? "recording" : "ending");
	answer_text(&answer, "vm", session->service.vm_name);
	answer_text(&answer, "tape", session->tape_path);
	answer_count(&answer, "pid", (uint64_t)getpid());
	answer_count(&answer, "seconds", (now_ns() - session->progress.started_ns) / NS_PER_S);
	answer_count(&answer, "events", stats.traps.events);
	answer_count(&answer, "records", stats.traps.records);
	answer_count(&answer, "lost_records", record_progress_lost(&session->progress));
	answer_count(&answer, "snapshots", stats.snapshots);
	answer_count(&answer, "last_pause_ns", session->snapshot.figures.pause_ns);
	answer_count(&answer, "ring_fill_percent", record_progress_rings(&session->progress).fill_percent);
	answer_count(&answer, "tape_bytes", stats.file_bytes);
	answer_count(&answer, "tapes", stats.nr_tapes + 1u);
	answer_count(&answer, "triggers", session->trigger.nr_triggers);
	if (session->options->trigger_when) {
		answer_count(&answer, "matches", session->watch.nr_matches);
		answer_count(&answer, "match_cpu_ms", call_watch_cpu_ns(&session->watch) / NS_PER_MS);
	}
	answer_end(session, client, &answer);
}

/* ---- commands -------------------------------------------------------- */

static void do_snapshot(struct session *session, uint64_t client)
{
	struct record_error why = {0};
	struct answer answer;

	if (session->options->no_snapshots) {
		refuse(session, client, "the recording is one without snapshots");
	} else if (record_take_snapshot(session, &why)) {
		refuse(session, client, why.message);
	} else if (answer_begin(&answer, true)) {
		answer_count(&answer, "id", session->snapshot.last_id);
		answer_count(&answer, "pause_ns", session->snapshot.figures.pause_ns);
		answer_count(&answer, "pages", session->snapshot.figures.cost.dirty_pages);
		answer_end(session, client, &answer);
	}
}

static void do_rotate(struct session *session, uint64_t client)
{
	struct record_error why = {0};
	struct answer answer;

	if (record_rotate(session, "asked for at the control socket", &why)) {
		record_check_threads(session);
		refuse(session, client, why.message);
	} else if (answer_begin(&answer, true)) {
		answer_text(&answer, "tape", session->tape_path);
		answer_end(session, client, &answer);
	}
}

static void do_note(struct session *session, uint64_t client, const char *text)
{
	struct record_error why = {0};
	struct answer answer;

	if (record_note(session, "note", ++session->rotation.nr_notes, text, &why))
		refuse(session, client, why.message);
	else if (answer_begin(&answer, true))
		answer_end(session, client, &answer);
}

static void do_trigger(struct session *session, uint64_t client, const char *text)
{
	struct record_error why = {0};
	struct answer answer;

	if (record_trigger(session, text, &why)) {
		refuse(session, client, why.message);
	} else if (answer_begin(&answer, true)) {
		answer_count(&answer, "trigger", session->trigger.nr_triggers);
		answer_text(&answer, "action", session->options->on_trigger == TRIGGER_COPY ? "copy" : "freeze");
		answer_count(&answer, "after_ms", session->options->trigger_after_ms);
		answer_end(session, client, &answer);
	}
}

static void do_stop(struct session *session, uint64_t client, const char *text)
{
	struct answer answer;

	/* At once, as what we are in the middle of may wait for a VM that does not answer. */
	snprintf(session->asked_reason, sizeof(session->asked_reason), "stopped at the control socket%s%s",
		 text[0] ? ": " : "", text);
	loop_stop(&session->loop);
	if (answer_begin(&answer, true))
		answer_end(session, client, &answer);
}

static void do_command(struct session *session, uint64_t client, const struct control_command *command)
{
	switch (command->verb) {
	case CONTROL_SNAPSHOT:
		do_snapshot(session, client);
		break;
	case CONTROL_ROTATE:
		do_rotate(session, client);
		break;
	case CONTROL_NOTE:
		do_note(session, client, command->text);
		break;
	case CONTROL_TRIGGER:
		do_trigger(session, client, command->text);
		break;
	default: /* done when they came */
		break;
	}
}

static void serve(void *ctx, uint64_t client, const char *line, size_t size_bytes)
{
	struct session *session = ctx;
	struct record_control *control = &session->control;
	char copy[CLIENT_SERVER_MAX_REQUEST_BYTES + 1];
	struct control_command command;
	const char *why;

	size_bytes -= size_bytes >= 2 && line[size_bytes - 2] == '\r' ? 2 : 1;
	memcpy(copy, line, size_bytes);
	copy[size_bytes] = '\0';
	if (strlen(copy) != size_bytes)
		refuse(session, client, "the command has a NUL in it");
	else if (control_parse(&command, copy, &why))
		refuse(session, client, why);
	else if (command.verb == CONTROL_STATUS)
		answer_status(session, client);
	else if (!session->service.is_recording || session->loop.stop)
		refuse(session, client, "the recording ends already");
	else if (command.verb == CONTROL_STOP)
		do_stop(session, client, command.text);
	else if (control->nr_pending == CLIENT_SERVER_MAX_CLIENTS)
		refuse(session, client, "too many commands at once");
	else
		control->pending[control->nr_pending++] = (struct control_pending){client, command};
}

void record_control_step(struct session *session)
{
	struct record_control *control = &session->control;

	while (control->nr_pending && !session->ending) {
		struct control_pending next = control->pending[0];

		control->nr_pending--;
		memmove(control->pending, control->pending + 1, control->nr_pending * sizeof(next));
		do_command(session, next.client, &next.command);
	}
}

/* ---- made and ended -------------------------------------------------- */

static const struct client_server_kind lines = {
	.mode = 0600,
	.idle_ms = IDLE_MS,
	.measure = control_measure,
	.serve = serve,
	.too_long = "{\"ok\": false, \"error\": \"the command is too long\"}\n",
};

int record_control_init(struct session *session, struct record_error *error)
{
	const char *path = session->options->control_path;

	return path ? client_server_create(&session->control.server, path, &lines, session, error) : 0;
}

void record_control_ending(struct session *session)
{
	struct record_control *control = &session->control;

	while (control->nr_pending)
		refuse(session, control->pending[--control->nr_pending].client, "the recording ends already");
}
