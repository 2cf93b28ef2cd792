/* SPDX-License-Identifier: MIT */
/*
 * tape_seal.h - the hash chain over what a tape's writer places, and the
 * signatures over it (FORMAT.md, "Hash chain and signatures"); private to
 * format/. One thread at a time.
 */
#ifndef TAPE_SEAL_H
#define TAPE_SEAL_H

#include "tape_key.h"
#include "tape_private.h"

#define TAPE_SLOT_CHAIN_OFFSET 64u  /* of the value in a slot header */
#define TAPE_SIGNATURE_BYTES   184u /* payload of a SIGNATURE chunk */

/* value = blake(value, slot header) */
void tape_chain_link_slot(uint8_t value[TAPE_CHAIN_BYTES], const uint8_t header[TAPE_SLOT_HEADER_BYTES]);
/* value = blake(value, chunk header, blake(payload and padding)); the inner one needs no order. */
void tape_chain_link_chunk(uint8_t value[TAPE_CHAIN_BYTES], const uint8_t header[TAPE_CHUNK_HEADER_BYTES],
			   const uint8_t digest[TAPE_CHAIN_BYTES]);
void tape_chain_digest(uint8_t digest[TAPE_CHAIN_BYTES], const void *bytes, size_t size_bytes);
/* Value before slot 0. */
void tape_chain_root(uint8_t root[TAPE_CHAIN_BYTES], const uint8_t file_header[TAPE_FILE_HEADER_BYTES]);

struct tape_signature {
	uint8_t public_key[TAPE_PUBLIC_KEY_BYTES];
	uint8_t root[TAPE_CHAIN_BYTES];
	uint8_t value[TAPE_CHAIN_BYTES]; /* of the chain, before its own chunk */
	uint64_t slot_seq;
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint32_t number;  /* of its chunk in the slot */
};
void tape_put_signature(uint8_t payload[TAPE_SIGNATURE_BYTES], const struct tape_signature *signature,
			const struct tape_key *key);
/* False: it was not made by the key that it names, or something of it was altered. */
bool tape_get_signature(const uint8_t payload[TAPE_SIGNATURE_BYTES], struct tape_signature *out);

/* ---- writer's side --------------------------------------------------- */

struct tape_seal {
	bool on;
	uint8_t root[TAPE_CHAIN_BYTES];
	uint8_t value[TAPE_CHAIN_BYTES];
	const struct tape_key *key; /* borrowed; NULL: nothing is signed */
	uint64_t unsigned_since_ns; /* CLOCK_MONOTONIC of the oldest chunk that is not signed; 0: none */
};

/* Without TAPE_COMPAT_CHAIN in identity it stays off, and the other functions do nothing. */
int tape_seal_start(struct tape_seal *seal, const struct tape_identity *identity,
		    const uint8_t file_header[TAPE_FILE_HEADER_BYTES], struct tape_error *error);
/* Puts the value into the header of a new slot, and takes the header in. */
void tape_seal_open_slot(struct tape_seal *seal, uint8_t header[TAPE_SLOT_HEADER_BYTES]);
/* Takes in a chunk whose header is in its buffer, as it is written. */
void tape_seal_add(struct tape_seal *seal, struct tape_chunk *chunk);
/* Room that a slot must keep for its last signature and its index entry. */
uint32_t tape_seal_reserve_bytes(const struct tape_seal *seal);
/* 0: all is signed, or nothing ever is. */
uint64_t tape_seal_unsigned_ms(const struct tape_seal *seal);
/* The SIGNATURE chunk to be placed next. */
int tape_seal_encode(const struct tape_seal *seal, uint64_t slot_seq, uint32_t number, struct tape_chunk **out,
		     struct tape_error *error);

#endif
