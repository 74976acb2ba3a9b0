#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: HANDOUT=NAME [ADD=PATH...] shell.sh
#
# Build what is in build/exercise-NAME, committed or not, and boot it with a shell, as
# root. The program of user/ is /root/user there, the module /root/helloModule.ko; ADD is
# as in scripts/guest/shell.sh. 'exit' or Ctrl-A X ends the guest. The built kernel stays
# in build/kernel-exercise-NAME, so that a small change takes little time.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 0 ] || misused
tree=$BUILD/exercise-$name out=$BUILD/kernel-exercise-$name
[ -d "$tree/.git" ] || die "there is no $tree: run 'make exercise HANDOUT=$name' first"
[ -t 0 ] || die "this needs a terminal"

kmake() {
	make -C "$tree" O="$out" ARCH="$arch" CC="ccache $cc" LOCALVERSION= -j"$JOBS" "$@"
}
build() {
	need_space "$BUILD" 2000 "the kernel of the exercise"
	(TREE=$tree && renew "$out")
	cmp -s "$tree/exercise/kernel.config" "$out/.config.wanted" || {
		kmake KCONFIG_ALLCONFIG="$tree/exercise/kernel.config" allnoconfig
		cp "$tree/exercise/kernel.config" "$out/.config.wanted"
	}
	kmake bzImage modules
	rm -f "$out/user-program"
	! ls "$tree"/user/*.c || gcc "-m$bits" -static -pthread -o "$out/user-program" "$tree"/user/*.c
	# Also one that the Makefile no longer builds.
	[ ! -f "$tree/module/Makefile" ] || { rm -f "$tree"/module/*.ko; kmake M="$tree/module" modules; }
}

claim "shell-$name"
with_lock
run_logged "$BUILD/log/exercise-kernel.log" "The kernel of the exercise $name" build
echo "A shell in the guest. 'exit' or Ctrl-A X ends it. The kernel's log: dmesg" >"$run/motd"
set -- "$TOP/scripts/guest/inside/profile:/etc/profile" "$run/motd:/etc/motd"
[ ! -e "$out/user-program" ] || set -- "$@" "$out/user-program:/root/user"
for path in ${ADD:-} "$tree"/module/*.ko; do
	[ ! -e "$path" ] || set -- "$@" "$path:/root/$(basename "$path")"
done
export ARCH="$arch" CONFIG=grade
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$@"
drop_lock
# As in the tests: glibc would make the call 386 of i386, rseq, for itself.
exec "$TOP/scripts/guest/qemu.sh" -i -a GLIBC_TUNABLES=glibc.pthread.rseq=0 -d "$run" "$out" "$run/initramfs"
