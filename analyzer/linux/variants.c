/* SPDX-License-Identifier: MIT */
/* Calls of which one argument decides what the others mean. */
#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kd.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/sockios.h>
#include <sys/epoll.h>

#include "record_layout.h"
#include "semantics.h"
#include "spec_macros.h"

/* clang-format off */
static const struct arg_variant fcntl_variants[] = {
	CASE(F_DUPFD, 3, INT),
	CASE(F_DUPFD_CLOEXEC, 3, INT),
	CASE_RET(F_GETFD, 2, FLAGS, &names_fd_flags),
	CASE(F_SETFD, 3, FLAGS(fd_flags)),
	CASE_RET(F_GETFL, 2, FLAGS, &names_open),
	CASE(F_SETFL, 3, FLAGS(open)),
	CASE(5, 3, RECORD_OUT(flock_owner)), /* F_GETLK, F_SETLK, F_SETLKW: libc names other numbers so */
	CASE(6, 3, RECORD(flock)),
	CASE(7, 3, RECORD(flock)),
	CASE(12, 3, RECORD_OUT(flock64_owner)), /* F_GETLK64, F_SETLK64, F_SETLKW64 */
	CASE(13, 3, RECORD(flock64)),
	CASE(14, 3, RECORD(flock64)),
	CASE(F_OFD_GETLK, 3, RECORD_OUT(flock64_owner)),
	CASE(F_OFD_SETLK, 3, RECORD(flock64)),
	CASE(F_OFD_SETLKW, 3, RECORD(flock64)),
	CASE(F_SETOWN, 3, INT),
	CASE_RET(F_GETOWN, 2, INT, NULL),
	CASE(F_SETOWN_EX, 3, RECORD(owner)),
	CASE(F_GETOWN_EX, 3, RECORD_OUT(owner)),
	CASE(F_SETSIG, 3, SIGNAL),
	CASE_RET(F_GETSIG, 2, SIGNAL, NULL),
	CASE(F_SETLEASE, 3, NAME(lock_type)),
	CASE_RET(F_GETLEASE, 2, NAMES, &names_lock_type),
	CASE(F_NOTIFY, 3, FLAGS(dir_notify)),
	CASE(F_SETPIPE_SZ, 3, INT),
	CASE_RET(F_GETPIPE_SZ, 2, INT, NULL),
	CASE(F_ADD_SEALS, 3, FLAGS(seals)),
	CASE_RET(F_GET_SEALS, 2, SEALS, &names_seals),
};
VARIANTS(fcntl, 1, 2, 0xffffffffu);

