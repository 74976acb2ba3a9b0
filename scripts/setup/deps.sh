#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: deps.sh
#
# Find what is needed to build and run the kernel; install what is missing (with apt,
# as root or with sudo; elsewhere say what to install); get the kernel source; and
# write the choice of tools to build/toolchain.env. Needed, besides packages:
#
#   LLVM      LLVM=-N or LLVM=1 chooses; the default is LLVM_DEBIAN, then the newest
#   rustc     the one in PATH
#   bindgen   from PATH, or built by cargo and kept in the cache
#   the source of Rust's standard library, of rustc's version: RUST_LIB_SRC=dir, the
#             compiler's own, 'rustup component add rust-src', Debian's rust-src, or
#             Debian's pair rustc-web and rust-web-src
#
# If all is there, this needs no network and takes no time. What only some targets
# of make need is required when they are in GOALS; an exercise (HANDOUT=NAME) is in C
# and needs nothing of Rust. The oldest versions that will do:
RUSTC_MIN=1.85.0
RUSTC_MIN_I386=1.91.0
BINDGEN_MIN=0.71.1
LLVM_MIN=17.0.1
LLVM_DEBIAN=19

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

# What to look for, Debian's package, and what it is for.
needs() {
	cat <<-'END'
	git      git            the kernel tree
	flex     flex           Kconfig
	bison    bison          Kconfig
	bc       bc             the kernel's time constants
	perl     perl           checkpatch, build scripts
	python3  python3        build scripts
	rsync    rsync          kernel headers, kselftest's install
	xz       xz-utils       kernel source
	lz4      lz4            kernel image
	cpio     cpio           initramfs, kernel headers
	curl     curl           kernel source from kernel.org
	kmod     kmod           modules
	cc       gcc            what bindgen's and clang's links need
	ccache   ccache         the second build
	qemu-system-x86_64  qemu-system-x86  the guest
	busybox             busybox-static   the guest's shell
	certificates        ca-certificates  curl, cargo
	libelf.h            libelf-dev       objtool
	END
	for _goal in ${GOALS:-} ${VM:+vm-test}; do
		case $_goal in
		check) printf '%s\n' patch\ patch shellcheck\ shellcheck mandoc\ mandoc ;;
		gdb) echo gdb gdb ;;
		suites) printf '%s\n' mmdebstrap\ mmdebstrap newuidmap\ uidmap sys/capability.h\ libcap-dev numa.h\ libnuma-dev
			echo gcc-m32 gcc-multilib "32-bit programs of the kernel's selftests" ;;
		menuconfig) echo ncurses.h libncurses-dev ;;
		bases | test) echo patch patch "a page that says what to change"; printf '%s\n' bwrap\ bubblewrap pahole\ dwarves pdfinfo\ poppler-utils ;;
		vm | vm-test | deb)
			[ "$_goal" = deb ] || printf '%s\n' mmdebstrap\ mmdebstrap newuidmap\ uidmap \
				sfdisk\ fdisk mke2fs\ e2fsprogs qemu-img\ qemu-utils
			[ "$_goal" = vm ] || printf '%s\n' dh_builddeb\ debhelper dpkg-buildpackage\ dpkg-dev
			[ "$ARCH" != i386 ] || echo gcc-m32 gcc-multilib "programs in the kernel's headers" ;;
		esac
	done
	# For what lean does not have: BTF, other compression, certificates.
	case $CONFIG in
	lean | vm) ;;
	*) printf '%s\n' pahole\ dwarves zstd\ zstd openssl/ssl.h\ libssl-dev ;;
	esac
	[ ! "$HANDOUT$exercise" ] || echo gcc-m32 gcc-multilib "the handouts' programs"
	[ ! "$exercise" ] || printf '%s\n' bwrap\ bubblewrap pahole\ dwarves pdfinfo\ poppler-utils gropdf\ groff
}

