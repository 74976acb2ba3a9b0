#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [KVM=on|off] [SMP=2] [MEM=512M] [DEADLINE=SECONDS]
#        qemu.sh [OPTION]... KERNEL INITRAMFS [QEMU-ARGUMENT]...
#
# Start a guest without a disk (those with one: scripts/vm/start.sh). Boot KERNEL, a build
# folder or a bzImage, with INITRAMFS and run its /work, whose output and exit status
# become this script's. It also fails when the guest misses its deadline or ends without
# a result, or when its kernel logs an oops, a BUG, a warning or the like (see trouble.sh).
#
#   -d DIR      the folder for console.log and the like, claimed by the caller; the
#               default is a new one in build/run
#   -t SECONDS  deadline (60), if DEADLINE does not say another
#   -a TEXT     append to the kernel's command line
#   -i          interactive: a shell on this terminal, no deadline

. "$(dirname "$0")/../lib/lib.sh"

dir='' deadline=60 append='' interactive=''
while getopts d:t:a:i option; do
	case $option in
	d) dir=$OPTARG ;;
	t) deadline=$OPTARG ;;
	a) append=$OPTARG ;;
	i) interactive=1 ;;
	*) misused ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || misused
deadline=${DEADLINE:-$deadline}
kernel=$1 initramfs=$2
shift 2

bzimage=$kernel
[ ! -d "$kernel" ] || bzimage=$kernel/arch/x86/boot/bzImage
[ -r "$bzimage" ] || die "$bzimage: no such kernel: run 'make kernel'"
[ "$dir" ] || { claim guest; dir=$run; }
console=$dir/console.log
# Of the guest before.
rm -f "$dir/status" "$dir/qemu.status" "$dir/qemu.log" "$console"

machine=$("$TOP/scripts/guest/accelerator.sh" "$kernel" "$initramfs")
# shellcheck disable=SC2086 # one word per argument
set -- $machine -smp "${SMP:-2}" -m "${MEM:-512M}" \
	-nodefaults -display none -no-reboot -kernel "$bzimage" -initrd "$initramfs" "$@"
# On a busy host the guest must not conclude that its timer or clock is broken.
append="console=ttyS0 panic=-1 oops=panic no_timer_check tsc=nowatchdog log_buf_len=4M $append"

if [ "$interactive" ]; then
	# Some terminals do not know their size.
	size=$(stty size)
	[ "$size" != '0 0' ] || size='24 80'
	append="$append quiet TERM=${TERM:-vt100} ROWS=${size% *} COLS=${size#* }"
	# Ctrl-A X ends QEMU; everything else, including Ctrl-C, goes to the guest.
	status=0
	"$@" -append "$append" -chardev stdio,id=console,mux=on,signal=off,logfile="$console" \
		-serial chardev:console -mon console || status=$?
	exit $status
fi

# The console must have warnings, whatever CONFIG=FILE says; the work may turn this off.
# QEMU does not mind if its output is lost; cat does.
{
	status=0 begin=$(date +%s)
	timeout --foreground -k 5 "$deadline" "$@" -append "$append ignore_loglevel" -serial file:"$console" \
		-serial stdio -serial file:"$dir/status" </dev/null 2>"$dir/qemu.log" || status=$?
	# What timeout has not ended, somebody else has, such as the kernel out of memory.
	[ $(($(date +%s) - begin)) -ge "$deadline" ] || [ $status = 0 ] || status="$status, before its time"
	echo "$status" >"$dir/qemu.status"
} | cat

qemu_status=$(cat "$dir/qemu.status")
failure=''
case $qemu_status in
0)
	# On a full disk QEMU goes on, and what the kernel says is lost.
	if ! tail -n 5 "$console" | grep -qaE 'reboot: |Kernel panic'; then
		failure="the console is cut short: is the disk full, or did the guest die?"
	elif [ ! -s "$dir/status" ]; then
		failure="the guest ended without a result: it powered off, rebooted or died"
	elif grep -qaE '^\*\* [0-9]+ printk messages dropped' "$console"; then
		failure="the kernel's log was faster than its console, which lacks some of it"
	fi ;;
124 | 137) failure="the guest was still running after $deadline s and was stopped" ;;
*) failure="QEMU failed with status $qemu_status: $(cat "$dir/qemu.log")" ;;
esac

trouble=0
found=$("$TOP/scripts/guest/trouble.sh" "$console") || trouble=$?
case $trouble in
0)
	say "the kernel's log has:
$found"
	[ "$failure" ] || failure="the kernel's log shows trouble" ;;
1)
	[ ! "$failure" ] || {
		say "the end of the console:"
		tail -n 25 "$console" | sed 's/\r$//' >&2
	} ;;
*) [ "$failure" ] || failure="the kernel's log cannot be searched" ;;
esac
[ ! "$failure" ] || die "$failure (console: $console)"
exit "$(tr -d '\r' <"$dir/status")"
