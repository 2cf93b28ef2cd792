/* SPDX-License-Identifier: MIT */
#include "semantics.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <linux/reboot.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "record_layout.h"
#include "spec_macros.h"

/* How many arguments strace shows of calls whose later ones are only looked at sometimes. */
static int shown_by_open_flags(const struct call *call, int flags)
{
	uint64_t value = call->args[flags];

	return value & O_CREAT || (value & O_TMPFILE) == O_TMPFILE ? flags + 2 : flags + 1;
}

static int shown_open(const struct call *call)
{
	return shown_by_open_flags(call, 1);
}

static int shown_openat(const struct call *call)
{
	return shown_by_open_flags(call, 2);
}

static int shown_mq_open(const struct call *call)
{
	return call->args[1] & O_CREAT ? 4 : 2;
}

static int shown_mremap(const struct call *call)
{
	return call->args[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? 5 : 4;
}

static bool is_device(uint64_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

static int shown_mknod(const struct call *call)
{
	return is_device(call->args[1]) ? 3 : 2;
}

static int shown_mknodat(const struct call *call)
{
	return is_device(call->args[2]) ? 4 : 3;
}

static int shown_reboot(const struct call *call)
{
	return (uint32_t)call->args[2] == LINUX_REBOOT_CMD_RESTART2 ? 4 : 3;
}

static int shown_clone(const struct call *call)
{
	return call->args_known ? 5 : 0;
}

/* the processor, with MEMBARRIER_CMD_FLAG_CPU */
static int shown_membarrier(const struct call *call)
{
	return (uint32_t)call->args[1] ? 3 : 2;
}

static int shown_syslog(const struct call *call)
{
	/* SYSLOG_ACTION_READ, READ_ALL and READ_CLEAR take a buffer; CONSOLE_LEVEL a level */
	switch ((uint32_t)call->args[0]) {
	case 2:
	case 3:
	case 4:
	case 8:
		return 3;
	default:
		return (uint32_t)call->args[0] > 10 ? 3 : 1; /* SYSLOG_ACTION_SIZE_BUFFER is the last */
	}
}

/* clang-format off */
static const struct call_spec calls[] = {
	/* files: open and close */
	{"open", .args = {STRING, FLAGS(open), MODE}, .nr_shown = shown_open},
	{"openat", .args = {DIRFD, STRING, FLAGS(open), MODE}, .nr_shown = shown_openat},
	CALL(openat2, DIRFD, STRING, RECORD(open_how), ULONG),
	CALL(creat, STRING, MODE),
	CALL(close, FD),
	CALL(close_range, UINT, UINT, FLAGS(close_range)),
	CALL(dup, FD),
	CALL(dup2, FD, FD),
	CALL(dup3, FD, FD, FLAGS(open_flags)),
	CALL(pipe, RECORD_OUT(pair)),
	CALL(pipe2, RECORD_OUT(pair), FLAGS(open_flags)),
	{"fcntl", .args = {FD, NAME(fcntl), HEX}, .variants = &variants_fcntl},
	{"fcntl64", .args = {FD, NAME(fcntl), HEX}, .variants = &variants_fcntl},
	CALL(flock, FD, FLAGS(flock)),
	CALL(memfd_create, STRING, FLAGS(memfd)),
	CALL(open_by_handle_at, FD, ADDRESS, FLAGS(open)),

	/* files: data */
	CALL(read, FD, BYTES_OUT, ULONG),
	CALL(write, FD, BYTES(2), ULONG),
	{"pread64", .args = {FD, BYTES_OUT, ULONG, LONG}},
	{"pwrite64", .args = {FD, BYTES(2), ULONG, LONG}},
	CALL(readv, FD, IOVEC_OUT(2), ULONG),
	CALL(writev, FD, IOVEC(2), ULONG),
	CALL(preadv, FD, IOVEC_OUT(2), ULONG, LONG, HIDDEN),
	CALL(pwritev, FD, IOVEC(2), ULONG, LONG, HIDDEN),
	CALL(preadv2, FD, IOVEC_OUT(2), ULONG, LONG, HIDDEN, FLAGS(rwf)),
	CALL(pwritev2, FD, IOVEC(2), ULONG, LONG, HIDDEN, FLAGS(rwf)),
	CALL(vmsplice, FD, IOVEC(2), ULONG, FLAGS(splice)),
	CALL(lseek, FD, LONG, NAME(whence)),
	CALL(sendfile, FD, FD, RECORD_IO(offset), ULONG),
	CALL(copy_file_range, FD, RECORD(offset), FD, RECORD(offset), ULONG, UINT),
	CALL(splice, FD, RECORD(offset), FD, RECORD(offset), ULONG, FLAGS(splice)),
	CALL(tee, FD, FD, ULONG, FLAGS(splice)),
	CALL(fsync, FD),
	CALL(fdatasync, FD),
	CALL(syncfs, FD),
	CALL(sync),
	CALL(sync_file_range, FD, LONG, LONG, FLAGS(sync_range)),
	CALL(truncate, STRING, ULONG),
	CALL(ftruncate, FD, ULONG),
	CALL(fallocate, FD, FLAGS(fallocate), LONG, LONG),
	CALL(fadvise64, FD, LONG, ULONG, NAME(fadvise)),
	CALL(readahead, FD, LONG, ULONG),
	CALL(getdents, FD, ADDRESS, UINT),
	CALL(getdents64, FD, DIRENTS, UINT),
	{"ioctl", .args = {FD, IOCTL, HEX}, .variants = &variants_ioctl},

	/* files: what they are */
	CALL(stat, STRING, RECORD_OUT(stat)),
	CALL(lstat, STRING, RECORD_OUT(stat)),
	CALL(fstat, FD, RECORD_OUT(stat)),
	CALL(newfstatat, DIRFD, STRING, RECORD_OUT(stat), FLAGS(at)),
	CALL(stat64, STRING, ADDRESS),
	CALL(lstat64, STRING, ADDRESS),
	CALL(fstat64, FD, ADDRESS),
	CALL(fstatat64, DIRFD, STRING, ADDRESS, FLAGS(at)),
	CALL(statx, DIRFD, STRING, FLAGS(at_statx), FLAGS(statx_mask), RECORD_OUT(statx)),
	CALL(statfs, STRING, RECORD_OUT(statfs)),
	CALL(fstatfs, FD, RECORD_OUT(statfs)),
	CALL(access, STRING, FLAGS(access)),
	CALL(faccessat, DIRFD, STRING, FLAGS(access)),
	CALL(faccessat2, DIRFD, STRING, FLAGS(access), FLAGS(at_access)),
	CALL(chmod, STRING, MODE),
	CALL(fchmod, FD, MODE),
	CALL(fchmodat, DIRFD, STRING, MODE),
	CALL(fchmodat2, DIRFD, STRING, MODE, FLAGS(at)),
	CALL(chown, STRING, ID, ID),
	CALL(lchown, STRING, ID, ID),
	CALL(fchown, FD, ID, ID),
	CALL(fchownat, DIRFD, STRING, ID, ID, FLAGS(at)),
	CALL(utime, STRING, RECORD(utimbuf)),
	CALL(utimes, STRING, RECORD(timevals_at)),
	CALL(futimesat, DIRFD, STRING, RECORD(timevals_at)),
	CALL(utimensat, DIRFD, STRING, RECORD(timespecs_at), FLAGS(at)),
	{"umask", RETURNS(OCTAL), .args = {MODE}},
	CALL(getxattr, STRING, STRING, BYTES_OUT, ULONG),
	CALL(lgetxattr, STRING, STRING, BYTES_OUT, ULONG),
	CALL(fgetxattr, FD, STRING, BYTES_OUT, ULONG),
	CALL(setxattr, STRING, STRING, BYTES(3), ULONG, FLAGS(xattr)),
	CALL(lsetxattr, STRING, STRING, BYTES(3), ULONG, FLAGS(xattr)),
	CALL(fsetxattr, FD, STRING, BYTES(3), ULONG, FLAGS(xattr)),
	CALL(listxattr, STRING, BYTES_OUT, ULONG),
	CALL(llistxattr, STRING, BYTES_OUT, ULONG),
	CALL(flistxattr, FD, BYTES_OUT, ULONG),
	CALL(removexattr, STRING, STRING),
	CALL(lremovexattr, STRING, STRING),
	CALL(fremovexattr, FD, STRING),

	/* files: names */
	{"getcwd", .args = {STRING_OUT, ULONG}},
	CALL(chdir, STRING),
	CALL(fchdir, FD),
	CALL(chroot, STRING),
	CALL(rename, STRING, STRING),
	CALL(renameat, DIRFD, STRING, DIRFD, STRING),
	CALL(renameat2, DIRFD, STRING, DIRFD, STRING, FLAGS(rename)),
	CALL(mkdir, STRING, MODE),
	CALL(mkdirat, DIRFD, STRING, MODE),
	CALL(rmdir, STRING),
	CALL(link, STRING, STRING),
	CALL(linkat, DIRFD, STRING, DIRFD, STRING, FLAGS(at)),
	CALL(symlink, STRING, STRING),
	CALL(symlinkat, STRING, DIRFD, STRING),
	CALL(readlink, STRING, BYTES_OUT, ULONG),
	CALL(readlinkat, DIRFD, STRING, BYTES_OUT, ULONG),
	CALL(unlink, STRING),
	CALL(unlinkat, DIRFD, STRING, FLAGS(at)),
	{"mknod", .args = {STRING, FMODE, DEVICE}, .nr_shown = shown_mknod},
	{"mknodat", .args = {DIRFD, STRING, FMODE, DEVICE}, .nr_shown = shown_mknodat},
	CALL(mount, STRING, STRING, STRING, FLAGS(mount), STRING),
	{"umount2", .args = {STRING, FLAGS(umount)}},
	CALL(pivot_root, STRING, STRING),
	CALL(inotify_init),
	CALL(inotify_init1, FLAGS(inotify_init)),
	CALL(inotify_add_watch, FD, STRING, FLAGS(inotify)),
	CALL(inotify_rm_watch, FD, INT),
	CALL(swapon, STRING, HEX32),
	CALL(swapoff, STRING),
	CALL(acct, STRING),

	/* memory */
	{"mmap", FLAG(ODD_ON_I386), RETURNS(ADDRESS),
	 .args = {ADDRESS, ULONG, FLAGS(prot), FLAGS(mmap), FD, HEX}},
	{"mmap2", RETURNS(ADDRESS), .args = {ADDRESS, ULONG, FLAGS(prot), FLAGS(mmap), FD, HEX}},
	CALL(munmap, ADDRESS, ULONG),
	CALL(mprotect, ADDRESS, ULONG, FLAGS(prot)),
	{"mremap", RETURNS(ADDRESS), .args = {ADDRESS, ULONG, ULONG, FLAGS(mremap), ADDRESS}, .nr_shown = shown_mremap},
	{"brk", RETURNS(ADDRESS), .args = {ADDRESS}},
	CALL(madvise, ADDRESS, ULONG, NAME(madvise)),
	CALL(msync, ADDRESS, ULONG, FLAGS(msync)),
	CALL(mincore, ADDRESS, ULONG, ADDRESS),
	CALL(mlock, ADDRESS, ULONG),
	CALL(mlock2, ADDRESS, ULONG, FLAGS(mlock2)),
	CALL(munlock, ADDRESS, ULONG),
	CALL(mlockall, FLAGS(mlockall)),
	CALL(munlockall),
	CALL(shmget, NAME(ipc_key), ULONG, IPC_FLAGS(shm_get)),
	{"shmat", RETURNS(ADDRESS), .args = {INT, ADDRESS, FLAGS(shm_at)}},
	CALL(shmdt, ADDRESS),
	{"shmctl", .args = {INT, NAME(ipc_ctl), ADDRESS}, .variants = &variants_shmctl},
	CALL(semget, NAME(ipc_key), INT, IPC_FLAGS(ipc_get)),
	{"semctl", .args = {INT, INT, NAME(sem_ctl), ADDRESS}, .variants = &variants_semctl},
	CALL(semop, INT, RECORDS(sembuf, 2), UINT),
	CALL(semtimedop, INT, RECORDS(sembuf, 2), UINT, RECORD(timespec)),
	CALL(msgget, NAME(ipc_key), IPC_FLAGS(ipc_get)),
	{"msgctl", .args = {INT, NAME(msg_ctl), ADDRESS}, .variants = &variants_msgctl},
	CALL(msgsnd, INT, QUEUED(2), ULONG, FLAGS(msg)),
	CALL(msgrcv, INT, QUEUED_OUT, ULONG, LONG, FLAGS(msg)),
	{"mq_open", .args = {STRING, FLAGS(open), MODE, RECORD(mq_attr)}, .nr_shown = shown_mq_open},
	CALL(mq_unlink, STRING),
	CALL(mq_timedsend, FD, BYTES(2), ULONG, UINT, RECORD(timespec)),
	CALL(mq_timedreceive, FD, BYTES_OUT, ULONG, RECORD_OUT(uint), RECORD(timespec)),
	CALL(mq_getsetattr, FD, RECORD(mq_attr), RECORD_OUT(mq_attr)),
	{"membarrier", RETURNS(NAMES), .ret_names = &names_membarrier,
	 .args = {NAME(membarrier), FLAGS(membarrier_flags), INT}, .nr_shown = shown_membarrier},

	/* processes */
	{"clone", FLAG(NEW_IDENTITY), .args = {CLONE_FLAGS, ADDRESS, RECORD_OUT(int), ADDRESS, ADDRESS},
	 .nr_shown = shown_clone},
	{"clone3", FLAG(NEW_IDENTITY), .args = {CLONE_ARGS, ULONG}},
	{"fork", FLAG(NEW_IDENTITY)},
	{"vfork", FLAG(NEW_IDENTITY)},
	{"execve", .flags = CALL_F_NEW_IDENTITY | CALL_F_NEW_IMAGE, .args = {STRING, STRINGS, ENVIRON}},
	{"execveat", .flags = CALL_F_NEW_IDENTITY | CALL_F_NEW_IMAGE,
	 .args = {DIRFD, STRING, STRINGS, ENVIRON, FLAGS(at)}},
	{"exit", FLAG(NO_RETURN), .args = {INT}},
	{"exit_group", FLAG(NO_RETURN), .args = {INT}},
	CALL(wait4, INT, RECORD_WHEN(wait_status, ARG_WHEN_POSITIVE), FLAGS(wait),
	     RECORD_WHEN(rusage, ARG_WHEN_POSITIVE)),
	CALL(waitpid, INT, RECORD_WHEN(wait_status, ARG_WHEN_POSITIVE), FLAGS(wait)),
	CALL(waitid, NAME(idtype), INT, RECORD_OUT(siginfo), FLAGS(wait), RECORD_OUT(rusage)),
	CALL(getpid),
	CALL(gettid),
	CALL(getppid),
	CALL(getpgrp),
	CALL(getpgid, INT),
	CALL(setpgid, INT, INT),
	CALL(getsid, INT),
	{"setsid", FLAG(NEW_IDENTITY)},
	CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
	CALL(getuid32), CALL(geteuid32), CALL(getgid32), CALL(getegid32),
	{"setuid", FLAG(NEW_IDENTITY), .args = {ID}},
	{"setgid", FLAG(NEW_IDENTITY), .args = {ID}},
	{"setreuid", FLAG(NEW_IDENTITY), .args = {ID, ID}},
	{"setregid", FLAG(NEW_IDENTITY), .args = {ID, ID}},
	{"setresuid", FLAG(NEW_IDENTITY), .args = {ID, ID, ID}},
	{"setresgid", FLAG(NEW_IDENTITY), .args = {ID, ID, ID}},
	{"setuid32", FLAG(NEW_IDENTITY), .args = {ID}},
	{"setgid32", FLAG(NEW_IDENTITY), .args = {ID}},
	CALL(setfsuid, ID),
	CALL(setfsgid, ID),
	CALL(getresuid, RECORD_OUT(uint), RECORD_OUT(uint), RECORD_OUT(uint)),
	CALL(getresgid, RECORD_OUT(uint), RECORD_OUT(uint), RECORD_OUT(uint)),
	CALL(getgroups, INT, RECORDS_OUT(uint)),
	CALL(setgroups, INT, RECORDS(uint, 0)),
	CALL(capget, RECORD(cap_header), RECORD_OUT(cap_data)),
	CALL(capset, RECORD(cap_header), RECORD(cap_data)),
	{"prctl", FLAG(NEW_IDENTITY), .args = {NAME(prctl), HEX, HEX, HEX, HEX}, .variants = &variants_prctl},
	{"arch_prctl", .args = {NAME(arch_prctl), HEX}, .variants = &variants_arch_prctl},
	{"personality", RETURNS(NAMES), .ret_names = &names_personality, .args = {FLAGS(personality)}},
	CALL(set_tid_address, HEX),
	CALL(set_robust_list, ADDRESS, ULONG),
	CALL(get_robust_list, INT, RECORD_OUT(address), RECORD_OUT(word)),
	CALL(rseq, HEX, HEX32, FLAGS(rseq), HEX32),
	CALL(unshare, FLAGS(clone)),
	CALL(setns, FD, FLAGS(clone)),
	{"ptrace", .args = {NAME(ptrace), INT, ADDRESS, ADDRESS}, .variants = &variants_ptrace},
	{"seccomp", .args = {NAME(seccomp_op), FLAGS(seccomp_flags), ADDRESS}, .variants = &variants_seccomp},
	CALL(pidfd_open, INT, FLAGS(pidfd)),
	CALL(pidfd_send_signal, FD, SIGNAL, RECORD(siginfo), UINT),
	CALL(pidfd_getfd, FD, FD, UINT),
	CALL(kcmp, INT, INT, NAME(kcmp), ULONG, ULONG),

	/* limits and scheduling */
	CALL(getrlimit, NAME(rlimit), RECORD_OUT(rlimit)),
	CALL(ugetrlimit, NAME(rlimit), RECORD_OUT(rlimit)),
	CALL(setrlimit, NAME(rlimit), RECORD(rlimit)),
	CALL(prlimit64, INT, NAME(rlimit), RECORD(rlimit64), RECORD_OUT(rlimit64)),
	CALL(getrusage, NAME(rusage), RECORD_OUT(rusage)),
	CALL(getpriority, NAME(priority), INT),
	CALL(setpriority, NAME(priority), INT, INT),
	CALL(nice, INT),
	CALL(sched_yield),
	CALL(sched_getaffinity, INT, ULONG, CPUSET_OUT),
	CALL(sched_setaffinity, INT, ULONG, CPUSET(1)),
	CALL(sched_setscheduler, INT, NAME(sched), RECORD(sched_param)),
	{"sched_getscheduler", RETURNS(NAME), .ret_names = &names_sched, .args = {INT}},
	CALL(sched_setparam, INT, RECORD(sched_param)),
	CALL(sched_getparam, INT, RECORD_OUT(sched_param)),
	CALL(sched_get_priority_max, NAME(sched)),
	CALL(sched_get_priority_min, NAME(sched)),
	CALL(sched_rr_get_interval, INT, RECORD_OUT(timespec)),
	CALL(getcpu, RECORD_OUT(uint), RECORD_OUT(uint), ADDRESS),

	/* signals */
	CALL(kill, INT, SIGNAL),
	CALL(tkill, INT, SIGNAL),
	CALL(tgkill, INT, INT, SIGNAL),
	CALL(rt_sigaction, SIGNAL, RECORD(sigaction), RECORD_OUT(sigaction), ULONG),
	CALL(rt_sigprocmask, NAME(sigmask_how), SIGSET, SIGSET_OUT, ULONG),
	CALL(rt_sigreturn),
	CALL(sigreturn),
	CALL(rt_sigpending, SIGSET_OUT, ULONG),
	CALL(rt_sigsuspend, SIGSET, ULONG),
	{"rt_sigtimedwait", RETURNS(SIGNAL), .args = {SIGSET, RECORD_OUT(siginfo), RECORD(timespec), ULONG}},
	CALL(rt_sigqueueinfo, INT, SIGNAL, RECORD(siginfo)),
	CALL(rt_tgsigqueueinfo, INT, INT, SIGNAL, RECORD(siginfo)),
	CALL(sigaltstack, RECORD(sigstack), RECORD_OUT(sigstack)),
	CALL(pause),
	CALL(alarm, UINT),
	CALL(signalfd, FD, SIGSET, ULONG),
	CALL(signalfd4, FD, SIGSET, ULONG, FLAGS(signalfd)),

	/* time */
	{"time", RETURNS(TIME), .args = {RECORD_OUT(time)}},
	CALL(gettimeofday, RECORD_OUT(timeval), RECORD_OUT(timezone)),
	CALL(settimeofday, RECORD(timeval), RECORD(timezone)),
	CALL(clock_gettime, NAME(clock), RECORD_OUT(timespec)),
	CALL(clock_gettime64, NAME(clock), RECORD_OUT(timespec64)),
	CALL(clock_settime, NAME(clock), RECORD(timespec)),
	CALL(clock_getres, NAME(clock), RECORD_OUT(timespec)),
	CALL(clock_nanosleep, NAME(clock), FLAGS(timer), RECORD(timespec), RECORD_WHEN(timespec, ARG_WHEN_INTERRUPTED)),
	CALL(clock_nanosleep_time64, NAME(clock), FLAGS(timer), RECORD(timespec64),
	     RECORD_WHEN(timespec64, ARG_WHEN_INTERRUPTED)),
	CALL(nanosleep, RECORD(timespec), RECORD_WHEN(timespec, ARG_WHEN_INTERRUPTED)),
	CALL(getitimer, NAME(itimer), RECORD_OUT(itimerval)),
	CALL(setitimer, NAME(itimer), RECORD(itimerval), RECORD_OUT(itimerval)),
	CALL(timer_create, NAME(clock), RECORD(sigevent), RECORD_OUT(int)),
	CALL(timer_settime, INT, FLAGS(timer), RECORD(itimerspec), RECORD_OUT(itimerspec)),
	CALL(timer_gettime, INT, RECORD_OUT(itimerspec)),
	CALL(timer_getoverrun, INT),
	CALL(timer_delete, INT),
	CALL(timerfd_create, NAME(clock), FLAGS(timerfd)),
	CALL(timerfd_settime, FD, FLAGS(timerfd), RECORD(itimerspec), RECORD_OUT(itimerspec)),
	CALL(timerfd_gettime, FD, RECORD_OUT(itimerspec)),
	CALL(times, RECORD_OUT(tms)),

	/* waiting */
	{"poll", RETURNS(POLL), .args = {RECORDS_IO(pollfd, 1), UINT, INT}},
	{"ppoll", RETURNS(POLL), .args = {RECORDS_IO(pollfd, 1), UINT, RECORD_IO(timespec), SIGSET, ULONG}},
	{"ppoll_time64", RETURNS(POLL), .args = {RECORDS_IO(pollfd, 1), UINT, RECORD_IO(timespec64), SIGSET, ULONG}},
	{"select", FLAG(ODD_ON_I386), RETURNS(SELECT), .args = {INT, FDSET, FDSET, FDSET, RECORD_IO(timeval)}},
	{"_newselect", RETURNS(SELECT), .args = {INT, FDSET, FDSET, FDSET, RECORD_IO(timeval)}},
	{"pselect6", RETURNS(SELECT), .args = {INT, FDSET, FDSET, FDSET, RECORD_IO(timespec), SIGSET_PAIR}},
	CALL(epoll_create, INT),
	CALL(epoll_create1, FLAGS(epoll_create)),
	{"epoll_ctl", .args = {FD, NAME(epoll_ctl), FD, RECORD(epoll_event)}, .variants = &variants_epoll_ctl},
	CALL(epoll_wait, FD, RECORDS_OUT(epoll_event), INT, INT),
	CALL(epoll_pwait, FD, RECORDS_OUT(epoll_event), INT, INT, SIGSET, ULONG),
	CALL(epoll_pwait2, FD, RECORDS_OUT(epoll_event), INT, RECORD(timespec64), SIGSET, ULONG),
	CALL(eventfd, UINT),
	CALL(eventfd2, UINT, FLAGS(eventfd)),
	{"futex", .args = {ADDRESS, FLAGS(futex), UINT, ADDRESS, ADDRESS, HEX32}, .variants = &variants_futex},
	{"futex_time64", .args = {ADDRESS, FLAGS(futex), UINT, ADDRESS, ADDRESS, HEX32}},

	/* sockets */
	CALL(socket, NAME(family), FLAGS(socket_type), PROTOCOL),
	CALL(socketpair, NAME(family), FLAGS(socket_type), PROTOCOL, RECORD_OUT(pair)),
	CALL(bind, FD, SOCKADDR(2), INT),
	CALL(connect, FD, SOCKADDR(2), INT),
	CALL(listen, FD, INT),
	CALL(accept, FD, SOCKADDR_OUT(2), SOCKLEN),
	CALL(accept4, FD, SOCKADDR_OUT(2), SOCKLEN, FLAGS(socket_type_flags)),
	CALL(getsockname, FD, SOCKADDR_OUT(2), SOCKLEN),
	CALL(getpeername, FD, SOCKADDR_OUT(2), SOCKLEN),
	CALL(sendto, FD, BYTES(2), ULONG, FLAGS(message), SOCKADDR(5), INT),
	CALL(recvfrom, FD, BYTES_OUT, ULONG, FLAGS(message), SOCKADDR_OUT(5), SOCKLEN),
	CALL(sendmsg, FD, MESSAGE, FLAGS(message)),
	CALL(recvmsg, FD, MESSAGE_OUT, FLAGS(message)),
	CALL(sendmmsg, FD, MESSAGES(2), UINT, FLAGS(message)),
	CALL(recvmmsg, FD, MESSAGES_OUT(2), UINT, FLAGS(message), RECORD(timespec)),
	CALL(setsockopt, FD, NAME(sockopt_level), OPTION_NAME, OPTION(4), INT),
	CALL(getsockopt, FD, NAME(sockopt_level), OPTION_NAME, OPTION_OUT(4), SOCKLEN),
	CALL(shutdown, FD, NAME(shutdown)),

	/* system */
	CALL(uname, RECORD_OUT(utsname)),
	CALL(sysinfo, RECORD_OUT(sysinfo)),
	CALL(sethostname, BYTES(1), ULONG),
	CALL(setdomainname, BYTES(1), ULONG),
	CALL(getrandom, BYTES_OUT, ULONG, FLAGS(getrandom)),
	{"syslog", .args = {NAME(syslog), BYTES_OUT, INT}, .nr_shown = shown_syslog},
	{"reboot", .args = {NAME(reboot_magic), NAME(reboot_magic), NAME(reboot), STRING}, .nr_shown = shown_reboot},
	CALL(init_module, ADDRESS, ULONG, STRING),
	CALL(finit_module, FD, STRING, FLAGS(module_init)),
	CALL(delete_module, STRING, FLAGS(module_delete)),
};
/* clang-format on */
#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

size_t call_spec_count(void)
{
	return NR_CALLS + nr_kernel_calls + nr_i386_calls;
}

const struct call_spec *call_spec_get(size_t index)
{
	if (index < NR_CALLS)
		return &calls[index];
	index -= NR_CALLS;
	if (index < nr_kernel_calls)
		return &kernel_calls[index];
	index -= nr_kernel_calls;
	return index < nr_i386_calls ? &i386_calls[index] : NULL;
}

/* Names of 32-bit calls that mean the same as another's. */
static const struct {
	const char *alias, *name;
} aliases[] = {
	{"chown32", "chown"},         {"lchown32", "lchown"},       {"fchown32", "fchown"},
	{"setreuid32", "setreuid"},   {"setregid32", "setregid"},   {"setresuid32", "setresuid"},
	{"setresgid32", "setresgid"}, {"getresuid32", "getresuid"}, {"getresgid32", "getresgid"},
	{"setfsuid32", "setfsuid"},   {"setfsgid32", "setfsgid"},   {"sendfile64", "sendfile"},
	{"umount", "umount2"},
};
#define NR_ALIASES (sizeof(aliases) / sizeof(aliases[0]))

/* Names are hashed once, number of the call + 1 at the hash. */
#define INDEX_SLOTS 2048u
static uint16_t index_slots[INDEX_SLOTS];
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash;
}

/* Aliases first, then the calls. */
static const char *index_name(unsigned entry)
{
	return entry < NR_ALIASES ? aliases[entry].alias : call_spec_get(entry - NR_ALIASES)->name;
}

static void index_build(void)
{
	/* the kernel has less than 600 calls, of all ABIs */
	for (unsigned entry = 0; entry < NR_ALIASES + call_spec_count() && entry < INDEX_SLOTS / 2; entry++) {
		uint32_t slot = hash_name(index_name(entry)) % INDEX_SLOTS;

		while (index_slots[slot])
			slot = (slot + 1) % INDEX_SLOTS;
		index_slots[slot] = (uint16_t)(entry + 1);
	}
}

const struct call_spec *call_spec_find(const char *name)
{
	uint32_t slot;

	if (!name)
		return NULL;
	pthread_once(&index_once, index_build);
	for (slot = hash_name(name) % INDEX_SLOTS; index_slots[slot]; slot = (slot + 1) % INDEX_SLOTS) {
		unsigned entry = index_slots[slot] - 1u;

		if (strcmp(index_name(entry), name))
			continue;
		return entry < NR_ALIASES ? call_spec_find(aliases[entry].name) : call_spec_get(entry - NR_ALIASES);
	}
	return NULL;
}

const struct call_spec *call_spec_of(const struct linux_syscall *syscall)
{
	const struct call_spec *spec;
	char name[64];

	if (!syscall || !syscall->name)
		return NULL;
	if (syscall->meaning.settled)
		return syscall->meaning.spec;
	if (syscall->abi == TRAP_ABI_I386 || syscall->abi == TRAP_ABI_X32) {
		snprintf(name, sizeof(name), "%s:%s", syscall->abi == TRAP_ABI_I386 ? "i386" : "x32", syscall->name);
		spec = call_spec_find(name);
		if (spec)
			return spec;
	}
	return call_spec_find(syscall->name);
}

int call_spec_nr_args(const struct linux_syscall *syscall, const struct call_spec *spec)
{
	int n = 0;

	if (syscall && syscall->nr_args >= 0)
		return syscall->nr_args < LINUX_SYSCALL_ARGS ? syscall->nr_args : LINUX_SYSCALL_ARGS;
	if (!spec)
		return syscall ? LINUX_SYSCALL_ARGS : 0;
	while (n < LINUX_SYSCALL_ARGS && spec->args[n].kind != ARG_DEFAULT)
		n++;
	return n;
}
