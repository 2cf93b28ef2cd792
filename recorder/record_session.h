/* SPDX-License-Identifier: MIT */
/* record_session.h - one recording, from the first connection to the summary. Main thread. */
#ifndef RECORD_SESSION_H
#define RECORD_SESSION_H

#include "record_options.h"

/* Returns the exit status: 0 recorded, 2 an error, which was reported. */
int record_session_run(const struct record_options *options);

#endif
