#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] [PROG=FILE.c|FILE.rs] [CMD=COMMAND] run.sh
#        [ARCH=...] [PROG=...] [CMD=...] [BREAK=CALL] run.sh --gdb
#
# Build the kernel, boot it and run the demo, which calls each system call and shows its
# result and the lines it logged, then the demo with Redis; with HANDOUT=1, the
# handouts' programs instead, including 32-bit ones. With PROG, run that program,
# which is /program in the guest; with CMD, run that command in the guest's shell,
# with the selftests in /kselftest. The kernel log follows. The exit status is that
# of the program or command.
#
# With --gdb, the kernel has debug information (CONFIG=gdb); boot it stopped, and
# attach gdb, with symbols loaded by lx-symbols and a breakpoint at the system call BREAK
# (hello). The guest then runs the demo, PROG or CMD.

. "$(dirname "$0")/../lib/lib.sh"

case ${1:-} in
'') ;;
--gdb)
	command -v gdb >/dev/null || die "gdb is missing: install the package gdb"
	export CONFIG=gdb HANDOUT='' DEADLINE=1000000 ;;
*) misused ;;
esac
gdb=${1:-}

with_lock
"$TOP/scripts/build/kernel.sh"
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
claim "${gdb:+gdb-}$work-$ARCH"
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
[ "$gdb" ] || keep_kernel
drop_lock

# with_gdb: in a session of its own, so that Ctrl-C goes to gdb only. The guest ends when
# gdb does, without a deadline. The socket has a relative name: the length is limited.
with_gdb() {
	out=$(kernel_dir)
	case $ARCH in
	x86_64) stub=__x64_sys_${BREAK:-hello} ;;
	i386) stub=__ia32_sys_${BREAK:-hello} ;;
	esac
	grep -q " $stub\$" "$out/System.map" || die "BREAK=$BREAK: there is no system call of that name"
	cd "$run" || exit
	setsid "$TOP/scripts/guest/qemu.sh" -d "$run" "$out" "$run/initramfs" \
		-S -gdb unix:gdb.socket,server=on,wait=off >"$run/log" 2>&1 &
	guest=$!
	at_exit "kill -- -$guest 2>/dev/null || :"
	while [ ! -S gdb.socket ]; do
		kill -0 $guest 2>/dev/null || { cat "$run/log" >&2; die "QEMU has ended: see above"; }
		sleep 0.2
	done
	say "the guest's console: $run/console.log"
	# Before start_kernel() the kernel is not mapped at the addresses of its symbols.
	gdb -q -iex "add-auto-load-safe-path $out" -iex 'set pagination off' -iex 'set confirm off' "$out/vmlinux" \
		-ex 'target remote gdb.socket' \
		-ex 'thbreak start_kernel' -ex continue -ex lx-symbols -ex "hbreak $stub" \
		-ex "echo \\nThe guest waits; 'continue' goes to the breakpoint.\\n"
}
[ ! "$gdb" ] || { with_gdb; exit; }

status=0
"$TOP/scripts/guest/qemu.sh" -d "$run" -t 120 "$run/kernel" "$run/initramfs" || status=$?
[ $status = 0 ] || say "${CMD:-${PROG:-the demo}} ended with status $status"

# A real program, if available.
redis=0
[ $work != demo ] || "$TOP/scripts/test/redis.sh" "$file" "$run/kernel" || redis=$?
[ $redis = 0 ] || [ $redis = 3 ] || { say "the demo with Redis ended with status $redis"; status=1; }
exit $status
