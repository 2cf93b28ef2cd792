/* SPDX-License-Identifier: MIT */
#include "fd_table.h"

#include <stdlib.h>
#include <string.h>

#include "fd_link.h"

#define LEAST_SLOTS 8u
#define MAX_CLOSES  16u /* that are remembered of a table */

struct fd_closes {
	uint64_t nr, forgotten_seq;
	struct {
		uint32_t first, last;
		uint64_t seq; /* 0: it closed nothing */
	} latest[MAX_CLOSES];
};

struct fd_table *fd_table_create(void)
{
	struct fd_table *table = calloc(1, sizeof(*table));

	if (table)
		table->refs = 1;
	return table;
}

struct fd_table *fd_table_hold(struct fd_table *table)
{
	if (table)
		table->refs++;
	return table;
}

void fd_table_release(struct fd_room *room, struct fd_table *table)
{
	if (!table || --table->refs)
		return;
	for (uint32_t fd = 0; fd < table->room; fd++)
		fd_file_release(table->slots[fd].file);
	room->nr_slots -= table->room;
	free(table->slots);
	free(table->closes);
	free(table);
}

static bool reach(struct fd_room *room, struct fd_table *table, int64_t fd)
{
	uint32_t n = table->room ? table->room : LEAST_SLOTS;
	struct fd_slot *slots;

	if (fd < 0 || fd >= FD_TABLE_MAX)
		return false;
	if (fd < table->room)
		return true;
	while (n <= fd)
		n *= 2;
	if (room->nr_slots + (n - table->room) > FD_ROOM_MAX)
		return false;
	slots = realloc(table->slots, n * sizeof(*slots));
	if (!slots)
		return false;
	memset(slots + table->room, 0, (n - table->room) * sizeof(*slots));
	room->nr_slots += n - table->room;
	table->slots = slots;
	table->room = n;
	return true;
}

static uint64_t next_seq(struct fd_table *table)
{
	return ++table->seq;
}

void fd_table_set(struct fd_room *room, struct fd_table *table, int64_t fd, struct fd_file *file, bool cloexec,
		  uint32_t confirmed)
{
	struct fd_slot *slot;

	if (!reach(room, table, fd)) {
		fd_file_release(file);
		return;
	}
	slot = &table->slots[fd];
	fd_file_release(slot->file);
	*slot = (struct fd_slot){.file = file, .confirmed = confirmed, .seq = next_seq(table), .cloexec = cloexec};
}

void fd_table_clear(struct fd_table *table, int64_t fd)
{
	struct fd_slot *slot;

	if (fd < 0 || fd >= table->room)
		return;
	slot = &table->slots[fd];
	fd_file_release(slot->file);
	*slot = (struct fd_slot){.seq = next_seq(table)};
}

void fd_table_closes_unknown(struct fd_table *table, uint32_t first, uint32_t last)
{
	uint64_t at;

	if (table->refs < 2)
		return;
	if (!table->closes)
		table->closes = calloc(1, sizeof(*table->closes));
	if (!table->closes)
		return;
	at = table->closes->nr++ % MAX_CLOSES;
	if (table->closes->latest[at].seq)
		table->closes->forgotten_seq = table->closes->latest[at].seq;
	table->closes->latest[at].first = first;
	table->closes->latest[at].last = last;
	table->closes->latest[at].seq = next_seq(table);
}

void fd_table_closed_nothing(struct fd_table *table, uint32_t first, uint32_t last)
{
	for (unsigned i = 0; table->closes && i < MAX_CLOSES; i++)
		if (table->closes->latest[i].first == first && table->closes->latest[i].last == last)
			table->closes->latest[i].seq = 0;
}

bool fd_table_may_be_closed(const struct fd_table *table, int64_t fd, uint64_t since_seq)
{
	if (!table->closes)
		return false;
	for (unsigned i = 0; i < MAX_CLOSES; i++)
		if (table->closes->latest[i].seq > since_seq && fd >= table->closes->latest[i].first &&
		    fd <= table->closes->latest[i].last)
			return true;
	return table->closes->forgotten_seq > since_seq;
}

void fd_table_merge(struct fd_room *room, struct fd_table *table, const struct fd_table *from, uint64_t seq)
{
	uint32_t n = from->room;

	while (n && !from->slots[n - 1].file)
		n--;
	if (!n || !reach(room, table, n - 1))
		return;
	for (uint32_t fd = 0; fd < n; fd++) {
		const struct fd_slot *slot = &from->slots[fd];

		if (!slot->file || slot->seq > seq || table->slots[fd].seq)
			continue;
		table->slots[fd] = *slot;
		table->slots[fd].seq = next_seq(table);
		fd_file_hold(slot->file);
	}
}

void fd_table_exec(struct fd_table *table)
{
	for (uint32_t fd = 0; fd < table->room; fd++)
		if (table->slots[fd].file && table->slots[fd].cloexec)
			fd_table_clear(table, fd);
}

/* ---- files ----------------------------------------------------------- */

static size_t size_of(const struct fd_object *object)
{
	return sizeof(struct fd_file) + sizeof(*object) + object->name_len + 1;
}

struct fd_file *fd_file_create(struct fd_room *room, struct fd_object *object)
{
	bool fits = object && room->nr_bytes + size_of(object) <= FD_BYTES_MAX;
	struct fd_file *file = fits ? malloc(sizeof(*file)) : NULL;

	if (!file) {
		fd_object_release(object);
		return NULL;
	}
	room->nr_bytes += size_of(object);
	fd_name_count(object, room->named, true);
	*file = (struct fd_file){.refs = 1,
				 .room = room,
				 .object = object,
				 .next = room->files,
				 .back = &room->files,
				 .mask = fd_name_mask(object),
				 .named_seq = room->name_seq,
				 .mount_seq = room->mount_seq};
	if (file->next)
		file->next->back = &file->next;
	room->files = file;
	return file;
}

struct fd_file *fd_file_hold(struct fd_file *file)
{
	if (file)
		file->refs++;
	return file;
}

void fd_file_release(struct fd_file *file)
{
	if (!file || --file->refs)
		return;
	fd_link_leave(file);
	*file->back = file->next;
	if (file->next)
		file->next->back = file->back;
	file->room->nr_bytes -= size_of(file->object);
	fd_name_count(file->object, file->room->named, false);
	fd_object_release(file->object);
	free(file);
}

void fd_file_set(struct fd_file *file, struct fd_object *object)
{
	if (!object)
		return;
	if (size_of(object) > size_of(file->object) &&
	    file->room->nr_bytes + size_of(object) - size_of(file->object) > FD_BYTES_MAX) {
		file->doubtful = true;
		fd_object_release(object);
		return;
	}
	file->room->nr_bytes += size_of(object) - size_of(file->object);
	fd_name_count(file->object, file->room->named, false);
	fd_name_count(object, file->room->named, true);
	fd_object_release(file->object);
	file->object = object;
	file->mask = fd_name_mask(object);
}

/* ---- directories ----------------------------------------------------- */

struct fd_fs *fd_fs_create(const struct fd_fs *like)
{
	struct fd_fs *fs = malloc(sizeof(*fs));

	if (!fs)
		return NULL;
	*fs = like ? *like : (struct fd_fs){.cwd = "", .root = ""};
	fs->refs = 1;
	fs->nr_moving = 0;
	return fs;
}

struct fd_fs *fd_fs_hold(struct fd_fs *fs)
{
	if (fs)
		fs->refs++;
	return fs;
}

void fd_fs_release(struct fd_fs *fs)
{
	if (fs && !--fs->refs)
		free(fs);
}
