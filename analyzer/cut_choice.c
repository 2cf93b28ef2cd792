/* SPDX-License-Identifier: MIT */
#include "cut_choice.h"

#include <roaring/roaring.h>
#include <stdlib.h>

#include "call_stream.h"
#include "fd_calls.h"
#include "process_maps.h"
#include "u64_map.h"

#define NAMED_CALLS     1024u /* numbers whose answer is remembered */
#define PROGRESS_PERIOD 4096

enum known { NOT_ASKED, TELLS_STATE, TELLS_NOTHING };

struct cut_choice {
	struct session *session;
	struct u64_map matching; /* vCPU and upper half of a record's number: bitmap of lower halves */
	uint64_t nr_calls;
	uint8_t known[TRAP_ABIS][NAMED_CALLS];
};

static uint64_t key_of(const struct trap_view *view)
{
	return (uint64_t)view->header.vcpu << 32 | view->header.seq >> 32;
}

static struct vmtape_error *add(struct cut_choice *choice, const struct trap_view *view)
{
	roaring_bitmap_t *matching;
	uint64_t value = 0;

	if (!u64_map_get(&choice->matching, key_of(view), &value)) {
		matching = roaring_bitmap_create();
		if (!matching || !u64_map_set(&choice->matching, key_of(view), (uintptr_t)matching)) {
			roaring_bitmap_free(matching);
			return &vmtape_error_no_memory;
		}
		value = (uintptr_t)matching;
	}
	roaring_bitmap_add((roaring_bitmap_t *)(uintptr_t)value, (uint32_t)view->header.seq);
	return NULL;
}

static struct vmtape_error *collect(struct cut_choice *choice, struct call_stream *stream, const struct filter *filter,
				    void (*progress)(void *ctx, uint64_t nr_records), void *ctx)
{
	struct call_stream_stats stats;
	struct vmtape_error *error;
	struct call_item item;
	uint64_t done = 0;
	bool more;

	while (!(error = call_stream_next(stream, &item, &more)) && more) {
		if (!(++done % PROGRESS_PERIOD) && progress) {
			call_stream_get_stats(stream, &stats);
			progress(ctx, stats.records);
		}
		if (item.is_gap || !filter_match(filter, &item.call, 0))
			continue;
		choice->nr_calls++;
		if (item.call.has_enter)
			error = add(choice, &item.call.enter);
		if (!error && item.call.has_exit)
			error = add(choice, &item.call.exit);
		if (error)
			break;
	}
	return error;
}

struct vmtape_error *cut_choice_create(struct cut_choice **out, struct session *session, const struct filter *filter,
				       uint64_t from_tsc, uint64_t to_tsc,
				       void (*progress)(void *ctx, uint64_t nr_records), void *ctx)
{
	struct call_stream_options options = {
		.from_tsc = from_tsc, .to_tsc = to_tsc, .fds = filter_needs_fds(filter), .read_all = true};
	struct cut_choice *choice = calloc(1, sizeof(*choice));
	struct call_stream *stream = NULL;
	struct vmtape_error *error;

	if (!choice)
		return &vmtape_error_no_memory;
	choice->session = session;
	error = call_stream_create(&stream, session, &options);
	if (!error)
		error = collect(choice, stream, filter, progress, ctx);
	call_stream_destroy(stream);
	if (error) {
		cut_choice_destroy(choice);
		return error;
	}
	*out = choice;
	return NULL;
}

void cut_choice_destroy(struct cut_choice *choice)
{
	if (!choice)
		return;
	for (size_t i = 0; i < choice->matching.room; i++)
		if (choice->matching.slots[i].used)
			roaring_bitmap_free((roaring_bitmap_t *)(uintptr_t)choice->matching.slots[i].value);
	u64_map_deinit(&choice->matching);
	free(choice);
}

uint64_t cut_choice_calls(const struct cut_choice *choice)
{
	return choice->nr_calls;
}

/* What has no name that is known may do anything. */
static bool tells_state(struct cut_choice *choice, uint64_t tsc, uint8_t abi, uint32_t nr)
{
	const struct linux_syscall *syscall;
	struct fd_call call;
	bool tells;

	if (abi >= TRAP_ABIS)
		return true;
	if (nr < NAMED_CALLS && choice->known[abi][nr])
		return choice->known[abi][nr] == TELLS_STATE;
	syscall = session_syscall(choice->session, tsc, abi, nr);
	if (!syscall || !syscall->name)
		return true;
	fd_call_of(syscall, &call);
	tells = (call.action != FD_DO_NOTHING && !fd_call_is_receive(&call)) ||
		call_role_of(syscall->name) != CALL_ROLE_NONE || process_maps_concerns(syscall->name);
	if (nr < NAMED_CALLS)
		choice->known[abi][nr] = tells ? TELLS_STATE : TELLS_NOTHING;
	return tells;
}

bool cut_choice_keeps(struct cut_choice *choice, const struct trap_view *view)
{
	uint8_t abi = view->header.abi;
	uint64_t matching;
	bool enters = view->header.type == TRAP_ENTER;

	if (!enters && view->header.type != TRAP_EXIT)
		return true;
	if (u64_map_get(&choice->matching, key_of(view), &matching) &&
	    roaring_bitmap_contains((const roaring_bitmap_t *)(uintptr_t)matching, (uint32_t)view->header.seq))
		return true;
	if (!trap_view_has(view, enters ? TRAP_REG_RAX : TRAP_REG_NR))
		return true;
	return tells_state(choice, view->header.tsc, abi,
			   trap_syscall_nr(abi, view->regs[enters ? TRAP_REG_RAX : TRAP_REG_NR]));
}
