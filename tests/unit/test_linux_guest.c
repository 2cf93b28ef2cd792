/* SPDX-License-Identifier: MIT */
/* A guest made by hand is identified and described whole; damaged or half-booted ones give errors that say why. */
#include "check.h"
#include "linux/linux_state.h"
#include "linux/linux_vmas.h"
#include "linux_guest_fixture.h"
#include "plan.h"

static struct linux_guest *identify(struct linux_guest_fixture *f)
{
	struct linux_guest *guest;
	struct vmtape_error *error = linux_guest_identify(&guest, f->memory, &f->vcpu, 1, NULL);

	if (error)
		fprintf(stderr, "%s\n", error->message);
	CHECK(!error);
	return guest;
}

static void expect(struct vmtape_error *error, enum vmtape_error_code code, const char *part)
{
	CHECK(error != NULL);
	if (!strstr(error->message, part))
		fprintf(stderr, "message: %s\n", error->message);
	CHECK_INT(error->code, code);
	CHECK(strstr(error->message, part));
	vmtape_error_destroy(error);
}

static void check_facts(const struct linux_guest *guest, const struct linux_guest_fixture *f)
{
	const struct linux_guest_facts *facts = linux_guest_facts(guest);
	uint32_t offset, size;
	gva_t gva;

	CHECK_STR(facts->banner, "Linux version 6.66.0-test (builder@host) #1 SMP");
	CHECK_STR(facts->release, "6.66.0-test");
	CHECK_INT(facts->text.v, FIXTURE_TEXT);
	CHECK_INT(facts->text_gpa.v, FIXTURE_TEXT_GPA);
	CHECK_INT(facts->kaslr_slide, FIXTURE_SLIDE);
	CHECK_INT(facts->levels, f->levels);
	CHECK_INT(facts->pti, f->pti);
	CHECK_INT(facts->booting, f->booting);
	CHECK_INT(facts->kernel_cr3_mask, f->pti ? ~0x1800ull : ~0ull);
	CHECK_INT(facts->kernel_space.cr3, FIXTURE_TOP_GPA);
	CHECK_INT(facts->page_offset.v, f->direct_map);
	CHECK(facts->nr_symbols > 30);
	CHECK(f->no_btf ? !facts->nr_types : facts->nr_types > 20);
	CHECK(linux_guest_symbol(guest, "init_task", &gva));
	CHECK_INT(gva.v, f->init_task);
	CHECK(!linux_guest_symbol(guest, "init_tas", &gva));
	if (f->no_btf) {
		expect(linux_guest_member(guest, "task_struct", "pid", &offset, &size), VMTAPE_ERROR_NOT_FOUND, "BTF");
		return;
	}
	CHECK(!linux_guest_member(guest, "task_struct", "comm", &offset, &size));
	CHECK_INT(offset, TASK_COMM);
	CHECK_INT(size, 16);
	CHECK(!linux_guest_type_size(guest, "task_struct", &size));
	CHECK_INT(size, TASK_BYTES);
}

