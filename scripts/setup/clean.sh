#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: clean.sh
#
# Remove what was built. build/linux and build/submission stay, since they may have work
# of yours; if you remove build/linux, the next make makes a new one.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

with_lock
find "$BUILD/" -mindepth 1 -maxdepth 1 ! -name linux ! -name 'submission*' ! -name .lock -exec rm -rf {} +
