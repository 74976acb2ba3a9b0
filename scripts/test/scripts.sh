#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts.sh
#
# Test the scripts that set up, and those that maintain the series, in a copy of the
# repository, on a kernel tree of a few files, without a network. Bad input must give
# a clear error and change nothing.

# shellcheck disable=SC2016,SC2028,SC2034,SC2086 # it writes scripts; lists

. "$(dirname "$0")/../lib/lib.sh"

tmp=$(mktemp -d)
at_exit "rm -rf '$tmp'"
unset BUSYBOX LINUX LINUX_TARBALL LLVM RUST_LIB_SRC LOCALVERSION BUILD_LOCKED HANDOUT V GOALS CONFIG PROG ADD CMD SAME_WORLD DEADLINE
export XDG_CACHE_HOME="$tmp/cache" TMPDIR="$tmp" KVM=off
export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0='A User'
export GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=user@localhost
export GIT_AUTHOR_DATE='2020-02-02T02:02:02Z'
path=$PATH
repo=$tmp/repo tree=$tmp/repo/build/linux

# What breaks a careless script: a user with firm habits, in a hook of another
# repository, who builds kernels and whose cache somebody else has made.
mkdir "$tmp/caller" "$tmp/hooks"
printf '#!/bin/sh\nexit 1\n' | tee "$tmp/hooks/reference-transaction" >"$tmp/hooks/post-checkout"
chmod +x "$tmp/hooks"/*
[ -x "$tmp/hooks/post-checkout" ] || die "no program can be run in $tmp: set TMPDIR= to another folder"
git init -q "$tmp/caller"
sleep 0.01
touch "$tmp/before"
cat >"$tmp/gitconfig" <<END
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
	hooksPath = $tmp/hooks
[safe]
	bareRepository = explicit
	directory = *
[status]
	showUntrackedFiles = no
END
mkdir -p "$tmp/config/git"
printf '%s\n' '*.rst export-ignore -diff' >"$tmp/config/git/attributes"
echo '*.rs' >"$tmp/config/git/ignore"
hostile() (
	umask 077
	cd "$repo"
	export GIT_CONFIG_GLOBAL="$tmp/gitconfig" GIT_CONFIG_COUNT=0 GIT_DIR="$tmp/caller/.git" \
		GIT_INDEX_FILE="$tmp/caller/.git/index" GIT_WORK_TREE="$tmp/caller" GIT_DEFAULT_HASH=sha256 \
		CDPATH=".:$tmp" XDG_CONFIG_HOME="$tmp/config" MAKEFLAGS='-n --' KCFLAGS=-Dhostile KBUILD_OUTPUT="$tmp/caller" O="$tmp/caller" \
		CROSS_COMPILE=no- CC=no-cc ARFLAGS=no CARGO_BUILD_TARGET=no RUSTFLAGS=no TAR_OPTIONS=--no \
		XZ_OPT=--no SHELLCHECK_OPTS=--no POSIXLY_CORRECT=1 C_INCLUDE_PATH=/no LIBRARY_PATH=/no \
		_at_exit='exit 0' results=/no passed=9 skips=9 exercise=no
	"$@"
)

# verdict PROBLEM: of the test $what
verdict() {
	if [ ! "$1" ]; then
		pass
	else
		fail "$what: $1" >&2
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
	what=$1 problem=''
	shift
	hostile "$@" >"$tmp/output" 2>&1 </dev/null || problem="status $?"
	verdict "$problem"
}

# says WHAT PATTERN COMMAND…: it works, and says this
says() {
	what=$1 pattern=$2 problem=''
	shift 2
	hostile "$@" >"$tmp/output" 2>&1 </dev/null || problem="status $?"
	grep -qE "$pattern" "$tmp/output" || problem="nothing says '$pattern'"
	verdict "$problem"
}

# refuses WHAT PATTERN COMMAND…: it fails, says so, and changes nothing.
refuses() {
	what=$1 pattern=$2 problem=''
	shift 2
	before=$(snapshot)
	! hostile "$@" >"$tmp/output" 2>&1 </dev/null || problem='it did not fail'
	grep -qE "$pattern" "$tmp/output" || problem="nothing says '$pattern'"
	[ "$(snapshot)" = "$before" ] || problem='something is changed'
	verdict "$problem"
}

# same WHAT A B
same() {
	what=$1 problem=''
	[ "$2" = "$3" ] || problem="'$2' is not '$3'"
	verdict "$problem"
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

# kernel DIRECTORY SUBLEVEL [PATCHLEVEL]: a source tree, which builds nothing in no time
kernel() {
	mkdir -p "$1/kernel/configs" "$1/scripts/kconfig" "$1/include/uapi/linux" \
		"$1/tools/testing/selftests/rust_syscalls"
	cat >"$1/Makefile" <<-END
	VERSION = 7
	PATCHLEVEL = ${3:-3}
	SUBLEVEL = $2
	EXTRAVERSION =
	localmodconfig: ; @:
	allnoconfig alldefconfig: ; @sed "\$\$FAKE_KCONFIG" "\$(KCONFIG_ALLCONFIG)" >"\$(or \$(KCONFIG_CONFIG),\$(O)/.config)"
	%.o: ; @:
	bzImage: ; @[ ! -e kernel/warns.c ] || [ -e \$(O)/warns.o ] || { echo 'kernel/warns.c:7:warning: x'; touch \$(O)/warns.o; }; [ ! -e kernel/broken.c ]
	modules: ; @:
	prepare: ; @[ -e \$(O)/built ] || { touch \$(O)/built; echo 'warning: a lint'; }
	all: ; @mkdir -p \$(O)/arch/x86/boot; echo '0 T __x64_sys_hello' >\$(O)/System.map; [ ! "\$(KCFLAGS)" ] && \$\${FAKE_BUILD:-date +%N} >\$(O)/arch/x86/boot/bzImage
	modules_install: ; @mkdir -p \$(INSTALL_MOD_PATH)/lib/modules/7; touch \$(INSTALL_MOD_PATH)/lib/modules/7/build \$(INSTALL_MOD_PATH)/lib/modules/7/a.ko
	END
	printf '%s\n' 'install: ; @mkdir -p $(INSTALL_PATH) && printf "c:a_%s\\n" 1 2 3 >$(INSTALL_PATH)/kselftest-list.txt' 'all: ; @:' \
		>"$1/tools/testing/selftests/Makefile"
	touch "$1/tools/testing/selftests/rust_syscalls/Makefile" "$1/include/uapi/linux/pf_stat.h"
	printf '#!/bin/sh\nshift\ncat "$@" >"$KCONFIG_CONFIG"\n' >"$1/scripts/kconfig/merge_config.sh"
	printf '#!/bin/sh\nwc -c "$CHECKPATCH_CONFIG_DIR/.checkpatch.conf"\n' >"$1/scripts/checkpatch.pl"
	chmod +x "$1/scripts/kconfig/merge_config.sh" "$1/scripts/checkpatch.pl"
	echo CONFIG_RUST=y | tee "$1/kernel/configs/rust.config" >"$1/kernel/configs/rust_syscalls.config"
	printf 'List\n\nTHE REST\nF:\t*\n' >"$1/MAINTAINERS"
	printf '*.o\n\n#\n# Debian packaging: ignore everything\n#\n/*\n!/debian/\n' >"$1/.gitignore"
	printf '*.rs diff=rust\n' >"$1/.gitattributes"
	printf 'int main(void)\n{\n\ta;\n\tb;\n\tc;\n\td;\n}\n' >"$1/kernel/fork.c"
	mkdir -p "$1/arch/x86/entry/syscalls"
	printf '332\tcommon\ta\tsys_a\n333\tcommon\tb\tsys_b\n' | tee "$1/arch/x86/entry/syscalls/syscall_32.tbl" \
		>"$1/arch/x86/entry/syscalls/syscall_64.tbl"
}

mkdir -p "$repo" "$tmp/fake" "$repo/patches" "$repo/rust-src" "$repo/selftests" "$repo/Documentation"
cp -r "$TOP/.ci" "$TOP/scripts" "$TOP/Makefile" "$TOP/kconfig" "$TOP/.gitattributes" "$repo"
rm "$repo"/scripts/series/bases/*.diff
# In a copy for another kernel, too.
sed -i 's/^SERIES_BASE=.*/SERIES_BASE=7.3/' "$repo/scripts/lib/kernel.sh"
git init -q "$repo"
echo /build/ >"$repo/.gitignore"
kernel "$tmp/linux" 4

# The source: a plain tree, a git tree and a tarball of the same files are one base.
works 'a plain tree as LINUX=' env LINUX="$tmp/linux" scripts/series/tree.sh
plain=$(git -C "$tree" rev-parse base)
rm -rf "$repo/build"
cp -r "$tmp/linux" "$tmp/linux.git"
printf '*.o\n\n' >"$tmp/linux.git/.gitignore"
git init -q "$tmp/linux.git"
git -C "$tmp/linux.git" add -fA
git -C "$tmp/linux.git" commit -qm 'Linux'
git init -q "$tmp/linux.git/inside"
git -C "$tmp/linux.git/inside" commit -q --allow-empty -m inside
git -C "$tmp/linux.git" add inside 2>/dev/null
git -C "$tmp/linux.git" commit -qm inside
refuses 'a git tree with another inside as LINUX=' 'git repository inside' env LINUX="$tmp/linux.git" scripts/series/tree.sh
rm -rf "$tmp/linux.git/inside"
git -C "$tmp/linux.git" reset -q --hard HEAD~1
works 'a git tree as LINUX=' env LINUX="$tmp/linux.git" scripts/series/tree.sh
same 'git tree and plain tree are the same base' "$(git -C "$tree" rev-parse base)" "$plain"
rm -rf "$repo/build"
tar -C "$tmp" -cJf "$tmp/linux-7.3.4.tar.xz" --transform 's/^linux/linux-7.3.4/' linux
works 'a tarball as LINUX_TARBALL=' env LINUX_TARBALL="$tmp/linux-7.3.4.tar.xz" scripts/series/tree.sh
same 'tarball and plain tree are the same base' "$(git -C "$tree" rev-parse base)" "$plain"
same 'the tree has no changes' "$(git -C "$tree" status --porcelain)" ''
works 'make tree again, without LINUX=' scripts/series/tree.sh
same 'whatever the umask' "$(stat -c %a "$tree/kernel/fork.c")" 644
if [ "$(id -u)" = 0 ]; then
	rm -rf "$tree"
	chown -R 12345 "$XDG_CACHE_HOME/rust-syscalls/base"
	works 'a cache of somebody else, called safe' env LINUX="$tmp/linux" scripts/series/tree.sh
	rm -rf "$tree"
	works 'a cache of somebody else' env LINUX="$tmp/linux" sh -c '! GIT_CONFIG_GLOBAL=/dev/null scripts/series/tree.sh'
	same 'is not blamed on patches/' "$(grep -c 'patches/ does not' "$tmp/output")" 0
	chown -R 0 "$XDG_CACHE_HOME/rust-syscalls/base"
	works 'make tree' env LINUX="$tmp/linux" scripts/series/tree.sh
fi

# The round trip.
mkdir -p "$tree/tools/testing/selftests/rust_syscalls" "$tree/Documentation/rust"
printf 'pub fn a() {\n    0\n}\n' >"$tree/kernel/hello.rs"
sed -i 's/c;/C;/' "$tree/kernel/fork.c"
commit 'kernel: add hello'
echo test >"$tree/tools/testing/selftests/rust_syscalls/hello.rs"
echo 'text, with …' >"$tree/Documentation/rust/hello.rst"
commit 'selftests: test hello …'
works 'make series' scripts/series/write.sh
sum=$(series_sum)
same 'the mirrors have what the series adds' \
	"$(cd "$repo" && find rust-src selftests Documentation -type f | sort | paste -sd' ')" \
	'Documentation/rust/hello.rst rust-src/kernel/hello.rs selftests/rust_syscalls/hello.rs'
same 'patches have nothing of this machine' \
	"$(grep -nE 'Signed-off|^-- $|^\+\+\+ kernel|\[PATCH [0-9]|mine' "$repo"/patches/*)" ''
rm -rf "$tree"
works 'make tree from the patches' env LINUX="$tmp/linux" scripts/series/tree.sh
works 'and back' scripts/series/write.sh
same 'there and back, the same bytes' "$(series_sum)" "$sum"
head=$(git -C "$tree" rev-parse HEAD)
rm -rf "$tree"
GIT_COMMITTER_DATE=2021-01-01T00:00:00Z works 'make tree at another time' env LINUX="$tmp/linux" scripts/series/tree.sh
same 'always the same hashes' "$(git -C "$tree" rev-parse HEAD)" "$head"
# What a user says to git in build/linux is for the user's own commands.
printf '#!/bin/sh\nprintf "t\\0"\n' >"$tmp/hooks/fsmonitor"
chmod +x "$tmp/hooks/fsmonitor"
for setting in format.suffix=.txt format.filenameMaxLength=12 format.signOff=true format.coverLetter=true diff.context=9 \
	status.showUntrackedFiles=no core.hooksPath="$tmp/hooks" core.fsmonitor="$tmp/hooks/fsmonitor"; do
	git -C "$tree" config "${setting%%=*}" "${setting#*=}"
