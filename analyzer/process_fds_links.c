/* SPDX-License-Identifier: MIT */
/* Links of the kernel's own that lead to what a descriptor refers to: /proc/self/fd/3, /dev/stdin. */
#include <string.h>

#include "process_fds_private.h"

/* Skips text that the path begins with. */
static bool skip(const char **at, const char *end, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(end - *at) < n || memcmp(*at, text, n) != 0)
		return false;
	*at += n;
	return true;
}

static bool take_number(const char **at, const char *end, int32_t *out)
{
	int64_t value = 0;
	const char *start = *at;

	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		value = 10 * value + (**at - '0');
		if (value > INT32_MAX)
			return false;
	}
	*out = (int32_t)value;
	return *at > start;
}

static struct fd_thread *thread_of(struct processes *p, int32_t tid)
{
	uint32_t i = process_table_find(&p->by_tid, (uint32_t)tid);

	return i == PROCESS_NONE ? NULL : p->threads[i].fd;
}

/* Only /proc is sure to be what it is called; and another's number may be one of another PID namespace. */
static bool find_number(struct processes *p, const struct fd_thread *t, const char **at, const char *end,
			struct fd_thread **whose, int32_t *fd, bool *sure)
{
	static const char *const standard[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
	int32_t pid;

	*whose = thread_of(p, p->threads[t->at].pub.pid);
	*sure = true;
	for (int n = 0; n < 3; n++) {
		if (skip(at, end, standard[n])) {
			*fd = n;
			*sure = false;
			return *at == end;
		}
	}
	if (skip(at, end, "/dev/fd/")) {
		*sure = false;
	} else if (skip(at, end, "/proc/thread-self/fd/")) {
		*whose = p->threads[t->at].fd;
	} else if (!skip(at, end, "/proc/self/fd/")) {
		if (!skip(at, end, "/proc/") || !take_number(at, end, &pid) || !skip(at, end, "/fd/"))
			return false;
		*whose = thread_of(p, pid);
		*sure = false;
	}
	return take_number(at, end, fd) && (*at == end || **at == '/');
}

bool process_fd_link(struct processes *p, struct fd_thread *t, const char **path, size_t *n)
{
	const char *at = *path, *end = *path + *n;
	const struct fd_slot *slot;
	struct fd_thread *whose;
	bool sure;

	if (!t->fs || t->fs->root[0] || !find_number(p, t, &at, end, &whose, &t->link_fd, &sure))
		return false;
	while (at < end && *at == '/')
		at++;
	*n = (size_t)(end - at);
	*path = at;
	slot = whose ? fd_table_slot(whose->files, t->link_fd) : NULL;
	t->unsure |= !sure || !slot || !fd_is_sure(p, whose, slot);
	fd_file_release(t->file);
	t->file = slot ? fd_file_hold(slot->file) : NULL;
	t->by_link = true;
	/* another thread's may be another already as the call looks */
	t->unsure |= whose != t && whose && whose->files != t->files;
	return true;
}

void process_fd_link_late(struct processes *p, struct fd_thread *t)
{
	const struct fd_slot *slot = fd_table_slot(t->files, t->link_fd);

	/* another thread has put another file there */
	t->unsure |= !slot || slot->file != t->file || !fd_is_sure(p, t, slot);
}
