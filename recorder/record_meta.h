/* SPDX-License-Identifier: MIT */
/* record_meta.h - what a tape says of the VM, the host and the recorder: the text of its META chunk. */
#ifndef RECORD_META_H
#define RECORD_META_H

#include "producer_proto.h"
#include "record_options.h"

/* Why a tape was begun. */
struct record_origin {
	const char *reason;    /* for people */
	const char *continues; /* the tape before, of a rotation; NULL: none */
};

#define RECORD_UUID_ROOM 40
/* As text; empty when it is all zeros, which is none. */
void record_uuid_text(char out[RECORD_UUID_ROOM], const uint8_t *uuid);
/* What began this run, when the user did not say it. Static. */
const char *record_start_reason(void);
/* key=value lines; the caller frees it. NULL: no memory. */
char *record_meta_text(const struct record_options *options, const struct proto_welcome *welcome,
		       const struct record_origin *origin);
/* One line "key=time text", for what happens on the way; NULL: no memory. */
char *record_meta_event(const char *key, unsigned number, const char *text);
/* Of the tape ("qemu-kvm"); of lines for people ("KVM"). */
const char *record_producer_name(const struct proto_welcome *welcome);
const char *record_producer_label(const struct proto_welcome *welcome);

#endif
