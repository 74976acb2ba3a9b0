#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: disks.sh
#
# Test which disks make vm IMAGE= takes, with a QEMU that only shows its arguments, in a
# copy of the scripts. A disk that cannot be booted is refused, with the reason, and
# neither it nor what was written to it before changes. Test what Debian's disk is made of, and
# what comes with a kernel, without Debian or a kernel. The last line is 'N passed, N failed'.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp'"
unset SAME_WORLD BUILD_LOCKED HANDOUT IMAGE ROOT RESET SHARE GRUB APPEND
kernel=$tmp/build/kernel-x86_64
mkdir -p "$kernel/arch/x86/boot" "$tmp/fake"
cp -r "$TOP/scripts" "$tmp"
echo kernel >"$kernel/arch/x86/boot/bzImage"
real=$(command -v qemu-system-x86_64)
# shellcheck disable=SC2016 # it writes a script
printf '#!/bin/sh\n[ "$1" != --version ] || exec "%s" --version\necho "qemu $*"\n' "$real" >"$tmp/fake/qemu-system-x86_64"
chmod +x "$tmp/fake/qemu-system-x86_64"
cp "$tmp/fake/qemu-system-x86_64" "$tmp/fake/qemu-system-i386"
PATH=$tmp/fake:$PATH
export TMPDIR="$tmp" KVM=off ARCH=x86_64 CONFIG=lean

