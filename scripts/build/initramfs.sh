#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] initramfs.sh OUT [FILE:PATH]...
#
# Pack a guest's root file system into OUT, a cpio archive: busybox (BUSYBOX=file or
# Debian's), the first process (scripts/guest/inside/init), the modules of the kernel
# that ARCH and CONFIG choose, and each FILE or folder of this machine as PATH. The same
# files give the same archive, byte for byte.

. "$(dirname "$0")/../lib/lib.sh"
[ $# != 0 ] || misused

out=$1
shift
root=$(mktemp -d)
at_exit "rm -rf '$root'"

# put FILE PATH: copy a file (of a link, its target) or the contents of a folder.
put() {
	mkdir -p "$root$(dirname "$2")"
	if [ -d "$1" ]; then
		mkdir -p "$root$2"
		cp -a "$1/." "$root$2"
	else
		cp -L --preserve=mode "$1" "$root$2"
	fi
}

# find_busybox: set $busybox to a statically linked one for ARCH. That for i386 is Debian's,
# unpacked in the cache.
find_busybox() {
	busybox=${BUSYBOX:-}
	[ "$busybox" ] || [ "$ARCH" != x86_64 ] || busybox=$(command -v busybox) ||
		die "busybox (package busybox-static) is missing: run 'make deps'"
	[ ! "$busybox" ] || return 0
	busybox=$(cache_dir)/busybox-$ARCH
	[ ! -x "$busybox" ] || return 0
	_deb=$("$TOP/scripts/setup/apt.sh" --arch="$ARCH" "$(. /etc/os-release && echo "$VERSION_CODENAME")" busybox-static) ||
		die "there is no busybox for $ARCH; give BUSYBOX=file"
	dpkg-deb -x "$_deb" "$root"
	mv "$(find "$root" -path '*/bin/busybox')" "$busybox.$$"
	mv "$busybox.$$" "$busybox"
	rm -r "${root:?}"/*
}

find_busybox
put "$busybox" /bin/busybox
put "$TOP/scripts/guest/inside/init" /init
put "$TOP/scripts/guest/inside/timeout" /usr/bin/timeout
modules=$(kernel_dir)/installed/lib/modules
[ ! -d "$modules" ] || put "$modules" /lib/modules
for pair; do
	put "${pair%:*}" "${pair##*:}"
done

(
	cd "$root" || exit
	# The clone may have been made with another umask.
	chmod -R u+w,go-w,a+rX .
	find . -mindepth 1 -exec touch -h -d @0 {} +
	find . -mindepth 1 -print0 | sort -z |
		cpio --null --create --quiet --format=newc --owner=+0:+0 --reproducible
) >"$out.new"
mv "$out.new" "$out"
