#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] program.sh FILE.c|FILE.rs
#
# Build the user's FILE as a static program for ARCH and print the program's path.
# A Rust program with #![no_std] is built like the selftests and can use their
# harness ('use harness::*;'); any other uses the standard library.

. "$(dirname "$0")/../lib/lib.sh"
[ $# != 0 ] || misused

load_toolchain

source=$1
program=$BUILD/prog/$(basename "${source%.*}")-$ARCH
mkdir -p "$BUILD/prog"
cc=clang${LLVM#1}
case $ARCH in
x86_64) bits=64 ;;
i386) bits=32 ;;
esac

case $source in
*.c)
	# The system's headers lack the series' numbers and structures.
	"$cc" -m"$bits" -static -O2 -Wall -pthread -isystem "$(kernel_dir)/arch/x86/include/generated/uapi" \
		-idirafter "$TREE/include/uapi" "$source" -lm -o "$program" >&2 ||
		die "PROG=$source does not build; the static $bits-bit C library is in libc6-dev or gcc-multilib" ;;
*.rs)
	if grep -q '^#!\[no_std\]' "$source"; then
		"$TOP/scripts/build/selftests.sh" "$ARCH" "$source" "$program"
	else
		target=$(echo "$ARCH" | sed 's/i386/i686/')-unknown-linux-gnu
		"$RUSTC" --edition=2021 --target="$target" -O -Ctarget-feature=+crt-static \
			-Clinker="$cc" "$source" -o "$program" >&2 ||
			die "PROG=$source does not build (needs Rust's standard library for $target)"
	fi ;;
*) misused ;;
esac
echo "$program"
