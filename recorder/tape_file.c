/* SPDX-License-Identifier: MIT */
#include "tape_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_error(const char *path, int saved, struct record_error *error)
{
	switch (saved) {
	case EEXIST:
		return record_error_set(error, -saved, "%s: exists already; --force overwrites it", path);
	case ENOENT:
	case ENOTDIR:
		return record_error_set(error, -saved, "%s: cannot be created: %s: does its folder exist?", path,
					strerror(saved));
	default:
		return record_error_set(error, -saved, "%s: cannot be written: %s", path, strerror(saved));
	}
}

int tape_file_open(struct tape_file *file, const char *path, bool force, struct record_error *error)
{
	struct stat st;
	int ret = 0;

	*file = (struct tape_file){.path = path};
	file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
	file->created = file->fd >= 0;
	/* Not blocking: it may be a pipe that nobody reads. */
	if (file->fd < 0 && errno == EEXIST && force)
		file->fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0)
		return open_error(path, errno, error);
	if (fstat(file->fd, &st) || !S_ISREG(st.st_mode))
		ret = record_error_set(error, -EINVAL, "%s: is not a regular file, which a tape must be", path);
	else if (flock(file->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		ret = record_error_set(error, -EBUSY, "%s: another vmtape-record is writing it", path);
	if (ret)
		tape_file_close(file);
	return ret;
}

/* All of a ring's room at once: then the disk can't be full later. */
static int reserve(const struct tape_file *file, uint64_t size_bytes, struct record_error *error)
{
	int saved;

	if (!size_bytes || !fallocate(file->fd, 0, 0, (off_t)size_bytes))
		return 0;
	saved = errno;
	if (saved == EOPNOTSUPP || saved == ENOSYS) {
		report("%s: this file system cannot reserve room: a full disk will end the recording", file->path);
		return 0;
	}
	return record_error_set(error, -saved, "%s: no room for a ring of %" PRIu64 " MiB: %s", file->path,
				size_bytes >> 20, strerror(saved));
}

int tape_file_begin(struct tape_file *file, uint64_t size_bytes, struct record_error *error)
{
	int ret;

	/* A tape holds what the guest's memory held. */
	if (!file->created && fchmod(file->fd, 0600))
		return record_error_set(error, -errno, "%s: cannot be made private: %s", file->path, strerror(errno));
	if (ftruncate(file->fd, 0))
		return record_error_set(error, -errno, "%s: cannot be emptied: %s", file->path, strerror(errno));
	ret = reserve(file, size_bytes, error);
	file->begun = !ret;
	return ret;
}

void tape_file_discard(struct tape_file *file)
{
	file->begun = false;
	tape_file_close(file);
}

void tape_file_close(struct tape_file *file)
{
	if (file->fd < 0)
		return;
	if (file->created && !file->begun)
		unlink(file->path);
	close(file->fd);
	file->fd = -1;
}
