/* SPDX-License-Identifier: MIT */
/*
 * Each kind of argument and result from records made by hand; what is expected
 * was printed by strace 6.1 for the same bytes. decode_truth.py does the same
 * with real calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "call_builder.h"
#include "check.h"
#include "linux/arg_decode.h"
#include "linux/semantics.h"

static struct call_builder b;

#define CALL(name, ...)                                                       \
	do {                                                                  \
		const uint64_t call_args[LINUX_SYSCALL_ARGS] = {__VA_ARGS__}; \
		call_builder_init(&b, TRAP_ABI_X86_64, name);                 \
		memcpy(b.call.args, call_args, sizeof(call_args));            \
	} while (0)
#define BEFORE(label, gva, bytes, len) \
	record_builder_add(&b.enter, label, TRAP_FRAG_WHOLE, gva, (uint32_t)(len), bytes, len)
#define AFTER(label, gva, bytes, len) \
	record_builder_add(&b.exit, label, TRAP_FRAG_WHOLE, gva, (uint32_t)(len), bytes, len)
#define TEXT(gva, label, text) \
	record_builder_add(&b.enter, label, TRAP_FRAG_WHOLE, gva, sizeof(text), text, sizeof(text) - 1)
#define RETURNS(value) call_builder_finish(&b, true, value)
#define NO_RETURN()    call_builder_finish(&b, false, 0)

#define P1 0x7ffe0000u
#define P2 0x7ffe1000u
#define P3 0x7ffe2000u

static void check_line(int line, const char *expected)
{
	struct strbuf out = {0};

	strbuf_printf(&out, "%s(", b.syscall.name);
	call_args_text(&b.call, &out);
	strbuf_put(&out, ") = ");
	call_ret_text(&b.call, &out);
	if (strcmp(out.data, expected)) {
		fprintf(stderr, "%s:%d:\n  %s\n  is not\n  %s\n", __FILE__, line, out.data, expected);
		exit(1);
	}
	strbuf_deinit(&out);
}
#define IS(expected) check_line(__LINE__, expected)

static void check_arg(int line, int i, bool says_more, const char *expected)
{
	struct strbuf out = {0};
	bool more = call_arg_text(&b.call, i, &out);

	if (strcmp(out.data ? out.data : "", expected) || more != says_more) {
		fprintf(stderr, "%s:%d: %s%s is not %s%s\n", __FILE__, line, out.data, more ? " (more)" : "", expected,
			says_more ? " (more)" : "");
		exit(1);
	}
	strbuf_deinit(&out);
}
#define ARG(i, more, expected) check_arg(__LINE__, i, more, expected)

static void test_strings(void)
{
	CALL("openat", (uint32_t)AT_FDCWD, P1, O_RDONLY | O_CLOEXEC);
	TEXT(P1, 1, "/etc/passwd");
	RETURNS(3);
	IS("openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3");
	ARG(0, true, "AT_FDCWD");
	ARG(1, true, "\"/etc/passwd\"");
	CHECK_INT(call_nr_args(&b.call), 4);

	CALL("openat", 5, P1, O_RDWR | O_CREAT | O_TRUNC, 0644);
	TEXT(P1, 1, "f\n\"\377");
	RETURNS(-ENOENT);
	IS("openat(5, \"f\\n\\\"\\377\", O_RDWR|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)");
	CHECK_STR(call_error_name(&b.call), "ENOENT");
	ARG(0, false, "5");

	/* not captured; captured at exit instead; cut; not there for the kernel either */
	CALL("unlink", P1);
	RETURNS(0);
	IS("unlink(0x7ffe0000) = 0");
	ARG(0, false, "0x7ffe0000");
	CALL("unlink", P1);
	record_builder_add(&b.enter, 0, TRAP_FRAG_NOT_PRESENT, P1, 0, "", 0);
	record_builder_add(&b.exit, 0, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, P1, 2, "x", 1);
	RETURNS(0);
	IS("unlink(\"x\") = 0");
	CALL("unlink", P1);
	record_builder_add(&b.enter, 0, TRAP_FRAG_CUT, P1, 0, "abc", 3);
	RETURNS(-ENAMETOOLONG);
	IS("unlink(\"abc\"...) = -1 ENAMETOOLONG (File name too long)");
	CALL("unlink", P1);
	record_builder_add(&b.enter, 0, TRAP_FRAG_NOT_PRESENT, P1, 0, "abc", 3);
	RETURNS(-EFAULT);
	IS("unlink(0x7ffe0000) = -1 EFAULT (Bad address)");
	CALL("open", 0, O_RDONLY);
	RETURNS(-EFAULT);
	IS("open(NULL, O_RDONLY) = -1 EFAULT (Bad address)");
	ARG(0, true, "NULL");

	/* another address's bytes are not this argument's */
	CALL("rename", P1, P2);
	TEXT(P1, 0, "a");
	TEXT(P3, 1, "other");
	RETURNS(0);
	IS("rename(\"a\", 0x7ffe1000) = 0");

	CALL("getcwd", P1, 4096);
	record_builder_add(&b.exit, 0, TRAP_FRAG_WHOLE, P1, 11, "/tmp/dec/w", 10);
	RETURNS(11);
	IS("getcwd(\"/tmp/dec/w\", 4096) = 11");
}

