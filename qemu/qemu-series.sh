# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the scripts of this folder, after scripts/shell-common.sh: the base and the headers of QEMU's series.

# shellcheck source=../scripts/series-common.sh
. "$top/scripts/series-common.sh"

here=$top/qemu
source_dir=$cache/qemu/src
build_dir=$cache/qemu/build
headers="trap_abi.h plan_abi.h plan_validate.h plan_exec.h trap_ring_producer.h vcpu_state.h producer_proto.h"
product="QEMU $(base version)"
base_identity=$(base sha256)

header_place() {
	printf 'include/vmtape/%s\n' "$1"
}

# Prints the path of the tarball, checked.
find_tarball() {
	local file=${QEMU_SRC:-} name have
	name=$(base tarball)
	if [ -z "$file" ]; then
		# shellcheck disable=SC2046 # two words
		file=$("$top/scripts/deb-fetch" --cached --source $(base suite) "$(base package)" | grep '\.orig\.tar\.' | head -n 1) ||
			die "no source of QEMU; QEMU_SRC=FILE names a copy of $name"
	fi
	[ -f "$file" ] || die "QEMU_SRC: there is no file $file"
	have=$(sha256sum "$file" | cut -d ' ' -f 1)
	[ "$have" = "$(base sha256)" ] ||
		die "$file is not the base of the series: its SHA-256 is $have, that of $name is $(base sha256)." \
			"QEMU_SRC=FILE names another copy"
	printf '%s\n' "$file"
}

# fill_base FOLDER: the tarball in a new repository.
fill_base() {
	local tarball name
	tarball=$(find_tarball)
	step "unpacking $(basename "$tarball")"
	tar -xJf "$tarball" -C "$1" --strip-components=1 --no-same-owner
	# Debian leaves the firmware out, which configure wants to see even when nothing of it is used.
	while read -r name; do
		[ -e "$1/pc-bios/$name.bz2" ] || : >"$1/pc-bios/$name.bz2"
	done < <(grep -o 'edk2-[a-z0-9_-]*\.fd' "$1/pc-bios/meson.build")
	printf 'configs/devices/x86_64-softmmu/vmtape.mak\n' >>"$1/.git/info/exclude"
}
