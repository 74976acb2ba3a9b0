#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] [LOCALVERSION=-NAME] deb.sh
#
# Make Debian packages of the kernel that make built last for ARCH and CONFIG: the
# image, the headers for modules and linux-libc-dev, by the kernel's own bindeb-pkg.
# Print their paths; they are in build/deb-ARCH.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

case ${LOCALVERSION:-} in
*[!a-z0-9.+-]*) die "LOCALVERSION=$LOCALVERSION: Debian's packages have names of a-z, 0-9, dots, plus and minus" ;;
esac

load_toolchain
with_lock
kernel=$(kernel_dir)
debs=$BUILD/deb-$ARCH
[ -r "$kernel/.built" ] || die "there is no ${kernel#"$TOP/"}: run 'make kernel' first"

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp'; rm -f '$BUILD'/linux-*_*.deb '$BUILD'/linux-upstream_*"
# For the programs in the headers of a 32-bit kernel, without a package that excludes
# gcc-multilib.
# shellcheck disable=SC2016
printf '#!/bin/sh\nexec %s -m32 "$@"\n' "${CC#ccache }" >"$tmp/i686-linux-gnu-gcc"
chmod +x "$tmp/i686-linux-gnu-gcc"
PATH=$PATH:$tmp

rm -f "$BUILD"/linux-*_*.deb
run_logged "$BUILD/log/deb-$ARCH.log" "packages of $(cat "$kernel/include/config/kernel.release") for $ARCH" \
	kmake "$kernel" bindeb-pkg DPKG_FLAGS=-d KDEB_COMPRESS=zstd KDEB_CHANGELOG_DIST=unstable
rm -rf "$debs"
mkdir "$debs"
mv "$BUILD"/linux-*_*.deb "$debs"
find "$debs" -name '*.deb' | sort
