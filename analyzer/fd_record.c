/* SPDX-License-Identifier: MIT */
#include "fd_record.h"

#include <string.h>

#include "linux/arg_decode.h"
#include "plan_abi.h"

void fd_record_args(const struct trap_view *view, uint64_t out[LINUX_SYSCALL_ARGS])
{
	static const enum trap_reg wide[] = {TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX,
					     TRAP_REG_R10, TRAP_REG_R8,  TRAP_REG_R9};
	static const enum trap_reg narrow[] = {TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX,
					       TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_RBP};
	bool small = view->header.abi == TRAP_ABI_I386;

	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		enum trap_reg reg = small ? narrow[i] : wide[i];

		/* The 32-bit SYSCALL takes ECX for itself: its stub brings the second argument in EBP. */
		if (small && i == 1 && view->header.via == TRAP_VIA_SYSCALL)
			reg = TRAP_REG_RBP;
		out[i] = small ? (uint32_t)view->regs[reg] : view->regs[reg];
	}
}

const uint8_t *fd_record_piece(const struct trap_view *view, uint8_t label, bool again, size_t *n, bool *whole)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label != label || !fragment.len_bytes || again != !!(fragment.status & TRAP_FRAG_AGAIN))
			continue;
		*n = fragment.len_bytes;
		*whole = (fragment.status & ~TRAP_FRAG_AGAIN) == TRAP_FRAG_WHOLE;
		return bytes;
	}
	return NULL;
}

const uint8_t *fd_record_piece_at(const struct trap_view *view, uint8_t label, uint64_t gva, size_t *n, bool *whole)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label != label || fragment.gva != gva || !fragment.len_bytes ||
		    fragment.status & TRAP_FRAG_AGAIN)
			continue;
		*n = fragment.len_bytes;
		*whole = fragment.status == TRAP_FRAG_WHOLE;
		return bytes;
	}
	return NULL;
}

/* The generic plan takes plain bytes: a NUL tells then. */
const char *fd_record_string(const struct trap_view *view, int arg, bool again, size_t *n)
{
	bool whole;
	const uint8_t *bytes = fd_record_piece(view, (uint8_t)(PLAN_LABEL_ARG0 + arg), again, n, &whole);
	size_t len;

	if (!bytes)
		return NULL;
	len = strnlen((const char *)bytes, *n);
	if (len == *n && !whole)
		return NULL;
	*n = len;
	return (const char *)bytes;
}

bool fd_record_is_empty(const struct trap_view *view, int arg)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes))
		if (fragment.label == PLAN_LABEL_ARG0 + arg && !(fragment.status & TRAP_FRAG_AGAIN))
			return fragment.status == TRAP_FRAG_WHOLE && (!fragment.len_bytes || !bytes[0]);
	return false;
}

bool fd_record_result(const struct trap_view *view, int64_t *ret)
{
	struct call call = {.has_exit = true};

	if (!trap_view_has(view, TRAP_REG_RAX))
		return false;
	*ret = view->header.abi == TRAP_ABI_I386 ? (int32_t)(uint32_t)view->regs[TRAP_REG_RAX]
						 : (int64_t)view->regs[TRAP_REG_RAX];
	if (!(view->header.flags & TRAP_F_DIVERTED))
		return true;
	call.exit = *view;
	call.abi = view->header.abi;
	return call_sigframe_result(&call, ret);
}
