/* SPDX-License-Identifier: MIT */
/* Calls of i386 and x32 programs that have another list of arguments than the 64-bit call of that name, or none such.
 */
#include "spec_macros.h"

#define OFFSET PAIR, HIDDEN /* 64 bits in two registers, the low half first */

/* clang-format off */
const struct call_spec i386_calls[] = {
	/* offsets in halves */
	{"i386:pread64", .args = {FD, BYTES_OUT, ULONG, OFFSET}},
	{"i386:pwrite64", .args = {FD, BYTES(2), ULONG, OFFSET}},
	{"i386:preadv", .args = {FD, IOVEC_OUT(2), ULONG, OFFSET}},
	{"i386:pwritev", .args = {FD, IOVEC(2), ULONG, OFFSET}},
	{"i386:preadv2", .args = {FD, IOVEC_OUT(2), ULONG, OFFSET, FLAGS(rwf)}},
	{"i386:pwritev2", .args = {FD, IOVEC(2), ULONG, OFFSET, FLAGS(rwf)}},
	{"i386:truncate64", .args = {STRING, OFFSET}},
	{"i386:ftruncate64", .args = {FD, OFFSET}},
	{"i386:readahead", .args = {FD, OFFSET, ULONG}},
	{"i386:fadvise64", .args = {FD, OFFSET, ULONG, NAME(fadvise)}},
	{"i386:fadvise64_64", .args = {FD, OFFSET, OFFSET, NAME(fadvise)}},
	{"i386:fallocate", .args = {FD, FLAGS(fallocate), OFFSET, OFFSET}},
	{"i386:sync_file_range", .args = {FD, OFFSET, OFFSET, FLAGS(sync_range)}},
	{"i386:_llseek", .args = {FD, PAIR_HIGH, HIDDEN, RECORD_OUT(offset), NAME(whence)}},
	{"i386:fanotify_mark", .args = {FD, FLAGS(fanotify_mark), PAIR_FLAGS(fanotify_mask), HIDDEN, DIRFD, STRING}},

	/* the old mmap's struct, as multiplexed.c takes it apart */
	{"mmap_in_memory", RETURNS(ADDRESS), .args = {ADDRESS, ULONG, FLAGS(prot), FLAGS(mmap), FD, HEX}},
	{"i386:send", .args = {FD, BYTES(2), ULONG, FLAGS(message)}},
	{"i386:recv", .args = {FD, BYTES_OUT, ULONG, FLAGS(message)}},
	{"i386:socketcall", .args = {NAME(socketcall), ADDRESS}},
	{"i386:ipc", .args = {UINT, INT, ULONG, ULONG, ADDRESS, HEX}},

	/* narrower or wider numbers and structs */
	{"i386:sendfile", .args = {FD, FD, RECORD_IO(old_offset), ULONG}},
	{"i386:sendfile64", .args = {FD, FD, RECORD_IO(offset), ULONG}},
	{"i386:mmap2", RETURNS(ADDRESS), .args = {ADDRESS, ULONG, FLAGS(prot), FLAGS(mmap), FD, PAGES}},
	{"i386:getgroups", .args = {INT, RECORDS_OUT(u16)}},
	{"i386:setgroups", .args = {INT, RECORDS(u16, 0)}},
	{"i386:getgroups32", .args = {INT, RECORDS_OUT(uint)}},
	{"i386:setgroups32", .args = {INT, RECORDS(uint, 0)}},
	{"i386:getresuid", .args = {RECORD_OUT(u16), RECORD_OUT(u16), RECORD_OUT(u16)}},
	{"i386:getresgid", .args = {RECORD_OUT(u16), RECORD_OUT(u16), RECORD_OUT(u16)}},
	{"i386:stat", .args = {STRING, RECORD_OUT(stat)}},
	{"i386:lstat", .args = {STRING, RECORD_OUT(stat)}},
	{"i386:fstat", .args = {FD, RECORD_OUT(stat)}},
	{"i386:stat64", .args = {STRING, RECORD_OUT(stat64)}},
	{"i386:lstat64", .args = {STRING, RECORD_OUT(stat64)}},
	{"i386:fstat64", .args = {FD, RECORD_OUT(stat64)}},
	{"i386:fstatat64", .args = {DIRFD, STRING, RECORD_OUT(stat64), FLAGS(at)}},
	{"i386:statfs64", .args = {STRING, ULONG, RECORD_OUT(statfs64)}},
	{"i386:fstatfs64", .args = {FD, ULONG, RECORD_OUT(statfs64)}},

	/* old signals: masks of 32 */
	{"i386:signal", RETURNS(HANDLER), .args = {SIGNAL, HANDLER}},
	{"i386:sigaction", .args = {SIGNAL, RECORD(old_sigaction), RECORD_OUT(old_sigaction)}},
	{"i386:sigprocmask", .args = {NAME(sigmask_how), RECORD(old_sigset), RECORD_OUT(old_sigset)}},
	{"i386:sigpending", .args = {RECORD_OUT(old_sigset)}},
	{"i386:sigsuspend", .args = {HIDDEN, HIDDEN, OLD_SIGSET}},
	{"i386:ssetmask", .args = {OLD_SIGSET}},

	{"i386:stime", .args = {RECORD(time)}},
	{"i386:set_thread_area", .args = {RECORD_IO(user_desc)}},
	{"i386:get_thread_area", .args = {RECORD_OUT(user_desc)}},
	{"i386:futex_time64", .args = {ADDRESS, FLAGS(futex), UINT, ADDRESS, ADDRESS, HEX32},
	 .variants = &variants_futex_time64},

	/* x32's own: an offset is in one register (compat_sys_preadv64), times are the 64-bit ABI's */
	{"x32:preadv", .args = {FD, IOVEC_OUT(2), ULONG, WIDE, HIDDEN}},
	{"x32:pwritev", .args = {FD, IOVEC(2), ULONG, WIDE, HIDDEN}},
	{"x32:preadv2", .args = {FD, IOVEC_OUT(2), ULONG, WIDE, FLAGS(rwf), HIDDEN}},
	{"x32:pwritev2", .args = {FD, IOVEC(2), ULONG, WIDE, FLAGS(rwf), HIDDEN}},
	{"x32:recvmmsg", .args = {FD, MESSAGES_OUT(2), UINT, FLAGS(message), RECORD(timespec64)}},
	{"x32:rt_sigtimedwait", RETURNS(SIGNAL), .args = {SIGSET, RECORD_OUT(siginfo), RECORD(timespec64), ULONG}},
	{"x32:waitid", .args = {NAME(idtype), INT, RECORD_OUT(siginfo), FLAGS(wait), RECORD_OUT(rusage64)}},
};
/* clang-format on */
const size_t nr_i386_calls = sizeof(i386_calls) / sizeof(i386_calls[0]);
