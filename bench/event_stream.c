/* SPDX-License-Identifier: MIT */
#include "event_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_TASKS   24u
#define NR_CALLS   60u
#define NR_PATHS   512u
#define NR_SCRIPTS 48u
#define MAX_STEPS  20u
#define LIBC       0x7f0000000000ull

enum result_kind { RESULT_ZERO, RESULT_BYTES, RESULT_FD, RESULT_POINTER };

/* x86-64 calls from the most to the least frequent, as a building and serving machine makes them. */
static const struct call {
	uint16_t nr;
	uint8_t nr_args;
	uint8_t path_arg; /* 1-based; 0: none */
	uint8_t result;
} calls[NR_CALLS] = {
	{257, 4, 2, RESULT_FD},     {3, 1, 0, RESULT_ZERO},   {0, 3, 0, RESULT_BYTES},   {1, 3, 0, RESULT_BYTES},
	{262, 4, 2, RESULT_ZERO},   {39, 0, 0, RESULT_ZERO},  {9, 6, 0, RESULT_POINTER}, {202, 6, 0, RESULT_ZERO},
	{332, 5, 2, RESULT_ZERO},   {5, 2, 0, RESULT_ZERO},   {267, 4, 2, RESULT_BYTES}, {8, 3, 0, RESULT_BYTES},
	{13, 4, 0, RESULT_ZERO},    {14, 4, 0, RESULT_ZERO},  {10, 3, 0, RESULT_ZERO},   {11, 2, 0, RESULT_ZERO},
	{17, 4, 0, RESULT_BYTES},   {4, 2, 1, RESULT_ZERO},   {232, 4, 0, RESULT_ZERO},  {7, 3, 0, RESULT_ZERO},
	{12, 1, 0, RESULT_POINTER}, {72, 3, 0, RESULT_ZERO},  {16, 3, 0, RESULT_ZERO},   {228, 2, 0, RESULT_ZERO},
	{217, 3, 0, RESULT_BYTES},  {45, 6, 0, RESULT_BYTES}, {44, 6, 0, RESULT_BYTES},  {89, 3, 1, RESULT_BYTES},
	{20, 3, 0, RESULT_BYTES},   {35, 2, 0, RESULT_ZERO},  {270, 6, 0, RESULT_ZERO},  {6, 2, 1, RESULT_ZERO},
	{87, 1, 1, RESULT_ZERO},    {21, 2, 1, RESULT_ZERO},  {186, 0, 0, RESULT_ZERO},  {61, 4, 0, RESULT_ZERO},
	{56, 5, 0, RESULT_ZERO},    {59, 3, 1, RESULT_ZERO},  {293, 2, 0, RESULT_ZERO},  {33, 2, 0, RESULT_FD},
	{41, 3, 0, RESULT_FD},      {42, 3, 0, RESULT_ZERO},  {288, 4, 0, RESULT_FD},    {47, 3, 0, RESULT_BYTES},
	{46, 3, 0, RESULT_BYTES},   {263, 3, 2, RESULT_ZERO}, {258, 3, 2, RESULT_ZERO},  {82, 2, 1, RESULT_ZERO},
	{280, 4, 2, RESULT_ZERO},   {28, 3, 0, RESULT_ZERO},  {63, 1, 0, RESULT_ZERO},   {79, 2, 0, RESULT_BYTES},
	{80, 1, 1, RESULT_ZERO},    {158, 2, 0, RESULT_ZERO}, {218, 1, 0, RESULT_ZERO},  {302, 4, 0, RESULT_ZERO},
	{318, 3, 0, RESULT_BYTES},  {334, 4, 0, RESULT_ZERO}, {231, 1, 0, RESULT_ZERO},  {102, 0, 0, RESULT_ZERO},
};

static const char *const folders[] = {
	"/usr/include/",
	"/usr/lib/x86_64-linux-gnu/",
	"/proc/self/",
	"/etc/",
	"/home/user/project/src/",
	"/home/user/project/build/CMakeFiles/",
	"/usr/share/locale/en/LC_MESSAGES/",
	"/var/lib/dpkg/info/",
	"./",
	"../",
};
static const char *const names[] = {
	"config", "main", "stdio", "vector", "index", "objects", "module", "status", "libc.so", "handler",
	"passwd", "maps", "util",  "parser", "cache", "server",  "string", "README", "types",   "socket",
};
static const char *const endings[] = {".h", ".c", ".o", ".so.6", ".py", ".list", "", ".lock", ".tmp", ".json"};

/* Programs call in loops: the same calls in a row, from the same places, with nearly the same arguments. */
struct step {
	unsigned call; /* of calls[] */
	uint64_t stack_bytes;
	uint64_t args[6];  /* of those that are not used, what was left in the register */
	uint8_t is_heap;   /* bits: relative to the task's heap */
	uint8_t is_moving; /* bits: another value each time */
	bool is_steady;    /* the same result each time */
};