static const struct arg_variant ioctl_variants[] = {
	CASE(TCGETS, 3, RECORD_OUT(termios)),
	CASE(TCSETS, 3, RECORD(termios)),
	CASE(TCSETSW, 3, RECORD(termios)),
	CASE(TCSETSF, 3, RECORD(termios)),
	CASE(TIOCGWINSZ, 3, RECORD_OUT(winsize)),
	CASE(TIOCSWINSZ, 3, RECORD(winsize)),
	CASE(TIOCGPGRP, 3, RECORD_OUT(int)),
	CASE(TIOCSPGRP, 3, RECORD(int)),
	CASE(TIOCGSID, 3, RECORD_OUT(int)),
	CASE(TIOCGPTN, 3, RECORD_OUT(uint)),
	CASE(TIOCSPTLCK, 3, RECORD(int)),
	CASE(TIOCOUTQ, 3, RECORD_OUT(int)),
	CASE(FIONREAD, 3, RECORD_OUT(int)),
	CASE(FIONBIO, 3, RECORD(int)),
	CASE(FIOASYNC, 3, RECORD(int)),
	CASE(FIOCLEX, 2, {0}),
	CASE(FIONCLEX, 2, {0}),
	CASE(TIOCNOTTY, 2, {0}),
	CASE(TIOCEXCL, 2, {0}),
	CASE(TIOCNXCL, 2, {0}),
	CASE(TIOCVHANGUP, 2, {0}),
	CASE(TIOCSBRK, 2, {0}),
	CASE(TIOCCBRK, 2, {0}),
	CASE(TIOCCONS, 2, {0}),
	CASE(TIOCSCTTY, 3, INT),
	CASE(TCSBRK, 3, INT),
	CASE(TCSBRKP, 3, INT),
	CASE(TCXONC, 3, NAME(tcflow)),
	CASE(TCFLSH, 3, NAME(tcflush)),
	CASE(FS_IOC_GETFLAGS, 3, RECORD_OUT(fs_flags)),
	CASE(FS_IOC_SETFLAGS, 3, RECORD(fs_flags)),
	CASE(BLKGETSIZE64, 3, RECORD_OUT(offset)),
	CASE(BLKGETSIZE, 3, RECORD_OUT(word)),
	CASE(BLKSSZGET, 3, RECORD_OUT(int)),
	CASE(FICLONE, 3, INT),
	CASE(SIOCGIFINDEX, 3, RECORD_IO(ifreq_get_index)),
	CASE(SIOCGIFMTU, 3, RECORD_IO(ifreq_get_mtu)),
	CASE(SIOCSIFMTU, 3, RECORD(ifreq_mtu)),
	CASE(SIOCGIFMETRIC, 3, RECORD_IO(ifreq_get_metric)),
	CASE(SIOCSIFMETRIC, 3, RECORD(ifreq_metric)),
	CASE(SIOCGIFTXQLEN, 3, RECORD_IO(ifreq_get_queue)),
	CASE(SIOCSIFTXQLEN, 3, RECORD(ifreq_queue)),
	CASE(SIOCGIFFLAGS, 3, RECORD_IO(ifreq_get_flags)),
	CASE(SIOCSIFFLAGS, 3, RECORD(ifreq_flags)),
	CASE(SIOCGIFADDR, 3, RECORD_IO(ifreq_get_address)),
	CASE(SIOCSIFADDR, 3, RECORD(ifreq_address)),
	CASE(SIOCGIFDSTADDR, 3, RECORD_IO(ifreq_get_peer)),
	CASE(SIOCSIFDSTADDR, 3, RECORD(ifreq_peer)),
	CASE(SIOCGIFBRDADDR, 3, RECORD_IO(ifreq_get_broadcast)),
	CASE(SIOCSIFBRDADDR, 3, RECORD(ifreq_broadcast)),
	CASE(SIOCGIFNETMASK, 3, RECORD_IO(ifreq_get_netmask)),
	CASE(SIOCSIFNETMASK, 3, RECORD(ifreq_netmask)),
	CASE(SIOCGIFHWADDR, 3, RECORD_IO(ifreq_get_hardware)),
	CASE(SIOCSIFHWADDR, 3, RECORD(ifreq_hardware)),
	CASE(SIOCGIFNAME, 3, RECORD_IO(ifreq_get_name)),
	CASE(TUNSETIFF, 3, RECORD(ifreq_tunnel)),
	CASE(BLKROGET, 3, RECORD_OUT(int)),
	CASE(BLKROSET, 3, RECORD(int)),
	CASE(FIGETBSZ, 3, RECORD_OUT(int)),
	CASE(TIOCGETD, 3, RECORD_OUT(int)),
	CASE(TIOCMGET, 3, RECORD_OUT(modem)),
	CASE(TIOCMSET, 3, RECORD(modem)),
	CASE(TIOCMBIS, 3, RECORD(modem)),
	CASE(TIOCMBIC, 3, RECORD(modem)),
	CASE(FS_IOC_GETVERSION, 3, RECORD_OUT(uint)), /* not the long that its number says */
	CASE(KDGETMODE, 3, RECORD_OUT(int)),
	CASE(KDGKBMODE, 3, RECORD_OUT(int)),
	/* unknown ones, and those with structs that are not described: a number */
	CASE(TIOCLINUX, 3, ADDRESS),
	CASE(TIOCGSERIAL, 3, ADDRESS),
	CASE(TIOCGPTPEER, 3, FLAGS(open)),
};
VARIANTS(ioctl, 1, 2, 0xffffffffu);

