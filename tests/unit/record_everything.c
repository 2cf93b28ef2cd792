/* SPDX-License-Identifier: MIT */
/*
 * record_everything LOG: has vmtape-record do all that a service does, against
 * the fake VM, under strace, whose account of its system calls goes to LOG.
 */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "fake_vm.h"
#include "pause.h"
#include "record_run.h"
#include "socket_client.h"

static void ask(const char *control, const char *line)
{
	int fd = socket_client_connect(control);
	char *answer;

	socket_client_send(fd, line, strlen(line));
	answer = socket_client_read(fd, 1);
	close(fd);
	printf("%s%s", line, answer);
	CHECK(!strncmp(answer, "{\"ok\": true", 11));
	free(answer);
}

int main(int argc, char **argv)
{
	char control[160], metrics[160], target[170], output[200], command[200], *answer;
	struct fake_vm vm;
	int status, log;
	pid_t pid;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fake_vm_init(&vm, 2, 1024, true);
	fake_vm_start(&vm);
	snprintf(control, sizeof(control), "%s/control", vm.folder);
	snprintf(metrics, sizeof(metrics), "%s/metrics", vm.folder);
	snprintf(target, sizeof(target), "unix:%s", metrics);
	snprintf(output, sizeof(output), "%s/e-%%Y%%m%%dT%%H%%M%%SZ.vmt", vm.folder);
	setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
	setenv("VMTAPE", VMTAPE_PATH, 1);
	log = dup(STDOUT_FILENO);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dup2(log, STDERR_FILENO);
		execlp("strace", "strace", "-f", "-qq", "-o", argv[1], record_run_path(), "--connect", vm.socket_path,
		       "-o", output, "--rotate", "--keep", "2", "--max-age", "2s", "--snapshot-interval", "500ms",
		       "--control", control, "--metrics", target, "--on-trigger", "copy", "--trigger-when",
		       "evt.cpu = 1", "--on-full", "block", "--duration", "7s", NULL);
		_exit(127);
	}
	fake_vm_wait_started(&vm);
	for (unsigned i = 0; i < 20000; i++) {
		CHECK(fake_vm_append(&vm, i % 2));
		fake_vm_write(&vm, i % 1024, i % 4096, (uint8_t)(i | 1));
	}
	ask(control, "status\n");
	ask(control, "snapshot\n");
	ask(control, "note all of it\n");
	ask(control, "trigger now\n");
	ask(control, "rotate\n");
	answer = socket_client_ask(metrics, "GET / HTTP/1.0\r\n\r\n");
	CHECK(!strncmp(answer, "HTTP/1.0 200", 12));
	free(answer);
	for (unsigned i = 0; i < 3; i++)
		pause_ms(500);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
	snprintf(command, sizeof(command), "rm -f '%s'/e-*.vmt", vm.folder);
	CHECK_INT(system(command), 0);
	fake_vm_deinit(&vm);
	return 0;
}