static void test_buffers(void)
{
	char big[256];

	memset(big, 'x', sizeof(big));
	CALL("write", 1, P1, 5);
	BEFORE(1, P1, "a\0b\1\0012", 5);
	RETURNS(5);
	IS("write(1, \"a\\0b\\1\\1\", 5) = 5");
	CALL("write", 1, P1, 0);
	RETURNS(0);
	IS("write(1, \"\", 0) = 0");
	CALL("write", 1, P1, 300);
	record_builder_add(&b.enter, 1, TRAP_FRAG_CUT, P1, 300, big, 4);
	RETURNS(300);
	IS("write(1, \"xxxx\"..., 300) = 300");

	CALL("read", 3, P1, 100);
	AFTER(1, P1, "line\n", 5);
	RETURNS(5);
	IS("read(3, \"line\\n\", 100) = 5");
	CALL("read", 3, P1, 100);
	RETURNS(-EAGAIN);
	IS("read(3, 0x7ffe0000, 100) = -1 EAGAIN (Resource temporarily unavailable)");
	CALL("read", 3, P1, 100);
	RETURNS(0);
	IS("read(3, \"\", 100) = 0");
	CALL("read", 3, P1, 100);
	NO_RETURN();
	IS("read(3, 0x7ffe0000, 100) = ?");

	/* MSG_TRUNC: the result is longer than the buffer */
	CALL("recvfrom", 3, P1, 2, MSG_TRUNC);
	AFTER(1, P1, "abcdef", 6);
	RETURNS(6);
	IS("recvfrom(3, \"ab\", 2, MSG_TRUNC, NULL, NULL) = 6");
}

