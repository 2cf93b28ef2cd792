/* SPDX-License-Identifier: MIT */
/* Names for signals, clocks, timers and waiting; the order is the one in which strace prints flags. */
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/time.h>
#include <linux/timerfd.h>

#include "name_set.h"

static const struct named_value sigmask_how_values[] = {NAMED(SIG_BLOCK), NAMED(SIG_UNBLOCK), NAMED(SIG_SETMASK)};
NAME_SET(names_sigmask_how, sigmask_how_values, .unknown = "SIG_???");

static const struct named_value sigaction_values[] = {NAMED(SA_RESTORER),
						      NAMED(SA_ONSTACK),
						      NAMED(SA_RESTART),
						      NAMED_AS(0x20000000, "SA_INTERRUPT"),
						      NAMED(SA_NODEFER),
						      NAMED(SA_RESETHAND),
						      NAMED(SA_SIGINFO),
						      NAMED(SA_NOCLDSTOP),
						      NAMED(SA_NOCLDWAIT),
						      NAMED_AS(0x00000400, "SA_UNSUPPORTED"),
						      NAMED_AS(0x00000800, "SA_EXPOSE_TAGBITS")};
NAME_SET(names_sigaction, sigaction_values, .unknown = "SA_???", .wide = true);

/* linux/signal.h's SS_AUTODISARM is the top bit. */
static const struct named_value sigstack_values[] = {NAMED_AS(1, "SS_ONSTACK"), NAMED_AS(2, "SS_DISABLE"),
						     NAMED_AS(1u << 31, "SS_AUTODISARM")};
NAME_SET(names_sigstack, sigstack_values, .unknown = "SS_???");

static const struct named_value clock_values[] = {
	NAMED(CLOCK_REALTIME),          NAMED(CLOCK_MONOTONIC),     NAMED(CLOCK_PROCESS_CPUTIME_ID),
	NAMED(CLOCK_THREAD_CPUTIME_ID), NAMED(CLOCK_MONOTONIC_RAW), NAMED(CLOCK_REALTIME_COARSE),
	NAMED(CLOCK_MONOTONIC_COARSE),  NAMED(CLOCK_BOOTTIME),      NAMED(CLOCK_REALTIME_ALARM),
	NAMED(CLOCK_BOOTTIME_ALARM),    NAMED(CLOCK_SGI_CYCLE),     NAMED(CLOCK_TAI)};
NAME_SET(names_clock, clock_values, .unknown = "CLOCK_???");

static const struct named_value timer_values[] = {NAMED(TIMER_ABSTIME)};
NAME_SET(names_timer, timer_values, .unknown = "TIMER_???");

static const struct named_value itimer_values[] = {NAMED(ITIMER_REAL), NAMED(ITIMER_VIRTUAL), NAMED(ITIMER_PROF)};
NAME_SET(names_itimer, itimer_values, .unknown = "ITIMER_???");

static const struct named_value timerfd_values[] = {NAMED(TFD_TIMER_ABSTIME), NAMED(TFD_TIMER_CANCEL_ON_SET),
						    NAMED(TFD_CLOEXEC), NAMED(TFD_NONBLOCK)};
NAME_SET(names_timerfd, timerfd_values, .unknown = "TFD_???");

/* <sys/eventfd.h> and <sys/signalfd.h> do not go with the kernel's headers; both take open's bits. */
static const struct named_value eventfd_values[] = {NAMED_AS(1, "EFD_SEMAPHORE"), NAMED_AS(O_CLOEXEC, "EFD_CLOEXEC"),
						    NAMED_AS(O_NONBLOCK, "EFD_NONBLOCK")};
NAME_SET(names_eventfd, eventfd_values, .unknown = "EFD_???");

static const struct named_value signalfd_values[] = {NAMED_AS(O_CLOEXEC, "SFD_CLOEXEC"),
						     NAMED_AS(O_NONBLOCK, "SFD_NONBLOCK")};
NAME_SET(names_signalfd, signalfd_values, .unknown = "SFD_???");

static const struct named_value epoll_create_values[] = {NAMED(EPOLL_CLOEXEC)};
NAME_SET(names_epoll_create, epoll_create_values, .unknown = "EPOLL_???");

static const struct named_value epoll_ctl_values[] = {NAMED(EPOLL_CTL_ADD), NAMED(EPOLL_CTL_MOD), NAMED(EPOLL_CTL_DEL)};
NAME_SET(names_epoll_ctl, epoll_ctl_values, .unknown = "EPOLL_CTL_???");

static const struct named_value epoll_event_values[] = {
	NAMED(EPOLLIN),        NAMED(EPOLLPRI),    NAMED(EPOLLOUT),     NAMED(EPOLLERR),
	NAMED(EPOLLHUP),       NAMED(EPOLLNVAL),   NAMED(EPOLLRDNORM),  NAMED(EPOLLRDBAND),
	NAMED(EPOLLWRNORM),    NAMED(EPOLLWRBAND), NAMED(EPOLLMSG),     NAMED(EPOLLRDHUP),
	NAMED(EPOLLEXCLUSIVE), NAMED(EPOLLWAKEUP), NAMED(EPOLLONESHOT), NAMED(EPOLLET)};
NAME_SET(names_epoll_events, epoll_event_values, .unknown = "EPOLL???");

static const struct named_value poll_event_values[] = {
	NAMED(POLLIN),   NAMED(POLLPRI),    NAMED(POLLOUT),    NAMED(POLLERR),    NAMED(POLLHUP),
	NAMED(POLLNVAL), NAMED(POLLRDNORM), NAMED(POLLRDBAND), NAMED(POLLWRNORM), NAMED(POLLWRBAND),
	NAMED(POLLMSG),  NAMED(POLLREMOVE), NAMED(POLLRDHUP)};
NAME_SET(names_poll_events, poll_event_values, .unknown = "POLL???");
