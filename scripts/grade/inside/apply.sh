#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the sandbox: apply the patches of /g/in/patch to /g/src, in the order of their
# names; "git format-patch" and "diff -ru" both make such. A cover letter has no change.

set -eu
cd /g/src
# links: also those that git makes of a mode which is written in another way
links() {
	find . -type l -printf '%p %l\n' | sort
}
before=$(links)
some=''
for patch in /g/in/patch/*.patch; do
	name=$(basename "$patch")
	case $name in
	*0000-*) grep -aqE '^(diff|\+\+\+) ' "$patch" || continue ;;
	esac
	some=1
	if grep -aqE '^(new file mode|new mode|index [0-9a-f]+\.\.[0-9a-f]+) [ +0]*1[26]' "$patch"; then
		echo "$name makes a link or a repository, and not a file"
		exit 1
	fi
	# What the patches make must not be a repository, whose configuration names commands.
	git -c safe.bareRepository=explicit apply -p1 --whitespace=nowarn "$patch" || {
		echo "$name does not apply"
		exit 1
	}
done
[ "$(links)" = "$before" ] || { echo "the patches make or change a link, and not a file"; exit 1; }
[ "$some" ] || { echo "there is only a cover letter"; exit 1; }
