/* SPDX-License-Identifier: MIT */
/* fuzz_control.c - what strangers send to the recorder's sockets: where a request ends, commands, and their texts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "metrics.h"
#include "tape_series.h"

static void use_command(const struct control_command *command)
{
	char *text = NULL;
	size_t size_bytes;
	FILE *out;

	if (command->verb >= CONTROL_VERBS || strlen(command->text) > RECORD_TEXT_MAX_BYTES)
		abort();
	out = open_memstream(&text, &size_bytes);
	if (!out)
		return;
	control_put_string(out, command->text);
	fclose(out);
	/* One string of JSON on one line, whatever came. */
	if (size_bytes < 2 || text[0] != '"' || text[size_bytes - 1] != '"')
		abort();
	for (size_t i = 1; i < size_bytes - 1; i++) {
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"' || (unsigned char)text[i] < 0x20)
			abort();
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	/* Without a NUL behind it, as it lies in a socket's buffer. */
	size_t line_bytes = control_measure((const char *)data, size_bytes);
	size_t http_bytes = metrics_measure_request((const char *)data, size_bytes);
	char *line = calloc(1, size_bytes + 1);
	struct control_command command;
	const char *why = NULL;

	if (!line || line_bytes > size_bytes || http_bytes > size_bytes)
		abort();
	if (size_bytes)
		memcpy(line, data, size_bytes);
	if (!control_parse(&command, line, &why))
		use_command(&command);
	else if (!why)
		abort();
	/* As a pattern, and as a name that one is compared with. */
	if (!tape_series_check(line, NULL)) {
		char *path = tape_series_path(line, 1772323147, 2);

		if (path && !strchr(line, '/') && !tape_series_fits(line, path))
			abort();
		free(path);
	}
	tape_series_fits("vm-%Y%m%dT%H%M%SZ.vmt", line);
	free(line);
	return 0;
}
