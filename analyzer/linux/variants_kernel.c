/* SPDX-License-Identifier: MIT */
/* Calls of variants.c's kind that are about tracing, keys, quotas, mounts and System V's objects. */
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/quota.h>
#include <linux/seccomp.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "spec_macros.h"

#define ATTR(what) SIZED(bpf_##what, LEN_ARG0 + 2)
#define KEY        NAME(key_special)

/* clang-format off */
static const struct arg_variant bpf_variants[] = {
	CASE(BPF_MAP_CREATE, 3, ATTR(map_create)),
	CASE(BPF_MAP_LOOKUP_ELEM, 3, ATTR(element)),
	CASE(BPF_MAP_UPDATE_ELEM, 3, ATTR(element)),
	CASE(BPF_MAP_LOOKUP_AND_DELETE_ELEM, 3, ATTR(element)),
	CASE(BPF_MAP_DELETE_ELEM, 3, ATTR(delete)),
	CASE(BPF_MAP_GET_NEXT_KEY, 3, ATTR(next_key)),
	CASE(BPF_PROG_LOAD, 3, ATTR(prog_load)),
	CASE(BPF_OBJ_PIN, 3, ATTR(object)),
	CASE(BPF_OBJ_GET, 3, ATTR(object)),
	CASE(BPF_PROG_ATTACH, 3, ATTR(attach)),
	CASE(BPF_PROG_DETACH, 3, ATTR(attach)),
	CASE(BPF_PROG_GET_NEXT_ID, 3, ATTR(id)),
	CASE(BPF_MAP_GET_NEXT_ID, 3, ATTR(id)),
	CASE(BPF_BTF_GET_NEXT_ID, 3, ATTR(id)),
	CASE(BPF_PROG_GET_FD_BY_ID, 3, ATTR(prog_id)),
	CASE(BPF_MAP_GET_FD_BY_ID, 3, ATTR(map_id)),
	CASE(BPF_OBJ_GET_INFO_BY_FD, 3, ATTR(info)),
	CASE(BPF_RAW_TRACEPOINT_OPEN, 3, ATTR(raw_tracepoint)),
	CASE(BPF_BTF_LOAD, 3, ATTR(btf_load)),
	CASE(BPF_LINK_CREATE, 3, ATTR(link_create)),
};
VARIANTS(bpf, 0, 1, 0xffffffffu);

static const struct arg_variant keyctl_variants[] = {
	CASE(KEYCTL_GET_KEYRING_ID, 3, KEY, INT),
	CASE(KEYCTL_JOIN_SESSION_KEYRING, 2, STRING),
	CASE(KEYCTL_UPDATE, 4, KEY, BYTES(3), ULONG),
	CASE(KEYCTL_REVOKE, 2, KEY),
	CASE(KEYCTL_CHOWN, 4, KEY, ID, ID),
	CASE(KEYCTL_SETPERM, 3, KEY, HEX32),
	CASE(KEYCTL_CLEAR, 2, KEY),
	CASE(KEYCTL_LINK, 3, KEY, KEY),
	CASE(KEYCTL_UNLINK, 3, KEY, KEY),
	CASE(KEYCTL_SEARCH, 5, KEY, STRING, STRING, KEY),
	CASE(KEYCTL_DESCRIBE, 4, KEY, STRING_OUT, ULONG),
	CASE(KEYCTL_READ, 4, KEY, BYTES_OUT, ULONG),
	CASE(KEYCTL_SET_TIMEOUT, 3, KEY, UINT),
	CASE(KEYCTL_ASSUME_AUTHORITY, 2, KEY),
	CASE(KEYCTL_INVALIDATE, 2, KEY),
	CASE(KEYCTL_SESSION_TO_PARENT, 1, {0}),
};
VARIANTS(keyctl, 0, 1, 0xffffffffu);

#define QUOTA_CASES(n) \
	CASE((uint32_t)Q_GETQUOTA << 8, n, UINT, RECORD_OUT(quota)), \
	CASE((uint32_t)Q_SETQUOTA << 8, n, UINT, RECORD(quota)), \
	CASE((uint32_t)Q_GETFMT << 8, n, HIDDEN, RECORD_OUT(quota_format)), \
	CASE((uint32_t)Q_QUOTAON << 8, n, NAME(quota_format), STRING), \
	CASE((uint32_t)Q_QUOTAOFF << 8, n - 2, {0}), \
	CASE((uint32_t)Q_SYNC << 8, n - 2, {0})
