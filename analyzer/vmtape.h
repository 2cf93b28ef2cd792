/* SPDX-License-Identifier: MIT */
/*
 * vmtape.h - read tapes of vmtape: who the guest was, which system calls its
 * processes made, what was in its memory. Link with -lvmtape (pkg-config vmtape).
 *
 * Errors: functions that return struct vmtape_error * return NULL on success;
 * the error is the caller's, to be freed with vmtape_error_free(), and what the
 * function gives back is then NULL or empty. That something is not on the tape
 * is no error.
 * Lifetime: all other pointers belong to the object that they came from. What
 * was made from a tape is destroyed before vmtape_close().
 * Threads: a tape, and all that was made from it, belongs to one thread at a
 * time; different tapes (of one file, too) may be used in parallel.
 * Units: *_ns are nanoseconds, points in time since 1970, UTC, -1 if the tape
 * can't tell; tsc are ticks of the guest's time stamp counter, by which all
 * that is on a tape is placed; sizes are bytes.
 * Strings that come from the guest are bytes that its programs chose.
 */
#ifndef VMTAPE_H
#define VMTAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef VMTAPE_API
#define VMTAPE_API __attribute__((visibility("default")))
#endif

/* "0.1.0", of the library that is linked. */
VMTAPE_API const char *vmtape_version(void);

/* ---- errors ---------------------------------------------------------- */

struct vmtape_error;
/* For people: what, where, what to do. */
VMTAPE_API const char *vmtape_error_message(const struct vmtape_error *error);
VMTAPE_API void vmtape_error_free(struct vmtape_error *error); /* NULL is allowed */

/* ---- tape ------------------------------------------------------------ */

struct vmtape_tape;
/* Finished, cut off, or still being written; what is damaged is left out. */
VMTAPE_API struct vmtape_error *vmtape_open(struct vmtape_tape **out, const char *path);
VMTAPE_API void vmtape_close(struct vmtape_tape *tape); /* NULL is allowed */

/*
 * Facts about the guest, found in its memory at the first question (a second or
 * so). NULL: not identified; vmtape_guest_problem() says what was looked for.
 */
VMTAPE_API const char *vmtape_guest_banner(struct vmtape_tape *tape);  /* "Linux version 6.1.0-…" */
VMTAPE_API const char *vmtape_guest_release(struct vmtape_tape *tape); /* "6.1.0-56-cloud-amd64" */
VMTAPE_API const char *vmtape_guest_problem(struct vmtape_tape *tape); /* NULL: identified */

VMTAPE_API int64_t vmtape_start_ns(const struct vmtape_tape *tape); /* -1: the tape has no clock */
VMTAPE_API int64_t vmtape_end_ns(const struct vmtape_tape *tape);
VMTAPE_API uint64_t vmtape_nr_records(const struct vmtape_tape *tape);

#define VMTAPE_START 0
#define VMTAPE_END   UINT64_MAX
/* First tsc at or after a time; false: the tape has no clock. */
VMTAPE_API bool vmtape_tsc_at(const struct vmtape_tape *tape, int64_t time_ns, uint64_t *tsc);
/* "12:00:01.5", "+1.5" (seconds from the tape's start) or ISO 8601, as in vmtape(1); an error if it is none of these.
 */
VMTAPE_API struct vmtape_error *vmtape_parse_time(const struct vmtape_tape *tape, const char *text, uint64_t *tsc);

/* What to read of a tape. Zero-initialised, all of it. */
struct vmtape_span {
	const char *filter; /* as in vmtape-events(1), whose fields it has; NULL: everything. Copied. */
	uint64_t from_tsc;  /* entered at or after */
	uint64_t to_tsc;    /* entered before; 0 is as VMTAPE_END */
};

/* ---- calls ----------------------------------------------------------- */

enum vmtape_call_state {
	VMTAPE_CALL_COMPLETE,  /* entry and exit seen */
	VMTAPE_CALL_NO_EXIT,   /* it left another way: exit, exec in another thread, killed */
	VMTAPE_CALL_OPEN,      /* the tape ended first */
	VMTAPE_CALL_EXIT_ONLY, /* entered before the tape, or its entry was lost */
};

struct vmtape_arg {
	const char *name; /* "filename" */
	uint64_t value;   /* the register */
	int64_t number;   /* the same by its C type: sign-extended, or cut to what the kernel takes of it */
	const char *text; /* as strace prints it: "\"/etc/passwd\"", "O_RDONLY|O_CLOEXEC" */
};

#define VMTAPE_CALL_ARGS 6

