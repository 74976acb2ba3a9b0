# SPDX-License-Identifier: GPL-2.0
#
# Draw the results of `make bench` as SVG: what each way to count adds to a fault. Each line
# of the input is 'COLUMN<tab>CASE<tab>TICKS'.

BEGIN {
	FS = "\t"
	split("off idle,off others,off tracked,off tracked-64,traceable +event," \
		"traceable +kprobe,off by-name,off by-name-64", bars, ",")
	text["idle"] = "nothing is tracked"
	text["others"] = "another name is tracked"
	text["tracked"] = "tracked"
	text["tracked-64"] = "tracked, among 64 names"
	text["+event"] = "tracked, each fault traced"
	text["+kprobe"] = "kprobe with a histogram"
	text["by-name"] = "list with one name"
	text["by-name-64"] = "list with 64 names"
}

$2 == "copy/near/16" { ticks[$1] = $3 }

END {
	for (n = 1; n in bars; n++) {
		split(bars[n], column, " ")
		name[n] = column[2]
		added[n] = ticks[column[2]] - ticks[column[1]]
		if (added[n] > most)
			most = added[n]
	}
	height = 26 * n + 20
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 %d\" " \
		"font-family=\"sans-serif\" font-size=\"13\">\n", height
	print "<!-- SPDX-License-Identifier: GPL-2.0 -->"
	printf "<rect width=\"640\" height=\"%d\" fill=\"white\"/>\n", height
	printf "<text x=\"10\" y=\"22\" font-weight=\"bold\">Instructions added to a fault that copies a page " \
		"(%s: %d without)</text>\n", arch, ticks["off"]
	for (i = 1; i < n; i++) {
		y = 26 * i + 12
		width = added[i] > 0 ? 340 * added[i] / most : 0
		printf "<text x=\"210\" y=\"%d\" text-anchor=\"end\">%s</text>\n", y + 15, text[name[i]]
		printf "<rect x=\"218\" y=\"%d\" width=\"%.1f\" height=\"18\" fill=\"%s\"/>\n", y + 1, width,
			name[i] ~ /^(\+k|by)/ ? "#c66" : "#369"
		printf "<text x=\"%.1f\" y=\"%d\">%+d</text>\n", 224 + width, y + 15, added[i]
	}
	print "</svg>"
}
