#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Test the scripts that set up, and those that keep the series: in a copy of the
# repository, on a kernel tree of a few files, without a network. What is bad in
# the input gets a clear error and changes nothing.

case ${1:-} in
-h | --help) echo "usage: ${0##*/}"; exit ;;
esac

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

tmp=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT
unset LINUX LINUX_TARBALL LLVM RUST_LIB_SRC BUILD_LOCKED HANDOUT V
export XDG_CACHE_HOME="$tmp/cache" TMPDIR="$tmp" GIT_CONFIG_GLOBAL="$tmp/gitconfig" GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_DATE='2020-02-02T02:02:02Z'
path=$PATH
repo=$tmp/repo tree=$tmp/repo/build/linux

# What breaks a careless script: a user with firm habits.
cat >"$tmp/gitconfig" <<'END'
[user]
	name = A User
	email = user@localhost
[diff]
	noprefix = true
	context = 9
	algorithm = patience
[format]
	signature = mine
	numbered = true
	pretty = oneline
[core]
	autocrlf = input
	abbrev = 40
END

verdict() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		say "FAIL $what"
		cat "$tmp/output" >&2
	fi
}

# snapshot: all that a failing script must leave alone.
snapshot() {
	{
		(cd "$repo" && find patches rust-src selftests Documentation -type f -exec sha256sum {} + | sort)
		[ ! -d "$tree" ] || git --no-optional-locks -C "$tree" status --porcelain=v2 --branch
		find "$tmp"/linux* -printf '%p %T@\n' | sort
		find "$XDG_CACHE_HOME/rust-syscalls/base" -maxdepth 1 -name '*.git' ! -name 'dir-*' | sort
	} | sha256sum
}

# works WHAT COMMAND…
works() {
	what=$1
	shift
	if "$@" >"$tmp/output" 2>&1 </dev/null; then verdict 0; else verdict 1; fi
}

# refuses WHAT PATTERN COMMAND…: it fails, says so, and changes nothing.
refuses() {
	what=$1 pattern=$2
	shift 2
	before=$(snapshot)
	if "$@" >"$tmp/output" 2>&1 </dev/null; then
		echo "(it did not fail)" >>"$tmp/output"
		verdict 1
	elif ! grep -qE "$pattern" "$tmp/output"; then
		echo "(nothing says '$pattern')" >>"$tmp/output"
		verdict 1
	elif [ "$(snapshot)" != "$before" ]; then
		echo "(something is changed)" >>"$tmp/output"
		verdict 1
	else
		verdict 0
	fi
}

# same WHAT A B
same() {
	what=$1
	echo "'$2' is not '$3'" >"$tmp/output"
	if [ "$2" = "$3" ]; then verdict 0; else verdict 1; fi
}

run() {
	_script=$1
	shift
	"$repo/scripts/$_script" "$@"
}

commit() {
	git -C "$tree" add -A
	git -C "$tree" commit -q -m "$1" -m "Because."
}

series_sum() {
	(cd "$repo" && find patches rust-src selftests Documentation -type f -exec sha256sum {} + | sort | sha256sum)
}

# fake NAME: a command that does what standard input says
fake() {
	{ echo '#!/bin/sh'; cat; } >"$tmp/fake/$1"
	chmod +x "$tmp/fake/$1"
}

# with_fakes COMMAND…
with_fakes() {
	PATH="$tmp/fake:$path" "$@"
}

# kernel DIRECTORY SUBLEVEL: a source tree
kernel() {
	mkdir -p "$1/kernel" "$1/scripts"
	printf 'VERSION = 7\nPATCHLEVEL = %s\nSUBLEVEL = %s\nEXTRAVERSION =\n' "${3:-3}" "$2" >"$1/Makefile"
	printf 'List\n\nTHE REST\nF:\t*\n' >"$1/MAINTAINERS"
	printf '*.o\n\n#\n# Debian packaging: ignore everything\n#\n/*\n!/debian/\n' >"$1/.gitignore"
	printf '*.rs diff=rust\n' >"$1/.gitattributes"
	printf 'int main(void)\n{\n\ta;\n\tb;\n\tc;\n\td;\n}\n' >"$1/kernel/fork.c"
}

