# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Counting and judging the results of tests. Sourced by lib.sh.

# What runs tests counts in these, and ends with total.
passed=0 failed=0

# fail TEXT…: one failure.
fail() {
	echo "FAIL $*"
	failed=$((failed + 1))
}

# add_sum NAME TEXT: the last line of TEXT is the 'N passed, N failed' of a part.
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

# judge MODE OUTPUT [LIST]: add up the KTAP in the file OUTPUT, see ktap.awk, and write
# it to build/junit, which CI systems read.
judge() {
	mkdir -p "$BUILD/junit"
	_judged=$(awk -f "$TOP/scripts/test/ktap.awk" -v mode="$1" -v list="${3:-}" \
		-v junit="$BUILD/junit/$(echo "$1" | tr / -).xml" \
		-v skips="${skips:-$TOP/scripts/test/expected-skips}" "$2") || :
	printf '%s\n' "$_judged"
	add_sum "$1" "$_judged"
}

# judge_kunit MODE: add up what KUnit wrote to the console of the guest in $run at
# boot; the report is kunit.ktap beside it. A guest without a console gave none.
# shellcheck disable=SC2154 # claim sets it
judge_kunit() {
	awk -f "$TOP/scripts/test/kunit.awk" "$run/console.log" >"$run/kunit.ktap" || :
	judge "$1" "$run/kunit.ktap"
}

# total: the last line of what runs tests, and its exit status. No test is no success.
total() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ] && [ $passed != 0 ]
}
