#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [BENCH=time [RUNS=7] [KVM=on|off]] bench.sh
#
# Measure what the series costs: count the instructions of calls and page faults,
# with the selftests' program "bench", in guests whose TSC counts instructions
# (QEMU's -icount). The numbers are the same on every machine. From run to run those of
# a fault differ by at most 2, and those of a fork by less than 1 %. The kernels have one
# configuration (kconfig/bench.config) except for what is said here:
#
#   base        without the series
#   off         with the series, without the copy-on-write tracker; hello, xxxhal
#               and make_vcpu are replaced by their twins in C (scripts/bench/twins)
#   idle        with all of it, and no name tracked
#   others      ... and the name of other processes tracked
#   tracked     ... and the name of the measured processes tracked
#   tracked-64  ... and 63 more names
#   traceable   with all of it and kprobes, and no name tracked
#   +tracked    ... and the name of the measured processes tracked
#   +event      ... and each fault recorded by the tracker's trace event
#   +kprobe     ... and instead a kprobe with a histogram, on the function that
#               gives a page its owner; it must count the same
#   by-name     as off, and with the tracker's twin in C, which compares the name of
#               the faulting task with those in a list; the list has its name
#   by-name-64  ... and 63 more names
#
# A case is named after what is measured, and its size:
#
#   copy/WHERE/VMAS   a copy-on-write fault: near the last one; alternating between
#                     two regions that collide in the tracker's cache; anywhere in
#                     318 MiB; the first in a new 2 MiB block
#   reuse             a write fault that needs no copy
#   fork/VMAS         fork, exit and wait
#   make_vcpu/THREADS, pf_get_info/VMAS/BLOCKS, getppid, hello, xxxhal
#                     the call; those that log are measured when rate-limited
#   memory/...        bytes that the tracker uses for each copied page
#   boot              until the program begins
#   text              bytes of the kernel's code
#
# The table goes to standard output, its numbers to build/log/bench-ARCH.json, and a
# picture of what a fault costs to build/log/bench-ARCH.svg. A number above
# its budget (scripts/bench/budgets) is a failure, and so are a hook of the tracker that
# is not a single nop in the kernel's code, and a second run that differs by more than
# 1 %. The last line is 'N passed, N failed'; the exit status agrees.
#
# The first run builds five kernels, which takes up to an hour on two cores.
#
# BENCH=time measures time instead, with KVM where it runs guests. The kernels base, off
# and the measured one boot RUNS times, in turn; the table has ratios of medians, and the
# lowest and the highest ratio of a run. The samples are in build/log/bench-time-ARCH.json.
# Nothing is judged: 'N passed' counts the ratios. There is one case more, on two CPUs:
#
#   speedup/WHAT      how much faster two threads, or processes, copy pages than one: 2
#                     if they do not slow each other down; with the lean kernel

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused
case ${BENCH:-} in
'') results=$BUILD/log/bench-$ARCH.tsv clock=-icount\ shift=0,sleep=off KVM=off ;;
time) results=$BUILD/log/bench-time-$ARCH.tsv clock='' ;;
*) die "BENCH=$BENCH: there is only BENCH=time" ;;
esac
export KVM
runs=${RUNS:-7} round=''
case $runs in
0* | *[!0-9]*) die "RUNS=$runs: not a number of runs" ;;
esac

load_toolchain
with_lock

export ARCH
series=$TREE
controls=$BUILD/bench-linux
measured=$BUILD/bench-$ARCH
claim "bench-$ARCH"

# configure OUT [LINE…]: the configuration of the measured kernel, with these lines.
configure() {
	_out=$1
	shift
	mkdir -p "$_out"
	{
		(cd "$series/kernel/configs" && cat rust.config rust_syscalls.config)
		(cd "$TOP/kconfig" && cat runner.config "$ARCH.config" bench.config)
		printf '%s\n' "$@"
	} >"$_out/.config.wanted"
	kmake "$_out" KCONFIG_ALLCONFIG="$_out/.config.wanted" allnoconfig
}

