/* SPDX-License-Identifier: MIT */
/*
 * record_layout.h - structs and numbers behind pointers: their size in the user
 * ABIs of x86-64 and i386, and how strace shows them. A layout's put function
 * gets a reader over at least that many bytes.
 */
#ifndef RECORD_LAYOUT_H
#define RECORD_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "semantics.h"

struct record_layout;

/* Reads fields in order, each at its natural alignment; zeros behind the end. */
struct record_reader {
	const uint8_t *data;
	size_t len, at;
	bool narrow; /* i386: words are 4 bytes, and nothing is aligned to more than 4 */
	bool brief;  /* as strace without -v */
	bool sized;  /* the record ends at len: what lies behind it is left out */
};

uint8_t read_u8(struct record_reader *r);
uint16_t read_u16(struct record_reader *r);
uint32_t read_u32(struct record_reader *r);
uint64_t read_u64(struct record_reader *r);
uint64_t read_word(struct record_reader *r);
int64_t read_sword(struct record_reader *r);
void read_skip(struct record_reader *r, size_t n);

/* How a field is shown. */
enum field_kind {
	FIELD_END = 0,
	FIELD_UNSIGNED,
	FIELD_SIGNED,
	FIELD_HEX, /* "0x1f", "0" */
	FIELD_ADDRESS,
	FIELD_OCTAL,
	FIELD_NAME,
	FIELD_FLAGS,
	FIELD_SIGNAL,
	FIELD_TEXT,   /* n characters, up to a NUL */
	FIELD_RECORD, /* another layout in this one; n: so many of them */
	FIELD_SKIP,   /* n bytes that mean nothing */
};

#define FIELD_F_VERBOSE 0x01 /* not without -v, "..." instead */
#define FIELD_F_NONZERO 0x02 /* not when it is 0 */

struct record_field {
	const char *name;
	uint8_t kind;
	uint8_t size_bytes; /* of one item; 0: a word */
	uint8_t flags;
	uint16_t at; /* offset in its struct + 1; 0: behind the field before, aligned */
	uint16_t n;  /* items; 0: one, without brackets */
	const struct name_set *names;
	const struct record_layout *layout;
};

/* Fields of C types; all take the name that strace shows. */
#define F_U8(name_)                                                    \
	{                                                              \
		.name = name_, .kind = FIELD_UNSIGNED, .size_bytes = 1 \
	}
#define F_U16(name_)                                                   \
	{                                                              \
		.name = name_, .kind = FIELD_UNSIGNED, .size_bytes = 2 \
	}
#define F_U32(name_)                                                   \
	{                                                              \
		.name = name_, .kind = FIELD_UNSIGNED, .size_bytes = 4 \
	}
#define F_U64(name_)                                                   \
	{                                                              \
		.name = name_, .kind = FIELD_UNSIGNED, .size_bytes = 8 \
	}
#define F_WORD(name_)                                 \
	{                                             \
		.name = name_, .kind = FIELD_UNSIGNED \
	}
#define F_S16(name_)                                                 \
	{                                                            \
		.name = name_, .kind = FIELD_SIGNED, .size_bytes = 2 \
	}
#define F_S32(name_)                                                 \
	{                                                            \
		.name = name_, .kind = FIELD_SIGNED, .size_bytes = 4 \
	}
#define F_S64(name_)                                                 \
	{                                                            \
		.name = name_, .kind = FIELD_SIGNED, .size_bytes = 8 \
	}
#define F_SWORD(name_)                              \
	{                                           \
		.name = name_, .kind = FIELD_SIGNED \
	}
#define F_X16(name_)                                              \
	{                                                         \
		.name = name_, .kind = FIELD_HEX, .size_bytes = 2 \
	}
#define F_X32(name_)                                              \
	{                                                         \
		.name = name_, .kind = FIELD_HEX, .size_bytes = 4 \
	}
#define F_X64(name_)                                              \
	{                                                         \
		.name = name_, .kind = FIELD_HEX, .size_bytes = 8 \
	}
#define F_POINTER(name_)                             \
	{                                            \
		.name = name_, .kind = FIELD_ADDRESS \
	}
#define F_POINTER64(name_)                                            \
	{                                                             \
		.name = name_, .kind = FIELD_ADDRESS, .size_bytes = 8 \
	}
#define F_MODE32(name_)                                             \
	{                                                           \
		.name = name_, .kind = FIELD_OCTAL, .size_bytes = 4 \
	}
#define F_SIGNAL32(name_)                                            \
	{                                                            \
		.name = name_, .kind = FIELD_SIGNAL, .size_bytes = 4 \
	}
#define F_NAME(name_, size, set)                                                             \
	{                                                                                    \
		.name = name_, .kind = FIELD_NAME, .size_bytes = size, .names = &names_##set \
	}
#define F_FLAGS(name_, size, set)                                                             \
	{                                                                                     \
		.name = name_, .kind = FIELD_FLAGS, .size_bytes = size, .names = &names_##set \
	}
#define F_TEXT(name_, bytes)                                  \
	{                                                     \
		.name = name_, .kind = FIELD_TEXT, .n = bytes \
	}
#define F_RECORD(name_, what)                                                 \
	{                                                                     \
		.name = name_, .kind = FIELD_RECORD, .layout = &layout_##what \
	}
#define F_SKIP(bytes)                          \
	{                                      \
		.kind = FIELD_SKIP, .n = bytes \
	}
