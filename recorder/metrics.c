/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HTTP_IDLE_MS 5000

struct metrics {
	const char *path;
	char *temp_path; /* of a file; NULL: socket */
	struct client_server *server;
	metrics_fill_fn fill;
	void *ctx;
	bool told_failure;
};

static char *make_text(struct metrics *metrics, size_t *size_bytes)
{
	struct metrics_values values = {0};

	metrics->fill(metrics->ctx, &values);
	return metrics_text(&values, size_bytes);
}

/* ---- over a socket --------------------------------------------------- */

size_t metrics_measure_request(const char *text, size_t size_bytes)
{
	/* A line, then headers up to an empty line; ends of lines may lack their CR. */
	for (size_t i = 1; i < size_bytes; i++)
		if (text[i] == '\n' && (text[i - 1] == '\n' || (i >= 2 && text[i - 1] == '\r' && text[i - 2] == '\n')))
			return i + 1;
	return 0;
}

static void answer_http(void *ctx, uint64_t client, const char *request, size_t size_bytes)
{
	static const char refusal[] = "HTTP/1.0 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n"
				      "Connection: close\r\n\r\n";
	struct metrics *metrics = ctx;
	bool only_head = !strncmp(request, "HEAD ", 5);
	size_t text_bytes = 0, answer_bytes;
	char *text, *answer = NULL;
	FILE *out;

	if (strncmp(request, "GET ", 4) && !only_head) {
		client_server_answer(metrics->server, client, refusal, sizeof(refusal) - 1);
		return;
	}
	text = make_text(metrics, &text_bytes);
	out = text ? open_memstream(&answer, &answer_bytes) : NULL;
	if (out) {
		fprintf(out,
			"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			"Content-Length: %zu\r\nConnection: close\r\n\r\n",
			text_bytes);
		if (!only_head)
			fwrite(text, 1, text_bytes, out);
	}
	if (out && !fclose(out))
		client_server_answer(metrics->server, client, answer, answer_bytes);
	else
		client_server_answer(metrics->server, client, "", 0);
	free(answer);
	free(text);
}

static const struct client_server_kind http = {
	.mode = 0660,
	.idle_ms = HTTP_IDLE_MS,
	.closes = true,
	.measure = metrics_measure_request,
	.serve = answer_http,
	.too_long = "HTTP/1.0 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
};

/* ---- into a file ----------------------------------------------------- */

static int write_temp(struct metrics *metrics, const char *text, size_t size_bytes)
{
	/* Collectors run as other users. */
	int fd = open(metrics->temp_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	struct stat st;
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		ret = -EEXIST;
	while (!ret && size_bytes) {
		ssize_t n = write(fd, text, size_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ret = n ? -errno : -EIO;
			break;
		}
		text += n;
		size_bytes -= (size_t)n;
	}
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int write_file(struct metrics *metrics)
{
	size_t size_bytes = 0;
	char *text = make_text(metrics, &size_bytes);
	int ret = text ? write_temp(metrics, text, size_bytes) : -ENOMEM;

	free(text);
	if (!ret && rename(metrics->temp_path, metrics->path))
		ret = -errno;
	return ret;
}

void metrics_tick(struct metrics *metrics)
{
	int ret;

	if (metrics->server) {
		client_server_expire(metrics->server);
		return;
	}
	ret = write_file(metrics);
	if (ret && !metrics->told_failure)
		report("%s: metrics cannot be written, recording goes on: %s", metrics->path, strerror(-ret));
	else if (!ret && metrics->told_failure)
		report("%s: metrics are written again", metrics->path);
	metrics->told_failure = ret != 0;
}

/* ---- made and ended -------------------------------------------------- */

int metrics_create(struct metrics **out, const char *target, metrics_fill_fn fill, void *ctx,
		   struct record_error *error)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	int ret = 0;

	*out = NULL;
	if (!metrics)
		return record_error_set(error, -ENOMEM, "out of memory");
	metrics->fill = fill;
	metrics->ctx = ctx;
	if (!strncmp(target, "unix:", 5)) {
		metrics->path = target + 5;
		ret = client_server_create(&metrics->server, metrics->path, &http, metrics, error);
	} else {
		metrics->path = target;
		if (asprintf(&metrics->temp_path, "%s.tmp", target) < 0) {
			metrics->temp_path = NULL;
			ret = record_error_set(error, -ENOMEM, "out of memory");
		} else {
			ret = write_file(metrics);
			if (ret)
				record_error_set(error, ret, "%s: metrics cannot be written: %s", target,
						 strerror(-ret));
		}
	}
	if (ret) {
		free(metrics->temp_path);
		free(metrics);
		return ret;
	}
	*out = metrics;
	return 0;
}

void metrics_destroy(struct metrics *metrics)
{
	if (!metrics)
		return;
	if (!metrics->server)
		write_file(metrics);
	client_server_destroy(metrics->server);
	free(metrics->temp_path);
	free(metrics);
}

struct client_server *metrics_server(const struct metrics *metrics)
{
	return metrics->server;
}
