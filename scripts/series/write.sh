#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: write.sh [TREE DIRECTORY]
#
# Write the commits between the branches "base" and "series" of build/linux to
# patches/, and the files that they add to the mirrors rust-src/, selftests/ and
# Documentation/. The same commits give the same bytes on every machine.
#
# With TREE and DIRECTORY, read the git repository TREE and write to DIRECTORY.

. "$(dirname "$0")/../lib/lib.sh"

case $# in
0) tree=$TREE to=$TOP ;;
1) misused ;;
*) tree=$1 to=$2 ;;
esac

# in_clone COMMAND…: git in a clone of the tree, without the user's configuration of that.
in_clone() {
	git -C "$tree" --git-dir="$new/git" --work-tree=. "$@"
}

# mirror NAME PREFIX PATHSPEC…: copy the added files that match, without the prefix.
mirror() {
	_name=$1 _prefix=$2
	shift 2
	mkdir "$new/$_name" "$new/all"
	in_clone diff --name-only --diff-filter=A --no-renames base "$series" -- "$@" >"$new/list"
	if [ -s "$new/list" ]; then
		# shellcheck disable=SC2046 # one word per file
		in_clone archive "$series" -- $(cat "$new/list") | tar -x -C "$new/all"
		cp -r "$new/all/$_prefix." "$new/$_name"
	fi
	rm -r "$new/all" "$new/list"
}

with_lock
if [ "$tree" = "$TREE" ]; then
	[ -d "$TREE" ] || die "there is no build/linux: run 'make tree' first"
	[ "$(git -C "$tree" symbolic-ref -q HEAD)" = refs/heads/series ] ||
		die "build/linux is not on its branch series: finish the rebase, or check series out; nothing is written"
	for state in rebase-apply sequencer; do
		[ ! -e "$(git -C "$tree" rev-parse --path-format=absolute --git-path $state)" ] ||
			die "build/linux is in the middle of a git am, cherry-pick or revert, see git status; nothing is written"
	done
	! has_own_base ||
		die "build/linux has another branch base, whose commits would be in no patch: git branch -f base refs/series/base;" \
			"nothing is written"
	changes=$(changes "$tree")
	[ ! "$changes" ] || die "build/linux has changes that are not committed, or that git is told not to see (git ls-files -v);" \
		"nothing is written:
$changes"
fi

for part in patches rust-src selftests Documentation; do
	[ ! -L "$to/$part" ] || die "$part/ is a link, and would be replaced by a folder; nothing is written"
done

new=$(mktemp -d "$BUILD/.series.XXXXXX")
at_exit "rm -rf '$new'"

git clone -q --bare --shared --no-tags "$tree" "$new/git"
git -C "$new/git" config core.bare false
# Whatever the user commits from now on.
series=$(in_clone rev-parse series)
in_clone merge-base --is-ancestor base "$series" || die "the branch series is not based on the branch base"
[ ! "$(in_clone rev-list --merges base.."$series")" ] || die "the branch series has merges: a series of patches cannot"
! nested=$(in_clone diff --raw base "$series" | grep -E '^:[0-7]+ 160000') ||
	die "a folder of the series is a git repository of its own, whose files would be in no patch:${nested##*	}"
[ "$(in_clone rev-list --count base.."$series")" = "$(in_clone rev-list --count base.."$series" -- .)" ] ||
	die "the branch series has a commit that changes nothing, which git am would not take: drop it"

# What git takes for a function line, which the hunks show, depends on its version:
# define it.
mkdir "$new/patches"
in_clone -c diff.cpp.xfuncname='^[A-Za-z_$].*' \
	-c diff.rust.xfuncname='^[ \t]*((pub(\([^)]*\))? +)?((const|async|unsafe|extern( +"[^"]*")?) +)*(fn|impl|trait|struct|enum|union|mod|macro_rules!)[ <].*[^;])$' \
	format-patch -q -o "$new/patches" --zero-commit --no-signature --no-numbered --abbrev=12 \
	-M --diff-algorithm=histogram --no-ext-diff --no-textconv --encode-email-headers base.."$series"
mirror rust-src '' '*.rs' ':!tools/testing' ':!Documentation'
mirror selftests tools/testing/selftests/ tools/testing/selftests
mirror Documentation Documentation/ Documentation

# Where patches/ is missing, this script was killed between the two moves below.
if [ "$tree" = "$TREE" ] && [ -e "$to/patches" ] && [ "$(git -C "$tree" config series.patches)" != "$(series_id)" ] &&
	! diff -rq "$new/patches" "$to/patches" >/dev/null 2>&1; then
	die "patches/ has changed since build/linux was made from it, and would be overwritten; nothing is" \
		"written: git stash that change, or rebase your commits onto it (see make tree)"
fi
# Replace each folder only once the new one is complete, and never halfway. Who edits a mirror,
# or adds to it, finds that in the old one.
trap '' HUP INT TERM PIPE
old=$BUILD/series.old
[ "$to" = "$TOP" ] || old=$new/old
for part in patches rust-src selftests Documentation; do
	[ ! -e "$to/$part" ] || ! git diff --no-ext-diff --no-textconv --no-index --quiet "$new/$part" "$to/$part" || continue
	mkdir -p "$old"
	[ ! -e "$to/$part" ] || mv -T --backup=numbered "$to/$part" "$old/$part"
	mv "$new/$part" "$to/$part" || {
		rm -rf "${to:?}/$part"
		[ ! -e "$old/$part" ] || mv "$old/$part" "$to/$part"
		die "$part/ cannot be written"
	}
	say "$part/ is written; the old one is in build/series.old/" || :
done
if [ "$tree" = "$TREE" ]; then
	git -C "$tree" update-ref refs/series/written "$series"
	git -C "$tree" update-ref refs/series/next "$series"
	git -C "$tree" config series.patches "$(series_id)"
fi
