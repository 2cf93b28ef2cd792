/* SPDX-License-Identifier: MIT */
/*
 * work_admin.c - system calls of administrators and of those who watch: bpf,
 * performance events, keys, kernel log, randomness, accounting, quotas, swap,
 * modules, ports; where the machine would feel it, only in forms that fail.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "workload.h"

static void bpf_objects(void)
{
	union bpf_attr map = {.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 16}, attr;
	unsigned key = 7, next;
	unsigned long value = 77;
	char log[512] = "";
	/* r0 = 0; exit */
	struct bpf_insn code[2] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0}, {.code = BPF_JMP | BPF_EXIT}};

	strcpy(map.map_name, "work_admin");
	int fd = (int)may(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)&value;
	may(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, 32));
	may(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, 32));
	attr.next_key = (unsigned long)&next;
	may(syscall(SYS_bpf, BPF_MAP_GET_NEXT_KEY, &attr, 32));
	may(syscall(SYS_bpf, BPF_MAP_DELETE_ELEM, &attr, 16));
	may(syscall(SYS_bpf, BPF_MAP_DELETE_ELEM, &attr, 16));
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insn_cnt = 2;
	attr.insns = (unsigned long)code;
	attr.license = (unsigned long)"MIT";
	attr.log_level = 1;
	attr.log_size = sizeof(log);
	attr.log_buf = (unsigned long)log;
	may(close(may(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, 128))));
	attr.insn_cnt = 1;
	may(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, 128));
	may(syscall(SYS_bpf, 999, &attr, sizeof(attr)));
	may(close(fd));
}

static void performance(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_PAGE_FAULTS,
				       .disabled = 1,
				       .exclude_kernel = 1};
	unsigned long count;

	int fd = (int)may(syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
	may(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	may(read(fd, &count, 8));
	may(close(fd));
	attr.type = 999;
	may(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
	attr.size = 3;
	may(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static void keys(void)
{
	char buf[256];

	long ring = may(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
	long key = may(syscall(SYS_add_key, "user", "a description", "payload \1", 9, ring));
	may(syscall(SYS_keyctl, KEYCTL_READ, key, buf, sizeof(buf)));
	may(syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, buf, sizeof(buf)));
	may(syscall(SYS_keyctl, KEYCTL_UPDATE, key, "renewed", 7));
	may(syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", "a description", 0));
	may(syscall(SYS_keyctl, KEYCTL_REVOKE, key));
	may(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "a session"));
	may(syscall(SYS_request_key, "user", "absent", NULL, KEY_SPEC_PROCESS_KEYRING));
	may(syscall(SYS_add_key, "nosuchtype", "x", NULL, 0, ring));
	may(syscall(SYS_keyctl, 999, 1, 2, 3, 4));
}

static void knowledge(void)
{
	struct utsname name;
	struct sysinfo info;
	static char log[4096];

	must(uname(&name));
	fails(syscall(SYS_uname, 16), EFAULT);
	must(sysinfo(&info));
	must(getrandom(log, 16, GRND_NONBLOCK));
	must(getrandom(log, 5, GRND_INSECURE));
	fails(getrandom(log, 16, 0x77), EINVAL);
	must(syscall(SYS_syslog, 10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0));
	must(syscall(SYS_syslog, 3 /* SYSLOG_ACTION_READ_ALL */, log, 200));
	must(syscall(SYS_syslog, 9 /* SYSLOG_ACTION_SIZE_UNREAD */, NULL, 0));
	fails(syscall(SYS_syslog, 99, NULL, 0), EINVAL);
	may(syscall(NR_lsm_list_modules, log, &(unsigned){64}, 0));
	may(syscall(NR_lsm_get_self_attr, 100, log, &(unsigned){64}, 0));
	may(syscall(NR_lsm_set_self_attr, 100, log, 32, 0));
	may(syscall(SYS_lookup_dcookie, 1l, log, 64));
	may(syscall(SYS__sysctl, log));
}

/* None of these may succeed. */
static void refused(void)
{
	char zeros[64] = "";

	fails(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, 5, LINUX_REBOOT_CMD_RESTART2, "no"), EINVAL);
	fails(syscall(SYS_swapon, "/etc/passwd", 0x10000), EINVAL);
	fails(syscall(SYS_swapon, "/absent", 0x8000 | 5), ENOENT);
	fails(syscall(SYS_swapoff, "/absent"), ENOENT);
	may(syscall(SYS_acct, "/absent"));
	may(syscall(SYS_quotactl, QCMD(Q_GETQUOTA, USRQUOTA), "/dev/vda", 1000, zeros));
	may(syscall(SYS_quotactl, QCMD(Q_SYNC, GRPQUOTA), "/absent", 0, NULL));
	may(syscall(SYS_quotactl_fd, 99, QCMD(Q_GETFMT, USRQUOTA), 0, zeros));
	may(syscall(SYS_init_module, zeros, sizeof(zeros), "parameter=1"));
	may(syscall(SYS_finit_module, 99, "parameter=1", 3));
	may(syscall(SYS_delete_module, "absent", O_NONBLOCK));
	may(syscall(SYS_kexec_load, 0, 999, NULL, 0));
	may(syscall(SYS_kexec_file_load, 99, 99, 5, "quiet", 1 << 20));
	may(syscall(SYS_iopl, 4));
	may(syscall(SYS_ioperm, 0x80, 1, 1));
	may(syscall(SYS_ioperm, 0x80, 1, 0));
	may(syscall(SYS_ioperm, 0x10000, 1, 1));
	may(syscall(SYS_nfsservctl, 1, zeros, zeros));
	may(syscall(SYS_create_module, "absent", 5));
	may(syscall(SYS_vserver, 1));
	may(syscall(500, 1, 2, 3, 4, 5, 6));
	fails(syscall(SYS_ptrace, PTRACE_ATTACH, 999999, 0, 0), ESRCH);
	fails(syscall(SYS_ptrace, PTRACE_PEEKDATA, getppid() + 100000, 16, zeros), ESRCH);
}

static void hanging_up(void)
{
	int status;

	if (must(fork()) == 0) {
		must(setsid());
		must(syscall(SYS_vhangup));
		must(chdir("/"));
		syscall(SYS_exit_group, 0);
	}
	must(wait(&status));
}

int main(void)
{
	bpf_objects();
	performance();
	keys();
	knowledge();
	refused();
	hanging_up();
	return 0;
}
