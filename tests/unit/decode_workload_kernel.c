/* SPDX-License-Identifier: MIT */
/*
 * decode_workload_kernel.c - as decode_workload.c: calls about rings, messages,
 * tracing, keys, quotas, mounts, System V's objects. Most of them fail, in a
 * container or for want of rights: what strace shows of their arguments is the same.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/quota.h>
#include <linux/sched/types.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>

#define S(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define NOWHERE      ((void *)8)

static char buffer[8192];

static void rings(void)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, .cq_entries = 16};
	struct iovec parts[2] = {{buffer, 16}, {buffer + 64, 32}};
	struct iocb block = {.aio_data = 7, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = 77, .aio_nbytes = 5};
	struct iocb poll = {.aio_lio_opcode = IOCB_CMD_FSYNC, .aio_fildes = 0};
	struct iocb *blocks[2] = {&block, &poll};
	struct io_event events[2];
	struct timespec none = {0, 0};
	aio_context_t context = 0;
	int files[2] = {0, 1}, fd = (int)S(io_uring_setup, 8, &params);

	S(io_uring_setup, 0, &params);
	S(io_uring_setup, 8, NOWHERE);
	S(io_uring_enter, fd, 1, 0, IORING_ENTER_GETEVENTS, 0L, 8L);
	S(io_uring_register, fd, IORING_REGISTER_BUFFERS, parts, 2);
	S(io_uring_register, fd, IORING_REGISTER_FILES, files, 2);
	S(io_uring_register, fd, IORING_UNREGISTER_FILES, 0L, 0);
	S(io_setup, 4, &context);
	S(io_submit, context, 2L, blocks);
	block.aio_fildes = 0;
	S(io_submit, context, 1L, blocks);
	S(io_getevents, context, 0L, 2L, events, &none);
	S(io_destroy, context);
}

static void messages(void)
{
	struct sockaddr_un name = {AF_UNIX, "sock2"};
	struct iovec parts[2] = {{"one", 3}, {"three", 5}}, room[2] = {{buffer, 100}, {buffer + 100, 100}};
	struct mmsghdr out[2] = {
		{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = &name, .msg_namelen = 8, .msg_iov = &parts[1], .msg_iovlen = 1}}};
	struct mmsghdr in[2] = {{.msg_hdr = {.msg_iov = &room[0], .msg_iovlen = 1}},
				{.msg_hdr = {.msg_iov = &room[1], .msg_iovlen = 1}}};
	struct sockaddr_ll link = {
		.sll_family = AF_PACKET, .sll_protocol = 0x0300, .sll_ifindex = 7777, .sll_halen = 6};
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 99};
	struct sockaddr_nl route = {.nl_family = AF_NETLINK, .nl_groups = 1};
	struct ip_mreq group = {.imr_multiaddr.s_addr = 0x010000e0};
	int fds[2];

	S(socketpair, AF_UNIX, SOCK_DGRAM, 0, fds);
	S(sendmmsg, fds[0], out, 1, 0);
	S(sendmmsg, fds[0], out, 1, MSG_DONTWAIT);
	S(sendmmsg, -1, out, 2, 0);
	S(recvmmsg, fds[1], in, 2, MSG_DONTWAIT, 0L);
	S(recvmmsg, fds[1], in, 2, MSG_DONTWAIT, 0L);
	S(bind, -1, &link, sizeof(link));
	S(connect, -1, &vm, sizeof(vm));
	S(bind, -1, &route, sizeof(route));
	S(setsockopt, -1, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group));
	S(setsockopt, -1, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5);
}

static void interfaces(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = (int)S(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	S(ioctl, fd, SIOCGIFFLAGS, &request);
	S(ioctl, fd, SIOCGIFMTU, &request);
	S(ioctl, fd, SIOCGIFADDR, &request);
	S(ioctl, fd, SIOCGIFNETMASK, &request);
	S(ioctl, fd, SIOCGIFHWADDR, &request);
	S(ioctl, fd, SIOCGIFTXQLEN, &request);
	strcpy(request.ifr_name, "nosuch");
	S(ioctl, fd, SIOCGIFINDEX, &request);
	memset(&request, 0, sizeof(request));
	request.ifr_ifindex = 7777;
	S(ioctl, fd, SIOCGIFNAME, &request);
	S(ioctl, -1, TUNGETFEATURES, buffer);
	S(ptrace, 0x4206L, 0x7fffffffL, 0L, 0x100001L); /* PTRACE_SEIZE */
	S(ptrace, 0x4201L, 0x7fffffffL, 0L, buffer);    /* PTRACE_GETEVENTMSG */
	S(ptrace, 24L, 0x7fffffffL, 0L, 10L);           /* PTRACE_SYSCALL */
	S(ptrace, 17L, 0x7fffffffL, 0L, 0L);            /* PTRACE_DETACH */
}

