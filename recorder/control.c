/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum text_rule { TEXT_NONE, TEXT_MAY, TEXT_MUST };

static const struct {
	const char *word;
	enum text_rule text;
} verbs[CONTROL_VERBS] = {
	[CONTROL_STATUS] = {"status", TEXT_NONE}, [CONTROL_SNAPSHOT] = {"snapshot", TEXT_NONE},
	[CONTROL_ROTATE] = {"rotate", TEXT_NONE}, [CONTROL_STOP] = {"stop", TEXT_MAY},
	[CONTROL_NOTE] = {"note", TEXT_MUST},     [CONTROL_TRIGGER] = {"trigger", TEXT_MAY},
};

int control_parse(struct control_command *out, const char *line, const char **why)
{
	size_t word_bytes = strcspn(line, " "), text_bytes;
	const char *text = line + word_bytes;
	unsigned verb = 0;

	text += strspn(text, " ");
	text_bytes = strlen(text);
	while (text_bytes && text[text_bytes - 1] == ' ')
		text_bytes--;
	while (verb < CONTROL_VERBS &&
	       (strlen(verbs[verb].word) != word_bytes || memcmp(line, verbs[verb].word, word_bytes) != 0))
		verb++;
	if (verb == CONTROL_VERBS)
		*why = "not a command: want status, snapshot, rotate, stop, note or trigger";
	else if (verbs[verb].text == TEXT_NONE && text_bytes)
		*why = "this command takes no text";
	else if (verbs[verb].text == TEXT_MUST && !text_bytes)
		*why = "this command needs a text";
	else if (text_bytes > RECORD_TEXT_MAX_BYTES)
		*why = "the text is longer than 400 bytes";
	else
		*why = NULL;
	if (*why)
		return -EINVAL;
	out->verb = (enum control_verb)verb;
	report_clean(out->text, sizeof(out->text), text, text_bytes);
	return 0;
}

size_t control_measure(const char *text, size_t size_bytes)
{
	const char *end = memchr(text, '\n', size_bytes);

	return end ? (size_t)(end - text) + 1 : 0;
}

void control_put_string(FILE *out, const char *text)
{
	char clean[4096];

	report_clean(clean, sizeof(clean), text, strlen(text));
	fputc('"', out);
	for (const char *c = clean; *c; c++) {
		if (*c == '"' || *c == '\\')
			fputc('\\', out);
		fputc(*c, out);
	}
	fputc('"', out);
}

/* ---- the other end --------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* The words with spaces between them; no word can end the line. */
static char *join(char *const *words, unsigned nr_words)
{
	char *line = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&line, &size_bytes);

	if (!out)
		return NULL;
	for (unsigned i = 0; i < nr_words; i++)
		fprintf(out, "%s%s", i ? " " : "", words[i]);
	if (fclose(out)) {
		free(line);
		return NULL;
	}
	for (char *c = line; (c = strchr(c, '\n'));)
		*c = ' ';
	line[size_bytes] = '\n';
	return realloc(line, size_bytes + 1);
}

int control_send(const char *path, char *const *words, unsigned nr_words)
{
	static const char fine[] = "{\"ok\": true";
	int fd = connect_to(path), status = 2;
	FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
	char *line = NULL, *answer = NULL;
	size_t line_bytes, room = 0;
	ssize_t n = -1;

	if (!stream) {
		report_error("%s: cannot connect: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return 2;
	}
	line = join(words, nr_words);
	if (line) {
		line_bytes = (size_t)((char *)rawmemchr(line, '\n') - line) + 1;
		if (send(fd, line, line_bytes, MSG_NOSIGNAL) == (ssize_t)line_bytes)
			n = getline(&answer, &room, stream);
	}
	if (n > 0) {
		fwrite(answer, 1, (size_t)n, stdout);
		status = strncmp(answer, fine, sizeof(fine) - 1) ? 1 : 0;
	} else {
		report_error("%s: the recorder gave no answer", path);
	}
	fclose(stream);
	free(line);
	free(answer);
	return status;
}