have() {
	case $1 in
	*.h) echo "#include <$1>" | cc -E - ;;
	gcc-m32) [ -r "$(gcc -m32 -print-libgcc-file-name)" ] && [ -r "$(gcc -m32 -print-file-name=libc.a)" ] ;;
	busybox) _busybox=$(command -v busybox) && _elf=$(readelf -lW "$_busybox") && [ "${_elf##* INTERP *}" ] ;;
	certificates) ls /etc/ssl/certs/*.crt || ls /etc/ssl/*.pem || ls /etc/pki/tls/certs/*.crt ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

# version_of COMMAND…: the first dotted number in its output
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

# installing WHAT COMMAND…: where an earlier dpkg was killed, apt asks to finish that first.
installing() {
	_what=$1
	shift
	attempt "$BUILD/log/apt.log" "Installing $_what" "$@"
	[ "$status" != 0 ] && grep -q 'dpkg was interrupted' "$BUILD/log/apt.log" || return 0
	attempt "$BUILD/log/dpkg.log" "Finishing what dpkg was interrupted in" \
		$_sudo env DEBIAN_FRONTEND=noninteractive dpkg --configure -a
	attempt "$BUILD/log/apt.log" "Installing $_what" "$@"
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
		# Ask for the password now: later the ticker would overwrite the prompt.
		sudo apt-get --version >/dev/null || die "$_why: sudo does not let you run: apt-get install $*"
	fi
	need_space /usr 2500 "installing packages"
	attempt "$BUILD/log/apt-update.log" "Asking apt what there is" $_sudo apt-get -q update
	[ "$status" = 0 ] || say "apt-get update failed for some sources, see above; continuing with what apt knows"
	_unknown=$(for _package; do [ "$(candidate "$_package")" ] || echo "$_package"; done | paste -sd' ')
	[ ! "$_unknown" ] || die "$_why: $*; apt does not know: $_unknown"
	_options='--no-install-recommends --no-remove' status=1
	# shellcheck disable=SC2086 # one word per option
	apt-get -s $_options install "$@" >/dev/null 2>&1 || from_backports "$@"
	# shellcheck disable=SC2086
	[ "$status" = 0 ] || installing "$*" \
		$_sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y $_options "$@"
	[ "$status" = 0 ] || die "apt cannot install these, or not without removing other packages: $*"
}

# from_backports PACKAGE…: what is installed may be newer than the release, such as qemu-utils
# from its backports, which need not be in sources.list any more. What apt could install only
# by removing that, take from there. Sets $status to 0 if all is installed.
from_backports() {
	# shellcheck source=/dev/null
	_suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")-backports
	_source=$("$TOP/scripts/setup/apt.sh" --mirror "$_suite" 2>/dev/null) || return 0
	_apt="$_sudo env DEBIAN_FRONTEND=noninteractive apt-get -q"
	_plain='' _newer=''
	# shellcheck disable=SC2086 # one word per option and package
	for _package; do
		if apt-get -s $_options install "$_package" >/dev/null 2>&1; then
			_plain="$_plain $_package"
		else
			_newer="$_newer $_package"
		fi
	done
	[ "$_newer" ] || return 0
	# Of a suite that apt knows it must not be told twice, signed by different keys.
	# shellcheck disable=SC2016 # apt fills it in
	if ! apt-get indextargets --format '$(RELEASE)' | grep -qx "$_suite"; then
		_lists=$BUILD/apt
		at_exit "$_sudo rm -rf '$_lists'"
		mkdir -p "$_lists/lists/partial"
		{
			echo "$_source"
			cat /etc/apt/sources.list || :
		} >"$_lists/sources.list" 2>/dev/null
		_apt="$_apt -o Dir::State::Lists=$_lists/lists -o Dir::Etc::SourceList=$_lists/sources.list"
		# shellcheck disable=SC2086
		attempt "$BUILD/log/apt-update.log" "Asking apt what $_suite has" $_apt update
	fi
	# PACKAGE/SUITE instead of -t would take what it depends on from the release.
	# shellcheck disable=SC2086
	if [ "$_plain" ]; then
		installing "${_plain# }" $_apt $_options install -y $_plain
		[ "$status" = 0 ] || return 0
	fi
	# shellcheck disable=SC2086
	installing "${_newer# } from $_suite" $_apt $_options -t "$_suite" install -y $_newer
}

install_packages() {
	missing=$(needs | while read -r _what _package _; do
		have "$_what" || echo "$_package"
	done)
	[ "$exercise" ] || compilers
	# shellcheck disable=SC2086 # one word per package
	[ ! "$missing" ] || install "packages are missing" $missing
}

compilers() {
	if [ ! "$(llvm_suffix)" ]; then
		[ ! "${LLVM:-}" ] || die "LLVM=$LLVM: there is no complete LLVM >= $LLVM_MIN of that name"
		missing="$missing clang-$LLVM_DEBIAN lld-$LLVM_DEBIAN llvm-$LLVM_DEBIAN"
	fi
	# If there is no Rust, Debian's newest, which it packages for browsers.
	command -v rustc >/dev/null || missing="$missing rustc-web cargo-web rust-web-src rustfmt-web rust-web-clippy"
}

check_rustc() {
	command -v rustc >/dev/null || die "rustc is missing: install it from your distribution or by rustup"
	rust=$(version_of rustc --version)
	at_least "$rust" $RUSTC_MIN ||
		die "rustc $rust is too old, the kernel needs $RUSTC_MIN: 'rustup update', or Debian's rustc-web"
	[ "$ARCH" != i386 ] || at_least "$rust" $RUSTC_MIN_I386 ||
		die "rustc $rust is too old for ARCH=i386, which needs $RUSTC_MIN_I386: older ones pass the" \
			"arguments of memcpy and memset on the stack where the kernel expects registers" \
			"(rust-lang/rust issue 145309); get a newer one: 'rustup update', or Debian's rustc-web instead"
}

# library_version DIRECTORY: the Rust version of a library source, which is that of its
# newest stable feature.
library_version() {
	case $(rustc --version) in
	# A nightly has a placeholder instead.
	*-nightly* | *-dev*) ! grep -rqF 'since = "CURRENT_RUSTC_VERSION"' "$1/core/src" || { echo "${rust%.*}"; return; } ;;
	esac
	grep -rhoE '\bstable\(feature = "[a-z0-9_]+", since = "1\.[0-9]+' "$1/core/src" 2>/dev/null |
		grep -oE '1\.[0-9]+$' | sort -V | tail -n 1
}

# accept DIRECTORY WHAT: use it as the library's source if its version is rustc's.
accept() {
	[ -f "$1/core/src/lib.rs" ] || return 0
	_found=$(library_version "$1")
	if [ "$_found" != "${rust%.*}" ]; then
		say "standard library source: $2 is of Rust $_found, rustc is $rust: not used"
		return 0
	fi
	library=$1
	chosen=$2
}

sysroot_library() {
	accept "$(rustc --print sysroot)/lib/rustlib/src/rust/library" "the compiler's own"
}

rustup_library() {
	command -v rustup >/dev/null && rustup which rustc >/dev/null 2>&1 || return 0
	attempt "$BUILD/log/rustup.log" "Asking rustup for rust-src" rustup component add rust-src
	[ "$status" != 0 ] || sysroot_library
}

cached_library() {
	accept "$cache/rust-src-$rust" "Debian's rust-src $rust, from the cache"
}

# Debian's package of rustc's version, from any suite that still has it.
debian_library() {
	command -v apt-get >/dev/null || return 0
	for _suite in trixie-backports trixie sid; do
		_deb=$("$TOP/scripts/setup/apt.sh" $_suite rust-src "$rust") || continue
		_tmp=$(mktemp -d "$cache/rust-src.XXXXXX")
		at_exit "rm -rf '$_tmp'"
		dpkg-deb -x "$_deb" "$_tmp"
		rm -rf "$cache/rust-src-$rust"
		mv "$_tmp"/usr/src/rustc-*/library "$cache/rust-src-$rust"
		rm -rf "$_tmp"
		accept "$cache/rust-src-$rust" "Debian's rust-src of $_suite"
		return
	done
}

