/* SPDX-License-Identifier: MIT */
/* init_task.tasks links the thread groups' leaders; signal_struct.thread_head links the threads of each. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linux_guest_private.h"

#define MAX_TASKS  (4u << 20)  /* PID_MAX_LIMIT */
#define PF_KTHREAD 0x00200000u /* include/linux/sched.h, since 2.6.27 */

enum {
	PID,
	TGID,
	COMM,
	REAL_PARENT,
	START,
	OLD_START,
	CRED,
	MM,
	FLAGS,
	EXIT_STATE,
	TASKS,
	SIGNAL,
	THREAD_NODE,
	THREAD_HEAD,
	UID,
	PGD,
	EXE_FILE,
	FIELDS
};

struct walk {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct linux_paths *paths; /* NULL: the guest's types lack something for them */
	struct linux_field fields[FIELDS];
	void (*found)(void *ctx, const struct linux_task *task);
	void *ctx;
	unsigned nr_found;
	/* The threads of a process share it; so its path is made once. */
	uint64_t exe_mm;
	char exe[LINUX_PATH_BYTES];
};

static struct vmtape_error *get(struct walk *walk, uint64_t base, int field, uint64_t *out)
{
	return linux_field_read(walk->guest, walk->memory, base, &walk->fields[field], out);
}

/* ---- one task ------------------------------------------------------------ */

/* What only decorates a task: that it can't be read leaves it empty. */
static bool try_get(struct walk *walk, uint64_t base, int field, uint64_t *out)
{
	struct vmtape_error *error;

	*out = 0;
	if (!walk->fields[field].at.size_bytes)
		return false;
	error = get(walk, base, field, out);
	vmtape_error_destroy(error);
	return !error;
}

static void read_mm(struct walk *walk, uint64_t mm, struct linux_task *task)
{
	uint64_t pgd, file;
	gpa_t gpa;

	if (try_get(walk, mm, PGD, &pgd)) {
		struct vmtape_error *error =
			guest_translate(walk->memory, walk->guest->facts.kernel_space, GVA(pgd), &gpa);

		task->cr3 = error ? 0 : gpa.v;
		vmtape_error_destroy(error);
	}
	if (walk->exe_mm != mm) {
		walk->exe_mm = mm;
		walk->exe[0] = '\0';
		if (walk->paths && try_get(walk, mm, EXE_FILE, &file) && file) {
			struct vmtape_error *error = linux_path_of_file(walk->paths, file, walk->exe);

			if (error)
				walk->exe[0] = '\0';
			vmtape_error_destroy(error);
		}
	}
	memcpy(task->exe, walk->exe, sizeof(task->exe));
}

static struct vmtape_error *visit(struct walk *walk, uint64_t gva)
{
	struct linux_task task = {.task = GVA(gva)};
	uint64_t pid, tgid, flags, exit_state, mm, cred, parent, value;
	struct vmtape_error *error;

	error = get(walk, gva, PID, &pid);
	if (!error)
		error = get(walk, gva, TGID, &tgid);
	if (!error)
		error = get(walk, gva, FLAGS, &flags);
	if (!error)
		error = get(walk, gva, EXIT_STATE, &exit_state);
	if (!error)
		error = get(walk, gva, MM, &mm);
	if (!error)
		error = guest_read_virt(walk->memory, walk->guest->facts.kernel_space,
					GVA(gva + walk->fields[COMM].at.offset_bytes), task.comm,
					sizeof(task.comm) - 1);
	if (error)
		return error;
	if (++walk->nr_found > MAX_TASKS)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva, "more than %u tasks", MAX_TASKS);
	task.pid = (int32_t)pid;
	task.tgid = (int32_t)tgid;
	task.kernel_thread = flags & PF_KTHREAD;
	task.exiting = exit_state != 0;
	if (try_get(walk, gva, REAL_PARENT, &parent) && try_get(walk, parent, TGID, &value))
		task.ppid = (int32_t)value;
	if (!try_get(walk, gva, START, &task.start_ns))
		try_get(walk, gva, OLD_START, &task.start_ns);
	if (try_get(walk, gva, CRED, &cred) && try_get(walk, cred, UID, &value))
		task.uid = (uint32_t)value;
	/* A kernel thread may borrow a process's memory for a while. */
	if (mm && !task.kernel_thread)
		read_mm(walk, mm, &task);
	walk->found(walk->ctx, &task);
	return NULL;
}

