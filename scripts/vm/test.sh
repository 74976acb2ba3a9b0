#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [MODES='x86_64 i386'] test.sh [--short]
#
# Test machines with disks: boot new ones, unattended, with the handouts' numbers; in
# them, compile the handouts' programs, load modules, run services under the tracker
# (inside/test); boot by the line of the handout new_syscall_5.18, and pull the plug; on
# that disk, as IMAGE=, install the kernel's packages and boot by GRUB; install a second
# kernel as 'make deploy' does, choose it in GRUB's menu, and remove it. With --short, only
# as far as the plug. Before all that, test which disks are taken (scripts/test/disks.sh).
#
# The last line is 'N passed, N failed'; the exit status agrees.

# shellcheck disable=SC2016 # it writes scripts

. "$(dirname "$0")/../lib/lib.sh"
case ${1:-} in
'' | --short) short=${1:-} ;;
*) misused ;;
esac

choose_modes 'x86_64 i386'
export CONFIG=vm HANDOUT=1
suffix=-xxxhal
load_toolchain

# A machine is typed at through $run/in; what it shows is in $run/console. $seen is how
# much of that has been looked at.

# boot COMMAND…: start a machine.
boot() {
	seen=0
	rm -f "$run/in" "$run/console"
	mkfifo "$run/in"
	setsid "$@" <"$run/in" >"$run/console" 2>"$run/qemu.log" 7>&- &
	guest=$!
	exec 8>"$run/in"
}

guest=''
at_exit '[ ! "$guest" ] || kill -- "-$guest" 2>/dev/null || :'

