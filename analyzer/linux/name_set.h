/* SPDX-License-Identifier: MIT */
/*
 * name_set.h - names of flags and enumerations, spelled once by the C headers'
 * constants. A name_set is constant; values outside it print as numbers.
 */
#ifndef NAME_SET_H
#define NAME_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strbuf.h"

struct named_value {
	uint64_t value;
	const char *name;
};

#define NAMED(constant)                         \
	{                                       \
		(uint64_t)(constant), #constant \
	}
#define NAMED_AS(value, text)           \
	{                               \
		(uint64_t)(value), text \
	}

struct name_set {
	const struct named_value *values; /* flags: composites before their parts */
	size_t n;
	const char *unknown; /* strace's word for a number without a name: "O_???" */
	uint64_t enum_mask;  /* flags: bits that together are one number, printed first (O_ACCMODE) */
	const char *huge;    /* flags: name of the shift of a page size's logarithm, six bits from bit 26 on */
	uint32_t query;      /* flags: not a sum, but a question (personality(0xffffffff)); 0: none */
	bool wide;           /* 64 bits matter; else 32 */
	bool decimal;        /* unknown numbers are decimal */
};

#define NAME_SET(set, array, ...) \
	const struct name_set set = {.values = (array), .n = sizeof(array) / sizeof((array)[0]), __VA_ARGS__}

/* NULL: none. */
const char *name_set_find(const struct name_set *set, uint64_t value);
void name_set_put_one(const struct name_set *set, uint64_t value, struct strbuf *out);
/* "A|B|0x10" */
void name_set_put_flags(const struct name_set *set, uint64_t value, struct strbuf *out);

/* false and nothing put: no such signal. "SIGINT", "SIGRT_3" */
bool signal_name_put(uint32_t number, struct strbuf *out);
/* strace's "[INT CHLD]", "~[KILL STOP]"; bit n of the set is signal n + 1. */
void signal_set_put(uint64_t set, struct strbuf *out);

/* names_file.c */
extern const struct name_set names_open, names_open_flags, names_at, names_at_access, names_at_statx, names_access,
	names_whence, names_flock, names_fcntl, names_fd_flags, names_lock_type, names_rename, names_fallocate,
	names_fadvise, names_statx_mask, names_statx_attributes, names_file_type, names_splice, names_inotify_init,
	names_inotify, names_memfd, names_close_range, names_xattr, names_sync_range, names_resolve, names_rwf,
	names_seals, names_mount, names_umount, names_fs_type, names_st_flags;
/* names_memory.c */
extern const struct name_set names_prot, names_mmap, names_mremap, names_madvise, names_msync, names_mlockall,
	names_mlock2, names_shm_get, names_shm_at, names_ipc_get, names_ipc_ctl, names_ipc_key, names_sem_ctl,
	names_msg_ctl, names_msg, names_sem, names_membarrier;
/* names_process.c */
extern const struct name_set names_clone, names_wait, names_idtype, names_rlimit, names_rusage, names_priority,
	names_sched, names_prctl, names_arch_prctl, names_personality, names_futex, names_seccomp_op,
	names_seccomp_flags, names_seccomp_mode, names_ptrace, names_capability_version, names_reboot_magic,
	names_reboot, names_syslog, names_rseq, names_module_delete, names_module_init, names_pidfd, names_getrandom,
	names_kcmp, names_capability, names_dumpable, names_set_vma, names_futex_bitset;
/* names_signal.c */
extern const struct name_set names_sigmask_how, names_sigaction, names_sigstack, names_clock, names_timer, names_itimer,
	names_timerfd, names_eventfd, names_signalfd, names_epoll_create, names_epoll_ctl, names_epoll_events,
	names_poll_events;
/* names_socket.c */
extern const struct name_set names_family, names_socket_type, names_socket_type_flags, names_ip_protocol,
	names_netlink_protocol, names_message, names_shutdown, names_sockopt_level, names_so, names_ip_option,
	names_ipv6_option, names_tcp_option;
/* names_terminal.c */
extern const struct name_set names_ioctl, names_tcflush, names_tcflow, names_iflag, names_oflag, names_speed,
	names_cflag, names_lflag;

#endif
