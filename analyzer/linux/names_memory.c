/* SPDX-License-Identifier: MIT */
/* Names for calls about memory; the order is the one in which strace prints flags. */
#include <linux/membarrier.h>
#include <linux/mman.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "name_set.h"

static const struct named_value prot_values[] = {NAMED(PROT_NONE),   NAMED(PROT_READ),        NAMED(PROT_WRITE),
						 NAMED(PROT_EXEC),   NAMED_AS(8, "PROT_SEM"), NAMED(PROT_GROWSDOWN),
						 NAMED(PROT_GROWSUP)};
NAME_SET(names_prot, prot_values, .unknown = "PROT_???", .wide = true);

static const struct named_value mmap_values[] = {
	NAMED(MAP_FILE),       NAMED(MAP_SHARED),         NAMED(MAP_PRIVATE),   NAMED(MAP_SHARED_VALIDATE),
	NAMED(MAP_FIXED),      NAMED(MAP_ANONYMOUS),      NAMED(MAP_32BIT),     NAMED(MAP_NORESERVE),
	NAMED(MAP_POPULATE),   NAMED(MAP_NONBLOCK),       NAMED(MAP_GROWSDOWN), NAMED(MAP_DENYWRITE),
	NAMED(MAP_EXECUTABLE), NAMED(MAP_LOCKED),         NAMED(MAP_STACK),     NAMED(MAP_HUGETLB),
	NAMED(MAP_SYNC),       NAMED(MAP_FIXED_NOREPLACE)};
NAME_SET(names_mmap, mmap_values, .unknown = "MAP_???", .enum_mask = MAP_TYPE, .huge = "MAP_HUGE_SHIFT");

static const struct named_value mremap_values[] = {NAMED(MREMAP_MAYMOVE), NAMED(MREMAP_FIXED), NAMED(MREMAP_DONTUNMAP)};
NAME_SET(names_mremap, mremap_values, .unknown = "MREMAP_???", .wide = true);

static const struct named_value madvise_values[] = {
	NAMED(MADV_NORMAL),          NAMED(MADV_RANDOM),        NAMED(MADV_SEQUENTIAL),
	NAMED(MADV_WILLNEED),        NAMED(MADV_DONTNEED),      NAMED(MADV_FREE),
	NAMED(MADV_REMOVE),          NAMED(MADV_DONTFORK),      NAMED(MADV_DOFORK),
	NAMED(MADV_MERGEABLE),       NAMED(MADV_UNMERGEABLE),   NAMED(MADV_HUGEPAGE),
	NAMED(MADV_NOHUGEPAGE),      NAMED(MADV_DONTDUMP),      NAMED(MADV_DODUMP),
	NAMED(MADV_WIPEONFORK),      NAMED(MADV_KEEPONFORK),    NAMED(MADV_COLD),
	NAMED(MADV_PAGEOUT),         NAMED(MADV_POPULATE_READ), NAMED(MADV_POPULATE_WRITE),
	NAMED(MADV_DONTNEED_LOCKED), NAMED(MADV_HWPOISON),      NAMED_AS(101, "MADV_SOFT_OFFLINE")};
NAME_SET(names_madvise, madvise_values, .unknown = "MADV_???");

static const struct named_value msync_values[] = {NAMED(MS_SYNC), NAMED(MS_ASYNC), NAMED(MS_INVALIDATE)};
NAME_SET(names_msync, msync_values, .unknown = "MS_???");

static const struct named_value mlockall_values[] = {NAMED(MCL_CURRENT), NAMED(MCL_FUTURE), NAMED(MCL_ONFAULT)};
NAME_SET(names_mlockall, mlockall_values, .unknown = "MCL_???");

static const struct named_value mlock2_values[] = {NAMED(MLOCK_ONFAULT)};
NAME_SET(names_mlock2, mlock2_values, .unknown = "MLOCK_???");

static const struct named_value shm_get_values[] = {NAMED(IPC_CREAT), NAMED(IPC_EXCL), NAMED(SHM_HUGETLB),
						    NAMED(SHM_NORESERVE)};
NAME_SET(names_shm_get, shm_get_values, .huge = "SHM_HUGE_SHIFT");

static const struct named_value shm_at_values[] = {NAMED(SHM_RDONLY), NAMED(SHM_RND), NAMED(SHM_REMAP),
						   NAMED(SHM_EXEC)};
NAME_SET(names_shm_at, shm_at_values, .unknown = "SHM_???");

static const struct named_value ipc_get_values[] = {NAMED(IPC_CREAT), NAMED(IPC_EXCL)};
NAME_SET(names_ipc_get, ipc_get_values);

/* 32-bit callers add IPC_64, which libc does not name: linux/ipc.h */
static const struct named_value ipc_ctl_values[] = {NAMED(IPC_RMID), NAMED(IPC_SET),  NAMED(IPC_STAT),
						    NAMED(IPC_INFO), NAMED(SHM_LOCK), NAMED(SHM_UNLOCK),
						    NAMED(SHM_STAT), NAMED(SHM_INFO)};
NAME_SET(names_ipc_ctl, ipc_ctl_values, .unknown = "IPC_???");

#define IPC_COMMANDS NAMED(IPC_RMID), NAMED(IPC_SET), NAMED(IPC_STAT), NAMED(IPC_INFO)

static const struct named_value sem_ctl_values[] = {IPC_COMMANDS,    NAMED(GETPID),  NAMED(GETVAL), NAMED(GETALL),
						    NAMED(GETNCNT),  NAMED(GETZCNT), NAMED(SETVAL), NAMED(SETALL),
						    NAMED(SEM_STAT), NAMED(SEM_INFO)};
NAME_SET(names_sem_ctl, sem_ctl_values, .unknown = "SEM_???");

static const struct named_value msg_ctl_values[] = {IPC_COMMANDS, NAMED(MSG_STAT), NAMED(MSG_INFO)};
NAME_SET(names_msg_ctl, msg_ctl_values, .unknown = "MSG_???");

static const struct named_value msg_values[] = {NAMED(MSG_NOERROR), NAMED(MSG_EXCEPT), NAMED(MSG_COPY),
						NAMED(IPC_NOWAIT)};
NAME_SET(names_msg, msg_values, .unknown = "MSG_???");

static const struct named_value sem_values[] = {NAMED(SEM_UNDO), NAMED(IPC_NOWAIT)};
NAME_SET(names_sem, sem_values, .unknown = "SEM_???");

static const struct named_value ipc_key_values[] = {NAMED(IPC_PRIVATE)};
NAME_SET(names_ipc_key, ipc_key_values);

static const struct named_value membarrier_values[] = {NAMED(MEMBARRIER_CMD_QUERY),
						       NAMED(MEMBARRIER_CMD_GLOBAL),
						       NAMED(MEMBARRIER_CMD_GLOBAL_EXPEDITED),
						       NAMED(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED),
						       NAMED(MEMBARRIER_CMD_PRIVATE_EXPEDITED),
						       NAMED(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
						       NAMED(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE),
						       NAMED(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE),
						       NAMED(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ),
						       NAMED(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ)};
NAME_SET(names_membarrier, membarrier_values, .unknown = "MEMBARRIER_CMD_???");
