/* SPDX-License-Identifier: MIT */
/*
 * tape_writer.c - places chunks in slots and hands them to the sink. Nothing
 * that was written is ever written again, so that a kill costs only what was
 * still on its way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <time.h>

#include "tape_private.h"
#include "tape_ring.h"
#include "tape_seal.h"

/* Shared with writes that are on their way: they may end after the writer. */
struct write_state {
	_Atomic unsigned references;
	_Atomic int error;
	_Atomic uint64_t error_offset;
};

struct write_on_its_way {
	struct write_state *state;
	uint64_t offset;
};

struct tape_writer {
	struct tape_sink sink;
	struct tape_identity identity;
	uint64_t tag;
	struct write_state *state;
	uint64_t slot_seq;   /* of the open slot, or of the next one */
	uint64_t slot_start; /* file offset of the slot's place */
	uint32_t position;   /* in the slot's place */
	bool slot_is_open;
	bool finished;
	uint32_t nr_chunks; /* in the slot */
	struct tape_index index;
	struct tape_ring *ring; /* NULL: slots are never overwritten */
	struct tape_seal seal;
	uint64_t size_bytes;
	struct {
		uint64_t chunks, records, pages, snapshots;
	} written;
};

static void write_state_put(struct write_state *state)
{
	if (atomic_fetch_sub(&state->references, 1) == 1)
		free(state);
}

static void write_state_fail(struct write_state *state, int error, uint64_t offset)
{
	int none = 0;

	/* Only the first error counts; its offset may be seen a moment later, as none. */
	if (atomic_compare_exchange_strong(&state->error, &none, error))
		atomic_store(&state->error_offset, offset);
}

static void write_done(void *done_ctx, void *buffer, int result)
{
	struct write_on_its_way *write = done_ctx;

	if (result < 0)
		write_state_fail(write->state, result, write->offset);
	write_state_put(write->state);
	free(buffer);
	free(write);
}

int tape_writer_check(const struct tape_writer *writer, struct tape_error *error)
{
	int code = atomic_load(&writer->state->error);

	if (!code)
		return 0;
	return tape_fail(error, code, atomic_load(&writer->state->error_offset), "writing the tape failed: %s",
			 strerror(-code));
}

/* Takes buffer. */
static int write_bytes(struct tape_writer *writer, uint64_t offset, void *buffer, size_t size_bytes,
		       struct tape_error *error)
{
	struct write_on_its_way *write = malloc(sizeof(*write));
	int result = -ENOMEM;

	if (write) {
		*write = (struct write_on_its_way){writer->state, offset};
		atomic_fetch_add(&writer->state->references, 1);
		result = writer->sink.write(writer->sink.ctx, offset, buffer, size_bytes, write_done, write);
	}
	if (result < 0) {
		if (write)
			write_state_put(writer->state);
		write_state_fail(writer->state, result, offset);
		free(write);
		free(buffer);
	} else if (offset + size_bytes > writer->size_bytes) {
		writer->size_bytes = offset + size_bytes;
	}
	return tape_writer_check(writer, error);
}

uint64_t tape_writer_size_bytes(const struct tape_writer *writer)
{
	return writer->size_bytes;
}

uint32_t tape_writer_slot_bytes(const struct tape_writer *writer)
{
	return writer->identity.slot_bytes;
}

struct tape_ring *tape_writer_ring(struct tape_writer *writer)
{
	return writer->ring;
}

static int write_file_header(struct tape_writer *writer, struct tape_error *error)
{
	uint8_t *bytes = malloc(TAPE_FILE_HEADER_BYTES);
	int result;

	if (!bytes)
		return tape_fail(error, -ENOMEM, 0, "no memory for the file header");
	tape_put_file_header(bytes, &writer->identity);
	result = tape_seal_start(&writer->seal, &writer->identity, bytes, error);
	if (result) {
		free(bytes);
		return result;
	}
	return write_bytes(writer, 0, bytes, TAPE_FILE_HEADER_BYTES, error);
}

