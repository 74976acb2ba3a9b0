#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: apt.sh [--arch=ARCH] [--depends] SUITE PACKAGE [VERSION-PREFIX]
#        apt.sh --mirror [SUITE]
#
# Download the newest PACKAGE of a Debian suite (whose version begins with
# VERSION-PREFIX) to the cache and print the .deb file's path. With --depends, also
# download what it depends on, and print one path a line. With --mirror, print where the
# archive is, or its line for sources.list.
#
# The suite need not be in this machine's sources.list: the mirror is read from the
# machine's apt configuration; lists and state are our own. Nothing is installed and
# no root is needed. apt checks the archive's signature and the file's checksum, and
# resumes an interrupted download.
#
# exit status: 0 done, 1 no mirror or no network, 3 no such package

. "$(dirname "$0")/../lib/lib.sh"

# The URI of the Debian archive proper, from either format of apt's lists. mmdebstrap
# (--variant=extract) could do all this, but is one more package to install, and neither
# resumes a download nor keeps it.
mirror() {
	# shellcheck source=/dev/null
	id=$(. /etc/os-release && echo "${ID:-}") codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ "$id" = debian ] || return 0
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk -v codename="$codename" '
			$2 ~ "^(" codename "|stable|testing|unstable|sid)$" { print $1; exit }'
}

arch=$(dpkg --print-architecture 2>/dev/null || echo amd64) depends='' only_mirror=''
while :; do
	case ${1:-} in
	--arch=*) arch=${1#*=} ;;
	--depends) depends=1 ;;
	--mirror) only_mirror=1 ;;
	*) break ;;
	esac
	shift
done
[ $# -ge 2 ] || [ "$only_mirror" ] || misused

command -v apt-get >/dev/null || die "this machine has no apt"
uri=$(mirror)
[ "$uri" ] || die "this machine's apt configuration names no Debian mirror"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
source="deb [arch=$arch$([ ! -r $keyring ] || echo " signed-by=$keyring")] $uri ${1:-} main"
[ ! "$only_mirror" ] || { [ $# = 0 ] && echo "$uri" || echo "$source"; exit; }
suite=$1 package=$2 prefix=${3:-}

cache=$(cache_dir)
state=$cache/apt/$suite-$arch
downloads=$cache/downloads
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$downloads/partial"
# Other clones share them: one at a time.
exec 5>>"$cache/apt/.lock"
flock 5
echo "$source" >"$state/sources.list"

# apt COMMAND…: apt with our own lists. Dir::Etc::parts stays: it may configure a proxy.
apt() {
	_command=$1
	shift
	"$_command" -q -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
		-o APT::Update::Error-Mode=any "$@"
}

log=$BUILD/log/apt.log
attempt "$log" "Asking the Debian mirror for $package in $suite" apt apt-get update
[ "$status" = 0 ] || die "the mirror cannot be reached or has no $suite: no network?"
version=$(apt apt-cache madison "$package" | tr -d ' ' | cut -d'|' -f2 |
	awk -v prefix="$prefix" 'index($0, prefix) == 1 { print; exit }')
if [ ! "$version" ]; then
	say "${0##*/}: $suite has no $package${prefix:+ $prefix} (any more)"
	exit 3
fi

# closure: the packages to install on an empty machine, except those that only
# maintainer scripts call.
closure() {
	printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nVersion: 999\n\n' \
		adduser debconf >"$state/status"
	apt apt-get -s --no-install-recommends -o Dir::State::status="$state/status" \
		install "$package=$version" >"$state/install" || return
	sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' "$state/install"
}

# file NAME VERSION: where it is in the cache.
file() {
	echo "$downloads/$1_$(echo "$2" | sed 's/^[0-9]*://')_$arch.deb"
}

wanted="$package $version"
[ ! "$depends" ] || wanted=$(closure) || die "$suite lacks what $package depends on"
missing=$(echo "$wanted" | while read -r name number; do
	cd "$downloads"
	sha256sum --status -c "$(file "$name" "$number").sha256" 2>/dev/null || echo "$name=$number"
done)
if [ "$missing" ]; then
	cd "$downloads/partial"
	# shellcheck disable=SC2086 # one word per package
	run_logged "$log" "Downloading $package $version${depends:+ with what it needs}" apt apt-get download $missing
	for name in $missing; do
		file=$(file "${name%%=*}" "${name#*=}")
		mv "${name%%=*}_$(echo "${name#*=}" | sed 's/:/%3a/')"_*.deb "$file"
		(cd "$downloads" && sha256sum "${file##*/}" >"$file.sha256")
	done
fi
echo "$wanted" | while read -r name number; do
	file "$name" "$number"
done
