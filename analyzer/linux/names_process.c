/* SPDX-License-Identifier: MIT */
/* Names for calls about processes and the system; the order is the one in which strace prints flags. */
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/module.h>
#include <linux/prctl.h>
#include <linux/reboot.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "name_set.h"

static const struct named_value clone_values[] = {NAMED(CLONE_NEWTIME),
						  NAMED(CLONE_VM),
						  NAMED(CLONE_FS),
						  NAMED(CLONE_FILES),
						  NAMED(CLONE_SIGHAND),
						  NAMED(CLONE_PIDFD),
						  NAMED(CLONE_PTRACE),
						  NAMED(CLONE_VFORK),
						  NAMED(CLONE_PARENT),
						  NAMED(CLONE_THREAD),
						  NAMED(CLONE_NEWNS),
						  NAMED(CLONE_SYSVSEM),
						  NAMED(CLONE_SETTLS),
						  NAMED(CLONE_PARENT_SETTID),
						  NAMED(CLONE_CHILD_CLEARTID),
						  NAMED(CLONE_UNTRACED),
						  NAMED(CLONE_CHILD_SETTID),
						  NAMED(CLONE_NEWCGROUP),
						  NAMED(CLONE_NEWUTS),
						  NAMED(CLONE_NEWIPC),
						  NAMED(CLONE_NEWUSER),
						  NAMED(CLONE_NEWPID),
						  NAMED(CLONE_NEWNET),
						  NAMED(CLONE_IO),
						  NAMED(CLONE_CLEAR_SIGHAND),
						  NAMED(CLONE_INTO_CGROUP)};
NAME_SET(names_clone, clone_values, .unknown = "CLONE_???", .wide = true);

static const struct named_value wait_values[] = {NAMED(WNOHANG), NAMED(WEXITED),  NAMED(WSTOPPED), NAMED(WCONTINUED),
						 NAMED(WNOWAIT), NAMED(__WCLONE), NAMED(__WALL),   NAMED(__WNOTHREAD)};
NAME_SET(names_wait, wait_values, .unknown = "W???");

/* wait4 knows WSTOPPED under its older name. */
static const struct named_value idtype_values[] = {NAMED(P_ALL), NAMED(P_PID), NAMED(P_PGID), NAMED(P_PIDFD)};
NAME_SET(names_idtype, idtype_values, .unknown = "P_???");

static const struct named_value rlimit_values[] = {
	NAMED(RLIMIT_CPU),      NAMED(RLIMIT_FSIZE), NAMED(RLIMIT_DATA),   NAMED(RLIMIT_STACK),
	NAMED(RLIMIT_CORE),     NAMED(RLIMIT_RSS),   NAMED(RLIMIT_NPROC),  NAMED(RLIMIT_NOFILE),
	NAMED(RLIMIT_MEMLOCK),  NAMED(RLIMIT_AS),    NAMED(RLIMIT_LOCKS),  NAMED(RLIMIT_SIGPENDING),
	NAMED(RLIMIT_MSGQUEUE), NAMED(RLIMIT_NICE),  NAMED(RLIMIT_RTPRIO), NAMED(RLIMIT_RTTIME)};
NAME_SET(names_rlimit, rlimit_values, .unknown = "RLIMIT_???");

static const struct named_value rusage_values[] = {NAMED_AS((uint32_t)RUSAGE_CHILDREN, "RUSAGE_CHILDREN"),
						   NAMED(RUSAGE_SELF), NAMED(RUSAGE_THREAD)};
NAME_SET(names_rusage, rusage_values, .unknown = "RUSAGE_???");

static const struct named_value priority_values[] = {NAMED(PRIO_PROCESS), NAMED(PRIO_PGRP), NAMED(PRIO_USER)};
NAME_SET(names_priority, priority_values, .unknown = "PRIO_???");

/* libc's <sched.h> and <linux/sched.h> do not go together, and name the first differently. */
static const struct named_value sched_values[] = {NAMED_AS(SCHED_NORMAL, "SCHED_OTHER"),
						  NAMED(SCHED_FIFO),
						  NAMED(SCHED_RR),
						  NAMED(SCHED_BATCH),
						  NAMED(SCHED_IDLE),
						  NAMED(SCHED_DEADLINE),
						  NAMED(SCHED_RESET_ON_FORK)};
