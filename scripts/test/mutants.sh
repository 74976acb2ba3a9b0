#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [AREA=NAME] [MUTANT=PATTERN] [ARCH=x86_64|i386] mutants.sh
#
# Test the tests: make a plausible mistake in the kernel's code, build it, and see
# whether a test fails. Each scripts/test/mutants/AREA/NAME.patch is such a mutant, which
# its first line describes; AREA/tests says what judges it. They are applied, one at a
# time, to the last commit of build/linux, in a tree of their own in build/mutants.
#
# 'dead AREA/NAME: TEST' means that TEST has noticed. 'LIVES AREA/NAME' is a hole in the
# tests, and a failure unless the patch has a line 'Lives: REASON' above the change. A
# mutant that does not apply, or does not build without a warning, is a failure, too.
#
# Results are kept in build/mutants.tsv, as long as the tree (but for Documentation), the
# patch, AREA/tests, kconfig/ and the tools stay the same. Before an area's first mutant
# that has no result, the kernel without a mutant has to pass. The table of all results is
# build/mutants.rst.
#
# The last line is 'N passed, N failed'; the exit status agrees.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

HANDOUT='' LOCALVERSION=''
export HANDOUT LOCALVERSION
# build/mutants is a project of its own, with the same scripts and its own build/linux.
git=$TREE arch=$ARCH results=$BUILD/mutants
mkdir -p "$results/build/log"
ln -sfn "$TOP/scripts" "$TOP/kconfig" "$results"
TOP=$results
cp "$BUILD/toolchain.env" "$TOP/build"
touch "$results.tsv"
mutants=$TOP/scripts/test/mutants BUILD=$TOP/build TREE=$TOP/build/linux
load_toolchain
with_lock
# A new build/linux does not know the old one's worktree.
git --git-dir="$TREE/.git" rev-parse HEAD >/dev/null 2>&1 || {
	rm -rf "$TREE"
	git -C "$git" worktree add -qf --detach "$TREE"
}
git -C "$TREE" checkout -qf --detach "$(git -C "$git" rev-parse HEAD)"
tree=$({ git -C "$TREE" ls-tree HEAD | grep -v Documentation; cat "$TOP"/kconfig/*; tools || date +%s%N; } | sha256sum)
guest='' prepared=''
# shellcheck disable=SC2016 # when it exits
at_exit 'kill -- "-$guest" 2>/dev/null || :; git -C "$TREE" checkout -qf'

# prepare AREA: configure a kernel as AREA/tests says, and build the tests.
prepare() {
	# What AREA/tests may change: the kernel's ARCH; what it has besides the lean one
	# (kconfig/*.config); what to run in a guest (as for `make test`, and KUnit) and here
	# (prints 'not ok TEST' or 'FAIL TEST'); what the build says if it is right to refuse.
	ARCH=$arch fragments=mutants MEM=512M TESTS='' refusal=''
	host() { :; }
	build() { make_all "$out"; }
	# shellcheck source=/dev/null
	. "$mutants/$1/tests"
	CONFIG=$BUILD/$(echo "$fragments" | tr ' ' -).config
	for _fragment in $fragments; do
		grep -v DOCTESTS "$TOP/kconfig/$_fragment.config"
	done >"$CONFIG"
	export ARCH CONFIG MEM TESTS
	out=$(kernel_dir)
	"$TOP/scripts/build/kernel.sh" config
	[ ! "$TESTS" ] || selftests=$("$TOP/scripts/build/selftests.sh" "$ARCH")
	prepared=$1
}

# failures KTAP [LIST [SKIPS]]: the tests that have not passed, one a line.
failures() {
	awk -f "$TOP/scripts/test/ktap.awk" -v mode=mutants -v list="${2:-}" -v skips="${3:-}" "$1" |
		sed -n 's/^FAIL mutants: \([a-z0-9_]*\.[a-z0-9_]*\).*/\1/p; s/^FAIL mutants: //p'
}

# noticed: something has failed in the guest; what is in the kernel's log goes to $run/trouble.
noticed() {
	grep -qsaE '(^|[] #])not ok [0-9]' "$run/console.log" "$run/output" ||
		"$TOP/scripts/guest/trouble.sh" "$run/console.log" >"$run/trouble" 2>/dev/null
}

# in_guest: run the area's tests in a guest, until one fails. Print what has failed.
in_guest() {
	claim mutant
	choose "$selftests/kselftest-list.txt"
	"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/kselftest:/work" \
		"$selftests:/kselftest" "$run/choice:/choice"
	setsid "$TOP/scripts/guest/qemu.sh" -d "$run" -t 600 -a 'kunit.enable=1 kunit.autorun=1' \
		"$out" "$run/initramfs" >"$run/output" 2>"$run/errors" 7>&- 9>&- &
	guest=$! status=0 took=$(date +%s)
	while kill -0 $guest 2>/dev/null; do
		! noticed || kill -- -$guest 2>/dev/null || :
		sleep 1
	done
	wait $guest || status=$?
	guest=''
	took=$(($(date +%s) - took))
	kunit_results || :
	if ! noticed && [ $status != 0 ]; then
		# A guest that is stopped hangs only if it had three times as long as usual.
		if grep -q 'still running' "$run/errors" && [ "${DEADLINE:-600}" -ge $((3 * ${usual:-0})) ]; then
			echo hangs
		elif tail -n 5 "$run/console.log" | grep -qaE 'reboot: |Kernel panic'; then
			echo "ended without a result"
		else
			sed -n '$s/^/not judged: /p' "$run/errors"
		fi
	elif [ -s "$run/trouble" ]; then
		sed -n '/cut here/d; s/^\(\[[^]]*\]\)* //; p; q' "$run/trouble"
	else
		# This one tests that tests can be skipped.
		failures "$run/kunit.ktap" | grep -v 'rust_test_kunit_always_disabled_test$' || :
		failures "$run/output" "$run/list" "$run/skips"
	fi
}

# try NAME PATCH: set $verdict to how it ended, and $detail to why.
try() {
	log=$BUILD/log/mutant.log verdict=FAIL detail='does not apply'
	if [ "$2" != /dev/null ]; then git -C "$TREE" apply "$2" || return 0; fi
	renew "$out"
	attempt "$log" "$1" build
	if [ "$status" = 0 ] && ! grep -E '(^|: )warning: ' "$log" >&2; then
		failures=$BUILD/log/failures.log
		if [ "$TESTS" ]; then in_guest; fi >"$failures"
		[ -s "$failures" ] || host >"$log" 2>&1 </dev/null ||
			sed -En 's/^(not ok|FAIL) //p; $s/^/not judged: /p' "$log" >"$failures"
		detail=$(sed 1q "$failures" | tr -d '\t`\r')
		case $detail in
		'') verdict=LIVES ;;
		'not judged: '*) detail=${detail#*: } ;; # no test has noticed
		*) verdict=dead ;;
		esac
	elif [ "$refusal" ] && grep -q "$refusal" "$log"; then
		verdict=dead detail='the build'
	else
		detail='does not build, or not without a warning'
	fi
	git -C "$TREE" checkout -qf
}

