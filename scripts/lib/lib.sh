# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The preamble of every script: a known environment, and what all scripts share.

set -eu

# Names in small letters are the scripts' own, but for proxies.
# shellcheck disable=SC2046 # one word per name
unset $(env | sed -n 's/^\(_*[a-z][A-Za-z0-9_]*\)=.*/\1/p' | grep -v '_proxy$')

# usage: print the head of the script, up to the first empty line.
usage() {
	sed '1,3d; /^$/Q; s/^# \{0,1\}//' "$0"
}

case ${1:-} in
-h | --help) usage; exit ;;
esac

unset CDPATH
TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
BUILD=$TOP/build
TREE=$BUILD/linux
ARCH=${ARCH:-x86_64}
CONFIG=${CONFIG:-lean}
JOBS=${JOBS:-$(nproc)}
V=${V:-0}
HANDOUT=${HANDOUT:-}
export LC_ALL=C
# Without what depends on the folder that a script is in. Debian's users have sfdisk and the
# like, but not in PATH.
PATH=$(set -f; IFS=:; for _dir in $PATH; do case $_dir in /*) printf %s: "$_dir" ;; esac; done)/usr/sbin:/sbin
umask 022

# say TEXT…: one line for the user. Standard output is for data.
say() {
	printf '%s\n' "$*" >&2
}

# die TEXT…: report an error and stop.
die() {
	say "${0##*/}: $*"
	exit 1
}

# misused: print the usage and stop.
misused() {
	usage >&2
	exit 2
}

# only_1 NAME VALUE WHAT: refuse a variable that is set, and not to 1, with which make does WHAT.
only_1() {
	case ${2:-1} in
	1) ;;
	*) die "$1=$2: there is only $1=1, which $3" ;;
	esac
}

# plain_path WHAT PATH: refuse a path that make or a shell would split or expand.
plain_path() {
	case $2 in
	*[][:space:]:\'\"\`\$\#%\&\;\|\(\)\<\>\*\?\[\\]*)
		die "$1 $2: make cannot take a path with a space, a colon or another special character" ;;
	esac
}

# Variables of the caller's environment that change what git, make, compilers and
# cargo do. They are meant for other repositories and other kernels.
foreign='GIT_.*
(GNU)?MAKE(FLAGS|FILES)|MFLAGS|MAKEOVERRIDES|MAKELEVEL
(KBUILD|KCONFIG|KSELFTEST|INSTALL|LLVM|TEST)_.*|[COMW]
(SUB|SRC)ARCH|CROSS_COMPILE.*|DESTDIR|OUTPUT|(SKIP_|FORCE_)?TARGETS
(HOST)?(CC|CXX|LD|RUSTC)|AR|NM|OBJCOPY|OBJDUMP|READELF|STRIP
(K|HOST|USER)?(C|CXX|A|AS|CPP|LD|RUST|RUSTDOC)FLAGS|RUSTC_.*
CARGO_(BUILD|ENCODED|INSTALL|PROFILE|TARGET)_.*|BINDGEN_.*|CLIPPY_.*
CCACHE_(COMPILER.*|PREFIX.*|SLOPPINESS|(NO)?RECACHE|READONLY.*)|CCC_.*|(K?DEB|DH)_.*
CPATH|C_INCLUDE_PATH|LIBRARY_PATH|SOURCE_DATE_EPOCH|POSIXLY_CORRECT
TMOUT|TAPE|TAR_OPTIONS|GREP_.*|GZIP|XZ_.*|SHELLCHECK_OPTS'

case $ARCH in
x86_64 | i386) ;;
*) die "ARCH=$ARCH: there is only ARCH=x86_64 (the default) and ARCH=i386" ;;
esac
# HANDOUT=1 is the series at the handouts' numbers, HANDOUT=NAME an exercise.
exercise=''
case $HANDOUT in
'' | 1) ;;
*)
	exercise=$HANDOUT HANDOUT=''
	_names=$(awk '!/^#/ { print $1 }' "$TOP/scripts/grade/handouts")
	echo "$_names" | grep -qxF -e "$exercise" ||
		die "HANDOUT=$exercise: there is only HANDOUT=1, and the exercises $(echo "$_names" | paste -sd' ')"
	;;
