/* SPDX-License-Identifier: MIT */
/*
 * test_fault_two.c - two recorders at once, on one VM or on one file: the second
 * is refused with a line that says why, and the first notices nothing.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fault_rig.h"

/* What the VM's socket says to a second client: it takes one at a time. */
static void *refuse_client(void *arg)
{
	struct fake_vm *vm = arg;
	int fd = accept(vm->listen_fd, NULL, NULL);
	struct {
		struct proto_header header;
		struct proto_error body;
	} busy = {
		.header = {.magic = PROTO_MAGIC, .type = PROTO_ERROR, .size_bytes = sizeof(busy.body)},
		.body = {.error = EBUSY, .message = "another client is connected"},
	};

	CHECK(fd >= 0);
	CHECK_INT(send(fd, &busy, sizeof(busy), MSG_NOSIGNAL), sizeof(busy));
	close(fd);
	return NULL;
}

static void refused(const char *socket_path, const char *folder, const char *option, const char *said)
{
	const char *const options[] = {option, NULL};
	struct record_run run;

	record_run_start_with(&run, socket_path, folder, 0, option ? options : NULL, NULL);
	record_run_wait(&run, 20);
	printf("second: %s", run.text);
	record_run_check(&run, 2, said);
	unlink(run.log_path);
	free(run.text);
}

int main(void)
{
	unsigned rounds = fault_is_long() ? 50 : 5;
	struct fault_guest guest;
	struct fault_sums sums;
	struct fake_vm vm, other;
	struct record_run run;
	char folder[] = "/tmp/vmtape-two-XXXXXX", path[64];

	fault_seed();
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/out.vmt", folder);
	fake_vm_init(&vm, FAULT_VCPUS, 1024, true);
	fake_vm_init(&other, FAULT_VCPUS, 1024, true);
	fake_vm_start(&vm);
	fake_vm_start(&other);
	record_run_start(&run, vm.socket_path, vm.folder, 0, "--plan", "generic", "--on-full", "block", "--block-limit",
			 "20s", "--snapshot-interval", "200ms", NULL);
	record_run_expect_text(&run, "base snapshot taken");
	fault_guest_start(&guest, &vm, 20);
	for (unsigned i = 0; i < rounds; i++) {
		pthread_t doorman;

		/* The other VM is free, the file is not. */
		refused(other.socket_path, vm.folder, NULL, "exists already; --force overwrites it");
		refused(other.socket_path, vm.folder, "--force", "another vmtape-record is writing it");
		CHECK_INT(fake_vm_count(&other, &other.nr_clients), 0);
		/* The file is free, the VM is not. */
		CHECK(!pthread_create(&doorman, NULL, refuse_client, &vm));
		refused(vm.socket_path, folder, NULL,
			"busy: another recorder is attached (another client is connected)");
		pthread_join(doorman, NULL);
		CHECK(access(path, F_OK) < 0);
	}
	fault_guest_stop(&guest);
	kill(run.pid, SIGTERM);
	record_run_wait(&run, 60);
	fake_vm_end(&vm);
	fake_vm_end(&other);
	record_run_check(&run, 0, "none lost");
	fault_check_whole(&run, &vm, "the first, undisturbed", &sums);
	printf("%u seconds refused\n", 3 * rounds);
	fault_guest_deinit(&guest);
	record_run_deinit(&run);
	fake_vm_deinit(&vm);
	fake_vm_deinit(&other);
	rmdir(folder);
	return 0;
}
