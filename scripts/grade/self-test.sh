#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME [ALL=1] self-test.sh [SOLUTION|FAULT]...
#
# Grade our own: the handout's solution, which has to get all required points, and a
# planted fault, which has to fail the row that is the first part of its name. ALL=1:
# all solutions and all faults. Each has a line with what was found and how long it took,
# in build/grade/NAME/self-test/matrix, too. The last line is 'N passed, N failed'.

# shellcheck disable=SC2016 # Awk's
# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
HANDOUT=$name "$HERE/base.sh"
results=$BUILD/grade/$name/self-test solved=$BUILD/grade/$name/solved
mkdir -p "$results"

# one ID FROM VARIABLE=VALUE…: grade what is in the folder FROM.
one() {
	_id=$1 _from=$2
	shift 2
	rm -rf "${results:?}/$_id"
	run_logged "$BUILD/log/grade.log" "$name: $_id" \
		env HANDOUT="$name" OWN=1 "$@" "$HERE/one.sh" "$_from" "$results/$_id"
}

# solve: the handout's solution. Its tree and kernel are kept: a fault is a patch on them.
solve() {
	rm -rf "$solved"
	one handout "$HERE/solutions/$name/handout" KEEP="$solved"
}

# rows ID CONDITION: the rows of its verdicts for which it holds.
rows() {
	awk -F'\t' "$2 { printf \"%s \", \$1 }" "$results/$1/verdicts"
}

# judge_own ID EXPECTED FOUND TEXT: what was found has to be what was expected.
judge_own() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1)) _verdict=ok
	else
		failed=$((failed + 1)) _verdict=WRONG
	fi
	echo "$_verdict $name $1: $4, $(cat "$results/$1/seconds") s" | tee -a "$results/matrix"
}

if [ $# = 0 ]; then
	if [ "${ALL:-}" ]; then
		for path in "$HERE/solutions/$name"/* "$HERE/faults/$name"/*; do
			set -- "$@" "$(basename "$path" .patch)"
		done
	else
		set -- handout "$(basename "$(find "$HERE/faults/$name" -type f | sort | head -n 1)" .patch)"
	fi
fi
for id; do
	fault=$HERE/faults/$name/$id.patch
	if [ -f "$fault" ]; then
		[ -d "$solved" ] || solve
		rm -rf "$results/fault"
		mkdir "$results/fault"
		cp "$fault" "$results/fault/"
		one "$id" "$results/fault" START="$solved"
		row=${id%%.*}
		judge_own "$id" "$row " "$(rows "$id" "\$1 == \"$row\" && \$5 == \"fail\"")" \
			"fails $(rows "$id" '$5 == "fail"')"
	else
		[ -d "$HERE/solutions/$name/$id" ] || die "$id: neither a solution nor a fault of $name"
		if [ "$id" = handout ]; then
			solve
		else
			one "$id" "$HERE/solutions/$name/$id"
		fi
		judge_own "$id" '' "$(rows "$id" '$4 == "required" && $5 != "pass"')" \
			"fails $(rows "$id" '$5 == "fail"')"
	fi
done
total
