/* SPDX-License-Identifier: MIT */
/*
 * work_tasks.c - system calls on tasks: clone in all forms, pidfds, identity,
 * capabilities, scheduling, limits, prctl, filters on oneself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/kcmp.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "workload.h"

/* By hand, as <linux/sched/types.h> and <sched.h> don't go together. */
struct sched_attributes {
	unsigned size, policy;
	unsigned long flags;
	int nice;
	unsigned priority;
	unsigned long runtime, deadline, period;
	unsigned util_min, util_max;
};

static void expect_child(pid_t pid, int code)
{
	int status;

	must(waitpid(pid, &status, __WALL));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
		fprintf(stderr, "child ended with %#x, not with code %d\n", status, code);
		exit(1);
	}
}

static void clones(void)
{
	int pidfd = -1, parent_tid = 0, child_tid = 0;
	siginfo_t info;

	struct clone_args args = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID,
				  .pidfd = (unsigned long)&pidfd,
				  .parent_tid = (unsigned long)&parent_tid,
				  .child_tid = (unsigned long)&child_tid,
				  .exit_signal = SIGCHLD};
	pid_t pid = must(syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0)
		_exit(11);
	must(waitid(P_PIDFD, pidfd, &info, WEXITED | WNOWAIT));
	must(waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WCONTINUED));
	fails(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), ECHILD);
	must(close(pidfd));
	args = (struct clone_args){.flags = CLONE_CLEAR_SIGHAND | CLONE_FS | CLONE_FILES, .exit_signal = SIGCHLD};
	pid = must(syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0)
		_exit(12);
	expect_child(pid, 12);
	args.exit_signal = 1 << 20;
	fails(syscall(SYS_clone3, &args, sizeof(args)), EINVAL);
	fails(syscall(SYS_clone3, &args, 8), EINVAL);
	pid_t wanted = 20000 + getpid(); /* another in each run: a log of strace's is named by it */
	args = (struct clone_args){.exit_signal = SIGCHLD, .set_tid = (unsigned long)&wanted, .set_tid_size = 1};
	pid = must(syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0)
		_exit(13);
	expect_child(pid, 13);
	pid = must(syscall(SYS_clone, SIGCHLD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, 0, &parent_tid, &child_tid,
			   0));
	if (pid == 0)
		_exit(14);
	expect_child(pid, 14);
	pid = must(syscall(SYS_fork));
	if (pid == 0)
		_exit(15);
	expect_child(pid, 15);
	fails(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0), EINVAL);
	pid = must(fork());
	if (pid == 0)
		syscall(SYS_exit, 16); /* of a thread only */
	expect_child(pid, 16);
}

static void pidfds(void)
{
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE, .si_value.sival_int = 77};
	int fd, status;

	pid_t pid = must(fork());
	if (pid == 0)
		for (;;)
			pause();
	int pidfd = must(syscall(SYS_pidfd_open, pid, O_NONBLOCK));
	fails(waitid(P_PIDFD, pidfd, &info, WEXITED), EAGAIN);
	must(close(must(syscall(SYS_pidfd_getfd, pidfd, 2, 0))));
	fails(syscall(SYS_pidfd_getfd, pidfd, 99, 0), EBADF);
	fails(syscall(SYS_pidfd_getfd, pidfd, 2, 1), EINVAL);
	must(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
	info.si_signo = SIGUSR1, info.si_code = SI_QUEUE;
	must(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &info, 0));
	must(waitpid(pid, &status, 0));
	may(syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
	must(close(pidfd));
	fails(syscall(SYS_pidfd_open, 999999, 0), ESRCH);
	fails(syscall(SYS_pidfd_open, 1, 0x1000000), EINVAL);
	fd = must(dup(2));
	may(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 2, fd));
	may(syscall(SYS_kcmp, getpid(), 1, KCMP_VM, 0, 0));
	may(syscall(SYS_kcmp, getpid(), getpid(), 99, 0, 0));
	must(close(fd));
	pid = must(fork());
	if (pid == 0)
		for (;;)
			pause();
	must(kill(pid, SIGSTOP));
	must(waitid(P_PID, pid, &info, WSTOPPED));
	must(kill(pid, SIGCONT));
	must(waitid(P_PID, pid, &info, WCONTINUED));
	must(kill(pid, SIGKILL));
	must(waitpid(pid, &status, 0));
}