done
works 'make series with git configured in build/linux' scripts/series/write.sh
same 'gives the same bytes' "$(series_sum)" "$sum"
touch "$tree/new"
refuses 'make series with a file that git is told to ignore' 'not committed' scripts/series/write.sh
rm "$tree/new"
git -C "$tree" config --unset core.hooksPath
git -C "$tree" config --unset core.fsmonitor
git -C "$tree" tag base series
git -C "$tree" tag series HEAD~1
works 'make series with tags named like the branches' scripts/series/write.sh
same 'gives the same bytes, too' "$(series_sum)" "$sum"
git -C "$tree" config format.noprefix true
works 'make submission with both' scripts/series/submission.sh
same 'has all patches, for -p1' "$(grep -h '^+++' "$repo/build/submission"/*.patch | grep -c ' b/')" 4
git -C "$tree" config --unset format.noprefix
git -C "$tree" tag -d base series >/dev/null
cp -r "$tmp/linux.git" "$tmp/am"
works 'plain git am takes the patches' env -i PATH="$PATH" GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b \
	git -C "$tmp/am" am -q "$repo"/patches/*.patch

# make check
echo 'export LLVM=-19' >"$repo/build/toolchain.env"
git -C "$repo" add -A
works 'make check: patches and mirrors agree' scripts/series/check.sh apply mirrors names
same 'make check is silent' "$(cat "$tmp/output")" ''
echo >>"$repo/rust-src/kernel/hello.rs"
refuses 'make check: a mirror that differs' 'rust-src/kernel/hello.rs' scripts/series/check.sh mirrors
echo 'echo "options=$SHELLCHECK_OPTS $*"' | fake shellcheck
refuses 'make check: without the options of your shellcheck' '^options= --norc' with_fakes scripts/series/check.sh shellcheck
rm "$tmp/fake/shellcheck"
refuses 'make check: nor of your checkpatch' '^0 .*/build/.check' scripts/series/check.sh checkpatch
(cd "$repo" && scripts/series/write.sh 2>/dev/null)
touch "$repo/selftests/stale"
refuses 'make check: a file too many' 'selftests/stale' scripts/series/check.sh mirrors
works 'make series removes it' scripts/series/write.sh
same 'but does not throw it away' "$(ls "$repo/build/series.old/selftests")" "$(printf 'rust_syscalls\nstale')"
touch "$repo/selftests/later"
works 'make series removes another one' scripts/series/write.sh
same 'and keeps both' "$(cd "$repo/build/series.old" && find selftests* -name later -o -name stale | wc -l)" 2
same 'as before' "$(series_sum)" "$sum"
chmod +x "$repo/rust-src/kernel/hello.rs"
refuses 'make check: a mirror of another mode' 'new mode|old mode' scripts/series/check.sh mirrors
works 'make series mends it' scripts/series/write.sh
same 'the mode is right' "$(stat -c %a "$repo/rust-src/kernel/hello.rs")" 644
echo "see $repo/build" >"$repo/README.md"
refuses 'make check: a path of this machine, not added yet' README.md scripts/series/check.sh names
echo README.md >>"$repo/.git/info/exclude"
git -C "$repo" add -f README.md
refuses 'make check: the same in a file that git ignores' README.md scripts/series/check.sh names
: >"$repo/.git/info/exclude"
git -C "$repo" rm -q --cached README.md
rm "$repo/README.md"
mv "$repo/.git" "$tmp/repo.git"
git init -q "$tmp"
echo /repo >"$tmp/.gitignore"
refuses 'make check in a folder that another repository ignores' 'is no clone' scripts/series/check.sh names
rm -r "$tmp/.git" "$tmp/.gitignore"
mv "$tmp/repo.git" "$repo/.git"
git -C "$repo" commit -qm 'All'
git clone -q -c core.autocrlf=true "$repo" "$tmp/windows"
mkdir -p "$tmp/scratch/log" "$tmp/scratch/series.old" "$tmp/scratch/submission" "$tmp/scratch/exercise-tp4" "$tmp/scratch/hand-in-tp4"
mkdir -p "$tmp/scratch/kernel-x" "$tmp/scratch/suites-x86_64" "$tmp/scratch/kernel-my.config.gz" "$tmp/scratch/mine/.git" "$tmp/scratch/bench-linux/.git"
echo mine | tee "$tmp/scratch/kernel-x/.config" >"$tmp/scratch/kernel-x/.config.accepted"
cp -r "$tmp/scratch/kernel-x" "$tmp/scratch/kernel-y"
echo more | tee "$tmp/scratch/kernel-x/.config.yours" >>"$tmp/scratch/kernel-y/.config"
mkdir -p "$tmp/scratch/me/fix/.git"
touch "$tmp/scratch/second.qcow2" "$tmp/scratch/lab.img" "$tmp/scratch/kernel-lab.qcow2"
ln -s "$tmp/scratch" "$tmp/windows/build"
mkdir -p "$tmp/windows/build/bases/7.2/scripts/setup" "$tmp/windows/build/kernel-a"
printf '#!/bin/sh\ntouch "$0.done"\n' >"$tmp/windows/build/bases/7.2/scripts/setup/clean.sh"
chmod +x "$tmp/windows/build/bases/7.2/scripts/setup/clean.sh"
works 'a clone made on Windows, make clean' "$tmp/windows/scripts/setup/clean.sh"
same 'a copy for another kernel is cleaned, too' "$(cd "$tmp/windows/build" && ls -d kernel-a bases/7.2/scripts/setup/*.done 2>/dev/null)" \
	bases/7.2/scripts/setup/clean.sh.done
same 'which cleans a build/ on another disk, too, but for what you may have edited' "$(cd "$tmp/scratch" && echo *)" \
	'bases exercise-tp4 hand-in-tp4 kernel-lab.qcow2 kernel-x.config kernel-y.config lab.img me mine second.qcow2 series.old submission'
same 'has the line ends of Unix' "$(git -C "$tmp/windows" ls-files --eol | grep -c w/crlf)" 0

# Work of the user's own
echo '// mine' >>"$tree/kernel/hello.rs"
for bit in assume-unchanged skip-worktree; do
	git -C "$tree" update-index --$bit kernel/hello.rs
	refuses "make series with changes under $bit" '^kernel/hello.rs' scripts/series/write.sh
	git -C "$tree" update-index --no-$bit kernel/hello.rs
done
refuses 'make series with uncommitted changes' 'not committed' scripts/series/write.sh
refuses 'make check with uncommitted changes' 'make series' scripts/series/check.sh apply
works 'make tree leaves changes alone' scripts/series/tree.sh
same 'they are still there' "$(git -C "$tree" status --porcelain)" ' M kernel/hello.rs'
git -C "$tree" checkout -q kernel/hello.rs
# A patch that adds a file which the user has, and git ignores.
cp -r "$repo/patches" "$tmp/less"
touch "$tree/kernel/later.rs"
commit 'kernel: later'
works 'make series' scripts/series/write.sh
cp -r "$repo/patches" "$tmp/more"
git -C "$tree" reset -q --hard HEAD~1
works 'make series' scripts/series/write.sh
cp "$tmp/more"/* "$repo/patches"
echo /kernel/later.rs >>"$tree/.git/info/exclude"
echo mine >"$tree/kernel/later.rs"
refuses 'a new file over an ignored one' 'would be overwritten' scripts/series/tree.sh
rm "$tree/kernel/later.rs" "$repo"/patches/*
sed -i '$d' "$tree/.git/info/exclude"
cp "$tmp/less"/* "$repo/patches"
touch "$tree/kernel/new.rs"
refuses 'make series with a new file' 'kernel/new.rs' scripts/series/write.sh
commit 'kernel: new'
cp -r "$repo/patches" "$tmp/patches"
sed -i 's/^Because/Since/' "$repo"/patches/0001*
refuses 'own commits, and the patches have changed' 'commits of its own' scripts/series/tree.sh
git -C "$tree" reset -q --hard HEAD~1
git -C "$tree" checkout -q --detach
refuses 'make series in the middle of a rebase' 'not on its branch' scripts/series/write.sh
git -C "$tree" checkout -q series
touch "$tree/.git/index.lock"
refuses 'a git that fails in the middle' 'whole log' scripts/series/tree.sh
rm "$tree/.git/index.lock"
refuses 'make series after that' 'would be overwritten' scripts/series/write.sh
works 'make tree follows the patches' scripts/series/tree.sh
same 'the new message is there' "$(git -C "$tree" log -1 --format=%b HEAD~1)" Since.
sed -i 's/^-\tc;/-\tx;/' "$repo"/patches/0001*
refuses 'a patch that does not apply' 'does not apply' scripts/series/tree.sh
cp "$tmp"/patches/* "$repo/patches"
echo '// mine' >>"$tree/kernel/hello.rs"
git -C "$tree" commit -qam mine
git -C "$tree" checkout -q --detach HEAD~1
refuses 'own commits on a branch that is not checked out' 'commits of its own' scripts/series/tree.sh
git -C "$tree" checkout -q -B series
# meanwhile PATTERN COMMAND: a git that lets the user work in build/linux when it is called so
meanwhile() {
	echo "case \$* in $1) (cd $tree && $2) >&2 ;; esac; exec $(command -v git) \"\$@\"" | fake git
}
meanwhile 'am*' 'echo //mine >>kernel/fork.c'
works 'make tree while somebody edits' with_fakes sh -c '! scripts/series/tree.sh'
same 'the edit is still there' "$(git -C "$tree" diff --stat | tail -n 1)" ' 1 file changed, 1 insertion(+)'
git -C "$tree" checkout -q .
meanwhile 'am*' "sed -i 's/^Because/Since/' ../../patches/0001*"
works 'make tree while patches/ changes' with_fakes sh -c '! scripts/series/tree.sh'
same 'is refused' "$(grep -c 'has changed while it was applied' "$tmp/output")" 1
cp "$tmp"/patches/* "$repo/patches"
works 'make tree with the old patches' scripts/series/tree.sh
meanwhile '*format-patch*' 'git commit -q --allow-empty -m mine'
works 'make series while somebody commits' with_fakes scripts/series/write.sh
rm "$tmp/fake/git"
same 'does not take that for written' "$(git -C "$tree" rev-parse refs/series/written)" "$(git -C "$tree" rev-parse series~1)"
git -C "$tree" reset -q --hard HEAD~1
git -C "$tree" checkout -q -b side base
echo side >"$tree/side"
commit side
git -C "$tree" checkout -q series
git -C "$tree" merge -q --no-edit side
refuses 'make series with a merge' 'merges' scripts/series/write.sh
git -C "$tree" reset -q --hard HEAD~1
git -C "$tree" commit -q --allow-empty -m nothing
refuses 'make series with an empty commit' 'changes nothing' scripts/series/write.sh
git -C "$tree" reset -q --hard HEAD~1
git -C "$tree" format-patch -q -o "$tmp/am.patches" side~1..side
sed -i 's/^+side/&\n-gone/; s/+1 @@/+1,2 @@/' "$tmp/am.patches"/0001*
git -C "$tree" am -q "$tmp/am.patches"/* >/dev/null 2>&1 || :
refuses 'make series in the middle of git am' 'the middle of a git am' scripts/series/write.sh
git -C "$tree" am --abort
cp "$repo"/patches/0002* "$repo/patches/0002 again.patch"
refuses 'a patch with a space in its name' 'does not apply' scripts/series/tree.sh
rm "$repo/patches/0002 again.patch"
mv "$repo/patches" "$tmp/elsewhere"
ln -s "$tmp/elsewhere" "$repo/patches"
works 'make tree with patches/ elsewhere' scripts/series/tree.sh
same 'has all of them' "$(git -C "$tree" rev-list --count base..series)" 2
refuses 'make series with patches/ elsewhere' 'patches/ is a link' scripts/series/write.sh
rm "$repo/patches"
cp -r "$tmp/elsewhere" "$repo/patches"
sed -i 's/^+test$/+<<<<<<< HEAD\n+test\n+=======\n+tost\n+>>>>>>> x/; s/^+\([<=>]\{7\}\)/\1/' "$repo"/patches/0002*
refuses 'a merge conflict in patches/' 'merge conflict' scripts/series/tree.sh
rm -r "$repo/patches"
works 'make tree without patches/' sh -c '! scripts/series/tree.sh'
mv "$tmp/elsewhere" "$repo/patches"
same 'leaves build/linux as it is' "$(git -C "$tree" rev-list --count base..series)" 2

# A change to a patch, as scripts/README.md does it
echo '// changed' >>"$tree/kernel/hello.rs"
git -C "$tree" commit -qa --fixup=:/'add hello'
GIT_SEQUENCE_EDITOR=: git -C "$tree" rebase -q -i --autosquash base
old=$(git -C "$tree" rev-parse refs/series/next)
works 'make series with a changed patch' scripts/series/write.sh
git -C "$tree" reset -q --hard "$old"
refuses 'make submission of what was in patches/ before' 'not in patches' scripts/series/submission.sh
git -C "$tree" reset -q --hard refs/series/written
same 'there are as many patches, and the first has it' "$(grep -c '^+// changed' "$repo"/patches/* | cut -d: -f2 | paste -sd' ')" '1 0'
cp "$tmp"/patches/* "$repo/patches"
works 'make tree with the old patches again' scripts/series/tree.sh

echo '// more' >>"$tree/kernel/hello.rs"
commit 'kernel: more'
echo "case \$1=\$2 in */.series.??????/patches=*/patches) mkdir -p \"\$2/half\"; exit 1 ;; esac; exec $(command -v mv) \"\$@\"" | fake mv
refuses 'make series that cannot write' 'cannot be written' with_fakes scripts/series/write.sh
echo "$(command -v mv) \"\$@\"; case \$* in */series.old/patches) kill -9 \$PPID ;; esac" | fake mv
works 'make series is killed halfway' with_fakes sh -c '! scripts/series/write.sh'
rm "$tmp/fake/mv"
works 'make series after that' scripts/series/write.sh
same 'has written all' "$(find "$repo/patches" -type f | wc -l)" 3
git -C "$tree" reset -q --hard HEAD~1
works 'make series that nobody can read' sh -c 'scripts/series/write.sh 2>/dev/full'
same 'does all of it' "$(git -C "$tree" rev-parse refs/series/written)" "$(git -C "$tree" rev-parse series)"
works 'make series without the last commit' scripts/series/write.sh
same 'gives the same bytes again' "$(series_sum)" "$sum"

# LINUX= and LINUX_TARBALL= that will not do; and one that will, later.
kernel "$tmp/linux.old" 12 1
refuses 'LINUX= of another version' 'is Linux 7\.1\.12; the series is for 7\.3' env LINUX="$tmp/linux.old" scripts/series/tree.sh
refuses 'LINUX= is no kernel' 'no Linux source tree' env LINUX="$tmp/fake" scripts/series/tree.sh
refuses 'LINUX= is nothing' 'no directory' env LINUX="$tmp/none" scripts/series/tree.sh
echo x >>"$tmp/linux.git/kernel/fork.c"
refuses 'LINUX= with changes' 'uncommitted changes' env LINUX="$tmp/linux.git" scripts/series/tree.sh
git -C "$tmp/linux.git" checkout -q .
kernel "$tmp/linux.applied" 4
echo 'RUST SYSTEM CALLS' >>"$tmp/linux.applied/MAINTAINERS"
refuses 'LINUX= with the series applied' 'already has the series' env LINUX="$tmp/linux.applied" scripts/series/tree.sh
kernel "$tmp/linux.built" 4
touch "$tmp/linux.built/.config"
kernel "$tmp/linux.inside" 4
git init -q "$tmp/linux.inside/lib"
git -C "$tmp/linux.inside/lib" commit -qm lib --allow-empty
refuses 'LINUX= with a repository inside' 'has a git repository inside' env LINUX="$tmp/linux.inside" scripts/series/tree.sh
refuses 'LINUX= that was built in' 'built in' env LINUX="$tmp/linux.built" scripts/series/tree.sh
head -c 200 "$tmp/linux-7.3.4.tar.xz" >"$tmp/half.tar.xz"
refuses 'half a tarball' 'cannot be unpacked' env LINUX_TARBALL="$tmp/half.tar.xz" scripts/series/tree.sh
tar -C "$tmp" -cf "$tmp/other.tar" fake
refuses 'a tarball of something else' 'no kernel tarball' env LINUX_TARBALL="$tmp/other.tar" scripts/series/tree.sh
refuses 'no tarball' 'cannot be read' env LINUX_TARBALL="$tmp/none" scripts/series/tree.sh
kernel "$tmp/linux.new" 5
echo '// mine' >>"$tree/kernel/hello.rs"
refuses 'another base over own work' 'changes of its own' env LINUX="$tmp/linux.new" scripts/series/tree.sh
git -C "$tree" checkout -q .
works 'another base' env LINUX="$tmp/linux.new" scripts/series/tree.sh
same 'is the base now' "$(git -C "$tree" show base:Makefile | grep SUBLEVEL)" 'SUBLEVEL = 5'
works 'make series on another base' scripts/series/write.sh
same 'gives the same bytes' "$(series_sum)" "$sum"
touch "$tmp/linux.new/kernel/added"
works 'a plain tree that has changed' env LINUX="$tmp/linux.new" scripts/series/tree.sh
same 'is seen' "$(git -C "$tree" ls-files kernel/added)" kernel/added

