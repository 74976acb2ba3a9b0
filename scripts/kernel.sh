#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Configure and build the kernel of build/linux.

usage() {
	cat <<EOF
usage: [ARCH=x86_64|i386] [CONFIG=lean|defconfig|running|NAME|FILE] [HANDOUT=1] ${0##*/} [config|menuconfig]

Build build/linux into build/kernel-ARCH (lean) or build/kernel-ARCH-CONFIG; with
HANDOUT=1, where the calls have the numbers of their handouts, -handout behind it.

  lean       what the tests need and nothing else (kconfig/base.config)
  NAME       lean and kconfig/NAME.config: gdb, ...
  defconfig  the architecture's own default
  running    this machine's kernel, with the modules that are loaded now
  FILE       a complete .config, or a fragment to lay over lean

config only configures. menuconfig opens the configuration for changes by hand;
they stay until the configuration that is asked for changes, or 'make clean'.
EOF
}

case ${1:-} in
'' | config | menuconfig) ;;
-h | --help) usage; exit ;;
*) usage >&2; exit 2 ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

check_arch
load_toolchain
with_lock

kconfig=$TOP/kconfig
out=$(kernel_dir)
log=$BUILD/log/${out##*/}.log
title="kernel $ARCH $(basename "$CONFIG" .config)${HANDOUT:+ handout}"
mkdir -p "$out" "$BUILD/log"

# A configuration as Kconfig writes it names the compiler; a fragment does not.
is_complete() {
	grep -q '^CONFIG_CC_VERSION_TEXT=' "$1"
}

# choose: where the configuration starts and which fragments are laid over it.
choose() {
	start=''
	fragments="$TREE/kernel/configs/rust.config $TREE/kernel/configs/rust_syscalls.config
		$kconfig/runner.config $kconfig/$ARCH.config"
	case $CONFIG in
	lean)
		fragments="$fragments $kconfig/base.config" ;;
	defconfig)
		start=defconfig ;;
	running)
		start=/boot/config-$(uname -r)
		[ -r "$start" ] || start=/proc/config.gz
		[ -r "$start" ] ||
			die "CONFIG=running: there is neither /boot/config-$(uname -r) nor /proc/config.gz"
		fragments="$kconfig/distro.config $fragments" ;;
	*)
		if [ -f "$CONFIG" ] && is_complete "$CONFIG"; then
			start=$CONFIG
			fragments="$kconfig/distro.config $fragments"
		elif [ -f "$CONFIG" ]; then
			fragments="$fragments $kconfig/base.config $CONFIG"
		elif [ -f "$kconfig/$CONFIG.config" ]; then
			fragments="$fragments $kconfig/base.config $kconfig/$CONFIG.config"
		else
			die "CONFIG=$CONFIG: neither lean, defconfig, running, kconfig/$CONFIG.config nor a file"
		fi ;;
	esac
	[ ! "$HANDOUT" ] || fragments="$fragments $kconfig/handout.config"
	for f in $fragments; do
		[ -r "$f" ] || die "$f is missing: is this a tree with the series applied?"
	done
}

# starting_point: the configuration to start from, in $out/start/.config.
starting_point() {
	mkdir -p "$out/start"
	case $start in
	defconfig)
		kmake "$out/start" defconfig
		return ;;
	*.gz) gzip -dc "$start" >"$out/start/.config" ;;
	*) cat "$start" >"$out/start/.config" ;;
	esac
	[ "$CONFIG" != running ] || yes '' | kmake "$out/start" localmodconfig
}

# generate: merge, resolve, into $out/.config.generated.
generate() {
	# shellcheck disable=SC2086 # a list
	set -- $fragments
	if [ "$start" ]; then
		starting_point
		set -- "$out/start/.config" "$@"
	fi
	(cd "$TREE" && KCONFIG_CONFIG=$out/.config.wanted scripts/kconfig/merge_config.sh -m "$@")
	if [ "$start" ]; then target=alldefconfig; else target=allnoconfig; fi
	kmake "$out" KCONFIG_CONFIG="$out/.config.generated" KCONFIG_ALLCONFIG="$out/.config.wanted" $target
}

