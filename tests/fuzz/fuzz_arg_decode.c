/* SPDX-License-Identifier: MIT */
/*
 * Decodes a call of any name with any arguments and any captured bytes. Input:
 * number (2), ABI (1), flags (1; the upper half: what descriptor the first argument is), result (8), six arguments
 * (48), then pieces: flags (1), label (1), address (1: an argument, or a word of an earlier piece), status (1), wanted
 * (4), length (2), bytes.
 */
#include <stdint.h>

#include "../unit/call_builder.h"
#include "linux/arg_decode.h"
#include "linux/semantics.h"

struct input {
	const uint8_t *data;
	size_t left;
};

static uint64_t take(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes && in->left; i++, in->data++, in->left--)
		value |= (uint64_t)*in->data << 8 * i;
	return value;
}

#define MAX_GVAS 256

/* Addresses that a piece can have: arguments first, then every word of the pieces so far. */
struct addresses {
	uint64_t values[MAX_GVAS];
	size_t n;
};

static void add_addresses(struct addresses *a, const uint8_t *bytes, size_t len, size_t word)
{
	for (size_t at = 0; at + word <= len && a->n < MAX_GVAS; at += word) {
		a->values[a->n] = 0;
		memcpy(&a->values[a->n++], bytes + at, word);
	}
}

static void take_piece(struct input *in, struct call_builder *b, struct addresses *addresses)
{
	uint8_t flags = (uint8_t)take(in, 1), label = (uint8_t)take(in, 1), from = (uint8_t)take(in, 1);
	uint8_t status = (uint8_t)take(in, 1);
	uint32_t want = (uint32_t)take(in, 4);
	size_t len = (size_t)take(in, 2);
	bool at_exit = flags & 1;

	if (len > in->left)
		len = in->left;
	status = status % TRAP_FRAG_STATUSES | (at_exit && flags & 2 ? TRAP_FRAG_AGAIN : 0);
	record_builder_add(at_exit ? &b->exit : &b->enter, label, status, addresses->values[from % addresses->n],
			   flags & 4 ? (uint32_t)len : want, in->data, len);
	add_addresses(addresses, in->data, len, b->call.abi == TRAP_ABI_I386 ? 4 : 8);
	in->data += len;
	in->left -= len;
}

static void decode(const struct call *call)
{
	struct strbuf out = {0};
	int64_t ret;

	for (int i = -1; i <= LINUX_SYSCALL_ARGS; i++) {
		call_arg_text(call, i, &out);
		if (!call_arg_name(call, i))
			abort();
	}
	call_args_text(call, &out);
	call_ret_text(call, &out);
	call_error_name(call);
	call_sigframe_result(call, &ret);
	call_arg_records(call, 1, &out);
	/* whatever the guest's bytes were, the text is printable */
	for (size_t i = 0; i < out.len; i++) {
		if (out.data[i] < 0x20 || out.data[i] > 0x7e)
			abort();
	}
	strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t abis[] = {TRAP_ABI_X86_64, TRAP_ABI_I386, TRAP_ABI_X32};
	static struct call_builder b;
	struct call_fds fds = {0};
	struct addresses addresses = {.n = LINUX_SYSCALL_ARGS + 1};
	struct input in = {data, size};
	uint16_t nr = (uint16_t)take(&in, 2);
	uint8_t abi = abis[take(&in, 1) % 3], flags = (uint8_t)take(&in, 1);
	int64_t ret = (int64_t)take(&in, 8);
	const struct call_spec *spec = call_spec_get(nr % call_spec_count());
	const char *name = flags & 8 ? linux_syscall_name(abi, nr) : NULL;

	call_builder_init(&b, abi, name ? name : spec->name);
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		uint64_t value = take(&in, 8);

		b.call.args[i] = abi == TRAP_ABI_I386 ? (uint32_t)value : value;
		addresses.values[i] = b.call.args[i];
	}
	b.exit.rsp = b.enter.rsp = addresses.values[LINUX_SYSCALL_ARGS] = b.call.args[0];
	while (in.left)
		take_piece(&in, &b, &addresses);
	call_builder_finish(&b, flags & 1, ret);
	b.call.ret_known &= !(flags & 2);
	b.call.args_known = !(flags & 4);
	if (flags >> 4) {
		fds.args = 1;
		fds.objects[0] = fd_object_create((enum fd_kind)(flags >> 4), "", 0);
		b.call.fds = &fds;
		b.call.show_fds = true;
	}
	decode(&b.call);
	call_fds_release(&fds);
	return 0;
}
