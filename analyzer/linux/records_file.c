/* SPDX-License-Identifier: MIT */
#include "record_layout.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/fs.h>

void put_octal(uint32_t mode, struct strbuf *out)
{
	strbuf_printf(out, "%#03o", mode);
}

void put_file_mode(uint32_t mode, struct strbuf *out)
{
	const char *type = name_set_find(&names_file_type, mode & S_IFMT);
	uint32_t special = mode & (S_ISUID | S_ISGID | S_ISVTX);

	if (!type) {
		put_octal(mode, out);
		return;
	}
	strbuf_printf(out, "%s|%s%s%s", type, special & S_ISUID ? "S_ISUID|" : "", special & S_ISGID ? "S_ISGID|" : "",
		      special & S_ISVTX ? "S_ISVTX|" : "");
	put_octal(mode & ~(uint32_t)S_IFMT & ~special, out);
}

static void put_device(uint64_t device, struct strbuf *out)
{
	/* strace prints 0 as "0", 8 as "0x8" */
	strbuf_printf(out, "makedev(%#x, %#x)", major(device), minor(device));
}

static void put_stat_time(const char *name, const uint64_t *time, struct strbuf *out)
{
	strbuf_printf(out, ", st_%s=%lld", name, (long long)time[0]);
	put_date((int64_t)time[0], time[1], 9, out);
	strbuf_printf(out, ", st_%s_nsec=%llu", name, (unsigned long long)time[1]);
}

struct file_status {
	uint64_t device, inode, links, special, size_bytes, block_bytes, blocks;
	uint32_t mode, user, group;
	uint64_t times[6]; /* access, modification, change: seconds and nanoseconds */
};

static void put_status(const struct file_status *st, bool brief, struct strbuf *out)
{
	strbuf_put_char(out, '{');
	if (!brief) {
		strbuf_put(out, "st_dev=");
		put_device(st->device, out);
		strbuf_printf(out, ", st_ino=%llu, ", (unsigned long long)st->inode);
	}
	strbuf_put(out, "st_mode=");
	put_file_mode(st->mode, out);
	if (!brief)
		strbuf_printf(out, ", st_nlink=%llu, st_uid=%u, st_gid=%u, st_blksize=%llu, st_blocks=%llu",
			      (unsigned long long)st->links, st->user, st->group, (unsigned long long)st->block_bytes,
			      (unsigned long long)st->blocks);
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode)) {
		strbuf_put(out, ", st_rdev=");
		put_device(st->special, out);
	} else {
		strbuf_printf(out, ", st_size=%lld", (long long)st->size_bytes);
	}
	if (brief) {
		strbuf_put(out, ", ...}");
		return;
	}
	put_stat_time("atime", st->times, out);
	put_stat_time("mtime", st->times + 2, out);
	put_stat_time("ctime", st->times + 4, out);
	strbuf_put_char(out, '}');
}

/* arch/x86/include/asm/compat.h: struct compat_stat */
static void put_compat_stat(struct record_reader *r, struct strbuf *out)
{
	struct file_status st = {.device = read_u32(r)};

	st.inode = read_u32(r);
	st.mode = read_u16(r);
	st.links = read_u16(r);
	st.user = read_u16(r);
	st.group = read_u16(r);
	st.special = read_u32(r);
	st.size_bytes = read_u32(r);
	st.block_bytes = read_u32(r);
	st.blocks = read_u32(r);
	for (int i = 0; i < 6; i++)
		st.times[i] = read_u32(r);
	put_status(&st, r->brief, out);
}

static void put_stat(struct record_reader *r, struct strbuf *out)
{
	struct file_status st = {0};

	if (r->narrow) {
		put_compat_stat(r, out);
		return;
	}
	st.device = read_u64(r);
	st.inode = read_u64(r);
	st.links = read_u64(r);
	st.mode = read_u32(r);
	st.user = read_u32(r);
	st.group = read_u32(r);
	read_skip(r, 4); /* padding */
	st.special = read_u64(r);
	st.size_bytes = read_u64(r);
	st.block_bytes = read_u64(r);
	st.blocks = read_u64(r);
	for (int i = 0; i < 6; i++)
		st.times[i] = read_u64(r);
	put_status(&st, r->brief, out);
}

/* arch/x86/include/uapi/asm/stat.h: i386's struct stat64 */
static void put_stat64(struct record_reader *r, struct strbuf *out)
{
	struct file_status st = {.device = read_u64(r)};

	read_skip(r, 8); /* padding, the low half of the inode's number */
	st.mode = read_u32(r);
	st.links = read_u32(r);
	st.user = read_u32(r);
	st.group = read_u32(r);
	st.special = read_u64(r);
	read_skip(r, 4);
	st.size_bytes = read_u64(r);
	st.block_bytes = read_u32(r);
	st.blocks = read_u64(r);
	for (int i = 0; i < 6; i++)
		st.times[i] = read_u32(r);
	st.inode = read_u64(r);
	put_status(&st, r->brief, out);
}

