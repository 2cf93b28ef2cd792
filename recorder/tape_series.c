/* SPDX-License-Identifier: MIT */
#include "tape_series.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record_meta.h"
#include "tape.h"

/* What a tape says of its VM is in its first chunk. */
#define HEAD_BYTES (128u << 10)

struct series_tape {
	char *name;
	dev_t device;
	ino_t inode;
	uint64_t size_bytes;
	uint64_t created_ns;
};

struct tape_series {
	const char *pattern; /* of the names */
	int folder_fd;
	struct series_tape *tapes; /* oldest first; without the one that is being written */
	unsigned nr_tapes;
	uint64_t all_bytes;
};

/* ---- names ----------------------------------------------------------- */

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Digits that a conversion gives; 'd' stands for one. NULL: it is not allowed. */
static const char *digits_of(char conversion)
{
	static const char *const digits[128] = {
		['Y'] = "dddd", ['m'] = "dd", ['d'] = "dd",  ['H'] = "dd",         ['M'] = "dd",
		['S'] = "dd",   ['y'] = "dd", ['j'] = "ddd", ['F'] = "dddd-dd-dd", ['%'] = "%",
	};

	return (unsigned char)conversion < 128 ? digits[(unsigned char)conversion] : NULL;
}

int tape_series_check(const char *pattern, struct record_error *error)
{
	const char *name = name_of(pattern);
	bool has_time = false;

	for (const char *c = pattern; *c; c++) {
		if (*c != '%')
			continue;
		c++;
		if (c <= name)
			return record_error_set(error, -EINVAL,
						"%s: only the file's name may have a time, not its folder", pattern);
		if (!digits_of(*c))
			return record_error_set(error, -EINVAL,
						"%s: %%%c is not for names of tapes: want %%Y %%m %%d %%H %%M %%S, "
						"or %%y %%j %%F %%%%",
						pattern, *c ? *c : ' ');
		has_time |= *c != '%';
	}
	if (!has_time)
		return record_error_set(error, -EINVAL,
					"%s: its name must have a time in it, such as vm-%%Y%%m%%dT%%H%%M%%SZ.vmt",
					pattern);
	return 0;
}

/* Where "-2" comes to stand in a pattern or name. */
static const char *suffix_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name ? dot : name + strlen(name);
}

char *tape_series_path(const char *pattern, time_t when, unsigned copy)
{
	size_t folder_bytes = (size_t)(name_of(pattern) - pattern);
	const char *suffix;
	char name[512], *out;
	struct tm utc;

	gmtime_r(&when, &utc);
	if (!strftime(name, sizeof(name), name_of(pattern), &utc))
		return NULL;
	suffix = suffix_of(name);
	if (copy < 2 ? asprintf(&out, "%.*s%s", (int)folder_bytes, pattern, name) < 0
		     : asprintf(&out, "%.*s%.*s-%u%s", (int)folder_bytes, pattern, (int)(suffix - name), name, copy,
				suffix) < 0)
		return NULL;
	return out;
}

bool tape_series_fits(const char *pattern, const char *name)
{
	const char *suffix = suffix_of(pattern);

	for (const char *c = pattern;; c++) {
		/* The number of a second tape of one moment. */
		if (c == suffix && *name == '-' && isdigit((unsigned char)name[1]))
			for (name++; isdigit((unsigned char)*name);)
				name++;
		if (!*c)
			return !*name;
		if (*c != '%') {
			if (*name++ != *c)
				return false;
			continue;
		}
		for (const char *d = digits_of(*++c); *d; d++, name++)
			if (*d == 'd' ? !isdigit((unsigned char)*name) : *name != *d)
				return false;
	}
}

/* ---- tapes that are there -------------------------------------------- */

static int insert(struct tape_series *series, const char *name, const struct stat *st, uint64_t created_ns)
{
	struct series_tape *tapes = reallocarray(series->tapes, series->nr_tapes + 1, sizeof(*tapes));
	unsigned at = series->nr_tapes;
	char *copy = strdup(name);

	if (tapes)
		series->tapes = tapes;
	if (!tapes || !copy) {
		free(copy);
		return -ENOMEM;
	}
	while (at && tapes[at - 1].created_ns > created_ns) {
		tapes[at] = tapes[at - 1];
		at--;
	}
	tapes[at] = (struct series_tape){
		.name = copy,
		.device = st->st_dev,
		.inode = st->st_ino,
		.size_bytes = (uint64_t)st->st_size,
		.created_ns = created_ns,
	};
	series->nr_tapes++;
	series->all_bytes += (uint64_t)st->st_size;
	return 0;
}

