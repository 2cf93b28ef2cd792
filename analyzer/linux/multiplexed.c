/* SPDX-License-Identifier: MIT */
/*
 * Calls of 32-bit programs that stand for others: socketcall and ipc, by a number,
 * and the old mmap and select. Their arguments lie in memory (ipc's in registers,
 * in another order). The inner call is decoded as the one that it stands for.
 */
#include <string.h>

#include "arg_decode.h"
#include "arg_put.h"
#include "multiplexed.h"
#include "plan_steps.h"

#define INNER_WORDS 6

struct inner_call {
	uint32_t number;
	struct linux_syscall syscall;
};

#define INNER(nr_, name_)                                                  \
	{                                                                  \
		nr_,                                                       \
		{                                                          \
			.abi = TRAP_ABI_I386, .name = name_, .nr_args = -1 \
		}                                                          \
	}

/* linux/net.h */
static const struct inner_call socket_calls[] = {
	INNER(1, "socket"),    INNER(2, "bind"),        INNER(3, "connect"),     INNER(4, "listen"),
	INNER(5, "accept"),    INNER(6, "getsockname"), INNER(7, "getpeername"), INNER(8, "socketpair"),
	INNER(9, "send"),      INNER(10, "recv"),       INNER(11, "sendto"),     INNER(12, "recvfrom"),
	INNER(13, "shutdown"), INNER(14, "setsockopt"), INNER(15, "getsockopt"), INNER(16, "sendmsg"),
	INNER(17, "recvmsg"),  INNER(18, "accept4"),    INNER(19, "recvmmsg"),   INNER(20, "sendmmsg"),
};
/* linux/ipc.h */
static const struct inner_call ipc_calls[] = {
	INNER(1, "semop"),   INNER(2, "semget"),  INNER(3, "semctl"),  INNER(4, "semtimedop"),
	INNER(11, "msgsnd"), INNER(12, "msgrcv"), INNER(13, "msgget"), INNER(14, "msgctl"),
	INNER(21, "shmat"),  INNER(22, "shmdt"),  INNER(23, "shmget"), INNER(24, "shmctl"),
};
static const struct linux_syscall old_mmap = {.abi = TRAP_ABI_I386, .name = "mmap_in_memory", .nr_args = -1};
static const struct linux_syscall old_select = {.abi = TRAP_ABI_I386, .name = "_newselect", .nr_args = -1};

static enum call_oddity oddity_of(const struct linux_syscall *syscall)
{
	struct call_meaning scratch;

	return (enum call_oddity)call_meaning_of(syscall, &scratch)->oddity;
}

static const struct linux_syscall *find_inner(const struct inner_call *calls, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++) {
		if (calls[i].number == number)
			return &calls[i].syscall;
	}
	return NULL;
}

const struct linux_syscall *multiplexed_socket_call(uint32_t number)
{
	return find_inner(socket_calls, sizeof(socket_calls) / sizeof(socket_calls[0]), number);
}

/* The words that argument i points at. */
static bool words_at(const struct call *call, int i, uint8_t label, size_t n, uint64_t *out)
{
	struct record_reader r = {.narrow = true};
	struct captured piece;

	if (!captured_find(call, CAPTURED_BEFORE, label, (uint32_t)call->args[i], &piece) || piece.len < n * 4)
		return false;
	r.data = piece.data;
	r.len = piece.len;
	for (size_t word = 0; word < n; word++)
		out[word] = read_u32(&r);
	return true;
}

/* The inner call's argument i and what it points at; its length comes from steps before. */
static uint8_t inner_label(int i)
{
	return (uint8_t)(PLAN_LABEL_ARG0 + i);
}

#define IPC_POINTER 4 /* argument of ipc */
#define IPC_WORDS   2 /* struct compat_ipc_kludge {u32 msgp, msgtyp} */

/*
 * arch-independent ipc/syscall.c: ipc(call, first, second, third, ptr, fifth); the
 * call's upper half is a version. false: what the pointer has of it was not captured.
 */
