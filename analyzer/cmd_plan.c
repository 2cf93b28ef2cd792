/* SPDX-License-Identifier: MIT */
/* vmtape plan - compile the capture plan for a tape's guest; show, check and convert plans. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "filter.h"
#include "linux/arg_decode.h"
#include "plan.h"

#define MAX_FILE_BYTES (4u << 20)
#define MAX_PLAN_ID    65536u

struct plan_job {
	const char *path, *output, *filter_text;
	struct filter *filter; /* NULL: all calls */
	bool binary, show, check, force;
	struct session *session; /* NULL: the operand is a plan's file */
	void *plan;
	size_t plan_bytes;
};

static const char help[] =
	"Usage: vmtape plan TAPE [-o FILE] [--binary] [--filter EXPR]\n"
	"       vmtape plan --show TAPE|PLAN\n"
	"       vmtape plan --check PLAN | --check --filter EXPR\n"
	"Compile the capture plan for the guest that a tape's snapshots show, or handle plans that exist.\n\n"
	"  -o, --output FILE   write there, not to standard output\n"
	"      --force         overwrite FILE if it exists\n"
	"      --binary        the form that vmtape-record and producers take, not text\n"
	"      --filter EXPR   only calls that it leaves: evt.type, evt.abi and evt.dir, as of vmtape events -f\n"
	"      --show          print the plans that a tape holds, or a plan's file, as text\n"
	"      --check         say whether a plan's file, text or binary, or the filter is valid\n"
	"      --help          this text\n\n"
	"PLAN is a file of text or binary form; vmtape plan PLAN --binary -o FILE turns the one into the other.\n"
	"Exit status: 0 done, 1 the guest is not identified (yet) or the plan is not valid, 2 bad usage or bad "
	"input.\n";

/* ---- names of calls -------------------------------------------------- */

static const char *name_of(void *ctx, uint8_t abi, uint32_t nr)
{
	const struct linux_guest *guest = ctx;
	const struct linux_syscall *syscall = guest ? linux_guest_syscall(guest, abi, nr) : NULL;

	const char *name = syscall ? syscall->name : linux_syscall_name(abi, nr);

	/* Only names that mean the same call without this guest: the text is read again without it. */
	return name && linux_syscall_nr(abi, name) == (int64_t)nr ? name : NULL;
}

static int64_t nr_of(void *ctx, uint8_t abi, const char *name)
{
	const struct linux_guest *guest = ctx;
	int64_t nr = guest ? linux_guest_syscall_nr(guest, abi, name) : -1;

	return nr >= 0 ? nr : linux_syscall_nr(abi, name);
}

static struct plan_names names_for(struct session *session)
{
	const struct linux_guest *guest = session ? session_guest(session) : NULL;

	return (struct plan_names){name_of, nr_of, (void *)guest};
}

/* ---- input ----------------------------------------------------------- */

static struct vmtape_error *read_whole(const char *path, char **out, size_t *size_bytes)
{
	FILE *file = fopen(path, "re");
	struct vmtape_error *error = NULL;
	char *text = NULL;
	size_t n = 0;

	if (!file)
		return vmtape_error_create(VMTAPE_ERROR_IO, "%s: %s", path, strerror(errno));
	text = malloc(MAX_FILE_BYTES + 1);
	if (!text)
		error = &vmtape_error_no_memory;
	else
		n = fread(text, 1, MAX_FILE_BYTES, file);
	if (!error && ferror(file))
		error = vmtape_error_create(VMTAPE_ERROR_IO, "%s: %s", path, strerror(errno));
	else if (!error && n == MAX_FILE_BYTES)
		error = vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s: neither a tape nor a plan: it is too large",
					    path);
	fclose(file);
	if (error) {
		free(text);
		return error;
	}
	text[n] = '\0';
	*out = text;
	*size_bytes = n;
	return NULL;
}

static struct vmtape_error *load_plan(struct plan_job *job, int *status)
{
	struct plan_names names = names_for(NULL);
	struct plan_error why = {0};
	uint32_t magic = 0;
	size_t size_bytes;
	char *text;
	int result;
	struct vmtape_error *error = read_whole(job->path, &text, &size_bytes);

	if (error)
		return error;
	if (size_bytes >= sizeof(magic))
		memcpy(&magic, text, sizeof(magic));
	if (magic == PLAN_MAGIC) {
		result = plan_check(text, size_bytes, &why);
		job->plan = text;
		job->plan_bytes = size_bytes;
	} else if (memchr(text, '\0', size_bytes)) {
		free(text);
		return vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s: neither a tape nor a plan, in text or binary form",
					   job->path);
	} else {
		result = plan_parse(text, &names, &job->plan, &job->plan_bytes, &why);
		free(text);
	}
	if (!result)
		return NULL;
	*status = STATUS_NOTHING;
	if (why.line)
		return vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s: line %u: %s", job->path, why.line, why.message);
	return vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s: %s", job->path,
				   why.message[0] ? why.message : strerror(-result));
}

