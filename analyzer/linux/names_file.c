/* SPDX-License-Identifier: MIT */
/* Names for calls about files; the order is the one in which strace prints flags. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "name_set.h"

/* As the kernel has it on x86-64; libc defines it as 0 there. */
#define KERNEL_O_LARGEFILE 0100000

#define OPEN_FLAGS                                                                                           \
	NAMED(O_CREAT), NAMED(O_EXCL), NAMED(O_NOCTTY), NAMED(O_TRUNC), NAMED(O_APPEND), NAMED(O_NONBLOCK),  \
		NAMED(O_SYNC), NAMED(O_DSYNC), NAMED(O_DIRECT), NAMED_AS(KERNEL_O_LARGEFILE, "O_LARGEFILE"), \
		NAMED(O_NOFOLLOW), NAMED(O_NOATIME), NAMED(O_CLOEXEC), NAMED(O_PATH), NAMED(O_TMPFILE),      \
		NAMED(O_DIRECTORY), NAMED_AS(O_ASYNC, "FASYNC")

static const struct named_value open_values[] = {
	NAMED(O_RDONLY), NAMED(O_WRONLY), NAMED(O_RDWR), NAMED(O_ACCMODE), OPEN_FLAGS,
};
NAME_SET(names_open, open_values, .unknown = "O_???", .enum_mask = O_ACCMODE);

static const struct named_value open_flag_values[] = {OPEN_FLAGS};
NAME_SET(names_open_flags, open_flag_values, .unknown = "O_???");

#define AT_VALUES                                                                                          \
	NAMED(AT_SYMLINK_NOFOLLOW), NAMED(AT_REMOVEDIR), NAMED(AT_SYMLINK_FOLLOW), NAMED(AT_NO_AUTOMOUNT), \
		NAMED(AT_EMPTY_PATH), NAMED(AT_RECURSIVE)

static const struct named_value at_values[] = {AT_VALUES};
NAME_SET(names_at, at_values, .unknown = "AT_???");

static const struct named_value at_access_values[] = {NAMED(AT_SYMLINK_NOFOLLOW), NAMED(AT_EACCESS),
						      NAMED(AT_EMPTY_PATH)};
NAME_SET(names_at_access, at_access_values, .unknown = "AT_???");

static const struct named_value at_statx_values[] = {NAMED(AT_STATX_SYNC_AS_STAT), NAMED(AT_STATX_FORCE_SYNC),
						     NAMED(AT_STATX_DONT_SYNC), AT_VALUES};
NAME_SET(names_at_statx, at_statx_values, .unknown = "AT_???", .enum_mask = AT_STATX_SYNC_TYPE);

static const struct named_value access_values[] = {NAMED(F_OK), NAMED(R_OK), NAMED(W_OK), NAMED(X_OK)};
NAME_SET(names_access, access_values, .unknown = "?_OK");

static const struct named_value whence_values[] = {NAMED(SEEK_SET), NAMED(SEEK_CUR), NAMED(SEEK_END), NAMED(SEEK_DATA),
						   NAMED(SEEK_HOLE)};
NAME_SET(names_whence, whence_values, .unknown = "SEEK_???");

static const struct named_value flock_values[] = {NAMED(LOCK_SH),   NAMED(LOCK_EX),   NAMED(LOCK_NB),
						  NAMED(LOCK_UN),   NAMED(LOCK_MAND), NAMED(LOCK_RW),
						  NAMED(LOCK_READ), NAMED(LOCK_WRITE)};
NAME_SET(names_flock, flock_values, .unknown = "LOCK_???");

static const struct named_value fcntl_values[] = {NAMED(F_DUPFD),
						  NAMED(F_GETFD),
						  NAMED(F_SETFD),
						  NAMED(F_GETFL),
						  NAMED(F_SETFL),
						  NAMED_AS(5, "F_GETLK"),
						  NAMED_AS(6, "F_SETLK"),
						  NAMED_AS(7, "F_SETLKW"),
						  NAMED(F_SETOWN),
						  NAMED(F_GETOWN),
						  NAMED(F_SETSIG),
						  NAMED(F_GETSIG),
						  NAMED_AS(12, "F_GETLK64"),
						  NAMED_AS(13, "F_SETLK64"),
						  NAMED_AS(14, "F_SETLKW64"),
						  NAMED(F_SETOWN_EX),
						  NAMED(F_GETOWN_EX),
						  NAMED(F_OFD_GETLK),
						  NAMED(F_OFD_SETLK),
						  NAMED(F_OFD_SETLKW),
						  NAMED(F_SETLEASE),
						  NAMED(F_GETLEASE),
						  NAMED(F_NOTIFY),
						  NAMED(F_DUPFD_CLOEXEC),
						  NAMED(F_SETPIPE_SZ),
						  NAMED(F_GETPIPE_SZ),
						  NAMED(F_ADD_SEALS),
						  NAMED(F_GET_SEALS),
						  NAMED(F_GET_RW_HINT),
						  NAMED(F_SET_RW_HINT),
						  NAMED(F_GET_FILE_RW_HINT),
						  NAMED(F_SET_FILE_RW_HINT)};
