/* SPDX-License-Identifier: MIT */
/* tape_ring_meta.c - the meta lines of a ring tape, of which each key's latest must never be lost. */
#include <errno.h>

#include "tape_ring_state.h"

void ring_meta_deinit(struct ring_meta *meta)
{
	for (size_t i = 0; i < meta->nr_lines; i++)
		free(meta->lines[i]);
	free(meta->lines);
	*meta = (struct ring_meta){0};
}

/* Takes line. */
static int set_line(struct ring_meta *meta, char *line)
{
	size_t key_bytes = strcspn(line, "=") + 1;
	char **lines;

	for (size_t i = 0; i < meta->nr_lines; i++) {
		if (strncmp(meta->lines[i], line, key_bytes))
			continue;
		free(meta->lines[i]);
		meta->lines[i] = line;
		return 0;
	}
	lines = reallocarray(meta->lines, meta->nr_lines + 1, sizeof(*lines));
	if (!lines) {
		free(line);
		return -ENOMEM;
	}
	lines[meta->nr_lines++] = line;
	meta->lines = lines;
	return 0;
}

int ring_meta_add(struct ring_meta *meta, const char *text, size_t size_bytes)
{
	const char *end = text + size_bytes;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((stop ? stop : end) - text);
		char *line = length ? strndup(text, length) : NULL;

		if (length && (!line || set_line(meta, line)))
			return -ENOMEM;
		text += length + 1;
	}
	return 0;
}

int ring_carry_meta(struct tape_ring *ring, struct tape_error *error)
{
	struct byte_buffer text = {0};
	int result = 0;

	for (size_t i = 0; i < ring->meta.nr_lines && !result; i++) {
		const char *line = ring->meta.lines[i];
		size_t length = strlen(line);
		bool is_last = i + 1 == ring->meta.nr_lines;

		byte_buffer_add(&text, line, length);
		byte_buffer_add_u8(&text, '\n');
		if (is_last || text.size_bytes + strlen(ring->meta.lines[i + 1]) + 2 > TAPE_META_MAX_BYTES) {
			struct tape_chunk *chunk;

			byte_buffer_add_u8(&text, 0);
			result = text.bad ? tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for meta lines")
					  : tape_chunk_encode_meta(&chunk, (const char *)text.data, error);
			if (!result) {
				chunk->header.flags = TAPE_F_CARRIED;
				result = ring_carry(ring, chunk);
			}
			text.size_bytes = 0;
		}
	}
	byte_buffer_deinit(&text);
	return result;
}
