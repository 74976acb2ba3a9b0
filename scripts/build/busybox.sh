#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] busybox.sh
#
# Print the path of a statically linked busybox for ARCH, or BUSYBOX=file.

. "$(dirname "$0")/../lib/lib.sh"

if [ "${BUSYBOX:-}" ]; then
	echo "$BUSYBOX"
	exit
fi
if [ "$ARCH" = x86_64 ]; then
	command -v busybox || die "busybox (package busybox-static) is missing: run 'make deps'"
	exit
fi

# For i386, Debian's, unpacked in the cache.
busybox=$(cache_dir)/busybox-$ARCH
if [ ! -x "$busybox" ]; then
	deb=$("$TOP/scripts/setup/apt.sh" --arch="$ARCH" "$(. /etc/os-release && echo "$VERSION_CODENAME")" busybox-static) ||
		die "there is no busybox for $ARCH; give BUSYBOX=file"
	tmp=$(mktemp -d)
	at_exit "rm -rf '$tmp'"
	dpkg-deb -x "$deb" "$tmp"
	cp "$(find "$tmp" -path '*/bin/busybox')" "$busybox.new"
	mv "$busybox.new" "$busybox"
fi
echo "$busybox"