NAME_SET(names_fcntl, fcntl_values, .unknown = "F_???");

static const struct named_value fd_flag_values[] = {NAMED(FD_CLOEXEC)};
NAME_SET(names_fd_flags, fd_flag_values);

static const struct named_value lock_type_values[] = {NAMED(F_RDLCK), NAMED(F_WRLCK), NAMED(F_UNLCK)};
NAME_SET(names_lock_type, lock_type_values, .unknown = "F_???");

static const struct named_value rename_values[] = {NAMED(RENAME_NOREPLACE), NAMED(RENAME_EXCHANGE),
						   NAMED(RENAME_WHITEOUT)};
NAME_SET(names_rename, rename_values, .unknown = "RENAME_??");

static const struct named_value fallocate_values[] = {NAMED(FALLOC_FL_KEEP_SIZE),     NAMED(FALLOC_FL_PUNCH_HOLE),
						      NAMED(FALLOC_FL_NO_HIDE_STALE), NAMED(FALLOC_FL_COLLAPSE_RANGE),
						      NAMED(FALLOC_FL_ZERO_RANGE),    NAMED(FALLOC_FL_INSERT_RANGE),
						      NAMED(FALLOC_FL_UNSHARE_RANGE)};
NAME_SET(names_fallocate, fallocate_values, .unknown = "FALLOC_FL_???");

static const struct named_value fadvise_values[] = {NAMED(POSIX_FADV_NORMAL),     NAMED(POSIX_FADV_RANDOM),
						    NAMED(POSIX_FADV_SEQUENTIAL), NAMED(POSIX_FADV_WILLNEED),
						    NAMED(POSIX_FADV_DONTNEED),   NAMED(POSIX_FADV_NOREUSE)};
NAME_SET(names_fadvise, fadvise_values, .unknown = "POSIX_FADV_???");

static const struct named_value statx_mask_values[] = {
	NAMED(STATX_ALL),    NAMED(STATX_BASIC_STATS),
	NAMED(STATX_TYPE),   NAMED(STATX_MODE),
	NAMED(STATX_NLINK),  NAMED(STATX_UID),
	NAMED(STATX_GID),    NAMED(STATX_ATIME),
	NAMED(STATX_MTIME),  NAMED(STATX_CTIME),
	NAMED(STATX_INO),    NAMED(STATX_SIZE),
	NAMED(STATX_BLOCKS), NAMED(STATX_BTIME),
	NAMED(STATX_MNT_ID), NAMED_AS(0x2000, "STATX_DIOALIGN") /* Linux 6.1 */};
NAME_SET(names_statx_mask, statx_mask_values, .unknown = "STATX_???");

static const struct named_value statx_attribute_values[] = {
	NAMED(STATX_ATTR_COMPRESSED), NAMED(STATX_ATTR_IMMUTABLE), NAMED(STATX_ATTR_APPEND),
	NAMED(STATX_ATTR_NODUMP),     NAMED(STATX_ATTR_ENCRYPTED), NAMED(STATX_ATTR_AUTOMOUNT),
	NAMED(STATX_ATTR_MOUNT_ROOT), NAMED(STATX_ATTR_VERITY),    NAMED(STATX_ATTR_DAX)};
NAME_SET(names_statx_attributes, statx_attribute_values, .unknown = "STATX_ATTR_???", .wide = true);

static const struct named_value file_type_values[] = {NAMED(S_IFREG), NAMED(S_IFSOCK), NAMED(S_IFIFO), NAMED(S_IFLNK),
						      NAMED(S_IFDIR), NAMED(S_IFBLK),  NAMED(S_IFCHR)};
NAME_SET(names_file_type, file_type_values);

