/* SPDX-License-Identifier: MIT */
#include "out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256u << 10)

struct out_file {
	char *path;
	char *temporary; /* NULL: the file has no name yet, or is none that we made */
	int fd;
	bool is_new, force, finished;
	uint64_t at_bytes; /* written so far, holes included */
	size_t fill_bytes;
	uint8_t buffer[BUFFER_BYTES];
};

static struct vmtape_error *failed(const struct out_file *file)
{
	return vmtape_error_create(VMTAPE_ERROR_IO, "%s: %s", strcmp(file->path, "-") ? file->path : "standard output",
				   errno == EEXIST ? "it exists; --force overwrites it" : strerror(errno));
}

/* A file without a name vanishes with the process, however that ends; not every file system has that. */
static bool open_new(struct out_file *file)
{
	char *copy = strdup(file->path);

	if (!copy)
		return false;
	file->fd = open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	free(copy);
	if (file->fd >= 0)
		return true;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return false;
	if (asprintf(&file->temporary, "%s.XXXXXX", file->path) < 0) {
		file->temporary = NULL;
		return false;
	}
	file->fd = mkostemp(file->temporary, O_CLOEXEC);
	if (file->fd >= 0)
		return true;
	free(file->temporary);
	file->temporary = NULL;
	return false;
}

static bool open_file(struct out_file *file)
{
	struct stat status;

	if (!strcmp(file->path, "-")) {
		file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return file->fd >= 0;
	}
	if (stat(file->path, &status)) {
		if (errno != ENOENT)
			return false;
	} else if (S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		return false;
	} else if (!S_ISREG(status.st_mode)) {
		file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
		return file->fd >= 0;
	} else if (!file->force) {
		errno = EEXIST;
		return false;
	}
	file->is_new = true;
	return open_new(file);
}

struct vmtape_error *out_file_create(struct out_file **out, const char *path, bool force)
{
	struct out_file *file = calloc(1, sizeof(*file));
	struct vmtape_error *error;

	if (!file)
		return &vmtape_error_no_memory;
	file->fd = -1;
	file->force = force;
	file->path = strdup(path);
	if (!file->path) {
		free(file);
		return &vmtape_error_no_memory;
	}
	if (open_file(file)) {
		*out = file;
		return NULL;
	}
	error = failed(file);
	out_file_destroy(file);
	return error;
}

void out_file_destroy(struct out_file *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	if (file->temporary && !file->finished)
		unlink(file->temporary);
	free(file->temporary);
	free(file->path);
	free(file);
}

int out_file_fd(const struct out_file *file)
{
	return file->is_new ? file->fd : -1;
}

/* ---- writing --------------------------------------------------------- */

static struct vmtape_error *write_all(struct out_file *file, const uint8_t *bytes, size_t size_bytes)
{
	while (size_bytes) {
		ssize_t n = file->is_new ? pwrite(file->fd, bytes, size_bytes, (off_t)file->at_bytes)
					 : write(file->fd, bytes, size_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(file);
		bytes += n;
		size_bytes -= (size_t)n;
		file->at_bytes += (uint64_t)n;
	}
	return NULL;
}

static struct vmtape_error *flush(struct out_file *file)
{
	struct vmtape_error *error = write_all(file, file->buffer, file->fill_bytes);

	file->fill_bytes = 0;
	return error;
}

struct vmtape_error *out_file_write(struct out_file *file, const void *bytes, size_t size_bytes)
{
	if (size_bytes > BUFFER_BYTES - file->fill_bytes) {
		struct vmtape_error *error = flush(file);

		if (error || size_bytes > BUFFER_BYTES)
			return error ? error : write_all(file, bytes, size_bytes);
	}
	memcpy(file->buffer + file->fill_bytes, bytes, size_bytes);
	file->fill_bytes += size_bytes;
	return NULL;
}

struct vmtape_error *out_file_zeros(struct out_file *file, uint64_t size_bytes)
{
	struct vmtape_error *error = NULL;

	if (file->is_new && size_bytes >= 4096) {
		error = flush(file);
		if (!error && size_bytes > (uint64_t)INT64_MAX - file->at_bytes) {
			errno = EFBIG;
			error = failed(file);
		}
		file->at_bytes += size_bytes;
		return error;
	}
	while (size_bytes && !error) {
		size_t n = BUFFER_BYTES - file->fill_bytes;

		n = size_bytes < n ? (size_t)size_bytes : n;
		memset(file->buffer + file->fill_bytes, 0, n);
		file->fill_bytes += n;
		size_bytes -= n;
		if (file->fill_bytes == BUFFER_BYTES)
			error = flush(file);
	}
	return error;
}

/* ---- end ------------------------------------------------------------- */

/* The nameless file gets a name beside the path, from where it can take the path's. */
static bool name_beside(struct out_file *file)
{
	char self[64], *name;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	for (unsigned i = 0; i < 100; i++) {
		if (asprintf(&name, "%s.%d.%u", file->path, getpid(), i) < 0)
			return false;
		if (!linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW)) {
			file->temporary = name;
			return true;
		}
		free(name);
		if (errno != EEXIST)
			return false;
	}
	return false;
}

static bool give_name(struct out_file *file)
{
	char self[64];

	if (!file->temporary && !file->force) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
		return !linkat(AT_FDCWD, self, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW);
	}
	if (!file->temporary && !name_beside(file))
		return false;
	if (file->force)
		return !rename(file->temporary, file->path);
	if (!renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE))
		return true;
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	if (link(file->temporary, file->path))
		return false;
	unlink(file->temporary);
	return true;
}

struct vmtape_error *out_file_finish(struct out_file *file)
{
	struct vmtape_error *error = flush(file);
	struct stat status;

	if (error || !file->is_new)
		return error;
	/* Holes at the end; who writes by offsets has a size already. */
	if (fstat(file->fd, &status) ||
	    ((uint64_t)status.st_size < file->at_bytes && ftruncate(file->fd, (off_t)file->at_bytes)))
		return failed(file);
	if (fdatasync(file->fd) || !give_name(file))
		return failed(file);
	file->finished = true;
	return NULL;
}
