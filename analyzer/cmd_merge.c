/* SPDX-License-Identifier: MIT */
/* vmtape merge - the tapes of one recording, one behind the other, as one. */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "tape_copy.h"

struct merge {
	const char *output;
	bool force;
	char **paths;
	int nr_paths;
	struct session *before, *session;
	struct out_file *file;
	struct tape_copy *copy;
	struct progress progress;
};

static const char help[] = "Usage: vmtape merge TAPE TAPE... -o OUT [--force]\n"
			   "Join the tapes of one recording, in the order in which they were made, into one.\n\n"
			   "  -o, --output OUT   the new tape\n"
			   "      --force        overwrite OUT if it exists\n"
			   "      --help         this text\n\n"
			   "They are of one VM, and the records of each go on where those of the one before end, as "
			   "the parts of a rotated\n"
			   "recording do, or overlap it, as cuts do: what is there twice is taken once. Others are "
			   "refused. Signatures are\n"
			   "not carried over.\n"
			   "Exit status: 0 done, 2 bad usage, bad input, or tapes that do not belong together.\n";

static void progressed(void *ctx, uint64_t nr_records)
{
	struct merge *merge = ctx;

	progress_show(&merge->progress, nr_records);
}

static struct vmtape_error *same_meta(struct merge *merge, const char *key, const char *what, int number)
{
	const char *a = tape_reader_meta(session_reader(merge->before), key);
	const char *b = tape_reader_meta(session_reader(merge->session), key);

	if (!strcmp(a ? a : "", b ? b : ""))
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_USAGE, "%s: %s is \"%s\", that of %s is \"%s\": they are not of one VM",
				   merge->paths[number], what, b ? b : "", merge->paths[number - 1], a ? a : "");
}

/* By what the tapes say of themselves; their records have the last word. */
static struct vmtape_error *check_order(struct merge *merge, int number)
{
	const struct tape_info *before = session_info(merge->before), *info = session_info(merge->session);
	struct vmtape_error *error = same_meta(merge, "vm_uuid", "its VM's uuid", number);

	if (!error)
		error = same_meta(merge, "vm_name", "its VM's name", number);
	if (!error)
		error = same_meta(merge, "producer", "its producer", number);
	if (error)
		return error;
	for (int i = 0; i < 2; i++)
		if (tape_reader_meta(session_reader(i ? merge->session : merge->before), "cut_filter"))
			return vmtape_error_create(
				VMTAPE_ERROR_USAGE,
				"%s has only what a filter left of it, and numbers of its own: merge the "
				"tapes that it is of, then cut",
				merge->paths[number - 1 + i]);
	if (!memcmp(before->uuid, info->uuid, sizeof(info->uuid)))
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "%s and %s are the same tape", merge->paths[number - 1],
					   merge->paths[number]);
	if (!info->nr_records || !before->nr_records)
		return NULL;
	if (tape_copy_was_reset(merge->before, merge->session))
		return vmtape_error_create(
			VMTAPE_ERROR_USAGE,
			"the guest was reset between %s and %s, and its TSC began anew: a tape is in "
			"order of TSC, so these stay two",
			merge->paths[number - 1], merge->paths[number]);
	if (info->last_tsc < before->first_tsc)
		return vmtape_error_create(
			VMTAPE_ERROR_USAGE,
			"%s lies before %s by the guest's TSC: give them in order of time. If the guest "
			"was reset in between, they can't be one tape",
			merge->paths[number], merge->paths[number - 1]);
	return NULL;
}

static struct vmtape_error *add_tape(struct merge *merge, int number)
{
	/* A cut's times are not those of what it is merged with. */
	static const char *const without_first[] = {"cut_from", "cut_to", NULL}, *const without[] = {"cut_",
												     "continues",
												     "start_", NULL};
	struct tape_copy_part part = {.to_tsc = UINT64_MAX,
				      .first_snapshot = -1,
				      .last_snapshot = -1,
				      .continues = number > 0,
				      .progress = progressed,
				      .ctx = merge};
	uint8_t key[TAPE_PUBLIC_KEY_BYTES];
	struct vmtape_error *error = session_open(&merge->session, merge->paths[number], NULL);

