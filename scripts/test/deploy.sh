#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: deploy.sh
#
# Test make deploy and make undeploy where /boot and /lib/modules are empty, and the
# tools that they call are fakes: bad input is refused and changes nothing; a step that
# fails or is interrupted leaves nothing behind. (make vm-test installs real kernels.)
# The last line is 'N passed, N failed'.

# shellcheck disable=SC2016 # it writes scripts

. "$(dirname "$0")/../lib/lib.sh"

# Begin again in a mount namespace of our own.
case ${1:-} in
'')
	set -- --mount
	[ "$(id -u)" = 0 ] || set -- --mount --map-root-user
	unshare "$@" true || die "no mount namespace: a container needs CAP_SYS_ADMIN for this test"
	! mkdir /lib/modules 2>/dev/null || at_exit 'rmdir /lib/modules'
	unshare "$@" "$0" --inside
	exit ;;
--inside) [ "$(readlink /proc/self/ns/mnt)" != "$(readlink "/proc/$PPID/ns/mnt")" ] || misused ;;
*) misused ;;
esac
mount -t tmpfs -o size=400m none /boot
mount -t tmpfs none /lib/modules
mount -t tmpfs none /sys/firmware

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp'"
mkdir -p "$tmp/fake" /boot/grub /lib/modules/6.1-old
cp -r "$TOP/scripts" "$tmp"
for tool in update-initramfs dracut mkinitcpio; do
	! real=$(command -v $tool) || mount --bind /dev/null "$real"
done
PATH=$tmp/fake:$PATH
export TMPDIR="$tmp"
unset SAME_WORLD BUILD_LOCKED BUILT SUFFIX SUDO_USER CONFIG HANDOUT LINUX LINUX_TARBALL LLVM RUST_LIB_SRC KERNEL_ORG JOBS V

# fake NAME: a command that does what standard input says. A step is a fake that can fail,
# or be interrupted, in the middle.
fake() {
	{ echo '#!/bin/sh'; cat; } >"$tmp/fake/$1"
	chmod +x "$tmp/fake/$1"
}
step() {
	{ cat; echo 'case $STOP in "${0##*/} "*) eval "${STOP#* }" ;; esac'; } | fake "$1"
}
initramfs() {
	rm -f "$tmp/fake/update-initramfs" "$tmp/fake/dracut" "$tmp/fake/mkinitcpio"
	case $1 in
	update-initramfs) echo '[ "$1 $2" = "-c -k" ] && echo >"/boot/initrd.img-$3"' ;;
	dracut) echo '[ "$1" = --force ] && [ -d "/lib/modules/$3" ] && echo >"$2"' ;;
	mkinitcpio) echo '[ "$1 $3" = "-k -g" ] && [ -d "/lib/modules/$2" ] && echo >"$4"' ;;
	esac | step "$1"
}
echo 'echo 6.1-old' | fake uname
echo '[ "$1" = -u ] && echo "${FAKE_UID:-0}"' | fake id
step depmod <<'END'
echo >"/lib/modules/$1/modules.dep"
END
step grub-mkconfig <<'END'
[ "$1" = -o ] && ls /boot >"$2.new" && mv "$2.new" "$2"
END
for tool in cp install; do
	echo "$(command -v $tool) \"\$@\"" | step $tool
done
initramfs update-initramfs
echo >/boot/vmlinuz-6.1-old
ls /boot >/boot/grub/grub.cfg
STOP=''
export STOP

# built DIR RELEASE: as if a kernel had been built.
built() {
	mkdir -p "$1/arch/x86/boot" "$1/include/config" "$1/installed/lib/modules/$2"
	echo "$2" | tee "$1/include/config/kernel.release" "$1/System.map" "$1/.config" \
		"$1/installed/lib/modules/$2/a.ko" >"$1/arch/x86/boot/bzImage"
	echo CONFIG_64BIT=y >>"$1/.config"
}
built "$tmp/built" 7.3.4-xxxhal

machine() {
	find /boot /lib/modules -printf '%M %p\n' -type f -exec cat {} +
}

# run SCRIPT VARIABLE=VALUE…: in a session of its own, so that a fake can press Ctrl-C, which
# nohup and a shell's background ignore.
run() {
	_script=$1
	shift
	setsid -w env --default-signal=INT,TERM,HUP BUILT="$tmp/built" SUFFIX=-xxxhal "$@" "$tmp/scripts/vm/$_script.sh" >"$tmp/output" 2>&1 </dev/null
}

verdict() {
	if [ "$1" = 0 ]; then
		pass
	else
		fail "$what"
		cat "$tmp/output"
	fi
}

# refuses WHAT TEXT SCRIPT VARIABLE=VALUE…: it fails, says so, and nothing is changed.
refuses() {
	what=$1 text=$2
	shift 2
	machine >"$tmp/before"
	if run "$@"; then
		echo '(it did not fail)' >>"$tmp/output"
		verdict 1
		return
	fi
	machine >"$tmp/after"
	if ! grep -qF -e "$text" "$tmp/output"; then
		echo "(nothing says '$text')" >>"$tmp/output"
		verdict 1
	elif ! diff "$tmp/before" "$tmp/after" >>"$tmp/output"; then
		verdict 1
	else
		verdict 0
	fi
}

# works WHAT SCRIPT VARIABLE=VALUE…
works() {
	what=$1
	shift
	if run "$@"; then verdict 0; else verdict 1; fi
}

same() {
	what=$1
	echo "'$2' is not '$3'" >"$tmp/output"
	if [ "$2" = "$3" ]; then verdict 0; else verdict 1; fi
}

