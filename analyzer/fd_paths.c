/* SPDX-License-Identifier: MIT */
/* A path as a call names it, made absolute. ".." stays, as what it means depends on symbolic links. */
#include "fd_paths.h"

#include <string.h>

struct path_buffer {
	char bytes[FD_NAME_BYTES];
	size_t len;
	bool full;
};

static void put_component(struct path_buffer *out, const char *text, size_t n)
{
	if (!n || (n == 1 && text[0] == '.'))
		return;
	if (out->len + n + 1 >= sizeof(out->bytes)) {
		out->full = true;
		return;
	}
	out->bytes[out->len++] = '/';
	memcpy(out->bytes + out->len, text, n);
	out->len += n;
}

static void put_path(struct path_buffer *out, const char *path, size_t n)
{
	const char *end = path + n;

	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash ? slash : end;

		put_component(out, path, (size_t)(stop - path));
		path = stop + 1;
	}
}

bool fd_path_has(const char *path, size_t n, const char *part, size_t len, bool last)
{
	const char *end = path + n, *at = n && path[0] == '/' ? path + 1 : path;

	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		const char *stop = slash ? slash : end;

		if ((size_t)(stop - at) == len && (!last || stop == end) && !memcmp(at, part, len))
			return true;
		if (!slash)
			return false;
		at = slash + 1;
	}
}

bool fd_path_goes_up(const char *path, size_t n)
{
	return fd_path_has(path, n, "..", 2, false);
}

bool fd_path_is_in_proc(const char *path, size_t n)
{
	return memmem(path, n, "/proc/", 6);
}

struct fd_object *fd_path_object(enum fd_kind kind, const char *root, const char *base, const char *path, size_t n)
{
	struct path_buffer buffer = {.len = 0};

	if (n && path[0] == '/' && root[0] && root[0] != '/')
		return NULL;
	if (n && path[0] == '/')
		put_path(&buffer, root, strlen(root));
	else if (base && base[0] == '/')
		put_path(&buffer, base, strlen(base));
	else
		return NULL;
	put_path(&buffer, path, n);
	if (!buffer.len)
		buffer.bytes[buffer.len++] = '/';
	return buffer.full ? NULL : fd_object_create(kind, buffer.bytes, buffer.len);
}
