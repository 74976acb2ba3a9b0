#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

RUSTC_MIN=1.85.0
RUSTC_MIN_I386=1.91.0
BINDGEN_MIN=0.71.1
LLVM_MIN=17.0.1
LLVM_DEBIAN=19

usage() {
	cat <<-END
	usage: deps.sh

	Find what building and running the kernel needs; install what is missing (by
	apt, as root or with sudo; elsewhere say what to install), get the kernel
	source, and write the choice to build/toolchain.env.

	  LLVM >= $LLVM_MIN       LLVM=-N or LLVM=1 chooses; else $LLVM_DEBIAN, then the newest
	  rustc >= $RUSTC_MIN     the one in PATH; ARCH=i386 needs >= $RUSTC_MIN_I386
	  bindgen >= $BINDGEN_MIN   from PATH, or built by cargo and kept in the cache
	  the source of Rust's standard library, of the same version as rustc:
	    RUST_LIB_SRC=dir, the compiler's own, 'rustup component add rust-src',
	    Debian's rust-src, or Debian's pair rustc-web + rust-web-src

	When all is there it needs no network and next to no time.
	END
}

case ${1:-} in
'') ;;
--help) usage; exit ;;
*) usage >&2; exit 1 ;;
esac

# What is needed, how one sees that it is there, and Debian's package.
needs() {
	cat <<-'END'
	git      git            the kernel tree
	flex     flex           Kconfig
	bison    bison          Kconfig
	bc       bc             the kernel's time constants
	patch    patch          make test: a page that says what to change
	perl     perl           checkpatch, build scripts
	python3  python3        build scripts
	rsync    rsync          kernel headers, kselftest's install
	xz       xz-utils       kernel source
	lz4      lz4            kernel image
	zstd     zstd           kernel image of CONFIG=running
	cpio     cpio           initramfs, kernel headers
	curl     curl           kernel source from kernel.org
	kmod     kmod           modules
	pahole   dwarves        BTF of CONFIG=running
	cc       gcc            what bindgen's and clang's links need
	gdb      gdb            make gdb
	ccache   ccache         the second build
	shellcheck          shellcheck       make check
	mandoc              mandoc           make check
	qemu-system-x86_64  qemu-system-x86  the guest
	busybox             busybox-static   the guest's shell
	/etc/ssl/certs/ca-certificates.crt  ca-certificates  curl, cargo
	/usr/include/libelf.h       libelf-dev  objtool
	/usr/include/openssl/ssl.h  libssl-dev  certificates of CONFIG=running
	END
	[ ! "$HANDOUT" ] || echo gcc-m32 gcc-multilib "the handouts' programs"
}

have() {
	case $1 in
	/*) [ -e "$1" ] ;;
	gcc-m32) { [ -r "$(gcc -m32 -print-libgcc-file-name)" ] && [ -r "$(gcc -m32 -print-file-name=libc.a)" ]; } 2>/dev/null ;;
	busybox) command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# version_of COMMAND…: the first number with dots that it prints
version_of() {
	"$@" 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1
}

# at_least VERSION MINIMUM
at_least() {
	[ "$1" ] && [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# llvm_suffix: the LLVM to use, as the kernel's LLVM= names it; empty for none.
llvm_suffix() {
	for _llvm in ${LLVM:--$LLVM_DEBIAN -22 -21 -20 -18 -17 1}; do
		_suffix=${_llvm#1}
		for _tool in clang ld.lld llvm-ar llvm-nm llvm-objcopy llvm-objdump llvm-readelf llvm-strip; do
			command -v "$_tool$_suffix" >/dev/null || continue 2
		done
		at_least "$(version_of "clang$_suffix" --version)" $LLVM_MIN || continue
		echo "$_llvm"
		return
	done
}

# candidate PACKAGE: the version that apt would install
candidate() {
	apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9]*:\)\?\([0-9.]*\).*/\2/p'
}

