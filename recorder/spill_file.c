/* SPDX-License-Identifier: MIT */
#include "spill_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* So much may wait in the cache; then the kernel is told to write, and at the next turn we wait until it has. */
#define UNSYNCED_MAX_BYTES (256u << 20)
/* The tape must not meet a disk that we have filled. */
#define SPARE_BYTES (256u << 20)

void spill_file_init(struct spill_file *spill, const char *beside)
{
	*spill = (struct spill_file){.beside = beside, .fd = -1};
}

void spill_file_deinit(struct spill_file *spill)
{
	if (spill->fd >= 0)
		close(spill->fd);
	spill->fd = -1;
}

/* Where the file system has no files without a name, one that has lost it. */
static int open_unlinked(const char *folder)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/.vmtape-XXXXXX", folder) < 0)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

static void open_beside(struct spill_file *spill)
{
	const char *slash = strrchr(spill->beside, '/');
	char *folder = !slash ? strdup(".") : slash == spill->beside ? strdup("/") : NULL;

	if (!folder)
		folder = strndup(spill->beside, (size_t)(slash ? slash - spill->beside : 0));
	if (!folder)
		return;
	/* Like the tape, it holds the guest's memory. */
	spill->fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	if (spill->fd < 0)
		spill->fd = open_unlinked(folder);
	free(folder);
}

bool spill_file_has_room(struct spill_file *spill, uint64_t size_bytes)
{
	struct statvfs fs;

	if (spill->fd < 0 && spill->beside)
		open_beside(spill);
	return spill->fd >= 0 && !fstatvfs(spill->fd, &fs) &&
	       (uint64_t)fs.f_bavail * fs.f_frsize >= size_bytes + SPARE_BYTES;
}

/* Only asks for the writing: what comes of it, the reader's sums tell. */
static void bound_unsynced(struct spill_file *spill, size_t size_bytes)
{
	spill->unsynced_bytes += size_bytes;
	if (spill->unsynced_bytes < UNSYNCED_MAX_BYTES)
		return;
	spill->unsynced_bytes = 0;
	sync_file_range(spill->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
}

int spill_file_write(struct spill_file *spill, uint64_t offset, const void *data, size_t size_bytes)
{
	const uint8_t *from = data;

	bound_unsynced(spill, size_bytes);
	while (size_bytes) {
		ssize_t n = pwrite(spill->fd, from, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		from += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

int spill_file_read(const struct spill_file *spill, uint64_t offset, void *data, size_t size_bytes)
{
	uint8_t *to = data;

	while (size_bytes) {
		ssize_t n = pread(spill->fd, to, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		to += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

void spill_file_clear(struct spill_file *spill)
{
	if (spill->fd >= 0 && ftruncate(spill->fd, 0))
		spill_file_deinit(spill); /* then closing it does */
	spill->unsynced_bytes = 0;
}
