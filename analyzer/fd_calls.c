/* SPDX-License-Identifier: MIT */
#include "fd_calls.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "fd_object.h"
#include "linux/multiplexed.h"
#include "linux/semantics.h"

#define ALWAYS UINT32_MAX

#define CALL(name_, action_, kind_, ...)           \
	{                                          \
		.name = #name_, .call = {          \
			.action = FD_DO_##action_, \
			.kind = kind_,             \
			.dirfd = -1,               \
			.path = -1,                \
			.flags = -1,               \
			__VA_ARGS__                \
		}                                  \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct {
	const char *name;
	struct fd_call call;
} calls[] = {
	CALL(open, OPEN, FD_FILE, .path = 0, .flags = 1, .cloexec = O_CLOEXEC),
	CALL(openat, OPEN, FD_FILE, .dirfd = 0, .path = 1, .flags = 2, .cloexec = O_CLOEXEC),
	CALL(openat2, OPENAT2, FD_FILE, .dirfd = 0, .path = 1),
	CALL(creat, OPEN, FD_FILE, .path = 0),
	CALL(close, CLOSE, 0),
	CALL(close_range, CLOSE_RANGE, 0, .flags = 2),
	CALL(dup, DUP, 0),
	CALL(dup2, DUP2, 0),
	CALL(dup3, DUP3, 0, .flags = 2, .cloexec = O_CLOEXEC),
	CALL(fcntl, FCNTL, 0),
	CALL(fcntl64, FCNTL, 0),
	CALL(ioctl, IOCTL, 0),
	CALL(pipe, PIPE, FD_PIPE),
	CALL(pipe2, PIPE, FD_PIPE, .flags = 1, .cloexec = O_CLOEXEC),
	CALL(socket, SOCKET, FD_SOCKET, .flags = 1, .cloexec = SOCK_CLOEXEC),
	CALL(socketpair, SOCKETPAIR, FD_SOCKET, .flags = 1, .cloexec = SOCK_CLOEXEC),
	CALL(bind, BIND, 0),
	CALL(connect, CONNECT, 0),
	CALL(listen, LISTEN, 0),
	CALL(accept, ACCEPT, FD_SOCKET),
	CALL(accept4, ACCEPT, FD_SOCKET, .flags = 3, .cloexec = SOCK_CLOEXEC),
	CALL(getsockname, GETSOCKNAME, 0),
	CALL(getpeername, GETPEERNAME, 0),
	CALL(sendmsg, SENDMSG, 0),
	CALL(sendmmsg, SENDMMSG, 0),
	CALL(recvmsg, RECVMSG, 0, .flags = 2, .cloexec = MSG_CMSG_CLOEXEC),
	CALL(recvmmsg, RECVMMSG, 0, .flags = 3, .cloexec = MSG_CMSG_CLOEXEC),
	CALL(recvmmsg_time64, RECVMMSG, 0, .flags = 3, .cloexec = MSG_CMSG_CLOEXEC),
	CALL(recvfrom, RECV, 0),
	CALL(recv, RECV, 0),
	CALL(read, RECV, 0),
	CALL(readv, RECV, 0),
	CALL(preadv2, RECV, 0),
	CALL(splice, RECV, 0),
	CALL(clone, CLONE, FD_PIDFD, .cloexec = ALWAYS),
	CALL(clone3, CLONE3, FD_PIDFD, .cloexec = ALWAYS),
	CALL(socketcall, SOCKETCALL, 0),
	CALL(eventfd, NEW, FD_EVENTFD),
	CALL(eventfd2, NEW, FD_EVENTFD, .flags = 1, .cloexec = O_CLOEXEC),
	CALL(epoll_create, NEW, FD_EPOLL),
	CALL(epoll_create1, NEW, FD_EPOLL, .flags = 0, .cloexec = O_CLOEXEC),
	CALL(timerfd_create, NEW, FD_TIMERFD, .flags = 1, .cloexec = O_CLOEXEC),
	CALL(signalfd, SIGNALFD, FD_SIGNALFD),
	CALL(signalfd4, SIGNALFD, FD_SIGNALFD, .flags = 3, .cloexec = O_CLOEXEC),
	CALL(inotify_init, NEW, FD_INOTIFY),
	CALL(inotify_init1, NEW, FD_INOTIFY, .flags = 0, .cloexec = O_CLOEXEC),
	CALL(fanotify_init, NEW, FD_FANOTIFY, .flags = 0, .cloexec = 1),          /* FAN_CLOEXEC */
	CALL(memfd_create, MEMFD, FD_MEMFD, .path = 0, .flags = 1, .cloexec = 1), /* MFD_CLOEXEC */
	CALL(memfd_secret, NEW, FD_MEMFD, .flags = 0, .cloexec = O_CLOEXEC),
	CALL(io_uring_setup, IO_URING, FD_IO_URING, .cloexec = ALWAYS),
	CALL(io_uring_enter, IO_URING_ENTER, 0),
	CALL(io_uring_register, IO_URING_REGISTER, 0),
	CALL(pidfd_open, NEW, FD_PIDFD, .cloexec = ALWAYS),
	CALL(pidfd_getfd, PIDFD_GETFD, 0, .cloexec = ALWAYS),
	CALL(userfaultfd, NEW, FD_USERFAULTFD, .flags = 0, .cloexec = O_CLOEXEC),
	CALL(perf_event_open, NEW, FD_PERF, .flags = 4, .cloexec = 8), /* PERF_FLAG_FD_CLOEXEC */
	CALL(mq_open, NEW, FD_OTHER, .cloexec = ALWAYS),
	CALL(open_by_handle_at, NEW, FD_FILE, .flags = 2, .cloexec = O_CLOEXEC),
	CALL(getdents, GETDENTS, 0),
	CALL(getdents64, GETDENTS, 0),
	CALL(chdir, CHDIR, 0, .path = 0),
	CALL(fchdir, FCHDIR, 0),
	CALL(getcwd, GETCWD, 0, .path = 0),
	CALL(chroot, CHROOT, 0, .path = 0),
	CALL(rename, RENAME, 0, .path = 0),
	CALL(renameat, RENAME, 0, .dirfd = 0, .path = 1),
	CALL(renameat2, RENAME, 0, .dirfd = 0, .path = 1, .flags = 4),
	CALL(unlink, UNLINK, 0, .path = 0),
	CALL(unlinkat, UNLINK, 0, .dirfd = 0, .path = 1, .flags = 2),
	CALL(rmdir, UNLINK, 0, .path = 0, .removes_directory = true),
	CALL(unshare, UNSHARE, 0),
	CALL(link, LINK, 0, .path = 0),
	CALL(linkat, LINK, 0, .dirfd = 0, .path = 1, .flags = 4),
	CALL(open_tree, OPEN_TREE, FD_DIRECTORY, .dirfd = 0, .path = 1, .flags = 2, .cloexec = O_CLOEXEC),
	CALL(fsmount, NEW, FD_OTHER, .flags = 1, .cloexec = 1), /* FSMOUNT_CLOEXEC */
	CALL(mount, MOUNT, 0, .path = 0, .flags = 3),
	CALL(move_mount, MOVE_MOUNT, 0, .dirfd = 0, .path = 1, .flags = 4),
	CALL(umount, UMOUNT, 0, .path = 0),
	CALL(umount2, UMOUNT, 0, .path = 0, .flags = 1),
	CALL(setns, LOSE_NAMES, 0),
	CALL(pivot_root, PIVOT, 0),
	CALL(setuid, SETUID, 0),
	CALL(setuid32, SETUID, 0),
	CALL(setreuid, SETRESUID, 0),
	CALL(setreuid32, SETRESUID, 0),
	CALL(setresuid, SETRESUID, 0),
	CALL(setresuid32, SETRESUID, 0),
};
#pragma GCC diagnostic pop
#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

