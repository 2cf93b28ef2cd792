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
/* Threads without an open call that are remembered for their next one, at least. */
#define MIN_IDLE  1024u
#define NR_RECENT 64u

/* A thread, by its key, and its open call. Threads keep their place from call to call, as most calls come from few. */
struct open_call {
	uint64_t number;
	uint64_t key;
	uint64_t task_id; /* 0: not recorded */
	uint64_t rip, cr3, tsc;
	uint32_t nr;
	uint8_t abi;
	bool by_task;
	bool used, open;
	uint32_t older, newer; /* open ones in order of entry; newer also chains the free ones */
};

struct pairing {
	struct pairing_sink sink;
	struct u64_map by_key;
	struct open_call *calls;
	uint32_t room, used, free;
	uint32_t oldest, newest;
	uint32_t nr_open, nr_used;
	uint32_t recent[NR_RECENT]; /* by vCPU: the thread that ran there last; checked before it is believed */
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

/* Idle threads give their places back. */
static void sweep(struct pairing *p)
{
	for (uint32_t i = 0; i < p->used; i++) {
		struct open_call *call = &p->calls[i];

		if (!call->used || call->open)
			continue;
		u64_map_remove(&p->by_key, call->key);
		call->used = false;
		call->newer = p->free;
		p->free = i;
		p->nr_used--;
	}
}

/* NONE: no memory. */
static uint32_t new_slot(struct pairing *p, uint64_t key)
{
	uint32_t i;

	if (p->nr_used - p->nr_open > MIN_IDLE && p->nr_used - p->nr_open > p->used / 2)
		sweep(p);
	i = p->free;
	if (i == NONE && p->used == p->room) {
		uint32_t room = p->room ? p->room * 2 : 64;
		struct open_call *calls = realloc(p->calls, room * sizeof(*calls));

		if (!calls)
			return NONE;
		p->calls = calls;
		p->room = room;
	}
	if (i == NONE)
		i = p->used;
	if (!u64_map_set(&p->by_key, key, i))
		return NONE;
	if (i == p->free)
		p->free = p->calls[i].newer;
	else
		p->used++;
	p->calls[i] = (struct open_call){.key = key, .used = true};
	p->nr_used++;
	return i;
}

static void forget(struct pairing *p, uint32_t i)
{
	struct open_call *call = &p->calls[i];

	if (call->older != NONE)
		p->calls[call->older].newer = call->newer;
	else
		p->oldest = call->newer;
	if (call->newer != NONE)
		p->calls[call->newer].older = call->older;
	else
		p->newest = call->older;
	call->open = false;
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

/* The thread's place; it may have no open call. */
static uint32_t find_slot(const struct pairing *p, uint64_t key)
{
	uint64_t i;

	return u64_map_get(&p->by_key, key, &i) ? (uint32_t)i : NONE;
}

static uint32_t find_recent(struct pairing *p, uint64_t key, uint16_t vcpu)
{
	uint32_t *recent = &p->recent[vcpu % NR_RECENT];

	if (*recent >= p->used || !p->calls[*recent].used || p->calls[*recent].key != key)
		*recent = find_slot(p, key);
	return *recent;
}

static bool is_open(const struct pairing *p, uint32_t i)
{
	return i != NONE && p->calls[i].open;
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

static void open_call(struct pairing *p, uint32_t i, uint64_t number, const struct trap_view *view, uint32_t nr,
		      bool by_task)
{
	struct open_call *call = &p->calls[i];

	call->number = number;
	call->task_id = view->regs[TRAP_REG_TASK_ID];
	call->rip = view->regs[TRAP_REG_RIP];
	call->cr3 = address_space(view);
	call->tsc = view->header.tsc;
	call->nr = nr;
	call->abi = view->header.abi;
	call->by_task = by_task;
	call->open = true;
	call->older = p->newest;
	call->newer = NONE;
	if (p->newest != NONE)
		p->calls[p->newest].newer = i;
	else
		p->oldest = i;
	p->newest = i;
	p->nr_open++;
}

static struct vmtape_error *feed_enter(struct pairing *p, const struct trap_view *view)
{
	uint32_t nr = trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_RAX]);
	enum call_role role = role_of(p, view->header.abi, nr);
	uint64_t number;
	bool by_task;
	uint64_t key = key_of(view, &by_task);
	uint32_t i = find_recent(p, key, view->header.vcpu);

	/* A thread makes one call at a time: the earlier one left unseen (restarted by the kernel, thread replaced). */
	if (is_open(p, i))
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
	if (i == NONE)
		i = new_slot(p, key);
	if (i == NONE)
		return &vmtape_error_no_memory;
	open_call(p, i, number, view, nr, by_task);
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
	uint32_t i = find_recent(p, key, view->header.vcpu);

	if (!is_open(p, i))
		i = by_task ? NONE : find_by_number(p, view);
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

bool pairing_is_end(struct pairing *p, const struct trap_view *exit)
{
	uint64_t task = exit->regs[TRAP_REG_TASK];
	uint32_t i = task ? find_recent(p, task, exit->header.vcpu) : NONE;

	return is_open(p, i) && belongs(p, &p->calls[i], exit);
}

void pairing_end_task(struct pairing *p, uint64_t task)
{
	uint32_t i = task ? find_slot(p, task) : NONE;

	if (is_open(p, i) && p->calls[i].by_task)
		end_open(p, i, CALL_NO_EXIT, false, NULL);
}

bool pairing_open_call(const struct pairing *p, uint64_t task, struct pairing_open *out)
{
	uint32_t i = find_slot(p, task);

	if (!is_open(p, i) || !p->calls[i].by_task)
		return false;
	*out = (struct pairing_open){p->calls[i].tsc, p->calls[i].nr, p->calls[i].abi};
	return true;
}

void pairing_finish(struct pairing *p)
{
	while (p->oldest != NONE)
		end_open(p, p->oldest, CALL_OPEN, false, NULL);
}