static void tracing(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 2};
	struct perf_event_attr perf = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(perf),
				       .config = PERF_COUNT_SW_CPU_CLOCK,
				       .sample_period = 5,
				       .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID,
				       .disabled = 1,
				       .exclude_kernel = 1};
	struct landlock_ruleset_attr rules = {.handled_access_fs =
						      LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE};
	struct landlock_path_beneath_attr path = {.allowed_access = LANDLOCK_ACCESS_FS_EXECUTE, .parent_fd = 9};
	struct sock_filter code[1] = {{BPF_RET, 0, 0, SECCOMP_RET_ALLOW}};
	struct sock_fprog program = {0, code};
	struct iovec here = {buffer, 4}, there = {buffer + 4, 4};
	uint32_t action = SECCOMP_RET_ERRNO;

	S(bpf, BPF_MAP_CREATE, &attr, 48);
	memcpy(attr.map_name, "name", 5);
	S(bpf, BPF_MAP_CREATE, &attr, 72);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = 77;
	attr.key = (uintptr_t)buffer;
	S(bpf, BPF_MAP_LOOKUP_ELEM, &attr, 32);
	S(bpf, BPF_MAP_GET_NEXT_KEY, &attr, 24);
	memset(&attr, 0, sizeof(attr));
	attr.file_flags = BPF_F_RDONLY;
	S(bpf, BPF_OBJ_GET, &attr, 16);
	S(bpf, BPF_MAP_CREATE, NOWHERE, 48);
	S(perf_event_open, &perf, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	S(landlock_create_ruleset, &rules, sizeof(rules), 0);
	S(landlock_create_ruleset, 0L, 0L, 1);
	S(landlock_add_rule, -1, LANDLOCK_RULE_PATH_BENEATH, &path, 0);
	S(landlock_restrict_self, -1, 0);
	S(seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
	S(seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	strcpy(buffer, "abcdefgh");
	S(process_vm_readv, getpid(), &here, 1L, &there, 1L, 0L);
	S(process_vm_writev, getpid(), &here, 1L, &there, 1L, 0L);
}

static void keys(void)
{
	S(keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0L);
	S(keyctl, KEYCTL_REVOKE, 12345);
	S(keyctl, KEYCTL_LINK, 123, KEY_SPEC_PROCESS_KEYRING);
	S(keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "no such key", 0);
	S(add_key, "nosuchtype", "name", "payload", 7L, KEY_SPEC_PROCESS_KEYRING);
	S(request_key, "nosuchtype", "name", 0L, KEY_SPEC_PROCESS_KEYRING);
	S(quotactl, QCMD(Q_GETQUOTA, USRQUOTA), "/dev/nosuch", 0, buffer);
	S(quotactl, QCMD(Q_SYNC, GRPQUOTA), 0L, 0, 0L);
}

static void mounts(void)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC};

	S(open_tree, AT_FDCWD, "nosuch", OPEN_TREE_CLONE | AT_RECURSIVE);
	S(move_mount, -1, "a", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH);
	S(fsopen, "nosuchfs", FSOPEN_CLOEXEC);
	S(fsconfig, -1, FSCONFIG_SET_STRING, "source", "none", 0);
	S(fsconfig, -1, FSCONFIG_CMD_CREATE, 0L, 0L, 0);
	S(fsmount, -1, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
	S(fspick, AT_FDCWD, "nosuch", FSPICK_CLOEXEC);
	S(mount_setattr, -1, "x", AT_RECURSIVE, &attr, sizeof(attr));
	S(fanotify_init, FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE);
	S(fanotify_mark, -1, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "/nosuch");
}

static void objects(void)
{
	struct {
		long type;
		char text[8];
	} out = {3, "hello"}, in;
	struct sembuf op = {0, 1, IPC_NOWAIT};
	int id = (int)S(shmget, IPC_PRIVATE, 4096L, 0600 | IPC_CREAT);
	struct shmid_ds shm;
	struct msqid_ds msg;
	struct semid_ds sem;

	S(shmctl, -1, IPC_STAT, &shm);
	S(shmctl, id, IPC_RMID, 0L);
	id = (int)S(msgget, IPC_PRIVATE, 0600 | IPC_CREAT);
	S(msgsnd, id, &out, 5L, 0);
	S(msgrcv, id, &in, 5L, 0L, MSG_NOERROR);
	S(msgrcv, id, &in, 8L, 0L, IPC_NOWAIT);
	S(msgctl, -1, IPC_STAT, &msg);
	S(msgctl, id, IPC_RMID, 0L);
	id = (int)S(semget, IPC_PRIVATE, 1, 0600);
	S(semop, id, &op, 1L);
	S(semctl, id, 0, GETVAL, 0L);
	S(semctl, id, 0, SETVAL, 4L);
	S(semctl, -1, 0, IPC_STAT, &sem);
	S(semctl, id, 0, IPC_RMID, 0L);
}

static void times(void)
{
	struct sched_attr attr = {.size = 48, .sched_policy = 0, .sched_nice = 1};
	struct futex_waitv waits[2] = {{.uaddr = (uintptr_t)buffer, .val = 77, .flags = FUTEX_32}};
	struct timex timex = {.modes = ADJ_STATUS};
	int mode;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	S(sched_setattr, 0, &attr, 0);
	S(sched_getattr, 0, &attr, 48, 0);
	S(sched_getattr, 0, &attr, 4, 0);
	S(futex_waitv, waits, 1, 0, 0L, CLOCK_MONOTONIC);
	S(adjtimex, NOWHERE);
	S(clock_adjtime, 77, &timex);
	S(ioprio_set, 1, 0, 2 << 13 | 4);
	S(ioprio_get, 1, 0);
	S(mq_notify, -1, &event);
	S(userfaultfd, -1);
	S(userfaultfd, O_CLOEXEC | 0x40000000);
	S(pkey_alloc, 5L, 1L);
	S(pkey_mprotect, 0L, 4096L, PROT_READ, -1);
	S(memfd_secret, 77);
	S(remap_file_pages, 0L, 4096L, 1L, 0L, 0L);
	S(get_mempolicy, NOWHERE, 0L, 0L, 0L, 0L);
	S(get_mempolicy, &mode, buffer, 1024L, 0L, 0L);
	S(set_mempolicy, 0, 0L, 0L);
	S(process_madvise, -1, 0L, 0L, MADV_COLD, 0);
	S(iopl, 7);
	S(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5L, 0L, 0L);
	S(prctl, PR_SET_MM, PR_SET_MM_BRK, 5L, 0L, 0L);
	S(prctl, PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0L, 0L, 0L);
	S(prctl, PR_GET_SECUREBITS);
}

static void signals(void)
{
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE}, got;
	struct timespec none = {0, 0};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 7};
	struct itimerspec soon = {.it_value.tv_nsec = 1};
	uint64_t set = 1ull << (SIGUSR1 - 1) | 1ull << (SIGUSR2 - 1);
	int timer = 0;

	info.si_value.sival_int = 9;
	S(rt_sigprocmask, SIG_BLOCK, &set, 0L, 8L);
	S(rt_sigqueueinfo, getpid(), SIGUSR1, &info);
	S(rt_sigtimedwait, &set, &got, &none, 8L);
	S(timer_create, CLOCK_MONOTONIC, &event, &timer);
	S(timer_settime, timer, 0, &soon, 0L);
	S(rt_sigtimedwait, &set, &got, 0L, 8L);
	S(timer_delete, timer);
	S(rt_sigtimedwait, &set, &got, &none, 8L);
}

int main(void)
{
	rings();
	messages();
	interfaces();
	tracing();
	signals();
	keys();
	mounts();
	objects();
	times();
	S(exit_group, 7);
}