# Another compiler, with its source: the last resort.
web_pair() {
	command -v apt-get >/dev/null && [ "$(candidate rust-web-src)" ] || return 0
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
		accept "$RUST_LIB_SRC" "RUST_LIB_SRC"
		[ "$library" ] || die "RUST_LIB_SRC=$RUST_LIB_SRC is not the library of Rust $rust"
		return
	fi
	for _route in sysroot_library cached_library rustup_library debian_library web_pair; do
		$_route
		[ ! "$library" ] || return 0
	done
	die "no source of the standard library of Rust $rust: not in the compiler's folder, not from" \
		"rustup, not in Debian; install it, or give RUST_LIB_SRC=dir"
}

# bindgen from PATH or from the cache, or built by cargo while the source is fetched.
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
	# With less optimization it builds in half the time, and it runs only briefly. /tmp
	# may be noexec, and the user's cargo configuration may be for another target.
	CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off RUSTFLAGS='' CARGO_TARGET_DIR="$cache/bindgen" \
		cargo install --quiet --locked --root "$cache/tools" --target "$(rustc -vV | sed -n 's/^host: //p')" \
		bindgen-cli >"$BUILD/log/bindgen.log" 2>&1 &
	cargo=$!
	at_exit "kill \$cargo 2>/dev/null || :; rm -rf '$cache/bindgen'"
}

