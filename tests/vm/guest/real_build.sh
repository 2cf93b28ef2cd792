#!/bin/sh
# SPDX-License-Identifier: MIT
# A workload of real programs: gcc and what it makes, tar.

set -eu
work=$(mktemp -d /tmp/real_build.XXXXXX)
cd "$work"

cat >hello.c <<'END'
#include <errno.h>
#include <stdio.h>
int main(void)
{
	FILE *in = fopen("hello.c", "r");
	char line[100];
	while (in && fgets(line, sizeof(line), in))
		fputs(line, stdout);
	return errno;
}
END
gcc -O1 -Wall -fno-use-linker-plugin -o hello hello.c
./hello >said

mkdir -p tree/below
cp hello.c said tree/below
ln -s below/said tree/link
ln tree/below/said tree/hard
chmod 4750 tree/below/hello.c
# By its path, as the shell has a tar of its own.
/bin/tar -cf tree.tar --sort=name tree
mkdir taken
/bin/tar -C taken -xpf tree.tar
if /bin/tar -xf absent.tar 2>>complaint; then exit 1; fi
cd /
rm -r "$work"
