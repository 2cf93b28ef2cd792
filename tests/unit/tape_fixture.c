/* SPDX-License-Identifier: MIT */
/* tape_fixture.c - see tape_fixture.h. */
#include "tape_fixture.h"

#include <errno.h>

#include "check.h"
#include "tape_key.h"

/* ---- file in memory -------------------------------------------------- */

struct fixture_write {
	struct fixture_write *next;
	uint64_t offset;
	void *buffer;
	size_t size_bytes;
	void (*done)(void *done_ctx, void *buffer, int result);
	void *done_ctx;
};

static int write_now(struct fixture_file *file, uint64_t offset, const void *buffer, size_t size_bytes)
{
	if (file->before_write)
		file->before_write(file->before_write_ctx, offset, buffer, size_bytes);
	if (file->fail_from && offset + size_bytes > file->fail_from)
		return -ENOSPC;
	if (offset + size_bytes > file->room_bytes) {
		file->room_bytes = (offset + size_bytes) * 2;
		file->bytes = realloc(file->bytes, file->room_bytes);
		CHECK(file->bytes);
	}
	if (offset > file->size_bytes)
		memset(file->bytes + file->size_bytes, 0, offset - file->size_bytes);
	memcpy(file->bytes + offset, buffer, size_bytes);
	if (offset + size_bytes > file->size_bytes)
		file->size_bytes = offset + size_bytes;
	return 0;
}

static int fixture_write(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
			 void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	struct fixture_file *file = ctx;
	struct fixture_write *write, **place = &file->waiting;

	if (!file->write_later) {
		done(done_ctx, buffer, write_now(file, offset, buffer, size_bytes));
		return 0;
	}
	write = malloc(sizeof(*write));
	CHECK(write);
	*write = (struct fixture_write){NULL, offset, buffer, size_bytes, done, done_ctx};
	while (*place)
		place = &(*place)->next;
	*place = write;
	return 0;
}

void fixture_complete(struct fixture_file *file)
{
	while (file->waiting) {
		struct fixture_write *write = file->waiting;

		file->waiting = write->next;
		write->done(write->done_ctx, write->buffer,
			    write_now(file, write->offset, write->buffer, write->size_bytes));
		free(write);
	}
}

static int fixture_read(void *ctx, uint64_t offset, void *buffer, size_t size_bytes)
{
	struct fixture_file *file = ctx;

	fixture_complete(file);
	if (offset > file->size_bytes || size_bytes > file->size_bytes - offset)
		return -EIO;
	memcpy(buffer, file->bytes + offset, size_bytes);
	return 0;
}

struct tape_sink fixture_sink(struct fixture_file *file)
{
	return (struct tape_sink){fixture_write, file, fixture_read};
}

void fixture_file_deinit(struct fixture_file *file)
{
	fixture_complete(file);
	free(file->bytes);
	*file = (struct fixture_file){0};
}

static struct tape_writer *create_writer(struct fixture_file *file, uint32_t slot_bytes, uint32_t nr_places,
					 uint64_t compat_features)
{
	const struct tape_sink sink = fixture_sink(file);
	struct tape_identity identity = {.version = TAPE_VERSION,
					 .slot_bytes = slot_bytes,
					 .compat_features = compat_features,
					 .required_features = nr_places ? TAPE_FEATURE_RING : 0,
					 .nr_places = nr_places};
	struct tape_writer *writer;

	for (unsigned i = 0; i < 16; i++)
		identity.uuid[i] = (uint8_t)(0xa0 + i);
	identity.created_ns = 1700000000000000000u;
	CHECK_INT(tape_writer_create_as(&writer, &sink, &identity, NULL), 0);
	return writer;
}

struct tape_writer *fixture_writer(struct fixture_file *file, uint32_t slot_bytes)
{
	return create_writer(file, slot_bytes, 0, 0);
}

struct tape_writer *fixture_ring_writer(struct fixture_file *file, uint32_t slot_bytes, uint32_t nr_places)
{
	return create_writer(file, slot_bytes, nr_places, nr_places ? TAPE_COMPAT_CHAIN : 0);
}

struct tape_writer *fixture_sealed_writer(struct fixture_file *file, uint32_t slot_bytes, const char *key_path)
{
	struct tape_writer *writer = create_writer(file, slot_bytes, 0, TAPE_COMPAT_CHAIN);
	struct tape_error error = {0};
	static struct tape_key *key;
	bool exposed;

	if (!key_path)
		return writer;
	/* One key serves all tapes, as the recorder's does; it lives as long as the program. */
	if (!key && tape_key_load(&key, key_path, &exposed, &error))
		fprintf(stderr, "%s\n", error.message);
	CHECK_INT(error.error, 0);
	CHECK_INT(tape_writer_sign_with(writer, key, NULL), 0);
	return writer;
}

/* ---- records --------------------------------------------------------- */

static void add_head(struct byte_buffer *out, uint32_t size_bytes, uint8_t type, uint16_t vcpu, uint16_t nr_fragments,
		     uint32_t reg_mask, uint64_t seq, uint64_t tsc)
{
	byte_buffer_add_u32(out, size_bytes);
	byte_buffer_add_u8(out, type);
	byte_buffer_add_u8(out, TRAP_ABI_X86_64);
	byte_buffer_add_u8(out, type == TRAP_ENTER  ? TRAP_VIA_SYSCALL
				: type == TRAP_EXIT ? TRAP_VIA_SYSRET
						    : TRAP_VIA_NONE);
	byte_buffer_add_u8(out, 0);
	byte_buffer_add_u16(out, vcpu);
	byte_buffer_add_u16(out, nr_fragments);
	byte_buffer_add_u32(out, reg_mask);
	byte_buffer_add_u64(out, seq);
	byte_buffer_add_u64(out, tsc);
}

