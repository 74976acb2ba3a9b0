#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: clean.sh
#
# Remove what was built. build/linux, build/submission, build/vm, and an exercise's tree,
# archive and grades stay, since they may have work of yours; if you remove build/linux or a
# disk, the next make makes a new one. So do what the scripts have not made, such as your own
# worktrees and disks, what 'make series' has replaced, and what you have made with
# menuconfig, as build/KERNEL.config. The copies in build/bases are cleaned in the same way.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

with_lock
for copy in "$BUILD"/bases/*/scripts/setup/clean.sh; do
	[ ! -e "$copy" ] || "$copy"
done
for config in "$BUILD"/kernel-*/.config "$BUILD"/kernel-*/.config.yours*; do
	accepted=${config%/*}/.config.accepted
	[ ! -e "$config" ] || [ ! -e "$accepted" ] || cmp -s "$config" "$accepted" ||
		mv -v --backup=numbered "$config" "${config%/*}.config"
done
# What we make: what else is here is the user's. A worktree has a .git.
cd "$BUILD"
find . -mindepth 1 -maxdepth 1 \( -type d \( -name 'kernel-*' -o -name 'selftests-*' -o -name 'accelerator-*' \
	-o -name 'clippy-*' -o -name 'bench-*' -o -name 'each-*' -o -name 'suites-*' -o -name 'test-*' -o -name 'deb-*' -o -name run -o -name log \
	-o -name prog -o -name grade -o -name mutants -o -name apt -o -name abi-fuzz -o -name .own-syscall -o -name '.*.??????' \) \
	-o -type f \( -name 'linux-*_*.deb' -o -name 'mutants.*' -o -name toolchain.env -o -name '.gitconfig*' -o -name '.index*' \
	-o -name .lock.owner \) \) \( -name bench-linux -o -name each-linux -o ! -exec test -e {}/.git \; \) -exec rm -rf {} +
