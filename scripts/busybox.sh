#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Name a static busybox that runs on ARCH.

usage() {
	cat <<EOF
usage: [ARCH=x86_64|i386] ${0##*/}

Print the path of a statically linked busybox for ARCH.
EOF
}

case ${1:-} in
-h | --help) usage; exit ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

check_arch
command -v busybox || die "busybox (package busybox-static) is missing: run 'make deps'"
