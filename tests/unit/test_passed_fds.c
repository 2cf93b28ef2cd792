/* SPDX-License-Identifier: MIT */
/* test_passed_fds.c - descriptors that come from other processes (SCM_RIGHTS, pidfd_getfd), with a clone, by
 * socketcall. */
#include "check.h"
#include "fds_fixture.h"
#include "process_fds_private.h"

#define CONTROL_GVA      0x5000
#define CLONE_PIDFD_     0x1000
#define MSG_PEEK_        2
#define MSG_CTRUNC_      8
#define MSG_CMSG_CLOEXEC 0x40000000
#define I386_SOCKETCALL  102
#define I386_LSEEK       19

struct header {
	uint64_t name;
	uint32_t name_len, pad;
	uint64_t iov, iov_len, control, control_len;
	uint32_t flags, pad2;
};

struct control {
	uint64_t len;
	uint32_t level, type;
	int32_t fds[4];
};

/* 10 has both ends, 20 and 21; its child 11, too, closes 20, and 10 closes 21. */
static void start_pair(void)
{
	struct fixture_record r;

	fds_start();
	fds_feed(fds_entry(10, 10, NR_SOCKETPAIR, 1, 1, 0));
	r = fixture_exit(++fds_now, 10, 10, NR_SOCKETPAIR, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 3, (const int32_t[]){20, 21}, 8);
	fds_feed(r);
	fds_call(10, 10, NR_FORK, 0, 0, 11);
	fds_call(10, 10, NR_CLOSE, 21, 0, 0);
	fds_call(11, 11, NR_CLOSE, 20, 0, 0);
}

static void with_message(struct fixture_record *r, const int32_t *fds, unsigned n, uint64_t name, uint32_t flags)
{
	static struct header header;
	static struct control control;

	header = (struct header){
		.name = name, .control = n ? CONTROL_GVA : 0, .control_len = n ? 16 + 4 * n : 0, .flags = flags};
	control = (struct control){.len = 16 + 4 * n, .level = 1, .type = 1};
	for (unsigned i = 0; i < n; i++)
		control.fds[i] = fds[i];
	fds_bytes(r, PLAN_LABEL_ARG0 + 1, &header, sizeof(header));
	if (!n)
		return;
	fds_bytes(r, PLAN_LABEL_DEEP0 + 1, &control, 16 + 4 * n);
	r->fragments[r->nr_fragments - 1].gva = CONTROL_GVA;
}

static void enter_send(int32_t pid, int32_t tid, uint64_t socket, const int32_t *fds, unsigned n, uint64_t name)
{
	struct fixture_record r = fds_entry(pid, tid, NR_SENDMSG, socket, 0x1000, 0);

	with_message(&r, fds, n, name, 0);
	fds_feed(r);
}

static void send_fds(int32_t pid, uint64_t socket, const int32_t *fds, unsigned n, int64_t ret)
{
	enter_send(pid, pid, socket, fds, n, 0);
	fds_leave(pid, pid, NR_SENDMSG, ret);
}

static void leave_receive(int32_t pid, int32_t tid, const int32_t *fds, unsigned n, uint32_t flags)
{
	struct fixture_record r = fixture_exit(++fds_now, pid, tid, NR_RECVMSG, 1);

	with_message(&r, fds, n, 0, flags);
	fds_feed(r);
}

static void receive_fds(int32_t pid, uint64_t socket, const int32_t *fds, unsigned n, uint64_t call_flags)
{
	fds_feed(fds_entry(pid, pid, NR_RECVMSG, socket, 0x1000, call_flags));
	leave_receive(pid, pid, fds, n, 0);
}

