#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2086 # $tree is a list
#
# usage: HANDOUT=NAME one.sh SUBMISSION RESULTS [KEY]
#
# Grade one SUBMISSION, an archive or a folder with patches, on the base that base.sh
# has made and called KEY. RESULTS becomes a folder with feedback.txt for the student, result.json,
# gradescope.json, verdicts, and the logs behind them.
# DEADLINE=SECONDS is for the build, and again for the guest (6000 and 900); SPACE=MIB is
# for the built kernel (4000). TESTER=FILE.c, a course's own, runs last in the guest; give
# the rubric a row "tester" to count it. For our own ones, OWN=1 lets them fill the
# compiler's cache, KEEP=FOLDER keeps the tree and the built kernel there, START=FOLDER
# begins with what was kept, and RUNS=N boots N guests, each with other random arguments:
# what the second said is in raw.2 and log/guest.2.txt, and so on.

# shellcheck source=scripts/grade/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || [ $# = 3 ] || misused
submission=$1 results=$2
grade=$BUILD/grade base=$BUILD/grade/$arch
work=$grade/$name/work
start_src=${START:-$grade}/src start_out=${START:-$base}/out
sandbox=$HERE/sandbox.sh
ccache=${OWN:+-w} ccache=${ccache:--r}

exec 6>>"$grade/.lock"
wait_lock 6 "another make grades in build/"
key=$(cat "$base/key")
[ "${3:-$key} $(cat "$grade/root")" = "$key ${key%% *}" ] ||
	die "another 'make grade', with another kernel, has replaced the base: grade again when it has ended"
# wipe: a submission may have forbidden to enter its folders.
wipe() {
	[ ! -d "$work" ] || find "$work" -type d ! -perm -700 -exec chmod 700 {} \;
	rm -rf "$work"
}
at_exit wipe
wipe
rm -rf "$results.new"
mkdir -p "$work/in" "$work/log" "$work/user" "$results.new"
raw=$work/raw
: >"$raw"

# row ID pass|fail TEXT…
row() {
	_row="$1 $2"
	shift 2
	printf '%s %s\n' "$_row" "$*" >>"$raw"
}

# last FILE: its last line that says something, for a verdict's text.
last() {
	grep -a '[[:alnum:]]' "$1" | tail -n 1 | cut -c1-200
}

# plain: UTF-8 without anything that a terminal would obey.
plain() {
	tr -d '\000-\010\013-\037\177' | iconv -c -f UTF-8 -t UTF-8 | sed 's/\xc2[\x80-\x9f]//g'
}

# in_sandbox LOG SECONDS ARGUMENT…: $status says how it went.
in_sandbox() {
	_log=$1 _seconds=$2
	shift 2
	status=0
	"$sandbox" -t "$_seconds" -r "$HERE/inside:/g/scripts" "$@" >"$_log" 2>&1 || status=$?
	ended "$_log"
}

# ended LOG: what $status says of the sandbox itself
ended() {
	case $status in
	124) echo "$stopped" >>"$1" ;;
	125) cat "$1" >&2; die "there is no sandbox, and nothing is graded without it" ;;
	esac
}
stopped='it was stopped: it ran for too long, or took too much memory or disk'

# made FILE: what the sandbox has made is a file, and no way to one of this machine's.
made() {
	[ -f "$1" ] && [ "$(realpath "$1")" = "$(realpath "$work")${1#"$work"}" ]
}

# take: the patches of the submission into $work/in/patch. Nothing of a folder is
# followed that is no file.
take() {
	if [ -d "$submission" ]; then
		mkdir "$work/in/patch"
		_from=$submission
		[ ! -d "$_from/patch" ] || _from=$submission/patch
		patches_of "$_from" -type f -size -8192k | sort | head -n 200 |
			while IFS= read -r _file; do cp "$_file" "$work/in/patch/"; done
		_taken=$(find "$work/in/patch" -type f | wc -l)
		[ "$_taken" != 0 ] || { echo "there is no *.patch in the folder"; return 1; }
		[ "$_taken" = "$(patches_of "$submission" | wc -l)" ] ||
			{ echo "a *.patch is no file, larger than 8 MiB, beside patch/, or one of more than 200"; return 1; }
	else
		cp -L "$submission" "$work/archive" 2>&1 || return 1
		"$sandbox" -t 60 -d 100 -r "$HERE/inside:/g/scripts" -r "$work/archive:/g/archive" -w "$work/in:/g/in" \
			python3 /g/scripts/unpack.py /g/archive /g/in
	fi
}

