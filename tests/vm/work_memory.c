/* SPDX-License-Identifier: MIT */
/*
 * work_memory.c - system calls on address spaces: mappings, advice, locks,
 * protection keys, placement, other processes' memory.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "workload.h"

#define MIB (1ul << 20)

static char *map(unsigned long size, int flags)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	must((long)memory);
	return memory;
}

static void mappings(void)
{
	char *memory = map(MIB, MAP_NORESERVE);

	must((long)mmap(memory, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fails(mmap(memory, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	must((long)mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, -1, 0));
	must((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0));
	may(mmap(NULL, 2 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
	fails(mmap(NULL, 4096, PROT_READ, MAP_SHARED, 99, 0), EBADF);
	fails(mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, 0, 4095), EINVAL);
	fails(mmap(NULL, 4096, PROT_READ, 0, -1, 0), EBADF);
	char *moved = mremap(memory, MIB / 2, MIB / 4, 0);
	must((long)moved);
	char *place = map(MIB, 0);
	must((long)mremap(memory + MIB / 2, MIB / 2, MIB / 2, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	may(mremap(place, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	fails(mremap(place + 1, 4096, 8192, MREMAP_MAYMOVE), EINVAL);
	must(mprotect(place, 8192, PROT_NONE));
	must(mprotect(place, 8192, PROT_READ | PROT_EXEC));
	fails(mprotect((void *)4096, 4096, PROT_READ), ENOMEM);
	fails(mprotect(place, 4096, 0x1000), EINVAL);
	fails(munmap(place + 5, 4096), EINVAL);
	may(syscall(SYS_remap_file_pages, place, 4096, 0, 0, 0));
	must(syscall(SYS_brk, 0));
	must(syscall(NR_mseal, place, 4096, 0) == -1 && errno != ENOSYS ? -1 : 0);
	may(munmap(place, 4096));
	may(syscall(NR_map_shadow_stack, 0, 4096, 0));
}

static void advice(void)
{
	static const int all[] = {
		MADV_NORMAL,     MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,      MADV_DONTNEED,      MADV_FREE,
		MADV_DONTFORK,   MADV_DOFORK, MADV_MERGEABLE,  MADV_HUGEPAGE,      MADV_NOHUGEPAGE,    MADV_DONTDUMP,
		MADV_WIPEONFORK, MADV_COLD,   MADV_PAGEOUT,    MADV_POPULATE_READ, MADV_POPULATE_WRITE};
	char *memory = map(MIB, 0);
	unsigned char resident[4];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		may(madvise(memory, 4096 * (i + 1), all[i]));
	fails(madvise(memory, 4096, 999), EINVAL);
	fails(madvise(memory + 1, 4096, MADV_NORMAL), EINVAL);
	memory[0] = memory[8192] = 1;
	must(mincore(memory, 4 * 4096, resident));
	fails(mincore(memory + 1, 4096, resident), EINVAL);
	fails(mincore((void *)4096, 4096, resident), ENOMEM);
	must(msync(memory, 4096, MS_ASYNC | MS_INVALIDATE));
	fails(msync(memory, 4096, MS_ASYNC | MS_SYNC), EINVAL);
	must(mlock(memory, 4096));
	must(mlock2(memory, 8192, MLOCK_ONFAULT));
	fails(mlock2(memory, 8192, 77), EINVAL);
	must(munlock(memory, 8192));
	must(mlockall(MCL_CURRENT));
	must(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	must(munlockall());
	fails(mlockall(0), EINVAL);
	int pidfd = must(syscall(SYS_pidfd_open, getpid(), 0));
	struct iovec range[2] = {{memory, 4096}, {memory + 8192, 8192}};
	may(syscall(SYS_process_madvise, pidfd, range, 2, MADV_COLD, 0));
	may(syscall(SYS_process_madvise, pidfd, range, 2, MADV_WILLNEED, 1));
	fails(syscall(SYS_process_mrelease, pidfd, 0), EINVAL);
	must(close(pidfd));
	must(munmap(memory, MIB));
}

static void protection_keys(void)
{
	char *memory = map(8192, 0);
	int key = (int)may(pkey_alloc(0, PKEY_DISABLE_WRITE));

	may(syscall(SYS_pkey_mprotect, memory, 4096, PROT_READ | PROT_WRITE, key));
	fails(syscall(SYS_pkey_mprotect, memory, 4096, PROT_READ, 15), EINVAL);
	may(pkey_free(key));
	fails(pkey_free(99), EINVAL);
	fails(pkey_alloc(1, 0), EINVAL);
	must(munmap(memory, 8192));
}

static void placement(void)
{
	unsigned long nodes = 1, got = 0;
	char *memory = map(65536, 0);
	void *pages[2] = {memory, memory + 4096};
	int status[2], mode;

	memory[0] = 1;
	may(syscall(SYS_mbind, memory, 8192, MPOL_BIND, &nodes, 64, MPOL_MF_MOVE | MPOL_MF_STRICT));
	may(syscall(SYS_mbind, memory, 8192, 99, NULL, 0, 0));
	may(syscall(SYS_set_mempolicy, MPOL_PREFERRED | MPOL_F_STATIC_NODES, &nodes, 64));
	may(syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, 64));
	may(syscall(SYS_get_mempolicy, &mode, &got, 1024, NULL, 0));
	may(syscall(SYS_get_mempolicy, &mode, NULL, 0, memory, MPOL_F_NODE | MPOL_F_ADDR));
	may(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	may(syscall(SYS_migrate_pages, 0, 64, &nodes, &nodes));
	may(syscall(SYS_move_pages, 0, 2, pages, (int[]){0, 0}, status, MPOL_MF_MOVE));
	may(syscall(SYS_move_pages, 0, 2, pages, NULL, status, 0));
	may(syscall(450 /* set_mempolicy_home_node */, memory, 4096, 0, 0));
	must(munmap(memory, 65536));
}

