/* SPDX-License-Identifier: MIT */
/* tape_seal.c - see tape_seal.h. BLAKE2b-256 and Ed25519 are libsodium's. */
#include "tape_seal.h"

#include <errno.h>
#include <sodium.h>
#include <time.h>

/* No other message of this key can be taken for one of a tape. */
static const char domain[32] = "vmtape tape signature, version 1";
#define SIGNED_BYTES (TAPE_SIGNATURE_BYTES - TAPE_RAW_SIGNATURE_BYTES)

_Static_assert(crypto_sign_BYTES == TAPE_RAW_SIGNATURE_BYTES, "Ed25519 signature");
_Static_assert(crypto_sign_PUBLICKEYBYTES == TAPE_PUBLIC_KEY_BYTES, "Ed25519 key");

void tape_chain_digest(uint8_t digest[TAPE_CHAIN_BYTES], const void *bytes, size_t size_bytes)
{
	crypto_generichash(digest, TAPE_CHAIN_BYTES, bytes, size_bytes, NULL, 0);
}

void tape_chain_link_slot(uint8_t value[TAPE_CHAIN_BYTES], const uint8_t header[TAPE_SLOT_HEADER_BYTES])
{
	uint8_t bytes[TAPE_CHAIN_BYTES + TAPE_SLOT_HEADER_BYTES];

	memcpy(bytes, value, TAPE_CHAIN_BYTES);
	memcpy(bytes + TAPE_CHAIN_BYTES, header, TAPE_SLOT_HEADER_BYTES);
	tape_chain_digest(value, bytes, sizeof(bytes));
}

void tape_chain_link_chunk(uint8_t value[TAPE_CHAIN_BYTES], const uint8_t header[TAPE_CHUNK_HEADER_BYTES],
			   const uint8_t digest[TAPE_CHAIN_BYTES])
{
	uint8_t bytes[TAPE_CHAIN_BYTES + TAPE_CHUNK_HEADER_BYTES + TAPE_CHAIN_BYTES];

	memcpy(bytes, value, TAPE_CHAIN_BYTES);
	memcpy(bytes + TAPE_CHAIN_BYTES, header, TAPE_CHUNK_HEADER_BYTES);
	memcpy(bytes + TAPE_CHAIN_BYTES + TAPE_CHUNK_HEADER_BYTES, digest, TAPE_CHAIN_BYTES);
	tape_chain_digest(value, bytes, sizeof(bytes));
}

void tape_chain_root(uint8_t root[TAPE_CHAIN_BYTES], const uint8_t file_header[TAPE_FILE_HEADER_BYTES])
{
	tape_chain_digest(root, file_header, TAPE_FILE_HEADER_BYTES);
}

/* ---- signatures ------------------------------------------------------ */

static void put_message(uint8_t message[sizeof(domain) + SIGNED_BYTES], const uint8_t *payload)
{
	memcpy(message, domain, sizeof(domain));
	memcpy(message + sizeof(domain), payload, SIGNED_BYTES);
}

void tape_put_signature(uint8_t payload[TAPE_SIGNATURE_BYTES], const struct tape_signature *signature,
			const struct tape_key *key)
{
	uint8_t message[sizeof(domain) + SIGNED_BYTES];

	tape_key_public(key, payload);
	memcpy(payload + 32, signature->root, TAPE_CHAIN_BYTES);
	memcpy(payload + 64, signature->value, TAPE_CHAIN_BYTES);
	put_le64(payload + 96, signature->slot_seq);
	put_le64(payload + 104, signature->time_ns);
	put_le32(payload + 112, signature->number);
	put_le32(payload + 116, 0);
	put_message(message, payload);
	tape_key_sign(key, message, sizeof(message), payload + SIGNED_BYTES);
}

