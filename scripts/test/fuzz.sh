#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [MODES='MODE...'] [FUZZ_SECONDS=60] [SEED=NUMBER] fuzz.sh
#        [ARCH=x86_64|i386] [MODES='MODE...'] STEPS='STEP...' fuzz.sh
#
# Let tasks make random calls, and do random things to their memory, names, users and
# lives, and compare what is reported about them with a model: the selftests' program
# fuzz, in a guest for each MODE. A MODE is KERNEL/PROGRAMS as in 'make test'; the
# default is ARCH/ARCH. The guest has few blocks of counters, so that they run out.
#
# The same SEED gives the same sequences of steps. A sequence that fails is made as short
# as possible; with STEPS, repeat that.
#
# The last line is 'N passed, N failed', where N counts calls; the exit status agrees.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

FUZZ_SECONDS=${FUZZ_SECONDS:-60}
SEED=${SEED:-$(date +%s)}
STEPS=${STEPS:-}
# shellcheck disable=SC2254 # patterns
for number in "FUZZ_SECONDS=$FUZZ_SECONDS" "SEED=$SEED"; do
	case ${number#*=} in
	0?* | *[!0-9]* | ??????????????????*) die "$number: not a number, or one that is too long" ;;
	esac
done
case $STEPS in
*[!0-9a-z_:\ ]*) die "STEPS=$STEPS: not what a run has printed" ;;
esac
choose_modes "$ARCH/$ARCH" 'x86_64/x86_64 x86_64/i386 i386/i386'

# guest MODE: run the program in a guest.
guest() {
	claim "fuzz-$(echo "$1" | tr / -)"
	ARCH=${1%/*}
	export ARCH
	with_lock
	same_tree
	"$TOP/scripts/build/kernel.sh" || { fail "$1: the kernel does not build"; return; }
	_tests=$("$TOP/scripts/build/selftests.sh" "${1#*/}") || { fail "$1: the tests do not build"; return; }
	same_tree
	printf '#!/bin/sh\nexec /fuzz %s\n' "${STEPS:-$FUZZ_SECONDS $SEED}" >"$run/work"
	chmod +x "$run/work"
	"$TOP/scripts/build/initramfs.sh" "$run/initramfs" "$run/work:/work" "$_tests/rust_syscalls/fuzz:/fuzz"
	keep_kernel
	drop_lock

	_before=$failed _status=0
	"$TOP/scripts/guest/qemu.sh" -d "$run" -t $((FUZZ_SECONDS + 900)) -a cow_track.blocks=6 \
		"$run/kernel" "$run/initramfs" >"$run/output" || _status=$?
	sed "s|^# steps: \(.*\)|repeat it: make fuzz MODES=$1 STEPS='\1'|; s|^|$1: |" "$run/output"
	add_sum "$1" "$(tail -n 1 "$run/output")"
	if [ $_status != 0 ] && [ "$failed" = "$_before" ]; then
		fail "$1: the guest ended with status $_status"
	fi
}

for mode in $modes; do
	guest "$mode"
done
total
