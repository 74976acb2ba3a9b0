#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Debug the kernel: QEMU stopped at a system call written in Rust, gdb attached.

usage() {
	cat <<EOF
usage: [ARCH=x86_64|i386] [GDB_PORT=1234] ${0##*/} [--batch]

Build the kernel with debug information (CONFIG=gdb), boot it with the demo,
stopped, and attach gdb: symbols by lx-symbols, a breakpoint in sys_hello.
--batch goes there, shows the stack and ends.
EOF
}

batch=''
case ${1:-} in
'') ;;
--batch) batch=1 ;;
-h | --help) usage; exit ;;
*) usage >&2; exit 2 ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

check_arch
command -v gdb >/dev/null || die "gdb is missing: install the package gdb"
export CONFIG=gdb
"$TOP/scripts/kernel.sh"
out=$(kernel_dir)
case $ARCH in
x86_64) stub=__x64_sys_hello ;;
i386) stub=__ia32_sys_hello ;;
esac
port=${GDB_PORT:-1234}

mkdir -p "$BUILD/run"
tests=$("$TOP/scripts/selftests.sh" "$ARCH")
"$TOP/scripts/initramfs.sh" "$BUILD/run/gdb.cpio" "$TOP/scripts/guest/demo:/work" "$tests:/kselftest"

# A session of its own: Ctrl-C is for gdb. A guest that waits for its debugger
# has no deadline; it ends when gdb does.
setsid "$TOP/scripts/qemu.sh" -n "gdb-$ARCH" -t 1000000 "$out" "$BUILD/run/gdb.cpio" \
	-S -gdb "tcp:127.0.0.1:$port" >"$BUILD/log/gdb.log" 2>&1 &
guest=$!
trap 'kill -- -$guest 2>/dev/null || :' EXIT

say "the guest's console: build/run/gdb-$ARCH/console.log"
# Before the kernel's first C function its memory is not where the symbols say.
debug() {
	gdb -q -iex "add-auto-load-safe-path $out" -iex 'set pagination off' -iex 'set confirm off' "$out/vmlinux" \
		-ex "set tcp connect-timeout 30" -ex "target remote 127.0.0.1:$port" \
		-ex 'thbreak start_kernel' -ex continue -ex lx-symbols -ex "hbreak $stub" "$@"
}
if [ "$batch" ]; then
	debug -batch -ex continue -ex backtrace -ex kill </dev/null | tee "$BUILD/log/gdb-batch.log"
	grep -q "$stub (regs=" "$BUILD/log/gdb-batch.log" || die "the breakpoint in $stub was not reached"
else
	debug -ex "echo \\nThe guest waits; 'continue' goes to the breakpoint.\\n"
fi
