/* SPDX-License-Identifier: MIT */
/* test_record_peers.c - a peer that is not a VM, or lies: one line that says so, status 2, and nothing crashes. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "record_run.h"

struct peer_case {
	enum fake_fault fault;
	const char *said;
	bool begun; /* it was recorded for a while: there is a tape, with a good end */
	bool is_private;
};

static const struct peer_case cases[] = {
	{FAULT_SILENT, "no answer in 5 s", false, false},
	{FAULT_GARBAGE, "not a vmtape socket", false, false},
	{FAULT_QMP, "not a vmtape socket", false, false},
	{FAULT_HANGUP, "hung up without an answer", false, false},
	{FAULT_BUSY, "busy: another recorder is attached", false, false},
	{FAULT_VERSION, "version 2 of the protocol", false, false},
	{FAULT_ABI, "records have version 2", false, false},
	{FAULT_REFUSE_VERSION, "speaks versions 7 to 9", false, false},
	{FAULT_VCPUS, "100000 vCPUs", false, false},
	{FAULT_PAGE_BYTES, "65536 bytes", false, false},
	{FAULT_HUGE_MESSAGE, "4294967295 bytes", false, false},
	{FAULT_SHORT_WELCOME, "fewer than", false, false},
	{FAULT_UNKNOWN_TYPE, "unknown type", false, false},
	{FAULT_WRONG_REQUEST, "nobody made", false, false},
	{FAULT_EXTRA_FDS, "descriptors", false, false},
	{FAULT_MISSING_FDS, "3 descriptors", false, false},
	{FAULT_MANY_FDS, "descriptors", false, false},
	{FAULT_RAM_INDEX, "RAM block 7", false, false},
	{FAULT_RAM_SIZE, "cannot be", false, false},
	{FAULT_RAM_SHORT, "shorter", false, false},
	{FAULT_RAM_RANGE, "outside", false, false},
	{FAULT_RAM_RANGES, "60 ranges", false, false},
	{FAULT_RAM_OVERLAP, "overlap", false, false},
	{FAULT_RAM_NONE, "no RAM", false, false},
	{FAULT_NO_SUPPORT, "lacks vmtape's patches (kvm/README.md", false, false},
	{FAULT_RING_COUNT, "1 rings came for 2", false, false},
	{FAULT_RING_MANY, "more rings", false, false},
	{FAULT_RING_SIZE, "ring's memory", false, false},
	{FAULT_RING_UNSEALED, "not sealed", false, false},
	{FAULT_RING_MAGIC, "not one of a ring", false, false},
	{FAULT_RING_VCPU, "says that it is of vCPU", false, false},
	{FAULT_RING_EVENTFD, "no eventfd", false, false},
	{FAULT_RING_ANONYMOUS, "nor a ring of KVM's", false, false},
	{FAULT_RING_FDS, "1 descriptors", false, false},
	{FAULT_RING_BROKEN, "the ring of vCPU 0 is broken", true, false},
	{FAULT_RECORD_BROKEN, "the ring of vCPU 0 is broken", true, false},
	{FAULT_SNAPSHOT_SHORT, "staging memory", true, false},
	{FAULT_SNAPSHOT_COUNT, "pages are dirty, and lists", true, false},
	{FAULT_SNAPSHOT_PROTECTED, "pages were protected", true, false},
	{FAULT_SNAPSHOT_BITS, "behind the end", true, false},
	{FAULT_SNAPSHOT_OFFSET, "outside", true, false},
	{FAULT_SNAPSHOT_ID, "was due", true, false},
	{FAULT_SNAPSHOT_NO_FD, "staging memory", true, false},
	{FAULT_SNAPSHOT_VCPUS, "2147483648 vCPUs", true, false},
	{FAULT_SNAPSHOT_ENDLESS, "not whole", true, false},
	{FAULT_READ_RAM_SHORT, "were asked for", true, true},
	{FAULT_ANSWER_UNASKED, "nobody made", true, false},
};

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void check_tape(const struct record_run *recorder)
{
	struct tape_reader *reader = record_run_open_tape(recorder);
	bool cut_off;

	CHECK_INT(record_run_verify(reader, &cut_off), 0);
	CHECK(!cut_off);
	tape_reader_close(reader);
}

static void run_case(const struct peer_case *peer)
{
	struct record_run recorder;
	struct fake_vm vm;

	/* A number of pages that leaves unused bits in the last word. */
	fake_vm_init(&vm, 2, 1000, !peer->is_private);
	vm.fault = peer->fault;
	for (unsigned i = 0; i < 10; i++)
		fake_vm_write(&vm, i * 7, i, 1);
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", NULL);
	record_run_wait(&recorder, 30);
	printf("fault %d: %s", peer->fault, recorder.text);
	record_run_check(&recorder, 2, peer->said);
	if (peer->begun)
		check_tape(&recorder);
	if (!peer->begun) {
		CHECK_INT(count_lines(recorder.text), 1);
		CHECK(record_run_said(&recorder, vm.socket_path));
		CHECK(access(recorder.tape_path, F_OK) < 0);
	}
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Things that are odd, and no reason to stop. */
static void run_harmless(enum fake_fault fault, const char *said)
{
	struct record_run recorder;
	struct fake_vm vm;

	fake_vm_init(&vm, 1, 1000, true);
	vm.fault = fault;
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", "--duration", "1s", NULL);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, said);
	check_tape(&recorder);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

/* Dies in the middle of a snapshot: the tape is whole up to there. */
static void run_hangup(void)
{
	struct record_run recorder;
	struct fake_vm vm;

	fake_vm_init(&vm, 1, 1000, true);
	vm.fault = FAULT_SNAPSHOT_HANGUP;
	fake_vm_start(&vm);
	record_run_start(&recorder, vm.socket_path, vm.folder, 0, "--plan", "generic", NULL);
	record_run_wait(&recorder, 30);
	record_run_check(&recorder, 0, "the VM ended");
	check_tape(&recorder);
	record_run_deinit(&recorder);
	fake_vm_deinit(&vm);
}

static void run_socket(const char *path, const char *folder, const char *said)
{
	struct record_run recorder;

	record_run_start(&recorder, path, folder, 0, NULL);
	record_run_wait(&recorder, 30);
	printf("%s", recorder.text);
	record_run_check(&recorder, 2, said);
	CHECK_INT(count_lines(recorder.text), 1);
	CHECK(access(recorder.tape_path, F_OK) < 0);
	record_run_deinit(&recorder);
}

static void run_no_vm(void)
{
	char folder[] = "/tmp/vmtape-test-XXXXXX", path[200], long_path[200];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/none", folder);
	run_socket(path, folder, "no such socket");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	run_socket(long_path, folder, "longer than");
	run_socket("/etc/passwd", folder, "not a socket");
	run_socket(folder, folder, "/tmp/vmtape-test-");

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/datagram", folder);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof(address)));
	run_socket(address.sun_path, folder, "not a vmtape socket");
	close(fd);
	unlink(address.sun_path);
	rmdir(folder);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	run_no_vm();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(&cases[i]);
	run_harmless(FAULT_EVENT_UNKNOWN, "none lost");
	run_harmless(FAULT_RAM_CUT, "no snapshot could be taken");
	run_hangup();
	return 0;
}