/* Unknown: NULL, or -1 where it says so. New members come at the end. */
struct vmtape_call {
	const char *name; /* "openat" */
	int64_t nr;       /* -1 */
	const char *abi;  /* "x86_64", "x32", "i386" */
	enum vmtape_call_state state;
	int64_t time_ns;     /* of the entry; -1 */
	int64_t duration_ns; /* -1 */
	uint64_t tsc;        /* guest's, of the entry */
	unsigned vcpu;
	int32_t pid, tid, ppid; /* -1 */
	const char *process;    /* name of the thread */
	const char *exe;        /* path of the program */
	int nr_args;            /* 0 if they are not known */
	struct vmtape_arg args[VMTAPE_CALL_ARGS];
	bool ret_known;
	int64_t ret;
	const char *ret_text;   /* "3", "-1 ENOENT (No such file or directory)", "?" */
	const char *error_name; /* "ENOENT"; NULL: it did not fail */
	bool interrupted;       /* by a signal that has a handler */
	bool uncertain;         /* records were lost that may belong to it */
	int signal;             /* that interrupted it, by the guest's number; -1 */
};

struct vmtape_calls;
/*
 * In order of entry. filter may be NULL. A span's reading begins at the last snapshot before it.
 * Errors: the filter (which column), memory, the file.
 */
VMTAPE_API struct vmtape_error *vmtape_calls_create(struct vmtape_calls **out, struct vmtape_tape *tape,
						    const char *filter);
VMTAPE_API struct vmtape_error *vmtape_calls_create_span(struct vmtape_calls **out, struct vmtape_tape *tape,
							 const struct vmtape_span *span);
VMTAPE_API void vmtape_calls_destroy(struct vmtape_calls *calls); /* NULL is allowed */
/* *call is NULL at the end; it is valid until the next call of this function. */
VMTAPE_API struct vmtape_error *vmtape_calls_next(struct vmtape_calls *calls, const struct vmtape_call **call);
/* Records known to be lost so far. */
VMTAPE_API uint64_t vmtape_calls_lost(const struct vmtape_calls *calls);

/* A call of the caller's own, to be kept: it may be read like any other until it is freed. NULL: no memory. */
VMTAPE_API struct vmtape_call *vmtape_call_copy(const struct vmtape_call *call);
VMTAPE_API void vmtape_call_free(struct vmtape_call *copy); /* NULL, and after vmtape_close(), is allowed */

/*
 * What text stands for, without strace's quotes and escapes: a string's bytes (which may hold NUL), or the text itself.
 * Returns their number, and copies as many as fit in room_bytes to out, without a NUL behind them.
 */
enum vmtape_text {
	VMTAPE_TEXT_NAMES, /* numbers, flags, structures, … */
	VMTAPE_TEXT_STRING,
	VMTAPE_TEXT_STRING_CUT, /* the guest's string is longer than what was captured */
};
VMTAPE_API size_t vmtape_text_plain(const char *text, enum vmtape_text *kind, void *out, size_t room_bytes);

/* ---- raw traps ------------------------------------------------------- */

struct vmtape_register {
	const char
		*name; /* "rax", "cr3"; "task" and "task_id" identify the thread; "nr": of the call that an exit ends */
	uint64_t value;
};

/* Guest memory that was copied at the trap. */
struct vmtape_fragment {
	uint64_t gva;
	const void *bytes;
	size_t size_bytes;
	bool whole; /* all that was asked for */
};

#define VMTAPE_TRAP_CPL0     0x01 /* made by the kernel itself */
#define VMTAPE_TRAP_DIVERTED 0x02 /* the exit leads elsewhere than behind the call: signal, exec, sigreturn */
#define VMTAPE_TRAP_UNPAIRED 0x04 /* the producer did not see the entry of this exit */
#define VMTAPE_TRAP_CUT      0x08 /* fragments were left out for the record's size */

/* One record of a vCPU. New members come at the end. */
struct vmtape_trap {
	const char *type; /* "enter", "exit", "identity", "gap", "mark" (a snapshot was taken), "plan" */
	const char *via;  /* "syscall", "sysret", "sysenter", "sysexit", "int80", "iret", "none" */
	const char *abi;  /* as of a call */
	unsigned flags;   /* VMTAPE_TRAP_* */
	unsigned vcpu;
	uint64_t seq; /* of this vCPU's records, lost ones counted */
	uint64_t tsc;
	int64_t time_ns;        /* -1 */
	int32_t pid, tid, ppid; /* -1 */
	const char *process;    /* NULL */
	const char *exe;        /* NULL */
	const char *name;       /* of the call; NULL */
	int64_t nr;             /* -1 */
	size_t nr_registers;
	const struct vmtape_register *registers;
	size_t nr_fragments;
	const struct vmtape_fragment *fragments;
	uint64_t lost_records; /* of a gap */
};

