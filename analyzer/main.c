/* SPDX-License-Identifier: MIT */
/* vmtape - reads tapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static const struct command commands[] = {
	{"info", "the guest, the time span, what is on the tape and what was lost", cmd_info},
	{"events", "system calls, one a line", cmd_events},
	{"ps", "the processes at a time", cmd_ps},
	{"fds", "what the processes had open at a time", cmd_fds},
	{"files", "who touched which file how", cmd_files},
	{"net", "who talked to whom", cmd_net},
	{"maps", "a process's memory regions at a time", cmd_maps},
	{"stats", "counts, errors and latencies", cmd_stats},
	{"diff", "two tapes beside each other: counts, errors, latencies", cmd_diff},
	{"memory", "the guest's memory at a time, as an ELF core, raw or LiME", cmd_memory},
	{"cut", "a part of a tape, as a tape of its own", cmd_cut},
	{"merge", "the tapes of one recording as one", cmd_merge},
	{"plan", "compile or show the capture plan", cmd_plan},
	{"verify", "check every sum, index and sequence", cmd_verify},
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fputs("Usage: vmtape COMMAND TAPE [OPTION]...\n"
	      "Tell what a guest did, from a tape that vmtape-record has made.\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\nOptions:\n"
	      "  --no-sandbox  analyse without seccomp and Landlock; of every command that reads a tape\n"
	      "  --verbose     say how the analysis is confined\n"
	      "  --help        this text; vmtape COMMAND --help tells of a command\n"
	      "  --version     version, and the tape format that it reads\n\n"
	      "Exit status: 0 done, 1 found nothing or a check failed, 2 bad usage or bad input.\n",
	      out);
}

int main(int argc, char **argv)
{
	static char buffer[1 << 16];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	command_take_common(&argc, argv);
	if (argc < 2) {
		usage(stderr);
		return STATUS_BAD;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return command_finish(STATUS_DONE);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("vmtape %s\n", VMTAPE_VERSION);
		return command_finish(STATUS_DONE);
	}
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "vmtape: \"%s\" is no command; see vmtape --help\n", argv[1]);
	return STATUS_BAD;
}
