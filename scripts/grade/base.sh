#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME base.sh
#
# Make what all submissions of an exercise are graded on, in build/grade/NAME: src, its
# tree without a repository; out, its kernel as it was built; base.log, what the compiler
# said. Do nothing if it is there.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 0 ] || misused
base=$BUILD/grade/$name
mkdir -p "$base" "$BUILD/grade/ccache"

# One at a time.
exec 6>>"$base/.lock"
flock 6

tree() {
	need_space "$BUILD" 4096 "the tree and the kernel of an exercise"
	rm -rf "$base/src" "$base/root"
	mkdir "$base/src"
	git --git-dir="$source" -c tar.umask=0022 archive "$root" | tar -xC "$base/src"
	echo "$root" >"$base/root"
}

# in_sandbox ARGUMENT…
in_sandbox() {
	"$HERE/sandbox.sh" -r "$HERE:/g/scripts" -r "$base/src:/g/src" -w "$base/out:/g/out" \
		-w "$BUILD/grade/ccache:/g/ccache" -t 7200 -d 30000 "$@"
}

build() {
	rm -rf "$base/out" "$base/module"
	mkdir "$base/out" "$base/module"
	in_sandbox sh /g/scripts/build.sh "$arch" "$JOBS" config
	in_sandbox sh /g/scripts/build.sh "$arch" "$JOBS" bzImage modules
	[ -s "$base/out/arch/x86/boot/bzImage" ]
	[ -e "$HERE/tests/$name-module.c" ] || return 0
	in_sandbox -w "$base/module:/g/module" sh /g/scripts/module.sh "$arch" "$name"
	[ -s "$base/module/base.members" ]
}

source=$("$TOP/scripts/setup/source.sh")
root=$(root "$source")
key="$root $(gcc --version | head -n 1)"
[ "$(cat "$base/key" 2>/dev/null)" != "$key" ] || exit 0
rm -f "$base/key"
[ "$(cat "$base/root" 2>/dev/null)" = "$root" ] ||
	run_logged "$BUILD/log/grade-tree.log" "The tree of $name" tree
run_logged "$base/base.log" "Its kernel, for $arch" build
echo "$key" >"$base/key"