/* ---- output ---------------------------------------------------------- */

static bool print_plan(struct plan_job *job, FILE *out)
{
	struct plan_names names = names_for(job->session);

	if (job->binary)
		return fwrite(job->plan, 1, job->plan_bytes, out) == job->plan_bytes;
	return !plan_print(out, job->plan, job->plan_bytes, &names);
}

/* A file is whole or not there at all. */
static struct vmtape_error *write_file(struct plan_job *job)
{
	struct vmtape_error *error = NULL;
	char *temporary;
	FILE *out = NULL;
	bool good;
	int fd;

	if (asprintf(&temporary, "%s.XXXXXX", job->output) < 0)
		return &vmtape_error_no_memory;
	fd = mkostemp(temporary, O_CLOEXEC);
	good = fd >= 0 && !fchmod(fd, 0644);
	if (good)
		out = fdopen(fd, "w");
	good = out && print_plan(job, out);
	if (out)
		good = !fclose(out) && good;
	else if (fd >= 0)
		close(fd);
	if (good)
		good = !renameat2(AT_FDCWD, temporary, AT_FDCWD, job->output, job->force ? 0 : RENAME_NOREPLACE);
	if (!good) {
		error = vmtape_error_create(VMTAPE_ERROR_IO, "%s: %s", job->output,
					    errno == EEXIST ? "it exists; --force overwrites it" : strerror(errno));
		unlink(temporary);
	}
	free(temporary);
	return error;
}

static struct vmtape_error *write_plan(struct plan_job *job)
{
	if (job->output)
		return write_file(job);
	if (job->binary && isatty(STDOUT_FILENO))
		return vmtape_error_create(VMTAPE_ERROR_USAGE,
					   "a binary plan is not for a terminal: name a file with -o");
	if (!print_plan(job, stdout) && errno != EPIPE)
		return vmtape_error_create(VMTAPE_ERROR_IO, "standard output: %s", strerror(errno));
	return NULL;
}

/* ---- filter ----------------------------------------------------------- */

static struct vmtape_error *parse_filter(struct plan_job *job)
{
	struct vmtape_error *error = filter_create(&job->filter, job->filter_text, NULL);
	const char *beyond = error ? NULL : filter_needs(job->filter);

	if (beyond)
		return vmtape_error_create(VMTAPE_ERROR_USAGE,
					   "%s can't be decided at the trap: record more, and filter with vmtape "
					   "events -f",
					   beyond);
	return error;
}

static bool wanted(const struct plan_job *job, const struct linux_syscall *syscall, char dir)
{
	struct call call = {.abi = syscall->abi,
			    .nr = syscall->nr,
			    .nr_known = true,
			    .syscall = syscall,
			    .thread = {.pid = -1, .tid = -1, .ppid = -1, .exe = ""}};

	return filter_match(job->filter, &call, dir);
}

static bool wants(void *ctx, const struct linux_syscall *syscall)
{
	return wanted(ctx, syscall, '>') || wanted(ctx, syscall, '<');
}

static bool any_wanted(const struct plan_job *job, const struct linux_guest *guest, char dir)
{
	for (uint8_t abi = 0; abi < TRAP_ABIS; abi++)
		for (uint32_t nr = 0; nr < linux_guest_nr_syscalls(guest, abi); nr++) {
			const struct linux_syscall *syscall = linux_guest_syscall(guest, abi, nr);

			if (syscall && wanted(job, syscall, dir))
				return true;
		}
	return false;
}

/* A direction is one for all calls: it is left out where no call wants it. */
static struct linux_plan_choice choice_of(struct plan_job *job, const struct linux_guest *guest)
{
	struct linux_plan_choice choice = {0};

	if (!job->filter)
		return choice;
	choice.wants = wants;
	choice.ctx = job;
	if (!any_wanted(job, guest, '>'))
		choice.flags |= PLAN_F_SKIP_ENTER;
	else if (!any_wanted(job, guest, '<'))
		choice.flags |= PLAN_F_SKIP_EXIT;
	return choice;
}

/* ---- jobs ------------------------------------------------------------ */

static struct vmtape_error *compile(struct plan_job *job, int *status)
{
	const struct linux_guest *guest = session_guest(job->session);
	struct linux_plan_choice choice;
	struct vmtape_error *error;

