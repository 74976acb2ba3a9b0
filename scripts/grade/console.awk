# SPDX-License-Identifier: GPL-2.0
#
# Which rows the kernel's console fails: each report in it, by the patterns of "reports".
# When the guest's work came to its end (ended), a row that such a report can fail, and that
# none does, passes. Otherwise "sound" fails, too, with how the guest ended. A stall of RCU
# is no report: a busy machine causes them, and what never ends is stopped.

FNR == NR {
	if (!/^#/ && split($0, field, "\t") == 2) {
		row[++rows] = field[1]
		pattern[rows] = field[2]
	}
	next
}

{
	line = $0
	sub(/^\[ *[0-9.]+\](\[ *[TC][0-9]+\])? ?/, "", line)
}

# The groups of tests say where they begin.
index(line, "grade " nonce ": ") == 1 { during = substr(line, length(nonce) + 9); next }

line ~ /^\*\* [0-9]+ printk messages dropped/ {
	if (!("sound" in found))
		found["sound"] = "the kernel logs faster than its console prints, and messages are lost: log less"
}

line ~ /^(BUG[: ]|WARNING:|INFO: |Kernel panic|Oops|kernel BUG at|general protection fault|double fault|stack segment|invalid opcode|divide error|Voluntary context switch|UBSAN|KASAN:|refcount_t:|list_(add|del) corruption|unreferenced object|DEBUG_LOCKS_WARN_ON|kmemleak: [0-9]+ new)/ ||
line ~ /^[^ ]*: ?(sleeping function called|scheduling while atomic)/ {
	# The first of several lines of one report says most.
	if (last && FNR - last < 6 || dead && line ~ /^Kernel panic/)
		next
	last = FNR
	text = line
	for (i = 1; i <= rows; i++)
		if (line ~ pattern[i])
			break
	if (line ~ /^Oops|^Kernel panic|^general protection|^BUG: (unable|kernel NULL)/)
		dead = 1
	id = i <= rows ? row[i] : "sound"
	if (!(id in found))
		found[id] = (during ? "during \"" during "\": " : "") text
	# The test whose group it was shows it, too.
	if (during == "unknown" || during == "race")
		if (!(during in found))
			found[during] = text
}

END {
	if (!(ended + 0) && !("sound" in found))
		found["sound"] = "the guest " how (during ? ", in \"" during "\"" : "")
	for (id in found)
		print id, "fail", substr(found[id], 1, 250)
	row[rows + 1] = "sound"
	for (i = 1; i <= rows + 1; i++)
		if (ended + 0 && !(row[i] in found))
			print row[i], "pass"
}
