/* SPDX-License-Identifier: MIT */
/* test_record_parts.c - the recorder's parts by themselves: options, the sink, the pipeline's order and bound. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cpu_list.h"
#include "file_worker.h"
#include "level_policy.h"
#include "pipeline.h"
#include "record_options.h"
#include "report.h"
#include "uring_sink.h"

/* ---- options --------------------------------------------------------- */

static void check_duration(const char *text, int ret, uint64_t want)
{
	uint64_t ms = 0;

	CHECK_INT(parse_duration_ms(text, 1000, &ms), ret);
	if (!ret)
		CHECK_INT(ms, want);
}

static void check_size(const char *text, int ret, uint64_t want)
{
	uint64_t bytes = 0;

	CHECK_INT(parse_size_bytes(text, &bytes), ret);
	if (!ret)
		CHECK_INT(bytes, want);
}

static int parse(struct record_options *out, const char *words)
{
	char copy[512], *argv[32] = {(char *)"vmtape-record"}, *rest = copy, *word;
	struct record_error error = {0};
	int argc = 1, ret;

	snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	ret = record_options_parse(out, argc, argv, &error);
	if (ret < 0)
		CHECK(error.message[0]);
	return ret;
}

static void test_options(void)
{
	static const char *const bad[] = {
		"",
		"--connect s",
		"-o t",
		"--connect s -o t u",
		"--connect s -o t --nonsense",
		"--connect s -o",
		"--connect s -o t --on-full maybe",
		"--connect s -o t --ring-bytes 3M",
		"--connect s -o t --ring-bytes 2G",
		"--connect s -o t --ring-bytes 4K",
		"--connect s -o t --ring-bytes 8X",
		"--connect s -o t --ring-bytes 99999999999999999999",
		"--connect s -o t --duration 0",
		"--connect s -o t --duration -1s",
		"--connect s -o t --duration 1y",
		"--connect s -o t --snapshot-interval 1ms",
		"--connect s -o t --flush 1ms",
		"--connect s -o t --level 0",
		"--connect s -o t --level 20",
		"--connect s -o t --level 1x",
		"--connect s -o t --level automatic",
		"--connect s -o t --block-limit 2h",
		"--connect s -o t --metrics unix:",
		"--connect s -o t --on-trigger explode",
		"--connect s -o t --on-trigger copy:plain.vmt",
		"--connect s -o t --trigger-after 5s",
		"--connect s -o t --on-trigger copy --trigger-rest 5s",
		"--connect s -o t --on-trigger copy --trigger-rest 10s",
		"--connect s -o t%Y --rotate",
		"--send s",
		"--connect s -o t --ring-size 64M --max-size 1G",
		"--connect s -o t%Y --ring-size 64M --rotate --max-age 1h",
		"--connect s -o t --max-size 1M",
		"--connect s -o t --max-age 10ms",
		"--connect s -o t --keep 3",
		"--connect s -o t --keep-size 1G",
		"--connect s -o t%Y --rotate",
		"--connect s -o t --rotate --max-age 1h",
		"--connect s -o %Y/t --rotate --max-age 1h",
		"--connect s -o t%Y --rotate --max-age 1h --force",
		"--connect s -o t%Y --rotate --max-age 1h --keep 0",
		"--connect s -o t%Y --rotate --max-age 1h --keep x",
		"--connect s -o t%Y --rotate --max-size 1G --keep-size 1G",
	};
	struct record_options options;

	check_duration("500ms", 0, 500);
	check_duration("10s", 0, 10000);
	check_duration("10", 0, 10000);
	check_duration("2m", 0, 120000);
	check_duration("1h", 0, 3600000);
	check_duration("", -EINVAL, 0);
	check_duration("s", -EINVAL, 0);
	check_duration("-1s", -EINVAL, 0);
	check_duration(" 1s", -EINVAL, 0);
	check_duration("1d", -EINVAL, 0);
	check_duration("18446744073709551615h", -ERANGE, 0);
	check_duration("18446744073709551616", -ERANGE, 0);
	check_size("65536", 0, 65536);
	check_size("64K", 0, 65536);
	check_size("8MiB", 0, 8u << 20);
	check_size("1g", 0, 1u << 30);
	check_size("1T", -EINVAL, 0);
	check_size("1KK", -EINVAL, 0);
	check_size("18446744073709551615K", -ERANGE, 0);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_INT(parse(&options, bad[i]), -EINVAL);
	CHECK_INT(parse(&options, "--connect s -o t --plan p.txt --on-full block --block-limit 250 --ring-bytes 64K "
				  "--snapshot-interval 500ms --duration 1m --flush 200ms --level 3 --force --quiet "
				  "--no-snapshots"),
		  0);
	CHECK_STR(options.socket_path, "s");
	CHECK_STR(options.out_path, "t");
	CHECK_STR(options.plan_path, "p.txt");
	CHECK_INT(options.plan, PLAN_CHOICE_FILE);
	CHECK(options.block && options.force && options.quiet && options.no_snapshots);
	CHECK_INT(options.block_limit_ms, 250);
	CHECK_INT(options.ring_bytes, 65536);
	CHECK_INT(options.snapshot_interval_ms, 500);
	CHECK_INT(options.duration_ms, 60000);
	CHECK_INT(options.flush_ms, 200);
	CHECK_INT(options.level, 3);
	CHECK_INT(parse(&options, "--connect s -o t%F --rotate --max-size 1G --max-age 24h --keep 7 --keep-size 20G "
				  "--note n --start-reason r --metrics unix:m"),
		  0);
	CHECK(options.rotate);
	CHECK_INT(options.max_bytes, 1ll << 30);
	CHECK_INT(options.max_age_ms, 86400000);
	CHECK_INT(options.keep_count, 7);
	CHECK_INT(options.keep_bytes, 20ll << 30);
	CHECK_STR(options.note, "n");
	CHECK_STR(options.start_reason, "r");
	CHECK_STR(options.metrics, "unix:m");
	CHECK_INT(parse(&options, "--send s note --help"), 0);
	CHECK_INT(options.nr_words, 2);
	CHECK_STR(options.words[1], "--help");
	CHECK_INT(parse(&options, "--connect s -o t --on-trigger copy:c-%F.vmt --trigger-after 10s --control c"), 0);
	CHECK_INT(options.on_trigger, TRIGGER_COPY);
	CHECK_STR(options.copy_pattern, "c-%F.vmt");
	CHECK_INT(options.trigger_after_ms, 10000);
	CHECK_INT(options.trigger_rest_ms, 10000);
	CHECK_INT(parse(&options, "--connect s -o t --on-trigger copy --trigger-when x --trigger-rest 0"), 0);
	CHECK_INT(options.trigger_rest_ms, 0);
	/* Without --rotate a percent sign is one. */
	CHECK_INT(parse(&options, "--connect s -o 100%.vmt --max-size 1G"), 0);
	CHECK(!options.is_pinned);
	CHECK_INT(parse(&options, "--connect s -o t --level auto --cpus 1-2,5"), 0);
	CHECK_INT(options.level, LEVEL_AUTO);
	CHECK(options.is_pinned && CPU_COUNT(&options.cpus) == 3 && CPU_ISSET(5, &options.cpus));
	CHECK_INT(parse(&options, "--help"), 1);
}

