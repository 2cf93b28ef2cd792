/* SPDX-License-Identifier: MIT */
/* vmtape.h: snapshots and memory. */
#include <stdlib.h>
#include <string.h>

#include "output/output.h"
#include "public_call.h"
#include "tape.h"
#include "u64_map.h"
#include "vcpu_state.h"

#define CR4_LA57     (1u << 12)
#define CR3_GPA_MASK 0x000ffffffffff000ull /* without PCID */
#define STRING_STEP  256u

struct tape_memory {
	struct session *session;
	uint32_t snapshot;
	uint64_t ordinal;
	struct guest_memory *memory;
	struct guest_range *ranges;
	int levels;
	bool has_tasks;        /* they have been looked for */
	struct u64_map spaces; /* kernel CR3 of each process: its pid */
	struct u64_map by_pid; /* and back */
	bool failed;
};

/* ---- snapshots ------------------------------------------------------- */

static const struct tape_snapshot *snapshot_of(const struct vmtape_tape *tape, uint32_t index)
{
	if (index >= session_info(tape->session)->nr_snapshots)
		return NULL;
	return tape_reader_snapshot(session_reader(tape->session), index);
}

uint32_t vmtape_nr_snapshots(const struct vmtape_tape *tape)
{
	return session_info(tape->session)->nr_snapshots;
}

bool vmtape_snapshot_info(const struct vmtape_tape *tape, uint32_t index, struct vmtape_snapshot *out)
{
	const struct tape_snapshot *snapshot = snapshot_of(tape, index);

	*out = (struct vmtape_snapshot){.time_ns = -1};
	if (!snapshot)
		return false;
	*out = (struct vmtape_snapshot){
		.tsc = snapshot->info.tsc,
		.time_ns = guest_clock_ns(session_clock(tape->session), snapshot->info.tsc),
		.nr_vcpus = snapshot->info.nr_vcpus,
		.nr_pages = snapshot->nr_pages,
		.base = snapshot->info.base,
	};
	for (uint32_t i = 0; i < snapshot->info.nr_ranges; i++)
		out->ram_bytes += snapshot->info.ranges[i].size_bytes;
	return true;
}

int64_t vmtape_snapshot_at(const struct vmtape_tape *tape, uint64_t tsc)
{
	return session_snapshot_at(tape->session, tsc);
}

const char *vmtape_register_name(unsigned number)
{
	/* From VCPU_CR0 on. */
	static const char *const names[] = {
		"cr0",         "cr2",         "cr4",         "cr8",          "efer",         "star",
		"lstar",       "cstar",       "fmask",       "sysenter_cs",  "sysenter_esp", "sysenter_eip",
		"tsc",         "tsc_aux",     "gdt_base",    "gdt_limit",    "idt_base",     "idt_limit",
		"tr_base",     "tr_selector", "ldt_base",    "ldt_selector", "cs_selector",  "ss_selector",
		"ds_selector", "es_selector", "fs_selector", "gs_selector",  "cpl",          "halted",
		"apic_id",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == VCPU_REGS - VCPU_CR0, "each register has its name");
	if (number < VCPU_CR0)
		return output_reg_name((int)number);
	return number < VCPU_REGS ? names[number - VCPU_CR0] : NULL;
}

bool vmtape_snapshot_register(const struct vmtape_tape *tape, uint32_t index, unsigned vcpu, const char *name,
			      uint64_t *value)
{
	const struct tape_snapshot *snapshot = snapshot_of(tape, index);
	const char *known;

	if (!snapshot || vcpu >= snapshot->info.nr_vcpus)
		return false;
	for (unsigned i = 0; i < snapshot->info.nr_regs && (known = vmtape_register_name(i)); i++) {
		if (strcmp(known, name))
			continue;
		*value = snapshot->info.vcpu_regs[(size_t)vcpu * snapshot->info.nr_regs + i];
		return true;
	}
	return false;
}

/* ---- memory of a snapshot -------------------------------------------- */

void public_memory_drop(struct vmtape_tape *tape)
{
	struct tape_memory *m = tape->memory;

	tape->memory = NULL;
	if (!m)
		return;
	guest_memory_destroy(m->memory);
	u64_map_deinit(&m->spaces);
	u64_map_deinit(&m->by_pid);
	free(m->ranges);
	free(m);
}