mkdir -p "$repo" "$tmp/fake" "$repo/patches" "$repo/rust-src" "$repo/selftests" "$repo/Documentation"
cp -r "$TOP/scripts" "$TOP/Makefile" "$repo"
git init -q "$repo"
echo /build/ >"$repo/.gitignore"
kernel "$tmp/linux" 4

# The source: a plain tree, a git tree and a tarball of the same files are one base.
works 'a plain tree as LINUX=' env LINUX="$tmp/linux" "$repo/scripts/tree.sh"
plain=$(git -C "$tree" rev-parse base)
rm -rf "$repo/build"
cp -r "$tmp/linux" "$tmp/linux.git"
printf '*.o\n\n' >"$tmp/linux.git/.gitignore"
git init -q "$tmp/linux.git"
git -C "$tmp/linux.git" add -fA
git -C "$tmp/linux.git" commit -qm 'Linux'
works 'a git tree as LINUX=' env LINUX="$tmp/linux.git" "$repo/scripts/tree.sh"
same 'git tree and plain tree are the same base' "$(git -C "$tree" rev-parse base)" "$plain"
rm -rf "$repo/build"
tar -C "$tmp" -cJf "$tmp/linux-7.3.4.tar.xz" --transform 's/^linux/linux-7.3.4/' linux
works 'a tarball as LINUX_TARBALL=' env LINUX_TARBALL="$tmp/linux-7.3.4.tar.xz" "$repo/scripts/tree.sh"
same 'tarball and plain tree are the same base' "$(git -C "$tree" rev-parse base)" "$plain"
same 'the tree has no changes' "$(git -C "$tree" status --porcelain)" ''
works 'make tree again, without LINUX=' run tree.sh

# The round trip.
mkdir -p "$tree/tools/testing/selftests/rust_syscalls" "$tree/Documentation/rust"
printf 'pub fn a() {\n    0\n}\n' >"$tree/kernel/hello.rs"
sed -i 's/c;/C;/' "$tree/kernel/fork.c"
commit 'kernel: add hello'
echo test >"$tree/tools/testing/selftests/rust_syscalls/hello.rs"
echo 'text, with …' >"$tree/Documentation/rust/hello.rst"
commit 'selftests: test hello …'
works 'make series' run series.sh
sum=$(series_sum)
same 'the mirrors have what the series adds' \
	"$(cd "$repo" && find rust-src selftests Documentation -type f | sort | paste -sd' ')" \
	'Documentation/rust/hello.rst rust-src/kernel/hello.rs selftests/rust_syscalls/hello.rs'
same 'patches have nothing of this machine' \
	"$(grep -nE 'Signed-off|^-- $|^\+\+\+ kernel|\[PATCH [0-9]|mine' "$repo"/patches/*)" ''
