#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Boot the kernel with a shell on this terminal.

usage() {
	cat <<EOF
usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] [ADD=PATH...] ${0##*/}

Boot the kernel that scripts/kernel.sh built with an interactive shell. The
files and folders named by ADD are put into the guest's /root. With HANDOUT=1
there is a libc for what gcc links dynamically.

'exit' ends the guest, Ctrl-A X ends QEMU in any case. Ctrl-C goes to the guest.
EOF
}

case ${1:-} in
-h | --help) usage; exit ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

check_arch
[ -t 0 ] || die "this needs a terminal"

mkdir -p "$BUILD/run"
cat >"$BUILD/run/motd" <<EOF

A shell in the guest. 'exit' or Ctrl-A X ends it; Ctrl-C goes to the guest.
The selftests are in /kselftest (/kselftest/rust_syscalls/demo shows the system calls)${ADD:+,
your files in /root}. After resizing the terminal: stty rows N cols N
EOF
tests=$("$TOP/scripts/selftests.sh" "$ARCH")
# shellcheck disable=SC2046 # one word per file
set -- "$TOP/scripts/guest/profile:/etc/profile" "$BUILD/run/motd:/etc/motd" "$tests:/kselftest" \
	$([ ! "$HANDOUT" ] || "$TOP/scripts/libc.sh" "$ARCH")
for path in ${ADD:-}; do
	[ -e "$path" ] || die "ADD=$path: there is no such file or folder"
	set -- "$@" "$path:/root/$(basename "$path")"
done
"$TOP/scripts/initramfs.sh" "$BUILD/run/shell.cpio" "$@"

size=$(stty size)
exec "$TOP/scripts/qemu.sh" -i -n "shell-$ARCH" \
	-a "quiet TERM=${TERM:-vt100} ROWS=${size% *} COLS=${size#* }" "$(kernel_dir)" "$BUILD/run/shell.cpio"
