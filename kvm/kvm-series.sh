# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the scripts of this folder, after scripts/shell-common.sh: the base and the headers of KVM's series.

# shellcheck source=../scripts/series-common.sh
. "$top/scripts/series-common.sh"

here=$top/kvm
source_dir=$cache/kvm/src
headers="trap_abi.h plan_abi.h plan_validate.h plan_exec.h trap_ring_producer.h"
product="Linux $(base version)"
release=$(base release)
source_package=linux-source-6.12

# What the repository holds of the kernel's source: KVM with all the headers that a patch of it may touch, its selftests
# with the libraries that they take, what installs the headers of user space, and checkpatch with what it looks for.
source_paths=(
	COPYING CREDITS Kbuild Kconfig MAINTAINERS Makefile README .clang-format
	Documentation/virt/kvm
	arch/x86/Makefile arch/x86/kvm arch/x86/include arch/x86/entry/syscalls arch/x86/tools
	include/asm-generic include/kvm include/linux/entry-kvm.h include/linux/kvm_dirty_ring.h include/linux/kvm_host.h
	include/linux/kvm_irqfd.h include/linux/kvm_para.h include/linux/kvm_types.h include/trace/events/kvm.h include/uapi
	drivers/Makefile fs/Makefile init/Makefile ipc/Makefile kernel/Makefile lib/Makefile
	scripts
	tools/arch/x86 tools/build tools/include tools/lib/rbtree.c tools/scripts
	tools/testing/selftests/kvm tools/testing/selftests/rseq tools/testing/selftests/Makefile
	tools/testing/selftests/lib.mk tools/testing/selftests/kselftest.h
	tools/testing/selftests/kselftest_harness.h
	usr/include virt
)
base_identity=$(printf '%s\n' "$(base "$source_package")" "${source_paths[@]}" | hash_of)

header_place() {
	case $1 in
	*_abi.h) printf 'include/uapi/linux/kvm_trap/%s\n' "$1" ;;
	*) printf 'arch/x86/kvm/%s\n' "$1" ;;
	esac
}

# fetch_package NAME: prints the path of the package, of the one version, checked.
fetch_package() {
	local name=$1 file have want
	want=$(base "$name")
	[ -n "$want" ] || die "kvm/base has no package $name"
	file=$("$top/scripts/deb-fetch" --cached "$(base suite)" "$name=$(base debian_version)") ||
		die "$name $(base debian_version) can't be had: mirrors keep only the newest versions. VMTAPE_DEBS=FOLDER names" \
			"a folder with the package; a copy of $cache/debs of another machine does, too"
	have=$(sha256sum "$file" | cut -d ' ' -f 1)
	[ "$have" = "$want" ] ||
		die "$file is not what the series is for: its SHA-256 is $have, in kvm/base it is $want." \
			"VMTAPE_DEBS=FOLDER names a folder with another copy"
	printf '%s\n' "$file"
}

# unpack_source FOLDER ARGUMENT...: the kernel's source, as tar's arguments say: files and folders, options.
unpack_source() {
	local folder=$1 file
	shift
	file=$(fetch_package "$source_package")
	step "unpacking $(basename "$file")"
	dpkg-deb --fsys-tarfile "$file" | tar -xO "./usr/src/$source_package.tar.xz" | xz -dc -T0 |
		tar -x -C "$folder" --strip-components=1 --no-same-owner "$@" ||
		die "$(basename "$file") lacks files that are needed"
}

# fill_base FOLDER: the base in a new repository.
fill_base() {
	unpack_source "$1" "${source_paths[@]/#/$source_package/}"
	# The kernel's own list, at its top, is Debian's here: it leaves out everything.
	printf '%s\n' '*.o' '*.ko' '*.a' '*.mod' '*.mod.c' '.*.cmd' '.*.d' '*.symvers' '*.order' '*.orig' '*.rej' \
		>>"$1/.git/info/exclude"
}

# Sees to it that the base's repository is there, one process at a time; descriptor 9 holds the lock from then on.
lock_repository() {
	exec 9>"$cache/kvm/lock"
	if ! flock -n 9; then
		say "another build is running; waiting for it"
		flock 9
	fi
	make_base_repository
}
