#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: tree.sh
#
# Make build/linux: a git tree whose branch "base" is the kernel source and whose
# branch "series" has one commit per file of patches/ on top of it.
#
# If it exists, update it to patches/ (and to LINUX= or LINUX_TARBALL=, if given).
# Your own commits and changes in it are never thrown away.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

# switch REPOSITORY [OPTION]: check out the new branches in a tree without changes. Unchanged
# files keep their times, so that the next build compiles only what changed.
switch() {
	git -C "$1" fetch -q "$work/apply" +refs/remotes/origin/base:refs/series/base \
		+refs/heads/series:refs/series/next
	git -C "$1" checkout -q ${2:+"$2"} -B series refs/series/next
	git -C "$1" update-ref refs/series/written refs/series/next
	git -C "$1" branch -q -f base refs/series/base
	git -C "$1" config series.patches "$id"
}

# no_own_work: stop if there is any.
no_own_work() {
	_own=$(own_work | paste -sd,)
	[ ! "$_own" ] || die "build/linux has $_own of its own, and ${base:+the base or }patches/ has changed" \
		"meanwhile: save your work in 'make series' or elsewhere, or remove build/linux; nothing is changed"
}

with_lock
[ -d "$TOP/patches" ] || die "there is no patches/: git checkout, or 'make series', brings it back"
[ -d "$TREE" ] || [ ! -L "$TREE" ] || die "build/linux is a link to $(readlink "$TREE"), which is not there"
# Of one that was killed.
rm -rf "$BUILD"/.tree.??????
work=$(mktemp -d "$BUILD/.tree.XXXXXX")
at_exit "rm -rf '$work'"
base=
if [ -d "$TREE" ]; then
	if [ "${LINUX:-}${LINUX_TARBALL:-}" ]; then
		base=$("$TOP/scripts/setup/source.sh")
		[ "$(git -C "$base" rev-parse refs/heads/base)" != "$(git -C "$TREE" rev-parse refs/heads/base)" ] || base=
	fi
	if [ ! "$base" ] && [ "$(git -C "$TREE" config series.patches)" = "$(series_id)" ]; then
		exit
	fi
	no_own_work
	base=${base:-$TREE}
else
	base=$("$TOP/scripts/setup/source.sh")
	need_space "$BUILD" 2600 "a kernel tree in build/"
fi

# git am takes a hunk with such a line, and drops its end.
! conflicts=$(grep -lE '^(<<<<<<<|>>>>>>>) ' -r "$TOP/patches/") ||
	die "patches/ has marks of a merge conflict: resolve it first; nothing is changed:
$conflicts"
what=$(cat "$base/description" 2>/dev/null || echo the base)
id=$(series_id)
git -C "$base" rev-parse -q --verify base >/dev/null || die "git cannot read $base: see above"
attempt "$BUILD/log/apply.log" "Applying patches/ to $what" "$TOP/scripts/series/apply.sh" "$base" "$work/apply"
[ "$status" = 0 ] || die "patches/ does not apply to $what; nothing is changed"
[ "$(series_id)" = "$id" ] || die "patches/ has changed while it was applied; nothing is changed: try again"
if [ -d "$TREE" ]; then
	# That took a while.
	no_own_work
	run_logged "$BUILD/log/tree.log" "Updating build/linux" switch "$TREE" --no-overwrite-ignore
else
	git clone -q --no-checkout -b base "$base" "$work/git"
	git -C "$work/git" remote remove origin
	# If the cache still has the files unpacked, take them, with their index.
	mkdir "$work/new"
	if [ "$(stat -c %d "$base")" = "$(stat -c %d "$BUILD")" ] && mv -T "$base/files" "$work/new" 2>/dev/null; then
		mv "$base/index" "$work/git/.git/index"
	fi
	mv "$work/git/.git" "$work/new/.git"
	run_logged "$BUILD/log/tree.log" "Checking out build/linux" switch "$work/new" -f
	cp "$base/description" "$work/new/.git/description"
	mv "$work/new" "$TREE"
fi
