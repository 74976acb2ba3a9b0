#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

usage() {
	cat <<-'END'
	usage: clean.sh

	Remove what was built.  The tree build/linux stays, which may have work of
	yours: remove it by hand, and the next make makes a new one.
	END
}

# shellcheck source=scripts/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

with_lock
find "$BUILD" -mindepth 1 -maxdepth 1 ! -name linux ! -name .lock -exec rm -rf {} +
