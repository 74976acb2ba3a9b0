#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] config.sh
#
# Test how scripts/build/kernel.sh configures: what cannot be had is refused by name.

. "$(dirname "$0")/../lib/lib.sh"

fragment=$BUILD/kernel-test.config
out=$(CONFIG=$fragment && kernel_dir)
at_exit "rm -rf '$fragment' '$out'"

# configured TEXT LINE…: a fragment of these lines is refused with TEXT, or accepted if
# TEXT is empty.
configured() {
	_text=$1
	shift
	printf '%s\n' "$@" >"$fragment"
	_output=$(CONFIG=$fragment "$TOP/scripts/build/kernel.sh" config 2>&1) && _status=0 || _status=1
	case $_status$_output in
	0*) [ "$_text" ] || { passed=$((passed + 1)); return; } ;;
	1*"$_text"*) [ ! "$_text" ] || { passed=$((passed + 1)); return; } ;;
	esac
	failed=$((failed + 1))
	printf 'FAIL %s:\n%s\n' "$*" "$_output"
}

configured '' CONFIG_NR_CPUS=4
configured '' CONFIG_FTRACE=n CONFIG_FTRACE_SYSCALLS=n
configured 'CONFIG_NO_SUCH_THING=y: Kconfig drops it' CONFIG_NO_SUCH_THING=y
configured 'CONFIG_NO_SUCH_THING=n: Kconfig drops it' '# CONFIG_NO_SUCH_THING is not set'
configured 'CONFIG_NR_CPUS=100000: Kconfig makes it' CONFIG_NR_CPUS=100000

total
