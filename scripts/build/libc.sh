#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: libc.sh x86_64|i386
#
# Print the C library and the loader that dynamically linked programs need in the
# guest, as FILE:PATH for initramfs.sh.

. "$(dirname "$0")/../lib/lib.sh"

case ${1:-} in
x86_64) width=64 loader=/lib64/ld-linux-x86-64.so.2 ;;
i386) width=32 loader=/lib/ld-linux.so.2 ;;
*) misused ;;
esac

libc=$(realpath -s "$(gcc -m"$width" -print-file-name=libc.so.6)")
for file in "$loader" "$libc"; do
	[ -r "$file" ] || die "there is no $width-bit C library: run 'make deps HANDOUT=1'"
	echo "$file:$file"
done
