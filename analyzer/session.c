/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "u64_map.h"

#define MAX_ATTEMPTS  8
#define MAX_SYSCALLS  4096 /* numbers that a table may have; beyond, calls have no name */
#define ROLE_UNKNOWN  0xff
#define MAX_SNAPSHOTS (1u << 20)
#define MAX_NO_PATHS  65536

struct session {
	struct tape_reader *reader;
	const struct tape_info *info;
	struct guest_clock clock;
	struct session_options options;
	bool identified; /* it has been tried */
	struct linux_guest *guest;
	uint32_t guest_snapshot;
	uint64_t guest_ordinal; /* of that snapshot */
	uint64_t guest_lstar;
	struct vmtape_error *guest_problem;
	unsigned tries;                        /* of a session that is refreshed */
	uint64_t tried_ordinal;                /* the latest snapshot that was tried, + 1 */
	uint32_t nr_tried;                     /* snapshots that there were then */
	struct u64_map no_paths;               /* executables that no snapshot so far knows the path of */
	uint64_t guest_from_tsc, guest_to_tsc; /* where it surely ran */
	uint8_t roles[TRAP_ABIS][MAX_SYSCALLS];
	struct linux_syscall *assumed[TRAP_ABIS]; /* MAX_SYSCALLS each */
};

/* Memory of one snapshot, for guest_memory's callback. */
struct snapshot_source {
	struct session *session;
	uint32_t snapshot;
	struct guest_range ranges[];
};

static struct vmtape_error *from_tape(const char *what, const struct tape_error *error)
{
	enum vmtape_error_code code = error->error == -ENOMEM            ? VMTAPE_ERROR_NO_MEMORY
				      : error->error == -EPROTONOSUPPORT ? VMTAPE_ERROR_UNSUPPORTED
				      : error->error == -EMEDIUMTYPE     ? VMTAPE_ERROR_FORMAT
									 : VMTAPE_ERROR_IO;

	if (error->offset == TAPE_NO_OFFSET)
		return vmtape_error_create(code, "%s: %s", what, error->message);
	return vmtape_error_create(code, "%s: offset %" PRIu64 ": %s", what, error->offset, error->message);
}

static struct vmtape_error *load_clock(struct session *s)
{
	const char *hz = tape_reader_meta(s->reader, "tsc_hz");
	uint32_t n = s->info->nr_snapshots < MAX_SNAPSHOTS ? s->info->nr_snapshots : MAX_SNAPSHOTS;
	struct clock_pair *pairs = calloc(n + 1, sizeof(*pairs));
	bool good;

	if (!pairs)
		return &vmtape_error_no_memory;
	for (uint32_t i = 0; i < n; i++) {
		const struct tape_snapshot *snapshot = tape_reader_snapshot(s->reader, i);

		pairs[i] = (struct clock_pair){snapshot->info.tsc, snapshot->info.realtime_ns};
	}
	good = guest_clock_init(&s->clock, pairs, n, hz ? strtoull(hz, NULL, 10) : 0);
	free(pairs);
	return good ? NULL : &vmtape_error_no_memory;
}

/* By number alone: no prototype. All at once, as several threads may ask. */
static struct vmtape_error *assume(struct session *s)
{
	for (uint8_t abi = 0; abi < TRAP_ABIS; abi++) {
		s->assumed[abi] = calloc(MAX_SYSCALLS, sizeof(**s->assumed));
		if (!s->assumed[abi])
			return &vmtape_error_no_memory;
		for (uint32_t nr = 0; nr < MAX_SYSCALLS; nr++) {
			struct linux_syscall *call = &s->assumed[abi][nr];

			*call = (struct linux_syscall){
				.nr = nr, .abi = abi, .name = linux_syscall_name(abi, nr), .nr_args = -1};
			if (call->name)
				call_meaning_settle(call);
		}
	}
	return NULL;
}

