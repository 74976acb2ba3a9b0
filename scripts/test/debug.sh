#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [MODES='MODE...'] debug.sh
#
# Run all tests on a kernel built to find bugs: the lean kernel with all KUnit suites
# and debugging options (kconfig/kunit.config, debug.config and, on x86-64,
# kasan.config). Boot it once for each MODE; run KUnit, then the selftests, each race
# test for a minute or more. A splat in the kernel's log, a memory leak or a failed
# test is a failure. MODE is KERNEL/PROGRAMS as in 'make test'; the default is all
# modes of ARCH.
#
# This is not for CI: on two busy cores the kernel with KASAN took 11 minutes to
# build, and each mode 20 to 27 minutes.
#
# The last line is 'N passed, N failed'; the exit status agrees.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

started=$(date +%s)

case $ARCH in
x86_64)
	fragments='kunit debug kasan'
	all_modes='x86_64/x86_64 x86_64/i386' ;;
i386)
	fragments='kunit debug'
	all_modes=i386/i386 ;;
esac
CONFIG=$BUILD/run/debug-$ARCH/debug.config
mkdir -p "${CONFIG%/*}"
for fragment in $fragments; do
	cat "$TOP/kconfig/$fragment.config"
done >"$CONFIG"
export ARCH CONFIG

# boot MODE: boot one guest and judge its output.
boot() {
	claim "debug-$(echo "$1" | tr / -)"
	with_lock
	_tests=$("$TOP/scripts/build/selftests.sh" "${1#*/}") || { fail "$1: the selftests do not build"; return; }
	"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/debug:/work" "$_tests:/kselftest"
	drop_lock

	_before=$failed _status=0
	MEM=${MEM:-2G} "$TOP/scripts/guest/qemu.sh" -d "$run" -t "${DEADLINE:-7200}" \
		"$(kernel_dir)" "$run/initramfs" >"$run/output" || _status=$?

	# KUnit ran at boot, and its report is in the log.
	judge_kunit "kunit-$ARCH"
	judge "debug-$1" "$run/output" "$_tests/kselftest-list.txt"
	# A splat or a leak shows in the status only.
	if [ $_status != 0 ] && [ "$failed" = "$_before" ]; then
		fail "$1: the guest ended with status $_status; its output: $run/output"
	fi
}

if "$TOP/scripts/build/kernel.sh"; then
	for mode in ${MODES:-$all_modes}; do
		boot "$mode"
	done
else
	fail "$ARCH: the kernel does not build"
fi

say "$(($(date +%s) - started)) s"
total
