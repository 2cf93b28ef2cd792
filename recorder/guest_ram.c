/* SPDX-License-Identifier: MIT */
#include "guest_ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GPA_LIMIT (1ull << 52)

static bool aligned(uint64_t bytes)
{
	return bytes % GUEST_PAGE_BYTES == 0;
}

/*
 * A description of our own of the same file: lseek must not move the VM's.
 * Where that is not permitted, the VM's own serves, and holes are not skipped.
 */
static int open_again(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static int check_block(const struct guest_ram *ram, const struct proto_ram_block *said, size_t size_bytes, int fd,
		       struct record_error *error)
{
	uint64_t total = said->block_bytes;
	struct stat st;

	if (said->block != ram->nr_blocks || said->block >= GUEST_RAM_MAX_BLOCKS)
		return record_error_set(error, -EPROTO, "RAM block %u came where %u was due", said->block,
					ram->nr_blocks);
	if (said->nr_ranges > PROTO_MAX_RAM_RANGES ||
	    size_bytes < sizeof(*said) + said->nr_ranges * sizeof(struct proto_ram_range))
		return record_error_set(error, -EPROTO, "RAM block %u says that it has %u ranges, and has fewer",
					said->block, said->nr_ranges);
	for (uint32_t i = 0; i < ram->nr_blocks; i++)
		total += ram->blocks[i].size_bytes;
	if (!aligned(said->block_bytes) || said->block_bytes > GUEST_RAM_MAX_BYTES || total > GUEST_RAM_MAX_BYTES)
		return record_error_set(error, -EPROTO, "RAM block %u: a size of %" PRIu64 " bytes cannot be",
					said->block, (uint64_t)said->block_bytes);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || said->fd_offset > INT64_MAX - said->block_bytes ||
	    (uint64_t)st.st_size < said->fd_offset + said->block_bytes)
		return record_error_set(error, -EPROTO,
					"RAM block %u: its file is shorter than the %" PRIu64 " bytes it should have",
					said->block, (uint64_t)said->block_bytes);
	return 0;
}

static int check_range(const struct ram_block *block, const struct proto_ram_range *range, struct record_error *error)
{
	if (!aligned(range->gpa) || !aligned(range->size_bytes) || !aligned(range->block_offset) ||
	    !range->size_bytes || range->block_offset > block->size_bytes ||
	    range->size_bytes > block->size_bytes - range->block_offset || range->gpa >= GPA_LIMIT ||
	    range->size_bytes > GPA_LIMIT - range->gpa)
		return record_error_set(error, -EPROTO, "RAM block %s: a range at 0x%" PRIx64 " lies outside of it",
					block->name, (uint64_t)range->gpa);
	return 0;
}

int guest_ram_add(struct guest_ram *ram, const void *body, size_t size_bytes, int fd, struct record_error *error)
{
	struct proto_ram_block said;
	struct ram_block *blocks, *block;
	int ret;

	memcpy(&said, body, sizeof(said)); /* the caller saw that it is there */
	ret = check_block(ram, &said, size_bytes, fd, error);
	if (ret)
		goto failed;
	ret = -ENOMEM;
	blocks = reallocarray(ram->blocks, ram->nr_blocks + 1, sizeof(*blocks));
	if (!blocks)
		goto failed;
	ram->blocks = blocks;
	block = &blocks[ram->nr_blocks];
	*block = (struct ram_block){
		.fd = -1,
		.fd_offset = said.fd_offset,
		.size_bytes = said.block_bytes,
		.nr_ranges = said.nr_ranges,
		.ranges = calloc(said.nr_ranges + 1, sizeof(*block->ranges)),
	};
	if (!block->ranges)
		goto failed;
	ram->nr_blocks++;
	report_clean(block->name, sizeof(block->name), said.name, sizeof(said.name));
	memcpy(block->ranges, (const uint8_t *)body + sizeof(said), said.nr_ranges * sizeof(*block->ranges));
	for (uint32_t i = 0; i < said.nr_ranges; i++) {
		ret = check_range(block, &block->ranges[i], error);
		if (ret)
			goto failed;
	}
	if (fd >= 0) {
		block->fd = open_again(fd);
		block->fd_is_own = block->fd >= 0;
		if (block->fd_is_own)
			close(fd);
		else
			block->fd = fd;
	}
	return 0;
failed:
	if (ret == -ENOMEM)
		record_error_set(error, ret, "out of memory");
	if (fd >= 0)
		close(fd);
	return ret;
}

static int by_gpa(const void *a, const void *b)
{
	const struct tape_ram_range *left = a, *right = b;

	return left->gpa < right->gpa ? -1 : left->gpa > right->gpa;
}

