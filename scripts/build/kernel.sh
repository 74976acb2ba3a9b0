#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] [CONFIG=lean|defconfig|running|NAME|FILE] [HANDOUT=1]
#        [LOCALVERSION=-NAME] kernel.sh [config|menuconfig]
#
# Build build/linux into build/kernel-ARCH (lean) or build/kernel-ARCH-CONFIG. With
# HANDOUT=1 the calls have their handouts' numbers, and the folder's name ends in
# -handout. The kernel's release, and the folder's name, end in LOCALVERSION.
#
#   lean       what the tests need and nothing else (kconfig/base.config)
#   NAME       lean and kconfig/NAME.config, such as gdb
#   defconfig  the architecture's default
#   running    this machine's configuration, with the modules that are loaded now
#   FILE       a complete .config, or a fragment to merge into lean
#
# 'config' only configures. 'menuconfig' opens the configuration for changes by hand;
# they last until what CONFIG says changes, and are then in .config.yours.

. "$(dirname "$0")/../lib/lib.sh"

case ${1:-} in
'' | config | menuconfig) ;;
*) misused ;;
esac

load_toolchain
with_lock

kconfig=$TOP/kconfig
out=$(kernel_dir)
log=$BUILD/log/${out##*/}.log
title="kernel $ARCH $(basename "$CONFIG" .config)${HANDOUT:+ handout}"
mkdir -p "$out"

# copy_config FROM TO: FROM may be compressed, or have the line ends of Windows
copy_config() {
	gzip -dcf <"$1" >"$2" || die "$1 is compressed, but not whole"
	sed -i 's/\r$//' "$2"
}

# choose: the configuration to start from, and the fragments to merge into it.
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
		if [ -f "$CONFIG" ]; then
			copy_config "$CONFIG" "$out/asked.config"
			grep -q 'CONFIG_[A-Z0-9]' "$out/asked.config" || die "CONFIG=$CONFIG is not a configuration"
			# A complete configuration names the compiler; a fragment does not.
			if grep -q '^CONFIG_CC_VERSION_TEXT=' "$out/asked.config"; then
				start=$out/asked.config
				fragments="$kconfig/distro.config $fragments"
			else
				fragments="$fragments $kconfig/base.config $out/asked.config"
			fi
		else
			fragments="$fragments $kconfig/base.config $kconfig/$CONFIG.config"
		fi ;;
	esac
	[ ! "$HANDOUT" ] || fragments="$fragments $kconfig/handout.config"
	for f in $fragments; do
		[ -r "$f" ] || die "CONFIG=$CONFIG: $f is missing"
	done
}

# starting_point: write the configuration to start from to $out/start/.config.
starting_point() {
	mkdir -p "$out/start"
	case $start in
	defconfig)
		kmake "$out/start" defconfig
		return ;;
	esac
	copy_config "$start" "$out/start/.config"
	[ "$CONFIG" = running ] || return 0
	loaded >"$out/start/modules"
	yes '' | kmake "$out/start" localmodconfig
}

# loaded: the modules of this machine
loaded() {
	lsmod | awk '{ print $1 }' | sort
}

# generate: merge and resolve into $out/.config.generated.
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

