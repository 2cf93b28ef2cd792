/* SPDX-License-Identifier: MIT */
/* fake_vm_mangle.c - a message of the fake VM, spoilt on its way: bits, lengths, descriptors, order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "fake_vm_private.h"

enum way { BITS_OF_HEADER, BITS_OF_BODY, NUMBER_OF_BODY, NOISE, NOISE_BEFORE, CUT, TWICE, OTHER_FDS, OTHER_TYPE };

const char *fake_mangle_name(unsigned way)
{
	static const char *const names[FAKE_MANGLE_WAYS] = {
		"bits of the header", "bits of the body",  "a number of the body",
		"noise instead",      "noise before it",   "cut",
		"sent twice",         "other descriptors", "another type",
	};

	return names[way % FAKE_MANGLE_WAYS];
}

static uint64_t number(struct fake_vm *vm)
{
	vm->mangle_seed = vm->mangle_seed * 6364136223846793005u + 1442695040888963407u;
	return vm->mangle_seed >> 33;
}

static void send_bytes(struct fake_vm *vm, const uint8_t *bytes, size_t size_bytes, const int *fds, unsigned nr_fds)
{
	struct iovec part = {(void *)bytes, size_bytes};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (!size_bytes)
		return;
	if (nr_fds) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * nr_fds);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
	}
	if (vm->fd >= 0 && sendmsg(vm->fd, &message, MSG_NOSIGNAL) < 0)
		CHECK(errno == EPIPE || errno == ECONNRESET);
}

static void flip_bits(struct fake_vm *vm, uint8_t *bytes, size_t size_bytes)
{
	for (uint64_t n = 1 + number(vm) % 8; n && size_bytes; n--)
		bytes[number(vm) % size_bytes] ^= (uint8_t)(1u << number(vm) % 8);
}

static void put_number(struct fake_vm *vm, uint8_t *bytes, size_t size_bytes)
{
	static const uint64_t edges[] = {0,          1,          4095,       4096,       0x7fffffff,
					 0x80000000, 0xffffffff, 1ull << 40, 1ull << 63, ~0ull};
	size_t width = number(vm) % 2 ? 4 : 8;
	uint64_t value = edges[number(vm) % (sizeof(edges) / sizeof(edges[0]))];

	if (size_bytes >= width)
		memcpy(bytes + number(vm) % (size_bytes / width) * width, &value, width);
}

void fake_vm_send_mangled(struct fake_vm *vm, const struct proto_header *header, const void *body, size_t body_bytes,
			  const int *fds, unsigned nr_fds)
{
	size_t size_bytes = sizeof(*header) + body_bytes;
	uint8_t *bytes = malloc(size_bytes), noise[256];
	struct proto_header *copy = (struct proto_header *)bytes;
	int others[8];

	CHECK(bytes);
	memcpy(bytes, header, sizeof(*header));
	if (body_bytes)
		memcpy(bytes + sizeof(*header), body, body_bytes);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)number(vm);
	switch ((enum way)(vm->mangle_way % FAKE_MANGLE_WAYS)) {
	case BITS_OF_HEADER:
		flip_bits(vm, bytes, sizeof(*header));
		break;
	case BITS_OF_BODY:
		flip_bits(vm, bytes + sizeof(*header), body_bytes);
		break;
	case NUMBER_OF_BODY:
		put_number(vm, bytes + sizeof(*header), body_bytes);
		break;
	case NOISE:
		memcpy(bytes, noise, size_bytes < sizeof(noise) ? size_bytes : sizeof(noise));
		break;
	case NOISE_BEFORE:
		send_bytes(vm, noise, 1 + number(vm) % sizeof(noise), NULL, 0);
		break;
	case CUT:
		size_bytes = number(vm) % size_bytes;
		break;
	case TWICE:
		send_bytes(vm, bytes, size_bytes, fds, nr_fds);
		break;
	case OTHER_FDS:
		nr_fds = (unsigned)number(vm) % 8;
		for (unsigned i = 0; i < nr_fds; i++)
			others[i] = number(vm) % 2 ? vm->ram_fd : vm->listen_fd;
		fds = others;
		copy->nr_fds = number(vm) % 2 ? (uint16_t)nr_fds : copy->nr_fds;
		break;
	case OTHER_TYPE:
		copy->type = (uint16_t)(number(vm) % (PROTO_TYPES + 2));
		break;
	}
	send_bytes(vm, bytes, size_bytes, fds, nr_fds);
	free(bytes);
}