static void test_sent_and_received(void)
{
	start_pair();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	send_fds(10, 20, (const int32_t[]){3, 4}, 2, 1);
	fds_call(10, 10, NR_CLOSE, 3, 0, 0);
	send_fds(10, 20, (const int32_t[]){4}, 1, 1);
	/* a look at it leaves it there */
	receive_fds(11, 21, (const int32_t[]){30, 31}, 2, MSG_PEEK_);
	CHECK_STR(fds_shown(11, 11, 30), "/a");
	receive_fds(11, 21, (const int32_t[]){3, 4}, 2, MSG_CMSG_CLOEXEC);
	CHECK_STR(fds_shown(11, 11, 3), "/a");
	CHECK_STR(fds_shown(11, 11, 4), "/b");
	receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
	CHECK_STR(fds_shown(11, 11, 5), "/b");
	/* and the other way; the sender has closed all of its own before it is taken */
	fds_open(11, "/c", 0, 6);
	send_fds(11, 21, (const int32_t[]){6}, 1, 1);
	fds_call(11, 11, NR_CLOSE, 6, 0, 0);
	fds_call(11, 11, NR_CLOSE, 21, 0, 0);
	receive_fds(10, 20, (const int32_t[]){7}, 1, 0);
	CHECK_STR(fds_shown(10, 10, 7), "/c");
	/* closed by an exec, as it was asked for */
	fds_call(11, 11, NR_EXECVE, 0x1000, 0, 0);
	CHECK_STR(fds_shown(11, 11, 3), "-");
	CHECK_STR(fds_shown(11, 11, 5), "/b");
	fds_stop();
}

/* The kernel refuses it, and no length may end the analysis. */
static void test_lengths_that_wrap(void)
{
	struct header header = {.control = CONTROL_GVA, .control_len = UINT64_MAX};
	struct control control = {.level = 1, .type = 1};

	for (uint64_t less = 0; less < 24; less++) {
		struct fixture_record r = fds_entry(10, 10, NR_SENDMSG, 20, 0x1000, 0);

		start_pair();
		control.len = UINT64_MAX - less;
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, &header, sizeof(header));
		fds_bytes(&r, PLAN_LABEL_DEEP0 + 1, &control, sizeof(control));
		r.fragments[1].gva = CONTROL_GVA;
		fds_feed(r);
		fds_leave(10, 10, NR_SENDMSG, -105);
		fds_stop();
	}
}

/* A message that could not be copied to the program is gone; one that was not there yet is not. */
static void test_failed_receive(void)
{
	for (int copied = 0; copied < 2; copied++) {
		start_pair();
		fds_open(10, "/a", 0, 3);
		fds_open(10, "/b", 0, 4);
		send_fds(10, 20, (const int32_t[]){3}, 1, 1);
		fds_call(11, 11, NR_RECVMSG, 21, 0x1000, copied ? -11 : -14);
		send_fds(10, 20, (const int32_t[]){4}, 1, 1);
		receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
		CHECK_STR(fds_shown(11, 11, 5), copied ? "/a" : "received?");
		fds_stop();
	}
}

/* A send that failed brings nothing. */
static void test_failed_send(void)
{
	start_pair();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	send_fds(10, 20, (const int32_t[]){3}, 1, -11);
	send_fds(10, 20, (const int32_t[]){4}, 1, 1);
	receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
	CHECK_STR(fds_shown(11, 11, 5), "/b");
	fds_stop();
}

/* What takes a message without its descriptors, or may have, leaves no name to the next one. */
static void test_unseen(void)
{
	enum { BY_READ, CUT_OFF, BY_GAP, BY_UNKNOWN_SENDER, OTHER_NUMBER, BY_RING, TO_ADDRESS, NEVER_SENT, CASES };

	for (int which = 0; which < CASES; which++) {
		start_pair();
		fds_open(10, "/a", 0, 3);
		fds_open(10, "/b", 0, 4);
		if (which != NEVER_SENT)
			send_fds(10, 20, (const int32_t[]){3}, 1, 1);
		switch (which) {
		case BY_READ:
			fds_call(11, 11, NR_READ, 21, 0, 1);
			send_fds(10, 20, (const int32_t[]){4}, 1, 1);
			break;
		case CUT_OFF:
			fds_feed(fds_entry(11, 11, NR_RECVMSG, 21, 0x1000, 0));
			leave_receive(11, 11, NULL, 0, MSG_CTRUNC_);
			send_fds(10, 20, (const int32_t[]){4}, 1, 1);
			break;
		case BY_GAP:
			fds_gap(0);
			break;
		case BY_UNKNOWN_SENDER:
			send_fds(50, 9, (const int32_t[]){8}, 1, 1);
			break;
		case OTHER_NUMBER:
			receive_fds(11, 21, (const int32_t[]){6, 7}, 2, 0);
			CHECK_STR(fds_shown(11, 11, 6), "received?");
			send_fds(10, 20, (const int32_t[]){4}, 1, 1);
			break;
		case BY_RING:
			fds_call(50, 50, NR_RING_ENTER, 3, 0, 0);
			break;
		case TO_ADDRESS:
			enter_send(10, 10, 20, (const int32_t[]){4}, 1, 0x7000);
			fds_leave(10, 10, NR_SENDMSG, 1);
			break;
		default:
			break;
		}
		receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
		CHECK_STR(fds_shown(11, 11, 5), "received?");
		fds_stop();
	}
}

