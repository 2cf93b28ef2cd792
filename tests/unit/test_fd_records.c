/* SPDX-License-Identifier: MIT */
/*
 * What was read from descriptors that carry structs: laid out by this host's own
 * headers; cut, of wrong lengths, and of descriptors that are not known for sure.
 */
#include <linux/fanotify.h>
#include <signal.h>
#include <stddef.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#include "call_builder.h"
#include "check.h"
#include "linux/arg_decode.h"

#define BUFFER 0x7ffe0000u

static struct call_builder b;
static struct call_fds fds;

static void begin(const char *name, enum fd_kind kind, uint64_t asked)
{
	call_builder_init(&b, TRAP_ABI_X86_64, name);
	b.call.args[0] = 5;
	b.call.args[1] = BUFFER;
	b.call.args[2] = asked;
	call_fds_release(&fds);
	memset(&fds, 0, sizeof(fds));
	fds.args = 1;
	fds.objects[0] = fd_object_create(kind, "a", 1);
	CHECK(fds.objects[0]);
	b.call.fds = &fds;
	b.call.show_fds = true;
}

static void check_line(int line, const char *expected)
{
	struct strbuf out = {0};

	call_args_text(&b.call, &out);
	if (strcmp(out.data, expected)) {
		fprintf(stderr, "%s:%d:\n  %s\n  is not\n  %s\n", __FILE__, line, out.data, expected);
		exit(1);
	}
	strbuf_deinit(&out);
}
#define IS(expected) check_line(__LINE__, expected)

/* What read() has brought: len bytes of ret. */
static void brings(const void *bytes, size_t len, int64_t ret)
{
	CHECK(record_builder_add(&b.exit, PLAN_LABEL_ARG0 + 1, len < (size_t)ret ? TRAP_FRAG_CUT : TRAP_FRAG_WHOLE,
				 BUFFER, (uint32_t)ret, bytes, len));
	call_builder_finish(&b, true, ret);
}

static size_t add_notice(uint8_t *out, uint32_t mask, const char *name, uint32_t len)
{
	struct inotify_event event = {.wd = 3, .mask = mask, .cookie = 7, .len = len};

	memcpy(out, &event, sizeof(event));
	memset(out + sizeof(event), 0, len);
	memcpy(out + sizeof(event), name, strlen(name));
	return sizeof(event) + len;
}

static void test_inotify(void)
{
	uint8_t bytes[256];
	size_t n = add_notice(bytes, IN_CREATE, "x\ny", 16), all;

	all = n + add_notice(bytes + n, IN_MOVED_TO | IN_ISDIR, "", 0);
	begin("read", FD_INOTIFY, 4096);
	brings(bytes, all, (int64_t)all);
	IS("5<a>, [{wd=3, mask=IN_CREATE, cookie=7, name=\"x\\ny\"}, {wd=3, mask=IN_MOVED_TO|IN_ISDIR, cookie=7}], "
	   "4096");
	/* the second one was not captured in whole */
	begin("read", FD_INOTIFY, 4096);
	brings(bytes, all - 1, (int64_t)all);
	IS("5<a>, [{wd=3, mask=IN_CREATE, cookie=7, name=\"x\\ny\"}, ...], 4096");
	/* a length that is more than there is */
	add_notice(bytes, IN_CREATE, "", 0);
	memcpy(bytes + offsetof(struct inotify_event, len), "\xff\xff\xff\xff", 4);
	begin("read", FD_INOTIFY, 16);
	brings(bytes, 16, 16);
	IS("5<a>, \"\\3\\0\\0\\0\\0\\1\\0\\0\\7\\0\\0\\0\\377\\377\\377\\377\", 16");
	/* of another descriptor, maybe */
	begin("read", FD_INOTIFY, 16);
	fds.uncertain = 1;
	brings("abcdefghijklmnop", 16, 16);
	IS("5<a?>, \"abcdefghijklmnop\", 16");
	begin("read", FD_FILE, 16);
	brings("abcdefghijklmnop", 16, 16);
	IS("5<a>, \"abcdefghijklmnop\", 16");
}

static void test_numbers(void)
{
	uint64_t number = 5;

	begin("read", FD_EVENTFD, 8);
	brings(&number, 8, 8);
	IS("5<a>, [5], 8");
	begin("read", FD_TIMERFD, 8);
	brings(&number, 8, 8);
	IS("5<a>, [5], 8");
	begin("write", FD_EVENTFD, 8);
	record_builder_add(&b.enter, PLAN_LABEL_ARG0 + 1, TRAP_FRAG_WHOLE, BUFFER, 8, &number, 8);
	call_builder_finish(&b, true, 8);
	IS("5<a>, [5], 8");
	/* the kernel takes eight bytes of more */
	begin("read", FD_EVENTFD, 64);
	brings(&number, 4, 8);
	IS("5<a>, \"\\5\\0\\0\\0\"..., 64");
	begin("write", FD_TIMERFD, 8);
	record_builder_add(&b.enter, PLAN_LABEL_ARG0 + 1, TRAP_FRAG_WHOLE, BUFFER, 8, "12345678", 8);
	call_builder_finish(&b, true, -22);
	IS("5<a>, \"12345678\", 8");
}