# build OUT [LINE…]: build the kernel of $TREE.
build() {
	renew "$1"
	configure "$@" >"$BUILD/log/${1##*/}.config.log" 2>&1 </dev/null
	run_logged "$BUILD/log/${1##*/}.log" "kernel ${1##*/}" kmake "$1" bzImage
}

# twins: replace Rust by C.
twins() {
	for _twin in hello vcpu; do
		cp "$TOP/scripts/bench/twins/$_twin.c" "$controls/kernel"
		rm "$controls/kernel/$_twin.rs"
	done
}

# by_name: let a twin in C count the faults.
by_name() {
	cp "$TOP/scripts/bench/twins/by_name.c" "$controls/mm"
	echo 'obj-y += by_name.o' >>"$controls/mm/Makefile"
	sed -i '/^#else/,$ { /cow_track_fault/s/static inline //; s/bool copied) { }/bool copied);/ }' \
		"$controls/include/linux/cow_track.h"
}

# control NAME COMMIT LINE [FUNCTION]: build a kernel to compare with, unless it exists: from
# COMMIT, as FUNCTION has changed it, with the configuration of the measured one except for
# LINE.
control() {
	_out=$measured-$1 _commit=$(git -C "$series" rev-parse "$2")
	_inputs=$({
		git -C "$series" rev-parse "$_commit^{tree}"
		echo "$3"
		cat "$measured/.config.wanted"
		tools || date +%s%N # never seen before
		[ ! "${4:-}" ] || cat "$TOP"/scripts/bench/twins/*
	} | sha256sum)
	[ "$(cat "$_out/inputs" 2>/dev/null)" != "$_inputs" ] || return 0

	rm -f "$_out/inputs"
	checkout "$controls" "$_commit"
	git -C "$controls" clean -q -f -x kernel mm
	${4:-:}
	TREE=$controls
	build "$_out" "$3"
	TREE=$series
	echo "$_inputs" >"$_out/inputs"
}

# measure KERNEL [COLUMN [CPUS]]: run the program; its results while no name is tracked go to
# COLUMN. Those of a $round have its number.
measure() {
	_output=$BUILD/log/${1##*/}.output
	say "measuring ${1##*/}"
	"llvm-size${LLVM#1}" -A "$1/vmlinux" |
		awk -v column="${2:-idle}" '$1 == ".text" { print column "\ttext\t" $2 }' >>"$results"
	# shellcheck disable=SC2086 # two words, or none
	SMP=${3:-1} "$TOP/scripts/guest/qemu.sh" -d "$run" -t 600 -a norandmaps \
		"$1" "$run/initramfs" $clock -rtc base=2026-01-01,clock=vm >"$_output" || {
		_status=$?
		cat "$_output"
		die "the guest of ${1##*/} ended with status $_status"
	}
	sed "s/^idle	/${2:-idle}	/; s/\$/${round:+	$round}/" "$_output" >>"$results"
}

# samples: all results as JSON.
samples() {
	awk -F '\t' '
		{
			printf "%s\n\t{ \"column\": \"%s\", \"case\": \"%s\", \"value\": %s%s }",
				(NR > 1 ? "," : "["), $1, $2, $3, (NF > 3 ? ", \"round\": " $4 : "")
		}
		END { print "\n]" }' "$results" >"${results%.tsv}.json"
}

# in_time: what BENCH=time does.
in_time() {
	CONFIG=lean "$TOP/scripts/build/kernel.sh"
	lean=$(CONFIG=lean && kernel_dir)
	for round in $(seq "$runs"); do
		say "run $round of $runs"
		measure "$measured-base" base
		measure "$measured-off" off
		measure "$measured"
		# The kernels of the bench have no ACPI, and find one CPU only.
		measure "$lean" idle 2
		grep -q speedup "$BUILD/log/${lean##*/}.output" || die "the guest of ${lean##*/} had one CPU"
	done
	samples
	judged=$(awk -v arch="$ARCH" -v rounds="$runs" -f "$TOP/scripts/bench/time.awk" "$results") || :
	printf '%s\n' "$judged"
	add_sum "bench $ARCH" "$judged"
	total
	exit
}

# again: what the measured kernel gives another time is the same within 1 %.
again() {
	_first=$results results=$run/again
	: >"$results"
	measure "$measured"
	_differs=$(awk -F '\t' '
		FNR == NR { first[$1, $2] = $3; next }
		{ by = $3 - first[$1, $2]; seen[$1, $2]; column[$1]; n++ }
		by > $3 / 100 || -by > $3 / 100 { print $2, "of", $1 ":", first[$1, $2], "then", $3 }
		END {
			if (!n) print "nothing was measured"
			for (row in first) {
				split(row, name, SUBSEP)
				if (name[1] in column && !(row in seen)) print name[2], "of", name[1] ": once only"
			}
		}' "$_first" "$results")
	if [ "$_differs" ]; then
		fail "a second run differs: $_differs"
	else
		pass
	fi
	results=$_first
}

# symbol NAME: the lower 32 bits of its address in the measured kernel.
symbol() {
	_address=$("llvm-nm${LLVM#1}" "$measured/vmlinux" | awk -v name="$1" '$3 == name { print $1 }')
	echo $((0x${_address#ffffffff}))
}

# hooks: while the tracker is off, each place that tests its static key must be one nop.
# An entry of the jump table has three offsets, each relative to its own address: of the
# code, of the jump's target and, with flags in the lowest bits, of the key. The key's is
# as wide as an address.
hooks() {
	case $ARCH in
	x86_64) _size=16 _high=ffffffff ;;
	i386) _size=12 _high='' ;;
	esac
	_table=$(symbol __start___jump_table)
	"llvm-objcopy${LLVM#1}" -O binary -j .rodata "$measured/vmlinux" "$run/rodata"
	_hooks=$(od -A n -v -t d4 -w"$_size" -j $((_table - $(symbol __start_rodata))) \
		-N $(($(symbol __stop___jump_table) - _table)) "$run/rodata" |
		awk -v at="$_table" -v size="$_size" -v high="$_high" -v key="$(symbol cow_track_key)" '{
			off = at + 8 + $3 - key
			if (off >= 0 && off < 4)
				printf "%s%08x-%s%08x\n", high, at + $1, high, at + $1 + 5
			at += size
		}')
	[ "$_hooks" ] || fail "hooks: there are none"
	for _hook in $_hooks; do
		_code=$("llvm-objdump${LLVM#1}" -d --start-address="0x${_hook%-*}" \
			--stop-address="0x${_hook#*-}" "$measured/vmlinux" |
			awk -F '\t' '/>:$/ { where = $0 } /^ *[0-9a-f]+: / { print where, $1; exit }')
		case $_code in
		*': 66 90'* | *': 0f 1f 44 00 00'* | *': 3e 8d 74 26 00'*) pass ;;
		*) fail "hook: no nop at $_code" ;;
		esac
	done
}

same_tree
build "$measured"
control off HEAD '# CONFIG_COW_TRACK is not set' twins
control base refs/heads/base '# CONFIG_RUST is not set'
if [ ! "${BENCH:-}" ]; then
	control by-name HEAD '# CONFIG_COW_TRACK is not set
CONFIG_LOCALVERSION="-by-name"' by_name
	build "$measured-kprobe" CONFIG_FTRACE=y CONFIG_KPROBES=y CONFIG_KPROBE_EVENTS=y CONFIG_HIST_TRIGGERS=y
fi
tests=$("$TOP/scripts/build/selftests.sh" "$ARCH")
"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$TOP/scripts/guest/inside/bench:/work" "$tests/rust_syscalls/bench:/bench"
same_tree

: >"$results"
[ ! "${BENCH:-}" ] || in_time
measure "$measured-base" base
measure "$measured-off" off
measure "$measured"
measure "$measured-kprobe" traceable
measure "$measured-by-name" by-name
samples
awk -v arch="$ARCH" -f "$TOP/scripts/bench/plot.awk" "$results" >"${results%.tsv}.svg"
judged=$(awk -v arch="$ARCH" -f "$TOP/scripts/bench/bench.awk" \
	"$TOP/scripts/bench/budgets" "$results") || :
printf '%s\n' "$judged"
add_sum "bench $ARCH" "$judged"
hooks
again
total
