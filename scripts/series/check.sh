#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] check.sh [CHECK...]
#
# Check the repository; say nothing if all is well, but what is being checked on a terminal.
#
#   apply       git am patches/*.patch applies to the base, and each bases/*.diff to
#               patches/ and kconfig/
#   mirrors     patches/, rust-src/, selftests/ and Documentation/ are what
#               'make series' writes
#   checkpatch  checkpatch.pl --strict --no-signoff
#   rustfmt     the Rust files that the series touches
#   clippy      the Rust files that it adds, with the kernel of ARCH
#   mandoc, shellcheck  the man pages, the scripts
#   claims      the tests that the threat model names exist
#   mutants     the mutants apply
#   names       no path of this machine, no host that it installs from

. "$(dirname "$0")/../lib/lib.sh"

# rust_files FILTER: the .rs files that the series adds (A) or touches (AM)
rust_files() {
	git -C "$TREE" diff --name-only --diff-filter="$1" --no-renames refs/heads/base refs/heads/series -- '*.rs'
}

check_apply() {
	for _diff in "$TOP"/scripts/series/bases/*.diff; do
		[ ! -e "$_diff" ] || run_quietly patch --dry-run -f -p1 -F0 -d "$TOP" -i "$_diff" || return
	done
	run_quietly "$TOP/scripts/series/apply.sh" "$TREE" "$work/tree"
}

check_mirrors() {
	[ -d "$work/tree" ] || check_apply || return
	mkdir "$work/out"
	"$TOP/scripts/series/write.sh" "$work/tree" "$work/out" 2>/dev/null
	for _part in patches rust-src selftests Documentation; do
		mkdir -p "$TOP/$_part"
		git --no-pager diff --no-ext-diff --no-textconv --no-index "$TOP/$_part" "$work/out/$_part"
	done
}

# On standard error there is only spdxcheck.py, if a Python module is missing. A user's own
# .checkpatch.conf may ignore things.
check_checkpatch() {
	set -- "$TOP"/patches/*.patch
	[ -e "$1" ] || return 0
	: >"$work/.checkpatch.conf"
	(cd "$TREE" && CHECKPATCH_CONFIG_DIR=$work scripts/checkpatch.pl -q --strict --no-signoff "$@" 2>/dev/null)
}

check_rustfmt() {
	rust_files AM | (cd "$TREE" && xargs -r rustfmt --check)
}

# "prepare" builds the crates in rust/; the other files have objects. What is built does not
# warn again: after a warning, start anew.
check_clippy() {
	_out=$BUILD/clippy-$ARCH _from=$(kernel_dir)/.config
	cmp -s "$_from" "$_out/.config.from" || {
		rm -rf "$_out"
		mkdir "$_out"
		cp "$_from" "$_out/.config"
	}
	rm -f "$_out/.config.from"
	renew "$_out"
	# shellcheck disable=SC2046 # one word per object
	run_quietly kmake "$_out" -s CLIPPY=1 prepare \
		$(rust_files A | grep -vE '^(rust|tools|scripts|Documentation)/' | objects)
	cp "$_from" "$_out/.config.from"
}

# objects: the object of each file, except of the modules of another file: a/b.rs is one
# of a.rs
objects() {
	awk '{ file[$0] }
	END {
		for (f in file) {
			parent = f
			sub("/[^/]*$", ".rs", parent)
			if (!(parent in file)) {
				sub(/rs$/, "o", f)
				print f
			}
		}
	}'
}

check_shellcheck() {
	(cd "$TOP" && git grep --color=never --untracked -lzE '^#!/bin/(busybox |ba)?sh|^# shellcheck shell=' -- scripts .ci ':!*.md' |
		xargs -r0 shellcheck --norc -x -P SCRIPTDIR)
}

check_mandoc() {
	find "$TOP/Documentation" -name '*.[1-9]' -exec mandoc -T lint {} +
}

check_claims() {
	_page=$TOP/Documentation/userspace-api/rust-syscalls-threat-model.rst
	# shellcheck disable=SC2016 # the page's quotation marks
	grep -o '``[a-z_]*\.[a-z0-9_]*``' "$_page" | tr -d '`' | sort -u | while IFS=. read -r _program _test; do
		grep -qE "fn $_test\(|\"$_test\"" "$TOP/selftests/rust_syscalls/$_program.rs" ||
			echo "${_page#"$TOP/"}: there is no test $_program.$_test"
	done
}

check_mutants() {
	for _mutant in "$TOP"/scripts/test/mutants/*/*.patch; do
		git -C "$TREE" apply --check "$_mutant" || echo "${_mutant#"$TOP/"} does not apply"
	done
}

# Paths and package hosts of this machine must not get into the repository.
check_names() {
	{
		echo "$TOP/"
		echo "${HOME:-}/."
		{
			# shellcheck disable=SC2016 # apt fills it in
			apt-get indextargets --format '$(REPO_URI)' || :
			cat "${CARGO_HOME:-$HOME/.cargo}/config.toml" || :
			env | grep -E '^(RUSTUP|PIP|CARGO)_' || :
		} 2>/dev/null | grep -oE 'https?://[^/" ,]+' | sed 's|.*[/@]||' | sort -u
	} | grep -vxE '/|(static\.)?(crates|rust-lang)\.(io|org)' >"$work/names"
	# With --untracked, git passes over files that are tracked but ignored.
	for _option in '' --untracked; do
		git -C "$TOP" grep $_option -nFf "$work/names" -- . ':!COPYING' || :
	done | sort -u
}

# run_quietly COMMAND…: show its output only if it fails or warns.
run_quietly() {
	"$@" >"$work/log" 2>&1 </dev/null && ! grep -qE '^(warning|error)' "$work/log" && return
	cat "$work/log"
	return 1
}

with_lock
load_toolchain
work=$(mktemp -d "$BUILD/.check.XXXXXX")
at_exit "rm -rf '$work'"

all_written
# git is asked which files are ours: none, in a folder that another repository ignores.
[ -e "$TOP/.git" ] || die "$TOP is no clone: git cannot say which files to check"

failed=
[ $# != 0 ] || set -- apply mirrors checkpatch rustfmt shellcheck mandoc claims mutants names clippy
for check; do
	[ ! -t 2 ] || printf '\r\033[K%s ...' "$check" >&2
	isolated "check_$check" >"$BUILD/log/check-$check.log" 2>&1
	[ ! -t 2 ] || printf '\r\033[K' >&2
	[ "$status" != 0 ] || [ -s "$BUILD/log/check-$check.log" ] || continue
	failed="$failed $check"
	say "check: $check:"
	head -n 40 "$BUILD/log/check-$check.log" >&2
done
[ ! "$failed" ] || die "failed:$failed (logs: build/log/check-*.log)"
