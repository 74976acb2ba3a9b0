#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] image.sh
#
# Make a disk with Debian on it, in the cache, and print its path: one partition with
# ext4, what scripts/vm/packages lists, the files of scripts/vm/root, and GRUB, but no
# kernel. This needs neither root nor loop devices.
#
# As long as these files and the date in packages stay the same, so does the disk, and
# no network is needed.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

here=$TOP/scripts/vm
case $ARCH in
x86_64) arch=amd64 ;;
*) arch=$ARCH ;;
esac
# In MiB. The file has only what is written to.
size=8192

# listed WORD: what follows it in packages; with '', the packages.
listed() {
	sed -n "s/^$1 //p" "$here/packages"
}

sum=$({
	echo "$ARCH"
	cat "$here/packages" "$0"
	cd "$here/root" && find . -type f -print -exec cat {} +
} | sha256sum | cut -c1-12)
image=$(cache_dir)/vm-$ARCH-$sum.qcow2
# known: if the disk is there, that is all.
known() {
	[ ! -r "$image" ] || { echo "$image"; exit; }
}
known

[ "$(id -u)" = 0 ] || grep -q "^$(id -un):" /etc/subuid ||
	die "/etc/subuid has no user ids for $(id -un), which mmdebstrap needs: as root, run:" \
		"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
# The cache is shared with other clones: one at a time.
exec 5>>"$(cache_dir)/.vm.lock"
wait_lock 5 "another make is making a disk"
known
need_space "$(cache_dir)" 5000 'a new disk'

# as_root COMMAND…: where files can have any owner, with this user as root.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else unshare --map-root-user --map-auto "$@"; fi
}

tmp=$(mktemp -d "$(cache_dir)/vm-tmp.XXXXXX")
at_exit "as_root rm -rf '$tmp'"

# What the new system's root does at the end. The option that makes dpkg fast on a disk
# that may be lost does not stay. GRUB is put together here, since its own grub-install
# wants a mounted disk; Debian's kernels update its menu only where there is one.
mkdir -p "$tmp/setup/root"
cat >"$tmp/setup/root/setup" <<'END'
set -e
useradd -m -s /bin/bash -G sudo,adm,systemd-journal user
passwd -q -d user
passwd -q -d root
echo 'user ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/user
rm /etc/dpkg/dpkg.cfg.d/99mmdebstrap
mkdir -p /host /boot/grub/i386-pc
systemctl -q enable host.mount vm-kernel.service
systemctl -q disable redis-server.service postgresql.service apt-daily.timer apt-daily-upgrade.timer
cp /usr/lib/grub/i386-pc/*.mod /usr/lib/grub/i386-pc/*.lst /boot/grub/i386-pc
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/i386-pc/core.img \
	biosdisk part_msdos ext2 normal
: >/boot/grub/grub.cfg
END

# extract FILE: of the new system.
extract() {
	tar -xOf "$tmp/root.tar" "./$1"
}

# check/qemu would want one more package, to find out that x86-64 runs i386's programs.
# shellcheck disable=SC2016 # the hooks' shell fills in $1
debian() {
	tar --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$tmp/files.tar" -C "$here/root" . -C "$tmp/setup" ./root/setup
	mmdebstrap --variant=minbase --architectures="$arch" --format=tar --dpkgopt=force-unsafe-io \
		--include="$(grep -vE '^(#|suite |date |$)' "$here/packages" | tr '\n' ' ')" \
		--aptopt='APT::Install-Recommends "false"' --skip=check/qemu \
		--essential-hook='echo grub-pc grub-pc/install_devices_empty boolean true | chroot "$1" debconf-set-selections' \
		--customize-hook="tar-in $tmp/files.tar /" \
		--customize-hook='chroot "$1" sh /root/setup && rm "$1/root/setup"' \
		"$(listed suite)" "$tmp/root.tar" "$("$TOP/scripts/setup/apt.sh" --mirror)"
}

# shellcheck disable=SC2016 # the inner shell fills in its own
disk() {
	truncate -s $((size + 1))M "$tmp/disk"
	echo 'start=2048, type=83, bootable' | sfdisk -q "$tmp/disk"
	extract usr/lib/grub/i386-pc/boot.img | dd of="$tmp/disk" bs=440 count=1 conv=notrunc iflag=fullblock
	extract boot/grub/i386-pc/core.img | dd of="$tmp/disk" bs=512 seek=1 conv=notrunc
	mkdir "$tmp/root"
	as_root sh -ec 'cd "$1"
		tar -C root --exclude="./dev/*" -xf root.tar
		mke2fs -q -t ext4 -L vm-root -d root -E offset=1048576 disk "$2"' - "$tmp" "${size}M"
	qemu-img convert -c -O qcow2 "$tmp/disk" "$tmp/image"
}

log=$BUILD/log/vm-image-$ARCH.log
run_logged "$log" "Debian $(listed suite) for $ARCH, by mmdebstrap" debian
run_logged "$log.disk" "a disk with it" disk
mv "$tmp/image" "$image"
echo "$image"
