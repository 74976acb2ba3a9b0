#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [N=60] [SEED=NUMBER] abi-fuzz.sh
#
# Compare how Rust and C pass arguments on i386: generate N random functions, let a
# program of Rust and of C, by Clang and by GCC, call each of them in four ways, and
# compare what arrives. Needs no guest, but what an i386 kernel was built with: its
# flags, its bindings' code and its macros.
#
# What fails stays in build/abi-fuzz/SEED. The last line is 'N passed, N failed'.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

load_toolchain
out=$(ARCH=i386 && kernel_dir)
[ -r "$out/kernel/.hello.o.cmd" ] || die "$out has no kernel/hello.o: run 'make kernel ARCH=i386' first"
N=${N:-60}
SEED=${SEED:-$(date +%s)}
for number in "N=$N" "SEED=$SEED"; do
	case ${number#*=} in
	0?* | *[!0-9]* | ??????????????????*) die "$number: not a number, or one that is too long" ;;
	esac
done
fixtures=$TOP/scripts/test/fixtures/abi-fuzz
say "abi-fuzz: SEED=$SEED"

# The command that compiled kernel/hello.rs, without the file.
rustc=$(sed -n '1{
	s/^[^=]*:= //
	s/ ; .*//
	s/ --emit=[^ ]*//g
	s/ --out-dir [^ ]*//
	s/ --extern \(kernel\|zerocopy[a-z_]*\)//g
	s/ [^ ]*kernel\/hello\.rs//
	s/\$\$/$/g
	p
}' "$out/kernel/.hello.o.cmd")

cflags='-w -std=gnu11 -O2 -march=i686 -mregparm=3 -freg-struct-return -msoft-float -mno-sse
	-mno-mmx -mno-80387 -fno-pic -ffreestanding -fno-stack-protector -fno-strict-aliasing'

# compile_rust: the bindings as in rust/Makefile, and the Rust side, in the current folder.
compile_rust() {
	bindgen fuzz.h --rust-target 1.85 --use-core --with-derive-default --ctypes-prefix ffi \
		--no-layout-tests --no-debug '.*' --newtype-enum N -o bindings.rs -- -target i386-linux-gnu \
		-mregparm=3 -freg-struct-return '-Dregparm(n)=regparm_##n' -Dregparm_0=stdcall -w &&
		sed -i 's/extern "stdcall"/extern "efiapi"/' bindings.rs &&
		: >none.rs &&
		"$out/rust/host/regparm_lower" bindings.rs none.rs lowered.rs none.rs &&
		(cd "$out" && RUSTC_BOOTSTRAP=1 sh -c "$rustc --cap-lints=allow --crate-name fuzz \
			--extern macros=./rust/libmacros.so \
			--emit=obj='$work/rust.o' '$work/main.rs'")
}

# run_with NAME COMPILER…: link with the C side, and run.
run_with() {
	name=$1
	shift
	for file in fuzz base; do
		# shellcheck disable=SC2086 # lists
		"$@" $cflags -c "$file.c" -o "$file.$name.o" || return
	done
	# What can only panic is missing.
	ld -m elf_i386 --unresolved-symbols=ignore-all -o "$name" "fuzz.$name.o" "base.$name.o" rust.o || return
	status=0
	timeout 60 "./$name" >"$name.out" || status=$?
	[ $status = 0 ] || { [ $status = 1 ] && [ -s "$name.out" ]; } || { echo "status $status"; return 1; }
}

# batch SEED COUNT
batch() {
	work=$BUILD/abi-fuzz/$1
	rm -rf "$work"
	mkdir -p "$work/bindings"
	cp "$fixtures"/base.[ch] "$fixtures/main.rs" "$work"
	cp "$TREE/rust/bindings/regparm.rs" "$work/bindings"
	awk -v dir="$work" -v seed="$1" -v n="$2" -f "$fixtures/generate.awk"
	before=$failed
	if ! (cd "$work" && compile_rust) >"$work/log" 2>&1; then
		fail "SEED=$1: Rust does not compile, see $work/log"
		return
	fi
	for name in clang gcc; do
		case $name in
		clang) set -- "$1" "$2" "clang${LLVM#1}" --target=i386-linux-gnu -mstack-alignment=4 ;;
		gcc) set -- "$1" "$2" gcc -m32 -mpreferred-stack-boundary=2 ;;
		esac
		seed=$1 count=$2
		if ! (cd "$work" && shift 2 && run_with $name "$@") >>"$work/log" 2>&1; then
			fail "SEED=$seed $name: see $work/log"
			continue
		fi
		# Each line has the number of a function and the ways that failed, as bits.
		while read -r number ways; do
			number=$(echo "${number#f}" | sed 's/^0*\(.\)/\1/')
			fail "SEED=$seed $name, ways $ways: $(grep " fn_$number(" "$work/fuzz.h")"
		done <"$work/$name.out"
		passed=$((passed + count - $(wc -l <"$work/$name.out")))
	done
	[ "$failed" != "$before" ] || rm -rf "$work"
}

while [ "$N" -gt 0 ]; do
	count=$((N < 60 ? N : 60))
	batch "$SEED" "$count"
	N=$((N - count))
	SEED=$((SEED + 1))
done

total