static bool has_meta(struct tape_reader *reader, const char *key, const char *value)
{
	const char *said = tape_reader_meta(reader, key);

	return said && value[0] && !strcmp(said, value);
}

/* Does the tape say that it is of this VM? By its UUID, if it has one; else by its name. */
static bool is_of_vm(int fd, const char *uuid, const char *vm_name, uint64_t *created_ns)
{
	struct tape_reader *reader = NULL;
	void *head = malloc(HEAD_BYTES);
	ssize_t n = head ? pread(fd, head, HEAD_BYTES, 0) : -1;
	bool ours = false;

	if (n > 0 && !tape_reader_open_memory(&reader, head, (size_t)n, NULL)) {
		ours = has_meta(reader, uuid[0] ? "vm_uuid" : "vm_name", uuid[0] ? uuid : vm_name);
		*created_ns = tape_reader_info(reader)->created_ns;
		tape_reader_close(reader);
	}
	free(head);
	return ours;
}

static void adopt(struct tape_series *series, const char *name, const char *uuid, const char *vm_name)
{
	int fd = openat(series->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	uint64_t created_ns = 0;
	struct stat st;

	if (fd < 0)
		return;
	/* Locked is what another recorder writes. */
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !flock(fd, LOCK_SH | LOCK_NB) &&
	    is_of_vm(fd, uuid, vm_name, &created_ns))
		insert(series, name, &st, created_ns);
	close(fd);
}

void tape_series_adopt(struct tape_series *series, const struct proto_welcome *welcome)
{
	char uuid[RECORD_UUID_ROOM], vm_name[64];
	int fd = openat(series->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	record_uuid_text(uuid, welcome->uuid);
	report_clean(vm_name, sizeof(vm_name), welcome->vm_name, sizeof(welcome->vm_name));
	while (folder && (uuid[0] || vm_name[0]) && (entry = readdir(folder)))
		if (tape_series_fits(series->pattern, entry->d_name))
			adopt(series, entry->d_name, uuid, vm_name);
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
}

void tape_series_add(struct tape_series *series, const char *path)
{
	const char *name = name_of(path);
	struct stat st;

	/* Behind all others, whatever the clock says. */
	if (!fstatat(series->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		insert(series, name, &st, UINT64_MAX);
}

/* ---- which are kept --------------------------------------------------- */

static void remove_oldest(struct tape_series *series)
{
	struct series_tape oldest = series->tapes[0];
	struct stat st;

	series->nr_tapes--;
	memmove(series->tapes, series->tapes + 1, series->nr_tapes * sizeof(*series->tapes));
	series->all_bytes -= oldest.size_bytes;
	/* Somebody may have put something else in its place. */
	if (!fstatat(series->folder_fd, oldest.name, &st, AT_SYMLINK_NOFOLLOW) && st.st_dev == oldest.device &&
	    st.st_ino == oldest.inode) {
		if (unlinkat(series->folder_fd, oldest.name, 0))
			report_warning("%s: the oldest tape cannot be removed, and is left: %s", oldest.name,
				       strerror(errno));
		else
			report("%s: removed, the oldest tape of this VM (%" PRIu64 " KiB)", oldest.name,
			       oldest.size_bytes >> 10);
	}
	free(oldest.name);
}

void tape_series_trim(struct tape_series *series, uint64_t max_count, uint64_t max_bytes, uint64_t current_bytes)
{
	while (series->nr_tapes && ((max_count && series->nr_tapes + 1 > max_count) ||
				    (max_bytes && series->all_bytes + current_bytes > max_bytes)))
		remove_oldest(series);
}

unsigned tape_series_count(const struct tape_series *series)
{
	return series->nr_tapes;
}

/* ---- made and ended -------------------------------------------------- */

int tape_series_create(struct tape_series **out, const char *pattern, struct record_error *error)
{
	struct tape_series *series = calloc(1, sizeof(*series));
	const char *name = name_of(pattern);
	char *folder = name == pattern ? strdup(".") : strndup(pattern, (size_t)(name - pattern));
	int ret = 0;

	*out = NULL;
	if (!series || !folder) {
		ret = record_error_set(error, -ENOMEM, "out of memory");
	} else {
		series->pattern = name;
		series->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (series->folder_fd < 0)
			ret = record_error_set(error, -errno, "%s: cannot be used for tapes: %s", folder,
					       strerror(errno));
	}
	free(folder);
	if (ret)
		free(series);
	else
		*out = series;
	return ret;
}

void tape_series_destroy(struct tape_series *series)
{
	if (!series)
		return;
	for (unsigned i = 0; i < series->nr_tapes; i++)
		free(series->tapes[i].name);
	free(series->tapes);
	close(series->folder_fd);
	free(series);
}
