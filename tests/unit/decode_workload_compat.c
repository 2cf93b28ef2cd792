/* SPDX-License-Identifier: MIT */
/*
 * decode_workload_compat.c - as decode_workload.c: calls of the i386 and x32 ABIs,
 * made by a 64-bit program. What they point at lies below 4 GiB, in structs with
 * 32-bit words.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* asm/unistd_32.h, which does not go with the 64-bit numbers */
enum i386_number {
	I386__llseek = 140,
	I386__newselect = 142,
	I386_access = 33,
	I386_clock_getres_time64 = 406,
	I386_close = 6,
	I386_connect = 362,
	I386_fadvise64 = 250,
	I386_fallocate = 324,
	I386_fcntl64 = 221,
	I386_fstat64 = 197,
	I386_fstatat64 = 300,
	I386_ftruncate64 = 194,
	I386_futex = 240,
	I386_futex_time64 = 422,
	I386_getdents64 = 220,
	I386_getgroups = 80,
	I386_getresuid32 = 209,
	I386_getrlimit = 76,
	I386_getsockopt = 365,
	I386_ioctl = 54,
	I386_ipc = 117,
	I386_socketcall = 102,
	I386_select = 82,
	I386_kill = 37,
	I386_mmap = 90,
	I386_mmap2 = 192,
	I386_munmap = 91,
	I386_nanosleep = 162,
	I386_open = 5,
	I386_poll = 168,
	I386_pread64 = 180,
	I386_prlimit64 = 340,
	I386_pwrite64 = 181,
	I386_recvfrom = 371,
	I386_recvmsg = 372,
	I386_rt_sigaction = 174,
	I386_rt_sigprocmask = 175,
	I386_sendfile = 187,
	I386_sendmsg = 370,
	I386_sendto = 369,
	I386_set_robust_list = 311,
	I386_setsockopt = 366,
	I386_sigaction = 67,
	I386_sigaltstack = 186,
	I386_signal = 48,
	I386_sigpending = 73,
	I386_sigprocmask = 126,
	I386_socketpair = 360,
	I386_stat = 106,
	I386_stat64 = 195,
	I386_statx = 383,
	I386_umask = 60,
	I386_uname = 122,
	I386_utimensat_time64 = 412,
	I386_write = 4,
	I386_writev = 146,
};

#define X32_BIT 0x40000000

/* All that calls point at. */
static struct low {
	char text[256], data[4096];
	uint32_t words[64];
	uint64_t wide[32];
} * low;

static uint32_t at(const void *p)
{
	return (uint32_t)(uintptr_t)p;
}

