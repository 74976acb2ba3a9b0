#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [TESTS='PATTERN...'] [MODES='MODE...'] bases.sh
#        bases.sh --write
#
# Test the series on another kernel: one of each VERSION for which there is a
# bases/VERSION.diff, which says what is different there in patches/ and kconfig/. It is
# the one in the cache, or else the newest that can be had.
#
# build/bases/VERSION is a copy of this project for that kernel, where every target works
# but 'make check'. It is made anew each time, but for its build/. TESTS and MODES are
# those of 'make test', which runs there. The last line is 'N passed, N failed'; the lines
# before it are the sums of the versions.
#
# With --write, write each bases/VERSION.diff from what the copy has now.

# shellcheck source=scripts/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
case $#${1:-} in
0 | 1--write) ;;
*) misused ;;
esac
bases=$BUILD/bases diffs=$TOP/scripts/series/bases

# sums VERSION: of what a user may have mended in the copy
sums() {
	(cd "$bases/$1" && find kconfig patches -type f -exec cksum {} + 2>/dev/null | sort)
}

# copy VERSION: this project, as it is now, for that kernel.
copy() {
	mkdir -p "$bases/$1/build"
	find "$bases/$1" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	for _part in .gitattributes .gitignore Documentation Makefile README.md kconfig patches rust-src scripts selftests; do
		[ ! -e "$TOP/$_part" ] || cp -a "$TOP/$_part" "$bases/$1"
	done
	sed -i "s/^SERIES_BASE=.*/SERIES_BASE=$1/" "$bases/$1/scripts/lib/kernel.sh"
	_patched=0
	patch -p1 -F0 --no-backup-if-mismatch -r - -d "$bases/$1" <"$diffs/$1.diff" || _patched=$?
	sums "$1" >"$bases/$1/build/.copied"
	return $_patched
}

# differences VERSION: what the copy has in place of ours.
differences() {
	[ -d "$bases/$1/patches" ] || die "there is no build/bases/$1: run 'make bases' first"
	for part in kconfig patches; do
		git -C "$TOP" diff --no-index --no-ext-diff --no-textconv --no-color "$part" "build/bases/$1/$part" || :
	done | sed "s|^\(diff .* b/\)build/bases/$1/|\1|; s|^+++ b/build/bases/$1/|+++ b/|"
}

claim bases
mkdir -p "$bases"
exec 8>>"$bases/.lock"
flock -n 8 || die "another make bases is running"
for diff in "$diffs"/*.diff; do
	version=$(basename "$diff" .diff)
	if [ $# != 0 ]; then
		differences "$version" >"$run/diff"
		cat "$run/diff" >"$diff"
		mkdir -p "$bases/$version/build"
		sums "$version" >"$bases/$version/build/.copied"
		continue
	fi
	[ ! -e "$bases/$version/build/.copied" ] || sums "$version" | cmp -s - "$bases/$version/build/.copied" ||
		die "build/bases/$version was mended: write that with scripts/series/bases.sh --write, or remove it"
	with_lock
	run_logged "$BUILD/log/bases.log" "A copy of this project for Linux $version" copy "$version"
	drop_lock
	status=0
	# What a user gives for this kernel is not for that one.
	(
		unset ARCH CONFIG LINUX LINUX_TARBALL
		make --no-print-directory -C "$bases/$version" test </dev/null
	) >"$run/$version" || status=$?
	sum=$(tail -n 1 "$run/$version")
	sed '$d' "$run/$version"
	before=$failed
	add_sum "Linux $version" "$sum"
	[ $status = 0 ] || [ $failed != $before ] || fail "Linux $version: make test ended with status $status"
	kernel=$(sed 's/ from .*//' "$bases/$version/build/linux/.git/description" 2>/dev/null) || kernel="Linux $version"
	sums="${sums:-}$kernel: $sum
"
done
[ $# = 0 ] || exit 0
printf %s "$sums"
total
