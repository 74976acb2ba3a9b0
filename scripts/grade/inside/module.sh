#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the sandbox: build the tests' module, grade.ko, from grade.c in /g/module, for the
# kernel in /g/out. It sees the members of struct task_struct that base.members has not. Without
# such a file, that list is made.
#
#	module.sh ARCH CC

set -eu
arch=$1 cc=$2
cd /g/module
cat >Makefile <<'END'
obj-m := grade.o
# For pahole
ccflags-y := -g -gdwarf-4
END
: >members.h
build() {
	make -C /g/src O=/g/out ARCH="$arch" CC="$cc" LOCALVERSION= M=/g/module "$1"
}
# members: the names of all numbers that stand directly in the structure.
members() {
	pahole -C task_struct grade.o | sed -nE '/^\t(struct|union) /d
		s/^\tatomic(64|_long)?_t +([A-Za-z_][A-Za-z0-9_]*);.*/\2.counter/p; t
		s/^\t+[^*(]*[ *]([A-Za-z_][A-Za-z0-9_]*)(\[[^]]*\])*(:[0-9]+)?( __attribute__\(\(.*\)\))?;.*/\1/p' |
		sort -u
}
build grade.o
if [ ! -e base.members ]; then
	members >base.members
	exit
fi
members >all.members
comm -13 base.members all.members >new.members
sed 's/.*/MEMBER(&)/' new.members >members.h
rm -f grade.o
build modules
cat new.members
