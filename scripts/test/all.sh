#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [MODES='MODE...'] [TESTS='PROGRAM[.TEST]...'] [HANDOUT=1] [VM=1] all.sh
#        [ARCH=x86_64|i386] [MODES=...] [TESTS=...] all.sh --debug
#
# Build kernels and selftests, run the selftests in a guest for each MODE, then test
# the scripts. A mode is KERNEL/PROGRAMS; the default is all three:
# x86_64/x86_64 x86_64/i386 i386/i386
# With HANDOUT=1 the kernels have the handouts' numbers, and the handouts' programs
# are tests, too. With TESTS, run only these: PROGRAM can be a pattern, TEST is a
# name, or * for all. With VM=1, also boot Debian on a disk: the short form of
# scripts/vm/test.sh, on x86-64.
#
# With --debug, run the selftests on kernels of ARCH built to find bugs: the lean one with
# all KUnit suites and debugging options (kconfig/kunit.config, debug.config and, on
# x86-64, kasan.config). A race test takes a minute or more, and a memory leak is a
# failure, too. This is not for CI: on two busy cores the kernel with KASAN took 11
# minutes to build, and each mode 20 to 27 minutes.
#
# The last line is 'N passed, N failed'; the exit status agrees.

. "$(dirname "$0")/../lib/lib.sh"

debug='' all_modes='x86_64/x86_64 x86_64/i386 i386/i386'
case ${1:-} in
'') ;;
--debug)
	debug=debug-
	case $ARCH in
	x86_64) fragments='kunit debug kasan' all_modes='x86_64/x86_64 x86_64/i386' ;;
	i386) fragments='kunit debug' all_modes=i386/i386 ;;
	esac
	export MEM="${MEM:-2G}" DEADLINE="${DEADLINE:-7200}" ;;
*) misused ;;
esac
choose_modes "$all_modes"
# A folder of this run, for JUnit files. The lock stays when claim takes the next folder.
claim "${debug}test"
results=$run failed_tests=$run/failures
exec 6>&7
if [ "$debug" ]; then
	export CONFIG="$results/debug.config"
	(cd "$TOP/kconfig" && for fragment in $fragments; do cat "$fragment.config"; done) >"$CONFIG"
fi

load_toolchain

# part NAME COMMAND…: run tests on this machine.
part() {
	_log=$results/$1.log _status=0
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
	_failure=$([ "$failed" = "$_before" ] || echo "<failure message=\"see $_log\"/>")
	echo "<testsuite name=\"$_title\"><testcase name=\"$_title\">$_failure</testcase></testsuite>" \
		>"$results/$_title.xml"
}

# build_ahead: build the kernel of a later mode while the guest runs, which mostly sleeps.
# That mode runs kernel.sh again, which repeats and reports any failure.
build_ahead() {
	[ ! "$ahead" ] || return 0
	for _next in $modes; do
		[ "${_next%/*}" != "$_arch" ] || continue
		ARCH=${_next%/*} setsid nice -n 19 "$TOP/scripts/build/kernel.sh" >"$BUILD/log/ahead.log" 2>&1 6>&- 7>&- &
		ahead=$!
		at_exit "kill -- -$ahead 2>/dev/null || :"
		return
	done
}

# guest MODE: run the selftests in a guest.
guest() {
	claim "${debug:-test-}$(echo "$1" | tr / -)"
	_arch=${1%/*}

	with_lock
	same_tree
	ARCH=$_arch "$TOP/scripts/build/kernel.sh" || { fail "$1: the kernel does not build"; return; }
	_tests=$("$TOP/scripts/build/selftests.sh" "${1#*/}") || { fail "$1: the tests do not build"; return; }
	same_tree
	# A build may replace the list while the guest runs.
	_list=$run/list skips=''
	cp "$_tests/kselftest-list.txt" "$_list"
	[ ! "${TESTS:-}" ] || { choose "$_tests/kselftest-list.txt"; skips=$run/skips; }
	_libc=$([ ! "$HANDOUT" ] || libc "${1#*/}")
	# shellcheck disable=SC2086 # one word per file
	ARCH=$_arch "$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/kselftest:/work" "$_tests:/kselftest" \
		${TESTS:+"$run/choice:/choice"} $_libc
	(ARCH=$_arch; keep_kernel)
	drop_lock
	build_ahead

	# In one mode, more blocks of counters than the guest's memory would get by default:
	# cow_limits needs an image with 40,000.
	_blocks=''
	[ "$debug$1" != x86_64/x86_64 ] || _blocks=' cow_track.blocks=80000'

	{
		ARCH=$_arch "$TOP/scripts/guest/qemu.sh" -d "$run" -t 1800 \
			-a "kunit.enable=1 kunit.autorun=1${debug:+ DEBUG_TEST=1}$_blocks" \
			"$run/kernel" "$run/initramfs" && : >"$run/ended-well"
	} | tee "$run/output" | grep --line-buffered -aE '^(not )?ok ' || :
	_before=$failed
	judge "$debug$1" "$run/output" "$_list"
	[ "${TESTS:-}" ] || judge_kunit "KUnit-$debug$1"
	# A failure can also show in the guest's status only.
	[ -e "$run/ended-well" ] || [ "$failed" != "$_before" ] || fail "$1: the guest failed, though no test did"
}

# redis ARCH: compare with the count of a real program.
redis() {
	if command -v apt-get >/dev/null; then
		part "redis-$1" env ARCH="$1" "$TOP/scripts/test/redis.sh"
	else
		echo "skip redis-$1: there is no apt to get Debian's Redis with"
	fi
}

ahead='' tested=''
[ "${TESTS:-}$debug" ] || part ktap "$TOP/scripts/test/ktap.sh"
for mode in $modes; do
	guest "$mode"
	[ ! "${TESTS:-}$debug" ] || continue
	case $mode in
	x86_64/x86_64)
		redis x86_64
		part extmod-x86_64 env ARCH=x86_64 "$TOP/scripts/test/modules.sh"
		part refusals "$TREE/scripts/rust_syscall_test.sh" "$(ARCH=x86_64 && kernel_dir)"
		[ "$HANDOUT" ] || part own-syscall "$TOP/scripts/test/own-syscall.sh" ;;
	i386/*)
		redis i386
		part extmod-i386 env ARCH=i386 "$TOP/scripts/test/modules.sh"
		part regparm "$TREE/scripts/rust_regparm_test.sh" "$(ARCH=i386 && kernel_dir)" \
			LLVM="$LLVM" RUSTC="$RUSTC"
		part abi-fuzz env SEED=1 "$TOP/scripts/test/abi-fuzz.sh" ;;
	esac
done
# sum: of all; what is no test's failure has a file for CI systems, too.
sum() {
	[ ! -s "$failed_tests" ] || {
		echo '<testsuite name="make test">'
		sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g; s|.*|<testcase name="&"><failure/></testcase>|' "$failed_tests"
		echo '</testsuite>'
	} >"$results/make-test.xml"
	total
}

[ ! "${TESTS:-}$debug" ] || { sum; exit; }
with_lock
same_tree
drop_lock
# These need a built kernel.
part guest "$TOP/scripts/test/guest.sh"
part scripts "$TOP/scripts/test/scripts.sh"
part deploy "$TOP/scripts/test/deploy.sh"
[ ! "${VM:-}" ] || part vm env MODES=x86_64 "$TOP/scripts/vm/test.sh" --short

sum