int tape_writer_create_as(struct tape_writer **out, const struct tape_sink *sink, const struct tape_identity *identity,
			  struct tape_error *error)
{
	struct tape_writer *writer = calloc(1, sizeof(*writer));
	int result;

	if (writer)
		writer->state = calloc(1, sizeof(*writer->state));
	if (!writer || !writer->state) {
		free(writer);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a tape writer");
	}
	atomic_init(&writer->state->references, 1);
	atomic_init(&writer->state->error, 0);
	atomic_init(&writer->state->error_offset, TAPE_NO_OFFSET);
	writer->sink = *sink;
	writer->identity = *identity;
	writer->tag = tape_tag(identity->uuid);
	result = identity->nr_places ? tape_ring_create(&writer->ring, sink, identity, error) : 0;
	if (!result)
		result = write_file_header(writer, error);
	if (result) {
		tape_writer_destroy(writer);
		return result;
	}
	*out = writer;
	return 0;
}

static int create_new(struct tape_writer **out, const struct tape_sink *sink, struct tape_identity *identity,
		      struct tape_error *error)
{
	struct timespec now;

	if (getrandom(identity->uuid, sizeof(identity->uuid), 0) != sizeof(identity->uuid))
		return tape_fail(error, -EIO, TAPE_NO_OFFSET, "no random numbers for the tape's uuid");
	identity->uuid[6] = (identity->uuid[6] & 0x0f) | 0x40; /* RFC 9562, version 4 */
	identity->uuid[8] = (identity->uuid[8] & 0x3f) | 0x80;
	clock_gettime(CLOCK_REALTIME, &now);
	identity->created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return tape_writer_create_as(out, sink, identity, error);
}

int tape_writer_create(struct tape_writer **out, const struct tape_sink *sink, struct tape_error *error)
{
	struct tape_identity identity = {
		.version = TAPE_VERSION, .slot_bytes = TAPE_SLOT_BYTES, .compat_features = TAPE_COMPAT_CHAIN};

	return create_new(out, sink, &identity, error);
}

int tape_writer_create_ring(struct tape_writer **out, const struct tape_sink *sink, uint64_t ring_bytes,
			    struct tape_error *error)
{
	struct tape_identity identity = {.version = TAPE_VERSION,
					 .slot_bytes = TAPE_SLOT_BYTES,
					 .compat_features = TAPE_COMPAT_CHAIN,
					 .required_features = TAPE_FEATURE_RING,
					 .nr_places = (uint32_t)(ring_bytes / TAPE_SLOT_BYTES)};

	if (ring_bytes < TAPE_RING_MIN_BYTES || ring_bytes > TAPE_RING_MAX_BYTES || !sink->read)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET,
				 "a ring tape of %" PRIu64
				 " bytes cannot be: from %llu to %llu, in a file that can be read",
				 ring_bytes, TAPE_RING_MIN_BYTES, TAPE_RING_MAX_BYTES);
	return create_new(out, sink, &identity, error);
}

void tape_writer_destroy(struct tape_writer *writer)
{
	if (!writer)
		return;
	tape_ring_destroy(writer->ring);
	tape_index_deinit(&writer->index);
	write_state_put(writer->state);
	free(writer);
}

/* ---- slots ----------------------------------------------------------- */