static bool ipc_arguments(const struct call *call, uint32_t number, uint64_t *args)
{
	const uint64_t *outer = call->args;
	uint64_t words[IPC_WORDS];
	uint64_t first = outer[1], second = outer[2], third = outer[3], pointer = outer[4], fifth = outer[5];

	args[0] = first;
	switch (number) {
	case 1: /* semop, semtimedop */
	case 4:
		args[1] = pointer;
		args[2] = second;
		args[3] = fifth;
		break;
	case 11: /* msgsnd: id, buffer, bytes, flags */
		args[1] = pointer;
		args[2] = second;
		args[3] = third;
		break;
	case 12: /* msgrcv: in version 0 buffer and type lie behind the pointer */
		if (!((uint32_t)outer[0] >> 16)) {
			if (!words_at(call, IPC_POINTER, inner_label(1), IPC_WORDS, words))
				return false;
			pointer = words[0];
			fifth = words[1];
		}
		args[1] = pointer;
		args[2] = second;
		args[3] = fifth;
		args[4] = third;
		break;
	case 3: /* semctl: id, number, command, union; the union lies behind the pointer */
		if (!words_at(call, IPC_POINTER, inner_label(1), 1, words))
			return false;
		args[1] = second;
		args[2] = third;
		args[3] = words[0];
		break;
	case 14: /* msgctl, shmctl: id, command, buffer */
	case 24:
		args[1] = second;
		args[2] = pointer;
		break;
	case 21: /* shmat: id, address, flags */
		args[1] = pointer;
		args[2] = second;
		break;
	case 22: /* shmdt */
		args[0] = pointer;
		break;
	default: /* gets: key, number or size, flags */
		args[1] = second;
		args[2] = third;
		break;
	}
	return true;
}

bool multiplexed_inner(const struct call *call, struct call *out)
{
	enum call_oddity which = oddity_of(call->syscall);
	uint32_t number = (uint32_t)call->args[0];
	uint64_t args[LINUX_SYSCALL_ARGS] = {0};
	const struct linux_syscall *inner = NULL;

	if (which < ODDITY_SOCKETCALL || !call->args_known)
		return false;
	switch (which) {
	case ODDITY_SOCKETCALL:
		inner = find_inner(socket_calls, sizeof(socket_calls) / sizeof(socket_calls[0]), number);
		if (!inner || !words_at(call, 1, PLAN_LABEL_DEEP0 + 1, INNER_WORDS, args))
			return false;
		break;
	case ODDITY_IPC:
		inner = find_inner(ipc_calls, sizeof(ipc_calls) / sizeof(ipc_calls[0]), number & 0xffff);
		if (!inner || !ipc_arguments(call, number & 0xffff, args))
			return false;
		break;
	case ODDITY_OLD_MMAP:
		inner = &old_mmap;
		if (!words_at(call, 0, PLAN_LABEL_DEEP0, INNER_WORDS, args))
			return false;
		break;
	default:
		inner = &old_select;
		if (!words_at(call, 0, PLAN_LABEL_DEEP0, 5, args))
			return false;
		break;
	}
	*out = *call;
	out->syscall = inner;
	memcpy(out->args, args, sizeof(out->args));
	return true;
}

void multiplexed_args_text(const struct call *call, const struct call *inner, struct strbuf *out)
{
	enum call_oddity which = oddity_of(call->syscall);

	if (which == ODDITY_SOCKETCALL) {
		name_set_put_one(&names_socketcall, (uint32_t)call->args[0], out);
		strbuf_put(out, ", [");
	} else if (which == ODDITY_IPC) {
		strbuf_printf(out, "%s, [", inner->syscall->name);
	}
	call_args_text(inner, out);
	if (which == ODDITY_SOCKETCALL || which == ODDITY_IPC)
		strbuf_put_char(out, ']');
}

/* ---- capture ----------------------------------------------------------------- */

static void capture_words(struct capture *c, int i)
{
	capture_bytes(c, &c->enter, capture_arg_reg(c, i), 4 * (size_t)INNER_WORDS, (uint8_t)(PLAN_LABEL_DEEP0 + i));
}

/*
 * Of all inner calls at once, since steps can't depend on the number: the second
 * argument is an address, a buffer or a message, the fifth an address or an option.
 */
