#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME base.sh
#
# Make what all submissions are graded on: build/grade/src, the tree of all exercises,
# without a repository; build/grade/nolibc, what the tests are built with; in
# build/grade/ARCH its kernel as it was built (out), what the compiler said (base.log),
# and the members of struct task_struct (members). Do nothing if it is there. Print its key,
# which is another for another kernel or build.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 0 ] || misused
grade=$BUILD/grade base=$BUILD/grade/$arch
mkdir -p "$base" "$grade/ccache"

# One at a time.
exec 6>>"$grade/.lock"
wait_lock 6 "another make grades in build/"

tree() {
	need_space "$BUILD" 4096 "the tree of the exercises"
	rm -rf "$grade/src" "$grade/root"
	mkdir "$grade/src"
	git --git-dir="$source" -c tar.umask=0022 archive "$root" | tar -xC "$grade/src"
	# That of another kernel may not have all that the tests need.
	rm -rf "$grade/nolibc"
	mkdir "$grade/nolibc"
	_nolibc=$source
	grep -q "^Linux $SERIES_BASE\." "$source/description" || _nolibc=$(unset LINUX LINUX_TARBALL; "$TOP/scripts/setup/source.sh")
	git --git-dir="$_nolibc" archive base:tools/include/nolibc | tar -xC "$grade/nolibc"
	echo "$root" >"$grade/root"
}

# in_sandbox ARGUMENT…
in_sandbox() {
	"$HERE/sandbox.sh" -r "$HERE/inside:/g/scripts" -r "$grade/src:/g/src" -w "$base/out:/g/out" \
		-w "$grade/ccache:/g/ccache" -t 7200 -d 30000 "$@"
}

build() {
	need_space "$BUILD" 4096 "the kernel of the exercises"
	rm -rf "$base/out" "$base/module" "$grade"/*/solved
	mkdir "$base/out" "$base/module"
	in_sandbox sh /g/scripts/build.sh "$arch" "$cc" "$JOBS" config
	in_sandbox sh /g/scripts/build.sh "$arch" "$cc" "$JOBS" bzImage modules
	[ -s "$base/out/arch/x86/boot/bzImage" ]
	cp "$HERE/tests/tp4-module.c" "$base/module/grade.c"
	in_sandbox -w "$base/module:/g/module" sh /g/scripts/module.sh "$arch" "$cc"
	[ -s "$base/module/base.members" ]
	mv "$base/module/base.members" "$base/members"
	rm -rf "$base/module"
}

source=$(HANDOUT=$name "$TOP/scripts/setup/source.sh")
root=$(root "$source")
key="$root $(cat "$HERE/inside/build.sh" "$HERE/inside/module.sh" "$HERE/tests/tp4-module.c" | cksum) $("$cc" --version | head -n 1)"
# The tree is that of both architectures.
if [ "$(cat "$base/key" "$grade/root" 2>/dev/null)" != "$key
$root" ]; then
	rm -f "$base/key"
	[ "$(cat "$grade/root" 2>/dev/null)" = "$root" ] ||
		run_logged "$BUILD/log/grade-tree.log" "The tree of the exercises" tree
	run_logged "$base/base.log" "Its kernel, for $arch" build
	echo "$key" >"$base/key"
fi
echo "$key"
