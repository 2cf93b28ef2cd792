/* SPDX-License-Identifier: MIT */
#include "fault_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define FILE_NAME   "out.vmt"
#define FILE_NODE   2u
#define MAX_WRITE   (128u << 10)
#define BUFFER_SIZE (MAX_WRITE + 65536u)

static void answer(struct fault_fuse *fuse, uint64_t unique, int error, const void *body, size_t size_bytes)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + (error ? 0 : size_bytes)),
		.error = -error,
		.unique = unique,
	};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)body, error ? 0 : size_bytes}};

	/* ENOENT: who asked has been killed meanwhile; ENODEV: unmounted */
	if (writev(fuse->device_fd, parts, 2) < 0)
		CHECK(errno == ENOENT || errno == ENODEV);
}

static struct fuse_attr attributes(struct fault_fuse *fuse, uint64_t node)
{
	struct fuse_attr attr = {.ino = node, .mode = S_IFDIR | 0700, .nlink = 1, .blksize = 4096};
	struct stat st;

	if (node == FILE_NODE) {
		CHECK(!fstat(fuse->file_fd, &st));
		attr.mode = S_IFREG | 0600;
		attr.size = (uint64_t)st.st_size;
	}
	return attr;
}

static struct fuse_entry_out entry(struct fault_fuse *fuse)
{
	return (struct fuse_entry_out){.nodeid = FILE_NODE, .generation = 1, .attr = attributes(fuse, FILE_NODE)};
}

static void serve_init(struct fault_fuse *fuse, const struct fuse_in_header *in, const struct fuse_init_in *ask)
{
	const struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = ask->minor < FUSE_KERNEL_MINOR_VERSION ? ask->minor : FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = ask->max_readahead,
		.flags = FUSE_BIG_WRITES,
		.max_background = 16,
		.congestion_threshold = 12,
		.max_write = MAX_WRITE,
	};

	answer(fuse, in->unique, 0, &out, sizeof(out));
}

static void serve_write(struct fault_fuse *fuse, const struct fuse_in_header *in, const struct fuse_write_in *ask)
{
	const uint8_t *bytes = (const uint8_t *)(ask + 1);
	uint32_t size_bytes = ask->size, delay_ms = atomic_exchange(&fuse->delay_ms, 0) + atomic_load(&fuse->slow_ms);
	uint64_t limit = atomic_load(&fuse->fail_from_bytes);
	int error = atomic_load(&fuse->write_error);
	struct fuse_write_out out = {0};

	atomic_fetch_add(&fuse->writes, 1);
	if (delay_ms)
		nanosleep(&(struct timespec){.tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000l}, NULL);
	/* Up to the limit there is room. */
	if (error && ask->offset + size_bytes > limit) {
		if (ask->offset >= limit) {
			atomic_fetch_add(&fuse->errors, 1);
			answer(fuse, in->unique, error, NULL, 0);
			return;
		}
		size_bytes = (uint32_t)(limit - ask->offset);
	} else if (atomic_load(&fuse->is_short) && size_bytes > 1) {
		size_bytes = 1 + (uint32_t)random() % size_bytes;
	}
	if (size_bytes < ask->size)
		atomic_fetch_add(&fuse->shorts, 1);
	CHECK_INT(pwrite(fuse->file_fd, bytes, size_bytes, (off_t)ask->offset), size_bytes);
	out.size = size_bytes;
	answer(fuse, in->unique, 0, &out, sizeof(out));
}

static void serve_read(struct fault_fuse *fuse, const struct fuse_in_header *in, const struct fuse_read_in *ask)
{
	static uint8_t buffer[MAX_WRITE];
	size_t want = ask->size < sizeof(buffer) ? ask->size : sizeof(buffer);
	ssize_t n = pread(fuse->file_fd, buffer, want, (off_t)ask->offset);

	answer(fuse, in->unique, n < 0 ? errno : 0, buffer, n < 0 ? 0 : (size_t)n);
}

