/* SPDX-License-Identifier: MIT */
/*
 * scap_file.c - writes the records of a tape as a capture file that sysdig
 * reads: as many events of like content, in the same order. A capture of its own
 * needs a driver in the kernel; how fast its files are read does not.
 *
 *   bench_scap_file FILE.vmt OUT.scap
 *
 * Calls with a path become openat, read, write and close stay what they are, the
 * rest are events of the generic type, which has less in it than our records:
 * the difference is in the peer's favour.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "bytes.h"
#include "tape.h"

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_EVENT   0x216u /* second version: with the number of parameters */
#define BYTE_ORDER_IS 0x1a2b3c4du

/* Types of events: of the entry; of its exit one more. */
enum { EVENT_GENERIC = 0, EVENT_CLOSE = 4, EVENT_READ = 6, EVENT_WRITE = 8, EVENT_OPENAT = 306 };

#define FLUSH_BYTES (1u << 20)
#define NR_NAMES    300u /* sysdig has its own numbers for calls, and more than so many: any name will do */
#define MAX_PARAMS  8u
#define MAX_PATH    256u
#define MAX_DATA    80u   /* as much of a buffer as sysdig takes by itself */
#define NR_THREADS  4096u /* a power of two */
#define BEGAN_NS    1700000000000000000ull

static struct thread {
	uint32_t tid;
	char path[MAX_PATH];
} threads[NR_THREADS];

struct event {
	struct byte_buffer data;
	uint16_t lengths[MAX_PARAMS];
	unsigned nr_params;
};

static void add_bytes(struct event *event, const void *bytes, size_t size_bytes)
{
	byte_buffer_add(&event->data, bytes, size_bytes);
	event->lengths[event->nr_params++] = (uint16_t)size_bytes;
}

static void add_u16(struct event *event, uint64_t value)
{
	uint8_t bytes[2];

	put_le16(bytes, (uint16_t)value);
	add_bytes(event, bytes, sizeof(bytes));
}

static void add_u32(struct event *event, uint64_t value)
{
	uint8_t bytes[4];

	put_le32(bytes, (uint32_t)value);
	add_bytes(event, bytes, sizeof(bytes));
}

static void add_u64(struct event *event, uint64_t value)
{
	uint8_t bytes[8];

	put_le64(bytes, value);
	add_bytes(event, bytes, sizeof(bytes));
}

/* The first fragment's bytes as the thread's path; false: the record has none. */
static bool take_path(const struct trap_view *view, struct thread *thread)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0, length;

	if (!trap_view_next_fragment(view, &position, &fragment, &bytes))
		return false;
	length = fragment.len_bytes < MAX_PATH - 1 ? fragment.len_bytes : MAX_PATH - 1;
	memcpy(thread->path, bytes, length);
	thread->path[length] = 0;
	return true;
}

static unsigned type_of(uint64_t nr, bool has_path)
{
	if (has_path)
		return EVENT_OPENAT;
	return nr == 0 ? EVENT_READ : nr == 1 ? EVENT_WRITE : nr == 3 ? EVENT_CLOSE : EVENT_GENERIC;
}

static unsigned fill_enter(struct event *event, const struct trap_view *view, struct thread *thread)
{
	const uint64_t *regs = view->regs;
	uint64_t nr = regs[TRAP_REG_RAX];
	unsigned type;

	thread->path[0] = 0;
	type = type_of(nr, take_path(view, thread));
	if (type == EVENT_GENERIC) {
		add_u16(event, nr % NR_NAMES);
		add_u16(event, nr);
		return type;
	}
	add_u64(event, regs[TRAP_REG_RDI]);
	if (type == EVENT_OPENAT)
		add_bytes(event, thread->path, strlen(thread->path) + 1);
	if (type != EVENT_CLOSE)
		add_u32(event, regs[TRAP_REG_RDX]);
	if (type == EVENT_OPENAT)
		add_u32(event, regs[TRAP_REG_R10]);
	return type;
}

static unsigned fill_exit(struct event *event, const struct trap_view *view, const struct thread *thread)
{
	static const uint8_t data[MAX_DATA];
	const uint64_t *regs = view->regs;
	uint64_t nr = regs[TRAP_REG_NR], result = regs[TRAP_REG_RAX];
	unsigned type = type_of(nr, thread->path[0]);

	if (type == EVENT_GENERIC) {
		add_u16(event, nr % NR_NAMES);
		return type + 1;
	}
	add_u64(event, result);
	if (type == EVENT_OPENAT) {
		add_u64(event, (uint64_t)-100);
		add_bytes(event, thread->path, strlen(thread->path) + 1);
		add_u32(event, 0);
		add_u32(event, 0);
		add_u32(event, 0);
	} else if (type != EVENT_CLOSE) {
		add_bytes(event, data, (int64_t)result > 0 ? result < MAX_DATA ? result : MAX_DATA : 0);
	}
	return type + 1;
}

