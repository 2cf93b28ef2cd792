/* SPDX-License-Identifier: MIT */
#include "fds_fixture.h"

#include "call_fd_text.h"
#include "check.h"

struct processes *fds_table;
static struct linux_syscall syscalls[TRAP_ABIS][512];
static struct fd_call calls[TRAP_ABIS][512];
struct call_fds fds_last;
bool fds_last_cwd_uncertain;
uint64_t fds_now;

static void on_gone(void *ctx, uint64_t task)
{
}

static const struct fd_call *spec(uint8_t abi, uint64_t nr)
{
	struct linux_syscall *syscall;

	CHECK(nr < 512);
	syscall = &syscalls[abi][nr];
	if (!syscall->name) {
		*syscall = (struct linux_syscall){
			.nr = (uint32_t)nr, .abi = abi, .name = linux_syscall_name(abi, (uint32_t)nr), .nr_args = -1};
		fd_call_of(syscall, &calls[abi][nr]);
	}
	return &calls[abi][nr];
}

void fds_feed(struct fixture_record r)
{
	struct trap_view view = fixture_view(&r);
	enum call_role role =
		r.type == TRAP_ENTER ? call_role_of(linux_syscall_name(r.abi, (uint32_t)r.nr)) : CALL_ROLE_NONE;

	FIXTURE_OK(processes_before(fds_table, &view));
	call_fds_release(&fds_last);
	fds_last = (struct call_fds){0};
	if (r.type == TRAP_ENTER)
		process_fds_enter(fds_table, &view, spec(r.abi, r.nr), &fds_last);
	else if (r.type == TRAP_EXIT)
		process_fds_exit(fds_table, &view, spec(r.abi, r.nr), &fds_last);
	FIXTURE_OK(processes_after(fds_table, &view, role));
}

void fds_start(void)
{
	FIXTURE_OK(processes_create(&fds_table, on_gone, NULL));
	CHECK(process_fds_want(fds_table));
}

void fds_stop(void)
{
	call_fds_release(&fds_last);
	fds_last = (struct call_fds){0};
	processes_destroy(fds_table);
}

struct fixture_record fds_entry(int32_t pid, int32_t tid, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct fixture_record r = fixture_enter(++fds_now, pid, tid, nr);

	r.args[0] = a;
	r.args[1] = b;
	r.args[2] = c;
	return r;
}

void fds_bytes(struct fixture_record *r, uint8_t label, const void *bytes, size_t n)
{
	r->fragments[r->nr_fragments++] = (struct fixture_fragment){
		.label = label, .status = TRAP_FRAG_WHOLE, .gva = 0x1000, .bytes = bytes, .len_bytes = (uint16_t)n};
}

void fds_enter_path(int32_t pid, int32_t tid, uint64_t nr, const char *path)
{
	struct fixture_record r = fds_entry(pid, tid, nr, 0x1000, 0, 0);

	fds_bytes(&r, PLAN_LABEL_ARG0, path, strlen(path));
	fds_feed(r);
}

void fds_path(int32_t pid, uint64_t nr, const char *path, int64_t ret)
{
	fds_enter_path(pid, pid, nr, path);
	fds_leave(pid, pid, nr, ret);
}

void fds_enter_open(int32_t pid, int32_t tid, const char *path, uint64_t flags)
{
	struct fixture_record r = fds_entry(pid, tid, NR_OPENAT, AT_FDCWD_, 0x1000, flags);

	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, path, strlen(path));
	fds_feed(r);
}

void fds_leave(int32_t pid, int32_t tid, uint64_t nr, int64_t ret)
{
	fds_feed(fixture_exit(++fds_now, pid, tid, nr, ret));
}

void fds_open(int32_t pid, const char *path, uint64_t flags, int64_t fd)
{
	fds_enter_open(pid, pid, path, flags);
	fds_leave(pid, pid, NR_OPENAT, fd);
}

void fds_call(int32_t pid, int32_t tid, uint64_t nr, uint64_t a, uint64_t b, int64_t ret)
{
	fds_feed(fds_entry(pid, tid, nr, a, b, 0));
	fds_leave(pid, tid, nr, ret);
}

const char *fds_shown(int32_t pid, int32_t tid, uint64_t fd)
{
	static struct strbuf text;

	fds_feed(fds_entry(pid, tid, NR_LSEEK, fd, 0, 0));
	fds_last_cwd_uncertain = fds_last.cwd_uncertain;
	strbuf_reset(&text);
	if (!fds_last.objects[0])
		strbuf_put(&text, "-");
	else
		fd_object_put_label(fds_last.objects[0], &text);
	if (fds_last.uncertain & 1)
		strbuf_put_char(&text, '?');
	fds_leave(pid, tid, NR_LSEEK, 0);
	return text.data;
}

void fds_gap(uint64_t last_tsc)
{
	struct fixture_record r = {.type = TRAP_GAP, .tsc = ++fds_now};

	r.gap = (struct trap_gap){.lost_records = 3, .first_tsc = fds_now, .last_tsc = last_tsc ? last_tsc : fds_now};
	fds_feed(r);
}

void fds_identity(int32_t pid, int32_t tid, int32_t parent)
{
	struct fixture_record r = fixture_enter(++fds_now, pid, tid, 0);
	uint64_t word = (uint64_t)parent << 32 | (uint32_t)parent;
	char name[16] = "child";

	r.type = TRAP_IDENTITY;
	fds_bytes(&r, PLAN_LABEL_COMM, name, sizeof(name));
	fds_bytes(&r, PLAN_LABEL_PARENT, &word, 8);
	fds_feed(r);
}
