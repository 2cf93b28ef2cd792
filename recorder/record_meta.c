/* SPDX-License-Identifier: MIT */
#include "record_meta.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *record_producer_name(const struct proto_welcome *welcome)
{
	switch (welcome->producer) {
	case PROTO_PRODUCER_TCG:
		return "qemu-tcg";
	case PROTO_PRODUCER_KVM:
		return "qemu-kvm";
	default:
		return "unknown";
	}
}

const char *record_producer_label(const struct proto_welcome *welcome)
{
	switch (welcome->producer) {
	case PROTO_PRODUCER_TCG:
		return "TCG";
	case PROTO_PRODUCER_KVM:
		return "KVM";
	default:
		return "unknown producer";
	}
}

static void put(FILE *out, const char *key, const char *value, size_t size_bytes)
{
	char clean[512];

	report_clean(clean, sizeof(clean), value, size_bytes);
	if (clean[0])
		fprintf(out, "%s=%s\n", key, clean);
}

void record_uuid_text(char out[RECORD_UUID_ROOM], const uint8_t *uuid)
{
	static const uint8_t none[16];
	size_t at = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < 16 && memcmp(uuid, none, sizeof(none)); i++)
		at += (size_t)snprintf(out + at, RECORD_UUID_ROOM - at, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static void put_uuid(FILE *out, const uint8_t *uuid)
{
	char text[RECORD_UUID_ROOM];

	record_uuid_text(text, uuid);
	put(out, "vm_uuid", text, sizeof(text));
}

/* Behind it the text may go on. */
static struct timespec put_time(FILE *out)
{
	struct timespec now;
	struct tm utc;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(out, "%s.%06ldZ", text, now.tv_nsec / 1000);
	return now;
}

static void put_start_time(FILE *out)
{
	struct timespec now;

	fputs("start_time=", out);
	now = put_time(out);
	fputc('\n', out);
	fprintf(out, "start_realtime_ns=%" PRIu64 "\n", (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

static void put_options(FILE *out, const struct record_options *options)
{
	static const char *const plans[] = {"auto", "generic", "none", "file"};

	fprintf(out, "option.plan=%s\n", plans[options->plan]);
	if (options->plan_path)
		put(out, "option.plan_file", options->plan_path, strlen(options->plan_path));
	if (options->filter)
		put(out, "option.filter", options->filter, strlen(options->filter));
	if (options->trigger_when)
		put(out, "option.trigger_when", options->trigger_when, strlen(options->trigger_when));
	fprintf(out, "option.on_full=%s\n", options->block ? "block" : "drop");
	if (options->block)
		fprintf(out, "option.block_limit_ms=%" PRIu32 "\n", options->block_limit_ms);
	fprintf(out, "option.ring_bytes=%" PRIu64 "\n", options->ring_bytes);
	if (options->no_snapshots)
		fputs("option.snapshots=no\n", out);
	else
		fprintf(out, "option.snapshot_interval_ms=%" PRIu64 "\n", options->snapshot_interval_ms);
	fprintf(out, "option.flush_ms=%" PRIu64 "\noption.level=%d\n", options->flush_ms, options->level);
}

const char *record_start_reason(void)
{
	/* systemd gives each run of a unit an id. */
	return getenv("INVOCATION_ID") ? "service" : "command line";
}

static void put_recorder(FILE *out)
{
	const struct passwd *user = getpwuid(geteuid());

	fputs("recorder_version=" VMTAPE_VERSION "\n", out);
	fprintf(out, "recorder_pid=%d\nrecorder_uid=%u\n", (int)getpid(), (unsigned)geteuid());
	if (user)
		put(out, "recorder_user", user->pw_name, strlen(user->pw_name));
}

char *record_meta_event(const char *key, unsigned number, const char *text)
{
	char clean[RECORD_TEXT_MAX_BYTES + 1], *line = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&line, &size_bytes);

	if (!out)
		return NULL;
	report_clean(clean, sizeof(clean), text, strlen(text));
	fprintf(out, "%s.%u=", key, number);
	put_time(out);
	fprintf(out, "%s%s\n", clean[0] ? " " : "", clean);
	if (fclose(out)) {
		free(line);
		return NULL;
	}
	return line;
}

char *record_meta_text(const struct record_options *options, const struct proto_welcome *welcome,
		       const struct record_origin *origin)
{
	char host[256] = "", *text = NULL;
	size_t size_bytes;
	FILE *out = open_memstream(&text, &size_bytes);

	if (!out)
		return NULL;
	fprintf(out, "producer=%s\n", record_producer_name(welcome));
	put(out, "qemu_version", welcome->qemu_version, sizeof(welcome->qemu_version));
	put(out, "vm_name", welcome->vm_name, sizeof(welcome->vm_name));
	put_uuid(out, welcome->uuid);
	fprintf(out, "vcpus=%" PRIu32 "\n", (uint32_t)welcome->nr_vcpus);
	if (welcome->tsc_hz)
		fprintf(out, "tsc_hz=%" PRIu64 "\n", (uint64_t)welcome->tsc_hz);
	if (!gethostname(host, sizeof(host) - 1))
		put(out, "host_name", host, sizeof(host));
	put_recorder(out);
	put_start_time(out);
	put(out, "start_reason", origin->reason, strlen(origin->reason));
	if (origin->continues)
		put(out, "continues", origin->continues, strlen(origin->continues));
	if (options->note)
		put(out, "note", options->note, strlen(options->note));
	put_options(out, options);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