# verify: each line of each fragment must be in the result as it stands. What is
# not there to begin with may be turned off only by distro.config, and where a
# fragment takes back what one before it asked for.
verify() {
	# shellcheck disable=SC2086 # a list
	awk '
	/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { sub(/^# /, ""); sub(/ is not set$/, "=n") }
	!/^CONFIG_[A-Za-z0-9_]+=/ { next }
	{ symbol = value = $0; sub(/=.*/, "", symbol); sub(/^[^=]*=/, "", value) }
	FILENAME == ARGV[1] { have[symbol] = value; next }
	{
		pointless = value ~ /^(n|"")$/ && !(symbol in have)
		if (pointless && (FILENAME ~ /\/distro\.config$/ || symbol in file))
			delete want[symbol]
		else
			want[symbol] = value
		file[symbol] = FILENAME
	}
	END {
		for (symbol in want)
			if (!(symbol in have))
				line[++n] = file[symbol] ": " symbol "=" want[symbol] ": Kconfig drops it (no such symbol, or what it depends on is off)"
			else if (have[symbol] != want[symbol])
				line[++n] = file[symbol] ": " symbol "=" want[symbol] ": Kconfig makes it " have[symbol]
		for (i = 1; i <= n; i++)
			print line[i] | "sort"
		close("sort")
		exit n > 0
	}' "$out/.config.generated" $fragments >&2
}

# configure: the wanted configuration into $out/.config, unless it is what was
# wanted before: then the user may have changed it since, by menuconfig.
configure() {
	generate >"$log" 2>&1 </dev/null || {
		tail -n 25 "$log" >&2
		die "configuring failed; the whole log: $log"
	}
	verify || die "the configuration '$CONFIG' asks for what this kernel cannot give"
	if [ ! -e "$out/.config" ] || ! cmp -s "$out/.config.generated" "$out/.config.accepted"; then
		[ ! -e "$out/.config" ] || say "the configuration asked for has changed: build/${out##*/}/.config is written anew"
		cp "$out/.config.generated" "$out/.config"
		cp "$out/.config.generated" "$out/.config.accepted"
	fi
}

# inputs: all that decides what a build gives, and what it gave. Fails when that
# cannot be said cheaply because build/linux has uncommitted changes.
inputs() {
	[ -z "$(git -C "$TREE" status --porcelain)" ] &&
		git -C "$TREE" rev-parse 'HEAD^{tree}' &&
		cat "$BUILD/toolchain.env" &&
		"$RUSTC" -vV &&
		$CC --version &&
		bindgen --version &&
		{ [ ! -f "$start" ] || cat "$start"; } &&
		echo "$fragments" | xargs cat "$TOP/scripts/kernel.sh" "$out/.config" "$out/arch/x86/boot/bzImage"
}

# fingerprint: of the inputs, or what was never seen before.
fingerprint() {
	{ inputs 2>/dev/null || date +%s%N; } | sha256sum
}

# follow: while a build runs, say how far it is: on a terminal each second in
# place, elsewhere a line every half minute.
follow() {
	begin=$(date +%s)
	if [ -t 2 ]; then pause=1 form='\r\033[K%s: %d s, step %d: %.50s'
	else pause=30 form='%s: %d s, step %d: %.50s\n'; fi
	while sleep $pause && kill -0 $$ 2>/dev/null; do
		now=$(tail -n 1 "$log" | tr -s ' \t' ' ')
		# shellcheck disable=SC2059 # one of the two above
		printf "$form" "$title" $(($(date +%s) - begin)) "$(wc -l <"$log")" "${now# }" >&2
	done
}

# make_all: the kernel, and its modules where modprobe in a guest finds them.
make_all() {
	kmake "$out" all || return
	rm -rf "$out/installed"
	grep -q '^CONFIG_MODULES=y' "$out/.config" || return 0
	kmake "$out" INSTALL_MOD_PATH="$out/installed" INSTALL_MOD_STRIP=1 modules_install &&
		rm "$out"/installed/lib/modules/*/build
}

build() {
	if [ "$V" = 1 ]; then
		make_all >&2
		return
	fi
	began=$(date +%s) status=0
	: >"$log"
	follow 9>&- & # its sleep must not keep the lock
	follower=$!
	make_all >"$log" 2>&1 </dev/null || status=$?
	kill $follower 2>/dev/null || :
	wait $follower 2>/dev/null || :
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ $status != 0 ]; then
		# With several jobs at once the errors need not be at the end.
		grep -n -A 12 -E '^error|[: ]error:|fatal:' "$log" | head -n 60 >&2 || :
		tail -n 10 "$log" >&2
		say "$title: the build failed; the whole log: $log"
		return $status
	fi
	say "$title: built in $(($(date +%s) - began)) s"
}

choose
if [ $# != 0 ]; then
	configure
	[ "$1" = config ] || kmake "$out" menuconfig
	exit
fi

if [ -r "$out/.built" ] && [ "$(cat "$out/.built")" = "$(fingerprint)" ]; then
	say "$title: up to date"
	exit
fi
rm -f "$out/.built"
configure
build
fingerprint >"$out/.built"
