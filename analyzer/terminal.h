/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - colour and paging, for commands that print much. Read the
 * options, then call terminal_begin() once, before the first output and before
 * anything that forbids new processes; command_finish() waits for the pager, which
 * shows itself when there is output. What comes from a guest must be escaped before
 * it is printed: the pager is told to let colours through.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>

#include "strbuf.h"

enum terminal_when {
	TERMINAL_AUTO, /* if standard output is a terminal */
	TERMINAL_ALWAYS,
	TERMINAL_NEVER,
};

/* Zero-initialise: both auto. */
struct terminal {
	enum terminal_when when_color;
	bool no_pager;
	/* Set by terminal_begin(): */
	bool color;
	bool paged; /* what is printed goes through a pager, which has the screen */
};

/* "auto", "always", "never"; false: none of them. */
bool terminal_set_color(struct terminal *terminal, const char *when);
/*
 * Colour: auto heeds NO_COLOR and TERM=dumb. Pager: $VMTAPE_PAGER, $PAGER or less, with LESS=FRX unless it is set, and
 * only when standard output is a terminal; "cat" and "" are none.
 */
void terminal_begin(struct terminal *terminal);
/* Standard output ends; waits for the pager. Nothing without one. */
void terminal_end(void);

enum terminal_style {
	STYLE_HEAD,  /* titles */
	STYLE_NAME,  /* of a process or call */
	STYLE_ERROR, /* a call that failed, a loss */
	STYLE_FAINT, /* what matters less: times, kernel threads */
};
/* Nothing without colour. */
void terminal_style(const struct terminal *terminal, struct strbuf *out, enum terminal_style style);
void terminal_plain(const struct terminal *terminal, struct strbuf *out);

#endif
