#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
	cat <<-'END'
	usage: clean.sh [--help]

	Remove build/.  The tree build/linux stays while it has work that is nowhere
	else.  The cache, which other clones may use, stays in any case.
	END
}

case ${1:-} in
'') ;;
--help) usage; exit ;;
*) usage >&2; exit 1 ;;
esac

[ -d "$BUILD" ] || exit 0
with_lock
keep=
if [ -d "$TREE" ] && [ "$(own_work)" ]; then
	keep=linux
	say "build/linux has work of its own and stays"
fi
find "$BUILD" -mindepth 1 -maxdepth 1 ! -name "${keep:-.lock}" ! -name .lock -exec rm -rf {} +
