#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [KVM=on|off] [SMP=2] [MEM=512M]
#        qemu.sh [OPTION]... KERNEL INITRAMFS [QEMU-ARGUMENT]...
#
# Start a guest; all guests of this repository are started here. Boot KERNEL (a
# build folder or a bzImage) with INITRAMFS and run its /work, whose output and exit
# status become this script's. It also fails when the guest misses its deadline or
# ends without a result, or when its kernel logs an oops, a BUG, a warning or the
# like (see trouble.sh).
#
#   -d DIR      the folder for console.log and the like, claimed by the caller; the
#               default is a new one in build/run
#   -t SECONDS  deadline (60)
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
kernel=$1 initramfs=$2
shift 2

config=$kernel/.config
[ ! -d "$kernel" ] || kernel=$kernel/arch/x86/boot/bzImage
[ -r "$kernel" ] || die "$kernel: no such kernel: run 'make kernel'"
qemu=qemu-system-$ARCH
command -v "$qemu" >/dev/null || die "$qemu is missing: run 'make deps'"

[ "$dir" ] || { claim guest; dir=$run; }
console=$dir/console.log

# /dev/kvm may exist and open, and still not run a guest. Try once, with a boot sector
# that ends QEMU with status 33 through its debug exit device.
probe_kvm() {
	[ -w /dev/kvm ] || return
	# mov $0xf4,%dx; mov $0x10,%al; out %al,(%dx); hlt
	printf '\272\364\000\260\020\356\364' >"$dir/probe"
	dd if=/dev/zero bs=1 count=503 2>/dev/null >>"$dir/probe"
	printf '\125\252' >>"$dir/probe"
	timeout -k 1 5 "$qemu" -accel kvm -cpu host -nodefaults -display none -no-reboot \
		-device isa-debug-exit,iobase=0xf4,iosize=4 \
		-drive if=floppy,format=raw,file="$dir/probe" </dev/null >/dev/null 2>&1
	[ $? = 33 ]
}

accelerator() {
	case ${KVM:-} in
	on) echo kvm; return ;;
	off) echo tcg; return ;;
	'') ;;
	*) die "KVM=$KVM: there is only KVM=on and KVM=off" ;;
	esac
	if [ ! -s "$BUILD/accelerator" ]; then
		if (set +e; probe_kvm); then echo kvm; else echo tcg; fi >"$BUILD/accelerator"
		say "qemu: guests run on $(cat "$BUILD/accelerator") (KVM=on and KVM=off override)"
	fi
	cat "$BUILD/accelerator"
}

accel=$(accelerator)
# All that QEMU can emulate, including SMAP. The vendor is Intel because a 32-bit kernel
# rejects SMP on early AMD models.
case $accel in
kvm) cpu=host ;;
tcg) cpu=max,vendor=GenuineIntel ;;
esac
# Before QEMU 8.1, a CPU could translate code while another one changed it, and keep the
# old code ("accel/tcg: Always lock pages before translation"): a kernel with jump
# labels, which patches itself, then died of an int3 every few boots.
if [ "$accel" = tcg ] && ! grep -q '^# CONFIG_JUMP_LABEL is not set' "$config" 2>/dev/null &&
	"$qemu" --version | awk 'NR == 1 { split($4, v, "."); exit v[1] * 100 + v[2] >= 801 }'; then
	accel=tcg,thread=single
fi
set -- "$qemu" -accel "$accel" -cpu "$cpu" -smp "${SMP:-2}" -m "${MEM:-512M}" \
	-nodefaults -display none -no-reboot -kernel "$kernel" -initrd "$initramfs" "$@"
# On a busy host the guest must not conclude that its timer or clock is broken.
append="console=ttyS0 panic=-1 oops=panic no_timer_check tsc=nowatchdog $append"

if [ "$interactive" ]; then
	# Ctrl-A X ends QEMU; everything else, including Ctrl-C, goes to the guest.
	status=0
	"$@" -append "$append" -chardev stdio,id=console,mux=on,signal=off,logfile="$console" \
		-serial chardev:console -mon console || status=$?
	exit $status
fi

# relay: pass on the output of the guest's work; init ends it with the exit status.
relay() {
	mark=$(printf '\001exit ')
	while IFS= read -r line || [ "$line" ]; do
		case $line in
		*"$mark"*)
			echo "${line#*"$mark"}" >"$dir/status"
			line=${line%%"$mark"*}
			[ "$line" ] || continue ;;
		esac
		printf '%s\n' "$line"
	done
}

# The console must have warnings, whatever CONFIG=FILE and the work say.
{
	status=0
	timeout --foreground -k 5 "$deadline" "$@" -append "$append ignore_loglevel" \
		-serial file:"$console" -serial stdio </dev/null 2>"$dir/qemu.log" || status=$?
	echo $status >"$dir/qemu.status"
} | relay

qemu_status=$(cat "$dir/qemu.status")
failure=''
case $qemu_status in
0)
	[ -s "$dir/status" ] || failure="the guest ended without a result: it powered off, rebooted or died"
	# On a full disk QEMU goes on, and what the kernel says is lost.
	[ "$failure" ] || tail -n 5 "$console" | grep -qa 'reboot: ' || failure="the console is cut short: is the disk full?" ;;
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
exit "$(cat "$dir/status")"
