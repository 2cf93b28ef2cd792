/* SPDX-License-Identifier: MIT */
#include "record_layout.h"

#include <asm/termbits.h>
#include <linux/tty.h>

static void put_delays(uint32_t flags, struct strbuf *out)
{
	strbuf_printf(out, "NL%u|CR%u|", flags & NLDLY ? 1u : 0u, (flags & CRDLY) >> 9);
	if ((flags & TABDLY) == XTABS)
		strbuf_put(out, "XTABS");
	else
		strbuf_printf(out, "TAB%u", (flags & TABDLY) >> 11);
	strbuf_printf(out, "|BS%u|VT%u|FF%u|", flags & BSDLY ? 1u : 0u, flags & VTDLY ? 1u : 0u,
		      flags & FFDLY ? 1u : 0u);
}

/* strace prints nothing, not "0", for no flags at all. */
static void put_names(const struct name_set *names, uint32_t flags, struct strbuf *out)
{
	if (flags)
		name_set_put_flags(names, flags, out);
}

static void put_termios_rest(struct record_reader *r, struct strbuf *out)
{
	static const struct named_value discipline_values[] = {NAMED(N_TTY), NAMED(N_SLIP), NAMED(N_MOUSE),
							       NAMED(N_PPP)};
	static const struct name_set names_discipline = {.values = discipline_values,
							 .n = sizeof(discipline_values) / sizeof(discipline_values[0]),
							 .unknown = "N_???"};
	static const char *const names[] = {"VINTR",    "VQUIT",    "VERASE",  "VKILL",  "VEOF",  "VTIME",
					    "VMIN",     "VSWTC",    "VSTART",  "VSTOP",  "VSUSP", "VEOL",
					    "VREPRINT", "VDISCARD", "VWERASE", "VLNEXT", "VEOL2"};

	strbuf_put(out, ", c_line=");
	name_set_put_one(&names_discipline, read_u8(r), out);
	strbuf_put(out, ", c_cc=[");
	for (unsigned i = 0; i < NCCS; i++) {
		if (i < sizeof(names) / sizeof(names[0]))
			strbuf_printf(out, "%s[%s]=%#x", i ? ", " : "", names[i], read_u8(r));
		else
			strbuf_printf(out, ", [%u]=%#x", i, read_u8(r));
	}
	strbuf_put(out, "]}");
}

static void put_termios(struct record_reader *r, struct strbuf *out)
{
	uint32_t input = read_u32(r), output = read_u32(r), control = read_u32(r), local = read_u32(r);
	const char *speed = name_set_find(&names_speed, control & CBAUD);

	strbuf_put(out, "{c_iflag=");
	put_names(&names_iflag, input, out);
	strbuf_put(out, ", c_oflag=");
	put_delays(output, out);
	put_names(&names_oflag, output & ~(uint32_t)(NLDLY | CRDLY | TABDLY | BSDLY | VTDLY | FFDLY), out);
	strbuf_put(out, ", c_cflag=");
	if (speed)
		strbuf_put(out, speed);
	else
		strbuf_printf(out, "%#o", control & CBAUD);
	strbuf_printf(out, "|CS%u|", 5 + ((control & CSIZE) >> 4));
	put_names(&names_cflag, control & ~(uint32_t)(CBAUD | CSIZE), out);
	strbuf_put(out, ", c_lflag=");
	put_names(&names_lflag, local, out);
	if (r->brief)
		strbuf_put(out, ", ...}");
	else
		put_termios_rest(r, out);
}

static void put_winsize(struct record_reader *r, struct strbuf *out)
{
	static const char *const names[] = {"{ws_row=", ", ws_col=", ", ws_xpixel=", ", ws_ypixel="};

	for (int i = 0; i < 4; i++) {
		strbuf_put(out, names[i]);
		strbuf_put_u64(out, read_u16(r));
	}
	strbuf_put_char(out, '}');
}

const struct record_layout layout_termios = {
	.types = {"struct termios"}, .size_bytes = 36, .narrow_bytes = 36, .direction = ARG_OUT, .put = put_termios};
const struct record_layout layout_winsize = {
	.types = {"struct winsize"}, .size_bytes = 8, .narrow_bytes = 8, .direction = ARG_OUT, .put = put_winsize};

static void put_modem(struct record_reader *r, struct strbuf *out)
{
	name_set_put_flags(&names_modem, read_u32(r), out);
}
const struct record_layout layout_modem = {
	.size_bytes = 4, .narrow_bytes = 4, .brackets = true, .direction = ARG_OUT, .put = put_modem};
