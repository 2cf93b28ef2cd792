# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Sourced by the scripts: where the cache is, how progress and errors look. Progress goes to stderr.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${VMTAPE_CACHE:-$HOME/.cache/vmtape}
script_name=${0##*/}

say() {
	printf '%s: %s\n' "$script_name" "$*" >&2
}

die() {
	printf '%s: %s\n' "$script_name" "$*" >&2
	exit 2
}

# A step that takes long: what it is, and how far into the script's run it started.
step() {
	printf '[%3d s] %s\n' "$SECONDS" "$*" >&2
}

# Runs a command with its output in a log; shows the end of the log only if it fails.
logged() {
	local log=$1 status=0
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		tail -n 40 "$log" >&2
		say "failed with status $status: $* (all of its output is in $log)"
	fi
	return "$status"
}
