/* SPDX-License-Identifier: MIT */
/* seal_fixture.c - see seal_fixture.h. */
#include "seal_fixture.h"

static void note(void *ctx, uint64_t offset, const char *message)
{
	struct seal_said *said = ctx;
	struct tape_reported reported;
	size_t length = strlen(said->text);

	said->count += strncmp(message, "cut off: ", 9) != 0;
	snprintf(said->text + length, sizeof(said->text) - length, "%s\n", message);
	tape_reader_reported(said->reader, offset, &reported);
	if (strstr(message, "altered")) {
		said->from = reported.from;
		said->to = reported.to;
		said->first_tsc = reported.first_tsc;
		said->last_tsc = reported.last_tsc;
	}
}

struct seal_said seal_verify(const struct fixture_file *file, const uint8_t *key, const uint8_t *value)
{
	struct seal_said said = {0};

	CHECK_INT(tape_reader_open_memory(&said.reader, file->bytes, file->size_bytes, NULL), 0);
	tape_reader_expect(said.reader, key, value);
	tape_reader_verify(said.reader, note, &said);
	said.seal = *tape_reader_seal(said.reader);
	tape_reader_close(said.reader);
	return said;
}

/* ---- tapes ----------------------------------------------------------- */

/* One chunk of records, of which salt makes other contents. */
static void append_records(struct tape_writer *writer, uint64_t number, uint64_t salt)
{
	struct byte_buffer records = {0};

	for (uint64_t seq = number * 4; seq < number * 4 + 4; seq++)
		fixture_add_call(&records, &(struct fixture_call){.type = seq & 1 ? TRAP_EXIT : TRAP_ENTER,
								  .seq = seq,
								  .tsc = 1000 + seq * 10,
								  .nr = (seq + salt) % 300,
								  .cr3 = 0x1000});
	fixture_append_traps(writer, 0, &records);
	byte_buffer_deinit(&records);
}

void seal_append_filler(struct tape_writer *writer, uint64_t number, size_t size_bytes, uint64_t salt)
{
	static char text[SEAL_SLOT_BYTES];
	size_t length = (size_t)snprintf(text, sizeof(text), "filler%" PRIu64 "=%" PRIu64, number, salt);

	memset(text + length, 'a', size_bytes - length);
	text[size_bytes] = 0;
	fixture_append_meta(writer, text);
}

void seal_write_tape(struct fixture_file *file, const char *key_path, uint64_t salt)
{
	struct tape_writer *writer = fixture_sealed_writer(file, SEAL_SLOT_BYTES, key_path);

	for (uint64_t slot = 0; slot < SEAL_SLOTS; slot++) {
		seal_append_filler(writer, 2 * slot, SEAL_SLOT_BYTES / 2, salt);
		append_records(writer, 2 * slot, salt);
		CHECK_INT(!!tape_writer_unsigned_ms(writer), !!key_path);
		CHECK_INT(tape_writer_sign(writer, NULL), 0);
		CHECK_INT(tape_writer_unsigned_ms(writer), 0);
		seal_append_filler(writer, 2 * slot + 1, slot + 1 < SEAL_SLOTS ? SEAL_SLOT_BYTES / 4 : 100, salt);
		append_records(writer, 2 * slot + 1, salt);
	}
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){SEAL_SLOTS * 8, 0, 0}, NULL), 0);
	tape_writer_destroy(writer);
	CHECK(file->size_bytes > (SEAL_SLOTS - 1) * SEAL_SLOT_BYTES && file->size_bytes < SEAL_SLOTS * SEAL_SLOT_BYTES);
}

void seal_copy(struct fixture_file *out, const struct fixture_file *file)
{
	*out = (struct fixture_file){.bytes = malloc(file->size_bytes), .size_bytes = file->size_bytes};
	CHECK(out->bytes);
	memcpy(out->bytes, file->bytes, file->size_bytes);
}

size_t seal_find_chunk(const struct fixture_file *file, size_t place, uint16_t type, unsigned index,
		       struct tape_chunk_header *header)
{
	for (size_t offset = place * SEAL_SLOT_BYTES; offset + TAPE_CHUNK_HEADER_BYTES <= file->size_bytes; offset += 8)
		if (tape_get_chunk_header(file->bytes + offset, header) && header->type == type && !index--)
			return offset;
	CHECK(!"no such chunk");
	return 0;
}

void seal_mend_chunk(struct fixture_file *file, size_t offset, uint64_t slot_seq)
{
	struct tape_chunk_header header;

	CHECK(tape_get_chunk_header(file->bytes + offset, &header));
	header.slot_seq = (uint32_t)slot_seq;
	header.payload_hash = tape_hash(file->bytes + offset + TAPE_CHUNK_HEADER_BYTES, header.stored_bytes);
	tape_put_chunk_header(file->bytes + offset, &header);
}
