#!/bin/sh
# SPDX-License-Identifier: MIT
# What scripts/demo lets the guest do: files, a pipeline, a failure, a web server and its client.

cat /etc/passwd
ls -lR /etc
seq 1 50 | sort -rn | head -n 3 >/tmp/highest
cat /etc/no-such-file
mkdir -p /tmp/notes
echo "remember the milk" >/tmp/notes/today
mv /tmp/notes/today /tmp/notes/yesterday
httpd -f -p 127.0.0.1:8080 -h /etc &
server=$!
sleep 0.5
wget -q -O /tmp/downloaded http://127.0.0.1:8080/passwd
kill "$server"
rm -r /tmp/notes
