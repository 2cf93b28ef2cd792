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

/* Reads fields in order, each at its natural alignment; zeros behind the end. */
struct record_reader {
	const uint8_t *data;
	size_t len, at;
	bool narrow; /* i386: words are 4 bytes, and nothing is aligned to more than 4 */
	bool brief;  /* as strace without -v */
};

uint8_t read_u8(struct record_reader *r);
uint16_t read_u16(struct record_reader *r);
uint32_t read_u32(struct record_reader *r);
uint64_t read_u64(struct record_reader *r);
uint64_t read_word(struct record_reader *r);
int64_t read_sword(struct record_reader *r);
void read_skip(struct record_reader *r, size_t n);

struct record_layout {
	const char *types[3]; /* C types of the kernel's metadata that mean this layout, without const and "*" */
	uint16_t size_bytes;
	uint16_t narrow_bytes; /* of i386; 0: not described */
	bool brackets;         /* a number: "[3]", and "[0] => [10]" when it changes */
	uint8_t direction;     /* by type, when the pointer is not const */
	void (*put)(struct record_reader *r, struct strbuf *out);
};

static inline size_t record_size(const struct record_layout *layout, bool narrow)
{
	return narrow ? layout->narrow_bytes : layout->size_bytes;
}
/* By C type ("const struct timespec *"); NULL: none. *is_const says whether it is only read. */
const struct record_layout *record_layout_by_type(const char *type, bool *is_const);

/* records_number.c */
extern const struct record_layout layout_int, layout_uint, layout_word, layout_offset, layout_address, layout_pair,
	layout_cap_header, layout_cap_data, layout_signal, layout_time, layout_owner, layout_sembuf, layout_mq_attr;
/* records_time.c */
extern const struct record_layout layout_timespec, layout_timespec64, layout_timeval, layout_itimerval,
	layout_itimerspec, layout_timespecs_at, layout_timevals_at, layout_utimbuf, layout_rusage, layout_tms,
	layout_timezone;
/* records_file.c */
extern const struct record_layout layout_stat, layout_statx, layout_statfs, layout_flock, layout_flock_owner,
	layout_flock64, layout_flock64_owner, layout_open_how, layout_pollfd, layout_epoll_event, layout_fs_flags;
/* records_process.c */
extern const struct record_layout layout_sigaction, layout_sigstack, layout_siginfo, layout_wait_status, layout_rlimit,
	layout_rlimit64, layout_utsname, layout_sysinfo, layout_sigevent, layout_sched_param;
/* records_terminal.c */
extern const struct record_layout layout_termios, layout_winsize;

void put_timespec(struct record_reader *r, struct strbuf *out);
void put_timeval(struct record_reader *r, struct strbuf *out);
/* " /" "* 1970-01-01T00:00:05+0000 *" "/"; digits of the fraction, 0: none */
void put_date(int64_t seconds, uint64_t fraction, int digits, struct strbuf *out);
/* "S_IFREG|S_ISUID|0755" */
void put_file_mode(uint32_t mode, struct strbuf *out);
void put_octal(uint32_t mode, struct strbuf *out);

#endif
