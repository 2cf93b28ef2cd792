/* SPDX-License-Identifier: MIT */
#include "pairing.h"

#include <stdlib.h>
#include <string.h>

#include "u64_map.h"

/* A guest can't have more threads than that (pid_max); a hostile tape can name more, and the oldest is given up. */
#define MAX_OPEN (1u << 20)
/* Open calls without a task word that one exit is compared with. */
#define MAX_SCAN 4096
#define NONE     UINT32_MAX

struct open_call {
	uint64_t number;
	uint64_t key;
	uint64_t task_id; /* 0: not recorded */
	uint64_t rip, cr3, tsc;
	uint32_t nr;
	uint8_t abi;
	bool by_task;
	uint32_t older, newer; /* list in order of entry; newer also chains the free ones */
};

struct pairing {
	struct pairing_sink sink;
	struct u64_map by_key;
	struct open_call *calls;
	uint32_t room, used, free;
	uint32_t oldest, newest;
	uint32_t nr_open;
	uint64_t next_number;
	uint64_t lossy_until; /* end of the latest loss; 0: none */
	uint64_t guesses;
};

enum call_role call_role_of(const char *name)
{
	static const struct {
		const char *name;
		enum call_role role;
	} roles[] = {
		{"exit", CALL_ROLE_EXIT},           {"exit_group", CALL_ROLE_EXIT_GROUP},
		{"execve", CALL_ROLE_EXEC},         {"execveat", CALL_ROLE_EXEC},
		{"sigreturn", CALL_ROLE_SIGRETURN}, {"rt_sigreturn", CALL_ROLE_SIGRETURN},
		{"fork", CALL_ROLE_FORK},           {"vfork", CALL_ROLE_FORK},
		{"clone", CALL_ROLE_FORK},          {"clone3", CALL_ROLE_FORK},
		{"wait4", CALL_ROLE_WAIT4},         {"waitpid", CALL_ROLE_WAIT4},
		{"waitid", CALL_ROLE_WAITID},       {"prctl", CALL_ROLE_PRCTL},
	};

	for (size_t i = 0; name && i < sizeof(roles) / sizeof(roles[0]); i++)
		if (!strcmp(name, roles[i].name))
			return roles[i].role;
	return CALL_ROLE_NONE;
}

struct vmtape_error *pairing_create(struct pairing **out, const struct pairing_sink *sink)
{
	struct pairing *p = calloc(1, sizeof(*p));

	if (!p)
		return &vmtape_error_no_memory;
	p->sink = *sink;
	p->free = p->oldest = p->newest = NONE;
	*out = p;
	return NULL;
}

void pairing_destroy(struct pairing *p)
{
	if (!p)
		return;
	u64_map_deinit(&p->by_key);
	free(p->calls);
	free(p);
}

uint64_t pairing_take_number(struct pairing *p)
{
	return p->next_number++;
}

uint64_t pairing_guesses(const struct pairing *p)
{
	return p->guesses;
}

static uint32_t new_slot(struct pairing *p)
{
	uint32_t i = p->free;

	if (i != NONE) {
		p->free = p->calls[i].newer;
		return i;
	}
	if (p->used == p->room) {
		uint32_t room = p->room ? p->room * 2 : 64;
		struct open_call *calls = realloc(p->calls, room * sizeof(*calls));

		if (!calls)
			return NONE;
		p->calls = calls;
		p->room = room;
	}
	return p->used++;
}

static void forget(struct pairing *p, uint32_t i)
{
	struct open_call *call = &p->calls[i];

	u64_map_remove(&p->by_key, call->key);
	if (call->older != NONE)
		p->calls[call->older].newer = call->newer;
	else
		p->oldest = call->newer;
	if (call->newer != NONE)
		p->calls[call->newer].older = call->older;
	else
		p->newest = call->older;
	call->newer = p->free;
	p->free = i;
	p->nr_open--;
}

static void end_open(struct pairing *p, uint32_t i, enum call_state state, bool uncertain, const struct trap_view *exit)
{
	uint64_t number = p->calls[i].number;
	struct pairing_end end = {.state = state,
				  .uncertain = uncertain || (p->lossy_until && p->calls[i].tsc <= p->lossy_until),
				  .exit = exit};

	forget(p, i);
	p->sink.end(p->sink.ctx, number, &end);
}

/* PCIDs differ from vCPU to vCPU; both ends of a call are in user mode, so that KPTI's bit is the same. */
static uint64_t address_space(const struct trap_view *view)
{
	return view->regs[TRAP_REG_CR3] & 0x000ffffffffff000ull;
}

static uint64_t key_of(const struct trap_view *view, bool *by_task)
{
	*by_task = view->regs[TRAP_REG_TASK] != 0;
	if (*by_task)
		return view->regs[TRAP_REG_TASK];
	/* Never a kernel address, so that it can't be taken for a task. */
	return ((address_space(view) * 0x9e3779b97f4a7c15ull) ^ (view->regs[TRAP_REG_RSP] * 0xff51afd7ed558ccdull)) >>
	       1;
}

static uint32_t find_open(const struct pairing *p, uint64_t key)
{
	uint64_t i;

	return u64_map_get(&p->by_key, key, &i) ? (uint32_t)i : NONE;
}

static bool same_thread(const struct open_call *call, const struct trap_view *view)
{
	uint64_t id = view->regs[TRAP_REG_TASK_ID];

	return !call->task_id || !id || call->task_id == id;
}