static void test_vectors(void)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)P2, 3}, {(void *)(uintptr_t)P3, 4}};
	uint64_t argv[] = {P2, P3};

	CALL("writev", 1, P1, 2);
	BEFORE(1, P1, iov, 32);
	BEFORE(1, P2, "abc", 3);
	BEFORE(1, P3, "defg", 4);
	RETURNS(7);
	IS("writev(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"defg\", iov_len=4}], 2) = 7");

	/* only as much as was read */
	CALL("readv", 3, P1, 2);
	BEFORE(1, P1, iov, 32);
	AFTER(1, P1, iov, 32);
	AFTER(1, P2, "abc", 3);
	AFTER(1, P3, "dXXX", 4);
	RETURNS(4);
	IS("readv(3, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"d\", iov_len=4}], 2) = 4");
	CALL("readv", (uint32_t)-1, P1, 2);
	BEFORE(1, P1, iov, 32);
	RETURNS(-EBADF);
	IS("readv(-1, [{iov_base=0x7ffe1000, iov_len=3}, {iov_base=0x7ffe2000, iov_len=4}], 2) = -1 EBADF (Bad file "
	   "descriptor)");

	CALL("execve", P1, P1 + 64, P1 + 128);
	TEXT(P1, 0, "/bin/true");
	record_builder_add(&b.enter, 1, TRAP_FRAG_WHOLE, P1 + 64, 24, argv, 16);
	TEXT(P2, 1, "true");
	TEXT(P3, 1, "a b");
	record_builder_add(&b.enter, 2, TRAP_FRAG_WHOLE, P1 + 128, 16, argv, 8);
	TEXT(P2, 2, "A=1");
	/* bytes of the new program at the old addresses */
	record_builder_add(&b.exit, 0, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, P1, 4, "new", 3);
	RETURNS(0);
	IS("execve(\"/bin/true\", [\"true\", \"a b\"], 0x7ffe0080 /* 1 var */) = 0");
	ARG(2, true, "[\"A=1\"]");

	/* what was not in memory, from the new program's stack; a script gets its interpreter before its arguments */
	{
		const char *given[] = {"true", "a b"}, *script[] = {"/bin/sh", "/x/script", "a b"};
		uint64_t pointers[3] = {1, 2, 3};

		CALL("execve", P1, P1 + 64, 0);
		record_builder_add(&b.enter, 1, TRAP_FRAG_WHOLE, P1 + 64, 24, argv, 16);
		record_builder_add(&b.exit, PLAN_LABEL_DEEP0 + 1, TRAP_FRAG_WHOLE, 8, 24, pointers, 16);
		for (size_t i = 0; i < 2; i++)
			record_builder_add(&b.exit, PLAN_LABEL_DEEP0 + 1, TRAP_FRAG_WHOLE, i + 1,
					   (uint32_t)strlen(given[i]) + 1, given[i], strlen(given[i]));
		RETURNS(0);
		ARG(1, true, "[\"true\", \"a b\"]");

		CALL("execve", P1, P1 + 64, 0);
		record_builder_add(&b.enter, 1, TRAP_FRAG_WHOLE, P1 + 64, 24, argv, 16);
		record_builder_add(&b.exit, PLAN_LABEL_DEEP0 + 1, TRAP_FRAG_WHOLE, 8, 32, pointers, 24);
		for (size_t i = 0; i < 3; i++)
			record_builder_add(&b.exit, PLAN_LABEL_DEEP0 + 1, TRAP_FRAG_WHOLE, i + 1,
					   (uint32_t)strlen(script[i]) + 1, script[i], strlen(script[i]));
		RETURNS(0);
		ARG(1, true, "[0x7ffe1000, \"a b\"]");
	}

	/* many: as strace, and all where nothing is abbreviated */
	{
		uint64_t pointers[40];
		struct strbuf want = {0};

		CALL("execve", P1, P1 + 64, 0);
		TEXT(P1, 0, "/x");
		for (size_t i = 0; i < 40; i++)
			pointers[i] = P2;
		record_builder_add(&b.enter, 1, TRAP_FRAG_WHOLE, P1 + 64, 41 * 8, pointers, sizeof(pointers));
		TEXT(P2, 1, "a");
		RETURNS(-ENOENT);
		for (size_t i = 0; i < 40; i++) {
			if (i == 32) {
				struct strbuf brief = {0};

				strbuf_printf(
					&brief,
					"execve(\"/x\", [%s, ... /* 8 more */], NULL) = -1 ENOENT (No such file or "
					"directory)",
					want.data);
				IS(brief.data);
				strbuf_deinit(&brief);
			}
			strbuf_put(&want, i ? ", \"a\"" : "\"a\"");
		}
		strbuf_reset(&want);
		strbuf_put_char(&want, '[');
		for (size_t i = 0; i < 40; i++)
			strbuf_put(&want, i ? ", \"a\"" : "\"a\"");
		strbuf_put_char(&want, ']');
		ARG(1, true, want.data);
		strbuf_deinit(&want);
	}

	CALL("execve", P1, P1 + 64, 0);
	TEXT(P1, 0, "/x");
	record_builder_add(&b.enter, 1, TRAP_FRAG_CUT, P1 + 64, 0, argv, 16);
	TEXT(P2, 1, "true");
	RETURNS(-ENOENT);
	IS("execve(\"/x\", [\"true\", 0x7ffe2000, ...], NULL) = -1 ENOENT (No such file or directory)");
}

