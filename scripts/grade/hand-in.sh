#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME [REPORT=file] hand-in.sh [test]
#
# Pack the commits of build/exercise-NAME since its first one as a course asks for
# them: build/hand-in-NAME/patch.tar.gz, with patch/ and in it what git format-patch
# makes, and beside it the report. groff makes a PDF of a report.ms; INFO0940 wants at most
# two pages. The patches have to apply to a fresh tree; checkpatch says what it thinks of
# them.
#
# test grades them instead, as a teacher would.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
case ${1:-} in
'' | test) ;;
*) misused ;;
esac
tree=$BUILD/exercise-$name out=$BUILD/hand-in-$name
[ -d "$tree/.git" ] || die "there is no $tree: run 'make exercise HANDOUT=$name' first"
changed=$(changes "$tree")
[ ! "$changed" ] ||
	die "$tree has changes that are not committed ('??' is what 'git add' has not got yet): commit them, or" \
		"'git stash -u'
$(echo "$changed" | head -n 10)"
git -C "$tree" symbolic-ref -q HEAD >/dev/null ||
	die "$tree is not on a branch: finish the rebase, or check out your branch"
root=$(git -C "$tree" rev-list --max-parents=0 HEAD)
[ "$(git -C "$tree" log -1 --format='%cn <%ce> %ct +0000' "$root")" = "$root_committer" ] ||
	die "$tree: its first commit was the kernel's source, and you have changed it, by --amend or a rebase:" \
		"go back to what it was (git reflog), and make your changes in a commit of their own"
[ "$(git -C "$tree" rev-list --count "$root..HEAD")" != 0 ] || die "$tree has no commit of yours"
[ ! "$(git -C "$tree" rev-list --merges "$root..HEAD")" ] || die "$tree has a merge; patches have none: rebase it"

# kernel_of REPOSITORY COMMIT: what it has besides exercise/, whose texts may be newer here.
kernel_of() {
	git --git-dir="$1" ls-tree "$2" | grep -v '	exercise$'
}

new=$(mktemp -d "$BUILD/.hand-in.XXXXXX")
chmod 755 "$new"
at_exit "rm -rf '$new'"
# patches OPTION…: those of its commits, without the configuration of its repository.
patches() {
	git clone -q --bare --shared --no-tags "$tree" "$new/git"
	git --git-dir="$new/git" format-patch -q "$@" "$root..HEAD"
	rm -rf "$new/git"
}

if [ "${1:-}" = test ]; then
	source=$(HANDOUT=$name "$TOP/scripts/setup/source.sh")
	[ "$(kernel_of "$source" "$(root "$source")")" = "$(kernel_of "$tree/.git" "$root")" ] ||
		die "$tree was made of another kernel than what grades it: give the LINUX= of 'make exercise'"
	patches --no-signature -o "$new/$name/patch"
	HANDOUT=$name "$HERE/grade.sh" "$new/$name" "$BUILD/test-$name"
	cat "$BUILD/test-$name/$name/feedback.txt"
	if grep -q '	required	\(fail\|blocked\)' "$BUILD/test-$name/$name/verdicts"; then exit 1; fi
	exit
fi

[ ! -e "$out" ] || die "$out exists: you may have handed it in; move or remove it first"
author=$(git -C "$tree" config user.name || :) email=$(git -C "$tree" config user.email || :)
if [ ! "$author" ] || [ ! "$email" ]; then
	die "who are you? Say it by git config --global user.name 'Your Name', and user.email"
fi
if [ "${REPORT:-}" ]; then
	{ [ -f "$REPORT" ] && [ -s "$REPORT" ]; } || die "REPORT=$REPORT: there is no such file, or nothing in it"
	case $REPORT in
	*.pdf | *.txt | *.md) cp "$REPORT" "$new/report.${REPORT##*.}" ;;
	*.ms)
		# What it includes is beside it. groff -s would include that too late for -K.
		(cd "$(dirname "$REPORT")" && soelim "./${REPORT##*/}" >"$new/whole.ms" &&
			groff -K utf8 -t -ms -T pdf -P-pa4 "$new/whole.ms") >"$new/report.pdf" 2>"$new/groff" ||
			die "REPORT=$REPORT: groff makes no PDF of it: $(cat "$new/groff")"
		! grep "can't find special character" "$new/groff" >&2 ||
			die "REPORT=$REPORT: groff's fonts have not all of its characters: give a PDF"
		! grep -E "can't open|No such file|premature end|unterminated|fatal|safer mode" "$new/groff" >&2 ||
			die "REPORT=$REPORT: groff's PDF has not all of it"
		cat "$new/groff" >&2
		rm "$new/groff" "$new/whole.ms" ;;
	*) die "REPORT=$REPORT: neither .pdf, .ms, .txt nor .md" ;;
	esac
	pages=$(pdfinfo "$new/report.pdf" 2>/dev/null | awk '$1 == "Pages:" { print $2 }')
	[ "$pages" ] || [ ! -e "$new/report.pdf" ] || die "REPORT=$REPORT: pdfinfo finds no page in it"
	[ "$name" != info0940 ] || [ "${pages:-0}" -le 2 ] ||
		die "REPORT=$REPORT has $pages pages; INFO0940 wants at most 2"
fi
patches -o "$new/patch"
! links=$(cd "$new/patch" && grep -lE '^(new file mode|new mode|index [0-9a-f]+\.\.[0-9a-f]+) [ +0]*1[26]' -- *) ||
	die "a link or a repository is not taken, and there is one in" "$links"

# applies: to the tree that who grades has.
applies() {
	GIT_INDEX_FILE=$new/index
	export GIT_INDEX_FILE
	git -C "$tree" read-tree "$root"
	for _patch in "$new"/patch/*.patch; do
		git -C "$tree" apply --cached --whitespace=nowarn "$_patch"
	done
	[ "$(git -C "$tree" write-tree)" = "$(git -C "$tree" rev-parse 'HEAD^{tree}')" ]
}
isolated applies
unset GIT_INDEX_FILE
[ $status = 0 ] || die "the patches do not give the tree again that they were made of"
rm -f "$new/index"
said=$(cd "$tree" && perl scripts/checkpatch.pl -q --no-signoff --ignore FILE_PATH_CHANGES "$new"/patch/*.patch </dev/null 2>/dev/null) || :
[ ! "$said" ] || say "checkpatch on your style, which a human grades:
$said
"
(cd "$new" && tar --owner=0 --group=0 --numeric-owner --sort=name -czf patch.tar.gz patch)
mkdir "$new/unpacked"
refused=$(python3 "$HERE/inside/unpack.py" "$new/patch.tar.gz" "$new/unpacked") || die "who grades would not take it: $refused"
rm -r "$new/unpacked"
mv -T "$new" "$out" || die "$out cannot be made: has another make submission made it?"
say "in $out: $(cd "$out" && echo [pr]*.*) (the archive has the patches only)"
say "Hand in what you have written: a course may give 0 for plagiarism, and the series that this"
say "exercise comes from is a public solution, which whoever grades can find as you did."
