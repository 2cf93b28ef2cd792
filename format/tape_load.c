/* SPDX-License-Identifier: MIT */
/* tape_load.c - loads chunks for the reader; one that fails is marked bad and reported once. */
#include <errno.h>

#include "tape_read.h"

struct tape_origin tape_chunk_origin(const struct tape_reader *reader, const struct tape_stored_chunk *chunk)
{
	return (struct tape_origin){&reader->source, reader->tag, reader->slots[chunk->slot].seq};
}

/* Has a recorder that is still at work on a ring tape taken the slot's place since it was looked at? */
static bool is_overwritten(const struct tape_reader *reader, const struct tape_slot *slot)
{
	uint8_t bytes[TAPE_SLOT_HEADER_BYTES];
	struct tape_slot_header header;

	return reader->identity.nr_places &&
	       !tape_source_read(&reader->source, slot->start + (slot->start ? 0 : TAPE_FILE_HEADER_BYTES), bytes,
				 sizeof(bytes)) &&
	       tape_get_slot_header(bytes, &header) && header.seq > slot->seq;
}

int tape_load_failed(struct tape_reader *reader, struct tape_stored_chunk *chunk, int result, const char *why)
{
	if (result != -EBADMSG)
		return result;
	chunk->bad = true;
	if (is_overwritten(reader, &reader->slots[chunk->slot])) {
		if (!reader->told_overwritten)
			tape_reader_problem(reader, chunk->offset,
					    "slots from here on were overwritten while the tape was read: it is still "
					    "being recorded");
		reader->told_overwritten = true;
		return -EBADMSG;
	}
	return tape_reader_problem(reader, chunk->offset, "%s chunk %s", tape_type_name(chunk->header.type), why);
}

int tape_load_stored(struct tape_reader *reader, struct tape_stored_chunk *chunk, const uint8_t **out)
{
	struct tape_origin from = tape_chunk_origin(reader, chunk);

	if (chunk->bad)
		return -EBADMSG;
	return tape_load_failed(reader, chunk, tape_loader_stored(&reader->loader, &from, chunk, out),
				reader->loader.why);
}

int tape_load(struct tape_reader *reader, struct tape_stored_chunk *chunk, struct tape_scratch *raw)
{
	struct tape_origin from = tape_chunk_origin(reader, chunk);

	if (chunk->bad)
		return -EBADMSG;
	return tape_load_failed(reader, chunk, tape_loader_load(&reader->loader, &from, chunk, raw),
				reader->loader.why);
}