# partition NUMBER COMMAND…: make it, of 10 MiB, by COMMAND, which gets a file, and put it
# onto the disk.
partition() {
	_number=$1
	shift
	truncate -s "${mib:-10}M" "$tmp/partition"
	"$@" "$tmp/partition" >/dev/null 2>&1
	dd if="$tmp/partition" of="$tmp/disk" bs=1M seek=$((_number * 10 - 9)) conv=notrunc status=none
	rm "$tmp/partition"
}
luks() {
	printf 'LUKS\272\276\000\001aes' | dd of="$1" conv=notrunc
}
# LABELONE, sector 1, its checksum, where the header is, type
lvm() {
	python3 - "$1" <<-'END'
	import struct, sys, zlib
	rest = struct.pack('<I8s', 32, b'LVM2 001').ljust(492, b'\0')
	crc = zlib.crc32(rest, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff
	with open(sys.argv[1], 'r+b') as disk:
	    disk.seek(512)
	    disk.write(struct.pack('<8sQI', b'LABELONE', 1, crc) + rest)
	END
}

truncate -s 72M "$tmp/disk"
sfdisk -q "$tmp/disk" <<'END'
label: gpt
start=1MiB, size=10MiB
start=11MiB, size=10MiB
start=21MiB, size=10MiB
start=31MiB, size=10MiB
start=41MiB, size=10MiB
start=51MiB, size=20MiB
END
partition 1 mke2fs -q -t ext4
partition 2 luks
partition 3 lvm
partition 4 mkswap
! command -v mkfs.btrfs >/dev/null || mib=20 partition 6 mkfs.btrfs --mixed
for format in qcow2 vdi vmdk; do
	qemu-img convert -O $format "$tmp/disk" "$tmp/disk.$format"
done
truncate -s 20M "$tmp/bare"
mke2fs -q -t ext4 "$tmp/bare"
mkdir "$tmp/old"
truncate -s 40M "$tmp/old/disk"
echo 'start=1MiB' | sfdisk -q "$tmp/old/disk"
mke2fs -q -t ext4 -E offset=1048576 "$tmp/old/disk" 30M 2>/dev/null
echo 'not a disk' >"$tmp/text"

# vm VARIABLE=VALUE…: as make vm does it, at a terminal that is a pipe.
vm() {
	: | env "$@" "$tmp/scripts/vm/start.sh" >"$tmp/output" 2>&1
}
all() {
	(cd "$tmp" && find disk* old bare text build/vm -type f ! -name info -exec sha256sum {} + | sort)
}

# refuses WHAT TEXT VARIABLE=VALUE…
refuses() {
	_what=$1 _text=$2
	shift 2
	all >"$tmp/before"
	if ! vm "$@" && grep -qF -e "$_text" "$tmp/output" && ! grep -q '^qemu' "$tmp/output" &&
		all | diff - "$tmp/before" >>"$tmp/output"; then
		pass
	else
		fail "$_what: not refused, or without '$_text', or something is changed:"
		cat "$tmp/output"
	fi
}

# boots WHAT TEXT VARIABLE=VALUE…: QEMU is started, with TEXT in its arguments.
boots() {
	_what=$1 _text=$2
	shift 2
	sha256sum "$tmp"/disk* "$tmp/old/disk" >"$tmp/before"
	if vm "$@" && grep '^qemu' "$tmp/output" | grep -qF -e "$_text" &&
		sha256sum --quiet -c "$tmp/before" >>"$tmp/output" 2>&1; then
		pass
	else
		fail "$_what: not started, or without '$_text', or the disk is changed:"
		cat "$tmp/output"
	fi
}

mkdir -p "$tmp/build/vm"
for format in '' .qcow2 .vdi .vmdk; do
	boots "ext4 in disk$format" '-append root=/dev/sda1 console=ttyS0,115200n8' IMAGE="$tmp/disk$format"
done
boots 'a disk with DOS partitions' 'root=/dev/sda1' IMAGE="$tmp/old/disk"
! command -v mkfs.btrfs >/dev/null ||
	boots 'btrfs, and a subvolume' 'root=/dev/sda6 console=ttyS0,115200n8 rootflags=subvol=@' \
		IMAGE="$tmp/disk.qcow2" ROOT=/dev/sda6 APPEND=rootflags=subvol=@
boots 'any disk by its own GRUB, without ROOT=' "-drive file=$tmp/build/vm/bare-" GRUB=1 IMAGE="$tmp/bare"
refuses 'an encrypted partition' 'is encrypted' IMAGE="$tmp/disk.qcow2" ROOT=/dev/sda2
refuses 'a part of LVM' 'is part of LVM' IMAGE="$tmp/disk.qcow2" ROOT=/dev/sda3
refuses 'a swap partition' 'has swap' IMAGE="$tmp/disk.qcow2" ROOT=/dev/sda4
refuses 'an empty partition' 'no file system' IMAGE="$tmp/disk.qcow2" ROOT=/dev/sda5
refuses 'a partition that is not there' 'no partition /dev/sda7, but: /dev/sda1 /dev/sda2' \
	IMAGE="$tmp/disk.qcow2" ROOT=/dev/sda7
refuses 'a disk without partitions' 'no partition /dev/sda1' IMAGE="$tmp/bare"
refuses 'a text' 'no partition' IMAGE="$tmp/text"
refuses 'another name of the disk' 'the image is /dev/sda' IMAGE="$tmp/disk" ROOT=/dev/nvme0n1p1
refuses 'more than a partition' 'the image is /dev/sda' IMAGE="$tmp/disk" ROOT='/dev/sda1 init=/bin/sh'
refuses 'no such image' 'no such file' IMAGE="$tmp/none"
refuses 'a folder' 'no such file' IMAGE="$tmp"
refuses 'a name with a comma' 'comma' IMAGE="$tmp/disk,1"
refuses 'a DISK= of somebody else' "is not one that 'make vm' has made" IMAGE="$tmp/disk" DISK="$tmp/disk.qcow2" RESET=1
refuses 'a DISK= with a comma' 'comma' IMAGE="$tmp/disk" DISK="$tmp/disk,1"
boots 'what is written to DISK=' "-drive file=$tmp/build/vm/mine," IMAGE="$tmp/disk" DISK="$tmp/build/vm/mine"
boots 'the same again' "-drive file=$tmp/build/vm/mine," IMAGE="$tmp/disk" DISK="$tmp/build/vm/mine"
mkdir "$tmp/stamps"
mv "$tmp/build/vm"/*.base "$tmp/stamps"
cp "$(find "$tmp/stamps" -type f -printf '%T@ %p\n' | sort -n | sed -n '$s/.* //p')" "$tmp/build/vm/mine.base"
boots 'the same, made when its stamp was beside it' "-drive file=$tmp/build/vm/mine," IMAGE="$tmp/disk" DISK="$tmp/build/vm/mine"
rm "$tmp/build/vm/mine.base"
mv "$tmp/stamps"/*.base "$tmp/build/vm"
refuses 'a DISK= made from another image' "was made from $tmp/disk:" IMAGE="$tmp/old/disk" DISK="$tmp/build/vm/mine"
refuses 'the same without IMAGE=' "was made from $tmp/disk:" DISK="$tmp/build/vm/mine" GRUB=1
boots 'another image, beginning anew' 'root=/dev/sda1' IMAGE="$tmp/old/disk" DISK="$tmp/build/vm/mine" RESET=1
cp "$tmp/disk.qcow2" "$tmp/build/vm/mine"
refuses 'a DISK= of somebody else, where there was one of ours' "is not one that 'make vm' has made" \
	IMAGE="$tmp/old/disk" DISK="$tmp/build/vm/mine" RESET=1
# As image.sh names it
cp "$tmp/disk.qcow2" "$tmp/vm-x86_64-1.qcow2"
boots "a disk of Debian's" "$tmp/build/vm/debian," IMAGE="$tmp/vm-x86_64-1.qcow2" DISK="$tmp/build/vm/debian" GRUB=1
boots 'the same without IMAGE=' "$tmp/build/vm/debian," DISK="$tmp/build/vm/debian" GRUB=1
refuses 'the same with another ARCH=' "was made from $tmp/vm-x86_64-1.qcow2:" DISK="$tmp/build/vm/debian" GRUB=1 ARCH=i386
for end in base new; do
	cp "$tmp/bare" "$tmp/disk-$end.$end"
	boots "a disk in .$end, and DISK= beside it" "-drive file=$tmp/disk-$end," IMAGE="$tmp/disk-$end.$end" DISK="$tmp/disk-$end" GRUB=1
done
refuses 'GRUB=0' 'GRUB=0: there is only GRUB=1' IMAGE="$tmp/disk" GRUB=0
refuses 'a shared folder that is not there' 'no such folder' IMAGE="$tmp/disk" SHARE="$tmp/none"

# A disk that a machine is using: a QEMU that never starts its CPUs.
for user in disk.qcow2 build/vm/disk-"$(echo "$tmp/disk" | cksum | cut -d' ' -f1)".qcow2; do
	"$real" -accel tcg -S -display none -nodefaults -monitor none -drive file="$tmp/$user",format=qcow2 2>/dev/null &
	holder=$!
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		qemu-img info "$tmp/$user" >/dev/null 2>&1 || break
		sleep 1
	done
	case $user in
	build/*) set -- IMAGE="$tmp/disk" RESET=1 ;;
	*) set -- IMAGE="$tmp/$user" ;;
	esac
	refuses "$user is in use" 'is in use' "$@"
	kill $holder
	wait $holder 2>/dev/null || :
done

# What was written belongs to the disk as it was.
touch -d '2020-02-02' "$tmp/disk"
refuses 'a disk that has changed meanwhile' 'RESET=1 begins anew' IMAGE="$tmp/disk"
boots 'beginning anew' 'root=/dev/sda1' IMAGE="$tmp/disk" RESET=1

# same WHAT A B
same() {
	if [ "$2" = "$3" ]; then pass; else fail "$1: '$2' is not '$3'"; fi
}

# Two clones, made with umask 077, make Debian's disk at the same time.
export XDG_CACHE_HOME="$tmp/cache"
mkdir "$tmp/clone" "$tmp/debian"
chmod -R go= "$tmp/scripts/vm/root" "$tmp/scripts/test/fixtures"
cp -r "$tmp/scripts" "$tmp/clone"
(cd "$tmp/debian" && mkdir -p usr/lib/grub/i386-pc boot/grub/i386-pc && touch usr/lib/grub/i386-pc/boot.img boot/grub/i386-pc/core.img)
cat >"$tmp/fake/mmdebstrap" <<END
#!/bin/sh
echo >>"$tmp/called"
for word; do
	case \$word in
	*tar-in*) word=\${word#*tar-in } && tar -tvf "\${word% /}" >"$tmp/files" ;;
	*/root.tar) tar -C "$tmp/debian" -cf "\$word" . ;;
	esac
