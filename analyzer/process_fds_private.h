/* SPDX-License-Identifier: MIT */
/* process_fds_private.h - inside of process_fds.h: what a thread has, and what the call that it is in will do. */
#ifndef PROCESS_FDS_PRIVATE_H
#define PROCESS_FDS_PRIVATE_H

#include "fd_paths.h"
#include "linux/multiplexed.h"
#include "process_fds.h"
#include "process_table.h"

#define FD_THREADS_MAX (1u << 18) /* further ones have no descriptors that are known */

#define CLONE_FS_FLAG     0x00000200ull
#define CLONE_FILES_FLAG  0x00000400ull
#define CLONE_PIDFD_FLAG  0x00001000ull
#define CLONE_PARENT_BIT  0x00008000ull
#define CLONE_THREAD_BIT  0x00010000ull
#define CLONE_NEWNS_FLAG  0x00020000ull
#define CLONE_NEWPID_FLAG 0x20000000ull
#define FD_AT_CWD         (-100)
/* results of calls */
#define EBADF_       (-9)
#define EINPROGRESS_ (-115)

struct fd_thread {
	struct fd_table *files;
	struct fd_fs *fs;
	uint32_t at;  /* of struct processes.threads, as it entered */
	bool guessed; /* that these are its, and no others */
	/* The call that it is in. */
	bool in_call;
	uint8_t abi;
	uint32_t nr;
	const struct fd_call *call, *outer; /* what socketcall stands for, and itself; else the same */
	uint64_t args[LINUX_SYSCALL_ARGS];
	uint32_t gaps, snapshots, fs_seq; /* as it entered */
	uint64_t files_seq;
	const struct fd_table *files_then;      /* as it entered; to compare, it may be gone */
	const char *fs_root;                    /* as it entered */
	struct fd_object *object;               /* what it makes, if it goes well */
	struct fd_object *base;                 /* that a path which was not in memory yet starts from */
	struct fd_object *target, *target_base; /* of a rename: its second path, and what that starts from */
	uint64_t name_seq;                      /* of the room, as it entered */
	bool by_link;                           /* its path led to the descriptor link_fd, which was file */
	int32_t link_fd;
	struct fd_file *file; /* what it makes a second descriptor of */
	/* dup2 and dup3: the slot that becomes the copy, as it was */
	bool has_target;
	uint32_t target_confirmed;
	uint64_t target_seq;
	bool unsure;
	uint64_t how_flags, how_resolve; /* openat2's struct open_how */
	uint32_t address_room;           /* bytes, for the address that it is told */
	bool from_nowhere;               /* move_mount: a tree that is mounted nowhere yet */
	uint32_t ring_flags;             /* of the io_uring that it makes; UINT32_MAX: not known */
	bool waits;                      /* to receive on file */
	uint64_t message_id;             /* that it sends on file; 0: none */
	uint64_t mount_ns;               /* that its path is in: FD_NS */
	bool mounts;                     /* it changes mounts */
	struct fd_fs *moves;             /* that it changes; a reference */
	uint64_t pidfd_gva;              /* where clone3 puts one */
	uint64_t clone_flags;
	bool clone_flags_known, delivered;
	int32_t child; /* that was taken for its fork's: tid, 0: none */
};

/* What a call does to names. */
enum fd_name_effect {
	FD_NAMES_STAY,
	FD_NAMES_MOVE,   /* a rename */
	FD_NAMES_REMOVE, /* an unlink */
	FD_NAMES_ADD,    /* a hard link: no name changes, but what later renames do may be less */
	FD_NAMES_MOUNT,  /* a mount goes elsewhere, and files keep their places in it */
	FD_NAMES_DETACH, /* a mount is nowhere any more, and what is in it */
	FD_NAMES_PIVOT,  /* all of a mount namespace */
};

struct fd_name_change {
	uint64_t begin_seq, end_seq;
	uint64_t mask;                   /* of the last parts of both */
	struct fd_object *path, *target; /* NULL: not known; not absolute: what is above is not known */
	uint8_t effect;                  /* enum fd_name_effect */
	bool exchanges;
	uint64_t mount_ns; /* of path, or all of it */
	bool anywhere;     /* it may be of any other, too, whatever its last part */
	bool directories;  /* it may be of one */
	bool perhaps;      /* whether it has happened was not seen */
};
#define FD_NAME_CHANGES 64u /* that are remembered for calls that were under way at the same time */

/* A UNIX socket that is connected, as a snapshot has it. */
struct fd_socket_pair {
	uint64_t sock, peer; /* addresses */
	struct fd_file *file;
	bool queue_is_empty;
};

