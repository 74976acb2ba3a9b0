#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=...] [HANDOUT=1] [SHARE=DIR] [RESET=1] [GRUB=1]
#        [IMAGE=DISK [ROOT=/dev/sda1]] [APPEND=TEXT] [DISK=FILE] [KVM=on|off] [SMP=2]
#        [MEM=1G] start.sh
#
# Boot the kernel on a machine with a disk, whose serial console is this terminal.
# The disk has Debian (see image.sh) and keeps what is written to it, in
# DISK (build/vm/ARCH.qcow2); RESET=1 begins anew. With GRUB=1, its own GRUB boots a kernel
# that is installed there. In the machine, /host is the folder SHARE (build/vm/share).
#
# With IMAGE, boot that disk of a distribution, in any format that QEMU knows, with
# ROOT, a partition with ext4 or btrfs, and what APPEND adds to the kernel's command
# line, such as rootflags=subvol=@. What is written goes to DISK (a file in build/vm); the
# image does not change. GRUB=1 needs neither ROOT nor APPEND.
#
# Log in as user or root, without a password. 'sudo poweroff' ends the machine; Ctrl-A X
# ends QEMU, which is like pulling the plug. Ctrl-C goes to the machine.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

[ -t 0 ] || [ -p /dev/stdin ] || die "this needs a terminal"
vm=$BUILD/vm
share=${SHARE:-$vm/share}
mkdir -p "$vm/share"
for path in "$share" "${IMAGE:-}" "${DISK:-}"; do
	case $path in *[,[:space:]]*) die "$path: QEMU cannot take a name with a comma or a space" ;; esac
done
only_1 RESET "${RESET:-}" 'begins with a new disk'
only_1 GRUB "${GRUB:-}" "boots by the disk's own GRUB"
[ -d "$share" ] || die "SHARE=$share: there is no such folder"

# check_free FILE: stop if a machine is using it.
check_free() {
	[ ! -e "$1" ] || qemu-img info "$1" >/dev/null 2>"$vm/info" || case $(cat "$vm/info") in
	*lock*) die "$1 is in use: by another 'make vm', or another QEMU" ;;
	*) die "$1 is not a disk that QEMU can read: $(cat "$vm/info")" ;;
	esac
}

# stamp FILE: changes when the file does.
stamp() {
	stat -c '%n %s %Y' "$1"
}

# overlay BASE FORMAT DISK: make DISK, which holds what is written. It is worthless when
# BASE changes. Without BASE, DISK is there, made from one of image.sh's.
overlay() {
	check_free "$3"
	# By a name that survives when the clone is moved. Beside DISK it could be somebody's file.
	_stamp=$vm/$(realpath -s --relative-to="$vm" "$3" | cksum | cut -d' ' -f1).base
	_base=$(cat "$_stamp" 2>/dev/null || { [ "${3%/*}" = "$vm" ] && cat "$3.base" 2>/dev/null; }) || :
	if [ -e "$3" ]; then
		_from=$(qemu-img info "$3" | sed -n 's/^backing file: //p')
		[ "${_from:-none}" = "${_base% * *}" ] || die "DISK=$3 is not one that 'make vm' has made: IMAGE=$3 boots it"
		[ ! "${RESET:-}" ] || rm -f "$3"
	fi
	if [ ! -e "$3" ]; then
		_from=$1 _base=$(stamp "$1")
		echo "$_base" >"$_stamp"
		qemu-img create -q -f qcow2 -F "$2" -b "$1" "$run/new"
		mv "$run/new" "$3"
	fi
	case ${1:-${_from##*/}} in
	"$_from" | vm-"$ARCH"-*) ;;
	*) die "DISK=$3 was made from $_from: take another, or RESET=1, which begins anew" ;;
	esac
	[ "$(stamp "$_from" 2>/dev/null)" = "$_base" ] ||
		die "$_from is gone or has changed since $3 was made from it: RESET=1 begins anew"
}

