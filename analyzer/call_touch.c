/* SPDX-License-Identifier: MIT */
#include "call_touch.h"

#include <fcntl.h>
#include <string.h>

#include "fd_paths.h"
#include "linux/captured.h"
#include "plan_abi.h"

#define DATA(name_, in_, out_)                                                                                    \
	{                                                                                                         \
#name_,                                                                                           \
		{                                                                                                 \
			.what = TOUCH_DATA, .in = in_, .out = out_, .dirs = {-1, -1}, .paths = {-1, -1}, .fd = -1 \
		}                                                                                                 \
	}
#define MESSAGES(name_, in_, out_)                                                                                    \
	{                                                                                                             \
#name_,                                                                                               \
		{                                                                                                     \
			.what = TOUCH_MESSAGES, .in = in_, .out = out_, .dirs = {-1, -1}, .paths = {-1, -1}, .fd = -1 \
		}                                                                                                     \
	}
#define PATH(name_, what_, dir_, path_)                                                                                \
	{                                                                                                              \
#name_,                                                                                                \
		{                                                                                                      \
			.what = TOUCH_##what_, .in = -1, .out = -1, .dirs = {dir_, -1}, .paths = {path_, -1}, .fd = -1 \
		}                                                                                                      \
	}
#define PATHS(name_, what_, dir0, path0, dir1, path1)                                                              \
	{                                                                                                          \
#name_,                                                                                            \
		{                                                                                                  \
			.what = TOUCH_##what_, .in = -1, .out = -1, .dirs = {dir0, dir1}, .paths = {path0, path1}, \
			.fd = -1                                                                                   \
		}                                                                                                  \
	}
#define FD(name_, what_, fd_)                                                                                      \
	{                                                                                                          \
#name_,                                                                                            \
		{                                                                                                  \
			.what = TOUCH_##what_, .in = -1, .out = -1, .dirs = {-1, -1}, .paths = {-1, -1}, .fd = fd_ \
		}                                                                                                  \
	}

static const struct {
	const char *name;
	struct call_touch touch;
} touches[] = {
	DATA(read, 0, -1),
	DATA(pread64, 0, -1),
	DATA(readv, 0, -1),
	DATA(preadv, 0, -1),
	DATA(preadv2, 0, -1),
	DATA(recvfrom, 0, -1),
	DATA(recvmsg, 0, -1),
	DATA(getdents, 0, -1),
	DATA(getdents64, 0, -1),
	DATA(write, -1, 0),
	DATA(pwrite64, -1, 0),
	DATA(writev, -1, 0),
	DATA(pwritev, -1, 0),
	DATA(pwritev2, -1, 0),
	DATA(sendto, -1, 0),
	DATA(sendmsg, -1, 0),
	DATA(vmsplice, -1, 0),
	DATA(sendfile, 1, 0),
	DATA(sendfile64, 1, 0),
	DATA(splice, 0, 2),
	DATA(tee, 0, 1),
	DATA(copy_file_range, 0, 2),
	MESSAGES(recvmmsg, 0, -1),
	MESSAGES(sendmmsg, -1, 0),
	PATH(open, OPEN, -1, 0),
	PATH(openat, OPEN, 0, 1),
	PATH(openat2, OPEN, 0, 1),
	PATH(creat, OPEN, -1, 0),
	PATH(execve, EXEC, -1, 0),
	PATH(execveat, EXEC, 0, 1),
	PATH(unlink, REMOVE, -1, 0),
	PATH(unlinkat, REMOVE, 0, 1),
	PATH(rmdir, REMOVE, -1, 0),
	PATHS(rename, RENAME, -1, 0, -1, 1),
	PATHS(renameat, RENAME, 0, 1, 2, 3),
	PATHS(renameat2, RENAME, 0, 1, 2, 3),
	PATHS(link, CHANGE, -1, 0, -1, 1),
	PATHS(linkat, CHANGE, 0, 1, 2, 3),
	PATH(symlink, CHANGE, -1, 1),
	PATH(symlinkat, CHANGE, 1, 2),
	PATH(mkdir, CHANGE, -1, 0),
	PATH(mkdirat, CHANGE, 0, 1),
	PATH(mknod, CHANGE, -1, 0),
	PATH(mknodat, CHANGE, 0, 1),
	PATH(truncate, CHANGE, -1, 0),
	PATH(chmod, CHANGE, -1, 0),
	PATH(fchmodat, CHANGE, 0, 1),
	PATH(fchmodat2, CHANGE, 0, 1),
	PATH(chown, CHANGE, -1, 0),
	PATH(lchown, CHANGE, -1, 0),
	PATH(fchownat, CHANGE, 0, 1),
	PATH(utimensat, CHANGE, 0, 1),
	PATH(utimes, CHANGE, -1, 0),
	PATH(utime, CHANGE, -1, 0),
	PATH(setxattr, CHANGE, -1, 0),
	PATH(lsetxattr, CHANGE, -1, 0),
	PATH(removexattr, CHANGE, -1, 0),
	FD(ftruncate, CHANGE, 0),
	FD(fallocate, CHANGE, 0),
	FD(fchmod, CHANGE, 0),
	FD(fchown, CHANGE, 0),
	FD(fsetxattr, CHANGE, 0),
	FD(mmap, MAP, 4),
	FD(mmap2, MAP, 4),
	FD(connect, CONNECT, 0),
	FD(accept, ACCEPT, 0),
	FD(accept4, ACCEPT, 0),
	FD(listen, LISTEN, 0),
};
#define NR_TOUCHES (sizeof(touches) / sizeof(touches[0]))
_Static_assert(NR_TOUCHES < 254, "a position fits in a byte");
#define NOTHING 255

const struct call_touch *call_touch(struct touch_cache *cache, const struct call *call)
{
	uint8_t *known;

	if (!call->syscall || !call->syscall->name || call->abi >= TRAP_ABIS || call->nr >= 1024)
		return NULL;
	known = &cache->known[call->abi][call->nr];
	if (!*known) {
		*known = NOTHING;
		for (size_t i = 0; i < NR_TOUCHES; i++)
			if (!strcmp(touches[i].name, call->syscall->name))
				*known = (uint8_t)(i + 1);
	}
	return *known == NOTHING ? NULL : &touches[*known - 1].touch;
}

struct fd_object *call_touch_path(const struct call *call, const struct call_touch *touch, int i, bool *uncertain)
{
	int dir = touch->dirs[i], path = touch->paths[i];
	const char *base = NULL, *root;
	struct captured piece;
	bool ended;
	size_t n;

	if (path < 0 || !call->fds || !call->args_known ||
	    !captured_find(call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + path), call->args[path], &piece))
		return NULL;
	n = captured_string(&piece, &ended);
	if (!ended || !n)
		return NULL;
	if (piece.data[0] != '/' && (dir < 0 || (int32_t)(uint32_t)call->args[dir] == AT_FDCWD)) {
		base = call->fds->cwd;
		*uncertain |= call->fds->cwd_uncertain;
	} else if (piece.data[0] != '/' && call->fds->objects[dir]) {
		base = call->fds->objects[dir]->name;
		*uncertain |= call->fds->uncertain >> dir & 1;
	}
	root = call->fds->root ? call->fds->root : "";
	*uncertain |= piece.data[0] == '/' && call->fds->root_uncertain;
	return fd_path_object(FD_FILE, root, base, (const char *)piece.data, n);
}