static int read_page(void *ctx, uint64_t gfn, void *out)
{
	struct tape_memory *m = ctx;

	return tape_reader_page(session_reader(m->session), m->snapshot, gfn, out, NULL);
}

static int levels_of(const struct tape_snapshot_info *info)
{
	for (uint32_t i = 0; i < info->nr_vcpus && info->nr_regs > VCPU_CR4; i++)
		if (info->vcpu_regs[(size_t)i * info->nr_regs + VCPU_CR4] & CR4_LA57)
			return 5;
	return 4;
}

static struct vmtape_error *open_memory(struct tape_memory *m, const struct tape_snapshot_info *info)
{
	struct guest_memory_source source = {.read_page = read_page, .ctx = m, .nr_ranges = info->nr_ranges};

	m->levels = levels_of(info);
	m->ranges = calloc(info->nr_ranges + 1, sizeof(*m->ranges));
	if (!m->ranges)
		return &vmtape_error_no_memory;
	for (uint32_t i = 0; i < info->nr_ranges; i++)
		m->ranges[i] = (struct guest_range){GPA(info->ranges[i].gpa), info->ranges[i].size_bytes};
	source.ranges = m->ranges;
	return guest_memory_create(&m->memory, &source);
}

/* As of tsc; *out is NULL if no snapshot lies before it. */
static struct vmtape_error *memory_at(struct vmtape_tape *tape, uint64_t tsc, struct tape_memory **out,
				      struct vmtape_read *result)
{
	int64_t index = session_snapshot_at(tape->session, tsc);
	const struct tape_snapshot *snapshot = index < 0 ? NULL : snapshot_of(tape, (uint32_t)index);
	struct vmtape_error *error;

	*out = NULL;
	if (!snapshot) {
		result->why = "no snapshot lies before this time";
		return NULL;
	}
	if (!tape->memory || tape->memory->session != tape->session || tape->memory->ordinal != snapshot->ordinal) {
		public_memory_drop(tape);
		tape->memory = calloc(1, sizeof(*tape->memory));
		if (!tape->memory)
			return &vmtape_error_no_memory;
		tape->memory->session = tape->session;
		tape->memory->ordinal = snapshot->ordinal;
		tape->memory->snapshot = (uint32_t)index;
		error = open_memory(tape->memory, &snapshot->info);
		if (error) {
			public_memory_drop(tape);
			return error;
		}
	}
	/* A tape that grows may number it otherwise now. */
	tape->memory->snapshot = (uint32_t)index;
	*out = tape->memory;
	return NULL;
}

static void note_snapshot(const struct vmtape_tape *tape, const struct tape_memory *m, struct vmtape_read *result)
{
	result->snapshot = m->snapshot;
	result->snapshot_tsc = snapshot_of(tape, m->snapshot)->info.tsc;
	result->snapshot_ns = guest_clock_ns(session_clock(tape->session), result->snapshot_tsc);
}

/* What is not there ends the read; only what went wrong is an error. */
static struct vmtape_error *judge(struct vmtape_error *error, struct vmtape_read *result)
{
	if (error->code == VMTAPE_ERROR_NOT_RECORDED)
		result->why = "the page is not recorded";
	else if (error->code == VMTAPE_ERROR_NOT_FOUND)
		result->why = "the address is not mapped";
	else if (error->code == VMTAPE_ERROR_FORMAT)
		result->why = "the page tables are not valid";
	else
		return error;
	vmtape_error_destroy(error);
	return NULL;
}

/* space NULL: physical. */
static struct vmtape_error *read_pages(const struct vmtape_tape *tape, struct tape_memory *m,
				       const struct guest_space *space, uint64_t at, void *out, size_t size_bytes,
				       struct vmtape_read *result)
{
	uint8_t *to = out;

	while (size_bytes) {
		size_t n = GUEST_PAGE_BYTES - at % GUEST_PAGE_BYTES;
		struct vmtape_error *error;

		if (n > size_bytes)
			n = size_bytes;
		error = space ? guest_read_virt(m->memory, *space, GVA(at), to, n)
			      : guest_read_phys(m->memory, GPA(at), to, n);
		if (error)
			return judge(error, result);
		note_snapshot(tape, m, result);
		result->size_bytes += n;
		to += n;
		at += n;
		size_bytes -= n;
		/* the first address does not follow the last one */
		if (size_bytes && !at) {
			result->why = "the address is not mapped";
			return NULL;
		}
	}
	return NULL;
}