struct statx_time {
	int64_t seconds;
	uint32_t nanoseconds;
};

static struct statx_time read_statx_time(struct record_reader *r)
{
	struct statx_time time = {.seconds = (int64_t)read_u64(r)};

	time.nanoseconds = read_u32(r);
	read_skip(r, 4);
	return time;
}

static void put_statx_time(const char *name, struct statx_time time, struct strbuf *out)
{
	strbuf_printf(out, ", stx_%s={tv_sec=%lld, tv_nsec=%u}", name, (long long)time.seconds, time.nanoseconds);
	put_date(time.seconds, time.nanoseconds, 9, out);
}

static void put_statx_rest(struct record_reader *r, uint32_t mask, struct strbuf *out)
{
	uint64_t blocks = read_u64(r), attributes = read_u64(r);
	struct statx_time access = read_statx_time(r), birth = read_statx_time(r), change = read_statx_time(r);
	struct statx_time modification = read_statx_time(r);

	strbuf_printf(out, ", stx_blocks=%llu, stx_attributes_mask=", (unsigned long long)blocks);
	name_set_put_flags(&names_statx_attributes, attributes, out);
	if (mask & STATX_ATIME)
		put_statx_time("atime", access, out);
	if (mask & STATX_BTIME)
		put_statx_time("btime", birth, out);
	if (mask & STATX_CTIME)
		put_statx_time("ctime", change, out);
	if (mask & STATX_MTIME)
		put_statx_time("mtime", modification, out);
	strbuf_printf(out, ", stx_rdev_major=%u", read_u32(r));
	strbuf_printf(out, ", stx_rdev_minor=%u", read_u32(r));
	strbuf_printf(out, ", stx_dev_major=%u", read_u32(r));
	strbuf_printf(out, ", stx_dev_minor=%u", read_u32(r));
	if (mask & STATX_MNT_ID)
		strbuf_printf(out, ", stx_mnt_id=%#llx", (unsigned long long)read_u64(r));
	strbuf_put_char(out, '}');
}

static void put_statx(struct record_reader *r, struct strbuf *out)
{
	uint32_t mask = read_u32(r), block_bytes = read_u32(r);
	uint64_t attributes = read_u64(r);
	uint32_t links = read_u32(r), user = read_u32(r), group = read_u32(r);
	uint16_t mode = read_u16(r);
	uint64_t inode, size_bytes;

	read_skip(r, 2);
	inode = read_u64(r);
	size_bytes = read_u64(r);
	strbuf_put(out, "{stx_mask=");
	name_set_put_flags(&names_statx_mask, mask, out);
	if (!r->brief)
		strbuf_printf(out, ", stx_blksize=%u", block_bytes);
	strbuf_put(out, ", stx_attributes=");
	name_set_put_flags(&names_statx_attributes, attributes, out);
	if (!r->brief)
		strbuf_printf(out, ", stx_nlink=%u, stx_uid=%u, stx_gid=%u", links, user, group);
	strbuf_put(out, ", stx_mode=");
	put_file_mode(mode, out);
	if (!r->brief)
		strbuf_printf(out, ", stx_ino=%llu", (unsigned long long)inode);
	strbuf_printf(out, ", stx_size=%llu", (unsigned long long)size_bytes);
	if (r->brief)
		strbuf_put(out, ", ...}");
	else
		put_statx_rest(r, mask, out);
}

static void put_statfs(struct record_reader *r, struct strbuf *out)
{
	static const char *const numbers[] = {"f_bsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree"};
	uint32_t first, second;

	strbuf_put(out, "{f_type=");
	name_set_put_one(&names_fs_type, read_word(r), out);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		strbuf_printf(out, ", %s=%llu", numbers[i], (unsigned long long)read_word(r));
	first = read_u32(r);
	second = read_u32(r);
	strbuf_printf(out, ", f_fsid={val=[%#x, %#x]}", first, second);
	strbuf_printf(out, ", f_namelen=%llu", (unsigned long long)read_word(r));
	strbuf_printf(out, ", f_frsize=%llu, f_flags=", (unsigned long long)read_word(r));
	name_set_put_flags(&names_st_flags, read_word(r), out);
	strbuf_put_char(out, '}');
}