static void check_calls(const struct linux_guest *guest)
{
	const struct linux_syscall *call = linux_guest_syscall(guest, TRAP_ABI_X86_64, 257);

	CHECK(call);
	CHECK_STR(call->name, "openat");
	CHECK_INT(call->nr_args, 4);
	CHECK_STR(call->arg_types[1], "const char *");
	CHECK_STR(call->arg_names[3], "mode");
	CHECK(!call->arg_names[4]);
	/* Not in the array by number, but a symbol has it. */
	call = linux_guest_syscall(guest, TRAP_ABI_X86_64, 0);
	CHECK(call);
	CHECK_STR(call->name, "read");
	CHECK_STR(call->arg_types[2], "size_t");
	/* The kernel's name is an alias of the user's. */
	call = linux_guest_syscall(guest, TRAP_ABI_X86_64, 4);
	CHECK(call);
	CHECK_STR(call->name, "stat");
	CHECK_STR(call->kernel_name, "newstat");
	CHECK_INT(linux_guest_syscall_nr(guest, TRAP_ABI_X86_64, "stat"), 4);
	CHECK_INT(linux_guest_syscall_nr(guest, TRAP_ABI_X86_64, "newstat"), 4);
	CHECK_INT(linux_guest_syscall_nr(guest, TRAP_ABI_X86_64, "write"), -1);
	CHECK(!linux_guest_syscall(guest, TRAP_ABI_X86_64, 1)); /* sys_ni_syscall */
	CHECK(!linux_guest_syscall(guest, TRAP_ABI_X86_64, FIXTURE_NR_CALLS));
	CHECK(!linux_guest_syscall(guest, TRAP_ABIS, 0));
	CHECK_INT(linux_guest_nr_syscalls(guest, TRAP_ABI_X32), 0);

	/* i386, which has no table here: by the rules from uapi names to functions. */
	call = linux_guest_syscall(guest, TRAP_ABI_I386, 295);
	CHECK(call);
	CHECK_STR(call->name, "openat");
	CHECK_STR(call->arg_names[1], "filename");
	call = linux_guest_syscall(guest, TRAP_ABI_I386, 106);
	CHECK(call);
	CHECK_STR(call->name, "stat");
	CHECK_STR(call->kernel_name, "newstat");
	call = linux_guest_syscall(guest, TRAP_ABI_I386, 89);
	CHECK(call);
	CHECK_STR(call->name, "readdir");
	CHECK_STR(call->kernel_name, "old_readdir");
	call = linux_guest_syscall(guest, TRAP_ABI_I386, 240);
	CHECK(call);
	CHECK_STR(call->kernel_name, "futex_time32");
	/* Its arguments stand in another order than the 64-bit call's. */
	call = linux_guest_syscall(guest, TRAP_ABI_I386, 120);
	CHECK(call);
	CHECK_STR(call->arg_names[3], "tls");
	CHECK_STR(call->arg_types[4], "int *");
	CHECK(!linux_guest_syscall(guest, TRAP_ABI_I386, 4)); /* write */
}