static void test_cpu_lists(void)
{
	static const char *const bad[] = {
		"", ",", "0,", ",0", "a", "0-", "-1", "3-2", "0 1", "1024", "0-99999999999999999999"};
	struct record_error error = {0};
	cpu_set_t cpus, own;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char words[64];
		struct record_options options;

		CHECK_INT(cpu_list_parse(&cpus, bad[i], &error), -EINVAL);
		CHECK(strstr(error.message, "such as 0,2-3"));
		snprintf(words, sizeof(words), "--connect s -o t --cpus=%s", bad[i]);
		CHECK_INT(parse(&options, words), -EINVAL);
	}
	CHECK_INT(cpu_list_parse(&cpus, "7", &error), 0);
	CHECK(CPU_COUNT(&cpus) == 1 && CPU_ISSET(7, &cpus));
	CHECK_INT(cpu_list_parse(&cpus, "0,2-4,3,1023", &error), 0);
	CHECK(CPU_COUNT(&cpus) == 5 && CPU_ISSET(4, &cpus) && CPU_ISSET(1023, &cpus) && !CPU_ISSET(1, &cpus));

	CHECK(!sched_getaffinity(0, sizeof(own), &own));
	CHECK_INT(cpu_list_allowed(), CPU_COUNT(&own));
	/* CPU 1023 is on no machine that runs tests */
	CHECK_INT(cpu_list_pin(&cpus, &error), -EINVAL);
	CHECK(strstr(error.message, "is not there"));
	CHECK_INT(cpu_list_parse(&cpus, "1023", &error), 0);
	CHECK_INT(cpu_list_pin(&cpus, &error), -EINVAL);
	CHECK(!sched_setaffinity(0, sizeof(own), &own));
	CPU_ZERO(&cpus);
	for (size_t cpu = 0; !CPU_COUNT(&cpus); cpu++)
		if (CPU_ISSET(cpu, &own))
			CPU_SET(cpu, &cpus);
	CHECK_INT(cpu_list_pin(&cpus, &error), 0);
	CHECK_INT(cpu_list_allowed(), 1);
	CHECK_INT(pipeline_default_threads(), 1);
	CHECK(!sched_setaffinity(0, sizeof(own), &own));
}