/* While a send is under way, another thread gives its number to another file: which of them was sent is not known. */
static void test_sent_number_is_taken(void)
{
	enum { NO_RACE, CLOSED, REPLACED, IN_DUP, CASES };

	for (int which = 0; which < 2 * CASES; which++) {
		bool taken_first = which >= CASES;

		start_pair();
		fds_open(10, "/a", 0, 3);
		fds_open(10, "/b", 0, 4);
		fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
		enter_send(10, 10, 20, (const int32_t[]){3}, 1, 0);
		if (which % CASES == CLOSED)
			fds_call(10, 12, NR_CLOSE, 3, 0, 0);
		else if (which % CASES == REPLACED)
			fds_call(10, 12, NR_DUP2, 4, 3, 3);
		else if (which % CASES == IN_DUP)
			fds_feed(fds_entry(10, 12, NR_DUP2, 4, 3, 0));
		if (!taken_first)
			fds_leave(10, 10, NR_SENDMSG, 1);
		receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
		/* behind that, it makes no difference */
		fds_call(10, 12, NR_CLOSE, 3, 0, 0);
		if (taken_first)
			fds_leave(10, 10, NR_SENDMSG, 1);
		CHECK_STR(fds_shown(11, 11, 5), which % CASES == NO_RACE ? "/a" : "/a?");
		fds_stop();
	}
}

/* Two at once: which one is first is not known. A third, behind them, is. */
static void test_overlap(void)
{
	start_pair();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
	enter_send(10, 10, 20, (const int32_t[]){3}, 1, 0);
	enter_send(10, 12, 20, (const int32_t[]){4}, 1, 0);
	fds_leave(10, 12, NR_SENDMSG, 1);
	fds_leave(10, 10, NR_SENDMSG, 1);
	send_fds(10, 20, (const int32_t[]){4}, 1, 1);
	receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
	receive_fds(11, 21, (const int32_t[]){6}, 1, 0);
	receive_fds(11, 21, (const int32_t[]){7}, 1, 0);
	CHECK_STR(fds_shown(11, 11, 5), "received?");
	CHECK_STR(fds_shown(11, 11, 6), "received?");
	CHECK_STR(fds_shown(11, 11, 7), "/b");
	/* two that receive at once */
	fds_call(11, 11, NR_CLONE, THREAD_FLAGS, 0, 13);
	fds_feed(fds_entry(11, 11, NR_RECVMSG, 21, 0x1000, 0));
	fds_feed(fds_entry(11, 13, NR_RECVMSG, 21, 0x1000, 0));
	send_fds(10, 20, (const int32_t[]){3}, 1, 1);
	send_fds(10, 20, (const int32_t[]){4}, 1, 1);
	leave_receive(11, 13, (const int32_t[]){8}, 1, 0);
	leave_receive(11, 11, (const int32_t[]){9}, 1, 0);
	CHECK_STR(fds_shown(11, 11, 8), "received?");
	CHECK_STR(fds_shown(11, 11, 9), "received?");
	fds_stop();
}

/* Sockets that are under way on themselves are released in the end; and there is a limit to what is. */
static void test_cycles(void)
{
	start_pair();
	send_fds(10, 20, (const int32_t[]){20}, 1, 1);
	send_fds(11, 21, (const int32_t[]){21}, 1, 1);
	fds_call(10, 10, NR_CLOSE, 20, 0, 0);
	fds_call(11, 11, NR_CLOSE, 21, 0, 0);
	fds_stop();
	start_pair();
	fds_open(10, "/a", 0, 3);
	for (int i = 0; i < 5000; i++)
		send_fds(10, 20, (const int32_t[]){3}, 1, 1);
	receive_fds(11, 21, (const int32_t[]){5}, 1, 0);
	CHECK_STR(fds_shown(11, 11, 5), "received?");
	fds_stop();
}

