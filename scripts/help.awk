# SPDX-License-Identifier: GPL-2.0
# Print the targets of a Makefile: '##@ Heading' lines and 'target: ... ## text' lines.
BEGIN { FS = ":[^#]*## " }
/^##@ / { printf "%s%s\n", (n++ ? "\n" : ""), substr($0, 5) }
/^[a-z][a-z-]*:[^#]*## / { printf "  make %-11s %s\n", $1, $2 }
END {
	print "\nVariables"
	print "  ARCH=x86_64|i386     CONFIG=lean|defconfig|running|FILE     JOBS=N"
	print "  LINUX=dir            build on a tree of your own (never modified)"
	print "  LINUX_TARBALL=file   build on a kernel tarball of your own"
	print "  HANDOUT=1            the numbers and programs of the handouts (run, test, shell)"
	print "  KVM=on|off           do not probe, use or leave KVM"
	print "  V=1                  show all output"
}