struct script {
	unsigned nr_steps;
	struct step steps[MAX_STEPS];
};

struct task {
	uint64_t cr3, task, id, stack, code, heap;
	const struct script *script;
	unsigned step, turns_left;
	const struct step *pending; /* NULL: in user space */
	uint64_t turn;              /* what moving arguments follow */
	uint64_t rip, rsp;
};

struct maker {
	uint64_t random;
	double cumulated[NR_CALLS];
	char paths[NR_PATHS][EVENT_PATH_MAX + 1];
	struct script scripts[NR_SCRIPTS];
	struct task tasks[NR_TASKS];
};

static uint64_t next(struct maker *maker)
{
	uint64_t x = maker->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	maker->random = x;
	return x * 0x2545f4914f6cdd1dull >> 16;
}

static unsigned below(struct maker *maker, unsigned limit)
{
	return (unsigned)(next(maker) % limit);
}

static void make_paths(struct maker *maker)
{
#define PICK(list) list[below(maker, sizeof(list) / sizeof(list[0]))]
	for (unsigned i = 0; i < NR_PATHS; i++) {
		char text[128];
		int length = snprintf(text, sizeof(text), "%s%s_%s%u%s", PICK(folders), PICK(names), PICK(names),
				      below(maker, 100), PICK(endings));

		if (length > (int)EVENT_PATH_MAX)
			length = EVENT_PATH_MAX;
		memcpy(maker->paths[i], text, (size_t)length);
		maker->paths[i][length] = '\0';
	}
#undef PICK
}

static void make_tasks(struct maker *maker)
{
	for (unsigned i = 0; i < NR_TASKS; i++) {
		struct task *task = &maker->tasks[i];
		const struct task *leader = i % 4 == 3 ? task - 1 : task; /* a second thread */

		*task = (struct task){
			.cr3 = leader != task ? leader->cr3 : (uint64_t)below(maker, 1 << 19) << 12 | 1ull << 63,
			.task = 0xffff888000000000ull + ((uint64_t)below(maker, 1 << 18) << 12) + 0xd00,
			.stack = 0x7ffc00000000ull + (next(maker) & 0xffffff000ull),
			.code = leader != task ? leader->code : LIBC + (next(maker) & 0xfffffff000ull),
			.heap = 0x550000000000ull + (next(maker) & 0xffffff000ull),
		};
		task->id = (1000 + 7 * i) | (uint64_t)(leader != task ? 1000 + 7 * (i - 1) : 1000 + 7 * i) << 32;
	}
}

static unsigned pick_call(struct maker *maker)
{
	double at = (double)below(maker, 1 << 24) / (1 << 24) * maker->cumulated[NR_CALLS - 1];
	unsigned i = 0;

	while (i < NR_CALLS - 1 && maker->cumulated[i] < at)
		i++;
	return i;
}

static void make_step(struct maker *maker, struct step *step)
{
	static const uint32_t sizes[] = {1, 8, 16, 144, 512, 832, 1024, 4096, 4096, 8192, 32768, 65536};
	const struct call *call;

	step->call = pick_call(maker);
	call = &calls[step->call];
	step->stack_bytes = 0x300 + (uint64_t)below(maker, 48) * 0x58;
	step->is_steady = below(maker, 3) != 0;
	for (unsigned i = 0; i < 6; i++) {
		bool is_used = i < call->nr_args;

		if (i == 0 && is_used) {
			step->args[i] = 3 + below(maker, 12);
		} else if (i == 2 && is_used) {
			step->args[i] = sizes[below(maker, sizeof(sizes) / sizeof(sizes[0]))];
		} else if (i == 1 || !is_used) {
			step->args[i] = (uint64_t)below(maker, 4096) * 16;
			step->is_heap |= (uint8_t)(1u << i);
		} else {
			step->args[i] = below(maker, 4) ? 0 : below(maker, 1 << 16);
		}
		if (!below(maker, is_used ? 4 : 12))
			step->is_moving |= (uint8_t)(1u << i);
	}
	if (call->path_arg) {
		step->args[call->path_arg - 1] = 0x10000 + (uint64_t)below(maker, NR_PATHS) * 64;
		step->is_heap |= (uint8_t)(1u << (call->path_arg - 1));
		if (call->path_arg == 2)
			step->args[0] = 0xffffffffffffff9cull; /* AT_FDCWD */
		step->is_moving &= (uint8_t)~1u;
		if (below(maker, 3))
			step->is_moving |= (uint8_t)(1u << (call->path_arg - 1));
	}
}

static void make_scripts(struct maker *maker)
{
	for (unsigned i = 0; i < NR_SCRIPTS; i++) {
		maker->scripts[i].nr_steps = 2 + below(maker, MAX_STEPS - 1);
		for (unsigned k = 0; k < maker->scripts[i].nr_steps; k++)
			make_step(maker, &maker->scripts[i].steps[k]);
	}
}

