/* SPDX-License-Identifier: MIT */
/* test_call_groups.c - calls counted together by what they have in common, and the tables that are made of it. */
#include "call_fixture.h"
#include "call_groups.h"
#include "check.h"
#include "plan_abi.h"
#include "table.h"

#define NR_READ    0u
#define NR_GETPID  39u
#define ENOENT_RET (-2)

static void add_call(struct fixture_tape *tape, uint64_t tsc, int32_t pid, int32_t tid, uint64_t nr, int64_t ret,
		     uint64_t ticks)
{
	struct fixture_record enter = fixture_enter(tsc, pid, tid, nr),
			      exit = fixture_exit(tsc + ticks, pid, tid, nr, ret);

	fixture_tape_add(tape, &enter);
	fixture_tape_add(tape, &exit);
}

/* 10 reads of one process, of which 3 fail, and 5 getpids by each of two threads of another. */
static void make_tape(struct fixture_tape *tape)
{
	uint64_t tsc = 1000;

	fixture_tape_init(tape);
	for (unsigned i = 0; i < 10; i++, tsc += 10000)
		add_call(tape, tsc, 100, 100, NR_READ, i < 3 ? ENOENT_RET : 1, 100 * (i + 1));
	for (unsigned i = 0; i < 10; i++, tsc += 10000)
		add_call(tape, tsc, 200, 200 + (int)(i % 2), NR_GETPID, 200, 50);
	fixture_tape_finish(tape, true);
}

static void count(struct call_groups *groups, const struct fixture_tape *tape, const char *by)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX};
	struct session *session = fixture_session(tape);

	*groups = (struct call_groups){0};
	CHECK(call_groups_parse(groups, by));
	FIXTURE_OK(call_groups_count(groups, session, NULL, &options, NULL, NULL));
	session_close(session);
}

static const struct call_group *find(const struct call_groups *groups, const char *name)
{
	const struct call_group *found = NULL;

	for (size_t i = 0; i < groups->count; i++) {
		struct strbuf text = {0};

		call_group_put_name(groups->list[i], false, &text);
		if (strstr(text.data, name))
			found = groups->list[i];
		strbuf_deinit(&text);
	}
	CHECK(found != NULL);
	return found;
}

static void test_keys(const struct fixture_tape *tape)
{
	struct call_groups groups;

	count(&groups, tape, "syscall");
	CHECK_INT(groups.count, 2);
	CHECK_INT(find(&groups, "read")->count, 10);
	CHECK_INT(find(&groups, "read")->errors, 3);
	CHECK_INT(find(&groups, "read")->latency.total, 5500);
	CHECK_INT(find(&groups, "read")->latency.max, 1000);
	CHECK_INT(find(&groups, "getpid")->latency.total, 500);
	call_groups_deinit(&groups);

	count(&groups, tape, "process");
	CHECK_INT(groups.count, 2);
	CHECK_INT(find(&groups, "[200]")->count, 10);
	call_groups_deinit(&groups);

	count(&groups, tape, "thread");
	CHECK_INT(groups.count, 3);
	CHECK_INT(find(&groups, "/201]")->count, 5);
	call_groups_deinit(&groups);

	count(&groups, tape, "errno,syscall");
	CHECK_INT(groups.count, 3);
	CHECK_INT(find(&groups, "read, ENOENT")->count, 3);
	CHECK_INT(find(&groups, "read, -")->count, 7);
	call_groups_deinit(&groups);

	count(&groups, tape, "file");
	CHECK_INT(groups.count, 1);
	CHECK_INT(find(&groups, "-")->count, 20);
	call_groups_deinit(&groups);

	groups = (struct call_groups){0};
	CHECK(!call_groups_parse(&groups, "syscall,"));
	groups = (struct call_groups){0};
	CHECK(!call_groups_parse(&groups, "syscall,syscall"));
	groups = (struct call_groups){0};
	CHECK(!call_groups_parse(&groups, "sys"));
}

static void add_identity(struct fixture_tape *tape, uint64_t tsc, int32_t pid, int32_t tid, const char *comm)
{
	struct fixture_record r = fixture_enter(tsc, pid, tid, 0);
	uint64_t parent = 1ull << 32 | 1, start_ns = 5;
	char name[16] = {0};

	memcpy(name, comm, strlen(comm));
	r.type = TRAP_IDENTITY;
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_COMM, .bytes = name, .len_bytes = 16};
	r.fragments[1] = (struct fixture_fragment){.label = PLAN_LABEL_PARENT, .bytes = &parent, .len_bytes = 8};
	r.fragments[2] = (struct fixture_fragment){.label = PLAN_LABEL_START_TIME, .bytes = &start_ns, .len_bytes = 8};
	r.nr_fragments = 3;
	fixture_tape_add(tape, &r);
}

