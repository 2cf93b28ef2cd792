/* SPDX-License-Identifier: MIT */
#include "skip_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

#define NRS         1024u /* numbers whose answer is kept */
#define MAX_PLAN_ID 4096u
#define MAX_HOLES   131072u

/* Of a system call, by its number alone. */
#define NR_ASKED 0x01
#define NR_MATCH 0x02 /* may match */
#define NR_ROLE  0x04 /* changes who runs */

struct span {
	uint64_t min_tsc, max_tsc;
};

struct chunk_span {
	size_t number;
	struct span span;
	uint32_t nr_records;
	bool may_have_gap;
};

struct vcpu_end {
	bool started;
	uint64_t last_seq, max_tsc;
};

struct skip_plan {
	struct session *session;
	struct skip_question question;
	bool by_time;                   /* times decide, too */
	uint8_t *needed;                /* by chunk */
	uint8_t nrs[2][TRAP_ABIS][NRS]; /* while the guest is known, and while it is not */
	struct skip_plan_stats stats;
};

/* While it is made: what all chunks together show. */
struct survey {
	struct skip_plan *plan;
	struct chunk_span *chunks;
	size_t nr_chunks, room;
	struct vcpu_end *vcpus;
	uint32_t nr_vcpus;
	struct span *holes;
	size_t nr_holes, holes_room;
	bool is_whole;           /* from its first record on */
	bool has_unnumbered;     /* exits whose call is not known, */
	uint64_t unnumbered_tsc; /* up to here */
	bool failed;
};

/* ---- questions ------------------------------------------------------- */

static bool may_match(const struct skip_plan *plan, const struct call *call, const struct span *span)
{
	struct filter_reach reach = {.call = call, .from_ns = 0, .to_ns = INT64_MAX};

	if (span && plan->by_time) {
		if (span->max_tsc < plan->question.from_tsc || span->min_tsc >= plan->question.to_tsc)
			return false;
		reach.from_ns = guest_clock_ns(session_clock(plan->session), span->min_tsc);
		reach.to_ns = guest_clock_ns(session_clock(plan->session), span->max_tsc);
	}
	return filter_may_match(plan->question.filter, &reach);
}

static struct call call_of(const struct skip_plan *plan, uint64_t tsc, uint8_t abi, const uint32_t *nr)
{
	struct call call = {.abi = abi, .nr_known = nr != NULL, .nr = nr ? *nr : 0};

	if (nr)
		call.syscall = session_syscall(plan->session, tsc, abi, *nr);
	return call;
}

static uint8_t ask(const struct skip_plan *plan, uint64_t tsc, uint8_t abi, uint32_t nr)
{
	struct call call = call_of(plan, tsc, abi, &nr);
	enum call_role role = session_role(plan->session, tsc, abi, nr);

	return NR_ASKED | (may_match(plan, &call, NULL) ? NR_MATCH : 0) |
	       (role != CALL_ROLE_NONE && role != CALL_ROLE_SIGRETURN ? NR_ROLE : 0);
}

/* What a call is called, and does, depends on time only by whether the guest was known. */
static uint8_t ask_once(struct skip_plan *plan, uint64_t tsc, uint8_t abi, uint32_t nr)
{
	uint8_t *known = &plan->nrs[session_guest_at(plan->session, tsc)][abi][nr];

	if (!*known)
		*known = ask(plan, tsc, abi, nr);
	return *known;
}

bool skip_plan_wants(const struct skip_plan *plan, uint64_t tsc, uint8_t abi, const uint32_t *nr)
{
	const struct span now = {tsc, tsc};
	struct call call;

	if (nr && *nr < NRS && abi < TRAP_ABIS) {
		uint8_t known = plan->nrs[session_guest_at(plan->session, tsc)][abi][*nr];

		if (known && !(known & NR_MATCH))
			return false;
		if (known && !plan->by_time)
			return true;
	}
	call = call_of(plan, tsc, abi, nr);
	return may_match(plan, &call, &now);
}

