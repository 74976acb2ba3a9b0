#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: trouble.sh CONSOLE-LOG
#
# Show the first oops, BUG, warning, lockdep or sanitizer report, stall, leak or
# panic in a kernel's console log. The exit status is 0 if there is one, 1 if there
# is none, 2 if there is no log.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 1 ] || misused

# How such reports begin. In the middle of a line it may be user input.
reports='
BUG[: ]
WARNING:
INFO: (possible|inconsistent|suspicious|trying|rcu|task|lockdep)
rcu: (INFO|BUG|ERROR)
Kernel panic
Oops
kernel BUG at
([^ ]*: ?)?(general protection fault|double fault|divide error|invalid opcode|int3|stack segment|traps: PANIC)
(unable to handle|Unable to handle)
(UBSAN|KASAN|KCSAN|KMSAN|KFENCE):
kmemleak: [0-9]+ new
rust_kernel: panicked
watchdog: (BUG|CPU[0-9]+: Watchdog detected hard LOCKUP)
softirq: huh, entered
bad: scheduling from the idle thread
irq [0-9]+: nobody cared
([a-z_]+: )?Bad swap
[^ ]+:[0-9]+: bad (pte|pmd|pud|p4d|pgd)
DEBUG_LOCKS_WARN_ON
unreferenced object
refcount_t:
list_(add|del) corruption
\*\*\* DEADLOCK
-+\[ cut here \]
'
# The prefix of a line: level, time, caller. Not every kernel has one. Before it there may
# be half a line that a program has written to the console.
head='(<[0-9]+>)?\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? '

[ -s "$1" ] || { say "${0##*/}: $1 is missing or empty"; exit 2; }

pattern=$(printf '%s\n' "$reports" | sed '/^$/d' | paste -s -d '|')
found=$(grep -a -m 1 -A 40 -E "(^|$head)($pattern)" "$1") || exit $?
printf '%s\n' "$found" | tr -d '\r'
