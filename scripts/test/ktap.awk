# SPDX-License-Identifier: GPL-2.0
#
# Judge KTAP, as kselftest ("# " before nested lines) or KUnit (four spaces)
# writes it. Stricter than most: a test counts as passed only when it says so,
# under a plan that is there and complete.
#
#	awk -f ktap.awk -v mode=MODE [-v list=FILE] [-v skips=FILE] [-v junit=FILE] OUTPUT
#
# list:  COLLECTION:PROGRAM lines: what must have run (kselftest-list.txt), or PROGRAM.TEST
# skips: the skips that are expected: MODE (a regular expression) PROGRAM.TEST REASON
# junit: where to write the results as JUnit's XML
#
# Each failure is shown with what the test said; the last line is the sum.

function fail(what, details) {
	failed++
	print "FAIL " mode ": " what
	printf "%s", details
	record(substr(what, 1, match(what ":", /:( |$)/) - 1), "failure", what, details)
}

# For JUnit: the result of a test that did not pass, if a KIND is given.
function record(id, kind, message, details) {
	cases = cases "\t<testcase classname=\"" xml(mode) "\" name=\"" xml(id) "\">" (kind ? \
		"<" kind " message=\"" xml(message) "\">" xml(details) "</" kind ">" : "") "</testcase>\n"
}

function xml(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	gsub(/"/, "\\&quot;", text)
	gsub(/[^\t\n -~]/, "?", text)
	return text
}

# A level of nesting begins.
function open(d) {
	opened[d] = 1
	plan[d] = -1
	seen[d] = 0
}

# A level ends: its plan must have been kept.
function finish(d) {
	if (!opened[d])
		return
	finish(d + 1)
	if (plan[d] < 0)
		fail(where(d) "there is no plan")
	else if (seen[d] != plan[d])
		fail(where(d) seen[d] " results, but " plan[d] " were planned")
	opened[d] = 0
}

function where(d) {
	return d ? program ": " : ""
}

# Is this skip in the list? Then the list's reason is why.
function listed(id,   i) {
	for (i = 1; i <= rows; i++)
		if (row_id[i] == id) {
			used[i] = 1
			skipped++
			print "skip " mode ": " id ": " row_reason[i]
			record(id, "skipped", row_reason[i])
			return 1
		}
	return 0
}

function result(d, text,   ok, number, name, directive, id, leaf) {
	leaf = !opened[d + 1] || !seen[d + 1]
	finish(d + 1)
	if (!opened[d])
		open(d)
	ok = text !~ /^not /
	sub(/^(not )?ok /, "", text)
	number = text + 0
	sub(/^[0-9]+ ?(- )?/, "", text)
	if (match(tolower(text), / *# *(skip|xfail|todo|timeout|exit=)/)) {
		directive = substr(text, RSTART)
		name = substr(text, 1, RSTART - 1)
		sub(/^ *# */, "", directive)
	} else
		name = text
	sub(/ +$/, "", name)

	seen[d]++
	if (number != seen[d])
		fail(where(d) "result " seen[d] " (" name ") has the number " number)
	if (d == 0) {
		program = name
		sub(/^selftests: [^:]*: /, "", program)
		sub(/^selftests: /, "", name)
		sub(/: /, ":", name)
		ran[name] = 1
	}
	id = d ? program "." name : program
	ran[id] = 1

	if (tolower(directive) ~ /^(skip|xfail|todo)/) {
		# Of a program whose tests are skipped, they say why.
		if (leaf && !listed(id)) {
			fail(id ": " directive, said)
			if (!ok)
				failed_below[d] = 1
		}
	} else if (!ok) {
		failed_below[d] = 1
		# What its own tests say is not said twice.
		if (leaf || !failed_below[d + 1] || directive ~ /^TIMEOUT/)
			fail(id (directive ? ": " directive : ""), said)
	} else if (!d && leaf)
		fail(id ": gave no results of its own")
	else if (leaf) {
		passed++
		record(id)
	}
	failed_below[d + 1] = 0
	said = ""
	lines = 0
}

BEGIN {
	while (skips && (more = (getline line < skips)) > 0) {
		if (line ~ /^(#|[ \t]*$)/)
			continue
		n = split(line, field)
		if (mode !~ "^(" field[1] ")$")
			continue
		row_id[++rows] = field[2]
		sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]*/, "", line)
		row_reason[rows] = line
		if (line == "")
			fail(skips ": " field[2] ": a skip without a reason")
	}
	if (more < 0)
		fail(skips ": cannot be read")
}

{
	sub(/\r$/, "")
	text = $0
	depth = 0
	while (match(text, /^(# |    )/)) {
		text = substr(text, RLENGTH + 1)
		depth++
	}
}

text ~ /^K?TAP version / {
	finish(depth)
	open(depth)
	next
}

text ~ /^1\.\.[0-9]+/ {
	if (!opened[depth])
		open(depth)
	if (plan[depth] >= 0)
		fail(where(depth) "a second plan: " text)
	plan[depth] = substr(text, 4) + 0
	# "1..0 # SKIP": the program's own result, which follows, says skip, too.
	next
}

text ~ /^(not )?ok [0-9]+/ {
	result(depth, text)
	next
}

text ~ /^Bail out!/ {
	fail(where(depth) text)
	next
}

depth && text ~ /^selftests: [^ :]+: / {
	program = text
	sub(/^selftests: [^:]*: /, "", program)
	said = ""
	lines = 0
	next
}

depth && text ~ /^Subtest: / {
	program = substr(text, 10)
}

{
	if (++lines <= 40)
		said = said "    " text "\n"
}

END {
	if (!opened[0])
		fail("no KTAP at all")
	finish(0)
	for (n = 0; list && (getline line < list) > 0; n++)
		if (!(line in ran))
			fail(line ": did not run")
	if (list && !n)
		fail(list ": is empty or cannot be read")
	for (i = 1; i <= rows; i++)
		if (!used[i])
			fail(skips ": " row_id[i] ": listed as a skip, but not skipped")
	printf "%s: %d passed, %d failed, %d skipped as listed\n", mode, passed, failed, skipped
	if (junit)
		printf "<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" skipped=\"%d\">\n%s</testsuite>\n",
			xml(mode), passed + failed + skipped, failed, skipped, cases >junit
	exit failed > 0
}
