/* SPDX-License-Identifier: MIT */
/*
 * work_waits.c - system calls that wait or let others wait: epoll, poll and
 * select in all forms, futexes, io_uring and the older aio, System V and POSIX
 * IPC with all their commands. The libraries for them are left out: what counts
 * here are the system calls.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "workload.h"

static void many_descriptors(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = 0xfeedfacecafe}, got[3];
	struct timespec soon = {0, 2000000};
	struct timeval tv = {0, 2000};
	unsigned long long number = 0xfffffffffffffffe;
	struct itimerspec timer = {{0, 5000000}, {0, 1000000}}, old;
	struct signalfd_siginfo info;
	int pipes[2];
	fd_set in, out;
	sigset_t set;
	char buf[16];

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	must(pipe(pipes));
	int plain = must(syscall(SYS_eventfd, 3));
	int efd = must(eventfd(1, EFD_SEMAPHORE | EFD_NONBLOCK));
	int epfd = must(syscall(SYS_epoll_create, 5));
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &event));
	event.events = EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE;
	event.data.fd = 77;
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, pipes[1], &event));
	must(syscall(SYS_epoll_pwait2, epfd, got, 3, &soon, &set, 8));
	event.events = EPOLLIN;
	must(epoll_ctl(epfd, EPOLL_CTL_MOD, efd, &event));
	must(epoll_pwait(epfd, got, 3, 10, &set));
	must(syscall(SYS_epoll_wait, epfd, got, 1, 0));
	fails(syscall(SYS_epoll_wait, epfd, got, 0, 0), EINVAL);
	fails(syscall(SYS_epoll_pwait2, epfd, got, 3, (void *)16, NULL, 0), EFAULT);
	fails(epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &event), EEXIST);
	fails(epoll_ctl(epfd, 99, efd, &event), EINVAL);
	fails(epoll_create1(0x77), EINVAL);
	fails(syscall(SYS_epoll_create, -1), EINVAL);
	must(read(efd, &number, 8));
	must(read(plain, &number, 8));
	struct pollfd fds[3] = {{pipes[0], POLLIN | POLLPRI, 0}, {pipes[1], POLLOUT | POLLWRBAND, 0}, {99, POLLIN, 0}};
	must(poll(fds, 3, 0));
	must(syscall(SYS_poll, fds, 1, 2));
	must(ppoll(fds, 2, &soon, &set));
	must(ppoll(fds, 1, &soon, NULL));
	fails(syscall(SYS_ppoll, 16, 2, &soon, NULL, 8), EFAULT);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(pipes[0], &in);
	FD_SET(pipes[1], &out);
	FD_SET(efd, &in);
	must(syscall(SYS_select, pipes[1] + 10, &in, &out, NULL, &tv));
	FD_SET(pipes[0], &in);
	must(select(pipes[0] + 1, &in, NULL, NULL, &tv));
	FD_SET(pipes[0], &in);
	must(pselect(pipes[1] + 1, &in, &out, NULL, &soon, &set));
	FD_ZERO(&in);
	FD_SET(60, &in); /* more than the table has would be cut */
	fails(select(61, &in, NULL, NULL, &tv), EBADF);
	must(close(plain));
	must(close(epfd));
	must(close(efd));
	int tfd = must(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	must(timerfd_settime(tfd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &timer, &old));
	must(timerfd_settime(tfd, 0, &timer, &old));
	must(timerfd_gettime(tfd, &old));
	fails(timerfd_settime(tfd, 0x77, &timer, &old), EINVAL);
	fails(timerfd_create(99, 0), EINVAL);
	must(close(tfd));
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	int sfd = must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(signalfd(sfd, &set, 0));
	must(raise(SIGUSR2));
	must(read(sfd, &info, sizeof(info)));
	fails(read(sfd, &info, sizeof(info)), EAGAIN);
	must(close(must(syscall(SYS_signalfd, -1, &set, 8))));
	must(close(sfd));
	must(write(pipes[1], "x", 1));
	must(read(pipes[0], buf, sizeof(buf)));
	must(close(pipes[0]));
	must(close(pipes[1]));
}

