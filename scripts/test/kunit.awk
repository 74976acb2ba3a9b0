# SPDX-License-Identifier: GPL-2.0
#
# KUnit's report out of a console log: awk -f kunit.awk console.log

{
	sub(/\r$/, "")
	sub(/^\[ *[0-9.]*\](\[ *[TC][0-9]*\])? /, "")
}

/^KTAP version/ {
	on = 1
}

on && /^ *(KTAP version |1\.\.[0-9]|(not )?ok [0-9]|# )/
