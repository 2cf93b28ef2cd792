/* SPDX-License-Identifier: MIT */
/*
 * public_call.h - from the analyzer's calls and records to those of vmtape.h;
 * what the parts of libvmtape share. A shown object is valid until it shows
 * something else; the records that it was shown from must live as long.
 */
#ifndef PUBLIC_CALL_H
#define PUBLIC_CALL_H

#include "call.h"
#include "filter.h"
#include "session.h"
#include "strbuf.h"
#include "vmtape.h"

struct tape_memory;

struct vmtape_tape {
	struct session *session;
	bool is_borrowed;
	struct tape_memory *memory; /* public_memory.c: of the snapshot that was read last */
};
/* Forgets what it keeps of the session, which is about to change or to be closed. */
void public_memory_drop(struct vmtape_tape *tape);

/* shown is first: the public pointer is that of the whole. */
struct public_call {
	struct vmtape_call shown;
	struct vmtape_tape *tape;
	bool has_enter, has_exit;
	struct trap_view enter, exit;
	char comm[16 + 1];
	struct strbuf ret_text, arg_texts[VMTAPE_CALL_ARGS];
	void *owned; /* of a copy: what all of this points into */
};
void public_call_show(struct public_call *out, struct vmtape_tape *tape, const struct call *call);
void public_call_deinit(struct public_call *call);

struct public_trap {
	struct vmtape_trap shown;
	struct vmtape_register registers[TRAP_REGS];
	struct vmtape_fragment *fragments;
	size_t fragments_room;
	char comm[16 + 1];
};
/* call (may be NULL) is what the record alone tells of, thread is of both. */
struct vmtape_error *public_trap_show(struct public_trap *out, struct vmtape_tape *tape, const struct trap_view *view,
				      const struct call *call, const struct call_thread *thread);
void public_trap_deinit(struct public_trap *trap);

/* Of a span; its filter may be NULL. */
struct vmtape_error *public_filter(struct filter **out, const struct vmtape_tape *tape, const char *text);

#endif