static const struct step *next_step(struct maker *maker, struct task *task)
{
	if (!task->script || ++task->step == task->script->nr_steps) {
		task->step = 0;
		task->turn++;
		if (!task->script || !task->turns_left--) {
			task->script = &maker->scripts[below(maker, NR_SCRIPTS)];
			task->turns_left = 1 + below(maker, 24);
		}
	}
	return &task->script->steps[task->step];
}

static void make_enter(struct maker *maker, struct task *task, struct stream_event *event)
{
	const struct step *step = next_step(maker, task);
	const struct call *call = &calls[step->call];
	uint64_t args[6];

	for (unsigned i = 0; i < 6; i++) {
		bool is_path = i + 1 == call->path_arg;

		args[i] = step->args[i];
		if (is_path && step->is_moving >> i & 1) {
			/* few paths are used often */
			unsigned pick = below(maker, NR_PATHS);

			args[i] = 0x10000 + (uint64_t)(below(maker, 3) ? pick % 48 : pick) * 64;
		} else if (step->is_moving >> i & 1) {
			args[i] += i == 1 ? task->turn * 64 % 4096 : task->turn % 5;
		}
		if (is_path) {
			event->path = maker->paths[(args[i] - 0x10000) / 64];
			event->path_bytes = (uint8_t)strlen(event->path);
		}
		if (step->is_heap >> i & 1)
			args[i] += task->heap;
	}
	task->pending = step;
	task->rip = task->code + 0xf0000 + call->nr * 0x140u + 0x17;
	task->rsp = task->stack + step->stack_bytes;
	event->regs[ENTER_RAX] = call->nr;
	event->regs[ENTER_RDI] = args[0];
	event->regs[ENTER_RSI] = args[1];
	event->regs[ENTER_RDX] = args[2];
	event->regs[ENTER_R10] = args[3];
	event->regs[ENTER_R8] = args[4];
	event->regs[ENTER_R9] = args[5];
	event->regs[ENTER_RSP] = task->rsp;
	event->regs[ENTER_RIP] = task->rip;
	event->regs[ENTER_CR3] = task->cr3;
	event->regs[ENTER_TASK] = task->task;
	event->regs[ENTER_TASK_ID] = task->id;
}

static void make_exit(struct maker *maker, struct task *task, struct stream_event *event)
{
	const struct step *step = task->pending;
	const struct call *call = &calls[step->call];
	uint64_t any = step->is_steady ? step->stack_bytes : next(maker), result = 0;

	if (call->path_arg && any / 8 % 4 == 0)
		result = (uint64_t)-2; /* ENOENT */
	else if (call->result == RESULT_BYTES)
		result = any % 2 ? any % 5000 : 4096;
	else if (call->result == RESULT_FD)
		result = 3 + any % 4;
	else if (call->result == RESULT_POINTER)
		result = task->code + (any % 512 << 12);
	event->is_exit = true;
	event->regs[EXIT_RAX] = result;
	event->regs[EXIT_RSP] = task->rsp;
	event->regs[EXIT_RIP] = task->rip;
	event->regs[EXIT_CR3] = task->cr3;
	event->regs[EXIT_TASK] = task->task;
	event->regs[EXIT_TASK_ID] = task->id;
	event->regs[EXIT_NR] = call->nr;
	task->pending = NULL;
}

/* Paths are pointed at by the events: they lie behind them. */
struct stream_memory {
	struct event_stream stream;
	struct maker maker;
};

struct event_stream *event_stream_create(uint64_t seed)
{
	struct stream_memory *memory = calloc(1, sizeof(*memory));
	struct event_stream *stream = &memory->stream;
	unsigned nr_paths = 0, path_bytes = 0;
	struct maker *maker;
	struct task *task;

	if (!memory)
		return NULL;
	maker = &memory->maker;
	maker->random = seed * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned i = 0; i < NR_CALLS; i++)
		maker->cumulated[i] = (i ? maker->cumulated[i - 1] : 0) + 1.0 / (i + 2);
	make_paths(maker);
	make_scripts(maker);
	make_tasks(maker);
	task = maker->tasks;
	for (unsigned i = 0; i < EVENT_STREAM_EVENTS; i++) {
		struct stream_event *event = &stream->events[i];

		/* Another task comes on now and then, and often in the middle of a call, which waits. */
		if (!below(maker, task->pending ? 25 : 60))
			task = &maker->tasks[below(maker, NR_TASKS)];
		if (task->pending)
			make_exit(maker, task, event);
		else
			make_enter(maker, task, event);
		nr_paths += event->path != NULL;
		path_bytes += event->path_bytes;
	}
	stream->path_share = (double)nr_paths / EVENT_STREAM_EVENTS;
	stream->path_bytes_average = (double)path_bytes / EVENT_STREAM_EVENTS;
	return stream;
}
