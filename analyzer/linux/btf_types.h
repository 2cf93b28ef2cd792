/* SPDX-License-Identifier: MIT */
/*
 * btf_types.h - the kernel's own type information. Bytes from the guest are
 * checked here, record by record, before libbpf sees them. Types are named
 * "task_struct", or "struct x", "union x", "enum x" to mean that kind only.
 */
#ifndef BTF_TYPES_H
#define BTF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct btf_types;

/* Takes a copy. FORMAT: damaged; UNSUPPORTED: a kind or version that is newer. */
struct vmtape_error *btf_types_create(struct btf_types **out, const void *data, size_t size_bytes);
void btf_types_destroy(struct btf_types *types);
size_t btf_types_count(const struct btf_types *types);

struct btf_field {
	uint32_t offset_bytes;
	uint32_t size_bytes; /* of the member's type */
	uint8_t bit_shift;   /* bitfields: from bit 0 of the byte at offset_bytes */
	uint8_t nr_bits;     /* 0: no bitfield */
};
/* path: "mm" or "f_path.dentry"; anonymous structs and unions are looked through. */
struct vmtape_error *btf_types_member(const struct btf_types *types, const char *type, const char *path,
				      struct btf_field *out);

enum btf_member_kind {
	BTF_MEMBER_SIGNED,
	BTF_MEMBER_UNSIGNED,
	BTF_MEMBER_POINTER,
	BTF_MEMBER_TEXT, /* array of char */
	BTF_MEMBER_STRUCT,
	BTF_MEMBER_OTHER, /* bitfields, unions, what else there is */
};

struct btf_member_info {
	const char *name; /* lives as long as the types */
	uint32_t offset_bytes;
	uint32_t size_bytes; /* of one item */
	uint32_t nr_items;   /* arrays: at most 65535; text: its bytes; 0: no array */
	enum btf_member_kind kind;
	char type_name[64]; /* BTF_MEMBER_STRUCT: "struct timespec64" */
};
/* Members in their order, those of anonymous structs in their place, of unions the first; returns how many. */
size_t btf_types_members(const struct btf_types *types, const char *type, struct btf_member_info *out, size_t room);
struct vmtape_error *btf_types_size(const struct btf_types *types, const char *type, uint32_t *size_bytes);

#endif
