/* SPDX-License-Identifier: MIT */
#include "event_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_TASKS 24u
#define NR_CALLS 60u
#define NR_PATHS 512u
#define LIBC     0x7f0000000000ull

enum result_kind { RESULT_ZERO, RESULT_BYTES, RESULT_FD, RESULT_POINTER };

/* x86-64 calls from the most to the least frequent, as a building and serving machine makes them. */
static const struct call {
	uint16_t nr;
	uint8_t nr_args;
	uint8_t path_arg; /* 1-based; 0: none */
	uint8_t result;
} calls[NR_CALLS] = {
	{257, 4, 2, RESULT_FD},     {3, 1, 0, RESULT_ZERO},   {0, 3, 0, RESULT_BYTES},   {1, 3, 0, RESULT_BYTES},
	{262, 4, 2, RESULT_ZERO},   {21, 2, 1, RESULT_ZERO},  {9, 6, 0, RESULT_POINTER}, {202, 6, 0, RESULT_ZERO},
	{332, 5, 2, RESULT_ZERO},   {5, 2, 0, RESULT_ZERO},   {267, 4, 2, RESULT_BYTES}, {8, 3, 0, RESULT_BYTES},
	{13, 4, 0, RESULT_ZERO},    {14, 4, 0, RESULT_ZERO},  {10, 3, 0, RESULT_ZERO},   {11, 2, 0, RESULT_ZERO},
	{17, 4, 0, RESULT_BYTES},   {4, 2, 1, RESULT_ZERO},   {232, 4, 0, RESULT_ZERO},  {7, 3, 0, RESULT_ZERO},
	{12, 1, 0, RESULT_POINTER}, {72, 3, 0, RESULT_ZERO},  {16, 3, 0, RESULT_ZERO},   {228, 2, 0, RESULT_ZERO},
	{217, 3, 0, RESULT_BYTES},  {45, 6, 0, RESULT_BYTES}, {44, 6, 0, RESULT_BYTES},  {89, 3, 1, RESULT_BYTES},
	{20, 3, 0, RESULT_BYTES},   {35, 2, 0, RESULT_ZERO},  {270, 6, 0, RESULT_ZERO},  {6, 2, 1, RESULT_ZERO},
	{87, 1, 1, RESULT_ZERO},    {39, 0, 0, RESULT_ZERO},  {186, 0, 0, RESULT_ZERO},  {61, 4, 0, RESULT_ZERO},
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

struct task {
	uint64_t cr3, task, id, rsp, code, heap;
	uint64_t stale[3]; /* what lies in registers that the call does not use */
	unsigned pending;  /* of calls[]; NR_CALLS: in user space */
	uint64_t rip;
};

struct maker {
	uint64_t random;
	double cumulated[NR_CALLS];
	char paths[NR_PATHS][EVENT_PATH_MAX + 1];
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
			.rsp = 0x7ffc00000000ull + (next(maker) & 0xffffff000ull) + below(maker, 512) * 8,
			.code = leader != task ? leader->code : LIBC + (next(maker) & 0xfffffff000ull),
			.heap = 0x550000000000ull + (next(maker) & 0xffffff000ull),
			.pending = NR_CALLS,
		};
		task->id = (1000 + 7 * i) | (uint64_t)(leader != task ? 1000 + 7 * (i - 1) : 1000 + 7 * i) << 32;
		for (unsigned k = 0; k < 3; k++)
			task->stale[k] = task->heap + below(maker, 4096) * 16;
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

static uint64_t argument(struct maker *maker, const struct task *task, unsigned index)
{
	static const uint32_t sizes[] = {1, 8, 16, 144, 512, 832, 1024, 4096, 4096, 8192, 32768, 65536};

	switch (index) {
	case 0:
		return 3 + below(maker, 12);
	case 1:
		return task->heap + (uint64_t)below(maker, 256) * 64;
	case 2:
		return sizes[below(maker, sizeof(sizes) / sizeof(sizes[0]))];
	default:
		return below(maker, 4) ? 0 : task->rsp + 64;
	}
}

static void make_enter(struct maker *maker, struct task *task, struct stream_event *event)
{
	unsigned index = pick_call(maker);
	const struct call *call = &calls[index];
	uint64_t args[6];

	for (unsigned i = 0; i < 6; i++)
		args[i] = i < call->nr_args ? argument(maker, task, i) : task->stale[i % 3];
	if (!below(maker, 8))
		task->stale[below(maker, 3)] = task->heap + (uint64_t)below(maker, 4096) * 16;
	task->pending = index;
	task->rip = task->code + 0xf0000 + call->nr * 0x140u + 0x17;
	task->rsp = (task->rsp & ~0xfffull) | ((uint64_t)below(maker, 24) * 0x58 + 0x300);
	if (call->path_arg) {
		/* few paths are used often */
		unsigned pick = below(maker, NR_PATHS);

		pick = below(maker, 3) ? pick % 48 : pick;
		event->path = maker->paths[pick];
		event->path_bytes = (uint8_t)strlen(event->path);
		args[call->path_arg - 1] = task->heap + 0x10000 + pick * 64;
		if (call->path_arg == 2)
			args[0] = 0xffffffffffffff9cull; /* AT_FDCWD */
	}
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
	const struct call *call = &calls[task->pending];
	uint64_t result = 0;

	if (call->path_arg && !below(maker, 4))
		result = (uint64_t)-2; /* ENOENT */
	else if (call->result == RESULT_BYTES)
		result = below(maker, 2) ? 4096 : below(maker, 5000);
	else if (call->result == RESULT_FD)
		result = 3 + below(maker, 12);
	else if (call->result == RESULT_POINTER)
		result = task->code + ((uint64_t)below(maker, 512) << 12);
	event->is_exit = true;
	event->regs[EXIT_RAX] = result;
	event->regs[EXIT_RSP] = task->rsp;
	event->regs[EXIT_RIP] = task->rip;
	event->regs[EXIT_CR3] = task->cr3;
	event->regs[EXIT_TASK] = task->task;
	event->regs[EXIT_TASK_ID] = task->id;
	event->regs[EXIT_NR] = call->nr;
	task->pending = NR_CALLS;
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
	make_tasks(maker);
	task = maker->tasks;
	for (unsigned i = 0; i < EVENT_STREAM_EVENTS; i++) {
		struct stream_event *event = &stream->events[i];

		/* Another task comes on now and then, and often in the middle of a call, which waits. */
		if (!below(maker, task->pending == NR_CALLS ? 60 : 25))
			task = &maker->tasks[below(maker, NR_TASKS)];
		if (task->pending == NR_CALLS)
			make_enter(maker, task, event);
		else
			make_exit(maker, task, event);
		nr_paths += event->path != NULL;
		path_bytes += event->path_bytes;
	}
	stream->path_share = (double)nr_paths / EVENT_STREAM_EVENTS;
	stream->path_bytes_average = (double)path_bytes / EVENT_STREAM_EVENTS;
	return stream;
}
