#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Boot the kernel and show the system calls, or run the user's own program.

usage() {
	cat <<EOF
usage: [ARCH=x86_64|i386] [CONFIG=...] [PROG=FILE.c|FILE.rs] ${0##*/}

Boot the kernel that scripts/kernel.sh built and run the demo, which calls each
system call and shows its result and the log lines that it left, then redis.sh;
or PROG, and show what it made the kernel log. The exit status is that of the
demo or of PROG.
EOF
}

case ${1:-} in
-h | --help) usage; exit ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

check_arch
if [ "${PROG:-}" ]; then
	work=program
	file=$("$TOP/scripts/prog.sh" "$PROG")
	place=/program
else
	work=demo
	file=$("$TOP/scripts/selftests.sh" "$ARCH")
	place=/kselftest
fi
initramfs=$BUILD/run/$work-$ARCH.cpio
mkdir -p "$BUILD/run"
"$TOP/scripts/initramfs.sh" "$initramfs" "$TOP/scripts/guest/$work:/work" "$file:$place"

status=0
"$TOP/scripts/qemu.sh" -n "$work-$ARCH" -t "${DEADLINE:-120}" "$(kernel_dir)" "$initramfs" || status=$?
[ $status = 0 ] || say "${PROG:-the demo} ended with status $status"

# A real program, where it can be had.
redis=0
[ $work != demo ] || "$TOP/scripts/redis.sh" "$file" || redis=$?
case $redis in
0 | 3) ;;
*) say "the demo with Redis ended with status $redis"; status=1 ;;
esac
exit $status
