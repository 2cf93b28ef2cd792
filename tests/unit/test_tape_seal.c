/* SPDX-License-Identifier: MIT */
/*
 * test_tape_seal.c - tapes with a hash chain, signed and not: whole, with every
 * byte flipped, and as a forger leaves them who knows the format and mends
 * every checksum. Each thing that was done is named by verify.
 */
#include <errno.h>
#include <unistd.h>

#include "check.h"
#include "tape_fixture.h"
#include "tape_key.h"
#include "tape_seal.h"

#define SLOT_BYTES (16u << 10)
#define KEY_PATH   "golden/test-sign-key.pem"
#define NR_SLOTS   4u

/* ---- what verify says ------------------------------------------------ */

struct said {
	struct tape_reader *reader;
	struct tape_seal_info seal;
	uint64_t count;
	char text[8192];                        /* a line each */
	uint64_t from, to, first_tsc, last_tsc; /* of the last one that tells of a break */
};

static void note(void *ctx, uint64_t offset, const char *message)
{
	struct said *said = ctx;
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

static struct said verify(const struct fixture_file *file, const uint8_t *key, const uint8_t *value)
{
	struct said said = {0};

	CHECK_INT(tape_reader_open_memory(&said.reader, file->bytes, file->size_bytes, NULL), 0);
	tape_reader_expect(said.reader, key, value);
	tape_reader_verify(said.reader, note, &said);
	said.seal = *tape_reader_seal(said.reader);
	tape_reader_close(said.reader);
	return said;
}

#define CHECK_SAID(said, what)                                                                            \
	do {                                                                                              \
		if (!strstr((said).text, what)) {                                                         \
			fprintf(stderr, "%s:%d: \"%s\" was not said, but:\n%s", __FILE__, __LINE__, what, \
				(said).text);                                                             \
			exit(1);                                                                          \
		}                                                                                         \
	} while (0)

#define CHECK_SOUND(said)                                                                          \
	do {                                                                                       \
		if ((said).count) {                                                                \
			fprintf(stderr, "%s:%d: not sound:\n%s", __FILE__, __LINE__, (said).text); \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

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

/* A text that fills a good part of a slot. */
static void append_filler(struct tape_writer *writer, uint64_t number, size_t size_bytes, uint64_t salt)
{
	static char text[SLOT_BYTES];
	size_t length = (size_t)snprintf(text, sizeof(text), "filler%" PRIu64 "=%" PRIu64, number, salt);

	memset(text + length, 'a', size_bytes - length);
	text[size_bytes] = 0;
	fixture_append_meta(writer, text);
}

/* NR_SLOTS slots, the last one open; each: filler, records, filler, records, with a signature in between. */
static void write_tape(struct fixture_file *file, const char *key_path, uint64_t salt)
{
	struct tape_writer *writer = fixture_sealed_writer(file, SLOT_BYTES, key_path);

	for (uint64_t slot = 0; slot < NR_SLOTS; slot++) {
		append_filler(writer, 2 * slot, SLOT_BYTES / 2, salt);
		append_records(writer, 2 * slot, salt);
		CHECK_INT(!!tape_writer_unsigned_ms(writer), !!key_path);
		CHECK_INT(tape_writer_sign(writer, NULL), 0);
		CHECK_INT(tape_writer_unsigned_ms(writer), 0);
		append_filler(writer, 2 * slot + 1, slot + 1 < NR_SLOTS ? SLOT_BYTES / 4 : 100, salt);
		append_records(writer, 2 * slot + 1, salt);
	}
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){NR_SLOTS * 8, 0, 0}, NULL), 0);
	tape_writer_destroy(writer);
	CHECK(file->size_bytes > (NR_SLOTS - 1) * SLOT_BYTES && file->size_bytes < NR_SLOTS * SLOT_BYTES);
}

static void copy(struct fixture_file *out, const struct fixture_file *file)
{
	*out = (struct fixture_file){.bytes = malloc(file->size_bytes), .size_bytes = file->size_bytes};
	CHECK(out->bytes);
	memcpy(out->bytes, file->bytes, file->size_bytes);
}