bool skip_plan_by_time(const struct skip_plan *plan)
{
	return plan->by_time;
}

bool skip_plan_needs(const struct skip_plan *plan, size_t number)
{
	return !plan->needed || number >= plan->stats.nr_chunks || plan->needed[number];
}

void skip_plan_get_stats(const struct skip_plan *plan, struct skip_plan_stats *out)
{
	*out = plan->stats;
}

/* ---- survey ---------------------------------------------------------- */

static bool needs_by_brief(struct skip_plan *plan, const struct tape_chunk_brief *brief)
{
	const struct span span = {brief->min_tsc, brief->max_tsc};
	bool in_time;

	if (!brief->known || brief->has_unnumbered || brief->has_nameless || brief->min_tsc > brief->max_tsc ||
	    session_guest_at(plan->session, brief->min_tsc) != session_guest_at(plan->session, brief->max_tsc))
		return true;
	in_time = may_match(plan, NULL, &span);
	for (uint32_t i = 0; i < brief->nr_nrs; i++) {
		uint8_t abi, known;
		uint32_t nr = tape_brief_nr(brief, i, &abi);

		known = ask_once(plan, brief->min_tsc, abi, nr);
		if (known & NR_ROLE || (in_time && known & NR_MATCH))
			return true;
	}
	return false;
}

/* A list that may have to grow, with room for one more; NULL: there is none, and the survey fails. */
static void *grow(struct survey *survey, void *list, size_t nr, size_t *room, size_t item_bytes)
{
	size_t more = *room ? *room * 2 : 64;
	void *longer;

	if (nr < *room)
		return list;
	longer = reallocarray(list, more, item_bytes);
	if (longer)
		*room = more;
	else
		survey->failed = true;
	return longer;
}

static void add_hole(struct survey *survey, uint64_t min_tsc, uint64_t max_tsc)
{
	struct span *last = survey->nr_holes ? &survey->holes[survey->nr_holes - 1] : NULL, *holes;

	/* A tape full of holes is read whole. */
	if (survey->nr_holes == MAX_HOLES) {
		last->min_tsc = 0;
		last->max_tsc = UINT64_MAX;
		return;
	}
	holes = grow(survey, survey->holes, survey->nr_holes, &survey->holes_room, sizeof(*holes));
	if (!holes)
		return;
	survey->holes = holes;
	survey->holes[survey->nr_holes++] = (struct span){min_tsc, max_tsc};
}

/* Records of a vCPU are numbered without a hole but where some were lost. True: the chunk may tell of that. */
static bool find_hole(struct survey *survey, const struct tape_chunk_brief *brief)
{
	struct vcpu_end *end;
	bool is_first, has_hole;
	uint64_t since;

	if (brief->vcpu >= survey->nr_vcpus) {
		uint32_t nr = brief->vcpu + 16u;
		struct vcpu_end *vcpus = reallocarray(survey->vcpus, nr, sizeof(*vcpus));

		if (!vcpus) {
			survey->failed = true;
			return false;
		}
		memset(vcpus + survey->nr_vcpus, 0, (nr - survey->nr_vcpus) * sizeof(*vcpus));
		survey->vcpus = vcpus;
		survey->nr_vcpus = nr;
	}
	end = &survey->vcpus[brief->vcpu];
	is_first = !end->started && brief->first_seq;
	has_hole = brief->last_seq - brief->first_seq != brief->nr_records - 1ull ||
		   (end->started && brief->first_seq != end->last_seq + 1);
	since = end->started && end->max_tsc < brief->min_tsc ? end->max_tsc : brief->min_tsc;
	if (has_hole)
		add_hole(survey, since, brief->max_tsc);
	if (has_hole || is_first)
		survey->is_whole = false;
	*end = (struct vcpu_end){true, brief->last_seq, brief->max_tsc};
	return !brief->known && (has_hole || is_first);
}

