/* SPDX-License-Identifier: MIT */
/* Descriptors that sockets carry from one process to another (SCM_RIGHTS). */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fd_link.h"
#include "fd_record.h"
#include "linux/user_abi.h"
#include "process_fds_private.h"

#define SOL_SOCKET_ 1
#define SCM_RIGHTS_ 1
#define SCM_PIDFD_  4 /* asm-generic/socket.h, Linux 6.5 */
#define MSG_PEEK_   2u
#define MSG_CTRUNC_ 8u
#define SOCKETS_MAX (1u << 18) /* of a snapshot */
#define EINTR_      (-4)
#define EAGAIN_     (-11)
/* linux/errno.h: those that the program is not told, and that begin the call again */
#define ERESTARTSYS_   (-512)
#define ERESTART_LAST_ (-516)

struct rights {
	bool hidden; /* there may be some that were not captured */
	bool to_address;
	uint32_t flags; /* msg_flags of any */
	uint32_t nr;    /* descriptors that are passed; of them seen: */
	uint32_t nr_seen;
	int32_t fds[FD_MESSAGE_FILES];
	int32_t pidfd; /* -1: none */
};

/* A list of struct cmsghdr {size_t len; int level, type}, each aligned to a word. */
static void read_control(const uint8_t *list, size_t n, uint64_t total, size_t word, struct rights *out)
{
	size_t head = word + 8, at = 0;

	while (at < total && total - at >= head) {
		uint64_t len;
		uint32_t level, type;

		if (at > n || n - at < head) {
			out->hidden = true;
			return;
		}
		len = word == 8 ? fd_record_u64(list + at) : fd_record_u32(list + at);
		level = fd_record_u32(list + at + word);
		type = fd_record_u32(list + at + word + 4);
		if (len < head || len > total - at)
			return;
		if (level == SOL_SOCKET_ && type == SCM_RIGHTS_) {
			out->nr += (uint32_t)((len - head) / 4);
			for (size_t i = at + head; i + 4 <= at + len && i + 4 <= n; i += 4)
				if (out->nr_seen < FD_MESSAGE_FILES)
					out->fds[out->nr_seen++] = (int32_t)fd_record_u32(list + i);
		} else if (level == SOL_SOCKET_ && type == SCM_PIDFD_ && at + head + 4 <= n) {
			out->pidfd = (int32_t)fd_record_u32(list + at + head);
		}
		if (total - at - len < head) /* the last one */
			return;
		at += (size_t)((len + word - 1) / word * word);
	}
}

static bool is_of_many(const struct fd_thread *t)
{
	return t->call->action == FD_DO_SENDMMSG || t->call->action == FD_DO_RECVMMSG;
}

/* The bytes at this address; NULL: not there. */
static const uint8_t *piece_at(const struct trap_view *view, uint8_t label, uint64_t gva, size_t *n)
{
	bool whole;

	return fd_record_piece_at(view, label, gva, n, &whole);
}

/* What a struct msghdr says; first: its control data is captured. */
static void read_header(const uint8_t *header, bool narrow, const struct trap_view *view, bool first,
			struct rights *out)
{
	const struct user_msghdr *layout = user_msghdr(narrow);
	uint64_t control = narrow ? fd_record_u32(header + layout->control) : fd_record_u64(header + layout->control);
	uint64_t total =
		narrow ? fd_record_u32(header + layout->control_len) : fd_record_u64(header + layout->control_len);
	const uint8_t *list;
	size_t n = 0;

	out->to_address |= (narrow ? fd_record_u32(header + layout->name) : fd_record_u64(header + layout->name)) != 0;
	out->flags |= fd_record_u32(header + layout->flags);
	if (!control || !total)
		return;
	list = first ? piece_at(view, PLAN_LABEL_DEEP0 + 1, control, &n) : NULL;
	if (list)
		read_control(list, n, total, narrow ? 4 : 8, out);
	else
		out->hidden = true;
}

/* Of a call that sends at its entry, of one that receives at its exit; many: so many messages, with a length behind
 * each. */
static void read_rights(const struct fd_thread *t, const struct trap_view *view, uint64_t many, struct rights *out)
{
	bool narrow = user_abi_is_narrow(t->abi, t->nr);
	size_t size_bytes = user_msghdr(narrow)->size_bytes, n = 0;
	const uint8_t *headers = piece_at(view, PLAN_LABEL_ARG0 + 1, t->args[1], &n);

	*out = (struct rights){.pidfd = -1};
	if (!is_of_many(t))
		many = 1;
	else
		size_bytes += narrow ? 4 : 8;
	out->hidden = many > (headers ? n / size_bytes : 0);
	for (uint64_t i = 0; i < many && !out->hidden; i++)
		read_header(headers + i * size_bytes, narrow, view, !i, out);
}

/* Is the socket of this call known for sure? If not, what is sent or taken may be so on any. */
static bool knows_socket(struct processes *p, const struct fd_thread *t)
{
	if (t->file && !t->unsure)
		return true;
	if (p->fds->room.links)
		p->fds->room.blind_sends++;
	return false;
}

