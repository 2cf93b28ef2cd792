/* SPDX-License-Identifier: MIT */
/* Open files: task_struct.files, its table, and what each struct file is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "linux_state_private.h"

#define MAX_FDS     (1u << 20) /* default of fs.nr_open */
#define CHUNK_SLOTS 512u
#define MAX_ALL     (1u << 20) /* of all tables of a snapshot */
#define MAX_SLOTS   (1u << 23) /* of all tables of a snapshot, empty ones, too */
#define TCP_LISTEN_ 10

/* What can't be read stays as it was. */
static bool get(struct linux_state *s, uint64_t base, int field, uint64_t *out)
{
	return linux_state_get(s, base, field, out);
}

/* ---- sockets --------------------------------------------------------------- */

static bool get_bytes(struct linux_state *s, uint64_t base, int field, void *out, size_t n)
{
	struct vmtape_error *error;

	if (s->fields[field].at.size_bytes < n)
		return false;
	error = guest_read_virt(s->memory, s->guest->facts.kernel_space, GVA(base + s->fields[field].at.offset_bytes),
				out, n);
	vmtape_error_destroy(error);
	return !error;
}

static void read_inet(struct linux_state *s, uint64_t sk, struct fd_socket *out)
{
	bool wide = out->family == AF_INET6;
	size_t n = wide ? 16 : 4;
	uint64_t port;

	if (get(s, sk, STATE_SK_NUM, &port)) { /* in the host's order */
		out->local.port = (uint16_t)port;
		out->local.known =
			port && get_bytes(s, sk, wide ? STATE_SK_SADDR6 : STATE_SK_SADDR, out->local.address, n);
	}
	if (get(s, sk, STATE_SK_DPORT, &port) && port) {
		out->peer.port = (uint16_t)((port & 0xff) << 8 | port >> 8);
		out->peer.known = get_bytes(s, sk, wide ? STATE_SK_DADDR6 : STATE_SK_DADDR, out->peer.address, n);
	}
}

/* "@name" for an abstract one. */
static size_t read_unix_name(struct linux_state *s, uint64_t sk, char *out, size_t room)
{
	uint64_t address, len;
	struct vmtape_error *error;

	if (!get(s, sk, STATE_UNIX_ADDR, &address) || !address || !get(s, address, STATE_UNIX_LEN, &len) || len <= 2 ||
	    len - 2 >= room)
		return 0;
	error = guest_read_virt(s->memory, s->guest->facts.kernel_space,
				GVA(address + s->fields[STATE_UNIX_NAME].at.offset_bytes + 2), out, len - 2);
	vmtape_error_destroy(error);
	if (error)
		return 0;
	if (!out[0]) {
		out[0] = '@';
		return len - 2;
	}
	return strnlen(out, len - 2);
}

static void read_unix_peer(struct linux_state *s, uint64_t sk, struct linux_open_file *out)
{
	uint64_t queued;

	if (!get(s, sk, STATE_UNIX_PEER, &out->peer) || !out->peer)
		return;
	out->sock = sk;
	out->queue_is_empty = get(s, sk, STATE_SK_QUEUED, &queued) && !queued;
}

static void read_socket(struct linux_state *s, uint64_t file, struct linux_open_file *out)
{
	uint64_t socket, sk, value, peer, state = 0;

	out->kind = FD_UNKNOWN;
	if (!get(s, file, STATE_PRIVATE_DATA, &socket) || !get(s, socket, STATE_SOCK, &sk) || !sk ||
	    !get(s, sk, STATE_SK_FAMILY, &value))
		return;
	out->kind = FD_SOCKET;
	out->socket.family = (uint16_t)value;
	if (get(s, sk, STATE_SK_TYPE, &value))
		out->socket.type = (uint8_t)value;
	if (get(s, sk, STATE_SK_PROTOCOL, &value))
		out->socket.protocol = (uint8_t)value;
	if (get(s, sk, STATE_SK_STATE, &state) && state == TCP_LISTEN_ && out->socket.type != SOCK_DGRAM) {
		out->socket.listening = true;
		out->socket.role = FD_ROLE_SERVER;
	}
	out->name = s->text;
	if (out->socket.family == AF_INET || out->socket.family == AF_INET6) {
		read_inet(s, sk, &out->socket);
	} else if (out->socket.family == AF_UNIX) {
		read_unix_peer(s, sk, out);
		out->name_len = read_unix_name(s, sk, s->text, sizeof(s->text));
		if (!out->name_len && get(s, sk, STATE_UNIX_PEER, &peer) && peer)
			out->name_len = read_unix_name(s, peer, s->text, sizeof(s->text));
	}
}

