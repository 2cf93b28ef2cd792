/* SPDX-License-Identifier: MIT */
/* fd_paths.h - paths as calls name them, made absolute. */
#ifndef FD_PATHS_H
#define FD_PATHS_H

#include "fd_object.h"

/* Is one of its parts this one; last: is it the last of them? */
bool fd_path_has(const char *path, size_t n, const char *part, size_t len, bool last);
/* Is one of its parts ".."? Where that leads depends on symbolic links. */
bool fd_path_goes_up(const char *path, size_t n);
/* Links of the kernel's that are there lead to any namespace. */
bool fd_path_is_in_proc(const char *path, size_t n);

/* The path below root ("?": not known, and so is the path); a relative one from base (NULL: not known). NULL: not
 * known, too long, or no memory. */
struct fd_object *fd_path_object(enum fd_kind kind, const char *root, const char *base, const char *path, size_t n);

#endif
