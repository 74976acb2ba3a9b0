#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME grade.sh PATCHES [RESULTS]
#
# Grade PATCHES: an archive patch.tar.gz, a folder with *.patch or patch/*.patch, or a
# folder of such archives and folders, one for each submission. RESULTS, by default
# build/grades-NAME, has a folder for each: feedback.txt, result.json,
# gradescope.json and logs; and for all grades.csv and grades.json.
#
# What has been graded is not built again while neither it nor the exercise changes, so
# that a batch that was interrupted goes on where it was. What ran for too long is tried
# once more the next time, when the machine may be less busy, and with another DEADLINE=
# or SPACE=. Other points in a rubric only change the results.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || [ $# = 2 ] || misused
patches=$1 results=${2:-$BUILD/grades-$name}
[ ! "${TESTER:-}" ] || [ -f "$TESTER" ] || die "TESTER=$TESTER: there is no such file"
[ ! "${TESTER:-}" ] || {
	TESTER=$(realpath "$TESTER")
	plain_path TESTER= "$TESTER"
}
[ "$patches" ] || die "which submissions? Say PATCHES=archive or folder"
[ -e "$patches" ] || die "PATCHES=$patches: there is no such file or folder"
wrong=$(awk '
	/^#/ || !NF { next }
	{
		n = split($4, before, ",")
		for (i = 1; i <= n && $4 != "-"; i++) if (!(before[i] in rows)) bad = 1
	}
	bad || $1 in rows || NF < 5 || $2 !~ /^[0-9]+$/ || $3 !~ /^(required|bonus|human)$/ { print ", line " FNR ": " $0; bad = 1; exit }
	{ rows[$1]; n_rows++ }
	END { if (!n_rows && !bad) print ": no row" }' "$HERE/$name.rubric")
[ ! "$wrong" ] || die "scripts/grade/$name.rubric$wrong: not an id of its own, whole points, a kind," \
	"- or ids of rows above that it depends on, a text"
"$HERE/sandbox.sh" -r "$HERE/inside:/g/scripts" true || die "nothing is graded without a sandbox"
"$HERE/sandbox.sh" "qemu-system-$arch" -version >/dev/null ||
	die "qemu-system-$arch cannot be started in the sandbox, which sees only /usr"
[ ! "${TESTER:-}" ] || "$HERE/sandbox.sh" -r "$TESTER:/tester.c" sh -c "$compile -o /tmp/tester /tester.c" ||
	die "TESTER=$TESTER does not build in the sandbox, without other files"
mkdir -p "$results"
# For our own ones only; a user's environment may have them, and KEEP= removes a folder.
unset KEEP START OWN RUNS
list=$(mktemp)
at_exit "rm -f '$list' '$list.graded' '$list.others'"

# has_patches FOLDER: is this one submission?
has_patches() {
	[ "$(patches_of "$1" -type f | head -n 1)" ]
}

# submissions: ID and path of each, an ID that is a plain name and none of our files'.
submissions() {
	if [ -f "$patches" ] || has_patches "$patches"; then
		printf '%s\n' "$patches"
	else
		find "$patches/" -mindepth 1 -maxdepth 1 ! -name '.*' \( -type f \( -name '*.tar' -o -name '*.tar.*' -o -name '*.tgz' \) -o -type d \) | sort
	fi | while IFS= read -r _path; do
		# All are called patch.tar.gz; the folder says whose it is.
		_id=$(case $_path in (patch.tar.gz | */patch.tar.gz) realpath "${_path%patch.tar.gz}." ;; (*) echo "$_path" ;; esac)
		_id=$(basename "$_id" | sed -E 's/\.(tgz|tar(\.[a-z0-9]+)?)$//; s/[^A-Za-z0-9_-]/_/g; s/^(-|$)/_/')
		# In a folder of folders, each holds an archive.
		if [ -d "$_path" ] && ! has_patches "$_path" && [ -f "$_path/patch.tar.gz" ]; then
			_path=$_path/patch.tar.gz
		fi
		printf '%s %s\n' "$_id" "$_path"
	done
}
_unread=$({
	find -H "$patches" -maxdepth 0 ! -readable
	find -H "${patches%/}/" -mindepth 1 -maxdepth 3 -name '.*' -prune -o ! -type l ! -readable -print
} 2>/dev/null | head -n 1)
[ ! "$_unread" ] || die "PATCHES=$patches: $_unread cannot be read"
[ ! "$(find "$patches" -maxdepth 1 -name '*[[:cntrl:]]*')" ] || die "PATCHES=$patches: a name has a control character"
submissions >"$list"
[ -s "$list" ] || die "PATCHES=$patches: there is no patch and no archive in it"
# What is no submission must not be missed.
[ ! -d "$patches" ] || if has_patches "$patches"; then
	find -H "${patches%/}" -mindepth 1 -maxdepth 3 -name '.*' -prune -o ! -path "${patches%/}/patch/*" \
		\( -name '*.tar*' ! -path "${patches%/}/patch.tar.gz" -o -name '*.tgz' -o -path "${patches%/}/*/*.patch" \) -print
else
	find "$patches/" -mindepth 1 -maxdepth 1 ! -name '.*' ! -type d ! \( -type f \( -name '*.tar' -o -name '*.tar.*' -o -name '*.tgz' \) \)
fi >"$list.others"
[ ! -s "$list.others" ] || die "PATCHES=$patches: neither an archive .tar.gz nor a folder with patches, or" \
	"beside patches: $(paste -sd' ' "$list.others")"
_twice=$(cut -d' ' -f1 "$list" | sort | uniq -d | head -n 1)
[ ! "$_twice" ] || die "PATCHES=$patches: two submissions would have the name $_twice"

key=$(HANDOUT=$name "$HERE/base.sh")

# state PATH: changes when a submission, or what it is graded by, does.
state() {
	{
		cat "$BUILD/grade/$arch/key"
		find "$HERE" "$HERE/inside" -maxdepth 1 -type f ! -name '*.rubric' ! -name self-test.sh | sort | xargs cat
		awk '{ print $1 }' "$HERE/$name.rubric"
		cat "$TOP/scripts/guest/inside/init" "$TOP/scripts/build/initramfs.sh" "$HERE/tests/grade.h" "$HERE/tests/$name"* ${TESTER:+"$TESTER"}
		if [ -d "$1" ]; then
			(cd "$1" && patches_of . -printf '%y %p\n' | sort && patches_of . -type f -exec sha256sum {} + | sort)
		else
			cat "$1"
		fi
	} | sha256sum
}

count=$(wc -l <"$list")
n=0
while IFS= read -r path <&5; do
	n=$((n + 1)) id=${path%% *} path=${path#* }
	now=$(state "$path")
	keep_results "$results/$id"
	last=$(cat "$results/$id/state" 2>/dev/null) || :
	limits="stopped at ${DEADLINE:-}/${SPACE:-}"
	if [ "$last" != "$now" ] && [ "$last" != "$limits $now" ]; then
		attempt "$BUILD/log/grade.log" "$n of $count: $id" env HANDOUT="$name" "$HERE/one.sh" "$path" "$results/$id" "$key"
		if [ "$status" != 0 ]; then
			fail "$id could not be graded"
			[ ! -d "$results/$id" ] || remove_results "$results/$id"
			continue
		fi
		if [ "$(state "$path")" != "$now" ]; then
			now='it has changed meanwhile'
		elif grep -qsE ' fail .*: it ran for too long|ended with (124|143)|fail it does not end' \
			"$results/$id/raw" "$results/$id/log/guest.txt"; then
			if [ "$last" = "again $now" ]; then now="$limits $now"; else now="again $now"; fi
		fi
		echo "$now" >"$results/$id/state"
	fi
	verdicts "$results/$id"
	echo "$id" >>"$list.graded"
	sed -n 's/^required  \(.*\) points$/   required \1/p; s/^bonus   *\(.*\)$/   bonus \1/p' "$results/$id/feedback.txt" |
		paste -sd' ' | sed "s/^/$id:/"
	[ ! "${TESTER:-}" ] || grep -q '^tester' "$HERE/$name.rubric" ||
		sed -n "s/^tester /$id: the tester, which does not count: /p" "$results/$id/raw" | tail -n 1
	awk -F'\t' -v id="$id" '$1 == "apply" && $5 == "fail" { print id ": " $6 }' "$results/$id/verdicts"
done 5<"$list"
[ -s "$list.graded" ] || exit 1

# The class: a line, or an object, for each that is in this batch.
while read -r id; do sed "s/^/$id\t/" "$results/$id/verdicts"; done <"$list.graded" |
	awk -F'\t' -v OFS=, '
	!($1 in seen) { seen[$1]; order[++n] = $1 }
	!($2 in rows) { rows[$2]; columns[++m] = $2 }
	{ cell[$1, $2] = $6; got[$1, $5] += $3 }
	END {
		printf "id,required,bonus"
		for (j = 1; j <= m; j++) printf ",%s", columns[j]
		print ""
		for (i = 1; i <= n; i++) {
			printf "%s,%d,%d", order[i], got[order[i], "required"], got[order[i], "bonus"]
			for (j = 1; j <= m; j++) printf ",%s", cell[order[i], columns[j]]
			print ""
		}
	}' >"$results/.grades.csv.new"
{
	printf '{"version": 1, "exercise": "%s", "submissions": [\n' "$name"
	first=1
	while read -r id; do
		[ "$first" ] || echo ,
		first=''
		cat "$results/$id/result.json"
	done <"$list.graded"
	echo ']}'
} >"$results/.grades.json.new"
for file in grades.csv grades.json; do
	keep_edited "$results/$file" "$results/grades.yours.${file##*.}"
	mv "$results/.$file.new" "$results/$file"
	written "$results/$file"
done
others=$(find "$results/" -mindepth 2 -maxdepth 2 -name verdicts | sed 's|/[^/]*$||; s|.*/||' | grep -cvxF -f "$list.graded") || :
say "in $results: grades.csv, grades.json, and a folder for each"
[ "$others" = 0 ] || say "the tables have only those of this PATCHES=, not the $others that were graded before: give a folder with all"
[ "$failed" = 0 ]
