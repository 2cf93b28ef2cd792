/* SPDX-License-Identifier: MIT */
#include "call_groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linux/arg_decode.h"
#include "output/output.h"

#define MAX_PROBES     32u
#define MAX_FILE_BYTES 512u

const char *const call_key_names[CALL_KEYS] = {"syscall", "process", "thread", "vcpu", "errno", "file"};

static void destroy_group(struct call_group *group)
{
	for (unsigned i = 0; group && i < CALL_KEYS; i++)
		free(group->names[i]);
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

/* ---- keys and names -------------------------------------------------- */

static uint64_t hash_of(const void *bytes, size_t size_bytes)
{
	const uint8_t *at = bytes;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < size_bytes; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash;
}

/* The first path among the arguments, as it was given; false: the call has none, or it was not captured. */
static bool put_file(const struct call *call, struct strbuf *out)
{
	for (int i = 0; i < call_nr_args(call); i++) {
		const char *name = call_arg_name(call, i);

		if (!strstr(name, "name") && !strstr(name, "path"))
			continue;
		strbuf_reset(out);
		if (call_arg_text(call, i, out) && !out->failed && out->len && out->data[0] == '"')
			return true;
	}
	return false;
}

static uint64_t key_of(const struct call *call, enum call_key key, const struct strbuf *file)
{
	const char *name;

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
		name = call_error_name(call);
		return name ? hash_of(name, strlen(name)) : 0;
	default:
		return file->len ? hash_of(file->data, file->len) : 0;
	}
}

static void put_thread(const struct call_groups *groups, const struct call *call, bool process, struct strbuf *out)
{
	/* Threads have names of their own; the process is what they share. */
	struct call_thread thread = call->thread;

	if (groups->without_pid) {
		if (thread.comm[0])
			strbuf_put_escaped(out, thread.comm, strlen(thread.comm));
		else
			strbuf_put_char(out, '?');
		return;
	}
	if (process)
		thread.tid = thread.pid;
	thread.uncertain = false;
	output_put_thread(out, &thread, 0);
}

static void put_key(const struct call_groups *groups, const struct call *call, enum call_key key,
		    const struct strbuf *file, struct strbuf *out)
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
		put_thread(groups, call, key == CALL_KEY_PROCESS, out);
		break;
	case CALL_KEY_VCPU:
		strbuf_printf(out, "vCPU %u", call->vcpu);
		break;
	case CALL_KEY_ERRNO:
		name = call_error_name(call);
		strbuf_put(out, name ? name : "-");
		break;
	default:
		strbuf_put(out, file->len ? file->data : "-");
		break;
	}
}

static char *name_of(const struct call_groups *groups, const struct call *call, enum call_key key,
		     const struct strbuf *file)
{
	struct strbuf name = {0};
	char *copy;

	put_key(groups, call, key, file, &name);
	copy = name.failed ? NULL : strndup(name.data ? name.data : "?", MAX_FILE_BYTES);
	strbuf_deinit(&name);
	return copy;
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

/* NULL: no memory. Keys that collide, which a guest can bring about by its file names, go to the next place. */
static struct call_group *find_group(struct call_groups *groups, const struct call *call, const uint64_t *keys,
				     const struct strbuf *file)
{
	uint64_t hash = hash_of(keys, CALL_KEYS * sizeof(*keys)), at;
	struct call_group *group;
	unsigned probe;

	for (probe = 0; probe < MAX_PROBES && u64_map_get(&groups->index, hash + probe, &at); probe++) {
		group = groups->list[at];
		if (!memcmp(group->keys, keys, sizeof(group->keys)) &&
		    (!groups->by[CALL_KEY_FILE] ||
		     !strncmp(group->names[CALL_KEY_FILE], file->len ? file->data : "-", MAX_FILE_BYTES)))
			return group;
	}
	if (probe == MAX_PROBES || groups->count >= CALL_GROUPS_MAX)
		return others_of(groups);
	group = new_group(groups);
	if (!group || !u64_map_set(&groups->index, hash + probe, groups->count - 1))
		return NULL;
	memcpy(group->keys, keys, sizeof(group->keys));
	for (unsigned i = 0; i < CALL_KEYS; i++) {
		if (!groups->by[i])
			continue;
		group->names[i] = name_of(groups, call, (enum call_key)i, file);
		if (!group->names[i])
			return NULL;
	}
	return group;
}

/* A process is shown by its last name: it is forked under its parent's. */
static void rename_group(const struct call_groups *groups, struct call_group *group, const struct call *call)
{
	if (group == groups->others || call->thread.pid < 0 || !strcmp(group->comm, call->thread.comm))
		return;
	if (!groups->by[CALL_KEY_THREAD] && call->thread.tid != call->thread.pid)
		return;
	memcpy(group->comm, call->thread.comm, sizeof(group->comm));
	for (unsigned i = CALL_KEY_PROCESS; i <= CALL_KEY_THREAD; i++) {
		char *name;

		if (!groups->by[i] || (i == CALL_KEY_PROCESS && call->thread.tid != call->thread.pid))
			continue;
		name = name_of(groups, call, (enum call_key)i, NULL);
		if (!name)
			continue;
		free(group->names[i]);
		group->names[i] = name;
	}
}

static struct vmtape_error *count_call(struct call_groups *groups, const struct call *call, struct strbuf *file)
{
	uint64_t keys[CALL_KEYS] = {0};
	struct call_group *group;

	strbuf_reset(file);
	if (groups->by[CALL_KEY_FILE] && !put_file(call, file))
		strbuf_reset(file);
	for (unsigned i = 0; i < CALL_KEYS; i++)
		if (groups->by[i])
			keys[i] = key_of(call, (enum call_key)i, file);
	group = find_group(groups, call, keys, file);
	if (!group || file->failed)
		return &vmtape_error_no_memory;
	if (groups->by[CALL_KEY_PROCESS] || groups->by[CALL_KEY_THREAD])
		rename_group(groups, group, call);
	group->count++;
	group->errors += call_error_name(call) != NULL;
	if (call->duration_ns >= 0)
		histogram_add(&group->latency, (uint64_t)call->duration_ns);
	return NULL;
}

struct vmtape_error *call_groups_count(struct call_groups *groups, struct session *session, const struct filter *filter,
				       const struct call_stream_options *options,
				       void (*progress)(void *ctx, uint64_t nr_records), void *ctx)
{
	struct call_stream_stats stats;
	struct call_stream *stream;
	struct call_item item;
	struct strbuf file = {0};
	struct vmtape_error *error = call_stream_create(&stream, session, options);
	bool more = true;

	if (error)
		return error;
	while (!error) {
		error = call_stream_next(stream, &item, &more);
		if (error || !more)
			break;
		if (item.is_gap)
			groups->lost_records += item.gap.lost_records;
		else if (!filter || filter_match(filter, &item.call, 0))
			error = count_call(groups, &item.call, &file);
		if (progress) {
			call_stream_get_stats(stream, &stats);
			progress(ctx, stats.records);
		}
	}
	strbuf_deinit(&file);
	call_stream_destroy(stream);
	return error;
}

/* ---- output ---------------------------------------------------------- */

void call_group_put_name(const struct call_group *group, struct strbuf *out)
{
	const char *between = "";

	for (unsigned i = 0; i < CALL_KEYS; i++) {
		if (!group->names[i])
			continue;
		strbuf_put(out, between);
		strbuf_put(out, group->names[i]);
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
