/* SPDX-License-Identifier: MIT */
#include "producer_calls.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring_memory.h"

#define START_MS 30000

/* ---- staging memory -------------------------------------------------- */

void staging_deinit(struct staging *staging)
{
	if (staging->fd >= 0)
		close(staging->fd);
	*staging = (struct staging){.fd = -1};
}

int staging_read(const struct staging *staging, uint64_t offset, void *buffer, size_t size_bytes,
		 struct record_error *error)
{
	uint8_t *out = buffer;

	while (size_bytes) {
		ssize_t n = pread(staging->fd, out, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return record_error_set(error, -EPROTO, "staging memory cannot be read at %" PRIu64 ": %s",
						offset, n ? strerror(errno) : "it is shorter than the VM said");
		out += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

/* A new descriptor replaces the old; the size that is said must be there. */
static int staging_update(struct staging *staging, struct producer_message *message, uint64_t said_bytes,
			  struct record_error *error)
{
	struct stat st;

	if (message->header.nr_fds) {
		staging_deinit(staging);
		staging->fd = message->fds[0];
		message->fds[0] = -1;
	}
	if (staging->fd < 0 || fstat(staging->fd, &st) || !S_ISREG(st.st_mode) || said_bytes > INT64_MAX ||
	    (uint64_t)st.st_size < said_bytes)
		return record_error_set(error, -EPROTO, "staging memory has not the %" PRIu64 " bytes it should have",
					said_bytes);
	staging->size_bytes = said_bytes;
	return 0;
}

/* ---- handshake ------------------------------------------------------- */

static int check_welcome(const struct producer *producer, const struct proto_welcome *welcome,
			 struct record_error *error)
{
	if (welcome->version != PROTO_VERSION)
		return record_error_set(error, -EPROTO,
					"%s: the VM speaks version %u of the protocol, this vmtape-record only %u: "
					"use those of one release",
					producer->path, welcome->version, PROTO_VERSION);
	if (welcome->abi_version != TRAP_ABI_VERSION)
		return record_error_set(error, -EPROTO,
					"%s: the VM's records have version %u, this vmtape-record knows only %u: "
					"use those of one release",
					producer->path, welcome->abi_version, TRAP_ABI_VERSION);
	if (welcome->page_bytes != GUEST_PAGE_BYTES)
		return record_error_set(error, -EPROTO, "%s: the guest's pages have %u bytes, not %u", producer->path,
					welcome->page_bytes, GUEST_PAGE_BYTES);
	if (!welcome->nr_vcpus || welcome->nr_vcpus > PRODUCER_MAX_VCPUS)
		return record_error_set(error, -EPROTO, "%s: %u vCPUs cannot be recorded, at most %u", producer->path,
					welcome->nr_vcpus, PRODUCER_MAX_VCPUS);
	return 0;
}

int producer_hello(struct producer *producer, struct proto_welcome *out, struct record_error *error)
{
	const struct proto_hello hello = {
		.version_min = PROTO_VERSION,
		.version_max = PROTO_VERSION,
		.abi_version = TRAP_ABI_VERSION,
	};
	struct producer_message answer;
	struct record_error why = {0};
	uint32_t request = 0;
	int ret;

	/* It may have hung up after saying why: so look for an answer even when ours could not be sent. */
	ret = producer_send(producer, PROTO_HELLO, &hello, sizeof(hello), NULL, 0, &request, &why);
	if (!ret || ret == -ECONNRESET)
		ret = producer_answer(producer, request, HANDSHAKE_MS, &answer, &why);
	if (ret == -EREMOTEIO && producer->remote_error == EBUSY)
		return record_error_set(error, ret, "%s: busy: another recorder is attached (%s)", producer->path,
					why.message);
	if (ret == -EREMOTEIO && (producer->remote_error == EPROTONOSUPPORT || producer->remote_error == EPROTO))
		return record_error_set(error, ret,
					"%s: the VM does not speak version %u of the protocol: %s: use those of one "
					"release",
					producer->path, PROTO_VERSION, why.message);
	if (ret == -ECONNRESET)
		return record_error_set(error, ret, "%s: hung up without an answer: not a vmtape socket?",
					producer->path);
	if (ret == -ETIMEDOUT)
		return record_error_set(error, ret, "%s: no answer in %u s: not a vmtape socket, or the VM is stopped",
					producer->path, HANDSHAKE_MS / 1000);
	if (ret == -EREMOTEIO)
		return record_error_set(error, ret, "%s: refused: %s", producer->path, why.message);
	if (!ret) {
		ret = producer_expect(&answer, PROTO_WELCOME, sizeof(*out), 0, &why);
		if (!ret)
			memcpy(out, answer.body, sizeof(*out));
		producer_message_release(&answer);
	}
	if (ret)
		return record_error_set(error, ret, "%s: %s", producer->path, why.message);
	return check_welcome(producer, out, error);
}

int producer_get_ram(struct producer *producer, struct guest_ram *ram, struct record_error *error)
{
	uint32_t request;
	int ret = producer_send(producer, PROTO_GET_RAM, NULL, 0, NULL, 0, &request, error);

	while (!ret) {
		struct producer_message answer;
		int fd;

		ret = producer_answer(producer, request, HANDSHAKE_MS, &answer, error);
		if (ret)
			return ret;
		if (answer.header.type == PROTO_DONE) {
			producer_message_release(&answer);
			return guest_ram_finish(ram, error);
		}
		ret = producer_expect(&answer, PROTO_RAM_BLOCK, sizeof(struct proto_ram_block), 1, error);
		if (!ret) {
			fd = answer.fds[0];
			answer.fds[0] = -1;
			ret = guest_ram_add(ram, answer.body, answer.header.size_bytes, fd, error);
		}
		producer_message_release(&answer);
	}
	return ret;
}

/* ---- rings ----------------------------------------------------------- */

/* What epoll takes wakes the drain thread. */
static int check_wakeable(int fd, struct record_error *error)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int ret = epoll_fd < 0 || !ring_fd_is_anonymous(fd) ? -1 : epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);

	if (epoll_fd >= 0)
		close(epoll_fd);
	return ret ? record_error_set(error, -EPROTO, "a ring's data descriptor is no eventfd or timer") : 0;
}

int producer_open_ring(struct producer_message *message, struct trap_ring *out, struct record_error *error)
{
	struct proto_ring said;
	int ret = producer_expect(message, PROTO_RING, sizeof(said), 3, error);

	if (ret)
		return ret;
	if (message->header.nr_fds < 2)
		return record_error_set(error, -EPROTO, "a ring came with %u descriptors, not 2 or 3",
					message->header.nr_fds);
	memcpy(&said, message->body, sizeof(said));
	if (said.vcpu >= PRODUCER_MAX_VCPUS)
		return record_error_set(error, -EPROTO, "a ring is for vCPU %u, over the limit of %u", said.vcpu,
					PRODUCER_MAX_VCPUS);
	ret = ring_memory_check(message->fds[0], said.memory_bytes, error);
	if (!ret)
		ret = check_wakeable(message->fds[1], error);
	if (ret)
		return ret;
	ret = trap_ring_init(out, message->fds[0], said.memory_bytes, message->fds[1], message->fds[2]);
	message->fds[0] = message->fds[1] = message->fds[2] = -1;
	if (ret)
		return record_error_set(error, -EPROTO, "vCPU %u: its ring cannot be opened: %s", said.vcpu,
					ret == -EBADMSG           ? "its head is not one of a ring"
					: ret == -EINVAL          ? "it is shorter than the VM says"
					: ret == -EPROTONOSUPPORT ? "of another version"
								  : strerror(-ret));
	if (out->vcpu != said.vcpu) {
		record_error_set(error, -EPROTO, "the ring of vCPU %u says that it is of vCPU %u", said.vcpu,
				 out->vcpu);
		trap_ring_deinit(out);
		return -EPROTO;
	}
	return 0;
}

int producer_start(struct producer *producer, const struct proto_start *start, const void *plan, uint32_t nr_vcpus,
		   producer_ring_fn ring_added, void *ctx, struct record_error *error)
{
	uint32_t request, nr_rings = 0;
	int ret = producer_send(producer, PROTO_START, start, sizeof(*start), plan, start->plan_bytes, &request, error);

	while (!ret) {
		struct producer_message answer;
		struct trap_ring ring;

		ret = producer_answer(producer, request, START_MS, &answer, error);
		if (ret)
			return ret;
		if (answer.header.type == PROTO_DONE) {
			producer_message_release(&answer);
			if (nr_rings != nr_vcpus)
				return record_error_set(error, -EPROTO, "%u rings came for %u vCPUs", nr_rings,
							nr_vcpus);
			return 0;
		}
		ret = producer_open_ring(&answer, &ring, error);
		producer_message_release(&answer);
		if (!ret && ++nr_rings > nr_vcpus) {
			trap_ring_deinit(&ring);
			ret = record_error_set(error, -EPROTO, "more rings came than the VM has vCPUs");
		} else if (!ret) {
			ret = ring_added(ctx, &ring, error);
		}
	}
	return ret;
}

/* ---- while it records ------------------------------------------------ */

/* A request that only DONE answers. */
static int call(struct producer *producer, enum proto_type type, const void *body, size_t body_bytes, const void *more,
		size_t more_bytes, unsigned patience_ms, struct record_error *error)
{
	struct producer_message answer;
	uint32_t request;
	int ret = producer_send(producer, type, body, body_bytes, more, more_bytes, &request, error);

	if (!ret)
		ret = producer_answer(producer, request, patience_ms, &answer, error);
	if (!ret) {
		ret = producer_expect(&answer, PROTO_DONE, 0, 0, error);
		producer_message_release(&answer);
	}
	return ret;
}

int producer_set_plan(struct producer *producer, const void *plan, size_t size_bytes, struct record_error *error)
{
	const struct proto_set_plan head = {.plan_bytes = (uint32_t)size_bytes};

	return call(producer, PROTO_SET_PLAN, &head, sizeof(head), plan, size_bytes, 0, error);
}

int producer_stop(struct producer *producer, unsigned patience_ms, struct record_error *error)
{
	return call(producer, PROTO_STOP, NULL, 0, NULL, 0, patience_ms, error);
}

static bool lies_in(uint64_t offset, uint64_t size_bytes, uint64_t limit)
{
	return offset % 4096 == 0 && offset <= limit && size_bytes <= limit - offset;
}

static int check_snapshot(const struct proto_snapshot_data *said, uint64_t snapshot_id, const struct guest_ram *ram,
			  struct record_error *error)
{
	uint64_t bitmaps_bytes = 0, ram_pages = 0, vcpus_bytes;

