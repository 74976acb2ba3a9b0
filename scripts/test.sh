#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run all tests in all modes and add them up.

usage() {
	cat <<EOF
usage: [MODES='MODE...'] ${0##*/}

Build kernels and selftests, run the selftests in each MODE in a guest, and the
tests of the scripts. A mode is KERNEL/PROGRAMS, each x86_64 or i386; the
default is all: $all_modes.

The last line is 'N passed, N failed'; the exit status agrees with it.
EOF
}

all_modes='x86_64/x86_64 x86_64/i386 i386/i386'

case ${1:-} in
-h | --help) usage; exit ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

passed=0 failed=0

# add SUM: take what a part says last, 'N passed, N failed', into the total.
add() {
	_sum=$(printf '%s\n' "$1" | sed -n 's/^\(.*: \)\{0,1\}\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed.*/\2 \3/p')
	if [ "$_sum" ]; then
		passed=$((passed + ${_sum% *}))
		failed=$((failed + ${_sum#* }))
	else
		failed=$((failed + 1))
	fi
}

# part NAME COMMAND…: tests that run on this machine.
part() {
	_log=$BUILD/log/test-$1.log _status=0
	_title=$1
	shift
	"$@" >"$_log" 2>&1 </dev/null || _status=$?
	_last=$(tail -n 1 "$_log")
	_before=$failed
	add "$_last"
	if [ $_status != 0 ] && [ "$failed" = "$_before" ]; then
		failed=$((failed + 1))
	fi
	if [ "$failed" != "$_before" ]; then
		cat "$_log"
		echo "FAIL $_title: status $_status; the log: $_log"
	fi
	echo "$_title: ${_last:-said nothing}"
}

# guest MODE: the selftests in a guest.
guest() {
	_name=test-$(echo "$1" | tr / -)
	_output=$BUILD/log/$_name.output
	_initramfs=$BUILD/run/$_name.cpio
	_arch=${1%/*}

	if ! ARCH=$_arch "$TOP/scripts/kernel.sh" || ! _tests=$("$TOP/scripts/selftests.sh" "${1#*/}"); then
		echo "FAIL $1: does not build"
		failed=$((failed + 1))
		return
	fi
	mkdir -p "$BUILD/run"
	ARCH=$_arch "$TOP/scripts/initramfs.sh" "$_initramfs" "$TOP/scripts/guest/kselftest:/work" "$_tests:/kselftest"

	rm -f "$_output.status"
	{
		ARCH=$_arch "$TOP/scripts/qemu.sh" -n "$_name" -t "${DEADLINE:-1800}" \
			-a 'kunit.enable=1 kunit.autorun=1' \
			"$(ARCH=$_arch && kernel_dir)" "$_initramfs" ||
			echo $? >"$_output.status"
	} | tee "$_output" | grep --line-buffered -aE '^(not )?ok ' || :
	_judged=$(awk -f "$TOP/scripts/ktap.awk" -v mode="$1" -v skips="$TOP/scripts/expected-skips" \
		-v list="$_tests/kselftest-list.txt" "$_output") || :
	printf '%s\n' "$_judged"
	_before=$failed
	add "$(printf '%s\n' "$_judged" | tail -n 1)"
	_judged=$(awk -f "$TOP/scripts/kunit.awk" "$BUILD/run/$_name/console.log" |
		awk -f "$TOP/scripts/ktap.awk" -v mode="KUnit-$1" \
			-v skips="$TOP/scripts/expected-skips") || :
	printf '%s\n' "$_judged"
	add "$(printf '%s\n' "$_judged" | tail -n 1)"
	if [ -e "$_output.status" ]; then
		# What the guest does not say by a failed test, it says by its status.
		if [ "$failed" = "$_before" ]; then
			echo "FAIL $1: the guest ended with status $(cat "$_output.status")"
			failed=$((failed + 1))
		fi
		rm "$_output.status"
	fi
}

mkdir -p "$BUILD/log"
part ktap "$TOP/scripts/ktap-test.sh"
for mode in ${MODES:-$all_modes}; do
	guest "$mode"
done
part kernel "$TOP/scripts/kernel-test.sh"
# These need a kernel that is built.
part qemu "$TOP/scripts/qemu-test.sh"
part misuse "$TOP/scripts/misuse-test.sh"
part scripts "$TOP/scripts/selftest.sh"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
