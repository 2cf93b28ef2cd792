/* SPDX-License-Identifier: MIT */
/* arg_plain.h - an argument's text as programs want it: a string without its quotes and escapes. */
#ifndef ARG_PLAIN_H
#define ARG_PLAIN_H

#include "call.h"
#include "strbuf.h"

enum arg_plain {
	ARG_PLAIN_NUMBER, /* no more than the bare number; out holds that */
	ARG_PLAIN_TEXT,   /* symbols, structures; guest bytes in them are escaped */
	ARG_PLAIN_STRING, /* the guest's bytes as they are, which may hold NUL */
	ARG_PLAIN_CUT,    /* the same, but the guest's string is longer */
};

/* Appends to out; i is below call_shown_args(). */
enum arg_plain call_arg_plain(const struct call *call, int i, struct strbuf *out);

/* The same for a text in strace's form. */
enum arg_plain text_to_plain(const char *text, size_t n, struct strbuf *out);

/* The argument as a number of its C type: sign-extended if that is signed. is_pointer: better shown in hex. */
int64_t call_arg_number(const struct call *call, int i, bool *is_pointer);

/*
 * As call_nr_args(), call_arg_text() and call_args_text() of arg_decode.h, and
 * for a call without a name all registers, with the text that may lie behind them.
 */
int call_shown_args(const struct call *call);
bool call_shown_arg(const struct call *call, int i, struct strbuf *out);
/* The same, but nothing is put for the bare number. */
bool call_shown_more(const struct call *call, int i, struct strbuf *out);
void call_shown_arg_list(const struct call *call, struct strbuf *out);

#endif
