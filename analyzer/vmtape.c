/* SPDX-License-Identifier: MIT */
/* The library's public face: thin, so that what lies behind it may change. */
#include "vmtape.h"

#include <stdlib.h>
#include <string.h>

#include "process_list.h"
#include "public_call.h"

struct vmtape_processes {
	struct process_list list;
	struct vmtape_process *shown;
};

const char *vmtape_version(void)
{
	return VMTAPE_VERSION;
}

const char *vmtape_error_message(const struct vmtape_error *error)
{
	return error->message;
}

void vmtape_error_free(struct vmtape_error *error)
{
	vmtape_error_destroy(error);
}

struct vmtape_error *vmtape_open(struct vmtape_tape **out, const char *path)
{
	struct vmtape_tape *tape = calloc(1, sizeof(*tape));
	struct vmtape_error *error;

	*out = NULL;
	if (!tape)
		return &vmtape_error_no_memory;
	error = session_open(&tape->session, path, NULL);
	if (error) {
		free(tape);
		return error;
	}
	*out = tape;
	return NULL;
}

void vmtape_close(struct vmtape_tape *tape)
{
	if (!tape)
		return;
	public_memory_drop(tape);
	session_close(tape->session);
	free(tape);
}

const char *vmtape_guest_banner(struct vmtape_tape *tape)
{
	const struct linux_guest *guest = session_guest(tape->session);

	return guest ? linux_guest_facts(guest)->banner : NULL;
}

const char *vmtape_guest_release(struct vmtape_tape *tape)
{
	const struct linux_guest *guest = session_guest(tape->session);

	return guest ? linux_guest_facts(guest)->release : NULL;
}

const char *vmtape_guest_problem(struct vmtape_tape *tape)
{
	return session_guest(tape->session) ? NULL : session_guest_problem(tape->session)->message;
}

int64_t vmtape_start_ns(const struct vmtape_tape *tape)
{
	return session_start_ns(tape->session);
}

int64_t vmtape_end_ns(const struct vmtape_tape *tape)
{
	return session_end_ns(tape->session);
}

uint64_t vmtape_nr_records(const struct vmtape_tape *tape)
{
	return session_info(tape->session)->nr_records;
}

bool vmtape_tsc_at(const struct vmtape_tape *tape, int64_t time_ns, uint64_t *tsc)
{
	return guest_clock_tsc(session_clock(tape->session), time_ns, tsc);
}

struct vmtape_error *vmtape_parse_time(const struct vmtape_tape *tape, const char *text, uint64_t *tsc)
{
	int64_t time_ns;
	struct vmtape_error *error = time_parse(text, session_start_ns(tape->session), false, &time_ns);

	if (error)
		return error;
	if (vmtape_tsc_at(tape, time_ns, tsc))
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_USAGE,
				   "time \"%s\": the tape has no clock (no snapshot), so that it can't be placed",
				   text);
}

/* ---- processes ------------------------------------------------------- */

static void show_process(struct vmtape_process *out, const struct process_row *row)
{
	const struct process_thread *leader = &row->leader;

	*out = (struct vmtape_process){
		.pid = leader->pid,
		.ppid = row->ppid,
		.nr_threads = row->nr_threads,
		.name = leader->comm[0] ? leader->comm : NULL,
		.exe = row->exe[0] ? row->exe : NULL,
		.uid = leader->uid_known ? (int64_t)leader->uid : -1,
		.started_ns = row->started_ns,
		.kernel_thread = leader->kernel_thread,
		.zombie = leader->zombie,
	};
}

struct vmtape_error *vmtape_processes_create(struct vmtape_processes **out, struct vmtape_tape *tape, uint64_t tsc)
{
	struct vmtape_processes *processes = calloc(1, sizeof(*processes));
	struct vmtape_error *error;

	*out = NULL;
	if (!processes)
		return &vmtape_error_no_memory;
	error = process_list_create(&processes->list, tape->session, tsc);
	if (error) {
		free(processes);
		return error;
	}
	processes->shown = calloc(processes->list.count + 1, sizeof(*processes->shown));
	if (!processes->shown) {
		vmtape_processes_destroy(processes);
		return &vmtape_error_no_memory;
	}
	for (size_t i = 0; i < processes->list.count; i++)
		show_process(&processes->shown[i], &processes->list.rows[i]);
	*out = processes;
	return NULL;
}

void vmtape_processes_destroy(struct vmtape_processes *processes)
{
	if (!processes)
		return;
	process_list_deinit(&processes->list);
	free(processes->shown);
	free(processes);
}

size_t vmtape_processes_count(const struct vmtape_processes *processes)
{
	return processes->list.count;
}

const struct vmtape_process *vmtape_processes_get(const struct vmtape_processes *processes, size_t row)
{
	return row < processes->list.count ? &processes->shown[row] : NULL;
}
