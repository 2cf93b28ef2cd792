/* SPDX-License-Identifier: MIT */
/*
 * tape_ring_tasks.c - who runs, as a slot of a ring tape needs it once it is
 * the oldest: of each task the latest identity record in the slots before,
 * back to the snapshot that is the oldest one then. A task can have several:
 * records of one vCPU come up to a second later than those of another, and
 * must find who it was at their time. Bounded; the oldest give way.
 */
#include <errno.h>

#include "tape_ring_state.h"

#define NONE       UINT32_MAX
#define MIN_PLACES 64u
#define ZSTD_LEVEL 1
/* That are kept of one task, so that none takes the room of all others. */
#define MAX_VERSIONS 16u

/* What a task is from tsc on. */
struct ring_task {
	uint64_t task, tsc;
	uint64_t told_tsc;       /* of the last record that said the same */
	uint32_t at, size_bytes; /* of the record, in bytes */
	uint32_t older;          /* version of this task; NONE: none */
};

static uint64_t tsc_of(const uint8_t *record)
{
	return get_le64(record + offsetof(struct trap_record, tsc));
}

/* ---- places ---------------------------------------------------------- */

static uint32_t *find(const struct ring_tasks *tasks, uint64_t task)
{
	uint32_t at = (uint32_t)((task * 0x9e3779b97f4a7c15u) >> 32);

	for (at &= tasks->nr_places - 1; tasks->places[at] != NONE && tasks->list[tasks->places[at]].task != task;)
		at = (at + 1) & (tasks->nr_places - 1);
	return &tasks->places[at];
}

/* Room for more versions, and places for as many tasks. */
static int grow(struct ring_tasks *tasks)
{
	uint32_t nr_places = tasks->nr_places ? tasks->nr_places * 2 : MIN_PLACES;
	struct ring_task *list = reallocarray(tasks->list, nr_places / 2, sizeof(*list));
	uint32_t *places;

	if (!list)
		return -ENOMEM;
	tasks->list = list;
	places = malloc(nr_places * sizeof(*places));
	if (!places)
		return -ENOMEM;
	memset(places, 0xff, nr_places * sizeof(*places));
	for (uint32_t i = 0; i < tasks->nr_places; i++) {
		uint32_t head = tasks->places[i], at;

		if (head == NONE)
			continue;
		at = (uint32_t)((list[head].task * 0x9e3779b97f4a7c15u) >> 32) & (nr_places - 1);
		while (places[at] != NONE)
			at = (at + 1) & (nr_places - 1);
		places[at] = head;
	}
	free(tasks->places);
	tasks->places = places;
	tasks->nr_places = nr_places;
	return 0;
}

void ring_tasks_deinit(struct ring_tasks *tasks)
{
	free(tasks->list);
	free(tasks->places);
	free(tasks->vcpu_tscs);
	byte_buffer_deinit(&tasks->bytes);
	*tasks = (struct ring_tasks){0};
}

/* ---- versions -------------------------------------------------------- */

/* Do both say the same of the task: its id, and all fragments? */
static bool same_task(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes)
{
	uint32_t mask = get_le32(a + offsetof(struct trap_record, reg_mask));
	size_t from = sizeof(struct trap_record) + 8 * (size_t)__builtin_popcount(mask);
	size_t id = sizeof(struct trap_record) + 8 * (size_t)__builtin_popcount(mask & ((1u << TRAP_REG_TASK_ID) - 1));

	if (a_bytes != b_bytes || mask != get_le32(b + offsetof(struct trap_record, reg_mask)) || from > a_bytes)
		return false;
	return (!(mask >> TRAP_REG_TASK_ID & 1) || get_le64(a + id) == get_le64(b + id)) &&
	       !memcmp(a + from, b + from, a_bytes - from);
}

/* The record becomes a version in front of *link. */
static int insert(struct ring_tasks *tasks, uint32_t *link, const struct ring_task *version, const uint8_t *record)
{
	tasks->list[tasks->count] = *version;
	tasks->list[tasks->count].at = (uint32_t)tasks->bytes.size_bytes;
	tasks->list[tasks->count].older = *link;
	byte_buffer_add(&tasks->bytes, record, version->size_bytes);
	if (tasks->bytes.bad)
		return -ENOMEM;
	*link = tasks->count++;
	return 0;
}

