#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: apply.sh REPOSITORY DIRECTORY
#
# Apply patches/ with git am to the branch "base" of REPOSITORY. The result is the
# branch "series" of a new repository in DIRECTORY, which checks out only the files
# that the patches touch and borrows the objects of REPOSITORY.
#
# Commits do not depend on the machine or the time: the same base and patches give
# the same hashes everywhere.

. "$(dirname "$0")/../lib/lib.sh"

[ $# = 2 ] || misused
repository=$1 directory=$2

patches=$(find "$TOP/patches/" -name '*.patch' | sort)

rm -rf "$directory"
git clone -q --shared --no-checkout --no-tags -b base "$repository" "$directory"
cd "$directory"
git config core.sparseCheckout true
{
	printf '/%s\n' .gitattributes Makefile
	# shellcheck disable=SC2086 # one word per patch
	[ ! "$patches" ] || sed -En 's,^(---|\+\+\+) [ab]/,/,p' $patches
} | sort -u >.git/info/sparse-checkout
git checkout -q -b series base

# shellcheck disable=SC2086
[ ! "$patches" ] || GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series@localhost \
	git am --committer-date-is-author-date $patches
