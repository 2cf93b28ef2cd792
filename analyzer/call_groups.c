/* SPDX-License-Identifier: MIT */
#include "call_groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_pool.h"
#include "linux/arg_decode.h"
#include "linux/captured.h"
#include "linux/semantics.h"
#include "output/output.h"
#include "plan_abi.h"

#define MAX_PROBES     32u
#define MAX_FILE_BYTES 512u

const char *const call_key_names[CALL_KEYS] = {"syscall", "process", "thread", "vcpu", "errno", "file"};

static void destroy_group(struct call_group *group)
{
	for (unsigned i = 0; group && i < CALL_KEYS; i++) {
		free(group->names[i]);
		free(group->raw_names[i]);
	}
	free(group);
}

void call_groups_deinit(struct call_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		destroy_group(groups->list[i]);
	free(groups->list);
	u64_map_deinit(&groups->index);
	*groups = (struct call_groups){0};
}

bool call_groups_parse(struct call_groups *groups, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, ",");
		unsigned i;

		for (i = 0; i < CALL_KEYS && (strlen(call_key_names[i]) != n || strncmp(text, call_key_names[i], n));
		     i++)
			;
		if (i == CALL_KEYS || groups->by[i])
			return false;
		groups->by[i] = true;
		text += n;
		if (*text == ',' && !*++text)
			return false;
	}
	return true;
}

/* ---- what one thread finds out --------------------------------------- */

/* A call that matches, as far as it is counted. */
struct counted {
	uint64_t keys[CALL_KEYS];
	int64_t duration_ns;
	size_t file_at;  /* where its file's name is in counter.files; with one only */
	uint32_t number; /* in the batch */
	bool failed;
};

/* The file that a call is about, as it is shown and as it is. */
struct file_name {
	struct strbuf text, raw;
};

struct counter {
	uint8_t path_args[TRAP_ABIS][CALL_GROUPS_CALLS]; /* 0: not looked up; else number + 2 */
	struct counted *calls;
	uint32_t nr, room;
	uint64_t lost_records;
	struct strbuf files; /* NUL behind each */
	struct file_name file;
	struct call_item item;
	bool failed; /* no memory */
};

struct counting {
	struct call_groups *groups;
	const struct filter *filter;
	void (*progress)(void *ctx, uint64_t nr_records);
	void *progress_ctx;
	struct vmtape_error *error;
};

/* ---- keys and names -------------------------------------------------- */

static uint64_t hash_of(const void *bytes, size_t size_bytes)
{
	const uint8_t *at = bytes;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < size_bytes; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash;
}

/* Which argument is the path: a string that comes first, or behind a directory; -1: none. */
static int find_path_arg(const struct linux_syscall *syscall)
{
	/* Those that have it elsewhere, or whose first string is the name of something else. */
	static const struct {
		const char *name;
		int arg;
	} others[] = {
		{"mount", 1},         {"quotactl", 1}, {"symlink", 1},        {"inotify_add_watch", 1},
		{"memfd_create", -1}, {"fsopen", -1},  {"delete_module", -1}, {"add_key", -1},
		{"request_key", -1},  {"mq_open", -1}, {"mq_unlink", -1},
	};
	const struct call_spec *spec = call_spec_of(syscall);
	uint8_t before = ARG_DEFAULT;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(syscall->name, others[i].name))
			return others[i].arg;
	for (int i = 0; i < call_spec_nr_args(syscall, spec); i++) {
		struct arg_spec arg;

		call_spec_arg(syscall, spec, NULL, i, &arg);
		if (arg.kind == ARG_STRING && arg.direction == ARG_IN && (!i || before == ARG_DIRFD))
			return i;
		before = arg.kind;
	}
	return -1;
}

static int path_arg(struct counter *counter, const struct call *call)
{
	uint8_t *known;

	if (!call->syscall || !call->syscall->name || call->abi >= TRAP_ABIS || call->nr >= CALL_GROUPS_CALLS)
		return -1;
	known = &counter->path_args[call->abi][call->nr];
	if (!*known)
		*known = (uint8_t)(find_path_arg(call->syscall) + 2);
	return *known - 2;
}

