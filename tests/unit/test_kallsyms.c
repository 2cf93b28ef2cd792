/* SPDX-License-Identifier: MIT */
/* Every order and encoding of the kernel's symbol table is found among other bytes; damaged ones are not. */
#include "check.h"
#include "kallsyms_fixture.h"
#include "linux/kallsyms.h"

#define IMAGE_BYTES (1u << 20)
#define IMAGE_GVA   0xffffffff9a000000ull
#define NR_SYMBOLS  701u
#define NR_PERCPU   5u

static struct fixture_symbol symbols[NR_SYMBOLS];
static char texts[NR_SYMBOLS][320];
static uint8_t image[IMAGE_BYTES];

static void make_symbols(void)
{
	for (unsigned i = 0; i < NR_SYMBOLS; i++) {
		symbols[i].name = texts[i];
		symbols[i].address = IMAGE_GVA + i * 0x140;
		snprintf(texts[i], sizeof(texts[i]), "T__x64_sys_call%u_lock", i);
	}
	for (unsigned i = 0; i < NR_PERCPU; i++) {
		symbols[i].address = i * 0x1000;
		snprintf(texts[i], sizeof(texts[i]), "Apercpu%u", i);
	}
	strcpy(texts[5], "T_text");
	strcpy(texts[6], "T_stext");
	symbols[6].address = symbols[5].address;
	/* A local and a global one of the same name, and a name that needs two length bytes. */
	strcpy(texts[100], "tinit");
	strcpy(texts[200], "Tinit");
	strcpy(texts[300], "tinit");
	/* Long tokens, alone and before and behind others. */
	strcpy(texts[310], "tsixteen_bytes_of");
	strcpy(texts[311], "tseventeen_bytes_o");
	strcpy(texts[312], "tinit_sixteen_bytes_oftaskseventeen_bytes_o_lockmore_than_twice_sixteen_bytes_long_x");
	texts[400][0] = 't';
	memset(texts[400] + 1, 'z', 300);
	texts[400][301] = '\0';
}

static bool accept_any(void *ctx, const struct kallsyms *found)
{
	(void)found;
	++*(int *)ctx;
	return true;
}

static bool accept_text(void *ctx, const struct kallsyms *found)
{
	uint64_t address;

	++*(int *)ctx;
	/* Two have the address of _text: that one alone would let addresses through that are off by one. */
	return kallsyms_lookup(found, "_text", &address) && address == symbols[5].address &&
	       kallsyms_lookup(found, "init", &address) && address == symbols[200].address;
}

static bool accept_none(void *ctx, const struct kallsyms *found)
{
	(void)found;
	++*(int *)ctx;
	return false;
}

static size_t write_image(struct kallsyms_fixture *fixture)
{
	size_t end;

	/* What lies around looks busy, without zeros at first. */
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = 1 + i * 31 % 255;
	memset(image + 0x8000, 0, 0x1000);
	if (fixture->encoding != FIXTURE_BASE_PERCPU) {
		/* Without absolute per-CPU symbols all are kernel addresses. */
		fixture->symbols += NR_PERCPU;
		fixture->nr -= NR_PERCPU;
	}
	fixture->base = IMAGE_GVA;
	fixture->image_gva = IMAGE_GVA;
	end = kallsyms_fixture_write(fixture, image, 0x9000);
	CHECK(end < sizeof(image) / 2);
	return end;
}

static void check_found(struct kallsyms_fixture fixture)
{
	struct kallsyms *found;
	struct vmtape_error *error;
	uint64_t address;
	int calls = 0;

	write_image(&fixture);
	error = kallsyms_find(&found, image, sizeof(image), IMAGE_GVA, accept_text, &calls);
	if (error)
		fprintf(stderr, "encoding %d, addresses %s: %s\n", fixture.encoding,
			fixture.addresses_first ? "first" : "last", error->message);
	CHECK(!error);
	CHECK_INT(found->nr, fixture.nr);
	for (uint32_t i = 0; i < fixture.nr; i++) {
		CHECK_INT(found->symbols[i].address, fixture.symbols[i].address);
		CHECK_STR(kallsyms_name(found, i), fixture.symbols[i].name + 1);
		CHECK_INT(found->symbols[i].type, fixture.symbols[i].name[0]);
	}
	CHECK(kallsyms_lookup(found, "init", &address));
	CHECK_INT(address, symbols[200].address);
	CHECK(kallsyms_lookup(found, "__x64_sys_call77_lock", &address));
	CHECK_INT(address, symbols[77].address);
	CHECK(!kallsyms_lookup(found, "__x64_sys_call77", &address));
	CHECK_INT(found->symbols[kallsyms_first_at(found, symbols[5].address)].address, symbols[5].address);
	CHECK_STR(kallsyms_name(found, kallsyms_first_at(found, symbols[5].address)), "_text");
	CHECK_INT(kallsyms_first_at(found, UINT64_MAX), found->nr);
	kallsyms_destroy(found);

	calls = 0;
	error = kallsyms_find(&found, image, sizeof(image), IMAGE_GVA, accept_none, &calls);
	CHECK(error && error->code == VMTAPE_ERROR_NOT_FOUND && !found);
	CHECK(calls > 0);
	vmtape_error_destroy(error);
}

