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
# but 'make check'. It is made anew each time, but for its build/, and not if anything in
# it was changed. TESTS and MODES are those of 'make test', which runs there. The last line
# is 'N passed, N failed'; the lines before it are the sums of the versions.
#
# With --write, write each bases/VERSION.diff from what the copy has now in patches/ and
# kconfig/. Those of this project must still be what the copy was made of.

# shellcheck source=scripts/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
case $#${1:-} in
0 | 1--write) ;;
*) misused ;;
esac
bases=$BUILD/bases diffs=$TOP/scripts/series/bases

# sums FOLDER [PART…]: of what is in it, but for its build/
sums() (
	cd "$1" || exit
	shift
	find "${@:-.}" -path ./build -prune -o ! -type d -exec cksum {} + | sort
)

# What --write has written, or make series in the copy.
written=' \./(Documentation|kconfig|patches|rust-src|selftests)/'

# copy VERSION: this project, as it is now, for that kernel.
copy() {
	mkdir -p "$bases/$1/build"
	rm -f "$bases/$1/build/.copied"
	sums "$TOP" kconfig patches >"$bases/$1/build/.from"
	find "$bases/$1" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	for _part in .gitattributes .gitignore Documentation Makefile README.md kconfig patches rust-src scripts selftests; do
		[ ! -e "$TOP/$_part" ] || cp -a "$TOP/$_part" "$bases/$1"
	done
	sed -i "s/^SERIES_BASE=.*/SERIES_BASE=$1/" "$bases/$1/scripts/lib/kernel.sh"
	_patched=0
	patch -p1 -F0 --no-backup-if-mismatch -r - -d "$bases/$1" <"$diffs/$1.diff" || _patched=$?
	sums "$bases/$1" >"$bases/$1/build/.copied"
	return $_patched
}

# differences VERSION: what the copy has in place of ours.
differences() {
	for part in kconfig patches; do
		git -C "$TOP" diff --no-index --no-ext-diff --no-textconv --no-color "$part" "build/bases/$1/$part" || [ $? = 1 ]
	done >"$run/raw"
	sed "s|^\(diff .* b/\)build/bases/$1/|\1|; s|^+++ b/build/bases/$1/|+++ b/|" "$run/raw"
}

# all_in_patches VERSION: stop if the copy's build/linux has more, which would be tested, and lost.
all_in_patches() {
	[ ! -d "$bases/$1/build/linux" ] || (TREE=$bases/$1/build/linux && [ ! "$(own_work)" ]) ||
		die "build/bases/$1/build/linux has work that is not in the patches/ there: run make -C build/bases/$1 series first"
}

claim bases
mkdir -p "$bases"
exec 8>>"$bases/.lock"
flock -n 8 || die "another make bases is running"
for diff in "$diffs"/*.diff; do
	version=$(basename "$diff" .diff)
	all_in_patches "$version"
	[ ! -e "$bases/$version/build/.copied" ] || [ -e "$bases/$version/build/.from" ] ||
		die "build/bases/$version is of an older make bases: remove its build/.copied, and what is in it but its build/"
	if [ $# != 0 ]; then
		[ -e "$bases/$version/build/.copied" ] || die "there is no build/bases/$version, or not all of it: run 'make bases' first"
		sums "$TOP" kconfig patches | cmp -s - "$bases/$version/build/.from" ||
			die "patches/ or kconfig/ has changed since build/bases/$version was made of it: go back (git stash), write," \
				"and then mend it for the change"
		differences "$version" >"$run/diff"
		cat "$run/diff" >"$diff"
		# Not what else was changed there: that would be lost.
		{
			grep -vE "$written" "$bases/$version/build/.copied"
			sums "$bases/$version" | grep -E "$written"
		} | sort >"$run/copied"
		cp "$run/copied" "$bases/$version/build/.copied"
		continue
	fi
	[ ! -e "$bases/$version/build/.copied" ] || sums "$bases/$version" | cmp -s - "$bases/$version/build/.copied" ||
		die "build/bases/$version was changed: what is new in its patches/ and kconfig/ is written by" \
			"scripts/series/bases.sh --write; or remove it"
	with_lock
	run_logged "$BUILD/log/bases.log" "A copy of this project for Linux $version" copy "$version"
	drop_lock
	status=0
	[ ! "${LINUX:-}${LINUX_TARBALL:-}" ] || say "LINUX= and LINUX_TARBALL= are not used here: they are for Linux $SERIES_BASE"
	(
		unset ARCH CONFIG LINUX LINUX_TARBALL
		make --no-print-directory -C "$bases/$version" test ${LLVM:+"LLVM=$LLVM"} \
			${LOCALVERSION:+"LOCALVERSION=$LOCALVERSION"} </dev/null
	) >"$run/$version" || status=$?
	sum=$(tail -n 1 "$run/$version")
	sed '$d' "$run/$version"
	before=$failed
	add_sum "Linux $version" "$sum"
	[ $status = 0 ] || [ $failed != $before ] || fail "Linux $version: make test ended with status $status"
	kernel=$(sed 's/ from .*//' "$bases/$version/build/linux/.git/description" 2>/dev/null) || kernel="Linux $version"
	summary="${summary:-}$kernel: $sum
"
done
[ $# = 0 ] || exit 0
printf %s "$summary"
total
