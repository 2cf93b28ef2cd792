/* SPDX-License-Identifier: MIT */
/*
 * work_clocks.c - system calls on time and on signals: clocks, timers, sleeping,
 * queued signals, masks, alternate stacks, calls that begin again.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>

#include "workload.h"

static volatile sig_atomic_t handled;

static void on_signal(int number, siginfo_t *info, void *context)
{
	handled++;
}

static void clocks(void)
{
	static const int all[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
				  CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
				  CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,      CLOCK_TAI};
	struct timespec ts = {0, 0};
	struct timeval tv = {0, 2000000};
	struct timezone zone;
	struct timex state = {.modes = 0};
	struct tms times_buf;
	time_t now;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		must(syscall(SYS_clock_gettime, all[i], &ts));
		must(syscall(SYS_clock_getres, all[i], &ts));
	}
	must(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL));
	must(syscall(SYS_clock_gettime, (~getpid() << 3) | 2, &ts)); /* another process's CPU time */
	fails(syscall(SYS_clock_gettime, CLOCK_REALTIME, (void *)16), EFAULT);
	fails(syscall(SYS_clock_getres, 99, &ts), EINVAL);
	ts = (struct timespec){-1, 0};
	fails(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts), EINVAL);
	fails(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &ts), EINVAL);
	must(syscall(SYS_gettimeofday, &tv, &zone));
	tv.tv_usec = 2000000;
	fails(syscall(SYS_settimeofday, &tv, NULL), EINVAL);
	must(syscall(SYS_time, &now));
	must(syscall(SYS_adjtimex, &state));
	must(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &state));
	state.modes = ADJ_TICK;
	state.tick = 1;
	fails(syscall(SYS_adjtimex, &state), EINVAL);
	fails(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &state), EOPNOTSUPP);
	must(times(&times_buf));
	fails(syscall(SYS_times, (void *)16), EFAULT);
}

static void timers(void)
{
	struct sigevent by_signal = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
	struct sigevent by_thread = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	struct sigevent by_nothing = {.sigev_notify = SIGEV_NONE};
	struct itimerspec soon = {{0, 0}, {0, 1000000}}, left;
	struct itimerval interval = {{0, 500000}, {3, 0}}, old;
	int id;

	must(syscall(SYS_timer_create, CLOCK_MONOTONIC, &by_signal, &id));
	must(syscall(SYS_timer_settime, id, 0, &soon, NULL));
	must(nanosleep(&(struct timespec){0, 20000000}, NULL) == -1 && errno != EINTR ? -1 : 0);
	must(syscall(SYS_timer_getoverrun, id));
	must(syscall(SYS_timer_gettime, id, &left));
	must(syscall(SYS_timer_delete, id));
	fails(syscall(SYS_timer_gettime, id, &left), EINVAL);
	by_thread._sigev_un._tid = getpid();
	must(syscall(SYS_timer_create, CLOCK_BOOTTIME, &by_thread, &id));
	soon.it_value.tv_sec = soon.it_interval.tv_sec = 1000000000;
	must(syscall(SYS_timer_settime, id, TIMER_ABSTIME, &soon, &left));
	soon.it_value = soon.it_interval = (struct timespec){0, 0};
	must(syscall(SYS_timer_settime, id, 0, &soon, &left));
	must(syscall(SYS_timer_delete, id));
	must(syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &by_nothing, &id));
	must(syscall(SYS_timer_delete, id));
	must(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, &id));
	must(syscall(SYS_timer_delete, id));
	fails(syscall(SYS_timer_create, 99, NULL, &id), EINVAL);
	fails(syscall(SYS_timer_settime, 9999, 0, &soon, NULL), EINVAL);
	fails(syscall(SYS_timer_getoverrun, 9999), EINVAL);
	must(setitimer(ITIMER_VIRTUAL, &interval, &old));
	must(setitimer(ITIMER_PROF, &interval, NULL));
	must(getitimer(ITIMER_VIRTUAL, &old));
	must(getitimer(ITIMER_PROF, &old));
	fails(syscall(SYS_getitimer, 9, &old), EINVAL);
	interval.it_value.tv_usec = 1000000;
	fails(syscall(SYS_setitimer, ITIMER_REAL, &interval, NULL), EINVAL);
	interval = (struct itimerval){{0, 0}, {0, 0}};
	must(setitimer(ITIMER_VIRTUAL, &interval, NULL));
	must(setitimer(ITIMER_PROF, &interval, &old));
	must(alarm(100));
	must(alarm(0));
}