/* A process bears its leader's name, whichever of its threads comes first. */
static void test_names(void)
{
	struct fixture_tape tape;
	struct call_groups groups;
	struct strbuf raw = {0};

	fixture_tape_init(&tape);
	add_identity(&tape, 1000, 300, 301, "worker");
	add_call(&tape, 2000, 300, 301, NR_GETPID, 1, 50);
	add_identity(&tape, 3000, 300, 300, "a\\\"b");
	add_call(&tape, 4000, 300, 300, NR_GETPID, 1, 50);
	add_call(&tape, 5000, 300, 301, NR_GETPID, 1, 50);
	add_identity(&tape, 6000, 400, 401, "worker");
	add_call(&tape, 7000, 400, 401, NR_GETPID, 1, 50);
	fixture_tape_finish(&tape, true);

	count(&groups, &tape, "process");
	CHECK_INT(groups.count, 2);
	CHECK_STR(find(&groups, "[300]")->names[CALL_KEY_PROCESS], "a\\\\\\\"b[300]");
	CHECK_STR(find(&groups, "[300]")->raw_names[CALL_KEY_PROCESS], "a\\\"b[300]");
	CHECK_STR(find(&groups, "[400]")->names[CALL_KEY_PROCESS], "?[400]");
	call_group_put_name(find(&groups, "[300]"), true, &raw);
	CHECK_STR(raw.data, "a\\\"b[300]");
	strbuf_deinit(&raw);
	call_groups_deinit(&groups);

	count(&groups, &tape, "process,thread");
	CHECK_INT(groups.count, 3);
	CHECK_STR(find(&groups, "/401]")->names[CALL_KEY_THREAD], "worker[400/401]");
	CHECK_STR(find(&groups, "/401]")->names[CALL_KEY_PROCESS], "?[400]");
	call_groups_deinit(&groups);
	fixture_tape_deinit(&tape);
}

struct file_call {
	uint64_t nr, args[4];
	int64_t ret;
	const char *strings[2];
};

/* Strings that are no paths are not taken for some, and a call by descriptor is one of its file. */
static void test_files(void)
{
	static const struct file_call calls[] = {
		{257 /* openat */, {(uint64_t)-100, 0x7000}, 3, {NULL, "/etc/x\"y"}},
		{NR_READ, {3}, 1, {0}},
		{193 /* fgetxattr */, {3, 0x7000}, 1, {NULL, "user.name"}},
		{280 /* utimensat */, {3}, 0, {0}},
		{262 /* newfstatat */, {3, 0x7000}, 0, {NULL, ""}},
		{319 /* memfd_create */, {0x7000}, 4, {"name", NULL}},
		{170 /* sethostname */, {0x7000, 4}, 0, {"name", NULL}},
		{176 /* delete_module */, {0x7000}, 0, {"name", NULL}},
		{165 /* mount */, {0x7000, 0x8000}, 0, {"/dev/x", "/mnt"}},
		{87 /* unlink */, {0x7000}, 0, {"/mnt", NULL}},
	};
	struct fixture_tape tape;
	struct call_groups groups;
	uint64_t tsc = 1000;

	fixture_tape_init(&tape);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++, tsc += 1000) {
		struct fixture_record enter = fixture_enter(tsc, 100, 100, calls[i].nr),
				      exit = fixture_exit(tsc + 50, 100, 100, calls[i].nr, calls[i].ret);

		memcpy(enter.args, calls[i].args, sizeof(enter.args));
		for (unsigned arg = 0; arg < 2; arg++) {
			const char *string = calls[i].strings[arg];

			if (string)
				enter.fragments[enter.nr_fragments++] =
					(struct fixture_fragment){.label = (uint8_t)(PLAN_LABEL_ARG0 + arg),
								  .gva = enter.args[arg],
								  .bytes = string,
								  .len_bytes = (uint16_t)strlen(string),
								  .want_bytes = (uint32_t)strlen(string) + 1};
		}
		fixture_tape_add(&tape, &enter);
		fixture_tape_add(&tape, &exit);
	}
	fixture_tape_finish(&tape, true);
	count(&groups, &tape, "file");
	CHECK_STR(find(&groups, "/etc/x")->names[CALL_KEY_FILE], "\"/etc/x\\\"y\"");
	CHECK_STR(find(&groups, "/etc/x")->raw_names[CALL_KEY_FILE], "/etc/x\"y");
	CHECK_INT(find(&groups, "/etc/x")->count, 5);
	CHECK_INT(find(&groups, "/mnt")->count, 2);
	CHECK_INT(find(&groups, "-")->count, 3);
	CHECK_INT(groups.count, 3);
	call_groups_deinit(&groups);
	fixture_tape_deinit(&tape);
}

