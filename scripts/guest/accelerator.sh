#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [KVM=on|off] accelerator.sh [KERNEL [INITRAMFS]]
#
# Print what to start QEMU with: its name, its accelerator and its CPU. KERNEL is the
# guest's, a build folder or a bzImage, if that is known.

. "$(dirname "$0")/../lib/lib.sh"

qemu=qemu-system-$ARCH
command -v "$qemu" >/dev/null || die "$qemu is missing: run 'make deps'"

kernel=${1:-} config=$kernel/.config
[ ! -d "$kernel" ] || kernel=$kernel/arch/x86/boot/bzImage
initramfs=${2:-}

# /dev/kvm may exist, open, run a boot sector, and still not run a kernel: within another
# hypervisor, say. Try once, with the guest's own kernel. It must start the CPUs and, with
# INITRAMFS, a process, which ends; then it panics, as it must.
probe_kvm() {
	timeout -k 1 15 "$qemu" -accel kvm -cpu host -smp 2 -m 512M -nodefaults -display none -no-reboot \
		-kernel "$kernel" ${initramfs:+-initrd "$initramfs"} -serial stdio \
		-append "console=ttyS0 panic=-1 rdinit=/bin/busybox" </dev/null >"$console" 2>&1 || return
	grep -qE 'Kernel panic - not syncing: (VFS: Unable to mount root|No working init found|Attempted to kill init! exitcode=0x00000000)' "$console"
}

accelerator() {
	case ${KVM:-} in
	on) echo kvm; return ;;
	off) echo tcg; return ;;
	'') ;;
	*) die "KVM=$KVM: there is only KVM=on and KVM=off" ;;
	esac
	known=$BUILD/accelerator-$ARCH
	[ -w /dev/kvm ] || ! grep -qsx kvm "$known" || rm -f "$known"
	if [ ! -s "$known" ]; then
		[ -r "$kernel" ] || { echo tcg; return; }
		console=$(mktemp)
		if (set +e; probe_kvm); then echo kvm; else echo tcg; fi >"$known"
		rm "$console"
		say "qemu: guests run on $(cat "$known") (KVM=on and KVM=off override)"
	fi
	cat "$known"
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
echo "$qemu -accel $accel -cpu $cpu"