static bool put_descriptor(const struct call *call, struct file_name *file)
{
	for (int i = 0; i < LINUX_SYSCALL_ARGS && call->fds; i++) {
		const struct fd_object *object = call->fds->objects[i];
		bool uncertain = call->fds->uncertain >> i & 1;

		if (!object || !object->name_len ||
		    (object->kind != FD_FILE && object->kind != FD_DIRECTORY && object->kind != FD_MEMFD))
			continue;
		strbuf_put_char(&file->text, '"');
		strbuf_put_escaped(&file->text, object->name, object->name_len);
		strbuf_put(&file->text, uncertain ? "\"?" : "\"");
		strbuf_put_bytes(&file->raw, object->name, object->name_len);
		strbuf_put(&file->raw, uncertain ? "?" : "");
		return true;
	}
	return false;
}

/* The path that the call was given, or that its descriptor has; empty: it has none, or it was not captured. */
static void put_file(struct counter *counter, const struct call *call, struct file_name *file)
{
	int arg = path_arg(counter, call);
	struct captured piece;
	bool ended;

	strbuf_reset(&file->text);
	strbuf_reset(&file->raw);
	/* Without a path, or with an empty one, it is about the descriptor. */
	if (arg < 0 || (call->args_known && !call->args[arg])) {
		put_descriptor(call, file);
		return;
	}
	if (!call_arg_text(call, arg, &file->text) || !file->text.len || file->text.data[0] != '"') {
		strbuf_reset(&file->text);
	} else if (!strcmp(file->text.data, "\"\"")) {
		strbuf_reset(&file->text);
		put_descriptor(call, file);
	} else if (captured_find(call, CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + arg), call->args[arg], &piece)) {
		strbuf_put_bytes(&file->raw, piece.data, captured_string(&piece, &ended));
		strbuf_put(&file->raw, ended ? "" : "...");
	}
}

static uint64_t key_of(const struct call *call, enum call_key key, const struct strbuf *file, const char *error)
{
	switch (key) {
	case CALL_KEY_SYSCALL:
		return call->nr_known ? (uint64_t)call->abi << 32 | call->nr : UINT64_MAX;
	case CALL_KEY_PROCESS:
		return (uint64_t)(int64_t)call->thread.pid;
	case CALL_KEY_THREAD:
		return (uint64_t)(int64_t)call->thread.tid;
	case CALL_KEY_VCPU:
		return call->vcpu;
	case CALL_KEY_ERRNO:
		return error ? hash_of(error, strlen(error)) : 0;
	default:
		return file->len ? hash_of(file->data, file->len) : 0;
	}
}

/* Threads have names of their own; a process bears its leader's, and is known by its program until that was seen. */
static const char *name_of_thread(const struct call_thread *thread, bool process)
{
	const char *slash;

	if (!process || thread->tid == thread->pid)
		return thread->comm;
	if (!thread->exe)
		return "";
	slash = strrchr(thread->exe, '/');
	return slash ? slash + 1 : thread->exe;
}

static void put_number(struct strbuf *out, int32_t number)
{
	if (number >= 0)
		strbuf_put_i64(out, number);
	else
		strbuf_put_char(out, '?');
}

static void put_thread(const struct call_groups *groups, const struct call *call, bool process, bool raw,
		       struct strbuf *out)
{
	const struct call_thread *thread = &call->thread;
	const char *name = name_of_thread(thread, process);

	if (raw || !*name)
		strbuf_put(out, *name ? name : "?");
	else
		strbuf_put_escaped(out, name, strlen(name));
	if (groups->without_pid)
		return;
	strbuf_put_char(out, '[');
	put_number(out, thread->pid);
	if (!process && thread->tid != thread->pid && thread->pid >= 0) {
		strbuf_put_char(out, '/');
		put_number(out, thread->tid);
	}
	strbuf_put_char(out, ']');
}