# install WHY PACKAGE…
install() {
	_why=$1
	shift
	if ! command -v apt-get >/dev/null; then
		say "deps.sh: $_why; this machine has no apt. Install what these Debian packages hold, then try again:"
		die "$*"
	fi
	_sudo=
	if [ "$(id -u)" != 0 ]; then
		_sudo=sudo
		command -v sudo >/dev/null || die "$_why: as root, run: apt-get install $*"
	fi
	need_space /usr 2500 "installing packages"
	run_logged "$BUILD/log/apt.log" "Asking apt what there is" $_sudo apt-get -q update ||
		die "the Debian mirror cannot be reached; missing: $*"
	run_logged "$BUILD/log/apt.log" "Installing $*" $_sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get -q install -y --no-install-recommends "$@" || die "apt cannot install: $*"
}

install_packages() {
	missing=$(needs | while read -r _what _package _; do
		have "$_what" || echo "$_package"
	done)
	llvm=$(llvm_suffix)
	if [ ! "$llvm" ]; then
		[ ! "${LLVM:-}" ] || die "LLVM=$LLVM: there is no complete LLVM >= $LLVM_MIN of that name"
		missing="$missing clang-$LLVM_DEBIAN lld-$LLVM_DEBIAN llvm-$LLVM_DEBIAN"
	fi
	# Debian's own Rust, unless there is one: its newest, kept so for browsers.
	command -v rustc >/dev/null || missing="$missing rustc-web cargo-web rust-web-src rustfmt-web rust-web-clippy"
	[ "$missing" ] || return 0
	# shellcheck disable=SC2086 # one word per package
	install "packages are missing" $missing
	llvm=$(llvm_suffix)
	[ "$llvm" ] || die "LLVM >= $LLVM_MIN is still missing"
}

check_rustc() {
	command -v rustc >/dev/null || die "rustc is missing: install it from your distribution or by rustup"
	rust=$(version_of rustc --version)
	at_least "$rust" $RUSTC_MIN ||
		die "rustc $rust is too old, the kernel needs $RUSTC_MIN: 'rustup update', or Debian's rustc-web"
	[ "$ARCH" != i386 ] || at_least "$rust" $RUSTC_MIN_I386 ||
		die "rustc $rust is too old for ARCH=i386, which needs $RUSTC_MIN_I386: older ones pass the" \
			"arguments of memcpy and memset on the stack where the kernel expects registers" \
			"(rust-lang/rust issue 145309); get a newer one: 'rustup update', or your distribution's"
}

# library_version DIRECTORY: which Rust a library source belongs to: that of the
# newest thing that it calls stable.
library_version() {
	grep -rhoE '\bstable\(feature = "[a-z0-9_]+", since = "1\.[0-9]+' "$1/core/src" 2>/dev/null |
		grep -oE '1\.[0-9]+$' | sort -V | tail -n 1
}

# accept DIRECTORY WHAT: take it as the library's source if the version is right.
accept() {
	[ -f "$1/core/src/lib.rs" ] || return
	_found=$(library_version "$1")
	if [ "$_found" != "${rust%.*}" ]; then
		say "standard library source: $2 is of Rust $_found, rustc is $rust: not used"
		return 1
	fi
	library=$1
	chosen=$2
}

sysroot_library() {
	accept "$(rustc --print sysroot)/lib/rustlib/src/rust/library" "the compiler's own"
}

rustup_library() {
	command -v rustup >/dev/null && rustup which rustc >/dev/null 2>&1 || return
	run_logged "$BUILD/log/rustup.log" "Asking rustup for rust-src" rustup component add rust-src && sysroot_library
}

cached_library() {
	accept "$cache/rust-src-$rust" "Debian's rust-src $rust, from the cache"
}

# Debian's package of the same version, from any suite that still has it.
debian_library() {
	command -v apt-get >/dev/null || return
	for _suite in trixie-backports trixie sid; do
		_deb=$("$TOP/scripts/apt.sh" $_suite rust-src "$rust") || continue
		_tmp=$(mktemp -d "$cache/tmp.XXXXXX")
		dpkg-deb -x "$_deb" "$_tmp"
		rm -rf "$cache/rust-src-$rust"
		mv "$_tmp"/usr/src/rustc-*/library "$cache/rust-src-$rust"
		rm -rf "$_tmp"
		accept "$cache/rust-src-$rust" "Debian's rust-src of $_suite" && return
	done
	return 1
}

