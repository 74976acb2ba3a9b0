#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] modules.sh
#
# Test modules built outside the kernel tree: install what a distribution's package
# of kernel headers holds, build modules in C and in Rust with nothing else, by
#
# 	make -C /lib/modules/$(uname -r)/build M=$PWD modules
#
# then load, use and remove them in a guest. Build modules also with the kernel's build
# folder in place of the headers. The last line is 'N passed, N failed'.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

load_toolchain
# kbuild would take "ccache clang" for another compiler and rebuild the host programs.
CC=${CC#ccache }
out=$(kernel_dir)
release=$(cat "$out/include/config/kernel.release")
claim "extmod-$ARCH"
work=$run/work
headers=$work/lib/modules/$release/build
at_exit "rm -rf '$work'"
mkdir -p "$headers" "$work/modules"

# run TITLE COMMAND…: one test.
run() {
	_title=$1
	shift
	isolated "$@" >"$work/log" 2>&1 </dev/null
	if [ "$status" = 0 ]; then
		pass
		echo "ok $_title"
	else
		fail "$_title:"
		sed 's/^/    /' "$work/log"
	fi
}

# build FILE KERNEL: build it as a user who does not know how the kernel was built.
build() {
	_file=${1##*/}
	_folder=$(mktemp -d "$work/XXXXXX")
	cp "$1" "$_folder"
	echo "obj-m += ${_file%.*}.o" >"$_folder/Makefile"
	env -i HOME="$HOME" PATH="$PATH" make -C "$2" M="$_folder" modules
	if grep -qiE 'warning|skipping' "$work/log"; then return 1; fi
	mv "$_folder/${_file%.*}.ko" "$work/modules"
}

# build_in_place FILE: the same with the kernel's own folder, which must not change.
build_in_place() {
	touch "$work/before"
	build "$1" "$out"
	_changed=$(find "$out" -type f -newer "$work/before")
	[ ! "$_changed" ] || { echo "changed: $_changed"; return 1; }
}

# guest: run scripts/guest/inside/extmod, whose status is the result.
guest() {
	"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/extmod:/work" "$work/modules:/root"
	"$TOP/scripts/guest/qemu.sh" -d "$run" -t 120 "$out" "$run/initramfs"
}

# shellcheck disable=SC2016 # make fills it in
run "$ARCH: the headers are installed" kmake "$out" -s run-command \
	KBUILD_RUN_COMMAND='$(srctree)/scripts/package/install-extmod-build '"$headers"
run "$ARCH: a module in C" build "$TOP/scripts/test/fixtures/helloModule.c" "$headers"
run "$ARCH: a module in Rust" build "$TREE/samples/rust/rust_hello.rs" "$headers"
run "$ARCH: a driver in Rust" build "$TREE/samples/rust/rust_chrdev.rs" "$headers"
run "$ARCH: a module in C, without headers" build_in_place "$TOP/scripts/test/fixtures/helloModule.c"
run "$ARCH: a module in Rust, without headers" build_in_place "$TREE/samples/rust/rust_hello.rs"
run "$ARCH: they work" guest

total
