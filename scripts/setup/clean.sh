#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: clean.sh
#
# Remove what was built. build/linux stays, since it may have work of yours; if you
# remove it, the next make makes a new one.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

with_lock
find "$BUILD/" -mindepth 1 -maxdepth 1 ! -name linux ! -name .lock -exec rm -rf {} +