/* Without a task word, a diverted exit has another stack: the only open call of that number there must be it. */
static uint32_t find_by_number(const struct pairing *p, const struct trap_view *exit)
{
	uint32_t nr = trap_syscall_nr(exit->header.abi, exit->regs[TRAP_REG_NR]);
	uint64_t cr3 = address_space(exit);
	uint32_t found = NONE;
	unsigned seen = 0;

	if (!trap_view_has(exit, TRAP_REG_NR))
		return NONE;
	for (uint32_t i = p->newest; i != NONE && seen < MAX_SCAN; i = p->calls[i].older, seen++) {
		const struct open_call *call = &p->calls[i];

		if (call->by_task || call->nr != nr || call->abi != exit->header.abi || call->cr3 != cr3)
			continue;
		if (found != NONE)
			return NONE;
		found = i;
	}
	return found;
}

static enum call_role role_of(const struct pairing *p, uint8_t abi, uint32_t nr)
{
	return p->sink.role ? p->sink.role(p->sink.ctx, abi, nr) : CALL_ROLE_NONE;
}

static struct vmtape_error *feed_enter(struct pairing *p, const struct trap_view *view)
{
	uint32_t nr = trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_RAX]);
	enum call_role role = role_of(p, view->header.abi, nr);
	uint64_t number;
	bool by_task;
	uint64_t key = key_of(view, &by_task);
	uint32_t i = find_open(p, key);

	/* A thread makes one call at a time: the earlier one left unseen (restarted by the kernel, thread replaced). */
	if (i != NONE)
		end_open(p, i, CALL_NO_EXIT, !by_task, NULL);
	number = p->next_number++;
	p->guesses += !by_task;
	p->sink.begin(p->sink.ctx, number, view);
	if (role == CALL_ROLE_EXIT || role == CALL_ROLE_EXIT_GROUP) {
		p->sink.end(p->sink.ctx, number, &(struct pairing_end){.state = CALL_NO_EXIT});
		return NULL;
	}
	if (p->nr_open == MAX_OPEN)
		end_open(p, p->oldest, CALL_OPEN, true, NULL);
	i = new_slot(p);
	if (i == NONE || !u64_map_set(&p->by_key, key, i))
		return &vmtape_error_no_memory;
	p->calls[i] = (struct open_call){
		.number = number,
		.key = key,
		.task_id = view->regs[TRAP_REG_TASK_ID],
		.rip = view->regs[TRAP_REG_RIP],
		.cr3 = address_space(view),
		.tsc = view->header.tsc,
		.nr = nr,
		.abi = view->header.abi,
		.by_task = by_task,
		.older = p->newest,
		.newer = NONE,
	};
	if (p->newest != NONE)
		p->calls[p->newest].newer = i;
	else
		p->oldest = i;
	p->newest = i;
	p->nr_open++;
	return NULL;
}

/* Does this exit end that call? */
static bool belongs(const struct pairing *p, const struct open_call *call, const struct trap_view *exit)
{
	enum call_role role = role_of(p, call->abi, call->nr);
	bool same_place = !trap_view_has(exit, TRAP_REG_RIP) || !call->rip || call->rip == exit->regs[TRAP_REG_RIP];

	if (call->abi != exit->header.abi && role != CALL_ROLE_EXEC && role != CALL_ROLE_SIGRETURN)
		return false;
	/* execve of another thread than the first makes that thread the first: its id changes on the way. */
	if (!same_thread(call, exit) && role != CALL_ROLE_EXEC)
		return false;
	if (trap_view_has(exit, TRAP_REG_NR))
		return trap_syscall_nr(call->abi, exit->regs[TRAP_REG_NR]) == call->nr;
	return same_place || role == CALL_ROLE_EXEC || role == CALL_ROLE_SIGRETURN ||
	       (exit->header.flags & TRAP_F_DIVERTED);
}

static void feed_exit(struct pairing *p, const struct trap_view *view)
{
	bool by_task;
	uint64_t key = key_of(view, &by_task);
	uint32_t i = find_open(p, key);

	if (i == NONE && !by_task)
		i = find_by_number(p, view);
	if (i != NONE && belongs(p, &p->calls[i], view)) {
		end_open(p, i, CALL_COMPLETE, false, view);
		return;
	}
	if (i != NONE)
		end_open(p, i, CALL_NO_EXIT, true, NULL);
	p->guesses += !by_task;
	p->sink.exit_only(p->sink.ctx, p->next_number++, view);
}

/*
 * Threads move from vCPU to vCPU: what was lost on one may be the exit of any
 * call that was open then, or began before the loss ended. Gaps come at the time
 * of their first loss, before what they may have hidden is paired.
 */
static void feed_gap(struct pairing *p, const struct trap_view *view)
{
	struct trap_gap gap;

	trap_view_gap(view, &gap);
	if (gap.last_tsc > p->lossy_until)
		p->lossy_until = gap.last_tsc;
}

struct vmtape_error *pairing_feed(struct pairing *p, const struct trap_view *view)
{
	switch (view->header.type) {
	case TRAP_ENTER:
		return feed_enter(p, view);
	case TRAP_EXIT:
		feed_exit(p, view);
		return NULL;
	case TRAP_GAP:
		feed_gap(p, view);
		return NULL;
	default:
		return NULL;
	}
}

void pairing_end_task(struct pairing *p, uint64_t task)
{
	uint32_t i = task ? find_open(p, task) : NONE;

	if (i != NONE && p->calls[i].by_task)
		end_open(p, i, CALL_NO_EXIT, false, NULL);
}

bool pairing_open_call(const struct pairing *p, uint64_t task, struct pairing_open *out)
{
	uint32_t i = find_open(p, task);

	if (i == NONE || !p->calls[i].by_task)
		return false;
	*out = (struct pairing_open){p->calls[i].tsc, p->calls[i].nr, p->calls[i].abi};
	return true;
}

void pairing_finish(struct pairing *p)
{
	while (p->oldest != NONE)
		end_open(p, p->oldest, CALL_OPEN, false, NULL);
}
