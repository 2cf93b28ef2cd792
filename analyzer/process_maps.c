/* SPDX-License-Identifier: MIT */
#include "process_maps.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "call_stream.h"
#include "linux/captured.h"
#include "linux/linux_vmas.h"

#define MREMAP_DONTUNMAP_ 4
#define MAX_RECENT        64 /* calls that overlap with one that is yet to come */

/* What a call has changed, and when it ended. */
struct change {
	uint64_t start, end, tsc, end_tsc;
};

struct maps_reader {
	struct process_maps *maps;
	struct session *session;
	int32_t pid;
	struct linux_task task; /* as the snapshot has it */
	bool found, failed;
	struct linux_mm mm;
	struct change recent[MAX_RECENT];
	size_t nr_recent;
};

/* ---- snapshot -------------------------------------------------------------- */

static void see_task(void *ctx, const struct linux_task *task)
{
	struct maps_reader *r = ctx;

	if (task->tgid != r->pid || task->exiting || task->kernel_thread || (r->found && task->pid != task->tgid))
		return;
	r->task = *task;
	r->found = true;
}

static void see_vma(void *ctx, const struct linux_vma *vma)
{
	struct maps_reader *r = ctx;
	struct map_region region = {
		.start = vma->start,
		.end = vma->end,
		.offset_bytes = vma->offset_bytes,
		.permissions = (uint8_t)((vma->read ? MAP_READ : 0) | (vma->write ? MAP_WRITE : 0) |
					 (vma->exec ? MAP_EXEC : 0) | (vma->shared ? MAP_IS_SHARED : 0)),
		.file = vma->file[0] ? (char *)vma->file : NULL,
		.what = "",
	};

	if (!region.file && r->mm.brk && vma->start <= r->mm.brk && vma->end >= r->mm.start_brk)
		region.what = "[heap]";
	else if (!region.file && r->mm.stack && vma->start <= r->mm.stack && vma->end > r->mm.stack)
		region.what = "[stack]";
	else if (!region.file && r->mm.vdso && vma->start == r->mm.vdso)
		region.what = "[vdso]";
	if (!process_maps_map(r->maps, &region))
		r->failed = true;
}

static struct vmtape_error *read_snapshot(void *ctx, const struct linux_guest *guest, struct guest_memory *memory)
{
	struct maps_reader *r = ctx;
	bool has_mm = false;
	struct vmtape_error *error = linux_guest_tasks(guest, memory, see_task, r);

	vmtape_error_destroy(error);
	if (!r->found)
		return NULL;
	error = linux_guest_vmas(guest, memory, r->task.task, &r->mm, &has_mm, see_vma, r);
	if (error && error->code == VMTAPE_ERROR_NO_MEMORY)
		return error;
	/* pages that are not on the tape hide regions */
	r->maps->partial |= error != NULL;
	vmtape_error_destroy(error);
	r->maps->known = has_mm;
	r->maps->brk = r->mm.brk;
	return r->failed ? &vmtape_error_no_memory : NULL;
}

/* ---- calls ------------------------------------------------------------------ */

static uint8_t permissions_of(uint64_t prot)
{
	return (uint8_t)((prot & PROT_READ ? MAP_READ : 0) | (prot & PROT_WRITE ? MAP_WRITE : 0) |
			 (prot & PROT_EXEC ? MAP_EXEC : 0));
}

static bool mapped(struct process_maps *m, const struct call *call, uint64_t offset_unit)
{
	const struct fd_object *file = call->fds && !(call->args[3] & MAP_ANONYMOUS) ? call->fds->objects[4] : NULL;
	bool shared = (call->args[3] & MAP_TYPE) == MAP_SHARED || (call->args[3] & MAP_TYPE) == MAP_SHARED_VALIDATE;
	struct map_region region = {
		.start = (uint64_t)call->ret,
		.end = (uint64_t)call->ret + call->args[1],
		.offset_bytes = call->args[3] & MAP_ANONYMOUS ? 0 : call->args[5] * offset_unit,
		.permissions = permissions_of(call->args[2]) | (shared ? MAP_IS_SHARED : 0),
		.file = file && file->name_len ? (char *)file->name : NULL,
		.what = "",
		.uncertain = call->uncertain || (call->fds && call->fds->uncertain & 1u << 4),
	};

	return process_maps_map(m, &region);
}

static void forget_all(struct process_maps *m)
{
	bool uncertain = m->uncertain;

	process_maps_deinit(m);
	m->known = m->partial = true;
	m->uncertain = uncertain;
}

static bool is(const struct call *call, const char *name)
{
	return !strcmp(call->syscall->name, name);
}

bool process_maps_concerns(const char *name)
{
	static const char *const names[] = {"mmap",          "mmap2",  "munmap", "mprotect",
					    "pkey_mprotect", "mremap", "brk",    "execve",
					    "execveat",      "shmat",  "shmdt",  "remap_file_pages"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* Calls come in order of entry. Of two that overlap in time and in place, it is not known which came last. */
static void note_change(struct maps_reader *r, const struct call *call, uint64_t start, uint64_t end)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->nr_recent; i++) {
		if (r->recent[i].end_tsc <= call->tsc)
			continue;
		/* both places of one mremap may be the same */
		if (r->recent[i].tsc != call->tsc || r->recent[i].end_tsc != call->end_tsc)
			r->maps->uncertain |= start < r->recent[i].end && r->recent[i].start < end;
		r->recent[kept++] = r->recent[i];
	}
	r->nr_recent = kept;
	if (kept == MAX_RECENT)
		r->maps->uncertain = true;
	else
		r->recent[r->nr_recent++] = (struct change){start, end, call->tsc, call->end_tsc};
}