/* ---- lists --------------------------------------------------------------- */

/*
 * Walk a struct list_head that starts at head; entry is called with each link's
 * address. A damaged list may run into a loop that head is not part of: a slow
 * pointer, moved on at powers of two (Brent), meets the walk again there.
 */
static struct vmtape_error *walk_list(struct walk *walk, uint64_t head,
				      struct vmtape_error *(*entry)(struct walk *walk, uint64_t link))
{
	const struct guest_space space = walk->guest->facts.kernel_space;
	uint64_t link, slow = head;
	struct vmtape_error *error;
	unsigned steps = 0, limit = 2;

	for (link = head;;) {
		error = guest_read_u64(walk->memory, space, GVA(link), &link);
		if (error)
			return error;
		if (link == head)
			return NULL;
		if (link == slow || !link)
			return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, head, "list is broken: it never returns");
		error = entry(walk, link);
		if (error)
			return error;
		if (++steps == limit) {
			steps = 0;
			limit *= 2;
			slow = link;
		}
	}
}

static struct vmtape_error *visit_thread(struct walk *walk, uint64_t link)
{
	return visit(walk, link - walk->fields[THREAD_NODE].at.offset_bytes);
}

static struct vmtape_error *visit_leader(struct walk *walk, uint64_t link)
{
	uint64_t leader = link - walk->fields[TASKS].at.offset_bytes, signal;
	unsigned before = walk->nr_found;
	struct vmtape_error *error;

	error = get(walk, leader, SIGNAL, &signal);
	if (error)
		return error;
	error = walk_list(walk, signal + walk->fields[THREAD_HEAD].at.offset_bytes, visit_thread);
	/* Seen in the middle of its release: no thread is left in the list, or the list is gone. */
	if (walk->nr_found == before) {
		vmtape_error_destroy(error);
		return visit(walk, leader);
	}
	return error;
}

struct vmtape_error *linux_guest_tasks(const struct linux_guest *guest, struct guest_memory *memory,
				       void (*found)(void *ctx, const struct linux_task *task), void *ctx)
{
	struct walk walk = {
		.guest = guest,
		.memory = memory,
		.fields =
			{
				[PID] = {.type = "struct task_struct", .member = "pid"},
				[TGID] = {.type = "struct task_struct", .member = "tgid"},
				[COMM] = {.type = "struct task_struct", .member = "comm"},
				[REAL_PARENT] = {.type = "struct task_struct", .member = "real_parent"},
				/* Linux 5.5 renamed it: cf25e24db61c. */
				[START] = {.type = "struct task_struct", .member = "start_boottime", .optional = true},
				[OLD_START] = {.type = "struct task_struct",
					       .member = "real_start_time",
					       .optional = true},
				[CRED] = {.type = "struct task_struct", .member = "cred"},
				[MM] = {.type = "struct task_struct", .member = "mm"},
				[FLAGS] = {.type = "struct task_struct", .member = "flags"},
				[EXIT_STATE] = {.type = "struct task_struct", .member = "exit_state"},
				[TASKS] = {.type = "struct task_struct", .member = "tasks"},
				[SIGNAL] = {.type = "struct task_struct", .member = "signal"},
				[THREAD_NODE] = {.type = "struct task_struct", .member = "thread_node"},
				[THREAD_HEAD] = {.type = "struct signal_struct", .member = "thread_head"},
				[UID] = {.type = "struct cred", .member = "uid.val", .optional = true},
				[PGD] = {.type = "struct mm_struct", .member = "pgd"},
				[EXE_FILE] = {.type = "struct mm_struct", .member = "exe_file", .optional = true},
			},
		.found = found,
		.ctx = ctx,
	};
	struct vmtape_error *error;
	gva_t init_task;

	if (!linux_guest_symbol(guest, "init_task", &init_task))
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "the guest's kernel has no symbol init_task");
	error = linux_fields_find(guest, walk.fields, FIELDS);
	if (error)
		return error;
	error = linux_paths_create(&walk.paths, guest, memory);
	if (error && error->code == VMTAPE_ERROR_NO_MEMORY)
		return error;
	vmtape_error_destroy(error);
	error = walk_list(&walk, init_task.v + walk.fields[TASKS].at.offset_bytes, visit_leader);
	linux_paths_destroy(walk.paths);
	return error;
}
