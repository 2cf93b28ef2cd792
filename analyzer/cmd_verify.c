/* SPDX-License-Identifier: MIT */
/* vmtape verify - every checksum, index and sequence of a tape. */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "tape_key.h"

static const char help[] =
	"Usage: vmtape verify TAPE [OPTION]...\n"
	"Read the whole tape and check every checksum, index and sequence, the hash chain, and the signatures.\n\n"
	"      --key PUB.pem   the signatures must be by this key (else: by the one that they name)\n"
	"      --chain VALUE   the hash chain must have had this value, which an earlier verify printed\n"
	"      --local         times in the local time zone, not UTC\n"
	"  -q, --quiet         no summary; the exit status tells\n"
	"      --help          this text\n\n"
	"A tape whose recorder was killed, or is still at work, is sound up to where it ends: status 0, and said so.\n"
	"Exit status: 0 sound, 1 damaged, altered, or not signed as demanded, 2 bad usage, or not a tape.\n";

struct verification {
	const char *path;
	struct session *session;
	struct strbuf line;
	uint64_t notices;
	bool local;
};

/* How the reader begins a problem that a killed recorder leaves, and nothing worse. */
static const char cut_off[] = "cut off: ";

/* When that happened on which something is wrong; or, without a clock, when it was written. */
static void put_when(struct verification *v, uint64_t offset)
{
	const struct guest_clock *clock = session_clock(v->session);
	struct tape_reported reported;
	int64_t from = -1, to = -1;
	bool by_events;

	if (offset == TAPE_NO_OFFSET)
		return;
	tape_reader_reported(session_reader(v->session), offset, &reported);
	if (reported.first_tsc)
		from = guest_clock_ns(clock, reported.first_tsc);
	if (reported.last_tsc != UINT64_MAX)
		to = guest_clock_ns(clock, reported.last_tsc);
	by_events = from >= 0 || to >= 0;
	if (!by_events) {
		from = reported.after_ns ? (int64_t)reported.after_ns : -1;
		to = reported.before_ns ? (int64_t)reported.before_ns : -1;
	}
	if (from < 0 && to < 0)
		return;
	strbuf_put(&v->line, by_events ? " (events " : " (signed ");
	strbuf_put(&v->line, from < 0 ? "before " : to < 0 ? "after " : by_events ? "of " : "between ");
	time_put_date(&v->line, from < 0 ? to : from, v->local);
	if (from >= 0 && to >= 0) {
		strbuf_put(&v->line, by_events ? " to " : " and ");
		time_put_date(&v->line, to, v->local);
	}
	strbuf_put(&v->line, v->local ? ")" : " UTC)");
}

static void report(void *ctx, uint64_t offset, const char *message)
{
	struct verification *v = ctx;

	v->notices += !strncmp(message, cut_off, strlen(cut_off));
	strbuf_put(&v->line, v->path);
	strbuf_put(&v->line, ": ");
	if (offset != TAPE_NO_OFFSET)
		strbuf_printf(&v->line, "offset %" PRIu64 ": ", offset);
	strbuf_put_escaped(&v->line, message, strlen(message));
	put_when(v, offset);
	strbuf_put_char(&v->line, '\n');
	command_write(&v->line);
}

static void put_hex(struct strbuf *line, const uint8_t *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		strbuf_printf(line, "%02x", bytes[i]);
}

static void summarise_seal(const struct verification *v, struct strbuf *line)
{
	const struct tape_seal_info *seal = tape_reader_seal(session_reader(v->session));
	char fingerprint[TAPE_FINGERPRINT_CHARS];

	if (!session_info(v->session)->has_chain) {
		strbuf_put(line, "hash chain: none\n");
		return;
	}
	if (seal->nr_breaks)
		strbuf_printf(line, "hash chain: broken in %" PRIu64 " place%s", seal->nr_breaks,
			      seal->nr_breaks == 1 ? "" : "s");
	else
		strbuf_put(line, "hash chain: whole");
	strbuf_printf(line, "; at offset %" PRIu64 " its value is ", seal->end_offset);
	put_hex(line, seal->value, sizeof(seal->value));
	if (!seal->nr_signatures) {
		strbuf_put(line, "\nsignatures: none\n");
		return;
	}
	tape_key_fingerprint(fingerprint, seal->public_key);
	strbuf_printf(line, "\nsignatures: %" PRIu64 " by key %s, the last of ", seal->nr_signatures, fingerprint);
	time_put_date(line, (int64_t)seal->signed_ns, v->local);
	strbuf_printf(line, "%s, up to offset %" PRIu64 "\n", v->local ? "" : " UTC", seal->signed_offset);
}