static const struct named_value splice_values[] = {NAMED(SPLICE_F_MOVE), NAMED(SPLICE_F_NONBLOCK), NAMED(SPLICE_F_MORE),
						   NAMED(SPLICE_F_GIFT)};
NAME_SET(names_splice, splice_values, .unknown = "SPLICE_F_???");

static const struct named_value inotify_init_values[] = {NAMED(IN_NONBLOCK), NAMED(IN_CLOEXEC)};
NAME_SET(names_inotify_init, inotify_init_values, .unknown = "IN_???");

static const struct named_value inotify_values[] = {
	NAMED(IN_ACCESS),        NAMED(IN_MODIFY),      NAMED(IN_ATTRIB),      NAMED(IN_CLOSE_WRITE),
	NAMED(IN_CLOSE_NOWRITE), NAMED(IN_OPEN),        NAMED(IN_MOVED_FROM),  NAMED(IN_MOVED_TO),
	NAMED(IN_CREATE),        NAMED(IN_DELETE),      NAMED(IN_DELETE_SELF), NAMED(IN_MOVE_SELF),
	NAMED(IN_UNMOUNT),       NAMED(IN_Q_OVERFLOW),  NAMED(IN_IGNORED),     NAMED(IN_ONLYDIR),
	NAMED(IN_DONT_FOLLOW),   NAMED(IN_EXCL_UNLINK), NAMED(IN_MASK_CREATE), NAMED(IN_MASK_ADD),
	NAMED(IN_ISDIR),         NAMED(IN_ONESHOT)};
NAME_SET(names_inotify, inotify_values, .unknown = "IN_???");

static const struct named_value memfd_values[] = {NAMED(MFD_CLOEXEC), NAMED(MFD_ALLOW_SEALING), NAMED(MFD_HUGETLB)};
NAME_SET(names_memfd, memfd_values, .unknown = "MFD_???", .huge = "MFD_HUGE_SHIFT");

static const struct named_value close_range_values[] = {NAMED(CLOSE_RANGE_UNSHARE), NAMED(CLOSE_RANGE_CLOEXEC)};
NAME_SET(names_close_range, close_range_values, .unknown = "CLOSE_RANGE_???");

static const struct named_value xattr_values[] = {NAMED(XATTR_CREATE), NAMED(XATTR_REPLACE)};
NAME_SET(names_xattr, xattr_values, .unknown = "XATTR_???");

static const struct named_value sync_range_values[] = {NAMED(SYNC_FILE_RANGE_WAIT_BEFORE), NAMED(SYNC_FILE_RANGE_WRITE),
						       NAMED(SYNC_FILE_RANGE_WAIT_AFTER)};
NAME_SET(names_sync_range, sync_range_values, .unknown = "SYNC_FILE_RANGE_???");

static const struct named_value resolve_values[] = {NAMED(RESOLVE_NO_XDEV),     NAMED(RESOLVE_NO_MAGICLINKS),
						    NAMED(RESOLVE_NO_SYMLINKS), NAMED(RESOLVE_BENEATH),
						    NAMED(RESOLVE_IN_ROOT),     NAMED(RESOLVE_CACHED)};
NAME_SET(names_resolve, resolve_values, .unknown = "RESOLVE_???", .wide = true);

static const struct named_value rwf_values[] = {NAMED(RWF_HIPRI), NAMED(RWF_DSYNC), NAMED(RWF_SYNC), NAMED(RWF_NOWAIT),
						NAMED(RWF_APPEND)};
NAME_SET(names_rwf, rwf_values, .unknown = "RWF_???");

static const struct named_value seal_values[] = {NAMED(F_SEAL_SEAL), NAMED(F_SEAL_SHRINK), NAMED(F_SEAL_GROW),
						 NAMED(F_SEAL_WRITE), NAMED(F_SEAL_FUTURE_WRITE)};
NAME_SET(names_seals, seal_values, .unknown = "F_SEAL_???");