/* A guest with more processes than there is room for. */
static void test_many(void)
{
	const uint32_t nr_processes = CALL_GROUPS_MAX + 500;
	struct fixture_tape tape;
	struct call_groups groups;
	uint64_t all = 0;

	fixture_tape_init(&tape);
	for (uint32_t i = 0; i < nr_processes; i++)
		add_call(&tape, 1000 + i * 100, 1000 + (int)i, 1000 + (int)i, NR_GETPID, 1, 50);
	fixture_tape_finish(&tape, true);
	count(&groups, &tape, "process");
	CHECK_INT(groups.count, CALL_GROUPS_MAX + 1);
	CHECK(groups.others != NULL);
	CHECK_INT(groups.others->count, 500);
	CHECK_STR(groups.others->names[CALL_KEY_PROCESS], "(others)");
	for (size_t i = 0; i < groups.count; i++)
		all += groups.list[i]->count;
	CHECK_INT(all, nr_processes);
	call_groups_deinit(&groups);
	fixture_tape_deinit(&tape);
}

static void test_merge(void)
{
	struct histogram a = {0}, b = {0}, both = {0};

	for (unsigned i = 0; i < 1000; i++) {
		histogram_add(i % 3 ? &a : &b, i * i);
		histogram_add(&both, i * i);
	}
	histogram_merge(&a, &b);
	CHECK(!memcmp(&a, &both, sizeof(a)));
	b.buckets[5] = UINT32_MAX;
	b.total = UINT64_MAX;
	histogram_merge(&a, &b);
	CHECK_INT(a.total == UINT64_MAX, true);
	histogram_merge(&a, &b);
	CHECK_INT(a.buckets[5], UINT32_MAX);
}

static void test_table(void)
{
	static const struct table_column columns[] = {
		{"number", "NUMBER", 8, false, false},
		{"span_ns", "SPAN", 9, true, false},
		{"text", "TEXT", -6, false, false},
		{"more", "MORE", 5, false, true},
	};
	const struct table_cell cells[] = {{.kind = CELL_NUMBER, .number = -5},
					   {.kind = CELL_NUMBER, .number = 1250000},
					   {.kind = CELL_TEXT, .text = "a,\"b\"\\n", .raw = "a,\"b\"\n"},
					   {.kind = CELL_RATIO, .ratio = 1.5}};
	const struct table_cell none[4] = {{.kind = CELL_UNKNOWN}};
	struct strbuf out = {0};
	struct table table;
	const char *bad;
	int bad_len;

	table_init(&table, columns, 4);
	table_put_head(&table, &out);
	table_put_row(&table, &out, cells);
	table_put_row(&table, &out, none);
	CHECK_STR(out.data, "  NUMBER      SPAN TEXT\n      -5   1.25 ms a,\"b\"\\n\n       -         - -\n");
	strbuf_reset(&out);
	CHECK(table_set_form(&table, "csv"));
	CHECK(table_choose(&table, "text,more,number", &bad, &bad_len));
	table_put_head(&table, &out);
	table_put_row(&table, &out, cells);
	table_put_row(&table, &out, none);
	CHECK_STR(out.data, "text,more,number\r\n\"a,\"\"b\"\"\\n\",1.5000,-5\r\n,,\r\n");
	strbuf_reset(&out);
	CHECK(table_set_form(&table, "json"));
	table_put_head(&table, &out);
	table_put_row(&table, &out, cells);
	table_put_row(&table, &out, none);
	CHECK_STR(out.data, "{\"text\": \"a,\\\"b\\\"\\n\", \"more\": 1.5000, \"number\": -5}\n"
			    "{\"text\": null, \"more\": null, \"number\": null}\n");
	CHECK(!table_choose(&table, "text,", &bad, &bad_len));
	CHECK(!table_choose(&table, "text,colour,more", &bad, &bad_len) && bad_len == 6);
	CHECK(!table_set_form(&table, "xml"));
	strbuf_deinit(&out);
}

int main(void)
{
	struct fixture_tape tape;

	make_tape(&tape);
	test_keys(&tape);
	fixture_tape_deinit(&tape);
	test_names();
	test_files();
	test_many();
	test_merge();
	test_table();
	return 0;
}
