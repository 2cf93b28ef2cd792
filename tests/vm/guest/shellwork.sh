#!/bin/sh
# SPDX-License-Identifier: MIT
# A workload of ordinary shell commands: pipelines, redirections, background jobs, failing commands.

set -u
work=$(mktemp -d /tmp/shellwork.XXXXXX)
cd "$work" || exit 1
seq 1 200 | sort -rn | head -n 5 >top
# shellcheck disable=SC2002 # the pipe is the point
cat /etc/passwd | grep -c root
ls -lR /etc /lib/modules >listing
wc -l listing
printf 'one\ntwo words\nthree\n' >lines
while read -r line; do
	echo "[$line]"
done <lines | tr o O | tee upper
mkdir -p a/b/c
cp lines a/b/c/copy
mv a/b/c/copy a/b/moved
ln -s moved a/b/link
cat a/b/link >/dev/null
cat a/b/absent
touch 'name with space' "$(printf 'odd\001byte')"
find . -type f | sort
sleep 1 &
job=$!
kill "$job"
wait "$job"
echo "job ended with $?"
sh -c 'exit 3'
echo "status $?"
rm -r "$work"
