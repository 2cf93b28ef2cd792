/* SPDX-License-Identifier: MIT */
/*
 * tape_source.c - bytes of a tape from a file or from memory. pread, not mmap:
 * a file that somebody cuts short while it is read must not kill the reader.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tape_read.h"

int tape_source_open(struct tape_source *out, const char *path, struct tape_error *error)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int code = errno;

	if (fd < 0)
		return tape_fail(error, -code, TAPE_NO_OFFSET, "cannot open %s: %s", path, strerror(code));
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return tape_fail(error, -EMEDIUMTYPE, TAPE_NO_OFFSET, "%s is not a tape: not a regular file", path);
	}
	*out = (struct tape_source){.fd = fd, .size_bytes = (uint64_t)status.st_size};
	return 0;
}

void tape_source_close(struct tape_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

int tape_source_read(const struct tape_source *source, uint64_t offset, void *bytes, size_t size_bytes)
{
	uint8_t *at = bytes;

	if (offset > source->size_bytes || size_bytes > source->size_bytes - offset)
		return -ENODATA;
	if (source->memory) {
		memcpy(bytes, source->memory + offset, size_bytes);
		return 0;
	}
	while (size_bytes) {
		ssize_t count = pread(source->fd, at, size_bytes, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count ? -errno : -ENODATA;
		at += count;
		offset += (size_t)count;
		size_bytes -= (size_t)count;
	}
	return 0;
}

int tape_scratch_reserve(struct tape_scratch *scratch, size_t size_bytes)
{
	if (size_bytes <= scratch->room_bytes && scratch->data)
		return 0;
	free(scratch->data);
	scratch->room_bytes = size_bytes + 4096;
	scratch->data = malloc(scratch->room_bytes);
	if (scratch->data)
		return 0;
	scratch->room_bytes = 0;
	return -ENOMEM;
}

int tape_source_get(const struct tape_source *source, uint64_t offset, size_t size_bytes, struct tape_scratch *scratch,
		    const uint8_t **out)
{
	if (offset > source->size_bytes || size_bytes > source->size_bytes - offset)
		return -ENODATA;
	if (source->memory) {
		*out = source->memory + offset;
		return 0;
	}
	if (tape_scratch_reserve(scratch, size_bytes))
		return -ENOMEM;
	*out = scratch->data;
	return tape_source_read(source, offset, scratch->data, size_bytes);
}

uint64_t tape_source_next_data(const struct tape_source *source, uint64_t offset)
{
	off_t data;

	if (source->memory || offset >= source->size_bytes)
		return offset;
	data = lseek(source->fd, (off_t)offset, SEEK_DATA);
	if (data >= 0)
		return (uint64_t)data;
	/* Other errors: a file system that can't tell. */
	return errno == ENXIO ? source->size_bytes : offset;
}
