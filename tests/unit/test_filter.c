/* SPDX-License-Identifier: MIT */
/* test_filter.c - the filter language: what matches, what is refused and where, and that nothing is unbounded. */
#include "check.h"
#include "fd_object.h"
#include "filter.h"

static struct linux_syscall openat_call = {
	.nr = 257,
	.name = "openat",
	.nr_args = 4,
	.arg_names = {"dfd", "filename", "flags", "mode"},
	.arg_types = {"int", "const char *", "int", "umode_t"},
};

static struct call sample(void)
{
	struct call call = {
		.nr_known = true,
		.nr = 257,
		.syscall = &openat_call,
		.args = {(uint32_t)-100, 0x7fff12345678, 0x80000, 0},
		.args_known = true,
		.ret_known = true,
		.ret = -2,
		.vcpu = 1,
		.time_ns = 1767323045500000000ll,
		.duration_ns = 12500,
		.thread = {.pid = 231, .tid = 232, .ppid = 1, .exe = "/usr/bin/cat", .comm = "cat"},
	};

	return call;
}

static const struct filter_times times = {.start_ns = 1767323045000000000ll};

static bool matches(const char *text, const struct call *call, char dir)
{
	struct filter *filter = NULL;
	struct vmtape_error *error = filter_create(&filter, text, &times);
	bool result;

	if (error) {
		fprintf(stderr, "%s: %s\n", text, error->message);
		exit(1);
	}
	result = filter_match(filter, call, dir);
	filter_destroy(filter);
	return result;
}

static void test_descriptors(void)
{
	static const struct {
		const char *text;
		bool expected;
	} cases[] = {
		{"fd.num = 3 and fd.type = ipv4 and fd.l4proto = tcp", true},
		{"fd.name = '10.0.0.9:40000->10.0.0.2:80'", true},
		{"fd.name contains 10.0.0.2 and not fd.uncertain", true},
		{"fd.lip = 10.0.0.9 and fd.lport = 40000 and fd.rip = 10.0.0.2 and fd.rport = 80", true},
		{"fd.cip = 10.0.0.9 and fd.cport = 40000 and fd.sip = 10.0.0.2 and fd.sport = 80", true},
		{"fd.ip = 10.0.0.2 and fd.ip = 10.0.0.9 and fd.port in (80, 443)", true},
		{"fd.ip != 10.0.0.2", false},
		{"fd.ip != 10.0.0.3 and fd.port > 100", true},
		{"fd.port > 50000", false},
		{"proc.cwd = /home and proc.cmdline = 'cat notes' and proc.exepath endswith cat", true},
		{"user.uid = 1000 and proc.pidns = 4026531836", true},
		{"container.id = 0123456789ab and container.full_id startswith 0123456789abcdef", true},
		{"container.id = 0123456789abc", false},
	};
	struct fd_socket socket = {
		.family = 2,
		.type = 1,
		.role = FD_ROLE_CLIENT,
		.local = {true, 40000, {10, 0, 0, 9}},
		.peer = {true, 80, {10, 0, 0, 2}},
	};
	struct call_fds fds = {.args = 1};
	struct call call = sample();
	struct filter *filter;

	fds.objects[0] = fd_object_create_socket(&socket, "", 0);
	call.args[0] = 3;
	call.fds = &fds;
	call.thread.cwd = "/home";
	call.thread.cmdline = "cat notes";
	call.thread.container = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	call.thread.uid = 1000;
	call.thread.uid_known = true;
	call.thread.pidns = 4026531836;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (matches(cases[i].text, &call, 0) == cases[i].expected)
			continue;
		fprintf(stderr, "%s: not %s\n", cases[i].text, cases[i].expected ? "matched" : "refused");
		exit(1);
	}
	fds.uncertain = 1;
	CHECK(matches("fd.uncertain and fd.num = 3", &call, 0));
	call_fds_release(&fds);
	/* a descriptor of which nothing is known; and a call without any */
	CHECK(matches("fd.num = 3 and not fd.name exists and not fd.type exists and not fd.ip exists", &call, 0));
	CHECK(!matches("fd.name != /x", &call, 0) && !matches("fd.ip != 1.2.3.4", &call, 0));
	call.fds = NULL;
	CHECK(!matches("fd.num exists", &call, 0));
	CHECK(!filter_create(&filter, "proc.name = cat and evt.arg.fd = 3 and user.uid = 0", NULL));
	CHECK(!filter_needs_fds(filter));
	filter_destroy(filter);
	CHECK(!filter_create(&filter, "evt.type = read or not (fd.ip exists)", NULL));
	CHECK(filter_needs_fds(filter));
	filter_destroy(filter);
	CHECK(!filter_needs_fds(NULL));
}

