/* SPDX-License-Identifier: MIT */
/*
 * ring_hold.c - keeps a trap ring alive behind its VM: creates both, closes all
 * of KVM but the ring's file descriptor ("fd") or only its mapping ("map"),
 * prints "holding", and sleeps until it is killed. The interface is declared
 * here, as it is in no header of the build machine.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct trap_ring_request {
	uint64_t data_bytes;
	uint64_t watermark_bytes;
	uint32_t vcpu;
	int32_t eventfd;
	uint64_t reserved[5];
};
#define CREATE_TRAP_RING _IOW(KVMIO, 0xf1, struct trap_ring_request)
#define DATA_BYTES       (1u << 20)

int main(int argc, char **argv)
{
	struct trap_ring_request request = {.data_bytes = DATA_BYTES, .watermark_bytes = DATA_BYTES / 2, .eventfd = -1};
	size_t memory_bytes = 2 * 4096 + DATA_BYTES;

	if (argc != 2 || (strcmp(argv[1], "fd") != 0 && strcmp(argv[1], "map") != 0))
		errx(2, "usage: ring_hold fd|map");
	int kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "/dev/kvm");
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		err(1, "KVM_CREATE_VCPU");
	int ring = ioctl(vcpu, CREATE_TRAP_RING, &request);
	if (ring < 0)
		err(1, "KVM_X86_CREATE_TRAP_RING");
	volatile uint8_t *memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap of the ring");
	close(vcpu);
	close(vm);
	close(kvm);
	if (argv[1][0] == 'm')
		close(ring);
	else if (munmap((void *)memory, memory_bytes) != 0)
		err(1, "munmap");
	puts("holding");
	fflush(stdout);
	pause();
	return 0;
}
