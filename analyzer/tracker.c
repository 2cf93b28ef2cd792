/* SPDX-License-Identifier: MIT */
#include "tracker_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linux/linux_state.h"
#include "process_fds.h"

/* Only of what begins a call, or who asks: half of all records are exits, whose call knows its thread. */
static void identify(struct tracker *t, const struct trap_view *view)
{
	if (!t->is_identified)
		processes_identify(t->processes, view, &t->thread);
	t->is_identified = true;
}

/* ---- pairing's callbacks --------------------------------------------- */

static void on_begin(void *ctx, uint64_t number, const struct trap_view *enter)
{
	struct tracker *t = ctx;

	identify(t, enter);
	if (t->sink.begin)
		t->sink.begin(t->sink.ctx, number, enter, &t->thread);
}

static void on_end(void *ctx, uint64_t number, const struct pairing_end *end)
{
	struct tracker *t = ctx;

	if (t->sink.end)
		t->sink.end(t->sink.ctx, number, end);
}

static void on_exit_only(void *ctx, uint64_t number, const struct trap_view *exit)
{
	struct tracker *t = ctx;

	identify(t, exit);
	if (t->sink.exit_only)
		t->sink.exit_only(t->sink.ctx, number, exit, &t->thread);
}

static enum call_role on_role(void *ctx, uint8_t abi, uint32_t nr)
{
	struct tracker *t = ctx;

	return session_role(t->session, t->tsc, abi, nr);
}

static bool on_exe(void *ctx, uint64_t tsc, const struct process_exe *exe, char *out, size_t size_bytes)
{
	struct tracker *t = ctx;

	return session_guest_at(t->session, tsc) &&
	       session_exe_path(t->session, tsc, GVA(exe->mnt), GVA(exe->dentry), out, size_bytes);
}

/* Until its end, what is passed over may tell more of the task. */
static bool forget_passed(struct tracker *t, uint64_t task)
{
	uint64_t until_tsc;

	if (!t->passed.count || !u64_map_get(&t->passed, task, &until_tsc))
		return false;
	if (until_tsc < t->tsc)
		u64_map_remove(&t->passed, task);
	return true;
}

static void on_gone(void *ctx, uint64_t task)
{
	struct tracker *t = ctx;

	u64_map_remove(&t->passed, task);
	pairing_end_task(t->pairing, task);
}

/* ---- snapshots ------------------------------------------------------- */

static void add_task(void *ctx, const struct linux_task *task)
{
	struct tracker *t = ctx;
	struct vmtape_error *error = processes_snapshot_add(t->processes, task), *partly;

	/* that a table can't be read leaves it as it was, uncertain after a gap */
	if (!error && t->state) {
		partly = process_fds_snapshot(t->processes, t->state, task);
		if (partly && partly->code == VMTAPE_ERROR_NO_MEMORY)
			error = partly;
		else
			vmtape_error_destroy(partly);
	}
	if (t->failed)
		vmtape_error_destroy(error);
	else
		t->failed = error;
}

static void add_hint(void *ctx, const struct linux_task *task)
{
	struct tracker *t = ctx;
	struct vmtape_error *error = processes_hint(t->processes, task);

	if (t->failed)
		vmtape_error_destroy(error);
	else
		t->failed = error;
}

static struct vmtape_error *take_failure(struct tracker *t)
{
	struct vmtape_error *error = t->failed;

	t->failed = NULL;
	return error;
}

static struct vmtape_error *add_tasks(void *ctx, const struct linux_guest *guest, struct guest_memory *memory)
{
	struct tracker *t = ctx;
	struct vmtape_error *error = NULL;

	if (tracker_fds(t))
		error = linux_state_create(&t->state, guest, memory);
	if (error && error->code == VMTAPE_ERROR_NO_MEMORY)
		return error;
	vmtape_error_destroy(error);
	error = linux_guest_tasks(guest, memory, add_task, t);
	linux_state_destroy(t->state);
	t->state = NULL;
	return error;
}