# The cache
says 'a relative XDG_CACHE_HOME is ignored' "^$tmp/home/.cache/" env XDG_CACHE_HOME=cache HOME="$tmp/home" LINUX="$tmp/linux" \
	scripts/setup/source.sh
mkdir "$XDG_CACHE_HOME/rust-syscalls/base/debian-7.4.1-1.git" "$XDG_CACHE_HOME/rust-syscalls/base/debian-7.3.4-1.git"
says 'a base of another version is in the cache' 'debian-7.3.4-1.git$' scripts/setup/source.sh
rmdir "$XDG_CACHE_HOME/rust-syscalls/base"/debian-*.git
refuses 'no HOME' 'HOME: is not set' env -u XDG_CACHE_HOME -u HOME scripts/setup/source.sh

# The lock
mkdir -p "$repo/build"
flock "$repo/build/.lock" timeout 60 sh -c "until grep -q ^waiting '$tmp/output'; do sleep 0.1; done" &
while flock -n "$repo/build/.lock" true; do sleep 0.1; done
says 'a second make waits' '^waiting: .* is using build/' scripts/series/write.sh

# Handing in
works 'make submission' scripts/series/submission.sh v2
same 'all patches are signed off' "$(grep -l '^Signed-off-by: A User <user@localhost>' \
	"$repo"/build/submission/v2-000[12]* | wc -l)" 2
same 'patches/ is not' "$(series_sum)" "$sum"
sed -i '$a mine' "$repo"/build/submission/v2-0000*
works 'make submission again' scripts/series/submission.sh v2
same 'an edited cover letter is kept' "$(tail -n 1 "$repo"/build/submission.old/v2-0000*)" mine
cp "$tree/.git/index" "$tmp/index"
echo garbage >"$tree/.git/index"
says 'make submission of what git cannot read' 'has work that is not in patches' sh -c '! scripts/series/submission.sh v2'
mv "$tmp/index" "$tree/.git/index"
refuses 'make submission of nobody' 'who are you' env GIT_CONFIG_GLOBAL=/dev/null scripts/series/submission.sh

# An exercise, and what is handed in
exercise=$repo/build/exercise-tp4
hand_in="env HANDOUT=tp4 scripts/grade/hand-in.sh"
make_exercise="env HANDOUT=tp4 LINUX=$tmp/linux scripts/grade/exercise.sh"
refuses 'an exercise that there is not' 'exercises tp4' env HANDOUT=tp5 scripts/grade/exercise.sh
refuses 'handing in before make exercise' 'make exercise' $hand_in
works 'make exercise' $make_exercise
same 'its number is free' "$(cat "$exercise"/arch/x86/entry/syscalls/*.tbl | cut -f1 | paste -sd' ')" '332 332'
refuses 'make exercise again' 'may have work of yours' $make_exercise
mv "$exercise" "$repo/build/exercise.backup"
mkdir "$repo/build/tree.backup"
works 'make exercise after that was moved' $make_exercise
works 'make tree with a copy of a tree' scripts/series/tree.sh
same 'both are still there' "$(cd "$repo/build" && echo ./*.backup)" './exercise.backup ./tree.backup'
rm -r "$repo"/build/*.backup
flock "$repo/build/.lock" timeout 60 sh -c "until grep -q ^waiting '$tmp/output'; do sleep 0.1; done" &
while flock -n "$repo/build/.lock" true; do sleep 0.1; done
refuses 'make exercise beside another make' '^waiting' $make_exercise
refuses 'handing in nothing' 'no commit of yours' $hand_in
echo mine >"$exercise/kernel/mine.c"
refuses 'handing in changes' '^[?][?] kernel/mine.c' $hand_in
git -C "$exercise" add -A
git -C "$exercise" commit -q --amend -m amended
refuses 'handing in what is in the first commit' 'first commit was' $hand_in
git -C "$exercise" reset -q --soft 'HEAD@{1}'
git -C "$exercise" commit -qm mine
git -C "$exercise" checkout -q --detach
refuses 'handing in in the middle of a rebase' 'not on a branch' $hand_in
git -C "$exercise" checkout -q exercise
refuses 'handing in, by nobody' 'who are you' env GIT_CONFIG_GLOBAL=/dev/null $hand_in
refuses 'handing in without the report' 'no such file' env REPORT=none.pdf $hand_in
echo text | tee "$repo/text.pdf" >"$tmp/report.ms"
mkdir "$repo/patches.pdf"
refuses 'handing in a report that is no PDF' 'no page in it' env REPORT=text.pdf $hand_in
refuses 'handing in a folder as a report' 'no such file' env REPORT=patches.pdf $hand_in
command -v soelim >/dev/null || echo 'cat "$1"' | fake soelim
echo 'exit 1' | fake groff
refuses 'handing in a report that groff does not take' 'groff makes no PDF of it' \
	with_fakes env HANDOUT=tp4 REPORT="$tmp/report.ms" scripts/grade/hand-in.sh
echo "echo \"troff: can't find special character 'u30B7'\" >&2" | fake groff
refuses 'handing in a report in Japanese that would lack its text' 'give a PDF' \
	with_fakes env HANDOUT=tp4 REPORT="$tmp/report.ms" scripts/grade/hand-in.sh
rm "$tmp/fake/groff"
if command -v soelim >/dev/null; then
	echo 'exit 0' | fake groff
	echo '.so chapter.ms' >>"$tmp/report.ms"
	refuses 'handing in a report without a part' 'has not all of it' \
		with_fakes env HANDOUT=tp4 REPORT="$tmp/report.ms" scripts/grade/hand-in.sh
	echo 'the chapter' >"$tmp/chapter.ms"
	echo 'for last; do :; done; grep -x "the chapter" "$last" >&2; exit 1' | fake groff
	refuses 'groff gets the part' 'groff makes no PDF of it: the chapter' \
		with_fakes env HANDOUT=tp4 REPORT="$tmp/report.ms" scripts/grade/hand-in.sh
fi
rm -f "$tmp/fake/groff" "$tmp/fake/soelim"
ln -s /etc/passwd "$exercise/kernel/link"
git -C "$exercise" add -A
git -C "$exercise" commit -qm link
refuses 'handing in a link' 'is not taken.* 0002-link.patch' $hand_in
git -C "$exercise" reset -q --hard HEAD~1
head -c 9M /dev/urandom | base64 >"$exercise/kernel/dump"
git -C "$exercise" add -A
git -C "$exercise" commit -qm dump
refuses 'handing in too much' 'would not take it: .*too large' $hand_in
git -C "$exercise" reset -q --hard HEAD~1
echo 'echo Pages: 3' | fake pdfinfo
echo a report >"$tmp/report.pdf"
ln -s exercise-tp4 "$repo/build/exercise-info0940"
refuses 'a report of three pages where two are asked for' 'has 3 pages' \
	with_fakes env HANDOUT=info0940 REPORT="$tmp/report.pdf" scripts/grade/hand-in.sh
rm "$tmp/fake/pdfinfo" "$repo/build/exercise-info0940"
# A hash with the digits of a link's mode
i=0
until case $(echo "int x = $i;" | git hash-object --stdin) in ?012* | ??012* | ???012* | ????012*) ;; *) false ;; esac; do i=$((i + 1)); done
echo "int x = $i;" >"$exercise/kernel/mine.c"
git -C "$exercise" commit -q -a --amend -m mine
git -C "$exercise" config format.suffix .txt
works 'make submission of an exercise' $hand_in
same 'is an archive of patches' "$(tar -tzf "$repo/build/hand-in-tp4/patch.tar.gz" | paste -sd' ')" 'patch/ patch/0001-mine.patch'
refuses 'handing in twice' 'hand-in-tp4 exists' $hand_in

cp -R "$tmp/linux" "$tmp/linux.6"
sed -i 's/^VERSION.*/VERSION = 6/' "$tmp/linux.6/Makefile"
works 'make exercise on an older kernel' env HANDOUT=xxxhal LINUX="$tmp/linux.6" scripts/grade/exercise.sh
same 'is in its tree' "$(sed -n 's/^VERSION = //p' "$repo/build/exercise-xxxhal/Makefile")" 6
refuses 'the series on it' 'the series is for' env LINUX="$tmp/linux.6" scripts/setup/source.sh
tar -C "$tmp" -cf "$tmp/old.tar" linux.6
works 'a tarball of it, for an exercise' env HANDOUT=xxxhal LINUX_TARBALL="$tmp/old.tar" scripts/setup/source.sh
refuses 'the series on what is in the cache then' 'the series is for' env LINUX_TARBALL="$tmp/old.tar" scripts/setup/source.sh
refuses 'grading with a compiler that is no gcc' 'GCC=clang: neither' \
	env HANDOUT=tp4 GCC=clang scripts/grade/self-test.sh handout

echo no >"$tmp/a tester.c"
refuses 'grading by a tester in a folder with a space' 'make cannot take' \
	env HANDOUT=tp4 TESTER="$tmp/a tester.c" scripts/grade/grade.sh "$repo/build/hand-in-tp4"
refuses 'make grade-test TESTS= with a typo' 'TESTS=handuot: there are no such tests' \
	env HANDOUT=tp4 scripts/grade/self-test.sh handout handuot

# Archives that are not taken
unpack() {
	rm -rf "$tmp/unpacked"
	mkdir "$tmp/unpacked"
	python3 "$repo/scripts/grade/inside/unpack.py" "$1" "$tmp/unpacked"
}
works 'an archive that is handed in' unpack "$repo/build/hand-in-tp4/patch.tar.gz"
same 'its patch is unpacked' "$(ls "$tmp/unpacked/patch")" 0001-mine.patch
mkdir "$tmp/patch"
cd "$tmp"
echo x >patch/a.patch
cp patch/a.patch 'patch/0002 two words.patch'
tar -cf archive patch
works 'an archive with a patch of two words' unpack "$tmp/archive"
same 'has both' "$(cd "$tmp/unpacked/patch" && echo *)" '0002 two words.patch a.patch'
rm patch/0002*
mkdir patch/more
touch patch/more/b.patch
tar -cf archive patch
refuses 'an archive with a patch that would be missed' 'patch/more/b.patch is not in patch/' unpack "$tmp/archive"
rm -r patch/more
tar -cPf archive patch/../patch/a.patch
refuses 'an archive that leaves its folder' "leaves the archive's folder" unpack "$tmp/archive"
tar -cPf archive "$tmp/patch/a.patch"
refuses 'an archive with a path of the machine' "leaves the archive's folder" unpack "$tmp/archive"
for type in SYMTYPE LNKTYPE FIFOTYPE CHRTYPE BLKTYPE; do
	python3 - $type <<-'END'
	import sys, tarfile
	with tarfile.open("archive", "w") as archive:
	    member = tarfile.TarInfo("patch/a.patch")
	    member.type, member.linkname = getattr(tarfile, sys.argv[1]), "/etc/passwd"
	    archive.addfile(member)
	END
	refuses "an archive with a file of type $type" 'no regular file' unpack "$tmp/archive"
done
truncate -s 9M patch/b.patch
tar -czf archive patch
refuses 'an archive that unpacks to much' 'too large' unpack "$tmp/archive"
rm patch/b.patch
mkdir many
(cd many && seq 1001 | xargs touch)
tar -cf archive patch many
refuses 'an archive of too many files' 'more than 1000 members' unpack "$tmp/archive"
tar -czf whole patch
head -c -5 whole >archive
refuses 'an archive without its end' 'cannot be read' unpack "$tmp/archive"
refuses 'an archive that is none' 'cannot be read: .*[a-z]$' unpack "$tmp/patch/a.patch"
cd "$TOP"

# The sandbox
mkdir "$tmp/own"
chmod a+x "$tmp"
boxed() {
	"$repo/scripts/grade/sandbox.sh" -w "$tmp/own:/g" "$@"
}
boxed_status() {
	status=0
	hostile boxed "$@" >"$tmp/printed" 2>&1 </dev/null || status=$?
}
works 'a command in the sandbox' boxed touch /g/there
same 'it writes its folder' "$(ls "$tmp/own")" there
refuses 'reading of this machine' 'No such file' boxed cat /etc/passwd
refuses 'reading of its files' 'No such file' boxed ls "$tmp"
refuses 'writing to /usr' 'Read-only file system' boxed touch /usr/bin/there
boxed_status env
same 'its environment' "$(cut -d= -f1 "$tmp/printed" | sort | grep -vx SHLVL | paste -sd' ')" 'HOME LC_ALL PATH PWD'
boxed_status cat /proc/net/dev
same 'its network' "$(sed -n 's/^ *\([^ ]*\):.*/\1/p' "$tmp/printed")" lo
boxed_status -t 2 sleep 100
same 'what hangs is stopped' $status 124
for own in 7 124; do
	boxed_status sh -c "exit $own"
	same "its status $own" $status $own
done
refuses 'a limit that is no number' "'2G' is no number" boxed -d 2G true
boxed_status -t 20 -c 1000 yes
same 'what prints for ever is cut off' "$(wc -c <"$tmp/printed")" 1000
boxed_status -t 60 -d 20 sh -c 'head -c 100M /dev/zero >/g/large; sleep 60'
same 'what fills the disk is stopped' $status 124
rm "$tmp/own/large"
boxed_status -t 60 sh -c 'while sleep 60 & do :; done'
same 'what forks without end cannot' "$(grep -o fork "$tmp/printed" | sort -u)" fork
mkdir "$tmp/no-namespaces"
printf '#!/bin/sh\necho bwrap: no namespaces >&2\nexit 1\n' >"$tmp/no-namespaces/bwrap"
chmod +x "$tmp/no-namespaces/bwrap"
status=0
PATH="$tmp/no-namespaces:$PATH" "$repo/scripts/grade/sandbox.sh" true >/dev/null 2>&1 || status=$?
same 'what did not begin is not its command that fails' $status 125
refuses 'grading without namespaces' 'nothing is graded without a sandbox' \
	env PATH="$tmp/no-namespaces:$PATH" HANDOUT=tp4 scripts/grade/grade.sh "$repo/build/hand-in-tp4/patch.tar.gz"

