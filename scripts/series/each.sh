#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] each.sh
#
# Build what each patch leaves: the kernel, with all that the series has and that exists by
# then, the modules of samples/rust, KUnit's tests, the selftests and cowstat. A patch fails
# if the build does, or if it gives a warning that the base and the patches before do not. What
# was built well is not built again until it, the configuration or the tools change. The
# last line is 'N passed, N failed'. The logs are build/log/each-*.log.
#
# The first run takes some two hours on two cores.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

load_toolchain
with_lock
all_written

export ARCH
each=$BUILD/each-linux out=$BUILD/each-$ARCH
objects=$out/selftests
wanted=$out/.config.wanted built=$out/.built warnings=$out/.warnings
mkdir -p "$out" "$objects"

{
	(cd "$TREE" && cat kernel/configs/rust.config kernel/configs/rust_syscalls.config)
	(cd "$TOP/kconfig" && cat runner.config "$ARCH.config" bench.config kunit.config)
	echo CONFIG_MODULES=y
	echo CONFIG_SAMPLES=y
	# Those that the series has: a tree before them ignores theirs.
	for _sample in CHRDEV HELLO HELLO_USER MINIMAL MISC_DEVICE PRINT; do
		echo "CONFIG_SAMPLE_RUST_$_sample=m"
	done
	echo CONFIG_SAMPLES_RUST=y
	echo CONFIG_FTRACE=y
	echo CONFIG_FTRACE_SYSCALLS=y
	# They take as long as the rest of the kernel.
	echo CONFIG_RUST_KERNEL_DOCTESTS=n
} >"$wanted"

# smake DIR ARGUMENT…: make of a folder in tools/.
smake() {
	_dir=$TREE/tools/$1
	shift
	[ ! -d "$_dir" ] || make -C "$_dir" ARCH="$ARCH" LLVM="$LLVM" CC=gcc RUSTC="$RUSTC" "$@"
}

# selftests: and cowstat, for the same instruction set. The targets are there from some
# patch on.
selftests() {
	[ ! -d "$TREE/tools/testing/selftests/rust_syscalls" ] ||
		smake testing/selftests O="$objects" TARGETS=rust_syscalls FORCE_TARGETS=1 all
	smake mm/cowstat OUTPUT="$objects/"
}

# build FOLDER…: what these folders of the tree belong to.
build() {
	renew "$out"
	case " $* " in
	*' tools '*) selftests ;;
	esac
	[ "$*" != tools ] || return 0
	kmake "$out" KCONFIG_ALLCONFIG="$wanted" allnoconfig
	kmake "$out" bzImage modules
}

# warned LOG: without what changes from one place or patch to the next.
warned() {
	grep -aE '^[^ ]*:[0-9]+(:[0-9]+)?: ?warning:|^warning|^WARNING|^[^ ]*: warning' "$1" |
		sed -E 's/:[0-9]+(:[0-9]+)?:/:/g' | sort -u || :
}

# inputs COMMIT: a hash of what is built.
inputs() {
	{
		git -C "$series" ls-tree "$1" | grep -v '	Documentation$'
		cat "$wanted"
		{ tools && gcc --version; } || date +%s%N # never seen before
	} | sha256sum
}

# anew: what is built does not warn again. What came of a build that has failed, has warned or
# was interrupted has to go.
begun=$out/.begun
anew() {
	[ ! -e "$begun" ] || find "$out" -type f -newer "$begun" ! -name '.[bw]*' ! -name .tree ! -name '.config*' -delete
	touch "$begun"
}

series=$TREE
TREE=$each
of_base=$({ inputs refs/heads/base; cat "$0"; } | sha256sum)
# A checkout makes files newer than what was built from them: only before a build.
if [ "$(cat "$out/.base" 2>/dev/null)" != "$of_base" ]; then
	checkout "$each" refs/heads/base
	touch -d @0 "$begun"
	anew
	run_logged "$BUILD/log/each-base.log" "the base" build kernel
	warned "$BUILD/log/each-base.log" >"$warnings"
	echo "$of_base" >"$out/.base"
	rm "$begun"
fi
# What has warned need not be compiled again with the same patch, but will be with the next.
warns=$out/.warns known=$(cat "$warnings")
touch "$built" "$warns"

# warns: a patch does, with the lines $new.
warns() {
	fail "patch $n warns: $(echo "$new" | head -n 1)"
	known="$known
$new"
}

n=0
for commit in $(git -C "$series" rev-list --reverse refs/heads/base..refs/heads/series); do
	n=$((n + 1))
	folders=$(git -C "$series" diff --name-only "$commit^" "$commit" | sed 's|/.*||' |
		sort -u | grep -vxE 'Documentation|MAINTAINERS') || continue
	of_patch=$(inputs "$commit")
	! grep -qxF "$of_patch" "$built" || { pass; continue; }
	new=$(sed -n "s/^${of_patch%% *} //p" "$warns")
	[ ! "$new" ] || { warns; continue; }
	checkout "$each" "$commit"
	anew
	log=$BUILD/log/each-$(printf %04d $n).log
	# shellcheck disable=SC2086 # words
	attempt "$log" "$(printf '%04d %.60s' $n "$(git -C "$series" log -1 --format=%s "$commit")")" \
		build $folders
	if [ "$status" != 0 ]; then
		fail "patch $n does not build: $log"
	elif new=$(warned "$log" | grep -vxF -e "$known"); then
		echo "$new" | sed "s/^/${of_patch%% *} /" >>"$warns"
		warns
	else
		pass
		echo "$of_patch" >>"$built"
		rm "$begun"
	fi
done
total
