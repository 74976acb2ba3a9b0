#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME [ALL=1] self-test.sh [SOLUTION|FAULT]...
#
# Grade our own: the handout's solution, which has to get all required points, and a
# planted fault, which has to fail the row that is the first part of its name. ALL=1:
# all solutions and all faults. The last line is 'N passed, N failed'.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
export OWN=1
HANDOUT=$name "$HERE/base.sh"
results=$BUILD/grade/$name/self-test solved=$BUILD/grade/$name/solved
rm -rf "$results" "$solved"
mkdir -p "$results"

# own ID: grade one of ours. A fault is a patch on top of the handout's solution, whose
# tree and kernel are kept for that.
own() {
	_id=$1 _from=$HERE/solutions/$name/$1
	set -- env HANDOUT="$name"
	if [ ! -d "$_from" ]; then
		[ -f "$HERE/faults/$name/$_id.patch" ] || die "$_id: neither a solution nor a fault of $name"
		[ -d "$solved" ] || own handout
		_id=$asked _from=$results/$asked.fault
		mkdir -p "$_from"
		cp "$HERE/faults/$name/$_id.patch" "$_from/"
		set -- env HANDOUT="$name" START="$solved"
	elif [ "$_id" = handout ]; then
		set -- env HANDOUT="$name" KEEP="$solved"
	fi
	[ -e "$results/$_id/verdicts" ] ||
		run_logged "$BUILD/log/grade.log" "$name: $_id" "$@" "$HERE/one.sh" "$_from" "$results/$_id"
}

if [ $# = 0 ]; then
	if [ "${ALL:-}" ]; then
		for _path in "$HERE/solutions/$name"/* "$HERE/faults/$name"/*; do
			set -- "$@" "$(basename "$_path" .patch)"
		done
	else
		set -- handout "$(basename "$(find "$HERE/faults/$name" -type f | sort | head -n 1)" .patch)"
	fi
fi
for asked; do own "$asked"; done

# not_passed ID: the required rows that it has not.
not_passed() {
	awk -F'\t' '$4 == "required" && $5 != "pass" { printf "%s ", $1 }' "$results/$1/verdicts"
}
# verdict ID ROW
verdict() {
	awk -F'\t' -v row="$2" '$1 == row { print $5 }' "$results/$1/verdicts"
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
