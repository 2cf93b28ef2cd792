#!/bin/sh
# SPDX-License-Identifier: MIT
# A workload of real programs: curl and a server.

set -eu
work=$(mktemp -d /tmp/real_fetch.XXXXXX)
cd "$work"

seq 1 500 >numbers
httpd -f -p 127.0.0.1:8081 -h "$work" &
server=$!
tries=0
until curl -sS -o fetched http://127.0.0.1:8081/numbers 2>>complaint; do
	tries=$((tries + 1))
	[ "$tries" -lt 50 ]
	sleep 0.1
done
cmp fetched numbers
curl -sS -D head -o absent http://127.0.0.1:8081/absent
kill "$server"
wait "$server" || true
cd /
rm -r "$work"
