#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: clean.sh
#
# Remove what was built. build/linux, build/submission, the disks in build/vm, and an
# exercise's tree, archive and grades stay, since they may have work of yours; if you remove
# build/linux or a disk, the next make makes a new one.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

with_lock
find "$BUILD/" -mindepth 1 -maxdepth 1 ! -name linux ! -name 'submission*' ! -name vm ! -name 'exercise-*' \
	! -name 'hand-in-*' ! -name 'grades-*' ! -name .lock -exec rm -rf {} +
