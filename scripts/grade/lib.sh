# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts of the exercises share. It sets $name, the exercise, $arch, its
# architecture, $bits, those of its programs, and $cc, the gcc that builds its kernel.

. "$(dirname "$0")/../lib/lib.sh"
HERE=$TOP/scripts/grade

# shellcheck disable=SC2154 # of ../lib/lib.sh
name=$exercise
[ "$name" ] || die "which exercise? Say HANDOUT=NAME"
# shellcheck disable=SC2034 # for the scripts that source this
arch=$(awk -v name="$name" '$1 == name { print $2 }' "$HERE/handouts")
# shellcheck disable=SC2034 # the same
case $arch in
x86_64) bits=64 ;;
i386) bits=32 ;;
esac
# How a program of a submission, or a course's tester, is built in the sandbox.
# shellcheck disable=SC2034 # for the scripts that source this
compile="gcc -m$bits -static -O1 -pthread"
cc=${GCC:-gcc}
case $cc in
gcc | gcc-[0-9]*) [ ! "${GCC:-}" ] || command -v "$cc" >/dev/null || die "GCC=$cc: there is no such program" ;;
*) die "GCC=$cc: neither gcc nor one like gcc-11" ;;
esac

# Who has made the commit that all exercises begin with, and when.
root_committer='base <base@localhost> 946684800 +0000'

# root REPOSITORY: print the commit that all exercises begin with, made in a repository
# whose branch "base" is the kernel's source: the handouts' numbers are free in both
# tables, and exercise/ has the texts and the configuration. The same source always gives
# the same commit.
root() (
	export GIT_DIR="$1" GIT_INDEX_FILE="$1/exercise.$$"
	git read-tree base
	_free=$(awk '!/^#/ { $1 = $2 = ""; print }' "$HERE/handouts" | paste -sd' ')
	for _table in syscall_32 syscall_64; do
		_path=arch/x86/entry/syscalls/$_table.tbl
		git cat-file blob "base:$_path" | awk -v free="$_free" '
			BEGIN { n = split(free, list); for (i = 1; i <= n; i++) gone[list[i]] }
			!($1 in gone)' | add "$_path"
	done
	for _text in "$HERE"/text/*; do add "exercise/${_text##*/}" <"$_text"; done
	add exercise/kernel.config <"$HERE/kernel.config"
	_tree=$(git write-tree)
	rm -f "$GIT_INDEX_FILE"
	printf 'tree %s\nauthor %s\ncommitter %s\n\nLinux, with the numbers of the handouts free\n' \
		"$_tree" "$root_committer" "$root_committer" | git hash-object -t commit -w --stdin
)

# add PATH: standard input as a file in the index.
add() {
	_blob=$(git hash-object -w --stdin)
	git update-index --add --cacheinfo "100644,$_blob,$1"
}

# patches_of FOLDER [TEST…]: the *.patch in a submission, those for which find's TEST holds.
patches_of() {
	_folder=$1
	shift
	find "$_folder/" "$_folder/patch" -maxdepth 1 -name '*.patch' "$@" 2>/dev/null
}

# verdicts FOLDER: write the results of a submission anew, by the rubric as it is now, from
# the files raw, authors and seconds in FOLDER.
verdicts() {
	awk -v name="$name" -v ID="$(basename "$1" .new)" -v seconds="$(cat "$1/seconds")" -v out="$1" \
		-f "$HERE/verdicts.awk" "$HERE/$name.rubric" "$1/authors" "$1/raw"
	for _file in $results_of; do written "$1/$_file"; done
}

# What a submission gets, and its teacher may edit.
results_of='feedback.txt result.json gradescope.json verdicts'

# written FILE: what is in this result now is ours.
written() {
	cksum <"$1" >"${1%/*}/.${1##*/}.sum"
}

# keep_edited FILE YOURS: a result will be replaced; what the user has written into it, even
# while the submission is graded again, must stay. Older results have no sum of verdicts.
keep_edited() {
	_sum=${1%/*}/.${1##*/}.sum
	[ -e "$_sum" ] || [ "${1##*/}" != verdicts ] || return 0
	[ -e "$1" ] && [ "$(cksum <"$1")" != "$(cat "$_sum" 2>/dev/null)" ] || return 0
	mv --backup=numbered "$1" "$2"
	say "$1 is not as it was written: it is now $2"
}

# keep_results FOLDER: the same for those of a submission
keep_results() {
	for _file in $results_of; do keep_edited "$1/$_file" "$1.yours.$_file"; done
}

# remove_results FOLDER: what one.sh has written there; what a teacher has edited, and files of
# other names, stay.
remove_results() {
	keep_results "$1"
	# shellcheck disable=SC2086 # a list
	(cd "$1" && rm -rf state $results_of raw raw.[0-9]* log authors seconds)
}
