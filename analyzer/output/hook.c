/* SPDX-License-Identifier: MIT */
/* What hooks have put on a call, within its line. */
#include <string.h>

#include "output/output.h"

/* Before the end, which is there already. */
static void insert(struct strbuf *out, const char *end, const char *key, const char *json)
{
	if (!json || out->failed)
		return;
	out->len -= strlen(end);
	strbuf_put(out, key);
	strbuf_put(out, json);
	strbuf_put(out, end);
}

void output_text_hook(struct strbuf *out, const char *json)
{
	insert(out, "\n", " hook=", json);
}

void output_json_hook(struct strbuf *out, const char *json)
{
	insert(out, "}\n", ", \"hook\": ", json);
}

void output_nitro_hook(struct strbuf *out, const char *json)
{
	insert(out, "}", ", \"hook\": ", json);
}