	for (uint32_t i = 0; i < ram->nr_blocks; i++) {
		bitmaps_bytes += ram_block_words(&ram->blocks[i]) * sizeof(uint64_t);
		ram_pages += ram_block_pages(&ram->blocks[i]);
	}
	if (said->snapshot_id != snapshot_id)
		return record_error_set(error, -EPROTO, "snapshot %" PRIu64 " came where %" PRIu64 " was due",
					(uint64_t)said->snapshot_id, snapshot_id);
	if (said->nr_pages > ram_pages || !lies_in(said->bitmaps_offset, bitmaps_bytes, said->staging_bytes))
		return record_error_set(error, -EPROTO, "a snapshot's dirty pages do not fit its memory");
	if (!said->whole)
		return 0;
	if (said->nr_protected > said->nr_pages)
		return record_error_set(error, -EPROTO,
					"a snapshot says that %u of its %" PRIu64 " pages were protected",
					said->nr_protected, (uint64_t)said->nr_pages);
	if (said->nr_vcpus > PRODUCER_MAX_VCPUS || said->nr_regs > 4096)
		return record_error_set(error, -EPROTO, "a snapshot says that it has %u vCPUs of %u registers",
					said->nr_vcpus, said->nr_regs);
	vcpus_bytes = (uint64_t)said->nr_vcpus * said->nr_regs * sizeof(uint64_t);
	if (!lies_in(said->vcpus_offset, vcpus_bytes, said->staging_bytes) ||
	    !lies_in(said->pages_offset, said->nr_pages * GUEST_PAGE_BYTES, said->staging_bytes))
		return record_error_set(error, -EPROTO, "a snapshot's pages lie outside of its memory");
	return 0;
}

int producer_snapshot(struct producer *producer, uint64_t snapshot_id, uint64_t max_pages, const struct guest_ram *ram,
		      struct staging *staging, struct proto_snapshot_data *out, struct record_error *error)
{
	const struct proto_snapshot ask = {.snapshot_id = snapshot_id, .max_pages = max_pages};
	struct producer_message answer;
	uint32_t request;
	int ret = producer_send(producer, PROTO_SNAPSHOT, &ask, sizeof(ask), NULL, 0, &request, error);