works 'make series again' run series.sh
same 'nothing changed, the same bytes' "$(series_sum)" "$sum"
rm -rf "$tree"
works 'make tree from the patches' env LINUX="$tmp/linux" "$repo/scripts/tree.sh"
works 'and back' run series.sh
same 'there and back, the same bytes' "$(series_sum)" "$sum"
head=$(git -C "$tree" rev-parse HEAD)
rm -rf "$tree"
GIT_COMMITTER_DATE=2021-01-01T00:00:00Z works 'make tree at another time' env LINUX="$tmp/linux" "$repo/scripts/tree.sh"
same 'always the same hashes' "$(git -C "$tree" rev-parse HEAD)" "$head"
cp -r "$tmp/linux.git" "$tmp/am"
works 'plain git am takes the patches' git -C "$tmp/am" am -q "$repo"/patches/*.patch

# make check
echo 'export LLVM=-19' >"$repo/build/toolchain.env"
git -C "$repo" add -A
works 'make check: patches and mirrors agree' run check.sh apply mirrors names
same 'make check is silent' "$(cat "$tmp/output")" ''
echo >>"$repo/rust-src/kernel/hello.rs"
refuses 'make check: a mirror that differs' 'rust-src/kernel/hello.rs' "$repo/scripts/check.sh" mirrors
run series.sh 2>/dev/null
touch "$repo/selftests/stale"
refuses 'make check: a file too many' 'selftests: stale' "$repo/scripts/check.sh" mirrors
works 'make series removes it' run series.sh
same 'as before' "$(series_sum)" "$sum"
echo "see $repo/build" >"$repo/README.md"
git -C "$repo" add README.md
refuses 'make check: a path of this machine' README.md "$repo/scripts/check.sh" names
git -C "$repo" rm -qf README.md

# Work of the user's own
echo '// mine' >>"$tree/kernel/hello.rs"
refuses 'make series with uncommitted changes' 'not committed' "$repo/scripts/series.sh"
refuses 'make check with uncommitted changes' 'make series' "$repo/scripts/check.sh" apply
works 'make tree leaves changes alone' run tree.sh
same 'they are still there' "$(git -C "$tree" status --porcelain)" ' M kernel/hello.rs'
git -C "$tree" checkout -q kernel/hello.rs
touch "$tree/kernel/new.rs"
refuses 'make series with a new file' 'kernel/new.rs' "$repo/scripts/series.sh"
commit 'kernel: new'
cp -r "$repo/patches" "$tmp/patches"
sed -i 's/^Because/Since/' "$repo"/patches/0001*
refuses 'own commits, and the patches have changed' 'commits of its own' "$repo/scripts/tree.sh"
git -C "$tree" reset -q --hard HEAD~1
git -C "$tree" checkout -q --detach
refuses 'make series in the middle of a rebase' 'not on its branch' "$repo/scripts/series.sh"
git -C "$tree" checkout -q series
works 'make tree follows the patches' run tree.sh
same 'the new message is there' "$(git -C "$tree" log -1 --format=%b HEAD~1)" Since.
sed -i 's/^-\tc;/-\tx;/' "$repo"/patches/0001*
refuses 'a patch that does not apply' 'does not apply' "$repo/scripts/tree.sh"
cp "$tmp"/patches/* "$repo/patches"
works 'make tree with the old patches' run tree.sh
git -C "$tree" checkout -q -b side base
echo side >"$tree/side"
commit side
git -C "$tree" checkout -q series
git -C "$tree" merge -q --no-edit side
refuses 'make series with a merge' 'merges' "$repo/scripts/series.sh"
git -C "$tree" reset -q --hard HEAD~1

# LINUX= and LINUX_TARBALL= that will not do; and one that will, later.
tree_of() {
	"$@" "$repo/scripts/tree.sh"
}
kernel "$tmp/linux.old" 12 1
refuses 'LINUX= of another version' 'is Linux 7\.1\.12; the series is for 7\.3' tree_of env LINUX="$tmp/linux.old"
refuses 'LINUX= is no kernel' 'no Linux source tree' tree_of env LINUX="$tmp/fake"
refuses 'LINUX= is nothing' 'no directory' tree_of env LINUX="$tmp/none"
echo x >>"$tmp/linux.git/kernel/fork.c"
refuses 'LINUX= with changes' 'uncommitted changes' tree_of env LINUX="$tmp/linux.git"
git -C "$tmp/linux.git" checkout -q .
kernel "$tmp/linux.applied" 4
echo 'RUST SYSTEM CALLS' >>"$tmp/linux.applied/MAINTAINERS"
refuses 'LINUX= with the series applied' 'applied already' tree_of env LINUX="$tmp/linux.applied"
kernel "$tmp/linux.built" 4
touch "$tmp/linux.built/.config"
refuses 'LINUX= that was built in' 'built in' tree_of env LINUX="$tmp/linux.built"
head -c 200 "$tmp/linux-7.3.4.tar.xz" >"$tmp/half.tar.xz"
refuses 'half a tarball' 'cannot be unpacked' tree_of env LINUX_TARBALL="$tmp/half.tar.xz"
tar -C "$tmp" -cf "$tmp/other.tar" fake
refuses 'a tarball of something else' 'no kernel tarball' tree_of env LINUX_TARBALL="$tmp/other.tar"
refuses 'no tarball' 'cannot be read' tree_of env LINUX_TARBALL="$tmp/none"
kernel "$tmp/linux.new" 5
echo '// mine' >>"$tree/kernel/hello.rs"
refuses 'another base over own work' 'changes of its own' tree_of env LINUX="$tmp/linux.new"
git -C "$tree" checkout -q .
works 'another base' tree_of env LINUX="$tmp/linux.new"
same 'is the base now' "$(git -C "$tree" show base:Makefile | grep SUBLEVEL)" 'SUBLEVEL = 5'
works 'make series on another base' run series.sh
same 'gives the same bytes' "$(series_sum)" "$sum"
touch "$tmp/linux.new/kernel/added"
works 'a plain tree that has changed' tree_of env LINUX="$tmp/linux.new"
same 'is seen' "$(git -C "$tree" ls-files kernel/added)" kernel/added

# The lock
mkdir -p "$repo/build"
flock "$repo/build/.lock" sleep 2 &
sleep 0.3
works 'a second make waits' run series.sh
same 'and says so' "$(grep -c '^waiting: .* is using build/' "$tmp/output")" 1

# Handing in
works 'make submission' run submission.sh v2
same 'all patches are signed off' "$(grep -l '^Signed-off-by: A User <user@localhost>' \
	"$repo"/build/submission/v2-000[12]* | wc -l)" 2
same 'patches/ is not' "$(series_sum)" "$sum"
echo >"$tmp/gitconfig"
refuses 'make submission of nobody' 'who are you' env HOME="$tmp" "$repo/scripts/submission.sh"

# The disk, the architecture
printf 'echo Filesystem 1024-blocks Used Available; echo disk 1000 900 102400\n' | fake df
mv "$tree" "$tmp/tree"
refuses 'make deps on a full disk' 'needs 4096 MiB, and .* has 100 MiB free' with_fakes "$repo/scripts/deps.sh"
refuses 'make tree on a full disk' 'needs [0-9]+ MiB, and .* has 100 MiB free' \
	with_fakes env LINUX="$tmp/linux" "$repo/scripts/tree.sh"
mv "$tmp/tree" "$tree"
rm "$tmp/fake/df"
refuses 'ARCH unknown' 'ARCH=arm64: there is only' env ARCH=arm64 "$repo/scripts/deps.sh"

# The toolchain: a compiler and a bindgen that say what we want
sysroot=$tmp/sysroot/lib/rustlib/src/rust/library
rust_is() {
	fake rustc <<-END
		[ "\$1" = --print ] && echo $tmp/sysroot || echo "rustc $1 (0123456 2026-01-01)"
	END
}
library_is() {
	mkdir -p "$1/core/src"
	echo "#[stable(feature = \"x\", since = \"$2\")]" >"$1/core/src/lib.rs"
}
echo 'exit 1' | tee "$tmp/fake/rustup" | fake cargo
echo 'echo bindgen 0.72.0' | fake bindgen
chmod +x "$tmp/fake/rustup"
rust_is 1.95.0
library_is "$sysroot" 1.95.0
works 'make deps with all that is needed' with_fakes "$repo/scripts/deps.sh"
works 'is quick and silent then' with_fakes timeout 5 "$repo/scripts/deps.sh"
same 'it says nothing' "$(cat "$tmp/output")" ''
rust_is 1.84.1
refuses 'rustc too old' 'rustc 1.84.1 is too old, the kernel needs 1.85.0' with_fakes "$repo/scripts/deps.sh"
rust_is 1.90.0
library_is "$sysroot" 1.90.0
works 'rustc 1.90 for x86_64' with_fakes "$repo/scripts/deps.sh"
refuses 'rustc 1.90 for i386' 'too old for ARCH=i386, which needs 1.91.0: older ones pass' \
	with_fakes env ARCH=i386 "$repo/scripts/deps.sh"
rust_is 1.95.0
library_is "$sysroot" 1.95.0
library_is "$tmp/library" 1.94.0
refuses 'RUST_LIB_SRC= of another version' 'not the library of Rust 1.95.0' \
	with_fakes env RUST_LIB_SRC="$tmp/library" "$repo/scripts/deps.sh"
echo 'echo bindgen 0.70.1' | fake bindgen
echo 'exit 1' | fake apt-cache
refuses 'bindgen too old, and no network for cargo' 'cannot build bindgen >= 0.71.1' with_fakes "$repo/scripts/deps.sh"
echo 'echo bindgen 0.72.0' | fake bindgen
refuses 'LLVM= that is not there' 'no complete LLVM' with_fakes env LLVM=-3 "$repo/scripts/deps.sh"

# apt: a mirror that is away, a package that is gone
cat <<-'END' | fake apt-get
	case $* in
	*indextargets*) . /etc/os-release; echo "http://localhost:9/debian/ $VERSION_CODENAME" ;;
	*update*) [ ! "$FAKE_OFFLINE" ] ;;
	*) exit 1 ;;
	esac
END
if grep -q '^ID=debian' /etc/os-release; then
	refuses 'no network for apt' 'cannot be reached' with_fakes env FAKE_OFFLINE=1 "$repo/scripts/apt.sh" suite package
	echo : | fake apt-cache
	refuses 'a package that is gone' 'suite has no package \(any more\)' with_fakes env FAKE_OFFLINE= "$repo/scripts/apt.sh" suite package
fi
refuses 'no package and no kernel.org' 'give LINUX=dir or LINUX_TARBALL=file' \
	with_fakes env FAKE_OFFLINE=1 KERNEL_ORG=http://127.0.0.1:9 "$repo/scripts/source.sh" --update
library_is "$sysroot" 1.94.0
refuses 'no library of the right version' 'no source of the standard library of Rust 1.95.0' \
	with_fakes env FAKE_OFFLINE=1 "$repo/scripts/deps.sh"
same 'and why the one that is there is not used' "$(grep -c 'is of Rust 1.94, rustc is 1.95.0: not used' "$tmp/output")" 1

# kernel.org: a server of our own, which can and cannot resume
mkdir "$tmp/www"
cat >"$tmp/server.py" <<'END'
import http.server, os, re, sys

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        try:
            data = open("." + self.path, "rb").read()
        except OSError:
            return self.send_error(404)
        print(self.path, start and start[1], file=sys.stderr, flush=True)
        if start and not os.path.exists("no-range"):
            first = int(start[1])
            if first >= len(data):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            data = data[first:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
END
(cd "$tmp/www" && exec python3 "$tmp/server.py" >"$tmp/port" 2>"$tmp/requests") &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ -s "$tmp/port" ] || sleep 0.3
done
KERNEL_ORG=http://127.0.0.1:$(cat "$tmp/port")
export KERNEL_ORG FAKE_OFFLINE=1
downloads=$XDG_CACHE_HOME/rust-syscalls/downloads
tarball=linux-7.3.4.tar.xz
cp "$tmp/$tarball" "$tmp/www"
(cd "$tmp/www" && { sha256sum $tarball; echo "$(printf %064d 0)  linux-7.3.tar.xz"; } >sha256sums.asc)
size=$(stat -c %s "$tmp/$tarball")

kernel_org() {
	with_fakes "$repo/scripts/source.sh" --update
}
# forget: as if nothing had been downloaded
forget() {
	rm -rf "$downloads" "$XDG_CACHE_HOME"/rust-syscalls/base/kernel.org-*
	mkdir -p "$downloads/partial"
}

forget
works 'a tarball from kernel.org' kernel_org
same 'is the same base' "$(git -C "$(tail -n 1 "$tmp/output")" rev-parse base)" "$plain"
forget
head -c $((size / 2)) "$tmp/$tarball" >"$downloads/partial/$tarball"
works 'half a download goes on' kernel_org
same 'where it stopped' "$(tail -n 1 "$tmp/requests")" "/$tarball $((size / 2))"
forget
cp "$tmp/$tarball" "$downloads/partial/$tarball"
works 'a whole download is used' kernel_org
same 'as it is' "$(tail -n 1 "$tmp/requests")" "/sha256sums.asc None"
forget
printf %0$((size / 2))d 0 >"$downloads/partial/$tarball"
works 'a part of something else is thrown away' kernel_org
touch "$tmp/www/no-range"
forget
head -c $((size / 2)) "$tmp/$tarball" >"$downloads/partial/$tarball"
works 'a server that cannot resume' kernel_org
rm "$tmp/www/no-range"
forget
echo x >>"$tmp/www/$tarball"
refuses 'a wrong checksum' 'has not the checksum' kernel_org
same 'leaves no tarball' "$(find "$downloads" -type f)" ''
rm "$tmp/www/$tarball"
refuses 'a tarball that is gone' 'give LINUX=dir' kernel_org
echo >"$tmp/www/sha256sums.asc"
refuses 'a list without our version' 'kernel.org has no linux-7.3.y' kernel_org

total