static void put_key(const struct call_groups *groups, const struct call *call, enum call_key key,
		    const struct file_name *file, bool raw, struct strbuf *out)
{
	char buffer[32];
	const char *name;

	switch (key) {
	case CALL_KEY_SYSCALL:
		strbuf_put(out, call_shown_name(call, buffer, sizeof(buffer)));
		if (call->abi != TRAP_ABI_X86_64)
			strbuf_printf(out, "/%s", output_abi_name(call->abi));
		break;
	case CALL_KEY_PROCESS:
	case CALL_KEY_THREAD:
		put_thread(groups, call, key == CALL_KEY_PROCESS, raw, out);
		break;
	case CALL_KEY_VCPU:
		strbuf_printf(out, "vCPU %u", call->vcpu);
		break;
	case CALL_KEY_ERRNO:
		name = call_error_name(call);
		strbuf_put(out, name ? name : "-");
		break;
	default:
		if (raw && file->raw.len)
			strbuf_put(out, file->raw.data);
		else
			strbuf_put(out, file->text.len ? file->text.data : "-");
		break;
	}
}

static char *name_of(const struct call_groups *groups, const struct call *call, enum call_key key,
		     const struct file_name *file, bool raw)
{
	struct strbuf name = {0};
	char *copy;

	put_key(groups, call, key, file, raw, &name);
	copy = name.failed ? NULL : strndup(name.data ? name.data : "?", MAX_FILE_BYTES);
	strbuf_deinit(&name);
	return copy;
}

/* false: no memory, and what there was stays. */
static bool set_name(const struct call_groups *groups, struct call_group *group, const struct call *call,
		     enum call_key key, const struct file_name *file)
{
	char *name = name_of(groups, call, key, file, false), *raw = NULL;

	/* What the guest did not choose is the same in both. */
	if (key == CALL_KEY_PROCESS || key == CALL_KEY_THREAD || key == CALL_KEY_FILE) {
		raw = name_of(groups, call, key, file, true);
		if (!raw) {
			free(name);
			return false;
		}
	}
	if (!name) {
		free(raw);
		return false;
	}
	free(group->names[key]);
	free(group->raw_names[key]);
	group->names[key] = name;
	group->raw_names[key] = raw;
	return true;
}

/* ---- groups ---------------------------------------------------------- */

static struct call_group *new_group(struct call_groups *groups)
{
	struct call_group *group;

	if (groups->count == groups->room) {
		size_t room = groups->room ? groups->room * 2 : 64;
		struct call_group **list = reallocarray(groups->list, room, sizeof(*list));

		if (!list)
			return NULL;
		groups->list = list;
		groups->room = room;
	}
	group = calloc(1, sizeof(*group));
	if (group)
		groups->list[groups->count++] = group;
	return group;
}

static struct call_group *others_of(struct call_groups *groups)
{
	if (groups->others)
		return groups->others;
	groups->others = new_group(groups);
	for (unsigned i = 0; i < CALL_KEYS && groups->others; i++) {
		if (!groups->by[i])
			continue;
		groups->others->names[i] = strdup("(others)");
		if (!groups->others->names[i])
			return NULL;
	}
	return groups->others;
}

static uint64_t hash_keys(const uint64_t *keys)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < CALL_KEYS; i++)
		hash = (hash ^ keys[i] ^ hash >> 32) * 0x9e3779b97f4a7c15ull;
	return hash;
}

struct place {
	uint64_t key; /* in the index */
	bool is_free; /* false: there is none */
};

/* NULL: there is none yet. Keys that collide, which a guest can bring about by its file names, go to the next place. */
static struct call_group *find_group(const struct call_groups *groups, const uint64_t *keys, const char *file,
				     struct place *place)
{
	uint64_t at;

	place->key = hash_keys(keys);
	place->is_free = false;
	for (unsigned probe = 0; probe < MAX_PROBES; probe++, place->key++) {
		struct call_group *group;

		place->is_free = !u64_map_get(&groups->index, place->key, &at);
		if (place->is_free)
			return NULL;
		group = groups->list[at];
		if (!memcmp(group->keys, keys, sizeof(group->keys)) &&
		    (!groups->by[CALL_KEY_FILE] || !strncmp(group->names[CALL_KEY_FILE], file, MAX_FILE_BYTES)))
			return group;
	}
	return NULL;
}

