/* SPDX-License-Identifier: MIT */
#include "call_fixture.h"

#include <string.h>

#include "check.h"

static uint64_t next_seq[FIXTURE_VCPUS];

static size_t put(uint8_t *out, const void *bytes, size_t n)
{
	memcpy(out, bytes, n);
	return n;
}

static size_t put_reg(uint8_t *out, uint32_t *mask, enum trap_reg reg, uint64_t value)
{
	*mask |= 1u << reg;
	return put(out, &value, sizeof(value));
}

/* Registers go lowest bit first. */
static size_t put_regs(uint8_t *out, const struct fixture_record *r, uint32_t *mask)
{
	bool enter = r->type == TRAP_ENTER, narrow = r->abi == TRAP_ABI_I386;
	uint8_t *at = out;

	if (r->type != TRAP_IDENTITY)
		at += put_reg(at, mask, TRAP_REG_RAX, enter ? r->nr : r->ret);
	if (enter && narrow)
		at += put_reg(at, mask, TRAP_REG_RCX, r->args[1]);
	if (enter)
		at += put_reg(at, mask, TRAP_REG_RDX, r->args[2]);
	if (enter && narrow)
		at += put_reg(at, mask, TRAP_REG_RBX, r->args[0]);
	if (r->type != TRAP_IDENTITY)
		at += put_reg(at, mask, TRAP_REG_RSP, r->rsp);
	if (enter && narrow) {
		at += put_reg(at, mask, TRAP_REG_RBP, 0);
		at += put_reg(at, mask, TRAP_REG_RSI, r->args[3]);
		at += put_reg(at, mask, TRAP_REG_RDI, 0);
	} else if (enter) {
		at += put_reg(at, mask, TRAP_REG_RSI, r->args[1]);
		at += put_reg(at, mask, TRAP_REG_RDI, r->args[0]);
		at += put_reg(at, mask, TRAP_REG_R8, r->args[4]);
		at += put_reg(at, mask, TRAP_REG_R9, r->args[5]);
		at += put_reg(at, mask, TRAP_REG_R10, r->args[3]);
	} else if (r->type == TRAP_EXIT && r->args[0]) {
		at += put_reg(at, mask, TRAP_REG_RDI, r->args[0]);
	}
	if (r->type != TRAP_IDENTITY)
		at += put_reg(at, mask, TRAP_REG_RIP, r->rip);
	at += put_reg(at, mask, TRAP_REG_CR3, r->cr3);
	if (r->task)
		at += put_reg(at, mask, TRAP_REG_TASK, r->task);
	if (r->task && r->tid)
		at += put_reg(at, mask, TRAP_REG_TASK_ID, (uint64_t)(uint32_t)r->pid << 32 | (uint32_t)r->tid);
	if (r->type == TRAP_EXIT && !(r->flags & TRAP_F_UNPAIRED))
		at += put_reg(at, mask, TRAP_REG_NR, r->nr);
	return (size_t)(at - out);
}

struct trap_view fixture_view(const struct fixture_record *r)
{
	static uint8_t raw[TRAP_RECORD_MAX_BYTES] __attribute__((aligned(8)));
	struct trap_record header = {
		.type = r->type,
		.abi = r->abi,
		.via = r->via,
		.flags = r->flags,
		.vcpu = r->vcpu,
		.nr_fragments = (uint16_t)r->nr_fragments,
		.tsc = r->tsc,
	};
	size_t at = sizeof(header);
	struct trap_view view;
	const char *why = "";

	CHECK(r->vcpu < FIXTURE_VCPUS);
	if (r->type == TRAP_GAP) {
		next_seq[r->vcpu] += r->gap.lost_records;
		at += put(raw + at, &r->gap, sizeof(r->gap));
	} else {
		at += put_regs(raw + at, r, &header.reg_mask);
	}
	header.seq = next_seq[r->vcpu]++;
	for (unsigned i = 0; i < r->nr_fragments; i++) {
		const struct fixture_fragment *f = &r->fragments[i];
		struct trap_fragment fragment = {
			.gva = f->gva,
			.want_bytes = f->want_bytes ? f->want_bytes : f->len_bytes,
			.len_bytes = f->len_bytes,
			.status = f->status,
			.label = f->label,
		};

		at += put(raw + at, &fragment, sizeof(fragment));
		at += put(raw + at, f->bytes, f->len_bytes);
		while (at % 8)
			raw[at++] = 0;
	}
	header.size_bytes = (uint32_t)at;
	put(raw, &header, sizeof(header));
	if (trap_view_parse(&view, raw, at, &why) != (int)at) {
		fprintf(stderr, "fixture: record is not valid: %s\n", why);
		exit(1);
	}
	return view;
}

struct fixture_record fixture_enter(uint64_t tsc, int32_t pid, int32_t tid, uint64_t nr)
{
	return (struct fixture_record){
		.type = TRAP_ENTER,
		.via = TRAP_VIA_SYSCALL,
		.tsc = tsc,
		.task = 0xffff888000000000ull + (uint64_t)tid * 0x1000,
		.pid = pid,
		.tid = tid,
		.nr = nr,
		.rip = 0x7f0000000000ull + nr * 16,
		.rsp = 0x7ffc00000000ull + (uint64_t)tid * 0x100000,
		.cr3 = 0x1000000ull + (uint64_t)pid * 0x2000,
	};
}

struct fixture_record fixture_exit(uint64_t tsc, int32_t pid, int32_t tid, uint64_t nr, int64_t ret)
{
	struct fixture_record r = fixture_enter(tsc, pid, tid, nr);