wait_for_bindgen() {
	[ "$cargo" ] || return 0
	run_logged "$BUILD/log/bindgen.wait" "Building bindgen" tail --pid="$cargo" -f /dev/null
	wait "$cargo" || {
		tail -n 5 "$BUILD/log/bindgen.log" >&2
		die "cargo cannot build bindgen >= $BINDGEN_MIN; the log: $BUILD/log/bindgen.log"
	}
	cargo=''
}

# check_arguments: check make's variables before any long step.
check_arguments() {
	[ "$(uname -sm)" = 'Linux x86_64' ] || die "this machine is $(uname -sm); these tools need Linux on x86-64"
	plain_path CONFIG= "$CONFIG"
	case $CONFIG in
	lean | defconfig | running) ;;
	*) [ -f "$CONFIG" ] || [ -f "$TOP/kconfig/$CONFIG.config" ] ||
		die "CONFIG=$CONFIG: neither lean, defconfig, running, a name in kconfig/ nor a file" ;;
	esac
	plain_path PROG= "${PROG:-}"
	case ${PROG:-} in
	'') ;;
	*.c | *.rs) [ -r "$PROG" ] || die "PROG=$PROG: there is no such file" ;;
	*) die "PROG=$PROG: neither a .c nor a .rs file" ;;
	esac
	[ ! "${BUSYBOX:-}" ] || [ -x "$BUSYBOX" ] || die "BUSYBOX=$BUSYBOX: there is no such program"
	for _path in ${ADD:-}; do
		plain_path ADD= "$_path"
		[ -e "$_path" ] || die "ADD=$_path: there is no such file or folder"
	done
	_twice=$(for _path in ${ADD:-}; do basename "$_path"; done | sort | uniq -d)
	[ ! "$_twice" ] || die "ADD=$ADD: two have the name $(echo "$_twice" | paste -sd' ')"
}

check_arguments
with_lock
cache=$(cache_dir)
path='' library='' chosen='' cargo=''
[ -d "$TREE" ] || need_space "$BUILD" 4096 "the kernel source and one build"
[ -d "$TREE" ] || need_space "$cache" 4096 "the cache, with room for unpacking,"

install_packages
[ ! "$exercise" ] || { HANDOUT=$exercise "$TOP/scripts/setup/source.sh" >/dev/null; exit; }
llvm=$(llvm_suffix)
[ "$llvm" ] || die "LLVM >= $LLVM_MIN is still missing"
check_rustc
find_bindgen
find_library
[ -d "$TREE" ] || "$TOP/scripts/setup/source.sh" >/dev/null
wait_for_bindgen

# PATH only if the tools are not found otherwise.
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