static void check_clean(const char *text, size_t room, const char *want)
{
	char out[64];

	report_clean(out, room, text, strlen(text));
	CHECK_STR(out, want);
}

static void test_clean(void)
{
	check_clean("plain", 64, "plain");
	check_clean("plain", 4, "pla");
	check_clean("\x1b[31m\a\x7f\n", 64, "?[31m???");
	check_clean("na\xc3\xafve \xe2\x80\xa6 \xf0\x9f\x93\xbc", 64, "na\xc3\xafve \xe2\x80\xa6 \xf0\x9f\x93\xbc");
	check_clean("\xc2\x9b", 64, "??");           /* CSI, as UTF-8 */
	check_clean("\x9b\xff\xc0\x80", 64, "????"); /* CSI, as a byte; never in UTF-8; overlong NUL */
	check_clean("\xed\xa0\x80", 64, "???");      /* half of a surrogate pair */
	check_clean("x\xe2\x80", 64, "x??");         /* cut off */
	check_clean("x\xe2\x80\xa6", 4, "x");        /* not a part of a character */
}

/* ---- sink ------------------------------------------------------------ */

static unsigned nr_done, nr_failed;

static void note_done(void *ctx, void *buffer, int result)
{
	nr_done++;
	nr_failed += result < 0;
	free(buffer);
}

static int temporary_file(void)
{
	char path[] = "/tmp/vmtape-sink-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	unlink(path);
	return fd;
}

/* Many writes of odd sizes come to stand one behind the other, whatever carries them. */
static void test_sink(bool without_uring)
{
	int fd = temporary_file();
	struct uring_sink *sink;
	struct tape_sink out;
	uint64_t offset = 0, at = 0;
	uint8_t *all;

	nr_done = nr_failed = 0;
	CHECK_INT(uring_sink_create(&sink, fd, 1 << 20, without_uring), 0);
	out = uring_sink_as_tape_sink(sink);
	for (unsigned i = 0; i < 500; i++) {
		size_t size_bytes = (i * 7919u) % 100000 + 1;
		uint8_t *buffer = malloc(size_bytes);

		CHECK(buffer);
		memset(buffer, (int)(i & 0xff), size_bytes);
		CHECK_INT(out.write(out.ctx, offset, buffer, size_bytes, note_done, NULL), 0);
		offset += size_bytes;
	}
	CHECK_INT(uring_sink_reap(sink, true), 0);
	CHECK_INT(uring_sink_error(sink, NULL), 0);
	CHECK_INT(nr_done, 500);
	CHECK_INT(nr_failed, 0);
	all = malloc(offset);
	CHECK(all);
	CHECK_INT(pread(fd, all, offset, 0), offset);
	for (unsigned i = 0; i < 500; i++)
		for (size_t end = at + (i * 7919u) % 100000 + 1; at < end; at++)
			CHECK_INT(all[at], i & 0xff);
	free(all);
	printf("sink: %s\n", uring_sink_is_uring(sink) ? "io_uring" : "pwrite");
	uring_sink_destroy(sink);
	close(fd);
}

