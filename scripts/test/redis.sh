#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] redis.sh [SELFTESTS KERNEL]
#
# Boot the kernel with Debian's Redis, count the copy-on-write faults of a BGSAVE
# during writes, and compare them with Redis' own count and with the kernel's smaps.
# Then show what cowstat says. SELFTESTS, the output of selftests.sh, and KERNEL are from a
# guest that has just run. The last line is 'N passed, N failed'.
#
# exit status: 0 they agree, 1 they do not, 3 Redis cannot be downloaded

# The same Redis on every machine, for both architectures.
SUITE=trixie

. "$(dirname "$0")/../lib/lib.sh"

# unpack ROOT: make ROOT a root file system with Redis and its libraries.
unpack() {
	for deb in $debs; do
		dpkg-deb -x "$deb" "$tmp/all"
	done
	# redis-server and redis-check-rdb are the same program.
	mkdir -p "$1/usr/bin"
	cp "$tmp/all/usr/bin/redis-cli" "$1/usr/bin"
	cp "$tmp/all/usr/bin/redis-check-rdb" "$1/usr/bin/redis-server"
	cd "$tmp/all/usr"
	find lib* -name '*.so*' ! -path '*/gconv/*' ! -path '*/engines*' ! -path '*/ossl-modules/*' |
		cpio --quiet -pdm "$1"
}

root=$(cache_dir)/redis-$SUITE-$ARCH
if [ ! -d "$root" ]; then
	case $ARCH in
	x86_64) deb_arch=amd64 ;;
	*) deb_arch=$ARCH ;;
	esac
	debs=$("$TOP/scripts/setup/apt.sh" --arch="$deb_arch" --depends $SUITE redis-tools) ||
		{ say "there is no Redis without it; its demo is skipped"; exit 3; }
	tmp=$(mktemp -d "$root.XXXXXX")
	at_exit "rm -rf '$tmp'"
	run_logged "$BUILD/log/redis-$ARCH.log" "Unpacking Debian's Redis" unpack "$tmp/root"
	mv -T "$tmp/root" "$root" || [ -d "$root" ] # another clone's
	rm -rf "$tmp"
fi

with_lock
tests=${1:-$("$TOP/scripts/build/selftests.sh" "$ARCH")}
claim "redis-$ARCH"
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$root:/" "$TOP/scripts/guest/inside/redis:/work" \
	"$tests/rust_syscalls/pf:/usr/bin/pf" "$tests/rust_syscalls/cowstat:/usr/bin/cowstat"
[ $# = 2 ] || keep_kernel
drop_lock
exec "$TOP/scripts/guest/qemu.sh" -d "$run" -t 300 "${2:-$run/kernel}" "$run/initramfs"
