# SPDX-License-Identifier: GPL-2.0
#
# Judge the results of `make bench`. The first file has budgets, the second a line
# 'COLUMN<tab>CASE<tab>TICKS' for each result. Print a table, what exceeds its budget, and
# 'N passed, N failed'.

BEGIN {
	split("base off idle others tracked tracked-64 traceable +tracked +event +kprobe by-name by-name-64", columns)
	for (n = 1; n in columns; n++)
		;
}

FNR == NR {
	if ($0 ~ /^[^#]/)
		budget[++budgets] = $0
	next
}

{
	split($0, field, "\t")
	if (!(field[2] in seen)) {
		seen[field[2]] = 1
		cases[++count] = field[2]
	}
	# Anything else is as good as not measured.
	if (field[3] ~ /^[0-9]+(\.[0-9]+)?$/)
		value[field[1], field[2]] = field[3]
}

function number(column, name) {
	return (column, name) in value ? value[column, name] : "-"
}

# matches NAME GLOB: names have no other characters special in regular expressions.
function matches(name, glob) {
	gsub(/\*/, ".*", glob)
	return name ~ "^" glob "$"
}

function judge(line, name,   word, minus, limit, what, got) {
	split(line, word, " ")
	minus = word[3] == "-" ? word[4] : ""
	limit = word[minus ? 5 : 3]
	what = name ": " word[2] (minus ? " - " minus : "")

	if (!((word[2], name) in value) || (minus && !((minus, name) in value))) {
		print "FAIL " what ": not measured"
		failed++
		return
	}
	got = value[word[2], name] - (minus ? value[minus, name] : 0)
	if (sub(/^>=/, "", limit) ? got < limit + 0 : got > limit + 0) {
		print "FAIL " what " is " got ", the limit is " limit
		failed++
	} else
		passed++
}

END {
	printf "%-24s", arch
	for (c = 1; c < n; c++)
		printf "%12s", columns[c]
	print ""
	for (i = 1; i <= count; i++) {
		printf "%-24s", cases[i]
		for (c = 1; c < n; c++)
			printf "%12s", number(columns[c], cases[i])
		print ""
	}
	print ""

	for (b = 1; b <= budgets; b++) {
		found = 0
		split(budget[b], word, " ")
		for (i = 1; i <= count; i++)
			if (matches(cases[i], word[1])) {
				found = 1
				judge(budget[b], cases[i])
			}
		if (!found) {
			print "FAIL " word[1] ": not measured"
			failed++
		}
	}
	print passed + 0 " passed, " failed + 0 " failed"
	exit failed > 0
}
