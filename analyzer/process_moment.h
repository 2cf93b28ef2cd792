/* SPDX-License-Identifier: MIT */
/* process_moment.h - all that a tape tells of one moment: a tracker that has been led up to it, descriptors included.
 */
#ifndef PROCESS_MOMENT_H
#define PROCESS_MOMENT_H

#include "tracker.h"

/* Of the moment of this TSC value; UINT64_MAX: the end of the tape. tracker_destroy() ends it. */
struct vmtape_error *process_moment_create(struct tracker **out, struct session *session,
					   const struct tracker_sink *sink, uint64_t tsc);
/* First threads of all processes, by process id: an array that the caller frees, of the table's own entries. */
struct vmtape_error *process_moment_processes(struct tracker *moment, const struct process_thread ***out,
					      size_t *count);

#endif