static void other_memory(void)
{
	char here[64] = "", there[64] = "in another process", *remote;
	int status, pipes[2];

	must(pipe(pipes));
	pid_t pid = must(fork());
	if (pid == 0) {
		must(read(pipes[0], here, 1));
		_exit(strcmp(there, "written from outside"));
	}
	remote = there;
	struct iovec local[2] = {{here, 10}, {here + 10, 40}}, far[2] = {{remote, 3}, {remote + 3, 16}};
	must(process_vm_readv(pid, local, 2, far, 2, 0));
	if (strcmp(here, there) != 0)
		exit(1);
	local[0] = (struct iovec){"written from outside", 21};
	far[0] = (struct iovec){remote, 21};
	must(process_vm_writev(pid, local, 1, far, 1, 0));
	far[0].iov_base = (void *)16;
	fails(process_vm_readv(pid, local, 1, far, 1, 0), EFAULT);
	fails(process_vm_readv(999999, local, 1, far, 1, 0), ESRCH);
	fails(process_vm_writev(pid, local, 1, far, 1, 7), EINVAL);
	must(write(pipes[1], "x", 1));
	must(waitpid(pid, &status, 0));
	if (status != 0)
		exit(1);
	must(close(pipes[0]));
	must(close(pipes[1]));
}

static void descriptors(void)
{
	struct uffdio_api api = {.api = UFFD_API};

	may(close(may(syscall(SYS_memfd_secret, O_CLOEXEC))));
	may(syscall(SYS_memfd_secret, 1));
	int fd = must(memfd_create("plain", 0));
	must(ftruncate(fd, 4096));
	must(close(fd));
	fails(memfd_create("odd flags", 0x8000000), EINVAL);
	fails(memfd_create((char *)16, 0), EFAULT);
	fd = (int)may(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
	may(ioctl(fd, UFFDIO_API, &api));
	may(close(fd));
	fails(syscall(SYS_userfaultfd, 0x7fffffff), EINVAL);
}

static void machine(void)
{
	unsigned long base;
	struct user_desc segment = {.entry_number = 1, .base_addr = 0, .limit = 0xfffff, .seg_32bit = 1, .useable = 1};
	char buf[64];

	must(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
	must(syscall(SYS_arch_prctl, ARCH_SET_FS, base));
	must(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	may(syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0));
	fails(syscall(SYS_arch_prctl, 0x7777, 0), EINVAL);
	may(syscall(SYS_modify_ldt, 0, buf, sizeof(buf)));
	may(syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)));
	must(personality(0xffffffff));
	must(personality(ADDR_NO_RANDOMIZE));
	must(personality(PER_LINUX));
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0));
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	fails(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
}

int main(void)
{
	mappings();
	advice();
	protection_keys();
	placement();
	other_memory();
	descriptors();
	machine();
	return 0;
}
