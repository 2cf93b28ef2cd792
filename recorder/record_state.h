/* SPDX-License-Identifier: MIT */
/*
 * record_state.h - what the parts of a recording session share. All of it
 * belongs to the main thread; other threads only wake its loop.
 */
#ifndef RECORD_STATE_H
#define RECORD_STATE_H

#include "call_watch.h"
#include "control.h"
#include "drain.h"
#include "file_worker.h"
#include "metrics.h"
#include "notify.h"
#include "producer_calls.h"
#include "ram_snapshot.h"
#include "record_options.h"
#include "record_plan.h"
#include "record_progress.h"
#include "tape_file.h"
#include "tape_key.h"
#include "tape_series.h"
#include "tape_thread.h"

/* Why a recording ends. */
enum ending {
	ENDING_NOT = 0,
	ENDING_ASKED,    /* signal, duration */
	ENDING_VM_GONE,  /* socket closed */
	ENDING_BROKEN,   /* the VM sent what cannot be */
	ENDING_NO_WRITE, /* disk full, write error */
	ENDING_NOW,      /* second signal */
};

/* What programs beside us are told while it runs. */
struct record_service {
	struct metrics *metrics; /* NULL: none wanted */
	struct notify notify;
	char vm_name[64];    /* clean */
	double start_time_s; /* Unix time */
	uint64_t max_pause_ns, all_pauses_ns;
	uint64_t snapshots_failed;
	bool is_recording;
};

/* From tape to tape, or to the end, when a limit is reached. */
struct record_rotation {
	struct tape_series *series; /* NULL: no rotation */
	uint64_t began_ns;          /* the tape; monotonic, so that no clock step counts */
	char *previous_path;        /* of the tape before it; NULL: none */
	uint64_t committed_before;  /* snapshots of the tapes before this one */
	uint64_t pages_before;      /* stored bytes of memory on those */
	bool has_base;              /* its first snapshot is on it */
	uint64_t base_bytes;        /* that this one takes */
	uint64_t base_job;
	uint64_t retry_ns; /* not before; 0: at once */
	uint64_t patience_ns;
	bool told_large_base;
	unsigned nr_notes, nr_triggers; /* on this tape */
};

/* Commands that came, and are done between two steps. */
struct record_control {
	struct client_server *server; /* NULL: none wanted */
	unsigned nr_pending;
	struct control_pending {
		uint64_t client;
		struct control_command command;
	} pending[CLIENT_SERVER_MAX_CLIENTS];
};

struct record_trigger_state {
	uint64_t due_ns; /* LOOP_NEVER: none came */
	char text[RECORD_TEXT_MAX_BYTES + 1];
	unsigned nr_triggers, nr_copies, nr_failed;
	bool rests_after;    /* a call fired it */
	uint64_t rest_ns;    /* until then calls that match belong to the trigger that was */
	unsigned nr_more;    /* of those */
	unsigned nr_copying; /* that the worker has */
	/* a copy that the tape thread is asked for: */
	uint64_t copy_job; /* 0: none */
	int from_fd;
	struct tape_file copy;
	char *copy_path;
};

struct session {
	const struct record_options *options;
	struct loop loop;
	struct tape_file file;
	char *tape_path; /* of file */
	struct file_worker *worker;
	struct producer producer;
	struct proto_welcome welcome;
	struct trap_ring *early_rings; /* that came before the drain thread runs */
	unsigned nr_early_rings;
	struct tape_key *sign_key; /* NULL: the tape is not signed */
	struct tape_thread *tape;
	struct drain *drain;
	struct ram_snapshot snapshot;
	struct record_plan plan;
	struct record_progress progress;
	struct record_service service;
	struct record_rotation rotation;
	struct record_control control;
	struct record_trigger_state trigger;
	struct call_watch watch;

	bool was_reset; /* PROTO_EVENT_RESET came */
	uint64_t next_snapshot_ns;
	uint64_t quick_ms; /* to the next snapshot while the guest is not known */
	bool told_no_snapshot;
	bool told_full; /* the disk is */
	uint64_t full_since_ns;
	uint64_t lost_before_full;
	enum ending ending;
	struct record_error why;                       /* of the endings that are errors */
	char asked_reason[RECORD_TEXT_MAX_BYTES + 64]; /* of ENDING_ASKED; empty: signal or duration */
	bool skips_last_snapshot;
};

/* record_start.c: attaches and starts all threads; what it opened before an error is for the caller to close. */
int record_start(struct session *session, struct record_error *error);
/* record_session.c: notes what the threads met, if nothing ended the recording before. */
void record_check_threads(struct session *session);
/* record_session.c: a snapshot now; an error may be one that ends the recording, and is noted as such. */
int record_take_snapshot(struct session *session, struct record_error *error);
/* record_end.c: the exit status. */
int record_end(struct session *session);

/* record_end.c: the recording is to end in good order, for this reason. */
void record_ask_end(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * record_rotate.c: opens the first tape's file; then, when it has begun, looks
 * after limits and tapes to be removed. until_ns: when to look again, at the latest.
 */
int record_open_tape(struct session *session, struct record_error *error);
void record_rotation_started(struct session *session);
void record_rotation_step(struct session *session);
uint64_t record_rotation_until_ns(const struct session *session);
void record_rotation_deinit(struct session *session);
/* Goes on in the next tape now. */
int record_rotate(struct session *session, const char *why, struct record_error *error);
/* A file that is not there yet, named after the time. */
int record_open_new(const char *pattern, struct tape_file *file, char **path, struct record_error *error);
/* Tells of what the worker has done. */
void record_poll_worker(struct session *session);

/* record_control.c: the socket; commands that came; and what is left of them when no more are done. */
int record_control_init(struct session *session, struct record_error *error);
void record_control_step(struct session *session);
void record_control_ending(struct session *session);

/*
 * record_trigger.c: puts key.number=time text into the tape's description. Numbers
 * count from 1 and are kept modulo 256, so that a ring has to carry no more.
 */
int record_note(struct session *session, const char *key, unsigned number, const char *text,
		struct record_error *error);
int record_trigger(struct session *session, const char *text, struct record_error *error);
void record_trigger_step(struct session *session);
/* The tape before was changed for this one. */
void record_trigger_rotated(struct session *session);
/* Whether a call matched. */
void record_watch_step(struct session *session);
/* The tape has its end; all is over. */
void record_trigger_finish(struct session *session);
void record_trigger_deinit(struct session *session);
void record_copy_done(struct session *session, const struct file_result *result);

/* record_service.c: before the VM is touched; when its recording has begun; when it ends; and at the end of all. */
int record_service_init(struct session *session, struct record_error *error);
void record_service_started(struct session *session);
void record_service_ending(struct session *session);
void record_service_deinit(struct session *session);
/* A snapshot was taken, or could not be. */
void record_service_snapshot(struct session *session, bool taken);

#endif
