#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: SUFFIX=-NAME undeploy.sh
#
# Remove the kernels that deploy.sh has installed on this machine with this SUFFIX, with
# their modules, their initramfs and their entries in GRUB's menu.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused
. "$TOP/scripts/vm/deployed.sh"

check_machine 'boot another kernel first'
found=''
for file in /lib/modules/*"$SUFFIX/$marker"; do
	[ -e "$file" ] || continue
	# -2 is not -lab-2.
	[ ! -s "$file" ] || grep -qxF -e "$SUFFIX" "$file" || continue
	found=${file#/lib/modules/} found=${found%/*}
	remove "$found"
	say "$found is removed"
done
[ "$found" ] || die "SUFFIX=$SUFFIX: make deploy has installed no such kernel"