# look SECONDS PATTERN: wait until the machine shows it; $matched is what matched.
look() {
	_end=$(($(date +%s) + $1))
	until _at=$(tail -c +$((seen + 1)) "$run/console" | grep -aboEm1 -- "$2"); do
		if ! kill -0 "$guest" 2>/dev/null || [ "$(date +%s)" -ge $_end ]; then
			echo "no '$2' in $1 s; the end of the console:"
			tail -n 25 "$run/console" "$run/qemu.log"
			return 1
		fi
		sleep 0.5
	done
	_at=$(echo "$_at" | head -n 1)
	matched=${_at#*:}
	seen=$((seen + ${_at%%:*} + ${#matched}))
}

type() {
	# shellcheck disable=SC2059 # with escapes
	printf "$1" >&8
}

log_in() {
	look "$1" 'vm login:' && type 'user\n' && look 60 'user@vm:'
}

# inside SECONDS LINE…: run these lines in the machine, as the ordinary user. Others also
# write 'status=1' to a console.
ran=0
inside() {
	_deadline=$1 ran=$((ran + 1))
	shift
	rm -f "$share/out"
	printf '%s\n' "$@" >"$share/lines"
	type 'sh -ex /host/lines >/host/out 2>&1; echo "lines '$ran': $?"\n'
	look "$_deadline" "lines $ran: [0-9]+" || return
	cat "$share/out"
	[ "$matched" = "lines $ran: 0" ]
}

# ends SECONDS: wait until QEMU has ended. On its console there must be no warning of the kernel.
ends() {
	_end=$(($(date +%s) + $1))
	while kill -0 "$guest" 2>/dev/null; do
		[ "$(date +%s)" -lt $_end ] || return 1
		sleep 0.5
	done
	exec 8>&-
	_trouble=0
	"$TOP/scripts/guest/trouble.sh" "$run/console" || _trouble=$?
	[ $_trouble = 1 ]
}

off() {
	type 'sudo poweroff\n'
	look 120 'reboot: Power down' && ends 30
}

is_running() {
	type 'echo "state=$(systemctl is-system-running --wait)"\n'
	look 240 'state=[a-z]+' || return
	[ "$matched" = state=running ] || { type 'systemctl --failed\n'; look 30 'loaded units'; tail -n 20 "$run/console"; return 1; }
}

# try TITLE COMMAND…: one test. Unless it passes, those that follow cannot.
try() {
	_title=$1 _begin=$(date +%s)
	shift
	if "$@" >"$run/log" 2>&1; then
		pass
		echo "ok $arch: $_title ($(($(date +%s) - _begin)) s)"
	else
		fail "$arch: $_title:"
		sed 's/^/    /' "$run/log"
		return 1
	fi
}

# by_make_vm VARIABLE=VALUE…
by_make_vm() {
	boot env SHARE="$share" "$@" "$TOP/scripts/vm/start.sh"
}

# As it is there, but for -enable-kvm. There is no folder shared with the host.
handouts_line() {
	boot qemu-system-"$arch" -m 2G -kernel "$kernel/arch/x86/boot/bzImage" \
		-append "root=/dev/sda1 console=ttyS0,115200n8 serial" -nographic -hda "$disk" -smp 2
}

programs() {
	cp "$TOP/scripts/vm/inside/test" "$share"
	inside 900 'sh /host/test'
}

# Without a word of warning, while something is being written.
pull_the_plug() {
	type 'echo kept >kept; sync; while :; do cp -r /usr/include copy; rm -r copy; done\n'
	sleep 20
	kill -s KILL -- "-$guest"
	ends 10
	# 3: some clusters are allocated and not used
	qemu-img check -q "$disk" || [ $? = 3 ]
}

# Without syncing each of the headers' thousands of files.
install_packages() {
	cp "$BUILD/deb-$arch"/*.deb "$share"
	inside 900 '[ "$(cat kept)" = kept ]' 'sudo dpkg --force-unsafe-io -i /host/linux-*.deb' 'ls /boot' 'sudo grep menuentry /boot/grub/grub.cfg'
}

booted_by_grub() {
	look 120 'GNU GRUB' && log_in 300 && inside 60 "[ \"\$(uname -r)\" = $1 ]" 'grep -q BOOT_IMAGE /proc/cmdline'
}

# choose RELEASE: boot it by GRUB's menu, from the running machine.
choose() {
	inside 60 "sudo awk -F\' '/^\tmenuentry/ { print n++, \$2 }' /boot/grub/grub.cfg" || return
	_entry=$(sed -n "s/^\([0-9]*\) .*with Linux $1\$/\1/p" "$share/out")
	[ "$_entry" ] || return
	type 'sudo reboot\n'
	look 180 'GNU GRUB' || return
	sleep 1
	type '\016'
	sleep 1
	type '\r'
	sleep 2
	while [ "$_entry" != 0 ]; do
		type '\016'
		sleep 1
		_entry=$((_entry - 1))
	done
	type '\r'
	log_in 300 && inside 60 "[ \"\$(uname -r)\" = $1 ]"
}

# In the machine, deploy.sh is a copy, with a kernel that this machine has built.
stage() {
	_built=$(LOCALVERSION=$suffix && kernel_dir)
	rm -rf "$share/repo" "$share/built"
	mkdir -p "$share/repo" "$share/built/arch/x86/boot" "$share/built/include/config"
	chmod 777 "$share/repo"
	cp -r "$TOP/scripts" "$share/repo"
	for _file in .config System.map arch/x86/boot/bzImage include/config/kernel.release; do
		cp "$_built/$_file" "$share/built/$_file"
	done
	cp -r "$_built/installed" "$share/built"
}

before='find /boot /lib/modules /etc /var/lib/initramfs-tools -type f ! -name "ld.so.cache" ! -name "modules.*" | sort; sudo cat /boot/grub/grub.cfg'
deploy="sudo env BUILT=/host/built SUFFIX=$suffix /host/repo/scripts/vm"

deploys() {
	inside 900 "($before) >before" \
		"if BUILT=/host/built SUFFIX=$suffix /host/repo/scripts/vm/deploy.sh; then exit 1; fi" \
		"$deploy/deploy.sh" && choose "$release$suffix"
}

undeploys() {
	inside 60 "if $deploy/undeploy.sh; then exit 1; fi" && choose "$release" &&
		inside 300 "$deploy/undeploy.sh" "($before) >after" 'diff before after'
}

machine() {
	arch=$1
	claim "vm-test-$arch"
	share=$run/share disk=$run/disk.qcow2
	mkdir -p "$share"
	# An ordinary user of the machine writes there, too.
	chmod 777 "$share"
	export ARCH="$arch"
	kernel=$(kernel_dir)
	if [ ! "$short" ]; then
		{ LOCALVERSION=$suffix "$TOP/scripts/build/kernel.sh" && stage; } || { fail "$arch: does not build"; return; }
	fi
	"$TOP/scripts/build/kernel.sh" || { fail "$arch: does not build"; return; }
	release=$(cat "$kernel/include/config/kernel.release")
	# The first time, this takes as long as a boot.
	"$TOP/scripts/vm/image.sh" >/dev/null || { fail "$arch: there is no disk"; return; }

	by_make_vm DISK="$disk"
	try 'make vm: log in on the serial console' log_in 360 || return
	try 'make vm: systemd is running' is_running || return
	try 'programs and modules' programs || :
	sed -n "s/^ok /  ok $arch: /p" "$share/out"
	add_sum "$arch: in the machine" "$(tail -n 1 "$share/out")"
	try 'make vm: a clean shutdown' off || return
	handouts_line
	try "the handout's own line: log in" log_in 360 || return
	try "the handout's own line: systemd is running" is_running || return
	try 'the plug is pulled' pull_the_plug || return
	[ ! "$short" ] || return 0

	"$TOP/scripts/vm/deb.sh" || { fail "$arch: make deb"; return; }
	by_make_vm IMAGE="$disk" DISK="$run/written.qcow2"
	try 'make vm IMAGE=: the disk has survived' log_in 360 || return
	try 'the packages of make deb' install_packages || return
	try 'a clean shutdown' off || return
	by_make_vm IMAGE="$disk" DISK="$run/written.qcow2" GRUB=1
	try "the packages' kernel, by GRUB" booted_by_grub "$release" || return
	try "systemd is running" is_running || return
	try "make deploy, and GRUB's menu" deploys || return
	try 'the old kernel, and make undeploy' undeploys || return
	try 'a clean shutdown at the end' off
}

disks=$("$TOP/scripts/test/disks.sh" 2>&1) || :
printf '%s\n' "$disks"
add_sum 'which disks are taken' "$disks"
for mode in $modes; do
	machine "$mode" || :
	kill -- "-$guest" 2>/dev/null || :
done
total
