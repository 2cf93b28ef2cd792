# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by what compiles here, after kvm-series.sh: which files are compiled, where they are put, how make is run. The
# sourcing file sets: from (series, base, folder), from_folder, input_paths (what of the source matters), jobs, what.

check_from_folder() {
	[ "$from" != folder ] || git -C "$from_folder" rev-parse --is-inside-work-tree >/dev/null 2>&1 ||
		die "$from_folder is no Git work tree"
}

# need_tools OPTION TOOL...: OPTION of scripts/deps brings them. Some are in the superuser's path only.
need_tools() {
	local option=$1 tool
	shift
	PATH=$PATH:/usr/sbin:/sbin
	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "$tool is missing; scripts/deps $option installs what is needed"
	done
}

# Prints the id of a tree with the files of a work tree as they are now.
tree_of_folder() {
	local index
	index=$(mktemp "$cache/kvm/index.XXXXXX")
	cp "$(git -C "$from_folder" rev-parse --path-format=absolute --git-path index)" "$index"
	GIT_INDEX_FILE=$index git -C "$from_folder" add -A
	GIT_INDEX_FILE=$index git -C "$from_folder" write-tree
	rm -f "$index"
}

# Sets repository and tree, where the files come from; fails when the series has to be applied first.
find_tree() {
	repository=$source_dir
	case $from in
	base) tree=base ;;
	folder)
		repository=$from_folder
		[ -n "${tree:-}" ] || tree=$(tree_of_folder) || exit 2
		;;
	series)
		list_patches
		tree=refs/vmtape/$(cat "${patches[@]}" </dev/null | hash_of)
		;;
	esac
	git -C "$repository" rev-parse -q --verify "$tree^{tree}" >/dev/null
}

apply_series() {
	local commit
	commit_series
	git -C "$source_dir" update-ref "$tree" "$commit"
	git -C "$source_dir" tag -f series "$commit" >/dev/null
}

# The base, and on top of it what the tree has: a developer's tree may lack most of it.
list_inputs() {
	git -C "$source_dir" ls-tree base -- "${input_paths[@]}"
	git -C "$repository" ls-tree "$tree" -- "${input_paths[@]}"
}

# put_files FOLDER PATH...: brings those paths of the tree into a folder. Files that are the same keep their time, so
# that they aren't compiled again; files of the last time that are gone are removed.
put_files() {
	local folder=$1 new=$1.new path
	shift
	rm -rf "$new"
	mkdir -p "$new" "$folder"
	for path in base "$tree"; do
		local where=$source_dir
		[ "$path" = base ] || where=$repository
		local -a have=()
		mapfile -t have < <(git -C "$where" ls-tree --name-only "$path" -- "$@")
		[ ${#have[@]} -eq 0 ] || git -C "$where" archive "$path" -- "${have[@]}" | tar -x -C "$new" -m
	done
	(cd "$new" && find . -type f -o -type l | LC_ALL=C sort) >"$new.list"
	if [ -f "$folder.list" ]; then
		LC_ALL=C comm -23 "$folder.list" "$new.list" | (cd "$folder" && xargs -r -d '\n' rm -f)
	fi
	while read -r path; do
		! cmp -s "$new/$path" "$folder/$path" || continue
		mkdir -p "$(dirname "$folder/$path")"
		cp -a "$new/$path" "$folder/$path"
	done <"$new.list"
	mv "$new.list" "$folder.list"
	rm -rf "$new"
}

# One line of progress every few seconds, from the lines that tell what is compiled. awk would read too far ahead.
show_progress() {
	local line files=0 next=$((SECONDS + 5))
	while read -r line; do
		case $line in
		CC\ * | AS\ * | *\ -c\ *) files=$((files + 1)) ;;
		esac
		if [ "$SECONDS" -ge "$next" ]; then
			[ "$files" = 0 ] || step "compiled $files files"
			next=$((SECONDS + 5))
		fi
	done
}

# run_make LOG ARGUMENT...
run_make() {
	local log=$1
	shift
	env -u MAKEFLAGS -u MAKELEVEL -u KCFLAGS -u CFLAGS -u LDFLAGS -u ARCH -u CROSS_COMPILE -u LLVM -u KBUILD_OUTPUT -u O \
		nice make -j "$jobs" "$@" 2>&1 | tee "$log" | show_progress || {
		grep -B 2 -A 20 -m 3 -E 'error:|Error |undefined!' "$log" >&2 || tail -n 30 "$log" >&2
		die "the $what do not build; all of the output is in $log"
	}
}
