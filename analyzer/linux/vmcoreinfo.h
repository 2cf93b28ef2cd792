/* SPDX-License-Identifier: MIT */
/* vmcoreinfo.h - the note that a Linux kernel keeps for who reads its memory after a crash. */
#ifndef VMCOREINFO_H
#define VMCOREINFO_H

#include "linux_guest.h"

#define VMCOREINFO_MAX_BYTES (64u << 10)

/* Its text, for free(); memory is a snapshot of the guest's boot. It is the guest's word: only its frame was checked.
 */
struct vmtape_error *linux_guest_vmcoreinfo(const struct linux_guest *guest, struct guest_memory *memory, char **out,
					    size_t *size_bytes);

#endif