static long i386(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	__asm__ volatile("push %%rbp\n\tmov %7, %%rbp\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(f)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}
#define C3(name, a, b, c)          i386(I386_##name, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define C6(name, a, b, c, d, e, f) i386(I386_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static uint32_t text(const char *s)
{
	strcpy(low->text, s);
	return at(low->text);
}

/* Words of a struct, or of a block of arguments. */
static uint32_t words(int n, const uint32_t *values)
{
	memcpy(low->words, values, 4 * (size_t)n);
	return at(low->words);
}
#define WORDS(...) words(sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

static void files(void)
{
	long fd = C3(open, text("c"), O_RDWR | O_CREAT, 0600);

	C3(write, fd, text("hello"), 5);
	C6(pwrite64, fd, text("xyz"), 3, 100, 0, 0);
	C6(pread64, fd, at(low->data), 5, 0, 0, 0);
	C6(_llseek, fd, 0, 2, at(low->wide), SEEK_SET, 0);
	strcpy(low->text, "abcd");
	C3(writev, fd, WORDS(at(low->text), 3, at(low->text) + 1, 2), 2);
	C3(stat64, text("c"), at(low->data), 0);
	C3(fstat64, fd, at(low->data), 0);
	C3(stat, text("/dev/null"), at(low->data), 0);
	C6(fstatat64, AT_FDCWD, text("nosuch"), at(low->data), AT_SYMLINK_NOFOLLOW, 0, 0);
	C6(statx, AT_FDCWD, text("/nosuch"), 0, 0xfff, at(low->data), 0);
	C3(ftruncate64, fd, 50, 0);
	C6(fallocate, fd, 1, 0, 0, 100, 0);
	C6(fadvise64, fd, 0, 0, 50, POSIX_FADV_RANDOM, 0);
	C6(sendfile, fd, fd, WORDS(7), 0, 0, 0);
	C3(fcntl64, fd, 6, WORDS(F_WRLCK, 0, 5, 0));
	C3(fcntl64, fd, 13, WORDS(F_UNLCK, 0, 0, 0, 0, 0));
	C3(fcntl64, fd, F_GETFL, 0);
	C3(ioctl, fd, 0x5401, at(low->data));
	C3(getdents64, 99, at(low->data), 100);
	C3(access, text("/nosuch"), R_OK, 0);
	C3(close, fd, 0, 0);
}

static void memory_and_signals(void)
{
	uint32_t page = (uint32_t)C6(mmap2, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	C3(munmap, page, 4096, 0);
	page = (uint32_t)C3(mmap, WORDS(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint32_t)-1, 0),
			    0, 0);
	C3(munmap, page, 4096, 0);
	C6(rt_sigaction, SIGUSR1, WORDS(1, SA_RESTART, 0, 1 << 9, 0), at(low->data), 8, 0, 0);
	C3(sigaction, SIGUSR2, WORDS(0, 0x200, SA_RESTART, 0), at(low->data));
	C3(sigaction, SIGUSR2, 0, at(low->data));
	C6(rt_sigprocmask, SIG_BLOCK, WORDS(0x200, 0), at(low->data), 8, 0, 0);
	C3(sigprocmask, SIG_UNBLOCK, WORDS(0x200), at(low->data));
	C3(sigpending, at(low->data), 0, 0);
	C3(signal, SIGUSR1, 0, 0);
	C3(sigaltstack, 0, at(low->data), 0);
	C3(kill, 0, 0, 0);
	C3(getrlimit, 3, at(low->data), 0);
	C6(prlimit64, 0, 3, 0, at(low->data), 0, 0);
	C3(getgroups, 0, 0, 0);
	C3(getresuid32, at(low->words), at(low->words + 1), at(low->words + 2));
	C3(umask, 022, 0, 0);
	C3(uname, at(low->data), 0, 0);
	C3(nanosleep, WORDS(0, 1000), 0, 0);
	C3(clock_getres_time64, 1, at(low->wide), 0);
	C6(futex, WORDS(3), 0, 4, 0, 0, 0);
	C6(futex_time64, at(low->words), 0x80, 4, 0, 0, 0);
	C6(utimensat_time64, AT_FDCWD, text("nosuch"), 0, 0, 0, 0);
	C3(set_robust_list, 0, 0, 0);
	C6(poll, WORDS(1, 4), 1, 0, 0, 0, 0);
	memset(low->data, 0, 128);
	C6(_newselect, 3, at(low->data), 0, 0, WORDS(0, 1), 0);
}

static void sockets(void)
{
	const uint8_t address[16] = {2, 0, 0, 80, 127, 0, 0, 1};
	uint32_t fds[2];

	C6(socketpair, AF_UNIX, SOCK_STREAM, 0, at(low->words), 0, 0);
	memcpy(fds, low->words, sizeof(fds));
	C6(sendto, fds[0], text("data"), 4, 0, 0, 0);
	C6(recvfrom, fds[1], at(low->data), 10, 0, 0, 0);
	memcpy(low->data, address, 16);
	C3(connect, -1, at(low->data), 16);
	strcpy(low->text, "message");
	low->words[8] = at(low->text);
	low->words[9] = 7;
	memcpy(low->words, (uint32_t[]){0, 0, at(low->words + 8), 1, 0, 0, 0}, 28);
	C3(sendmsg, fds[0], at(low->words), 0);
	low->words[8] = at(low->data);
	low->words[9] = 100;
	C3(recvmsg, fds[1], at(low->words), 0);
	C6(setsockopt, fds[0], SOL_SOCKET, SO_KEEPALIVE, WORDS(1), 4, 0);
	C6(getsockopt, fds[0], SOL_SOCKET, SO_TYPE, at(low->words), WORDS(4, 0), 0);
}

/* One call for many: the arguments lie in memory. */
static void multiplexed(void)
{
	const uint8_t address[16] = {2, 0, 0, 80, 127, 0, 0, 1};
	uint32_t fds[2], *block = low->words + 32, id;
#define SOCKETCALL(number, ...)                                                              \
	do {                                                                                 \
		memcpy(block, (uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__})); \
		C3(socketcall, number, at(block), 0);                                        \
	} while (0)

	SOCKETCALL(8, AF_UNIX, SOCK_STREAM, 0, at(low->words));
	memcpy(fds, low->words, sizeof(fds));
	SOCKETCALL(9, fds[0], text("sent"), 4, MSG_NOSIGNAL);
	SOCKETCALL(10, fds[1], at(low->data), 10, 0);
	SOCKETCALL(11, fds[0], text("data"), 4, 0, 0, 0);
	SOCKETCALL(12, fds[1], at(low->data), 10, 0, 0, 0);
	memcpy(low->data, address, 16);
	SOCKETCALL(3, (uint32_t)-1, at(low->data), 16);
	SOCKETCALL(11, (uint32_t)-1, text("data"), 4, 0, at(low->data), 16);
	SOCKETCALL(14, fds[0], SOL_SOCKET, SO_KEEPALIVE, WORDS(1), 4);
	low->words[8] = 4;
	SOCKETCALL(15, fds[0], SOL_SOCKET, SO_TYPE, at(low->words), at(low->words + 8));
	low->words[8] = 100;
	SOCKETCALL(6, fds[0], at(low->data), at(low->words + 8));
	SOCKETCALL(4, fds[0], 5);
	SOCKETCALL(13, fds[0], SHUT_RDWR);
	id = (uint32_t)C6(ipc, 2, 0, 1, 0600, 0, 0);
	C6(ipc, 1, id, 1, 0, WORDS(1 << 16, 04000), 0);
	C6(ipc, 3, id, 0, 0x100 | 16, WORDS(3), 0); /* SETVAL */
	C6(ipc, 3, id, 0, 0x100, WORDS(0), 0);      /* IPC_RMID */
	C6(ipc, 24, -1, 0, 0, 0, 0);
	id = (uint32_t)C6(ipc, 13, 0, 01600, 0, 0, 0);
	low->words[32] = 5;
	memcpy(&low->words[33], "text", 4);
	C6(ipc, 11, id, 4, 0, at(&low->words[32]), 0);
	C6(ipc, 12, id, 4, 0, WORDS(at(&low->words[32]), 5), 0);
	C6(ipc, 14, id, 0x100, 0, 0, 0);
	memset(low->data, 0, 128);
	low->words[8] = low->words[9] = 0;
	C3(select, WORDS(3, at(low->data), 0, 0, at(low->words + 8)), 0, 0);
}

/* Calls of x32 with their own numbers; refused by most kernels, after strace and a recorder have looked. */
static void x32(void)
{
	strcpy(low->text, "abcd");
	syscall(X32_BIT | 516, 1, WORDS(at(low->text), 3), 1);                     /* writev */
	syscall(X32_BIT | 512, SIGUSR1, WORDS(1, SA_RESTART, 0, 1 << 9, 0), 0, 8); /* rt_sigaction */
	syscall(X32_BIT | 1, 1, low->text, 4);                                     /* write */
	syscall(X32_BIT | 541, 1, SOL_SOCKET, SO_KEEPALIVE, WORDS(1), 4);          /* setsockopt */
}

int main(void)
{
	low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		return 1;
	files();
	memory_and_signals();
	sockets();
	multiplexed();
	x32();
	syscall(SYS_exit_group, 7);
}
