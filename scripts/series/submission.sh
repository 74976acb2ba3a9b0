#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: submission.sh [REROLL]
#
# Write the series to build/submission, ready to hand in: with your Signed-off-by,
# patch numbers, a cover letter, and "v2", "v3", ... for REROLL. patches/ has no
# Signed-off-by: with it you state that you may hand the patch in, and only you can
# state that.

. "$(dirname "$0")/../lib/lib.sh"

case ${1:-} in
'' | v[0-9]* | [0-9]*) reroll=${1:-} reroll=${reroll#v} ;;
*) misused ;;
esac

with_lock
name=$(git config user.name || :) email=$(git config user.email || :)
if [ ! "$name" ] || [ ! "$email" ]; then
	die "who are you? Set git config --global user.name 'Your Name', and user.email"
fi
all_written
[ "$(git -C "$TREE" rev-list --count refs/heads/base..refs/heads/series)" != 0 ] || die "the series has no patch"

out=$BUILD/submission
# You may have edited the last one.
[ ! -e "$out" ] || mv -T --backup=numbered "$out" "$out.old"
# A clone has no configuration of yours, such as format.noprefix.
clone=$(mktemp -d "$BUILD/.clone.XXXXXX")
at_exit "rm -rf '$clone'"
git clone -q --bare --shared --no-tags "$TREE" "$clone"
GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$email git -C "$clone" \
	-c branch.series.description="$(cat "$TOP/scripts/series/cover-letter")" \
	format-patch -q -o "$out" --cover-letter --cover-from-description=subject --signoff \
	--from="$name <$email>" ${reroll:+-v"$reroll"} base..series
say "in $out, signed off by $name <$email>; to send it:"
say "  git -C build/linux send-email --to-cmd='scripts/get_maintainer.pl --norolestats' $out/*.patch"
