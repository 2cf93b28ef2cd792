/* SPDX-License-Identifier: MIT */
/*
 * test_tape_forged.c - what a forger does to a chained or signed tape who knows
 * the format and mends every checksum: verify names each thing, and nothing else.
 */
#include <unistd.h>

#include "seal_fixture.h"

/* What is wrong is told, and that its events lie where this chunk of records does. */
static void check_altered(const struct seal_said *said, size_t offset, const struct tape_chunk_header *records)
{
	CHECK_INT(said->count, 1);
	CHECK(said->from <= offset && offset < said->to);
	CHECK_INT(said->seal.nr_breaks, 1);
	CHECK(said->first_tsc <= records->min_tsc && said->last_tsc >= records->max_tsc);
}

/* ---- in a slot ------------------------------------------------------- */

/* A text is changed, and every checksum mended: before a signature, behind one, and in an unsigned tape. */
static void test_forged_chunk(const struct fixture_file *signed_tape, const struct fixture_file *chained)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct fixture_file *truth = i < 2 ? signed_tape : chained;
		size_t place = i == 3 ? SEAL_SLOTS - 1 : 1;
		struct tape_chunk_header header, records;
		struct fixture_file file;
		struct seal_said said;
		size_t offset;

		seal_copy(&file, truth);
		offset = seal_find_chunk(&file, place, TAPE_CHUNK_META, i & 1, &header);
		file.bytes[offset + TAPE_CHUNK_HEADER_BYTES + header.stored_bytes - 1] = 'b';
		seal_mend_chunk(&file, offset, place);
		seal_find_chunk(&file, place, TAPE_CHUNK_TRAPS, i & 1, &records);
		said = seal_verify(&file, NULL, NULL);
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
	struct seal_said said;
	size_t offset;

	seal_copy(&file, signed_tape);
	offset = seal_find_chunk(&file, SEAL_SLOTS - 1, TAPE_CHUNK_END, 0, &header);
	file.bytes[offset + TAPE_CHUNK_HEADER_BYTES + 8] = 7; /* lost records */
	seal_mend_chunk(&file, offset, SEAL_SLOTS - 1);
	said = seal_verify(&file, NULL, NULL);
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
		struct seal_said said;
		size_t offset;

		seal_copy(&file, signed_tape);
		offset = seal_find_chunk(&file, 1, TAPE_CHUNK_SIGNATURE, 0, &header);
		CHECK_INT(header.stored_bytes, TAPE_SIGNATURE_BYTES);
		file.bytes[offset + TAPE_CHUNK_HEADER_BYTES + offsets[i]] ^= 1;
		seal_mend_chunk(&file, offset, 1);
		said = seal_verify(&file, NULL, NULL);
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
	struct seal_said said;

	seal_copy(&file, signed_tape);
	from = seal_find_chunk(&file, 1, TAPE_CHUNK_SIGNATURE, 0, &header);
	to = seal_find_chunk(&file, 2, TAPE_CHUNK_SIGNATURE, 1, &header);
	memcpy(file.bytes + to + TAPE_CHUNK_HEADER_BYTES, file.bytes + from + TAPE_CHUNK_HEADER_BYTES,
	       TAPE_SIGNATURE_BYTES);
	seal_mend_chunk(&file, to, 2);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "it was made for chunk 2 of slot 1, and moved here");
	fixture_file_deinit(&file);
}