	if (!guest) {
		*status = STATUS_NOTHING;
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "guest not identified: %s",
					   session_guest_problem(job->session)->message);
	}
	if (linux_guest_facts(guest)->booting) {
		*status = STATUS_NOTHING;
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "Linux %s is still booting: too early for a plan",
					   linux_guest_facts(guest)->release);
	}
	choice = choice_of(job, guest);
	error = linux_plan_compile(guest, 1, &choice, &job->plan, &job->plan_bytes);
	if (!error)
		error = write_plan(job);
	if (!error)
		fprintf(stderr, "vmtape: plan of %u system calls, %zu bytes, for Linux %s\n",
			plan_get_header(job->plan)->nr_calls, job->plan_bytes, linux_guest_facts(guest)->release);
	return error;
}

static struct vmtape_error *show_stored(struct plan_job *job, int *status)
{
	struct plan_names names = names_for(job->session);
	uint32_t left = session_info(job->session)->nr_plans;
	const void *plan;
	size_t size_bytes;

	*status = left ? STATUS_DONE : STATUS_NOTHING;
	if (!left)
		fprintf(stderr, "vmtape: %s: holds no plan\n", job->path);
	for (uint32_t id = 0; id < MAX_PLAN_ID && left; id++) {
		if (tape_reader_plan(session_reader(job->session), id, &plan, &size_bytes))
			continue;
		left--;
		printf("# plan %u, %zu bytes\n", id, size_bytes);
		if (plan_print(stdout, plan, size_bytes, &names))
			return vmtape_error_create(VMTAPE_ERROR_FORMAT, "%s: plan %u is not valid", job->path, id);
	}
	return NULL;
}

static struct vmtape_error *run(struct plan_job *job, int *status)
{
	struct sandbox_room room = {.read = (char *[]){(char *)job->path}, .nr_read = 1, .write_beside = job->output};
	struct vmtape_error *error = job->filter_text ? parse_filter(job) : NULL;

	if (error)
		return error;
	if (!job->path) {
		puts("the filter is valid");
		return NULL;
	}
	error = command_confine(&room);
	if (error)
		return error;
	if (!job->check) {
		error = session_open(&job->session, job->path, NULL);
		if (!error)
			return job->show ? show_stored(job, status) : compile(job, status);
		/* Not a tape: then it may be a plan. */
		if (error->code != VMTAPE_ERROR_FORMAT)
			return error;
		if (job->filter) {
			vmtape_error_destroy(error);
			return vmtape_error_create(VMTAPE_ERROR_USAGE, "--filter needs a tape, which %s is not",
						   job->path);
		}
		vmtape_error_destroy(error);
	}
	error = load_plan(job, status);
	if (error)
		return error;
	if (!job->check)
		return write_plan(job);
	printf("%s: valid: %u system calls, %u steps, %zu bytes\n", job->path, plan_get_header(job->plan)->nr_calls,
	       plan_get_header(job->plan)->nr_steps, job->plan_bytes);
	return NULL;
}

int cmd_plan(int argc, char **argv)
{
	enum { OPT_BINARY = 256, OPT_FILTER, OPT_SHOW, OPT_CHECK, OPT_FORCE, OPT_HELP };
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},        {"binary", no_argument, NULL, OPT_BINARY},
		{"filter", required_argument, NULL, OPT_FILTER}, {"show", no_argument, NULL, OPT_SHOW},
		{"check", no_argument, NULL, OPT_CHECK},         {"force", no_argument, NULL, OPT_FORCE},
		{"help", no_argument, NULL, OPT_HELP},           {0},
	};
	struct plan_job job = {0};
	struct vmtape_error *error;
	int status = STATUS_DONE;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			job.output = optarg;
			break;
		case OPT_BINARY:
			job.binary = true;
			break;
		case OPT_FILTER:
			job.filter_text = optarg;
			break;
		case OPT_SHOW:
			job.show = true;
			break;
		case OPT_CHECK:
			job.check = true;
			break;
		case OPT_FORCE:
			job.force = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("plan", argv);
		}
	}
	if (job.show && (job.check || job.binary || job.output || job.filter_text))
		return command_misused("plan", "--show goes with no other option");
	if (job.check && (job.binary || job.output))
		return command_misused("plan", "--check goes with no other option");
	if (!job.check || !job.filter_text || optind < argc) {
		job.path = command_operand("plan", argc, argv, "tape or plan");
		if (!job.path)
			return STATUS_BAD;
		if (job.check && job.filter_text)
			return command_misused("plan", "--check checks a plan or a filter, not both");
	}
	error = run(&job, &status);
	if (error) {
		int given = status;

		fflush(stdout);
		status = command_failed(error);
		status = given == STATUS_NOTHING ? STATUS_NOTHING : status;
	} else {
		status = command_finish(status);
	}
	free(job.plan);
	filter_destroy(job.filter);
	session_close(job.session);
	return status;
}
