/* SPDX-License-Identifier: MIT */
/* process_table.h - inside of processes.h: the table and its indices. Private to process*.c. */
#ifndef PROCESS_TABLE_H
#define PROCESS_TABLE_H

#include "process_fds.h"
#include "processes.h"
#include "u64_map.h"

/* pid_max is at most 4 Mi; a hostile tape may name more threads than any guest runs, and those stay nameless. */
#define PROCESSES_MAX       (1u << 20)
#define PROCESSES_EXE_BYTES (64u << 20)
/* Of these the command lines, which all may differ, and the directories: room is left for the executables. */
#define PROCESSES_CMDLINE_BYTES   (PROCESSES_EXE_BYTES / 2)
#define PROCESSES_DIRECTORY_BYTES (PROCESSES_EXE_BYTES / 4)
#define PROCESSES_RECENT          64u
#define PROCESS_NONE              UINT32_MAX

struct thread_entry {
	struct process_thread pub;
	bool used;
	bool on_snapshot;
	uint64_t confirmed;    /* number of gaps when name and parent were last told */
	uint64_t ppid_tsc;     /* when ppid was told */
	const char *exec_path; /* of the execve that it is in; NULL: not known */
	bool exe_told;         /* by an identity record since the execve began */
	enum call_role role;   /* of the call that it is in */
	uint64_t args[3];
	uint64_t clone_flags;
	bool clone_flags_known;
	struct fd_thread *fd; /* NULL: nothing known */
	const char *exec_cmdline;
	int32_t parent;       /* processes_parent() as of family_seen */
	uint64_t family_seen; /* processes.family then; 0: to be found out */
	uint32_t next_mate;   /* next thread of the process; also chains the free ones */
};

struct processes {
	void (*gone)(void *ctx, uint64_t task);
	void *ctx;
	struct thread_entry *threads;
	uint32_t room, used, free;
	size_t count;
	struct u64_map by_task, by_tid, by_pid, by_cr3;
	uint32_t recent[PROCESSES_RECENT]; /* by vCPU: the thread that ran there last; checked before it is believed */
	uint64_t family;                   /* counts what may change whose parent is whose; never 0 */
	struct u64_map dead_tsc, dead_parent; /* of processes that ended, by pid */
	struct u64_map hint_by_task;
	struct linux_task *hints;
	size_t nr_hints, room_hints;
	struct u64_map exes; /* hash of struct process_exe to path */
	process_exe_fn *find_exe;
	void *find_exe_ctx;
	uint64_t cr3_mask;
	uint64_t gaps;
	uint64_t lossy_until; /* end of the latest gap; what is told before may be outdated by a lost record */
	uint64_t snapshot_tsc;
	struct u64_map strings; /* hash to pointer */
	char **string_list;
	size_t nr_strings, room_strings, string_bytes, cmdline_bytes, directory_bytes;
	bool strings_full;       /* one had no room */
	struct process_fds *fds; /* NULL: not wanted */
};

uint32_t process_table_find(const struct u64_map *map, uint64_t key);
/* The thread with this task word, which ran on this vCPU. */
static inline uint32_t process_table_find_task(struct processes *p, uint64_t task, uint16_t vcpu)
{
	uint32_t *recent = &p->recent[vcpu % PROCESSES_RECENT];

	if (*recent >= p->used || !p->threads[*recent].used || p->threads[*recent].pub.task != task)
		*recent = process_table_find(&p->by_task, task);
	return *recent;
}
/* PROCESS_NONE: out of memory or full. */
uint32_t process_table_add(struct processes *p, uint64_t task, int32_t pid, int32_t tid, uint64_t tsc);
void process_table_remove(struct processes *p, uint32_t i, uint64_t tsc);
/* Gives the thread other ids, in all indices. */
void process_table_rename(struct processes *p, uint32_t i, int32_t pid, int32_t tid);
/* One copy of each string; "" when there is no room. */
const char *process_table_string(struct processes *p, const void *bytes, size_t n);
const char *process_table_cmdline(struct processes *p, const void *bytes, size_t n);
const char *process_table_directory(struct processes *p, const void *bytes, size_t n);
/* Copies what the process's other threads, or else its parent, are known by. */
void process_table_inherit(struct processes *p, uint32_t i);
/* What is known of the thread is as of tsc. */
void process_table_confirm(const struct processes *p, struct thread_entry *t, uint64_t tsc);
/* Flags of the fork, vfork, clone or clone3 that this record enters; false: not known. */
bool process_clone_flags(const struct trap_view *view, uint64_t *flags);
/* What an identity record tells of the thread's executable. */
void process_exe_apply(struct processes *p, uint32_t i, const struct trap_view *view);

#endif
