# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Counting and judging the results of tests. Sourced by lib.sh.

# Scripts that run tests count in these, and end with total.
passed=0 failed=0

# pass: count a success.
pass() {
	passed=$((passed + 1))
}

# each_of NAME LIST ALL: stop if a word of LIST, which the user gives as NAME=, is none of ALL,
# or if there is no word.
each_of() {
	_word=''
	for _word in $2; do
		case " $3 " in
		*" $_word "*) ;;
		*) die "$1=$_word: there is only $3" ;;
		esac
	done
	[ "$_word" ] || die "$1= is blank: there is only $3"
}

# choose_modes DEFAULT [ALL]: set $modes to MODES, or else to DEFAULT; each has to be one
# of ALL.
choose_modes() {
	modes=${MODES:-$1}
	each_of MODES "$modes" "${2:-$1}"
}

# fail TEXT…: report and count a failure, also in the file $failed_tests, if there is one.
fail() {
	echo "FAIL $*"
	[ ! "${failed_tests:-}" ] || echo "$*" >>"$failed_tests" || :
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
# write them for CI systems, to MODE.xml in $results or else in $run.
# shellcheck disable=SC2154 # claim sets $run
judge() {
	_xml=${results:-$run}/$(echo "$1" | tr / -).xml
	_judged=$(awk -f "$TOP/scripts/test/ktap.awk" -v mode="$1" -v list="${3:-}" -v junit="$_xml" \
		-v skips="${skips:-$TOP/scripts/test/expected-skips}" "$2") || :
	[ "$(tail -n 1 "$_xml")" = '</testsuite>' ] || fail "$1: $_xml cannot be written"
	printf '%s\n' "$_judged"
	add_sum "$1" "$_judged"
}

# kunit_results: write what KUnit wrote to the guest's console at boot to kunit.ktap in
# $run. A missing console is a failure.
kunit_results() {
	awk '{ sub(/\r$/, ""); sub(/^\[ *[0-9.]*\](\[ *[TC][0-9]*\])? /, "") }
		/^KTAP version/ { on = 1 }
		on && /^ *(KTAP version |1\.\.[0-9]|(not )?ok [0-9]|# )/' "$run/console.log" >"$run/kunit.ktap"
}

# judge_kunit MODE: count them.
judge_kunit() {
	kunit_results || :
	judge "$1" "$run/kunit.ktap"
}

# choose LIST: write the programs of a kselftest-list.txt that TESTS names to $run/list,
# what the guest needs for it to $run/choice, and the skips to expect to $run/skips.
# shellcheck disable=SC2154 # claim sets run
choose() {
	set -f
	for _pattern in $TESTS; do
		_test='' _none=1
		case $_pattern in *.?*) _test=${_pattern#*.} ;; esac
		[ "$_test" != '*' ] || _test=''
		while IFS=: read -r _collection _program; do
			# shellcheck disable=SC2254 # a pattern
			case $_program in ${_pattern%%.*}) _none='' && echo "$_collection:$_program $_program $_test" ;; esac
		done <"$1"
		[ ! "$_none" ] || die "TESTS=$_pattern: there are no such tests"
	done >"$run/chosen"
	set +f
	sort -u -o "$run/chosen" "$run/chosen"
	awk '!seen[$1]++ { print $1 } $3 { print $2 "." $3 }' "$run/chosen" >"$run/list"
	awk '!$3 { all[$2] } !($2 in all) { args[$2] = args[$2] " " $3 } { print "set -- \"$@\" -t " $1 }
		END { for (p in args) print "export KSELFTEST_" toupper(p) "_ARGS=\"" args[p] "\"" }' \
		"$run/chosen" | uniq >"$run/choice"
	awk '{ print " " $2 "\\." ($3 ? $3 : "[^ ]*") " " }' "$run/chosen" >"$run/rows"
	grep -f "$run/rows" "$TOP/scripts/test/expected-skips" >"$run/skips" || :
}

# same_tree: all parts have to test the same.
same_tree() {
	_tree=$(tree_id)
	[ "${tested:=$_tree}" = "$_tree" ] || fail "build/linux has changed meanwhile: not all parts have tested the same"
	tested=$_tree
}

# total: print the sum and return the status. No tests at all is a failure.
total() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ] && [ $passed != 0 ]
}
