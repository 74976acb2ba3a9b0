#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The work of a guest that grades. /tests/run has one group of tests a line; each is a
# run of /tests/test, and is ended when it takes too long. The nonce, without which no
# line is a verdict, is where the submission's program does not find it.

nonce=$(cat /nonce)
rm /nonce
[ ! -e /grade.ko ] || insmod /grade.ko
echo "$nonce boot pass $(uname -r)"

# program SEED: the submission's own. It has to end, and to make the kernel log something.
program() {
	[ -x /user ] || { echo "$nonce program fail there is no program in user/"; return; }
	dmesg -c >/dev/null
	timeout 60 /user "exercise $1" </dev/null >/tmp/output 2>&1
	status=$?
	# A message that ends without a newline is there once another one follows.
	echo '<6>grade' >/dev/kmsg
	# Without what programs write to /dev/kmsg.
	dmesg -r | grep -vE '^<([89]|[1-9][0-9]+)>' >/tmp/logged
	head -c 2000 /tmp/output | sed 's/^/program: /'
	if grep -q "exercise $1" /tmp/logged; then
		echo "$nonce argument pass"
	else
		echo "$nonce argument fail the log has not the argument that it was given"
	fi
	if [ $status = 143 ] || [ $status = 137 ] || [ $status = 124 ]; then
		echo "$nonce program fail it does not end"
	elif [ ! -s /tmp/logged ]; then
		echo "$nonce program fail it ends with $status, and the kernel has logged nothing meanwhile"
	else
		echo "$nonce program pass it ends with $status; lines logged: $(wc -l </tmp/logged)"
	fi
}

# tester: a course's own; what it says is for whoever grades.
tester() {
	status=0
	timeout 120 /tester </dev/null >/tmp/output 2>&1 || status=$?
	head -c 20000 /tmp/output | sed 's/^/tester: /'
	if [ $status = 0 ]; then
		echo "$nonce tester pass it ends with 0"
	else
		echo "$nonce tester fail it ends with $status"
	fi
}

# glibc would make the call 386 of i386, rseq, for itself.
export GLIBC_TUNABLES=glibc.pthread.rseq=0
while read -r group seed; do
	case $group in
	program) program "$seed" ;;
	*)
		echo "$nonce" | timeout 150 /tests/test "$group" "$seed" || echo "$group ended with $?" ;;
	esac
	sleep 1
done </tests/run
[ ! -x /tester ] || tester
echo "$nonce end pass"