/* The index-th chunk of this type in a slot's place; its offset in the file. */
static size_t find_chunk(const struct fixture_file *file, size_t place, uint16_t type, unsigned index,
			 struct tape_chunk_header *header)
{
	for (size_t offset = place * SLOT_BYTES; offset + TAPE_CHUNK_HEADER_BYTES <= file->size_bytes; offset += 8)
		if (tape_get_chunk_header(file->bytes + offset, header) && header->type == type && !index--)
			return offset;
	CHECK(!"no such chunk");
	return 0;
}

/* Mends the sums of a chunk, and its slot number. */
static void mend_chunk(struct fixture_file *file, size_t offset, uint64_t slot_seq)
{
	struct tape_chunk_header header;

	CHECK(tape_get_chunk_header(file->bytes + offset, &header));
	header.slot_seq = (uint32_t)slot_seq;
	header.payload_hash = tape_hash(file->bytes + offset + TAPE_CHUNK_HEADER_BYTES, header.stored_bytes);
	tape_put_chunk_header(file->bytes + offset, &header);
}

/* What is wrong is told, and that its events lie where this chunk of records does. */
static void check_altered(const struct said *said, size_t offset, const struct tape_chunk_header *records)
{
	CHECK_INT(said->count, 1);
	CHECK(said->from <= offset && offset < said->to);
	CHECK_INT(said->seal.nr_breaks, 1);
	CHECK(said->first_tsc <= records->min_tsc && said->last_tsc >= records->max_tsc);
}

/* ---- tests ----------------------------------------------------------- */

static void test_whole(const struct fixture_file *signed_tape, const struct fixture_file *chained)
{
	struct said said = verify(signed_tape, NULL, NULL);
	uint8_t other_key[TAPE_PUBLIC_KEY_BYTES] = {1}, key[TAPE_PUBLIC_KEY_BYTES], value[TAPE_CHAIN_BYTES];
	struct tape_chunk_header header;

	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 2 * NR_SLOTS);
	CHECK_INT(said.seal.nr_breaks, 0);
	CHECK_INT(said.seal.unsigned_chunks, 0);
	CHECK_INT(said.seal.end_offset, signed_tape->size_bytes);
	CHECK_INT(tape_public_key_load(key, "golden/test-sign-pub.pem", NULL), 0);
	CHECK(!memcmp(key, said.seal.public_key, sizeof(key)));
	memcpy(value, said.seal.value, sizeof(value));
	said = verify(signed_tape, key, value);
	CHECK_SOUND(said);

	/* A value from the middle, as somebody noted it. */
	CHECK_INT(find_chunk(signed_tape, 2, TAPE_CHUNK_META, 0, &header), 2 * SLOT_BYTES + TAPE_SLOT_HEADER_BYTES);
	said = verify(signed_tape, key, signed_tape->bytes + 2 * SLOT_BYTES + TAPE_SLOT_CHAIN_OFFSET);
	CHECK_SOUND(said);
	value[0] ^= 1;
	said = verify(signed_tape, key, value);
	CHECK_INT(said.count, 1);
	CHECK_SAID(said, "never has the value");

	said = verify(signed_tape, other_key, NULL);
	CHECK_SAID(said, "signatures by another key, 37e9dcdb");
	CHECK_SAID(said, "no good signature of the key");

	said = verify(chained, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 0);
	said = verify(chained, key, NULL);
	CHECK_INT(said.count, 1);
	CHECK_SAID(said, "no good signature of the key");
}