/* Makes a block of what is in it: its type, its length, the body padded to 4, its length. */
static void put_block(struct byte_buffer *out, uint32_t type, const struct byte_buffer *body)
{
	uint32_t padding = -(uint32_t)body->size_bytes & 3, length = 12 + (uint32_t)body->size_bytes + padding;

	byte_buffer_add_u32(out, type);
	byte_buffer_add_u32(out, length);
	byte_buffer_add(out, body->data, body->size_bytes);
	byte_buffer_add(out, (const uint8_t[4]){0}, padding);
	byte_buffer_add_u32(out, length);
}

static void put_section(struct byte_buffer *out)
{
	struct byte_buffer body = {0};

	byte_buffer_add_u32(&body, BYTE_ORDER_IS);
	byte_buffer_add_u16(&body, 1);
	byte_buffer_add_u16(&body, 2);
	byte_buffer_add_u64(&body, UINT64_MAX); /* its length is not known */
	put_block(out, BLOCK_SECTION, &body);
	byte_buffer_deinit(&body);
}

/* False: it is no system call. */
static bool put_event(struct byte_buffer *out, struct byte_buffer *body, const struct trap_view *view)
{
	static struct event event;
	uint32_t tid = (uint32_t)view->regs[TRAP_REG_TASK_ID];
	struct thread *thread = &threads[tid & (NR_THREADS - 1)];
	unsigned type;

	if (view->header.type != TRAP_ENTER && view->header.type != TRAP_EXIT)
		return false;
	if (thread->tid != tid)
		*thread = (struct thread){.tid = tid};
	event.data.size_bytes = event.nr_params = 0;
	type = view->header.type == TRAP_ENTER ? fill_enter(&event, view, thread) : fill_exit(&event, view, thread);
	body->size_bytes = 0;
	byte_buffer_add_u16(body, view->header.vcpu);
	byte_buffer_add_u64(body, BEGAN_NS + view->header.tsc / 3);
	byte_buffer_add_u64(body, tid);
	byte_buffer_add_u32(body, (uint32_t)(26 + 2 * event.nr_params + event.data.size_bytes));
	byte_buffer_add_u16(body, (uint16_t)type);
	byte_buffer_add_u32(body, event.nr_params);
	for (unsigned i = 0; i < event.nr_params; i++)
		byte_buffer_add_u16(body, event.lengths[i]);
	byte_buffer_add(body, event.data.data, event.data.size_bytes);
	put_block(out, BLOCK_EVENT, body);
	return true;
}

static int flush(struct byte_buffer *out, FILE *file)
{
	if (out->bad)
		return -ENOMEM;
	if (fwrite(out->data, 1, out->size_bytes, file) != out->size_bytes)
		return -errno;
	out->size_bytes = 0;
	return 0;
}

static int write_all(const char *path, struct tape_cursor *cursor, uint64_t *count, struct tape_error *error)
{
	struct byte_buffer out = {0}, body = {0};
	FILE *file = fopen(path, "wb");
	struct trap_view view;
	int result = 0;

	if (!file)
		return -errno;
	put_section(&out);
	while ((result = tape_cursor_next(cursor, &view, error)) == 1) {
		*count += put_event(&out, &body, &view);
		if (out.size_bytes > FLUSH_BYTES && (result = flush(&out, file)))
			break;
	}
	if (!result)
		result = flush(&out, file);
	if (fclose(file) && !result)
		result = -errno;
	byte_buffer_deinit(&out);
	byte_buffer_deinit(&body);
	return result;
}

int main(int argc, char **argv)
{
	struct tape_error error = {0};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	uint64_t count = 0;
	int result;

	if (argc != 3) {
		fprintf(stderr, "usage: bench_scap_file FILE.vmt OUT.scap\n");
		return 2;
	}
	result = tape_reader_open(&reader, argv[1], &error);
	if (!result)
		result = tape_cursor_create(&cursor, reader, &error);
	if (result) {
		fprintf(stderr, "bench_scap_file: %s: %s\n", argv[1], error.message);
		return 2;
	}
	result = write_all(argv[2], cursor, &count, &error);
	if (result) {
		fprintf(stderr, "bench_scap_file: %s: %s\n", argv[2],
			*error.message ? error.message : strerror(-result));
		return 2;
	}
	printf("events %" PRIu64 "\n", count);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	return 0;
}
