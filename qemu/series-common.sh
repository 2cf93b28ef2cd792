# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the scripts of this folder, after scripts/shell-common.sh: the base, and how patches are written.

here=$top/qemu
source_dir=$cache/qemu/src
build_dir=$cache/qemu/build
headers="trap_abi.h plan_abi.h plan_validate.h plan_exec.h trap_ring_producer.h vcpu_state.h producer_proto.h"

# A value of qemu/base.
base() {
	sed -n "s/^$1=//p" "$here/base"
}

# Names and dates that don't depend on who runs this.
export GIT_COMMITTER_NAME=vmtape GIT_COMMITTER_EMAIL=vmtape@localhost
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null

# write_patches REPOSITORY RANGE FOLDER: the same bytes whatever the repository, as long as the commits are the same.
write_patches() {
	git -C "$1" format-patch -q --zero-commit --no-signature --no-numbered --full-index -M --diff-algorithm=myers \
		--stat=72 -o "$3" "$2"
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

# The tarball in the cache's repository of it, where the tag "base" is; unpacks it if need be.
have_base_repository() {
	[ "$(git -C "$source_dir" tag -l --format='%(contents:subject)' base 2>/dev/null)" = "$(base sha256)" ]
}

make_base_repository() {
	local tarball name
	! have_base_repository || return 0
	tarball=$(find_tarball)
	[ ! -e "$source_dir" ] || die "$source_dir is of another base; please move it away"
	step "unpacking $(basename "$tarball")"
	rm -rf "$source_dir.new"
	mkdir -p "$source_dir.new"
	tar -xJf "$tarball" -C "$source_dir.new" --strip-components=1 --no-same-owner
	# Debian leaves the firmware out, which configure wants to see even when nothing of it is used.
	while read -r name; do
		[ -e "$source_dir.new/pc-bios/$name.bz2" ] || : >"$source_dir.new/pc-bios/$name.bz2"
	done < <(grep -o 'edk2-[a-z0-9_-]*\.fd' "$source_dir.new/pc-bios/meson.build")
	git -C "$source_dir.new" init -q -b qemu
	git -C "$source_dir.new" config gc.auto 0
	git -C "$source_dir.new" config user.name "vmtape authors"
	git -C "$source_dir.new" config user.email vmtape@localhost
	printf 'configs/devices/x86_64-softmmu/vmtape.mak\n' >>"$source_dir.new/.git/info/exclude"
	git -C "$source_dir.new" add -A -f
	GIT_AUTHOR_NAME=vmtape GIT_AUTHOR_EMAIL=vmtape@localhost \
		git -C "$source_dir.new" commit -q -m "QEMU $(base version), as Debian's tarball has it"
	git -C "$source_dir.new" tag -a -m "$(base sha256)" base
	mv "$source_dir.new" "$source_dir"
}
