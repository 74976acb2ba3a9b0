#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [KVM=on|off] accelerator.sh [CONFIG]
#
# Print what to start QEMU with: its name, its accelerator and its CPU. CONFIG is the
# configuration of the guest's kernel, if that is known.

. "$(dirname "$0")/../lib/lib.sh"

qemu=qemu-system-$ARCH
command -v "$qemu" >/dev/null || die "$qemu is missing: run 'make deps'"

# /dev/kvm may exist and open, and still not run a guest. Try once, with a boot sector
# that ends QEMU with status 33 through its debug exit device.
probe_kvm() {
	[ -w /dev/kvm ] || return
	# mov $0xf4,%dx; mov $0x10,%al; out %al,(%dx); hlt
	printf '\272\364\000\260\020\356\364' >"$probe"
	dd if=/dev/zero bs=1 count=503 2>/dev/null >>"$probe"
	printf '\125\252' >>"$probe"
	timeout -k 1 5 "$qemu" -accel kvm -cpu host -nodefaults -display none -no-reboot \
		-device isa-debug-exit,iobase=0xf4,iosize=4 \
		-drive if=floppy,format=raw,file="$probe" </dev/null >/dev/null 2>&1
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
		probe=$(mktemp)
		if (set +e; probe_kvm); then echo kvm; else echo tcg; fi >"$BUILD/accelerator"
		rm "$probe"
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
if [ "$accel" = tcg ] && ! grep -q '^# CONFIG_JUMP_LABEL is not set' "${1:-/dev/null}" 2>/dev/null &&
	"$qemu" --version | awk 'NR == 1 { split($4, v, "."); exit v[1] * 100 + v[2] >= 801 }'; then
	accel=tcg,thread=single
fi
echo "$qemu -accel $accel -cpu $cpu"
