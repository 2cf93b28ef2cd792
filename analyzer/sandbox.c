/* SPDX-License-Identifier: MIT */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- Landlock -------------------------------------------------------- */

/* linux/landlock.h of the newest kernels; older ones take as much of it as their ABI has. */
struct ruleset {
	uint64_t fs, net, scoped;
};

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_WRITE \
	(RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define RIGHT_TRUNCATE (1ull << 14) /* ABI 3 */

/* Bits of the rights that each ABI knows, ABI 1 first. */
static const unsigned fs_rights[] = {13, 14, 15, 15, 16};
#define NET_FROM    4
#define NET_RIGHTS  0x3 /* bind and connect, TCP */
#define SCOPED_FROM 6
#define SCOPED_WAYS 0x3 /* abstract UNIX sockets, signals */

static struct vmtape_error *failed(const char *what)
{
	return vmtape_error_create(VMTAPE_ERROR_IO, "sandbox: %s: %s; --no-sandbox does without it", what,
				   strerror(errno));
}

static struct vmtape_error *allow_path(int ruleset, const char *path, int flags, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights,
						  .parent_fd = open(path, O_PATH | O_CLOEXEC | flags)};
	struct vmtape_error *error = NULL;

	/* What is not there needs no room: who opens it will say so. */
	if (rule.parent_fd < 0)
		return NULL;
	/* Nor does what lies in no file system, like a pipe. */
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) && errno != EBADFD)
		error = failed("Landlock's rules");
	close(rule.parent_fd);
	return error;
}

static struct vmtape_error *allow_beside(int ruleset, const char *file, uint64_t rights)
{
	char *copy = strdup(file);
	struct vmtape_error *error =
		copy ? allow_path(ruleset, dirname(copy), O_DIRECTORY, rights) : &vmtape_error_no_memory;

	free(copy);
	return error;
}

static struct vmtape_error *enter_landlock(const struct sandbox_room *room, struct sandbox_state *state)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	unsigned known = sizeof(fs_rights) / sizeof(fs_rights[0]);
	struct ruleset handled = {0};
	size_t size_bytes = sizeof(handled.fs);
	struct vmtape_error *error = NULL;
	int ruleset;

	if (abi < 1) {
		state->landlock_error = errno;
		return NULL;
	}
	handled.fs = (1ull << fs_rights[((unsigned)abi < known ? (unsigned)abi : known) - 1]) - 1;
	if (abi >= NET_FROM) {
		handled.net = NET_RIGHTS;
		size_bytes += sizeof(handled.net);
	}
	if (abi >= SCOPED_FROM) {
		handled.scoped = SCOPED_WAYS;
		size_bytes += sizeof(handled.scoped);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, size_bytes, 0);
	if (ruleset < 0)
		return failed("Landlock");
	for (unsigned i = 0; i < room->nr_read && !error; i++)
		error = allow_path(ruleset, room->read[i], 0, LANDLOCK_ACCESS_FS_READ_FILE);
	if (!error && room->read_beside)
		error = allow_beside(ruleset, room->read_beside, RIGHTS_READ);
	if (!error && room->write_beside)
		error = allow_beside(ruleset, room->write_beside, (RIGHTS_WRITE | RIGHT_TRUNCATE) & handled.fs);
	if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0))
		error = failed("Landlock");
	close(ruleset);
	state->landlock_abi = error ? 0 : abi;
	return error;
}

/* ---- seccomp --------------------------------------------------------- */

#define OPEN_WRITES (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/* Files that are open, memory, time, threads, an end. */
static const int harmless[] = {
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(fcntl),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(pselect6),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mincore),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(uname),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(wait4), /* for a pager that runs already */
	SCMP_SYS(waitid),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(seccomp), /* only ever takes away */
};

/* Making files: by a temporary name first. */
static const int making[] = {
	SCMP_SYS(openat),   SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat), SCMP_SYS(fchmod), SCMP_SYS(umask),    SCMP_SYS(link),      SCMP_SYS(linkat),
};

static const unsigned long terminal[] = {TCGETS, TIOCGWINSZ, FIONREAD};

static int allow(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int result = 0;

	for (size_t i = 0; i < n && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return result;
}

static int allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

static int add_rules(scmp_filter_ctx filter, const struct sandbox_room *room)
{
	int result = allow(filter, harmless, sizeof(harmless) / sizeof(harmless[0]));

	/* No new code. */
	if (!result)
		result = allow_if(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!result)
		result = allow_if(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Threads, no processes; the C library tries clone3() first, whose flags no filter sees. */
	if (!result)
		result = allow_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Where seccomp() itself is refused, as by a service's own filter. */
	if (!result)
		result = allow_if(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0));
	/* abort() */
	if (!result)
		result = allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	for (size_t i = 0; i < sizeof(terminal) / sizeof(terminal[0]) && !result; i++)
		result = allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, terminal[i], 0));
	if (!result && room->write_beside)
		result = allow(filter, making, sizeof(making) / sizeof(making[0]));
	else if (!result && (room->nr_read || room->read_beside))
		result = allow_if(filter, SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, OPEN_WRITES, O_RDONLY));
	return result;
}

/* Takes the filter, and the error that making it has given. */
static struct vmtape_error *load(scmp_filter_ctx filter, int result)
{
	if (!result)
		result = seccomp_load(filter);
	seccomp_release(filter);
	if (!result)
		return NULL;
	errno = -result;
	return failed("seccomp");
}

static struct vmtape_error *enter_seccomp(const struct sandbox_room *room)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

	return filter ? load(filter, add_rules(filter, room)) : &vmtape_error_no_memory;
}

struct vmtape_error *sandbox_seal(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result;

	if (!filter)
		return &vmtape_error_no_memory;
	/* It is so since sandbox_enter(), which leaves no way to say so again. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	for (size_t i = 0; i < sizeof(making) / sizeof(making[0]) && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), making[i], 0);
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 0);
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 0);
	return load(filter, result);
}

struct vmtape_error *sandbox_enter(const struct sandbox_room *room, struct sandbox_state *state)
{
	struct vmtape_error *error = NULL;

	*state = (struct sandbox_state){0};
	tzset();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return failed("no new privileges");
	if (!room->without_landlock)
		error = enter_landlock(room, state);
	return error ? error : enter_seccomp(room);
}