/* A tape without the chain is what it was; a key can't be had of it. */
static void test_no_chain(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	uint8_t key[TAPE_PUBLIC_KEY_BYTES] = {0};
	struct tape_key *secret;
	struct tape_error error;
	struct said said;
	bool exposed;

	CHECK_INT(tape_key_load(&secret, KEY_PATH, &exposed, NULL), 0);
	CHECK_INT(tape_writer_sign_with(writer, secret, &error), -EINVAL);
	tape_key_destroy(secret);
	fixture_append_meta(writer, "a=1");
	CHECK_INT(tape_writer_unsigned_ms(writer), 0);
	CHECK_INT(tape_writer_sign(writer, NULL), 0);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	tape_writer_destroy(writer);
	said = verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	said = verify(&file, key, NULL);
	CHECK_SAID(said, "no hash chain");
	fixture_file_deinit(&file);

	/* Too late for a key. */
	writer = fixture_sealed_writer(&file, SLOT_BYTES, NULL);
	fixture_append_meta(writer, "a=1");
	CHECK_INT(tape_key_load(&secret, KEY_PATH, &exposed, NULL), 0);
	CHECK_INT(tape_writer_sign_with(writer, secret, &error), -EINVAL);
	tape_key_destroy(secret);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

/* What is older than a second is signed with the next chunk. */
static void test_age(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_sealed_writer(&file, SLOT_BYTES, KEY_PATH);
	struct said said;

	fixture_append_meta(writer, "a=1");
	CHECK(tape_writer_unsigned_ms(writer) > 0);
	usleep(1010000);
	CHECK(tape_writer_unsigned_ms(writer) > TAPE_SIGN_MS);
	fixture_append_meta(writer, "b=2");
	CHECK_INT(tape_writer_unsigned_ms(writer), 0);
	said = verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 1);
	CHECK_INT(said.seal.unsigned_chunks, 0);
	fixture_append_meta(writer, "c=3");
	fixture_append_meta(writer, "d=4");
	said = verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_SAID(said, "cut off: 2 chunks");
	CHECK_SAID(said, "behind the last signature are not signed");
	CHECK_INT(said.seal.unsigned_chunks, 2);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	tape_writer_destroy(writer);
	said = verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 2);
	fixture_file_deinit(&file);
}

/* Small chunks fill slots to the last byte: the signature's room is there in each, whatever their size. */
static void test_full_slots(void)
{
	for (size_t size_bytes = 24; size_bytes < 400; size_bytes += 37) {
		struct fixture_file file = {0};
		struct tape_writer *writer = fixture_sealed_writer(&file, SLOT_BYTES, KEY_PATH);
		struct said said;

		for (unsigned i = 0; file.size_bytes < 3 * SLOT_BYTES; i++) {
			append_filler(writer, i, size_bytes, 0);
			if (i % 11 == 0)
				CHECK_INT(tape_writer_sign(writer, NULL), 0);
		}
		CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
		tape_writer_destroy(writer);
		said = verify(&file, NULL, NULL);
		CHECK_SOUND(said);
		CHECK(said.seal.nr_signatures >= 4);
		fixture_file_deinit(&file);
	}
}

/* Between INDEX and trailer nothing is written, and nothing is read. */
static bool is_unused(const struct fixture_file *file, size_t offset)
{
	size_t place = offset / SLOT_BYTES, trailer = (place + 1) * SLOT_BYTES - TAPE_SLOT_TRAILER_BYTES;
	struct tape_chunk_header header;
	size_t index = find_chunk(file, place, TAPE_CHUNK_INDEX, 0, &header);

	return offset >= index + tape_chunk_bytes(&header) && offset < trailer;
}

static void test_flip_everywhere(struct fixture_file *file)
{
	for (size_t offset = 0; offset < file->size_bytes; offset++) {
		uint8_t *byte = &file->bytes[offset];
		bool in_filler = offset > 8 && byte[0] == 'a' && byte[-8] == 'a' && byte[1] == 'a';
		struct said said;

		/* All of the filler is alike. */
		if (in_filler && offset % 61)
			continue;
		if (is_unused(file, offset) && offset % 61)
			continue;
		*byte ^= (uint8_t)(1u << offset % 8);
		said = verify(file, NULL, NULL);
		*byte ^= (uint8_t)(1u << offset % 8);
		if (!said.count != is_unused(file, offset)) {
			fprintf(stderr, "offset %zu: %s\n", offset, said.count ? said.text : "not found");
			exit(1);
		}
	}
}

