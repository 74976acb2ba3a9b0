# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts in this folder share. Sourced when usage() is defined, never run:
#
#	# shellcheck source=scripts/lib.sh
#	. "$(dirname "$0")/lib.sh"

set -eu

case ${1:-} in
-h | --help) usage; exit ;;
esac

unset CDPATH
TOP=$(cd "$(dirname "$0")/${UP:-..}" && pwd)
BUILD=$TOP/build
TREE=$BUILD/linux
ARCH=${ARCH:-x86_64}
CONFIG=${CONFIG:-lean}
JOBS=${JOBS:-$(nproc)}
V=${V:-0}
[ "${HANDOUT:-}" = 1 ] || HANDOUT=''
export LC_ALL=C
umask 022

# say TEXT…: one line for the user. Standard output is for data.
say() {
	printf '%s\n' "$*" >&2
}

# die TEXT…: say what is wrong and stop.
die() {
	say "${0##*/}: $*"
	exit 1
}

# misused: say how this script is called, and stop.
misused() {
	usage >&2
	exit 2
}

# plain_path WHAT PATH: refuse a path that make would take for several.
plain_path() {
	case $2 in
	*[[:space:]:]*) die "$1 $2: make cannot take a path with a space or a colon" ;;
	esac
}

# Variables of the caller's environment that change what git, make, compilers and
# cargo do. What they say is meant for other repositories and other kernels.
foreign='GIT_.*
(GNU)?MAKE(FLAGS|FILES)|MFLAGS|MAKEOVERRIDES|MAKELEVEL
(KBUILD|KCONFIG|KSELFTEST|INSTALL|LLVM|TEST)_.*|[COMW]
(SUB|SRC)ARCH|CROSS_COMPILE.*|LOCALVERSION|DESTDIR|OUTPUT|(SKIP_|FORCE_)?TARGETS
(HOST)?(CC|CXX|LD|RUSTC)|AR|NM|OBJCOPY|OBJDUMP|READELF|STRIP
(K|HOST|USER)?(C|CXX|A|AS|CPP|LD|RUST|RUSTDOC)FLAGS|RUSTC_.*
CARGO_(BUILD|ENCODED|INSTALL|PROFILE|TARGET)_.*|BINDGEN_.*
CPATH|C_INCLUDE_PATH|LIBRARY_PATH|SOURCE_DATE_EPOCH|POSIXLY_CORRECT
TAR_OPTIONS|GREP_.*|GZIP|XZ_.*'

case $ARCH in
x86_64 | i386) ;;
*) die "ARCH=$ARCH: there is only ARCH=x86_64 (the default) and ARCH=i386" ;;
esac

# same_world: unset those. git's settings stay out, too, but for who the user is and
# which folders of others are safe. Scripts that this one calls find it done.
same_world() {
	[ "${SAME_WORLD:-}" != "$TOP" ] || return 0
	plain_path 'the folder' "$TOP"
	mkdir -p "$BUILD"
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
	mv "$_config.$$" "$_config"
	# shellcheck disable=SC2086
	unset $_foreign
	export GIT_CONFIG_GLOBAL="$_config" GIT_CONFIG_NOSYSTEM=1 SAME_WORLD="$TOP"
}
same_world
mkdir -p "$BUILD/log"

# at_exit COMMAND: when this script ends, by Ctrl-C or a signal, too, do this as well.
at_exit() {
	_at_exit="$1; ${_at_exit:-}"
}
trap 'kill ${_ticker:-} 2>/dev/null || :; eval "${_at_exit:-}"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# isolated COMMAND…: run a command or a function in a process that ends with its first
# failure; $status says how. Left of || and in conditions the shell would go on after a
# failure in the middle of a function: there, this refuses to run anything.
isolated() {
	set +e
	(set -e; false; exit 99)
	[ $? != 99 ] || die "isolated $1: not where the shell ignores failures"
	(set -e; "$@")
	status=$?
	set -e
}

# ticker TITLE BEGIN LOG: on a terminal, how long a step takes.
ticker() {
	[ -t 2 ] || return 0
	while sleep 1 && kill -0 $$ 2>/dev/null; do
		printf '\r%s ... %d s' "$1" $(($(date +%s) - $2)) >&2
	done
}

# attempt LOG TITLE COMMAND…: run a long command quietly, with the time it takes;
# when it fails, show the end of the log and where it is, and say so in $status.
# V=1 shows all.
attempt() {
	_log=$1 _title=$2
	shift 2
	if [ "$V" = 1 ]; then
		say "$_title"
		isolated "$@" >&2
		return
	fi
	_begin=$(date +%s)
	printf '%s ...' "$_title" >&2
	ticker "$_title" "$_begin" "$_log" 9>&- & # its sleep must not keep the lock
	_ticker=$!
	isolated "$@" >"$_log" 2>&1 </dev/null
	kill "$_ticker" 2>/dev/null || :
	wait "$_ticker" 2>/dev/null || :
	_ticker=''
	[ ! -t 2 ] || printf '\r%s ...' "$_title" >&2
	if [ $status = 0 ]; then
		say " $(($(date +%s) - _begin)) s"
	else
		say " failed"
		tail -n 25 "$_log" >&2
		say "the whole log: $_log"
	fi
}

