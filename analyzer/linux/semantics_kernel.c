/* SPDX-License-Identifier: MIT */
/* Calls about rings, tracing, quotas, keys, mounts, memory policy, and those that only 32-bit programs make. */
#include "spec_macros.h"

/* linux/futex.h: two struct futex_waitv, from and to */
#define REQUEUE RECORD(futex_pair)

static int shown_fsconfig(const struct call *call)
{
	return call->args_known ? 5 : 0;
}

/* clang-format off */
const struct call_spec kernel_calls[] = {
	/* asynchronous input and output */
	CALL(io_uring_setup, UINT, RECORD_IO(uring_params)),
	{"io_uring_enter", .args = {FD, UINT, UINT, FLAGS(io_uring_enter), SIGSET, ULONG}, .variants = &variants_uring_enter},
	{"io_uring_register", .args = {FD, NAME(io_uring_register), ADDRESS, UINT}, .variants = &variants_uring_register},
	CALL(io_setup, UINT, RECORD_OUT(aio_context)),
	CALL(io_destroy, ADDRESS),
	CALL(io_submit, ADDRESS, LONG, CONTROL_BLOCKS(1)),
	CALL(io_cancel, ADDRESS, RECORD(iocb), RECORD_OUT(io_event)),
	CALL(io_getevents, ADDRESS, LONG, LONG, RECORDS_OUT(io_event), RECORD(timespec)),
	CALL(io_pgetevents, ADDRESS, LONG, LONG, RECORDS_OUT(io_event), RECORD(timespec), SIGSET_PAIR),
	CALL(futex_wake, ADDRESS, NAME(futex_bitset), INT, FLAGS(futex_waiter)),
	CALL(futex_wait, ADDRESS, HEX, NAME(futex_bitset), FLAGS(futex_waiter), RECORD(timespec64), NAME(clock)),
	CALL(futex_requeue, REQUEUE, HEX32, INT, INT),
	CALL(futex_waitv, RECORDS(futex_waitv, 1), UINT, HEX32, RECORD(timespec64), NAME(clock)),

	/* tracing and filtering */
	{"bpf", .args = {NAME(bpf_command), ADDRESS, UINT}, .variants = &variants_bpf},
	CALL(perf_event_open, SIZED(perf_attr, LEN_OWN4), INT, INT, FD, FLAGS(perf_open)),
	CALL(landlock_create_ruleset, SIZED(landlock_ruleset, LEN_ARG0 + 1), ULONG, FLAGS(landlock_create)),
	{"landlock_add_rule", .args = {FD, NAME(landlock_rule), ADDRESS, HEX32}, .variants = &variants_landlock},
	CALL(landlock_restrict_self, FD, HEX32),
	CALL(process_vm_readv, INT, IOVEC_OUT(2), ULONG, RECORDS(plain_iovec, 4), ULONG, HEX),
	CALL(process_vm_writev, INT, IOVEC(2), ULONG, RECORDS(plain_iovec, 4), ULONG, HEX),
	CALL(process_madvise, FD, RECORDS(plain_iovec, 2), ULONG, NAME(madvise), HEX32),
	CALL(process_mrelease, FD, HEX32),

	/* keys and quotas */
	{"keyctl", .args = {NAME(keyctl), HEX, HEX, HEX, HEX}, .variants = &variants_keyctl},
	CALL(add_key, STRING, STRING, BYTES(3), ULONG, NAME(key_special)),
	CALL(request_key, STRING, STRING, STRING, NAME(key_special)),
	{"quotactl", .args = {QUOTA, STRING, UINT, ADDRESS}, .variants = &variants_quotactl},
	{"quotactl_fd", .args = {FD, QUOTA, UINT, ADDRESS}, .variants = &variants_quotactl_fd},

	/* mounts and notification */
	CALL(open_tree, DIRFD, STRING, FLAGS(open_tree)),
	CALL(move_mount, DIRFD, STRING, DIRFD, STRING, FLAGS(move_mount)),
	CALL(fsopen, STRING, FLAGS(fsopen)),
	{"fsconfig", .args = {FD, NAME(fsconfig), STRING, ADDRESS, INT}, .nr_shown = shown_fsconfig,
	 .variants = &variants_fsconfig},
	CALL(fsmount, FD, FLAGS(fsmount), FLAGS(mount_attr)),
	CALL(fspick, DIRFD, STRING, FLAGS(fspick)),
	CALL(mount_setattr, DIRFD, STRING, FLAGS(at_mount), SIZED(mount_attr, LEN_ARG0 + 4), ULONG),
	CALL(fanotify_init, FLAGS(fanotify_init), FLAGS(open)),
	CALL(fanotify_mark, FD, FLAGS(fanotify_mark), FLAGS(fanotify_mask), DIRFD, STRING),
	CALL(name_to_handle_at, DIRFD, STRING, ADDRESS, RECORD_OUT(int), FLAGS(at)),
	CALL(sysfs, HEX, HEX, HEX),
	CALL(ustat, DEVICE, ADDRESS),
	CALL(uselib, STRING),
	CALL(lookup_dcookie, ULONG, STRING_OUT, ULONG),

	/* memory */
	CALL(mbind, ADDRESS, ULONG, FLAGS(mempolicy), NODES(4), ULONG, FLAGS(mempolicy_bind)),
	CALL(set_mempolicy, FLAGS(mempolicy), NODES(2), ULONG),
	CALL(get_mempolicy, RECORD_OUT(mempolicy), NODES_OUT(2), ULONG, ADDRESS, FLAGS(mempolicy_get)),
	CALL(set_mempolicy_home_node, ADDRESS, ULONG, ULONG, HEX),
	CALL(migrate_pages, INT, ULONG, NODES(1), NODES(1)),
	CALL(move_pages, INT, ULONG, ADDRESS, ADDRESS, ADDRESS, FLAGS(mempolicy_bind)),
	CALL(remap_file_pages, ADDRESS, ULONG, FLAGS(prot), ULONG, FLAGS(mmap)),
	CALL(userfaultfd, FLAGS(userfaultfd)),
	CALL(memfd_secret, FLAGS(memfd_secret)),
	CALL(pkey_mprotect, ADDRESS, ULONG, FLAGS(prot), INT),
	CALL(pkey_alloc, HEX, FLAGS(pkey)),
	CALL(pkey_free, INT),
	CALL(mseal, ADDRESS, ULONG, HEX),
	CALL(map_shadow_stack, ADDRESS, ULONG, HEX32),

	/* time and scheduling */
	{"adjtimex", RETURNS(NAME), .ret_names = &names_adjtimex_state, .args = {RECORD_OUT(timex)}},
	{"clock_adjtime", RETURNS(NAME), .ret_names = &names_adjtimex_state, .args = {NAME(clock), RECORD_OUT(timex)}},
	CALL(sched_setattr, INT, SIZED(sched_attr, LEN_OWN0), HEX32),
	CALL(sched_getattr, INT, SIZED_OUT(sched_attr, LEN_ARG0 + 2), UINT, HEX32),
	CALL(ioprio_set, NAME(ioprio_who), INT, PRIORITY),
	{"ioprio_get", RETURNS(PRIORITY), .args = {NAME(ioprio_who), INT}},

	/* system */
	CALL(mq_notify, FD, RECORD(sigevent)),
	CALL(iopl, INT),
	CALL(ioperm, HEX, HEX, INT),
	CALL(vhangup),
	CALL(restart_syscall),
	CALL(kexec_load, ADDRESS, ULONG, ADDRESS, FLAGS(kexec_load)),
	CALL(kexec_file_load, FD, FD, ULONG, BYTES(2), FLAGS(kexec_file)),
	CALL(modify_ldt, INT, ADDRESS, ULONG),

	/* 64-bit times of 32-bit programs */
	CALL(clock_settime64, NAME(clock), RECORD(timespec64)),
	{"clock_adjtime64", RETURNS(NAME), .ret_names = &names_adjtimex_state, .args = {NAME(clock), RECORD_OUT(timex64)}},
	CALL(clock_getres_time64, NAME(clock), RECORD_OUT(timespec64)),
	CALL(timer_gettime64, INT, RECORD_OUT(itimerspec64)),
	CALL(timer_settime64, INT, FLAGS(timer), RECORD(itimerspec64), RECORD_OUT(itimerspec64)),
	CALL(timerfd_gettime64, FD, RECORD_OUT(itimerspec64)),
	CALL(timerfd_settime64, FD, FLAGS(timerfd), RECORD(itimerspec64), RECORD_OUT(itimerspec64)),
	CALL(utimensat_time64, DIRFD, STRING, RECORD(timespecs64_at), FLAGS(at)),
	{"pselect6_time64", RETURNS(SELECT), .args = {INT, FDSET, FDSET, FDSET, RECORD_IO(timespec64), SIGSET_PAIR}},
	CALL(io_pgetevents_time64, ADDRESS, LONG, LONG, RECORDS_OUT(io_event), RECORD(timespec64), SIGSET_PAIR),
	CALL(recvmmsg_time64, FD, MESSAGES_OUT(2), UINT, FLAGS(message), RECORD(timespec64)),
	CALL(mq_timedsend_time64, FD, BYTES(2), ULONG, UINT, RECORD(timespec64)),
	CALL(mq_timedreceive_time64, FD, BYTES_OUT, ULONG, RECORD_OUT(uint), RECORD(timespec64)),
	CALL(semtimedop_time64, INT, RECORDS(sembuf, 2), UINT, RECORD(timespec64)),
	{"rt_sigtimedwait_time64", RETURNS(SIGNAL), .args = {SIGSET, RECORD_OUT(siginfo), RECORD(timespec64), ULONG}},
	CALL(sched_rr_get_interval_time64, INT, RECORD_OUT(timespec64)),
};
/* clang-format on */
const size_t nr_kernel_calls = sizeof(kernel_calls) / sizeof(kernel_calls[0]);