/* A list that breaks off tells of those who are on it, and of nobody's end. */
static struct vmtape_error *load_snapshot(struct tracker *t, uint32_t index)
{
	const struct tape_snapshot_info *info = &tape_reader_snapshot(session_reader(t->session), index)->info;
	struct vmtape_error *error;

	if (!session_guest_at(t->session, info->tsc))
		return NULL;
	processes_snapshot_begin(t->processes, info->tsc);
	error = session_with_memory(t->session, index, add_tasks, t);
	processes_snapshot_end(t->processes, !error && !t->failed);
	vmtape_error_destroy(error);
	return take_failure(t);
}

/* Tapes start with records: the base snapshot is whole only some time later. */
static struct vmtape_error *load_hints(struct tracker *t)
{
	uint32_t n = session_info(t->session)->nr_snapshots;

	for (uint32_t i = 0; i < n; i++) {
		const struct tape_snapshot_info *info = &tape_reader_snapshot(session_reader(t->session), i)->info;
		struct vmtape_error *error;

		if (!session_guest_at(t->session, info->tsc))
			continue;
		error = session_tasks(t->session, i, add_hint, t);
		vmtape_error_destroy(error);
		return take_failure(t);
	}
	return NULL;
}

static struct vmtape_error *start(struct tracker *t, uint64_t from_tsc)
{
	struct tape_error tape_error = {.offset = TAPE_NO_OFFSET};
	struct tape_reader *reader = session_reader(t->session);
	int64_t snapshot = from_tsc ? session_snapshot_at(t->session, from_tsc) : -1;
	const struct linux_guest *guest = session_guest(t->session);

	if (guest)
		processes_set_cr3_mask(t->processes, linux_guest_facts(guest)->kernel_cr3_mask);
	if (tape_cursor_create(&t->cursor, reader, &tape_error))
		return vmtape_error_create(VMTAPE_ERROR_IO, "%s", tape_error.message);
	if (tape_cursor_want_carried(t->cursor, &t->carried_since_tsc, &tape_error))
		return vmtape_error_create(VMTAPE_ERROR_IO, "%s", tape_error.message);
	if (snapshot < 0)
		return load_hints(t);
	t->next_snapshot = (uint32_t)snapshot;
	t->passed_ordinal = tape_reader_snapshot(reader, (uint32_t)snapshot)->ordinal;
	t->skipped = true;
	if (tape_cursor_seek(t->cursor, tape_reader_snapshot(reader, (uint32_t)snapshot)->info.tsc, &tape_error))
		return vmtape_error_create(VMTAPE_ERROR_IO, "%s", tape_error.message);
	return NULL;
}

struct vmtape_error *tracker_create(struct tracker **out, struct session *session, const struct tracker_sink *sink,
				    uint64_t from_tsc)
{
	struct tracker *t = calloc(1, sizeof(*t));
	struct pairing_sink pairing_sink = {on_begin, on_end, on_exit_only, on_role, t};
	struct vmtape_error *error;

	if (!t)
		return &vmtape_error_no_memory;
	t->session = session;
	t->sink = *sink;
	error = pairing_create(&t->pairing, &pairing_sink);
	if (!error)
		error = processes_create(&t->processes, on_gone, t);
	if (!error) {
		processes_set_exe(t->processes, on_exe, t);
		error = start(t, from_tsc);
	}
	if (error) {
		tracker_destroy(t);
		return error;
	}
	*out = t;
	return NULL;
}

void tracker_destroy(struct tracker *t)
{
	if (!t)
		return;
	tape_cursor_destroy(t->cursor);
	pairing_destroy(t->pairing);
	call_fds_release(&t->fds);
	processes_destroy(t->processes);
	for (int abi = 0; abi < TRAP_ABIS; abi++) {
		free(t->fd_calls[abi]);
		free(t->fd_calls_known[abi]);
	}
	sequence_deinit(&t->sequence);
	u64_map_deinit(&t->passed);
	free(t);
}

/* ---- chunks that are not wanted -------------------------------------- */

static bool may_skip(void *ctx, size_t number)
{
	struct tracker *t = ctx;

	return !skip_plan_needs(t->skip, number);
}