static void test_records(void)
{
	struct timespec half = {0, 500000000};
	int32_t pair[2] = {3, 4}, status = 3 << 8, killed = 9;
	uint64_t limit[2] = {8192 * 1024, UINT64_MAX};
	int64_t zero = 0, ten = 10;
	struct pollfd fds[2] = {{3, POLLIN, 0}, {4, POLLOUT, POLLOUT}};
	uint64_t action[4] = {1, 0x14000000, 0x7f00, 1 << 9};
	uint32_t event[3] = {1, 7, 0};

	CALL("nanosleep", P1, P2);
	BEFORE(0, P1, &half, 16);
	AFTER(1, P2, &half, 16);
	RETURNS(0);
	IS("nanosleep({tv_sec=0, tv_nsec=500000000}, 0x7ffe1000) = 0");
	CALL("nanosleep", P1, P2);
	BEFORE(0, P1, &half, 16);
	AFTER(1, P2, &half, 16);
	RETURNS(-516);
	IS("nanosleep({tv_sec=0, tv_nsec=500000000}, {tv_sec=0, tv_nsec=500000000}) = ? ERESTART_RESTARTBLOCK "
	   "(Interrupted by signal)");

	CALL("pipe2", P1, O_CLOEXEC);
	AFTER(0, P1, pair, 8);
	RETURNS(0);
	IS("pipe2([3, 4], O_CLOEXEC) = 0");

	CALL("wait4", (uint32_t)-1, P1, 0, 0);
	AFTER(1, P1, &status, 4);
	RETURNS(231);
	IS("wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 231");
	CALL("wait4", (uint32_t)-1, P1, 1, 0);
	AFTER(1, P1, &killed, 4);
	RETURNS(231);
	IS("wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], WNOHANG, NULL) = 231");
	CALL("wait4", (uint32_t)-1, P1, 1, 0);
	AFTER(1, P1, &status, 4);
	RETURNS(0);
	IS("wait4(-1, 0x7ffe0000, WNOHANG, NULL) = 0");

	CALL("prlimit64", 0, 3, 0, P1);
	AFTER(3, P1, limit, 16);
	RETURNS(0);
	IS("prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0");

	CALL("sendfile", 1, 3, P1, 10);
	BEFORE(2, P1, &zero, 8);
	AFTER(2, P1, &ten, 8);
	RETURNS(10);
	IS("sendfile(1, 3, [0] => [10], 10) = 10");

	CALL("poll", P1, 2, 1000);
	BEFORE(0, P1, fds, 16);
	AFTER(0, P1, fds, 16);
	RETURNS(1);
	IS("poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, 1000) = 1 ([{fd=4, revents=POLLOUT}])");
	CALL("poll", P1, 2, 1000);
	BEFORE(0, P1, fds, 16);
	RETURNS(0);
	IS("poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, 1000) = 0 (Timeout)");

	CALL("rt_sigaction", 2, P1, 0, 8);
	BEFORE(1, P1, action, 32);
	RETURNS(0);
	IS("rt_sigaction(SIGINT, {sa_handler=SIG_IGN, sa_mask=[USR1], sa_flags=SA_RESTORER|SA_RESTART, "
	   "sa_restorer=0x7f00}, NULL, 8) = 0");

	CALL("epoll_wait", 3, P1, 4, (uint32_t)-1);
	AFTER(1, P1, event, 12);
	RETURNS(1);
	IS("epoll_wait(3, [{events=EPOLLIN, data={u32=7, u64=7}}], 4, -1) = 1");
	/* a struct that is not all there is none */
	CALL("nanosleep", P1, 0);
	record_builder_add(&b.enter, 0, TRAP_FRAG_NOT_PRESENT, P1, 16, &half, 15);
	RETURNS(0);
	IS("nanosleep(0x7ffe0000, NULL) = 0");
}

