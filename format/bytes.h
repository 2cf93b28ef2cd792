/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - explicit little-endian access to bytes: single values, a bounded
 * reader for bytes from outside, and a growing buffer. A reader that runs past
 * its end, or a buffer that gets no memory, turns bad and stays so: check once.
 */
#ifndef BYTES_H
#define BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint16_t get_le16(const void *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return le16toh(value);
}

static inline uint32_t get_le32(const void *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return le32toh(value);
}

static inline uint64_t get_le64(const void *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return le64toh(value);
}

static inline void put_le16(void *bytes, uint16_t value)
{
	value = htole16(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void put_le32(void *bytes, uint32_t value)
{
	value = htole32(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void put_le64(void *bytes, uint64_t value)
{
	value = htole64(value);
	memcpy(bytes, &value, sizeof(value));
}

/* Several, the quick way where they are so in memory. */
static inline void put_le64s(void *bytes, const uint64_t *values, size_t count)
{
#if __BYTE_ORDER == __LITTLE_ENDIAN
	memcpy(bytes, values, count * sizeof(*values));
#else
	for (size_t i = 0; i < count; i++)
		put_le64((uint8_t *)bytes + 8 * i, values[i]);
#endif
}

/* ---- bounded reader -------------------------------------------------- */

struct byte_reader {
	const uint8_t *at;
	size_t left_bytes;
	bool bad;
};

static inline struct byte_reader byte_reader(const void *bytes, size_t size_bytes)
{
	return (struct byte_reader){.at = bytes, .left_bytes = size_bytes};
}

/* The next size_bytes bytes, or NULL when there are not so many. */
static inline const uint8_t *byte_reader_take(struct byte_reader *reader, size_t size_bytes)
{
	const uint8_t *at = reader->at;

	if (reader->bad || size_bytes > reader->left_bytes) {
		reader->bad = true;
		return NULL;
	}
	reader->at += size_bytes;
	reader->left_bytes -= size_bytes;
	return at;
}

static inline uint8_t byte_reader_u8(struct byte_reader *reader)
{
	const uint8_t *at = byte_reader_take(reader, 1);

	return at ? *at : 0;
}

static inline uint16_t byte_reader_u16(struct byte_reader *reader)
{
	const uint8_t *at = byte_reader_take(reader, 2);

	return at ? get_le16(at) : 0;
}

static inline uint32_t byte_reader_u32(struct byte_reader *reader)
{
	const uint8_t *at = byte_reader_take(reader, 4);

	return at ? get_le32(at) : 0;
}

static inline uint64_t byte_reader_u64(struct byte_reader *reader)
{
	const uint8_t *at = byte_reader_take(reader, 8);

	return at ? get_le64(at) : 0;
}

/* LEB128, at most 10 bytes and 64 bits. */
static inline uint64_t byte_reader_varint(struct byte_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = byte_reader_u8(reader);

		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	reader->bad = true;
	return 0;
}

/* ---- growing buffer -------------------------------------------------- */

struct byte_buffer {
	uint8_t *data;
	size_t size_bytes;
	size_t room_bytes;
	bool bad;
};

static inline void byte_buffer_deinit(struct byte_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct byte_buffer){0};
}

/* size_bytes new bytes at the end, not initialised, or NULL. Moves the data. */
static inline uint8_t *byte_buffer_extend(struct byte_buffer *buffer, size_t size_bytes)
{
	if (buffer->bad || size_bytes > SIZE_MAX / 4 - buffer->size_bytes)
		goto bad;
	if (size_bytes > buffer->room_bytes - buffer->size_bytes) {
		size_t room_bytes = (buffer->size_bytes + size_bytes) * 2;
		uint8_t *data;

		if (room_bytes < 256)
			room_bytes = 256;
		data = realloc(buffer->data, room_bytes);
		if (!data)
			goto bad;
		buffer->data = data;
		buffer->room_bytes = room_bytes;
	}
	buffer->size_bytes += size_bytes;
	return buffer->data + buffer->size_bytes - size_bytes;
bad:
	buffer->bad = true;
	return NULL;
}

static inline void byte_buffer_add(struct byte_buffer *buffer, const void *bytes, size_t size_bytes)
{
	uint8_t *at = byte_buffer_extend(buffer, size_bytes);

	if (at && size_bytes)
		memcpy(at, bytes, size_bytes);
}

static inline void byte_buffer_add_u8(struct byte_buffer *buffer, uint8_t value)
{
	byte_buffer_add(buffer, &value, 1);
}

static inline void byte_buffer_add_u16(struct byte_buffer *buffer, uint16_t value)
{
	uint8_t *at = byte_buffer_extend(buffer, 2);

	if (at)
		put_le16(at, value);
}

static inline void byte_buffer_add_u32(struct byte_buffer *buffer, uint32_t value)
{
	uint8_t *at = byte_buffer_extend(buffer, 4);

	if (at)
		put_le32(at, value);
}

static inline void byte_buffer_add_u64(struct byte_buffer *buffer, uint64_t value)
{
	uint8_t *at = byte_buffer_extend(buffer, 8);

	if (at)
		put_le64(at, value);
}

static inline void byte_buffer_add_varint(struct byte_buffer *buffer, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		byte_buffer_add_u8(buffer, (uint8_t)(value | 0x80));
	byte_buffer_add_u8(buffer, (uint8_t)value);
}

#endif
