/* SPDX-License-Identifier: MIT */
#include "file_worker.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define COPY_BYTES (1u << 20)

struct task {
	struct task *next;
	int from_fd, to_fd; /* to_fd -1: sync */
	bool is_cloned;
	struct file_result result;
};

struct file_worker {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct task *todo, *done;
	unsigned nr_open; /* not polled yet */
	bool started, ending;
	pthread_t thread;
	void (*wake)(void *ctx);
	void *wake_ctx;
};

/* ---- the thread ------------------------------------------------------ */

static int write_all(int fd, const uint8_t *bytes, size_t size_bytes)
{
	while (size_bytes) {
		ssize_t n = write(fd, bytes, size_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		bytes += n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

/* Through our own memory, where the kernel cannot copy from file to file. */
static int copy_by_hand(int from_fd, uint64_t at, uint64_t size_bytes, int to_fd)
{
	uint8_t *buffer = malloc(COPY_BYTES);
	int ret = buffer ? 0 : -ENOMEM;

	while (!ret && at < size_bytes) {
		size_t want = size_bytes - at < COPY_BYTES ? (size_t)(size_bytes - at) : COPY_BYTES;
		ssize_t n = pread(from_fd, buffer, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		/* Shorter than it was: somebody has cut it. */
		ret = n > 0 ? write_all(to_fd, buffer, (size_t)n) : n ? -errno : -ENODATA;
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(buffer);
	return ret;
}

/* What cannot be asked is tried. */
static bool has_room(int fd, uint64_t size_bytes)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) || (uint64_t)fs.f_bavail * fs.f_frsize >= size_bytes;
}

int file_copy(int from_fd, uint64_t size_bytes, int to_fd)
{
	loff_t at = 0;

	/* The tape that is being written must not meet a disk that we have filled. */
	if (!has_room(to_fd, 2 * size_bytes))
		return -ENOSPC;
	while ((uint64_t)at < size_bytes) {
		ssize_t n = copy_file_range(from_fd, &at, to_fd, NULL, size_bytes - (uint64_t)at, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
			return -errno;
		if (n <= 0)
			return copy_by_hand(from_fd, (uint64_t)at, size_bytes, to_fd);
	}
	return 0;
}

const char *file_copy_problem(int negative_errno)
{
	return negative_errno == -ENOSPC ? "less than twice its size is free on the disk" : strerror(-negative_errno);
}

/* Only all of a file can be cloned. */
static int clone_or_copy(int from_fd, uint64_t size_bytes, int to_fd)
{
	struct stat st;

	if (!fstat(from_fd, &st) && (uint64_t)st.st_size == size_bytes && !ioctl(to_fd, FICLONE, from_fd))
		return 0;
	return file_copy(from_fd, size_bytes, to_fd);
}

static void do_task(struct task *task)
{
	int fd = task->to_fd >= 0 ? task->to_fd : task->from_fd, ret = 0;

	if (task->to_fd >= 0 && !task->is_cloned)
		ret = clone_or_copy(task->from_fd, task->result.size_bytes, task->to_fd);
	/* Some file systems find out only now that they have no room. */
	if (!ret && fdatasync(fd) && errno != EINVAL)
		ret = -errno;
	close(task->from_fd);
	if (task->to_fd >= 0 && close(task->to_fd) && !ret)
		ret = -errno;
	task->result.error = ret;
}

static void append(struct task **list, struct task *task)
{
	task->next = NULL;
	while (*list)
		list = &(*list)->next;
	*list = task;
}

static void *run(void *arg)
{
	struct file_worker *worker = arg;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		struct task *task = worker->todo;

		if (!task && worker->ending)
			break;
		if (!task) {
			pthread_cond_wait(&worker->work, &worker->lock);
			continue;
		}
		worker->todo = task->next;
		pthread_mutex_unlock(&worker->lock);
		do_task(task);
		pthread_mutex_lock(&worker->lock);
		append(&worker->done, task);
		pthread_mutex_unlock(&worker->lock);
		worker->wake(worker->wake_ctx);
		pthread_mutex_lock(&worker->lock);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* ---- main thread ----------------------------------------------------- */

int file_worker_create(struct file_worker **out, void (*wake)(void *ctx), void *wake_ctx, struct record_error *error)
{
	struct file_worker *worker = calloc(1, sizeof(*worker));

	*out = worker;
	if (!worker)
		return record_error_set(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->work, NULL);
	worker->wake = wake;
	worker->wake_ctx = wake_ctx;
	return 0;
}

static void free_tasks(struct task *task)
{
	while (task) {
		struct task *next = task->next;

		free(task);
		task = next;
	}
}

void file_worker_destroy(struct file_worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->ending = true;
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
	if (worker->started)
		pthread_join(worker->thread, NULL);
	free_tasks(worker->todo);
	free_tasks(worker->done);
	pthread_cond_destroy(&worker->work);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

static void post(struct file_worker *worker, int from_fd, uint64_t size_bytes, int to_fd, const char *path,
		 bool is_cloned)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task) {
		report_error("out of memory");
		abort();
	}
	task->from_fd = from_fd;
	task->to_fd = to_fd;
	task->is_cloned = is_cloned;
	task->result.was_copy = to_fd >= 0;
	task->result.size_bytes = size_bytes;
	strncpy(task->result.path, path, sizeof(task->result.path) - 1);
	pthread_mutex_lock(&worker->lock);
	if (!worker->started)
		worker->started = !pthread_create(&worker->thread, NULL, run, worker);
	append(&worker->todo, task);
	worker->nr_open++;
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
}

void file_worker_sync(struct file_worker *worker, int fd, const char *path)
{
	post(worker, fd, 0, -1, path, false);
}

void file_worker_copy(struct file_worker *worker, int from_fd, uint64_t size_bytes, int to_fd, const char *path,
		      bool is_cloned)
{
	post(worker, from_fd, size_bytes, to_fd, path, is_cloned);
}

bool file_worker_poll(struct file_worker *worker, struct file_result *out)
{
	struct task *task;

	pthread_mutex_lock(&worker->lock);
	task = worker->done;
	if (task) {
		worker->done = task->next;
		worker->nr_open--;
	} else if (!worker->started && worker->todo) {
		/* No thread was to be had: better late than not at all. */
		task = worker->todo;
		worker->todo = task->next;
		worker->nr_open--;
		do_task(task);
	}
	pthread_mutex_unlock(&worker->lock);
	if (!task)
		return false;
	*out = task->result;
	free(task);
	return true;
}

bool file_worker_is_idle(struct file_worker *worker)
{
	bool idle;

	pthread_mutex_lock(&worker->lock);
	idle = !worker->nr_open;
	pthread_mutex_unlock(&worker->lock);
	return idle;
}