static unsigned words[4];

static void futexes(void)
{
	struct timespec soon = {0, 1000000}, past = {1, 0};
	struct futex_waitv wait[2] = {
		{.val = 0, .uaddr = (unsigned long)&words[0], .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
		{.val = 7, .uaddr = (unsigned long)&words[1], .flags = FUTEX_32}};

	must(syscall(SYS_futex, &words[0], FUTEX_WAKE, 1, NULL, NULL, 0));
	must(syscall(SYS_futex, &words[0], FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0xf0));
	fails(syscall(SYS_futex, &words[0], FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, ~0u), ETIMEDOUT);
	fails(syscall(SYS_futex, &words[0], FUTEX_WAIT, 0, &soon, NULL, 0), ETIMEDOUT);
	fails(syscall(SYS_futex, &words[0], FUTEX_WAIT, 1, &soon, NULL, 0), EAGAIN);
	must(syscall(SYS_futex, &words[0], FUTEX_REQUEUE_PRIVATE, 1, 2, &words[1], 0));
	must(syscall(SYS_futex, &words[0], FUTEX_CMP_REQUEUE, 1, 2, &words[1], 0));
	fails(syscall(SYS_futex, &words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &words[1], 5), EAGAIN);
	must(syscall(SYS_futex, &words[0], FUTEX_WAKE_OP, 1, 1, &words[2],
		     FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_GT, 3)));
	must(syscall(SYS_futex, &words[3], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	fails(syscall(SYS_futex, &words[3], FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
	must(syscall(SYS_futex, &words[3], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	fails(syscall(SYS_futex, &words[3], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
	fails(syscall(SYS_futex, &words[0], 99, 0, NULL, NULL, 0), ENOSYS);
	fails(syscall(SYS_futex, 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	fails(syscall(SYS_futex_waitv, wait, 2, 0, NULL, CLOCK_MONOTONIC), EAGAIN);
	wait[1].val = 0;
	words[1] = 0;
	fails(syscall(SYS_futex_waitv, wait, 2, 0, &past, CLOCK_REALTIME), ETIMEDOUT);
	fails(syscall(SYS_futex_waitv, wait, 0, 0, NULL, 0), EINVAL);
	may(syscall(NR_futex_wake, &words[0], 1ul, 1, 2));
	may(syscall(NR_futex_wait, &words[0], 1ul, 1ul, 2, &past, CLOCK_MONOTONIC));
	may(syscall(NR_futex_wait, &words[0], 0ul, 1ul, 2, &past, CLOCK_MONOTONIC));
	may(syscall(NR_futex_requeue, wait, 0, 1, 1));
}

/* A no-op, a write, a read and an open through a ring of four, and registered buffers and files. */
static void uring(void)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE, .cq_entries = 16};
	char buf[64] = "through a ring", *ring;
	struct iovec buffer = {buf, sizeof(buf)};
	struct io_uring_sqe *sqes;
	struct io_uring_probe *probe = calloc(1, sizeof(*probe) + 64 * sizeof(probe->ops[0]));
	int files[2] = {1, -1};

	int fd = (int)may(syscall(SYS_io_uring_setup, 4, &params));
	fails(syscall(SYS_io_uring_enter, 99, 1, 0, 0, NULL, 0), EBADF);
	may(syscall(SYS_io_uring_setup, 0, &params));
	if (fd < 0) {
		may(syscall(SYS_io_uring_register, 99, IORING_REGISTER_BUFFERS, &buffer, 1));
		return;
	}
	ring = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	must((long)ring);
	sqes = mmap(NULL, params.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	must((long)sqes);
	int file = must(memfd_create("uring", 0));
	memset(sqes, 0, 3 * sizeof(*sqes));
	sqes[0].opcode = IORING_OP_NOP;
	sqes[1] = (struct io_uring_sqe){.opcode = IORING_OP_WRITE,
					.flags = IOSQE_IO_LINK,
					.fd = file,
					.addr = (unsigned long)buf,
					.len = 14,
					.user_data = 5};
	sqes[2] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ, .fd = file, .addr = (unsigned long)buf + 32, .len = 14, .user_data = 6};
	for (unsigned i = 0; i < 3; i++)
		((unsigned *)(ring + params.sq_off.array))[i] = i;
	__atomic_store_n((unsigned *)(ring + params.sq_off.tail), 3, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, fd, 3, 3, IORING_ENTER_GETEVENTS, NULL, 8));
	must(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0));
	if (memcmp(buf, buf + 32, 14) != 0)
		exit(1);
	fails(syscall(SYS_io_uring_enter, fd, 0, 0, 1u << 30, NULL, 0), EINVAL);
	must(syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &buffer, 1));
	must(syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	must(syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, files, 2));
	must(syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_FILES, NULL, 0));
	must(syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, probe, 64));
	fails(syscall(SYS_io_uring_register, fd, 999, NULL, 0), EINVAL);
	fails(syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_BUFFERS, NULL, 0), ENXIO);
	must(close(file));
	must(close(fd));
	free(probe);
}

static void older_aio(void)
{
	char buf[32] = "by aio";
	aio_context_t context = 0;
	struct timespec patience = {0, 1000000};
	struct io_event events[2];
	struct {
		const sigset_t *set;
		unsigned long size;
	} mask = {NULL, 8};

	int fd = must(memfd_create("aio", 0));
	struct iocb write_it = {
		.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (unsigned long)buf, .aio_nbytes = 6};
	struct iocb read_it = {.aio_lio_opcode = IOCB_CMD_PREAD,
			       .aio_fildes = fd,
			       .aio_buf = (unsigned long)buf + 8,
			       .aio_nbytes = 20,
			       .aio_data = 0x1234};
	struct iocb *list[2] = {&write_it, &read_it}, *bad[1] = {(struct iocb *)16};
	may(syscall(SYS_io_setup, 4, &context));
	may(syscall(SYS_io_setup, 0, &context));
	may(syscall(SYS_io_submit, context, 2, list));
	may(syscall(SYS_io_submit, context, 1, bad));
	may(syscall(SYS_io_getevents, context, 1, 2, events, &patience));
	may(syscall(SYS_io_pgetevents, context, 0, 2, events, &patience, &mask));
	may(syscall(SYS_io_cancel, context, &read_it, events));
	may(syscall(SYS_io_destroy, context));
	may(syscall(SYS_io_destroy, 0x5555));
	must(close(fd));
}

static void system_v(void)
{
	struct shmid_ds segment;
	struct semid_ds semaphores;
	struct msqid_ds queue;
	struct msginfo info;
	struct shminfo limits;
	struct sembuf operations[3] = {{0, 2, 0}, {1, 1, SEM_UNDO}, {0, -1, IPC_NOWAIT}};
	struct timespec soon = {0, 1000000};
	unsigned short values[2] = {4, 5};
	struct {
		long type;
		char text[32];
	} message = {5, "a \"message\" of \1 bytes"};

	int id = must(shmget(0x1234, 4096, IPC_CREAT | IPC_EXCL | 0640));
	fails(shmget(0x1234, 4096, IPC_CREAT | IPC_EXCL | 0640), EEXIST);
	fails(shmget(0x4321, 4096, 0), ENOENT);
	char *memory = shmat(id, NULL, SHM_RDONLY);
	must((long)memory);
	must(shmctl(id, IPC_STAT, &segment));
	must(shmctl(id, IPC_SET, &segment));
	must(shmctl(0, IPC_INFO, (struct shmid_ds *)&limits));
	must(shmctl(0, SHM_INFO, (struct shmid_ds *)&limits));
	must(shmctl(id, SHM_LOCK, NULL));
	must(shmdt(memory));
	fails(shmdt(memory + 1), EINVAL);
	must(shmctl(id, IPC_RMID, NULL));
	fails(shmctl(id, IPC_STAT, &segment), EINVAL);
	fails(shmat(99999, NULL, 0), EINVAL);
	id = must(semget(IPC_PRIVATE, 2, IPC_CREAT | 0600));
	must(semctl(id, 0, SETVAL, 3));
	must(semctl(id, 0, SETALL, values));
	must(semctl(id, 0, GETALL, values));
	must(semctl(id, 1, GETVAL));
	must(semctl(id, 1, GETPID));
	must(semctl(id, 1, GETNCNT));
	must(semctl(id, 0, IPC_STAT, &semaphores));
	must(semop(id, operations, 3));
	operations[0].sem_op = -100;
	fails(semtimedop(id, operations, 1, &soon), EAGAIN);
	fails(semop(id, operations, 0), EINVAL);
	fails(semctl(id, 9, GETVAL), EINVAL);
	must(semctl(id, 0, IPC_RMID));
	fails(semop(id, operations, 1), EINVAL);
	id = must(msgget(0x77, IPC_CREAT | 0622));
	must(msgsnd(id, &message, 23, IPC_NOWAIT));
	message.type = 6;
	must(msgsnd(id, &message, 3, 0));
	must(msgctl(id, IPC_STAT, &queue));
	must(msgctl(id, IPC_SET, &queue));
	must(msgctl(0, MSG_INFO, (struct msqid_ds *)&info));
	must(msgrcv(id, &message, sizeof(message.text), -6, 0));
	fails(msgrcv(id, &message, 1, 0, 0), E2BIG);
	must(msgrcv(id, &message, 1, 6, MSG_NOERROR));
	fails(msgrcv(id, &message, 1, 6, MSG_EXCEPT | IPC_NOWAIT), ENOMSG);
	message.type = -1;
	fails(msgsnd(id, &message, 3, 0), EINVAL);
	must(msgctl(id, IPC_RMID, NULL));
	fails(msgget(0x77, 0), ENOENT);
}

static void posix_queues(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 32}, old;
	struct timespec past = {1, 0};
	struct sigevent notify = {.sigev_notify = SIGEV_NONE};
	unsigned priority;
	char buf[32];

	mqd_t queue =
		must(syscall(SYS_mq_open, "work_waits", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes));
	must(syscall(SYS_mq_timedsend, queue, "queued \"once\"", 13, 7, NULL));
	must(syscall(SYS_mq_timedreceive, queue, buf, sizeof(buf), &priority, &past));
	fails(syscall(SYS_mq_timedreceive, queue, buf, sizeof(buf), &priority, NULL), EAGAIN);
	fails(syscall(SYS_mq_timedreceive, queue, buf, 1, NULL, NULL), EMSGSIZE);
	must(syscall(SYS_mq_notify, queue, &notify));
	fails(syscall(SYS_mq_notify, queue, &notify), EBUSY);
	must(syscall(SYS_mq_notify, queue, NULL));
	must(syscall(SYS_mq_getsetattr, queue, NULL, &old));
	attributes.mq_flags = 0;
	must(syscall(SYS_mq_getsetattr, queue, &attributes, &old));
	fails(syscall(SYS_mq_timedreceive, queue, buf, sizeof(buf), NULL, &past), ETIMEDOUT);
	must(close(queue));
	must(syscall(SYS_mq_unlink, "work_waits"));
	fails(syscall(SYS_mq_unlink, "work_waits"), ENOENT);
	fails(syscall(SYS_mq_open, "absent", O_RDONLY, 0, NULL), ENOENT);
}

int main(void)
{
	many_descriptors();
	futexes();
	uring();
	older_aio();
	system_v();
	posix_queues();
	return 0;
}
