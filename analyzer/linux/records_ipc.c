/* SPDX-License-Identifier: MIT */
/*
 * System V's objects as x86-64 callers see them: asm-generic/shmbuf.h, msgbuf.h
 * and arch/x86's sembuf.h, over asm-generic/ipcbuf.h. 32-bit callers have other
 * structs by version, which are not described.
 */
#include "record_layout.h"

struct permissions {
	uint32_t key, user, group, creator, creator_group, mode;
};

static void read_permissions(struct record_reader *r, struct permissions *out)
{
	out->key = read_u32(r);
	out->user = read_u32(r);
	out->group = read_u32(r);
	out->creator = read_u32(r);
	out->creator_group = read_u32(r);
	out->mode = read_u32(r);
	read_skip(r, 4 + 4 + 16); /* sequence number, padding, two unused words */
}

static void put_permissions(const char *name, const struct permissions *p, bool all, struct strbuf *out)
{
	strbuf_printf(out, "{%s={uid=%u, gid=%u, mode=", name, p->user, p->group);
	if (p->mode & ~0777u) {
		name_set_put_flags(&names_shm_mode, p->mode & ~0777u, out);
		strbuf_put_char(out, '|');
	}
	put_octal(p->mode & 0777, out);
	if (all)
		strbuf_printf(out, ", key=%u, cuid=%u, cgid=%u", p->key, p->creator, p->creator_group);
	strbuf_put_char(out, '}');
}

static void put_shm(struct record_reader *r, bool all, struct strbuf *out)
{
	struct permissions p;
	int64_t attached, detached, changed;
	uint64_t bytes;
	uint32_t creator, last;

	read_permissions(r, &p);
	put_permissions("shm_perm", &p, all, out);
	if (all) {
		bytes = read_u64(r);
		attached = (int64_t)read_u64(r);
		detached = (int64_t)read_u64(r);
		changed = (int64_t)read_u64(r);
		creator = read_u32(r);
		last = read_u32(r);
		strbuf_printf(out, ", shm_segsz=%llu, shm_cpid=%d, shm_lpid=%d, shm_nattch=%llu",
			      (unsigned long long)bytes, (int32_t)creator, (int32_t)last,
			      (unsigned long long)read_u64(r));
		strbuf_printf(out, ", shm_atime=%lld, shm_dtime=%lld, shm_ctime=%lld", (long long)attached,
			      (long long)detached, (long long)changed);
	}
	strbuf_put_char(out, '}');
}

static void put_shm_status(struct record_reader *r, struct strbuf *out)
{
	put_shm(r, true, out);
}

static void put_shm_set(struct record_reader *r, struct strbuf *out)
{
	put_shm(r, false, out);
}

static void put_msg_status(struct record_reader *r, struct strbuf *out)
{
	struct permissions p;
	int64_t times[3];
	uint64_t counts[3];
	uint32_t sender;

	read_permissions(r, &p);
	for (int i = 0; i < 3; i++)
		times[i] = (int64_t)read_u64(r);
	for (int i = 0; i < 3; i++)
		counts[i] = read_u64(r);
	sender = read_u32(r);
	put_permissions("msg_perm", &p, true, out);
	strbuf_printf(out, ", msg_stime=%lld, msg_rtime=%lld, msg_ctime=%lld", (long long)times[0], (long long)times[1],
		      (long long)times[2]);
	strbuf_printf(out, ", msg_qnum=%llu, msg_qbytes=%llu, msg_lspid=%d, msg_lrpid=%d}",
		      (unsigned long long)counts[1], (unsigned long long)counts[2], (int32_t)sender,
		      (int32_t)read_u32(r));
}

static void put_msg_set(struct record_reader *r, struct strbuf *out)
{
	struct permissions p;

	read_permissions(r, &p);
	read_skip(r, 40); /* times, bytes and messages in the queue */
	put_permissions("msg_perm", &p, false, out);
	strbuf_printf(out, ", msg_qbytes=%llu}", (unsigned long long)read_u64(r));
}

static void put_sem_status(struct record_reader *r, struct strbuf *out)
{
	struct permissions p;
	int64_t used, changed;

	read_permissions(r, &p);
	used = (int64_t)read_u64(r);
	read_skip(r, 8);
	changed = (int64_t)read_u64(r);
	read_skip(r, 8);
	put_permissions("sem_perm", &p, true, out);
	strbuf_printf(out, ", sem_otime=%lld, sem_ctime=%lld, sem_nsems=%llu}", (long long)used, (long long)changed,
		      (unsigned long long)read_u64(r));
}

static void put_sem_set(struct record_reader *r, struct strbuf *out)
{
	struct permissions p;

	read_permissions(r, &p);
	put_permissions("sem_perm", &p, false, out);
	strbuf_put_char(out, '}');
}

const struct record_layout layout_shm_status = {.size_bytes = 112, .direction = ARG_OUT, .put = put_shm_status};
const struct record_layout layout_shm_set = {.size_bytes = 112, .direction = ARG_IN, .put = put_shm_set};
const struct record_layout layout_msg_status = {.size_bytes = 120, .direction = ARG_OUT, .put = put_msg_status};
const struct record_layout layout_msg_set = {.size_bytes = 120, .direction = ARG_IN, .put = put_msg_set};
const struct record_layout layout_sem_status = {.size_bytes = 104, .direction = ARG_OUT, .put = put_sem_status};
const struct record_layout layout_sem_set = {.size_bytes = 104, .direction = ARG_IN, .put = put_sem_set};
