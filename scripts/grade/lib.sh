# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What exercise, hand-in and grading share. Sourced when usage() is defined.

HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2034 # for who sources this
name=${HANDOUT:-}
# shellcheck source=scripts/lib/lib.sh
. "$HERE/../lib/lib.sh"

# choose NAME: $arch and $numbers of a handout.
choose() {
	_line=$(awk -v name="$1" '$1 == name && !/^#/' "$HERE/handouts")
	[ "$_line" ] || die "HANDOUT=$1: there is only $(awk '!/^#/ { printf "%s%s", n++ ? ", " : "", $1 }' "$HERE/handouts")"
	# shellcheck disable=SC2086 # words
	set -- $_line
	arch=$2
	shift 2
	numbers=$*
}

# root REPOSITORY NAME: in a repository that has the kernel's source as its branch
# "base", make the commit that an exercise begins with: the handout's numbers are free
# in both tables, and exercise/ has the text and the configuration. The same source
# always gives the same commit. Its name is printed.
root() (
	choose "$2"
	export GIT_INDEX_FILE="$1/exercise.index" GIT_DIR="$1"
	rm -f "$GIT_INDEX_FILE"
	git read-tree base
	for _table in syscall_32 syscall_64; do
		_path=arch/x86/entry/syscalls/$_table.tbl
		_blob=$(git cat-file blob "base:$_path" | awk -v free="$numbers" '
			BEGIN { n = split(free, list); for (i = 1; i <= n; i++) gone[list[i]] }
			!($1 in gone)' | git hash-object -w --stdin)
		git update-index --cacheinfo "100644,$_blob,$_path"
	done
	_blob=$(git hash-object -w "$HERE/text/$2")
	git update-index --add --cacheinfo "100644,$_blob,exercise/README"
	_blob=$(cat "$HERE/kernel.config" "$HERE/$arch.config" | git hash-object -w --stdin)
	git update-index --add --cacheinfo "100644,$_blob,exercise/kernel.config"
	_tree=$(git write-tree)
	rm -f "$GIT_INDEX_FILE"
	echo "Linux, with the numbers of the exercise $2 free" |
		GIT_AUTHOR_NAME=base GIT_AUTHOR_EMAIL=base@localhost \
		GIT_AUTHOR_DATE='2000-01-01T00:00:00Z' GIT_COMMITTER_NAME=base \
		GIT_COMMITTER_EMAIL=base@localhost GIT_COMMITTER_DATE='2000-01-01T00:00:00Z' \
		git commit-tree "$_tree"
)

# checkout NAME FOLDER: a new repository in FOLDER, whose only commit is that root.
checkout() {
	_base=$("$TOP/scripts/setup/source.sh")
	need_space "$BUILD" 2600 "a kernel tree in build/"
	rm -rf "$2"
	git clone -q --no-checkout --single-branch -b base "$_base" "$2"
	git -C "$2" remote remove origin
	_root=$(root "$2/.git" "$1")
	git -C "$2" checkout -q -B exercise "$_root"
	git -C "$2" branch -q -D base
}