static void summarise(const struct verification *v, uint64_t problems, struct strbuf *line)
{
	const struct tape_info *info = session_info(v->session);

	summarise_seal(v, line);
	strbuf_printf(
		line, "%" PRIu64 " record%s on %u vCPU%s, %u snapshot%s, %u plan%s in %u slot%s, %" PRIu64 " bytes: ",
		info->nr_records, info->nr_records == 1 ? "" : "s", info->nr_vcpus, info->nr_vcpus == 1 ? "" : "s",
		info->nr_snapshots, info->nr_snapshots == 1 ? "" : "s", info->nr_plans, info->nr_plans == 1 ? "" : "s",
		info->nr_slots, info->nr_slots == 1 ? "" : "s", info->size_bytes);
	if (problems)
		strbuf_printf(line, "%" PRIu64 " problem%s\n", problems, problems == 1 ? "" : "s");
	else if (info->finished)
		strbuf_put(line, "sound\n");
	else
		strbuf_put(line, "sound as far as it goes, but it has no end: the recorder was killed, or is still "
				 "writing\n");
	command_write(line);
}

static bool get_hex(uint8_t *out, size_t size_bytes, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(text) != 2 * size_bytes || strspn(text, "0123456789abcdefABCDEF") != 2 * size_bytes)
		return false;
	for (size_t i = 0; i < size_bytes; i++)
		out[i] = (uint8_t)((strchr(digits, text[2 * i] | 0x20) - digits) << 4 |
				   (strchr(digits, text[2 * i + 1] | 0x20) - digits));
	return true;
}

int cmd_verify(int argc, char **argv)
{
	enum { OPT_KEY = 256, OPT_CHAIN, OPT_LOCAL };
	static const struct option options[] = {
		{"key", required_argument, NULL, OPT_KEY}, {"chain", required_argument, NULL, OPT_CHAIN},
		{"local", no_argument, NULL, OPT_LOCAL},   {"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},          {0}};
	const char *key_path = NULL, *chain_text = NULL;
	uint8_t key[TAPE_PUBLIC_KEY_BYTES], chain[TAPE_CHAIN_BYTES];
	struct verification v = {0};
	struct vmtape_error *error;
	struct tape_error key_error;
	uint64_t problems;
	bool quiet = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "q", options, NULL)) != -1) {
		switch (c) {
		case OPT_KEY:
			key_path = optarg;
			break;
		case OPT_CHAIN:
			chain_text = optarg;
			break;
		case OPT_LOCAL:
			v.local = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("verify", argv);
		}
	}
	v.path = command_operand("verify", argc, argv, "tape");
	if (!v.path)
		return STATUS_BAD;
	if (key_path && tape_public_key_load(key, key_path, &key_error))
		return command_misused("verify", "%s", key_error.message);
	if (chain_text && !get_hex(chain, sizeof(chain), chain_text))
		return command_misused("verify", "--chain %s: want the 64 hex digits that verify printed", chain_text);
	error = command_open(&v.session, v.path, NULL);
	if (error)
		return command_failed(error);
	tape_reader_expect(session_reader(v.session), key_path ? key : NULL, chain_text ? chain : NULL);
	problems = tape_reader_verify(session_reader(v.session), report, &v);
	problems -= problems < v.notices ? problems : v.notices;
	if (!quiet)
		summarise(&v, problems, &v.line);
	strbuf_deinit(&v.line);
	session_close(v.session);
	return command_finish(problems ? STATUS_NOTHING : STATUS_DONE);
}