static struct vmtape_error *session_create(struct session **out, struct tape_reader *reader,
					   const struct session_options *options)
{
	struct session *s = calloc(1, sizeof(*s));
	struct vmtape_error *error;

	if (!s) {
		tape_reader_close(reader);
		return &vmtape_error_no_memory;
	}
	s->reader = reader;
	s->info = tape_reader_info(reader);
	if (options)
		s->options = *options;
	memset(s->roles, ROLE_UNKNOWN, sizeof(s->roles));
	error = load_clock(s);
	if (!error && s->options.assume_linux)
		error = assume(s);
	if (error) {
		session_close(s);
		return error;
	}
	*out = s;
	return NULL;
}

struct vmtape_error *session_open(struct session **out, const char *path, const struct session_options *options)
{
	struct tape_error error = {.offset = TAPE_NO_OFFSET};
	struct tape_reader *reader;

	if (tape_reader_open(&reader, path, &error))
		return from_tape(path, &error);
	return session_create(out, reader, options);
}

struct vmtape_error *session_open_memory(struct session **out, const void *data, size_t size_bytes,
					 const struct session_options *options)
{
	struct tape_error error = {.offset = TAPE_NO_OFFSET};
	struct tape_reader *reader;

	if (tape_reader_open_memory(&reader, data, size_bytes, &error))
		return from_tape("tape", &error);
	return session_create(out, reader, options);
}

void session_close(struct session *s)
{
	if (!s)
		return;
	linux_guest_destroy(s->guest);
	vmtape_error_destroy(s->guest_problem);
	for (int abi = 0; abi < TRAP_ABIS; abi++)
		free(s->assumed[abi]);
	guest_clock_deinit(&s->clock);
	u64_map_deinit(&s->no_paths);
	tape_reader_close(s->reader);
	free(s);
}

struct tape_reader *session_reader(struct session *s)
{
	return s->reader;
}

const struct tape_info *session_info(const struct session *s)
{
	return s->info;
}

const struct guest_clock *session_clock(const struct session *s)
{
	return &s->clock;
}

int64_t session_start_ns(const struct session *s)
{
	uint64_t tsc = s->info->first_tsc;

	if (!s->info->nr_records && s->info->nr_snapshots)
		tsc = tape_reader_snapshot(s->reader, 0)->info.tsc;
	return guest_clock_ns(&s->clock, tsc);
}

int64_t session_end_ns(const struct session *s)
{
	uint64_t tsc = s->info->nr_records ? s->info->last_tsc : 0;

	if (s->info->nr_snapshots) {
		const struct tape_snapshot *last = tape_reader_snapshot(s->reader, s->info->nr_snapshots - 1);

		tsc = last->info.tsc > tsc ? last->info.tsc : tsc;
	}
	return guest_clock_ns(&s->clock, tsc);
}

/* ---- memory ---------------------------------------------------------- */

int64_t session_snapshot_at(const struct session *s, uint64_t tsc)
{
	int64_t found = -1;

	for (uint32_t i = 0; i < s->info->nr_snapshots; i++)
		if (tape_reader_snapshot(s->reader, i)->info.tsc <= tsc)
			found = i;
	return found;
}

static int read_page(void *ctx, uint64_t gfn, void *out)
{
	struct snapshot_source *source = ctx;

	return tape_reader_page(source->session->reader, source->snapshot, gfn, out, NULL);
}

static struct vmtape_error *source_create(struct session *s, uint32_t index, struct snapshot_source **out)
{
	const struct tape_snapshot_info *info = &tape_reader_snapshot(s->reader, index)->info;
	struct snapshot_source *source = malloc(sizeof(*source) + info->nr_ranges * sizeof(source->ranges[0]));

	if (!source)
		return &vmtape_error_no_memory;
	source->session = s;
	source->snapshot = index;
	for (uint32_t i = 0; i < info->nr_ranges; i++)
		source->ranges[i] = (struct guest_range){GPA(info->ranges[i].gpa), info->ranges[i].size_bytes};
	*out = source;
	return NULL;
}

/* What the memory needs for its life goes with it. */
struct session_memory {
	struct guest_memory *memory;
	struct snapshot_source *source;
};

static struct vmtape_error *memory_open(struct session *s, uint32_t index, struct session_memory *out)
{
	struct guest_memory_source source = {.read_page = read_page};
	struct vmtape_error *error = source_create(s, index, &out->source);