# run_logged LOG TITLE COMMAND…: the same, for what this script cannot do without.
run_logged() {
	attempt "$@"
	[ $status = 0 ] || exit $status
}

# with_lock: from here to the end of this script nobody else changes build/.
# Scripts that this one calls share its lock.
with_lock() {
	[ "${BUILD_LOCKED:-}" != "$BUILD" ] || return 0
	exec 9>>"$BUILD/.lock"
	if ! flock -n 9; then
		say "waiting: $(cat "$BUILD/.lock.owner" 2>/dev/null || echo another make) is using build/"
		flock 9
	fi
	echo "${0##*/} (process $$)" >"$BUILD/.lock.owner"
	export BUILD_LOCKED="$BUILD"
}

# drop_lock: before something long that leaves build/ alone, such as a guest.
drop_lock() {
	exec 9>&-
	unset BUILD_LOCKED
}

# claim NAME: from here on $run is the folder of one run of a guest, which nobody else
# writes to while this script or its guest lives: build/run/NAME, or NAME.2, NAME.3, …
claim() {
	_n=1 run=$BUILD/run/$1
	while mkdir -p "$run" && exec 7>>"$run/.lock" && ! flock -n 7; do
		_n=$((_n + 1)) run=$BUILD/run/$1.$_n
	done
	find "$run" -mindepth 1 ! -name .lock -delete
}

# cache_dir: where downloads and the base tree outlive build/.
cache_dir() {
	_cache=${XDG_CACHE_HOME:-$HOME/.cache}/rust-syscalls
	plain_path 'the cache' "$_cache"
	mkdir -p "$_cache"
	echo "$_cache"
}

# need_space DIRECTORY MIB WHAT: refuse before a disk is full.
need_space() {
	_free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$_free" -ge "$2" ] || die "$3 needs $2 MiB, and $1 has $_free MiB free"
}

# series_id: changes whenever a patch does.
series_id() {
	find "$TOP/patches" -name '*.patch' | sort | xargs -r cat | sha256sum | cut -d' ' -f1
}

# own_work: what the tree has that no patch has.
own_work() {
	[ "$(git -C "$TREE" rev-parse HEAD)" = "$(git -C "$TREE" rev-parse refs/series/written)" ] || echo commits
	[ ! "$(git -C "$TREE" status --porcelain)" ] || echo changes
}

# check_prog FILE, check_add PATH: what make was given by PROG= and ADD=.
check_prog() {
	plain_path PROG= "$1"
	case $1 in
	*.c | *.rs) [ -r "$1" ] || die "PROG=$1: there is no such file" ;;
	*) die "PROG=$1: neither a .c nor a .rs file" ;;
	esac
}

check_add() {
	plain_path ADD= "$1"
	[ -e "$1" ] || die "ADD=$1: there is no such file or folder"
}

# load_toolchain: what scripts/deps.sh chose: PATH, LLVM, CC, RUSTC, RUST_LIB_SRC.
load_toolchain() {
	[ -r "$BUILD/toolchain.env" ] || die "build/toolchain.env is missing: run 'make deps' first"
	# shellcheck source=/dev/null
	. "$BUILD/toolchain.env"
}

# kernel_dir: the build folder of the kernel that ARCH, CONFIG and HANDOUT choose.
kernel_dir() {
	case $CONFIG in
	lean) _kernel=kernel-$ARCH ;;
	*) _kernel=kernel-$ARCH-$(basename "$CONFIG" .config) ;;
	esac
	echo "$BUILD/$_kernel${HANDOUT:+-handout}"
}

# kmake OUT ARGUMENT…: the kernel's make on build/linux, into the folder OUT.
# HOSTCC is also the linker that the kernel gives to rustc, hence one word: no ccache.
kmake() {
	_out=$1
	shift
	make -C "$TREE" O="$_out" ARCH="$ARCH" LLVM="$LLVM" CC="$CC" HOSTCC="${CC##* }" RUSTC="$RUSTC" \
		LOCALVERSION= KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
		KBUILD_BUILD_USER=user KBUILD_BUILD_HOST=host KBUILD_BUILD_VERSION=1 -j"$JOBS" "$@"
}

# What runs tests counts in these, and ends with total.
passed=0 failed=0

# fail TEXT…: one failure.
fail() {
	echo "FAIL $*"
	failed=$((failed + 1))
}

# add_sum NAME TEXT: the last line of TEXT is the 'N passed, N failed' of a part.
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

# judge MODE OUTPUT [LIST]: add up the KTAP in the file OUTPUT, see ktap.awk.
judge() {
	_judged=$(awk -f "$TOP/scripts/ktap.awk" -v mode="$1" -v list="${3:-}" \
		-v skips="${skips:-$TOP/scripts/expected-skips}" "$2") || :
	printf '%s\n' "$_judged"
	add_sum "$1" "$_judged"
}

# judge_kunit MODE: add up what KUnit wrote to the console of the guest in $run at
# boot; the report is kunit.ktap beside it. A guest without a console gave none.
judge_kunit() {
	awk -f "$TOP/scripts/kunit.awk" "$run/console.log" >"$run/kunit.ktap" || :
	judge "$1" "$run/kunit.ktap"
}

# total: the last line of what runs tests, and its exit status. No test is no success.
total() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ] && [ $passed != 0 ]
}