static void look_at(void *ctx, const struct tape_chunk_brief *brief)
{
	struct survey *survey = ctx;
	bool may_have_gap = find_hole(survey, brief);
	struct chunk_span *chunks;

	if (!brief->known || brief->has_unnumbered) {
		survey->has_unnumbered = true;
		if (brief->max_tsc > survey->unnumbered_tsc)
			survey->unnumbered_tsc = brief->max_tsc;
	}
	chunks = grow(survey, survey->chunks, survey->nr_chunks, &survey->room, sizeof(*chunks));
	if (!chunks)
		return;
	survey->chunks = chunks;
	survey->chunks[survey->nr_chunks++] =
		(struct chunk_span){brief->number, {brief->min_tsc, brief->max_tsc}, brief->nr_records, may_have_gap};
}

/* Of all gaps in a chunk. */
static void widen(void *ctx, const struct trap_gap *gap)
{
	struct span *loss = ctx;

	if (gap->first_tsc < loss->min_tsc)
		loss->min_tsc = gap->first_tsc;
	if (gap->last_tsc > loss->max_tsc)
		loss->max_tsc = gap->last_tsc;
}

/*
 * A loss ends when its gap says: behind the chunk's end if the gap is the last record there, and before it there may be
 * no other chunk of its vCPU. Chunks with a gap are read anyway; this is worth while only if others are not.
 */
static int find_gaps(struct survey *survey, struct tape_error *error)
{
	struct tape_reader *reader = session_reader(survey->plan->session);
	bool passes = false;

	for (size_t i = 0; i < survey->nr_chunks && !passes; i++)
		passes = !survey->plan->needed[survey->chunks[i].number];
	for (size_t i = 0; i < survey->nr_chunks && passes; i++) {
		const struct chunk_span *chunk = &survey->chunks[i];
		struct span loss = {UINT64_MAX, 0};
		int result;

		if (!chunk->may_have_gap)
			continue;
		result = tape_reader_gaps(reader, chunk->number, widen, &loss, error);
		if (result && result != -EBADMSG)
			return result;
		/* What a damaged chunk had is lost up to a record that is not known here. */
		if (result)
			loss = (struct span){chunk->span.min_tsc, UINT64_MAX};
		if (loss.min_tsc <= loss.max_tsc)
			add_hole(survey, loss.min_tsc, loss.max_tsc);
	}
	return survey->failed ? -ENOMEM : 0;
}

static void judge(void *ctx, const struct tape_chunk_brief *brief)
{
	struct skip_plan *plan = ctx;

	plan->needed[brief->number] = needs_by_brief(plan, brief);
}

static int by_time(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->min_tsc < y->min_tsc ? -1 : x->min_tsc > y->min_tsc;
}

/* Sorted, and so that each ends behind all before it. */
static void sort_holes(struct survey *survey)
{
	size_t nr = 0;

	if (!survey->nr_holes)
		return;
	qsort(survey->holes, survey->nr_holes, sizeof(*survey->holes), by_time);
	for (size_t i = 1; i < survey->nr_holes; i++) {
		struct span *last = &survey->holes[nr];

		if (survey->holes[i].min_tsc > last->max_tsc)
			survey->holes[++nr] = survey->holes[i];
		else if (survey->holes[i].max_tsc > last->max_tsc)
			last->max_tsc = survey->holes[i].max_tsc;
	}
	survey->nr_holes = nr + 1;
}