# verify: each line of each fragment must be in the result (merge_config.sh only warns).
# Turning off a symbol that does not exist is allowed in distro.config, and where an
# earlier fragment has set it. What distro.config cannot turn off, such as MODULE_SIG
# under LOCKDOWN_LSM, is only reported: if it excludes Rust, RUST=y fails.
verify() {
	# shellcheck disable=SC2086 # a list
	awk '
	/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { sub(/^# /, ""); sub(/ is not set$/, "=n") }
	/^[ \t]*[^# \t]/ && !/^CONFIG_[A-Za-z0-9_]+=/ { line[++n] = FILENAME ": " $0 ": Kconfig would not read this line"; bad = 1 }
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
		for (symbol in want) {
			there = symbol in have
			if (have[symbol] == want[symbol])
				continue
			line[++n] = file[symbol] ": " symbol "=" want[symbol] ": Kconfig " (there ? \
				"makes it " have[symbol] : "drops it (no such symbol, or what it depends on is off)")
			if (file[symbol] !~ /\/distro\.config$/)
				bad = 1
		}
		for (i = 1; i <= n; i++)
			print line[i] | "sort"
		close("sort")
		exit bad
	}' "$out/.config.generated" $fragments >&2
}

# configure: write the configuration to $out/.config, unless the same was asked for
# before: then keep what the user may have changed since with menuconfig.
configure() {
	isolated generate >"$log" 2>&1 </dev/null
	[ $status = 0 ] || {
		tail -n 25 "$log" >&2
		die "configuring failed; the whole log: $log"
	}
	verify || die "CONFIG=$CONFIG asks for what this kernel cannot have"
	if [ ! -e "$out/.config" ] || ! cmp -s "$out/.config.generated" "$out/.config.accepted"; then
		[ ! -e "$out/.config" ] || cmp -s "$out/.config" "$out/.config.accepted" || {
			say "the configuration is a new one; yours is now build/${out##*/}/.config.yours"
			mv --backup=numbered "$out/.config" "$out/.config.yours"
		}
		cp "$out/.config.generated" "$out/.config"
		cp "$out/.config.generated" "$out/.config.accepted"
	fi
}

# asked: the configuration that was asked for
asked() {
	{ [ ! -f "$start" ] || cat "$start"; } && echo "$fragments" | xargs cat
}

# inputs: a checksum of everything that a build depends on: the tree with its changes,
# the tools, the configuration asked for and the one in use.
# shellcheck disable=SC2015 # a failure of any of them counts
inputs() {
	{
		tree_id &&
			tools &&
			echo "$LOCALVERSION" &&
			asked &&
			cat "$TOP/scripts/build/kernel.sh" "$TOP/scripts/lib/kernel.sh" "$out/.config" ||
			date +%s%N # never seen before
	} | sha256sum
}

# edited ACTION…: find's, for the files of the tree that have changed since the last build
# began, even if they are now as they were, or if git is told not to look or sees only a
# link. Editors have their own files. What is from the future is from before the clock was
# set back.
edited() {
	find -L "$TREE/" -mindepth 1 -name '[.#]*' -prune -o -name __pycache__ -prune -o -type f -cnewer "$out/.begun" ! -newerct now "$@"
}

# outputs: a checksum of what was built; fails if the kernel is missing.
outputs() {
	[ -e "$out/arch/x86/boot/bzImage" ] && sha256sum <"$out/arch/x86/boot/bzImage" &&
		find "$out/vmlinux" "$out/installed" -type f -printf '%p %s %T@\n' 2>/dev/null | sort | sha256sum
}

choose
if [ $# != 0 ]; then
	configure
	[ "$1" = config ] || kmake "$out" menuconfig
	exit
fi

# What is outside of build/linux only make looks at.
outside() {
	{ [ "$CONFIG" = running ] && ! loaded | cmp -s - "$out/start/modules"; } ||
		grep -E '^CONFIG_(INITRAMFS_SOURCE|EXTRA_FIRMWARE)="[^"]' "$out/.config" ||
		# Paths are the guest's.
		grep '^CONFIG_[^=]*="/' "$out/.config" | grep -v '_PATH='
}

# .built has the checksums of the last successful build.
if [ -e "$out/.config" ] && ! outside >/dev/null && [ "$(find "$out/.begun" ! -newermt now 2>/dev/null)" ] && built=$(outputs) && news=$(edited -print -quit) && [ ! "$news" ] &&
	printf '%s\n%s\n' "$(inputs)" "$built" | cmp -s - "$out/.built"; then
	say "$title: up to date"
	exit
fi
rm -f "$out/.built"
asked=$(asked | sha256sum)
configure
# git does not see all of these. A second touch would be an edit for other kernels.
[ ! -e "$out/.begun" ] || edited ! -newer "$out/.begun" -exec touch {} +
renew "$out"
: >"$out/.begun"
before=$(inputs)
attempt "$log" "$title" make_all "$out"
if [ "$status" != 0 ]; then
	# With parallel jobs the errors need not be at the end.
	grep -n -A 12 -E '^error|[: ]error:|fatal:' "$log" | head -n 60 >&2 || :
	die "$title: the build failed; the whole log: $log"
fi
built=$(outputs) || die "$title: the build gave no kernel; the log: $log"
[ "$(inputs)$(asked | sha256sum)$(edited -print -quit)" = "$before$asked" ] || {
	# What was compiled may be what the file held in between.
	edited -exec touch {} +
	die "$title: build/linux or the tools have changed while it was built: run make again"
}
printf '%s\n%s\n' "$before" "$built" >"$out/.built"