static void read_begin(struct vmtape_read *result)
{
	*result = (struct vmtape_read){.snapshot = -1, .snapshot_ns = -1};
}

struct vmtape_error *vmtape_read_physical(struct vmtape_tape *tape, uint64_t tsc, uint64_t gpa, void *out,
					  size_t size_bytes, struct vmtape_read *result)
{
	struct tape_memory *m;
	struct vmtape_error *error;

	read_begin(result);
	error = memory_at(tape, tsc, &m, result);
	return error || !m ? error : read_pages(tape, m, NULL, gpa, out, size_bytes, result);
}

struct vmtape_error *vmtape_read_virtual(struct vmtape_tape *tape, uint64_t tsc, uint64_t cr3, uint64_t gva, void *out,
					 size_t size_bytes, struct vmtape_read *result)
{
	struct guest_space space = {.cr3 = cr3};
	struct tape_memory *m;
	struct vmtape_error *error;

	read_begin(result);
	error = memory_at(tape, tsc, &m, result);
	if (error || !m)
		return error;
	space.levels = m->levels;
	return read_pages(tape, m, &space, gva, out, size_bytes, result);
}

/* ---- whose memory ---------------------------------------------------- */

static void add_task(void *ctx, const struct linux_task *task)
{
	struct tape_memory *m = ctx;

	if (!task->cr3 || task->exiting || task->tgid < 0)
		return;
	m->failed |= !u64_map_set(&m->spaces, task->cr3, (uint32_t)task->tgid) ||
		     !u64_map_set(&m->by_pid, (uint32_t)task->tgid, task->cr3);
}

static struct vmtape_error *load_tasks(struct tape_memory *m)
{
	if (m->has_tasks)
		return NULL;
	m->has_tasks = true;
	/* A list that breaks off tells of those who are on it. */
	vmtape_error_destroy(session_tasks(m->session, m->snapshot, add_task, m));
	return m->failed ? &vmtape_error_no_memory : NULL;
}

struct vmtape_error *vmtape_read_process(struct vmtape_tape *tape, uint64_t tsc, int32_t pid, uint64_t gva, void *out,
					 size_t size_bytes, struct vmtape_read *result)
{
	struct guest_space space;
	struct tape_memory *m;
	struct vmtape_error *error;

	read_begin(result);
	error = memory_at(tape, tsc, &m, result);
	if (!error && m)
		error = load_tasks(m);
	if (error || !m)
		return error;
	space.levels = m->levels;
	if (pid < 0 || !u64_map_get(&m->by_pid, (uint32_t)pid, &space.cr3)) {
		result->why = "the snapshot before this time does not know the process";
		return NULL;
	}
	return read_pages(tape, m, &space, gva, out, size_bytes, result);
}

/* ---- memory of a call ------------------------------------------------ */

/* Bytes that the call's records hold of one address, and how far they go: up to `most`, or where others begin. */
struct captured {
	const uint8_t *bytes; /* NULL: none */
	size_t size_bytes;
};

static size_t fragment_bytes(const struct trap_fragment *fragment)
{
	unsigned status = fragment->status & (unsigned)~TRAP_FRAG_AGAIN;

	/* The end of a string was seen, though it is not among its bytes. */
	return fragment->len_bytes + (status == TRAP_FRAG_WHOLE && fragment->want_bytes == fragment->len_bytes + 1u);
}

static void look_in(const struct trap_view *view, uint64_t gva, struct captured *found)
{
	static const uint8_t end_of_string[1];
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		size_t n = fragment_bytes(&fragment);
		uint64_t offset = gva - fragment.gva;

		/* Kernel memory of an identity step is no memory of the process. */
		if (fragment.gva >> 63)
			continue;
		if (gva < fragment.gva) {
			if (fragment.gva - gva < found->size_bytes)
				found->size_bytes = fragment.gva - gva;
		} else if (offset < n && !found->bytes) {
			bool at_end = offset == fragment.len_bytes;

			found->bytes = at_end ? end_of_string : bytes + offset;
			n = at_end ? 1 : fragment.len_bytes - offset;
			if (n < found->size_bytes)
				found->size_bytes = n;
		}
	}
}