# A class whose Makefiles run on this machine, on a kernel that is built in no time, and
# boots nowhere.
kernel "$tmp/gradeable" 4
mkdir -p "$tmp/gradeable/tools/include/nolibc" "$tmp/gradeable/scripts"
: >"$tmp/gradeable/tools/include/nolibc/nolibc.h"
cat >"$tmp/gradeable/Makefile" <<'END'
VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
-include kernel/Makefile
allnoconfig: ; @cp $(KCONFIG_ALLCONFIG) $(O)/.config
bzImage: ; @mkdir -p $(O)/arch/x86/boot && cp kernel/fork.c $(O)/arch/x86/boot/bzImage
grade.o: ; @echo 'struct task_struct { int a; } t;' | gcc -g -x c -c -o $(M)/grade.o -
modules: ;
END
fake gcc <<'END'
[ "$1" != --version ] || echo gcc
while [ $# != 0 ]; do
	[ "$1" != -o ] || : >"$2"
	shift
done
END
class=$tmp/class
# addition PATH: a patch that adds standard input as PATH
addition() {
	sed "s/^/+/; s/98765/98$$/" >"$tmp/lines"
	printf '%s\n' '--- /dev/null' "+++ b/$1" "@@ -0,0 +1,$(wc -l <"$tmp/lines") @@"
	cat "$tmp/lines"
}
# student NAME: whose patch adds standard input as kernel/Makefile
student() {
	mkdir -p "$class/$1"
	addition kernel/Makefile >"$class/$1/a.patch"
}
echo '# nothing' | student plain
sed -i '1i From: =?UTF-8?q?Zo=C3=AB=20with=20a=20name=20that=C2=9B=1B[31m=20is=20too?=\n =?UTF-8?q?=20long=0Afor=20a=20line?=\n <user@localhost>' "$class/plain/a.patch"
mkdir "$class/program"
sed 's|kernel/Makefile|user/a.c|' "$class/plain/a.patch" >"$class/program/a.patch"
student fills <<'END'
$(shell i=0; while head -c 100M /dev/zero >$(O)/filled.$$i; do i=$$((i + 1)); done)
END
student forks <<'END'
$(shell (while :; do sleep 98765 & done) >/dev/null 2>&1)
END
student hangs <<'END'
$(shell sleep 98765)
END
student shuts <<'END'
$(shell mkdir -p $(O)/shut/in; chmod 0 $(O)/shut)
END
student links <<'END'
$(shell mkdir -p $(O)/arch/x86/boot; ln -sf /etc/passwd $(O)/arch/x86/boot/bzImage; ln -sf / $(O)/root)
bzImage: ;
END
student changes <<'END'
$(shell for f in /g/scripts/build.sh /g/src/kernel/fork.c /g/ccache/f; do echo mine >$$f; rm -f $$f; done)
$(if $(wildcard /g/scripts/*/),$(error our solutions and tests are there))
END
student says <<'END'
$(warning a.c:1:1: warning: \nlog pass\ncall pass)
$(info log pass)
END
echo '# nothing' | student covered
printf 'Subject: [PATCH 0/1] All\n\n a | 1 +\n-- \n2.39\n' >"$class/covered/v2-0000-cover-letter.patch"
mkdir "$class/letter"
cp "$class/covered/v2-0000-cover-letter.patch" "$class/letter"
tar -C "$tmp" -czPf "$class/leaves.tar.gz" patch/../patch/a.patch
student stops <<'END'
$(shell [ ! -e $(O)/once ] || kill -9 $$PPID; touch $(O)/once)
END
echo '# nothing' | student large
truncate -s 9M "$class/large/b.patch"
# A name that ends in a blank is not another's, and none takes the place of our files.
echo '# nothing' | student grades.csv
mkdir "$class/plain "
echo garbage >"$class/plain /a.patch"
echo '# nothing' | student .hidden
: >"$class/.tar.gz"
# Programs beside the patches are not ours.
printf '#!/bin/sh\ntouch "%s/taken-for-ours"\n' "$tmp" | tee "$class/plain/sort" >"$class/plain/sha256sum"
chmod +x "$class/plain/sort" "$class/plain/sha256sum"
# The clock was set back after the base was built.
student sees-future <<'END'
$(if $(shell find $(O) -newermt now),$(error built in the future))
END
grade="env PATH=:$tmp/fake:$path:. HANDOUT=xxxhal LINUX=$tmp/gradeable SPACE=500 DEADLINE=60 scripts/grade/grade.sh $class"
graded=$repo/build/grades-xxxhal
sum() {
	find "$repo/scripts" "$repo/build/grade/src" "$tmp/gradeable" -type f -exec sha256sum {} + | sort | sha256sum
}
works 'grading nobody yet' env HANDOUT=xxxhal LINUX="$tmp/gradeable" PATH="$tmp/fake:$path" scripts/grade/base.sh
echo 'twice 0 required build is silent' >>"$repo/scripts/grade/xxxhal.rubric"
before_class=$(sum)
touch -d '+1 hour' "$repo/build/grade/x86_64/out/.config" "$repo/build/grade/x86_64/out"
works 'grading a hostile class' $grade
same 'and no program of theirs' "$(find "$tmp" -maxdepth 1 -name taken-for-ours)" ''
same 'the machine is as it was' "$(sum) $(pgrep -fx "sleep 98$$")" "$before_class "
same 'what the class gets' "$(grep -v ^forks "$graded/grades.csv" | cut -d, -f1,4-6 | paste -sd' ')" "id,apply,build,boot \
changes,pass,pass,fail covered,pass,pass,fail fills,pass,fail,blocked by build \
grades_csv,pass,pass,fail hangs,pass,fail,blocked by build large,fail,blocked by apply,blocked by build leaves,fail,blocked by apply,blocked by build \
letter,fail,blocked by apply,blocked by build links,pass,fail,blocked by build \
plain,pass,pass,fail plain_,fail,blocked by apply,blocked by build program,pass,pass,fail says,pass,pass,fail sees-future,pass,pass,fail shuts,pass,pass,fail \
stops,pass,pass,fail"
same 'a second make that does not end well is not silent' \
	"$(cd "$graded" && grep -h ^twice plain/verdicts stops/verdicts | cut -f5 | paste -sd' ')" 'pass fail'
same 'what is no row' "$(cut -f1 "$graded/says/verdicts" | wc -l) $(grep -c '^log.*pass' "$graded/says/verdicts")" \
	"$(grep -cE '^[a-z]' "$repo/scripts/grade/xxxhal.rubric") 0"
same 'why a kernel does not boot' "$(sed -n 's/^boot.*\t//p' "$graded/plain/verdicts")" 'the guest ended before its tests did'
same 'a program that does not build' "$(grep -c '^program fail it does not build: .*error' "$graded/program/raw")" 1
same 'whose name is encoded in two lines' "$(cat "$graded/plain/authors")" 'Zoë with a name that[31m is too long for a line <user@localhost>'
says 'JSON that can be read' 'by Zoë with a name' python3 -X utf8 -c '
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
print(*["by " + r["authors"] for r in a["submissions"]])' \
	"$graded/grades.json" "$graded/says/gradescope.json"
sed -i 's/^build\t*2/build\t7/' "$repo/scripts/grade/xxxhal.rubric"
cp "$repo/scripts/grade/xxxhal.rubric" "$tmp/rubric"
while read -r wrong line change; do
	sed -i "$change" "$repo/scripts/grade/xxxhal.rubric"
	refuses "a rubric with $wrong" "xxxhal.rubric.*$line.*whole points" $grade
	cp "$tmp/rubric" "$repo/scripts/grade/xxxhal.rubric"
done <<'END'
half-a-point line.*boot.*0.5 s/^boot\t*1/boot\t0.5/
an-id-twice line.*boot /^boot/p
an-unknown-row line.*log.*cal /^log/s/call/cal/
no-dependency line.*apply /^apply/s/-//
a-row-below line.*call /^boot/{h;d};/^call/G
no-row no.row /^[a-z]/d
END
touch "$class/late.zip"
refuses 'a class with something else' 'late.zip' $grade
mkdir -p "$tmp/mixed/alice" "$tmp/mixed/bob/patch"
touch "$tmp/mixed/alice/patch.tar.gz" "$tmp/mixed/bob/patch/a.patch" "$tmp/mixed/loose.patch"
for one in bob alice; do
	refuses "a patch of nobody beside $one" "beside patches: .*$one" ${grade% *} "$tmp/mixed"
	rm -r "$tmp/mixed/$one"
done
hidden=$(echo "$grade" | sed 's|[^/]*$|caller/.git/../../&|')
refuses 'the same in a hidden folder' 'late.zip' $hidden
rm "$class/late.zip"
for two in 'a b a_b' 'a.new a_new'; do
	mkdir "$class/${two% *}" "$class/${two##* }"
	touch "$class/${two% *}/a.patch" "$class/${two##* }/a.patch"
	refuses "a class with $two" "two submissions would have the name ${two##* }" $grade
	rm -r "${class:?}/${two% *}" "${class:?}/${two##* }"
done
mkdir "$class/$(printf 'two\nlines')"
refuses 'a name of two lines' 'control character' $grade
rmdir "$class"/two*
touch "$class/loose.patch"
refuses 'a class with a patch of nobody' 'beside patches: .*/plain' $grade
rm "$class/loose.patch"
! command -v gawk >/dev/null || echo 'exec gawk "$@"' | fake awk
echo 'Well done' >>"$graded/plain/feedback.txt"
echo 17 points | tee -a "$graded/plain/gradescope.json" "$graded/plain/result.json" >/dev/null
for file in notes.txt raw-marks.txt marks.json; do echo oral exam >"$graded/covered/$file"; done
echo 'human' >>"$graded/grades.csv"
touch -d '1 hour ago' "$graded/plain/feedback.txt"
hurried=$(echo "$grade" | sed 's/DEADLINE=60/DEADLINE=5/')
for built in 'fills hangs stops' ''; do
	says 'other points' 'plain: *required 7 of' $hurried
	same "build ${built:-nothing}" "$(sed -n 's/.*[0-9] of 17: \([a-z]*\) .*/\1/p' "$tmp/output" | grep -v forks | uniq | paste -sd' ')" \
		"$built"
done
mkdir "$tmp/course"
echo 'int main(void) { return 0; }' >"$tmp/course/mine.h"
for line in no '#include "mine.h"'; do
	echo "$line" >"$tmp/course/tester.c"
	refuses "a tester that has '$line'" 'tester.c does not build in the sandbox' \
		env TESTER="$tmp/course/tester.c" ${grade% *} "$class/plain" "$tmp/tested"
done
mv "$class/covered/a.patch" "$class/covered/b.patch"
ln -s /etc/passwd "$class/letter/c.patch"
says 'a patch with another name, and one that is a link' 'covered: *required' $hurried
same 'are graded again' "$(sed -n 's/.*[0-9] of 17: \([a-z]*\) .*/\1/p' "$tmp/output" | grep -v forks | uniq | paste -sd' ')" 'covered letter'
hurried=$(echo "$hurried" | sed 's/DEADLINE=5/DEADLINE=4/')
works 'less time' $hurried
same 'is another try for those that took too long' \
	"$(sed -n 's/.*[0-9] of 17: \([a-z]*\) .*/\1/p' "$tmp/output" | grep -v forks | uniq | paste -sd' ')" 'fills hangs stops'
same 'what somebody has written is kept' "$(tail -qn 1 "$graded"/plain.yours.* "$graded/grades.yours.csv" "$graded"/covered/notes.txt "$graded"/covered/*marks* | paste -sd' ')" \
	'Well done 17 points 17 points human oral exam oral exam oral exam'
mkdir "$tmp/late"
tar -C "$class/plain" --transform 's|^|patch/|' -czf "$tmp/late/patch.tar.gz" a.patch
says 'an archive of somebody who was late' '^late: .*required 7 of' ${grade% *} "$tmp/late/patch.tar.gz"
same 'the tables say whom they have not' "$(grep -c 'not the 1[0-9] that were graded before' "$tmp/output") $(wc -l <"$graded/grades.csv")" '1 2'
echo another >"$repo/build/grade/root"
works 'the base after that of another kernel' env HANDOUT=xxxhal LINUX="$tmp/gradeable" PATH="$tmp/fake:$path" scripts/grade/base.sh
same 'is made anew' "$(cat "$repo/build/grade/root")" "$(cut -d' ' -f1 "$repo/build/grade/x86_64/key")"
rm -f "$tmp/fake/awk"
# An exercise's own shell
rm -rf "$repo/build/exercise-xxxhal"
works 'an exercise to boot' env HANDOUT=xxxhal LINUX="$tmp/gradeable" scripts/grade/exercise.sh
refuses 'a shell without a terminal' 'needs a terminal' env HANDOUT=xxxhal scripts/grade/shell.sh
mkdir "$repo/build/exercise-xxxhal/user"
echo 'int main(void) { return 0; }' >"$repo/build/exercise-xxxhal/user/a.c"
echo 'echo "QEMU $*"' | fake qemu-system-x86_64
says 'make shell of an exercise' 'QEMU .*-kernel [^ ]*/kernel-exercise-xxxhal/arch/x86/boot/bzImage -initrd' \
	with_fakes env HANDOUT=xxxhal script -qec scripts/grade/shell.sh /dev/null
echo CONFIG_MINE=y >>"$repo/build/exercise-xxxhal/exercise/kernel.config"
works 'make shell with another configuration' with_fakes env HANDOUT=xxxhal script -qec scripts/grade/shell.sh /dev/null
same 'has that' "$(grep -c MINE "$repo/build/kernel-exercise-xxxhal/.config")" 1
same 'has its program' "$(cpio -t <"$repo/build/run/shell-xxxhal/initramfs" 2>/dev/null | grep root/)" root/user
rm "$tmp/fake/qemu-system-x86_64"
# Our own solutions and faults
own_test="$(echo "${grade% *}" | sed 's/grade.sh/self-test.sh/') build.no"
rm -r "$repo/scripts/grade/solutions/xxxhal"/* "$repo/scripts/grade/faults/xxxhal"/*
cp -r "$class/plain" "$repo/scripts/grade/solutions/xxxhal/handout"
printf '%s\n' '--- a/kernel/Makefile' '+++ b/kernel/Makefile' '@@ -1 +1,2 @@' ' # nothing' '+$(error no)' \
	>"$repo/scripts/grade/faults/xxxhal/build.no.patch"
for solved in 1 0 1; do
	says 'a planted fault' '^1 passed, 0 failed' env KEEP="$tmp/hooks" $own_test.patch
	same "begins with our solution as it is, built $solved times" "$(grep -c '^xxxhal: handout .* s$' "$tmp/output")" $solved
	[ $solved = 1 ] || sed -i '1i another' "$repo/scripts/grade/solutions/xxxhal/handout/a.patch"
done
lock=$repo/build/grade/xxxhal/self-test/.lock
flock "$lock" timeout 60 sh -c "until grep -q ^waiting '$tmp/output'; do sleep 0.1; done" &
while flock -n "$lock" true; do sleep 0.1; done
says 'make grade-test beside another' '^waiting: another make grade-test of xxxhal' $own_test.patch
sed -i '1i Points: 1' "$repo/scripts/grade/faults/xxxhal/build.no.patch"
refuses 'a planted fault that gets other points' '^WRONG .*fails build in 0 of 1 guests; guest 1: build with 0 points' $own_test.patch
same 'a folder named KEEP= by the environment is there' "$(find "$tmp/hooks" -name post-checkout | wc -l)" 1
# A batch that is killed while the third of five is graded
class=$tmp/second-class
for n in 1 2 3 4 5; do echo '$(shell sleep 1)' | student "s$n"; done
grade="${grade% *} $class"
(cd "$repo" && exec $grade) >"$tmp/output" 2>&1 </dev/null &
for _ in $(seq 600); do
	[ ! -e "$graded/s2/state" ] || break
	sleep 0.1
done
kill -9 $!
# The third is graded to its end.
flock "$repo/build/grade/.lock" rm -rf "$tmp"/tmp.*
works 'a batch that was interrupted' $grade
same 'goes on where it was' "$(grep -o '[0-9] of 5' "$tmp/output" | sort -u | paste -sd' ')" '3 of 5 4 of 5 5 of 5'
same 'and has one table' "$(cut -d, -f1,5 "$graded/grades.csv" | paste -sd' ')" 'id,build s1,pass s2,pass s3,pass s4,pass s5,pass'
# Patches that git obeys
class=$tmp/third-class
echo '# nothing' | student linked
printf '%s\n' 'diff --git a/user b/user' 'new file mode 0120000' '--- /dev/null' '+++ b/user' '@@ -0,0 +1 @@' "+$tmp/own" \
	'\ No newline at end of file' >"$class/linked/b.patch"
echo '$(if $(wildcard /g/src/kernel/obeyed),$(error obeyed))' | student names-a-command
{
	for file in HEAD objects/x refs/x; do echo 'ref: refs/heads/x' | addition $file; done
	printf '[core]\n\tbare = true\n\trepositoryformatversion = 0\n[filter "x"]\n\tclean = touch /g/src/kernel/obeyed; cat\n' |
		addition config
	echo '* filter=x' | addition info/attributes
} >>"$class/names-a-command/a.patch"
printf '%s\n' '--- a/kernel/Makefile' '+++ b/kernel/Makefile' '@@ -1 +1,2 @@' ' $(if $(wildcard /g/src/kernel/obeyed),$(error obeyed))' '+# more' \
	>"$class/names-a-command/b.patch"
echo '# nothing' | student takes-long
printf '%s\n' 'From: a <' >>"$class/takes-long/a.patch"
awk 'BEGIN { printf "From: a <"; for (i = 0; i < 160000; i++) printf "@"; print "\n>" }' >>"$class/takes-long/a.patch"
grade="${grade% *} $class"
works 'grading who knows git well' $grade
same 'what they get' "$(cut -d, -f1,4,5 "$graded/grades.csv" | paste -sd' ')" \
	'id,apply,build linked,fail,blocked by apply names-a-command,pass,pass takes-long,pass,pass'
same 'in little time' "$(($(cat "$graded/takes-long/seconds") < 60))" 1
# Another kernel, meanwhile
cp -r "$tmp/gradeable" "$tmp/other-kernel"
sed -i 's/^SUBLEVEL = 4/SUBLEVEL = 5/' "$tmp/other-kernel/Makefile"
class=$tmp/fourth-class
for n in 1 2 3 4; do echo '$(shell sleep 1)' | student "t$n"; done
grade="${grade% *} $class"
{ hostile $grade >"$tmp/two" 2>&1 </dev/null || echo "status $?" >>"$tmp/two"; } &
for _ in $(seq 600); do
	[ ! -e "$graded/t1/state" ] || break
	sleep 0.1
done
works 'the base of another kernel' env HANDOUT=xxxhal LINUX="$tmp/other-kernel" PATH="$tmp/fake:$path" scripts/grade/base.sh
wait
same 'ends a batch' "$(grep -o 'has replaced the base' "$tmp/two" | uniq) $(tail -n 1 "$tmp/two")" 'has replaced the base status 1'
git -C "$repo/build/exercise-xxxhal" add -A
git -C "$repo/build/exercise-xxxhal" commit -qm mine
refuses 'make test of an exercise, on another kernel' 'made of another kernel' \
	env HANDOUT=xxxhal LINUX="$tmp/other-kernel" PATH="$tmp/fake:$path" scripts/grade/hand-in.sh test

# The disk, the architecture
printf 'echo Filesystem 1024-blocks Used Available; echo disk 1000 900 102400\n' | fake df
mv "$tree" "$tmp/tree"
ln -s "$tmp/away" "$tree"
refuses 'a build/linux on a disk that is away' 'a link to .*, which is not there' env LINUX="$tmp/linux" scripts/series/tree.sh
rm "$tree"
refuses 'make deps on a full disk' 'needs 4096 MiB, and .* has 100 MiB free' with_fakes scripts/setup/deps.sh
refuses 'make tree on a full disk' 'needs [0-9]+ MiB, and .* has 100 MiB free' \
	with_fakes env LINUX="$tmp/linux" scripts/series/tree.sh
mv "$tmp/tree" "$tree"
rm "$tmp/fake/df"
mkdir "$repo/build/LOG"
refuses 'a disk that takes no notice of case' 'takes LOG for log' scripts/series/tree.sh
rmdir "$repo/build/LOG"
cp -r "$repo" "$tmp/my repo"
refuses 'a path with a space' 'special character' "$tmp/my repo/scripts/series/tree.sh"
refuses 'TMPDIR with a quote' 'special character' env TMPDIR="$tmp/it's" scripts/series/tree.sh
refuses 'TMPDIR that is not there' 'no such folder' env TMPDIR="$tmp/none" scripts/series/tree.sh
echo Linux aarch64 | sed 's/^/echo /' | fake uname
refuses 'another architecture' 'need Linux on x86-64' with_fakes scripts/setup/deps.sh
rm "$tmp/fake/uname"
refuses 'ARCH unknown' 'ARCH=arm64: there is only' env ARCH=arm64 scripts/setup/deps.sh

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
echo 'exit 1' | fake rustup
echo "echo \$CARGO_BUILD_TARGET \$RUSTFLAGS \$CARGO_TARGET_DIR >$tmp/cargo; exit 1" | fake cargo
echo 'echo bindgen 0.72.0' | fake bindgen
rust_is 1.95.0
library_is "$sysroot" 1.95.0
works 'make deps with all that is needed' with_fakes scripts/setup/deps.sh
works 'needs no answer then' with_fakes timeout 60 scripts/setup/deps.sh
same 'it says nothing' "$(cat "$tmp/output")" ''
rust_is 1.84.1
refuses 'rustc too old' 'rustc 1.84.1 is too old, the kernel needs 1.85.0' with_fakes scripts/setup/deps.sh
rust_is 1.90.0
library_is "$sysroot" 1.90.0
works 'rustc 1.90 for x86_64' with_fakes scripts/setup/deps.sh
refuses 'rustc 1.90 for i386' 'too old for ARCH=i386, which needs 1.91.0: older ones pass' \
	with_fakes env ARCH=i386 scripts/setup/deps.sh
rust_is 1.95.0
library_is "$sysroot" 1.95.0
library_is "$tmp/library" 1.94.0
refuses 'RUST_LIB_SRC= of another version' 'not the library of Rust 1.95.0' \
	with_fakes env RUST_LIB_SRC="$tmp/library" scripts/setup/deps.sh
echo 'echo bindgen 0.70.1' | fake bindgen
echo 'exit 1' | fake apt-cache
refuses 'bindgen too old, and no network for cargo' 'cannot build bindgen >= 0.71.1' with_fakes scripts/setup/deps.sh
same 'cargo does not see what is meant for others' "$(cat "$tmp/cargo")" "$XDG_CACHE_HOME/rust-syscalls/bindgen"
echo 'echo bindgen 0.72.0' | fake bindgen
rust_is 1.97.0-nightly
library_is "$sysroot" CURRENT_RUSTC_VERSION
works 'a nightly' with_fakes scripts/setup/deps.sh
rust_is 1.95.0
library_is "$sysroot" 1.95.0
echo exit | fake ldd
works 'a busybox that ldd does not call dynamic' with_fakes timeout 60 scripts/setup/deps.sh
rm "$tmp/fake/ldd"
works 'LLVM= in the environment of make is for others' with_fakes env -u MAKEFLAGS LLVM=-3 make deps
refuses 'LLVM= that is not there' 'no complete LLVM' with_fakes env LLVM=-3 scripts/setup/deps.sh

# apt: a mirror that is away, a package that is gone
cat <<-'END' | fake apt-get
	case $* in
	*indextargets*) . /etc/os-release; echo "http://localhost:9/debian/ $VERSION_CODENAME" ;;
	*update*) mkdir "$TMPDIR/busy" && sleep 0.5 && rmdir "$TMPDIR/busy" && [ ! "$FAKE_OFFLINE" ] ;;
	*) exit 1 ;;
	esac
END
if grep -q '^ID=debian' /etc/os-release; then
	refuses 'no network for apt' 'cannot be reached' with_fakes env FAKE_OFFLINE=1 scripts/setup/apt.sh suite package
	says 'where the archive is' '^http://localhost:9/debian/$' with_fakes scripts/setup/apt.sh --mirror
	says "and its line for apt's list" '^deb .* http://localhost:9/debian/ suite main$' with_fakes scripts/setup/apt.sh --mirror suite
	echo : | fake apt-cache
	refuses 'a package that is gone' 'suite has no package \(any more\)' with_fakes env FAKE_OFFLINE= scripts/setup/apt.sh suite package
	works 'two clones ask apt at once' with_fakes env FAKE_OFFLINE= sh -c \
		'set -- scripts/setup/apt.sh suite package; "$@" & "$@"; status=$?; wait $!; [ $?$status = 33 ]'
fi
refuses 'no package and no kernel.org' 'give LINUX=dir or LINUX_TARBALL=file' \
	with_fakes env FAKE_OFFLINE=1 KERNEL_ORG=http://127.0.0.1:9 scripts/setup/source.sh --update
library_is "$sysroot" 1.94.0
refuses 'no library of the right version' 'no source of the standard library of Rust 1.95.0' \
	with_fakes env FAKE_OFFLINE=1 scripts/setup/deps.sh
same 'and why the one that is there is not used' "$(grep -c 'is of Rust 1.94, rustc is 1.95.0: not used' "$tmp/output")" 1

# What make is given
refuses 'a variable that there is not' 'No such variable: ARC' make run ARC=i386
refuses 'a variable that the target does not take' 'MODES= is only for make test, debug-test, bases' env -u MAKEFLAGS make kunit MODES=i386/i386
refuses 'VM=1 where it does nothing' 'VM= is only for make test' env -u MAKEFLAGS make kunit VM=1
works 'but not one that another target takes' env -u MAKEFLAGS make -n kunit test MODES=i386/i386
for option in -e -i -t --eval=.IGNORE:; do
	refuses "make $option" 'can call a failure a success' env -u MAKEFLAGS make $option help
done
refuses 'HANDOUT= of a guess' 'HANDOUT=yes: there is only HANDOUT=1' env HANDOUT=yes scripts/setup/deps.sh
refuses 'LOCALVERSION= with a space' 'letters, digits' env LOCALVERSION='-a b' scripts/setup/deps.sh
refuses 'MAKEFILES=' 'can call a failure a success' env -u MAKEFLAGS MAKEFILES=/dev/null make help
refuses 'VM=0' 'VM=0: there is only VM=1' env VM=0 scripts/setup/deps.sh
refuses 'RESET=0' 'RESET=0: there is only RESET=1' sh -c 'echo | RESET=0 scripts/vm/start.sh'
refuses 'RESET= and DISK= in the environment of make' 'No rule' env -u MAKEFLAGS RESET=red DISK=/dev/sda make none
same 'are of somebody else' "$(grep -cE 'RESET|DISK' "$tmp/output")" 0
for deadline in 0 -1 1m; do
	refuses "DEADLINE=$deadline" "DEADLINE=$deadline: not a number of seconds" env DEADLINE=$deadline scripts/setup/deps.sh
done
for script in setup/deps series/tree build/kernel guest/qemu test/all test/mutants vm/start vm/deploy; do
	says "$script.sh --help" "^(usage: | ).*${script#*/}.sh" scripts/$script.sh --help
done
works 'make -n deb, with CONFIG= in the environment' env -u MAKEFLAGS CONFIG=x make -n deb
same 'does not say that it counts' "$(grep -c 'CONFIG=' "$tmp/output")" 0
says 'make help' "From the environment: .*TESTS='x'" env -u MAKEFLAGS TESTS=x make help
sed -n '/^variables :=/,/^given/{/^given/d; s/.*:=//; s/\\//; p}' "$repo/Makefile" | tr -s ' \t' '\n' >"$tmp/known"
same 'make help has every variable' "$(while read -r name; do grep -q "\<$name=" "$tmp/output" || echo "$name"; done <"$tmp/known")" ''
printf '%s\n' BUILD_LOCKED CARGO_HOME FAKE_BUILD FAKE_GUEST FAKE_UID GOALS HOME ID KEEP MAKEFLAGS OWN SAME_WORLD SPACE START \
	SUDO_USER TERM TMPDIR VERSION_CODENAME XDG_CACHE_HOME >>"$tmp/known"
same 'nothing else of the environment counts, unsaid' "$(cd "$repo/scripts" && grep -ohE '\$\{[A-Z][A-Z_]*:?[-=+?]' \
	lib/* setup/* series/* build/* guest/*.sh vm/*.sh bench/* grade/*.sh test/*.sh 2>/dev/null | tr -d '${:=+?-' | sort -u | grep -vxFf "$tmp/known")" ''
refuses 'BENCH= of another kind' 'BENCH=tiem: there is only BENCH=time' env BENCH=tiem scripts/bench/bench.sh
refuses 'RUNS=0' 'RUNS=0: not a number of runs' env BENCH=time RUNS=0 scripts/bench/bench.sh
refuses 'make suites TESTS= with a typo' 'TESTS=stress: .* only kselftest stress-ng' env TESTS=stress scripts/test/suites.sh
refuses 'make suites without an LTP' 'LTP=/none: no LTP is installed' env LTP=/none scripts/test/suites.sh
for column in base series tracked; do
	printf '%s\t'"$column"'\t%s\n' 'a same' ok 'a fails' 'not ok' 'b within' "ok (2 of ${#column})"
	[ $column = tracked ] || printf '%s\t'"$column"'\t%s\n' 'b ends' ok
done >"$tmp/results"
same 'what makes a suite fail' "$(awk -f scripts/test/suites.awk "$tmp/results" | tr -s ' ' | paste -sd'|')" \
	'FAIL b within: base ok (2 of 4), series ok (2 of 6), tracked ok (2 of 7)|FAIL b ends: base ok, series ok, tracked |passed base series tracked|a 1 of 2 1 of 2 1 of 2|b 2 of 2 2 of 2 1 of 1|2 passed, 2 failed'
refuses 'RUNS=20x' 'RUNS=20x: not a number of runs' env HANDOUT=xxxhal RUNS=20x scripts/grade/self-test.sh
refuses 'FUZZ_SECONDS=090' 'FUZZ_SECONDS=090: not a number' env FUZZ_SECONDS=090 scripts/test/fuzz.sh
refuses 'make of two kernels' 'one command for each' env -u MAKEFLAGS make kernel deb
refuses 'PATCHES=--help' 'take no options' env -u MAKEFLAGS make grade HANDOUT=tp4 PATCHES=--help
# The ratio of medians, where the median of the ratios is another; and the runs' extremes.
printf '%s\tx\t%s\t%s\n' off 100 1 off 200 2 off 400 3 idle 220 1 idle 100 2 idle 500 3 >"$tmp/times"
printf '%s\tspeedup/y\t%s\t%s\n' idle 1800 1 idle 2000 2 idle 1900 3 tracked 1850 1 tracked 1900 2 tracked 1950 3 >>"$tmp/times"
says 'BENCH=time' '^x +200 +- +1.100 \(0.50-2.20\) +- +- +- +-$' \
	awk -v arch=x86_64 -v rounds=3 -f "$repo/scripts/bench/time.awk" "$tmp/times"
says 'BENCH=time on two CPUs' '^speedup/y +1.9( +-){5} +1.000 \(0.95-1.03\)$' \
	awk -v arch=x86_64 -v rounds=3 -f "$repo/scripts/bench/time.awk" "$tmp/times"
sed -i '/off.*2$/d' "$tmp/times"
refuses 'BENCH=time without one of the times' 'FAIL x: idle/off: not measured in round 2' \
	awk -v rounds=3 -f "$repo/scripts/bench/time.awk" "$tmp/times"
mkdir "$repo/a"
touch "$repo/f" "$repo/a/f"
refuses 'ADD= of two with one name' 'two have the name f' env ADD='f a/f' scripts/setup/deps.sh
for argument in BUSYBOX=none PROG=none.c PROG=Makefile ADD=/none CONFIG=none CONFIG='a b/c.config'; do
	case $argument in ADD=*) target=shell ;; *) target=run ;; esac
	refuses "$argument before the build" "$argument:|a space" with_fakes env -u MAKEFLAGS make $target "$argument"
	same "$argument, nothing built" "$(grep -c '^kernel' "$tmp/output")" 0
