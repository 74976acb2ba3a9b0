#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] [PROG=FILE.c|FILE.rs] [CMD=COMMAND] run.sh
#
# Boot the kernel and run the demo, which calls each system call and shows its
# result and the lines it logged, then the demo with Redis; with HANDOUT=1, the
# handouts' programs instead, including 32-bit ones. With PROG, run that program,
# which is /program in the guest; with CMD, run that command in the guest's shell,
# with the selftests in /kselftest. The kernel log follows. The exit status is that
# of the program or command.

. "$(dirname "$0")/../lib/lib.sh"

with_lock
set --
if [ "${PROG:-}${CMD:-}" ]; then
	work=program
elif [ "$HANDOUT" ]; then
	work=handout
	for isa in $([ "$ARCH" = i386 ] || echo x86_64) i386; do
		file=$("$TOP/scripts/build/selftests.sh" "$isa")
		libc=$(libc "$isa")
		# shellcheck disable=SC2086 # one word per file
		set -- "$@" "$file/rust_syscalls/handouts:/handouts/$isa" $libc
	done
else
	work=demo
fi
claim "$work-$ARCH"
if [ "${PROG:-}" ]; then
	file=$("$TOP/scripts/build/program.sh" "$PROG")
	set -- "$file:/program"
fi
if [ "${CMD:-}" ]; then
	printf '%s\n' "$CMD" >"$run/command"
	set -- "$@" "$run/command:/command"
fi
if [ "${CMD:-}" ] || [ $work = demo ]; then
	file=$("$TOP/scripts/build/selftests.sh" "$ARCH")
	set -- "$@" "$file:/kselftest"
fi
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/$work:/work" "$@"
drop_lock

status=0
"$TOP/scripts/guest/qemu.sh" -d "$run" -t "${DEADLINE:-120}" "$(kernel_dir)" "$run/initramfs" || status=$?
[ $status = 0 ] || say "${CMD:-${PROG:-the demo}} ended with status $status"

# A real program, if available.
redis=0
[ $work != demo ] || "$TOP/scripts/test/redis.sh" "$file" || redis=$?
[ $redis = 0 ] || [ $redis = 3 ] || { say "the demo with Redis ended with status $redis"; status=1; }
exit $status