	if (error)
		return error;
	source.ctx = out->source;
	source.ranges = out->source->ranges;
	source.nr_ranges = tape_reader_snapshot(s->reader, index)->info.nr_ranges;
	error = guest_memory_create(&out->memory, &source);
	if (error)
		free(out->source);
	return error;
}

static void memory_close(struct session_memory *memory)
{
	guest_memory_destroy(memory->memory);
	free(memory->source);
}

/* ---- guest ----------------------------------------------------------- */

/* Where the kernel is entered: tells boots apart. 0: not set up yet. */
static uint64_t lstar_of(const struct session *s, uint32_t index)
{
	const struct tape_snapshot_info *info = &tape_reader_snapshot(s->reader, index)->info;

	for (uint32_t i = 0; i < info->nr_vcpus && info->nr_regs > VCPU_LSTAR; i++)
		if (info->vcpu_regs[(size_t)i * info->nr_regs + VCPU_LSTAR])
			return info->vcpu_regs[(size_t)i * info->nr_regs + VCPU_LSTAR];
	return 0;
}

static struct vmtape_error *identify(struct session *s, uint32_t index)
{
	const struct tape_snapshot_info *info = &tape_reader_snapshot(s->reader, index)->info;
	struct session_memory memory;
	struct linux_vcpu *vcpus = calloc(info->nr_vcpus + 1, sizeof(*vcpus));
	struct vmtape_error *error;

	if (!vcpus)
		return &vmtape_error_no_memory;
	for (uint32_t i = 0; i < info->nr_vcpus; i++)
		vcpus[i] = (struct linux_vcpu){info->vcpu_regs + (size_t)i * info->nr_regs, info->nr_regs};
	error = memory_open(s, index, &memory);
	if (!error) {
		error = linux_guest_identify(&s->guest, memory.memory, vcpus, info->nr_vcpus, s->options.log);
		memory_close(&memory);
	}
	free(vcpus);
	if (error)
		s->guest = NULL;
	return error;
}

/* From the first snapshot of this boot to the last, and on as far as no other boot is seen. */
static void set_validity(struct session *s)
{
	uint64_t lstar = s->guest_lstar;
	int64_t first = s->guest_snapshot, last = s->guest_snapshot;
	uint32_t n = s->info->nr_snapshots;

	while (first > 0 && lstar_of(s, (uint32_t)first - 1) == lstar)
		first--;
	while (last + 1 < n && lstar_of(s, (uint32_t)last + 1) == lstar)
		last++;
	s->guest_from_tsc = first ? tape_reader_snapshot(s->reader, (uint32_t)first)->info.tsc : 0;
	/* Before a kernel has set up its entry, there are no calls but those that follow. */
	if (first && !lstar_of(s, (uint32_t)first - 1))
		s->guest_from_tsc = tape_reader_snapshot(s->reader, (uint32_t)first - 1)->info.tsc;
	s->guest_to_tsc = last + 1 < n ? tape_reader_snapshot(s->reader, (uint32_t)last)->info.tsc : UINT64_MAX;
}

static void found_guest(struct session *s, uint32_t snapshot)
{
	s->guest_snapshot = snapshot;
	s->guest_ordinal = tape_reader_snapshot(s->reader, snapshot)->ordinal;
	s->guest_lstar = lstar_of(s, snapshot);
	vmtape_error_destroy(s->guest_problem);
	s->guest_problem = NULL;
	set_validity(s);
}