static int open_slot(struct tape_writer *writer, struct tape_error *error)
{
	struct tape_slot_header header = {.identity = writer->identity, .seq = writer->slot_seq};
	uint64_t place = writer->slot_seq;
	uint8_t *bytes = malloc(TAPE_SLOT_HEADER_BYTES);

	if (writer->ring) {
		place %= writer->identity.nr_places;
		header.first_snapshot = tape_ring_first_snapshot(writer->ring, writer->slot_seq);
	}
	writer->slot_start = place * writer->identity.slot_bytes;
	if (!bytes)
		return tape_fail(error, -ENOMEM, writer->slot_start, "no memory for a slot header");
	tape_put_slot_header(bytes, &header);
	tape_seal_open_slot(&writer->seal, bytes);
	writer->position = writer->slot_start ? 0 : TAPE_FILE_HEADER_BYTES;
	writer->nr_chunks = 0;
	tape_index_reset(&writer->index, writer->identity.slot_bytes);
	writer->slot_is_open = true;
	writer->position += TAPE_SLOT_HEADER_BYTES;
	return write_bytes(writer, writer->slot_start + writer->position - TAPE_SLOT_HEADER_BYTES, bytes,
			   TAPE_SLOT_HEADER_BYTES, error);
}

/* Takes chunk; the caller knows that it fits. */
static int place(struct tape_writer *writer, struct tape_chunk *chunk, struct tape_error *error)
{
	uint64_t offset = writer->slot_start + writer->position;
	size_t size_bytes = tape_chunk_bytes(&chunk->header);
	uint8_t *buffer = chunk->buffer;

	if (writer->ring && tape_ring_chunk_placed(writer->ring, writer->position, chunk)) {
		tape_chunk_destroy(chunk);
		return tape_fail(error, -ENOMEM, offset, "no memory for what a ring tape must keep");
	}
	chunk->header.tag = writer->tag;
	chunk->header.slot_seq = (uint32_t)writer->slot_seq;
	chunk->header.number = writer->nr_chunks++;
	tape_put_chunk_header(buffer, &chunk->header);
	tape_seal_add(&writer->seal, chunk);
	writer->position += (uint32_t)size_bytes;
	writer->written.chunks += chunk->header.type != TAPE_CHUNK_INDEX;
	if (tape_has_events(&chunk->header))
		writer->written.records += chunk->header.nr_items;
	else if (chunk->header.type == TAPE_CHUNK_PAGES)
		writer->written.pages += chunk->header.nr_items;
	else if (chunk->header.type == TAPE_CHUNK_SNAPSHOT)
		writer->written.snapshots++;
	chunk->buffer = NULL;
	tape_chunk_destroy(chunk);
	return write_bytes(writer, offset, buffer, size_bytes, error);
}

/* Signs what is not signed yet: its room was kept. */
static int place_signature(struct tape_writer *writer, struct tape_error *error)
{
	struct tape_chunk *chunk;
	int result;

	if (!tape_seal_unsigned_ms(&writer->seal))
		return 0;
	result = tape_seal_encode(&writer->seal, writer->slot_seq, writer->nr_chunks, &chunk, error);
	if (!result && tape_index_add(&writer->index, chunk, writer->position)) {
		tape_chunk_destroy(chunk);
		result = tape_fail(error, -ENOMEM, writer->size_bytes, "no memory for the index of a slot");
	}
	return result ? result : place(writer, chunk, error);
}

/* Writes the last signature and the index behind the last chunk; *index_offset: where it is in the slot's place. */
static int write_index(struct tape_writer *writer, uint32_t *index_offset, struct tape_error *error)
{
	struct tape_chunk_header header = {.type = TAPE_CHUNK_INDEX, .vcpu = TAPE_NO_VCPU};
	struct byte_buffer payload = {0};
	struct tape_chunk *chunk = NULL;
	int result = place_signature(writer, error);

	if (result)
		return result;
	header.nr_items = writer->index.nr_entries;
	tape_index_encode(&writer->index, &payload);
	if (payload.bad)
		result = tape_fail(error, -ENOMEM, writer->slot_start, "no memory for the index of a slot");
	else
		result = tape_chunk_encode(&chunk, &header, payload.data, payload.size_bytes, 0, error);
	byte_buffer_deinit(&payload);
	if (result)
		return result;
	*index_offset = writer->position;
	return place(writer, chunk, error);
}

