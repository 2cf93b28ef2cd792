/* SPDX-License-Identifier: MIT */
/*
 * work_process.c - system calls about processes, threads, signals, time and
 * limits: fork, vfork and exec, calls broken by signals, futexes between
 * threads, an exec from a thread that is not the first, an ordinary user's
 * errors.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "workload.h"

static char self[256];
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	signals++;
}

static void identity(void)
{
	struct utsname name;
	struct sysinfo info;
	struct rlimit limit;
	struct rusage usage;
	struct tms times_buf;
	cpu_set_t cpus;
	gid_t groups[8];
	char title[16];

	must(getpid());
	must(getppid());
	must(syscall(SYS_gettid));
	must(getuid());
	must(geteuid());
	must(getgid());
	must(getegid());
	must(getpgid(0));
	must(getsid(0));
	must(getgroups(8, groups));
	must(uname(&name));
	must(sysinfo(&info));
	must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 128;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	must(getrusage(RUSAGE_SELF, &usage));
	must(times(&times_buf));
	must(sched_getaffinity(0, sizeof(cpus), &cpus));
	must(sched_setaffinity(0, sizeof(cpus), &cpus));
	must(sched_yield());
	must(setpriority(PRIO_PROCESS, 0, 1));
	errno = 0;
	must(getpriority(PRIO_PROCESS, 0));
	must(prctl(PR_SET_NAME, "odd \"name\"\n"));
	must(prctl(PR_GET_NAME, title));
	must(prctl(PR_SET_NAME, "work_process"));
	fails(prctl(12345, 0, 0, 0, 0), EINVAL);
}

static void clocks(void)
{
	struct timespec ts, short_time = {0, 2000000};
	struct timeval tv;
	struct itimerval timer = {{0, 0}, {5, 0}}, old;

	must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts));
	must(syscall(SYS_gettimeofday, &tv, NULL));
	must(syscall(SYS_time, NULL));
	must(clock_getres(CLOCK_REALTIME, &ts));
	must(nanosleep(&short_time, NULL));
	must(clock_nanosleep(CLOCK_MONOTONIC, 0, &short_time, NULL));
	must(setitimer(ITIMER_REAL, &timer, NULL));
	must(getitimer(ITIMER_REAL, &old));
	timer.it_value.tv_sec = 0;
	must(setitimer(ITIMER_REAL, &timer, &old));
	fails(syscall(SYS_clock_gettime, 999, &ts), EINVAL);
}

static void broken_by_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal}, old;
	struct itimerval soon = {{0, 0}, {0, 50000}};
	sigset_t set, waiting;
	char byte;
	int pipes[2];

	must(sigaction(SIGALRM, &action, &old));
	must(sigaction(SIGUSR1, &action, NULL));
	must(alarm(1));
	fails(pause(), EINTR);
	must(pipe(pipes));
	must(setitimer(ITIMER_REAL, &soon, NULL));
	fails(read(pipes[0], &byte, 1), EINTR);
	must(setitimer(ITIMER_REAL, &soon, NULL));
	fails(poll(NULL, 0, 10000), EINTR);
	must(setitimer(ITIMER_REAL, &soon, NULL));
	fails(nanosleep(&(struct timespec){10, 0}, &(struct timespec){0, 0}), EINTR);
	/* Restarted: the handler runs in the middle, the caller sees only the read's result. */
	action.sa_flags = SA_RESTART;
	must(sigaction(SIGALRM, &action, NULL));
	if (must(fork()) == 0) {
		nanosleep(&(struct timespec){0, 200000000}, NULL);
		must(write(pipes[1], "x", 1));
		_exit(0);
	}
	must(setitimer(ITIMER_REAL, &soon, NULL));
	must(read(pipes[0], &byte, 1));
	must(wait(NULL));
	must(kill(getpid(), SIGUSR1));
	must(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(raise(SIGUSR1));
	must(sigpending(&waiting));
	must(sigtimedwait(&set, NULL, &(struct timespec){1, 0}));
	fails(sigtimedwait(&set, NULL, &(struct timespec){0, 1000000}), EAGAIN);
	must(raise(SIGUSR1));
	sigemptyset(&waiting);
	fails(sigsuspend(&waiting), EINTR);
	must(sigprocmask(SIG_UNBLOCK, &set, NULL));
	must(sigaction(SIGALRM, &old, NULL));
	must(close(pipes[0]));
	must(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	fails(write(pipes[1], "x", 1), EPIPE);
	must(close(pipes[1]));
	stack_t stack = {.ss_sp = malloc(SIGSTKSZ), .ss_size = SIGSTKSZ};
	must(sigaltstack(&stack, NULL));
	fails(kill(999999, 0), ESRCH);
	fails(kill(getpid(), 99), EINVAL);
	if (signals < 7)
		exit(1);
}

/* The handler lies in memory, the fault is an exception: a return to user mode that ends no call. */
static void segfault(void)
{
	volatile int *volatile nowhere = (int *)8;
	int status;

	if (must(fork()) == 0) {
		must(prctl(PR_SET_DUMPABLE, 0));
		*nowhere = 1;
	}
	must(wait(&status));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		exit(1);
}

static void children(void)
{
	char *const arguments[] = {self, "child", "with \"odd\" argument\n", NULL};
	char *const environment[] = {"ONE=1", "TWO=two words", NULL};
	siginfo_t info;
	struct rusage usage;
	int status;

	pid_t pid = must(fork());
	if (pid == 0) {
		must(setpgid(0, 0));
		execve(self, arguments, environment);
		_exit(99);
	}
	must(waitpid(pid, &status, 0));
	if (WEXITSTATUS(status) != 3)
		exit(1);
	pid = must(vfork());
	if (pid == 0) {
		execve(self, arguments, environment);
		_exit(99);
	}
	must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	must(wait4(pid, &status, 0, &usage));
	pid = must(vfork());
	if (pid == 0)
		_exit(7);
	must(waitpid(pid, &status, 0));
	pid = must(fork());
	if (pid == 0) {
		must(setsid());
		for (;;)
			pause();
	}
	int fd = must(syscall(SYS_pidfd_open, pid, 0));
	must(waitpid(pid, &status, WNOHANG));
	must(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	must(waitpid(pid, &status, 0));
	must(close(fd));
	fails(wait(NULL), ECHILD);
	fails(execve("/nowhere/program", arguments, environment), ENOENT);
	fails(execve("/etc/passwd", arguments, environment), EACCES);
}

static void ordinary_user(void)
{
	int status;

	if (must(fork()) == 0) {
		must(setresgid(1000, 1000, 1000));
		must(setresuid(1000, 1000, 1000));
		fails(open("/root/secret", O_RDONLY | O_CREAT, 0600), EACCES);
		fails(setuid(0), EPERM);
		fails(chown("/etc/passwd", 1, 1), EPERM);
		fails(kill(1, SIGTERM), EPERM);
		fails(sethostname("x", 1), EPERM);
		_exit(0);
	}
	must(wait(&status));
	if (status != 0)
		exit(1);
}

static int word;

static void *waiter(void *argument)
{
	prctl(PR_SET_NAME, (char *)argument);
	while (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EINTR)
		;
	must(syscall(SYS_gettid));
	return NULL;
}

static void *exec_from_thread(void *argument)
{
	char *const arguments[] = {self, "child", "from a thread", NULL};

	execv(self, arguments);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[3];
	int status;

	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, waiter, (char *[]){"first", "second", "third"}[i]);
	nanosleep(&(struct timespec){0, 20000000}, NULL);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	must(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 3, NULL, NULL, 0));
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	fails(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0), EAGAIN);
	struct timespec soon = {0, 1000000};
	fails(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &soon, NULL, 0), ETIMEDOUT);
	if (must(fork()) == 0) {
		pthread_t killer;

		pthread_create(&killer, NULL, exec_from_thread, NULL);
		for (;;)
			pause();
	}
	must(wait(&status));
	if (WEXITSTATUS(status) != 3)
		exit(1);
}

int main(int argc, char **argv)
{
	must(readlink("/proc/self/exe", self, sizeof(self) - 1));
	if (argc > 1) {
		must(getpid());
		return 3;
	}
	identity();
	clocks();
	broken_by_signals();
	segfault();
	children();
	ordinary_user();
	threads();
	return 0;
}
