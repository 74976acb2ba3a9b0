# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts in this folder share. Sourced, never run:
#
#	# shellcheck source=scripts/lib.sh
#	. "$(dirname "$0")/lib.sh"

set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$TOP/build
TREE=$BUILD/linux
ARCH=${ARCH:-x86_64}
CONFIG=${CONFIG:-lean}
JOBS=${JOBS:-$(nproc)}
V=${V:-0}
[ "${HANDOUT:-}" = 1 ] || HANDOUT=''
export LC_ALL=C

# Our own make's flags and variables are not for the kernel's make.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

# say TEXT…: one line for the user. Standard output is for data.
say() {
	printf '%s\n' "$*" >&2
}

# die TEXT…: say what is wrong and stop.
die() {
	say "${0##*/}: $*"
	exit 1
}

# step N TOTAL TEXT…: the headline of a long task's Nth part.
step() {
	_step="[$1/$2]"
	shift 2
	say "$_step $*"
}

# run_logged LOG TITLE COMMAND…: run a long command quietly, with the time it
# takes; when it fails, show the end of the log and where it is. V=1 shows all.
run_logged() {
	_log=$1 _title=$2
	shift 2
	if [ "$V" = 1 ]; then
		say "$_title"
		"$@" >&2
		return
	fi
	mkdir -p "$(dirname "$_log")"
	_start=$(date +%s) _ticker='' _status=0
	printf '%s ...' "$_title" >&2
	if [ -t 2 ]; then
		# The command stays in the foreground, where Ctrl-C reaches it.
		while sleep 1 && kill -0 $$ 2>/dev/null; do
			printf '\r%s ... %d s' "$_title" $(($(date +%s) - _start)) >&2
		done &
		_ticker=$!
	fi
	"$@" >"$_log" 2>&1 </dev/null || _status=$?
	if [ "$_ticker" ]; then
		kill "$_ticker" 2>/dev/null || :
		wait "$_ticker" 2>/dev/null || :
		printf '\r%s ...' "$_title" >&2
	fi
	if [ $_status = 0 ]; then
		say " $(($(date +%s) - _start)) s"
	else
		say " failed"
		tail -n 25 "$_log" >&2
		say "the whole log: $_log"
	fi
	return $_status
}

# with_lock: from here to the end of this script nobody else changes build/.
# Scripts that this one calls share its lock.
with_lock() {
	[ "${BUILD_LOCKED:-}" != "$BUILD" ] || return 0
	mkdir -p "$BUILD"
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

# cache_dir: where downloads and the base tree outlive build/.
cache_dir() {
	_cache=${XDG_CACHE_HOME:-$HOME/.cache}/rust-syscalls
	mkdir -p "$_cache"
	echo "$_cache"
}

# need_space DIRECTORY MIB WHAT: refuse before a disk is full.
need_space() {
	_free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$_free" -ge "$2" ] || die "$3 needs $2 MiB, and $1 has $_free MiB free"
}

# plain_git ARGUMENT…: git without the user's configuration, for what must be
# the same on every machine.
plain_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git "$@"
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

check_arch() {
	case $ARCH in
	x86_64 | i386) ;;
	*) die "ARCH=$ARCH: there is only ARCH=x86_64 (the default) and ARCH=i386" ;;
	esac
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
	if [ "$_sum" ]; then
		passed=$((passed + ${_sum% *}))
		failed=$((failed + ${_sum#* }))
	else
		fail "$1: its last line is no sum"
	fi
}

# judge MODE OUTPUT [LIST]: add up the KTAP in the file OUTPUT, see ktap.awk.
judge() {
	_judged=$(awk -f "$TOP/scripts/ktap.awk" -v mode="$1" -v list="${3:-}" \
		-v skips="$TOP/scripts/expected-skips" "$2") || :
	printf '%s\n' "$_judged"
	add_sum "$1" "$_judged"
}

# judge_kunit MODE RUN: add up what KUnit wrote to the console of the guest RUN at
# boot; the report is build/log/RUN.ktap. A guest without a console gave none.
judge_kunit() {
	awk -f "$TOP/scripts/kunit.awk" "$BUILD/run/$2/console.log" >"$BUILD/log/$2.ktap" || :
	judge "$1" "$BUILD/log/$2.ktap"
}

# total: the last line of what runs tests, and its exit status.
total() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}
