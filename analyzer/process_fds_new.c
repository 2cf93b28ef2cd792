/* SPDX-License-Identifier: MIT */
/* What calls make that open no path: pipes, pairs of sockets, anonymous files, descriptors of processes. */
#include <stdio.h>
#include <string.h>

#include "fd_link.h"
#include "fd_record.h"
#include "process_fds_private.h"

#define INIT_PIDNS 0xeffffffcu /* linux/proc_ns.h: PROC_PID_INIT_INO */

struct fd_object *process_fd_make_pipe(const struct fd_thread *t)
{
	return fd_object_create(FD_PIPE, "", 0);
}

struct fd_object *process_fd_make_new(const struct fd_thread *t)
{
	static const char *const names[FD_KINDS] = {
		[FD_EVENTFD] = "[eventfd]",   [FD_EPOLL] = "[eventpoll]",         [FD_TIMERFD] = "[timerfd]",
		[FD_SIGNALFD] = "[signalfd]", [FD_INOTIFY] = "inotify",           [FD_FANOTIFY] = "[fanotify]",
		[FD_IO_URING] = "[io_uring]", [FD_USERFAULTFD] = "[userfaultfd]", [FD_PERF] = "[perf_event]",
	};
	char text[64] = "";

	if (names[t->call->kind])
		snprintf(text, sizeof(text), "anon_inode:%s", names[t->call->kind]);
	return fd_object_create((enum fd_kind)t->call->kind, text, strlen(text));
}

struct fd_object *process_fd_make_memfd(const struct trap_view *enter, const struct fd_thread *t)
{
	char text[FD_NAME_BYTES];
	size_t n;
	const char *name = fd_record_string(enter, t->call->path, false, &n);
	int len = name ? snprintf(text, sizeof(text), "/memfd:%.*s (deleted)", (int)(n < 256 ? n : 256), name) : 0;

	return len > 0 ? fd_object_create(FD_MEMFD, text, (size_t)len) : NULL;
}

void process_fd_made_pair(struct processes *p, struct fd_thread *t, const struct trap_view *view, int arg,
			  struct fd_object *(*make)(const struct fd_thread *t))
{
	size_t n;
	bool whole;
	const uint8_t *bytes = fd_record_piece(view, (uint8_t)(PLAN_LABEL_ARG0 + arg), false, &n, &whole);
	struct fd_file *pair[2];

	if (!bytes || n < 8)
		return;
	for (size_t i = 0; i < 2; i++)
		pair[i] = fd_file_create(&p->fds->room, make(t));
	if (t->call->action == FD_DO_SOCKETPAIR && pair[0] && pair[1])
		fd_link_join(pair[0], pair[1], fd_gaps(p));
	for (size_t i = 0; i < 2; i++)
		process_fd_set(p, t, (int32_t)fd_record_u32(bytes + 4 * i), pair[i], process_fd_cloexec(t), false,
			       view->header.tsc);
}

struct fd_object *process_fd_make_pidfd(struct processes *p, uint32_t i, struct fd_thread *t, int32_t pid)
{
	uint32_t pidns = p->threads[i].pub.pidns;
	char text[32];

	t->unsure |= !pidns;
	if (pidns && pidns != INIT_PIDNS)
		return fd_object_create(FD_PIDFD, "anon_inode:[pidfd]", 18);
	snprintf(text, sizeof(text), "pid:%d", pid);
	return fd_object_create(FD_PIDFD, text, strlen(text));
}

struct fd_slot *process_fd_slot_of_other(struct processes *p, struct fd_thread *t)
{
	const struct fd_slot *pidfd = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]);
	struct fd_slot *slot;
	uint32_t i;
	int pid;

	if (!pidfd || pidfd->file->object->kind != FD_PIDFD || sscanf(pidfd->file->object->name, "pid:%d", &pid) != 1)
		return NULL;
	i = process_table_find(&p->by_tid, (uint32_t)pid);
	if (i == PROCESS_NONE || !p->threads[i].fd || !p->threads[i].fd->files)
		return NULL;
	slot = fd_table_slot(p->threads[i].fd->files, (int32_t)(uint32_t)t->args[1]);
	t->unsure |= slot && (!fd_is_sure(p, p->threads[i].fd, slot) || !fd_is_sure(p, t, pidfd));
	return slot;
}

/* Both, another thread and the other process, may have changed theirs meanwhile: then it is the one or the other. */
struct fd_file *process_fd_copied_from_other(struct processes *p, struct fd_thread *t)
{
	struct fd_slot *slot = process_fd_slot_of_other(p, t);

	if (t->file && slot && slot->file == t->file)
		return fd_file_hold(t->file);
	t->unsure = true;
	return fd_file_create(&p->fds->room, fd_object_create(FD_RECEIVED, "", 0));
}

void process_fd_made_pidfd(struct processes *p, uint32_t i, struct fd_thread *t, const struct trap_view *view,
			   int64_t ret)
{
	const uint8_t *bytes;
	size_t n;
	bool whole;

	if (ret <= 0 || !t->clone_flags_known || !(t->clone_flags & CLONE_PIDFD_FLAG))
		return;
	if (t->call->action == FD_DO_CLONE)
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 2, false, &n, &whole);
	else
		bytes = t->pidfd_gva ? fd_record_piece_at(view, PLAN_LABEL_DEEP0, t->pidfd_gva, &n, &whole) : NULL;
	if (bytes && n >= 4) {
		struct fd_object *object = process_fd_make_pidfd(p, i, t, (int32_t)ret);

		process_fd_set(p, t, (int32_t)fd_record_u32(bytes), fd_file_create(&p->fds->room, object), true,
			       t->unsure, view->header.tsc);
	}
}