# Another compiler, with its source: the last resort.
web_pair() {
	command -v apt-get >/dev/null && [ "$(candidate rust-web-src)" ] || return
	install "rustc $rust has no source of its standard library" \
		rustc-web cargo-web rust-web-src rustfmt-web rust-web-clippy
	PATH=/usr/bin:$PATH
	path=/usr/bin
	check_rustc
	say "standard library source: rustc $rust from Debian is used, with its own"
	sysroot_library
}

find_library() {
	if [ "${RUST_LIB_SRC:-}" ]; then
		accept "$RUST_LIB_SRC" "RUST_LIB_SRC" || die "RUST_LIB_SRC=$RUST_LIB_SRC is not the library of Rust $rust"
		return
	fi
	for _route in sysroot cached rustup debian; do
		"${_route}_library" && return
	done
	web_pair || die "no source of the standard library of Rust $rust: not in the compiler's folder, not from" \
		"rustup, not in Debian; install it, or give RUST_LIB_SRC=dir"
}

# bindgen of the PATH or of ours; cargo builds one while the source is fetched.
find_bindgen() {
	for bindgen in bindgen "$cache/tools/bin/bindgen"; do
		at_least "$(version_of "$bindgen" --version)" $BINDGEN_MIN && return
	done
	if at_least "$(candidate bindgen)" $BINDGEN_MIN; then
		install "bindgen is missing" bindgen
		bindgen=bindgen
		return
	fi
	command -v cargo >/dev/null || die "bindgen >= $BINDGEN_MIN is missing, and cargo, which could build it"
	# Built for a few short runs: less optimised it builds in half the time.
	CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
		cargo install --quiet --locked --root "$cache/tools" bindgen-cli >"$BUILD/log/bindgen.log" 2>&1 &
	cargo=$!
	trap 'kill $cargo 2>/dev/null' EXIT
	trap 'exit 130' INT TERM HUP
}

wait_for_bindgen() {
	[ "$cargo" ] || return 0
	run_logged "$BUILD/log/bindgen.wait" "Building bindgen" tail --pid="$cargo" -f /dev/null
	trap - EXIT
	wait "$cargo" || {
		tail -n 5 "$BUILD/log/bindgen.log" >&2
		die "cargo cannot build bindgen >= $BINDGEN_MIN; the log: $BUILD/log/bindgen.log"
	}
}

check_arch
with_lock
cache=$(cache_dir)
path='' library='' chosen='' cargo=''
mkdir -p "$BUILD/log"
[ -d "$TREE" ] || need_space "$BUILD" 4096 "the kernel source and one build"
[ -d "$TREE" ] || need_space "$cache" 4096 "the cache, with room for unpacking,"

install_packages
check_rustc
find_bindgen
find_library
[ -d "$TREE" ] || "$TOP/scripts/source.sh" >/dev/null
wait_for_bindgen

# The tools by their place where PATH alone does not find them.
[ "$bindgen" = bindgen ] || path=$cache/tools/bin${path:+:$path}
suffix=${llvm#1}
new=$(
	[ ! "$path" ] || echo "export PATH=\"$path:\$PATH\""
	echo "export LLVM=$llvm"
	echo "export CC='ccache clang$suffix'"
	echo "export RUSTC=rustc"
	[ "$library" = "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ] ||
		echo "export RUST_LIB_SRC='$library'"
)
if [ "$new" != "$(cat "$BUILD/toolchain.env" 2>/dev/null)" ]; then
	echo "$new" >"$BUILD/toolchain.env"
	say "toolchain: clang $(version_of "clang$suffix" --version), rustc $rust (library source: $chosen)," \
		"bindgen $(version_of "$bindgen" --version)"
fi