static const struct arg_variant prctl_variants[] = {
	CASE(PR_SET_NAME, 2, STRING),
	CASE(PR_GET_NAME, 2, STRING_OUT),
	CASE(PR_SET_PDEATHSIG, 2, SIGNAL),
	CASE(PR_GET_PDEATHSIG, 2, RECORD_OUT(signal)),
	CASE(PR_SET_DUMPABLE, 2, NAME(dumpable)),
	CASE_RET(PR_GET_DUMPABLE, 1, NAME, &names_dumpable),
	CASE(PR_SET_KEEPCAPS, 2, ULONG),
	CASE_RET(PR_GET_KEEPCAPS, 1, INT, NULL),
	CASE(PR_SET_SECCOMP, 3, NAME(seccomp_mode), ADDRESS),
	CASE_RET(PR_GET_SECCOMP, 1, INT, NULL),
	CASE(PR_CAPBSET_READ, 2, NAME(capability)),
	CASE(PR_CAPBSET_DROP, 2, NAME(capability)),
	CASE(PR_SET_TIMERSLACK, 2, ULONG),
	CASE_RET(PR_GET_TIMERSLACK, 1, INT, NULL),
	CASE(PR_SET_CHILD_SUBREAPER, 2, ULONG),
	CASE(PR_GET_CHILD_SUBREAPER, 2, RECORD_OUT(int)),
	CASE(PR_SET_NO_NEW_PRIVS, 5, ULONG, HEX, HEX, HEX),
	CASE(PR_GET_NO_NEW_PRIVS, 5, HEX, HEX, HEX, HEX),
	CASE(PR_SET_PTRACER, 2, INT),
	CASE(PR_SET_THP_DISABLE, 5, ULONG, HEX, HEX, HEX),
	CASE(PR_GET_THP_DISABLE, 5, HEX, HEX, HEX, HEX),
	CASE(PR_SET_SECUREBITS, 2, FLAGS(securebits)),
	CASE_RET(PR_GET_SECUREBITS, 1, NAMES, &names_securebits),
	CASE(PR_CAP_AMBIENT, 5, NAME(cap_ambient), NAME(capability), HEX, HEX),
	CASE(PR_SET_MM, 5, NAME(set_mm), HEX, HEX, HEX),
	{PR_GET_SPECULATION_CTRL, 2, RET_NAMES, &names_spec_control, {NAME(spec_which)}},
	CASE(PR_SET_SPECULATION_CTRL, 3, NAME(spec_which), NAME(spec_control)),
	CASE(PR_GET_TSC, 2, RECORD_OUT(tsc)),
	CASE(PR_SET_TSC, 2, NAME(tsc)),
	CASE(PR_SET_IO_FLUSHER, 5, ULONG, HEX, HEX, HEX),
	CASE(PR_GET_IO_FLUSHER, 5, HEX, HEX, HEX, HEX),
	CASE(PR_SCHED_CORE, 5, NAME(sched_core), INT, HEX, ADDRESS),
	CASE(PR_SET_SYSCALL_USER_DISPATCH, 5, NAME(user_dispatch), HEX, HEX, ADDRESS),
	CASE(PR_MCE_KILL, 5, NAME(mce_kill), HEX, HEX, HEX),
	CASE_RET(PR_MCE_KILL_GET, 1, INT, NULL),
	CASE_RET(PR_TASK_PERF_EVENTS_DISABLE, 1, INT, NULL),
	CASE_RET(PR_TASK_PERF_EVENTS_ENABLE, 1, INT, NULL),
	CASE(PR_GET_TID_ADDRESS, 2, RECORD_OUT(address)),
	CASE(PR_SET_VMA, 5, NAME(set_vma), HEX, ULONG, STRING),
};
VARIANTS(prctl, 0, 1, 0xffffffffu);