/* Somebody with a key of his own changes END and signs that. */
static void test_other_signer(const struct fixture_file *signed_tape)
{
	static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
				  "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
				  "-----END PRIVATE KEY-----\n";
	char path[] = "/tmp/test_tape_seal.XXXXXX";
	struct tape_signature signature;
	struct tape_chunk_header header;
	struct fixture_file file;
	struct tape_key *key;
	uint8_t digest[TAPE_CHAIN_BYTES];
	size_t end, offset;
	struct seal_said said;
	bool exposed;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, pem, strlen(pem)), strlen(pem));
	close(fd);
	CHECK_INT(tape_key_load(&key, path, &exposed, NULL), 0);
	unlink(path);
	seal_copy(&file, signed_tape);
	offset = seal_find_chunk(&file, SEAL_SLOTS - 1, TAPE_CHUNK_SIGNATURE, 0, &header);
	CHECK(tape_get_signature(file.bytes + offset + TAPE_CHUNK_HEADER_BYTES, &signature));
	end = seal_find_chunk(&file, SEAL_SLOTS - 1, TAPE_CHUNK_END, 0, &header);
	file.bytes[end + TAPE_CHUNK_HEADER_BYTES + 8] = 7;
	seal_mend_chunk(&file, end, SEAL_SLOTS - 1);
	/* He computes the chain as anybody can. */
	for (size_t at = offset; at <= end; at += tape_chunk_bytes(&header)) {
		CHECK(tape_get_chunk_header(file.bytes + at, &header));
		tape_chain_digest(digest, file.bytes + at + TAPE_CHUNK_HEADER_BYTES,
				  tape_chunk_bytes(&header) - TAPE_CHUNK_HEADER_BYTES);
		tape_chain_link_chunk(signature.value, file.bytes + at, digest);
	}
	offset = seal_find_chunk(&file, SEAL_SLOTS - 1, TAPE_CHUNK_SIGNATURE, 1, &header);
	signature.number = header.number;
	tape_put_signature(file.bytes + offset + TAPE_CHUNK_HEADER_BYTES, &signature, key);
	seal_mend_chunk(&file, offset, SEAL_SLOTS - 1);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "from here on there are signatures by another key");
	CHECK_SAID(said, "behind the last signature are not signed");
	CHECK_INT(said.count, 2);
	/* By his key alone it is not signed either. */
	tape_key_public(key, signature.public_key);
	said = seal_verify(&file, signature.public_key, NULL);
	CHECK_SAID(said, "from here on there are signatures by another key");
	CHECK_INT(said.count, 1);
	tape_key_destroy(key);
	fixture_file_deinit(&file);
}

/* The last signature is made to look like a chunk that nobody knows. */
static void test_stripped_signature(const struct fixture_file *signed_tape)
{
	struct tape_chunk_header header;
	struct fixture_file file;
	struct seal_said said;
	size_t offset;

	seal_copy(&file, signed_tape);
	offset = seal_find_chunk(&file, SEAL_SLOTS - 1, TAPE_CHUNK_SIGNATURE, 1, &header);
	header.type = 99;
	tape_put_chunk_header(file.bytes + offset, &header);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "behind the last signature are not signed");
	fixture_file_deinit(&file);
}

/* The file header tells another time; that of slot 0 is mended to say the same. */
static void test_forged_file_header(const struct fixture_file *signed_tape, const struct fixture_file *chained)
{
	struct tape_identity identity;
	struct fixture_file file;
	struct seal_said said;
	bool intact;

	for (unsigned i = 0; i < 2; i++) {
		seal_copy(&file, i ? signed_tape : chained);
		CHECK(tape_get_file_header(file.bytes, &identity, &intact));
		identity.created_ns++;
		tape_put_file_header(file.bytes, &identity);
		said = seal_verify(&file, NULL, NULL);
		CHECK_SAID(said, "slot 0 does not follow this file header");
		if (i)
			CHECK_SAID(said, "the file header is not the one that was signed");
		fixture_file_deinit(&file);
	}
}

/* ---- whole slots ----------------------------------------------------- */

static void swap_places(struct fixture_file *file, size_t a, size_t b)
{
	static uint8_t held[SEAL_SLOT_BYTES];

	memcpy(held, file->bytes + a * SEAL_SLOT_BYTES, SEAL_SLOT_BYTES);
	memcpy(file->bytes + a * SEAL_SLOT_BYTES, file->bytes + b * SEAL_SLOT_BYTES, SEAL_SLOT_BYTES);
	memcpy(file->bytes + b * SEAL_SLOT_BYTES, held, SEAL_SLOT_BYTES);
}

