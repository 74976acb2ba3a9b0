# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# build/linux, the tools chosen for it and the kernels built from it. Sourced by lib.sh.

# What the series is for.
# shellcheck disable=SC2034 # for the scripts that source this
SERIES_BASE=7.3

# series_id: changes whenever a patch does.
series_id() {
	find "$TOP/patches/" -name '*.patch' -print0 | sort -z | xargs -0r cat | sha256sum | cut -d' ' -f1
}

# changes TREE: what is not committed, or what git is told not to look at.
changes() {
	git -C "$1" status --porcelain &&
		git -C "$1" ls-files -vz | sed -zn 's/^[a-zS] //p' | (cd "$1" && { xargs -0r ls -d 2>/dev/null || :; })
}

# has_own_base: the branch base of build/linux is another than that of patches/.
has_own_base() {
	[ "$(git -C "$TREE" rev-parse -q --verify refs/heads/base)" != "$(git -C "$TREE" rev-parse -q --verify refs/series/base)" ]
}

# own_work: 'commits', a 'base' or 'changes' of build/linux that are not in patches/. An update
# that was interrupted has left the branch at one of the two refs.
own_work() {
	for _branch in HEAD refs/heads/series; do
		[ "$(git -C "$TREE" for-each-ref --points-at=$_branch refs/series/written refs/series/next)" ] || echo commits
	done | uniq
	! has_own_base || echo base
	_changes=$(changes "$TREE") || _changes=unknown
	[ ! "$_changes" ] || echo changes
}

# all_written: stop if there are any, or if there is no build/linux.
all_written() {
	[ -d "$TREE" ] || die "there is no build/linux: run 'make tree' first"
	[ ! "$(own_work)" ] || die "build/linux has work that is not in patches/: commit it and run 'make series' first"
}

# load_toolchain: the choices of scripts/setup/deps.sh: PATH, LLVM, CC, RUSTC, RUST_LIB_SRC.
load_toolchain() {
	[ -r "$BUILD/toolchain.env" ] || die "build/toolchain.env is missing: run 'make deps' first"
	# shellcheck source=/dev/null
	. "$BUILD/toolchain.env"
	# So that clones share what ccache has.
	export CCACHE_BASEDIR="$BUILD" CCACHE_IGNOREOPTIONS='-fmacro-prefix-map=*'
}

# kernel_dir: the build folder of the kernel that ARCH, CONFIG, HANDOUT and LOCALVERSION
# choose.
kernel_dir() {
	case $CONFIG in
	lean) _kernel=kernel-$ARCH ;;
	*) _kernel=kernel-$ARCH-$(basename "$CONFIG" .config) ;;
	esac
	echo "$BUILD/$_kernel${HANDOUT:+-handout}$LOCALVERSION"
}

# libc x86_64|i386: the C library and the loader that dynamically linked programs need in
# the guest, as FILE:PATH for initramfs.sh.
libc() {
	case $1 in
	x86_64) _width=64 _loader=/lib64/ld-linux-x86-64.so.2 ;;
	i386) _width=32 _loader=/lib/ld-linux.so.2 ;;
	esac
	for _file in "$_loader" "$(realpath -s "$(gcc -m"$_width" -print-file-name=libc.so.6)")"; do
		[ -r "$_file" ] || die "there is no $_width-bit C library: run 'make deps HANDOUT=1'"
		echo "$_file:$_file"
	done
}

# tree_id: a hash of build/linux with its changes.
tree_id() {
	rm -f "$BUILD/.index.lock"
	cp "$(git -C "$TREE" rev-parse --absolute-git-dir)/index" "$BUILD/.index" &&
		GIT_INDEX_FILE=$BUILD/.index git -C "$TREE" add -A &&
		GIT_INDEX_FILE=$BUILD/.index git -C "$TREE" write-tree
}

# keep_kernel: copy the kernel that was built to $run/kernel, for a guest that starts while
# others may build.
# shellcheck disable=SC2154 # claim sets run
keep_kernel() {
	mkdir -p "$run/kernel/arch/x86/boot"
	cp "$(kernel_dir)/.config" "$run/kernel"
	cp "$(kernel_dir)/arch/x86/boot/bzImage" "$run/kernel/arch/x86/boot"
}

