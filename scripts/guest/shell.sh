#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] [ADD=PATH...] shell.sh
#
# Build the kernel, and boot it with an interactive shell. The files and folders in ADD
# are copied to the guest's /root. With HANDOUT=1 there is a C library for dynamically
# linked programs.
#
# 'exit' ends the guest; Ctrl-A X always ends QEMU. Ctrl-C goes to the guest.

. "$(dirname "$0")/../lib/lib.sh"

[ -t 0 ] || die "this needs a terminal"

claim "shell-$ARCH"
with_lock
"$TOP/scripts/build/kernel.sh"
cat >"$run/motd" <<EOF

A shell in the guest. 'exit' or Ctrl-A X ends it; Ctrl-C goes to the guest.
The selftests are in /kselftest (/kselftest/rust_syscalls/demo shows the system calls)${ADD:+,
your files in /root}. 'cowstat -- COMMAND' shows what the forks of a command copy.
After resizing the terminal: stty rows N cols N
EOF
tests=$("$TOP/scripts/build/selftests.sh" "$ARCH")
libc=$([ ! "$HANDOUT" ] || libc "$ARCH")
# shellcheck disable=SC2086 # one word per file
set -- "$TOP/scripts/guest/inside/profile:/etc/profile" "$run/motd:/etc/motd" "$tests:/kselftest" \
	"$tests/rust_syscalls/cowstat:/usr/bin/cowstat" $libc
for path in ${ADD:-}; do
	set -- "$@" "$path:/root/$(basename "$path")"
done
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$@"
keep_kernel
drop_lock

exec "$TOP/scripts/guest/qemu.sh" -i -d "$run" "$run/kernel" "$run/initramfs"