done

# CI, with a disk that takes nothing, and well
echo '[ "$1" = check ] || { rm -r build/log; exit 1; }' | fake make
refuses 'CI that can write nothing' FAILED with_fakes .ci/run
echo | fake make
refuses 'CI whose make only shows what it would do' FAILED with_fakes .ci/run
echo 'echo 3 passed, 0 failed' | fake make
says CI '^3 passed, 0 failed' with_fakes .ci/run
echo 'echo "${TESTS:-all}"; echo 3 passed, 0 failed' | fake make
says 'CI with a TESTS= in its environment' '^all$' with_fakes env TESTS=hello .ci/run
echo 'echo "${LINUX_TARBALL-}${SMP-}${ADD-}:"; echo 3 passed, 0 failed' | fake make
says 'CI, with other variables in the environment' '^:$' with_fakes env LINUX_TARBALL=x SMP=1 ADD=x .ci/run
echo 'echo "${MAKEFLAGS:-all}"; echo 3 passed, 0 failed' | fake make
says 'CI that another make calls' '^all$' with_fakes env MAKEFLAGS=' -- TESTS=hello' .ci/run
rm "$tmp/fake/make"

# Kernels
out=$repo/build/kernel-x86_64
# builds WHAT [PATTERN]: make the kernel; the default is that it is built
builds() {
	says "a kernel, $1" "${2:-[.][.][.] [0-9]+ s}" with_fakes scripts/build/kernel.sh
}
builds 'the first time'
builds 'nothing has changed' 'up to date'
echo '# with other variables' >>"$repo/scripts/lib/kernel.sh"
builds 'our scripts have changed'
touch -d tomorrow "$out/.begun"
builds 'the clock was set back'
builds 'and nothing has changed' 'up to date'
rm "$out/.built"
library_is "$sysroot" 1.95.0
works 'make kernel' with_fakes env -u MAKEFLAGS FAKE_BUILD=env LOCALVERSION=-other make kernel
same 'does not set what is not given' "$(grep -aE '^(RUST_LIB_SRC|LOCALVERSION)=' "$out/arch/x86/boot/bzImage")" LOCALVERSION=
LOCALVERSION=-mine builds 'a new LOCALVERSION='
LOCALVERSION=-mine builds 'the same LOCALVERSION=' 'up to date'
builds 'without it' 'up to date'
echo x >>"$tree/kernel/hello.rs"
touch -d tomorrow "$out/a.o"
builds 'a change'
same 'after the clock was set back, too' "$(find "$out" -newermt now)" ''
builds 'the same change' 'up to date'
cp -p "$tree/kernel/fork.c" "$tmp/fork.c"
echo x >>"$tree/kernel/fork.c"
touch "$repo/build/.index.lock" # after a kill
builds 'another change'
touch -d 2001-01-01 "$tmp/fork.c"
cp -p "$tmp/fork.c" "$tree/kernel/fork.c"
builds 'an old file back in its place'
same 'make sees it' "$(find "$tree/kernel/fork.c" -newer "$tree/kernel/hello.rs")" "$tree/kernel/fork.c"
commit 'kernel: x'
builds 'the same change, committed' 'up to date'
git -C "$tree" reset -q --mixed HEAD~1
echo x >>"$tree/kernel/hello.rs"
refuses 'a change during the build' 'while it was built' \
	with_fakes env FAKE_BUILD="sed -i s/x/y/w/dev/stdout $tree/kernel/hello.rs" scripts/build/kernel.sh
