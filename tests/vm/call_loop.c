/* SPDX-License-Identifier: MIT */
/* call_loop.c - the cheapest system call, over and over: `call_loop 1000000`. What each trap costs shows best here. */
#define _GNU_SOURCE
#include "workload.h"

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000000;

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return 0;
}