/* At this place, or where there is none, or no room, the one of all others. NULL: no memory. */
static struct call_group *add_group(struct call_groups *groups, const uint64_t *keys, const struct place *place,
				    const struct call *call, const struct file_name *file)
{
	struct call_group *group;

	if (!place->is_free || groups->count >= CALL_GROUPS_MAX)
		return others_of(groups);
	group = new_group(groups);
	if (!group || !u64_map_set(&groups->index, place->key, groups->count - 1))
		return NULL;
	memcpy(group->keys, keys, sizeof(group->keys));
	for (unsigned i = 0; i < CALL_KEYS; i++)
		if (groups->by[i] && !set_name(groups, group, call, (enum call_key)i, file))
			return NULL;
	return group;
}

/* A process is shown by its leader's last name: it is forked under its parent's. */
static bool has_new_name(const struct call_groups *groups, const struct call_group *group,
			 const struct call_thread *thread)
{
	bool by_thread = groups->by[CALL_KEY_THREAD];
	const char *name;

	if (group == groups->others || thread->pid < 0 || (!by_thread && !groups->by[CALL_KEY_PROCESS]))
		return false;
	name = name_of_thread(thread, !by_thread);
	return *name && strncmp(group->comm, name, 16) && (by_thread || thread->tid == thread->pid || !group->is_led);
}

static void rename_group(const struct call_groups *groups, struct call_group *group, const struct call *call)
{
	bool is_leader = call->thread.tid == call->thread.pid, by_thread = groups->by[CALL_KEY_THREAD];

	group->is_led |= is_leader;
	snprintf(group->comm, sizeof(group->comm), "%s", name_of_thread(&call->thread, !by_thread));
	if (by_thread)
		set_name(groups, group, call, CALL_KEY_THREAD, NULL);
	if (groups->by[CALL_KEY_PROCESS] && (is_leader || !group->is_led))
		set_name(groups, group, call, CALL_KEY_PROCESS, NULL);
}

/* ---- counting -------------------------------------------------------- */

static void examine_call(const struct call_groups *groups, struct counter *counter, uint32_t number)
{
	const struct call *call = &counter->item.call;
	struct counted *counted = &counter->calls[counter->nr++];
	const char *error = call_error_name(call);

	*counted = (struct counted){.duration_ns = call->duration_ns, .number = number, .failed = error};
	if (groups->by[CALL_KEY_FILE]) {
		struct strbuf *text = &counter->file.text;

		put_file(counter, call, &counter->file);
		counted->file_at = counter->files.len;
		strbuf_put_bytes(&counter->files, text->len ? text->data : "-", text->len ? text->len + 1 : 2);
	}
	for (unsigned i = 0; i < CALL_KEYS; i++)
		if (groups->by[i])
			counted->keys[i] = key_of(call, (enum call_key)i, &counter->file.text, error);
}

static void examine_batch(void *ctx, void *worker, const struct call_batch *batch)
{
	const struct counting *counting = ctx;
	struct counter *counter = worker;

	counter->nr = 0;
	counter->lost_records = 0;
	strbuf_reset(&counter->files);
	if (counter->room < batch->nr) {
		struct counted *calls = reallocarray(counter->calls, batch->nr, sizeof(*calls));

		counter->failed |= !calls;
		if (!calls)
			return;
		counter->calls = calls;
		counter->room = batch->nr;
	}
	for (uint32_t i = 0; i < batch->nr; i++) {
		call_batch_item(batch, i, &counter->item);
		if (counter->item.is_gap)
			counter->lost_records += counter->item.gap.lost_records;
		else if (filter_match(counting->filter, &counter->item.call, 0))
			examine_call(counting->groups, counter, i);
	}
	counter->failed |= counter->files.failed || counter->file.text.failed || counter->file.raw.failed;
}

