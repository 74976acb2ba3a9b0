#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: [ARCH=x86_64|i386] misuse.sh
#
# Test that misuse of #[syscall] does not compile: compile each case of
# scripts/test/fixtures/syscall-misuse.rs as kernel/hello.rs was compiled, and
# compare the compiler's messages and their positions with those that the case
# expects. The last line is 'N passed, N failed'.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

load_toolchain

cases=$TOP/scripts/test/fixtures/syscall-misuse.rs
out=$(kernel_dir)
[ -r "$out/kernel/.hello.o.cmd" ] || die "$out has no kernel/hello.o: run 'make kernel' first"
work=$(mktemp -d)
at_exit "rm -rf '$work'"

# The command that compiled kernel/hello.rs, without the file.
sed -n '1{
	s/^[^=]*:= //
	s/ ; .*//
	s/ --emit=[^ ]*//g
	s/ [^ ]*kernel\/hello\.rs//
	p
}' "$out/kernel/.hello.o.cmd" >"$work/command"

# Write each case to a file of its own, below what all cases use.
awk -v dir="$work" '
/^\/\/: / {
	if (file)
		close(file)
	file = sprintf("%s/%02d.rs", dir, ++n)
	print "//! " substr($0, 5) > file
	print "use kernel::{prelude::*, syscall::User};" > file
	next
}
file { print > file }
' "$cases"

for case in "$work"/*.rs; do
	title=$(sed -n '1s/^\/\/! //p' "$case")
	said=$(cd "$out" && RUSTC_BOOTSTRAP=1 sh -c "$(cat "$work/command") --error-format=short --cap-lints=allow \
		--emit=metadata=$work/out.rmeta '$case'" 2>&1) || :

	# Each expected error must be at its LINE:COLUMN, and there must be no other.
	if problem=$(printf '%s\n' "$said" | awk -v case="$case" '
		BEGIN {
			while ((getline line < case) > 0) {
				n++
				if (line !~ /^\/\/~ /) {
					last = line
					at = n
					continue
				}
				split(substr(line, 5), part, " ~ ")
				wanted[at ":" index(last, part[1])] = part[2]
			}
		}
		/^error: aborting/ { next }
		/(^|: )error/ {
			place = $0
			sub(/^.*\.rs:/, "", place)
			sub(/: error.*/, "", place)
			if (!(place in wanted))
				problem = problem "\n\tunexpected: " $0
			else if (index($0, wanted[place]))
				found[place] = 1
		}
		END {
			for (place in wanted)
				if (!(place in found))
					problem = problem "\n\tmissing: " place ": " wanted[place]
			print problem
			exit problem != ""
		}'); then
		passed=$((passed + 1))
		echo "ok $title"
	else
		failed=$((failed + 1))
		echo "not ok $title$problem"
	fi
done

[ $((passed + failed)) -gt 0 ] || die "$cases holds no case"
total
