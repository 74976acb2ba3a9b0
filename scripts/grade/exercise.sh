#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME exercise.sh
#
# Make build/exercise-NAME, the tree to do a handout's exercise in: a git
# repository of its own, whose one commit is the kernel's source with the numbers
# of the handout's calls free. exercise/README in it says what is asked, and
# exercise/kernel.config how the kernel is configured that is graded.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 0 ] || misused

choose "$name"
tree=$BUILD/exercise-$name
[ ! -e "$tree" ] || die "$tree exists, and may have work of yours: move or remove it first"
at_exit "rm -rf '$tree.new'"
run_logged "$BUILD/log/exercise.log" "The tree of the exercise $name" checkout "$name" "$tree.new"
mv "$tree.new" "$tree"
say "in $tree; begin with exercise/README there"
