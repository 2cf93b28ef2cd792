/* SPDX-License-Identifier: MIT */
/* vmtape memory - the guest's physical memory at a snapshot, as a file that other tools read. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "linux/vmcoreinfo.h"
#include "memory_image.h"

enum form {
	FORM_ELF,
	FORM_RAW,
	FORM_LIME,
};
static const char *const form_names[] = {"elf", "raw", "lime"};

struct memory_job {
	const char *path, *at, *output;
	enum form form;
	bool force, local;
	struct session *session;
	uint64_t tsc;
	struct memory_image image;
	struct out_file *file;
	char *vmcoreinfo;
	size_t vmcoreinfo_bytes;
	gva_t direct_map, kernel_gva;
	struct guest_range kernel;
	struct progress progress;
};

static const char help[] =
	"Usage: vmtape memory TAPE -o FILE [OPTION]...\n"
	"Write the guest's physical memory, as it was at the last snapshot at or before a time.\n\n"
	"  -o, --output FILE     where to; - is standard output\n"
	"      --force           overwrite FILE if it exists\n"
	"      --at TIME         HH:MM:SS[.frac], +SECONDS from the start, ISO 8601; default: the newest snapshot\n"
	"      --format FORMAT   elf (default): a core for crash, drgn and gdb; raw: one image, address 0 first;\n"
	"                        lime: LiME's format, version 1\n"
	"      --local           times in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"Pages that are not on the tape are zeros in FILE, and are named on standard error.\n"
	"Exit status: 0 done, 1 no snapshot is as old as that, or pages are missing, 2 bad usage or bad input.\n";

/* ---- which moment ---------------------------------------------------- */

static struct vmtape_error *find_snapshot(struct memory_job *job, int64_t *snapshot, int *status)
{
	const struct tape_snapshot *first;
	struct strbuf text = {0};
	struct vmtape_error *error = NULL;

	job->tsc = UINT64_MAX;
	if (job->at)
		error = command_resolve_time(job->at, job->session, job->local, &job->tsc);
	if (error)
		return error;
	*snapshot = session_snapshot_at(job->session, job->tsc);
	if (*snapshot >= 0)
		return NULL;
	*status = STATUS_NOTHING;
	if (!session_info(job->session)->nr_snapshots)
		return vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "%s: holds no memory snapshot", job->path);
	first = tape_reader_snapshot(session_reader(job->session), 0);
	time_put_date(&text, guest_clock_ns(session_clock(job->session), first->info.tsc), job->local);
	error = vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "%s: the first snapshot is of %s%s", job->path,
				    text.data ? text.data : "?", job->local ? "" : " UTC");
	strbuf_deinit(&text);
	return error;
}

static void say_snapshot(const struct memory_job *job)
{
	const struct tape_snapshot_info *info = job->image.info;
	struct strbuf text = {0};
	int64_t before_ns = guest_clock_duration_ns(session_clock(job->session), info->tsc, job->tsc);

	strbuf_printf(&text, "vmtape: snapshot %u, of ", job->image.snapshot);
	time_put_date(&text, guest_clock_ns(session_clock(job->session), info->tsc), job->local);
	strbuf_put(&text, job->local ? "" : " UTC");
	if (job->at && before_ns >= 0)
		strbuf_printf(&text, ", %" PRId64 ".%06" PRId64 " s before that time", before_ns / 1000000000,
			      before_ns / 1000 % 1000000);
	fprintf(stderr, "%s\n", text.failed ? "" : text.data);
	strbuf_deinit(&text);
}

/* ---- what is written ------------------------------------------------- */

/* From _text to _end, if all of it lies in one range of RAM. */
static void find_image(struct memory_job *job, const struct linux_guest *guest)
{
	const struct linux_guest_facts *facts = linux_guest_facts(guest);
	gpa_t start = GPA(facts->text_gpa.v & ~(uint64_t)(GUEST_PAGE_BYTES - 1));
	uint64_t into = facts->text_gpa.v - start.v, bytes;
	gva_t end;

	if (!linux_guest_symbol(guest, "_end", &end) || end.v <= facts->text.v)
		return;
	bytes = (end.v - facts->text.v + into + GUEST_PAGE_BYTES - 1) / GUEST_PAGE_BYTES * GUEST_PAGE_BYTES;
	for (size_t i = 0; i < job->image.nr_ranges; i++) {
		const struct guest_range *range = &job->image.ranges[i];

		if (start.v < range->start.v || start.v - range->start.v >= range->size_bytes ||
		    bytes > range->size_bytes - (start.v - range->start.v))
			continue;
		job->kernel = (struct guest_range){start, bytes};
		job->kernel_gva = GVA(facts->text.v - into);
	}
}

static void find_kernel(struct memory_job *job)
{
	const struct linux_guest *guest = session_guest(job->session);
	struct vmtape_error *error;

	if (!guest) {
		command_note_guest(job->session);
		error = NULL;
	} else if (!session_guest_at(job->session, job->image.info->tsc)) {
		error = vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "another system was running then");
	} else {
		job->direct_map = linux_guest_facts(guest)->page_offset;
		find_image(job, guest);
		error = linux_guest_vmcoreinfo(guest, job->image.memory, &job->vmcoreinfo, &job->vmcoreinfo_bytes);
	}
	if (!job->vmcoreinfo)
		fprintf(stderr, "vmtape: the core has no VMCOREINFO%s%s\n", error ? ": " : "",
			error ? error->message : "");
	vmtape_error_destroy(error);
}