const struct linux_guest *session_guest(struct session *s)
{
	unsigned attempts = 0;

	if (s->identified)
		return s->guest;
	s->identified = true;
	if (!s->info->nr_snapshots)
		s->guest_problem = vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "the tape holds no memory snapshot");
	/* The newest knows most: the guest may have been attached to before it booted. */
	for (int64_t i = (int64_t)s->info->nr_snapshots - 1; i >= 0 && attempts < MAX_ATTEMPTS && !s->guest; i--) {
		struct vmtape_error *error;

		if (!lstar_of(s, (uint32_t)i)) {
			if (!s->guest_problem)
				s->guest_problem = vmtape_error_create(
					VMTAPE_ERROR_NOT_FOUND,
					"LSTAR is not set in the newest snapshot: no kernel had been booted then");
			continue;
		}
		if (s->options.log)
			fprintf(s->options.log, "snapshot %" PRId64 ":\n", i);
		attempts++;
		error = identify(s, (uint32_t)i);
		if (!error) {
			found_guest(s, (uint32_t)i);
		} else if (s->guest_problem && attempts > 1) {
			vmtape_error_destroy(error);
		} else {
			vmtape_error_destroy(s->guest_problem);
			s->guest_problem = error;
		}
	}
	return s->guest;
}

const struct vmtape_error *session_guest_problem(const struct session *s)
{
	return s->guest_problem;
}

uint32_t session_guest_snapshot(const struct session *s)
{
	return s->guest_snapshot;
}

bool session_guest_at(struct session *s, uint64_t tsc)
{
	return session_guest(s) && tsc >= s->guest_from_tsc && tsc <= s->guest_to_tsc;
}

unsigned session_boots(struct session *s)
{
	uint64_t last = 0;
	unsigned boots = 0;

	for (uint32_t i = 0; i < s->info->nr_snapshots; i++) {
		uint64_t lstar = lstar_of(s, i);

		boots += lstar && lstar != last;
		last = lstar;
	}
	return boots;
}

const struct linux_syscall *session_syscall(struct session *s, uint64_t tsc, uint8_t abi, uint32_t nr)
{
	if (abi >= TRAP_ABIS)
		return NULL;
	if (session_guest_at(s, tsc))
		return linux_guest_syscall(s->guest, abi, nr);
	return s->options.assume_linux && nr < MAX_SYSCALLS && s->assumed[abi][nr].name ? &s->assumed[abi][nr] : NULL;
}

enum call_role session_role(struct session *s, uint64_t tsc, uint8_t abi, uint32_t nr)
{
	const struct linux_syscall *syscall;

	if (abi >= TRAP_ABIS || nr >= MAX_SYSCALLS || (!session_guest_at(s, tsc) && !s->options.assume_linux))
		return CALL_ROLE_NONE;
	if (s->roles[abi][nr] == ROLE_UNKNOWN) {
		syscall = session_syscall(s, tsc, abi, nr);
		s->roles[abi][nr] = (uint8_t)call_role_of(syscall ? syscall->name : NULL);
	}
	return (enum call_role)s->roles[abi][nr];
}

struct vmtape_error *session_with_memory(struct session *s, uint32_t snapshot,
					 struct vmtape_error *(*fn)(void *ctx, const struct linux_guest *guest,
								    struct guest_memory *memory),
					 void *ctx)
{
	struct session_memory memory;
	struct vmtape_error *error;

	if (!session_guest(s))
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "the guest is not identified");
	if (lstar_of(s, snapshot) != s->guest_lstar)
		return vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "another system was running then");
	error = memory_open(s, snapshot, &memory);
	if (error)
		return error;
	error = fn(ctx, s->guest, memory.memory);
	memory_close(&memory);
	return error;
}

struct tasks_job {
	void (*found)(void *ctx, const struct linux_task *task);
	void *ctx;
};

static struct vmtape_error *list_tasks(void *ctx, const struct linux_guest *guest, struct guest_memory *memory)
{
	const struct tasks_job *job = ctx;

	return linux_guest_tasks(guest, memory, job->found, job->ctx);
}

struct vmtape_error *session_tasks(struct session *s, uint32_t snapshot,
				   void (*found)(void *ctx, const struct linux_task *task), void *ctx)
{
	struct tasks_job job = {found, ctx};

	return session_with_memory(s, snapshot, list_tasks, &job);
}

