/* SPDX-License-Identifier: MIT */
/*
 * tape_seal_check.c - follows the hash chain through a tape and checks its
 * signatures. Where the chain breaks, it goes on from the next value that the
 * tape holds, so that each alteration is told apart, with the bytes that it
 * can lie in: from the last value that fitted to the first that does not.
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#include "tape_read.h"
#include "tape_seal.h"

#define WINDOW_BYTES (256u << 10)

/* What is wrong is somewhere from offset from to offset to. */
static void tell(struct tape_seal_check *check, uint64_t from, uint64_t to, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void tell(struct tape_seal_check *check, uint64_t from, uint64_t to, const char *format, ...)
{
	struct tape_reader *reader = check->reader;
	char message[200];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	reader->reported.from = from;
	reader->reported.to = to;
	tape_reader_report(reader, from, "%s", message);
	reader->reported = (struct tape_reported){0};
}

static void tell_break(struct tape_seal_check *check, uint64_t to, uint64_t before_ns, const char *what, uint64_t seq)
{
	struct tape_reader *reader = check->reader;

	reader->seal.nr_breaks++;
	reader->reported.after_ns = reader->seal.signed_ns;
	reader->reported.before_ns = before_ns;
	tell(check, check->sure_offset, to, what, seq, check->sure_offset, to);
}

/* Of bytes in the file; what can't be read breaks the chain. */
static void digest_file(struct tape_seal_check *check, uint8_t digest[TAPE_CHAIN_BYTES], uint64_t from, uint64_t to)
{
	struct tape_reader *reader = check->reader;
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, TAPE_CHAIN_BYTES);
	while (from < to) {
		size_t size_bytes = to - from < WINDOW_BYTES ? to - from : WINDOW_BYTES;
		const uint8_t *bytes;
		int result = tape_source_get(&reader->source, from, size_bytes, &reader->scratch, &bytes);

		if (result) {
			tell(check, from, to, "cannot be read for the hash chain: %s", strerror(-result));
			break;
		}
		crypto_generichash_update(&state, bytes, size_bytes);
		from += size_bytes;
	}
	crypto_generichash_final(&state, digest, TAPE_CHAIN_BYTES);
}

static void link_chunk(struct tape_seal_check *check, uint64_t from, uint64_t to)
{
	uint8_t header[TAPE_CHUNK_HEADER_BYTES] = {0}, digest[TAPE_CHAIN_BYTES];

	/* If it can't be read, what is behind it can't be either, which is told. */
	tape_source_read(&check->reader->source, from, header, sizeof(header));
	digest_file(check, digest, from + sizeof(header), to);
	tape_chain_link_chunk(check->value, header, digest);
}

static void note_value(struct tape_seal_check *check, uint64_t offset)
{
	struct tape_reader *reader = check->reader;

	memcpy(reader->seal.value, check->value, TAPE_CHAIN_BYTES);
	reader->seal.end_offset = offset;
	if (reader->expects_value && !memcmp(check->value, reader->expected_value, TAPE_CHAIN_BYTES))
		check->saw_expected_value = true;
}

/* ---- signatures ------------------------------------------------------ */

static bool key_is_right(struct tape_seal_check *check, const struct tape_stored_chunk *chunk,
			 const struct tape_signature *signature)
{
	struct tape_reader *reader = check->reader;
	const uint8_t *key = reader->expects_key          ? reader->expected_key
			     : reader->seal.nr_signatures ? reader->seal.public_key
							  : signature->public_key;
	char fingerprint[TAPE_FINGERPRINT_CHARS];

	if (!memcmp(key, signature->public_key, TAPE_PUBLIC_KEY_BYTES))
		return true;
	if (check->told_key)
		return false;
	check->told_key = true;
	tape_key_fingerprint(fingerprint, signature->public_key);
	tell(check, chunk->offset, chunk->offset + 1, "from here on there are signatures by another key, %s",
	     fingerprint);
	return false;
}

static void check_signature(struct tape_seal_check *check, const struct tape_slot *slot, uint32_t number,
			    struct tape_stored_chunk *chunk)
{
	struct tape_reader *reader = check->reader;
	uint64_t end = chunk->offset + tape_chunk_bytes(&chunk->header);
	struct tape_signature signature;
	const uint8_t *payload;

