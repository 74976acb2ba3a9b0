#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME exercise.sh
#
# Make build/exercise-NAME, the tree to do a handout's exercise in: a git repository of its
# own, whose one commit is the kernel's source with the numbers of the handouts' calls free.
# exercise/NAME in it says what is asked, exercise/README how it is built and graded.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 0 ] || misused

with_lock
tree=$BUILD/exercise-$name
[ ! -e "$tree" ] || die "$tree exists, and may have work of yours: move or remove it first"
rm -rf "$BUILD"/.exercise.??????
new=$(mktemp -d "$BUILD/.exercise.XXXXXX")
at_exit "rm -rf '$new'"

checkout() {
	need_space "$BUILD" 2600 "a kernel tree in build/"
	git clone -q --no-checkout --single-branch -b base "$(HANDOUT=$name "$TOP/scripts/setup/source.sh")" "$new/tree"
	cd "$new/tree" || exit
	git remote remove origin
	git checkout -q -B exercise "$(root .git)"
	git branch -q -D base
}
run_logged "$BUILD/log/exercise.log" "The tree of the exercise $name" checkout
mv -T "$new/tree" "$tree"
say "in $tree; begin with exercise/README and exercise/$name there"
