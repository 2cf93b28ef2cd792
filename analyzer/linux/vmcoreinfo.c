/* SPDX-License-Identifier: MIT */
#include "vmcoreinfo.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define NAME         "VMCOREINFO"
#define NAME_BYTES   (sizeof(NAME))
#define PADDED_BYTES ((NAME_BYTES + 3) / 4 * 4)
#define HEAD_BYTES   (12 + PADDED_BYTES)

/* An ELF note of that name; the length of its text, 0: it is none. */
static size_t text_bytes(const uint8_t head[HEAD_BYTES])
{
	uint32_t size_bytes = get_le32(head + 4);

	if (get_le32(head) != NAME_BYTES || memcmp(head + 12, NAME, NAME_BYTES) || size_bytes > VMCOREINFO_MAX_BYTES)
		return 0;
	return size_bytes;
}

/* vmcoreinfo_note is a pointer since Linux 4.13 (203e9e41219b), an array before. */
static struct vmtape_error *find_note(const struct linux_guest *guest, struct guest_memory *memory, gva_t *text,
				      size_t *size_bytes)
{
	struct guest_space space = linux_guest_facts(guest)->kernel_space;
	uint8_t head[HEAD_BYTES];
	struct vmtape_error *error;
	gva_t note;

	if (!linux_guest_symbol(guest, "vmcoreinfo_note", &note))
		return vmtape_error_create(
			VMTAPE_ERROR_NOT_FOUND,
			"the kernel has no symbol vmcoreinfo_note: it was built without crash dumps");
	for (unsigned i = 0; i < 2; i++) {
		error = guest_read_virt(memory, space, note, head, sizeof(head));
		if (error)
			return error;
		*size_bytes = text_bytes(head);
		if (*size_bytes) {
			*text = GVA(note.v + HEAD_BYTES);
			return NULL;
		}
		if (!i)
			note = GVA(get_le64(head));
	}
	return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, note.v,
				      "there is no VMCOREINFO note where the kernel says");
}

struct vmtape_error *linux_guest_vmcoreinfo(const struct linux_guest *guest, struct guest_memory *memory, char **out,
					    size_t *size_bytes)
{
	struct vmtape_error *error;
	char *copy;
	gva_t text;

	error = find_note(guest, memory, &text, size_bytes);
	if (error)
		return error;
	copy = malloc(*size_bytes);
	if (!copy)
		return &vmtape_error_no_memory;
	error = guest_read_virt(memory, linux_guest_facts(guest)->kernel_space, text, copy, *size_bytes);
	if (error)
		free(copy);
	else
		*out = copy;
	return error;
}
