#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: ktap.sh
#
# Test scripts/test/ktap.awk: only what passed counts as passed.

. "$(dirname "$0")/../lib/lib.sh"

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp'"
list=$tmp/list
printf 'c:hello\n' >"$list"
: >"$tmp/skips"

# same WHAT IS WANTED
same() {
	if [ "$2" = "$3" ]; then pass; else fail "ktap.awk: $1: '$2' instead of '$3'"; fi
}

# judged WHAT 'PASSED FAILED SKIPPED' < KTAP
judged() {
	_judged=$(awk -f "$TOP/scripts/test/ktap.awk" -v mode=m -v list="$list" -v skips="$tmp/skips" \
		-v junit="$tmp/junit" |
		sed -n '$s/^m: \(.*\) passed, \(.*\) failed, \(.*\) skipped as listed$/\1 \2 \3/p')
	same "$1" "$_judged" "$2"
}

# program WHAT SUM RESULT LINE…: the output of one program, with its result; RESULT is ok
# or 'not ok', with what follows the name.
program() {
	_what=$1 _sum=$2 _result=$3
	shift 3
	{
		printf 'TAP version 13\n1..1\n# timeout set to 600\n# selftests: c: hello\n'
		[ $# = 0 ] || printf '# %s\n' 'TAP version 13' "$@"
		printf '%s 1 selftests: c: hello%s\n' "${_result%%/*}" "${_result#*/}"
	} >"$tmp/ktap"
	judged "$_what" "$_sum" <"$tmp/ktap"
}

program 'all is well' '2 0 0' ok/ 1..2 'ok 1 a' 'ok 2 b'
program 'a failure' '1 1 0' 'not ok/ # exit=1' 1..2 'ok 1 a' '# because' 'not ok 2 b'
program 'a failure that the exit status hides' '1 1 0' ok/ 1..2 'ok 1 a' 'not ok 2 b'
program 'a short plan' '2 1 0' ok/ 1..3 'ok 1 a' 'ok 2 b'
program 'more than planned' '2 1 0' ok/ 1..1 'ok 1 a' 'ok 2 b'
program 'no plan' '1 1 0' ok/ 'ok 1 a'
program 'a plan made to fit' '1 1 0' ok/ 1..2 'ok 1 a' 1..1
program 'a number left out' '2 1 0' ok/ 1..2 'ok 1 a' 'ok 3 b'
program 'a program that says nothing' '0 1 0' ok/
program 'a program that dies' '1 2 0' 'not ok/ # exit=139' 1..2 'ok 1 a'
program 'a program that hangs at its end' '1 1 0' 'not ok/ # TIMEOUT 600 seconds' 1..1 'ok 1 a'
program 'a skip' '1 1 0' ok/ 1..2 'ok 1 a' 'ok 2 b # SKIP why'
program 'a skip in other letters' '1 1 0' ok/ 1..2 'ok 1 a' 'ok 2 b # Skip why'
program 'a skip in a program that dies' '1 2 0' 'not ok/ # exit=139' 1..2 'ok 1 a' 'ok 2 b # SKIP why'
program 'a program that skips' '0 1 0' 'ok/ # SKIP'
program 'a program that skips all' '0 1 0' 'ok/ # SKIP' '1..0 # SKIP why'
program 'a TODO' '0 1 0' ok/ 1..1 'not ok 1 a # TODO why'
echo '.* hello.b here it cannot be had' >"$tmp/skips"
program 'a program that dies after a listed skip' '1 1 1' 'not ok/ # exit=139' 1..2 'ok 1 a' 'not ok 2 b # SKIP why'
: >"$tmp/skips"
printf 'TAP version 13\n1..1\n# selftests: c: hello\n# TAP version 13\n# 1..2\n# ok 1 a\n' >"$tmp/ktap"
judged 'a guest that dies' '1 3 0' <"$tmp/ktap"
judged 'nothing' '0 2 0' </dev/null

echo hello.c >>"$list"
program 'a test asked for' '1 0 0' ok/ 1..1 'ok 1 c'
program 'a test asked for that is not there' '1 1 0' ok/ 1..1 'ok 1 a'
printf 'c:hello\n' >"$list"

echo 'm hello.b the machine has none' >"$tmp/skips"
program 'a listed skip' '1 0 1' ok/ 1..2 'ok 1 a' 'ok 2 b # SKIP why'
program 'a listed skip that runs' '2 1 0' ok/ 1..2 'ok 1 a' 'ok 2 b'
program 'a program of listed skips' '0 0 1' 'ok/ # SKIP' 1..1 'ok 1 b # SKIP why'

# JUnit has the same results.
cat >"$tmp/junit.py" <<'END'
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot()
print(*suite.attrib.values(), *((c.get("name"), *((r.tag, r.get("message"), r.text) for r in c)) for c in suite))
END
program 'all three' '1 1 1' 'not ok/ # exit=1' 1..3 'ok 1 a' 'ok 2 b # SKIP' "# <&\"$(printf '\033')\"" 'not ok 3 c'
wanted="m 3 1 1 ('hello.a',) ('hello.b', ('skipped', 'the machine has none', None))"
wanted="$wanted ('hello.c', ('failure', 'hello.c', '    <&\"?\"\\n'))"
same JUnit "$(python3 "$tmp/junit.py" "$tmp/junit" 2>&1 || :)" "$wanted"

run=$tmp results=''
{ printf '%s\n' 'TAP version 13' 1..1 '# selftests: c: hello' '# TAP version 13' '# 1..200'
	for i in $(seq 200); do echo "# ok $i a_test_with_a_name_$i"; done
	echo 'ok 1 selftests: c: hello'; } >"$tmp/ktap"
same 'JUnit on a full disk' "$( (ulimit -f 8; judge m "$tmp/ktap") 2>/dev/null | grep -c '^FAIL m: .*cannot be written')" 1

printf '.* hello.b the machine has none\no hello.a not here\nm. hello.a nor here\n' >"$tmp/skips"
program 'a skip listed for all modes' '1 0 1' ok/ 1..2 'ok 1 a' 'ok 2 b # SKIP why'
echo 'm hello.b' >"$tmp/skips"
program 'a row without a reason' '0 1 1' ok/ 1..1 'ok 1 b # SKIP why'

# What is to judge by has to be there.
rm "$tmp/skips"
program 'no file of skips' '1 1 0' ok/ 1..1 'ok 1 a'
: >"$tmp/skips"
for list in /dev/null "$tmp/none"; do
	program "the list $list" '1 1 0' ok/ 1..1 'ok 1 a'
done

# KUnit: four spaces, and suites without a list.
list=
for planned in 1 2; do
	printf '%s\n' 'KTAP version 1' 1..$planned '    KTAP version 1' '    # Subtest: s' \
		'    1..2' '    ok 1 a' '    ok 2 b' 'ok 1 s' >"$tmp/ktap"
	judged "KUnit, $planned planned" "2 $((planned - 1)) 0" <"$tmp/ktap"
done

total
