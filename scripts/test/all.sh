#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [MODES='MODE...'] [TESTS='PROGRAM[.TEST]...'] [HANDOUT=1] all.sh
#
# Build kernels and selftests, run the selftests in a guest for each MODE, then test
# the scripts. A mode is KERNEL/PROGRAMS; the default is all three:
# x86_64/x86_64 x86_64/i386 i386/i386
# With HANDOUT=1 the kernels have the handouts' numbers, and the handouts' programs
# are tests, too. With TESTS, run only these: PROGRAM can be a pattern, TEST is a
# name, or * for all.
#
# The last line is 'N passed, N failed'; the exit status agrees.

all_modes='x86_64/x86_64 x86_64/i386 i386/i386'

. "$(dirname "$0")/../lib/lib.sh"

load_toolchain

# part NAME COMMAND…: run tests on this machine.
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
	_failure=''
	[ "$failed" = "$_before" ] || _failure="<failure message=\"see $_log\"/>"
	echo "<testsuite name=\"$_title\"><testcase name=\"$_title\">$_failure</testcase></testsuite>" \
		>"$BUILD/junit/$_title.xml"
}

# choose LIST: write the programs of a kselftest-list.txt that TESTS names to $run/list,
# what the guest needs for it to $run/choice, and the skips to expect to $run/skips.
choose() {
	set -f
	for _pattern in $TESTS; do
		_test=''
		case $_pattern in *.?*) _test=${_pattern#*.} ;; esac
		[ "$_test" != '*' ] || _test=''
		while IFS=: read -r _collection _program; do
			# shellcheck disable=SC2254 # a pattern
			case $_program in ${_pattern%%.*}) echo "$_collection:$_program $_program $_test" ;; esac
		done <"$1"
	done | sort -u >"$run/chosen"
	set +f
	[ -s "$run/chosen" ] || die "TESTS=$TESTS: there are no such tests"
	cut -d' ' -f1 "$run/chosen" | uniq >"$run/list"
	awk '{ args[$2] = args[$2] " " $3; print "set -- \"$@\" -t " $1 }
		END { for (p in args) print "export KSELFTEST_" toupper(p) "_ARGS=\"" args[p] "\"" }' \
		"$run/chosen" | uniq >"$run/choice"
	awk '{ print " " $2 "\\." ($3 ? $3 : "[^ ]*") " " }' "$run/chosen" >"$run/rows"
	grep -f "$run/rows" "$TOP/scripts/test/expected-skips" >"$run/skips" || :
}

# build_ahead: build the kernel of a later mode while the guest runs, which mostly sleeps.
# That mode runs kernel.sh again, which repeats and reports any failure.
build_ahead() {
	[ ! "$ahead" ] || return 0
	for _next in ${MODES:-$all_modes}; do
		[ "${_next%/*}" != "$_arch" ] || continue
		ARCH=${_next%/*} setsid nice -n 19 "$TOP/scripts/build/kernel.sh" >"$BUILD/log/ahead.log" 2>&1 7>&- &
		ahead=$!
		at_exit "kill -- -$ahead 2>/dev/null || :"
		return
	done
}

# guest MODE: run the selftests in a guest.
guest() {
	claim "test-$(echo "$1" | tr / -)"
	_arch=${1%/*}

	with_lock
	if ! ARCH=$_arch "$TOP/scripts/build/kernel.sh" || ! _tests=$("$TOP/scripts/build/selftests.sh" "${1#*/}"); then
		fail "$1: does not build"
		return
	fi
	_list=$_tests/kselftest-list.txt skips=''
	[ ! "${TESTS:-}" ] || { choose "$_list"; _list=$run/list skips=$run/skips; }
	# shellcheck disable=SC2046 # one word per file
	ARCH=$_arch "$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/kselftest:/work" "$_tests:/kselftest" \
		${TESTS:+"$run/choice:/choice"} $([ ! "$HANDOUT" ] || "$TOP/scripts/build/libc.sh" "${1#*/}")
	drop_lock
	build_ahead

	# In one mode, more blocks of counters than the guest's memory would get by default:
	# cow_limits needs an image with 40,000.
	_blocks=''
	[ "$1" != x86_64/x86_64 ] || _blocks=' cow_track.blocks=80000'

	{
		ARCH=$_arch "$TOP/scripts/guest/qemu.sh" -d "$run" -t "${DEADLINE:-1800}" \
			-a "kunit.enable=1 kunit.autorun=1$_blocks" \
			"$(ARCH=$_arch && kernel_dir)" "$run/initramfs" && : >"$run/ended-well"
	} | tee "$run/output" | grep --line-buffered -aE '^(not )?ok ' || :
	_before=$failed
	judge "$1" "$run/output" "$_list"
	[ "${TESTS:-}" ] || judge_kunit "KUnit-$1"
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

ahead=''
rm -rf "$BUILD/junit"
mkdir -p "$BUILD/junit"
[ "${TESTS:-}" ] || part ktap "$TOP/scripts/test/ktap.sh"
for mode in ${MODES:-$all_modes}; do
	guest "$mode"
	[ ! "${TESTS:-}" ] || continue
	case $mode in
	x86_64/x86_64)
		redis x86_64
		part extmod-x86_64 env ARCH=x86_64 "$TOP/scripts/test/modules.sh"
		[ "$HANDOUT" ] || part own-syscall "$TOP/scripts/test/own-syscall.sh" ;;
	i386/*)
		redis i386
		part extmod-i386 env ARCH=i386 "$TOP/scripts/test/modules.sh"
		part regparm "$TREE/scripts/rust_regparm_test.sh" "$(ARCH=i386 && kernel_dir)" \
			LLVM="$LLVM" RUSTC="$RUSTC" ;;
	esac
done
[ ! "${TESTS:-}" ] || { total; exit; }
part kernel "$TOP/scripts/test/config.sh"
# These need a built kernel.
part qemu "$TOP/scripts/test/guest.sh"
part misuse "$TOP/scripts/test/misuse.sh"
part scripts "$TOP/scripts/test/scripts.sh"

total