git -C "$tree" checkout -q .
refuses 'a change that is undone during the build' 'while it was built' \
	with_fakes env FAKE_BUILD="touch $tree/kernel/hello.rs $out/a.o" scripts/build/kernel.sh
builds 'after that'
same 'make sees it' "$(find "$tree/kernel/hello.rs" -newer "$out/a.o")" "$tree/kernel/hello.rs"
rm "$out/.built"
echo 'echo z >>"$1"; sleep 0.1; touch "$2"; exit 1' | fake saves
works 'a change during a build that fails' \
	with_fakes env FAKE_BUILD="saves $tree/kernel/hello.rs $out/a.o" sh -c '! scripts/build/kernel.sh'
builds 'the change'
same 'make sees that one, too' "$(find "$tree/kernel/hello.rs" -newer "$out/a.o")" "$tree/kernel/hello.rs"
git -C "$tree" checkout -q .
builds 'without it'
rm "$out/.built"
refuses 'a fragment that is saved after it was read' 'while it was built' \
	with_fakes env FAKE_KCONFIG="1e echo '# later' >>$repo/kconfig/base.config" scripts/build/kernel.sh
builds 'with that'
git -C "$tree" update-index --assume-unchanged kernel/hello.rs
echo x >>"$tree/kernel/hello.rs"
builds 'a change that git does not see'
echo 'pub fn old() {}' >"$tmp/old.rs"
touch -d 2001-01-01 "$tmp/old.rs"
cp -p "$tmp/old.rs" "$tree/kernel/hello.rs"
builds 'an old file that git does not see'
same 'make sees it' "$(find "$tree/kernel/hello.rs" -newermt 2002-01-01)" "$tree/kernel/hello.rs"
works 'the same for i386' with_fakes env ARCH=i386 scripts/build/kernel.sh
echo x >>"$tree/kernel/hello.rs"
builds 'an edit'
says 'i386, too' ' [0-9]+ s$' with_fakes env ARCH=i386 scripts/build/kernel.sh
builds 'nothing, then' 'up to date'
says 'nor for i386' 'up to date' with_fakes env ARCH=i386 scripts/build/kernel.sh
mv "$tree" "$tmp/linked"
ln -s "$tmp/linked" "$tree"
builds 'after build/linux has moved' 'up to date'
echo x >>"$tree/kernel/hello.rs"
builds 'a change there that git does not see'
rm "$tree"
mv "$tmp/linked" "$tree"
git -C "$tree" update-index --no-assume-unchanged kernel/hello.rs
git -C "$tree" checkout -q .
builds 'and without it'
mv "$tree/kernel/hello.rs" "$tmp/mine.rs"
ln -s "$tmp/mine.rs" "$tree/kernel/hello.rs"
builds 'with a link'
builds 'with the same link' 'up to date'
echo x >>"$tmp/mine.rs"
builds 'with a change behind the link'
git -C "$tree" checkout -q .
builds 'and again without'
rm -r "$out/installed"
builds 'the modules are missing'
rm "$out/arch/x86/boot/bzImage"
refuses 'a build without a kernel' 'gave no kernel' with_fakes env FAKE_BUILD="rm $out/arch/x86/boot/bzImage" scripts/build/kernel.sh
builds 'the kernel is missing'

# The series patch by patch
says 'make series-check' '^2 passed, 0 failed' with_fakes scripts/series/each.sh
touch "$tree/kernel/warns.c"
commit 'kernel: warn'
echo '// later' >>"$tree/kernel/fork.c"
commit 'kernel: go on'
git -C "$tree" mv kernel/warns.c kernel/broken.c
commit 'kernel: break'
git -C "$tree" rm -q kernel/broken.c
commit 'kernel: mend'
works 'make series' scripts/series/write.sh
refuses 'make series-check of a patch that warns' '^FAIL patch 3 warns: kernel/warns.c:.*warning: x' with_fakes scripts/series/each.sh
same 'and of one that does not build' "$(grep -E '^FAIL patch 5 does|passed' "$tmp/output" | sed 's/: .*//' | paste -sd' ')" \
	'FAIL patch 5 does not build 4 passed, 2 failed'
same 'and builds nothing twice' "$(grep -c '^000[12]' "$tmp/output")" 0
refuses 'make series-check again' '^FAIL patch 3 warns: kernel/warns.c:.*warning: x' with_fakes scripts/series/each.sh
cp "$tmp/fake/bindgen" "$tmp/bindgen"
echo 'echo bindgen 0.99.0' | fake bindgen
hostile with_fakes scripts/series/each.sh >"$tmp/output" 2>&1 </dev/null || :
same 'but all with another tool' "$(grep -c '^000[12]' "$tmp/output")" 2
mv "$tmp/bindgen" "$tmp/fake/bindgen"
git -C "$tree" reset -q --hard HEAD~4
works 'make series' scripts/series/write.sh
git -C "$tree" worktree add -q --detach "$tmp/disk/mine"
mv "$tmp/disk" "$tmp/unmounted"
rm -rf "$repo/build/each-linux"
works 'make series-check while a worktree is on a disk that is away' with_fakes scripts/series/each.sh
mv "$tmp/unmounted" "$tmp/disk"
same 'does not forget it' "$(git -C "$tmp/disk/mine" rev-parse HEAD)" "$(git -C "$tree" rev-parse HEAD)"
git -C "$tree" worktree remove "$tmp/disk/mine"

# The series on other kernels
for number in 7.1 7.2; do
	sed -n "s/.*/--- a\/kconfig\/runner.config\n+++ b\/kconfig\/runner.config\n@@ -1 +1 @@\n-&\n+# for $number/p; q" \
		"$repo/kconfig/runner.config" >"$repo/scripts/series/bases/$number.diff"
