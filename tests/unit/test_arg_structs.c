/* SPDX-License-Identifier: MIT */
/*
 * Structs behind arguments from records made by hand: what was captured in whole,
 * in part, of a wrong size, and of 32-bit ABIs. The texts of whole ones are
 * strace 6.1's; decode_truth.py compares many more with real calls.
 */
#include <errno.h>

#include "call_builder.h"
#include "check.h"
#include "linux/arg_decode.h"

static struct call_builder b;

#define CALL(abi_, name, ...)                                                 \
	do {                                                                  \
		const uint64_t call_args[LINUX_SYSCALL_ARGS] = {__VA_ARGS__}; \
		call_builder_init(&b, abi_, name);                            \
		memcpy(b.call.args, call_args, sizeof(call_args));            \
	} while (0)
#define X64(name, ...)  CALL(TRAP_ABI_X86_64, name, __VA_ARGS__)
#define I386(name, ...) CALL(TRAP_ABI_I386, name, __VA_ARGS__)
#define RETURNS(value)  call_builder_finish(&b, true, value)
#define WHOLE(record, label, gva, bytes, len) \
	record_builder_add(&b.record, label, TRAP_FRAG_WHOLE, gva, (uint32_t)(len), bytes, len)

#define P1   0x7ffe0000u
#define P2   0x7ffe1000u
#define P3   0x7ffe2000u
#define DEEP 16 /* PLAN_LABEL_DEEP0 */

static void check_line(int line, const char *expected)
{
	struct strbuf out = {0};

	call_args_text(&b.call, &out);
	strbuf_put(&out, " = ");
	call_ret_text(&b.call, &out);
	if (strcmp(out.data, expected)) {
		fprintf(stderr, "%s:%d:\n  %s\n  is not\n  %s\n", __FILE__, line, out.data, expected);
		exit(1);
	}
	strbuf_deinit(&out);
}
#define IS(expected) check_line(__LINE__, expected)