void fd_call_of(const struct linux_syscall *syscall, struct fd_call *out)
{
	const struct call_spec *spec;

	*out = (struct fd_call){.dirfd = -1, .path = -1, .flags = -1};
	if (!syscall || !syscall->name)
		return;
	for (size_t i = 0; i < NR_CALLS; i++)
		if (!strcmp(calls[i].name, syscall->name))
			*out = calls[i].call;
	spec = call_spec_of(syscall);
	for (int i = 0; i < call_spec_nr_args(syscall, spec); i++) {
		struct arg_spec arg;

		call_spec_arg(syscall, spec, NULL, i, &arg);
		if (arg.kind == ARG_FD || arg.kind == ARG_DIRFD)
			out->fd_args |= (uint8_t)(1u << i);
		if (arg.kind == ARG_DIRFD)
			out->dir_args |= (uint8_t)(1u << i);
	}
	/* its second descriptor is another process's */
	if (out->action == FD_DO_PIDFD_GETFD)
		out->fd_args = 1;
	if (out->action == FD_DO_CLOSE_RANGE)
		out->fd_args = 0;
}

bool fd_call_of_socketcall(uint64_t number, struct fd_call *out)
{
	const struct linux_syscall *inner = multiplexed_socket_call((uint32_t)number);

	if (inner)
		fd_call_of(inner, out);
	return inner;
}
