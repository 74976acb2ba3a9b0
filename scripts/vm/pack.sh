#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] pack.sh
#
# Pack what a machine with a disk needs of the kernel that ARCH, CONFIG and HANDOUT
# choose, into a tar archive in build/vm, and print its path. It has
#
#   /lib/modules/RELEASE        its modules; in build/ what modules in C are built with
#   /home/user/handouts         the handouts' programs, and their test
#   /home/user/modules          the sources of modules, in C and in Rust
#   /usr/local                  pf and cowstat, and the header for pf_get_info()
#
# The first member of the archive, vm-kernel, is different for each kernel.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

load_toolchain
with_lock
out=$(kernel_dir)
[ -r "$out/.built" ] || die "there is no ${out#"$TOP/"}: run 'make kernel' first"
pack=$BUILD/vm/${out##*/}.tar
module=$TOP/scripts/test/fixtures/helloModule.c
sum=$(cat "$out/.built" "$0" "$module" | sha256sum)
if [ "$sum" = "$(cat "$pack.sum" 2>/dev/null)" ]; then
	echo "$pack"
	exit
fi
release=$(cat "$out/include/config/kernel.release")
tests=$("$TOP/scripts/build/selftests.sh" "$ARCH")
root=$(mktemp -d "$BUILD/.pack.XXXXXX")
at_exit "rm -rf '$root'"
modules=$root/usr/lib/modules/$release home=$root/home/user

# kbuild would take "ccache clang" for another compiler. In the machine modpost and
# fixdep run, too, so that they are built again for a 32-bit one.
# shellcheck disable=SC2016 # make fills it in
headers() {
	CC=${CC#ccache }
	_target=''
	[ "$ARCH" != i386 ] || _target="CC=\"$CC -m32\" "
	kmake "$out" -s run-command \
		KBUILD_RUN_COMMAND="$_target"'$(srctree)/scripts/package/install-extmod-build '"$modules/build"
}

# A machine may have the old one open.
rm -f "$pack.sum" "$pack"
mkdir -p "$BUILD/vm" "$modules" "$home/handouts" "$home/modules/hello" "$root/usr/local/bin" "$root/usr/local/include/linux"
cp -a "$out/installed/lib/modules/$release/." "$modules"
run_logged "$BUILD/log/headers-$ARCH.log" "headers of $release" headers
cp "$TREE/include/uapi/linux/pf_stat.h" "$root/usr/local/include/linux"
cp "$tests/rust_syscalls/pf" "$tests/rust_syscalls/cowstat" "$root/usr/local/bin"
cp "$TREE"/tools/testing/selftests/rust_syscalls/handouts/*.[ch] "$home/handouts"
cp "$TREE"/samples/rust/rust_hello*.rs "$TREE/samples/rust/rust_chrdev.rs" "$home/modules"
cp "$module" "$home/modules/hello"
echo 'obj-m := helloModule.o' >"$home/modules/hello/Makefile"

cd "$root"
echo "$sum" >vm-kernel
tar --sort=name --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$pack" vm-kernel ./usr
tar --sort=name --owner=1000 --group=1000 --mode=u=rwX,go=rX -rf "$pack" ./home/user
echo "$sum" >"$pack.sum"
echo "$pack"
