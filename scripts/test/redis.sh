#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] redis.sh [SELFTESTS]
#
# Boot the kernel with Debian's Redis, count the copy-on-write faults of a BGSAVE
# during writes, and compare them with Redis' own count and with the kernel's smaps.
# Then show what cowstat says. SELFTESTS is the output of selftests.sh, if it has just
# been run. The last line is 'N passed, N failed'.
#
# exit status: 0 they agree, 1 they do not, 3 Redis is not available

# The same Redis on every machine, for both architectures.
SUITE=trixie

. "$(dirname "$0")/../lib/lib.sh"

# unpack ROOT: make ROOT a root file system with Redis and its libraries.
unpack() {
	case $ARCH in
	x86_64) deb_arch=amd64 ;;
	*) deb_arch=$ARCH ;;
	esac
	debs=$("$TOP/scripts/setup/apt.sh" --arch="$deb_arch" --depends $SUITE redis-tools)
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
	tmp=$(mktemp -d "$root.XXXXXX")
	at_exit "rm -rf '$tmp'"
	log=$BUILD/log/redis-$ARCH.log
	printf 'Getting Redis from Debian ...' >&2
	isolated unpack "$tmp/root" >"$log" 2>&1
	if [ "$status" != 0 ]; then
		say " not available (no network?), its demo is skipped; the log: $log"
		exit 3
	fi
	say " done"
	mv -T "$tmp/root" "$root" || [ -d "$root" ] # another clone's
	rm -rf "$tmp"
fi

with_lock
tests=${1:-$("$TOP/scripts/build/selftests.sh" "$ARCH")}
claim "redis-$ARCH"
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$root:/" "$TOP/scripts/guest/inside/redis:/work" \
	"$tests/rust_syscalls/pf:/usr/bin/pf" "$tests/rust_syscalls/cowstat:/usr/bin/cowstat"
keep_kernel
drop_lock
exec "$TOP/scripts/guest/qemu.sh" -d "$run" -t "${DEADLINE:-300}" "$run/kernel" "$run/initramfs"
