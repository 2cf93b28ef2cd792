/* SPDX-License-Identifier: MIT */
/* fd_calls.h - which system calls make, change and close file descriptors, and which arguments are descriptors. */
#ifndef FD_CALLS_H
#define FD_CALLS_H

#include "linux/linux_guest.h"

enum fd_action {
	FD_DO_NOTHING,
	FD_DO_OPEN,
	FD_DO_OPENAT2,
	FD_DO_NEW, /* returns a descriptor of a known kind, and that is all */
	FD_DO_MEMFD,
	FD_DO_SIGNALFD,
	FD_DO_PIDFD_GETFD,
	FD_DO_CLOSE,
	FD_DO_CLOSE_RANGE,
	FD_DO_DUP,
	FD_DO_DUP2,
	FD_DO_DUP3,
	FD_DO_FCNTL,
	FD_DO_IOCTL,
	FD_DO_PIPE,
	FD_DO_SOCKETPAIR,
	FD_DO_SOCKET,
	FD_DO_BIND,
	FD_DO_CONNECT,
	FD_DO_LISTEN,
	FD_DO_ACCEPT,
	FD_DO_GETSOCKNAME,
	FD_DO_GETPEERNAME,
	FD_DO_SENDMSG,
	FD_DO_SENDMMSG,
	FD_DO_RECVMSG,
	FD_DO_RECVMMSG,
	FD_DO_RECV, /* takes what has come without descriptors that came with it */
	FD_DO_CLONE,
	FD_DO_CLONE3,
	FD_DO_SOCKETCALL, /* i386: one of those above, by its first argument */
	FD_DO_IO_URING,
	FD_DO_IO_URING_ENTER,
	FD_DO_IO_URING_REGISTER,
	FD_DO_GETDENTS,
	FD_DO_CHDIR,
	FD_DO_FCHDIR,
	FD_DO_GETCWD,
	FD_DO_CHROOT,
	FD_DO_UNSHARE,
	FD_DO_RENAME,
	FD_DO_UNLINK,
	FD_DO_LINK,
	FD_DO_OPEN_TREE,
	FD_DO_MOUNT, /* with MS_MOVE, files have other names by now; so they do behind the next three */
	FD_DO_MOVE_MOUNT,
	FD_DO_UMOUNT,
	FD_DO_PIVOT,
	FD_DO_LOSE_NAMES, /* mounts and namespaces: directories may be others now */
	FD_DO_SETUID,
	FD_DO_SETRESUID, /* setreuid, too */
};

struct fd_call {
	uint8_t action; /* enum fd_action */
	uint8_t kind;   /* enum fd_kind of what it returns */
	int8_t dirfd;   /* arguments; -1: none */
	int8_t path;
	int8_t flags;
	bool removes_directory;
	uint32_t cloexec; /* bit of flags; UINT32_MAX: always */
	uint8_t fd_args;  /* arguments that are descriptors, a bit each */
	uint8_t dir_args; /* those of them that may be AT_FDCWD */
};

/* By the name that user space uses. */
void fd_call_of(const struct linux_syscall *syscall, struct fd_call *out);
/* It changes no descriptor, and takes what has come on a socket. */
static inline bool fd_call_is_receive(const struct fd_call *call)
{
	return call->action == FD_DO_RECV;
}
/* It sends or takes what sockets carry. */
static inline bool fd_call_is_message(const struct fd_call *call)
{
	return call->action == FD_DO_SENDMSG || call->action == FD_DO_SENDMMSG || call->action == FD_DO_RECVMSG ||
	       call->action == FD_DO_RECVMMSG || call->action == FD_DO_RECV;
}
/* It changes what descriptors and directories are, and does not only tell. */
static inline bool fd_call_is_change(const struct fd_call *call)
{
	return call->action != FD_DO_NOTHING && call->action != FD_DO_GETCWD && call->action != FD_DO_IO_URING_REGISTER;
}
/* What socketcall stands for with this first argument; false: for nothing that is known. */
bool fd_call_of_socketcall(uint64_t number, struct fd_call *out);

#endif