static void serve_setattr(struct fault_fuse *fuse, const struct fuse_in_header *in, const struct fuse_setattr_in *ask)
{
	struct fuse_attr_out out = {0};

	if (in->nodeid == FILE_NODE && ask->valid & FATTR_SIZE)
		CHECK(!ftruncate(fuse->file_fd, (off_t)ask->size));
	out.attr = attributes(fuse, in->nodeid);
	answer(fuse, in->unique, 0, &out, sizeof(out));
}

static void serve(struct fault_fuse *fuse, const struct fuse_in_header *in, bool *exists)
{
	const void *body = in + 1;
	const struct fuse_open_out opened = {0};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} created = {0};
	struct fuse_attr_out attr = {0};
	struct fuse_statfs_out fs = {.st = {.bsize = 4096, .namelen = 255}};
	int error = 0;

	switch (in->opcode) {
	case FUSE_INIT:
		serve_init(fuse, in, body);
		return;
	case FUSE_LOOKUP:
		created.entry = entry(fuse);
		error = *exists && !strcmp(body, FILE_NAME) ? 0 : ENOENT;
		answer(fuse, in->unique, error, &created.entry, sizeof(created.entry));
		return;
	case FUSE_CREATE:
		*exists = true;
		created.entry = entry(fuse);
		answer(fuse, in->unique, 0, &created, sizeof(created));
		return;
	case FUSE_UNLINK:
		*exists = false;
		answer(fuse, in->unique, 0, NULL, 0);
		return;
	case FUSE_GETATTR:
		attr.attr = attributes(fuse, in->nodeid);
		answer(fuse, in->unique, 0, &attr, sizeof(attr));
		return;
	case FUSE_SETATTR:
		serve_setattr(fuse, in, body);
		return;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(fuse, in->unique, 0, &opened, sizeof(opened));
		return;
	case FUSE_READ:
		serve_read(fuse, in, body);
		return;
	case FUSE_WRITE:
		serve_write(fuse, in, body);
		return;
	case FUSE_FSYNC:
		answer(fuse, in->unique, atomic_load(&fuse->sync_error), NULL, 0);
		return;
	case FUSE_STATFS:
		answer(fuse, in->unique, 0, &fs, sizeof(fs));
		return;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_ACCESS:
		answer(fuse, in->unique, 0, NULL, 0);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return; /* have no answer */
	default:
		answer(fuse, in->unique, ENOSYS, NULL, 0);
		return;
	}
}

static void *run(void *arg)
{
	struct fault_fuse *fuse = arg;
	uint8_t *buffer = malloc(BUFFER_SIZE);
	bool exists = false;

	CHECK(buffer);
	for (;;) {
		ssize_t n = read(fuse->device_fd, buffer, BUFFER_SIZE);

		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			break; /* unmounted */
		serve(fuse, (const struct fuse_in_header *)buffer, &exists);
	}
	free(buffer);
	return NULL;
}

bool fault_fuse_mount(struct fault_fuse *fuse)
{
	char options[96];

	*fuse = (struct fault_fuse){.file_fd = -1};
	fuse->device_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse->device_fd < 0)
		return false;
	strcpy(fuse->folder, "/tmp/vmtape-fuse-XXXXXX");
	CHECK(mkdtemp(fuse->folder));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fuse->device_fd, getuid(),
		 getgid());
	if (mount("vmtape-fault", fuse->folder, "fuse", MS_NOSUID | MS_NODEV, options)) {
		close(fuse->device_fd);
		rmdir(fuse->folder);
		return false;
	}
	snprintf(fuse->file_path, sizeof(fuse->file_path), "%s.vmt", fuse->folder);
	fuse->file_fd = open(fuse->file_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fuse->file_fd >= 0);
	CHECK(!pthread_create(&fuse->thread, NULL, run, fuse));
	return true;
}

void fault_fuse_unmount(struct fault_fuse *fuse)
{
	CHECK(!umount2(fuse->folder, MNT_DETACH));
	pthread_join(fuse->thread, NULL);
	close(fuse->device_fd);
	close(fuse->file_fd);
	unlink(fuse->file_path);
	rmdir(fuse->folder);
}
