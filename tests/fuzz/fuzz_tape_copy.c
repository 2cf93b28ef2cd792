/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tape_copy.c - hostile tapes cut, filtered and merged: what comes of it is a tape that opens, with as many
 * records and snapshots as were counted. An input goes one way, as its hash says: copied whole, filtered, or merged
 * of two parts; once as it is, and once with all checksums right.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_hash.h"
#include "fuzz_must.h"
#include "tape_copy.h"
#include "tape_repair.h"

#define MAX_BYTES (1u << 20)
#define NOWHERE   "/dev/shm/fuzz_tape_copy.never" /* no file gets this name: none is finished */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static bool keeps_some(void *ctx, const struct trap_view *view)
{
	return view->header.seq % 3 || view->header.type == TRAP_GAP;
}

/* The new tape, whole: what the writer says of it is true. */
static void check_copy(struct out_file *file, const struct tape_copy_stats *stats)
{
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	uint64_t records = 0;
	uint8_t *bytes;
	struct stat info;
	char path[64];
	int fd;

	/* it is open for writing alone */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", out_file_fd(file));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_MUST(fd >= 0 && !fstat(fd, &info));
	bytes = malloc((size_t)info.st_size);
	FUZZ_MUST(bytes && read(fd, bytes, (size_t)info.st_size) == info.st_size);
	close(fd);
	FUZZ_MUST((tape_reader_open_memory(&reader, bytes, (size_t)info.st_size, NULL)) == 0);
	FUZZ_MUST(tape_reader_info(reader)->finished);
	FUZZ_MUST((uint64_t)(tape_reader_info(reader)->totals.records) == (uint64_t)(stats->records));
	FUZZ_MUST((uint64_t)(tape_reader_info(reader)->nr_snapshots) == (uint64_t)(stats->snapshots));
	FUZZ_MUST((tape_cursor_create(&cursor, reader, NULL)) == 0);
	while (tape_cursor_next(cursor, &view, NULL) > 0)
		records++;
	FUZZ_MUST((uint64_t)(records) == (uint64_t)(stats->records));
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	free(bytes);
}

/* parts: one, or two of the same tape that overlap. */
static void copy_tape(struct session *session, unsigned nr_parts, bool filtered)
{
	static const char *const without[] = {"cut_", NULL};
	const struct tape_info *info = session_info(session);
	uint64_t middle = info->first_tsc + (info->last_tsc - info->first_tsc) / 2;
	struct tape_copy_stats stats;
	struct vmtape_error *error;
	struct tape_copy *copy;
	struct out_file *file;

	error = out_file_create(&file, NOWHERE, true);
	if (error)
		abort();
	error = tape_copy_create(&copy, file);
	if (!error)
		error = tape_copy_metas(copy, session, without);
	for (unsigned n = 0; !error && n < nr_parts; n++) {
		struct tape_copy_part part = {.from_tsc = n || filtered ? middle / 2 : 0,
					      .to_tsc = nr_parts == 2 && !n ? middle : UINT64_MAX,
					      .first_snapshot = info->nr_snapshots ? 0 : -1,
					      .last_snapshot = (int64_t)info->nr_snapshots - 1,
					      .continues = n,
					      .keep = filtered ? keeps_some : NULL};

		error = tape_copy_plans(copy, session);
		if (!error)
			error = tape_copy_part(copy, session, &part);
	}
	if (!error) {
		tape_copy_get_stats(copy, &stats);
		error = tape_copy_finish(copy, "fuzzed");
	}
	if (!error)
		check_copy(file, &stats);
	vmtape_error_destroy(error);
	tape_copy_destroy(copy);
	out_file_destroy(file);
}

enum way { WHOLE, FILTERED, IN_TWO, WAYS };

static void copy_one(const uint8_t *bytes, size_t size_bytes, enum way way)
{
	struct session *session;
	struct vmtape_error *error = session_open_memory(&session, bytes, size_bytes, NULL);

	if (error) {
		vmtape_error_destroy(error);
		return;
	}
	copy_tape(session, way == IN_TWO ? 2 : 1, way == FILTERED);
	tape_copy_was_reset(session, session);
	session_close(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	enum way way;
	uint8_t *copy;

	if (size_bytes > MAX_BYTES)
		return 0;
	copy = malloc(size_bytes + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size_bytes);
	/* one way at a time: a copy takes long */
	way = (enum way)(fuzz_hash(data, size_bytes) % WAYS);
	copy_one(copy, size_bytes, way);
	tape_repair(copy, size_bytes);
	copy_one(copy, size_bytes, way);
	free(copy);
	return 0;
}