esac
only_1 VM "${VM:-}" 'also tests Debian on a disk'
case ${DEADLINE:-1} in
0* | *[!0-9]*) die "DEADLINE=$DEADLINE: not a number of seconds" ;;
esac
case ${LOCALVERSION:=} in
*[!A-Za-z0-9.+_-]*) die "LOCALVERSION=$LOCALVERSION: letters, digits, and . + _ - only" ;;
esac

# same_world: unset them, and ignore git's configuration except for the user's name
# and safe.directory. Done once: the scripts that this one calls inherit it.
same_world() {
	[ "${SAME_WORLD:-}" != "$TOP" ] || return 0
	plain_path 'the folder' "$TOP"
	plain_path TMPDIR= "${TMPDIR:-}"
	(cd / && [ -w "${TMPDIR:-/tmp}" ]) || die "TMPDIR=${TMPDIR:-/tmp}: no such folder, or nothing can be written there"
	# For sudo make: the folder is the user's.
	[ -d "$BUILD/log" ] || {
		mkdir -p "$BUILD/log"
		: >>"$BUILD/.lock"
		[ "$(id -u)" != 0 ] || chown --reference="$TOP" "$BUILD" "$BUILD/log" "$BUILD/.lock" 2>/dev/null || :
	}
	_config=$BUILD/.gitconfig
	: >"$_config.$$"
	_foreign=$(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)=.*/\1/p' | grep -xE "$foreign" || :)
	# shellcheck disable=SC2046 # one word per name
	unset $(echo "$_foreign" | grep -v '^GIT_CONFIG')
	! command -v git >/dev/null || {
		git -C / config --get-regexp '^safe\.directory$' || :
		git -C "$TOP" config --get-regexp '^user\.(name|email)$' || :
	} | while read -r _key _value; do
		git config --file "$_config.$$" --add "$_key" "$_value"
	done
	mv -f "$_config.$$" "$_config"
	# shellcheck disable=SC2086
	unset $_foreign
	export GIT_CONFIG_GLOBAL="$_config" GIT_CONFIG_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1 SAME_WORLD="$TOP"
	# What build/linux says of these does not count: git must look at all files.
	# ~/.config/git/ignore and attributes count without any configuration.
	export GIT_CONFIG_COUNT=5 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=false \
		GIT_CONFIG_KEY_1=status.showUntrackedFiles GIT_CONFIG_VALUE_1=normal \
		GIT_CONFIG_KEY_2=core.hooksPath GIT_CONFIG_VALUE_2=/dev/null \
		GIT_CONFIG_KEY_3=core.excludesFile GIT_CONFIG_VALUE_3=/dev/null \
		GIT_CONFIG_KEY_4=core.attributesFile GIT_CONFIG_VALUE_4=/dev/null
}
same_world
mkdir -p "$BUILD/log"
[ ! -e "$BUILD/LOG" ] || die "$BUILD is on a disk that takes LOG for log; the kernel has files whose names differ only in that"

# cache_dir: the folder of downloads and base trees, which outlives build/. The specification
# says to ignore a relative XDG_CACHE_HOME.
cache_dir() {
	case ${XDG_CACHE_HOME:-} in
	/*) _cache=$XDG_CACHE_HOME/rust-syscalls ;;
	*) _cache=${HOME:?is not set, and the cache of downloads is there}/.cache/rust-syscalls ;;
	esac
	plain_path 'the cache' "$_cache"
	mkdir -p "$_cache"
	realpath "$_cache"
}

# need_space DIRECTORY MIB WHAT: stop if the disk has less.
need_space() {
	_free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$_free" -ge "$2" ] || die "$3 needs $2 MiB, and $1 has $_free MiB free"
}

. "$TOP/scripts/lib/steps.sh"
. "$TOP/scripts/lib/kernel.sh"
. "$TOP/scripts/lib/results.sh"
