#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run the handouts' programs, dynamic and static, and check what they print, how
# they exit, and what they leave in the kernel log.

DIR="$(dirname "$(readlink -f "$0")")"
. "$DIR"/../../kselftest/ktap_helpers.sh
cd "$DIR" || exit "$KSFT_FAIL"

marks=0
right=true

# run COMMAND...: sets output, status, and log, which is what the kernel logs.
run() {
	marks=$((marks + 1))
	mark="handouts.sh $$.$marks"
	echo "$mark" >/dev/kmsg
	output=$("$@" 2>&1)
	status=$?
	log=$(dmesg | awk -v mark="$mark" 'on; index($0, mark) { on = 1 }' |
		sed 's/^\[ *[0-9.]*\]\(\[ *[TC][0-9]*\]\)* //')
}

# fails WHAT: reports that an expectation did not hold.
fails() {
	right=false
	printf '%s\n' "$1" "status: $status" "output: $output" "log: $log" | sed 's/^/# /'
}

prints() {
	[ "$output" = "$1" ] || fails "should print: $1"
}

ends_with() {
	[ "$status" = "$1" ] || fails "should end with status $1"
}

logs() {
	printf '%s\n' "$log" | grep -qxF -- "$1" || fails "should log: $1"
}

# The kernel must not log anything for this.
logs_nothing() {
	! printf '%s\n' "$log" | grep -qE '^(\[INFO940\]|Hello World|xxxhal|make_vcpu)' ||
		fails "should log nothing"
}

# test_result NAME: reports all expectations since the last test_result.
test_result() {
	ktap_test_result "$1" $right
	right=true
}

# refuses NAME PROGRAM...: it must name the missing option and make no call.
refuses() {
	test=$1
	shift
	run "$@"
	case $output in
	*"turn on CONFIG_X86_HANDOUT_SYSCALL_NRS") ;;
	*) fails "should name the option" ;;
	esac
	ends_with 1
	logs_nothing
	test_result "$test"
}

test_hello() {
	for program in hello hello_checked; do
		run ./$program$kind
		prints 'System call sys_hello returned 0'
		ends_with 0
		logs "Hello World, i'm sys_hello with arg: 42"
		test_result "$program$kind"
	done
}

test_xxxhal() {
	for program in test test_checked; do
		run ./$program$kind 'Hello World!'
		prints 'Making system call with "Hello World!".
System call returned 0.'
		ends_with 0
		logs 'xxxhal syscall called with "Hello World!"'
		test_result "$program$kind"

		run ./$program$kind
		prints 'Must provide a string to give to system call.'
		ends_with 255
		logs_nothing
		test_result "$program$kind.no_string"
	done

	long=$(printf '%300s' x)
	run ./test$kind "$long"
	prints "Making system call with \"$long\".
System call returned -1."
	ends_with 255
	logs_nothing
	test_result "test$kind.long_string"

	run ./test_checked$kind "$long"
	prints "Making system call with \"$long\".
xxxhal: Bad address"
	ends_with 1
	logs_nothing
	test_result "test_checked$kind.long_string"
}

test_make_vcpu() {
	run ./make_vcpu$kind
	pid=$(printf '%s\n' "$output" | sed -n '1s/.*(\([0-9]*\)).*/\1/p')
	ends_with 0
	logs "make_vcpu: 5 threads of process $pid marked"
	output=$(printf '%s\n' "$output" |
		sed 's/([0-9]*)/(N)/; s/thread [0-9]*:[[:space:]]*Vcpu:[[:space:]]*/thread N: /')
	prints 'make_vcpu(N) returned 0
thread N: 1
thread N: 1
thread N: 1
thread N: 1
thread N: 1'
	test_result "make_vcpu$kind"
}

