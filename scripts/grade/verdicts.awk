# SPDX-License-Identifier: GPL-2.0
#
# From a rubric, the authors, and lines "id pass|fail text" make the verdicts: the files
# verdicts, feedback.txt, result.json and gradescope.json in the folder out.

# The text is UTF-8. To gawk 5.2 pass no element of an array that may not be there.
function json(text,    i, c, out) {
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == "\\" || c == "\"")
			out = out "\\" c
		else
			out = out (c ~ /[\001-\037]/ ? "?" : c)
	}
	return "\"" out "\""
}

FILENAME == ARGV[1] {
	if (/^#/ || NF < 5)
		next
	ids[++n] = $1
	points[$1] = $2
	kind[$1] = $3
	after[$1] = $4
	$1 = $2 = $3 = $4 = ""
	sub(/^ +/, "")
	text[ids[n]] = $0
	next
}

FILENAME == ARGV[2] { authors = authors (authors ? ", " : "") $0; next }

# A row that fails once has failed.
$1 in kind && ($2 == "pass" || $2 == "fail") {
	if (result[$1] == "fail")
		next
	result[$1] = $2
	_id = $1
	$1 = $2 = ""
	sub(/^ +/, "")
	detail[_id] = $0
}

END {
	for (i = 1; i <= n; i++) {
		id = ids[i]
		blocked = ""
		m = after[id] == "-" ? 0 : split(after[id], before, ",")
		for (j = 1; j <= m && !blocked; j++)
			if (verdict[before[j]] != "pass")
				blocked = before[j]
		if (result[id] == "fail" && verdict["boot"] != "fail")
			verdict[id] = blocked ? "blocked by " blocked : "fail"
		else if (blocked)
			verdict[id] = "blocked by " blocked
		else if (kind[id] == "human")
			verdict[id] = "human"
		else if (result[id])
			verdict[id] = result[id]
		else if (result["sound"] == "fail" && id != "boot" && id != "build" && id != "apply") {
			verdict[id] = "fail"
			detail[id] = "the guest ended before: " detail["sound"]
		} else {
			verdict[id] = "fail"
			if (id == "boot")
				detail[id] = detail["sound"]
		}
		if (verdict[id] == "pass")
			got[id] = points[id]
		if (kind[id] == "required") {
			most += points[id]
			sum += got[id]
		} else if (kind[id] == "bonus") {
			most_bonus += points[id]
			bonus += got[id]
		} else if (verdict[id] == "human")
			open += points[id]
	}

	file = out "/feedback.txt"
	printf "%s, exercise %s%s\n\n", ID, name, authors ? ", by " authors : "" >file
	printf "required  %d of %d points\nbonus     %d of %d\nopen      %d, for a human to give\n\n", \
		sum, most, bonus, most_bonus, open >file
	for (i = 1; i <= n; i++) {
		id = ids[i]
		printf "%-14s%d of %d, %s: %s\n%14s%s%s\n", id, got[id], points[id], kind[id], verdict[id], "", \
			text[id], (detail[id] ? ": " detail[id] : "") >file
	}
	print "\nWhat was built and what the guest said is in the folder log. Plagiarism is not looked\n" \
		"for here: the series that this exercise comes from is a public solution." >file

	file = out "/verdicts"
	for (i = 1; i <= n; i++)
		print ids[i] "\t" got[ids[i]] + 0 "\t" points[ids[i]] "\t" kind[ids[i]] "\t" verdict[ids[i]] "\t" detail[ids[i]] >file

	file = out "/result.json"
	printf "{\"version\": 1, \"exercise\": %s, \"id\": %s, \"authors\": %s, \"seconds\": %d, " \
		"\"required\": %d, \"required_of\": %d, \"bonus\": %d, \"bonus_of\": %d, \"open\": %d, \"rows\": [", \
		json(name), json(ID), json(authors), seconds, sum, most, bonus, most_bonus, open >file
	for (i = 1; i <= n; i++) {
		id = ids[i]
		printf "%s\n {\"id\": %s, \"kind\": %s, \"points\": %d, \"of\": %d, \"verdict\": %s, \"text\": %s, \"detail\": %s}", \
			(i > 1 ? "," : ""), json(id), json(kind[id]), got[id], points[id], json(verdict[id]), json(text[id]), json(detail[id] "") >file
	}
	print "\n]}" >file

	file = out "/gradescope.json"
	printf "{\"score\": %d, \"output\": %s, \"tests\": [", sum + bonus, \
		json("exercise " name ": required " sum " of " most ", bonus " bonus " of " most_bonus) >file
	for (i = 1; i <= n; i++) {
		id = ids[i]
		if (kind[id] == "human")
			continue
		printf "%s\n {\"name\": %s, \"score\": %d, \"max_score\": %d, \"output\": %s, \"visibility\": \"visible\"}", \
			(m_out++ ? "," : ""), json(id ": " text[id]), got[id], points[id], json(verdict[id] (detail[id] ? ": " detail[id] : "")) >file
	}
	print "\n]}" >file
}