	check->saw_signature = true;
	if (tape_load_stored(reader, chunk, &payload))
		return; /* reported already */
	if (chunk->header.stored_bytes != TAPE_SIGNATURE_BYTES || !tape_get_signature(payload, &signature)) {
		tell(check, chunk->offset, end, "SIGNATURE chunk: the signature is not valid");
		return;
	}
	if (!key_is_right(check, chunk, &signature))
		return;
	if (signature.slot_seq != slot->seq || signature.number != number)
		tell(check, chunk->offset, end,
		     "SIGNATURE chunk: it was made for chunk %u of slot %" PRIu64 ", and moved here", signature.number,
		     signature.slot_seq);
	if (memcmp(signature.root, check->root, TAPE_CHAIN_BYTES) && !check->told_root) {
		check->told_root = true;
		tell(check, 0, TAPE_FILE_HEADER_BYTES,
		     "the file header is not the one that was signed: it was altered, or that of another tape");
	}
	if (memcmp(signature.value, check->value, TAPE_CHAIN_BYTES)) {
		tell_break(check, chunk->offset, signature.time_ns,
			   "slot %" PRIu64 " was altered after it was signed, between offsets %" PRIu64 " and %" PRIu64,
			   slot->seq);
		memcpy(check->value, signature.value, TAPE_CHAIN_BYTES);
	}
	check->sure_offset = end;
	reader->seal.nr_signatures++;
	reader->seal.signed_ns = signature.time_ns;
	reader->seal.signed_offset = end;
	reader->seal.unsigned_chunks = reader->seal.unsigned_bytes = 0;
	memcpy(reader->seal.public_key, signature.public_key, TAPE_PUBLIC_KEY_BYTES);
}

/* ---- slots ----------------------------------------------------------- */

/* The value in this slot's header is not that which the slots before it lead to. */
static void tell_misfit(struct tape_seal_check *check, const struct tape_slot *slot, uint64_t header_offset)
{
	if (!check->before)
		tell_break(check, header_offset, 0,
			   "slot %" PRIu64 " does not follow this file header: one of them was altered or replaced "
			   "(offsets %" PRIu64 " to %" PRIu64 ")",
			   slot->seq);
	else if (check->before_was_foreign)
		tell_break(check, check->before->end, 0,
			   "slot %" PRIu64 " fits neither the slot before it nor the one behind it: it was replaced or "
			   "altered (offsets %" PRIu64 " to %" PRIu64 ")",
			   check->before->seq);
	else
		tell_break(check, check->before->end, 0,
			   "slot %" PRIu64 " was altered between these offsets, or the slot behind it was replaced: "
			   "%" PRIu64 " to %" PRIu64,
			   check->before->seq);
}

static uint64_t place_of(const struct tape_reader *reader, uint64_t seq)
{
	uint32_t nr_places = reader->identity.nr_places;

	return (nr_places ? seq % nr_places : seq) * reader->identity.slot_bytes;
}

/* Compares the header's value with that of the slots before, and goes on from it; true: look at the slot's chunks. */
static bool enter_slot(struct tape_seal_check *check, const struct tape_slot *slot, uint64_t header_offset)
{
	struct tape_reader *reader = check->reader;
	uint8_t header[TAPE_SLOT_HEADER_BYTES];
	const uint8_t *value = header + TAPE_SLOT_CHAIN_OFFSET;
	bool fits, follows = slot->seq == check->next_seq;
	/* Before the oldest slot of a ring there is nothing any more that its value could be compared with. */
	bool is_oldest = !check->before && reader->info.nr_overwritten;

	if (!slot->has_header && !slot->nr_chunks)
		return false; /* nothing of it is there; the next slot shows what is missing */
	if (tape_source_read(&reader->source, header_offset, header, sizeof(header)))
		return false;
	if (slot->seq < check->next_seq) {
		tell(check, header_offset, slot->end, "slot %" PRIu64 " is there twice", slot->seq);
		return false;
	}
	if (slot->start != place_of(reader, slot->seq))
		tell(check, header_offset, slot->end,
		     "slot %" PRIu64 " lies in the place of slot %" PRIu64 ": slots were moved", slot->seq,
		     slot->start / reader->identity.slot_bytes);
	if (!follows) {
		reader->seal.nr_breaks++;
		if (slot->seq - check->next_seq == 1)
			tell(check, check->before ? check->before->end : 0, header_offset,
			     "slot %" PRIu64 " is missing", check->next_seq);
		else
			tell(check, check->before ? check->before->end : 0, header_offset,
			     "slots %" PRIu64 " to %" PRIu64 " are missing", check->next_seq, slot->seq - 1);
	}
	/* A damaged header tells nothing; that it is damaged has been reported. */
	fits = !slot->has_header || is_oldest || !memcmp(value, check->value, TAPE_CHAIN_BYTES);
	if (follows && !fits)
		tell_misfit(check, slot, header_offset);
	check->before_was_foreign = follows && !fits;
	if (slot->has_header) {
		memcpy(check->value, value, TAPE_CHAIN_BYTES);
		check->sure_offset = header_offset;
	}
	tape_chain_link_slot(check->value, header);
	return true;
}

