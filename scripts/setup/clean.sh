#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: clean.sh
#
# Remove what was built. build/linux, build/submission, disks (*.qcow2, build/vm), and an
# exercise's tree, archive and grades stay, since they may have work of yours; if you remove
# build/linux or a disk, the next make makes a new one. So do your own worktrees, what 'make
# series' has replaced, and what you have made with menuconfig, as build/KERNEL.config.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

with_lock
for config in "$BUILD"/kernel-*/.config "$BUILD"/kernel-*/.config.yours*; do
	accepted=${config%/*}/.config.accepted
	[ ! -e "$config" ] || [ ! -e "$accepted" ] || cmp -s "$config" "$accepted" ||
		mv -v --backup=numbered "$config" "${config%/*}.config"
done
find "$BUILD/" -mindepth 1 -maxdepth 1 ! -name linux ! -name 'submission*' ! -name vm ! -name 'exercise-*' \
	! -name 'hand-in-*' ! -name series.old ! -name 'grades-*' ! \( \( -name '*.config*' -o -name '*.qcow2*' \) -type f \) ! -name .lock \
	\( -name bench-linux -o -name each-linux -o ! -exec test -e {}/.git \; \) -exec rm -rf {} +
