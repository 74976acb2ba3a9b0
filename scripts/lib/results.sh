# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Counting and judging the results of tests. Sourced by lib.sh.

# Scripts that run tests count in these, and end with total.
passed=0 failed=0

# fail TEXT…: report and count a failure.
fail() {
	echo "FAIL $*"
	failed=$((failed + 1))
}

# add_sum NAME TEXT: add the 'N passed, N failed' in the last line of TEXT.
add_sum() {
	_sum=$(printf '%s\n' "$2" |
		sed -n '$s/^\(.*: \)\{0,1\}\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed.*/\2 \3/p')
	if [ "$_sum" ] && [ "$_sum" != '0 0' ]; then
		passed=$((passed + ${_sum% *}))
		failed=$((failed + ${_sum#* }))
	else
		fail "$1: its last line is no sum of tests"
	fi
}

# judge MODE OUTPUT [LIST]: count the results in the KTAP file OUTPUT (see ktap.awk), and
# write them to build/junit, for CI systems.
judge() {
	mkdir -p "$BUILD/junit"
	_judged=$(awk -f "$TOP/scripts/test/ktap.awk" -v mode="$1" -v list="${3:-}" \
		-v junit="$BUILD/junit/$(echo "$1" | tr / -).xml" \
		-v skips="${skips:-$TOP/scripts/test/expected-skips}" "$2") || :
	printf '%s\n' "$_judged"
	add_sum "$1" "$_judged"
}

# judge_kunit MODE: count the results that KUnit wrote to the guest's console at boot;
# they go to kunit.ktap in $run. A missing console is a failure.
# shellcheck disable=SC2154 # claim sets it
judge_kunit() {
	awk -f "$TOP/scripts/test/kunit.awk" "$run/console.log" >"$run/kunit.ktap" || :
	judge "$1" "$run/kunit.ktap"
}

# total: print the sum and return the status. No tests at all is a failure.
total() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ] && [ $passed != 0 ]
}