/* A limit in the middle of a write: a short one first, then the error, with its offset; nothing after it is tried. */
static void test_sink_limit(bool without_uring)
{
	struct rlimit old, limit;
	int fd = temporary_file(), ret = 0;
	struct uring_sink *sink;
	struct tape_sink out;
	uint64_t offset = 0;

	CHECK(!getrlimit(RLIMIT_FSIZE, &old));
	limit = old;
	limit.rlim_cur = 250000;
	signal(SIGXFSZ, SIG_IGN);
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	CHECK_INT(uring_sink_create(&sink, fd, 1 << 20, without_uring), 0);
	out = uring_sink_as_tape_sink(sink);
	for (unsigned i = 0; i < 5; i++) {
		uint8_t *buffer = calloc(1, 100000);

		ret = out.write(out.ctx, i * 100000, buffer, 100000, note_done, NULL);
		uring_sink_reap(sink, true);
		if (ret)
			free(buffer);
	}
	CHECK_INT(ret, -EFBIG);
	CHECK_INT(uring_sink_error(sink, &offset), -EFBIG);
	CHECK_INT(offset, 250000);
	CHECK_INT(lseek(fd, 0, SEEK_END), 250000);
	uring_sink_destroy(sink);
	close(fd);
	CHECK(!setrlimit(RLIMIT_FSIZE, &old));
}

/* ---- pipeline -------------------------------------------------------- */

static void no_kick(void *ctx)
{
}

static void put_record(struct block *block, uint64_t seq)
{
	struct trap_record record = {.size_bytes = sizeof(record), .type = TRAP_IDENTITY, .seq = seq};

	memcpy(block->data + block->size_bytes, &record, sizeof(record));
	block->size_bytes += sizeof(record);
}

static struct block *wait_taken(struct pipeline *pipeline)
{
	struct block *block;

	while (!(block = pipeline_take(pipeline)))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	return block;
}

/* Blocks of very different sizes, four threads: they leave in order. */
static void test_pipeline(int level)
{
	unsigned sealed = 0, taken = 0, most = 0;
	struct pipeline *pipeline;

	CHECK_INT(pipeline_create(&pipeline, 4, level, no_kick, NULL, NULL), 0);
	while (taken < 500) {
		struct block *block = sealed < 500 ? pipeline_block_get(pipeline) : NULL;

		if (block) {
			unsigned n = sealed % 7 ? 1 : 20000;

			block->vcpu = (uint16_t)sealed;
			for (unsigned i = 0; i < n; i++)
				put_record(block, i);
			pipeline_block_seal(pipeline, block);
			sealed++;
			most = sealed - taken > most ? sealed - taken : most;
			continue;
		}
		block = wait_taken(pipeline);
		CHECK_INT(block->vcpu, taken);
		CHECK(block->chunk && !block->data);
		CHECK_INT(block->tally.chunks, 1);
		CHECK_INT(block->tally.raw_bytes, (taken % 7 ? 1 : 20000) * sizeof(struct trap_record));
		CHECK_INT(block->tally.stored_bytes, tape_chunk_stored_bytes(block->chunk));
		pipeline_block_put(pipeline, block);
		taken++;
		if (taken % 100 == 0)
			pipeline_trim(pipeline);
	}
	printf("pipeline: at most %u blocks under way\n", most);
	CHECK(pipeline_is_empty(pipeline));
	pipeline_destroy(pipeline);
}

static void count_room(void *ctx)
{
	++*(unsigned *)ctx;
}

