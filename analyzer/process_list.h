/* SPDX-License-Identifier: MIT */
/*
 * process_list.h - the guest's processes at one moment: the last snapshot
 * before it, what the records since then tell, and what only the next snapshot
 * knows of those that were there already.
 */
#ifndef PROCESS_LIST_H
#define PROCESS_LIST_H

#include "processes.h"
#include "session.h"

struct process_row {
	struct process_thread leader; /* its first thread, or the one that is known */
	int32_t ppid;                 /* after adoption; -1: not known */
	unsigned nr_threads;
	int64_t started_ns; /* UTC; -1: not known */
	char *exe;          /* never NULL */
	size_t depth;       /* in the tree */
	bool last_child;
};

/* A thread that is not its process's leader. */
struct process_list_thread {
	struct process_thread thread; /* exe: "" */
	int64_t started_ns;           /* UTC; -1: not known */
};

struct process_list {
	struct process_row *rows; /* children behind their parent, by pid */
	size_t count;
	struct process_list_thread *threads; /* by process and thread id */
	size_t nr_threads;
};

/* Of the moment of this TSC value; UINT64_MAX: the end of the tape. */
struct vmtape_error *process_list_create(struct process_list *out, struct session *session, uint64_t tsc);
/* The other threads of a process: the first of them, and how many. */
const struct process_list_thread *process_list_threads(const struct process_list *list, const struct process_row *row,
						       size_t *count);
void process_list_deinit(struct process_list *list);

#endif
