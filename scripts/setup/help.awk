# SPDX-License-Identifier: GPL-2.0
# Print the targets of a Makefile: '##@ Heading' lines and 'target: ... ## text' lines.
BEGIN { FS = ":[^#]*## " }
/^##@ / { printf "%s%s\n", (n++ ? "\n" : ""), substr($0, 5) }
/^[a-z][a-z-]*:[^#]*## / { printf "  make %-11s %s\n", $1, $2 }
END {
	print "\nVariables"
	print "  ARCH=x86_64|i386     CONFIG=lean|defconfig|running|NAME|FILE     JOBS=N"
	print "  PROG=file.c|file.rs  run: your program, as /program in the guest"
	print "  CMD='command'        run: this in the guest, with PROG= or without"
	print "  ADD='path...'        shell: put files and folders into the guest"
	print "  TESTS='pattern...'   test: these programs or tests only, as in 'cow_* make_vcpu.*'"
	print "  MODES='mode...'      test, debug-test: x86_64/x86_64, x86_64/i386, i386/i386"
	print "  HANDOUT=1            the numbers and programs of the handouts (run, test, shell)"
	print "  HANDOUT=NAME         tp4, info0940, xxxhal, modules or new-syscall as an exercise"
	print "  PATCHES=path         grade: these   REPORT=file  submission: with this   ALL=1  grade-test: all"
	print "  LINUX=dir            build on a tree of your own (never modified)"
	print "  LINUX_TARBALL=file   build on a kernel tarball of your own"
	print "  KERNEL_ORG=url       a mirror of kernel.org, if there is no Debian package"
	print "  BUSYBOX=file         a static busybox for the guest, where Debian's cannot be had"
	print "  LLVM=-N|1            which LLVM   RUST_LIB_SRC=dir  the source of Rust's library"
	print "  KVM=on|off           use KVM or not, without probing"
	print "  SMP=N MEM=size       the guest's CPUs and memory   DEADLINE=s  the guest's time limit"
	print "  V=1                  show all output"
}