#define OP_MASK (uint32_t)FUTEX_CMD_MASK
/* time: layout of the time-out. */
#define FUTEX_CASES(time)                                                            \
	CASE(FUTEX_WAIT, 4, UINT, RECORD(time)), CASE(FUTEX_WAKE, 3, UINT),          \
	CASE(FUTEX_REQUEUE, 5, UINT, UINT, ADDRESS),                                 \
	CASE(FUTEX_CMP_REQUEUE, 6, UINT, UINT, ADDRESS, UINT),                       \
	CASE(FUTEX_WAKE_OP, 6, UINT, UINT, ADDRESS, HEX32),                          \
	CASE(FUTEX_LOCK_PI, 4, HIDDEN, RECORD(time)),                                \
	CASE(FUTEX_LOCK_PI2, 4, HIDDEN, RECORD(time)),                               \
	CASE(FUTEX_UNLOCK_PI, 2, UINT),                                              \
	CASE(FUTEX_TRYLOCK_PI, 2, UINT),                                             \
	CASE(FUTEX_WAIT_BITSET, 6, UINT, RECORD(time), HIDDEN, NAME(futex_bitset)),  \
	CASE(FUTEX_WAKE_BITSET, 6, UINT, HIDDEN, HIDDEN, NAME(futex_bitset))
static const struct arg_variant futex_variants[] = {FUTEX_CASES(timespec)};
VARIANTS(futex, 1, 2, OP_MASK);
static const struct arg_variant futex_time64_variants[] = {FUTEX_CASES(timespec64)};
VARIANTS(futex_time64, 1, 2, OP_MASK);

static const struct arg_variant arch_prctl_variants[] = {
	CASE(ARCH_SET_FS, 2, HEX),
	CASE(ARCH_SET_GS, 2, HEX),
	CASE(ARCH_GET_FS, 2, RECORD_OUT(address)),
	CASE(ARCH_GET_GS, 2, RECORD_OUT(address)),
	CASE_RET(ARCH_GET_CPUID, 1, INT, NULL),
	CASE(ARCH_SET_CPUID, 2, ULONG),
};
VARIANTS(arch_prctl, 0, 1, 0xffffffffu);

static const struct arg_variant ptrace_variants[] = {
	CASE(PTRACE_TRACEME, 1, {0}),
	CASE(PTRACE_CONT, 4, ADDRESS, SIGNAL),
	CASE(PTRACE_SYSCALL, 4, ADDRESS, SIGNAL),
	CASE(PTRACE_SINGLESTEP, 4, ADDRESS, SIGNAL),
	CASE(PTRACE_LISTEN, 4, ADDRESS, SIGNAL),
	CASE(PTRACE_DETACH, 4, ADDRESS, SIGNAL),
	CASE(PTRACE_SEIZE, 4, ADDRESS, FLAGS(ptrace_options)),
	CASE(PTRACE_SETOPTIONS, 4, ADDRESS, FLAGS(ptrace_options)),
	CASE(PTRACE_GETEVENTMSG, 4, ADDRESS, RECORD_OUT(word)),
	CASE(PTRACE_GETSIGINFO, 4, ADDRESS, RECORD_OUT(siginfo)),
	CASE(PTRACE_SETSIGINFO, 4, ADDRESS, RECORD(siginfo)),
	CASE(PTRACE_PEEKTEXT, 4, ADDRESS, RECORD_OUT(address)),
	CASE(PTRACE_PEEKDATA, 4, ADDRESS, RECORD_OUT(address)),
	CASE(PTRACE_PEEKUSR, 4, HEX, RECORD_OUT(address)),
	CASE(PTRACE_POKETEXT, 4, ADDRESS, HEX),
	CASE(PTRACE_POKEDATA, 4, ADDRESS, HEX),
	CASE(PTRACE_GETREGSET, 4, NAME(ptrace_register_set), ADDRESS),
	CASE(PTRACE_SETREGSET, 4, NAME(ptrace_register_set), ADDRESS),
	CASE(PTRACE_GET_SYSCALL_INFO, 4, ULONG, ADDRESS),
};
VARIANTS(ptrace, 0, 2, 0xffffffffu);

static const struct arg_variant epoll_ctl_variants[] = {
	CASE(EPOLL_CTL_DEL, 4, INT, ADDRESS), /* the kernel does not look at the event */
};
VARIANTS(epoll_ctl, 1, 2, 0xffffffffu);
/* clang-format on */

const struct arg_variant *call_variant(const struct call_spec *spec, const uint64_t *args)
{
	const struct variant_set *set = spec ? spec->variants : NULL;

	if (!set)
		return NULL;
	for (size_t i = 0; i < set->n; i++) {
		if (set->variants[i].value == ((uint32_t)args[set->selector] & set->mask))
			return &set->variants[i];
	}
	return NULL;
}