/* Of many: each a message and its length; rights in the first, or, if there are two, in the second. */
static void with_messages(struct fixture_record *r, const int32_t *fds, unsigned n, unsigned many, unsigned which)
{
	static struct {
		struct header header;
		uint64_t bytes;
	} all[4];
	static struct control control;

	memset(all, 0, sizeof(all));
	all[which].header.control = n ? CONTROL_GVA : 0;
	all[which].header.control_len = n ? 16 + 4 * n : 0;
	control = (struct control){.len = 16 + 4 * n, .level = 1, .type = 1};
	for (unsigned i = 0; i < n; i++)
		control.fds[i] = fds[i];
	fds_bytes(r, PLAN_LABEL_ARG0 + 1, all, many * sizeof(all[0]));
	if (!n || which)
		return;
	fds_bytes(r, PLAN_LABEL_DEEP0 + 1, &control, 16 + 4 * n);
	r->fragments[r->nr_fragments - 1].gva = CONTROL_GVA;
}

static void send_many(uint64_t many, unsigned captured, const int32_t *fds, unsigned n, unsigned which, int64_t ret)
{
	struct fixture_record r = fds_entry(10, 10, NR_SENDMMSG, 20, 0x1000, many);

	with_messages(&r, fds, n, captured, which);
	fds_feed(r);
	fds_leave(10, 10, NR_SENDMMSG, ret);
}

static void receive_many(const int32_t *fds, unsigned n, unsigned which, int64_t ret)
{
	struct fixture_record r = fds_entry(11, 11, NR_RECVMMSG, 21, 0x1000, 4);

	fds_feed(r);
	r = fixture_exit(++fds_now, 11, 11, NR_RECVMMSG, ret);
	with_messages(&r, fds, n, (unsigned)ret, which);
	fds_feed(r);
}

static void test_many_messages(void)
{
	enum { BOTH, ONE_EACH, WITHOUT, LAST_SURE = WITHOUT, IN_SECOND, NOT_CAPTURED, FAILED, TAKEN_SECOND, WAYS };

	for (int way = 0; way < WAYS; way++) {
		start_pair();
		fds_open(10, "/a", 0, 3);
		fds_open(10, "/b", 0, 4);
		if (way == WITHOUT) {
			send_many(3, 3, NULL, 0, 0, 3);
			receive_many(NULL, 0, 0, 3);
		} else if (way == IN_SECOND) {
			send_many(3, 3, (const int32_t[]){4}, 1, 1, 3);
		} else if (way == NOT_CAPTURED) {
			send_many(4, 3, NULL, 0, 0, 4);
		} else if (way == FAILED) {
			send_many(2, 2, (const int32_t[]){4}, 1, 0, -11);
		}
		if (way == ONE_EACH)
			send_fds(10, 20, (const int32_t[]){3}, 1, 1);
		else
			send_many(3, 3, (const int32_t[]){3}, 1, 0, 3);
		if (way == TAKEN_SECOND)
			receive_many((const int32_t[]){5}, 1, 1, 2);
		else
			receive_many((const int32_t[]){5}, 1, 0, way == ONE_EACH ? 1 : 3);
		if (way != TAKEN_SECOND)
			CHECK_STR(fds_shown(11, 11, 5), way <= LAST_SURE || way == FAILED ? "/a" : "received?");
		send_fds(10, 20, (const int32_t[]){4}, 1, 1);
		receive_fds(11, 21, (const int32_t[]){6}, 1, 0);
		CHECK_STR(fds_shown(11, 11, 6), way <= LAST_SURE || way == FAILED ? "/b" : "received?");
		fds_stop();
	}
}

static struct fd_file *file_of(int32_t tid, uint32_t fd)
{
	uint32_t i = process_table_find(&fds_table->by_tid, (uint32_t)tid);

	CHECK(i != PROCESS_NONE);
	return fds_table->threads[i].fd->files->slots[fd].file;
}

/* Of the sockets 20 of process 10 and 21 of process 11. */
static void snapshot(bool whole, bool idle, uint64_t peer)
{
	fds_table->snapshot_tsc = fds_now;
	process_fds_snapshot_begin(fds_table);
	process_fds_rights_socket(fds_table, file_of(10, 20), 0x9000, 0x8000, true);
	process_fds_rights_socket(fds_table, file_of(11, 21), 0x8000, peer, idle);
	process_fds_snapshot_end(fds_table, whole);
}

