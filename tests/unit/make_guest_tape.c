/* SPDX-License-Identifier: MIT */
/* make_guest_tape OUT.vmt - the tape of guest_tape.h, for tests that are no C programs. */
#include <stdio.h>

#include "guest_tape.h"

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_guest_tape OUT.vmt\n");
		return 2;
	}
	guest_tape_write(argv[1]);
	return 0;
}