#define F_END                     \
	{                         \
		.kind = FIELD_END \
	}

struct record_layout {
	const char *types[3]; /* C types of the kernel's metadata that mean this layout, without const and "*" */
	uint16_t size_bytes;
	uint16_t narrow_bytes; /* of i386; 0: not described */
	bool brackets;         /* a number: "[3]", and "[0] => [10]" when it changes */
	uint8_t direction;     /* by type, when the pointer is not const */
	void (*put)(struct record_reader *r, struct strbuf *out); /* NULL: by fields */
	const struct record_field *fields;                        /* up to FIELD_END */
	const struct record_layout *written; /* how it is shown behind a call that succeeded; itself: both, "{…} =>
						{…}", if it changed; NULL: as before it */
};

void record_put(const struct record_layout *layout, struct record_reader *r, struct strbuf *out);
/* Of a layout with fields: what stands between the braces. */
void record_put_members(const struct record_layout *layout, struct record_reader *r, struct strbuf *out);

static inline size_t record_size(const struct record_layout *layout, bool narrow)
{
	return narrow ? layout->narrow_bytes : layout->size_bytes;
}

/* records_number.c */
extern const struct record_layout layout_int, layout_uint, layout_word, layout_offset, layout_address, layout_pair,
	layout_cap_header, layout_cap_data, layout_signal, layout_time, layout_owner, layout_sembuf, layout_mq_attr,
	layout_tsc;
/* records_time.c */
extern const struct record_layout layout_timespec, layout_timespec64, layout_timeval, layout_itimerval,
	layout_itimerspec, layout_timespecs_at, layout_timevals_at, layout_utimbuf, layout_rusage, layout_rusage64,
	layout_tms, layout_timezone, layout_itimerspec64, layout_timespecs64_at;
/* records_file.c */
extern const struct record_layout layout_stat, layout_stat64, layout_statx, layout_statfs, layout_flock,
	layout_flock_owner, layout_flock64, layout_flock64_owner, layout_open_how, layout_pollfd, layout_epoll_event,
	layout_fs_flags;
/* records_process.c */
extern const struct record_layout layout_sigaction, layout_sigstack, layout_siginfo, layout_wait_status, layout_rlimit,
	layout_rlimit64, layout_utsname, layout_sysinfo, layout_sigevent, layout_sched_param;
/* records_kernel.c */
extern const struct record_layout layout_uring_params, layout_uring_wait, layout_futex_waitv, layout_io_event,
	layout_iocb, layout_sched_attr, layout_mount_attr, layout_landlock_ruleset, layout_landlock_path,
	layout_landlock_port, layout_filter_program, layout_seccomp_action, layout_seccomp_sizes, layout_perf_attr,
	layout_timex, layout_timex64, layout_plain_iovec, layout_quota, layout_quota_format, layout_aio_context,
	layout_mempolicy, layout_futex_pair;
/* records_net.c: layout_ifreq_X of a request that sets, layout_ifreq_get_X of one that gets */
extern const struct record_layout layout_ifreq_index, layout_ifreq_get_index, layout_ifreq_mtu, layout_ifreq_get_mtu,
	layout_ifreq_metric, layout_ifreq_get_metric, layout_ifreq_queue, layout_ifreq_get_queue, layout_ifreq_flags,
	layout_ifreq_get_flags, layout_ifreq_address, layout_ifreq_get_address, layout_ifreq_peer,
	layout_ifreq_get_peer, layout_ifreq_broadcast, layout_ifreq_get_broadcast, layout_ifreq_netmask,
	layout_ifreq_get_netmask, layout_ifreq_hardware, layout_ifreq_get_hardware, layout_ifreq_get_name,
	layout_ifreq_tunnel;
/* records_ipc.c */
extern const struct record_layout layout_shm_status, layout_msg_status, layout_sem_status, layout_shm_set,
	layout_msg_set, layout_sem_set;
/* records_bpf.c */
extern const struct record_layout layout_bpf_map_create, layout_bpf_element, layout_bpf_next_key, layout_bpf_delete,
	layout_bpf_prog_load, layout_bpf_object, layout_bpf_attach, layout_bpf_id, layout_bpf_map_id,
	layout_bpf_prog_id, layout_bpf_info, layout_bpf_btf_load, layout_bpf_link_create, layout_bpf_raw_tracepoint;
/* records_i386.c */
extern const struct record_layout layout_u16, layout_old_offset, layout_old_sigset, layout_old_sigaction,
	layout_user_desc, layout_statfs64;
/* records_terminal.c */
extern const struct record_layout layout_termios, layout_winsize, layout_modem;

void put_timespec(struct record_reader *r, struct strbuf *out);
void put_timeval(struct record_reader *r, struct strbuf *out);
/* " /" "* 1970-01-01T00:00:05+0000 *" "/"; digits of the fraction, 0: none */
void put_date(int64_t seconds, uint64_t fraction, int digits, struct strbuf *out);
/* "S_IFREG|S_ISUID|0755" */
void put_file_mode(uint32_t mode, struct strbuf *out);
/* Names for the si_code of a signal. */
const struct name_set *signal_code_names(uint32_t number, uint32_t code);
/* A clock_t, with seconds in a comment. */
void put_ticks(uint64_t ticks, struct strbuf *out);
/* "SIG_DFL", "0x…" */
void put_handler(uint64_t handler, struct strbuf *out);
void put_octal(uint32_t mode, struct strbuf *out);

#endif
