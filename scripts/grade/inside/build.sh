#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the sandbox: build the kernel of /g/src in /g/out.
#
#	build.sh ARCH CC JOBS config|TARGET...

set -eu
arch=$1 cc=$2 jobs=$3
shift 3
export CCACHE_DIR=/g/ccache CCACHE_NOHASHDIR=1 CCACHE_TEMPDIR=/tmp KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
	KBUILD_BUILD_USER=user KBUILD_BUILD_HOST=host KBUILD_BUILD_VERSION=1
[ -w /g/ccache ] || export CCACHE_READONLY=1
kmake() {
	make -C /g/src O=/g/out ARCH="$arch" CC="ccache $cc" LOCALVERSION= -j"$jobs" "$@"
}
if [ "$1" = config ]; then
	kmake KCONFIG_ALLCONFIG=/g/src/exercise/kernel.config allnoconfig
else
	kmake "$@"
fi
