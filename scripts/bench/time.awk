# SPDX-License-Identifier: GPL-2.0
#
# Compare the times of `make bench BENCH=time`. Each line of the input is
# 'COLUMN<tab>CASE<tab>TICKS<tab>ROUND'. For each case, print the median of the first kernel
# that has it, and each column's as a ratio to that of the column it is compared with; in
# brackets, the lowest and the highest ratio of a round. The last line is
# 'N passed, N failed': how many ratios have a time from each of the rounds (-v rounds=N).

BEGIN {
	FS = "\t"
	split("off/base idle/off others/off tracked/off tracked-64/off tracked/idle", pairs, " ")
	for (n = 1; n in pairs; n++)
		;
}

# What is not measured in ticks, and what the TSC had before the kernel began.
$2 ~ /^(text|boot|memory\/.*)$/ { next }

{
	if (!($2 in seen)) {
		seen[$2] = 1
		cases[++count] = $2
	}
	ticks[$1, $2, $4] = $3
	seen[$1, $2]++
}

# median COLUMN CASE
function median(column, name,   r, i, v, sorted) {
	for (r = 1; r <= rounds; r++) {
		v = ticks[column, name, r] + 0
		for (i = r; i > 1 && sorted[i - 1] > v; i--)
			sorted[i] = sorted[i - 1]
		sorted[i] = v
	}
	return (sorted[int((rounds + 1) / 2)] + sorted[int(rounds / 2) + 1]) / 2
}

# ratio COLUMN BASE CASE: as text
function ratio(column, base, name,   r, one, least, most) {
	if (!seen[column, name] || !seen[base, name])
		return "-"
	for (r = 1; r <= rounds; r++) {
		if (!ticks[column, name, r] || !ticks[base, name, r]) {
			lacking = lacking "FAIL " name ": " column "/" base ": not measured in round " r "\n"
			failed++
			return "?"
		}
		one = ticks[column, name, r] / ticks[base, name, r]
		if (r == 1 || one < least)
			least = one
		if (r == 1 || one > most)
			most = one
	}
	passed++
	return sprintf("%.3f (%.2f-%.2f)", median(column, name) / median(base, name), least, most)
}

END {
	printf "%-24s%12s", arch, "ticks"
	for (p = 1; p < n; p++)
		printf "%20s", pairs[p]
	print ""
	for (i = 1; i <= count; i++) {
		name = cases[i]
		first = seen["base", name] ? "base" : seen["off", name] ? "off" : seen["idle", name] ? "idle" : "tracked"
		printf "%-24s%12s", name, name ~ /^speedup/ ? median(first, name) / 1000 : int(median(first, name))
		for (p = 1; p < n; p++) {
			split(pairs[p], pair, "/")
			printf "%20s", ratio(pair[1], pair[2], name)
		}
		print ""
	}
	print ""
	printf "%s", lacking
	print passed + 0 " passed, " failed + 0 " failed"
	exit failed > 0
}
