/* SPDX-License-Identifier: MIT */
#include "record_account.h"

#include "check.h"
#include "trap_record.h"

static void begin(struct vcpu_account *vcpu, uint64_t seq, bool is_first)
{
	if (is_first)
		vcpu->first_seq = vcpu->next_seq = seq;
}

void record_account(struct tape_reader *reader, struct vcpu_account accounts[FAKE_VM_MAX_VCPUS + 1])
{
	bool overwritten = tape_reader_info(reader)->nr_overwritten, seen[FAKE_VM_MAX_VCPUS + 1] = {0};
	struct tape_error error = {0};
	struct tape_cursor *cursor;
	struct trap_view view;
	int ret;

	CHECK_INT(tape_cursor_create(&cursor, reader, &error), 0);
	while ((ret = tape_cursor_next(cursor, &view, &error)) > 0) {
		struct vcpu_account *vcpu = &accounts[view.header.vcpu];

		CHECK(view.header.vcpu < FAKE_VM_MAX_VCPUS + 1);
		if (view.header.type == TRAP_GAP) {
			struct trap_gap gap;

			trap_view_gap(&view, &gap);
			begin(vcpu, gap.first_seq, overwritten && !seen[view.header.vcpu]);
			seen[view.header.vcpu] = true;
			CHECK_INT(gap.first_seq, vcpu->next_seq);
			vcpu->next_seq += gap.lost_records;
			vcpu->gap_lost += gap.lost_records;
			vcpu->gaps++;
		}
		begin(vcpu, view.header.seq, overwritten && !seen[view.header.vcpu]);
		seen[view.header.vcpu] = true;
		CHECK_INT(view.header.seq, vcpu->next_seq);
		vcpu->next_seq++;
		if (view.header.type == TRAP_ENTER || view.header.type == TRAP_EXIT) {
			CHECK(fake_record_check(&view));
			vcpu->calls++;
		} else if (view.header.type != TRAP_GAP) {
			vcpu->others++;
		}
	}
	CHECK_INT(ret, 0);
	tape_cursor_destroy(cursor);
}

uint64_t record_account_whole(struct tape_reader *reader, uint64_t next_seq[2], uint64_t *last_tsc)
{
	struct tape_error error = {0};
	struct tape_cursor *cursor;
	struct trap_view view;
	uint64_t calls = 0;
	int ret;

	*last_tsc = 0;
	CHECK_INT(tape_cursor_create(&cursor, reader, &error), 0);
	while ((ret = tape_cursor_next(cursor, &view, &error)) > 0) {
		CHECK(view.header.vcpu < 2);
		CHECK_INT(view.header.seq, next_seq[view.header.vcpu]);
		next_seq[view.header.vcpu]++;
		*last_tsc = view.header.tsc;
		if (view.header.type == TRAP_ENTER || view.header.type == TRAP_EXIT) {
			CHECK(fake_record_check(&view));
			calls++;
		}
	}
	CHECK_INT(ret, 0);
	tape_cursor_destroy(cursor);
	return calls;
}