void fixture_add_call(struct byte_buffer *out, const struct fixture_call *call)
{
	static const uint8_t argument_regs[] = {TRAP_REG_RDX, TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_R8,
						TRAP_REG_R9,  TRAP_REG_R10, TRAP_REG_RIP};
	size_t length = call->text ? strlen(call->text) : 0, padded = (length + 7) & ~(size_t)7;
	uint32_t mask = 1u << TRAP_REG_RAX | 1u << TRAP_REG_CR3 | 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID;
	uint32_t size_bytes;

	if (call->type == TRAP_ENTER)
		for (size_t i = 0; i < sizeof(argument_regs); i++)
			mask |= 1u << argument_regs[i];
	else
		mask |= 1u << TRAP_REG_NR;
	size_bytes = (uint32_t)(sizeof(struct trap_record) + 8u * (uint32_t)__builtin_popcount(mask) +
				(call->text ? sizeof(struct trap_fragment) + padded : 0));
	add_head(out, size_bytes, call->type, call->vcpu, !!call->text, mask, call->seq, call->tsc);
	for (unsigned reg = 0; reg < TRAP_REGS; reg++) {
		uint64_t value = 0x7f0000001000u + reg * 0x40 + call->nr * 8;

		if (!(mask >> reg & 1))
			continue;
		if (reg == TRAP_REG_RAX)
			value = call->type == TRAP_ENTER ? call->nr : call->nr * 3;
		else if (reg == TRAP_REG_NR)
			value = call->nr;
		else if (reg == TRAP_REG_CR3)
			value = call->cr3;
		else if (reg == TRAP_REG_TASK)
			value = 0xffff888000000000u + call->cr3;
		else if (reg == TRAP_REG_TASK_ID)
			value = (call->cr3 >> 12) | (call->cr3 >> 12) << 32;
		byte_buffer_add_u64(out, value);
	}
	if (call->text) {
		byte_buffer_add_u64(out, 0x7f0000001000u);
		byte_buffer_add_u32(out, 256);
		byte_buffer_add_u16(out, (uint16_t)length);
		byte_buffer_add_u8(out, TRAP_FRAG_WHOLE);
		byte_buffer_add_u8(out, PLAN_LABEL_ARG0);
		byte_buffer_add(out, call->text, length);
		byte_buffer_add(out, "\0\0\0\0\0\0\0", padded - length);
	}
}

void fixture_add_gap(struct byte_buffer *out, uint16_t vcpu, uint64_t seq, uint64_t tsc, const struct trap_gap *gap)
{
	add_head(out, sizeof(struct trap_record) + sizeof(*gap), TRAP_GAP, vcpu, 0, 0, seq, tsc);
	byte_buffer_add_u64(out, gap->lost_records);
	byte_buffer_add_u64(out, gap->first_seq);
	byte_buffer_add_u64(out, gap->first_tsc);
	byte_buffer_add_u64(out, gap->last_tsc);
}

void fixture_append_traps(struct tape_writer *writer, uint16_t vcpu, struct byte_buffer *records)
{
	/* Kept, as a recorder keeps it: one for each chunk took most of the time of a test of thousands. */
	static struct tape_encoder *encoder;
	struct tape_chunk *chunk;

	CHECK(!records->bad);
	if (!encoder)
		CHECK_INT(tape_encoder_create(&encoder, 1, NULL), 0);
	CHECK_INT(tape_encoder_traps(encoder, &chunk, vcpu, records->data, records->size_bytes, NULL), 0);
	CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
	records->size_bytes = 0;
}

void fixture_append_meta(struct tape_writer *writer, const char *text)
{
	struct tape_chunk *chunk;

	CHECK_INT(tape_chunk_encode_meta(&chunk, text, NULL), 0);
	CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
}

/* ---- a coder of pages ------------------------------------------------ */

static void run_newest(struct fixture_coder *coder)
{
	struct tape_page_job *job = coder->posted;

	coder->posted = *tape_page_job_next(job);
	tape_page_job_run(job);
}

static void post_job(void *ctx, struct tape_page_job *job)
{
	struct fixture_coder *coder = ctx;

	*tape_page_job_next(job) = coder->posted;
	coder->posted = job;
	if (fixture_random(&coder->random) % 3 == 0)
		run_newest(coder);
}

static void wait_job(void *ctx, struct tape_page_job *job)
{
	struct fixture_coder *coder = ctx;
	struct tape_page_job *at = coder->posted;

	while (at && at != job)
		at = *tape_page_job_next(at);
	for (bool waits = at; waits;) {
		waits = coder->posted != job;
		run_newest(coder);
	}
}

struct tape_page_coder fixture_page_coder(struct fixture_coder *coder)
{
	return (struct tape_page_coder){.max_jobs = 5, .post = post_job, .wait = wait_job, .ctx = coder};
}

/* ---- numbers and pages ----------------------------------------------- */

uint64_t fixture_random(uint64_t *state)
{
	uint64_t value = *state += 0x9e3779b97f4a7c15u;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

void fixture_page(uint8_t *page, uint64_t number)
{
	uint64_t state = number;

	memset(page, 0, TAPE_PAGE_BYTES);
	if (!number)
		return;
	for (size_t i = 0; i < TAPE_PAGE_BYTES; i += 8)
		put_le64(page + i, number & 1 ? fixture_random(&state) : number + i / 64);
}

void fixture_report(void *ctx, uint64_t offset, const char *message)
{
	struct fixture_report *report = ctx;

	if (report->count++ < 10 && report->loud)
		fprintf(stderr, "  offset %" PRIu64 ": %s\n", offset, message);
}
