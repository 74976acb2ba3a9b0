#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [HANDOUT=1] selftests.sh x86_64|i386 [FILE.rs PROGRAM]
#
# Build the kselftest collection rust_syscalls of build/linux for the given
# instruction set, into build/selftests-x86_64 or build/selftests-i386, and print
# that folder. With HANDOUT=1 also build rust_syscalls/handouts, with gcc; the
# folder's name then ends in -handout. With FILE.rs, build that as one more program
# of the collection and copy it to PROGRAM.

. "$(dirname "$0")/../lib/lib.sh"

case ${1:-} in
x86_64 | i386) ;;
*) misused ;;
esac

load_toolchain
with_lock

isa=$1
out=$BUILD/selftests-$isa${HANDOUT:+-handout}
objects=$BUILD/selftests-$isa.obj
obj=$objects/kselftest/rust_syscalls
log=$BUILD/log/selftests-$isa.log
selftests=$TREE/tools/testing/selftests
[ -d "$selftests/rust_syscalls" ] || die "build/linux has no tools/testing/selftests/rust_syscalls"

# smake DIR ARGUMENT…: the selftests' make.
smake() {
	_dir=$1
	shift
	make -C "$_dir" ARCH="$isa" LLVM="$LLVM" CC=gcc RUSTC="$RUSTC" "$@"
}

# make goes by the times of the sources only.
tools=$({ tools; gcc --version; } | sha256sum)
[ "$(cat "$objects/.tools" 2>/dev/null)" = "$tools" ] || rm -rf "$objects"
mkdir -p "$obj"
renew "$objects"
echo "$tools" >"$objects/.tools"
if [ $# = 3 ]; then
	# The prefix avoids the names of the collection's own programs.
	name=user_$(basename "$2" .rs)
	mkdir -p "$BUILD/prog"
	cp "$2" "$BUILD/prog/$name.rs"
	run_logged "$log" "$2 for $isa" smake "$selftests/rust_syscalls" OUTPUT="$obj" \
		VPATH="$BUILD/prog" TEST_GEN_PROGS_EXTENDED="$obj/$name" "$obj/$name"
	cp "$obj/$name" "$3"
	exit
fi

rm -rf "$out"
run_logged "$log" "selftests for $isa" smake "$selftests" O="$objects" \
	TARGETS="rust_syscalls${HANDOUT:+ rust_syscalls/handouts}" \
	FORCE_TARGETS=1 INSTALL_PATH="$out" install
echo "$out"