static void capture_socketcall(struct capture *c)
{
	uint8_t block = capture_arg_reg(c, 1), second, third, fifth, length;

	capture_words(c, 1);
	second = capture_value(c, &c->enter, block, 4, 4);
	third = capture_value(c, &c->enter, block, 8, 4);
	capture_sized(c, &c->enter, second, third, 1, CAP_BUFFER, true, inner_label(1));
	capture_bytes(c, &c->enter, second, 28, inner_label(1)); /* struct msghdr */
	capture_bytes(c, &c->enter, third, 4, inner_label(2));   /* length of an address */
	fifth = capture_value(c, &c->enter, block, 16, 4);
	length = capture_value(c, &c->enter, block, 20, 4);
	capture_sized(c, &c->enter, fifth, length, 1, CAP_SOCKADDR, true, inner_label(4));
	capture_bytes(c, &c->enter, fifth, 4, inner_label(4)); /* length of an option */
	third = capture_value(c, &c->enter, block, 12, 4);
	length = capture_value(c, &c->enter, block, 16, 4);
	capture_sized(c, &c->enter, third, length, 1, CAP_SOCKADDR, true, inner_label(3)); /* setsockopt's value */

	second = capture_value(c, &c->exit, block, 4, 4);
	third = capture_value(c, &c->exit, block, 8, 4);
	length = capture_value(c, &c->exit, third, 0, 4);
	capture_sized(c, &c->exit, second, length, 1, CAP_SOCKADDR, true, inner_label(1));
	capture_bytes(c, &c->exit, third, 4, inner_label(2));
	capture_sized(c, &c->exit, second, TRAP_REG_RAX, 1, CAP_BUFFER, true, inner_label(1));
	third = capture_value(c, &c->exit, block, 12, 4);
	capture_bytes(c, &c->exit, third, 8, inner_label(3)); /* socketpair's descriptors, an option's value */
	fifth = capture_value(c, &c->exit, block, 16, 4);
	capture_bytes(c, &c->exit, fifth, 4, inner_label(4));
	length = capture_value(c, &c->exit, block, 20, 4);
	length = capture_value(c, &c->exit, length, 0, 4);
	capture_sized(c, &c->exit, fifth, length, 1, CAP_SOCKADDR, true, inner_label(4));
	fifth = capture_value(c, &c->exit, block, 20, 4);
	capture_bytes(c, &c->exit, fifth, 4, inner_label(5));
}

static void capture_ipc(struct capture *c)
{
	uint8_t pointer = capture_arg_reg(c, IPC_POINTER), buffer;
	uint8_t text = (uint8_t)(PLAN_LABEL_DEEP0 + 1);

	/* the type of a message, whose text is sized; semctl's union; msgrcv's two words */
	capture_bytes(c, &c->enter, pointer, 4 * IPC_WORDS, inner_label(1));
	capture_sized(c, &c->enter, pointer, capture_arg_reg(c, 2), record_size(&layout_sembuf, true), CAP_BUFFER, true,
		      inner_label(1));
	capture_sized(c, &c->enter, pointer, capture_arg_reg(c, 2), 1, CAP_BUFFER, true, text);
	c->enter.steps[c->enter.n - 1].offset = 4;
	capture_bytes(c, &c->exit, pointer, 4, inner_label(1));
	capture_sized(c, &c->exit, pointer, TRAP_REG_RAX, 1, CAP_BUFFER, true, text);
	c->exit.steps[c->exit.n - 1].offset = 4;
	buffer = capture_value(c, &c->exit, pointer, 0, 4);
	capture_bytes(c, &c->exit, buffer, 4, inner_label(1));
	capture_sized(c, &c->exit, buffer, TRAP_REG_RAX, 1, CAP_BUFFER, true, text);
	c->exit.steps[c->exit.n - 1].offset = 4;
}

static void capture_old_select(struct capture *c)
{
	uint8_t block = capture_arg_reg(c, 0);

	capture_words(c, 0);
	for (int i = 1; i <= 4; i++) {
		size_t bytes = i < 4 ? FDSET_BYTES : record_size(&layout_timeval, true);
		uint8_t pointer = capture_value(c, &c->enter, block, 4 * (size_t)i, 4);

		capture_bytes(c, &c->enter, pointer, bytes, inner_label(i));
		pointer = capture_value(c, &c->exit, block, 4 * (size_t)i, 4);
		capture_bytes(c, &c->exit, pointer, bytes, inner_label(i));
	}
}

bool capture_multiplexed(struct capture *c, const struct linux_syscall *syscall)
{
	switch (oddity_of(syscall)) {
	case ODDITY_SOCKETCALL:
		capture_socketcall(c);
		return true;
	case ODDITY_IPC:
		capture_ipc(c);
		return true;
	case ODDITY_OLD_MMAP:
		capture_words(c, 0);
		return true;
	case ODDITY_OLD_SELECT:
		capture_old_select(c);
		return true;
	default:
		return false;
	}
}
