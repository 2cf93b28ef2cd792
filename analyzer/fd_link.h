/* SPDX-License-Identifier: MIT */
/*
 * fd_link.h - two sockets that are each other's peer, and the descriptors that
 * are under way between them (SCM_RIGHTS), first in, first out. Where the order
 * can't be told, or something may have gone through unseen, the link is broken:
 * nothing comes out of it any more. One thread.
 */
#ifndef FD_LINK_H
#define FD_LINK_H

#include "fd_table.h"

#define FD_MESSAGE_FILES 64u   /* of a message; what is captured has no more */
#define FD_MESSAGES_MAX  1024u /* under way on all links */

struct fd_message {
	struct fd_message *next;
	uint64_t id;
	uint32_t nr_files; /* that were sent; of the first FD_MESSAGE_FILES it is known what they are */
	bool done;         /* the call that sends it was seen to end */
	bool overlaps;     /* another one was sent at the same time */
	struct {
		struct fd_file *file; /* NULL: not known */
		int32_t fd;           /* the sender's number of it */
		bool sure;
	} files[];
};

/* The two ends, made by one call; gaps: fd_gaps(). false: no memory. */
bool fd_link_join(struct fd_file *a, struct fd_file *b, uint32_t gaps);
/*
 * The guest's memory says that these are each other's peer, and that nothing is under way between them; no call that
 * sends is. receivers: calls that wait on each. Makes the link, or whole what was broken.
 */
void fd_link_renew(struct fd_file *a, struct fd_file *b, uint32_t gaps, const uint32_t receivers[2]);
/* file is released: what was under way to it is, too. */
void fd_link_leave(struct fd_file *file);
/* Of a room that comes to its end: messages may hold the sockets that they are under way on. */
void fd_link_drop_all(struct fd_room *room);

/* All of these take a file without a link, or with a broken one, and do nothing. */
bool fd_link_is_whole(const struct fd_file *file, uint32_t gaps);
void fd_link_break(struct fd_file *file);
/* Of nr files, those that the caller then fills in; NULL: the link is broken. It is on its way to the peer. */
struct fd_message *fd_link_send(struct fd_file *file, uint32_t nr);
/* That which a call on file sends, as long as nobody has taken it; else NULL. */
struct fd_message *fd_link_sending(struct fd_file *file, uint64_t id);
/* The call that sent it has ended; sent: with success. */
void fd_link_sent(struct fd_file *file, uint64_t id, bool sent);
/* A call that may take a message from this file begins, or has ended. */
void fd_link_wait(struct fd_file *file, bool begins);
/* Is something on its way to this file? */
bool fd_link_has_message(const struct fd_file *file);
/* The next one to come out, if it is certain to have nr files; NULL: it is not. take: else it stays. */
struct fd_message *fd_link_receive(struct fd_file *file, uint32_t nr, bool take);
void fd_message_destroy(struct fd_room *room, struct fd_message *message);

#endif
