#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] gdb.sh
#
# Build the kernel with debug information (CONFIG=gdb), boot it with the demo,
# stopped, and attach gdb, with symbols loaded by lx-symbols and a breakpoint at
# sys_hello.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

command -v gdb >/dev/null || die "gdb is missing: install the package gdb"
export CONFIG=gdb
"$TOP/scripts/build/kernel.sh"
out=$(kernel_dir)
case $ARCH in
x86_64) stub=__x64_sys_hello ;;
i386) stub=__ia32_sys_hello ;;
esac

claim "gdb-$ARCH"
with_lock
tests=$("$TOP/scripts/build/selftests.sh" "$ARCH")
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/demo:/work" "$tests:/kselftest"
drop_lock

# In a session of its own, so that Ctrl-C goes to gdb only. The guest ends when gdb
# does, without a deadline. The socket has a relative name: the length is limited.
cd "$run"
setsid "$TOP/scripts/guest/qemu.sh" -d "$run" -t 1000000 "$out" "$run/initramfs" \
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