# file_system IMAGE FORMAT PARTITION: print the type of its file system.
file_system() {
	_size=$(qemu-img info --output=json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\).*/\1/p')
	qemu-img dd -f "$2" -O raw bs=1M count=1 if="$1" of="$run/table"
	truncate -s "$_size" "$run/table"
	_start=$(sfdisk -d "$run/table" 2>/dev/null |
		sed -n "s|^$run/table$3 : *start= *\([0-9]*\),.*|\1|p")
	[ "$_start" ] || die "IMAGE=$1 has no partition $ROOT, but: $(sfdisk -d "$run/table" 2>/dev/null |
		sed -n "s|^$run/table\([0-9]*\) : .*|/dev/sda\1|p" | paste -sd' ')"
	# blkid does not look for LVM in what is 1 MiB or less.
	qemu-img dd -f "$2" -O raw bs=512 skip="$_start" count=$((_start + 8192)) if="$1" of="$run/partition"
	blkid -p -s TYPE -o value "$run/partition" || :
}

# check_root: stop unless the kernel can boot from the partition ROOT of the image.
check_root() {
	case $ROOT in
	/dev/sda[1-9] | /dev/sda[1-9][0-9]) ;;
	*) die "ROOT=$ROOT: the image is /dev/sda, and ROOT one of its partitions, such as /dev/sda1" ;;
	esac
	type=$(file_system "$image" "$format" "${ROOT#/dev/sda}")
	case $type in
	ext[234] | btrfs) ;;
	crypto_LUKS) die "$ROOT of $IMAGE is encrypted (LUKS): without an initramfs it cannot be opened" ;;
	LVM2_member) die "$ROOT of $IMAGE is part of LVM: without an initramfs it cannot be put together" ;;
	*) die "$ROOT of $IMAGE has ${type:-no file system that is known}; the kernel can boot from ext4 and btrfs" ;;
	esac
}

if [ "${GRUB:-}" ]; then
	set --
else
	kernel=$(kernel_dir)/arch/x86/boot/bzImage
	[ -r "$kernel" ] || die "$kernel: no such kernel: run 'make kernel'"
	set -- -kernel "$kernel" -append "root=${ROOT:=/dev/sda1} console=ttyS0,115200n8 ${APPEND:-}"
fi
machine=$("$TOP/scripts/guest/accelerator.sh" "$(kernel_dir)${GRUB:+/arch/x86/boot/bzImage}")
claim "vm-$ARCH"
if [ "${IMAGE:-}" ]; then
	[ -f "$IMAGE" ] || die "IMAGE=$IMAGE: there is no such file"
	image=$(realpath "$IMAGE")
	check_free "$image"
	format=$(qemu-img info --output=json "$image" | sed -n 's/^    "format": "\(.*\)",\{0,1\}$/\1/p')
	[ "${GRUB:-}" ] || check_root
	disk=${DISK:-$vm/$(basename "$image")-$(echo "$image" | cksum | cut -d' ' -f1).qcow2}
	overlay "$image" "$format" "$disk"
else
	disk=${DISK:-$vm/$ARCH.qcow2}
	if [ ! -e "$disk" ] || [ "${RESET:-}" ]; then
		image=$("$TOP/scripts/vm/image.sh")
	else
		image=''
	fi
	overlay "$image" qcow2 "$disk"
	if [ ! "${GRUB:-}" ]; then
		pack=$("$TOP/scripts/vm/pack.sh")
		set -- "$@" -drive file="$pack",format=raw,if=none,id=kernel,readonly=on \
			-device virtio-blk-pci,drive=kernel,serial=vm-kernel
	fi
fi
say "the disk: $disk; the console's log: $run/console.log"
# shellcheck disable=SC2086 # one word per argument
exec $machine -smp "${SMP:-2}" -m "${MEM:-1G}" -nodefaults -display none -vga std \
	-drive file="$disk",format=qcow2,if=ide,index=0 \
	-virtfs local,path="$share",mount_tag=host,security_model=none "$@" \
	-chardev stdio,id=console,mux=on,signal=off,logfile="$run/console.log" -serial chardev:console -mon console