struct process_fds {
	struct fd_name_change changes[FD_NAME_CHANGES];
	uint64_t nr_changes, forgotten_seq; /* end of the last one that is not remembered */
	struct fd_room room;
	size_t nr_threads;
	uint32_t snapshots;    /* passed */
	uint32_t unattributed; /* calls: each is a gap in what is known of descriptors */
	uint32_t whole_gaps;   /* gaps when the last list of all tasks was taken */
	bool whole, partial;
	bool any_async; /* some table is fd_table.async, or was */
	bool no_links;  /* calls that take what sockets carry are not recorded */
	struct fd_call socketcalls[MULTIPLEXED_SOCKET_CALLS];
	bool settled;                   /* the snapshot before this one listed all tasks, and nothing was lost since */
	struct fd_socket_pair *sockets; /* of the snapshot at hand */
	size_t nr_sockets, room_sockets;
	struct u64_map by_files, by_fs, by_file; /* of the snapshot at hand: address to table, directories, file */
};

static inline uint32_t fd_gaps(const struct processes *p)
{
	return (uint32_t)p->gaps + p->fds->unattributed;
}

/* What is told at this time is sure, or as uncertain as before. */
static inline uint32_t fd_confirmed(const struct processes *p, uint64_t tsc)
{
	return tsc >= p->lossy_until ? fd_gaps(p) : fd_gaps(p) - 1;
}

static inline bool fd_is_sure(const struct processes *p, const struct fd_thread *t, const struct fd_slot *slot)
{
	return slot->confirmed == fd_gaps(p) && !t->guessed && !t->files->async && !p->fds->partial &&
	       !slot->file->doubtful;
}

/* Another thread that goes elsewhere may have gone already. */
static inline bool fd_is_moved(const struct fd_thread *t)
{
	return t->fs->nr_moving > (t->moves == t->fs ? 1u : 0u);
}

static inline bool fd_cwd_is_sure(const struct processes *p, const struct fd_thread *t)
{
	return !fd_is_moved(t) && t->fs->confirmed == fd_gaps(p) && !t->guessed && !p->fds->partial;
}

/* A root that nothing told of is taken for "/", until a loss may have hidden a chroot. */
static inline bool fd_root_is_sure(const struct processes *p, const struct fd_thread *t)
{
	return !fd_is_moved(t) && t->fs->root_confirmed == fd_gaps(p) &&
	       (t->fs->root[0] != '/' || (!t->guessed && !p->fds->partial));
}

/* The latest snapshot listed all tasks, and nothing was lost since. */
bool process_fds_know_all(const struct processes *p);
/* Its own references to another table, or to other directories, from now on; NULL is allowed. */
void process_fd_use_table(struct processes *p, struct fd_thread *t, struct fd_table *table);
void process_fd_use_fs(struct fd_thread *t, struct fd_fs *fs);
/* What is kept of the snapshot at hand. */
void process_fds_drop_snapshot(struct processes *p);
/* The thread's state without descriptors, if it has none yet; NULL: no room. */
struct fd_thread *process_fd_bare_thread(struct processes *p, uint32_t i);
/* The thread's state, made if there is none; NULL: no room. */
struct fd_thread *process_fd_thread(struct processes *p, uint32_t i);
void process_fd_call_over(struct processes *p, struct fd_thread *t);
/* The call that t is in, if any, is over, and whether it went well was not seen. */
void process_fd_call_unseen(struct processes *p, struct fd_thread *t);
/* An io_uring may change the table unseen from now on. */
void process_fd_is_async(struct processes *p, struct fd_table *files);

/* ---- numbers ------------------------------------------------------------ */

/* Takes over the reference to file; NULL: what is there is not known. */
void process_fd_set(struct processes *p, struct fd_thread *t, int64_t fd, struct fd_file *file, bool cloexec,
		    bool unsure, uint64_t tsc);
bool process_fd_cloexec(const struct fd_thread *t);
void process_fd_close_range(struct processes *p, struct fd_thread *t, bool at_exit);
/* t->file is what this argument refers to as the call begins. */
void process_fd_take_source(struct processes *p, struct fd_thread *t, int arg);
/* Does the first argument refer to t->file still? */
bool process_fd_is_still(struct processes *p, struct fd_thread *t);
/* dup2 and dup3: what is to become the copy; is it as it was; the call has failed. */
void process_fd_doubt_target(struct processes *p, struct fd_thread *t);
bool process_fd_target_is_same(const struct fd_thread *t);
void process_fd_restore_target(struct fd_thread *t);

/* ---- paths -------------------------------------------------------------- */

/* A snapshot tells of a connected socket; when all are told, peers are linked; drop: they are forgotten. */
void process_fds_rights_socket(struct processes *p, struct fd_file *file, uint64_t sock, uint64_t peer,
			       bool queue_is_empty);
