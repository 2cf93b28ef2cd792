/* SPDX-License-Identifier: MIT */
/*
 * linux_mounts.h - is a file's path the only one that leads to it? Bind mounts,
 * and mount namespaces, may give it others. Lives as long as the memory and
 * the paths; one thread an object.
 */
#ifndef LINUX_MOUNTS_H
#define LINUX_MOUNTS_H

#include "linux_guest_private.h"

struct linux_mounts;
/* What the guest's types lack is no error: then nothing is the only one. */
struct vmtape_error *linux_mounts_create(struct linux_mounts **out, const struct linux_guest *guest,
					 struct guest_memory *memory, struct linux_paths *paths);
void linux_mounts_destroy(struct linux_mounts *mounts);
/*
 * mnt: address of a file's struct vfsmount. It is in a mount namespace that processes are in, and wherever in such a
 * namespace its file system is mounted, and those above it, all is called alike. false, too: not known.
 */
bool linux_mounts_is_only(struct linux_mounts *mounts, uint64_t mnt);
/* The mount namespace that it is in; 0: none, or not known. */
uint64_t linux_mounts_namespace(struct linux_mounts *mounts, uint64_t mnt);

#endif
