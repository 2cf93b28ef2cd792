/* SPDX-License-Identifier: MIT */
/* test_process_list.c - the threads of each process at a moment, those of others left out. */
#include "call_fixture.h"
#include "check.h"
#include "process_list.h"

int main(void)
{
	static const int32_t threads[][2] = {{200, 202}, {100, 100}, {200, 200}, {300, 301}, {200, 201}, {400, 400}};
	struct fixture_tape tape;
	struct session *session;
	struct process_list list;
	unsigned seen = 0;

	fixture_tape_init(&tape);
	for (unsigned i = 0; i < 6; i++) {
		struct fixture_record enter = fixture_enter(1000 + i * 100, threads[i][0], threads[i][1], 39);
		struct fixture_record exit = fixture_exit(1050 + i * 100, threads[i][0], threads[i][1], 39, 1);

		fixture_tape_add(&tape, &enter);
		fixture_tape_add(&tape, &exit);
	}
	fixture_tape_finish(&tape, true);
	session = fixture_session(&tape);
	FIXTURE_OK(process_list_create(&list, session, UINT64_MAX));
	CHECK_INT(list.count, 4);
	for (size_t i = 0; i < list.count; i++) {
		const struct process_row *row = &list.rows[i];
		size_t count;
		const struct process_list_thread *others = process_list_threads(&list, row, &count);

		switch (row->leader.pid) {
		case 200:
			CHECK_INT(row->nr_threads, 3);
			CHECK_INT(row->leader.tid, 200);
			CHECK_INT(count, 2);
			CHECK_INT(others[0].thread.tid, 201);
			CHECK_INT(others[1].thread.tid, 202);
			break;
		case 300: /* its leader has made no call */
			CHECK_INT(row->nr_threads, 1);
			CHECK_INT(row->leader.tid, 301);
			CHECK_INT(count, 1);
			break;
		default:
			CHECK_INT(row->nr_threads, 1);
			CHECK_INT(count, 0);
			break;
		}
		seen++;
	}
	CHECK_INT(seen, 4);
	process_list_deinit(&list);
	session_close(session);
	fixture_tape_deinit(&tape);
	return 0;
}