static bool exe_path_in(struct session *s, int64_t snapshot, gva_t mnt, gva_t dentry, char *out, size_t size_bytes)
{
	struct session_memory memory;
	struct vmtape_error *error;

	if (snapshot < 0 || snapshot >= session_info(s)->nr_snapshots ||
	    lstar_of(s, (uint32_t)snapshot) != s->guest_lstar)
		return false;
	error = memory_open(s, (uint32_t)snapshot, &memory);
	if (!error) {
		error = linux_guest_path(s->guest, memory.memory, mnt, dentry, out, size_bytes);
		memory_close(&memory);
	}
	vmtape_error_destroy(error);
	return !error;
}

/* A path that is not known is asked for at each switch to its process, and looking takes long. */
static uint64_t path_key(int64_t snapshot, gva_t mnt, gva_t dentry)
{
	return (mnt.v * 0x9e3779b97f4a7c15ull ^ dentry.v) * 0xff51afd7ed558ccdull + (uint64_t)snapshot;
}

bool session_exe_path(struct session *s, uint64_t tsc, gva_t mnt, gva_t dentry, char *out, size_t size_bytes)
{
	int64_t before = session_snapshot_at(s, tsc);
	uint64_t key = path_key(before, mnt, dentry), unused;

	if (!session_guest(s) || u64_map_get(&s->no_paths, key, &unused))
		return false;
	if (exe_path_in(s, before + 1, mnt, dentry, out, size_bytes) ||
	    exe_path_in(s, before, mnt, dentry, out, size_bytes))
		return true;
	if (s->no_paths.count < MAX_NO_PATHS)
		u64_map_set(&s->no_paths, key, 1);
	return false;
}

/* ---- a tape that grows ----------------------------------------------- */

/* The guest's snapshot may have another index now, or be gone. */
static void find_guest_again(struct session *s)
{
	for (uint32_t i = s->info->nr_snapshots; i-- > 0;) {
		s->guest_snapshot = i;
		if (tape_reader_snapshot(s->reader, i)->ordinal <= s->guest_ordinal)
			break;
	}
	set_validity(s);
}

/* By the newest snapshot, if it shows another boot, or nobody is known yet. */
static void try_newest(struct session *s)
{
	uint32_t newest = s->info->nr_snapshots - 1;
	struct linux_guest *before = s->guest;
	uint64_t lstar = lstar_of(s, newest);
	struct vmtape_error *error;

	if (before && (!lstar || lstar == s->guest_lstar))
		return;
	if (!lstar) {
		/* Nobody makes system calls before that but a kernel that knows no 64-bit ones. */
		s->tries += s->info->nr_records > 0;
		vmtape_error_destroy(s->guest_problem);
		s->guest_problem =
			vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
					    "LSTAR is not set in the newest snapshot: no kernel had been booted then");
		return;
	}
	s->tries++;
	error = identify(s, newest);
	if (!error) {
		linux_guest_destroy(before);
		memset(s->roles, ROLE_UNKNOWN, sizeof(s->roles));
		found_guest(s, newest);
		return;
	}
	s->guest = before;
	if (before) {
		vmtape_error_destroy(error);
		return;
	}
	vmtape_error_destroy(s->guest_problem);
	s->guest_problem = error;
}

struct vmtape_error *session_refresh(struct session *s, bool *more)
{
	struct tape_error tape_error = {.offset = TAPE_NO_OFFSET};
	uint64_t newest;
	int result = tape_reader_refresh(s->reader, &tape_error);
	struct vmtape_error *error;

	*more = result > 0;
	if (result < 0)
		return from_tape("the tape", &tape_error);
	if (!result || !s->info->nr_snapshots)
		return NULL;
	newest = tape_reader_snapshot(s->reader, s->info->nr_snapshots - 1)->ordinal + 1;
	if (newest == s->tried_ordinal && s->info->nr_snapshots == s->nr_tried)
		return NULL;
	if (s->guest)
		find_guest_again(s);
	s->nr_tried = s->info->nr_snapshots;
	if (newest == s->tried_ordinal)
		return NULL;
	s->tried_ordinal = newest;
	guest_clock_deinit(&s->clock);
	error = load_clock(s);
	if (error)
		return error;
	u64_map_clear(&s->no_paths);
	if (s->identified)
		try_newest(s);
	return NULL;
}

unsigned session_tries(const struct session *s)
{
	return s->tries;
}
