# SPDX-License-Identifier: GPL-2.0
#
# From lines "SUITE TEST<TAB>COLUMN<TAB>RESULT", how a test has ended on one of the kernels
# of make suites, make the table and its sum. A test that did not run on one of them, or
# that ended in another way, has failed.
#
# usage: awk -f suites.awk RESULTS

BEGIN { FS = "\t" }

!($1 in tests) { tests[$1]; order[++n] = $1 }
{
	result[$1, $2] = result[$1, $2] ? result[$1, $2] ", " $3 : $3
	sub(/ .*/, "", $1)
	if (!($1 in suites)) { suites[$1]; suite[++m] = $1 }
	ran[$1, $2]++
	if ($3 ~ /^ok/)
		ok[$1, $2]++
}
END {
	for (i = 1; i <= n; i++) {
		base = result[order[i], "base"]; series = result[order[i], "series"]; tracked = result[order[i], "tracked"]
		if (base != "" && base == series && base == tracked) {
			same++
			continue
		}
		printf "FAIL %s: base %s, series %s, tracked %s\n", order[i], base, series, tracked
	}
	printf "%-12s%20s%20s%20s\n", "passed", "base", "series", "tracked"
	for (i = 1; i <= m; i++) {
		printf "%-12s", suite[i]
		for (j = 1; j <= split("base series tracked", columns, " "); j++)
			printf "%20s", ok[suite[i], columns[j]] + 0 " of " ran[suite[i], columns[j]] + 0
		print ""
	}
	print same + 0 " passed, " n - same " failed"
}