struct vmtape_traps;
/* In order of time. A filter decides on entries and exits (evt.dir), and leaves out other types but gaps. */
VMTAPE_API struct vmtape_error *vmtape_traps_create(struct vmtape_traps **out, struct vmtape_tape *tape,
						    const struct vmtape_span *span);
VMTAPE_API void vmtape_traps_destroy(struct vmtape_traps *traps); /* NULL is allowed */
/* *trap is NULL at the end; it is valid until the next call of this function. */
VMTAPE_API struct vmtape_error *vmtape_traps_next(struct vmtape_traps *traps, const struct vmtape_trap **trap);
/* false: the record has no such register. */
VMTAPE_API bool vmtape_trap_register(const struct vmtape_trap *trap, const char *name, uint64_t *value);

/* ---- snapshots ------------------------------------------------------- */

struct vmtape_snapshot {
	uint64_t tsc;
	int64_t time_ns;
	unsigned nr_vcpus;  /* whose registers it has */
	uint64_t nr_pages;  /* that it brings, of 4096 bytes */
	uint64_t ram_bytes; /* of the guest */
	bool base;          /* of the whole memory, not of what changed */
};
VMTAPE_API uint32_t vmtape_nr_snapshots(const struct vmtape_tape *tape);
/* false: there is no such snapshot. They are numbered from 0, in order of time. */
VMTAPE_API bool vmtape_snapshot_info(const struct vmtape_tape *tape, uint32_t index, struct vmtape_snapshot *out);
/* Index of the last one at or before tsc; -1: none. */
VMTAPE_API int64_t vmtape_snapshot_at(const struct vmtape_tape *tape, uint64_t tsc);
/* By name: rax … r15, rip, rflags, cr0, cr2, cr3, cr4, efer, lstar, fs_base, …; false: not recorded. */
VMTAPE_API bool vmtape_snapshot_register(const struct vmtape_tape *tape, uint32_t index, unsigned vcpu,
					 const char *name, uint64_t *value);
/* Names that vmtape_snapshot_register() knows, by number from 0; NULL: no more. */
VMTAPE_API const char *vmtape_register_name(unsigned number);

/* ---- memory ---------------------------------------------------------- */

/*
 * What became of a read. Bytes are read from the start on, up to the first that is not on the tape; why then says what
 * was in the way. They are of a snapshot, so older than the moment that was asked about, and the guest may have written
 * over them in between; those that were captured are of the call itself.
 */
struct vmtape_read {
	size_t size_bytes;     /* read */
	size_t captured_bytes; /* of them, copied by the call's own traps */
	int64_t snapshot;      /* index of the one that the others are of; -1: none are */
	uint64_t snapshot_tsc; /* 0 */
	int64_t snapshot_ns;   /* -1 */
	const char *why;       /* "the page is not recorded"; NULL: all was read. Static. */
};

/* Guest-physical memory at the last snapshot at or before tsc. Errors: the file can't be read. */
VMTAPE_API struct vmtape_error *vmtape_read_physical(struct vmtape_tape *tape, uint64_t tsc, uint64_t gpa, void *out,
						     size_t size_bytes, struct vmtape_read *result);
/* Virtual memory by the page tables that cr3 points to in that snapshot, whoever they belong to then. */
VMTAPE_API struct vmtape_error *vmtape_read_virtual(struct vmtape_tape *tape, uint64_t tsc, uint64_t cr3, uint64_t gva,
						    void *out, size_t size_bytes, struct vmtape_read *result);
/* Virtual memory of a process that the snapshot knows. Needs an identified guest. */
VMTAPE_API struct vmtape_error *vmtape_read_process(struct vmtape_tape *tape, uint64_t tsc, int32_t pid, uint64_t gva,
						    void *out, size_t size_bytes, struct vmtape_read *result);

enum vmtape_direction {
	VMTAPE_ENTER,
	VMTAPE_EXIT,
};
/*
 * Memory of the process that made a call, at its entry or its exit: what the call's records captured up to then, and
 * beside it the last snapshot before, if the process had the same CR3 then (no fork or exec came in between; after two
 * execs since, the kernel may have given it the first one's CR3 again, and the bytes are an earlier program's).
 */
VMTAPE_API struct vmtape_error *vmtape_call_read(const struct vmtape_call *call, enum vmtape_direction when,
						 uint64_t gva, void *out, size_t size_bytes,
						 struct vmtape_read *result);