static struct captured captured_at(const struct public_call *call, enum vmtape_direction when, uint64_t gva,
				   size_t most)
{
	struct captured found = {.size_bytes = most};

	/* What was read last counts. */
	if (call->has_exit && when == VMTAPE_EXIT)
		look_in(&call->exit, gva, &found);
	if (call->has_enter && !found.bytes)
		look_in(&call->enter, gva, &found);
	return found;
}

/* The process's address space in the snapshot; false: it was not there then. */
static bool space_of(const struct public_call *call, struct tape_memory *m, struct guest_space *out)
{
	const struct trap_view *view = call->has_enter ? &call->enter : &call->exit;
	const struct linux_guest *guest = session_guest(m->session);
	uint64_t pid;

	if (!guest || !trap_view_has(view, TRAP_REG_CR3) || call->shown.pid < 0)
		return false;
	out->cr3 = view->regs[TRAP_REG_CR3] & linux_guest_facts(guest)->kernel_cr3_mask & CR3_GPA_MASK;
	out->levels = m->levels;
	return u64_map_get(&m->spaces, out->cr3, &pid) && (int32_t)pid == call->shown.pid;
}

static struct vmtape_error *read_snapshot(const struct public_call *call, enum vmtape_direction when, uint64_t gva,
					  void *out, size_t size_bytes, struct vmtape_read *result)
{
	uint64_t tsc = when == VMTAPE_EXIT && call->has_exit ? call->exit.header.tsc : call->shown.tsc;
	struct guest_space space;
	struct tape_memory *m;
	struct vmtape_error *error = memory_at(call->tape, tsc, &m, result);

	if (!error && m)
		error = load_tasks(m);
	if (error || !m)
		return error;
	if (space_of(call, m, &space))
		return read_pages(call->tape, m, &space, gva, out, size_bytes, result);
	result->why = session_guest(m->session)
			      ? "not captured, and the snapshot before does not know this address space"
			      : "not captured, and the guest is not identified";
	return NULL;
}

static const char address_space_ends[] = "the address space ends before";

struct vmtape_error *vmtape_call_read(const struct vmtape_call *shown, enum vmtape_direction when, uint64_t gva,
				      void *out, size_t size_bytes, struct vmtape_read *result)
{
	const struct public_call *call = (const struct public_call *)shown;
	bool wraps = size_bytes && size_bytes - 1 > UINT64_MAX - gva;
	uint8_t *to = out;

	read_begin(result);
	if (wraps)
		size_bytes = (size_t)(UINT64_MAX - gva) + 1;
	while (result->size_bytes < size_bytes && !result->why) {
		size_t done = result->size_bytes;
		struct captured captured = captured_at(call, when, gva + done, size_bytes - done);
		struct vmtape_error *error;

		if (captured.bytes) {
			memcpy(to + done, captured.bytes, captured.size_bytes);
			result->size_bytes += captured.size_bytes;
			result->captured_bytes += captured.size_bytes;
			continue;
		}
		error = read_snapshot(call, when, gva + done, to + done, captured.size_bytes, result);
		if (error)
			return error;
	}
	if (wraps && !result->why)
		result->why = address_space_ends;
	return NULL;
}

struct vmtape_error *vmtape_call_read_string(const struct vmtape_call *call, enum vmtape_direction when, uint64_t gva,
					     char *out, size_t size_bytes, struct vmtape_read *result)
{
	struct vmtape_read part;

	read_begin(result);
	while (result->size_bytes < size_bytes) {
		size_t done = result->size_bytes, n = size_bytes - done < STRING_STEP ? size_bytes - done : STRING_STEP;
		struct vmtape_error *error;
		const char *end;

		if (done > UINT64_MAX - gva) {
			result->why = address_space_ends;
			return NULL;
		}
		error = vmtape_call_read(call, when, gva + done, out + done, n, &part);
		end = memchr(out + done, 0, part.size_bytes);
		result->size_bytes = end ? (size_t)(end - out) : done + part.size_bytes;
		result->captured_bytes += part.captured_bytes < result->size_bytes - done ? part.captured_bytes
											  : result->size_bytes - done;
		if (part.snapshot >= 0) {
			result->snapshot = part.snapshot;
			result->snapshot_tsc = part.snapshot_tsc;
			result->snapshot_ns = part.snapshot_ns;
		}
		if (!end)
			result->why = part.why;
		if (error || end || part.why)
			return error;
	}
	result->why = "there is no room for all of it";
	return NULL;
}