/* Who has a call open that counts may not be passed over: it would end there. */
static bool is_waited_for(struct tracker *t, uint64_t task)
{
	struct pairing_open open;
	enum call_role role;

	if (!pairing_open_call(t->pairing, task, &open))
		return false;
	role = session_role(t->session, open.tsc, open.abi, open.nr);
	return (role != CALL_ROLE_NONE && role != CALL_ROLE_SIGRETURN) ||
	       skip_plan_wants(t->skip, open.tsc, open.abi, &open.nr);
}

static bool skip(void *ctx, const struct tape_chunk_brief *brief)
{
	struct tracker *t = ctx;
	struct trap_view row;
	uint64_t row_tsc = 0;

	/* Of what damage took before it, its first record will tell. */
	if (sequence_misses(&t->sequence, brief->vcpu, brief->first_seq))
		return false;
	if (brief->min_tsc <= t->doubted_tsc || (t->carried_since_tsc && brief->min_tsc <= t->carried_since_tsc))
		return false;
	for (size_t at = 0; at < brief->rows_bytes; at += row.header.size_bytes) {
		if (trap_view_parse(&row, brief->rows + at, brief->rows_bytes - at, NULL) <= 0 ||
		    is_waited_for(t, row.regs[TRAP_REG_TASK]))
			return false;
		row_tsc = row.header.tsc;
	}
	/* Its last record may tell who comes next, whose first call or exit is behind it. */
	if (skip_plan_by_time(t->skip) && row_tsc == brief->max_tsc)
		return false;
	sequence_pass(&t->sequence, brief->vcpu, brief->last_seq, brief->max_tsc);
	t->records += brief->nr_records;
	return true;
}

bool tracker_has_passed(const struct tracker *t)
{
	return t->has_passed;
}

void tracker_skip(struct tracker *t, struct skip_plan *plan)
{
	t->skip = plan;
	tape_cursor_skip(t->cursor, &(struct tape_skipper){may_skip, skip, t});
}

struct processes *tracker_processes(struct tracker *t)
{
	return t->processes;
}

const struct pairing *tracker_pairing(const struct tracker *t)
{
	return t->pairing;
}

uint64_t tracker_records(const struct tracker *t)
{
	return t->records;
}

uint64_t tracker_tsc(const struct tracker *t)
{
	return t->tsc;
}

bool tracker_has_skipped(const struct tracker *t)
{
	return t->skipped;
}

/* ---- records --------------------------------------------------------- */

/* Snapshots up to tsc, which may be that of no record. */
static struct vmtape_error *pass_snapshots(struct tracker *t, uint64_t tsc)
{
	struct tape_reader *reader = session_reader(t->session);

	for (; t->next_snapshot < session_info(t->session)->nr_snapshots; t->next_snapshot++) {
		struct vmtape_error *error;

		if (tape_reader_snapshot(reader, t->next_snapshot)->info.tsc > tsc)
			break;
		error = load_snapshot(t, t->next_snapshot);
		t->passed_ordinal = tape_reader_snapshot(reader, t->next_snapshot)->ordinal + 1;
		if (error)
			return error;
	}
	t->next_snapshot_tsc = t->next_snapshot < session_info(t->session)->nr_snapshots
				       ? tape_reader_snapshot(reader, t->next_snapshot)->info.tsc
				       : UINT64_MAX;
	return NULL;
}

static enum call_role role_of_enter(struct tracker *t, const struct trap_view *view)
{
	if (view->header.type != TRAP_ENTER)
		return CALL_ROLE_NONE;
	return on_role(t, view->header.abi, trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_RAX]));
}

static struct vmtape_error *follow(struct tracker *t, const struct trap_view *view)
{
	struct vmtape_error *error;

