/* SPDX-License-Identifier: MIT */
#include "fd_link.h"

#include <stdlib.h>

struct fd_link {
	struct fd_link *next, **back; /* of the room's list */
	struct fd_room *room;
	struct fd_file *ends[2];     /* NULL: released */
	struct fd_message *first[2]; /* on their way to that end */
	uint64_t next_id;
	uint64_t blind; /* the room's, as it was made */
	uint32_t gaps, receivers[2];
	bool broken;
};

static struct fd_message **last_of(struct fd_message **at)
{
	while (*at)
		at = &(*at)->next;
	return at;
}

void fd_message_destroy(struct fd_room *room, struct fd_message *message)
{
	if (!message)
		return;
	for (uint32_t i = 0; i < message->nr_files && i < FD_MESSAGE_FILES; i++)
		fd_file_release(message->files[i].file);
	free(message);
	room->nr_messages--;
}

/* A message may hold the last reference to the link's own end: it is taken off before. */
static void drop_messages(struct fd_link *link, int end)
{
	struct fd_message *message = link->first[end];
	struct fd_room *room = link->room;

	link->first[end] = NULL;
	while (message) {
		struct fd_message *next = message->next;

		fd_message_destroy(room, message);
		message = next;
	}
}

static void destroy(struct fd_link *link)
{
	*link->back = link->next;
	if (link->next)
		link->next->back = link->back;
	free(link);
}

bool fd_link_join(struct fd_file *a, struct fd_file *b, uint32_t gaps)
{
	struct fd_link *link = calloc(1, sizeof(*link));

	if (!link)
		return false;
	link->room = a->room;
	link->ends[0] = a;
	link->ends[1] = b;
	link->next_id = 1;
	link->gaps = gaps;
	link->blind = a->room->blind_sends;
	link->next = a->room->links;
	link->back = &a->room->links;
	if (link->next)
		link->next->back = &link->next;
	a->room->links = link;
	a->link = b->link = link;
	return true;
}

static int end_of(const struct fd_file *file)
{
	return file->link->ends[1] == file;
}

void fd_link_leave(struct fd_file *file)
{
	struct fd_link *link = file->link;
	struct fd_message *rest = NULL;
	int end;

	if (!link)
		return;
	end = end_of(file);
	file->link = NULL;
	link->ends[end] = NULL;
	rest = link->first[end];
	link->first[end] = NULL;
	/* else the other end still has what was sent before */
	if (!link->ends[!end])
		destroy(link);
	while (rest) {
		struct fd_message *next = rest->next;

		fd_message_destroy(file->room, rest);
		rest = next;
	}
}

void fd_link_drop_all(struct fd_room *room)
{
	/* each drop may release ends, and with them links */
	for (struct fd_link *link = room->links; link;) {
		if (!link->first[0] && !link->first[1]) {
			link = link->next;
			continue;
		}
		drop_messages(link, link->first[0] ? 0 : 1);
		link = room->links;
	}
}

static bool is_whole(const struct fd_link *link)
{
	return !link->broken && link->blind == link->room->blind_sends;
}

bool fd_link_is_whole(const struct fd_file *file, uint32_t gaps)
{
	return file && file->link && is_whole(file->link) && file->link->gaps == gaps;
}

void fd_link_break(struct fd_file *file)
{
	if (file && file->link)
		file->link->broken = true;
}

void fd_link_renew(struct fd_file *a, struct fd_file *b, uint32_t gaps, const uint32_t receivers[2])
{
	struct fd_link *link;
	int end;

	/* one of them had another peer, or its peer was closed: it can't be this one then */
	if (a == b || a->link != b->link)
		return;
	if (!a->link && !fd_link_join(a, b, gaps))
		return;
	link = a->link;
	end = end_of(a);
	drop_messages(link, 0);
	drop_messages(link, 1);
	link->gaps = gaps;
	link->blind = link->room->blind_sends;
	link->receivers[end] = receivers[0];
	link->receivers[!end] = receivers[1];
	link->broken = receivers[0] > 1 || receivers[1] > 1;
}

struct fd_message *fd_link_send(struct fd_file *file, uint32_t nr)
{
	uint32_t room = nr < FD_MESSAGE_FILES ? nr : FD_MESSAGE_FILES;
	struct fd_message *message = NULL, **at;
	struct fd_link *link = file ? file->link : NULL;
	int to;

	if (!link || !is_whole(link))
		return NULL;
	to = !end_of(file);
	if (link->ends[to] && link->room->nr_messages < FD_MESSAGES_MAX)
		message = calloc(1, sizeof(*message) + room * sizeof(message->files[0]));
	if (!message) {
		link->broken = true;
		return NULL;
	}
	link->room->nr_messages++;
	message->id = link->next_id++;
	message->nr_files = nr;
	at = &link->first[to];
	for (struct fd_message *other = *at; other; other = other->next) {
		message->overlaps |= !other->done;
		other->overlaps |= !other->done;
	}
	*last_of(at) = message;
	return message;
}

struct fd_message *fd_link_sending(struct fd_file *file, uint64_t id)
{
	struct fd_message *message = file && file->link ? file->link->first[!end_of(file)] : NULL;

	while (message && message->id != id)
		message = message->next;
	return message;
}

void fd_link_sent(struct fd_file *file, uint64_t id, bool sent)
{
	struct fd_message **at;

	if (!file || !file->link)
		return;
	for (at = &file->link->first[!end_of(file)]; *at; at = &(*at)->next) {
		struct fd_message *message = *at;

		if (message->id != id)
			continue;
		message->done = true;
		if (!sent) {
			*at = message->next;
			fd_message_destroy(file->room, message);
		}
		return;
	}
}

void fd_link_wait(struct fd_file *file, bool begins)
{
	uint32_t *n;

	if (!file || !file->link)
		return;
	n = &file->link->receivers[end_of(file)];
	*n += begins ? 1 : -(*n > 0);
	/* which of them is first is not to be seen */
	file->link->broken |= *n > 1;
}

bool fd_link_has_message(const struct fd_file *file)
{
	return file && file->link && file->link->first[end_of(file)];
}

struct fd_message *fd_link_receive(struct fd_file *file, uint32_t nr, bool take)
{
	struct fd_link *link = file ? file->link : NULL;
	struct fd_message *message;
	int end;

	if (!link || !is_whole(link))
		return NULL;
	end = end_of(file);
	message = link->first[end];
	if (!message || message->nr_files != nr) {
		/* something went through unseen; of two at once, either may be the first */
		link->broken |= !message || !message->overlaps;
		if (message && message->overlaps && take) {
			link->first[end] = message->next;
			fd_message_destroy(link->room, message);
		}
		return NULL;
	}
	if (take)
		link->first[end] = message->next;
	if (!message->overlaps)
		return message;
	if (take)
		fd_message_destroy(link->room, message);
	return NULL;
}
