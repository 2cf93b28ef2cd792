/* SPDX-License-Identifier: MIT */
/*
 * test_tape_seal.c - tapes with a hash chain, signed and not: whole, with full
 * slots, cut, and with every byte flipped.
 */
#include <errno.h>
#include <unistd.h>

#include "seal_fixture.h"

static void test_whole(const struct fixture_file *signed_tape, const struct fixture_file *chained)
{
	struct seal_said said = seal_verify(signed_tape, NULL, NULL);
	uint8_t other_key[TAPE_PUBLIC_KEY_BYTES] = {1}, key[TAPE_PUBLIC_KEY_BYTES], value[TAPE_CHAIN_BYTES];
	struct tape_chunk_header header;

	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 2 * SEAL_SLOTS);
	CHECK_INT(said.seal.nr_breaks, 0);
	CHECK_INT(said.seal.unsigned_chunks, 0);
	CHECK_INT(said.seal.end_offset, signed_tape->size_bytes);
	CHECK_INT(tape_public_key_load(key, "golden/test-sign-pub.pem", NULL), 0);
	CHECK(!memcmp(key, said.seal.public_key, sizeof(key)));
	memcpy(value, said.seal.value, sizeof(value));
	said = seal_verify(signed_tape, key, value);
	CHECK_SOUND(said);

	/* A value from the middle, as somebody noted it. */
	CHECK_INT(seal_find_chunk(signed_tape, 2, TAPE_CHUNK_META, 0, &header),
		  2 * SEAL_SLOT_BYTES + TAPE_SLOT_HEADER_BYTES);
	said = seal_verify(signed_tape, key, signed_tape->bytes + 2 * SEAL_SLOT_BYTES + TAPE_SLOT_CHAIN_OFFSET);
	CHECK_SOUND(said);
	value[0] ^= 1;
	said = seal_verify(signed_tape, key, value);
	CHECK_INT(said.count, 1);
	CHECK_SAID(said, "never has the value");

	said = seal_verify(signed_tape, other_key, NULL);
	CHECK_SAID(said, "signatures by another key, 37e9dcdb");
	CHECK_SAID(said, "no good signature of the key");

	said = seal_verify(chained, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 0);
	said = seal_verify(chained, key, NULL);
	CHECK_INT(said.count, 1);
	CHECK_SAID(said, "no good signature of the key");
}

/* A tape without the chain is what it was; a key can't be had of it. */
static void test_no_chain(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SEAL_SLOT_BYTES);
	uint8_t key[TAPE_PUBLIC_KEY_BYTES] = {0};
	struct tape_key *secret;
	struct tape_error error;
	struct seal_said said;
	bool exposed;

	CHECK_INT(tape_key_load(&secret, SEAL_KEY_PATH, &exposed, NULL), 0);
	CHECK_INT(tape_writer_sign_with(writer, secret, &error), -EINVAL);
	tape_key_destroy(secret);
	fixture_append_meta(writer, "a=1");
	CHECK_INT(tape_writer_unsigned_ms(writer), 0);
	CHECK_INT(tape_writer_sign(writer, NULL), 0);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	tape_writer_destroy(writer);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	said = seal_verify(&file, key, NULL);
	CHECK_SAID(said, "no hash chain");
	fixture_file_deinit(&file);

	/* Too late for a key. */
	writer = fixture_sealed_writer(&file, SEAL_SLOT_BYTES, NULL);
	fixture_append_meta(writer, "a=1");
	CHECK_INT(tape_key_load(&secret, SEAL_KEY_PATH, &exposed, NULL), 0);
	CHECK_INT(tape_writer_sign_with(writer, secret, &error), -EINVAL);
	tape_key_destroy(secret);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

/* What is older than a second is signed with the next chunk. */
static void test_age(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_sealed_writer(&file, SEAL_SLOT_BYTES, SEAL_KEY_PATH);
	struct seal_said said;

	fixture_append_meta(writer, "a=1");
	CHECK(tape_writer_unsigned_ms(writer) > 0);
	usleep(1010000);
	CHECK(tape_writer_unsigned_ms(writer) > TAPE_SIGN_MS);
	fixture_append_meta(writer, "b=2");
	CHECK_INT(tape_writer_unsigned_ms(writer), 0);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 1);
	CHECK_INT(said.seal.unsigned_chunks, 0);
	fixture_append_meta(writer, "c=3");
	fixture_append_meta(writer, "d=4");
	said = seal_verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_SAID(said, "cut off: 2 chunks");
	CHECK_SAID(said, "behind the last signature are not signed");
	CHECK_INT(said.seal.unsigned_chunks, 2);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	tape_writer_destroy(writer);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_INT(said.seal.nr_signatures, 2);
	fixture_file_deinit(&file);
}