	error = processes_before(t->processes, view);
	if (error)
		return error;
	t->is_identified = false;
	/* Behind what the table learnt: a thread that is another one now was not passed over. */
	t->has_passed = (view->header.type == TRAP_ENTER || view->header.type == TRAP_EXIT) &&
			forget_passed(t, view->regs[TRAP_REG_TASK]);
	/* With descriptors, its directory is as before the record, should it be asked for. */
	if (t->sink.record || (tracker_fds(t) && !(view->header.type == TRAP_EXIT && pairing_is_end(t->pairing, view))))
		identify(t, view);
	if (tracker_fds(t))
		tracker_follow_fds(t, view);
	if (t->sink.record)
		t->sink.record(t->sink.ctx, view, &t->thread);
	if (view->header.type == TRAP_GAP && t->sink.gap)
		t->sink.gap(t->sink.ctx, pairing_take_number(t->pairing), view);
	error = pairing_feed(t->pairing, view);
	if (error)
		return error;
	return processes_after(t->processes, view, role_of_enter(t, view));
}

/* A hole that damage has left in the tape is a gap like any other. */
static struct vmtape_error *follow_missing(struct tracker *t, const struct trap_gap *gap, const struct trap_view *next)
{
	struct {
		struct trap_record header;
		struct trap_gap gap;
	} record = {.header = next->header, .gap = *gap};
	struct trap_view view;

	record.header.size_bytes = sizeof(record);
	record.header.type = TRAP_GAP;
	record.header.via = TRAP_VIA_NONE;
	record.header.flags = 0;
	record.header.nr_fragments = 0;
	record.header.reg_mask = 0;
	if (tracker_fds(t) && tracker_any_leaves_out(t))
		process_fds_partial(t->processes, true, t->tsc);
	if (trap_view_parse(&view, &record, sizeof(record), NULL) <= 0)
		return NULL;
	return follow(t, &view);
}

/*
 * A ring tape that could not carry all tasks: what the snapshot at its beginning says of one may be outdated.
 */
static void doubt_once(struct tracker *t)
{
	const struct tape_snapshot *last =
		t->next_snapshot ? tape_reader_snapshot(session_reader(t->session), t->next_snapshot - 1) : NULL;

	if (t->carried_since_tsc > (last ? last->info.tsc : 0))
		processes_doubt(t->processes, t->carried_since_tsc);
	t->doubted_tsc = t->carried_since_tsc > t->doubted_tsc ? t->carried_since_tsc : t->doubted_tsc;
	t->carried_since_tsc = 0;
}

/* From here to the end of its vCPU's chunk the task runs in what is passed over; not before: no entry is there. */
static bool note_passed(struct tracker *t, const struct trap_view *row)
{
	uint64_t until_tsc = sequence_last_tsc(&t->sequence, row->header.vcpu), before = 0;

	u64_map_get(&t->passed, row->regs[TRAP_REG_TASK], &before);
	return u64_map_set(&t->passed, row->regs[TRAP_REG_TASK], before > until_tsc ? before : until_tsc);
}

/* It tells who a task is; its call is no event of this tape. */
static struct vmtape_error *take_carried(struct tracker *t, const struct trap_view *view)
{
	struct vmtape_error *error = processes_before(t->processes, view);

	if (!error && t->skip && skip_plan_by_time(t->skip) && !note_passed(t, view))
		error = &vmtape_error_no_memory;
	return error;
}

static struct vmtape_error *take(struct tracker *t, const struct trap_view *view)
{
	struct trap_gap missing;
	struct vmtape_error *error = NULL;

	t->tsc = view->header.tsc;
	if (t->tsc >= t->next_snapshot_tsc)
		error = pass_snapshots(t, t->tsc);
	if (t->carried_since_tsc)
		doubt_once(t);
	if (!error && tape_cursor_is_carried(t->cursor))
		return take_carried(t, view);
	if (!error && sequence_next(&t->sequence, view, &missing))
		error = follow_missing(t, &missing, view);
	if (error)
		return error;
	t->records++;
	return follow(t, view);
}

static struct vmtape_error *read_next(struct tracker *t, struct trap_view *view, bool *more)
{
	struct tape_error tape_error; /* of some 300 bytes, which are not cleared for each record */
	int result;