static void put_lock(struct record_reader *r, struct strbuf *out, bool wide, bool owner)
{
	uint16_t type = read_u16(r), whence = read_u16(r);
	int64_t start = wide ? (int64_t)read_u64(r) : read_sword(r);
	int64_t length = wide ? (int64_t)read_u64(r) : read_sword(r);

	strbuf_put(out, "{l_type=");
	name_set_put_one(&names_lock_type, type, out);
	strbuf_put(out, ", l_whence=");
	name_set_put_one(&names_whence, whence, out);
	strbuf_printf(out, ", l_start=%lld, l_len=%lld", (long long)start, (long long)length);
	if (owner)
		strbuf_printf(out, ", l_pid=%d", (int32_t)read_u32(r));
	strbuf_put_char(out, '}');
}

static void put_flock(struct record_reader *r, struct strbuf *out)
{
	put_lock(r, out, false, false);
}

static void put_flock_owner(struct record_reader *r, struct strbuf *out)
{
	put_lock(r, out, false, true);
}

static void put_flock64(struct record_reader *r, struct strbuf *out)
{
	put_lock(r, out, true, false);
}

static void put_flock64_owner(struct record_reader *r, struct strbuf *out)
{
	put_lock(r, out, true, true);
}

static void put_open_how(struct record_reader *r, struct strbuf *out)
{
	uint64_t flags = read_u64(r), mode = read_u64(r);

	strbuf_put(out, "{flags=");
	name_set_put_flags(&names_open, flags, out);
	if (mode || flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
		strbuf_put(out, ", mode=");
		put_octal((uint32_t)mode, out);
	}
	strbuf_put(out, ", resolve=");
	name_set_put_flags(&names_resolve, read_u64(r), out);
	strbuf_put_char(out, '}');
}

static void put_pollfd(struct record_reader *r, struct strbuf *out)
{
	int32_t fd = (int32_t)read_u32(r);

	strbuf_printf(out, "{fd=%d", fd);
	if (fd >= 0) {
		strbuf_put(out, ", events=");
		name_set_put_flags(&names_poll_events, read_u16(r), out);
	}
	strbuf_put_char(out, '}');
}

/* Packed on x86-64, so that both ABIs have the same 12 bytes. */
static void put_epoll_event(struct record_reader *r, struct strbuf *out)
{
	uint64_t low, high;

	strbuf_put(out, "{events=");
	name_set_put_flags(&names_epoll_events, read_u32(r), out);
	low = read_u32(r);
	high = read_u32(r);
	strbuf_printf(out, ", data={u32=%llu, u64=%llu}}", (unsigned long long)low,
		      (unsigned long long)(low | high << 32));
}

static void put_fs_flags(struct record_reader *r, struct strbuf *out)
{
	name_set_put_flags(&names_fs_flags, read_u32(r), out);
}

const struct record_layout layout_stat = {
	.types = {"struct stat"}, .size_bytes = 144, .narrow_bytes = 64, .direction = ARG_OUT, .put = put_stat};
const struct record_layout layout_stat64 = {.narrow_bytes = 96, .direction = ARG_OUT, .put = put_stat64};
const struct record_layout layout_statx = {
	.types = {"struct statx"}, .size_bytes = 256, .narrow_bytes = 256, .direction = ARG_OUT, .put = put_statx};
const struct record_layout layout_statfs = {
	.types = {"struct statfs"}, .size_bytes = 120, .narrow_bytes = 64, .direction = ARG_OUT, .put = put_statfs};
const struct record_layout layout_flock = {.size_bytes = 32, .narrow_bytes = 16, .direction = ARG_IN, .put = put_flock};
const struct record_layout layout_flock_owner = {
	.size_bytes = 32, .narrow_bytes = 16, .direction = ARG_OUT, .put = put_flock_owner};
const struct record_layout layout_flock64 = {
	.size_bytes = 32, .narrow_bytes = 24, .direction = ARG_IN, .put = put_flock64};
const struct record_layout layout_flock64_owner = {
	.size_bytes = 32, .narrow_bytes = 24, .direction = ARG_OUT, .put = put_flock64_owner};
const struct record_layout layout_open_how = {
	.types = {"struct open_how"}, .size_bytes = 24, .narrow_bytes = 24, .direction = ARG_IN, .put = put_open_how};
const struct record_layout layout_pollfd = {.size_bytes = 8, .narrow_bytes = 8, .direction = ARG_IN, .put = put_pollfd};
const struct record_layout layout_epoll_event = {
	.size_bytes = 12, .narrow_bytes = 12, .direction = ARG_IN, .put = put_epoll_event};
const struct record_layout layout_fs_flags = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_fs_flags};