/* A struct as words of 4 or 8 bytes. */
static const uint8_t *put_words(size_t word, size_t n, const uint64_t *values)
{
	static uint8_t bytes[512];

	memset(bytes, 0, sizeof(bytes));
	for (size_t i = 0; i < n * word && i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(values[i / word] >> 8 * (i % word));
	return bytes;
}
#define WORDS8(...) put_words(8, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})
#define WORDS4(...) put_words(4, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})

static void test_sized(void)
{
	/* as long as the caller says, cut, and longer than is known */
	X64("bpf", 0, P1, 20);
	WHOLE(enter, 1, P1, WORDS4(1, 4, 8, 2, 0), 20);
	RETURNS(3);
	IS("BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_HASH, key_size=4, value_size=8, max_entries=2, map_flags=0}, 20 = "
	   "3");
	X64("bpf", 0, P1, 20);
	WHOLE(enter, 1, P1, WORDS4(1, 4), 8);
	RETURNS(3);
	IS("BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_HASH, key_size=4}, 20 = 3");
	X64("bpf", 0xffff, P1, 20);
	WHOLE(enter, 1, P1, WORDS4(1, 4), 8);
	RETURNS(-EINVAL);
	IS("0xffff /* BPF_??? */, 0x7ffe0000, 20 = -1 EINVAL (Invalid argument)");

	X64("sched_setattr", 0, P1, 0);
	WHOLE(enter, 1, P1, WORDS4(48, 3, 1, 0, 5, 7), 24);
	RETURNS(0);
	IS("0, {size=48, sched_policy=SCHED_BATCH, sched_flags=SCHED_FLAG_RESET_ON_FORK, sched_nice=5, "
	   "sched_priority=7}, "
	   "0 = 0");
	X64("sched_setattr", 0, P1, 0);
	WHOLE(enter, 1, P1, WORDS4(48), 3);
	RETURNS(-EFAULT);
	IS("0, 0x7ffe0000, 0 = -1 EFAULT (Bad address)");
}

static void test_written(void)
{
	uint64_t made[15] = {4 | 8ull << 32, 1 << 3, 0x1, 0, 0, 0};

	X64("io_uring_setup", 4, P1);
	WHOLE(enter, 1, P1, WORDS8(0, 1 << 3), 120);
	RETURNS(-EPERM);
	IS("4, {flags=IORING_SETUP_CQSIZE, sq_thread_cpu=0, sq_thread_idle=0} = -1 EPERM (Operation not permitted)");
	X64("io_uring_setup", 4, P1);
	WHOLE(enter, 1, P1, WORDS8(0, 1 << 3), 120);
	WHOLE(exit, 1, P1, put_words(8, 15, made), 120);
	RETURNS(3);
	IS("4, {flags=IORING_SETUP_CQSIZE, sq_thread_cpu=0, sq_thread_idle=1, sq_entries=4, cq_entries=8, features=0, "
	   "sq_off={head=0, tail=0, ring_mask=0, ring_entries=0, flags=0, dropped=0, array=0}, "
	   "cq_off={head=0, tail=0, ring_mask=0, ring_entries=0, overflow=0, cqes=0, flags=0}} = 3");
}

static void test_uring_enter(void)
{
	X64("io_uring_enter", 3, 0, 1, 1, P1, 8);
	WHOLE(enter, 4, P1, WORDS8(1 << 9, 8, P2), 24);
	RETURNS(1);
	IS("3, 0, 1, IORING_ENTER_GETEVENTS, [USR1], 8 = 1");
	X64("io_uring_enter", 3, 0, 1, 9, P1, 24);
	WHOLE(enter, 4, P1, WORDS8(0, 8, P2), 24);
	RETURNS(1);
	IS("3, 0, 1, IORING_ENTER_GETEVENTS|IORING_ENTER_EXT_ARG, {sigmask=NULL, sigmask_sz=8, ts=0x7ffe1000}, 24 = 1");
	X64("io_uring_enter", 3, 0, 1, 9, P1, 24);
	WHOLE(enter, 4, P1, WORDS8(0), 8);
	RETURNS(1);
	IS("3, 0, 1, IORING_ENTER_GETEVENTS|IORING_ENTER_EXT_ARG, 0x7ffe0000, 24 = 1");
}

static void test_messages(void)
{
	const uint64_t two[16] = {0, 0, P2, 1, 0, 0, 0, 3, 0, 0, P3, 1, 0, 0, 0, 5};

	X64("sendmmsg", 4, P1, 3, 0);
	WHOLE(enter, 1, P1, put_words(8, 16, two), 128); /* the third was beyond the cap */
	WHOLE(enter, DEEP + 1, P2, WORDS8(P2 + 64, 3), 16);
	WHOLE(enter, DEEP + 1, P2 + 64, "one", 3);
	WHOLE(exit, 1, P1, put_words(8, 16, two), 128);
	RETURNS(3);
	IS("4, [{msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"one\", iov_len=3}], msg_iovlen=1, "
	   "msg_controllen=0, msg_flags=0}, msg_len=3}, {msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=0x7ffe2000, "
	   "msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=5}, ... /* 1 more */], 3, 0 = 3");
	X64("recvmmsg", 4, P1, 2, 0, 0);
	WHOLE(enter, 1, P1, put_words(8, 16, two), 128);
	RETURNS(-EAGAIN);
	IS("4, 0x7ffe0000, 2, 0, NULL = -1 EAGAIN (Resource temporarily unavailable)");

	/* descriptors that lie beyond what was captured */
	X64("sendmsg", 3, P1, 0);
	WHOLE(enter, 1, P1, WORDS8(0, 0, 0, 0, P2, 32, 0), 56);
	WHOLE(enter, DEEP + 1, P2, WORDS8(28, 1 | 1ull << 32, 5 | 6ull << 32), 24);
	RETURNS(0);
	IS("3, {msg_name=NULL, msg_namelen=0, msg_iov=NULL, msg_iovlen=0, msg_control=[{cmsg_len=28, "
	   "cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5, 6, ...]}], msg_controllen=32, msg_flags=0}, "
	   "0 = 0");
	/* a time, to where a datagram came, and one that is cut */
	X64("sendmsg", 3, P1, 0);
	WHOLE(enter, 1, P1, WORDS8(0, 0, 0, 0, P2, 96, 0), 56);
	WHOLE(enter, DEEP + 1, P2,
	      WORDS8(32, 1 | 29ull << 32, 1700000000, 250000, 28, 0 | 8ull << 32, 2 | 0x0100007full << 32, 0x0500007f,
		     28, 0 | 8ull << 32, 3),
	      88);
	RETURNS(0);
	IS("3, {msg_name=NULL, msg_namelen=0, msg_iov=NULL, msg_iovlen=0, msg_control=[{cmsg_len=32, "
	   "cmsg_level=SOL_SOCKET, cmsg_type=SO_TIMESTAMP_OLD, cmsg_data={tv_sec=1700000000, tv_usec=250000}}, "
	   "{cmsg_len=28, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, cmsg_data={ipi_ifindex=2, "
	   "ipi_spec_dst=inet_addr(\"127.0.0.1\"), ipi_addr=inet_addr(\"127.0.0.5\")}}, {cmsg_len=28, "
	   "cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, cmsg_data=\"\\3\\0\\0\\0\\0\\0\\0\\0\"...}], msg_controllen=96, "
	   "msg_flags=0}, 0 = 0");
	X64("msgsnd", 7, P1, 5, 0);
	WHOLE(enter, 1, P1, WORDS8(9), 8);
	WHOLE(enter, DEEP + 1, P1 + 8, "hel", 3);
	RETURNS(0);
	IS("7, {mtype=9, mtext=\"hel\"...}, 5, 0 = 0");
}

/* Items that all point at one piece: their text has a bound, though the record is short. */
static void test_repeated(void)
{
	enum { ITEMS = 1000, MESSAGES = 250, BYTES = 20000 };
	static uint64_t vectors[2 * ITEMS], messages[8 * MESSAGES], strings[ITEMS];
	static uint8_t data[BYTES];
	struct strbuf out = {0};

	memset(data, 1, sizeof(data));
	for (size_t i = 0; i < ITEMS; i++) {
		vectors[2 * i] = P3;
		vectors[2 * i + 1] = BYTES;
		strings[i] = P3;
	}
	for (size_t i = 0; i < MESSAGES; i++) {
		messages[8 * i + 2] = P2;
		messages[8 * i + 3] = ITEMS;
	}
	X64("sendmmsg", 4, P1, MESSAGES, 0);
	WHOLE(enter, 1, P1, messages, sizeof(messages));
	WHOLE(enter, DEEP + 1, P2, vectors, sizeof(vectors));
	WHOLE(enter, DEEP + 1, P3, data, sizeof(data));
	RETURNS(-EINVAL);
	call_args_text(&b.call, &out);
	CHECK(out.len < 4u << 20);
	CHECK(strstr(out.data, ", ... /* "));
	CHECK(strstr(out.data, " more */], 250, 0"));
	strbuf_deinit(&out);

	X64("execve", P1, P2, 0);
	WHOLE(enter, 1, P2, strings, sizeof(strings));
	WHOLE(enter, 1, P3, data, sizeof(data));
	RETURNS(-EINVAL);
	call_args_text(&b.call, &out);
	CHECK(out.len < 4u << 20);
	CHECK(strstr(out.data, ", ...], NULL"));
	strbuf_deinit(&out);
}

static void test_addresses(void)
{
	const uint8_t vsock[16] = {40, 0, 0, 0, 99, 0, 0, 0, 2};
	uint8_t link[20] = {17, 0, 0, 3, 7, 0, 0, 0, 1, 0, 0, 200, 1, 2, 3, 4, 5, 6, 7, 8};

	X64("connect", 3, P1, 16);
	WHOLE(enter, 1, P1, vsock, 16);
	RETURNS(0);
	IS("3, {sa_family=AF_VSOCK, svm_cid=VMADDR_CID_HOST, svm_port=0x63, svm_flags=0}, 16 = 0");
	/* a length of the address that lies beyond it */
	X64("bind", 3, P1, 20);
	WHOLE(enter, 1, P1, link, 20);
	RETURNS(0);
	IS("3, {sa_family=AF_PACKET, sll_protocol=htons(ETH_P_ALL), sll_ifindex=7, sll_hatype=ARPHRD_ETHER, "
	   "sll_pkttype=PACKET_HOST, sll_halen=200, sll_addr=[01, 02, 03, 04, 05, 06, 07, 08]}, 20 = 0");
}

static void test_requests(void)
{
	uint8_t asked[40] = "lo", got[40] = "lo";

	got[16] = 0x49;
	X64("ioctl", 3, 0x8913, P1);
	WHOLE(enter, 2, P1, asked, 40);
	WHOLE(exit, 2, P1, got, 40);
	RETURNS(0);
	IS("3, SIOCGIFFLAGS, {ifr_name=\"lo\", ifr_flags=IFF_UP|IFF_LOOPBACK|IFF_RUNNING} = 0");
	X64("ioctl", 3, 0x8913, P1);
	WHOLE(enter, 2, P1, asked, 40);
	RETURNS(-ENODEV);
	IS("3, SIOCGIFFLAGS, {ifr_name=\"lo\"} = -1 ENODEV (No such device)");
	X64("ioctl", 3, 0xae01, 0);
	RETURNS(-EBADF);
	IS("3, KVM_CREATE_VM, 0 = -1 EBADF (Bad file descriptor)");
}

static void test_32_bits(void)
{
	I386("pread64", 3, P1, 2, 5, 1);
	WHOLE(exit, 1, P1, "ab", 2);
	RETURNS(2);
	IS("3, \"ab\", 2, 4294967301 = 2");
	I386("sendmsg", 3, P1, 0);
	WHOLE(enter, 1, P1, WORDS4(0, 0, P2, 1, 0, 0, 0), 28);
	WHOLE(enter, DEEP + 1, P2, WORDS4(P3, 4), 8);
	WHOLE(enter, DEEP + 1, P3, "text", 4);
	RETURNS(4);
	IS("3, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"text\", iov_len=4}], msg_iovlen=1, "
	   "msg_controllen=0, "
	   "msg_flags=0}, 0 = 4");

	I386("socketcall", 11, P1);
	WHOLE(enter, DEEP + 1, P1, WORDS4(3, P2, 4, 0, 0, 0), 24);
	WHOLE(enter, 1, P2, "data", 4);
	RETURNS(4);
	IS("SYS_SENDTO, [3, \"data\", 4, 0, NULL, 0] = 4");
	/* the block was not there; no such call */
	I386("socketcall", 11, P1);
	RETURNS(-EFAULT);
	IS("SYS_SENDTO, 0x7ffe0000 = -1 EFAULT (Bad address)");
	I386("socketcall", 99, P1);
	WHOLE(enter, DEEP + 1, P1, WORDS4(3, P2, 4, 0, 0, 0), 24);
	RETURNS(-EINVAL);
	IS("0x63 /* SYS_??? */, 0x7ffe0000 = -1 EINVAL (Invalid argument)");
	I386("ipc", 21, 7, 0, P2, 0);
	RETURNS(0);
	IS("shmat, [7, NULL, 0] = 0");
	/* msgrcv's buffer and type behind the pointer, as version 0 has them, and in registers */
	I386("ipc", 12, 7, 4, 0, P2, 0);
	WHOLE(enter, 1, P2, WORDS4(P3, 5), 8);
	WHOLE(exit, 1, P3, WORDS4(5), 4);
	WHOLE(exit, DEEP + 1, P3 + 4, "text", 4);
	RETURNS(4);
	IS("msgrcv, [7, {mtype=5, mtext=\"text\"}, 4, 5, 0] = 4");
	I386("ipc", 12, 7, 4, 0, P2, 0);
	RETURNS(4);
	IS("12, 7, 4, 0, 0x7ffe1000, 0 = 4");
	I386("ipc", 1 << 16 | 12, 7, 4, 0, P2, 5);
	WHOLE(exit, 1, P2, WORDS4(5), 4);
	WHOLE(exit, DEEP + 1, P2 + 4, "text", 4);
	RETURNS(4);
	IS("msgrcv, [7, {mtype=5, mtext=\"text\"}, 4, 5, 0] = 4");
	I386("ipc", 3, 7, 1, 0x100 | 16, P2, 0);
	WHOLE(enter, 1, P2, WORDS4(5), 4);
	RETURNS(0);
	IS("semctl, [7, 1, IPC_64|SETVAL, 0x5] = 0");
	I386("ipc", 3, 7, 1, 16, P2, 0);
	RETURNS(-EFAULT);
	IS("3, 7, 1, 16, 0x7ffe1000, 0 = -1 EFAULT (Bad address)");
	I386("bpf", 1, P1, 32);
	WHOLE(enter, 1, P1, WORDS8(5, P2, P3, 0), 32);
	RETURNS(0);
	IS("BPF_MAP_LOOKUP_ELEM, {map_fd=5, key=0x7ffe1000, value=0x7ffe2000, flags=BPF_ANY}, 32 = 0");
	I386("clock_adjtime64", 0, P1);
	WHOLE(exit, 1, P1, WORDS8(0, 5, 6), 208);
	RETURNS(0);
	IS("CLOCK_REALTIME, {modes=0, offset=5, freq=6, maxerror=0, esterror=0, status=0, constant=0, precision=0, "
	   "tolerance=0, time={tv_sec=0, tv_usec=0}, tick=0, ppsfreq=0, jitter=0, shift=0, stabil=0, jitcnt=0, "
	   "calcnt=0, errcnt=0, stbcnt=0, tai=0} = 0 (TIME_OK)");
	I386("mmap", P1);
	WHOLE(enter, DEEP, P1, WORDS4(0, 4096, 1, 0x22, 0xffffffff, 0), 24);
	RETURNS((int32_t)0xf7fd0000);
	IS("NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 = 0xf7fd0000");
	I386("_llseek", 3, 1, 2, P1, 0);
	WHOLE(exit, 3, P1, WORDS8(0x100000002), 8);
	RETURNS(0);
	IS("3, 4294967298, [4294967298], SEEK_SET = 0");

	/* x32: 32-bit words in calls with numbers of their own, 64-bit ones in the others */
	CALL(TRAP_ABI_X32, "writev", 1, P1, 1);
	WHOLE(enter, 1, P1, WORDS4(P2, 3), 8);
	WHOLE(enter, 1, P2, "abc", 3);
	RETURNS(3);
	IS("1, [{iov_base=\"abc\", iov_len=3}], 1 = 3");
	CALL(TRAP_ABI_X32, "pwritev2", 1, P1, 1, 0x100000002, 1);
	WHOLE(enter, 1, P1, WORDS4(P2, 3), 8);
	WHOLE(enter, 1, P2, "abc", 3);
	RETURNS(3);
	IS("1, [{iov_base=\"abc\", iov_len=3}], 1, 4294967298, RWF_HIPRI = 3");
	CALL(TRAP_ABI_X32, "rt_sigtimedwait", P1, 0, P2, 8);
	WHOLE(enter, 0, P1, WORDS8(1 << 9), 8);
	WHOLE(enter, 2, P2, WORDS8(1, 5), 16);
	RETURNS(10);
	IS("[USR1], NULL, {tv_sec=1, tv_nsec=5}, 8 = 10 (SIGUSR1)");
	CALL(TRAP_ABI_X32, "setsockopt", 1, 1, 20, P1, 16);
	WHOLE(enter, 3, P1, WORDS8(1, 5), 16);
	RETURNS(0);
	IS("1, SOL_SOCKET, SO_RCVTIMEO_OLD, {tv_sec=1, tv_usec=5}, 16 = 0");
	CALL(TRAP_ABI_X32, "nanosleep", P1, 0);
	WHOLE(enter, 0, P1, WORDS8(1, 5), 16);
	RETURNS(0);
	IS("{tv_sec=1, tv_nsec=5}, NULL = 0");
}

int main(void)
{
	test_sized();
	test_written();
	test_uring_enter();
	test_messages();
	test_repeated();
	test_addresses();
	test_requests();
	test_32_bits();
	return 0;
}