	if (t->has_held) {
		*view = t->held;
		t->has_held = false;
		*more = true;
		return NULL;
	}
	tape_error.offset = TAPE_NO_OFFSET;
	tape_error.message[0] = '\0';
	result = tape_cursor_next(t->cursor, view, &tape_error);
	*more = result > 0;
	if (result >= 0)
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_IO, "offset %" PRIu64 ": %s", tape_error.offset, tape_error.message);
}

struct vmtape_error *tracker_step(struct tracker *t, bool *more)
{
	struct trap_view view;
	struct vmtape_error *error = read_next(t, &view, more);

	if (error)
		return error;
	if (*more)
		return take(t, &view);
	error = pass_snapshots(t, UINT64_MAX);
	pairing_finish(t->pairing);
	return error;
}

struct vmtape_error *tracker_step_until(struct tracker *t, uint64_t tsc, bool *more)
{
	struct trap_view view;
	struct vmtape_error *error = read_next(t, &view, more);

	if (error)
		return error;
	if (*more && view.header.tsc <= tsc)
		return take(t, &view);
	if (*more) {
		t->held = view;
		t->has_held = true;
	}
	*more = false;
	return pass_snapshots(t, tsc);
}

/* ---- on a tape that grows -------------------------------------------- */

static bool has_come(const struct tracker *t, uint64_t snapshot_id)
{
	uint32_t n = session_info(t->session)->nr_snapshots;

	/* One that failed has no other sign than that a later one is there. */
	return n && tape_reader_snapshot(session_reader(t->session), n - 1)->info.id >= snapshot_id;
}

bool tracker_awaits(const struct tracker *t)
{
	return t->awaits && !has_come(t, t->awaited_id);
}

void tracker_skip_snapshot(struct tracker *t)
{
	t->awaits = false;
}

void tracker_until(struct tracker *t, uint64_t tsc)
{
	tape_cursor_until(t->cursor, tsc);
}

struct vmtape_error *tracker_live_step(struct tracker *t, bool *more)
{
	struct trap_view view;
	struct trap_mark mark;
	struct vmtape_error *error;

	*more = false;
	if (tracker_awaits(t))
		return NULL;
	t->awaits = false;
	error = read_next(t, &view, more);
	if (error || !*more)
		return error;
	if (view.header.type == TRAP_MARK) {
		trap_view_mark(&view, &mark);
		t->awaits = true;
		t->awaited_id = mark.snapshot_id;
	}
	return take(t, &view);
}

void tracker_rest(struct tracker *t)
{
	tape_cursor_rest(t->cursor);
}

struct vmtape_error *tracker_go_on(struct tracker *t)
{
	struct tape_error tape_error = {.offset = TAPE_NO_OFFSET};
	uint32_t n = session_info(t->session)->nr_snapshots;
	const struct linux_guest *guest = session_guest(t->session);

	if (guest)
		processes_set_cr3_mask(t->processes, linux_guest_facts(guest)->kernel_cr3_mask);
	for (int abi = 0; tracker_fds(t) && guest != t->fd_guest && abi < TRAP_ABIS; abi++)
		memset(t->fd_calls_known[abi], 0, TRACKER_FD_CALLS);
	t->fd_guest = guest;
	t->plans_seen = false;
	t->next_snapshot_tsc = 0;
	if (tape_cursor_go_on(t->cursor, &tape_error))
		return vmtape_error_create(VMTAPE_ERROR_IO, "%s", tape_error.message);
	if (t->passed_ordinal)
		for (t->next_snapshot = n; t->next_snapshot > 0; t->next_snapshot--)
			if (tape_reader_snapshot(session_reader(t->session), t->next_snapshot - 1)->ordinal <
			    t->passed_ordinal)
				break;
	return NULL;
}

void tracker_read_ahead(struct tracker *t, unsigned nr_threads)
{
	struct tape_error tape_error;

	tape_cursor_read_ahead(t->cursor, nr_threads, &tape_error);
}

const struct tape_cursor *tracker_cursor(const struct tracker *t)
{
	return t->cursor;
}
