#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: SUFFIX=-NAME [CONFIG=...] [HANDOUT=1] [BUILT=DIR] deploy.sh
#
# Build a kernel whose release ends in SUFFIX, and install it on this machine beside
# the running one: its modules, the kernel in /boot, an initramfs (by initramfs-tools,
# dracut or mkinitcpio) and an entry in GRUB's menu. With BUILT, install the kernel
# that was built in that folder.
#
# A kernel of the same release that was installed by this script is replaced. If a step
# fails or is interrupted, what was installed is removed. undeploy.sh removes it, too.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused
. "$TOP/scripts/vm/deployed.sh"

check_machine 'choose another'
for initramfs in update-initramfs dracut mkinitcpio none; do
	command -v $initramfs >/dev/null && break
done
[ "$initramfs" != none ] || die "this machine has no tool for an initramfs: update-initramfs, dracut or mkinitcpio"
{ command -v grub-mkconfig && [ -w $grub_cfg ]; } >/dev/null ||
	die "this machine does not boot by GRUB: there is no grub-mkconfig or no $grub_cfg"

if [ ! "${BUILT:-}" ]; then
	set -- make -C "$TOP" kernel ARCH="$ARCH" CONFIG="$CONFIG" ${HANDOUT:+HANDOUT=1} LOCALVERSION="$SUFFIX" \
		${LINUX:+"LINUX=$LINUX"} ${LINUX_TARBALL:+"LINUX_TARBALL=$LINUX_TARBALL"} ${LLVM:+"LLVM=$LLVM"} \
		${RUST_LIB_SRC:+"RUST_LIB_SRC=$RUST_LIB_SRC"} ${KERNEL_ORG:+"KERNEL_ORG=$KERNEL_ORG"} JOBS="$JOBS" V="$V"
	# Who has called sudo also owns build/, and has the compilers.
	# shellcheck disable=SC2016 # for that shell
	[ "${SUDO_USER:-root}" = root ] || set -- su -l -s /bin/sh -c 'exec "$0" "$@"' "$SUDO_USER" -- "$@"
	"$@"
	BUILT=$(LOCALVERSION=$SUFFIX && kernel_dir)
fi
with_lock
bzimage=$BUILT/arch/x86/boot/bzImage
release=$(cat "$BUILT/include/config/kernel.release" 2>/dev/null) ||
	die "BUILT=$BUILT: no kernel was built there"
[ -r "$bzimage" ] || die "BUILT=$BUILT: no kernel was built there"
[ ! -e "$BUILT/.begun" ] || [ -e "$BUILT/.built" ] || die "BUILT=$BUILT: its last build has failed or was interrupted"
case $release in
*"$SUFFIX") ;;
*) die "BUILT=$BUILT is a kernel $release, which does not end in SUFFIX=$SUFFIX: build it with LOCALVERSION=$SUFFIX" ;;
esac
[ "$(getconf LONG_BIT)" = 32 ] || grep -q '^CONFIG_64BIT=y' "$BUILT/.config" ||
	die "BUILT=$BUILT is a 32-bit kernel, which cannot run this machine's 64-bit programs"
modules=$BUILT/installed/lib/modules/$release
[ -d "$modules" ] || die "BUILT=$BUILT has no installed/lib/modules/$release"
for file in "/lib/modules/$release" "/boot/vmlinuz-$release" "/boot/System.map-$release" "/boot/config-$release" \
	"/boot/initrd.img-$release" "/boot/initramfs-$release.img"; do
	[ ! -e "$file" ] || [ -e "/lib/modules/$release/$marker" ] ||
		die "$file is there already, and not by this script: nothing is changed"
done

# mib FILE...: their size, rounded up.
mib() {
	du -cBM --apparent-size "$@" | sed -n '$s/M.*//p'
}

# An initramfs can be as large as the modules, and tools make it beside the old one.
need_space /boot $(($(mib "$bzimage" "$BUILT/System.map") + 2 * $(mib "$modules") + 64)) 'the kernel with its initramfs'
need_space /lib/modules $(($(mib "$modules") + 16)) 'the modules'

remove "$release"
menu=$(mktemp)
cat $grub_cfg >"$menu"
at_exit "rm -f '$menu'"

# undo: the menu is made anew, since others may have installed kernels meanwhile. The old one
# comes back only if grub-mkconfig is what fails. A second Ctrl-C does not stop this.
undo() {
	trap '' HUP INT TERM
	say "removing what was installed of $release"
	(remove "$release") 2>/dev/null || {
		cat "$menu" >$grub_cfg
		remove "$release"
	}
}
finished=''
# shellcheck disable=SC2016 # at the end
at_exit '[ "$finished" ] || undo'

# The marker is the first thing to come and the last to go.
mkdir -p "/lib/modules/$release"
echo "$SUFFIX" >"/lib/modules/$release/$marker"
log=$BUILD/log/deploy.log
run_logged "$log" "modules in /lib/modules/$release" cp -r "$modules/." "/lib/modules/$release"
run_logged "$log" "their dependencies" depmod "$release"
install -m 644 "$BUILT/System.map" "/boot/System.map-$release"
install -m 644 "$BUILT/.config" "/boot/config-$release"
install -m 644 "$bzimage" "/boot/vmlinuz-$release"
case $initramfs in
update-initramfs) set -- update-initramfs -c -k "$release" ;;
dracut) set -- dracut --force "/boot/initrd.img-$release" "$release" ;;
mkinitcpio) set -- mkinitcpio -k "$release" -g "/boot/initramfs-$release.img" ;;
esac
run_logged "$log" "initramfs, by $initramfs" "$@"
# On a live system update-initramfs does nothing, and calls it a success.
[ -s "/boot/initrd.img-$release" ] || [ -s "/boot/initramfs-$release.img" ] ||
	die "$initramfs has made no initramfs for $release; the log: $log"
run_logged "$log" "GRUB's menu" grub-mkconfig -o $grub_cfg
grep -q "vmlinuz-$release\([[:space:]]\|\$\)" $grub_cfg || die "grub-mkconfig has made no entry for $release; the log: $log"
# shellcheck disable=SC2034 # for at_exit
finished=1
say "$release is installed. Reboot, and choose it under 'Advanced options' in GRUB's menu." \
	"To remove it: make undeploy SUFFIX=$SUFFIX"
! tail -c 1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | od -An -tu1 | grep -qw 1 ||
	say "But Secure Boot is on: GRUB boots this kernel only once you have turned that off (in the firmware's" \
		"setup, or by mokutil --disable-validation) or signed /boot/vmlinuz-$release."