static int add(struct ring_tasks *tasks, const uint8_t *record, uint32_t size_bytes)
{
	const struct ring_task new = {.task = tape_row_task(record, size_bytes),
				      .tsc = tsc_of(record),
				      .told_tsc = tsc_of(record),
				      .size_bytes = size_bytes};
	struct ring_task *younger = NULL, *version;
	uint32_t *link;

	if (tasks->count >= tasks->nr_places / 2 && grow(tasks))
		return -ENOMEM;
	for (link = find(tasks, new.task); *link != NONE && tasks->list[*link].tsc > new.tsc; link = &younger->older)
		younger = &tasks->list[*link];
	if (*link != NONE) {
		version = &tasks->list[*link];
		if (same_task(tasks->bytes.data + version->at, version->size_bytes, record, size_bytes)) {
			version->told_tsc = version->told_tsc > new.tsc ? version->told_tsc : new.tsc;
			return 0;
		}
	}
	if (younger && same_task(tasks->bytes.data + younger->at, younger->size_bytes, record, size_bytes)) {
		younger->tsc = new.tsc;
		memcpy(tasks->bytes.data + younger->at, record, size_bytes);
		return 0;
	}
	return insert(tasks, link, &new, record);
}

/* ---- what is not needed any more ------------------------------------- */

/* The latest told come first, the versions of a task together. */
static int compare_told(const void *a, const void *b)
{
	const struct ring_task *x = a, *y = b;

	if (x->told_tsc != y->told_tsc)
		return x->told_tsc < y->told_tsc ? 1 : -1;
	if (x->task != y->task)
		return x->task > y->task ? 1 : -1;
	return (x->tsc > y->tsc) - (x->tsc < y->tsc);
}

static int compare_tscs(const void *a, const void *b)
{
	const struct ring_task *x = a, *y = b;

	if (x->tsc != y->tsc)
		return x->tsc > y->tsc ? 1 : -1;
	return (x->task > y->task) - (x->task < y->task);
}

/* Copies the versions that records from late_tsc on can need, of tasks that were told of from since_tsc on. */
static uint32_t pick(struct ring_tasks *tasks, struct ring_task *out, uint64_t late_tsc, uint64_t since_tsc)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < tasks->nr_places; i++) {
		uint32_t at = tasks->places[i], nr_versions = 0;
		uint64_t told_tsc = 0, first_tsc = 0;
		bool more;

		for (uint32_t v = at; v != NONE; v = tasks->list[v].older)
			if (tasks->list[v].told_tsc > told_tsc)
				told_tsc = tasks->list[v].told_tsc;
		more = told_tsc >= since_tsc;
		for (; more && at != NONE && nr_versions < MAX_VERSIONS; at = tasks->list[at].older, nr_versions++) {
			first_tsc = tasks->list[at].tsc;
			more = first_tsc > late_tsc;
			out[count] = tasks->list[at];
			out[count++].told_tsc = told_tsc;
		}
		if (more && at != NONE && first_tsc > tasks->whole_since_tsc)
			tasks->whole_since_tsc = first_tsc;
	}
	return count;
}

/* How many of them there is room for; where that is not all, what is left out makes since_tsc higher. */
static uint32_t bound(struct ring_tasks *tasks, const struct ring_task *list, uint32_t count)
{
	size_t size_bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		size_bytes += list[i].size_bytes;
		if (size_bytes <= tasks->max_bytes)
			continue;
		if (list[i].told_tsc >= tasks->whole_since_tsc)
			tasks->whole_since_tsc = list[i].told_tsc + 1;
		while (i && list[i - 1].told_tsc == list[i].told_tsc)
			i--;
		return i;
	}
	return count;
}

/* Puts those that are left, in order of time, into books of their own. */
static int rebuild(struct ring_tasks *tasks, const struct ring_task *list, uint32_t count)
{
	struct byte_buffer old = tasks->bytes;

	tasks->bytes = (struct byte_buffer){0};
	tasks->count = 0;
	memset(tasks->places, 0xff, tasks->nr_places * sizeof(*tasks->places));
	for (uint32_t i = 0; i < count; i++)
		if (insert(tasks, find(tasks, list[i].task), &list[i], old.data + list[i].at))
			break;
	byte_buffer_deinit(&old);
	return tasks->bytes.bad ? -ENOMEM : 0;
}

/*
 * No record before late_tsc will come, and a snapshot of since_tsc tells of all
 * before. Leaves room for as much again.
 */
