/* SPDX-License-Identifier: MIT */
/* Names that no header gives as they are wanted; all the others are made by uapi_names.py. */
#include <fcntl.h>
#include <linux/futex.h>

#include "name_set.h"

/* Spelled out: a macro within a macro would name the number. */
#define FUTEX_BOTH(op)                                    \
	{op, #op},                                        \
	{                                                 \
		(op) | FUTEX_PRIVATE_FLAG, #op "_PRIVATE" \
	}
static const struct named_value futex_values[] = {
	FUTEX_BOTH(FUTEX_WAIT),           FUTEX_BOTH(FUTEX_WAKE),        FUTEX_BOTH(FUTEX_FD),
	FUTEX_BOTH(FUTEX_REQUEUE),        FUTEX_BOTH(FUTEX_CMP_REQUEUE), FUTEX_BOTH(FUTEX_WAKE_OP),
	FUTEX_BOTH(FUTEX_LOCK_PI),        FUTEX_BOTH(FUTEX_UNLOCK_PI),   FUTEX_BOTH(FUTEX_TRYLOCK_PI),
	FUTEX_BOTH(FUTEX_WAIT_BITSET),    FUTEX_BOTH(FUTEX_WAKE_BITSET), FUTEX_BOTH(FUTEX_WAIT_REQUEUE_PI),
	FUTEX_BOTH(FUTEX_CMP_REQUEUE_PI), FUTEX_BOTH(FUTEX_LOCK_PI2),    NAMED(FUTEX_CLOCK_REALTIME)};
NAME_SET(names_futex, futex_values, .unknown = "FUTEX_???", .enum_mask = ~(uint32_t)FUTEX_CLOCK_REALTIME);

/* include/linux/syslog.h, which is not exported; syslog(2) gives names and numbers. */
#define SYSLOG(number, name) NAMED_AS(number, #number " /* SYSLOG_ACTION_" name " */")
static const struct named_value syslog_values[] = {
	SYSLOG(0, "CLOSE"),         SYSLOG(1, "OPEN"),        SYSLOG(2, "READ"),        SYSLOG(3, "READ_ALL"),
	SYSLOG(4, "READ_CLEAR"),    SYSLOG(5, "CLEAR"),       SYSLOG(6, "CONSOLE_OFF"), SYSLOG(7, "CONSOLE_ON"),
	SYSLOG(8, "CONSOLE_LEVEL"), SYSLOG(9, "SIZE_UNREAD"), SYSLOG(10, "SIZE_BUFFER")};
NAME_SET(names_syslog, syslog_values, .unknown = "SYSLOG_ACTION_???", .decimal = true);

static const struct named_value module_delete_values[] = {NAMED(O_NONBLOCK), NAMED(O_TRUNC)};
NAME_SET(names_module_delete, module_delete_values, .unknown = "O_???");

/* include/linux/sched/coredump.h, which is not exported; prctl(2) gives names and numbers. */
static const struct named_value dumpable_values[] = {NAMED_AS(0, "SUID_DUMP_DISABLE"), NAMED_AS(1, "SUID_DUMP_USER"),
						     NAMED_AS(2, "SUID_DUMP_ROOT")};
NAME_SET(names_dumpable, dumpable_values, .unknown = "SUID_DUMP_???");

/* include/linux/statfs.h, which is not exported; the values are user ABI by statfs(2). */
static const struct named_value st_flag_values[] = {
	NAMED_AS(0x0020, "ST_VALID"),    NAMED_AS(0x0001, "ST_RDONLY"),     NAMED_AS(0x0002, "ST_NOSUID"),
	NAMED_AS(0x0004, "ST_NODEV"),    NAMED_AS(0x0008, "ST_NOEXEC"),     NAMED_AS(0x0010, "ST_SYNCHRONOUS"),
	NAMED_AS(0x0040, "ST_MANDLOCK"), NAMED_AS(0x0400, "ST_NOATIME"),    NAMED_AS(0x0800, "ST_NODIRATIME"),
	NAMED_AS(0x1000, "ST_RELATIME"), NAMED_AS(0x2000, "ST_NOSYMFOLLOW")};
NAME_SET(names_st_flags, st_flag_values, .unknown = "ST_???", .wide = true);