static void progressed(void *ctx, uint64_t nr_pages)
{
	struct memory_job *job = ctx;

	progress_show(&job->progress, nr_pages);
}

static struct vmtape_error *write_memory(struct memory_job *job)
{
	struct memory_export out = {.image = &job->image,
				    .file = job->file,
				    .progress = progressed,
				    .progress_ctx = job,
				    .vmcoreinfo = job->vmcoreinfo,
				    .vmcoreinfo_bytes = job->vmcoreinfo_bytes,
				    .direct_map = job->direct_map,
				    .kernel_gva = job->kernel_gva,
				    .kernel = job->kernel};
	struct vmtape_error *error;

	progress_start(&job->progress, "memory", job->image.ram_bytes / GUEST_PAGE_BYTES);
	switch (job->form) {
	case FORM_RAW:
		error = memory_export_raw(&out);
		break;
	case FORM_LIME:
		error = memory_export_lime(&out);
		break;
	default:
		error = memory_export_elf(&out);
		break;
	}
	progress_end(&job->progress);
	return error ? error : out_file_finish(job->file);
}

static void say_written(const struct memory_job *job)
{
	const struct memory_image *image = &job->image;
	uint64_t named = image->nr_missing_runs < MEMORY_IMAGE_NAMED ? image->nr_missing_runs : MEMORY_IMAGE_NAMED;

	fprintf(stderr, "vmtape: %" PRIu64 " pages of RAM in %zu ranges, registers of %u vCPUs%s\n", image->nr_pages,
		image->nr_ranges, image->nr_vcpus, job->form == FORM_ELF ? "" : ", which this format has no place for");
	if (!image->nr_missing_runs)
		return;
	fprintf(stderr,
		"vmtape: zeros stand for %" PRIu64 " pages that were not recorded and %" PRIu64
		" that the tape has lost to damage:\n",
		image->nr_not_recorded, image->nr_damaged);
	for (uint64_t i = 0; i < named; i++) {
		const struct memory_run *run = &image->missing[i];

		fprintf(stderr, "  0x%" PRIx64 "-0x%" PRIx64 "\n", run->start.v,
			run->start.v + run->nr_pages * GUEST_PAGE_BYTES - 1);
	}
	if (image->nr_missing_runs > named)
		fprintf(stderr, "  and %" PRIu64 " more places\n", image->nr_missing_runs - named);
}

static struct vmtape_error *run(struct memory_job *job, int *status)
{
	int64_t snapshot;
	struct vmtape_error *error = command_confine_maker((char *[]){(char *)job->path}, 1, job->output);

	if (!error)
		error = session_open(&job->session, job->path, NULL);
	if (!error)
		error = find_snapshot(job, &snapshot, status);
	if (!error)
		error = memory_image_init(&job->image, job->session, (uint32_t)snapshot);
	/* Before the work, so that nobody waits for a complaint. */
	if (!error)
		error = out_file_create(&job->file, job->output, job->force);
	if (error)
		return error;
	say_snapshot(job);
	if (job->form == FORM_ELF)
		find_kernel(job);
	error = write_memory(job);
	if (error)
		return error;
	say_written(job);
	if (job->image.nr_missing_runs)
		*status = STATUS_NOTHING;
	return NULL;
}

/* ---- options --------------------------------------------------------- */

static int read_options(struct memory_job *job, int argc, char **argv)
{
	enum { OPT_AT = 256, OPT_FORMAT, OPT_FORCE, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"at", required_argument, NULL, OPT_AT},
		{"format", required_argument, NULL, OPT_FORMAT},
		{"force", no_argument, NULL, OPT_FORCE},
		{"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	size_t i;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			job->output = optarg;
			break;
		case OPT_AT:
			job->at = optarg;
			break;
		case OPT_FORMAT:
			for (i = 0; i < 3 && strcmp(optarg, form_names[i]); i++)
				;
			if (i == 3)
				return command_misused("memory", "format \"%s\" is none of elf, raw, lime", optarg);
			job->form = (enum form)i;
			break;
		case OPT_FORCE:
			job->force = true;
			break;
		case OPT_LOCAL:
			job->local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("memory", argv);
		}
	}
	job->path = command_operand("memory", argc, argv, "tape");
	if (!job->path)
		return STATUS_BAD;
	if (!job->output)
		return command_misused("memory", "say where to with -o FILE (- is standard output)");
	if (!strcmp(job->output, "-") && isatty(STDOUT_FILENO))
		return command_misused("memory", "memory is not for a terminal: name a file with -o");
	return STATUS_GO_ON;
}

int cmd_memory(int argc, char **argv)
{
	struct memory_job job = {0};
	struct vmtape_error *error;
	int status = read_options(&job, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	status = STATUS_DONE;
	error = run(&job, &status);
	if (error) {
		int given = status;

		status = command_failed(error);
		status = given == STATUS_NOTHING ? STATUS_NOTHING : status;
	}
	out_file_destroy(job.file);
	free(job.vmcoreinfo);
	memory_image_deinit(&job.image);
	session_close(job.session);
	return status;
}
