#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What a program needs in the guest that gcc has linked dynamically.

usage() {
	cat <<EOF
usage: ${0##*/} x86_64|i386

Print, as FILE:PATH for scripts/build/initramfs.sh, the C library and the loader of
gcc's programs for the given instruction set: PATH is where they are looked for.
EOF
}

# shellcheck source=scripts/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

case ${1:-} in
x86_64) width=64 loader=/lib64/ld-linux-x86-64.so.2 ;;
i386) width=32 loader=/lib/ld-linux.so.2 ;;
*) misused ;;
esac

libc=$(realpath -s "$(gcc -m"$width" -print-file-name=libc.so.6)")
for file in "$loader" "$libc"; do
	[ -r "$file" ] || die "there is no C library of $width bits for gcc's programs: run 'make deps HANDOUT=1'"
	echo "$file:$file"
done