static void check_identity(const struct linux_guest *guest, const struct linux_guest_fixture *f)
{
	struct plan_task task;
	struct plan_step steps[PLAN_MAX_CALL_STEPS];
	struct plan_builder *builder;
	struct plan_error error;
	size_t n, size;
	void *plan;

	CHECK(!linux_guest_plan_task(guest, &task));
	CHECK_INT(task.flags, PLAN_TASK_VALID | PLAN_TASK_ID_VALID);
	CHECK_INT(task.base, TRAP_REG_KERNEL_GS_BASE);
	CHECK_INT(task.offset, f->pcpu_hot ? 0x580 + 24 : 0x580);
	CHECK_INT(task.id_offset, TASK_PID);
	CHECK_INT(task.kernel_cr3_mask, f->pti ? ~0x1800ull : ~0ull);

	expect(linux_guest_identity_steps(guest, steps, 4, &n), VMTAPE_ERROR_USAGE, "room");
	CHECK(!linux_guest_identity_steps(guest, steps, PLAN_MAX_CALL_STEPS, &n));
	CHECK_INT(n, 11);
	CHECK_INT(steps[0].op, PLAN_OP_STRING);
	CHECK_INT(steps[0].offset, TASK_COMM);
	CHECK_INT(steps[0].label, PLAN_LABEL_COMM);
	CHECK_INT(steps[1].offset, TASK_REAL_PARENT);
	CHECK_INT(steps[2].base, PLAN_SRC_VALUE | 1);
	CHECK_INT(steps[2].offset, TASK_PID);
	CHECK_INT(steps[2].label, PLAN_LABEL_PARENT);
	CHECK_INT(steps[3].offset, TASK_START);
	CHECK_INT(steps[4].offset, TASK_MM);
	CHECK_INT(steps[4].label, PLAN_LABEL_MM);
	CHECK_INT(steps[6].base, PLAN_SRC_VALUE | 5);
	CHECK_INT(steps[6].offset, 200); /* mm_struct.exe_file */
	CHECK_INT(steps[7].base, PLAN_SRC_VALUE | 6);
	CHECK_INT(steps[7].offset, 64); /* file.f_path */
	CHECK_INT(steps[7].label, PLAN_LABEL_EXE);
	CHECK_INT(steps[8].offset, 72);
	CHECK_INT(steps[10].base, PLAN_SRC_VALUE | 9);
	CHECK_INT(steps[10].label, PLAN_LABEL_EXE);

	/* The validator has the last word. */
	CHECK(!plan_builder_create(&builder, 1));
	plan_builder_set_task(builder, &task);
	CHECK(!plan_builder_set_steps(builder, PLAN_IDENTITY, steps, n));
	if (plan_builder_finish(builder, &plan, &size, &error)) {
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	free(plan);
	plan_builder_destroy(builder);
}

#define MAX_SEEN 16
struct seen {
	struct linux_task tasks[MAX_SEEN];
	struct linux_fd fds[MAX_SEEN];
	unsigned nr_tasks, nr_fds;
};

static void see_task(void *ctx, const struct linux_task *task)
{
	struct seen *seen = ctx;

	if (seen->nr_tasks < MAX_SEEN)
		seen->tasks[seen->nr_tasks] = *task;
	seen->nr_tasks++;
}

static void see_fd(void *ctx, const struct linux_fd *fd)
{
	struct seen *seen = ctx;

	if (seen->nr_fds < MAX_SEEN)
		seen->fds[seen->nr_fds] = *fd;
	seen->nr_fds++;
}

static void see_vma(void *ctx, const struct linux_vma *vma)
{
	size_t len = strlen(ctx);

	snprintf((char *)ctx + len, 512 - len, "%" PRIx64 "-%" PRIx64 " %s%s%s%s %" PRIx64 " %s\n", vma->start,
		 vma->end, vma->read ? "r" : "-", vma->write ? "w" : "-", vma->exec ? "x" : "-",
		 vma->shared ? "s" : "p", vma->offset_bytes, vma->file);
}

static void check_regions(const struct linux_guest *guest, const struct linux_guest_fixture *f)
{
	char text[512] = "";
	struct linux_mm mm;
	bool has_mm;

	CHECK(!linux_guest_vmas(guest, f->memory, GVA(f->leader), &mm, &has_mm, see_vma, text));
	CHECK(has_mm);
	CHECK_INT(mm.brk, 0x600800);
	CHECK_STR(text, "400000-402000 r-xp 1000 /mnt/bin/app\n600000-601000 rw-p 0 \n7ffe0000-7fff0000 rw-s 0 \n");
	CHECK(!linux_guest_vmas(guest, f->memory, GVA(f->kthread), &mm, &has_mm, see_vma, text));
	CHECK(!has_mm);
}

/* Nodes that lead to themselves, or whose pivots fall, end the walk with an error. */
static void check_broken_tree(const struct linux_guest *guest, struct linux_guest_fixture *f)
{
	char text[512] = "";
	struct linux_mm mm;
	bool has_mm;
	struct vmtape_error *error;

	linux_guest_fixture_put(f, (f->maple_leaf & ~255ull) + 16, 0x1000, 8);
	linux_guest_fixture_reopen(f);
	error = linux_guest_vmas(guest, f->memory, GVA(f->leader), &mm, &has_mm, see_vma, text);
	CHECK(error && strstr(error->message, "pivots"));
	vmtape_error_destroy(error);
}

static void check_circle(const struct linux_guest *guest, struct linux_guest_fixture *f)
{
	char text[512] = "";
	struct linux_mm mm;
	bool has_mm;
	struct vmtape_error *error;

	linux_guest_fixture_put(f, f->last_vma + 16, f->first_vma, 8);
	linux_guest_fixture_reopen(f);
	error = linux_guest_vmas(guest, f->memory, GVA(f->leader), &mm, &has_mm, see_vma, text);
	CHECK(error && strstr(error->message, "begins before"));
	vmtape_error_destroy(error);
}

static void check_tasks(const struct linux_guest *guest, const struct linux_guest_fixture *f)
{
	struct seen seen = {.nr_tasks = 0};

	CHECK(!linux_guest_tasks(guest, f->memory, see_task, &seen));
	CHECK_INT(seen.nr_tasks, 4);
	CHECK_INT(seen.tasks[0].pid, 2);
	CHECK_STR(seen.tasks[0].comm, "kthreadd");
	CHECK(seen.tasks[0].kernel_thread && !seen.tasks[0].exiting);
	CHECK_INT(seen.tasks[0].cr3, 0);
	CHECK_STR(seen.tasks[0].exe, "");

	CHECK_INT(seen.tasks[1].task.v, f->leader);
	CHECK_INT(seen.tasks[1].pid, 100);
	CHECK_INT(seen.tasks[1].tgid, 100);
	CHECK_INT(seen.tasks[1].ppid, 0);
	CHECK_INT(seen.tasks[1].uid, 1100);
	CHECK_INT(seen.tasks[1].start_ns, 100 * 1000000007ull);
	CHECK_INT(seen.tasks[1].cr3, FIXTURE_PGD_GPA);
	CHECK_STR(seen.tasks[1].exe, "/mnt/bin/app");

	CHECK_INT(seen.tasks[2].pid, 101);
	CHECK_INT(seen.tasks[2].tgid, 100);
	CHECK_STR(seen.tasks[2].comm, "app-\x1b[0m worker");
	CHECK_STR(seen.tasks[2].exe, "/mnt/bin/app");

	CHECK_INT(seen.tasks[3].pid, 103);
	CHECK_INT(seen.tasks[3].ppid, 100);
	CHECK(seen.tasks[3].exiting && !seen.tasks[3].kernel_thread);

	CHECK(!linux_guest_fds(guest, f->memory, GVA(f->leader), see_fd, &seen));
	CHECK_INT(seen.nr_fds, 7);
	CHECK_STR(seen.fds[0].path, "/");
	CHECK_INT(seen.fds[0].flags, 0200000);
	CHECK_INT(seen.fds[1].fd, 1);
	CHECK_STR(seen.fds[1].path, "/gone (deleted)");
	CHECK_INT(seen.fds[2].fd, 3);
	CHECK_STR(seen.fds[2].path, "pipe:[4711]");
	CHECK_STR(seen.fds[3].path, "socket:[815]");
	CHECK_STR(seen.fds[4].path, "anon_inode:[eventpoll]");
	CHECK_STR(seen.fds[5].path, "/memfd:x (deleted)");
	CHECK_INT(seen.fds[6].fd, 1000);

	seen.nr_fds = 0;
	CHECK(!linux_guest_fds(guest, f->memory, GVA(f->kthread), see_fd, &seen));
	CHECK_INT(seen.nr_fds, 0);
}

static void whole_guests(void)
{
	for (unsigned i = 0; i < 16; i++) {
		struct linux_guest_fixture f = {
			.levels = i & 1 ? 5 : 4,
			.pti = i & 2,
			.pcpu_hot = i & 4,
			.booting = i % 3 == 1,
			.addresses_first = i & 8,
			.maple = i & 2,
		};
		struct linux_guest *guest;

		linux_guest_fixture_build(&f);
		guest = identify(&f);
		check_facts(guest, &f);
		check_calls(guest);
		check_identity(guest, &f);
		check_tasks(guest, &f);
		check_regions(guest, &f);
		if (f.maple)
			check_broken_tree(guest, &f);
		else
			check_circle(guest, &f);
		linux_guest_destroy(guest);
		linux_guest_fixture_deinit(&f);
	}
	linux_guest_destroy(NULL);
}

static void poor_guests(void)
{
	struct linux_guest_fixture f = {.levels = 4, .no_metadata = true};
	const struct linux_syscall *call;
	struct seen seen = {.nr_tasks = 0};
	struct linux_guest *guest;
	struct plan_task task;

	linux_guest_fixture_build(&f);
	guest = identify(&f);
	CHECK_INT(linux_guest_facts(guest)->nr_syscall_names, 0);
	call = linux_guest_syscall(guest, TRAP_ABI_X86_64, 4);
	CHECK(call);
	CHECK_STR(call->name, "stat");
	CHECK_STR(call->kernel_name, "newstat");
	CHECK_INT(call->nr_args, -1);
	CHECK(!linux_guest_syscall(guest, TRAP_ABI_X86_64, 1));
	linux_guest_destroy(guest);
	linux_guest_fixture_deinit(&f);

	f = (struct linux_guest_fixture){.levels = 4, .no_btf = true};
	linux_guest_fixture_build(&f);
	guest = identify(&f);
	check_facts(guest, &f);
	call = linux_guest_syscall(guest, TRAP_ABI_X86_64, 257);
	CHECK(call);
	CHECK_STR(call->name, "openat");
	CHECK_INT(call->nr_args, -1);
	expect(linux_guest_plan_task(guest, &task), VMTAPE_ERROR_NOT_FOUND, "BTF");
	expect(linux_guest_tasks(guest, f.memory, see_task, &seen), VMTAPE_ERROR_NOT_FOUND, "BTF");
	linux_guest_destroy(guest);
	linux_guest_fixture_deinit(&f);
}

/* A kernel that still has a table for i386: only what is in it exists. */
static void i386_table(void)
{
	struct linux_guest_fixture f = {.levels = 4, .i386_table = true};
	const struct linux_syscall *call;
	struct linux_guest *guest;

	linux_guest_fixture_build(&f);
	guest = identify(&f);
	call = linux_guest_syscall(guest, TRAP_ABI_I386, 295);
	CHECK(call);
	CHECK_STR(call->name, "openat");
	CHECK_INT(call->nr_args, 4);
	CHECK(!linux_guest_syscall(guest, TRAP_ABI_I386, 106));
	CHECK(!linux_guest_syscall(guest, TRAP_ABI_I386, 3));
	CHECK_INT(linux_guest_nr_syscalls(guest, TRAP_ABI_I386), 296);
	linux_guest_destroy(guest);
	linux_guest_fixture_deinit(&f);
}

static void not_booted(void)
{
	struct linux_guest_fixture f = {.levels = 4};
	struct linux_guest *guest;

	linux_guest_fixture_build(&f);
	f.regs[VCPU_LSTAR] = 0;
	expect(linux_guest_identify(&guest, f.memory, &f.vcpu, 1, NULL), VMTAPE_ERROR_NOT_FOUND, "not booted");
	CHECK(!guest);
	expect(linux_guest_identify(&guest, f.memory, NULL, 0, NULL), VMTAPE_ERROR_NOT_FOUND, "not booted");
	f.regs[VCPU_LSTAR] = FIXTURE_LSTAR;
	f.regs[VCPU_EFER] = 0;
	expect(linux_guest_identify(&guest, f.memory, &f.vcpu, 1, NULL), VMTAPE_ERROR_NOT_FOUND, "64-bit mode");
	f.regs[VCPU_EFER] = 0xd01;
	/* Another kernel's symbols, as a decompressor leaves them behind. */
	f.regs[VCPU_LSTAR] = FIXTURE_LSTAR + 0x40;
	expect(linux_guest_identify(&guest, f.memory, &f.vcpu, 1, NULL), VMTAPE_ERROR_NOT_FOUND, "no kallsyms");
	f.regs[VCPU_LSTAR] = 0xfffff80000001000ull;
	expect(linux_guest_identify(&guest, f.memory, &f.vcpu, 1, NULL), VMTAPE_ERROR_NOT_FOUND, "LSTAR is not");
	/* A tape of a newer or older recorder may hold fewer registers. */
	f.regs[VCPU_LSTAR] = FIXTURE_LSTAR;
	f.vcpu.nr = VCPU_LSTAR;
	expect(linux_guest_identify(&guest, f.memory, &f.vcpu, 1, NULL), VMTAPE_ERROR_NOT_FOUND, "not booted");
	linux_guest_fixture_deinit(&f);
}

/* No vCPU's page tables lead anywhere: physical memory is searched. */
static void scan(void)
{
	struct linux_guest_fixture f = {.levels = 4, .pti = true};
	struct linux_guest *guest;

	linux_guest_fixture_build(&f);
	f.regs[TRAP_REG_CR3] = 0x100000;
	guest = identify(&f);
	check_facts(guest, &f);
	check_tasks(guest, &f);
	linux_guest_destroy(guest);
	linux_guest_fixture_deinit(&f);
}

static void broken_lists(void)
{
	struct linux_guest_fixture f = {.levels = 4};
	struct seen seen = {.nr_tasks = 0};
	struct linux_guest *guest;
	struct vmtape_error *error;

	linux_guest_fixture_build(&f);
	guest = identify(&f);

	/* The zombie leads back to kthreadd for ever, not to the head. */
	linux_guest_fixture_put(&f, f.zombie + TASK_TASKS, f.kthread + TASK_TASKS, 8);
	linux_guest_fixture_reopen(&f);
	expect(linux_guest_tasks(guest, f.memory, see_task, &seen), VMTAPE_ERROR_FORMAT, "never returns");
	CHECK(seen.nr_tasks >= 4 && seen.nr_tasks < 16);

	seen.nr_tasks = 0;
	linux_guest_fixture_put(&f, f.zombie + TASK_TASKS, 0, 8);
	linux_guest_fixture_reopen(&f);
	expect(linux_guest_tasks(guest, f.memory, see_task, &seen), VMTAPE_ERROR_FORMAT, "broken");
	CHECK_INT(seen.nr_tasks, 4);

	seen.nr_tasks = 0;
	linux_guest_fixture_put(&f, f.zombie + TASK_TASKS, 0xffff123456789000ull, 8);
	linux_guest_fixture_reopen(&f);
	error = linux_guest_tasks(guest, f.memory, see_task, &seen);
	CHECK(error);
	CHECK_INT(seen.nr_tasks, 4);
	vmtape_error_destroy(error);

	/* The executable's directory lies in the executable: no path, but all tasks. */
	seen.nr_tasks = 0;
	linux_guest_fixture_put(&f, f.zombie + TASK_TASKS, f.init_task + TASK_TASKS, 8);
	linux_guest_fixture_put(&f, f.exe_directory + 24, f.exe_dentry, 8);
	linux_guest_fixture_reopen(&f);
	CHECK(!linux_guest_tasks(guest, f.memory, see_task, &seen));
	CHECK_INT(seen.nr_tasks, 4);
	CHECK(!strncmp(seen.tasks[1].exe, "...", 3));
	CHECK_INT(strlen(seen.tasks[1].exe), sizeof(seen.tasks[1].exe) - 1);
	linux_guest_destroy(guest);
	linux_guest_fixture_deinit(&f);
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, GUEST_PAGE_BYTES - 1);
}

