/* SPDX-License-Identifier: MIT */
/*
 * seal_fixture.h - for tests of hash chain and signatures: tapes of four slots,
 * what verify says of them, and the tools of a forger who knows the format and
 * mends every checksum. Everything exits on failure.
 */
#ifndef SEAL_FIXTURE_H
#define SEAL_FIXTURE_H

#include "check.h"
#include "tape_fixture.h"
#include "tape_key.h"
#include "tape_seal.h"

#define SEAL_SLOT_BYTES (16u << 10)
#define SEAL_KEY_PATH   "golden/test-sign-key.pem"
#define SEAL_SLOTS      4u

struct seal_said {
	struct tape_reader *reader;
	struct tape_seal_info seal;
	uint64_t count;
	char text[8192];                        /* a line each */
	uint64_t from, to, first_tsc, last_tsc; /* of the last one that tells of a break */
};

/* key and value: what is expected, or NULL. */
struct seal_said seal_verify(const struct fixture_file *file, const uint8_t *key, const uint8_t *value);

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

/* A text that fills a good part of a slot. */
void seal_append_filler(struct tape_writer *writer, uint64_t number, size_t size_bytes, uint64_t salt);
/*
 * SEAL_SLOTS slots, the last one open; each: filler, records, filler, records, with a signature in between. salt makes
 * other contents; key_path NULL: not signed.
 */
void seal_write_tape(struct fixture_file *file, const char *key_path, uint64_t salt);
void seal_copy(struct fixture_file *out, const struct fixture_file *file);
/* The index-th chunk of this type in a slot's place; its offset in the file. */
size_t seal_find_chunk(const struct fixture_file *file, size_t place, uint16_t type, unsigned index,
		       struct tape_chunk_header *header);
/* Mends the sums of a chunk, and its slot number. */
void seal_mend_chunk(struct fixture_file *file, size_t offset, uint64_t slot_seq);

#endif