static int close_slot(struct tape_writer *writer, struct tape_error *error)
{
	uint64_t offset = writer->slot_start + writer->identity.slot_bytes - TAPE_SLOT_TRAILER_BYTES;
	uint32_t index_offset = 0;
	uint8_t *trailer;
	int result = write_index(writer, &index_offset, error);

	if (result)
		return result;
	trailer = malloc(TAPE_SLOT_TRAILER_BYTES);
	if (!trailer)
		return tape_fail(error, -ENOMEM, offset, "no memory for a slot trailer");
	tape_put_slot_trailer(trailer, writer->tag, writer->slot_seq, index_offset);
	writer->slot_is_open = false;
	writer->slot_seq++;
	return write_bytes(writer, offset, trailer, TAPE_SLOT_TRAILER_BYTES, error);
}

/* With more_bytes behind it? */
static bool fits(const struct tape_writer *writer, const struct tape_chunk *chunk, size_t more_bytes)
{
	uint64_t end = writer->position + tape_chunk_bytes(&chunk->header) + more_bytes + TAPE_CHUNK_HEADER_BYTES +
		       tape_index_bound(&writer->index, chunk) + 8 + TAPE_SLOT_TRAILER_BYTES;
	uint32_t reserve_bytes = tape_seal_reserve_bytes(&writer->seal);

	return end + reserve_bytes <= writer->identity.slot_bytes &&
	       writer->nr_chunks + !!reserve_bytes < TAPE_SLOT_MAX_CHUNKS;
}

/* Takes chunk, which fits. */
static int list_and_place(struct tape_writer *writer, struct tape_chunk *chunk, struct tape_error *error)
{
	if (!tape_index_add(&writer->index, chunk, writer->position))
		return place(writer, chunk, error);
	tape_chunk_destroy(chunk);
	return tape_fail(error, -ENOMEM, writer->size_bytes, "no memory for the index of a slot");
}

/*
 * What older slots hand on goes first, with room left for the next chunk, and for
 * more of them, so that slots which are needed whole and others come to mix.
 * When the next place to be taken is not clean by then, that comes before all.
 */
static int place_carried(struct tape_writer *writer, const struct tape_chunk *next, struct tape_error *error)
{
	size_t next_bytes = tape_chunk_bytes(&next->header) + tape_index_bound(&writer->index, next);
	uint32_t limit = writer->identity.slot_bytes / 4 * 3;
	const struct tape_chunk *carried;
	int result = 0;

	while (!result && (writer->position < limit || tape_ring_is_pressed(writer->ring))) {
		result = tape_ring_next(writer->ring, &carried, error);
		if (result || !carried || !fits(writer, carried, tape_ring_ahead(writer->ring) ? next_bytes : 0))
			break;
		result = list_and_place(writer, tape_ring_take(writer->ring), error);
	}
	return result;
}

/*
 * Who runs, so that this slot can be the oldest one. Where a slot is so small
 * that the next chunk would not fit behind that, it begins without it.
 */
static int place_tasks(struct tape_writer *writer, const struct tape_chunk *next, struct tape_error *error)
{
	size_t next_bytes = tape_chunk_bytes(&next->header) + tape_index_bound(&writer->index, next);
	struct tape_chunk *chunk;
	int result = tape_ring_tasks(writer->ring, &chunk, error);

	if (result || !chunk)
		return result;
	if (fits(writer, chunk, next_bytes))
		return list_and_place(writer, chunk, error);
	tape_chunk_destroy(chunk);
	return 0;
}

static int next_slot(struct tape_writer *writer, const struct tape_chunk *chunk, struct tape_error *error)
{
	int result = writer->slot_is_open ? close_slot(writer, error) : 0;

	if (!result)
		result = open_slot(writer, error);
	if (!result && !fits(writer, chunk, 0))
		result = tape_fail(error, -EMSGSIZE, writer->size_bytes,
				   "%s chunk of %zu bytes does not fit in a slot of %u",
				   tape_type_name(chunk->header.type), tape_chunk_stored_bytes(chunk),
				   writer->identity.slot_bytes);
	if (result || !writer->ring)
		return result;
	tape_ring_slot_opened(writer->ring, writer->slot_seq);
	result = place_tasks(writer, chunk, error);
	return result ? result : place_carried(writer, chunk, error);
}