static void note_changes(struct maps_reader *r, const struct call *call)
{
	const uint64_t *a = call->args;
	uint64_t ret = call->abi == TRAP_ABI_I386 ? (uint32_t)call->ret : (uint64_t)call->ret, brk = r->maps->brk;

	if (!process_maps_concerns(call->syscall->name) || !call_is_ok(call) || !call->args_known)
		return;
	if (is(call, "mmap") || is(call, "mmap2")) {
		note_change(r, call, ret, ret + a[1]);
	} else if (is(call, "brk")) {
		note_change(r, call, ret < brk ? ret : brk, ret < brk ? brk : ret);
	} else if (is(call, "munmap") || is(call, "mprotect") || is(call, "pkey_mprotect") || is(call, "mremap")) {
		note_change(r, call, a[0], a[0] + a[1]);
		if (is(call, "mremap"))
			note_change(r, call, ret, ret + a[2]);
	}
}

/* false: no memory. */
static bool apply(struct process_maps *m, const struct call *call)
{
	const uint64_t *a = call->args;
	uint64_t ret = (uint64_t)call->ret;
	bool ok = call_is_ok(call);

	if (is(call, "execve") || is(call, "execveat")) {
		if (ok)
			forget_all(m);
		return true;
	}
	if (is(call, "shmat") || is(call, "shmdt") || is(call, "remap_file_pages")) {
		m->uncertain |= ok;
		return true;
	}
	if (!is(call, "mmap") && !is(call, "mmap2") && !is(call, "munmap") && !is(call, "mprotect") &&
	    !is(call, "pkey_mprotect") && !is(call, "mremap") && !is(call, "brk"))
		return true;
	/* one that did a part of it and failed, or whose end or arguments are not on the tape */
	if (!call->ret_known || (!call->args_known && ok) || call->uncertain ||
	    (call->abi == TRAP_ABI_I386 && is(call, "mmap")) || (!ok && is(call, "mprotect")))
		m->uncertain = true;
	if (!ok || !call->args_known)
		return true;
	if (call->abi == TRAP_ABI_I386)
		ret = (uint32_t)ret;
	m->known = true;
	if (is(call, "mmap") && call->abi != TRAP_ABI_I386)
		return mapped(m, call, 1);
	if (is(call, "mmap2"))
		return mapped(m, call, 4096);
	if (is(call, "munmap"))
		return process_maps_unmap(m, a[0], a[0] + (a[1] + 4095) / 4096 * 4096);
	if (is(call, "mprotect") || is(call, "pkey_mprotect"))
		return process_maps_protect(m, a[0], a[0] + a[1], permissions_of(a[2]));
	if (is(call, "mremap"))
		return process_maps_move(m, a[0], a[1], ret, a[2], a[3] & MREMAP_DONTUNMAP_);
	if (is(call, "brk"))
		return process_maps_set_brk(m, ret);
	return true;
}

static struct vmtape_error *follow_calls(struct maps_reader *r, uint64_t from_tsc, uint64_t tsc)
{
	struct call_stream_options options = {.from_tsc = from_tsc, .to_tsc = tsc, .spanning = true, .fds = true};
	struct call_stream *stream;
	struct call_item item;
	struct vmtape_error *error = call_stream_create(&stream, r->session, &options);
	bool more = true;

	while (!error) {
		error = call_stream_next(stream, &item, &more);
		if (error || !more)
			break;
		if (item.is_gap) {
			r->maps->uncertain = true;
			continue;
		}
		if (item.call.thread.pid != r->pid || !item.call.syscall)
			continue;
		if (item.call.end_tsc > tsc) { /* done, or not yet */
			r->maps->uncertain |= process_maps_concerns(item.call.syscall->name);
			continue;
		}
		note_changes(r, &item.call);
		if (!apply(r->maps, &item.call))
			error = &vmtape_error_no_memory;
	}
	call_stream_destroy(stream);
	return error;
}

struct vmtape_error *process_maps_create(struct process_maps *out, struct session *session, int32_t pid, uint64_t tsc)
{
	struct maps_reader r = {.maps = out, .session = session, .pid = pid};
	int64_t snapshot = session_snapshot_at(session, tsc);
	uint64_t from_tsc = 0;
	struct vmtape_error *error = NULL;

	*out = (struct process_maps){0};
	if (snapshot >= 0) {
		from_tsc = tape_reader_snapshot(session_reader(session), (uint32_t)snapshot)->info.tsc;
		error = session_with_memory(session, (uint32_t)snapshot, read_snapshot, &r);
		if (error && error->code != VMTAPE_ERROR_NO_MEMORY) {
			vmtape_error_destroy(error);
			error = NULL;
		}
	}
	if (!r.found)
		out->partial = true;
	if (!error)
		error = follow_calls(&r, from_tsc, tsc);
	if (error)
		process_maps_deinit(out);
	return error;
}