static bool meets_hole(const struct survey *survey, const struct span *span)
{
	size_t low = 0, high = survey->nr_holes;

	/* The first that ends at or behind the chunk's beginning. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (survey->holes[middle].max_tsc < span->min_tsc)
			low = middle + 1;
		else
			high = middle;
	}
	return low < survey->nr_holes && survey->holes[low].min_tsc <= span->max_tsc;
}

/*
 * Every call that is recorded must be seen to end: a plan that leaves out entries, exits, or address spaces has
 * threads that go on without.
 */
static bool plans_are_whole(struct session *session)
{
	struct tape_reader *reader = session_reader(session);
	uint32_t found = 0;

	for (uint32_t id = 0; id < MAX_PLAN_ID && found < session_info(session)->nr_plans; id++) {
		const struct plan_header *header;
		const void *plan;
		size_t size_bytes;
		int result = tape_reader_plan(reader, id, &plan, &size_bytes);

		if (result == -ENOENT)
			continue;
		found++;
		if (result || size_bytes < sizeof(*header))
			return false;
		header = plan_get_header(plan);
		if (header->flags & (PLAN_F_SKIP_ENTER | PLAN_F_SKIP_EXIT) || header->nr_cr3)
			return false;
	}
	return true;
}

static int read_briefs(struct skip_plan *plan, struct survey *survey, struct tape_error *error)
{
	const struct tape_info *info = session_info(plan->session);
	struct tape_reader *reader = session_reader(plan->session);
	const struct call unnumbered = {0};
	int result = tape_reader_briefs(reader, look_at, survey, &plan->stats.nr_chunks, error);

	if (result || survey->failed)
		return -ENOMEM;
	/* What is known of executables changes with a snapshot, within a chunk, too. */
	for (uint32_t i = 0; i < info->nr_snapshots; i++) {
		uint64_t tsc = tape_reader_snapshot(reader, i)->info.tsc;

		add_hole(survey, tsc, tsc);
	}
	/* Such an exit may be of a call that is passed over, whose number would tell that it can't match. */
	if (survey->has_unnumbered && may_match(plan, &unnumbered, NULL))
		add_hole(survey, 0, survey->unnumbered_tsc);
	/* An exit alone may be all that is left of a call; then times of entries are not known. */
	plan->by_time = survey->is_whole && !info->nr_overwritten &&
			(plan->question.from_tsc || plan->question.to_tsc != UINT64_MAX ||
			 filter_asks_time(plan->question.filter));
	plan->needed = calloc(plan->stats.nr_chunks + 1, 1);
	result = plan->needed ? tape_reader_briefs(reader, judge, plan, &plan->stats.nr_chunks, error) : -ENOMEM;
	return result ? result : find_gaps(survey, error);
}

static struct vmtape_error *make(struct skip_plan *plan)
{
	struct survey survey = {.plan = plan, .is_whole = true};
	struct tape_error error = {.offset = TAPE_NO_OFFSET};
	int result = read_briefs(plan, &survey, &error);

	sort_holes(&survey);
	for (size_t i = 0; i < survey.nr_chunks && !result; i++) {
		const struct chunk_span *chunk = &survey.chunks[i];
		uint8_t *needed = &plan->needed[chunk->number];

		if (!*needed)
			*needed = meets_hole(&survey, &chunk->span);
		plan->stats.nr_records += chunk->nr_records;
		plan->stats.nr_needed += *needed;
		plan->stats.nr_needed_records += *needed ? chunk->nr_records : 0;
	}
	free(survey.chunks);
	free(survey.vcpus);
	free(survey.holes);
	return result ? &vmtape_error_no_memory : NULL;
}

struct vmtape_error *skip_plan_create(struct skip_plan **out, struct session *session,
				      const struct skip_question *question)
{
	struct skip_plan *plan = calloc(1, sizeof(*plan));
	struct vmtape_error *error = NULL;

	if (!plan)
		return &vmtape_error_no_memory;
	plan->session = session;
	plan->question = *question;
	if (!question->reads_all && plans_are_whole(session))
		error = make(plan);
	if (error) {
		skip_plan_destroy(plan);
		return error;
	}
	*out = plan;
	return NULL;
}

void skip_plan_destroy(struct skip_plan *plan)
{
	if (!plan)
		return;
	free(plan->needed);
	free(plan);
}
