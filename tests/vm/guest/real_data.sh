#!/bin/sh
# SPDX-License-Identifier: MIT
# A workload of real programs: python3 and sqlite3.

set -eu
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d /tmp/real_data.XXXXXX)
cd "$work"

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
cd /
rm -r "$work"