static bool is_linked(struct processes *p, const struct fd_thread *t)
{
	return fd_link_is_whole(t->file, fd_gaps(p)) && !p->fds->any_async && !p->fds->no_links;
}

static void enter_send(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	struct fd_message *message;
	struct rights rights;

	read_rights(t, view, (uint32_t)t->args[2], &rights);
	if ((!rights.hidden && !rights.nr) || !knows_socket(p, t))
		return;
	if (rights.hidden || !is_linked(p, t)) {
		fd_link_break(t->file);
		return;
	}
	/* to another socket than its peer: which is not known */
	if (rights.to_address) {
		p->fds->room.blind_sends++;
		return;
	}
	message = fd_link_send(t->file, rights.nr);
	if (!message)
		return;
	t->message_id = message->id;
	for (uint32_t i = 0; i < rights.nr_seen; i++) {
		const struct fd_slot *slot = fd_table_slot(t->files, rights.fds[i]);

		message->files[i].fd = rights.fds[i];
		message->files[i].file = slot ? fd_file_hold(slot->file) : NULL;
		message->files[i].sure = slot && fd_is_sure(p, t, slot);
	}
}

/*
 * What the numbers refer to was looked up by the kernel between the call's entry and its end, or what it sent being
 * taken: if they refer to something else now, which of the two was sent is not known.
 */
static void look_again(struct processes *p, const struct fd_thread *sender, struct fd_message *message)
{
	for (uint32_t i = 0; i < message->nr_files && i < FD_MESSAGE_FILES; i++) {
		const struct fd_slot *slot = sender ? fd_table_slot(sender->files, message->files[i].fd) : NULL;

		message->files[i].sure &= slot && slot->file == message->files[i].file && fd_is_sure(p, sender, slot);
	}
}

/* Whose call sends this on the link of t->file; NULL: nobody's any more. */
static const struct fd_thread *sender_of(const struct processes *p, const struct fd_thread *t,
					 const struct fd_message *message)
{
	for (uint32_t i = 0; i < p->used; i++) {
		const struct fd_thread *other = p->threads[i].used ? p->threads[i].fd : NULL;

		if (other && other->in_call && other->message_id == message->id && other->file &&
		    other->file->link == t->file->link)
			return other;
	}
	return NULL;
}

void process_fds_rights_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	process_fd_take_source(p, t, 0);
	switch (t->call->action) {
	case FD_DO_SENDMSG:
	case FD_DO_SENDMMSG:
		enter_send(p, t, view);
		break;
	default:
		fd_link_wait(t->file, true);
		t->waits = true;
		break;
	}
}

static struct fd_file *unknown_file(struct processes *p)
{
	return fd_file_create(&p->fds->room, fd_object_create(FD_RECEIVED, "", 0));
}

static void received(struct processes *p, struct fd_thread *t, const struct trap_view *view, int64_t ret)
{
	struct fd_message *message = NULL;
	struct rights rights;
	bool takes;

	read_rights(t, view, (uint64_t)ret, &rights);
	takes = !(t->args[t->call->flags] & MSG_PEEK_);
	if (rights.hidden || rights.nr || rights.flags & MSG_CTRUNC_) {
		bool known = knows_socket(p, t);

		if (known && !rights.hidden && rights.nr && is_linked(p, t))
			message = fd_link_receive(t->file, rights.nr, takes);
		else if (known)
			fd_link_break(t->file);
	}
	if (message && !message->done)
		look_again(p, sender_of(p, t, message), message);
	for (uint32_t i = 0; i < rights.nr_seen; i++) {
		struct fd_file *file = message ? message->files[i].file : NULL;
		bool sure = file && message->files[i].sure;

		process_fd_set(p, t, rights.fds[i], file ? fd_file_hold(file) : unknown_file(p), process_fd_cloexec(t),
			       !sure, view->header.tsc);
	}
	if (rights.pidfd >= 0)
		process_fd_set(p, t, rights.pidfd,
			       fd_file_create(&p->fds->room, fd_object_create(FD_PIDFD, "anon_inode:[pidfd]", 18)),
			       true, false, view->header.tsc);
	if (takes)
		fd_message_destroy(&p->fds->room, message);
}

/* A failure before there was a message. */
static bool takes_nothing(int64_t ret)
{
	return ret == EAGAIN_ || ret == EINTR_ || ret == EBADF_ || (ret <= ERESTARTSYS_ && ret >= ERESTART_LAST_);
}

