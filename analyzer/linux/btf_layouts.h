/* SPDX-License-Identifier: MIT */
/*
 * btf_layouts.h - how the structs that calls point at look by the guest's own
 * types: layouts for those that record_layout.h does not describe. They live as
 * long as the set, and may be read by any thread; one thread asks for new ones,
 * which is done for all calls as the guest is identified.
 */
#ifndef BTF_LAYOUTS_H
#define BTF_LAYOUTS_H

#include "btf_types.h"
#include "record_layout.h"

struct btf_layouts;

/* NULL: no memory. types must outlive the set. */
struct btf_layouts *btf_layouts_create(const struct btf_types *types);
void btf_layouts_destroy(struct btf_layouts *layouts);
/* By C type, "const struct user_desc *"; NULL: no pointer to a struct of known, fitting size. */
const struct record_layout *btf_layouts_find(struct btf_layouts *layouts, const char *type);

#endif