/* A record is changed, and every checksum mended: before a signature, behind one, and in an unsigned tape. */
static void test_forged_chunk(const struct fixture_file *signed_tape, const struct fixture_file *chained)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct fixture_file *truth = i < 2 ? signed_tape : chained;
		size_t place = i == 3 ? NR_SLOTS - 1 : 1;
		struct tape_chunk_header header, records;
		struct fixture_file file;
		struct said said;
		size_t offset;

		copy(&file, truth);
		offset = find_chunk(&file, place, TAPE_CHUNK_META, i & 1, &header);
		file.bytes[offset + TAPE_CHUNK_HEADER_BYTES + header.stored_bytes - 1] = 'b';
		mend_chunk(&file, offset, place);
		find_chunk(&file, place, TAPE_CHUNK_TRAPS, i & 1, &records);
		said = verify(&file, NULL, NULL);
		fixture_file_deinit(&file);
		if (i == 3) {
			/* Nothing behind it confirms the last slot of an unsigned tape; a value noted elsewhere does.
			 */
			CHECK_SOUND(said);
			continue;
		}
		CHECK_SAID(said, i < 2 ? "slot 1 was altered after it was signed" : "slot 1 was altered between");
		check_altered(&said, offset, &records);
		if (i == 0)
			CHECK(said.to < offset + header.stored_bytes + 2000);
	}
}

/* What END says is changed. */
static void test_forged_end(const struct fixture_file *signed_tape)
{
	struct tape_chunk_header header;
	struct fixture_file file;
	struct said said;
	size_t offset;

	copy(&file, signed_tape);
	offset = find_chunk(&file, NR_SLOTS - 1, TAPE_CHUNK_END, 0, &header);
	file.bytes[offset + TAPE_CHUNK_HEADER_BYTES + 8] = 7; /* lost records */
	mend_chunk(&file, offset, NR_SLOTS - 1);
	said = verify(&file, NULL, NULL);
	CHECK_INT(said.count, 1);
	CHECK_SAID(said, "slot 3 was altered after it was signed");
	fixture_file_deinit(&file);
}

/* A signature with another value, sequence, key or time. */
static void test_forged_signature(const struct fixture_file *signed_tape)
{
	static const unsigned offsets[] = {0, 40, 70, 96, 104, 112, 116, 120, 183};

	for (unsigned i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		struct tape_chunk_header header;
		struct fixture_file file;
		struct said said;
		size_t offset;

		copy(&file, signed_tape);
		offset = find_chunk(&file, 1, TAPE_CHUNK_SIGNATURE, 0, &header);
		CHECK_INT(header.stored_bytes, TAPE_SIGNATURE_BYTES);
		file.bytes[offset + TAPE_CHUNK_HEADER_BYTES + offsets[i]] ^= 1;
		mend_chunk(&file, offset, 1);
		said = verify(&file, NULL, NULL);
		CHECK_SAID(said, "the signature is not valid");
		CHECK_SAID(said, "slot 1 was altered after it was signed");
		fixture_file_deinit(&file);
	}
}

/* A good signature in another place. */
static void test_moved_signature(const struct fixture_file *signed_tape)
{
	struct tape_chunk_header header;
	struct fixture_file file;
	size_t from, to;
	struct said said;

	copy(&file, signed_tape);
	from = find_chunk(&file, 1, TAPE_CHUNK_SIGNATURE, 0, &header);
	to = find_chunk(&file, 2, TAPE_CHUNK_SIGNATURE, 1, &header);
	memcpy(file.bytes + to + TAPE_CHUNK_HEADER_BYTES, file.bytes + from + TAPE_CHUNK_HEADER_BYTES,
	       TAPE_SIGNATURE_BYTES);
	mend_chunk(&file, to, 2);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "it was made for chunk 2 of slot 1, and moved here");
	fixture_file_deinit(&file);
}

