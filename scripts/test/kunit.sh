#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] kunit.sh
#
# Run the kernel's own tests of Rust: build a kernel with all KUnit suites and
# documentation examples of Rust, boot it, and judge its report. For i386, do the
# same on x86_64; both must have the same tests. Skips must be listed in
# scripts/test/expected-skips.
#
# The last line is 'N passed, N failed'; the exit status agrees.

. "$(dirname "$0")/../lib/lib.sh"

arch=$ARCH
export CONFIG=kunit

# names REPORT: list its tests as SUITE.TEST.
names() {
	awk '$1 == "#" && $2 == "Subtest:" { suite = $3 }
		/^ +(not )?ok / { sub(/^ +not /, ""); print suite "." $3 }' "$1" | sort
}

# run ARCH: build, boot and judge; list the tests in $run/names.
run() {
	claim "kunit-$1"
	with_lock
	same_tree
	ARCH=$1 "$TOP/scripts/build/kernel.sh" || { fail "kunit $1: does not build"; return; }
	# KUnit is done before the guest's first program runs, which has nothing to do.
	printf '#!/bin/sh\n' >"$run/nothing"
	chmod +x "$run/nothing"
	ARCH=$1 "$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$run/nothing:/work"
	(ARCH=$1; keep_kernel)
	drop_lock
	ARCH=$1 "$TOP/scripts/guest/qemu.sh" -d "$run" -t 300 \
		"$run/kernel" "$run/initramfs" >&2 ||
		fail "kunit $1: the guest ended with status $?"
	judge_kunit "kunit-$1"
	names "$run/kunit.ktap" >"$run/names"
}

run "$arch"
if [ "$arch" = i386 ]; then
	i386=$run/names
	run x86_64
	if difference=$(diff "$run/names" "$i386"); then
		pass
	else
		fail "kunit: only on x86_64 (<) or i386 (>):"
		printf '%s\n' "$difference"
	fi
fi

total
