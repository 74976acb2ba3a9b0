#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: source.sh [--update]
#
# Find the kernel source and keep it in the cache as a bare git repository whose
# branch "base" is one commit; print the repository's path. The first of these that
# the environment asks for or that works:
#
#   LINUX=dir           a git tree (its HEAD) or a plain unpacked tree; only read
#   LINUX_TARBALL=file  a tarball
#                       (both of another version, too, with HANDOUT=NAME)
#   the cache           what one of the next two left there, unless --update
#   Debian              PACKAGE of SUITE
#   kernel.org          the newest tarball (KERNEL_ORG=url for a mirror)

. "$(dirname "$0")/../lib/lib.sh"

PACKAGE=linux-source-$SERIES_BASE
SUITE=trixie-backports
KERNEL_ORG=${KERNEL_ORG:-https://cdn.kernel.org/pub/linux/kernel/v${SERIES_BASE%%.*}.x}

update=
case ${1:-} in
'') ;;
--update) update=1 ;;
*) misused ;;
esac

cache=$(cache_dir)
downloads=$cache/downloads
bases=$cache/base
log=$BUILD/log/source.log
mkdir -p "$downloads/partial" "$bases"

# The cache is shared with other clones: one at a time.
exec 8>>"$cache/.lock"
wait_lock 8 "another make is using $cache"

# A temporary folder of our own; leftovers of an interrupted run are not used.
rm -rf "$cache"/tmp.*
tmp=$(mktemp -d "$cache/tmp.XXXXXX")
at_exit "rm -rf '$tmp'"
base=

# kernel_version < Makefile
kernel_version() {
	awk '$2 == "=" && $1 ~ /^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)$/ { v[$1] = $3 }
		END { print v["VERSION"] "." v["PATCHLEVEL"] "." v["SUBLEVEL"] v["EXTRAVERSION"] }'
}

# check_version VERSION WHERE: only exercises are done without the series.
check_version() {
	case $1 in
	"$SERIES_BASE".*) ;;
	*..*) die "$2 is no Linux source tree" ;;
	*) [ "$exercise" ] || die "$2 is Linux $1; the series is for $SERIES_BASE.y" ;;
	esac
}

# is_cached WHAT: is $base there? It may have been put there for an exercise.
is_cached() {
	[ -d "$base" ] || return
	check_version "$(git --git-dir="$base" cat-file blob base:Makefile | kernel_version)" "$1"
}

# check_unapplied WHERE < MAINTAINERS
check_unapplied() {
	! grep -qx 'RUST SYSTEM CALLS' || die "$1 already has the series applied: give a tree without it"
}

# commit_base REPOSITORY TREE WHAT: make the branch "base" from the tree object.
# The same tree always gives the same commit, so the series has the same hashes.
commit_base() {
	_version=$(git -C "$1" cat-file blob "$2:Makefile" 2>/dev/null | kernel_version)
	check_version "$_version" "$3"
	git -C "$1" cat-file blob "$2:MAINTAINERS" | check_unapplied "$3" || exit
	_commit=$(echo "Linux $_version" | GIT_AUTHOR_NAME=base GIT_AUTHOR_EMAIL=base@localhost \
		GIT_AUTHOR_DATE='2000-01-01T00:00:00Z' GIT_COMMITTER_NAME=base \
		GIT_COMMITTER_EMAIL=base@localhost GIT_COMMITTER_DATE='2000-01-01T00:00:00Z' \
		git -C "$1" commit-tree "$2")
	git -C "$1" update-ref refs/heads/base "$_commit"
	git -C "$1" symbolic-ref HEAD refs/heads/base
	echo "Linux $_version from $3" >"$1/description"
}

# publish REPOSITORY NAME: move a complete repository to its place in the cache and set
# $base. It is packed since git syncs packs to disk, but not loose objects.
publish() {
	git -C "$1" repack -q -d
	rm -rf "$bases/$2.git"
	mv "$1" "$bases/$2.git"
	base=$bases/$2.git
}