/* Open, sealed and encoded, all count; room is told of once, when somebody found none. */
static void test_pipeline_bound(void)
{
	struct block *blocks[PIPELINE_MAX_BLOCKS + 1];
	unsigned nr_blocks = 0, told = 0;
	struct pipeline *pipeline;

	CHECK_INT(pipeline_create(&pipeline, 2, 0, no_kick, NULL, NULL), 0);
	pipeline_on_room(pipeline, count_room, &told);
	while (nr_blocks <= PIPELINE_MAX_BLOCKS && (blocks[nr_blocks] = pipeline_block_get(pipeline)))
		nr_blocks++;
	CHECK_INT(nr_blocks, PIPELINE_MAX_BLOCKS);
	CHECK_INT(told, 0);
	pipeline_block_put(pipeline, blocks[--nr_blocks]);
	CHECK_INT(told, 1);
	CHECK((blocks[nr_blocks++] = pipeline_block_get(pipeline)));
	CHECK_INT(told, 1);
	/* rows that are stored stay as large as they were */
	for (unsigned i = 0; i < nr_blocks; i++) {
		for (unsigned n = 0; n < TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_record); n++)
			put_record(blocks[i], n);
		pipeline_block_seal(pipeline, blocks[i]);
	}
	CHECK(!pipeline_block_get(pipeline));
	for (unsigned i = 0; i < nr_blocks; i++) {
		struct block *block = wait_taken(pipeline);

		CHECK(block->chunk && tape_chunk_stored_bytes(block->chunk) >= TAPE_TRAPS_MAX_BYTES);
		CHECK_INT(block->tally.stored_chunks, 1);
		pipeline_block_put(pipeline, block);
	}
	CHECK(told >= 2);
	CHECK((blocks[0] = pipeline_block_get(pipeline)));
	pipeline_block_put(pipeline, blocks[0]);
	pipeline_on_room(pipeline, NULL, NULL);
	pipeline_destroy(pipeline);
}

/* A block that ends in half a record is an error of that block, and no crash. */
static void test_broken_block(void)
{
	struct pipeline *pipeline;
	struct block *block;

	CHECK_INT(pipeline_create(&pipeline, 1, 1, no_kick, NULL, NULL), 0);
	block = pipeline_block_get(pipeline);
	put_record(block, 0);
	put_record(block, 1);
	block->size_bytes -= 8;
	pipeline_block_seal(pipeline, block);
	block = wait_taken(pipeline);
	CHECK(!block->chunk);
	CHECK_INT(block->error.error, -EBADMSG);
	pipeline_block_put(pipeline, block);
	pipeline_destroy(pipeline);
}

/* ---- copies ---------------------------------------------------------- */

/* Only where there is as much room again. */
static void test_file_copy(void)
{
	int from = memfd_create("from", MFD_CLOEXEC), to;
	char path[] = "/tmp/vmtape-copy.XXXXXX", bytes[8] = "";
	FILE *file = fdopen(from, "w+");

	to = mkostemp(path, O_CLOEXEC);
	CHECK(file && to >= 0);
	CHECK(fputs("abcdef", file) >= 0 && !fflush(file));
	CHECK_INT(file_copy(from, 1ull << 60, to), -ENOSPC);
	CHECK_INT(lseek(to, 0, SEEK_END), 0);
	CHECK(strstr(file_copy_problem(-ENOSPC), "twice"));
	CHECK_STR(file_copy_problem(-EIO), strerror(EIO));
	CHECK_INT(file_copy(from, 4, to), 0);
	CHECK_INT(pread(to, bytes, sizeof(bytes), 0), 4);
	CHECK_STR(bytes, "abcd");
	fclose(file);
	close(to);
	unlink(path);
}

int main(void)
{
	test_options();
	test_cpu_lists();
	test_clean();
	test_file_copy();
	test_sink(false);
	test_sink(true);
	test_sink_limit(false);
	test_sink_limit(true);
	test_pipeline(1);
	test_pipeline(LEVEL_AUTO);
	test_pipeline_bound();
	test_broken_block();
	return 0;
}