static void test_signals(void)
{
	struct signalfd_siginfo info[2] = {
		{.ssi_signo = SIGCHLD, .ssi_code = CLD_EXITED, .ssi_pid = 9, .ssi_uid = 1, .ssi_status = 3},
		{.ssi_signo = SIGRTMIN, .ssi_code = SI_QUEUE, .ssi_pid = 8, .ssi_int = -2, .ssi_ptr = 0xfe},
	};

	begin("read", FD_SIGNALFD, sizeof(info));
	brings(info, sizeof(info), sizeof(info));
	IS("5<a>, [{ssi_signo=SIGCHLD, ssi_code=CLD_EXITED, ssi_pid=9, ssi_uid=1, ssi_status=3}, "
	   "{ssi_signo=SIGRT_2, ssi_code=SI_QUEUE, ssi_pid=8, ssi_uid=0, ssi_int=-2, ssi_ptr=0xfe}], 256");
	begin("read", FD_SIGNALFD, sizeof(info));
	brings(info, 200, sizeof(info));
	IS("5<a>, [{ssi_signo=SIGCHLD, ssi_code=CLD_EXITED, ssi_pid=9, ssi_uid=1, ssi_status=3}, ...], 256");
}

/* An event with one piece of information behind it: type, and what follows its head. */
static size_t make_fanotify(uint8_t *out, uint8_t type, const void *info, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;
	struct fanotify_event_metadata event = {
		.event_len = (uint32_t)(sizeof(event) + (len ? 4 + padded : 0)),
		.vers = FANOTIFY_METADATA_VERSION,
		.metadata_len = sizeof(event),
		.mask = FAN_OPEN | FAN_ONDIR,
		.fd = FAN_NOFD,
		.pid = 77,
	};
	struct fanotify_event_info_header head = {.info_type = type, .len = (uint16_t)(4 + padded)};

	memcpy(out, &event, sizeof(event));
	memcpy(out + sizeof(event), &head, sizeof(head));
	memset(out + sizeof(event) + 4, 0, padded);
	if (len)
		memcpy(out + sizeof(event) + 4, info, len);
	return event.event_len;
}

#define EVENT "{vers=3, mask=FAN_OPEN|FAN_ONDIR, fd=-1, pid=77"

static void test_fanotify(void)
{
	static const char named[] = "\1\0\0\0\2\0\0\0" /* file system */
				    "\4\0\0\0\1\0\0\0" /* bytes and type of the handle */
				    "\xde\xad\xbe\xef"
				    "name";
	struct fanotify_response response = {.fd = 6, .response = FAN_DENY};
	uint8_t bytes[128];
	size_t n = make_fanotify(bytes, 0, NULL, 0);

	begin("read", FD_FANOTIFY, 4096);
	brings(bytes, n, (int64_t)n);
	IS("5<a>, [" EVENT "}], 4096");
	n = make_fanotify(bytes, FAN_EVENT_INFO_TYPE_PIDFD, "\6\0\0\0", 4);
	begin("read", FD_FANOTIFY, 4096);
	brings(bytes, n, (int64_t)n);
	IS("5<a>, [" EVENT ", info=[{info_type=FAN_EVENT_INFO_TYPE_PIDFD, pidfd=6}]}], 4096");
	n = make_fanotify(bytes, FAN_EVENT_INFO_TYPE_DFID_NAME, named, sizeof(named));
	begin("read", FD_FANOTIFY, 4096);
	brings(bytes, n, (int64_t)n);
	IS("5<a>, [" EVENT ", info=[{info_type=FAN_EVENT_INFO_TYPE_DFID_NAME, fsid={val=[0x1, 0x2]}, handle_type=1, "
	   "f_handle=0xdeadbeef, name=\"name\"}]}], 4096");
	/* a handle that is longer than what holds it, and information that is */
	bytes[sizeof(struct fanotify_event_metadata) + 4 + 8] = 200;
	begin("read", FD_FANOTIFY, 4096);
	brings(bytes, n, (int64_t)n);
	IS("5<a>, [" EVENT ", info=[{info_type=FAN_EVENT_INFO_TYPE_DFID_NAME, fsid={val=[0x1, 0x2]}, handle_type=1, "
	   "f_handle=0xdeadbeef6e616d6500000000}]}], 4096");
	bytes[sizeof(struct fanotify_event_metadata) + 2] = 200;
	begin("read", FD_FANOTIFY, 4096);
	brings(bytes, n, (int64_t)n);
	IS("5<a>, [" EVENT ", info=[...]}], 4096");
	bytes[sizeof(struct fanotify_event_metadata) + 2] = 0;
	begin("read", FD_FANOTIFY, 4096);
	brings(bytes, n, (int64_t)n);
	IS("5<a>, [" EVENT ", info=[...]}], 4096");

	begin("write", FD_FANOTIFY, sizeof(response));
	record_builder_add(&b.enter, PLAN_LABEL_ARG0 + 1, TRAP_FRAG_WHOLE, BUFFER, sizeof(response), &response,
			   sizeof(response));
	call_builder_finish(&b, true, sizeof(response));
	IS("5<a>, [{fd=6, response=FAN_DENY}], 8");
}

/* Programs get both: the bytes as text, and the records. */
static void test_records_alone(void)
{
	struct strbuf out = {0};
	uint64_t number = 1;

	begin("read", FD_EVENTFD, 8);
	b.call.show_fds = false;
	brings(&number, 8, 8);
	IS("5, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8");
	CHECK(call_arg_records(&b.call, 1, &out));
	CHECK_STR(out.data, "[1]");
	strbuf_reset(&out);
	CHECK(!call_arg_records(&b.call, 0, &out) && !call_arg_records(&b.call, 2, &out));
	b.call.fds = NULL;
	CHECK(!call_arg_records(&b.call, 1, &out));
	begin("pread64", FD_EVENTFD, 8);
	brings(&number, 8, 8);
	CHECK(!call_arg_records(&b.call, 1, &out));
	CHECK_INT(out.len, 0);
	strbuf_deinit(&out);
}

int main(void)
{
	test_inotify();
	test_numbers();
	test_signals();
	test_fanotify();
	test_records_alone();
	call_fds_release(&fds);
	return 0;
}