/*
 * Room for the chunk, in the open slot or a new one. In a ring tape, slots that
 * are needed whole are passed on until one comes that is not; where there is
 * none, old pages give way.
 */
static int make_room(struct tape_writer *writer, const struct tape_chunk *chunk, struct tape_error *error)
{
	int result = 0;

	for (uint32_t passed = 0; !result && !(writer->slot_is_open && fits(writer, chunk, 0)); passed++) {
		if (passed && (passed > writer->identity.nr_places || tape_ring_is_overfull(writer->ring)))
			tape_ring_give_up_pages(writer->ring);
		result = next_slot(writer, chunk, error);
	}
	return result;
}

int tape_writer_append(struct tape_writer *writer, struct tape_chunk *chunk, struct tape_error *error)
{
	int result = tape_writer_check(writer, error);

	if (!result && writer->finished)
		result = tape_fail(error, -EINVAL, writer->size_bytes, "the tape is finished");
	if (!result)
		result = make_room(writer, chunk, error);
	if (result) {
		tape_chunk_destroy(chunk);
		return result;
	}
	result = list_and_place(writer, chunk, error);
	if (!result && tape_writer_unsigned_ms(writer) >= TAPE_SIGN_MS)
		result = place_signature(writer, error);
	return result;
}

/* ---- signing --------------------------------------------------------- */

int tape_writer_sign_with(struct tape_writer *writer, const struct tape_key *key, struct tape_error *error)
{
	/* Slots keep room for their signatures from the first chunk on. */
	if (!writer->seal.on || writer->slot_seq || writer->slot_is_open)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "this tape can't be signed, or not any more");
	writer->seal.key = key;
	return 0;
}

uint64_t tape_writer_unsigned_ms(const struct tape_writer *writer)
{
	return tape_seal_unsigned_ms(&writer->seal);
}

int tape_writer_sign(struct tape_writer *writer, struct tape_error *error)
{
	int result = tape_writer_check(writer, error);

	return result || writer->finished ? result : place_signature(writer, error);
}

void tape_writer_chain(const struct tape_writer *writer, uint8_t value[TAPE_CHAIN_BYTES])
{
	memcpy(value, writer->seal.value, TAPE_CHAIN_BYTES);
}

/* ---- end ------------------------------------------------------------- */

int tape_writer_finish(struct tape_writer *writer, const char *reason, const struct tape_totals *totals,
		       struct tape_error *error)
{
	const struct tape_chunk_header header = {.type = TAPE_CHUNK_END, .vcpu = TAPE_NO_VCPU};
	struct byte_buffer payload = {0};
	struct tape_chunk *chunk = NULL;
	uint32_t index_offset;
	int result;

	byte_buffer_add_u64(&payload, totals->records);
	byte_buffer_add_u64(&payload, totals->lost_records);
	byte_buffer_add_u64(&payload, totals->snapshots);
	byte_buffer_add_u64(&payload, writer->written.chunks);
	byte_buffer_add_u64(&payload, writer->written.records);
	byte_buffer_add_u64(&payload, writer->written.pages);
	byte_buffer_add_u64(&payload, writer->written.snapshots);
	byte_buffer_add_u64(&payload, 0);
	byte_buffer_add(&payload, reason, strnlen(reason, 1024));
	if (payload.bad)
		result = tape_fail(error, -ENOMEM, writer->size_bytes, "no memory for the end chunk");
	else
		result = tape_chunk_encode(&chunk, &header, payload.data, payload.size_bytes, 0, error);
	byte_buffer_deinit(&payload);
	if (!result)
		result = tape_writer_append(writer, chunk, error);
	if (!result)
		result = write_index(writer, &index_offset, error);
	if (!result)
		writer->finished = true;
	return result;
}
