#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run all tests in all modes and add them up.

usage() {
	cat <<EOF
usage: [MODES='MODE...'] [HANDOUT=1] ${0##*/}

Build kernels and selftests, run the selftests in each MODE in a guest, and the
tests of the scripts. A mode is KERNEL/PROGRAMS, each x86_64 or i386; the
default is all: $all_modes. With HANDOUT=1
the kernels have the handouts' numbers, and their programs are tests, too.

The last line is 'N passed, N failed'; the exit status agrees with it.
EOF
}

all_modes='x86_64/x86_64 x86_64/i386 i386/i386'

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

load_toolchain

# part NAME COMMAND…: tests that run on this machine.
part() {
	_log=$BUILD/log/test-$1.log _status=0
	_title=$1
	shift
	"$@" >"$_log" 2>&1 </dev/null || _status=$?
	_last=$(tail -n 1 "$_log")
	_before=$failed
	add_sum "$_title" "$_last"
	if [ $_status != 0 ] && [ "$failed" = "$_before" ]; then
		fail "$_title: ended with status $_status"
	fi
	if [ "$failed" != "$_before" ]; then
		cat "$_log"
		echo "FAIL $_title: the log: $_log"
	fi
	echo "$_title: ${_last:-said nothing}"
}

# guest MODE: the selftests in a guest.
guest() {
	claim "test-$(echo "$1" | tr / -)"
	_arch=${1%/*}

	with_lock
	if ! ARCH=$_arch "$TOP/scripts/kernel.sh" || ! _tests=$("$TOP/scripts/selftests.sh" "${1#*/}"); then
		fail "$1: does not build"
		return
	fi
	# shellcheck disable=SC2046 # one word per file
	ARCH=$_arch "$TOP/scripts/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/kselftest:/work" "$_tests:/kselftest" \
		$([ ! "$HANDOUT" ] || "$TOP/scripts/libc.sh" "${1#*/}")
	drop_lock

	# In one mode, more blocks of counters than its memory is for: cow_limits looks
	# at an image with 40,000.
	_blocks=''
	[ "$1" != x86_64/x86_64 ] || _blocks=' cow_track.blocks=80000'

	{
		ARCH=$_arch "$TOP/scripts/qemu.sh" -d "$run" -t "${DEADLINE:-1800}" \
			-a "kunit.enable=1 kunit.autorun=1$_blocks" \
			"$(ARCH=$_arch && kernel_dir)" "$run/initramfs" && : >"$run/ended-well"
	} | tee "$run/output" | grep --line-buffered -aE '^(not )?ok ' || :
	_before=$failed
	judge "$1" "$run/output" "$_tests/kselftest-list.txt"
	judge_kunit "KUnit-$1"
	# What the guest does not say by a failed test, it says by its status.
	[ -e "$run/ended-well" ] || [ "$failed" != "$_before" ] || fail "$1: the guest failed, though no test did"
}

# redis ARCH: a program of a distribution, and its own count.
redis() {
	if command -v apt-get >/dev/null; then
		part "redis-$1" env ARCH="$1" "$TOP/scripts/redis.sh"
	else
		echo "skip redis-$1: there is no apt to get Debian's Redis with"
	fi
}

mkdir -p "$BUILD/log"
part ktap "$TOP/scripts/ktap-test.sh"
for mode in ${MODES:-$all_modes}; do
	guest "$mode"
	case $mode in
	x86_64/x86_64)
		redis x86_64
		part extmod-x86_64 env ARCH=x86_64 "$TOP/scripts/extmod-test.sh"
		[ "$HANDOUT" ] || part own-syscall "$TOP/scripts/own-syscall-test.sh" ;;
	i386/*)
		redis i386
		part extmod-i386 env ARCH=i386 "$TOP/scripts/extmod-test.sh"
		part regparm "$TREE/scripts/rust_regparm_test.sh" "$(ARCH=i386 && kernel_dir)" \
			LLVM="$LLVM" RUSTC="$RUSTC" ;;
	esac
done
part kernel "$TOP/scripts/kernel-test.sh"
# These need a kernel that is built.
part qemu "$TOP/scripts/qemu-test.sh"
part misuse "$TOP/scripts/misuse-test.sh"
part scripts "$TOP/scripts/selftest.sh"

total