int guest_ram_finish(struct guest_ram *ram, struct record_error *error)
{
	uint32_t n = 0, joined = 0;

	for (uint32_t i = 0; i < ram->nr_blocks; i++)
		n += ram->blocks[i].nr_ranges;
	if (!n)
		return record_error_set(error, -EPROTO, "the VM says that it has no RAM");
	ram->ranges = calloc(n, sizeof(*ram->ranges));
	if (!ram->ranges)
		return record_error_set(error, -ENOMEM, "out of memory");
	n = 0;
	for (uint32_t i = 0; i < ram->nr_blocks; i++)
		for (uint32_t r = 0; r < ram->blocks[i].nr_ranges; r++)
			ram->ranges[n++] = (struct tape_ram_range){
				.gpa = ram->blocks[i].ranges[r].gpa,
				.size_bytes = ram->blocks[i].ranges[r].size_bytes,
			};
	qsort(ram->ranges, n, sizeof(*ram->ranges), by_gpa);
	for (uint32_t i = 1; i < n; i++) {
		struct tape_ram_range *last = &ram->ranges[joined];
		const struct tape_ram_range *next = &ram->ranges[i];

		if (next->gpa < last->gpa + last->size_bytes)
			return record_error_set(error, -EPROTO, "two ranges of RAM overlap at 0x%" PRIx64, next->gpa);
		if (next->gpa == last->gpa + last->size_bytes)
			last->size_bytes += next->size_bytes;
		else
			ram->ranges[++joined] = *next;
	}
	ram->nr_ranges = joined + 1;
	return 0;
}

void guest_ram_deinit(struct guest_ram *ram)
{
	for (uint32_t i = 0; i < ram->nr_blocks; i++) {
		if (ram->blocks[i].fd >= 0)
			close(ram->blocks[i].fd);
		free(ram->blocks[i].ranges);
	}
	free(ram->blocks);
	free(ram->ranges);
	*ram = (struct guest_ram){0};
}

static uint64_t seen_bytes(const struct guest_ram *ram, bool shared_only)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ram->nr_blocks; i++)
		for (uint32_t r = 0; r < ram->blocks[i].nr_ranges; r++)
			if (!shared_only || ram->blocks[i].fd >= 0)
				sum += ram->blocks[i].ranges[r].size_bytes;
	return sum;
}

uint64_t guest_ram_bytes(const struct guest_ram *ram)
{
	return seen_bytes(ram, false);
}

uint64_t guest_ram_shared_bytes(const struct guest_ram *ram)
{
	return seen_bytes(ram, true);
}

bool guest_ram_same_blocks(const struct guest_ram *a, const struct guest_ram *b)
{
	if (a->nr_blocks != b->nr_blocks)
		return false;
	for (uint32_t i = 0; i < a->nr_blocks; i++)
		if (a->blocks[i].size_bytes != b->blocks[i].size_bytes || strcmp(a->blocks[i].name, b->blocks[i].name))
			return false;
	return true;
}

bool guest_ram_has_range(const struct guest_ram *other, const struct ram_block *block,
			 const struct proto_ram_range *range)
{
	for (uint32_t i = 0; i < other->nr_blocks; i++) {
		if (strcmp(other->blocks[i].name, block->name) || other->blocks[i].size_bytes != block->size_bytes)
			continue;
		for (uint32_t r = 0; r < other->blocks[i].nr_ranges; r++) {
			const struct proto_ram_range *old = &other->blocks[i].ranges[r];

			if (range->gpa >= old->gpa && range->gpa + range->size_bytes <= old->gpa + old->size_bytes &&
			    range->gpa - old->gpa == range->block_offset - old->block_offset)
				return true;
		}
	}
	return false;
}

int ram_block_read(const struct ram_block *block, uint64_t offset, void *buffer, size_t size_bytes,
		   struct record_error *error)
{
	uint8_t *out = buffer;

	while (size_bytes) {
		ssize_t n = pread(block->fd, out, size_bytes, (off_t)(block->fd_offset + offset));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return record_error_set(error, -EIO, "RAM block %s cannot be read at 0x%" PRIx64 ": %s",
						block->name, offset, n ? strerror(errno) : "its file was cut short");
		out += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

uint64_t ram_block_hole_bytes(const struct ram_block *block, uint64_t offset)
{
	uint64_t from = block->fd_offset + offset, end = block->fd_offset + block->size_bytes;
	struct stat st;
	off_t data;

	if (!block->fd_is_own)
		return 0;
	data = lseek(block->fd, (off_t)from, SEEK_DATA);
	if (data < 0) {
		/* No data up to the end: of the block, or of a file that was cut short and must not pass for zeros. */
		if (errno != ENXIO || fstat(block->fd, &st) || (uint64_t)st.st_size < end)
			return 0;
		return end - from;
	}
	if ((uint64_t)data <= from)
		return 0;
	return ((uint64_t)data < end ? (uint64_t)data : end) - from;
}