static struct kallsyms_fixture fixture_of(enum fixture_encoding encoding, int addresses_first, int seqs,
					  unsigned alignment)
{
	return (struct kallsyms_fixture){
		.symbols = symbols,
		.nr = NR_SYMBOLS,
		.encoding = encoding,
		.addresses_first = addresses_first,
		.seqs_before_token = seqs,
		.alignment = alignment,
		.marker_bytes = 4,
	};
}

static void all_layouts_are_found(void)
{
	struct kallsyms_fixture old = fixture_of(FIXTURE_WHOLE, 1, 0, 8);

	for (unsigned alignment = 4; alignment <= 8; alignment += 4) {
		for (enum fixture_encoding encoding = FIXTURE_WHOLE; encoding <= FIXTURE_BASE_PERCPU; encoding++) {
			check_found(fixture_of(encoding, 0, 0, alignment));
			if (encoding == FIXTURE_PLACE)
				continue;
			check_found(fixture_of(encoding, 1, 0, alignment));
			check_found(fixture_of(encoding, 1, 1, alignment));
		}
	}
	old.marker_bytes = 8;
	check_found(old);
	/* Sequence numbers that fill their table to the last byte. */
	old = fixture_of(FIXTURE_BASE_PERCPU, 1, 1, 8);
	old.nr = 696;
	check_found(old);
	/* One marker only. */
	old = fixture_of(FIXTURE_BASE_PERCPU, 0, 0, 8);
	old.nr = 250;
	write_image(&old);
	{
		struct kallsyms *found;
		int calls = 0;

		CHECK(!kallsyms_find(&found, image, sizeof(image), IMAGE_GVA, accept_text, &calls));
		CHECK_INT(found->nr, 250);
		kallsyms_destroy(found);
	}
}

static void expect_none(void)
{
	struct kallsyms *found;
	int calls = 0;
	struct vmtape_error *error = kallsyms_find(&found, image, sizeof(image), IMAGE_GVA, accept_any, &calls);

	CHECK(error && error->code == VMTAPE_ERROR_NOT_FOUND);
	CHECK_INT(calls, 0);
	vmtape_error_destroy(error);
}

static void damage_is_noticed(void)
{
	static const char digits[] = "\0000\0001\0002\0003";
	struct kallsyms_fixture fixture = fixture_of(FIXTURE_BASE, 0, 0, 8);
	size_t end = write_image(&fixture), tokens, markers, index;

	tokens = (uint8_t *)memmem(image, sizeof(image), digits, sizeof(digits)) - image;
	markers = tokens;
	/* Markers end where the tokens begin: 3 of them, padded to 16 bytes, before 48 strings of "?". */
	markers -= 2 * 33 + 2 * 15 - 1 + 16;
	CHECK_INT(image[markers] | image[markers + 1] | image[markers + 2] | image[markers + 3], 0);
	CHECK(image[markers + 4] | image[markers + 5]);

	image[markers + 4]++;
	expect_none();
	image[markers + 4]--;

	/* Behind the token index: offsets, relative_base, sequence numbers. */
	index = end - 3 * (NR_SYMBOLS - NR_PERCPU) - 8 - 4 * (NR_SYMBOLS - NR_PERCPU) - 512;
	for (size_t at = index; at < index + 512; at += 64) {
		image[at] ^= 0x55;
		expect_none();
		image[at] ^= 0x55;
	}
	/* num_syms */
	image[0x9000] ^= 1;
	expect_none();
	image[0x9000] ^= 1;
	/* a name's length */
	image[0x9008] += 1;
	expect_none();
	image[0x9008] -= 1;
	{
		struct kallsyms *found;
		int calls = 0;

		CHECK(!kallsyms_find(&found, image, sizeof(image), IMAGE_GVA, accept_any, &calls));
		kallsyms_destroy(found);
	}
}

/* Any piece of an image is safe to search; nothing is read past its end. */
static void cut_images_are_safe(void)
{
	struct kallsyms_fixture fixture = fixture_of(FIXTURE_BASE_PERCPU, 0, 0, 4);
	size_t end = write_image(&fixture);

	for (size_t size = 0x9000; size < end; size += 61) {
		uint8_t *copy = malloc(size - 0x8f00);
		struct kallsyms *found;
		int calls = 0;

		CHECK(copy);
		memcpy(copy, image + 0x8f00, size - 0x8f00);
		vmtape_error_destroy(
			kallsyms_find(&found, copy, size - 0x8f00, IMAGE_GVA + 0x8f00, accept_any, &calls));
		kallsyms_destroy(found);
		free(copy);
	}
}

int main(void)
{
	make_symbols();
	all_layouts_are_found();
	damage_is_noticed();
	cut_images_are_safe();
	return 0;
}