static void identity(void)
{
	uid_t real, effective, saved;
	gid_t groups[3] = {5, 6, 1000};
	struct {
		struct __user_cap_header_struct head;
		struct __user_cap_data_struct data[2];
	} caps = {.head = {_LINUX_CAPABILITY_VERSION_3, 0}};

	must(syscall(SYS_capget, &caps.head, caps.data));
	caps.data[0].inheritable = 1 << CAP_CHOWN | 1 << CAP_KILL;
	must(syscall(SYS_capset, &caps.head, caps.data));
	caps.head.version = 7;
	fails(syscall(SYS_capget, &caps.head, caps.data), EINVAL);
	must(setgroups(3, groups));
	must(getgroups(3, groups));
	must(getgroups(0, NULL));
	fails(getgroups(1, groups), EINVAL);
	must(setfsuid(1000));
	must(setfsgid(1000));
	must(syscall(SYS_setregid, -1, 1000));
	must(getresgid(&real, &effective, &saved));
	must(syscall(SYS_setgid, 1000));
	must(syscall(SYS_setreuid, 1000, -1));
	must(getresuid(&real, &effective, &saved));
	must(syscall(SYS_setresuid, -1, 1000, 0));
	must(getuid());
	must(syscall(SYS_setuid, 1000));
	fails(syscall(SYS_setresuid, 5, 5, 5), EPERM);
	fails(syscall(SYS_setresgid, 5, 5, 5), EPERM);
	fails(setgroups(0, NULL), EPERM);
	caps.head.version = 7;
	fails(syscall(SYS_capset, &caps.head, NULL), EINVAL);
	must(getpgrp());
	must(getpgid(getppid()));
	must(setpgid(0, 0));
	fails(setpgid(1, 1), ESRCH);
	fails(setsid(), EPERM);
	fails(getsid(999999), ESRCH);
}

static void scheduling(void)
{
	struct sched_param priority = {.sched_priority = 3};
	struct sched_attributes attributes = {.size = sizeof(attributes), .policy = SCHED_BATCH, .nice = 5};
	struct timespec interval;
	unsigned cpu, node;
	cpu_set_t cpus;

	must(sched_setscheduler(0, SCHED_RR, &priority));
	must(sched_getscheduler(0));
	must(sched_rr_get_interval(0, &interval));
	must(sched_getparam(0, &priority));
	priority.sched_priority = 2;
	must(sched_setparam(0, &priority));
	priority.sched_priority = 0;
	must(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &priority));
	must(sched_setscheduler(0, SCHED_IDLE, &priority));
	fails(sched_setscheduler(0, SCHED_FIFO, &priority), EINVAL);
	must(sched_get_priority_max(SCHED_FIFO));
	must(sched_get_priority_min(SCHED_RR));
	fails(sched_get_priority_max(99), EINVAL);
	must(syscall(SYS_sched_setattr, 0, &attributes, 0));
	must(syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0));
	fails(syscall(SYS_sched_getattr, 0, &attributes, 3, 0), EINVAL);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	must(sched_setaffinity(0, sizeof(cpus), &cpus));
	must(sched_getaffinity(0, sizeof(cpus), &cpus));
	CPU_ZERO(&cpus);
	fails(sched_setaffinity(0, sizeof(cpus), &cpus), EINVAL);
	must(syscall(SYS_getcpu, &cpu, &node, NULL));
	must(syscall(SYS_getcpu, &cpu, NULL, NULL));
	must(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)));
	must(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	fails(syscall(SYS_ioprio_get, 77, 0), EINVAL);
	fails(syscall(SYS_ioprio_set, IOPRIO_WHO_PGRP, 999999, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)), ESRCH);
	must(setpriority(PRIO_PGRP, 0, 4));
	errno = 0;
	must(getpriority(PRIO_USER, 0));
	fails(getpriority(9, 0), EINVAL);
}