# lay_out: the tree in $work/src, and $tree for the sandbox. The folders that no patch
# names are the base's own; the others are copied as links.
lay_out() {
	mkdir "$work/src"
	tree="$work/src:/g/src"
	find "$start_src" -mindepth 1 -maxdepth 1 ! -type d -exec cp -al {} "$work/src/" \;
	for _path in "$start_src"/*/; do
		_dir=$(basename "$_path")
		if grep -qaE "^(diff|---|\+\+\+|rename|copy) .*[ /]$_dir/" "$work"/in/patch/*.patch; then
			cp -al "$(where "$_dir")" "$work/src/$_dir"
		else
			mkdir "$work/src/$_dir"
			tree="$tree -r $(where "$_dir"):/g/src/$_dir"
		fi
	done
}

# where FOLDER: its files; what was kept by KEEP, and $work/src, have not all of them.
where() {
	for _at in "$work/src" "$start_src" "$grade/src"; do
		[ ! "$(ls -A "$_at/$1" 2>/dev/null)" ] || break
	done
	echo "$_at/$1"
}

apply() {
	lay_out
	in_sandbox "$work/log/apply.txt" 120 -r "$work/in:/g/in" -l $tree sh /g/scripts/apply.sh
}

# warnings LOG: without what changes from build to build.
warnings() {
	grep -aE 'warning:|^WARNING:' "$1" | sed -E 's/:[0-9]+(:[0-9]+)?:/:/' | sort -u
}

# kernel LOG SECONDS: build it; a submission only reads the compiler's cache.
kernel() {
	in_sandbox "$work/log/$1" "$2" -d "${SPACE:-4000}" -r $tree -w "$work/out:/g/out" "$ccache" \
		"$BUILD/grade/ccache:/g/ccache" sh /g/scripts/build.sh "$arch" "$cc" "$JOBS" bzImage modules
}

# none_of ROW PATTERN FILE: the row passes if no line of FILE matches.
none_of() {
	if grep -aE "$2" "$3" >"$work/found"; then
		row "$1" fail "$(head -n 1 "$work/found" | cut -c1-200)"
	else
		row "$1" pass
	fi
}

build() {
	cp -a "$start_out" "$work/out"
	past "$work/out"
	kernel build.txt "${DEADLINE:-6000}"
	if [ $status != 0 ] || ! made "$work/out/arch/x86/boot/bzImage"; then
		[ $status != 124 ] || row build fail "$stopped"
		row build fail "$(grep -aE 'source tree is not clean|error:|Error |undefined|duplicate' "$work/log/build.txt" | head -n 1 | cut -c1-200)"
		return
	fi
	row build pass
	mkdir "$work/boot" "$work/console"
	cp "$work/out/arch/x86/boot/bzImage" "$work/boot/"
	warnings "$base/base.log" >"$work/warnings.base"
	warnings "$work/log/build.txt" | comm -13 "$work/warnings.base" - >"$work/log/warnings.txt"
	none_of warnings . "$work/log/warnings.txt"
	if grep -q '^twice' "$HERE/$name.rubric"; then
		kernel again.txt 600
		[ $status = 0 ] || echo "error: it ended with $status" >>"$work/log/again.txt"
		none_of twice '^  (CC|LD|AR|AS|HOSTCC|BUILD|OBJCOPY) |warning:|rror' "$work/log/again.txt"
	fi
	guest_files
	cp "$raw" "$work/raw.build"
	guest ''
	for _run in $(seq 2 "${RUNS:-1}"); do
		raw=$work/raw.$_run
		cp "$work/raw.build" "$raw"
		guest ".$_run"
		plain <"$raw" >"$results.new/raw.$_run"
	done
	raw=$work/raw
}

# program NAME SOURCE…: from C, for the guest.
program() {
	_name=$1
	shift
	in_sandbox "$work/log/$_name.txt" 60 "$@" -w "$work/user:/g/built" \
		sh -c "$compile -o /g/built/$_name /g/$_name/*.c"
}

# guest_files: $files, what the guest gets: the tests, made of the base's tree, the tests'
# module, and the program of the submission.
guest_files() {
	set -- "$HERE/guest.sh:/work" "$work/nonce:/nonce" "$work/run:/tests/run"
	gcc -m$bits -static -nostdlib -ffreestanding -fno-pie -no-pie -fno-stack-protector -O1 -Wall \
		-I "$grade/nolibc" -idirafter "/usr/include/$(gcc -print-multiarch)" \
		-o "$work/test" "$HERE/tests/$name.c" ||
		die "tests/$name.c does not build"
	set -- "$@" "$work/test:/tests/test"
	if [ -e "$HERE/tests/$name-module.c" ]; then
		mkdir "$work/module"
		cp "$HERE/tests/$name-module.c" "$work/module/grade.c"
		cp "$base/members" "$work/module/base.members"
		in_sandbox "$work/log/module.txt" 600 -r $tree -w "$work/out:/g/out" \
			-w "$work/module:/g/module" sh /g/scripts/module.sh "$arch" "$cc"
		[ $status != 124 ] || row sound fail "the tests' module: $stopped"
		! made "$work/module/grade.ko" || set -- "$@" "$work/module/grade.ko:/grade.ko"
	fi
	if [ -f "$(where module)/Makefile" ]; then
		mkdir "$work/submitted"
		in_sandbox "$work/log/submitted.txt" 300 -r $tree -w "$work/out:/g/out" -w "$work/submitted:/g/built" \
			sh -c "cp /g/src/module/* /g/built/ && rm -f /g/built/*.ko && make -C /g/src O=/g/out ARCH=$arch CC=$cc LOCALVERSION= M=/g/built modules"
		if [ $status = 0 ] && made "$work/submitted/helloModule.ko"; then
			row module pass
			set -- "$@" "$work/submitted/helloModule.ko:/submitted.ko"
		else
			[ $status != 124 ] || row module fail "$stopped"
			row module fail "$(grep -aE 'error:|rror ' "$work/log/submitted.txt" | head -n 1 | cut -c1-200)"
		fi
	fi
	_user=$(where user)
	! ls "$_user"/*.c >/dev/null 2>&1 || program user -r "$_user:/g/user"
	[ ! "${TESTER:-}" ] || {
		program tester -r "$(realpath "$TESTER"):/g/tester/tester.c"
		made "$work/user/tester" || die "TESTER=$TESTER does not build: $(tail -n 3 "$work/log/tester.txt")"
	}
	for _program in user tester; do
		! made "$work/user/$_program" || set -- "$@" "$work/user/$_program:/$_program"
	done
	[ ! -e "$work/log/user.txt" ] || [ -e "$work/user/user" ] || {
		! grep -qxF "$stopped" "$work/log/user.txt" || row program fail "$stopped"
		row program fail "it does not build: $(grep -aE '[Ee]rror|undefined' "$work/log/user.txt" | head -n 1 | cut -c1-200)"
	}
	files=$*
}

# guest RUN: boot it; what it said is in guestRUN.txt, its console in consoleRUN.txt.
guest() {
	_said=$work/log/guest$1.txt _console=$work/log/console$1.txt
	# No number, as awk would compare it as one.
	_nonce=n$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	printf %s "$_nonce" >"$work/nonce"
	_seed=$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')
	sed "s/\$/ $_seed/" "$HERE/tests/$name.run" >"$work/run"
	# shellcheck disable=SC2086 # a list
	HANDOUT='' CONFIG=grade ARCH=$arch "$TOP/scripts/build/initramfs.sh" "$work/initramfs" $files
	cp "$work/initramfs" "$work/boot/"
	chmod -R a+rX "$work/boot"
	rm -f "$work/console/console.txt"
	in_sandbox "$_said" "${DEADLINE:-900}" -c 300000 -d 10 -r "$work/boot:/g/boot" -w "$work/console:/g/console" \
		"qemu-system-$arch" -accel tcg -cpu max,vendor=GenuineIntel -smp 2 -m 512M -nodefaults \
		-display none -no-reboot -net none \
		-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
		-kernel /g/boot/bzImage -initrd /g/boot/initramfs \
		-append "console=ttyS0 panic=-1 oops=panic no_timer_check tsc=nowatchdog log_buf_len=8M ignore_loglevel" \
		-serial file:/g/console/console.txt -serial stdio -serial null
	_whole=/dev/null
	! made "$work/console/console.txt" || _whole=$work/console/console.txt
	head -c 1000000 "$_whole" | tr -d '\r' >"$_console"
	# The kernel's log and the guest's words may hold anything; only whole lines with
	# the nonce are verdicts.
	tr -d '\r' <"$_said" |
		awk -v nonce="$_nonce" '$1 == nonce && $2 ~ /^[a-z-]+$/ && $3 ~ /^(pass|fail)$/ {
			$1 = ""; print substr($0, 2, 300) }' >>"$raw"
	_ended=$(grep -c '^end pass' "$raw") || :
	_how='ended before its tests did'
	[ $status != 124 ] || _how='was stopped: it ran for too long, or wrote too much'
	tr -d '\r' <"$_whole" | awk -v nonce="$_nonce" -v ended="$_ended" -v how="$_how" \
		-f "$HERE/console.awk" "$HERE/reports" - >"$work/reported"
	cat "$work/reported" >>"$raw"
	[ $status != 124 ] || row sound fail "the guest $_how"
}

# checkpatch: for who grades; from the base, so that nobody changes it.
checkpatch() {
	in_sandbox "$work/log/checkpatch.txt" 120 -r "$grade/src:/g/src" -r "$work/in:/g/in" \
		sh -c 'cd /g/src && ./scripts/checkpatch.pl --no-tree --no-signoff --ignore FILE_PATH_CHANGES --terse /g/in/patch/*.patch'
}

begin=$(date +%s)
isolated take >"$work/log/archive.txt" 2>&1
ended "$work/log/archive.txt"
if [ "$status" != 0 ]; then
	row apply fail "$(last "$work/log/archive.txt")"
else
	apply
	if [ $status = 0 ]; then
		row apply pass
		checkpatch
		build
	else
		row apply fail "$(last "$work/log/apply.txt")"
	fi
fi
rm -f "$work"/log/*.new
cp -R "$work/log" "$results.new/log"
plain <"$raw" >"$results.new/raw"
# git folds the line of a long name, and encodes one that is not in ASCII.
# shellcheck disable=SC2016 # perl's
{ cat "$work"/in/patch/*.patch 2>/dev/null || :; } | timeout 20 perl -MEncode -CO -0777 -ne '
	while (/^(?:From|Author): ([^<>\n]{0,200}(?:\n [^<>\n]{0,200}){0,5}\n? <[^<>\n\@]{0,200}\@[^<>\n\@]{0,200}>)$/mg) {
		print decode("MIME-Header", $1 =~ s/\n//gr) =~ s/\s+/ /gr, "\n";
	}' | plain | sort -u | head -n 5 >"$results.new/authors"
echo $(($(date +%s) - begin)) >"$results.new/seconds"
verdicts "$results.new"
mkdir -p "$results"
remove_results "$results"
find "$results.new/" -mindepth 1 -maxdepth 1 -exec mv -t "$results" {} +
rmdir "$results.new"
[ ! "${KEEP:-}" ] || {
	rm -rf "$KEEP"
	mkdir -p "$KEEP"
	mv "$work/src" "$work/out" "$KEEP/"
}
