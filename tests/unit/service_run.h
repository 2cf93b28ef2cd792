/* SPDX-License-Identifier: MIT */
/*
 * service_run.h - runs vmtape-record as a service manager does: any options, an
 * environment, another user, a log that may be the journal. What is started here
 * is waited for and looked at with record_run.h.
 */
#ifndef SERVICE_RUN_H
#define SERVICE_RUN_H

#include "record_run.h"

struct service_setup {
	const char *folder;         /* of the log, which is record.log */
	const char *socket_path;    /* of the VM */
	const char *output;         /* of -o; NULL: out.vmt in the folder */
	const char *notify_path;    /* NOTIFY_SOCKET; NULL: none */
	const char *watchdog_usec;  /* NULL: none */
	bool journal;               /* JOURNAL_STREAM names the log */
	bool wrong_journal;         /* JOURNAL_STREAM names something else */
	uid_t uid;                  /* 0: as we are */
	const char *program_folder; /* of a copy of vmtape-record and its libraries; NULL: where it was built */
};

/* options end with NULL. */
void service_run_start(struct record_run *run, const struct service_setup *setup, const char *const *options);
/* Sends a signal, waits for the end; then its status and a part of what it said are checked. */
void service_run_stop(struct record_run *run, int signal_number, int status, const char *said);

#endif
