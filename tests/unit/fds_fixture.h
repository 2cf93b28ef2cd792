/* SPDX-License-Identifier: MIT */
/*
 * fds_fixture.h - for tests of what calls do to descriptors: one table of
 * processes, fed with records made by hand. fds_start() before, fds_stop() behind.
 */
#ifndef FDS_FIXTURE_H
#define FDS_FIXTURE_H

#include "call_fixture.h"
#include "process_fds.h"

#define NR_READ        0
#define NR_OPEN        2
#define NR_CLOSE       3
#define NR_LSEEK       8
#define NR_PIPE        22
#define NR_DUP2        33
#define NR_SOCKET      41
#define NR_CONNECT     42
#define NR_ACCEPT      43
#define NR_SENDMSG     46
#define NR_RECVMSG     47
#define NR_BIND        49
#define NR_LISTEN      50
#define NR_SOCKETPAIR  53
#define NR_CLONE       56
#define NR_FORK        57
#define NR_EXECVE      59
#define NR_EXIT        60
#define NR_FCNTL       72
#define NR_GETCWD      79
#define NR_CHDIR       80
#define NR_FCHDIR      81
#define NR_RENAME      82
#define NR_RMDIR       84
#define NR_LINK        86
#define NR_UNLINK      87
#define NR_PIVOT_ROOT  155
#define NR_CHROOT      161
#define NR_MOUNT       165
#define NR_UMOUNT2     166
#define NR_EXIT_GROUP  231
#define NR_OPENAT      257
#define NR_UNLINKAT    263
#define NR_LINKAT      265
#define NR_UNSHARE     272
#define NR_RENAMEAT2   316
#define NR_IO_URING    425
#define NR_RING_ENTER  426
#define NR_RING_REG    427
#define NR_RECVMMSG    299
#define NR_SENDMMSG    307
#define NR_PIDFD_GETFD 438
#define NR_OPEN_TREE   428
#define NR_MOVE_MOUNT  429
#define NR_FSMOUNT     432
#define NR_CLONE3      435
#define NR_CLOSE_RANGE 436
#define NR_OPENAT2     437
#define O_CLOEXEC_     02000000
#define THREAD_FLAGS   0x3d0f00
#define AT_FDCWD_      ((uint64_t)-100)

extern struct processes *fds_table;
extern struct call_fds fds_last;    /* of the latest record */
extern bool fds_last_cwd_uncertain; /* at fds_shown() */
extern uint64_t fds_now;            /* TSC of the latest record */

void fds_start(void);
void fds_stop(void);
void fds_feed(struct fixture_record r);
struct fixture_record fds_entry(int32_t pid, int32_t tid, uint64_t nr, uint64_t a, uint64_t b, uint64_t c);
void fds_bytes(struct fixture_record *r, uint8_t label, const void *bytes, size_t n);
/* A call whose first argument is a path: its entry, and all of it. */
void fds_enter_path(int32_t pid, int32_t tid, uint64_t nr, const char *path);
void fds_path(int32_t pid, uint64_t nr, const char *path, int64_t ret);
void fds_enter_open(int32_t pid, int32_t tid, const char *path, uint64_t flags);
void fds_leave(int32_t pid, int32_t tid, uint64_t nr, int64_t ret);
void fds_open(int32_t pid, const char *path, uint64_t flags, int64_t fd);
void fds_call(int32_t pid, int32_t tid, uint64_t nr, uint64_t a, uint64_t b, int64_t ret);
/* "name", "name?" if it is uncertain, "-" if it is not known. */
const char *fds_shown(int32_t pid, int32_t tid, uint64_t fd);
void fds_gap(uint64_t last_tsc);
void fds_identity(int32_t pid, int32_t tid, int32_t parent);

#endif
