/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Is the watchdog meant for this process? */
static bool watchdog_wanted(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	return usec && strtoull(usec, NULL, 10) && (!pid || strtoll(pid, NULL, 10) == getpid());
}

void notify_init(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	*notify = (struct notify){.fd = -1, .address = {.sun_family = AF_UNIX}};
	if (n > 1 && n < sizeof(notify->address.sun_path) && (path[0] == '/' || path[0] == '@')) {
		memcpy(notify->address.sun_path, path, n);
		/* An abstract name begins with NUL, and has none behind it. */
		if (path[0] == '@')
			notify->address.sun_path[0] = '\0';
		notify->address_bytes = (unsigned)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
		notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		notify->has_watchdog = watchdog_wanted();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_deinit(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *format, ...)
{
	char text[512];
	va_list args;

	if (notify->fd < 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* What does not go through now is not worth waiting for. */
	sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&notify->address,
	       notify->address_bytes);
}

void notify_watchdog(const struct notify *notify)
{
	if (notify->has_watchdog)
		notify_send(notify, "WATCHDOG=1");
}
