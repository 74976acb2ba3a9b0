#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] guest.sh
#
# Test what needs a built kernel: what Kconfig cannot do is refused by name; a guest that
# hangs, crashes, warns or ends early must not look like one that did its work; and
# users' programs run.

. "$(dirname "$0")/../lib/lib.sh"

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp' '$BUILD/kernel-$ARCH-.tested'"

# ends WHAT STATUS TEXT COMMAND…: COMMAND exits with STATUS and prints TEXT.
ends() {
	_what=$1 _want=$2 _text=$3 _status=0
	shift 3
	"$@" >"$tmp/output" 2>&1 </dev/null || _status=$?
	if [ $_status = "$_want" ] && case $(cat "$tmp/output") in *"$_text"*) ;; *) false ;; esac; then
		pass
	else
		fail "$_what: status $_status instead of $_want, or no '$_text' in:"
		sed 's/^/    /' "$tmp/output"
	fi
}

# configured LINE…: configure a kernel with a fragment of these lines.
configured() {
	printf '%s\n' "$@" >"$tmp/.tested.config"
	CONFIG=$tmp/.tested.config "$TOP/scripts/build/kernel.sh" config
}

ends 'a value' 0 '' configured CONFIG_NR_CPUS=4
ends 'to turn off what there is not, after something that had it' 0 '' configured CONFIG_FTRACE=n CONFIG_FTRACE_SYSCALLS=n
ends 'no such symbol' 1 'CONFIG_NO_SUCH_THING=y: Kconfig drops it' configured CONFIG_NO_SUCH_THING=y
ends 'to turn off no such symbol' 1 'CONFIG_NO_SUCH_THING=n: Kconfig drops it' configured '# CONFIG_NO_SUCH_THING is not set'
ends 'a value out of range' 1 'CONFIG_NR_CPUS=100000: Kconfig makes it' configured CONFIG_NR_CPUS=100000

# guest LINE…: run these lines as the guest's work.
guest() {
	printf '#!/bin/sh\n' >"$tmp/work"
	printf '%s\n' "$@" >>"$tmp/work"
	chmod +x "$tmp/work"
	"$TOP/scripts/build/initramfs.sh" "$tmp/cpio" "$tmp/work:/work" &&
		"$TOP/scripts/guest/qemu.sh" -t 120 "$(kernel_dir)" "$tmp/cpio"
}

"$TOP/scripts/build/kernel.sh"

hang() (
	export DEADLINE=20
	guest 'sleep 1000'
)

ends 'the status of the work' 7 'no newline' guest 'printf "no newline"' 'exit 7'
ends 'a guest that hangs' 1 'still running after 20 s' hang
ends 'a guest that powers off' 1 'without a result' guest 'poweroff -f'
ends 'a guest that crashes' 1 'Kernel panic' guest 'echo c >/proc/sysrq-trigger'
ends 'a guest whose kernel warns' 1 'WARNING: kernel/fork.c' guest \
	'echo "<4>WARNING: kernel/fork.c:1 at f+0x0/0x10" >/dev/kmsg'
ends 'a guest that silences its kernel, which then warns' 1 'WARNING: kernel/fork.c' guest 'dmesg -n 1' \
	'echo "<4>WARNING: kernel/fork.c:1 at f+0x0/0x10" >/dev/kmsg'
ends 'a user who logs such words' 0 '' guest 'echo "<4>user says BUG: WARNING: Oops" >/dev/kmsg'

# logged LINE: run scripts/guest/trouble.sh on a log with LINE.
logged() {
	printf '[    0.000000] Linux version 7.3\r\n%s\r\n[   99.000000] more\r\n' "$1" >"$tmp/console"
	"$TOP/scripts/guest/trouble.sh" "$tmp/console"
}

while read -r line; do
	ends "the log line $line" 0 "${line#*] }" logged "$line"
done <<'EOF'
[    1.234567] BUG: sleeping function called from invalid context at mm/slab.c:1
[    1.234567][  T123] BUG: KASAN: slab-use-after-free in f+0x1/0x2
[   12.345678] WARNING: possible circular locking dependency detected
[  123.456789][   C1] rcu: INFO: rcu_preempt self-detected stall on CPU
[  123.456789] INFO: task sh:12 blocked for more than 120 seconds.
[    1.234567] Oops: general protection fault, kernel NULL pointer dereference
[    1.234567] Oops: 0002 [#1] SMP
[    1.234567] rust_kernel: panicked at kernel/hello.rs:1:1:
[    1.234567] kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
[    1.234567] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
[    1.234567] watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1
[    1.234567] softirq: huh, entered softirq 3 NET_RX 12345678 with preempt_count 00000101, exited with 00000102?
[    1.234567] bad: scheduling from the idle thread!
[    1.234567] irq 9: nobody cared (try booting with the "irqpoll" option)
[    1.234567] get_swap_device: Bad swap file entry 3ffffffffffff
[    1.234567] Bad swap offset entry 3ffffffffffff
[    1.234567] mm/memory.c:123: bad pmd 00000000deadbeef(0000000000000001)
[    1.234567] UBSAN: array-index-out-of-bounds in kernel/fork.c:1:2
BUG: KASAN: a kernel that does not log the time
half a line of a program[    1.234567] BUG: KASAN: slab-use-after-free in f
EOF
ends 'no log' 2 'missing or empty' "$TOP/scripts/guest/trouble.sh" "$tmp/none"
for line in 'xxxhal syscall called with "BUG: WARNING: Oops"' 'sh[12]: segfault at 8 ip 8'; do
	ends "the log line $line" 1 '' logged "[    1.234567] $line"
done

echo 'int main(void) { return x; }' >"$tmp/bad.c"
cat >"$tmp/c.c" <<'EOF'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *thread(void *argument)
{
	return argument;
}

int main(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, thread, NULL) || pthread_join(id, NULL))
		return 1;
	printf("C, %d bits\n", (int)sizeof(long) * 8);
	return 9;
}
EOF
cat >"$tmp/std.rs" <<'EOF'
fn main() {
    let sum: u32 = std::thread::spawn(|| (1..=10).sum()).join().unwrap();
    println!("Rust with std, {sum}");
    std::process::exit(10);
}
EOF
cat >"$tmp/no_std.rs" <<'EOF'
#![no_std]
#![no_main]

use harness::*;

fn main(_args: Args) -> i32 {
    println!("Rust without std, {} bits", usize::BITS);
    11
}

program!(main);
EOF
ends 'a C program' 9 'C, ' env PROG="$tmp/c.c" "$TOP/scripts/guest/run.sh"
[ "$ARCH" = i386 ] ||
	ends 'a Rust program' 10 'Rust with std, 55' env PROG="$tmp/std.rs" "$TOP/scripts/guest/run.sh"
ends 'a Rust program without std' 11 'Rust without std, ' env PROG="$tmp/no_std.rs" "$TOP/scripts/guest/run.sh"
ends 'a program that does not build' 1 'does not build' env PROG="$tmp/bad.c" "$TOP/scripts/guest/run.sh"

total
