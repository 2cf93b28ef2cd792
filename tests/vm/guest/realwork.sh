#!/bin/sh
# SPDX-License-Identifier: MIT
# A workload of real programs: tar, gcc and what it made, python3, sqlite3, and curl with a server.

set -eu
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d /tmp/realwork.XXXXXX)
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

cat >work.py <<'END'
import json, os, socket, subprocess, tempfile, threading
def child(end):
    end.sendall(b"from a thread")
    end.close()
one, two = socket.socketpair()
thread = threading.Thread(target=child, args=(two,))
thread.start()
print(one.recv(100))
thread.join()
with tempfile.NamedTemporaryFile("w+", suffix=".json") as out:
    json.dump({"environment": sorted(os.environ)[:3], "umlaut": "\u00e4"}, out, ensure_ascii=False)
    out.flush()
    print(os.stat(out.name).st_size)
print(subprocess.run(["echo", "from a child"], stdout=subprocess.PIPE).stdout)
try:
    os.rename("absent", "anything")
except OSError as error:
    print(error)
END
{
	python3 work.py
	sqlite3 base.db <<'END'
PRAGMA journal_mode=WAL;
CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);
BEGIN;
INSERT INTO notes (text) VALUES ('one'), ('two ''quoted'''), ('three');
COMMIT;
SELECT count(*), max(text) FROM notes;
DELETE FROM notes WHERE id = 2;
SELECT * FROM notes;
END
} >>said

httpd -f -p 127.0.0.1:8081 -h "$work" &
server=$!
tries=0
until curl -sS -o fetched http://127.0.0.1:8081/hello.c 2>>complaint; do
	tries=$((tries + 1))
	[ "$tries" -lt 50 ]
	sleep 0.1
done
cmp fetched hello.c
curl -sS -D head -o absent http://127.0.0.1:8081/absent
kill "$server"
wait "$server" || true
cd /
rm -r "$work"