bool tape_get_signature(const uint8_t payload[TAPE_SIGNATURE_BYTES], struct tape_signature *out)
{
	uint8_t message[sizeof(domain) + SIGNED_BYTES];

	memcpy(out->public_key, payload, TAPE_PUBLIC_KEY_BYTES);
	memcpy(out->root, payload + 32, TAPE_CHAIN_BYTES);
	memcpy(out->value, payload + 64, TAPE_CHAIN_BYTES);
	out->slot_seq = get_le64(payload + 96);
	out->time_ns = get_le64(payload + 104);
	out->number = get_le32(payload + 112);
	put_message(message, payload);
	return !crypto_sign_verify_detached(payload + SIGNED_BYTES, message, sizeof(message), out->public_key);
}

/* ---- writer's side --------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int tape_seal_start(struct tape_seal *seal, const struct tape_identity *identity,
		    const uint8_t file_header[TAPE_FILE_HEADER_BYTES], struct tape_error *error)
{
	seal->on = identity->compat_features & TAPE_COMPAT_CHAIN;
	if (!seal->on)
		return 0;
	/* It chooses the code that is fastest on this CPU. */
	if (sodium_init() < 0)
		return tape_fail(error, -ENOSYS, TAPE_NO_OFFSET, "libsodium does not start");
	tape_chain_root(seal->root, file_header);
	memcpy(seal->value, seal->root, TAPE_CHAIN_BYTES);
	return 0;
}

void tape_seal_open_slot(struct tape_seal *seal, uint8_t header[TAPE_SLOT_HEADER_BYTES])
{
	if (!seal->on)
		return;
	tape_put_slot_chain(header, seal->value);
	tape_chain_link_slot(seal->value, header);
}

void tape_chunk_digest(struct tape_chunk *chunk)
{
	/* Until it was called, libsodium takes the code that runs on any CPU, at a third of the speed. */
	if (sodium_init() < 0)
		return;
	tape_chain_digest(chunk->digest, chunk->buffer + TAPE_CHUNK_HEADER_BYTES,
			  tape_chunk_bytes(&chunk->header) - TAPE_CHUNK_HEADER_BYTES);
	chunk->has_digest = true;
}

void tape_seal_add(struct tape_seal *seal, struct tape_chunk *chunk)
{
	uint16_t type = chunk->header.type;

	if (!seal->on)
		return;
	if (!chunk->has_digest)
		tape_chunk_digest(chunk);
	tape_chain_link_chunk(seal->value, chunk->buffer, chunk->digest);
	if (type == TAPE_CHUNK_SIGNATURE)
		seal->unsigned_since_ns = 0;
	else if (type != TAPE_CHUNK_INDEX && seal->key && !seal->unsigned_since_ns)
		seal->unsigned_since_ns = clock_ns(CLOCK_MONOTONIC);
}

uint32_t tape_seal_reserve_bytes(const struct tape_seal *seal)
{
	return seal->key ? TAPE_CHUNK_HEADER_BYTES + TAPE_SIGNATURE_BYTES + TAPE_INDEX_ENTRY_BYTES : 0;
}

uint64_t tape_seal_unsigned_ms(const struct tape_seal *seal)
{
	/* Rounded up: what is unsigned is never 0 old. */
	return seal->unsigned_since_ns ? (clock_ns(CLOCK_MONOTONIC) - seal->unsigned_since_ns) / 1000000 + 1 : 0;
}

int tape_seal_encode(const struct tape_seal *seal, uint64_t slot_seq, uint32_t number, struct tape_chunk **out,
		     struct tape_error *error)
{
	const struct tape_chunk_header header = {.type = TAPE_CHUNK_SIGNATURE, .vcpu = TAPE_NO_VCPU};
	struct tape_signature signature = {.slot_seq = slot_seq, .time_ns = clock_ns(CLOCK_REALTIME), .number = number};
	uint8_t payload[TAPE_SIGNATURE_BYTES];

	memcpy(signature.root, seal->root, TAPE_CHAIN_BYTES);
	memcpy(signature.value, seal->value, TAPE_CHAIN_BYTES);
	tape_put_signature(payload, &signature, seal->key);
	return tape_chunk_encode(out, &header, payload, sizeof(payload), 0, error);
}