/* Up to a NUL, which is not counted: result->size_bytes is then its length and why is NULL. out has no NUL added. */
VMTAPE_API struct vmtape_error *vmtape_call_read_string(const struct vmtape_call *call, enum vmtape_direction when,
							uint64_t gva, char *out, size_t size_bytes,
							struct vmtape_read *result);

/* ---- processes ------------------------------------------------------- */

/* Unknown: -1 or NULL. New members come at the end. */
struct vmtape_process {
	int32_t pid, ppid;
	unsigned nr_threads;
	const char *name; /* of its first thread */
	const char *exe;
	int64_t uid;
	int64_t started_ns;
	bool kernel_thread;
	bool zombie;
};
struct vmtape_processes;
/* At a moment; VMTAPE_END: at the end. Children come behind their parents. The list does not change. */
VMTAPE_API struct vmtape_error *vmtape_processes_create(struct vmtape_processes **out, struct vmtape_tape *tape,
							uint64_t tsc);
VMTAPE_API void vmtape_processes_destroy(struct vmtape_processes *processes); /* NULL is allowed */
VMTAPE_API size_t vmtape_processes_count(const struct vmtape_processes *processes);
/* NULL: there is no such row. */
VMTAPE_API const struct vmtape_process *vmtape_processes_get(const struct vmtape_processes *processes, size_t row);

/* ---- hooks ----------------------------------------------------------- */

/* What a hook is called with; valid while it runs. */
struct vmtape_event {
	enum vmtape_direction direction;
	struct vmtape_tape *tape;
	const struct vmtape_call *call; /* whole: its result is there at the entry, too (but with raw traps) */
	const struct vmtape_trap *trap; /* the entry's or the exit's registers and memory */
};

enum vmtape_hook_result {
	VMTAPE_HOOK_GO_ON = 0,
	VMTAPE_HOOK_STOP = 1,    /* this event's other hooks are run, then it ends */
	VMTAPE_HOOK_FAILED = -1, /* told on stderr and counted by the vmtape command; it goes on */
};
typedef int vmtape_hook_fn(void *ctx, struct vmtape_event *event);

struct vmtape_hooks;
VMTAPE_API struct vmtape_error *vmtape_hooks_create(struct vmtape_hooks **out);
VMTAPE_API void vmtape_hooks_destroy(struct vmtape_hooks *hooks); /* NULL is allowed */
/*
 * Calls fn for each entry or exit of the calls of this name ("openat"), of names that match a pattern ("open*",
 * "[ps]read*", as of glob(7)), or of all ("*"; only that matches calls without a name). The name is copied. Hooks run
 * in the order in which they were added. Errors: memory.
 */
VMTAPE_API struct vmtape_error *vmtape_hooks_add(struct vmtape_hooks *hooks, enum vmtape_direction direction,
						 const char *name, vmtape_hook_fn *fn, void *ctx);
/*
 * Runs over the calls of a span (NULL: all) in order of entry: for each, hooks of its entry, if that is on the tape,
 * and of its exit, if it has one. Not to be called by a hook. Errors: as of vmtape_calls_create_span() and _next().
 */
VMTAPE_API struct vmtape_error *vmtape_hooks_run(struct vmtape_hooks *hooks, struct vmtape_tape *tape,
						 const struct vmtape_span *span);
/* Hooks that returned VMTAPE_HOOK_FAILED so far. */
VMTAPE_API uint64_t vmtape_hooks_failed(const struct vmtape_hooks *hooks);

/*
 * Adds a member to the object that `vmtape events` shows with the call ("hook" in JSON); without it, to be asked for
 * with vmtape_event_hook(). The same key again replaces it, also between entry and exit. text and key are UTF-8, or
 * are made so. false: no memory.
 */
VMTAPE_API bool vmtape_event_put_text(struct vmtape_event *event, const char *key, const char *text);
VMTAPE_API bool vmtape_event_put_number(struct vmtape_event *event, const char *key, int64_t number);
/* The object as JSON in one line, NULL: nothing was put. Valid while the hook runs. */
VMTAPE_API const char *vmtape_event_hook(struct vmtape_event *event);

/*
 * What a FILE.so for `vmtape events --hooks` defines: adds its hooks, and returns 0, or another value to refuse. It is
 * not to be linked with libvmtape: the command brings these functions. vmtape_plugin_end() may be missing.
 */
#define VMTAPE_PLUGIN_API __attribute__((visibility("default")))
VMTAPE_PLUGIN_API int vmtape_plugin_init(struct vmtape_hooks *hooks);
VMTAPE_PLUGIN_API void vmtape_plugin_end(void);

#ifdef __cplusplus
}
#endif

#endif