static void test_matching(void)
{
	static const struct {
		const char *text;
		bool expected;
	} cases[] = {
		{"proc.name = cat", true},
		{"proc.name == \"cat\"", true},
		{"proc.name != cat", false},
		{"proc.name != 'dog'", true},
		{"proc.name = \"c\\at\"", true},
		{"proc.name contains a and proc.name startswith ca and proc.name endswith at", true},
		{"proc.name contains dog", false},
		{"proc.name startswith catalogue", false},
		{"proc.exe endswith /cat", true},
		{"proc.pid = 231 and thread.tid = 232 and proc.ppid = 1", true},
		{"proc.pid > 230 and proc.pid >= 231 and proc.pid < 232 and proc.pid <= 231", true},
		{"proc.pid > 231", false},
		{"proc.pid=0xe7", true},
		{"proc.pid in (1, 231)", true},
		{"not proc.pid in (1,2,3)", true},
		{"evt.type in (open, openat, \"openat2\")", true},
		{"evt.type = open", false},
		{"evt.failed", true},
		{"not evt.failed", false},
		{"evt.failed = false", false},
		{"evt.failed=true and evt.res = ENOENT", true},
		{"evt.res = -2 and evt.res < 0", true},
		{"evt.res = SUCCESS", false},
		{"evt.res != SUCCESS", true},
		{"evt.res in (EACCES, ENOENT)", true},
		{"evt.latency > 10us and evt.latency < 0.1ms", true},
		{"evt.latency = 12500", true},
		{"evt.latency >= 1s", false},
		{"evt.cpu = 1", true},
		{"evt.time >= 03:04:05 and evt.time < +1", true},
		{"evt.time < 2026-01-02T03:04:05Z", false},
		{"evt.state = complete and evt.abi = x86_64", true},
		{"evt.arg.dfd = -100", true},
		{"evt.arg.dfd = AT_FDCWD", true},
		{"evt.arg.0 = -100", true},
		{"evt.arg.filename = 0x7fff12345678", true},
		{"evt.arg.flags contains CLOEXEC", true},
		{"evt.arg.nothing exists", false},
		{"evt.arg.dfd exists and proc.name exists", true},
		{"evt.dir = >", true},
		{"evt.dir = '<'", false},
		/* and binds closer than or; not closer than both. */
		{"proc.name = cat or proc.name = dog and proc.pid = 1", true},
		{"(proc.name = cat or proc.name = dog) and proc.pid = 1", false},
		{"not proc.name = dog and proc.pid = 1", false},
		{"not (proc.name = dog and proc.pid = 1)", true},
		{"NOT proc.name = dog AND not not proc.pid = 231", true},
	};
	struct call call = sample();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (matches(cases[i].text, &call, '>') == cases[i].expected)
			continue;
		fprintf(stderr, "%s: not %s\n", cases[i].text, cases[i].expected ? "matched" : "refused");
		exit(1);
	}
	CHECK(filter_match(NULL, &call, 0));
}

/* A comparison with what is not known is false, whichever way it is put. */
static void test_unknown(void)
{
	struct call call = sample();

	call.thread = (struct call_thread){.pid = -1, .tid = -1, .ppid = -1, .exe = ""};
	call.ret_known = call.args_known = false;
	call.duration_ns = call.time_ns = -1;
	CHECK(!matches("proc.pid = -1", &call, 0));
	CHECK(!matches("proc.pid != 5", &call, 0));
	CHECK(!matches("proc.name != cat", &call, 0));
	CHECK(!matches("evt.failed", &call, 0));
	CHECK(!matches("evt.failed = false", &call, 0));
	CHECK(!matches("evt.latency >= 0", &call, 0));
	CHECK(!matches("evt.dir != >", &call, 0));
	CHECK(matches("not proc.pid exists", &call, 0));
	CHECK(!matches("evt.arg.dfd = -100", &call, 0));
	call.syscall = NULL;
	CHECK(matches("evt.type = syscall_257", &call, 0));
}