static int squeeze(struct ring_tasks *tasks, uint64_t late_tsc, uint64_t since_tsc)
{
	struct ring_task *list = reallocarray(NULL, tasks->count + 1u, sizeof(*list));
	uint32_t count;
	int result;

	if (!list)
		return -ENOMEM;
	count = pick(tasks, list, late_tsc, since_tsc);
	qsort(list, count, sizeof(*list), compare_told);
	count = bound(tasks, list, count);
	qsort(list, count, sizeof(*list), compare_tscs);
	result = rebuild(tasks, list, count);
	free(list);
	return result;
}

/* ---- time ------------------------------------------------------------ */

/*
 * Least TSC of records that may still come. Those of a vCPU come in order, and
 * with each snapshot one of every vCPU; so once a few snapshots have shown how
 * late records are, one that tells nothing any more holds up nobody.
 */
uint64_t ring_tasks_late_tsc(const struct ring_tasks *tasks)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < tasks->nr_vcpus; i++)
		if (tasks->vcpu_tscs[i] < least)
			least = tasks->vcpu_tscs[i];
	if (!tasks->nr_vcpus)
		return UINT64_MAX;
	if (tasks->settled && (tasks->newest_tsc - least) / 2 > tasks->most_late)
		return tasks->newest_tsc - 2 * tasks->most_late;
	return least;
}

/* Where the chunk's records end, and how much later than others they came. */
static int note_time(struct ring_tasks *tasks, const struct tape_chunk_header *header)
{
	if (header->vcpu >= tasks->nr_vcpus) {
		uint64_t *tscs = reallocarray(tasks->vcpu_tscs, header->vcpu + 1u, sizeof(*tscs));

		if (!tscs)
			return -ENOMEM;
		for (uint32_t i = tasks->nr_vcpus; i <= header->vcpu; i++)
			tscs[i] = UINT64_MAX;
		tasks->vcpu_tscs = tscs;
		tasks->nr_vcpus = header->vcpu + 1u;
	}
	tasks->vcpu_tscs[header->vcpu] = header->max_tsc;
	if (tasks->newest_tsc > header->min_tsc && tasks->newest_tsc - header->min_tsc > tasks->most_late)
		tasks->most_late = tasks->newest_tsc - header->min_tsc;
	if (header->max_tsc > tasks->newest_tsc)
		tasks->newest_tsc = header->max_tsc;
	return 0;
}

/* ---- chunks ---------------------------------------------------------- */

int ring_tasks_add(struct ring_tasks *tasks, const struct tape_chunk *chunk)
{
	const uint8_t *at = chunk->identities.data;
	size_t left_bytes = chunk->identities.size_bytes;

	if (note_time(tasks, &chunk->header))
		return -ENOMEM;
	/* What was said in between nobody knows. */
	if (chunk->lossy_tsc > tasks->whole_since_tsc)
		tasks->whole_since_tsc = chunk->lossy_tsc;
	for (; left_bytes; left_bytes -= get_le32(at), at += get_le32(at)) {
		if (add(tasks, at, get_le32(at)))
			return -ENOMEM;
		if (tasks->bytes.size_bytes > 2 * tasks->max_bytes && squeeze(tasks, ring_tasks_late_tsc(tasks), 0))
			return -ENOMEM;
	}
	return 0;
}

int ring_tasks_encode(struct ring_tasks *tasks, uint64_t since_tsc, struct tape_chunk **out, struct tape_error *error)
{
	struct tape_chunk *chunk;
	int result;

	*out = NULL;
	if (!tasks->count)
		return 0;
	if (squeeze(tasks, ring_tasks_late_tsc(tasks), since_tsc))
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for who runs");
	if (!tasks->count)
		return 0;
	result = tape_chunk_encode_traps(&chunk, 0, tasks->bytes.data, tasks->bytes.size_bytes, ZSTD_LEVEL, error);
	if (result)
		return result;
	chunk->header.vcpu = TAPE_NO_VCPU;
	chunk->header.flags = TAPE_F_CARRIED;
	chunk->header.first_seq = tasks->whole_since_tsc > since_tsc ? tasks->whole_since_tsc : 0;
	chunk->header.last_seq = 0;
	tape_touched_deinit(&chunk->touched);
	byte_buffer_deinit(&chunk->identities);
	tape_brief_deinit(&chunk->brief);
	*out = chunk;
	return 0;
}
