#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: own-syscall.sh
#
# Follow Documentation/rust/own-syscall.rst of build/linux to the letter, on a copy
# of that tree and of its x86-64 kernel. Each code block of the page is carried out:
# a "sh" block is run, a "diff" block goes to patch, and a "console" block is a
# session in a guest, which must give the output that the page shows. The first
# failure ends the test. The last line is 'N passed, N failed'.

. "$(dirname "$0")/../lib/lib.sh"
[ $# = 0 ] || misused

ARCH=x86_64 CONFIG=lean
load_toolchain
page=$TREE/Documentation/rust/own-syscall.rst
kernel=$(kernel_dir)
[ -r "$page" ] || die "build/linux has no ${page#"$TREE/"}"
[ -r "$kernel/vmlinux" ] || die "there is no ${kernel#"$TOP/"}/vmlinux: run 'make kernel' first"
with_lock
need_space "$BUILD" 4000 "a copy of build/linux and its kernel"

# Always the same place, for ccache.
work=$BUILD/.own-syscall
at_exit "rm -rf '$work'"
rm -rf "$work"

# copy: copy the tree and the kernel, and change the paths in its .cmd files, so that make
# rebuilds only what the page changes.
copy() {
	mkdir -p "$work/linux" "$work/blocks"
	tar -C "$TREE" --exclude=./.git -c . | tar -C "$work/linux" -x
	cp -a "$kernel" "$work/kernel"
	find "$work/kernel" -name '*.cmd' -print0 |
		xargs -0 sed -i "s|$kernel\\>|$work/kernel|g; s|$TREE\\>|$work/linux|g"
}

# blocks: write each code block of the page to NUMBER.LANGUAGE, without indentation.
blocks() {
	awk -v dir="$work/blocks" '
	/^\.\. code-block:: / {
		file = sprintf("%s/%02d.%s", dir, ++n, $3)
		blank = 0
		getline
		next
	}
	/^[^ ]/ { file = "" }
	file && /^$/ { blank++ }
	file && /^ / {
		for (; blank; blank--)
			print "" > file
		print substr($0, 4) > file
	}' "$page"
}

# shell BLOCK: run its commands, with make's variables as for the kernel.
shell() (
	cd "$work/linux" || exit
	MAKEFLAGS="-j$JOBS -- $(kvariables "$work/kernel" | sed 's/ /\\ /g' | paste -sd' ')"
	export MAKEFLAGS
	sh -eu "$1"
)

# session BLOCK: run in a guest what follows the prompts, and compare the output.
session() {
	cat >"$work/type" <<-'END'
	#!/bin/sh
	cd /guest || exit
	while IFS= read -r line; do
		case $line in
		'# Totals: '*) ;; # says a test, though it looks like a prompt
		'# '*) printf '%s\n' "$line"; sh -c "${line#??}" ;;
		esac
	done </session
	END
	chmod +x "$work/type"
	"$TOP/scripts/build/initramfs.sh" "$work/initramfs" "$work/type:/work" "$1:/session" "$work/guest:/guest" &&
		"$TOP/scripts/guest/qemu.sh" "$work/kernel" "$work/initramfs" >"$work/said" &&
		diff -u "$1" "$work/said"
}

# carry_out BLOCK
carry_out() {
	case $1 in
	*.sh) shell "$1" ;;
	# With an offset, patch leaves a file.orig, which "git add -A" takes.
	*.diff) _said=$(patch -d "$work/linux" -p1 -F0 <"$1") && echo "$_said" && [ "${_said##*offset*}" ] ;;
	*.console) session "$1" ;;
	*) echo "unknown kind of block"; return 1 ;;
	esac
}

copy
blocks
for block in "$work"/blocks/*; do
	name=${block##*/}
	began=$(date +%s)
	isolated carry_out "$block" >"$work/log" 2>&1 </dev/null
	if [ "$status" = 0 ]; then
		pass
		echo "ok $name ($(($(date +%s) - began)) s): $(sed q "$block")"
	else
		fail "$name"
		sed 's/^/    /' "$block"
		tail -n 40 "$work/log"
		break
	fi
done
total