/* The last signature is made to look like a chunk that nobody knows. */
static void test_stripped_signature(const struct fixture_file *signed_tape)
{
	struct tape_chunk_header header;
	struct fixture_file file;
	struct said said;
	size_t offset;

	copy(&file, signed_tape);
	offset = find_chunk(&file, NR_SLOTS - 1, TAPE_CHUNK_SIGNATURE, 1, &header);
	header.type = 99;
	tape_put_chunk_header(file.bytes + offset, &header);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "behind the last signature are not signed");
	fixture_file_deinit(&file);
}

/* The file header tells another time; that of slot 0 is mended to say the same. */
static void test_forged_file_header(const struct fixture_file *signed_tape, const struct fixture_file *chained)
{
	struct tape_identity identity;
	struct fixture_file file;
	struct said said;
	bool intact;

	for (unsigned i = 0; i < 2; i++) {
		copy(&file, i ? signed_tape : chained);
		CHECK(tape_get_file_header(file.bytes, &identity, &intact));
		identity.created_ns++;
		tape_put_file_header(file.bytes, &identity);
		said = verify(&file, NULL, NULL);
		CHECK_SAID(said, "slot 0 does not follow this file header");
		if (i)
			CHECK_SAID(said, "the file header is not the one that was signed");
		fixture_file_deinit(&file);
	}
}

/* ---- whole slots ----------------------------------------------------- */

static void swap_places(struct fixture_file *file, size_t a, size_t b)
{
	static uint8_t held[SLOT_BYTES];

	memcpy(held, file->bytes + a * SLOT_BYTES, SLOT_BYTES);
	memcpy(file->bytes + a * SLOT_BYTES, file->bytes + b * SLOT_BYTES, SLOT_BYTES);
	memcpy(file->bytes + b * SLOT_BYTES, held, SLOT_BYTES);
}

/* Gives the slot in a place the number of the place, and mends all sums. */
static void renumber(struct fixture_file *file, size_t place)
{
	uint8_t *header = file->bytes + place * SLOT_BYTES, value[TAPE_CHAIN_BYTES];
	uint64_t tag = tape_tag(file->bytes + 32), seq;
	struct tape_chunk_header chunk;
	struct tape_identity identity;
	uint32_t index_offset = 0;

	memcpy(value, header + TAPE_SLOT_CHAIN_OFFSET, sizeof(value));
	CHECK(tape_get_slot_header(header, &identity, &seq));
	tape_put_slot_header(header, &identity, place);
	tape_put_slot_chain(header, value);
	for (size_t at = place * SLOT_BYTES + TAPE_SLOT_HEADER_BYTES;
	     tape_get_chunk_header(file->bytes + at, &chunk);) {
		mend_chunk(file, at, place);
		if (chunk.type == TAPE_CHUNK_INDEX)
			index_offset = (uint32_t)(at - place * SLOT_BYTES);
		at += tape_chunk_bytes(&chunk);
	}
	tape_put_slot_trailer(header + SLOT_BYTES - TAPE_SLOT_TRAILER_BYTES, tag, place, index_offset);
}

static void test_swapped_slots(const struct fixture_file *truth)
{
	struct fixture_file file;
	struct said said;

	copy(&file, truth);
	swap_places(&file, 1, 2);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 lies in the place of slot 2: slots were moved");
	CHECK_SAID(said, "slot 2 lies in the place of slot 1: slots were moved");
	renumber(&file, 1);
	renumber(&file, 2);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 0 was altered between these offsets, or the slot behind it was replaced");
	CHECK_SAID(said, "slot 1 fits neither the slot before it nor the one behind it");
	CHECK_SAID(said, "slot 2 fits neither the slot before it nor the one behind it");
	fixture_file_deinit(&file);
}

