/* SPDX-License-Identifier: MIT */
#include "tape_copy_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZSTD_LEVEL      3
#define CHUNK_BYTES     (512u << 10) /* of records */
#define MAX_HELD_BYTES  (32u << 20)  /* that the buffers of all vCPUs take */
#define MAX_META_BYTES  (60u << 10)  /* of a chunk */
#define MAX_PLAN_ID     65536u
#define PROGRESS_PERIOD 4096
#define RESET_NS        1000000000 /* that two tapes' clocks may differ by, and be of one boot */

struct vmtape_error *tape_copy_failed(const struct tape_error *why, int result)
{
	if (result == -ENOMEM)
		return &vmtape_error_no_memory;
	return vmtape_error_create(VMTAPE_ERROR_IO, "the new tape: %s", why->message);
}

static int write_at(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		    void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	const struct tape_copy *copy = ctx;
	const uint8_t *bytes = buffer;

	for (size_t at = 0; at < size_bytes;) {
		ssize_t n = pwrite(out_file_fd(copy->file), bytes + at, size_bytes - at, (off_t)(offset + at));

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	done(done_ctx, buffer, 0);
	return 0;
}

bool tape_copy_was_reset(const struct session *before, const struct session *after)
{
	uint64_t first_tsc = session_info(after)->first_tsc;
	int64_t by_before = guest_clock_ns(session_clock(before), first_tsc);
	int64_t by_after = guest_clock_ns(session_clock(after), first_tsc);

	/* a host's clock that was set forward alone leaves the TSC as it is */
	return first_tsc <= session_info(before)->last_tsc && by_before >= 0 && by_after >= 0 &&
	       by_after - by_before > RESET_NS;
}

struct vmtape_error *tape_copy_create(struct tape_copy **out, struct out_file *file)
{
	struct tape_copy *copy = calloc(1, sizeof(*copy));
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct tape_sink sink = {.write = write_at, .ctx = copy};
	int result;

	if (!copy)
		return &vmtape_error_no_memory;
	copy->file = file;
	result = tape_writer_create(&copy->writer, &sink, &why);
	if (!result)
		result = tape_encoder_create(&copy->encoder, ZSTD_LEVEL, &why);
	if (!result)
		result = tape_pages_create(&copy->pages, copy->writer, ZSTD_LEVEL, &why);
	if (result) {
		tape_copy_destroy(copy);
		return tape_copy_failed(&why, result);
	}
	*out = copy;
	return NULL;
}

void tape_copy_destroy(struct tape_copy *copy)
{
	if (!copy)
		return;
	tape_pages_destroy(copy->pages);
	tape_encoder_destroy(copy->encoder);
	tape_writer_destroy(copy->writer);
	for (size_t i = 0; i < copy->nr_lanes; i++)
		byte_buffer_deinit(&copy->lanes[i].records);
	free(copy->lanes);
	for (size_t i = 0; i < copy->nr_plans; i++)
		free(copy->plans[i].bytes);
	free(copy->plans);
	byte_buffer_deinit(&copy->meta);
	free(copy);
}

void tape_copy_get_stats(const struct tape_copy *copy, struct tape_copy_stats *out)
{
	*out = copy->stats;
}

static struct vmtape_error *append(struct tape_copy *copy, struct tape_chunk *chunk)
{
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	int result = tape_writer_append(copy->writer, chunk, &why);

	return result ? tape_copy_failed(&why, result) : NULL;
}

/* ---- META and plans -------------------------------------------------- */

static struct vmtape_error *flush_meta(struct tape_copy *copy)
{
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct tape_chunk *chunk;
	int result;

	if (copy->meta.bad)
		return &vmtape_error_no_memory;
	if (!copy->meta.size_bytes)
		return NULL;
	byte_buffer_add_u8(&copy->meta, 0);
	if (copy->meta.bad)
		return &vmtape_error_no_memory;
	result = tape_chunk_encode_meta(&chunk, (const char *)copy->meta.data, &why);
	copy->meta.size_bytes = 0;
	return result ? tape_copy_failed(&why, result) : append(copy, chunk);
}

struct vmtape_error *tape_copy_meta(struct tape_copy *copy, const char *key, const char *value)
{
	size_t key_bytes = strlen(key), value_bytes = strlen(value), at;

	if (!key_bytes || key_bytes + value_bytes + 2 > MAX_META_BYTES)
		return NULL;
	if (copy->meta.size_bytes + key_bytes + value_bytes + 2 > MAX_META_BYTES) {
		struct vmtape_error *error = flush_meta(copy);

		if (error)
			return error;
	}
	byte_buffer_add(&copy->meta, key, key_bytes);
	byte_buffer_add_u8(&copy->meta, '=');
	at = copy->meta.size_bytes;
	byte_buffer_add(&copy->meta, value, value_bytes);
	for (; !copy->meta.bad && at < copy->meta.size_bytes; at++)
		if (copy->meta.data[at] < 0x20)
			copy->meta.data[at] = ' ';
	byte_buffer_add_u8(&copy->meta, '\n');
	return copy->meta.bad ? &vmtape_error_no_memory : NULL;
}

struct vmtape_error *tape_copy_metas(struct tape_copy *copy, struct session *session, const char *const *without)
{
	struct vmtape_error *error = NULL;
	const char *key, *value;

	for (size_t i = 0; !error && (key = tape_reader_meta_line(session_reader(session), i, &value)); i++) {
		const char *const *prefix = without;

		while (*prefix && strncmp(key, *prefix, strlen(*prefix)))
			prefix++;
		if (!*prefix)
			error = tape_copy_meta(copy, key, value);
	}
	return error;
}

static struct vmtape_error *add_plan(struct tape_copy *copy, uint32_t id, const void *plan, size_t size_bytes)
{
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct tape_chunk *chunk;
	void *plans;
	int result;

	for (size_t i = 0; i < copy->nr_plans; i++) {
		if (copy->plans[i].id != id)
			continue;
		if (copy->plans[i].size_bytes == size_bytes && !memcmp(copy->plans[i].bytes, plan, size_bytes))
			return NULL;
		return vmtape_error_create(VMTAPE_ERROR_FORMAT,
					   "plan %u is another one than the plan %u of the tapes before", id, id);
	}
	plans = reallocarray(copy->plans, copy->nr_plans + 1, sizeof(*copy->plans));
	if (!plans)
		return &vmtape_error_no_memory;
	copy->plans = plans;
	copy->plans[copy->nr_plans].bytes = malloc(size_bytes);
	if (!copy->plans[copy->nr_plans].bytes)
		return &vmtape_error_no_memory;
	memcpy(copy->plans[copy->nr_plans].bytes, plan, size_bytes);
	copy->plans[copy->nr_plans].id = id;
	copy->plans[copy->nr_plans++].size_bytes = size_bytes;
	result = tape_chunk_encode_plan(&chunk, plan, size_bytes, &why);
	return result ? tape_copy_failed(&why, result) : append(copy, chunk);
}

struct vmtape_error *tape_copy_plans(struct tape_copy *copy, struct session *session)
{
	uint32_t left = session_info(session)->nr_plans;
	struct vmtape_error *error = NULL;
	const void *plan;
	size_t size_bytes;

	for (uint32_t id = 0; id < MAX_PLAN_ID && left && !error; id++) {
		int result = tape_reader_plan(session_reader(session), id, &plan, &size_bytes);

		if (result == -ENOMEM)
			return &vmtape_error_no_memory;
		copy->stats.missing_plans += result == -EBADMSG;
		left -= result != -ENOENT;
		if (!result)
			error = add_plan(copy, id, plan, size_bytes);
	}
	return error;
}

/* ---- records --------------------------------------------------------- */

static struct vmtape_error *flush_lane(struct tape_copy *copy, size_t vcpu)
{
	struct vcpu_lane *lane = &copy->lanes[vcpu];
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct tape_chunk *chunk;
	int result;

	if (!lane->records.size_bytes)
		return NULL;
	result = tape_encoder_traps(copy->encoder, &chunk, (uint16_t)vcpu, lane->records.data, lane->records.size_bytes,
				    &why);
	lane->records.size_bytes = 0;
	return result ? tape_copy_failed(&why, result) : append(copy, chunk);
}

static struct vmtape_error *flush_all(struct tape_copy *copy)
{
	struct vmtape_error *error = NULL;

	for (size_t i = 0; i < copy->nr_lanes && !error; i++) {
		error = flush_lane(copy, i);
		copy->held_bytes -= copy->lanes[i].records.room_bytes;
		byte_buffer_deinit(&copy->lanes[i].records);
	}
	return error;
}

static struct vcpu_lane *lane_of(struct tape_copy *copy, uint16_t vcpu)
{
	struct vcpu_lane *lanes;

	if (vcpu < copy->nr_lanes)
		return &copy->lanes[vcpu];
	lanes = reallocarray(copy->lanes, vcpu + 1u, sizeof(*lanes));
	if (!lanes)
		return NULL;
	memset(lanes + copy->nr_lanes, 0, (vcpu + 1u - copy->nr_lanes) * sizeof(*lanes));
	copy->lanes = lanes;
	copy->nr_lanes = vcpu + 1u;
	return &lanes[vcpu];
}

static bool is_damaged(struct session *session)
{
	const struct tape_problem *problems;

	return tape_reader_problems(session_reader(session), &problems) > 0;
}

static struct vmtape_error *foreign(const struct trap_view *view, uint64_t last_seq)
{
	return vmtape_error_create(VMTAPE_ERROR_FORMAT,
				   "record %" PRIu64 " of vCPU %u comes after record %" PRIu64
				   ": the tapes are not of one recording, or not in order",
				   (uint64_t)view->header.seq, view->header.vcpu, last_seq);
}

/* The first new record of a vCPU goes on where an earlier part ended; damage may have taken what would show it. */
static struct vmtape_error *check_seam(const struct vcpu_lane *lane, const struct trap_view *view, uint64_t missing)
{
	if (lane->is_twice && !lane->is_joined)
		return foreign(view, lane->next_seq - 1);
	if (missing)
		return vmtape_error_create(VMTAPE_ERROR_FORMAT,
					   "records %" PRIu64 " to %" PRIu64
					   " of vCPU %u lie between it and the tape before: a part is missing",
					   lane->next_seq, (uint64_t)view->header.seq - 1, view->header.vcpu);
	return NULL;
}

/* Numbers that are missing before this record, but those that it tells of itself. */
static struct vmtape_error *check_seq(struct tape_copy *copy, struct vcpu_lane *lane, const struct trap_view *view,
				      bool damaged)
{
	uint64_t seq = view->header.seq, missing;
	struct vmtape_error *error = NULL;
	struct trap_gap gap = {0};

	if (view->header.type == TRAP_GAP) {
		trap_view_gap(view, &gap);
		copy->stats.lost_records += gap.lost_records;
	}
	if (!lane->started)
		return NULL;
	if (seq < lane->next_seq)
		return foreign(view, lane->next_seq - 1);
	missing = seq - lane->next_seq;
	if (missing && gap.first_seq == lane->next_seq && gap.lost_records == missing)
		missing = 0;
	if (lane->at_seam && !damaged)
		error = check_seam(lane, view, missing);
	lane->at_seam = false;
	copy->stats.missing_records += missing;
	return error;
}

/* An earlier part has it already. Its time tells it from a record of another recording, which has the same numbers. */
static bool is_twice(struct tape_copy *copy, struct vcpu_lane *lane, const struct trap_view *view)
{
	if (!lane->at_seam || view->header.seq >= lane->next_seq || view->header.tsc > lane->max_tsc)
		return false;
	lane->is_twice = true;
	lane->is_joined |= view->header.seq + 1 == lane->next_seq && view->header.tsc == lane->last_tsc;
	copy->stats.twice_records++;
	return true;
}

/* Numbers without a hole where records were left out; those that were lost stay so. */
static void renumber(struct vcpu_lane *lane, const struct trap_view *view)
{
	uint8_t *record = lane->records.data + lane->records.size_bytes - view->header.size_bytes;
	struct trap_gap gap;

	put_le64(record + offsetof(struct trap_record, seq), view->header.seq - lane->nr_left);
	if (view->header.type != TRAP_GAP)
		return;
	trap_view_gap(view, &gap);
	put_le64(record + sizeof(struct trap_record) + offsetof(struct trap_gap, first_seq),
		 gap.first_seq - lane->nr_left);
}

static struct vmtape_error *add_record(struct tape_copy *copy, struct session *session, const struct trap_view *view,
				       const struct tape_copy_part *part)
{
	struct vcpu_lane *lane = lane_of(copy, view->header.vcpu);
	size_t size_bytes = view->header.size_bytes;
	struct vmtape_error *error;

	if (!lane)
		return &vmtape_error_no_memory;
	if (lane->part != copy->nr_parts) {
		lane->part = copy->nr_parts;
		lane->at_seam = part->continues && lane->started;
		lane->is_twice = lane->is_joined = false;
	}
	if (is_twice(copy, lane, view))
		return NULL;
	error = check_seq(copy, lane, view, lane->at_seam && (copy->was_damaged || is_damaged(session)));
	if (error)
		return error;
	lane->next_seq = view->header.seq + 1;
	lane->last_tsc = view->header.tsc;
	lane->max_tsc = lane->started && lane->max_tsc > lane->last_tsc ? lane->max_tsc : lane->last_tsc;
	lane->started = true;
	if (part->keep && !part->keep(part->keep_ctx, view)) {
		lane->nr_left++;
		copy->stats.left_records++;
		return NULL;
	}
	if (lane->records.size_bytes + size_bytes > CHUNK_BYTES)
		error = flush_lane(copy, view->header.vcpu);
	if (!error && copy->held_bytes > MAX_HELD_BYTES)
		error = flush_all(copy);
	if (error)
		return error;
	copy->held_bytes -= lane->records.room_bytes;
	byte_buffer_add(&lane->records, view->raw, size_bytes);
	copy->held_bytes += lane->records.room_bytes;
	if (lane->records.bad)
		return &vmtape_error_no_memory;
	if (lane->nr_left)
		renumber(lane, view);
	copy->stats.records++;
	return NULL;
}

/* ---- parts ----------------------------------------------------------- */

/* A vCPU that brought nothing new must have brought the last record, else it is of an earlier time. */
static struct vmtape_error *check_joined(const struct tape_copy *copy)
{
	for (size_t i = 0; i < copy->nr_lanes; i++) {
		const struct vcpu_lane *lane = &copy->lanes[i];

		if (lane->part == copy->nr_parts && lane->at_seam && lane->is_twice && !lane->is_joined)
			return vmtape_error_create(VMTAPE_ERROR_FORMAT,
						   "its records of vCPU %zu end before record %" PRIu64
						   " of the tape before: the tapes are not of one recording, or not in "
						   "order",
						   i, lane->next_seq - 1);
	}
	return NULL;
}

static struct vmtape_error *copy_records(struct tape_copy *copy, struct session *session,
					 const struct tape_copy_part *part, struct tape_cursor *cursor)
{
	int64_t snapshot = part->first_snapshot;
	struct vmtape_error *error = NULL;
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct trap_view view;
	uint64_t done = 0;
	int result = tape_cursor_seek(cursor, part->from_tsc, &why);

	while (!error && result >= 0 && (result = tape_cursor_next(cursor, &view, &why)) > 0) {
		if (view.header.tsc >= part->to_tsc)
			break;
		while (!error && snapshot >= 0 && snapshot <= part->last_snapshot &&
		       tape_reader_snapshot(session_reader(session), (uint32_t)snapshot)->info.tsc <= view.header.tsc) {
			error = tape_copy_snapshot(copy, session, (uint32_t)snapshot, snapshot == part->first_snapshot);
			snapshot++;
		}
		if (!error)
			error = add_record(copy, session, &view, part);
		if (!(++done % PROGRESS_PERIOD) && part->progress)
			part->progress(part->ctx, copy->stats.records);
	}
	if (!error && result < 0)
		error = result == -ENOMEM ? &vmtape_error_no_memory
					  : vmtape_error_create(VMTAPE_ERROR_IO, "%s", why.message);
	for (; !error && snapshot >= 0 && snapshot <= part->last_snapshot; snapshot++)
		error = tape_copy_snapshot(copy, session, (uint32_t)snapshot, snapshot == part->first_snapshot);
	if (!error)
		error = check_joined(copy);
	return error ? error : flush_all(copy);
}

struct vmtape_error *tape_copy_part(struct tape_copy *copy, struct session *session, const struct tape_copy_part *part)
{
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct tape_cursor *cursor = NULL;
	struct vmtape_error *error = flush_meta(copy);

	copy->nr_parts++;
	copy->has_seam = copy->stats.snapshots > 0;
	copy->seam_tsc = copy->last_tsc;
	if (!error && tape_cursor_create(&cursor, session_reader(session), &why))
		error = vmtape_error_create(VMTAPE_ERROR_IO, "%s", why.message);
	if (!error)
		error = copy_records(copy, session, part, cursor);
	tape_cursor_destroy(cursor);
	copy->was_damaged = is_damaged(session);
	return error;
}

struct vmtape_error *tape_copy_finish(struct tape_copy *copy, const char *reason)
{
	const struct tape_totals totals = {copy->stats.records, copy->stats.lost_records, copy->stats.snapshots};
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	struct vmtape_error *error = flush_meta(copy);
	int result;

	if (error)
		return error;
	result = tape_writer_finish(copy->writer, reason, &totals, &why);
	if (!result)
		result = tape_writer_check(copy->writer, &why);
	return result ? tape_copy_failed(&why, result) : NULL;
}