static void see_any_vma(void *ctx, const struct linux_vma *vma)
{
}

static void see_any_file(void *ctx, const struct linux_open_file *file)
{
}

/* Whatever can't be read. */
static void check_state_survives(const struct linux_guest *guest, const struct linux_guest_fixture *f)
{
	struct linux_task task = {.task = GVA(f->leader), .cr3 = FIXTURE_PGD_GPA};
	struct linux_task_state told;
	struct linux_state *state;
	struct vmtape_error *error;
	struct linux_mm mm;
	bool has_mm;

	vmtape_error_destroy(linux_guest_vmas(guest, f->memory, task.task, &mm, &has_mm, see_any_vma, NULL));
	error = linux_state_create(&state, guest, f->memory);
	if (error) { /* the page had types in it */
		CHECK_INT(linux_guest_facts(guest)->nr_types, 0);
		vmtape_error_destroy(error);
		return;
	}
	CHECK(!linux_state_task(state, &task, &told));
	if (told.files)
		vmtape_error_destroy(linux_state_files(state, told.files, see_any_file, NULL));
	linux_state_destroy(state);
}

/* Each page of the image and of the kernel's data missing in turn: an error or less to tell, never a crash. */
static void missing_pages(void)
{
	struct linux_guest_fixture f = {.levels = 5, .pti = true};
	unsigned identified = 0, failed = 0;

	linux_guest_fixture_build(&f);
	for (uint64_t gfn = 1; gfn < FIXTURE_RAM_BYTES / GUEST_PAGE_BYTES; gfn++) {
		struct linux_guest *guest;
		struct vmtape_error *error;
		struct seen seen = {.nr_tasks = 0};

		/* What was never written is not missed. */
		if (is_zero(f.ram + gfn * GUEST_PAGE_BYTES))
			continue;
		f.missing_gfn = gfn;
		linux_guest_fixture_reopen(&f);
		error = linux_guest_identify(&guest, f.memory, &f.vcpu, 1, NULL);
		CHECK(!!error == !guest);
		if (error) {
			failed++;
		} else {
			identified++;
			vmtape_error_destroy(linux_guest_tasks(guest, f.memory, see_task, &seen));
			vmtape_error_destroy(linux_guest_fds(guest, f.memory, GVA(f.leader), see_fd, &seen));
			check_state_survives(guest, &f);
			CHECK(seen.nr_tasks <= 4);
		}
		vmtape_error_destroy(error);
		linux_guest_destroy(guest);
	}
	CHECK(identified >= 20);
	CHECK(failed >= 3);
	linux_guest_fixture_deinit(&f);
}

static void uapi_names(void)
{
	CHECK_STR(linux_syscall_name(TRAP_ABI_X86_64, 59), "execve");
	CHECK_STR(linux_syscall_name(TRAP_ABI_I386, 11), "execve");
	CHECK_STR(linux_syscall_name(TRAP_ABI_X32, 520), "execve");
	CHECK_STR(linux_syscall_name(TRAP_ABI_X32, 0), "read");
	CHECK(!linux_syscall_name(TRAP_ABI_X86_64, 400));
	CHECK(!linux_syscall_name(TRAP_ABI_X86_64, UINT32_MAX));
	CHECK(!linux_syscall_name(TRAP_ABIS, 0));
	CHECK_INT(linux_syscall_nr(TRAP_ABI_I386, "socketcall"), 102);
	CHECK_INT(linux_syscall_nr(TRAP_ABI_X86_64, "socketcall"), -1);
}

int main(void)
{
	uapi_names();
	whole_guests();
	poor_guests();
	i386_table();
	not_booted();
	scan();
	broken_lists();
	missing_pages();
	return 0;
}
