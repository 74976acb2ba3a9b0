# SPDX-License-Identifier: GPL-2.0
#
# Print where the code tests a static key, as FROM-TO, five bytes each. The input is
# objdump -s of the kernel's .rodata; -v key=, -v start= and -v stop= are the addresses
# of the key and of the table's symbols.
#
# An entry has three offsets, each relative to its own address: of the code, of the jump's
# target and, with flags in the lowest bits, of the key. The key's offset is as wide as an
# address. Everything is in the uppermost 2 GiB, or addresses have 32 bits: the lower 32
# bits are enough.

function number(hex,   i, value) {
	for (i = 1; i <= length(hex); i++)
		value = value * 16 + index("123456789abcdef", substr(hex, i, 1))
	return value
}

function low(hex) {
	return number(substr(hex, length(hex) < 8 ? 1 : length(hex) - 7))
}

function swapped(hex) {
	return substr(hex, 7, 2) substr(hex, 5, 2) substr(hex, 3, 2) substr(hex, 1, 2)
}

BEGIN {
	width = length(key) == 16 ? 4 : 3
	high = width == 4 ? substr(key, 1, 8) : ""
	key = low(key)
	start = low(start)
	stop = low(stop)
}

/^ [0-9a-f]+ [0-9a-f]/ && low($1) + 16 > start && low($1) < stop {
	sub(/  .*/, "")
	for (i = 2; i <= NF; i++) {
		at = low($1) + 4 * (i - 2)
		if (at < start || at >= stop)
			continue
		to[n % width] = (at + number(swapped($i))) % 4294967296
		if (n % width == 2 && to[2] - to[2] % 4 == key)
			printf "%s%08x-%s%08x\n", high, to[0], high, to[0] + 5
		n++
	}
}
