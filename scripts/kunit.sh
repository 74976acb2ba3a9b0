#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run the tests inside the kernel that are written in Rust.

usage() {
	cat <<EOF
usage: [ARCH=x86_64|i386] ${0##*/}

Build a kernel with all KUnit suites and documentation examples of Rust, boot it,
and judge what it reports. For i386, do the same on x86_64 and compare: the same
tests must be there on both. Which may be skipped says scripts/expected-skips.

The last line is 'N passed, N failed'; the exit status agrees with it.
EOF
}

case ${1:-} in
-h | --help) usage; exit ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

check_arch
load_toolchain
arch=$ARCH
CONFIG=kunit
export CONFIG

# names REPORT: what was there, as SUITE.TEST.
names() {
	awk '$1 == "#" && $2 == "Subtest:" { suite = $3 }
		/^ +(not )?ok / { sub(/^ +not /, ""); print suite "." $3 }' "$1" | sort
}

# run ARCH: build, boot and judge; the report is build/log/kunit-ARCH.ktap.
run() {
	_out=$BUILD/log/kunit-$1.ktap
	rm -f "$_out" "$_out.names"
	if ! ARCH=$1 "$TOP/scripts/kernel.sh"; then
		fail "kunit $1: does not build"
		return
	fi
	# All is over before the guest's first program runs: it has nothing to do.
	printf '#!/bin/sh\n' >"$BUILD/run/nothing"
	chmod +x "$BUILD/run/nothing"
	ARCH=$1 "$TOP/scripts/initramfs.sh" "$BUILD/run/kunit-$1.cpio" "$BUILD/run/nothing:/work"
	ARCH=$1 "$TOP/scripts/qemu.sh" -n "kunit-$1" -t "${DEADLINE:-300}" \
		"$(ARCH=$1 && kernel_dir)" "$BUILD/run/kunit-$1.cpio" >&2 ||
		fail "kunit $1: the guest ended with status $?"
	judge_kunit "kunit-$1" "kunit-$1"
	names "$_out" >"$_out.names"
}

mkdir -p "$BUILD/log" "$BUILD/run"
run "$arch"
if [ "$arch" = i386 ]; then
	run x86_64
	if difference=$(diff "$BUILD/log/kunit-x86_64.ktap.names" "$BUILD/log/kunit-i386.ktap.names"); then
		passed=$((passed + 1))
	else
		fail "kunit: these are on x86_64 (<) or i386 (>) only:"
		printf '%s\n' "$difference"
	fi
fi

total