/* Small chunks fill slots to the last byte: the signature's room is there in each, whatever their size. */
static void test_full_slots(void)
{
	for (size_t size_bytes = 24; size_bytes < 400; size_bytes += 37) {
		struct fixture_file file = {0};
		struct tape_writer *writer = fixture_sealed_writer(&file, SEAL_SLOT_BYTES, SEAL_KEY_PATH);
		struct seal_said said;

		for (unsigned i = 0; file.size_bytes < 3 * SEAL_SLOT_BYTES; i++) {
			seal_append_filler(writer, i, size_bytes, 0);
			if (i % 11 == 0)
				CHECK_INT(tape_writer_sign(writer, NULL), 0);
		}
		CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
		tape_writer_destroy(writer);
		said = seal_verify(&file, NULL, NULL);
		CHECK_SOUND(said);
		CHECK(said.seal.nr_signatures >= 4);
		fixture_file_deinit(&file);
	}
}

/* Between INDEX and trailer nothing is written, and nothing is read. */
static bool is_unused(const struct fixture_file *file, size_t offset)
{
	size_t place = offset / SEAL_SLOT_BYTES, trailer = (place + 1) * SEAL_SLOT_BYTES - TAPE_SLOT_TRAILER_BYTES;
	struct tape_chunk_header header;
	size_t index = seal_find_chunk(file, place, TAPE_CHUNK_INDEX, 0, &header);

	return offset >= index + tape_chunk_bytes(&header) && offset < trailer;
}

static void test_flip_everywhere(struct fixture_file *file)
{
	for (size_t offset = 0; offset < file->size_bytes; offset++) {
		uint8_t *byte = &file->bytes[offset];
		bool in_filler = offset > 8 && byte[0] == 'a' && byte[-8] == 'a' && byte[1] == 'a';
		struct seal_said said;

		/* All of the filler is alike. */
		if (in_filler && offset % 61)
			continue;
		if (is_unused(file, offset) && offset % 61)
			continue;
		*byte ^= (uint8_t)(1u << offset % 8);
		said = seal_verify(file, NULL, NULL);
		*byte ^= (uint8_t)(1u << offset % 8);
		if (!said.count != is_unused(file, offset)) {
			fprintf(stderr, "offset %zu: %s\n", offset, said.count ? said.text : "not found");
			exit(1);
		}
	}
}

/* Cut between slots it looks like one whose recorder was killed; a value that was noted shows it. */
static void test_cut(const struct fixture_file *truth, bool is_signed)
{
	struct seal_said whole = seal_verify(truth, NULL, NULL), said;
	struct tape_chunk_header header;
	struct fixture_file file;

	for (size_t place = 1; place < SEAL_SLOTS; place++) {
		seal_copy(&file, truth);
		file.size_bytes = place * SEAL_SLOT_BYTES;
		said = seal_verify(&file, NULL, NULL);
		CHECK_SOUND(said);
		CHECK_SAID(said, "cut off: the tape was not finished");
		CHECK_INT(said.seal.nr_signatures, is_signed ? 2 * place : 0);
		CHECK_INT(said.seal.unsigned_chunks, is_signed ? 0 : said.seal.unsigned_chunks);
		CHECK(!memcmp(said.seal.value, truth->bytes + place * SEAL_SLOT_BYTES + TAPE_SLOT_CHAIN_OFFSET,
			      TAPE_CHAIN_BYTES));
		said = seal_verify(&file, NULL, whole.seal.value);
		CHECK_SAID(said, "never has the value");
		fixture_file_deinit(&file);
	}
	if (!is_signed)
		return;
	seal_copy(&file, truth);
	file.size_bytes = seal_find_chunk(&file, 2, TAPE_CHUNK_SIGNATURE, 1, &header);
	said = seal_verify(&file, NULL, NULL);
	CHECK_SOUND(said);
	CHECK_SAID(said, "cut off: 2 chunks");
	fixture_file_deinit(&file);
}

int main(void)
{
	struct fixture_file signed_tape = {0}, chained = {0};

	seal_write_tape(&signed_tape, SEAL_KEY_PATH, 0);
	seal_write_tape(&chained, NULL, 0);
	test_whole(&signed_tape, &chained);
	test_no_chain();
	test_age();
	test_full_slots();
	test_cut(&signed_tape, true);
	test_cut(&chained, false);
	test_flip_everywhere(&signed_tape);
	fixture_file_deinit(&signed_tape);
	fixture_file_deinit(&chained);
	return 0;
}