# tools: which ones, and their versions.
tools() {
	cat "$BUILD/toolchain.env" && "$RUSTC" -vV && $CC --version && bindgen --version
}

# past FOLDER [TEST…]: what was built there before the clock was set back must not be newer than
# an edit. Only files for which find's TEST holds.
past() {
	_past=$1
	shift
	find "$_past/" -newermt now "$@" -exec touch -h -d @0 {} +
}

# renew OUT: prepare for a build of $TREE in OUT by make, which goes by the times of files: past,
# and what has changed in the tree since the last build in OUT began must not be older than what
# that has made, as after mv or cp -p, or if it was saved while the compiler ran.
renew() {
	mkdir -p "$1"
	past "$1" ! -name '.config*'
	_tree=$(tree_id)
	if [ -e "$1/.tree" ]; then
		_last=$(git -C "$TREE" rev-parse -q --verify "$(cat "$1/.tree")^{tree}") ||
			_last=$(git hash-object -t tree /dev/null)
		git -C "$TREE" diff --name-only --diff-filter=d -z "$_last" "$_tree" |
			(cd "$TREE" && xargs -0r stat -c '%Y %Z %n') | while read -r _modified _changed _file; do
			_newer=$(find "$1/" -type f -newer "$TREE/$_file" -print -quit)
			{ [ "$_modified" -ge "$_changed" ] && [ ! "$_newer" ]; } || touch "$TREE/$_file"
		done
		# A Makefile's wildcard does not miss a file that is gone.
		git -C "$TREE" diff --name-only --diff-filter=D --no-renames "$_last" "$_tree" -- 'tools/*.rs' |
			sed 's|/[^/]*$||' | sort -u | while read -r _folder; do
			[ ! -d "$TREE/$_folder" ] || find "$TREE/$_folder/" -maxdepth 1 -type f -name '*.rs' -exec touch {} +
		done
	fi
	echo "$_tree" >"$1/.tree"
}

# kvariables OUT: the variables of the kernel's make for a build in OUT, one a line.
# HOSTCC is also rustc's linker, which must be one word: no ccache.
# ccache passes ../linux/FILE to the compiler, whatever the clone; __FILE__ must be FILE.
kvariables() {
	printf '%s\n' O="$1" ARCH="$ARCH" LLVM="$LLVM" CC="$CC" HOSTCC="${CC##* }" RUSTC="$RUSTC" LOCALVERSION="$LOCALVERSION" \
		KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
		KBUILD_BUILD_USER=user KBUILD_BUILD_HOST=host KBUILD_BUILD_VERSION=1 \
		KCPPFLAGS=-fmacro-prefix-map=../"${TREE##*/}"/=
}

# kmake OUT ARGUMENT…: the kernel's make on build/linux, into the folder OUT.
kmake() (
	_variables=$(kvariables "$1") || exit
	shift
	IFS='
'
	# shellcheck disable=SC2086 # one word per line
	exec make -C "$TREE" $_variables -j"$JOBS" "$@"
)

# make_all OUT: build the kernel in OUT, and install its modules for the guest's modprobe.
make_all() {
	kmake "$1" all
	rm -rf "$1/installed"
	grep -q '^CONFIG_MODULES=y' "$1/.config" || return 0
	kmake "$1" INSTALL_MOD_PATH="$1/installed" INSTALL_MOD_STRIP=1 modules_install
	rm "$1"/installed/lib/modules/*/build
}

# checkout FOLDER COMMIT: a second tree, to compare with build/linux.
checkout() {
	# A new build/linux does not know the old one's worktree.
	if ! git --git-dir="$1/.git" rev-parse HEAD >/dev/null 2>&1; then
		need_space "$BUILD" 2600 "a second kernel tree in build/"
		rm -rf "$1"
		git -C "$BUILD/linux" worktree add -qf --detach "$1" refs/heads/base
	fi
	git -C "$1" checkout -q -f --detach "$2"
}
