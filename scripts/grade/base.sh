#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME base.sh
#
# Make what all submissions of a handout are graded on, in build/grade/NAME: src, the
# exercise's tree without its repository; out, its kernel as it was built, and
# base.log, what the compiler said. Nothing is done when it is there.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 0 ] || misused
choose "$name"
base=$BUILD/grade/$name
mkdir -p "$base" "$BUILD/grade/ccache"

# One at a time.
exec 6>>"$base/.lock"
flock 6

tree() {
	checkout "$name" "$base/src.new"
	git -C "$base/src.new" rev-parse HEAD >"$base/root"
	rm -rf "$base/src" "$base/out" "$base/src.git"
	mv "$base/src.new/.git" "$base/src.git"
	mv "$base/src.new" "$base/src"
}

# in_sandbox ARGUMENT…
in_sandbox() {
	"$HERE/sandbox.sh" -r "$HERE:/g/scripts" -r "$base/src:/g/src" -w "$base/out:/g/out" \
		-w "$BUILD/grade/ccache:/g/ccache" -t 7200 -d 30000 "$@"
}

build() {
	rm -rf "$base/out" "$base/module"
	mkdir "$base/out" "$base/module"
	for _target in config bzImage modules; do
		in_sandbox sh /g/scripts/build.sh "$arch" "$JOBS" $_target
	done
	[ -e "$HERE/tests/$name-module.c" ] || return 0
	in_sandbox -w "$base/module:/g/module" sh /g/scripts/module.sh "$arch" "$name"
	[ -s "$base/module/base.members" ]
}

key="$(cat "$HERE/kernel.config" "$HERE/$arch.config" "$HERE/text/$name" "$HERE/lib.sh" "$HERE/handouts" |
	sha256sum | cut -d' ' -f1) $(gcc --version | head -n 1)"
[ "$(cat "$base/key" 2>/dev/null)" != "$key" ] || exit 0
rm -f "$base/key"
run_logged "$BUILD/log/grade-tree.log" "The tree of $name" tree
run_logged "$base/base.log" "Its kernel, for $arch" build
[ -s "$base/out/arch/x86/boot/bzImage" ] || die "no kernel; see $base/base.log"
echo "$key" >"$base/key"
