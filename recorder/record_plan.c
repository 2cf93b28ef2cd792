/* SPDX-License-Identifier: MIT */
#include "record_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan.h"
#include "producer_calls.h"

#define PLAN_TEXT_MAX_BYTES (8u << 20)
#define PLAN_WIRE_MAX_BYTES (PROTO_MAX_BYTES - sizeof(struct proto_start))

/* ---- the first plan -------------------------------------------------- */

static int read_file(const char *path, char **out, size_t *size_bytes, struct record_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t have = 0;
	ssize_t n = -1;

	if (fd >= 0)
		text = malloc(PLAN_TEXT_MAX_BYTES + 1);
	while (text && have <= PLAN_TEXT_MAX_BYTES) {
		n = read(fd, text + have, PLAN_TEXT_MAX_BYTES + 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	if (n != 0) {
		int saved = n > 0 ? EFBIG : errno;

		free(text);
		if (fd >= 0)
			close(fd);
		return record_error_set(error, -saved, "%s: cannot read a plan from it: %s", path, strerror(saved));
	}
	close(fd);
	*out = text;
	*size_bytes = have;
	return 0;
}

/* Binary, as `vmtape plan --binary` writes it, or text. */
static int load_plan(struct record_plan *plan, const char *path, struct record_error *error)
{
	struct plan_error why = {0};
	uint32_t magic = 0;
	size_t size_bytes = 0;
	char *text = NULL;
	int ret = read_file(path, &text, &size_bytes, error);

	if (ret)
		return ret;
	if (size_bytes >= sizeof(magic))
		memcpy(&magic, text, sizeof(magic));
	if (magic == PLAN_MAGIC) {
		ret = plan_check(text, size_bytes, &why);
		plan->fallback = text;
		plan->fallback_bytes = size_bytes;
		text = NULL;
	} else if (memchr(text, '\0', size_bytes)) {
		ret = -EINVAL;
		strcpy(why.message, "neither the text nor the binary form of a plan");
	} else {
		text[size_bytes] = '\0';
		/* Names of calls are the analyzer's; here there are only numbers. */
		ret = plan_parse(text, NULL, &plan->fallback, &plan->fallback_bytes, &why);
	}
	free(text);
	if (ret && why.line)
		return record_error_set(error, ret, "%s: line %u: %s", path, why.line, why.message);
	if (ret)
		return record_error_set(error, ret, "%s: %s", path, why.message[0] ? why.message : strerror(-ret));
	if (plan->fallback_bytes > PLAN_WIRE_MAX_BYTES)
		return record_error_set(error, -E2BIG, "%s: a plan of %zu bytes is over the limit of %zu", path,
					plan->fallback_bytes, PLAN_WIRE_MAX_BYTES);
	return 0;
}

/* No steps, but a plan all the same, so that the tape says which registers there are. */
static int registers_only(struct record_plan *plan)
{
	struct plan_builder *builder = NULL;
	const struct plan_header *header;
	size_t generic_bytes;
	void *generic;
	int ret = plan_generic(1, &generic, &generic_bytes);

	if (ret)
		return ret;
	header = plan_get_header(generic);
	ret = plan_builder_create(&builder, 1);
	if (!ret) {
		plan_builder_set_regs(builder, header->enter_regs, header->exit_regs);
		ret = plan_builder_finish(builder, &plan->fallback, &plan->fallback_bytes, NULL);
	}
	plan_builder_destroy(builder);
	free(generic);
	return ret;
}

static int check_filter(struct record_plan *plan, struct record_error *error)
{
	int ret = plan_auto_init(&plan->analyzer, plan->options->filter, error);

	return ret ? ret : plan_auto_check(&plan->analyzer, error);
}

/* Ids are the recorder's to give: unique on a tape, and growing. */
static void set_id(void *plan, uint32_t id)
{
	memcpy((uint8_t *)plan + offsetof(struct plan_header, plan_id), &id, sizeof(id));
}

int record_plan_init(struct record_plan *plan, const struct record_options *options, struct record_error *error)
{
	int ret;

	*plan = (struct record_plan){.options = options, .last_id = 1};
	plan->analyzer = (struct plan_auto){.pid_fd = -1, .output_fd = -1};
	if (options->plan == PLAN_CHOICE_FILE)
		ret = load_plan(plan, options->plan_path, error);
	else if (options->plan == PLAN_CHOICE_NONE)
		ret = registers_only(plan);
	else
		ret = plan_generic(1, &plan->fallback, &plan->fallback_bytes);
	if (ret && options->plan != PLAN_CHOICE_FILE)
		record_error_set(error, ret, "cannot make a plan: %s", strerror(-ret));
	if (!ret && options->filter)
		ret = check_filter(plan, error);
	if (!ret)
		set_id(plan->fallback, plan->last_id);
	else
		record_plan_deinit(plan);
	return ret;
}

void record_plan_deinit(struct record_plan *plan)
{
	plan_auto_deinit(&plan->analyzer);
	free(plan->fallback);
	free(plan->in_force);
	plan->fallback = plan->in_force = NULL;
}

void record_plan_get_first(const struct record_plan *plan, const void **out, size_t *size_bytes)
{
	*out = plan->fallback;
	*size_bytes = plan->fallback_bytes;
}

/* ---- changes --------------------------------------------------------- */

static int encode_plan(struct tape_chunk **out, const void *bytes, size_t size_bytes, struct record_error *error)
{
	struct tape_error why = {0};
	int ret = tape_chunk_encode_plan(out, bytes, size_bytes, &why);

	if (ret)
		return record_error_set(error, ret, "a plan cannot be stored: %s",
					why.message[0] ? why.message : strerror(-ret));
	return 0;
}

/* The plan is on the tape when this returns, so before any record that was made by it. */
static int store_plan(struct record_plan *plan, const void *bytes, size_t size_bytes, struct record_error *error)
{
	struct tape_chunk *chunk;
	uint64_t job;
	int ret = encode_plan(&chunk, bytes, size_bytes, error);

	if (ret)
		return ret;
	job = tape_thread_post_chunk(plan->tape, chunk);
	while (!tape_thread_is_done(plan->tape, job)) {
		if (tape_thread_is_waiting(plan->tape))
			return record_error_set(error, -ENOSPC, "a plan cannot be stored: the disk is full");
		if (loop_wait(plan->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
	}
	return tape_thread_error(plan->tape, error);
}

static int remember(struct record_plan *plan, const void *bytes, size_t size_bytes, struct record_error *error)
{
	void *copy = malloc(size_bytes);

	if (!copy)
		return record_error_set(error, -ENOMEM, "out of memory");
	memcpy(copy, bytes, size_bytes);
	free(plan->in_force);
	plan->in_force = copy;
	plan->in_force_bytes = size_bytes;
	return 0;
}

int record_plan_chunk(const struct record_plan *plan, struct tape_chunk **out, struct record_error *error)
{
	return encode_plan(out, plan->in_force, plan->in_force_bytes, error);
}

void record_plan_moved(struct record_plan *plan, const char *tape_path)
{
	plan->tape_path = tape_path;
	/* Its flush was the old tape's; the first snapshot of the new one comes soon. */
	plan->snapshot_job = 0;
}

static int put_in_force(struct record_plan *plan, void *bytes, size_t size_bytes, struct record_error *error)
{
	int ret;

	set_id(bytes, ++plan->last_id);
	ret = store_plan(plan, bytes, size_bytes, error);
	if (!ret)
		ret = producer_set_plan(plan->producer, bytes, size_bytes, error);
	return ret ? ret : remember(plan, bytes, size_bytes, error);
}

int record_plan_started(struct record_plan *plan, struct producer *producer, struct tape_thread *tape,
			const char *tape_path, struct loop *loop, struct record_error *error)
{
	struct record_error why;
	int ret;

	plan->producer = producer;
	plan->tape = tape;
	plan->tape_path = tape_path;
	plan->loop = loop;
	if (plan->options->plan == PLAN_CHOICE_AUTO && plan->options->no_snapshots) {
		report("without snapshots the guest cannot be identified: the generic plan stays in force");
	} else if (plan->options->plan == PLAN_CHOICE_AUTO && !plan->options->filter &&
		   plan_auto_init(&plan->analyzer, NULL, &why)) {
		report("%s: the generic plan stays in force", why.message);
	} else if (plan->options->plan == PLAN_CHOICE_AUTO) {
		plan->has_analyzer = true;
		plan->is_wanted = true;
	}
	ret = remember(plan, plan->fallback, plan->fallback_bytes, error);
	return ret ? ret : store_plan(plan, plan->fallback, plan->fallback_bytes, error);
}

void record_plan_snapshot_taken(struct record_plan *plan)
{
	plan->asks_snapshot = false;
	if (plan->is_wanted)
		plan->snapshot_job = tape_thread_post_flush(plan->tape);
}

static int found(struct record_plan *plan, void *bytes, size_t size_bytes, const char *text, struct record_error *error)
{
	int ret;

	ret = put_in_force(plan, bytes, size_bytes, error);
	if (!ret) {
		plan->is_wanted = false;
		plan->was_identified = true;
		plan->snapshot_job = 0;
		plan->asks_snapshot = true;
		report("guest identified%s%s; plan %u is in force", text[0] ? ": " : "", text, plan->last_id);
	} else if (ret == -EREMOTEIO) {
		/* The old plan goes on; trying again would end the same way. */
		plan->is_wanted = false;
		report("the VM refused the plan for the guest: %s: the generic plan stays in force", error->message);
		ret = 0;
	}
	free(bytes);
	return ret;
}

static int look_after(struct record_plan *plan, struct record_error *error)
{
	char text[256] = "";
	size_t size_bytes = 0;
	void *bytes = NULL;

	switch (plan_auto_poll(&plan->analyzer, &bytes, &size_bytes, text, sizeof(text))) {
	case PLAN_AUTO_RUNS:
		return 0;
	case PLAN_AUTO_FOUND:
		return found(plan, bytes, size_bytes, text, error);
	case PLAN_AUTO_NOT_YET:
		if (!plan->told_not_yet)
			report("the generic plan serves for now: %s", text[0] ? text : "the guest is not known yet");
		plan->told_not_yet = true;
		break;
	case PLAN_AUTO_FAILED:
		if (strcmp(text, plan->last_failure))
			report("no plan for the guest, the generic one serves for now: %s", text);
		memcpy(plan->last_failure, text, sizeof(text));
		break;
	}
	plan->asks_snapshot = plan->is_wanted && !plan->snapshot_job;
	return 0;
}

int record_plan_step(struct record_plan *plan, struct record_error *error)
{
	struct record_error why;

	if (plan_auto_is_running(&plan->analyzer))
		return look_after(plan, error);
	if (!plan->is_wanted || !plan->snapshot_job || !tape_thread_is_done(plan->tape, plan->snapshot_job))
		return 0;
	plan->snapshot_job = 0;
	if (plan_auto_start(&plan->analyzer, plan->tape_path, &why)) {
		report("no plan for the guest: %s: the generic plan stays in force", why.message);
		plan->is_wanted = false;
	}
	return 0;
}

int record_plan_forget(struct record_plan *plan, struct record_error *error)
{
	bool was_known = plan->has_analyzer && !plan->is_wanted;
	int ret;

	if (!plan->has_analyzer)
		return 0;
	/* What an analyzer finds now is the guest that was. */
	plan_auto_abort(&plan->analyzer);
	plan->is_wanted = true;
	plan->told_not_yet = false;
	plan->snapshot_job = 0;
	plan->asks_snapshot = true;
	if (!was_known)
		return 0;
	ret = put_in_force(plan, plan->fallback, plan->fallback_bytes, error);
	return ret == -EREMOTEIO ? 0 : ret;
}
