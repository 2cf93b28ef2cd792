/* SPDX-License-Identifier: MIT */
/*
 * vmtape.h - read tapes of vmtape: who the guest was, which system calls its
 * processes made. Link with -lvmtape (pkg-config vmtape).
 *
 * Functions that return struct vmtape_error * return NULL on success; the error
 * is the caller's, to be freed with vmtape_error_free(). All other pointers
 * belong to the tape or the iterator that they came from. An object belongs to
 * one thread at a time; different objects may be used in parallel. Times are
 * nanoseconds since 1970, UTC. Strings that come from the guest are bytes that
 * its programs chose.
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
};

struct vmtape_calls;
/* In order of entry. filter (may be NULL) is as in vmtape-events(1). */
VMTAPE_API struct vmtape_error *vmtape_calls_create(struct vmtape_calls **out, struct vmtape_tape *tape,
						    const char *filter);
VMTAPE_API void vmtape_calls_destroy(struct vmtape_calls *calls); /* before vmtape_close(); NULL is allowed */
/* *call is NULL at the end; it is valid until the next call of this function. */
VMTAPE_API struct vmtape_error *vmtape_calls_next(struct vmtape_calls *calls, const struct vmtape_call **call);
/* Records known to be lost so far. */
VMTAPE_API uint64_t vmtape_calls_lost(const struct vmtape_calls *calls);

#ifdef __cplusplus
}
#endif

#endif
