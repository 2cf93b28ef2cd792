/* SPDX-License-Identifier: MIT */
/*
 * notify.h - tells the service manager how it goes: the protocol of sd_notify(3),
 * datagrams to the socket in $NOTIFY_SOCKET. Without one, nothing is sent. A
 * manager that does not listen holds nobody up. Main thread.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody to tell */
	struct sockaddr_un address;
	unsigned address_bytes;
	bool has_watchdog;
};

/* From the environment, whose NOTIFY_SOCKET and WATCHDOG_* our children do not see. */
void notify_init(struct notify *notify);
void notify_deinit(struct notify *notify);
/* Lines of KEY=value. */
void notify_send(const struct notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* We are alive; when the manager asked for it. To be called once a second. */
void notify_watchdog(const struct notify *notify);

#endif