static void limits(void)
{
	struct rlimit limit, next = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
	struct rusage usage;

	must(prlimit(0, RLIMIT_CORE, &next, &limit));
	must(prlimit(getpid(), RLIMIT_STACK, NULL, &limit));
	must(syscall(SYS_getrlimit, RLIMIT_AS, &limit));
	next.rlim_max = 4096;
	must(syscall(SYS_setrlimit, RLIMIT_FSIZE, &next));
	next.rlim_cur = 5000;
	fails(syscall(SYS_setrlimit, RLIMIT_FSIZE, &next), EINVAL);
	fails(prlimit(0, 99, NULL, &limit), EINVAL);
	fails(prlimit(999999, RLIMIT_CPU, NULL, &limit), ESRCH);
	must(getrusage(RUSAGE_CHILDREN, &usage));
	must(getrusage(RUSAGE_THREAD, &usage));
	fails(getrusage(99, &usage), EINVAL);
}

static void own_settings(void)
{
	int number;
	char name[16];

	must(prctl(PR_GET_PDEATHSIG, &number));
	must(prctl(PR_SET_PDEATHSIG, SIGTERM));
	must(prctl(PR_GET_DUMPABLE));
	must(prctl(PR_SET_DUMPABLE, 1));
	must(prctl(PR_GET_KEEPCAPS));
	must(prctl(PR_SET_KEEPCAPS, 1));
	must(prctl(PR_GET_SECCOMP));
	must(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN));
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	must(prctl(PR_GET_SECUREBITS));
	must(prctl(PR_SET_TIMERSLACK, 100000));
	must(prctl(PR_GET_TIMERSLACK));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(prctl(PR_GET_CHILD_SUBREAPER, &number));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	must(prctl(PR_GET_TID_ADDRESS, &number) == -1 && errno != EINVAL ? -1 : 0);
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	must(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	may(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, name, 4096, "named"));
	must(prctl(PR_SET_NAME, "a rather long name of a thread"));
	must(prctl(PR_GET_NAME, name));
	fails(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
	must(syscall(SYS_set_tid_address, &number));
	void *head;
	size_t length;
	must(syscall(SYS_get_robust_list, 0, &head, &length));
	must(syscall(SYS_set_robust_list, head, length));
	fails(syscall(SYS_set_robust_list, head, 5), EINVAL);
	fails(syscall(SYS_get_robust_list, 999999, &head, &length), ESRCH);
	may(syscall(SYS_rseq, name, 32, 1, 0));
	must(umask(077));
	must(syscall(SYS_gettid));
}

static void filters(void)
{
	/* getppid is answered with EDOM, all else is let through. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};
	unsigned action = SECCOMP_RET_TRAP, unknown = 0x12340000;
	struct seccomp_notif_sizes sizes;

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	fails(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
	must(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
	fails(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x4000, &program), EINVAL);
	fails(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program));
	fails(syscall(SYS_getppid), EDOM);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void landlock(void)
{
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE};
	struct landlock_path_beneath_attr below = {.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE};

	may(syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION));
	int fd = (int)may(syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0));
	below.parent_fd = must(open("/dev", O_PATH | O_CLOEXEC));
	may(syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0));
	may(syscall(SYS_landlock_add_rule, fd, 99, &below, 0));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	may(syscall(SYS_landlock_restrict_self, fd, 0));
	may(syscall(SYS_landlock_restrict_self, -1, 0));
	may(open("/tmp/forbidden by landlock", O_WRONLY | O_CREAT, 0600));
	may(unlink("/tmp/forbidden by landlock"));
}

static void executing(void)
{
	char *const arguments[] = {"work_tasks", "executed", NULL}, *const none[] = {NULL};
	int fd = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

	fails(syscall(SYS_execveat, AT_FDCWD, "absent", arguments, none, AT_SYMLINK_NOFOLLOW), ENOENT);
	fails(syscall(SYS_execveat, fd, "", arguments, none, 0), ENOENT);
	fails(syscall(SYS_execveat, 99, "below", arguments, none, 0), EBADF);
	fails(execve("/dev/null", arguments, none), EACCES);
	syscall(SYS_execveat, fd, "", arguments, none, AT_EMPTY_PATH);
	_exit(99);
}

static void in_child(void (*function)(void), int code)
{
	pid_t pid = must(fork());

	if (pid == 0) {
		function();
		_exit(0);
	}
	expect_child(pid, code);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 17;
	clones();
	pidfds();
	in_child(identity, 0);
	in_child(scheduling, 0);
	in_child(limits, 0);
	in_child(own_settings, 0);
	in_child(filters, 0);
	in_child(landlock, 0);
	in_child(executing, 17);
	return 0;
}