static void test_errors(void)
{
	static const struct {
		const char *text;
		unsigned column;
		const char *part;
	} cases[] = {
		{"", 1, "a field"},
		{"   ", 4, "the end"},
		{"proc.name", 10, "operator"},
		{"proc.name =", 12, "a value"},
		{"proc.name = cat proc", 17, "and, or"},
		{"proc.colour = red", 1, "proc.colour"},
		{"evt.arg. = 1", 1, "evt.arg."},
		{"proc.pid = many", 12, "number"},
		{"proc.pid contains 1", 10, "text"},
		{"proc.name > cat", 11, "order"},
		{"proc.name = \"cat", 13, "not closed"},
		{"(proc.name = cat", 17, "column 1"},
		{"proc.name = cat)", 16, "and, or"},
		{"proc.name in cat", 14, "'('"},
		{"proc.name in (cat dog)", 19, "','"},
		{"proc.name in ()", 15, "a value"},
		{"proc.name ! cat", 11, "!="},
		{"evt.res = ENOSUCHTHING", 11, "ENOENT"},
		{"evt.latency > fast", 15, "time span"},
		{"evt.time > soon", 12, "HH:MM"},
		{"evt.failed = maybe", 14, "true or false"},
		{"and", 1, "field"},
		{"proc.name = cat and", 20, "the end"},
	};
	char column[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter *filter = NULL;
		struct vmtape_error *error = filter_create(&filter, cases[i].text, &times);

		if (!error) {
			fprintf(stderr, "\"%s\" was taken\n", cases[i].text);
			exit(1);
		}
		snprintf(column, sizeof(column), "column %u:", cases[i].column);
		if (error->code != VMTAPE_ERROR_USAGE || !strstr(error->message, column) ||
		    !strstr(error->message, cases[i].part)) {
			fprintf(stderr, "\"%s\": %s (expected %s … %s)\n", cases[i].text, error->message, column,
				cases[i].part);
			exit(1);
		}
		vmtape_error_destroy(error);
	}
}

static void check_refused(const char *text, const char *part)
{
	struct filter *filter = NULL;
	struct vmtape_error *error = filter_create(&filter, text, &times);

	CHECK(error);
	CHECK(strstr(error->message, part));
	vmtape_error_destroy(error);
}

static void test_bounds(void)
{
	static char text[FILTER_MAX_BYTES + 64];
	struct call call = sample();
	size_t n = 0;

	for (int i = 0; i < 90; i++)
		n += (size_t)sprintf(text + n, "(");
	n += (size_t)sprintf(text + n, "proc.pid=231");
	for (int i = 0; i < 90; i++)
		n += (size_t)sprintf(text + n, ")");
	CHECK(matches(text, &call, 0));
	memset(text, '(', 200);
	text[200] = '\0';
	check_refused(text, "nested");
	for (n = 0; n < 4 * 98; n += 4)
		memcpy(text + n, "not ", 4);
	strcpy(text + n, "proc.pid=231");
	CHECK(matches(text, &call, 0));
	for (n = 0; n + 4 < 500; n += 4)
		memcpy(text + n, "not ", 4);
	strcpy(text + n, "proc.pid=1");
	check_refused(text, "nested");
	memset(text, ' ', FILTER_MAX_BYTES + 1);
	text[FILTER_MAX_BYTES + 1] = '\0';
	check_refused(text, "longer");
	/* A list as long as it fits. */
	n = (size_t)sprintf(text, "proc.pid in (1");
	while (n < FILTER_MAX_BYTES - 8)
		n += (size_t)sprintf(text + n, ",1");
	strcpy(text + n, ")");
	check_refused(text, "terms");
}

int main(void)
{
	test_matching();
	test_descriptors();
	test_unknown();
	test_errors();
	test_bounds();
	return 0;
}
