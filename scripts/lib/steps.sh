# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Long steps, logs, locks, and cleaning up. Sourced by lib.sh.

# at_exit COMMAND: run COMMAND, too, when this script ends, even by Ctrl-C or a signal.
at_exit() {
	_at_exit="$1; ${_at_exit:-}"
}
# shellcheck disable=SC2046 # a list
trap 'kill -KILL ${_ticker:-} 2>/dev/null || :; [ ! "${_step:-}" ] || kill $(family "$_step") 2>/dev/null || :; eval "${_at_exit:-}"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# family PROCESS: it, and all that it has started. make ends what it has started itself, but
# not what that has: all have to be known before one is killed.
family() {
	echo "$1"
	_children=$(cat /proc/"$1"/task/*/children 2>/dev/null) || :
	for _process in $_children; do family "$_process"; done
}

# isolated COMMAND…: run a command or function in a subshell that stops at the first
# failure; its status is in $status. Left of || and in conditions, where the shell ignores
# failures inside a function, this refuses to run.
isolated() {
	set +e
	(set -e; false; exit 99)
	[ $? != 99 ] || die "isolated $1: not where the shell ignores failures"
	(set -e; "$@")
	status=$?
	set -e
}

# ticker TITLE BEGIN LOG: show how long a step has been running and the end of its log: on
# a terminal every second, elsewhere every half minute. It outlives a kill -9 of this script,
# and then ends the step.
ticker() {
	if [ -t 2 ]; then _pause=1 _form='\r\033[K%s ... %d s: %.50s'
	else _pause=30 _form='\n%s ... %d s: %.50s'; fi
	_n=0
	while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
		_n=$((_n + 1))
		[ $((_n % _pause)) = 0 ] || continue
		_now=$(tail -n 1 "$3" 2>/dev/null | tr -s '[:space:]' ' ' | tr -cd '[:print:]')
		# shellcheck disable=SC2059 # one of the two above
		printf "$_form" "$1" $(($(date +%s) - $2)) "$_now" >&2
	done
	# This script was killed, and could not end the step.
	# shellcheck disable=SC2046 # a list
	kill $(family "$_step") 2>/dev/null
}

# attempt LOG TITLE COMMAND…: run a long command quietly and show its time; if it fails,
# show the end of the log. Its status is in $status. V=1 shows all output.
attempt() {
	_log=$1 _title=$2
	shift 2
	if [ "$V" = 1 ]; then
		say "$_title"
		status=$({ { isolated "$@"; echo $status >&4; } 2>&1 | tee "$_log" >&2; } 4>&1)
		return
	fi
	_begin=$(date +%s)
	printf '%s ...' "$_title" >&2
	# In the background, so that a signal to this script alone ends the step, too.
	{ isolated "$@"; exit "$status"; } >"$_log" 2>&1 </dev/null &
	_step=$!
	# Its sleep outlives it, and must not keep the locks.
	ticker "$_title" "$_begin" "$_log" 5>&- 6>&- 7>&- 8>&- 9>&- &
	_ticker=$! status=0
	wait "$_step" || status=$?
	_step=''
	# A TERM is lost if it comes before the new shell has reset our traps.
	kill -KILL "$_ticker" 2>/dev/null || :
	wait "$_ticker" 2>/dev/null || :
	_ticker=''
	[ ! -t 2 ] || printf '\r\033[K%s ...' "$_title" >&2
	if [ $status = 0 ]; then
		say " $(($(date +%s) - _begin)) s"
	else
		say " failed"
		tail -n 25 "$_log" >&2
		say "the whole log: $_log"
	fi
}

# run_logged LOG TITLE COMMAND…: the same; a failure ends this script.
run_logged() {
	attempt "$@"
	[ "$status" = 0 ] || exit "$status"
}

# wait_lock DESCRIPTOR WHAT: lock the file that is open there; say if WHAT has it.
wait_lock() {
	flock -n "$1" || { say "waiting: $2"; flock "$1"; }
}

# with_lock: lock build/ until this script ends. Scripts that it calls share the lock.
with_lock() {
	[ "${BUILD_LOCKED:-}" != "$BUILD" ] || return 0
	exec 9>>"$BUILD/.lock"
	flock -n 9 || wait_lock 9 "$(cat "$BUILD/.lock.owner" 2>/dev/null || echo another make) is using build/"
	rm -f "$BUILD/.lock.owner" # It may be root's.
	echo "${0##*/} (process $$)" >"$BUILD/.lock.owner"
	export BUILD_LOCKED="$BUILD"
}

# drop_lock: unlock build/, before something long that does not change it, such as a guest.
drop_lock() {
	exec 9>&-
	unset BUILD_LOCKED
}

# claim NAME: set $run to a guest's own folder, build/run/NAME, or NAME.2, NAME.3, ... if
# taken. It is locked while this script or its guest runs.
claim() {
	_n=1 run=$BUILD/run/$1
	while mkdir -p "$run" && exec 7>>"$run/.lock" && ! flock -n 7; do
		[ $_n -lt 99 ] || die "$run cannot be locked"
		_n=$((_n + 1)) run=$BUILD/run/$1.$_n
	done
	find "$run/" -mindepth 1 ! -name .lock -delete
}