static void start_connection(void)
{
	fds_start();
	fds_call(10, 10, NR_SOCKET, 1, 1, 20);
	fds_call(11, 11, NR_SOCKET, 1, 1, 21);
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
}

static void pass_one(uint64_t fd)
{
	send_fds(10, 20, (const int32_t[]){3}, 1, 1);
	receive_fds(11, 21, (const int32_t[]){(int32_t)fd}, 1, 0);
}

/* Snapshots tell who is connected with whom, and that nothing is under way. */
static void test_connected(void)
{
	enum {
		TWO,
		WAITING,
		LAST_LINKED = WAITING,
		ONE,
		PARTLY,
		QUEUED,
		OTHER_PEER,
		SENDING,
		TWO_WAITING,
		GAP_BETWEEN,
		EXIT_ALONE,
		WAYS
	};

	for (int way = 0; way < WAYS; way++) {
		start_connection();
		snapshot(way != PARTLY, true, 0x9000);
		if (way == GAP_BETWEEN) {
			fds_gap(0);
			fds_call(10, 10, NR_SOCKET, 1, 1, 20);
			fds_call(11, 11, NR_SOCKET, 1, 1, 21);
		}
		fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
		fds_call(11, 11, NR_CLONE, THREAD_FLAGS, 0, 13);
		if (way == WAITING || way == TWO_WAITING)
			fds_feed(fds_entry(11, 11, NR_RECVMSG, 21, 0x1000, 0));
		if (way == TWO_WAITING)
			fds_feed(fds_entry(11, 13, NR_RECVMSG, 21, 0x1000, 0));
		if (way == SENDING)
			enter_send(10, 12, 20, (const int32_t[]){4}, 1, 0);
		if (way != ONE)
			snapshot(true, way != QUEUED, way == OTHER_PEER ? 0x7000 : 0x9000);
		if (way == EXIT_ALONE)
			fds_leave(11, 13, NR_READ, 1);
		if (way == WAITING || way == TWO_WAITING) {
			send_fds(10, 20, (const int32_t[]){3}, 1, 1);
			leave_receive(11, 11, (const int32_t[]){5}, 1, 0);
		} else {
			pass_one(5);
		}
		CHECK_STR(fds_shown(11, 11, 5), way <= LAST_LINKED ? "/a" : "received?");
		fds_stop();
	}
}

/* A link that was broken is whole again with the next snapshot, without what was thought to be under way. */
static void test_renewed(void)
{
	start_connection();
	snapshot(true, true, 0x9000);
	snapshot(true, true, 0x9000);
	send_fds(10, 20, (const int32_t[]){4}, 1, 1);
	fds_call(11, 11, NR_READ, 21, 0, 1);
	pass_one(5);
	CHECK_STR(fds_shown(11, 11, 5), "received?");
	snapshot(true, true, 0x9000);
	pass_one(5);
	CHECK_STR(fds_shown(11, 11, 5), "/a");
	fds_stop();
}

static void test_pidfds(void)
{
	uint64_t args[11] = {CLONE_PIDFD_ | 0x11, 0x6000};
	struct fixture_record r;

	fds_start();
	fds_feed(fds_entry(10, 10, NR_CLONE, CLONE_PIDFD_ | 0x11, 0, 0x2000));
	r = fixture_exit(++fds_now, 10, 10, NR_CLONE, 11);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 2, (const int32_t[]){7}, 4);
	fds_feed(r);
	/* its name space of process ids is not known here */
	CHECK_STR(fds_shown(10, 10, 7), "pid:11?");
	CHECK_STR(fds_shown(11, 11, 7), "-");
	r = fds_entry(10, 10, NR_CLONE3, 0x1000, 88, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0, args, sizeof(args));
	fds_feed(r);
	r = fixture_exit(++fds_now, 10, 10, NR_CLONE3, 12);
	fds_bytes(&r, PLAN_LABEL_DEEP0, (const int32_t[]){99}, 4);
	fds_bytes(&r, PLAN_LABEL_DEEP0, (const int32_t[]){8}, 4);
	r.fragments[1].gva = 0x6000;
	fds_feed(r);
	CHECK_STR(fds_shown(10, 10, 8), "pid:12?");
	CHECK_STR(fds_shown(10, 10, 99), "-");
	/* a descriptor of the child's */
	fds_open(12, "/theirs", 0, 3);
	fds_call(10, 10, NR_PIDFD_GETFD, 8, 3, 9);
	CHECK_STR(fds_shown(10, 10, 9), "/theirs?");
	/* that the child replaces meanwhile */
	fds_feed(fds_entry(10, 10, NR_PIDFD_GETFD, 8, 3, 0));
	fds_call(12, 12, NR_CLOSE, 3, 0, 0);
	fds_open(12, "/other", 0, 3);
	fds_leave(10, 10, NR_PIDFD_GETFD, 30);
	CHECK_STR(fds_shown(10, 10, 30), "received?");
	fds_stop();
}

