/* SPDX-License-Identifier: MIT */
/*
 * fd_table.h - the descriptors of one files_struct, which the threads of a
 * process share and fork copies, and of one fs_struct: working and root
 * directory. What is not in a table is not known. Bounded in all by struct
 * fd_room. One thread an object.
 */
#ifndef FD_TABLE_H
#define FD_TABLE_H

#include "fd_object.h"

#define FD_TABLE_MAX (1u << 20)  /* highest descriptor + 1: default of fs.nr_open */
#define FD_ROOM_MAX  (2u << 20)  /* slots of all tables: 48 MiB */
#define FD_BYTES_MAX (64u << 20) /* of all open files, with what they are called */

/* Mount namespaces: 0: not known; made by a call since the latest snapshot: a number; else the address in the guest. */
#define FD_NS_MADE_MAX UINT32_MAX

static inline bool fd_ns_may_be(uint64_t a, uint64_t b)
{
	return !a || !b || a == b;
}

struct fd_link;

struct fd_room {
	size_t nr_slots, nr_bytes;
	struct fd_link *links; /* fd_link.h */
	size_t nr_messages;
	uint64_t blind_sends; /* descriptors sent on sockets that are not known */
	struct fd_file *files;
	uint64_t name_seq;             /* counts beginnings and ends of calls that change names */
	uint64_t mount_seq;            /* counts beginnings and ends of calls that change mounts */
	uint32_t nr_mounting;          /* of those, under way */
	uint64_t last_mount_ns;        /* that a call has made: FD_NS */
	uint32_t named[FD_NAME_PARTS]; /* fd_name_count() of all files */
};

/* An open file description: what dup and fork share. */
struct fd_file {
	uint32_t refs;
	struct fd_room *room; /* where it is counted */
	struct fd_object *object;
	struct fd_link *link;         /* NULL: none */
	struct fd_file *next, **back; /* of all of the room */
	uint64_t mask;                /* fd_name_mask() of its object */
	uint64_t named_seq;           /* of the room, as its name was told */
	uint64_t mount_seq;           /* of the room, then */
	uint64_t mount_ns;            /* mount namespace that its name is one of: FD_NS */
	uint64_t held_seq;            /* of the room: whose call changed names then has it open */
	uint32_t snapshot;            /* the one that has found it at an address */
	uint32_t senders, receivers;  /* of a socket: calls under way, as a snapshot ends */
	bool doubtful;                /* its name may have been changed since */
};

struct fd_slot {
	struct fd_file *file; /* NULL: not known, or closed */
	uint32_t confirmed;   /* number of gaps when it was last told */
	bool cloexec;
	uint64_t seq; /* of the table's change that made it so; 0: never touched */
};

struct fd_closes;

struct fd_table {
	uint32_t refs;
	uint32_t room;
	uint64_t seq;
	uint64_t snapshot_seq; /* seq when a snapshot had filled it */
	bool adopted;          /* it has what its first owner was born with; else the parent's fork may still tell */
	bool async;            /* an io_uring may change it unseen */
	struct fd_slot *slots;
	struct fd_closes *closes; /* NULL: none, see fd_table_closes_unknown() */
};

/* One reference; NULL: no memory. */
struct fd_table *fd_table_create(void);
struct fd_table *fd_table_hold(struct fd_table *table);
void fd_table_release(struct fd_room *room, struct fd_table *table);

/* NULL: nothing known. Valid until the table changes. */
static inline struct fd_slot *fd_table_slot(const struct fd_table *table, int64_t fd)
{
	return table && fd >= 0 && fd < table->room && table->slots[fd].file ? &table->slots[fd] : NULL;
}

/* Takes over the reference to file (NULL: what is there is not known); what has no room is forgotten. */
void fd_table_set(struct fd_room *room, struct fd_table *table, int64_t fd, struct fd_file *file, bool cloexec,
		  uint32_t confirmed);
void fd_table_clear(struct fd_table *table, int64_t fd);
/*
 * A call closes, or replaces, numbers of which nothing is known: they may be those that another thread's call, which
 * has not been seen to end, is given. For tables of several threads; the latest ones are kept.
 */
void fd_table_closes_unknown(struct fd_table *table, uint32_t first, uint32_t last);
/* It has failed: there was nothing. */
void fd_table_closed_nothing(struct fd_table *table, uint32_t first, uint32_t last);
/* May this number have been closed so since then? */
bool fd_table_may_be_closed(const struct fd_table *table, int64_t fd, uint64_t since_seq);
/* Of the other table's slots, those that had not changed since seq, where this one has none of its own. */
void fd_table_merge(struct fd_room *room, struct fd_table *table, const struct fd_table *from, uint64_t seq);
/* What an execve closes. */
void fd_table_exec(struct fd_table *table);

/* Takes over the reference to the object; NULL: no memory or no room, and it is released. The room outlives it. */
struct fd_file *fd_file_create(struct fd_room *room, struct fd_object *object);
struct fd_file *fd_file_hold(struct fd_file *file);
void fd_file_release(struct fd_file *file);
/* Takes over the reference to the object; no room: it stays what it was, and is doubtful. */
void fd_file_set(struct fd_file *file, struct fd_object *object);

struct fd_fs {
	uint32_t refs, seq; /* seq: counts changes */
	uint32_t confirmed, root_confirmed;
	uint64_t name_seq; /* of the room, when its names were last looked at by a call that changes names */
	uint64_t cwd_name_seq, cwd_mount_seq; /* of the room, as cwd was told */
	uint64_t mount_ns, cwd_mount_ns;      /* FD_NS: of absolute paths, and that cwd is in */
	uint8_t cwd_origin;                   /* enum fd_name_origin */
	uint32_t nr_moving;                   /* calls under way that change it */
	const char *cwd;                      /* lives elsewhere; "": not known */
	const char *root;                     /* "": not known to be another than "/"; "?": another, and not known */
};
struct fd_fs *fd_fs_create(const struct fd_fs *like); /* like may be NULL: nothing known */
struct fd_fs *fd_fs_hold(struct fd_fs *fs);
void fd_fs_release(struct fd_fs *fs);

#endif