# result AREA NAME PATCH: set $verdict and $detail to what is known; false if nothing is.
result() {
	key=$({ echo "$tree $arch"; cat "$mutants/$1/tests" "$3"; } | sha256sum | cut -c1-16)
	_known=$(grep "^$key" "$results.tsv" | tail -n 1)
	verdict=$(echo "$_known" | cut -f4) detail=$(echo "$_known" | cut -f5)
	[ "$_known" ]
}

# mutant AREA NAME PATCH: try it, and keep the result.
mutant() {
	result "$@" || :
	# How many seconds the guest of the unchanged kernel takes.
	usual=0 took=0
	[ "$2" = unchanged ] || usual=$(grep "	$1	unchanged	" "$results.tsv" | tail -n 1 | cut -f7)
	[ "$prepared" = "$1" ] || prepare "$1"
	_begin=$(date +%s)
	try "$1/$2" "$3"
	# Without a mutant, all tests must pass.
	[ "$2" != unchanged ] || [ "$verdict" = LIVES ] || die "$1 fails without a mutant: $detail"
	[ "$verdict" != FAIL ] || return 0
	printf '%s\t' "$key" "$1" "$2" "$verdict" "$detail" >>"$results.tsv"
	printf '%s\t%s\n' $(($(date +%s) - _begin)) "$took" >>"$results.tsv"
}

printf '.. list-table::\n   :header-rows: 1\n\n   * - Area\n     - Mistake\n     - Noticed by\n' >"$results.rst"
for patch in "$mutants"/*/*.patch; do
	area=${patch%/*} area=${area##*/} name=$(basename "$patch" .patch)
	reason=$(sed -n '/^--- /q; s/^Lives: //p' "$patch")
	# shellcheck disable=SC2254 # patterns
	case $area/$name in
	${AREA:-*}/${MUTANT:-*})
		result "$area" "$name" "$patch" || {
			[ "$area" = "${unchanged:-}" ] || mutant "$area" unchanged /dev/null
			unchanged=$area
			mutant "$area" "$name" "$patch"
		}
		case $verdict$reason in
		dead*) pass && echo "dead $area/$name: $detail" ;;
		LIVES?*) pass && echo "LIVES $area/$name: $reason" ;;
		LIVES) failed=$((failed + 1)) && echo "LIVES $area/$name" ;;
		*) fail "$area/$name: $detail" ;;
		esac ;;
	esac
	result "$area" "$name" "$patch" || continue
	[ "$verdict" = dead ] && by="\`\`$detail\`\`" || by="nothing${reason:+: $reason}"
	printf '   * - %s\n     - %s\n     - %s\n' "$area" "$(sed 1q "$patch")" "$by" >>"$results.rst"
done
total