for script in deploy undeploy; do
	refuses "$script without root" 'as root' $script FAKE_UID=1000
	refuses "$script without a suffix" 'give SUFFIX=' $script SUFFIX=
	refuses "$script: a suffix that begins otherwise" 'give SUFFIX=' $script SUFFIX=xxxhal
	refuses "$script: a suffix with a slash" 'letters, digits' $script SUFFIX=-a/../b
	refuses "$script: a suffix with a space" 'letters, digits' $script SUFFIX='-a b'
	refuses "$script: a suffix of nothing" 'letters, digits' $script SUFFIX=-
	refuses "$script: the running kernel's suffix" -old $script SUFFIX=-old
done
refuses 'undeploy what is not there' 'no such kernel' undeploy
refuses 'a folder without a kernel' 'no kernel was built' deploy BUILT="$tmp/none"
touch "$tmp/built/.begun"
refuses 'a kernel whose last build has failed' 'has failed' deploy
rm "$tmp/built/.begun"
refuses 'a kernel of another suffix' 'does not end in' deploy SUFFIX=-other
echo >"$tmp/built/.config"
refuses 'a 32-bit kernel' 'is a 32-bit kernel' deploy
echo CONFIG_64BIT=y >"$tmp/built/.config"
rm "$tmp/fake/update-initramfs"
refuses 'no tool for an initramfs' 'no tool for an initramfs' deploy
initramfs update-initramfs
mv /boot/grub/grub.cfg /boot/grub/grub
refuses 'no GRUB' 'does not boot by GRUB' deploy
mv /boot/grub/grub /boot/grub/grub.cfg
mkdir /lib/modules/7.3.4-xxxhal
refuses 'a kernel that a package has installed' 'not by this script' deploy
rmdir /lib/modules/7.3.4-xxxhal
dd if=/dev/zero of=/boot/full bs=1M count=380 2>/dev/null
for file in config-7.3.4-xxxhal initramfs-7.3.4-xxxhal.img; do
	echo mine >"/boot/$file"
	refuses "a kernel of that release with a $file" 'not by this script' deploy
	rm "/boot/$file"
done
refuses 'too little space in /boot' '/boot has' deploy
rm /boot/full

refuses 'a tool that makes no initramfs, and calls it a success' 'update-initramfs has made no initramfs' deploy \
	STOP='update-initramfs rm /boot/initrd.img-7.3.4-xxxhal'
for tool in cp depmod install update-initramfs grub-mkconfig; do
	refuses "$tool fails" 'removing what was installed' deploy STOP="$tool exit 1"
	for signal in INT TERM HUP; do
		refuses "interrupted by SIG$signal in $tool" 'removing what was installed' deploy STOP="$tool kill -$signal 0"
	done
done

refuses 'a menu with another one, whose name begins so' 'has made no entry' deploy STOP='grub-mkconfig sed -i s/xxxhal$/xxxhal-2/ "$2"'

# Another kernel is installed meanwhile.
run deploy STOP='update-initramfs echo >/boot/vmlinuz-6.2-new; grub-mkconfig -o /boot/grub/grub.cfg; exit 1' || :
same 'a step fails, and the menu has what others have installed' "$(grep vmlinuz /boot/grub/grub.cfg | paste -sd' ')" \
	'vmlinuz-6.1-old vmlinuz-6.2-new'
rm /boot/vmlinuz-6.2-new
grub-mkconfig -o /boot/grub/grub.cfg

# It builds as the user who called sudo.
machine >"$tmp/first"
step make <<END
echo "\$*" >>"$tmp/made"
cp -r "$tmp/built" "$tmp/build/kernel-x86_64-running-xxxhal"
END
# What follows -- is the command, and su takes what is before as options, wherever it stands.
echo '[ "$1 $2 $3 $4 $6 $7" = "-l -s /bin/sh -c me --" ] && echo "$6" >>"'"$tmp"'/made"; shift 8; exec make "$@"' | fake su
works 'build and deploy' deploy BUILT= CONFIG=running SUDO_USER=me LINUX=/mine LLVM=-18 JOBS=3
same 'what was built, and by whom' "$(paste -sd' ' "$tmp/made")" \
	"me -C $tmp kernel ARCH=x86_64 CONFIG=running LOCALVERSION=-xxxhal LINUX=/mine LLVM=-18 JOBS=3 V=0"
works 'undeploy it' undeploy
same 'nothing is left of it' "$(machine | diff - "$tmp/first")" ''
refuses 'a build that fails' 'does not build' deploy BUILT= CONFIG=lean STOP='make echo does not build; exit 1'

built "$tmp/lab" 7.3.4-lab-xxxhal
works 'deploy another one' deploy BUILT="$tmp/lab" SUFFIX=-lab-xxxhal
refuses 'undeploy only the end of its suffix' 'no such kernel' undeploy
works 'undeploy the other one' undeploy SUFFIX=-lab-xxxhal
mkdir -p /sys/firmware/efi/efivars
printf '\006\0\0\0\001' >/sys/firmware/efi/efivars/SecureBoot-1
works 'deploy under Secure Boot' deploy
same 'says that it is on' "$(grep -c '^But Secure Boot is on' "$tmp/output")" 1
works 'undeploy what does not boot' undeploy

for tool in update-initramfs dracut mkinitcpio; do
	initramfs $tool
	works "deploy, with $tool" deploy
	same "with $tool, GRUB's menu has it" "$(grep -c vmlinuz-7.3.4-xxxhal /boot/grub/grub.cfg)" 1
	same "with $tool, all is there" "$(find /boot /lib/modules -type f -path '*-xxxhal*' | wc -l)" 7
	works "deploy again, with $tool" deploy
	refuses "undeploy it while it runs" 'boot another kernel' undeploy SUFFIX=-old
	works "undeploy, with $tool" undeploy
	same "after $tool, nothing is left" "$(machine | diff - "$tmp/first")" ''
done
total
