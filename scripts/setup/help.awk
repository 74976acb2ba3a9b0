# SPDX-License-Identifier: GPL-2.0
# Print the help in a Makefile: '##@ Heading', 'target: ... ## text' and '## text' lines.
BEGIN { FS = ":[^#]*## " }
/^##@ / { printf "%s%s\n", (n++ ? "\n" : ""), substr($0, 5) }
/^[a-z][a-z-]*:[^#]*## / { printf "  make %-11s %s\n", $1, $2 }
/^## / { print "  " substr($0, 4) }