NAME_SET(names_sched, sched_values, .unknown = "SCHED_???");

static const struct named_value prctl_values[] = {NAMED(PR_SET_PDEATHSIG),
						  NAMED(PR_GET_PDEATHSIG),
						  NAMED(PR_GET_DUMPABLE),
						  NAMED(PR_SET_DUMPABLE),
						  NAMED(PR_GET_UNALIGN),
						  NAMED(PR_SET_UNALIGN),
						  NAMED(PR_GET_KEEPCAPS),
						  NAMED(PR_SET_KEEPCAPS),
						  NAMED(PR_GET_FPEMU),
						  NAMED(PR_SET_FPEMU),
						  NAMED(PR_GET_FPEXC),
						  NAMED(PR_SET_FPEXC),
						  NAMED(PR_GET_TIMING),
						  NAMED(PR_SET_TIMING),
						  NAMED(PR_SET_NAME),
						  NAMED(PR_GET_NAME),
						  NAMED(PR_GET_ENDIAN),
						  NAMED(PR_SET_ENDIAN),
						  NAMED(PR_GET_SECCOMP),
						  NAMED(PR_SET_SECCOMP),
						  NAMED(PR_CAPBSET_READ),
						  NAMED(PR_CAPBSET_DROP),
						  NAMED(PR_GET_TSC),
						  NAMED(PR_SET_TSC),
						  NAMED(PR_GET_SECUREBITS),
						  NAMED(PR_SET_SECUREBITS),
						  NAMED(PR_SET_TIMERSLACK),
						  NAMED(PR_GET_TIMERSLACK),
						  NAMED(PR_TASK_PERF_EVENTS_DISABLE),
						  NAMED(PR_TASK_PERF_EVENTS_ENABLE),
						  NAMED(PR_MCE_KILL),
						  NAMED(PR_MCE_KILL_GET),
						  NAMED(PR_SET_MM),
						  NAMED(PR_SET_PTRACER),
						  NAMED(PR_SET_CHILD_SUBREAPER),
						  NAMED(PR_GET_CHILD_SUBREAPER),
						  NAMED(PR_SET_NO_NEW_PRIVS),
						  NAMED(PR_GET_NO_NEW_PRIVS),
						  NAMED(PR_GET_TID_ADDRESS),
						  NAMED(PR_SET_THP_DISABLE),
						  NAMED(PR_GET_THP_DISABLE),
						  NAMED(PR_CAP_AMBIENT),
						  NAMED(PR_GET_SPECULATION_CTRL),
						  NAMED(PR_SET_SPECULATION_CTRL),
						  NAMED(PR_SET_IO_FLUSHER),
						  NAMED(PR_GET_IO_FLUSHER),
						  NAMED(PR_SET_SYSCALL_USER_DISPATCH),
						  NAMED(PR_SCHED_CORE),
						  NAMED(PR_SET_VMA)};
NAME_SET(names_prctl, prctl_values, .unknown = "PR_???");

static const struct named_value arch_prctl_values[] = {
	NAMED(ARCH_SET_GS),         NAMED(ARCH_SET_FS),         NAMED(ARCH_GET_FS),
	NAMED(ARCH_GET_GS),         NAMED(ARCH_GET_CPUID),      NAMED(ARCH_SET_CPUID),
	NAMED(ARCH_GET_XCOMP_SUPP), NAMED(ARCH_GET_XCOMP_PERM), NAMED(ARCH_REQ_XCOMP_PERM)};
NAME_SET(names_arch_prctl, arch_prctl_values, .unknown = "ARCH_???");

#define PERSONALITY_MASK 0xffu
static const struct named_value personality_values[] = {
	NAMED(PER_LINUX),         NAMED(PER_BSD),          NAMED(PER_LINUX32),    NAMED(UNAME26),
	NAMED(ADDR_NO_RANDOMIZE), NAMED(FDPIC_FUNCPTRS),   NAMED(MMAP_PAGE_ZERO), NAMED(ADDR_COMPAT_LAYOUT),
	NAMED(READ_IMPLIES_EXEC), NAMED(ADDR_LIMIT_32BIT), NAMED(SHORT_INODE),    NAMED(WHOLE_SECONDS),
	NAMED(STICKY_TIMEOUTS),   NAMED(ADDR_LIMIT_3GB)};