void process_fds_rights_exit(struct processes *p, struct fd_thread *t, const struct trap_view *view, bool known,
			     int64_t ret)
{
	bool happened = !known || ret >= 0;
	struct fd_message *message;

	/* a message that could not be copied to the program is taken all the same */
	if (!happened && t->waits && !takes_nothing(ret) && fd_link_has_message(t->file))
		fd_link_break(t->file);

	/* another thread has put another file there, and which of the two the call is about is not known */
	if (happened && t->file && t->file->link && !process_fd_is_still(p, t))
		fd_link_break(t->file);
	switch (t->call->action) {
	case FD_DO_SENDMSG:
	case FD_DO_SENDMMSG:
		message = t->message_id ? fd_link_sending(t->file, t->message_id) : NULL;
		if (message)
			look_again(p, t, message);
		if (t->message_id)
			fd_link_sent(t->file, t->message_id, happened);
		if (t->message_id && !known)
			fd_link_break(t->file);
		break;
	case FD_DO_RECVMSG:
	case FD_DO_RECVMMSG:
		/* of how many came nothing is known then */
		if (happened)
			received(p, t, view, known ? ret : UINT32_MAX);
		break;
	case FD_DO_RECV:
		/* what came with the bytes, and was not asked for, is gone */
		if (happened && p->fds->room.nr_messages && knows_socket(p, t) && fd_link_has_message(t->file))
			fd_link_break(t->file);
		break;
	default:
		break;
	}
}

/* ---- snapshots --------------------------------------------------------------- */

/* What it sent, or took, is not known. */
void process_fds_rights_unseen(struct processes *p, struct fd_thread *t)
{
	if (t->message_id || (t->waits && knows_socket(p, t)))
		fd_link_break(t->file);
}

/* Which socket it was on is not known. */
void process_fds_rights_alone(struct processes *p, const struct fd_call *call)
{
	if (fd_call_is_message(call) && p->fds->room.links)
		p->fds->room.blind_sends++;
}

void process_fds_rights_socket(struct processes *p, struct fd_file *file, uint64_t sock, uint64_t peer,
			       bool queue_is_empty)
{
	struct process_fds *fds = p->fds;

	if (!sock || !peer || fds->nr_sockets >= SOCKETS_MAX)
		return;
	if (fds->nr_sockets == fds->room_sockets) {
		size_t room = fds->room_sockets ? 2 * fds->room_sockets : 64;
		struct fd_socket_pair *more = realloc(fds->sockets, room * sizeof(*more));

		if (!more) /* these keep no link, and no wrong one */
			return;
		fds->sockets = more;
		fds->room_sockets = room;
	}
	fds->sockets[fds->nr_sockets++] = (struct fd_socket_pair){sock, peer, fd_file_hold(file), queue_is_empty};
}

void process_fds_rights_drop(struct processes *p)
{
	for (size_t i = 0; i < p->fds->nr_sockets; i++)
		fd_file_release(p->fds->sockets[i].file);
	free(p->fds->sockets);
	p->fds->sockets = NULL;
	p->fds->nr_sockets = p->fds->room_sockets = 0;
}

static int compare_sockets(const void *a, const void *b)
{
	uint64_t x = ((const struct fd_socket_pair *)a)->sock, y = ((const struct fd_socket_pair *)b)->sock;

	return (x > y) - (x < y);
}

/* Calls under way on each file: those that send, and those that wait to receive. */
static void count_calls(const struct processes *p)
{
	for (struct fd_file *file = p->fds->room.files; file; file = file->next)
		file->senders = file->receivers = 0;
	for (uint32_t i = 0; i < p->used; i++) {
		const struct fd_thread *t = p->threads[i].used ? p->threads[i].fd : NULL;

		if (!t || !t->in_call || !t->file)
			continue;
		t->file->receivers += t->waits;
		t->file->senders += t->call->action == FD_DO_SENDMSG || t->call->action == FD_DO_SENDMMSG;
	}
}

static void link_pair(struct processes *p, struct fd_file *a, struct fd_file *b)
{
	if (!a->senders && !b->senders)
		fd_link_renew(a, b, fd_gaps(p), (const uint32_t[2]){a->receivers, b->receivers});
}

void process_fds_rights_link(struct processes *p)
{
	struct process_fds *fds = p->fds;

	/* a thread may be in a call that sends, and whose entry was not seen, until it was seen to do another */
	if (fds->settled && fds->whole && fd_confirmed(p, p->snapshot_tsc) == fd_gaps(p) && fds->nr_sockets) {
		count_calls(p);
		qsort(fds->sockets, fds->nr_sockets, sizeof(fds->sockets[0]), compare_sockets);
		for (size_t i = 0; i < fds->nr_sockets; i++) {
			const struct fd_socket_pair key = {.sock = fds->sockets[i].peer}, *peer;

			peer = bsearch(&key, fds->sockets, fds->nr_sockets, sizeof(key), compare_sockets);
			if (peer && peer->peer == fds->sockets[i].sock && key.sock > fds->sockets[i].sock &&
			    peer->queue_is_empty && fds->sockets[i].queue_is_empty &&
			    peer->file != fds->sockets[i].file)
				link_pair(p, fds->sockets[i].file, peer->file);
		}
	}
	process_fds_rights_drop(p);
}
