/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int loop_init(struct loop *loop, struct record_error *error)
{
	struct sigaction hangup;
	sigset_t signals;

	*loop = (struct loop){.signal_fd = -1, .wake_fd = -1, .stop_at_ns = LOOP_NEVER};
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	/* Under nohup a closed terminal is no reason to stop. */
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	/* Both come back as an errno of the call that met them. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);

	loop->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->signal_fd < 0 || loop->wake_fd < 0) {
		int saved = -errno;

		loop_deinit(loop);
		return record_error_set(error, saved, "cannot wait for signals: %s", strerror(-saved));
	}
	loop->next_tick_ns = now_ns() + NS_PER_S;
	return 0;
}

void loop_deinit(struct loop *loop)
{
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	loop->signal_fd = loop->wake_fd = -1;
}

void loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	/* Full means that a wake-up is waiting already. */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_serve(struct loop *loop, int fd, void (*serve)(void *ctx), void *ctx)
{
	loop->served[loop->nr_served++] = (struct loop_served){fd, serve, ctx};
}

static void ask_stop(struct loop *loop, int signal_number)
{
	loop->stop = true;
	loop->stop_signal = signal_number;
	loop->stopped_ns = now_ns();
}

void loop_stop(struct loop *loop)
{
	if (!loop->stop)
		ask_stop(loop, 0);
}

static bool take_signals(struct loop *loop)
{
	struct signalfd_siginfo info;
	bool any = false;

	while (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		any = true;
		if (info.ssi_signo == SIGUSR1 && !loop->has_trigger)
			loop->snapshot_now = true;
		else if (info.ssi_signo == SIGUSR1 || info.ssi_signo == SIGUSR2)
			loop->trigger_now = true;
		else if (loop->stop && loop->stop_signal)
			loop->stop_now = true;
		else
			ask_stop(loop, (int)info.ssi_signo);
		if (loop->stop && !loop->stop_now && info.ssi_signo != SIGUSR1 && info.ssi_signo != SIGUSR2)
			report("stopping in good order; a second signal stops at once");
	}
	return any;
}

static void run_tick(struct loop *loop, uint64_t now)
{
	if (!loop->tick || now < loop->next_tick_ns)
		return;
	loop->tick(loop->tick_ctx);
	loop->next_tick_ns += NS_PER_S;
	if (loop->next_tick_ns <= now)
		loop->next_tick_ns = now + NS_PER_S;
}

static int timeout_ms(const struct loop *loop, uint64_t now, uint64_t until_ns)
{
	uint64_t end = until_ns, ms;

	if (!loop->stop && loop->stop_at_ns < end)
		end = loop->stop_at_ns;
	if (loop->tick && loop->next_tick_ns < end)
		end = loop->next_tick_ns;
	if (end == LOOP_NEVER)
		return -1;
	if (end <= now)
		return 0;
	ms = (end - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

enum loop_result loop_wait(struct loop *loop, const int *fds, unsigned nr_fds, uint64_t until_ns)
{
	struct pollfd polled[6 + LOOP_MAX_SERVED];
	unsigned n = 2, first_fd;

	polled[0] = (struct pollfd){.fd = loop->signal_fd, .events = POLLIN};
	polled[1] = (struct pollfd){.fd = loop->wake_fd, .events = POLLIN};
	for (unsigned i = 0; i < loop->nr_served; i++)
		polled[n++] = (struct pollfd){.fd = loop->served[i].fd, .events = POLLIN};
	first_fd = n;
	for (unsigned i = 0; i < nr_fds && n < first_fd + 4; i++)
		if (fds[i] >= 0)
			polled[n++] = (struct pollfd){.fd = fds[i], .events = POLLIN};

	for (;;) {
		bool woken = false, ready = false;
		uint64_t now = now_ns();

		if (loop->stop_now)
			return LOOP_STOP_NOW;
		for (unsigned i = 0; i < n; i++)
			polled[i].revents = 0;
		if (poll(polled, n, timeout_ms(loop, now, until_ns)) < 0 && errno != EINTR)
			return LOOP_STOP_NOW;

		now = now_ns();
		if (polled[0].revents && take_signals(loop))
			woken = true;
		if (polled[1].revents) {
			uint64_t count;

			woken |= read(loop->wake_fd, &count, sizeof(count)) == sizeof(count);
		}
		if (!loop->stop && now >= loop->stop_at_ns) {
			ask_stop(loop, 0);
			woken = true;
		}
		for (unsigned i = 0; i < loop->nr_served; i++) {
			if (!polled[2 + i].revents)
				continue;
			loop->served[i].serve(loop->served[i].ctx);
			woken = true;
		}
		run_tick(loop, now);
		for (unsigned i = first_fd; i < n; i++)
			ready |= polled[i].revents != 0;
		if (loop->stop_now)
			return LOOP_STOP_NOW;
		if (ready)
			return LOOP_READY;
		if (woken)
			return LOOP_WOKEN;
		if (now >= until_ns)
			return LOOP_TIME;
	}
}
