#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME [RUNS=N] self-test.sh [PATTERN]...
#
# Grade our own solutions, each of which has to get all required points, and our planted
# faults, each of which has to fail the row that is the first part of its name, and to get
# as many required points as a line 'Points: N' of its patch says: all of them, or those
# that a PATTERN names; each in N guests. Each has a line with what failed and how long it
# took; build/grade/NAME/self-test has the rest. The last line is 'N passed, N failed'.

# shellcheck disable=SC2016 # Awk's
# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
for pattern; do
	shift
	pattern=${pattern%.patch}
	set -- "$@" "$pattern"
	[ "$(find "$HERE/solutions/$name" "$HERE/faults/$name" -mindepth 1 -maxdepth 1 \
		\( -name "$pattern" -o -name "$pattern.patch" \))" ] ||
		die "TESTS=$pattern: there are no such tests"
done
# Only for what follows; a user's environment may have them, and KEEP= removes a folder.
unset KEEP START OWN
case ${RUNS:-1} in
0* | *[!0-9]*) die "RUNS=$RUNS: not a number of runs" ;;
esac
HANDOUT=$name "$HERE/base.sh" >/dev/null
results=$BUILD/grade/$name/self-test solved=$BUILD/grade/$name/solved
mkdir -p "$results"
exec 8>>"$results/.lock"
wait_lock 8 "another make grade-test of $name is running"
solution=$(find "$HERE/solutions/$name/handout" -type f | sort | xargs cat "$BUILD/grade/$arch/key" | sha256sum)

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
	echo "$solution" >"$solved/of"
}

# rows ID CONDITION: the rows of its verdicts for which it holds.
rows() {
	awk -F'\t' "$2 { printf \"%s \", \$1 }" "$results/$1/verdicts"
}

# points ID: its required points
points() {
	awk -F'\t' '$4 == "required" { sum += $2 } END { print sum + 0 }' "$results/$1/verdicts"
}

# judge_own ID CONDITION EXPECTED [POINTS]: the rows for which the condition holds have to be
# the expected ones, in each of its guests. All rows fail in a guest that is stopped: what is
# to fail, but for boot, has to fail in a test of its own there.
judge_own() {
	_good=0 _bad='' _n=0
	mv "$results/$1/raw" "$results/$1/raw.1"
	for _raw in $(printf '%s\n' "$results/$1"/raw.* | sort -V); do
		_n=$((_n + 1))
		cp "$_raw" "$results/$1/raw"
		verdicts "$results/$1"
		_fails=$(rows "$1" '$5 == "fail"')
		_points=$(points "$1")
		if [ "$(rows "$1" "$2")" = "$3" ] && [ "${4:-$_points}" = "$_points" ] &&
			{ ! grep -q '^sound fail the guest was stopped' "$_raw" || [ "$3" = 'boot ' ] || grep -q "^${3}fail" "$_raw"; }; then
			_good=$((_good + 1))
		else
			_bad="$_bad; guest $_n: ${_fails:-nothing }with $_points points"
		fi
	done
	if [ "$_bad" ]; then
		failed=$((failed + 1)) _verdict=WRONG
	else
		passed=$((passed + 1)) _verdict=ok
	fi
	[ ! "${RUNS:-}$_bad" ] || _fails="${_fails:-nothing }in $_good of $_n guests$_bad "
	echo "$_verdict $name $1: fails ${_fails:-nothing }($(cat "$results/$1/seconds") s)"
}

# chosen ID PATTERN…: does one match?
chosen() {
	_id=$1
	shift
	for _pattern; do
		# shellcheck disable=SC2254 # a pattern
		case $_id in
		$_pattern) return ;;
		esac
	done
	return 1
}

[ $# != 0 ] || set -- '*'
for path in "$HERE/solutions/$name"/* "$HERE/faults/$name"/*; do
	id=$(basename "$path" .patch)
	chosen "$id" "$@" || continue
	if [ -f "$path" ]; then
		[ "$(cat "$solved/of" 2>/dev/null)" = "$solution" ] || solve
		rm -rf "$results/fault"
		mkdir "$results/fault"
		cp "$path" "$results/fault/"
		one "$id" "$results/fault" START="$solved"
		row=${id%%.*}
		judge_own "$id" "\$1 == \"$row\" && \$5 == \"fail\"" "$row " "$(sed -n 's/^Points: //p' "$path")"
	else
		if [ "$id" = handout ]; then
			solve
		else
			one "$id" "$path"
		fi
		judge_own "$id" '$4 == "required" && $5 != "pass"' ''
	fi
done
total