# Checks the report on ./cow. $1 is its process id and address.
right_report() {
	maps=$(grep -cv vsyscall "/proc/${1% *}/maps")
	listed=$(printf '%s\n' "$output" | awk -v maps="$maps" -v area="${1#* }" '
	/^Number of VMA       : [0-9]+$/ { vmas = $NF; next }
	/^Number of COW faults: [0-9]+$/ { faults = $NF; next }
	/^ \[[ 0-9][0-9]\]: 0x[0-9a-f]+ - 0x[0-9a-f]+ \(size: 0x[0-9a-f]+\): [0-9]+ cow faults$/ {
		n++
		sum += $(NF - 2)
		if (index($0, "]: " area " - ") && /\(size: 0x10000\): 10 cow faults$/)
			found = 1
		next
	}
	{ odd = 1 }
	END { print vmas == n && vmas == maps && faults == sum && found && !odd }')
	[ "$listed" = 1 ] || fails "should list the mappings of $1"
}

test_tester() {
	run ./tester$kind -o get_info -p cow
	prints 'pf_get_info: the data structure is not initialised'
	ends_with 1
	logs '[INFO940] [ERROR] pf_get_info: data structure not initialised'
	test_result "tester$kind.not_initialised"

	run ./tester$kind -o set_param -p cow
	prints ''
	ends_with 0
	logs_nothing
	test_result "tester$kind.set_param"

	said=$(mktemp)
	./cow >"$said" &
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ ! -s "$said" ] || break
		sleep 1
	done
	run ./tester$kind -o get_info -p cow
	right_report "$(cat "$said")"
	ends_with 0
	logs_nothing
	test_result "tester$kind.get_info"
	kill $!
	rm "$said"

	run ./tester$kind -o get_info -p other
	prints 'pf_get_info: invalid argument'
	ends_with 1
	logs '[INFO940] [ERROR] pf_get_info: invalid argument'
	test_result "tester$kind.other_name"

	run unshare -U ./tester$kind -o cleanup
	prints 'pf_cleanup: Operation not permitted'
	ends_with 1
	logs '[INFO940] [ERROR] pf_cleanup: not permitted'
	test_result "tester$kind.not_permitted"

	run ./tester$kind -o cleanup
	prints ''
	ends_with 0
	logs_nothing
	test_result "tester$kind.cleanup"

	run ./tester$kind -o cleanup
	prints 'pf_cleanup: the data structure is not initialised'
	ends_with 1
	test_result "tester$kind.nothing_to_clean"

	run ./tester$kind -o get_info
	prints 'usage: tester -o set_param|get_info|cleanup [-p NAME]'
	ends_with 2
	logs_nothing
	test_result "tester$kind.usage"
}

# Checks that libc's rseq registration ended as $1, in $2 programs with a thread each.
test_exec() {
	run ./exec$kind "$2"
	prints "rseq: $1"
	ends_with 0
	logs_nothing
	test_result "exec$kind.$2_times${3:-}"
}

ktap_print_header
case $(./hello_checked 2>&1) in
*'not implemented'*)
	ktap_skip_all "no CONFIG_HELLO_SYSCALLS"
	exit "$KSFT_SKIP" ;;
esac
# They ask the kernel. Where its configuration can be read, that must agree.
if [ -x tester ]; then probe='./tester -o get_info -p cow'; else probe='./test_checked probe'; fi
has_numbers=y
case $($probe 2>&1) in *CONFIG_X86_HANDOUT_SYSCALL_NRS*) has_numbers=n ;; esac
if [ -r /proc/config.gz ]; then
	zcat /proc/config.gz | grep -q ^CONFIG_X86_HANDOUT_SYSCALL_NRS=y && should=y || should=n
	ktap_test_result numbers $([ $has_numbers = $should ] && echo true || echo false)
fi
if [ $has_numbers = n ]; then
	# The numbers belong to other calls.
	for kind in '' .static; do
		test_hello
		if [ -x tester ]; then
			refuses "tester$kind" ./tester$kind -o get_info -p cow
		else
			refuses "test_checked$kind" ./test_checked$kind 'Hello World!'
			refuses "make_vcpu$kind" ./make_vcpu$kind
		fi
	done
elif [ -x tester ]; then
	for kind in '' .static; do
		test_hello
		test_tester
	done
	kind=.static
	test_exec failed 100
	kind=
	test_exec failed 1000
	run ./tester -o set_param -p cow
	test_exec failed 100 .while_tracked
	run ./tester -o cleanup
else
	for kind in '' .static; do
		test_hello
		test_xxxhal
		test_make_vcpu
		test_exec registered 100
	done
fi
ktap_set_plan $((KTAP_TESTNO - 1))
ktap_finished