	if (!ret)
		ret = producer_answer(producer, request, 0, &answer, error);
	if (ret)
		return ret;
	ret = producer_expect(&answer, PROTO_SNAPSHOT_DATA, sizeof(*out), 1, error);
	if (!ret) {
		memcpy(out, answer.body, sizeof(*out));
		ret = staging_update(staging, &answer, out->staging_bytes, error);
	}
	producer_message_release(&answer);
	return ret ? ret : check_snapshot(out, snapshot_id, ram, error);
}

int producer_read_ram(struct producer *producer, uint32_t block, uint64_t block_offset, uint64_t size_bytes,
		      struct staging *staging, struct record_error *error)
{
	const struct proto_read_ram ask = {.block = block, .block_offset = block_offset, .size_bytes = size_bytes};
	struct producer_message answer;
	struct proto_ram_data said;
	uint32_t request;
	int ret = producer_send(producer, PROTO_READ_RAM, &ask, sizeof(ask), NULL, 0, &request, error);

	if (!ret)
		ret = producer_answer(producer, request, 0, &answer, error);
	if (ret)
		return ret;
	ret = producer_expect(&answer, PROTO_RAM_DATA, sizeof(said), 1, error);
	if (!ret) {
		memcpy(&said, answer.body, sizeof(said));
		ret = staging_update(staging, &answer, said.staging_bytes, error);
	}
	producer_message_release(&answer);
	if (!ret && (said.size_bytes != size_bytes || said.staging_bytes < size_bytes))
		ret = record_error_set(error, -EPROTO, "%" PRIu64 " bytes of RAM came where %" PRIu64 " were asked for",
				       (uint64_t)said.size_bytes, size_bytes);
	return ret;
}
