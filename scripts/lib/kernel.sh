# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# build/linux, the tools chosen for it and the kernels built from it. Sourced by lib.sh.

# series_id: changes whenever a patch does.
series_id() {
	find "$TOP/patches" -name '*.patch' | sort | xargs -r cat | sha256sum | cut -d' ' -f1
}

# own_work: 'commits' or 'changes' of build/linux that are not in patches/.
own_work() {
	[ "$(git -C "$TREE" rev-parse HEAD)" = "$(git -C "$TREE" rev-parse refs/series/written)" ] || echo commits
	[ ! "$(git -C "$TREE" status --porcelain)" ] || echo changes
}

# check_prog FILE, check_add PATH: the values of PROG= and ADD=.
check_prog() {
	plain_path PROG= "$1"
	case $1 in
	*.c | *.rs) [ -r "$1" ] || die "PROG=$1: there is no such file" ;;
	*) die "PROG=$1: neither a .c nor a .rs file" ;;
	esac
}

check_add() {
	plain_path ADD= "$1"
	[ -e "$1" ] || die "ADD=$1: there is no such file or folder"
}

# load_toolchain: the choices of scripts/setup/deps.sh: PATH, LLVM, CC, RUSTC, RUST_LIB_SRC.
load_toolchain() {
	[ -r "$BUILD/toolchain.env" ] || die "build/toolchain.env is missing: run 'make deps' first"
	# shellcheck source=/dev/null
	. "$BUILD/toolchain.env"
	# So that clones share what ccache has.
	export CCACHE_BASEDIR="$BUILD" CCACHE_IGNOREOPTIONS='-fmacro-prefix-map=*'
}

# kernel_dir: the build folder of the kernel that ARCH, CONFIG and HANDOUT choose.
kernel_dir() {
	case $CONFIG in
	lean) _kernel=kernel-$ARCH ;;
	*) _kernel=kernel-$ARCH-$(basename "$CONFIG" .config) ;;
	esac
	echo "$BUILD/$_kernel${HANDOUT:+-handout}"
}

# kvariables OUT: the variables of the kernel's make for a build in OUT, one a line.
# HOSTCC is also rustc's linker, which must be one word: no ccache.
# ccache passes ../linux/FILE to the compiler, whatever the clone; __FILE__ must be FILE.
kvariables() {
	printf '%s\n' O="$1" ARCH="$ARCH" LLVM="$LLVM" CC="$CC" HOSTCC="${CC##* }" RUSTC="$RUSTC" LOCALVERSION= \
		KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
		KBUILD_BUILD_USER=user KBUILD_BUILD_HOST=host KBUILD_BUILD_VERSION=1 \
		KCPPFLAGS=-fmacro-prefix-map=../"${TREE##*/}"/=
}

# kmake OUT ARGUMENT…: the kernel's make on build/linux, into the folder OUT.
kmake() (
	_out=$1
	shift
	IFS='
'
	# shellcheck disable=SC2046 # one word per line
	exec make -C "$TREE" $(kvariables "$_out") -j"$JOBS" "$@"
)