	r.type = TRAP_EXIT;
	r.via = TRAP_VIA_SYSRET;
	r.ret = (uint64_t)ret;
	return r;
}

/* ---- tapes ----------------------------------------------------------- */

void fixture_tape_init(struct fixture_tape *tape)
{
	*tape = (struct fixture_tape){0};
	memset(next_seq, 0, sizeof(next_seq));
}

void fixture_skip(uint16_t vcpu, uint64_t records)
{
	next_seq[vcpu] += records;
}

static void append(uint8_t **bytes, size_t *size_bytes, size_t *room, const void *more, size_t n)
{
	if (*size_bytes + n > *room) {
		*room = (*size_bytes + n) * 2;
		*bytes = realloc(*bytes, *room);
		CHECK(*bytes);
	}
	memcpy(*bytes + *size_bytes, more, n);
	*size_bytes += n;
}

void fixture_tape_add(struct fixture_tape *tape, const struct fixture_record *record)
{
	struct trap_view view = fixture_view(record);

	append(&tape->vcpus[record->vcpu].bytes, &tape->vcpus[record->vcpu].size_bytes, &tape->vcpus[record->vcpu].room,
	       view.raw, view.header.size_bytes);
	tape->records++;
	tape->lost += record->type == TRAP_GAP ? record->gap.lost_records : 0;
}

static int write_bytes(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		       void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	struct fixture_tape *tape = ctx;

	if (offset + size_bytes > tape->room) {
		tape->room = (offset + size_bytes) * 2;
		tape->bytes = realloc(tape->bytes, tape->room);
		CHECK(tape->bytes);
	}
	if (offset > tape->size_bytes)
		memset(tape->bytes + tape->size_bytes, 0, offset - tape->size_bytes);
	memcpy(tape->bytes + offset, buffer, size_bytes);
	if (offset + size_bytes > tape->size_bytes)
		tape->size_bytes = offset + size_bytes;
	done(done_ctx, buffer, (int)size_bytes);
	return 0;
}

static void write_clock(struct tape_writer *writer)
{
	struct tape_snapshot_info info = {.realtime_ns = FIXTURE_TIME_NS, .base = true, .pause_ns = 1500000};
	uint64_t regs[VCPU_REGS] = {0};
	struct tape_ram_range range = {0, TAPE_PAGE_BYTES};
	uint8_t page[TAPE_PAGE_BYTES] = {0};
	struct tape_pages *pages;

	info.vcpu_regs = regs;
	info.nr_vcpus = 1;
	info.nr_regs = VCPU_REGS;
	info.ranges = &range;
	info.nr_ranges = 1;
	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	CHECK_INT(tape_pages_add(pages, 0, page, NULL), 0);
	CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
	tape_pages_destroy(pages);
}

/* Chunks of whole records, none over the format's limit. */
static void write_vcpu(struct tape_writer *writer, uint16_t vcpu, const uint8_t *bytes, size_t size_bytes,
		       size_t chunk_bytes)
{
	static struct tape_encoder *encoder;
	struct tape_chunk *chunk;

	if (!encoder)
		CHECK_INT(tape_encoder_create(&encoder, 1, NULL), 0);
	while (size_bytes) {
		size_t n = 0;

		while (n < size_bytes) {
			uint32_t record_bytes;

			memcpy(&record_bytes, bytes + n, sizeof(record_bytes));
			if (n && n + record_bytes > chunk_bytes)
				break;
			n += record_bytes;
		}
		CHECK_INT(tape_encoder_traps(encoder, &chunk, vcpu, bytes, n, NULL), 0);
		CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
		bytes += n;
		size_bytes -= n;
	}
}

void fixture_tape_finish(struct fixture_tape *tape, bool with_clock)
{
	struct tape_sink sink = {.write = write_bytes, .ctx = tape};
	struct tape_totals totals = {tape->records, tape->lost, with_clock};
	struct tape_writer *writer;
	struct tape_chunk *meta;

	CHECK_INT(tape_writer_create(&writer, &sink, NULL), 0);
	if (with_clock) {
		CHECK_INT(tape_chunk_encode_meta(&meta, "tsc_hz=1000000000\nvm_name=fixture\n", NULL), 0);
		CHECK_INT(tape_writer_append(writer, meta, NULL), 0);
		write_clock(writer);
	}
	if (tape->plan) {
		CHECK_INT(tape_chunk_encode_plan(&meta, tape->plan, tape->plan_bytes, NULL), 0);
		CHECK_INT(tape_writer_append(writer, meta, NULL), 0);
	}
	for (uint16_t vcpu = 0; vcpu < FIXTURE_VCPUS; vcpu++)
		write_vcpu(writer, vcpu, tape->vcpus[vcpu].bytes, tape->vcpus[vcpu].size_bytes,
			   tape->chunk_bytes ? tape->chunk_bytes : 64 << 10);
	CHECK_INT(tape_writer_finish(writer, "stopped", &totals, NULL), 0);
	tape_writer_destroy(writer);
}

void fixture_tape_deinit(struct fixture_tape *tape)
{
	free(tape->bytes);
	for (unsigned i = 0; i < FIXTURE_VCPUS; i++)
		free(tape->vcpus[i].bytes);
}

struct session *fixture_session(const struct fixture_tape *tape)
{
	struct session_options options = {.assume_linux = true};
	struct session *session;

	FIXTURE_OK(session_open_memory(&session, tape->bytes, tape->size_bytes, &options));
	return session;
}