static void sleeping(void)
{
	struct timespec ts = {0, 1000000}, rest;

	must(nanosleep(&ts, &rest));
	must(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &ts, &rest));
	must(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)); /* long past */
	ts.tv_nsec = 1000000000;
	fails(nanosleep(&ts, NULL), EINVAL);
	fails(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &ts, NULL), EINVAL);
	fails(syscall(SYS_nanosleep, 16, NULL), EFAULT);
	must(poll(NULL, 0, 1));
}

static void queued(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, old;
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE, .si_value.sival_ptr = (void *)0x1234567890};
	stack_t stack = {.ss_size = 65536}, former;
	struct timespec soon = {0, 1000000};
	sigset_t set, pending;

	stack.ss_sp = malloc(stack.ss_size);
	must(sigaltstack(&stack, &former));
	must(sigaltstack(NULL, &former));
	sigfillset(&action.sa_mask);
	must(sigaction(SIGRTMIN, &action, &old));
	must(sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGHUP);
	sigaddset(&action.sa_mask, SIGRTMAX);
	must(sigaction(SIGUSR2, &action, NULL));
	must(sigaction(SIGUSR2, NULL, &old));
	must(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
	must(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR2, &info));
	fails(syscall(SYS_rt_sigqueueinfo, 999999, SIGUSR1, &info), ESRCH);
	fails(syscall(SYS_rt_tgsigqueueinfo, -1, 5, SIGUSR1, &info), EINVAL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_SETMASK, &set, NULL));
	must(sigqueue(getpid(), SIGRTMIN + 1, info.si_value));
	must(sigpending(&pending));
	must(sigtimedwait(&set, &info, &soon));
	must(raise(SIGTERM));
	must(sigwaitinfo(&set, &info));
	fails(sigtimedwait(&set, &info, &soon), EAGAIN);
	must(sigprocmask(SIG_BLOCK, NULL, &set));
	must(sigprocmask(SIG_UNBLOCK, &set, &pending));
	fails(syscall(SYS_rt_sigprocmask, 99, &set, NULL, 8), EINVAL);
	fails(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4), EINVAL);
	fails(syscall(SYS_rt_sigaction, SIGKILL, &action, NULL, 8), EINVAL);
	fails(syscall(SYS_rt_sigpending, &set, 99), EINVAL);
	fails(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 3), EINVAL);
	must(kill(0, 0));
	must(syscall(SYS_tkill, getpid(), 0));
	must(syscall(SYS_tkill, getpid(), SIGUSR1));
	must(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2));
	fails(syscall(SYS_tkill, -1, SIGUSR1), EINVAL);
	fails(syscall(SYS_tgkill, getpid(), 999999, SIGUSR1), ESRCH);
	stack.ss_flags = SS_DISABLE;
	must(sigaltstack(&stack, NULL));
	stack.ss_flags = 0x77;
	fails(sigaltstack(&stack, NULL), EINVAL);
	if (handled < 4)
		exit(1);
}

/* A sleep in which a stop falls goes on by restart_syscall. */
static void restarted(void)
{
	int status;

	pid_t pid = must(fork());
	if (pid == 0) {
		must(nanosleep(&(struct timespec){0, 400000000}, NULL));
		must(poll(NULL, 0, 300));
		_exit(0);
	}
	for (int i = 0; i < 4; i++) {
		must(nanosleep(&(struct timespec){0, 100000000}, NULL));
		must(kill(pid, SIGSTOP));
		must(kill(pid, SIGCONT));
	}
	must(waitpid(pid, &status, 0));
	if (status != 0)
		exit(1);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	must(sigaction(SIGRTMIN, &action, NULL));
	clocks();
	timers();
	sleeping();
	queued();
	restarted();
	return 0;
}
