#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: sandbox.sh [-r FOLDER:PATH]... [-w FOLDER:PATH]... [-l FOLDER:PATH]...
#                   [-t SECONDS] [-c BYTES] [-d MIB] COMMAND...
#
# Run COMMAND, which a submission may have written, in bubblewrap: without a network, in
# namespaces of its own, with an empty environment. It sees /usr, read-only, an empty
# /tmp, and each FOLDER as PATH: with -r it can read it, with -w write it, with -l replace
# files in it, but not write to those that are there: they may be links to other folders'
# files. What it prints comes out up to BYTES (4000000). It is stopped after SECONDS
# (600), when the folders of -w and -l have grown beyond MIB (8000) together or by a
# million files, and when the machine's memory or disk runs short. The exit status is
# COMMAND's; 124 when it was stopped, 125 when there is no sandbox, or no room for one.

# shellcheck source=scripts/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# What fails before COMMAND has begun is not COMMAND's fault.
begun=''
# shellcheck disable=SC2016 # at the end
at_exit '[ "$begun" ] || exit 125'
binds='' owned='' linked='' seconds=600 bytes=4000000 mib=8000
while getopts r:w:l:t:c:d: option; do
	case $option in
	r) binds="$binds --ro-bind ${OPTARG%%:*} ${OPTARG##*:}" ;;
	w) binds="$binds --bind ${OPTARG%%:*} ${OPTARG##*:}" owned="$owned ${OPTARG%%:*}" ;;
	l) binds="$binds --bind ${OPTARG%%:*} ${OPTARG##*:}" linked="$linked ${OPTARG%%:*}" ;;
	t) seconds=$OPTARG ;;
	c) bytes=$OPTARG ;;
	d) mib=$OPTARG ;;
	*) misused ;;
	esac
done
shift $((OPTIND - 1))
[ $# != 0 ] || misused
for number in "$seconds" "$bytes" "$mib"; do
	case $number in
	'' | *[!0-9]*) say "sandbox: '$number' is no number"; exit 125 ;;
	esac
done
command -v bwrap >/dev/null || { say "sandbox: install the package bubblewrap"; exit 125; }

# Root's processes have no limit on their number, and own this machine's files: be
# somebody who owns nothing but the folders that may be written.
user=''
if [ "$(id -u)" = 0 ]; then
	user='setpriv --reuid 64321 --regid 64321 --clear-groups --no-new-privs'
	# shellcheck disable=SC2086 # lists
	[ ! "$owned" ] || chown -R -h 64321:64321 $owned
	# shellcheck disable=SC2086
	[ ! "$linked" ] || find $linked -type d -exec chown 64321:64321 {} +
fi

# shellcheck disable=SC2086 # lists
set -- $user bwrap --unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL \
	--uid 1000 --gid 1000 --hostname sandbox --clearenv \
	--setenv PATH /usr/bin:/bin:/usr/sbin:/sbin --setenv HOME /tmp --setenv LC_ALL C \
	--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/sbin /sbin \
	--symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/lib32 /lib32 \
	--ro-bind-try /etc/alternatives /etc/alternatives --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache \
	--proc /proc --dev /dev --size 100000000 --tmpfs /dev/shm --remount-ro /dev \
	--size 1000000000 --tmpfs /tmp $binds --remount-ro / --chdir /tmp \
	prlimit --nproc=300 -- sh -c 'echo >&3; exec "$@" 3>&-' - "$@"

# No file that the caller has open, but where the sandbox says that it has begun.
# shellcheck disable=SC2016 # Perl's
close='use POSIX; POSIX::close($_) for 4 .. 1023; exec @ARGV'

# The limits of one process. That on their number is set inside: there, only this
# sandbox's processes count, since Linux 5.14.
set -- timeout --foreground -k 5 "$seconds" choom -n 1000 -- prlimit --core=0 --fsize=2000000000 \
	--as=6000000000 --nofile=1024 -- perl -e "$close" "$@"

out=$(mktemp -d)
at_exit "rm -rf '$out'"

# free FIELD: the least of df's FIELD that is free where a folder that may be written is.
free() {
	# shellcheck disable=SC2086
	df -BM --output="$1" "$out" $owned $linked |
		awk '/[0-9]/ && (!n++ || $1 + 0 < free) { free = $1 + 0 } END { print free + 0 }'
}

# short: does the machine run short of disk or memory?
short() {
	[ "$(free avail)" -lt 500 ] || [ "$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)" -lt 1000 ]
}
! short || { say "sandbox: this machine has less than 500 MiB of disk, or 1000 of memory, to spare"; exit 125; }

mkfifo "$out/pipe"
head -c "$bytes" <"$out/pipe" &
reader=$!
"$@" >"$out/pipe" 2>&1 </dev/null 3>"$out/begun" &
child=$!
at_exit "kill -9 $child 2>/dev/null || :"

# watch: end the child when it takes too much of what all share. What its folders have
# takes long to count: that is done when the disk has less, and now and then.
watch() {
	_n=0 _size=0 _free=$(free avail) _files=$(free iavail)
	while sleep 1 && kill -0 "$child" 2>/dev/null; do
		_n=$((_n + 1))
		# shellcheck disable=SC2086
		if [ $((_free - $(free avail))) -gt "$mib" ] || [ $((_n % 30)) = 0 ]; then
			_size=$([ ! "$owned$linked" ] || du -smc $owned $linked 2>/dev/null | tail -n 1 | cut -f1)
		fi
		if [ "${_size:-0}" -gt "$mib" ] || short || [ $((_files - $(free iavail))) -gt 1000000 ]; then
			: >"$out/stopped"
			kill "$child" 2>/dev/null
			sleep 2
			kill -9 "$child" 2>/dev/null
		fi
	done
}
# Without what a caller has locked.
watch >/dev/null 2>&1 6>&- 9>&- &
watcher=$!
status=0
wait "$child" || status=$?
# shellcheck disable=SC2034 # for at_exit
[ ! -s "$out/begun" ] || begun=1
kill "$watcher" 2>/dev/null || :
wait "$reader" || :
case $status in
124 | 137 | 143) status=124 ;;
esac
[ ! -e "$out/stopped" ] || status=124
exit $status