done
fake make <<'END'
status=$FAKE_STATUS
cd "$3"
case $PWD in
*/7.2) grep -qx SERIES_BASE=7.2 scripts/lib/kernel.sh && grep -q 'for 7.2' kconfig/runner.config || status=9 ;;
*) status=0 ;;
esac
echo "ok a test"
echo "${LINUX-}${ARCH-}${JOBS-3} passed, 0 failed"
exit $status
END
says 'make bases' '^6 passed, 0 failed' with_fakes env FAKE_STATUS=0 LINUX="$tmp/linux" ARCH=i386 JOBS=3 scripts/series/bases.sh
touch "$repo/build/bases/7.2/build/mine"
same 'each kernel has its sum' "$(grep -c '^Linux 7.[12]: 3 passed, 0 failed' "$tmp/output")" 2
refuses 'make bases if the tests of one fail' '^FAIL Linux 7.2: make test ended with status 2' with_fakes env FAKE_STATUS=2 scripts/series/bases.sh
exec 4>>"$repo/build/bases/.lock"
flock 4
refuses 'make bases beside another' 'another make bases' scripts/series/bases.sh
exec 4>&-
echo '# and this' >>"$repo/build/bases/7.2/kconfig/runner.config"
refuses 'make bases after something was mended' 'bases/7.2 was changed' with_fakes env FAKE_STATUS=0 scripts/series/bases.sh
echo '# later' >>"$repo/kconfig/runner.config"
refuses 'what is different from something else' 'has changed since build/bases/7.. was made' scripts/series/bases.sh --write
sed -i '$d' "$repo/kconfig/runner.config"
mv "$repo/build/bases/7.2/build/.copied" "$tmp/copied"
refuses 'what is different in half a copy' 'build/bases/7.2, or not all of it' scripts/series/bases.sh --write
mv "$tmp/copied" "$repo/build/bases/7.2/build/.copied"
git init -q "$repo/build/bases/7.2/build/linux"
git -C "$repo/build/bases/7.2/build/linux" commit -q --allow-empty -m mine
refuses 'what is different but for a commit' 'bases/7.2/build/linux has work' scripts/series/bases.sh --write
rm -rf "$repo/build/bases/7.2/build/linux"
echo '# mine' >>"$repo/build/bases/7.2/scripts/lib/steps.sh"
works 'what is different, written' scripts/series/bases.sh --write
refuses 'make bases while something else is changed' 'bases/7.2 was changed' with_fakes env FAKE_STATUS=0 scripts/series/bases.sh
sed -i '$d' "$repo/build/bases/7.2/scripts/lib/steps.sh"
grep -q '^+# and this' "$repo/scripts/series/bases/7.2.diff" || fail 'what was different is not written'
says 'make bases with that' '^6 passed, 0 failed' with_fakes env FAKE_STATUS=0 JOBS=3 scripts/series/bases.sh
same 'and its build/ stays' "$(ls "$repo/build/bases/7.2/build/mine")" "$repo/build/bases/7.2/build/mine"
works 'make check apply' with_fakes scripts/series/check.sh apply
sed -i '1s/$/ changed/' "$repo/kconfig/runner.config"
refuses 'make bases if there is something else' 'FAILED' with_fakes env FAKE_STATUS=0 scripts/series/bases.sh
refuses 'make check apply, then' 'FAILED' with_fakes scripts/series/check.sh apply
sed -i '1s/ changed$//' "$repo/kconfig/runner.config"
rm "$tmp/fake/make" "$repo"/scripts/series/bases/*.diff

git init -q "$tree/drivers/mine"
git -C "$tree/drivers/mine" commit -q --allow-empty -m mine
commit 'drivers: mine' 2>/dev/null
refuses 'make series of a repository inside' 'git repository of its own.*drivers/mine' scripts/series/write.sh
rm -rf "$tree/drivers/mine"
git -C "$tree" reset -q --hard HEAD~1

git -C "$tree" checkout -q base
touch "$tree/kernel/based.c"
commit 'kernel: base'
git -C "$tree" checkout -q series
git -C "$tree" rebase -q base
refuses 'make series on another base' 'another branch base' scripts/series/write.sh
refuses 'make check of it' 'has work that is not in patches' with_fakes scripts/series/check.sh mirrors
git -C "$tree" branch -q -f base refs/series/base
git -C "$tree" reset -q --hard refs/series/written
git -C "$tree" replace HEAD HEAD~1
works 'make series with a replaced commit' scripts/series/write.sh
git -C "$tree" replace -d HEAD >/dev/null
git -C "$tree" worktree add -q -b mine "$repo/build/linux.new"
works 'make tree beside a worktree' scripts/series/tree.sh
same 'leaves it' "$(ls "$repo/build/linux.new/Makefile")" "$repo/build/linux.new/Makefile"
git -C "$tree" worktree remove "$repo/build/linux.new"
git -C "$tree" branch -q -D mine

# A kernel whose build ends in the middle
rm "$out/.built"
sleeps="sleep 600.$$"
for signal in TERM KILL; do
	hostile with_fakes env FAKE_BUILD="$sleeps" sh -c "echo \$\$ >$tmp/pid; exec scripts/build/kernel.sh" >"$tmp/output" 2>&1 </dev/null &
	until pgrep -fx "$sleeps" >/dev/null || ! kill -0 $!; do sleep 0.1; done
	kill -s $signal "$(cat "$tmp/pid")"
	for _ in $(seq 100); do ! pgrep -fx "$sleeps" >"$tmp/output" || sleep 0.1; done
	same "kernel.sh alone gets SIG$signal, and the build ends with it" "$(cat "$tmp/output")" ''
	pkill -fx "$sleeps" || :
	wait $! || :
done
refuses 'V=1 and an error' 'cannot access' with_fakes env V=1 FAKE_BUILD='ls /none' scripts/build/kernel.sh
same 'which is in the log, too' "$(grep -c 'cannot access' "$repo/build/log/kernel-x86_64.log")" 1
builds 'after an error'
for time in once twice; do
	refuses "make check: a lint, $time" 'warning: a lint' with_fakes scripts/series/check.sh clippy
done
configured() {
	with_fakes env "$@" scripts/build/kernel.sh config
}
printf 'CONFIG_MINE=y\r\n' >"$repo/my.config"
gzip -k "$repo/my.config"
mkdir "$out-my"
echo mine >"$out-my/.config"
works 'CONFIG= beside us, as Windows writes it' configured CONFIG=my.config
same 'is in it' "$(grep -c '^CONFIG_MINE=y$' "$out-my/.config")" 1
same 'what was there is kept' "$(cat "$out-my/.config.yours")" mine
works 'CONFIG= compressed' configured CONFIG=my.config.gz
same 'is in it, too' "$(grep -c '^CONFIG_MINE=y$' "$out-my.config.gz/.config")" 1
head -c 20 "$repo/my.config.gz" >"$repo/half.config.gz"
refuses 'CONFIG= compressed and cut off' 'compressed, but not whole' configured CONFIG=half.config.gz
printf 'CONFIG_MINE=y\nCONFIG_OURS = y\n' >"$repo/typo.config"
refuses 'CONFIG= with a line that Kconfig does not read' 'CONFIG_OURS = y: Kconfig would not' configured CONFIG=typo.config
refuses 'CONFIG= is something else' 'is not a configuration' configured CONFIG=Makefile
printf 'CONFIG_CC_VERSION_TEXT=x\nCONFIG_MODULE_SIG=y\n' >"$repo/distro.config"
echo 'CONFIG_INITRAMFS_SOURCE="/x"' >"$repo/files.config"
echo 'CONFIG_BOOT_CONFIG_EMBED_FILE="/x"' >"$repo/embeds.config"
echo 'CONFIG_MODPROBE_PATH="/x"' >"$repo/paths.config"
for config in files embeds; do
	for time in first second; do
		CONFIG=$config.config builds "with a file of yours in $config.config, for the $time time"
	done
done
CONFIG=paths.config builds 'with a path of the guest'
CONFIG=paths.config builds 'with that path again' 'up to date'
if [ -r /proc/config.gz ]; then
	printf 'echo Module; echo "$FAKE_MODULES"' | fake lsmod
	CONFIG=running FAKE_MODULES=a builds 'as the running one'
	CONFIG=running FAKE_MODULES=a builds 'as the running one again' 'up to date'
	CONFIG=running FAKE_MODULES=b builds 'as the running one, with other modules'
fi
works 'a kernel that insists on signatures' configured CONFIG=distro.config FAKE_KCONFIG=s/_SIG=n/_SIG=y/
refuses 'a kernel without Rust' 'RUST=y: Kconfig drops it' configured CONFIG=distro.config FAKE_KCONFIG=/RUST=/d

# Guests
cat >"$tmp/m.c" <<-'END'
	#include <linux/pf_stat.h>
	#include <math.h>
	int main(int argc, char **argv) { return pow(argc, 2) == 3; }
END
cat <<-'END' | fake qemu-system-x86_64
	case $* in *--version*) echo 'QEMU emulator version 9.0.0'; exit ;; esac
	for word; do
		case $last in -initrd) initrd=$word ;; esac
		case $word in
		file:*/console.log) console=${word#file:} ;;
		file:*/status) status=${word#file:} ;;
		esac
		last=$word
	done
	. "${FAKE_GUEST:-$initrd}"
END
echo 'case $* in *7) exit 71 ;; esac; exec /usr/bin/flock "$@"' | fake flock
refuses 'a disk without locks' 'guest.99 cannot be locked' with_fakes timeout 60 scripts/guest/qemu.sh "$out" /none
rm "$tmp/fake/flock"
cd "$tmp"
echo 'case $* in *ignore_loglevel*) printf "Linux\nreboot: now\n" >"$console"; printf "a\\000b"; echo 0 >"$status" ;; esac' >good
echo 'echo Linux >"$console"; echo 0 >"$status"' >full
echo 'printf "BUG: KASAN: bad\nreboot: now\n" >"$console"; echo 1 >"$status"; sleep 1' >bad
echo 'echo 0 >"$status"' >mute
echo 'echo the address is in use >&2; exit 1' >dead
echo 'kill -9 $$' >killed
guest() {
	with_fakes scripts/guest/qemu.sh -t 60 "$out" "$tmp/$1"
}
echo 'printf "Linux version 7\nKernel panic - not syncing: %s\n" "$FAKE_PANIC"' >panics
while read -r accelerator panic; do
	rm -f "$repo"/build/accelerator-*
	says "KVM whose kernel panics: $panic" "^qemu-system-x86_64 -accel $accelerator " \
		with_fakes env -u KVM FAKE_GUEST="$tmp/panics" FAKE_PANIC="$panic" scripts/guest/accelerator.sh "$out" /none
done <<-END
	kvm Attempted to kill init! exitcode=0x00000000
	kvm VFS: Unable to mount root fs on unknown-block(0,0)
	tcg Attempted to kill init! exitcode=0x00000004
	tcg IO-APIC + timer doesn't work!
END
says 'what was seen is kept' '^qemu-system-x86_64 -accel tcg ' with_fakes env -u KVM FAKE_GUEST=/dev/null scripts/guest/accelerator.sh
works 'a guest' guest good
same 'its output, with what is no text' "$(od -An -c "$tmp/output" | tr -d ' ')" 'a\0b'
refuses 'a guest whose output cannot be written' 'No space left' with_fakes \
	sh -c "scripts/guest/qemu.sh $out $tmp/good >/dev/full"
refuses 'a report without a time' 'shows trouble' guest bad
echo 'printf "BUG kmalloc-64 (Not tainted): Poison overwritten\nreboot: now\n" >"$console"; echo 0 >"$status"' >slub
refuses 'a report of SLUB' 'shows trouble' guest slub
echo 'printf "Linux\n** 7 printk messages dropped **\nreboot: now\n" >"$console"; echo 0 >"$status"' >lossy
refuses 'a console that lacks some of the log' 'lacks some of it' guest lossy
echo '** 7 printk messages dropped **' >lossy.log
says 'a console that lacks some of the log, in grading' '^sound fail .*messages are lost' awk -v nonce=n -v ended=1 \
	-f "$repo/scripts/grade/console.awk" "$repo/scripts/grade/reports" "$tmp/lossy.log"
works 'of a guest that was stopped' awk -v nonce=n -v ended=0 -v how='was stopped' -f "$repo/scripts/grade/console.awk" \
	"$repo/scripts/grade/reports" /dev/null
same 'no row passes' "$(cat "$tmp/output")" 'sound fail the guest was stopped'
echo '[    1.000000] BUG kmalloc-64 (Not tainted): Poison overwritten' >slub.log
says 'the same in grading' '^memory fail' awk -v nonce=n -v ended=1 -f "$repo/scripts/grade/console.awk" "$repo/scripts/grade/reports" "$tmp/slub.log"
refuses 'a QEMU that is killed' 'QEMU failed with status 137' guest killed
echo 'case $* in *ignore_loglevel*) printf "Linux\nreboot: now\n" >"$console"; echo half ;; esac' >early
mkdir -p "$tmp/twice"
works 'a guest in a folder of the caller' with_fakes scripts/guest/qemu.sh -d "$tmp/twice" "$out" "$tmp/good"
refuses 'one without a result after it' 'ended without a result' with_fakes scripts/guest/qemu.sh -d "$tmp/twice" "$out" "$tmp/early"
refuses 'a guest without a log' 'cut short' guest mute
echo 'exec sleep 50' >slow
export DEADLINE=1
refuses 'a guest with less time' 'still running after 1 s' guest slow
unset DEADLINE
refuses 'a guest beside a full disk' 'cut short' guest full
{ hostile guest bad >two 2>&1 || echo $? >two; } &
bad=$!
sleep 0.5
works 'a guest beside a bad one' guest good
wait $bad
same 'the bad one fails' "$(cat two)" 1
works 'make run PROG= CMD=' with_fakes env FAKE_GUEST="$tmp/good" PROG="$tmp/m.c" CMD='/program $1' scripts/guest/run.sh
cd "$repo/build/run/program-x86_64"
same 'the command is in the guest' "$(cpio --quiet -i --to-stdout command <initramfs)" '/program $1'
same 'and all is for everybody' "$(cpio --quiet -tv <initramfs | grep -c '^.......---')" 0
cd "$tmp"
echo 'printf "Linux\nreboot: now\n" >"$console"; printf "TAP version 13\n1..1\n# selftests: c: a_2\n# TAP version 13\n# 1..2\n# ok 1 x\n# ok 2 y\nok 1 selftests: c: a_2\n"; echo 0 >"$status"' >ktap
says 'make test TESTS=' '^2 passed' with_fakes env FAKE_GUEST="$tmp/ktap" MODES=x86_64/x86_64 TESTS='*_2.x a_2.y' scripts/test/all.sh
same 'the choice is in the guest' "$(cpio --quiet -i --to-stdout choice <"$repo/build/run/test-x86_64-x86_64/initramfs" |
	paste -sd';')" 'set -- "$@" -t c:a_2;export KSELFTEST_A_2_ARGS=" x y"'
rm -r "$repo/scripts/test/mutants"
mkdir -p "$repo/scripts/test/mutants/x"
echo TESTS=a_2 >"$repo/scripts/test/mutants/x/tests"
echo '// mutant' >>"$tree/kernel/hello.rs"
{ echo 'A mistake'; git -C "$tree" diff; } >"$repo/scripts/test/mutants/x/m.patch"
git -C "$tree" checkout -q .
sed 's/"Linux/"KTAP version 1\\n1..1\\n    1..1\\n    ok 1 a\\nok 1 s/' ktap >kunit
for guest in "dead x/m: a_2.y" "FAIL x/m: qemu.sh: QEMU failed" "LIVES x/m"; do
	{
		echo "if grep -q mutant $repo/build/mutants/build/linux/kernel/hello.rs; then"
		case $guest in
		dead*) sed 's/ok 2 y/not &/' kunit ;;
		FAIL*) cat dead ;;
		LIVES*) cat kunit ;;
		esac
		echo "else"
		cat kunit
		echo "fi"
	} >mutant
	rm -f "$repo/build/mutants.tsv"
	says "make mutants: $guest" "^$guest" with_fakes sh -c "HANDOUT=1 FAKE_GUEST=$tmp/mutant scripts/test/mutants.sh || :"
done
same 'are those of the usual kernel' "$(find "$repo/build/mutants/build" -maxdepth 1 -name 'kernel-*-handout')" ''
rm -r "$tree/.git/worktrees"
says 'make mutants with another build/linux' '^LIVES x/m' with_fakes sh -c "FAKE_GUEST=$tmp/mutant scripts/test/mutants.sh || :"
sed 's|ok 1 self|not &|' ktap >broken
sed 's/mutant$/another/' "$repo/scripts/test/mutants/x/m.patch" >"$repo/scripts/test/mutants/x/n.patch"
refuses 'make mutants where all fails now' 'x fails without a mutant' with_fakes env FAKE_GUEST="$tmp/broken" scripts/test/mutants.sh
rm "$repo/scripts/test/mutants/x/n.patch"
for known in 0 1; do
	same 'make mutants has our scripts' "$(realpath "$repo/build/mutants/scripts")" "$(realpath "$repo/scripts")"
	works 'make mutants again' with_fakes sh -c "FAKE_GUEST=$tmp/mutant scripts/test/mutants.sh || :"
	same "after $known changes of its configuration" "$(grep -o '^x/m' "$tmp/output" | uniq | wc -l)" $known
	echo '# another' >>"$repo/kconfig/mutants.config"
