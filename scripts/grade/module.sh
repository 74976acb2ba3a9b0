#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the sandbox: build mark.ko in /g/module for the kernel in /g/out. Without
# /g/module/base.members, only list the members of its struct task_struct there.
#
#	module.sh ARCH

set -eu
cd /g/module
cp /g/scripts/module/* .
: >members.h
build() {
	make -C /g/src O=/g/out ARCH="$1" CC=gcc LOCALVERSION= M=/g/module modules
}
# members: the names of all members that stand directly in the structure.
members() {
	pahole -C task_struct mark.o | sed -nE 's/^\t+[^*(]*[ *]([A-Za-z_][A-Za-z0-9_]*)(\[[^]]*\])*(:[0-9]+)?( __attribute__\(\(.*\)\))?;.*/\1/p' |
		sort -u
}
build "$1"
if [ ! -e base.members ]; then
	members >base.members
	exit
fi
members >all.members
comm -13 base.members all.members >new.members
sed 's/.*/MEMBER(&)/' new.members >members.h
rm -f mark.o mark.ko
build "$1"
cat new.members
