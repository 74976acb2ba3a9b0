# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What deploy.sh and undeploy.sh share.

grub_cfg=/boot/grub/grub.cfg
# A file in /lib/modules/RELEASE, with the SUFFIX: what else has this release was installed
# by deploy.sh.
marker=.deployed

# check_machine ADVICE: only root may go on, and the running kernel stays as it is.
check_machine() {
	case ${SUFFIX:-} in
	-*[!A-Za-z0-9.+_-]* | -) die "SUFFIX=$SUFFIX: letters, digits, and . + _ - only" ;;
	-*) ;;
	*) die "give SUFFIX=-NAME, what the kernel's release ends in, such as -xxxhal" ;;
	esac
	[ "$(id -u)" = 0 ] || die "this changes /boot and /lib/modules: as root, or with sudo, please"
	case $(uname -r) in
	*"$SUFFIX") die "SUFFIX=$SUFFIX: the running kernel, $(uname -r), ends in it: $1" ;;
	esac
}

# remove RELEASE: all that deploy.sh has installed of it.
remove() {
	[ -e "/lib/modules/$1/$marker" ] || return 0
	rm -f "/boot/vmlinuz-$1" "/boot/System.map-$1" "/boot/config-$1" \
		"/boot/initrd.img-$1" "/boot/initramfs-$1.img" "/var/lib/initramfs-tools/$1"
	! grep -qsF "$1" $grub_cfg || grub-mkconfig -o $grub_cfg >"$BUILD/log/undeploy.log" 2>&1 ||
		die "grub-mkconfig failed, GRUB's menu still has $1; the log: $BUILD/log/undeploy.log"
	find "/lib/modules/$1" -mindepth 1 ! -name $marker -delete
	rm -r "/lib/modules/$1"
}