# add_files REPOSITORY DIRECTORY: add all files, whatever the .gitignore says.
# If every file counts as big, git writes one pack instead of an object per file.
add_files() {
	git --git-dir="$1" --work-tree="$2" -c core.bare=false -c core.bigFileThreshold=1 \
		-c core.compression=1 add -f -A "$2"
	! git --git-dir="$1" ls-files -s | grep -q ^160000 || die "$2 has a git repository inside: its files would be missing"
	_ignore=$(open_gitignore <"$2/.gitignore" | git --git-dir="$1" hash-object -w --stdin)
	git --git-dir="$1" update-index --cacheinfo "100644,$_ignore,.gitignore"
}

# Debian's .gitignore ignores everything, which would hide new files.
open_gitignore() {
	sed '/^#$/N; /\n# Debian packaging: ignore/,$d'
}

# from_tarball FILE NAME WHAT
from_tarball() {
	base=$bases/$2.git
	! is_cached "$3" || return 0
	need_space "$cache" 2600 "unpacking the kernel source"
	mkdir "$tmp/unpacked"
	attempt "$log" "Unpacking $3" env XZ_DEFAULTS=-T0 tar -C "$tmp/unpacked" -xf "$1"
	[ "$status" = 0 ] || die "$3 cannot be unpacked"
	_root=$(echo "$tmp"/unpacked/*)
	[ -f "$_root/Makefile" ] || die "$3 is no kernel tarball"
	check_version "$(kernel_version <"$_root/Makefile")" "$3"
	open_gitignore <"$_root/.gitignore" >"$tmp/gitignore"
	cat "$tmp/gitignore" >"$_root/.gitignore"
	git init -q --bare "$tmp/base.git"
	run_logged "$log" "Importing it into git" add_files "$tmp/base.git" "$_root"
	commit_base "$tmp/base.git" "$(git --git-dir="$tmp/base.git" write-tree)" "$3"
	# The first build/linux takes these files over, instead of checking them out.
	mv "$_root" "$tmp/base.git/files"
	publish "$tmp/base.git" "$2"
}

# The user's git tree: copy HEAD, without history, to a repository of ours.
from_git() {
	_changes=$(git --no-optional-locks -C "$LINUX" status --porcelain --untracked-files=no)
	[ ! "$_changes" ] || die "LINUX=$LINUX has uncommitted changes: commit or stash them first"
	_tree=$(git -C "$LINUX" rev-parse 'HEAD^{tree}')
	! git -C "$LINUX" ls-tree -r "$_tree" | grep -q '^160000' || die "LINUX=$LINUX has a git repository inside: its files would be missing"
	base=$bases/git-$_tree.git
	! is_cached "LINUX=$LINUX" || return 0
	need_space "$cache" 800 "a copy of LINUX=$LINUX"
	git init -q --bare "$tmp/base.git"
	git -C "$LINUX" rev-parse --path-format=absolute --git-path objects >"$tmp/base.git/objects/info/alternates"
	commit_base "$tmp/base.git" "$_tree" "LINUX=$LINUX"
	run_logged "$log" "Copying HEAD of LINUX=$LINUX" git -C "$tmp/base.git" repack -q -a -d
	rm "$tmp/base.git/objects/info/alternates"
	publish "$tmp/base.git" "git-$_tree"
}

# The user's plain tree. Its repository stays in the cache with its index, so that
# importing the same tree again takes a second.
from_directory() {
	check_version "$(kernel_version <"$LINUX/Makefile")" "LINUX=$LINUX"
	check_unapplied "LINUX=$LINUX" <"$LINUX/MAINTAINERS"
	if [ -e "$LINUX/.config" ] || [ -e "$LINUX/include/config" ]; then
		die "LINUX=$LINUX has been built in: run 'make mrproper' there, or give a clean tree"
	fi
	base=$bases/dir-$(echo "$LINUX" | sha256sum | cut -c1-16).git
	if [ ! -d "$base" ]; then
		need_space "$cache" 800 "a copy of LINUX=$LINUX"
		git init -q --bare "$base"
	fi
	rm -f "$base/index.lock"
	run_logged "$log" "Importing LINUX=$LINUX into git" add_files "$base" "$LINUX"
	commit_base "$base" "$(git --git-dir="$base" write-tree)" "LINUX=$LINUX"
}

from_package() {
	_deb=$("$TOP/scripts/setup/apt.sh" "$SUITE" "$PACKAGE") || return 0
	_version=${_deb#*_} _version=${_version%_*}
	say "kernel source: $PACKAGE $_version, from $SUITE"
	mkdir "$tmp/package"
	dpkg-deb -x "$_deb" "$tmp/package" || die "$_deb cannot be unpacked: remove it and try again"
	from_tarball "$tmp/package/usr/src/$PACKAGE.tar.xz" "debian-$_version" "$PACKAGE $_version"
}

# fetch FILE TARGET: download from kernel.org, or resume a download.
fetch() {
	curl -fsSL --connect-timeout 10 --retry 2 -C - -o "$2" "$KERNEL_ORG/$1"
}

# The tarball must have the checksum that kernel.org's signed list gives it.
from_kernel_org() {
	command -v curl >/dev/null || { say "kernel.org: needs curl"; return 0; }
	_sums=$tmp/sha256sums.asc
	attempt "$log" "Asking $KERNEL_ORG for $SERIES_BASE.y" fetch sha256sums.asc "$_sums"
	[ "$status" = 0 ] || return 0
	check_signature "$_sums"
	_line=$(grep -E "^[0-9a-f]{64}  linux-$SERIES_BASE(\.[0-9]+)?\.tar\.xz\$" "$_sums" | sort -Vk2 | tail -n 1)
	[ "$_line" ] || { say "kernel.org has no linux-$SERIES_BASE.y.tar.xz"; return 0; }
	_file=${_line##* } _part=$downloads/partial/${_line##* }
	say "kernel source: $_file from $KERNEL_ORG"
	if ! matches "$_line" "$downloads/$_file"; then
		need_space "$cache" 3000 "downloading and unpacking the kernel source"
		# If the part is of another file, or the server cannot resume, start over
		# once.
		for _ in 1 2; do
			matches "$_line" "$_part" || attempt "$log" "Downloading $_file" fetch "$_file" "$_part"
			! matches "$_line" "$_part" || break
			rm -f "$_part"
		done
		[ "$status" = 0 ] || return 0
		mv "$_part" "$downloads/$_file" || die "the checksum of $_file is not the one in kernel.org's list"
	fi
	from_tarball "$downloads/$_file" "kernel.org-${_file%.tar.xz}" "$_file"
}

# matches CHECKSUM-LINE FILE
matches() {
	[ -f "$2" ] && echo "${1%% *}  $2" | sha256sum --status -c
}

# check_signature SUMS: with the key of kernel.org's checksum signer, if the user has it.
check_signature() {
	_key=B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1
	if command -v gpg >/dev/null && gpg --list-keys "$_key" >/dev/null 2>&1; then
		gpg --status-fd 1 --verify "$1" 2>>"$log" | grep -q "^\[GNUPG:\] VALIDSIG .*$_key" ||
			die "the signature of kernel.org's checksum list is bad"
	else
		say "the signature of the checksum list is not checked: gpg has no key $_key"
	fi
}

# newest GLOB: of the bases in the cache
newest() {
	find "$bases" -maxdepth 1 -name "$1" | sort -V | tail -n 1
}

if [ "${LINUX:-}" ]; then
	LINUX=$(cd "$LINUX" 2>/dev/null && pwd) || die "LINUX=$LINUX is no directory"
	[ -f "$LINUX/Makefile" ] || die "LINUX=$LINUX is no Linux source tree"
	if [ -e "$LINUX/.git" ]; then
		from_git
	else
		from_directory
	fi
elif [ "${LINUX_TARBALL:-}" ]; then
	[ -r "$LINUX_TARBALL" ] || die "LINUX_TARBALL=$LINUX_TARBALL cannot be read"
	from_tarball "$LINUX_TARBALL" "sha256-$(sha256sum "$LINUX_TARBALL" | cut -c1-16)" "$LINUX_TARBALL"
else
	[ "$update" ] || base=$(newest "debian-$SERIES_BASE.*.git")
	[ "$update" ] || [ "$base" ] || base=$(newest "kernel.org-linux-$SERIES_BASE*.git")
	[ "$base" ] || from_package
	[ "$base" ] || from_kernel_org
	[ "$base" ] || die "no source of Linux $SERIES_BASE: neither the Debian package" \
			"nor kernel.org can be had; give LINUX=dir or LINUX_TARBALL=file"
fi
echo "$base"