static void test_sockets(void)
{
	uint8_t inet[16] = {2, 0, 0, 80, 127, 0, 0, 1};
	struct sockaddr_un local = {AF_UNIX, "/run/x"};
	uint32_t room = 128, used = 16, one = 1;
	struct iovec iov = {(void *)(uintptr_t)P3, 3};
	struct msghdr message = {.msg_iov = (void *)(uintptr_t)P2, .msg_iovlen = 1};

	CALL("connect", 3, P1, 16);
	BEFORE(1, P1, inet, 16);
	RETURNS(-ECONNREFUSED);
	IS("connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = -1 "
	   "ECONNREFUSED "
	   "(Connection refused)");
	CALL("bind", 3, P1, 110);
	BEFORE(1, P1, &local, 110);
	RETURNS(0);
	IS("bind(3, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 110) = 0");
	local.sun_path[0] = 0;
	CALL("bind", 3, P1, 8);
	BEFORE(1, P1, &local, 8);
	RETURNS(0);
	IS("bind(3, {sa_family=AF_UNIX, sun_path=@\"run/x\"}, 8) = 0");

	CALL("accept", 3, P1, P2);
	BEFORE(2, P2, &room, 4);
	AFTER(1, P1, inet, 16);
	AFTER(2, P2, &used, 4);
	RETURNS(4);
	IS("accept(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, [128 => 16]) = 4");

	CALL("setsockopt", 3, SOL_SOCKET, SO_REUSEADDR, P1, 4);
	BEFORE(3, P1, &one, 4);
	RETURNS(0);
	IS("setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
	CALL("socket", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	RETURNS(3);
	IS("socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3");

	CALL("sendmsg", 3, P1, MSG_NOSIGNAL);
	BEFORE(1, P1, &message, 56);
	BEFORE(PLAN_LABEL_DEEP0 + 1, P2, &iov, 16);
	BEFORE(PLAN_LABEL_DEEP0 + 1, P3, "abc", 3);
	RETURNS(3);
	IS("sendmsg(3, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"abc\", iov_len=3}], msg_iovlen=1, "
	   "msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = 3");
}

static void test_numbers(void)
{
	CALL("mmap", 0, 8192, 3, 0x22, (uint32_t)-1, 0);
	RETURNS(0x7f6e086fc000);
	IS("mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f6e086fc000");
	CALL("mmap", 0x7f0000, 4096, 5, 0x812, 3, 0x7000);
	RETURNS(-ENOMEM);
	IS("mmap(0x7f0000, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x7000) = -1 ENOMEM "
	   "(Cannot "
	   "allocate memory)");
	CALL("mremap", 0x1000, 4096, 8192, 1, 0x77);
	RETURNS(0x2000);
	IS("mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = 0x2000");
	CALL("umask", 022);
	RETURNS(022);
	IS("umask(022) = 022");
	CALL("chmod", P1, 0);
	RETURNS(0);
	IS("chmod(0x7ffe0000, 000) = 0");
	CALL("lseek", 3, (uint64_t)-5, 77);
	RETURNS(-EINVAL);
	IS("lseek(3, -5, 0x4d /* SEEK_??? */) = -1 EINVAL (Invalid argument)");
	CALL("kill", 231, 34);
	RETURNS(0);
	IS("kill(231, SIGRT_2) = 0");
	CALL("fchown", 3, (uint32_t)-1, 0);
	RETURNS(0);
	IS("fchown(3, -1, 0) = 0");
	CALL("exit_group", 3);
	NO_RETURN();
	IS("exit_group(3) = ?");
	CALL("personality", 0xffffffff);
	RETURNS(0);
	IS("personality(0xffffffff) = 0 (PER_LINUX)");
	CALL("clone", 0x1200011, 0, 0, 0x7f10, 0);
	RETURNS(231);
	IS("clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f10) = 231");
	CALL("pause");
	RETURNS(-514);
	IS("pause() = ? ERESTARTNOHAND (To be restarted if no handler)");
	CALL("open", 0, 3, 0);
	RETURNS(-4095);
	IS("open(NULL, O_ACCMODE) = -1 (errno 4095)");
}

static void test_variants(void)
{
	uint16_t size[4] = {25, 80, 0, 0};
	int32_t ready = 7;

	CALL("fcntl", 3, F_GETFL, 0x1234);
	RETURNS(0100002);
	IS("fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)");
	ARG(2, false, "0x1234");
	CALL("fcntl", 3, F_SETFD, 1);
	RETURNS(0);
	IS("fcntl(3, F_SETFD, FD_CLOEXEC) = 0");
	CALL("fcntl", 3, F_GETFD);
	RETURNS(0);
	IS("fcntl(3, F_GETFD) = 0");
	CALL("fcntl", 3, 12345, 9);
	RETURNS(-EINVAL);
	IS("fcntl(3, 0x3039 /* F_??? */, 0x9) = -1 EINVAL (Invalid argument)");
	CALL("ioctl", 0, 0x5413, P1);
	AFTER(2, P1, size, 8);
	RETURNS(0);
	IS("ioctl(0, TIOCGWINSZ, {ws_row=25, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0");
	CALL("ioctl", 3, 0x541b, P1);
	AFTER(2, P1, &ready, 4);
	RETURNS(0);
	IS("ioctl(3, FIONREAD, [7]) = 0");
	CALL("ioctl", 3, 0x12345678, 5);
	RETURNS(-ENOTTY);
	IS("ioctl(3, _IOC(_IOC_NONE, 0x56, 0x78, 0x1234), 0x5) = -1 ENOTTY (Inappropriate ioctl for device)");
	CALL("prctl", 15, P1, 0, 0, 0);
	TEXT(P1, 1, "newname");
	RETURNS(0);
	IS("prctl(PR_SET_NAME, \"newname\") = 0");
	CALL("futex", P1, 0x189, 2, 0, 0, 0xffffffff);
	RETURNS(-EAGAIN);
	IS("futex(0x7ffe0000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 2, NULL, FUTEX_BITSET_MATCH_ANY) = -1 "
	   "EAGAIN "
	   "(Resource temporarily unavailable)");
	CALL("futex", P1, 0x81, 1);
	RETURNS(0);
	IS("futex(0x7ffe0000, FUTEX_WAKE_PRIVATE, 1) = 0");
}

static void test_sets(void)
{
	static const struct {
		uint64_t set;
		const char *text;
	} sets[] = {{0, "[]"},
		    {~0ull, "~[]"},
		    {1, "[HUP]"},
		    {~1ull, "~[HUP]"},
		    {0x8000000100000000ull, "[RT_1 RT_32]"},
		    {0xc0000000, "[SYS RTMIN]"}};
	uint64_t descriptors[16] = {1ull << 7 | 1ull << 18};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		CALL("rt_sigprocmask", 0, P1, 0, 8);
		BEFORE(1, P1, &sets[i].set, 8);
		RETURNS(0);
		ARG(1, true, sets[i].text);
	}
	CALL("select", 64, P1, 0, 0, 0);
	BEFORE(1, P1, descriptors, 128);
	descriptors[0] = 1 << 18;
	AFTER(1, P1, descriptors, 128);
	RETURNS(1);
	IS("select(64, [7 18], NULL, NULL, NULL) = 1 (in [18])");
}

/* The frame that the kernel left on the stack for a handler. */
static bool frame_result(uint64_t rax, uint64_t rip, uint64_t rcx, uint64_t cs, size_t len, int64_t *ret)
{
	uint64_t frame[32] = {0x7f00};

	frame[6 + 13] = rax;
	frame[6 + 14] = rcx;
	frame[6 + 16] = rip;
	frame[6 + 18] = cs;
	CALL("read", 0, P1, 1);
	b.exit.rsp = P3;
	record_builder_add(&b.exit, PLAN_LABEL_SIGFRAME, TRAP_FRAG_WHOLE, P3, 256, frame, len);
	call_builder_finish(&b, true, 0);
	b.call.has_enter = false; /* its RIP is 0 here, RCX has to do */
	return call_sigframe_result(&b.call, ret);
}

static void test_signal_frame(void)
{
	int64_t ret = 99;

	CHECK(frame_result((uint64_t)-EINTR, 0x401002, 0x401002, 0x2b00000033, 256, &ret));
	CHECK_INT(ret, -EINTR);
	CHECK(frame_result(0, 0x401000, 0x401002, 0x33, 256, &ret));
	CHECK_INT(ret, -512);
	/* interrupted elsewhere; no user code; not all captured */
	CHECK(!frame_result(0, 0x409999, 0x401002, 0x33, 256, &ret));
	CHECK(!frame_result(0, 0x401002, 0x401002, 0x10, 256, &ret));
	CHECK(!frame_result(0, 0x401002, 0x401002, 0x33, 199, &ret));
}

static void test_unknown(void)
{
	static const char *const types[] = {"const char *", "unsigned int", "struct __kernel_timespec *", "umode_t",
					    "int"};
	static const char *const names[] = {"path", "flags", "when", "mode", "fd"};
	struct timespec now = {1, 2};

	/* by the guest's types alone */
	CALL("no_such_call", P1, 0x10, P2, 0755, (uint32_t)-3);
	b.syscall.nr_args = 5;
	memcpy(b.syscall.arg_types, types, sizeof(types));
	memcpy(b.syscall.arg_names, names, sizeof(names));
	TEXT(P1, 0, "x");
	AFTER(2, P2, &now, 16);
	RETURNS(0);
	IS("no_such_call(\"x\", 0x10, {tv_sec=1, tv_nsec=2}, 0755, -3) = 0");
	CHECK_STR(call_arg_name(&b.call, 3), "mode");

	/* without a guest */
	CALL("x", 1);
	b.call.syscall = NULL;
	RETURNS(5);
	CHECK_INT(call_nr_args(&b.call), 0);
	CHECK_STR(call_arg_name(&b.call, 0), "arg0");
	ARG(0, false, "?");
	CHECK(!call_error_name(&b.call));

	CALL("read", 3, P1, 5);
	b.call.args_known = false;
	RETURNS(-EIO);
	IS("read(?) = -1 EIO (Input/output error)");
}

static void test_i386(void)
{
	uint32_t words[2] = {1, 500};
	uint32_t iov[2] = {P2, 2};

	CALL("nanosleep", P1, 0);
	b.syscall.abi = b.call.abi = TRAP_ABI_I386;
	BEFORE(0, P1, words, 8);
	RETURNS(0);
	IS("nanosleep({tv_sec=1, tv_nsec=500}, NULL) = 0");
	CALL("writev", 1, P1, 1);
	b.syscall.abi = b.call.abi = TRAP_ABI_I386;
	BEFORE(1, P1, iov, 8);
	BEFORE(1, P2, "ab", 2);
	RETURNS(2);
	IS("writev(1, [{iov_base=\"ab\", iov_len=2}], 1) = 2");
	CALL("brk", 0);
	b.syscall.abi = b.call.abi = TRAP_ABI_I386;
	RETURNS((int32_t)0x8765f000);
	IS("brk(NULL) = 0x8765f000");
}

static void test_table(void)
{
	for (size_t i = 0; i < call_spec_count(); i++) {
		const struct call_spec *spec = call_spec_get(i);

		/* found by its name, so that no name is there twice */
		CHECK(call_spec_find(spec->name) == spec);
	}
	CHECK(!call_spec_find("") && !call_spec_find(NULL) && !call_spec_get(call_spec_count()));
	CHECK(call_spec_find("chown32") == call_spec_find("chown"));
	CHECK_STR(linux_errno_name(ENOENT), "ENOENT");
	CHECK_STR(linux_errno_name(EAGAIN), "EAGAIN");
	CHECK(!linux_errno_name(0) && !linux_errno_name(-1) && !linux_errno_name(4000));
}

int main(void)
{
	test_strings();
	test_buffers();
	test_vectors();
	test_records();
	test_sockets();
	test_numbers();
	test_variants();
	test_sets();
	test_signal_frame();
	test_unknown();
	test_i386();
	test_table();
	return 0;
}
