#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: ktap.sh
#
# Test scripts/test/ktap.awk: only what passed counts as passed.

. "$(dirname "$0")/../lib/lib.sh"

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp'"
: >"$tmp/verdicts"
list=$tmp/list
printf 'c:hello\n' >"$list"
: >"$tmp/skips"

# verdict WHAT WANTED: $sum is what is wanted.
verdict() {
	if [ "$sum" = "$2" ]; then
		echo passed
	else
		echo failed
		say "ktap.awk: $1: '$sum' instead of '$2'"
	fi >>"$tmp/verdicts"
}

# judged WHAT SUM: the KTAP on standard input is judged so.
judged() {
	sum=$(awk -f "$TOP/scripts/test/ktap.awk" -v mode=m -v list="$list" -v skips="$tmp/skips" \
		-v junit="$tmp/junit" | tail -n 1)
	verdict "$1" "m: $2"
}

# program RESULT LINE…: the output of one program with these lines, and its result.
program() {
	_result=$1
	shift
	printf 'TAP version 13\n1..1\n# timeout set to 600\n# selftests: c: hello\n'
	[ $# = 0 ] || printf '# %s\n' "$@"
	printf '%s 1 selftests: c: hello%s\n' "${_result%%/*}" "${_result#*/}"
}

program ok/ 'TAP version 13' 1..2 'ok 1 a' 'ok 2 b' |
	judged 'all is well' '2 passed, 0 failed, 0 skipped as listed'
program 'not ok/ # exit=1' 'TAP version 13' 1..2 'ok 1 a' '# because' 'not ok 2 b' |
	judged 'a failure' '1 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 1..2 'ok 1 a' 'not ok 2 b' |
	judged 'a failure that the exit status hides' '1 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 1..3 'ok 1 a' 'ok 2 b' |
	judged 'a short plan' '2 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 1..1 'ok 1 a' 'ok 2 b' |
	judged 'more than planned' '2 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 'ok 1 a' |
	judged 'no plan' '1 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 1..2 'ok 1 a' 'ok 3 b' |
	judged 'a number left out' '2 passed, 1 failed, 0 skipped as listed'
program ok/ |
	judged 'a program that says nothing' '0 passed, 1 failed, 0 skipped as listed'
program 'not ok/ # exit=139' 'TAP version 13' 1..2 'ok 1 a' |
	judged 'a program that dies' '1 passed, 2 failed, 0 skipped as listed'
program 'not ok/ # TIMEOUT 600 seconds' 'TAP version 13' 1..1 'ok 1 a' |
	judged 'a program that hangs at its end' '1 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 1..2 'ok 1 a' 'ok 2 b # SKIP why' |
	judged 'a skip' '1 passed, 1 failed, 0 skipped as listed'
program 'ok/ # SKIP' |
	judged 'a program that skips' '0 passed, 1 failed, 0 skipped as listed'
program 'ok/ # SKIP' 'TAP version 13' '1..0 # SKIP why' |
	judged 'a program that skips all' '0 passed, 1 failed, 0 skipped as listed'
program ok/ 'TAP version 13' 1..1 'not ok 1 a # TODO why' |
	judged 'a TODO' '0 passed, 1 failed, 0 skipped as listed'
printf 'TAP version 13\n1..1\n# selftests: c: hello\n# TAP version 13\n# 1..2\n# ok 1 a\n' |
	judged 'a guest that dies' '1 passed, 3 failed, 0 skipped as listed'
judged 'nothing' '0 passed, 2 failed, 0 skipped as listed' </dev/null

printf 'm hello.b the machine has none\n' >"$tmp/skips"
program ok/ 'TAP version 13' 1..2 'ok 1 a' 'ok 2 b # SKIP why' |
	judged 'a listed skip' '1 passed, 0 failed, 1 skipped as listed'
program ok/ 'TAP version 13' 1..2 'ok 1 a' 'ok 2 b' |
	judged 'a listed skip that runs' '2 passed, 1 failed, 0 skipped as listed'
program 'ok/ # SKIP' 'TAP version 13' 1..1 'ok 1 b # SKIP why' |
	judged 'a program of listed skips' '0 passed, 0 failed, 1 skipped as listed'

# JUnit has the same results.
cat >"$tmp/junit.py" <<'END'
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot()
print(*suite.attrib.values(), *((c.get("name"), *((r.tag, r.get("message"), r.text) for r in c)) for c in suite))
END
program 'not ok/ # exit=1' 'TAP version 13' 1..3 'ok 1 a' 'ok 2 b # SKIP' "# <&\"$(printf '\033')\"" 'not ok 3 c' |
	judged 'all three' '1 passed, 1 failed, 1 skipped as listed'
sum=$(python3 "$tmp/junit.py" "$tmp/junit") || :
wanted="m 3 1 1 ('hello.a',) ('hello.b', ('skipped', 'the machine has none', None))"
wanted="$wanted ('hello.c', ('failure', 'hello.c', '    <&\"?\"\\n'))"
verdict JUnit "$wanted"

printf '* hello.b the machine has none\nother hello.a not here\n' >"$tmp/skips"
program ok/ 'TAP version 13' 1..2 'ok 1 a' 'ok 2 b # SKIP why' |
	judged 'a skip listed for all modes' '1 passed, 0 failed, 1 skipped as listed'
printf 'm hello.b\n' >"$tmp/skips"
program ok/ 'TAP version 13' 1..1 'ok 1 b # SKIP why' |
	judged 'a row without a reason' '0 passed, 1 failed, 1 skipped as listed'

# What is to judge by has to be there.
rm "$tmp/skips"
program ok/ 'TAP version 13' 1..1 'ok 1 a' |
	judged 'no file of skips' '1 passed, 1 failed, 0 skipped as listed'
: >"$tmp/skips"
for list in /dev/null "$tmp/none"; do
	program ok/ 'TAP version 13' 1..1 'ok 1 a' |
		judged "the list $list" '1 passed, 1 failed, 0 skipped as listed'
done

# KUnit: four spaces, and suites without a list.
list=
printf 'KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..2\n    ok 1 a\n    ok 2 b\nok 1 s\n' |
	judged 'KUnit' '2 passed, 0 failed, 0 skipped as listed'
printf 'KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: s\n    1..2\n    ok 1 a\n    ok 2 b\nok 1 s\n' |
	judged 'KUnit with a suite missing' '2 passed, 1 failed, 0 skipped as listed'

failed=$(grep -c failed "$tmp/verdicts" || :)
echo "$(grep -c passed "$tmp/verdicts") passed, $failed failed"
[ "$failed" = 0 ]
