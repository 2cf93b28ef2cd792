# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# What the scripts of a patch series (qemu/, kvm/) share; sourced after shell-common.sh. The sourcing file sets: here
# (folder of the series), product (what the base is, in words), source_dir (its repository in the cache), headers (those
# of format/ in it), base_identity (a word that names the base), and defines header_place and fill_base.

# A value of the series' file "base".
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

hash_of() {
	sha256sum | cut -c 1-16
}

# The patches of the series, in order; none: the array is empty.
list_patches() {
	patches=("$here"/patches/*.patch)
	[ -f "${patches[0]}" ] || patches=()
}

# Is the base in the cache's repository of it, where the tag "base" is?
have_base_repository() {
	[ "$(git -C "$source_dir" tag -l --format='%(contents:subject)' base 2>/dev/null)" = "$base_identity" ]
}

# Makes that repository; fill_base FOLDER unpacks the base into it.
make_base_repository() {
	! have_base_repository || return 0
	[ ! -e "$source_dir" ] || die "$source_dir is of another base; please move it away"
	rm -rf "$source_dir.new"
	mkdir -p "$source_dir.new"
	git -C "$source_dir.new" init -q -b "${here##*/}"
	git -C "$source_dir.new" config gc.auto 0
	git -C "$source_dir.new" config user.name "vmtape authors"
	git -C "$source_dir.new" config user.email vmtape@localhost
	fill_base "$source_dir.new"
	git -C "$source_dir.new" add -A -f
	GIT_AUTHOR_NAME=vmtape GIT_AUTHOR_EMAIL=vmtape@localhost \
		git -C "$source_dir.new" commit -q -m "$product, as Debian's tarball has it"
	git -C "$source_dir.new" tag -a -m "$base_identity" base
	mv "$source_dir.new" "$source_dir"
}

# Applies the series in a work tree of its own, beside whatever is checked out, and sets commit to the last of it.
commit_series() {
	local work=${source_dir%/*}/apply
	list_patches
	step "applying ${#patches[@]} patches"
	git -C "$source_dir" worktree remove --force "$work" >/dev/null 2>&1 || rm -rf "$work"
	git -C "$source_dir" worktree prune
	git -C "$source_dir" worktree add -q --detach "$work" base
	# git am knows no fuzz: every line of context has to be there.
	if [ ${#patches[@]} -gt 0 ] && ! logged "$cache/log/${here##*/}-apply.log" git -C "$work" \
		-c core.hooksPath=/dev/null am --keep-non-patch "${patches[@]}"; then
		die "the series does not apply to its base, $product"
	fi
	commit=$(git -C "$work" log -1 --format=%H)
	git -C "$source_dir" worktree remove --force "$work"
}

# Replaces the patches by the commits of the cache's repository.
export_series() {
	local new
	have_base_repository || die "there is no $product in $source_dir: ${here##*/}/build makes it"
	git -C "$source_dir" diff --quiet HEAD || die "$source_dir has changes that are not committed"
	git -C "$source_dir" merge-base --is-ancestor base HEAD || die "$source_dir: its commits do not begin at the base"
	new=$(mktemp -d "$here/patches.XXXXXX")
	# shellcheck disable=SC2064 # the value of now
	trap "rm -rf '$new'" EXIT
	write_patches "$source_dir" base..HEAD "$new"
	[ -n "$(ls "$new")" ] || die "$source_dir has no commits behind the base"
	mkdir -p "$here/patches"
	rm -f "$here"/patches/*.patch
	mv "$new"/*.patch "$here/patches/"
	say "$(find "$here/patches" -name '*.patch' | wc -l) patches written"
}

# Takes the shared headers of format/ into the commits that brought them, and puts the later ones on top again.
sync_headers() {
	local header place commit
	local -a changed=()
	run_git() {
		git -C "$source_dir" -c core.hooksPath=/dev/null -c commit.gpgsign=false "$@"
	}
	have_base_repository || die "there is no $product in $source_dir: ${here##*/}/build makes it"
	run_git diff --quiet HEAD || die "$source_dir has changes that are not committed"
	for header in $headers; do
		place=$(header_place "$header")
		! cmp -s "$top/format/$header" "$source_dir/$place" || continue
		commit=$(run_git log --diff-filter=A --format=%H -1 base..HEAD -- "$place")
		# A header that is new goes where the first of them is.
		[ -n "$commit" ] ||
			commit=$(run_git log --diff-filter=A --format=%H -1 base..HEAD -- "$(header_place trap_abi.h)")
		[ -n "$commit" ] || die "no commit of the series brings $(header_place trap_abi.h)"
		changed+=("$header")
		mkdir -p "$source_dir/${place%/*}"
		cp "$top/format/$header" "$source_dir/$place"
		run_git add "$place"
		run_git commit -q --fixup="$commit"
	done
	if [ ${#changed[@]} -eq 0 ]; then
		say "the headers are those of format/ already"
		return
	fi
	GIT_SEQUENCE_EDITOR=: run_git rebase -q -i --autosquash base ||
		die "the series needs a hand: finish the rebase in $source_dir"
	say "${changed[*]} taken; ${here##*/}/export-series writes it to ${here##*/}/patches"
}

failed=0
complain() {
	say "$*"
	failed=1
}

# check_series TREE WORK: TREE has the tag base and is at it. Applies the series there, looks whether it comes out as it
# went in, is signed off, and has our headers; what is wrong is said, and sets failed.
check_series() {
	local tree=$1 work=$2 patch header
	list_patches
	[ ${#patches[@]} -gt 0 ] || die "no patches in $here/patches"
	if ! logged "$cache/log/${here##*/}-check.log" git -C "$tree" -c gc.auto=0 -c core.hooksPath=/dev/null am \
		--keep-non-patch "${patches[@]}"; then
		complain "the series does not apply to its base, $product"
		return 1
	fi
	write_patches "$tree" base..HEAD "$work/again"
	diff -rq "$here/patches" "$work/again" >&2 ||
		complain "the series does not come out as it went in: write it with ${here##*/}/export-series"
	for patch in "${patches[@]}"; do
		grep -q '^Signed-off-by: ' "$patch" || complain "$(basename "$patch"): no Signed-off-by"
	done
	for header in $headers; do
		cmp -s "$top/format/$header" "$tree/$(header_place "$header")" ||
			complain "format/$header is not what the series carries: ${here##*/}/sync-headers, then ${here##*/}/export-series"
	done
}