NAME_SET(names_personality, personality_values, .unknown = "PER_???", .enum_mask = PERSONALITY_MASK,
	 .query = UINT32_MAX);

/* Spelled out: a macro within a macro would name the number. */
#define FUTEX_BOTH(op)                                    \
	{op, #op},                                        \
	{                                                 \
		(op) | FUTEX_PRIVATE_FLAG, #op "_PRIVATE" \
	}
static const struct named_value futex_values[] = {
	FUTEX_BOTH(FUTEX_WAIT),           FUTEX_BOTH(FUTEX_WAKE),        FUTEX_BOTH(FUTEX_FD),
	FUTEX_BOTH(FUTEX_REQUEUE),        FUTEX_BOTH(FUTEX_CMP_REQUEUE), FUTEX_BOTH(FUTEX_WAKE_OP),
	FUTEX_BOTH(FUTEX_LOCK_PI),        FUTEX_BOTH(FUTEX_UNLOCK_PI),   FUTEX_BOTH(FUTEX_TRYLOCK_PI),
	FUTEX_BOTH(FUTEX_WAIT_BITSET),    FUTEX_BOTH(FUTEX_WAKE_BITSET), FUTEX_BOTH(FUTEX_WAIT_REQUEUE_PI),
	FUTEX_BOTH(FUTEX_CMP_REQUEUE_PI), FUTEX_BOTH(FUTEX_LOCK_PI2),    NAMED(FUTEX_CLOCK_REALTIME)};
NAME_SET(names_futex, futex_values, .unknown = "FUTEX_???", .enum_mask = ~(uint32_t)FUTEX_CLOCK_REALTIME);

static const struct named_value seccomp_op_values[] = {NAMED(SECCOMP_SET_MODE_STRICT), NAMED(SECCOMP_SET_MODE_FILTER),
						       NAMED(SECCOMP_GET_ACTION_AVAIL), NAMED(SECCOMP_GET_NOTIF_SIZES)};
NAME_SET(names_seccomp_op, seccomp_op_values, .unknown = "SECCOMP_SET_MODE_???");

static const struct named_value seccomp_flag_values[] = {
	NAMED(SECCOMP_FILTER_FLAG_TSYNC),       NAMED(SECCOMP_FILTER_FLAG_LOG),
	NAMED(SECCOMP_FILTER_FLAG_SPEC_ALLOW),  NAMED(SECCOMP_FILTER_FLAG_NEW_LISTENER),
	NAMED(SECCOMP_FILTER_FLAG_TSYNC_ESRCH), NAMED(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)};
NAME_SET(names_seccomp_flags, seccomp_flag_values, .unknown = "SECCOMP_FILTER_FLAG_???");

static const struct named_value seccomp_mode_values[] = {NAMED(SECCOMP_MODE_DISABLED), NAMED(SECCOMP_MODE_STRICT),
							 NAMED(SECCOMP_MODE_FILTER)};
NAME_SET(names_seccomp_mode, seccomp_mode_values, .unknown = "SECCOMP_MODE_???");

static const struct named_value ptrace_values[] = {
	NAMED(PTRACE_TRACEME),    NAMED(PTRACE_PEEKTEXT),        NAMED(PTRACE_PEEKDATA),    NAMED(PTRACE_PEEKUSER),
	NAMED(PTRACE_POKETEXT),   NAMED(PTRACE_POKEDATA),        NAMED(PTRACE_POKEUSER),    NAMED(PTRACE_CONT),
	NAMED(PTRACE_KILL),       NAMED(PTRACE_SINGLESTEP),      NAMED(PTRACE_GETREGS),     NAMED(PTRACE_SETREGS),
	NAMED(PTRACE_GETFPREGS),  NAMED(PTRACE_SETFPREGS),       NAMED(PTRACE_ATTACH),      NAMED(PTRACE_DETACH),
	NAMED(PTRACE_SYSCALL),    NAMED(PTRACE_SETOPTIONS),      NAMED(PTRACE_GETEVENTMSG), NAMED(PTRACE_GETSIGINFO),
	NAMED(PTRACE_SETSIGINFO), NAMED(PTRACE_GETREGSET),       NAMED(PTRACE_SETREGSET),   NAMED(PTRACE_SEIZE),
	NAMED(PTRACE_INTERRUPT),  NAMED(PTRACE_LISTEN),          NAMED(PTRACE_PEEKSIGINFO), NAMED(PTRACE_GETSIGMASK),
	NAMED(PTRACE_SETSIGMASK), NAMED(PTRACE_GET_SYSCALL_INFO)};
NAME_SET(names_ptrace, ptrace_values, .unknown = "PTRACE_???");

static const struct named_value capability_version_values[] = {
	NAMED(_LINUX_CAPABILITY_VERSION_1), NAMED(_LINUX_CAPABILITY_VERSION_2), NAMED(_LINUX_CAPABILITY_VERSION_3)};
NAME_SET(names_capability_version, capability_version_values, .unknown = "_LINUX_CAPABILITY_VERSION_???");

static const struct named_value reboot_magic_values[] = {NAMED(LINUX_REBOOT_MAGIC1), NAMED(LINUX_REBOOT_MAGIC2),
							 NAMED(LINUX_REBOOT_MAGIC2A), NAMED(LINUX_REBOOT_MAGIC2B),
							 NAMED(LINUX_REBOOT_MAGIC2C)};
NAME_SET(names_reboot_magic, reboot_magic_values, .unknown = "LINUX_REBOOT_MAGIC_???");

static const struct named_value reboot_values[] = {NAMED(LINUX_REBOOT_CMD_CAD_OFF),    NAMED(LINUX_REBOOT_CMD_RESTART),
						   NAMED(LINUX_REBOOT_CMD_HALT),       NAMED(LINUX_REBOOT_CMD_CAD_ON),
						   NAMED(LINUX_REBOOT_CMD_POWER_OFF),  NAMED(LINUX_REBOOT_CMD_RESTART2),
						   NAMED(LINUX_REBOOT_CMD_SW_SUSPEND), NAMED(LINUX_REBOOT_CMD_KEXEC)};
NAME_SET(names_reboot, reboot_values, .unknown = "LINUX_REBOOT_CMD_???");

/* include/linux/syslog.h, which is not exported; syslog(2) gives names and numbers. */
#define SYSLOG(number, name) NAMED_AS(number, #number " /* SYSLOG_ACTION_" name " */")
static const struct named_value syslog_values[] = {
	SYSLOG(0, "CLOSE"),         SYSLOG(1, "OPEN"),        SYSLOG(2, "READ"),        SYSLOG(3, "READ_ALL"),
	SYSLOG(4, "READ_CLEAR"),    SYSLOG(5, "CLEAR"),       SYSLOG(6, "CONSOLE_OFF"), SYSLOG(7, "CONSOLE_ON"),
	SYSLOG(8, "CONSOLE_LEVEL"), SYSLOG(9, "SIZE_UNREAD"), SYSLOG(10, "SIZE_BUFFER")};
NAME_SET(names_syslog, syslog_values, .unknown = "SYSLOG_ACTION_???", .decimal = true);

static const struct named_value rseq_values[] = {NAMED(RSEQ_FLAG_UNREGISTER)};
NAME_SET(names_rseq, rseq_values);

static const struct named_value module_delete_values[] = {NAMED(O_NONBLOCK), NAMED(O_TRUNC)};
NAME_SET(names_module_delete, module_delete_values, .unknown = "O_???");

static const struct named_value module_init_values[] = {
	NAMED(MODULE_INIT_IGNORE_MODVERSIONS), NAMED(MODULE_INIT_IGNORE_VERMAGIC), NAMED(MODULE_INIT_COMPRESSED_FILE)};
NAME_SET(names_module_init, module_init_values, .unknown = "MODULE_INIT_???");

static const struct named_value pidfd_values[] = {NAMED_AS(O_NONBLOCK, "PIDFD_NONBLOCK")};
NAME_SET(names_pidfd, pidfd_values, .unknown = "PIDFD_???");

static const struct named_value getrandom_values[] = {NAMED(GRND_NONBLOCK), NAMED(GRND_RANDOM), NAMED(GRND_INSECURE)};
NAME_SET(names_getrandom, getrandom_values, .unknown = "GRND_???");

static const struct named_value kcmp_values[] = {NAMED(KCMP_FILE),    NAMED(KCMP_VM),       NAMED(KCMP_FILES),
						 NAMED(KCMP_FS),      NAMED(KCMP_SIGHAND),  NAMED(KCMP_IO),
						 NAMED(KCMP_SYSVSEM), NAMED(KCMP_EPOLL_TFD)};
NAME_SET(names_kcmp, kcmp_values, .unknown = "KCMP_???");

static const struct named_value capability_values[] = {NAMED(CAP_CHOWN),
						       NAMED(CAP_DAC_OVERRIDE),
						       NAMED(CAP_DAC_READ_SEARCH),
						       NAMED(CAP_FOWNER),
						       NAMED(CAP_FSETID),
						       NAMED(CAP_KILL),
						       NAMED(CAP_SETGID),
						       NAMED(CAP_SETUID),
						       NAMED(CAP_SETPCAP),
						       NAMED(CAP_LINUX_IMMUTABLE),
						       NAMED(CAP_NET_BIND_SERVICE),
						       NAMED(CAP_NET_BROADCAST),
						       NAMED(CAP_NET_ADMIN),
						       NAMED(CAP_NET_RAW),
						       NAMED(CAP_IPC_LOCK),
						       NAMED(CAP_IPC_OWNER),
						       NAMED(CAP_SYS_MODULE),
						       NAMED(CAP_SYS_RAWIO),
						       NAMED(CAP_SYS_CHROOT),
						       NAMED(CAP_SYS_PTRACE),
						       NAMED(CAP_SYS_PACCT),
						       NAMED(CAP_SYS_ADMIN),
						       NAMED(CAP_SYS_BOOT),
						       NAMED(CAP_SYS_NICE),
						       NAMED(CAP_SYS_RESOURCE),
						       NAMED(CAP_SYS_TIME),
						       NAMED(CAP_SYS_TTY_CONFIG),
						       NAMED(CAP_MKNOD),
						       NAMED(CAP_LEASE),
						       NAMED(CAP_AUDIT_WRITE),
						       NAMED(CAP_AUDIT_CONTROL),
						       NAMED(CAP_SETFCAP),
						       NAMED(CAP_MAC_OVERRIDE),
						       NAMED(CAP_MAC_ADMIN),
						       NAMED(CAP_SYSLOG),
						       NAMED(CAP_WAKE_ALARM),
						       NAMED(CAP_BLOCK_SUSPEND),
						       NAMED(CAP_AUDIT_READ),
						       NAMED(CAP_PERFMON),
						       NAMED(CAP_BPF),
						       NAMED(CAP_CHECKPOINT_RESTORE)};
NAME_SET(names_capability, capability_values, .unknown = "CAP_???");

/* include/linux/sched/coredump.h, which is not exported; prctl(2) gives names and numbers. */
static const struct named_value dumpable_values[] = {NAMED_AS(0, "SUID_DUMP_DISABLE"), NAMED_AS(1, "SUID_DUMP_USER"),
						     NAMED_AS(2, "SUID_DUMP_ROOT")};
NAME_SET(names_dumpable, dumpable_values, .unknown = "SUID_DUMP_???");

static const struct named_value set_vma_values[] = {NAMED(PR_SET_VMA_ANON_NAME)};
NAME_SET(names_set_vma, set_vma_values, .unknown = "PR_SET_VMA_???");

static const struct named_value futex_bitset_values[] = {
	NAMED_AS((uint32_t)FUTEX_BITSET_MATCH_ANY, "FUTEX_BITSET_MATCH_ANY")};
NAME_SET(names_futex_bitset, futex_bitset_values);