static bool count_call(struct call_groups *groups, struct counter *counter, const struct call_batch *batch,
		       const struct counted *counted)
{
	const struct call *call = &counter->item.call;
	const struct call_thread *thread = &batch->calls[counted->number].thread;
	const char *file = groups->by[CALL_KEY_FILE] ? counter->files.data + counted->file_at : NULL;
	struct place place;
	struct call_group *group = find_group(groups, counted->keys, file, &place);

	if (!group || has_new_name(groups, group, thread)) {
		call_batch_item(batch, counted->number, &counter->item);
		if (!group && groups->by[CALL_KEY_FILE])
			put_file(counter, call, &counter->file);
		if (!group)
			group = add_group(groups, counted->keys, &place, call, &counter->file);
		if (!group)
			return false;
		if (has_new_name(groups, group, thread))
			rename_group(groups, group, call);
	}
	group->count++;
	group->errors += counted->failed;
	if (counted->duration_ns >= 0)
		histogram_add(&group->latency, (uint64_t)counted->duration_ns);
	return true;
}

static bool count_batch(void *ctx, void *worker, const struct call_batch *batch)
{
	struct counting *counting = ctx;
	struct counter *counter = worker;
	bool good = !counter->failed;

	counting->groups->lost_records += counter->lost_records;
	for (uint32_t i = 0; i < counter->nr && good; i++)
		good = count_call(counting->groups, counter, batch, &counter->calls[i]);
	if (!good)
		counting->error = &vmtape_error_no_memory;
	if (counting->progress)
		counting->progress(counting->progress_ctx, batch->stats.records);
	return good;
}

static void deinit_counter(struct counter *counter)
{
	free(counter->calls);
	strbuf_deinit(&counter->files);
	strbuf_deinit(&counter->file.text);
	strbuf_deinit(&counter->file.raw);
}

struct vmtape_error *call_groups_count(struct call_groups *groups, struct session *session, const struct filter *filter,
				       const struct call_stream_options *options,
				       void (*progress)(void *ctx, uint64_t nr_records), void *ctx)
{
	struct counting counting = {groups, filter, progress, ctx, NULL};
	struct call_pool_options pool_options = {groups->nr_threads, groups->batch_calls};
	struct call_stream_options with_fds = *options;
	struct call_stream *stream;
	struct counter *counters;
	struct vmtape_error *error;

	if (!pool_options.nr_threads)
		pool_options.nr_threads = call_pool_default_threads();
	with_fds.fds |= groups->by[CALL_KEY_FILE];
	with_fds.filter = filter;
	with_fds.read_ahead = call_pool_read_ahead(pool_options.nr_threads);
	error = call_stream_create(&stream, session, &with_fds);
	if (error)
		return error;
	counters = calloc(call_pool_workers(pool_options.nr_threads), sizeof(*counters));
	error = counters ? call_pool_run(stream,
					 &(struct call_pool_job){.work = examine_batch,
								 .deliver = count_batch,
								 .ctx = &counting,
								 .workers = counters,
								 .worker_bytes = sizeof(*counters)},
					 &pool_options)
			 : &vmtape_error_no_memory;
	for (unsigned i = 0; i < call_pool_workers(pool_options.nr_threads) && counters; i++)
		deinit_counter(&counters[i]);
	free(counters);
	call_stream_destroy(stream);
	return error ? error : counting.error;
}

/* ---- output ---------------------------------------------------------- */

void call_group_put_name(const struct call_group *group, bool raw, struct strbuf *out)
{
	const char *between = "";

	for (unsigned i = 0; i < CALL_KEYS; i++) {
		if (!group->names[i])
			continue;
		strbuf_put(out, between);
		strbuf_put(out, raw && group->raw_names[i] ? group->raw_names[i] : group->names[i]);
		between = ", ";
	}
}

void call_put_span(struct strbuf *out, uint64_t ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	double value = (double)ns;
	char text[32];
	int unit = 0;

	while (value >= 999.5 && unit < 3) {
		value /= 1000;
		unit++;
	}
	snprintf(text, sizeof(text), "%.*f %s",
		 unit == 0 || value >= 99.95 ? 0
		 : value >= 9.995            ? 1
					     : 2,
		 value, units[unit]);
	strbuf_put(out, text);
}