static void socketcall(uint32_t number, const uint32_t *args, int64_t ret, struct fixture_record *end)
{
	static const uint32_t address_room = 16;
	struct fixture_record r = fds_entry(10, 10, I386_SOCKETCALL, number, 0x1000, 0);

	r.abi = TRAP_ABI_I386;
	r.via = TRAP_VIA_INT80;
	if (args)
		fds_bytes(&r, PLAN_LABEL_DEEP0 + 1, args, 24);
	if (args && number == 5)
		fds_bytes(&r, PLAN_LABEL_ARG0 + 2, &address_room, sizeof(address_room));
	fds_feed(r);
	end->tsc = ++fds_now;
	end->abi = TRAP_ABI_I386;
	end->nr = I386_SOCKETCALL;
	end->ret = (uint64_t)ret;
	fds_feed(*end);
}

static void test_socketcall(void)
{
	static const uint8_t client[16] = {2, 0, 0x9c, 0x40, 10, 0, 0, 9};
	struct fixture_record end = fixture_exit(0, 10, 10, I386_SOCKETCALL, 0);

	fds_start();
	socketcall(1, (const uint32_t[6]){2, 1, 0}, 3, &end);
	CHECK_STR(fds_shown(10, 10, 3), "TCP");
	socketcall(4, (const uint32_t[6]){3, 5}, 0, &end);
	fds_bytes(&end, PLAN_LABEL_ARG0 + 1, client, sizeof(client));
	socketcall(5, (const uint32_t[6]){3, 0x1000, 0x2000}, 4, &end);
	CHECK_STR(fds_shown(10, 10, 4), "TCP:?->10.0.0.9:40000");
	/* its arguments were not to be read: any socket may be another now */
	end.nr_fragments = 0;
	socketcall(3, NULL, 0, &end);
	CHECK_STR(fds_shown(10, 10, 3), "TCP?");
	fds_stop();
}

static void test_socketcall_argument(void)
{
	struct fixture_record end = fixture_exit(0, 10, 10, I386_SOCKETCALL, 0), r;

	fds_start();
	socketcall(1, (const uint32_t[6]){2, 1, 0}, 3, &end);
	r = fds_entry(10, 10, I386_SOCKETCALL, 11, 0x1000, 0);
	r.abi = TRAP_ABI_I386;
	r.via = TRAP_VIA_INT80;
	fds_bytes(&r, PLAN_LABEL_DEEP0 + 1, (const uint32_t[6]){3, 0x3000, 5}, 24);
	fds_feed(r);
	CHECK(fds_last.in_memory && fds_last.first == 3 && fds_last.args == 1 && fds_last.objects[0]);
	fds_stop();
}

static void test_io_uring(void)
{
	static const uint32_t params[30] = {8, 8, 0};
	struct fixture_record r;

	fds_start();
	fds_open(10, "/a", 0, 3);
	r = fds_entry(10, 10, NR_IO_URING, 8, 0x1000, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, params, sizeof(params));
	fds_feed(r);
	fds_leave(10, 10, NR_IO_URING, 4);
	/* nothing is asked of it yet */
	CHECK_STR(fds_shown(10, 10, 3), "/a");
	fds_call(10, 10, NR_RING_ENTER, 4, 1, 1);
	CHECK_STR(fds_shown(10, 10, 3), "/a?");
	fds_stop();
}

int main(void)
{
	test_sent_and_received();
	test_lengths_that_wrap();
	test_failed_receive();
	test_failed_send();
	test_unseen();
	test_sent_number_is_taken();
	test_overlap();
	test_cycles();
	test_many_messages();
	test_connected();
	test_renewed();
	test_pidfds();
	test_socketcall();
	test_socketcall_argument();
	test_io_uring();
	return 0;
}
