/* SPDX-License-Identifier: MIT */
/* record_meta.h - what a tape says of the VM, the host and the recorder: the text of its META chunk. */
#ifndef RECORD_META_H
#define RECORD_META_H

#include "producer_proto.h"
#include "record_options.h"

/* key=value lines; the caller frees it. NULL: no memory. */
char *record_meta_text(const struct record_options *options, const struct proto_welcome *welcome);
/* Of the tape ("qemu-kvm"); of lines for people ("KVM"). */
const char *record_producer_name(const struct proto_welcome *welcome);
const char *record_producer_label(const struct proto_welcome *welcome);

#endif
