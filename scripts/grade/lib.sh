# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts of the exercises share. It sets $name, the exercise, and of it $arch
# and $numbers.

. "$(dirname "$0")/../lib/lib.sh"
HERE=$TOP/scripts/grade

name=$exercise
read -r arch numbers <<-END
	$(awk -v name="$name" '$1 == name { $1 = ""; print }' "$HERE/handouts")
END
[ "$arch" ] || die "HANDOUT=$name: there is only $(awk '!/^#/ { print $1 }' "$HERE/handouts" | paste -sd' ')"

# root REPOSITORY: print the commit that the exercise begins with, made in a repository
# whose branch "base" is the kernel's source: the handout's numbers are free in both
# tables, and exercise/ has the text and the configuration. The same source always gives
# the same commit.
root() (
	export GIT_DIR="$1" GIT_INDEX_FILE="$1/exercise.$$"
	git read-tree base
	for _table in syscall_32 syscall_64; do
		_path=arch/x86/entry/syscalls/$_table.tbl
		git cat-file blob "base:$_path" | awk -v free="$numbers" '
			BEGIN { n = split(free, list); for (i = 1; i <= n; i++) gone[list[i]] }
			!($1 in gone)' | add "$_path"
	done
	add exercise/README <"$HERE/text/$name"
	cat "$HERE/kernel.config" "$HERE/$arch.config" | add exercise/kernel.config
	_tree=$(git write-tree)
	rm -f "$GIT_INDEX_FILE"
	_who='base <base@localhost> 946684800 +0000'
	printf 'tree %s\nauthor %s\ncommitter %s\n\nLinux, with the numbers of the exercise %s free\n' \
		"$_tree" "$_who" "$_who" "$name" | git hash-object -t commit -w --stdin
)

# add PATH: standard input as a file in the index.
add() {
	_blob=$(git hash-object -w --stdin)
	git update-index --add --cacheinfo "100644,$_blob,$1"
}