/* The kernel's own bits of mount(2), which its headers keep to themselves: include/linux/fs.h */
static const struct named_value mount_values[] = {NAMED(MS_RDONLY),
						  NAMED(MS_NOSUID),
						  NAMED(MS_NODEV),
						  NAMED(MS_NOEXEC),
						  NAMED(MS_SYNCHRONOUS),
						  NAMED(MS_REMOUNT),
						  NAMED(MS_MANDLOCK),
						  NAMED(MS_DIRSYNC),
						  NAMED_AS(1 << 8, "MS_NOSYMFOLLOW"),
						  NAMED(MS_NOATIME),
						  NAMED(MS_NODIRATIME),
						  NAMED(MS_BIND),
						  NAMED(MS_MOVE),
						  NAMED(MS_REC),
						  NAMED(MS_SILENT),
						  NAMED(MS_POSIXACL),
						  NAMED(MS_UNBINDABLE),
						  NAMED(MS_PRIVATE),
						  NAMED(MS_SLAVE),
						  NAMED(MS_SHARED),
						  NAMED(MS_RELATIME),
						  NAMED(MS_KERNMOUNT),
						  NAMED(MS_I_VERSION),
						  NAMED(MS_STRICTATIME),
						  NAMED(MS_LAZYTIME),
						  NAMED(MS_SUBMOUNT),
						  NAMED(MS_NOREMOTELOCK),
						  NAMED(MS_NOSEC),
						  NAMED(MS_BORN),
						  NAMED_AS((uint32_t)MS_ACTIVE, "MS_ACTIVE"),
						  NAMED_AS((uint32_t)MS_NOUSER, "MS_NOUSER")};
NAME_SET(names_mount, mount_values, .unknown = "MS_???", .wide = true);

static const struct named_value umount_values[] = {
	NAMED_AS(1, "MNT_FORCE"), NAMED_AS(2, "MNT_DETACH"), NAMED_AS(4, "MNT_EXPIRE"),
	NAMED_AS(8, "UMOUNT_NOFOLLOW")}; /* <sys/mount.h> and <linux/fs.h> do not go together */
NAME_SET(names_umount, umount_values, .unknown = "MNT_???");

static const struct named_value fs_type_values[] = {NAMED(AUTOFS_SUPER_MAGIC),
						    NAMED(BINFMTFS_MAGIC),
						    NAMED(BPF_FS_MAGIC),
						    NAMED(BTRFS_SUPER_MAGIC),
						    NAMED(CGROUP_SUPER_MAGIC),
						    NAMED(CGROUP2_SUPER_MAGIC),
						    NAMED(DEBUGFS_MAGIC),
						    NAMED(DEVPTS_SUPER_MAGIC),
						    NAMED(EFIVARFS_MAGIC),
						    NAMED(EXT2_SUPER_MAGIC),
						    NAMED(FUSE_SUPER_MAGIC),
						    NAMED(HUGETLBFS_MAGIC),
						    NAMED(ISOFS_SUPER_MAGIC),
						    NAMED(MSDOS_SUPER_MAGIC),
						    NAMED(NFS_SUPER_MAGIC),
						    NAMED(NSFS_MAGIC),
						    NAMED(OVERLAYFS_SUPER_MAGIC),
						    NAMED(PIPEFS_MAGIC),
						    NAMED(PROC_SUPER_MAGIC),
						    NAMED(PSTOREFS_MAGIC),
						    NAMED(RAMFS_MAGIC),
						    NAMED(SECURITYFS_MAGIC),
						    NAMED(SELINUX_MAGIC),
						    NAMED(SOCKFS_MAGIC),
						    NAMED(SQUASHFS_MAGIC),
						    NAMED(SYSFS_MAGIC),
						    NAMED(TMPFS_MAGIC),
						    NAMED(TRACEFS_MAGIC),
						    NAMED(V9FS_MAGIC),
						    NAMED(XFS_SUPER_MAGIC)};
NAME_SET(names_fs_type, fs_type_values, .wide = true);

/* include/linux/statfs.h, which is not exported; the values are user ABI by statfs(2). */
static const struct named_value st_flag_values[] = {
	NAMED_AS(0x0020, "ST_VALID"),    NAMED_AS(0x0001, "ST_RDONLY"),     NAMED_AS(0x0002, "ST_NOSUID"),
	NAMED_AS(0x0004, "ST_NODEV"),    NAMED_AS(0x0008, "ST_NOEXEC"),     NAMED_AS(0x0010, "ST_SYNCHRONOUS"),
	NAMED_AS(0x0040, "ST_MANDLOCK"), NAMED_AS(0x0400, "ST_NOATIME"),    NAMED_AS(0x0800, "ST_NODIRATIME"),
	NAMED_AS(0x1000, "ST_RELATIME"), NAMED_AS(0x2000, "ST_NOSYMFOLLOW")};
NAME_SET(names_st_flags, st_flag_values, .unknown = "ST_???", .wide = true);