/* Gives the slot in a place the number of the place, and mends all sums. */
static void renumber(struct fixture_file *file, size_t place)
{
	uint8_t *header = file->bytes + place * SEAL_SLOT_BYTES, value[TAPE_CHAIN_BYTES];
	uint64_t tag = tape_tag(file->bytes + 32);
	struct tape_slot_header slot_header;
	struct tape_chunk_header chunk;
	uint32_t index_offset = 0;

	memcpy(value, header + TAPE_SLOT_CHAIN_OFFSET, sizeof(value));
	CHECK(tape_get_slot_header(header, &slot_header));
	slot_header.seq = place;
	tape_put_slot_header(header, &slot_header);
	tape_put_slot_chain(header, value);
	for (size_t at = place * SEAL_SLOT_BYTES + TAPE_SLOT_HEADER_BYTES;
	     tape_get_chunk_header(file->bytes + at, &chunk);) {
		seal_mend_chunk(file, at, place);
		if (chunk.type == TAPE_CHUNK_INDEX)
			index_offset = (uint32_t)(at - place * SEAL_SLOT_BYTES);
		at += tape_chunk_bytes(&chunk);
	}
	tape_put_slot_trailer(header + SEAL_SLOT_BYTES - TAPE_SLOT_TRAILER_BYTES, tag, place, index_offset);
}

static void test_swapped_slots(const struct fixture_file *truth)
{
	struct fixture_file file;
	struct seal_said said;

	seal_copy(&file, truth);
	swap_places(&file, 1, 2);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 lies in the place of slot 2: slots were moved");
	CHECK_SAID(said, "slot 2 lies in the place of slot 1: slots were moved");
	renumber(&file, 1);
	renumber(&file, 2);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 0 was altered between these offsets, or the slot behind it was replaced");
	CHECK_SAID(said, "slot 1 fits neither the slot before it nor the one behind it");
	CHECK_SAID(said, "slot 2 fits neither the slot before it nor the one behind it");
	fixture_file_deinit(&file);
}

/* A slot of another tape with the same uuid, signed by the same key, which agrees in all numbers. */
static void test_foreign_slot(const struct fixture_file *truth, const char *key_path)
{
	struct fixture_file file, other = {0};
	struct seal_said said;

	seal_write_tape(&other, key_path, 5);
	seal_copy(&file, truth);
	memcpy(file.bytes + SEAL_SLOT_BYTES, other.bytes + SEAL_SLOT_BYTES, SEAL_SLOT_BYTES);
	said = seal_verify(&file, NULL, NULL);
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
	struct seal_said said;

	seal_copy(&file, truth);
	memset(file.bytes + SEAL_SLOT_BYTES, 0, SEAL_SLOT_BYTES);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 is missing");
	/* The hole is closed. */
	memmove(file.bytes + SEAL_SLOT_BYTES, file.bytes + 2 * SEAL_SLOT_BYTES, file.size_bytes - 2 * SEAL_SLOT_BYTES);
	file.size_bytes -= SEAL_SLOT_BYTES;
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 is missing");
	CHECK_SAID(said, "slot 2 lies in the place of slot 1");
	fixture_file_deinit(&file);
	seal_copy(&file, truth);
	memset(file.bytes + SEAL_SLOT_BYTES, 0, 2 * SEAL_SLOT_BYTES);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "slots 1 to 2 are missing");
	fixture_file_deinit(&file);
	/* And the other one is there twice. */
	seal_copy(&file, truth);
	memcpy(file.bytes + 2 * SEAL_SLOT_BYTES, file.bytes + SEAL_SLOT_BYTES, SEAL_SLOT_BYTES);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SAID(said, "slot 1 is there twice");
	CHECK_SAID(said, "slot 2 is missing");
	fixture_file_deinit(&file);
}

int main(void)
{
	struct fixture_file signed_tape = {0}, chained = {0};

	seal_write_tape(&signed_tape, SEAL_KEY_PATH, 0);
	seal_write_tape(&chained, NULL, 0);
	test_forged_chunk(&signed_tape, &chained);
	test_forged_end(&signed_tape);
	test_forged_signature(&signed_tape);
	test_moved_signature(&signed_tape);
	test_other_signer(&signed_tape);
	test_stripped_signature(&signed_tape);
	test_forged_file_header(&signed_tape, &chained);
	test_swapped_slots(&signed_tape);
	test_swapped_slots(&chained);
	test_foreign_slot(&signed_tape, SEAL_KEY_PATH);
	test_foreign_slot(&chained, NULL);
	test_missing_slot(&signed_tape);
	fixture_file_deinit(&signed_tape);
	fixture_file_deinit(&chained);
	return 0;
}