void tape_seal_check_slot(struct tape_seal_check *check, const struct tape_slot *slot)
{
	struct tape_reader *reader = check->reader;
	uint64_t at = slot->start + (slot->start ? 0 : TAPE_FILE_HEADER_BYTES);

	if (!reader->info.has_chain || !enter_slot(check, slot, at))
		return;
	at += TAPE_SLOT_HEADER_BYTES;
	for (size_t i = 0; i < slot->nr_chunks; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[slot->first_chunk + i];
		uint64_t end = chunk->offset + tape_chunk_bytes(&chunk->header);

		if (chunk->offset != at)
			tell(check, at, chunk->offset,
			     "slot %" PRIu64 ": before offset %" PRIu64 " there are bytes that belong to no chunk",
			     slot->seq, chunk->offset);
		if (chunk->header.type != TAPE_CHUNK_INDEX && chunk->header.type != TAPE_CHUNK_SIGNATURE) {
			reader->seal.unsigned_chunks++;
			reader->seal.unsigned_bytes += end - chunk->offset;
		}
		if (chunk->header.type == TAPE_CHUNK_SIGNATURE)
			check_signature(check, slot, (uint32_t)i, chunk);
		link_chunk(check, chunk->offset, end);
		note_value(check, end);
		at = end;
	}
	check->before = slot;
	check->next_seq = slot->seq + 1;
}

/* ---- all ------------------------------------------------------------- */

int tape_seal_check_begin(struct tape_seal_check *check, struct tape_reader *reader)
{
	uint8_t header[TAPE_FILE_HEADER_BYTES];
	int result;

	*check = (struct tape_seal_check){.reader = reader, .next_seq = reader->info.nr_overwritten};
	reader->seal = (struct tape_seal_info){0};
	if (!reader->info.has_chain)
		return 0;
	if (sodium_init() < 0)
		return -ENOSYS;
	result = tape_source_read(&reader->source, 0, header, sizeof(header));
	if (result)
		return result;
	tape_chain_root(check->root, header);
	memcpy(check->value, check->root, TAPE_CHAIN_BYTES);
	note_value(check, sizeof(header));
	return 0;
}

static void check_tail(struct tape_seal_check *check)
{
	struct tape_reader *reader = check->reader;
	const struct tape_seal_info *seal = &reader->seal;

	if (!seal->nr_signatures || !seal->unsigned_chunks)
		return;
	reader->reported.after_ns = seal->signed_ns;
	tell(check, seal->signed_offset, seal->end_offset,
	     "%s%" PRIu64 " chunk%s (%" PRIu64 " bytes) behind the last signature %s not signed",
	     reader->info.finished ? "" : "cut off: ", seal->unsigned_chunks, seal->unsigned_chunks == 1 ? "" : "s",
	     seal->unsigned_bytes, seal->unsigned_chunks == 1 ? "is" : "are");
}

void tape_seal_check_end(struct tape_seal_check *check)
{
	struct tape_reader *reader = check->reader;
	uint8_t key[TAPE_PUBLIC_KEY_BYTES];

	if (!reader->info.has_chain) {
		if (reader->expects_key || reader->expects_value)
			tape_reader_report(reader, TAPE_NO_OFFSET,
					   "the tape has no hash chain, and so no signature of the key");
		else if (!tape_reader_signer(reader, key))
			tape_reader_report(reader, 16, "the tape has signatures, but says that it has no hash chain");
		return;
	}
	if (reader->expects_key && !reader->seal.nr_signatures)
		tape_reader_report(reader, TAPE_NO_OFFSET, "there is no good signature of the key");
	else if (check->saw_signature && !reader->seal.nr_signatures)
		tape_reader_report(reader, TAPE_NO_OFFSET, "there is no good signature");
	check_tail(check);
	if (reader->expects_value && !check->saw_expected_value)
		tape_reader_report(reader, TAPE_NO_OFFSET,
				   "the chain never has the value that it shall have: the tape was altered or cut "
				   "before that, or is another one");
}

void tape_reader_expect(struct tape_reader *reader, const uint8_t public_key[TAPE_PUBLIC_KEY_BYTES],
			const uint8_t chain_value[TAPE_CHAIN_BYTES])
{
	reader->expects_key = public_key;
	reader->expects_value = chain_value;
	if (public_key)
		memcpy(reader->expected_key, public_key, TAPE_PUBLIC_KEY_BYTES);
	if (chain_value)
		memcpy(reader->expected_value, chain_value, TAPE_CHAIN_BYTES);
}

const struct tape_seal_info *tape_reader_seal(const struct tape_reader *reader)
{
	return &reader->seal;
}

int tape_reader_signer(struct tape_reader *reader, uint8_t public_key[TAPE_PUBLIC_KEY_BYTES])
{
	for (size_t i = reader->nr_chunks; i > 0; i--) {
		struct tape_stored_chunk *chunk = &reader->chunks[i - 1];
		const uint8_t *payload;

		if (chunk->header.type != TAPE_CHUNK_SIGNATURE || chunk->header.stored_bytes != TAPE_SIGNATURE_BYTES ||
		    tape_load_stored(reader, chunk, &payload))
			continue;
		memcpy(public_key, payload, TAPE_PUBLIC_KEY_BYTES);
		return 0;
	}
	return -ENOENT;
}