done
sleep 2
END
printf '#!/bin/sh\necho\necho disk 1 1 9999999999\n' >"$tmp/fake/df"
printf '#!/bin/sh\necho 0\n' >"$tmp/fake/id"
printf '#!/bin/sh\n' | tee "$tmp/fake/mke2fs" >"$tmp/fake/make"
# shellcheck disable=SC2016 # it writes a script
printf '#!/bin/sh\necho disk >"$6"\n' >"$tmp/fake/qemu-img"
chmod +x "$tmp/fake"/*
"$tmp/clone/scripts/vm/image.sh" >"$tmp/first" 2>"$tmp/output" &
until [ -e "$tmp/called" ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
"$tmp/scripts/vm/image.sh" >"$tmp/second" 2>>"$tmp/output" || cat "$tmp/output"
wait $! || cat "$tmp/output"
same "two clones make Debian's disk" "$(cat "$tmp/second")" "$(cat "$tmp/first")"
same 'only one of them does' "$(wc -l <"$tmp/called")" 1
same "its files are everybody's to read" "$(grep -v '^[-dl]r.[-x]r-[-x]r-[-x]' "$tmp/files")" ''

# What comes with a kernel, from a make that makes nothing
tree=$tmp/build/linux
mkdir -p "$tree/include/uapi/linux" "$tree/tools/testing/selftests/rust_syscalls/handouts" "$tree/samples/rust" \
	"$tmp/rust_syscalls" "$kernel/include/config" "$kernel/installed/lib/modules/7"
touch "$tree/include/uapi/linux/pf_stat.h" "$tree/tools/testing/selftests/rust_syscalls/handouts/test.c" \
	"$tree/samples/rust/rust_hello.rs" "$tree/samples/rust/rust_chrdev.rs" "$tmp/rust_syscalls/pf" "$tmp/rust_syscalls/cowstat" \
	"$kernel/.built"
echo 7 >"$kernel/include/config/kernel.release"
echo 'LLVM=-19 CC=cc RUSTC=rustc' >"$tmp/build/toolchain.env"
printf '#!/bin/sh\necho "%s"\n' "$tmp" >"$tmp/scripts/build/selftests.sh"
for text in old new; do
	echo $text >"$tmp/scripts/test/fixtures/helloModule.c"
	pack=$("$tmp/scripts/vm/pack.sh" 2>"$tmp/output") || cat "$tmp/output"
	same "the module in C that comes with a kernel, when it is $text" \
		"$(tar -xOf "$pack" ./home/user/modules/hello/helloModule.c)" $text
done
same "all of it is everybody's to read" "$(tar -tvf "$pack" | grep -v '^[-dl]r.[-x]r-[-x]r-[-x]')" ''
total