void process_fds_rights_link(struct processes *p);
void process_fds_rights_drop(struct processes *p);
/* The call of t sends or receives, and is over; how was not seen. */
void process_fds_rights_unseen(struct processes *p, struct fd_thread *t);
/* The end of a call that sends or receives, and whose entry was not seen. */
void process_fds_rights_alone(struct processes *p, const struct fd_call *call);
/* Where a relative path at this argument for a descriptor starts (-1: none); NULL: not known. A reference. */
struct fd_object *process_fd_base(struct processes *p, struct fd_thread *t, int arg);
/* Has it started there all the time, as far as was seen? */
bool process_fd_base_is_still(const struct processes *p, const struct fd_thread *t, int arg);
void process_fd_new_mounts(struct processes *p, struct fd_fs *fs);
/* cwd lives elsewhere; "": not known. */
void process_fd_set_cwd(struct processes *p, struct fd_fs *fs, const char *cwd, uint8_t origin);
/* t->object is what the call's path names, as the call begins, and at its end. */
void process_fd_path_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view);
void process_fd_path_late(struct processes *p, struct fd_thread *t, const struct trap_view *view);
/*
 * Does the path begin with a link of the kernel's own to a descriptor? Then t->file is what that refers to (NULL: not
 * known), and the path is what follows. Late: is it so still?
 */
bool process_fd_link(struct processes *p, struct fd_thread *t, const char **path, size_t *n);
void process_fd_link_late(struct processes *p, struct fd_thread *t);
/* What an open has made whose path is not known. */
struct fd_object *process_fd_path_unknown(const struct fd_thread *t);
/* What getcwd has told. */
void process_fd_told_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view);
/* It is about to go elsewhere, or not any more. */
void process_fd_moves(struct fd_thread *t, bool begins);
void process_fd_change_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view);

/* ---- what calls make ---------------------------------------------------- */

struct fd_object *process_fd_make_pipe(const struct fd_thread *t);
struct fd_object *process_fd_make_new(const struct fd_thread *t);
struct fd_object *process_fd_make_memfd(const struct trap_view *enter, const struct fd_thread *t);
/* A number of another namespace's is none that the table of processes has. */
struct fd_object *process_fd_make_pidfd(struct processes *p, uint32_t i, struct fd_thread *t, int32_t pid);
/* Two descriptors that the call has written to memory. */
void process_fd_made_pair(struct processes *p, struct fd_thread *t, const struct trap_view *view, int arg,
			  struct fd_object *(*make)(const struct fd_thread *t));
/* The descriptor that clone and clone3 write to memory. */
void process_fd_made_pidfd(struct processes *p, uint32_t i, struct fd_thread *t, const struct trap_view *view,
			   int64_t ret);
/* What pidfd_getfd copies, as it begins (NULL: not known), and at its end. */
struct fd_slot *process_fd_slot_of_other(struct processes *p, struct fd_thread *t);
struct fd_file *process_fd_copied_from_other(struct processes *p, struct fd_thread *t);

/* ---- sockets ------------------------------------------------------------ */

/* As a call begins that is told an address. */
void process_fd_take_address_room(struct fd_thread *t, const struct trap_view *view);
struct fd_object *process_fd_make_socket(const struct fd_thread *t);
struct fd_object *process_fd_accepted(struct fd_thread *t, const struct trap_view *view);
/* The end of bind, connect, listen, getsockname and getpeername. */
void process_fds_socket_end(struct processes *p, struct fd_thread *t, const struct trap_view *view, int64_t ret);
/* Which call of socketcall it was is not known: a socket may be called otherwise now, and its result be a new one. */
void process_fds_any_socket_call(struct processes *p, struct fd_thread *t);
/* Calls that send and receive: their beginning and end. known: ret is. */
void process_fds_rights_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view);
void process_fds_rights_exit(struct processes *p, struct fd_thread *t, const struct trap_view *view, bool known,
			     int64_t ret);
enum fd_name_effect process_fds_names_effect(const struct fd_thread *t);
/* Calls that have such an effect: their beginning, and their end if they went well. */
void process_fds_names_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view);
void process_fds_names_changed(struct processes *p, struct fd_thread *t, const struct trap_view *view);
/* The call that t is in is over, and how it ended was not seen: it may be one of these, and have gone well. */
void process_fds_names_unseen(struct processes *p, const struct fd_thread *t);
/* One of these has gone well, or may have, and its entry was not seen. */
void process_fds_names_alone(struct processes *p, const struct fd_call *call);
void process_fds_names_deinit(struct process_fds *fds);
/* Has nothing changed this name, as far as was seen, since the call of t began? */
bool process_fds_name_is_current(const struct processes *p, const struct fd_thread *t, const struct fd_object *object);
/* Its own copies from now on. */
void process_fds_unshare_files(struct processes *p, struct fd_thread *t);
void process_fds_unshare_fs(struct fd_thread *t);

#endif