static const struct arg_variant quotactl_variants[] = {QUOTA_CASES(4)};
VARIANTS(quotactl, 0, 2, 0xffffff00u);
static const struct arg_variant quotactl_fd_variants[] = {QUOTA_CASES(4)};
VARIANTS(quotactl_fd, 1, 2, 0xffffff00u);

static const struct arg_variant seccomp_variants[] = {
	CASE(SECCOMP_SET_MODE_FILTER, 3, RECORD(filter_program)),
	CASE(SECCOMP_GET_ACTION_AVAIL, 3, RECORD(seccomp_action)),
	CASE(SECCOMP_GET_NOTIF_SIZES, 3, RECORD_OUT(seccomp_sizes)),
};
VARIANTS(seccomp, 0, 2, 0xffffffffu);

static const struct arg_variant landlock_variants[] = {
	CASE(1, 4, RECORD(landlock_path)), /* LANDLOCK_RULE_PATH_BENEATH */
	CASE(2, 4, RECORD(landlock_port)), /* LANDLOCK_RULE_NET_PORT, since 6.7 */
};
VARIANTS(landlock, 1, 2, 0xffffffffu);

static const struct arg_variant fsconfig_variants[] = {
	CASE(FSCONFIG_SET_FLAG, 5, STRING, ADDRESS, INT),
	CASE(FSCONFIG_SET_STRING, 5, STRING, STRING, INT),
	CASE(FSCONFIG_SET_BINARY, 5, STRING, BYTES(4), INT),
	CASE(FSCONFIG_SET_PATH, 5, STRING, STRING, DIRFD),
	CASE(FSCONFIG_SET_PATH_EMPTY, 5, STRING, STRING, DIRFD),
	CASE(FSCONFIG_SET_FD, 5, STRING, ADDRESS, INT),
	CASE(FSCONFIG_CMD_CREATE, 5, ADDRESS, ADDRESS, INT),
	CASE(FSCONFIG_CMD_RECONFIGURE, 5, ADDRESS, ADDRESS, INT),
};
VARIANTS(fsconfig, 1, 2, 0xffffffffu);

static const struct arg_variant shmctl_variants[] = {
	CASE(IPC_STAT, 3, RECORD_OUT(shm_status)),
	CASE(SHM_STAT, 3, RECORD_OUT(shm_status)),
	CASE(IPC_SET, 3, RECORD(shm_set)),
};
VARIANTS(shmctl, 1, 2, 0xffu);

static const struct arg_variant msgctl_variants[] = {
	CASE(IPC_STAT, 3, RECORD_OUT(msg_status)),
	CASE(MSG_STAT, 3, RECORD_OUT(msg_status)),
	CASE(IPC_SET, 3, RECORD(msg_set)),
};
VARIANTS(msgctl, 1, 2, 0xffu);

static const struct arg_variant semctl_variants[] = {
	CASE(IPC_STAT, 4, RECORD_OUT(sem_status)),
	CASE(SEM_STAT, 4, RECORD_OUT(sem_status)),
	CASE(IPC_SET, 4, RECORD(sem_set)),
	CASE(SETVAL, 4, HEX),
	CASE(IPC_RMID, 4, ADDRESS),
	CASE(GETALL, 4, ADDRESS),
	CASE(SETALL, 4, ADDRESS),
};
VARIANTS(semctl, 2, 3, 0xffu);

static const struct arg_variant uring_register_variants[] = {
	CASE(IORING_REGISTER_BUFFERS, 4, RECORDS(plain_iovec, 3)),
	CASE(IORING_REGISTER_FILES, 4, RECORDS(int, 3)),
	CASE(IORING_REGISTER_EVENTFD, 4, RECORDS(int, 3)),
	CASE(IORING_REGISTER_EVENTFD_ASYNC, 4, RECORDS(int, 3)),
};
VARIANTS(uring_register, 1, 2, 0xffffffffu);

/* a set of signals, or a struct that points at one */
static const struct arg_variant uring_enter_variants[] = {CASE(IORING_ENTER_EXT_ARG, 6, RECORD(uring_wait), ULONG)};
VARIANTS(uring_enter, 3, 4, IORING_ENTER_EXT_ARG);
/* clang-format on */
