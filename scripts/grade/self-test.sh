#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

usage() {
	cat <<-'END'
	usage: HANDOUT=NAME [ALL=1] self-test.sh [SOLUTION|FAULT]...

	Grade our own: the handout's solution, which has to get all required points, and a
	planted fault, which has to fail the row that is the first part of its name. ALL=1:
	all solutions and all faults. The last line is 'N passed, N failed'.
	END
}

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
choose "$name"
export OWN=1
mkdir -p "$BUILD/grade/$name"
batch=$BUILD/grade/$name/self-test
rm -rf "$batch"

# own ID FAULT…: a submission of ours, the handout's solution with a fault on top.
own() {
	mkdir -p "$batch/$1"
	if [ -d "$HERE/solutions/$name/$1" ]; then
		cp "$HERE/solutions/$name/$1"/*.patch "$batch/$1/"
	else
		[ -f "$HERE/faults/$name/$1.patch" ] || die "$1: neither a solution nor a fault of $name"
		cp "$HERE/solutions/$name/handout"/*.patch "$batch/$1/"
		cp "$HERE/faults/$name/$1.patch" "$batch/$1/9999-fault.patch"
	fi
}

if [ $# = 0 ]; then
	if [ "${ALL:-}" ]; then
		# shellcheck disable=SC2046 # names
		set -- $(cd "$HERE/solutions/$name" && ls) $(cd "$HERE/faults/$name" && ls | sed 's/\.patch$//')
	else
		# shellcheck disable=SC2046
		set -- handout $(cd "$HERE/faults/$name" && ls | sed 's/\.patch$//' | head -n 1)
	fi
fi
for id; do own "$id"; done
HANDOUT=$name "$HERE/grade.sh" "$batch" "$BUILD/grade/$name/self-test.results" >&2

# not_passed ID: the required rows that it has not.
not_passed() {
	awk -F'\t' '$4 == "required" && $5 != "pass" { printf "%s ", $1 }' "$BUILD/grade/$name/self-test.results/$1/verdicts"
}
# verdict ID ROW
verdict() {
	awk -F'\t' -v row="$2" '$1 == row { print $5 }' "$BUILD/grade/$name/self-test.results/$1/verdicts"
}

for id; do
	if [ -d "$HERE/solutions/$name/$id" ]; then
		bad=$(not_passed "$id")
		if [ ! "$bad" ]; then
			passed=$((passed + 1))
		else
			fail "the solution $id misses $bad"
		fi
	elif [ "$(verdict "$id" "${id%%.*}")" = fail ]; then
		passed=$((passed + 1))
	else
		fail "the fault $id: its row is $(verdict "$id" "${id%%.*}"); not passed: $(not_passed "$id")"
	fi
done
total