/* ---- files ------------------------------------------------------------------ */

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static uint8_t kind_of(const char *link, uint64_t mode)
{
	static const struct {
		const char *link;
		enum fd_kind kind;
	} kinds[] = {
		{"pipe:[", FD_PIPE},
		{"/memfd:", FD_MEMFD},
		{"anon_inode:[eventfd", FD_EVENTFD},
		{"anon_inode:[eventpoll", FD_EPOLL},
		{"anon_inode:[timerfd", FD_TIMERFD},
		{"anon_inode:[signalfd", FD_SIGNALFD},
		{"anon_inode:inotify", FD_INOTIFY},
		{"anon_inode:[fanotify", FD_FANOTIFY},
		{"anon_inode:[io_uring", FD_IO_URING},
		{"anon_inode:[pidfd", FD_PIDFD},
		{"anon_inode:[userfaultfd", FD_USERFAULTFD},
		{"anon_inode:bpf", FD_BPF},
		{"anon_inode:btf", FD_BPF},
		{"anon_inode:[perf_event", FD_PERF},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (begins(link, kinds[i].link))
			return (uint8_t)kinds[i].kind;
	if (link[0] != '/')
		return FD_OTHER;
	return S_ISDIR(mode) ? FD_DIRECTORY : FD_FILE;
}

static void read_file(struct linux_state *s, uint64_t file, struct linux_open_file *out)
{
	struct vmtape_error *error = linux_path_of_file(s->paths, file, s->link);
	uint64_t inode, mnt, links, mode = 0, flags;

	if (error)
		s->link[0] = '\0';
	vmtape_error_destroy(error);
	out->file = file;
	out->link = s->link;
	out->name = s->link;
	if (get(s, file, STATE_F_FLAGS, &flags))
		out->flags = (uint32_t)flags;
	if (get(s, file, STATE_F_INODE, &inode))
		get(s, inode, STATE_I_MODE, &mode);
	if (S_ISSOCK(mode) && begins(s->link, "socket:[")) {
		read_socket(s, file, out);
		return;
	}
	out->kind = s->link[0] ? kind_of(s->link, mode) : FD_UNKNOWN;
	/* a path that has lost its beginning is none */
	if (!begins(s->link, "..."))
		out->name_len = strlen(s->link);
	if (s->link[0] == '/' && get(s, file, STATE_F_MNT, &mnt)) {
		out->only = linux_mounts_is_only(s->mounts, mnt);
		out->mount_ns = linux_mounts_namespace(s->mounts, mnt);
	}
	if (inode && get(s, inode, STATE_I_NLINK, &links))
		out->nr_links = links <= UINT32_MAX ? (uint32_t)links : 0;
}

static struct vmtape_error *read_chunk(struct linux_state *s, uint64_t gva, void *out, size_t n)
{
	return guest_read_virt(s->memory, s->guest->facts.kernel_space, GVA(gva), out, n);
}

struct vmtape_error *linux_state_files(struct linux_state *s, uint64_t files,
				       void (*found)(void *ctx, const struct linux_open_file *file), void *ctx)
{
	uint64_t fdt, max_fd, array, bits = 0, slots[CHUNK_SLOTS];
	uint8_t cloexec[CHUNK_SLOTS / 8];
	struct vmtape_error *error;

	error = linux_field_read(s->guest, s->memory, files, &s->fields[STATE_FDT], &fdt);
	if (!error)
		error = linux_field_read(s->guest, s->memory, fdt, &s->fields[STATE_MAX_FDS], &max_fd);
	if (!error)
		error = linux_field_read(s->guest, s->memory, fdt, &s->fields[STATE_FD], &array);
	if (!error && max_fd > MAX_FDS)
		error = vmtape_error_create_at(VMTAPE_ERROR_FORMAT, fdt, "table of %" PRIu64 " file descriptors",
					       max_fd);
	if (error)
		return error;
	get(s, fdt, STATE_CLOSE_ON_EXEC, &bits);
	for (uint32_t fd = 0; fd < max_fd; fd++) {
		uint32_t slot = fd % CHUNK_SLOTS;
		struct linux_open_file out = {.fd = (int32_t)fd, .name = "", .link = ""};

		if (!slot) {
			uint32_t n = max_fd - fd < CHUNK_SLOTS ? (uint32_t)max_fd - fd : CHUNK_SLOTS;

			s->nr_slots += n;
			if (s->nr_slots > MAX_SLOTS)
				return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, files,
							      "more than %u file descriptors", MAX_SLOTS);
			error = read_chunk(s, array + 8 * (uint64_t)fd, slots, 8 * (size_t)n);
			if (error)
				return error;
			memset(cloexec, 0, sizeof(cloexec));
			if (bits) /* longs of bits */
				vmtape_error_destroy(read_chunk(s, bits + fd / 8, cloexec, (n + 63) / 64 * 8));
		}
		if (!slots[slot])
			continue;
		if (++s->nr_files > MAX_ALL)
			return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, files, "more than %u open files", MAX_ALL);
		out.cloexec = cloexec[slot / 8] >> slot % 8 & 1;
		read_file(s, slots[slot], &out);
		found(ctx, &out);
	}
	return NULL;
}

/* ---- of one task ------------------------------------------------------------- */

struct fd_adapter {
	void (*found)(void *ctx, const struct linux_fd *fd);
	void *ctx;
};

static void adapt(void *ctx, const struct linux_open_file *file)
{
	struct fd_adapter *adapter = ctx;
	struct linux_fd fd = {.fd = file->fd, .flags = file->flags};

	snprintf(fd.path, sizeof(fd.path), "%s", file->link);
	adapter->found(adapter->ctx, &fd);
}

struct vmtape_error *linux_guest_fds(const struct linux_guest *guest, struct guest_memory *memory, gva_t task,
				     void (*found)(void *ctx, const struct linux_fd *fd), void *ctx)
{
	struct fd_adapter adapter = {found, ctx};
	struct linux_state *state;
	struct vmtape_error *error = linux_state_create(&state, guest, memory);
	uint64_t files;

	if (error)
		return error;
	error = linux_field_read(guest, memory, task.v, &state->fields[STATE_FILES], &files);
	if (!error && files) /* a kernel thread or a zombie has none */
		error = linux_state_files(state, files, adapt, &adapter);
	linux_state_destroy(state);
	return error;
}
