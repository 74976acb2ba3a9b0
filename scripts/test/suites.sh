#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [LTP=DIR] [TESTS='kselftest stress-ng ltp'] suites.sh
#
# Run test suites that others have written on three kernels, and compare: the base; the
# series; and the series while the copy-on-write faults of all programs are counted. They
# are the kernel's selftests of memory, processes and system calls (on x86-64 only), the
# stressors of Debian's stress-ng for these and, if an LTP is installed in the folder LTP=,
# its tests of these. They run in a Debian that mmdebstrap makes.
#
# A test that does not end alike on all three has a line with its three results; the
# table says how many have passed. The last line is 'N passed, N failed', where N counts
# tests: one that fails alike on all three is no failure of the series. The kernel's log
# counts as one more.
#
# This takes some hours. What the guests have said stays in build/run/suites-ARCH.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

all='kselftest stress-ng'
[ "$ARCH" = x86_64 ] || all=stress-ng
[ ! "${LTP:-}" ] || {
	[ -d "$LTP/testcases/bin" ] || die "LTP=$LTP: no LTP is installed there"
	all="$all ltp"
}
suites=${TESTS:-$all}
each_of TESTS "$suites" "$all"

collections='clone3 exec ftrace memfd mincore mm pid_namespace pidfd proc ptrace rust seccomp timens x86'
packages='kmod libcap2 libcap2-bin libnuma1 libcap-ng0 liburing2 procps sudo python3-minimal stress-ng'
# The kernel's selftests of x86 have 32-bit programs, too.
[ "$ARCH" != x86_64 ] || packages="$packages libc6-i386"
release=trixie
inside=$TOP/scripts/guest/inside/suites
base=$BUILD/suites-$ARCH
export CONFIG=suites
series=$(kernel_dir)

# without: the base, with the series' configuration, of which it drops what it does not know.
without() {
	TREE=$BUILD/each-linux
	checkout "$TREE" refs/heads/base
	renew "$base"
	cp "$series/.config" "$base/.config"
	kmake "$base" olddefconfig
	make_all "$base"
}

# debian: its root, in the cache as a tar file.
debian() {
	mmdebstrap --variant=minbase --architectures="$([ "$ARCH" = x86_64 ] && echo amd64 || echo i386)" \
		--format=tar --include="$packages" --aptopt='APT::Install-Recommends "false"' --skip=check/qemu \
		"$release" "$root.new" "$("$TOP/scripts/setup/apt.sh" --mirror)"
	mv "$root.new" "$root"
}

# selftests: the kernel's own, with its headers. Some may not build here. Those of mm write
# into their folder, which must not be build/linux.
selftests() {
	TREE=$BUILD/each-linux
	kmake "$BUILD/suites-selftests" headers
	make -C "$TREE/tools/testing/selftests" O="$BUILD/suites-selftests" ARCH="$ARCH" CC=gcc \
		TARGETS="$collections" FORCE_TARGETS='' INSTALL_PATH="$run/kselftest" -j"$JOBS" install
}

# keep NAME FOLDER: the kernel that was built in FOLDER, as $run/NAME.
keep() {
	mkdir "$run/$1"
	cp -a "$2/installed/lib/modules" "$2/arch/x86/boot/bzImage" "$run/$1"
}

# unpack: what the guests get, so that others may build.
unpack() {
	mkdir "$run/debian"
	tar -C "$run/debian" --no-same-owner --exclude='./dev/*' -xf "$root"
	cp -a "$inside" "$run/debian/suites"
	[ ! -d "$run/kselftest" ] || mv "$run/kselftest" "$run/debian/kselftest"
	case " $suites " in *' ltp '*) cp -a "$LTP/." "$run/debian/ltp" ;; esac
	cp "$tests/rust_syscalls/pf" "$run/debian/suites"
	keep base "$base"
	keep series "$series"
	mkdir "$run/tracked"
}

# guest COLUMN KERNEL: run the suites there.
guest() {
	printf '#!/bin/sh\nexec /suites %s %s\n' "$1" "$suites" >"$run/$1/work"
	chmod +x "$run/$1/work"
	"$TOP/scripts/build/initramfs.sh" "$run/$1/initramfs" "$run/$1/work:/work" "$inside/all:/suites" \
		"$run/debian:/debian" "$run/$2/modules:/debian/usr/lib/modules"
	attempt "$run/$1/output" "suites: $1" env MEM="${MEM:-4G}" "$TOP/scripts/guest/qemu.sh" \
		-d "$run/$1" -t 14400 "$run/$2/bzImage" "$run/$1/initramfs"
	rm "$run/$1/initramfs"
	grep -aqx 'suites: end' "$run/$1/output" || fail "$1: the guest ended with status $status before its tests did"
	[ "$1" != tracked ] || grep -a '^counted: [1-9]' "$run/$1/output" || fail "$1: nothing was counted"
	_trouble=$("$TOP/scripts/guest/trouble.sh" "$run/$1/console.log" | grep -av 'cut here' | sed -n '1s/^\(\[[^]]*\]\)* //p') || :
	printf 'kernel log\t%s\t%s\n' "$1" "${_trouble:-ok}" >>"$run/results"
	# The test's name, how it ended and, in kselftest, how many tests within it have passed.
	tr -d '\r' <"$run/$1/output" | awk -v column="$1" '
		/^# [# ]*ok / { within++ }
		/^# [# ]*not ok / { without++ }
		!/^(ok|not ok|skip) / { next }
		{
			result = /^skip|# SKIP/ ? "skip" : /^ok/ ? "ok" : "not ok"
			sub(/^(ok|not ok|skip) ([0-9]+ )?/, "")
			sub(/ *#.*/, "")
			sub(/^selftests: /, "kselftest ")
			gsub(/\t/, " ")
			print $0 "\t" column "\t" result (within + without ? " (" within + 0 " of " within + without ")" : "")
			within = without = 0
		}' >>"$run/results"
}

load_toolchain
with_lock
"$TOP/scripts/build/kernel.sh"
tests=$("$TOP/scripts/build/selftests.sh" "$ARCH")
run_logged "$BUILD/log/suites-base.log" "the same kernel without the series" without
root=$(cache_dir)/suites-$ARCH-$(echo "$release $packages" | sha256sum | cut -c1-12).tar
[ -e "$root" ] || run_logged "$BUILD/log/suites-debian.log" "Debian $release for $ARCH, by mmdebstrap" debian
claim "suites-$ARCH"
case " $suites " in
*' kselftest '*) run_logged "$BUILD/log/suites-selftests.log" "the kernel's selftests" selftests ;;
esac
run_logged "$BUILD/log/suites-unpack.log" "what the guests get" unpack
drop_lock
guest base base
guest series series
guest tracked series
rm -rf "$run/debian"

# What fails on all three may not have run at all.
for suite in $suites; do
	grep -q "^$suite .*	base	ok" "$run/results" || fail "$suite: nothing has passed on the base"
done
awk -f "$TOP/scripts/test/suites.awk" "$run/results" >"$run/table"
cat "$run/table"
add_sum suites "$(tail -n 1 "$run/table")"
total
