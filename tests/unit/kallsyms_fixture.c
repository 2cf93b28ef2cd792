/* SPDX-License-Identifier: MIT */
#include "kallsyms_fixture.h"

#include <stdlib.h>
#include <string.h>

/* Compressed pieces; every printable byte also stands for itself. */
static const char *const pieces[] = {"sys_", "__x64_", "_lock", "init", "task", "Tsys", "__",
				     /* As long as what is copied at once, and longer. */
				     "sixteen_bytes_of", "seventeen_bytes_o", "more_than_twice_sixteen_bytes_long"};
#define FIRST_PIECE 0x80u

struct writer {
	const struct kallsyms_fixture *fixture;
	uint8_t *image;
	size_t at;
};

static void put(struct writer *w, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		w->image[w->at++] = value >> 8 * i;
}

static void align(struct writer *w, unsigned alignment)
{
	while (w->at % alignment)
		w->image[w->at++] = 0;
}

static const char *token(unsigned code, char single[2])
{
	if (code >= FIRST_PIECE && code - FIRST_PIECE < sizeof(pieces) / sizeof(*pieces))
		return pieces[code - FIRST_PIECE];
	/* Codes that no name uses hold left-over pairs. */
	single[0] = code > 0x20 && code < 0x7f ? (char)code : '?';
	single[1] = '\0';
	return single;
}

static size_t compress(const char *name, uint8_t *out)
{
	size_t n = 0;

	while (*name) {
		size_t i = 0, count = sizeof(pieces) / sizeof(*pieces);

		while (i < count && strncmp(name, pieces[i], strlen(pieces[i])))
			i++;
		if (i < count) {
			out[n++] = FIRST_PIECE + i;
			name += strlen(pieces[i]);
		} else {
			out[n++] = *name++;
		}
	}
	return n;
}

static void put_addresses(struct writer *w)
{
	const struct kallsyms_fixture *f = w->fixture;

	align(w, f->alignment);
	for (uint32_t i = 0; i < f->nr; i++) {
		uint64_t address = f->symbols[i].address;

		switch (f->encoding) {
		case FIXTURE_WHOLE:
			put(w, address, 8);
			break;
		case FIXTURE_PLACE:
			put(w, address - (f->image_gva + w->at), 4);
			break;
		case FIXTURE_BASE:
			put(w, address - f->base, 4);
			break;
		case FIXTURE_BASE_PERCPU:
			put(w, address < f->base ? address : f->base - 1 - address, 4);
			break;
		}
	}
	align(w, f->alignment);
	if (f->encoding == FIXTURE_BASE || f->encoding == FIXTURE_BASE_PERCPU)
		put(w, f->base, 8);
	align(w, f->alignment);
}

static void put_names(struct writer *w)
{
	const struct kallsyms_fixture *f = w->fixture;
	uint64_t *markers = calloc(f->nr / 256 + 1, sizeof(*markers));
	uint8_t bytes[2048];
	size_t start;

	put(w, f->nr, 4);
	align(w, f->alignment);
	start = w->at;
	for (uint32_t i = 0; i < f->nr; i++) {
		size_t n = compress(f->symbols[i].name, bytes);

		if (i % 256 == 0)
			markers[i / 256] = w->at - start;
		if (n < 0x80) {
			put(w, n, 1);
		} else {
			put(w, 0x80 | (n & 0x7f), 1);
			put(w, n >> 7, 1);
		}
		memcpy(w->image + w->at, bytes, n);
		w->at += n;
	}
	align(w, f->alignment);
	for (uint32_t i = 0; i < f->nr; i += 256)
		put(w, markers[i / 256], f->marker_bytes);
	align(w, f->alignment);
	free(markers);
}

static void put_seqs(struct writer *w)
{
	/* No zero among them, so that the walk back to the first token has nothing to stop at. */
	for (uint32_t i = 0; i < w->fixture->nr; i++)
		put(w, 0x010101 + i, 3);
	align(w, w->fixture->alignment);
}

static void put_tokens(struct writer *w)
{
	uint16_t offsets[256];
	size_t start = w->at;
	char single[2];

	for (unsigned i = 0; i < 256; i++) {
		const char *text = token(i, single);

		offsets[i] = w->at - start;
		memcpy(w->image + w->at, text, strlen(text) + 1);
		w->at += strlen(text) + 1;
	}
	align(w, w->fixture->alignment);
	for (unsigned i = 0; i < 256; i++)
		put(w, offsets[i], 2);
	align(w, w->fixture->alignment);
}

size_t kallsyms_fixture_write(const struct kallsyms_fixture *fixture, uint8_t *image, size_t offset)
{
	struct writer w = {.fixture = fixture, .image = image, .at = offset};

	if (fixture->addresses_first)
		put_addresses(&w);
	put_names(&w);
	if (fixture->seqs_before_token)
		put_seqs(&w);
	put_tokens(&w);
	if (!fixture->addresses_first) {
		put_addresses(&w);
		put_seqs(&w);
	}
	return w.at;
}