/* A slot of another tape with the same uuid, signed by the same key, which agrees in all numbers. */
static void test_foreign_slot(const struct fixture_file *truth, const char *key_path)
{
	struct fixture_file file, other = {0};
	struct said said;

	write_tape(&other, key_path, 5);
	copy(&file, truth);
	memcpy(file.bytes + SLOT_BYTES, other.bytes + SLOT_BYTES, SLOT_BYTES);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 0 was altered between these offsets, or the slot behind it was replaced");
	CHECK_SAID(said, "slot 1 fits neither the slot before it nor the one behind it");
	CHECK_INT(said.seal.nr_breaks, 2);
	CHECK_INT(said.count, 2);
	fixture_file_deinit(&file);
	fixture_file_deinit(&other);
}

static void test_missing_slot(const struct fixture_file *truth)
{
	struct fixture_file file;
	struct said said;

	copy(&file, truth);
	memset(file.bytes + SLOT_BYTES, 0, SLOT_BYTES);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 is missing");
	/* The hole is closed. */
	memmove(file.bytes + SLOT_BYTES, file.bytes + 2 * SLOT_BYTES, file.size_bytes - 2 * SLOT_BYTES);
	file.size_bytes -= SLOT_BYTES;
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 is missing");
	CHECK_SAID(said, "slot 2 lies in the place of slot 1");
	fixture_file_deinit(&file);
	copy(&file, truth);
	memset(file.bytes + SLOT_BYTES, 0, 2 * SLOT_BYTES);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slots 1 to 2 are missing");
	fixture_file_deinit(&file);
	/* And the other one is there twice. */
	copy(&file, truth);
	memcpy(file.bytes + 2 * SLOT_BYTES, file.bytes + SLOT_BYTES, SLOT_BYTES);
	said = verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 is there twice");
	CHECK_SAID(said, "slot 2 is missing");
	fixture_file_deinit(&file);
}

/* Cut between slots it looks like one whose recorder was killed; a value that was noted shows it. */
static void test_cut(const struct fixture_file *truth, bool is_signed)
{
	struct said whole = verify(truth, NULL, NULL), said;
	struct tape_chunk_header header;
	struct fixture_file file;

	for (size_t place = 1; place < NR_SLOTS; place++) {
		copy(&file, truth);
		file.size_bytes = place * SLOT_BYTES;
		said = verify(&file, NULL, NULL);
		CHECK_SOUND(said);
		CHECK_SAID(said, "cut off: the tape was not finished");
		CHECK_INT(said.seal.nr_signatures, is_signed ? 2 * place : 0);
		CHECK_INT(said.seal.unsigned_chunks, is_signed ? 0 : said.seal.unsigned_chunks);
		CHECK(!memcmp(said.seal.value, truth->bytes + place * SLOT_BYTES + TAPE_SLOT_CHAIN_OFFSET,
			      TAPE_CHAIN_BYTES));
		said = verify(&file, NULL, whole.seal.value);
		CHECK_SAID(said, "never has the value");
		fixture_file_deinit(&file);
	}
	if (!is_signed)
		return;
	copy(&file, truth);
	file.size_bytes = find_chunk(&file, 2, TAPE_CHUNK_SIGNATURE, 1, &header);
	said = verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_SAID(said, "cut off: 2 chunks");
	fixture_file_deinit(&file);
}

int main(void)
{
	struct fixture_file signed_tape = {0}, chained = {0};

	write_tape(&signed_tape, KEY_PATH, 0);
	write_tape(&chained, NULL, 0);
	test_whole(&signed_tape, &chained);
	test_no_chain();
	test_age();
	test_full_slots();
	test_forged_chunk(&signed_tape, &chained);
	test_forged_end(&signed_tape);
	test_forged_signature(&signed_tape);
	test_moved_signature(&signed_tape);
	test_stripped_signature(&signed_tape);
	test_forged_file_header(&signed_tape, &chained);
	test_swapped_slots(&signed_tape);
	test_swapped_slots(&chained);
	test_foreign_slot(&signed_tape, KEY_PATH);
	test_foreign_slot(&chained, NULL);
	test_missing_slot(&signed_tape);
	test_cut(&signed_tape, true);
	test_cut(&chained, false);
	test_flip_everywhere(&signed_tape);
	fixture_file_deinit(&signed_tape);
	fixture_file_deinit(&chained);
	return 0;
}