done
git -C "$tree" worktree remove -f "$repo/build/mutants/build/linux"
mkdir -p "$repo/build/run/debug-test"
exec 4>>"$repo/build/run/debug-test/.lock"
flock 4
says 'make debug-test TESTS= beside another' '^debug-x86_64/x86_64: 2 passed' \
	with_fakes env FAKE_GUEST="$tmp/ktap" MODES=x86_64/x86_64 TESTS=a_2 scripts/test/all.sh --debug
same 'has its own results' "$(find "$repo/build/run/debug-test.2" -name '*.xml' | wc -l)" 1
same 'and kernel' "$(grep -c KASAN= "$out-debug/.config")" 1
exec 4>&-
cp "$tmp/fake/qemu-system-x86_64" "$tmp/fake/qemu-system-i386"
{ echo "until [ -s '$repo/build/kernel-i386/.built' ]; do sleep 1; done"; cat ktap; } >patient
rm -f "$repo/build/kernel-i386/.built"
works 'make test of two kernels' with_fakes env DEADLINE=100 FAKE_GUEST="$tmp/patient" MODES='x86_64/x86_64 i386/i386' TESTS=a_2 \
	BUSYBOX="$(command -v busybox)" scripts/test/all.sh
same 'the second is built during the guest of the first' \
	"$(grep -c '^kernel i386 lean ...' "$repo/build/log/ahead.log") $(grep -c 'i386 lean: up to date' "$tmp/output")" '1 1'
{ echo "echo x >>$tree/kernel/hello.rs"; cat ktap; } >editor
mkdir "$tree/tools/testing/selftests/rust_syscalls/part"
touch "$tree"/tools/testing/selftests/rust_syscalls/part/a.rs "$tree"/tools/testing/selftests/rust_syscalls/part/b.rs
commit 'selftests: in parts'
works 'the selftests' with_fakes scripts/build/selftests.sh x86_64
rm "$tree/tools/testing/selftests/rust_syscalls/part/b.rs"
sleep 0.01
touch "$tmp/now"
works 'the selftests, without a part' with_fakes scripts/build/selftests.sh x86_64
same 'make sees a newer part' "$(find "$tree/tools/testing/selftests/rust_syscalls/part" -name a.rs -newer "$tmp/now")" \
	"$tree/tools/testing/selftests/rust_syscalls/part/a.rs"
git -C "$tree" reset -q --hard HEAD~1
works 'an edit during make test' with_fakes env FAKE_GUEST="$tmp/editor" MODES='x86_64/x86_64 x86_64/i386' TESTS=a_2 \
	sh -c '! scripts/test/all.sh'
same 'is noticed' "$(grep '^FAIL' "$tmp/output")" 'FAIL build/linux has changed meanwhile: not all parts have tested the same'
same 'by CI systems, too' "$(grep -c '<testcase name="build/linux has changed.*<failure/>' "$repo/build/run/test/make-test.xml")" 1
git -C "$tree" checkout -q .
{
	echo 'case " $* " in *" install "*) [ -e "$FAKE_ONCE" ] || { : >"$FAKE_ONCE"; echo x >>"$FAKE_TREE/kernel/hello.rs"; } ;; esac'
	echo "exec $(command -v make)"' "$@"'
} | fake make
works 'an edit while the tests are built' with_fakes env FAKE_GUEST="$tmp/ktap" FAKE_ONCE="$tmp/once" FAKE_TREE="$tree" \
	MODES=x86_64/x86_64 TESTS=a_2 sh -c '! scripts/test/all.sh'
same 'is noticed, too' "$(grep '^FAIL' "$tmp/output")" 'FAIL build/linux has changed meanwhile: not all parts have tested the same'
rm "$tmp/fake/make"
git -C "$tree" checkout -q .
for tests in b 'a_2 b'; do
	refuses "a test that there is not in $tests" 'TESTS=b: there are no such tests' \
		with_fakes env FAKE_GUEST="$tmp/ktap" MODES=x86_64/x86_64 TESTS="$tests" scripts/test/all.sh
done
for modes in 'x86_64/x86_64 i386' ' '; do
	refuses "MODES='$modes'" '^all.sh: MODES=.*: there is only' \
		with_fakes env FAKE_GUEST="$tmp/ktap" MODES="$modes" TESTS=a_2 scripts/test/all.sh
done
refuses 'a seed that is no number' '^fuzz.sh: SEED=-1: not a number' env SEED=-1 scripts/test/fuzz.sh
refuses 'a time that is too long' '^fuzz.sh: FUZZ_SECONDS=1000000000000000000: not a number' \
	env FUZZ_SECONDS=1000000000000000000 scripts/test/fuzz.sh
refuses 'steps that a shell would run' '^fuzz.sh: STEPS=.*: not what a run' env STEPS='0:view; reboot' scripts/test/fuzz.sh
for modes in i386 ' '; do
	refuses "MODES='$modes' of the fuzzer" '^fuzz.sh: MODES=.*: there is only' env MODES="$modes" scripts/test/fuzz.sh
done
refuses 'a test that its program has not' 'a_2.z: did not run' \
	with_fakes env FAKE_GUEST="$tmp/ktap" MODES=x86_64/x86_64 TESTS='a_2.x a_2.z' scripts/test/all.sh
refuses 'a program that did not run' 'a_3: did not run' \
	with_fakes env FAKE_GUEST="$tmp/ktap" MODES=x86_64/x86_64 TESTS='a_[23]' scripts/test/all.sh
echo | fake gdb
refuses 'make gdb without a guest' 'address is in use' with_fakes env FAKE_GUEST="$tmp/dead" CMD=x scripts/guest/run.sh --gdb
refuses 'BREAK= of no system call' 'no system call of that name' \
	with_fakes env FAKE_GUEST="$tmp/dead" CMD=x BREAK=none scripts/guest/run.sh --gdb
echo 'sleep 9' | fake cpio
works 'Ctrl-C' with_fakes sh -c '! timeout 2 scripts/build/initramfs.sh "$TMPDIR/out"'
same 'leaves nothing' "$(find "$tmp" -mindepth 1 -maxdepth 1 -name 'tmp.*')" ''
rm "$tmp/fake/cpio"

# make vm-test, on a machine that does what it is told, and logs FAKE_LOG then
machine=$tmp/machine
mkdir -p "$machine/build/kernel-x86_64-vm-handout/include/config"
cp -r "$repo/scripts" "$machine"
cp "$repo/build/toolchain.env" "$machine/build"
echo 7 >"$machine/build/kernel-x86_64-vm-handout/include/config/kernel.release"
mv "$tmp/fake/qemu-system-x86_64" "$tmp/qemu"
cat <<-'END' | fake qemu-system-x86_64
	echo 'vm login:'
	while read -r line; do
		echo "$line"
		case $line in
		user) echo 'user@vm:' ;;
		*'state='*) echo state=running ;;
		*/host/lines*) echo "$FAKE_LOG"; echo 1 passed, 0 failed >"$SHARE/out"; true; eval "${line#*2>&1; }" ;;
		*poweroff) echo 'reboot: Power down'; exit ;;
		esac
	done
END
cp "$tmp/fake/qemu-system-x86_64" "$machine/scripts/vm/start.sh"
echo 'echo 1 passed, 0 failed' | tee "$machine/scripts/vm/image.sh" "$machine/scripts/build/kernel.sh" >"$machine/scripts/test/disks.sh"
echo | fake qemu-img
echo 'exec /bin/sleep 0.2' | fake sleep
vm_test() {
	with_fakes env MODES=x86_64 FAKE_LOG="$1" "$machine/scripts/vm/test.sh" --short
}
says 'make vm-test, where another one says status=1' '^9 passed, 0 failed' vm_test '[    9.000000] audit: status=1'
refuses 'make vm-test, where the kernel warns' '^ *.    9.000000. WARNING: at kernel/hello.c' \
	vm_test '[    9.000000] WARNING: at kernel/hello.c:7'
echo 'case $FAKE_LOG in failure) echo no journal >&2; exit 1 ;; *) echo "$FAKE_LOG" ;; esac' | fake sudo
{ echo 'set -e'; sed -n '/^log_is_clean/,/^}/p' "$repo/scripts/vm/inside/test"; echo log_is_clean; } >"$tmp/log_is_clean"
works 'a log with no errors but those of our calls' with_fakes env FAKE_LOG="INFO940: a" sh "$tmp/log_is_clean"
refuses 'a log with others' 'I/O error' with_fakes env FAKE_LOG="I/O error" sh "$tmp/log_is_clean"
refuses 'a log that cannot be read' '^no journal' with_fakes env FAKE_LOG=failure sh "$tmp/log_is_clean"
rm "$tmp/fake/qemu-img" "$tmp/fake/sleep" "$tmp/fake/sudo"
mv "$tmp/qemu" "$tmp/fake/qemu-system-x86_64"
works 'make test | head' with_fakes sh -c 'scripts/test/ktap.sh | :'
same 'leaves nothing, too' "$(find "$tmp" -mindepth 1 -maxdepth 1 -name 'tmp.*')" ''
cd "$TOP"

# kernel.org: a folder, which curl reads from any offset, and a curl that can refuse to
mkdir "$tmp/www"
cat <<END | fake curl
for word; do part=\$last last=\$word; done
size=\$(stat -c %s "\$part" 2>/dev/null)
echo "\${last##*/} \$size" >>"$tmp/requests"
[ ! -e "$tmp/no-range" ] || [ ! "\$size" ] || exit 33
exec $(command -v curl) "\$@"
END
export KERNEL_ORG="file://$tmp/www" FAKE_OFFLINE=1
downloads=$XDG_CACHE_HOME/rust-syscalls/downloads
tarball=linux-7.3.4.tar.xz
cp "$tmp/$tarball" "$tmp/www"
(cd "$tmp/www" && { sha256sum $tarball; echo "$(printf %064d 0)  linux-7.3.tar.xz"; } >sha256sums.asc)
size=$(stat -c %s "$tmp/$tarball")

kernel_org() {
	with_fakes scripts/setup/source.sh --update
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
same 'where it stopped' "$(tail -n 1 "$tmp/requests")" "$tarball $((size / 2))"
forget
cp "$tmp/$tarball" "$downloads/partial/$tarball"
works 'a whole download is used' kernel_org
same 'as it is' "$(tail -n 1 "$tmp/requests")" "sha256sums.asc "
forget
printf %0$((size / 2))d 0 >"$downloads/partial/$tarball"
works 'a part of something else is thrown away' kernel_org
touch "$tmp/no-range"
forget
head -c $((size / 2)) "$tmp/$tarball" >"$downloads/partial/$tarball"
works 'a server that cannot resume' kernel_org
rm "$tmp/no-range"
forget
echo x >>"$tmp/www/$tarball"
refuses 'a wrong checksum' 'checksum of .* is not' kernel_org
same 'leaves no tarball' "$(find "$downloads" -type f)" ''
rm "$tmp/www/$tarball"
refuses 'a tarball that is gone' 'give LINUX=dir' kernel_org
echo >"$tmp/www/sha256sums.asc"
refuses 'a list without our version' 'kernel.org has no linux-7.3.y' kernel_org

# Packages: those that the goal needs, with what apt says. A compiler without headers.
echo 'cat >/dev/null; exit 1' | fake cc
echo "echo \"\$*\" >>$tmp/apt; case \$* in *update*) echo E: a source is bad; exit 100 ;; esac" | fake apt-get
echo 'echo "  Candidate: 1.0"' | fake apt-cache
echo 'echo 1000' | fake id
echo "echo sudo \$1 \$2 >>$tmp/apt; exec \"\$@\"" | fake sudo
says 'a source of apt that is bad' 'E: a source is bad' with_fakes env GOALS=menuconfig scripts/setup/deps.sh
same 'sudo asks first' "$(head -n 1 "$tmp/apt")" 'sudo apt-get --version'
same 'no package is removed, and menuconfig has its own' \
	"$(grep -c 'install -y .*--no-remove .*libelf-dev libncurses-dev' "$tmp/apt")" 1
rm "$tmp/fake/sudo" "$tmp/fake/id"
works 'another goal' with_fakes env GOALS=run scripts/setup/deps.sh
same 'asks for less' "$(tail -n 1 "$tmp/apt" | grep -c 'install .*libelf-dev$')" 1
cat <<END | fake apt-get
echo "\$*" >>$tmp/apt
case \$* in
*indextargets*) . /etc/os-release; printf '%s\n' "http://localhost:9/debian/ \$VERSION_CODENAME" "\$FAKE_SUITE" ;;
*-t*install*libelf-dev*) ;;
*install*libelf-dev* | *sources.list*install*\$FAKE_BAD*) exit 100 ;;
esac
END
suite=$(. /etc/os-release && echo "$VERSION_CODENAME-backports")
if grep -q '^ID=debian' /etc/os-release; then
	says 'a package that conflicts with a newer one' 'Installing libelf-dev from .*-backports' \
		with_fakes env GOALS=menuconfig FAKE_BAD=none scripts/setup/deps.sh
	same 'is no failure' "$(grep -c failed "$tmp/output")" 0
	same 'is taken from where apt would not look' \
		"$(tail -n 1 "$tmp/apt" | grep -c "sources.list --no-inst.*--no-remove -t $suite install -y libelf-dev$")" 1
	refuses 'another package that cannot be installed' 'apt cannot install these' \
		with_fakes env GOALS=menuconfig FAKE_BAD=libncurses-dev scripts/setup/deps.sh
	works 'one of a suite that apt knows' with_fakes env FAKE_BAD=none FAKE_SUITE="$suite" scripts/setup/deps.sh
	same 'which is not told twice' "$(tail -n 1 "$tmp/apt" | grep -c sources.list)" 0
fi
cat <<'END' | fake apt-get
case $* in
'-s '*) ;;
*install*) [ -e "$TMPDIR/finished" ] || { echo "E: dpkg was interrupted, you must manually run ..."; exit 100; } ;;
esac
END
echo '[ "$*" = "--configure -a" ] && : >"$TMPDIR/finished"' | fake dpkg
says 'a dpkg that was interrupted' 'Finishing what dpkg' with_fakes env GOALS=menuconfig scripts/setup/deps.sh
rm "$tmp/fake/dpkg"
echo : | fake apt-cache
refuses 'a package that apt does not know' 'apt does not know: libelf-dev$' with_fakes scripts/setup/deps.sh

same "the caller's repository is as it was" "$(cd "$tmp/caller" && find . -newer "$tmp/before" -type f)" ''
total