	if (!error && number)
		error = check_order(merge, number);
	if (!error)
		error = tape_copy_metas(merge->copy, merge->session, number ? without : without_first);
	if (!error)
		error = tape_copy_plans(merge->copy, merge->session);
	if (error)
		return error;
	if (session_info(merge->session)->nr_snapshots) {
		part.first_snapshot = 0;
		part.last_snapshot = (int64_t)session_info(merge->session)->nr_snapshots - 1;
	}
	if (!tape_reader_signer(session_reader(merge->session), key))
		fprintf(stderr,
			"vmtape: %s is signed, %s will not be: a signature is for a whole tape. Keep the original "
			"as evidence\n",
			merge->paths[number], merge->output);
	progress_start(&merge->progress, merge->paths[number], session_info(merge->session)->nr_records);
	error = tape_copy_part(merge->copy, merge->session, &part);
	progress_end(&merge->progress);
	return error;
}

static struct vmtape_error *run(struct merge *merge)
{
	struct tape_copy_stats stats;
	struct vmtape_error *error = command_confine_maker(merge->paths, (unsigned)merge->nr_paths, merge->output);

	if (!error)
		error = out_file_create(&merge->file, merge->output, merge->force);
	if (!error && out_file_fd(merge->file) < 0)
		error = vmtape_error_create(VMTAPE_ERROR_USAGE, "%s: a tape can only be a file", merge->output);
	if (!error)
		error = tape_copy_create(&merge->copy, merge->file);
	for (int i = 0; i < merge->nr_paths && !error; i++) {
		session_close(merge->before);
		merge->before = merge->session;
		merge->session = NULL;
		error = add_tape(merge, i);
		if (error) {
			struct vmtape_error *with_path = vmtape_error_create(
				error->code, "%s%s%s", strstr(error->message, merge->paths[i]) ? "" : merge->paths[i],
				strstr(error->message, merge->paths[i]) ? "" : ": ", error->message);

			vmtape_error_destroy(error);
			return with_path;
		}
	}
	if (!error)
		error = tape_copy_finish(merge->copy, "merged");
	if (!error)
		error = out_file_finish(merge->file);
	if (error)
		return error;
	tape_copy_get_stats(merge->copy, &stats);
	fprintf(stderr, "vmtape: %s: %" PRIu64 " records and %" PRIu64 " snapshots of %d tapes\n", merge->output,
		stats.records, stats.snapshots, merge->nr_paths);
	if (stats.twice_records)
		fprintf(stderr, "vmtape: %s: %" PRIu64 " records are on two tapes, and were taken once\n",
			merge->output, stats.twice_records);
	if (stats.skipped_snapshots)
		fprintf(stderr,
			"vmtape: %s: %" PRIu64 " snapshots are not newer than those of the tape before, and are left "
			"out\n",
			merge->output, stats.skipped_snapshots);
	if (stats.missing_records || stats.missing_pages || stats.missing_plans)
		fprintf(stderr,
			"vmtape: %s: %" PRIu64 " records, %" PRIu64 " pages of snapshots and %" PRIu64
			" plans are missing, as their tapes are damaged\n",
			merge->output, stats.missing_records, stats.missing_pages, stats.missing_plans);
	return NULL;
}

int cmd_merge(int argc, char **argv)
{
	enum { OPT_FORCE = 256, OPT_HELP };
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"force", no_argument, NULL, OPT_FORCE},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	struct merge merge = {0};
	struct vmtape_error *error;
	int c, status;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			merge.output = optarg;
			break;
		case OPT_FORCE:
			merge.force = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("merge", argv);
		}
	}
	merge.paths = argv + optind;
	merge.nr_paths = argc - optind;
	if (merge.nr_paths < 2)
		return command_misused("merge", "name two tapes or more");
	if (!merge.output)
		return command_misused("merge", "say where to with -o OUT");
	error = run(&merge);
	status = error ? command_failed(error) : STATUS_DONE;
	tape_copy_destroy(merge.copy);
	out_file_destroy(merge.file);
	session_close(merge.session);
	session_close(merge.before);
	return status;
}
