#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
	cat <<-'END'
	usage: apt.sh [--arch=ARCH] SUITE PACKAGE [VERSION-PREFIX]

	Download the newest PACKAGE of a Debian suite (whose version begins with
	VERSION-PREFIX) into the cache and print the .deb file's path.

	The suite need not be one that this machine's apt lists: the mirror is
	read from the machine's apt configuration, the lists and the state are
	our own.  Nothing is installed and no root is needed.  apt checks the
	archive's signature and the file's checksum; a download that was
	interrupted goes on where it stopped.

	exit status: 0 done, 1 no mirror or no network, 3 there is no such package
	END
}

# The URI of the Debian archive proper, whatever the format it is written in.
mirror() {
	# shellcheck source=/dev/null
	id=$(. /etc/os-release && echo "${ID:-}") codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ "$id" = debian ] || return 0
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk -v codename="$codename" '
			$2 ~ "^(" codename "|stable|testing|unstable|sid)$" { print $1; exit }'
}

arch=$(dpkg --print-architecture 2>/dev/null || echo amd64)
case ${1:-} in
--help) usage; exit ;;
--arch=*) arch=${1#*=}; shift ;;
esac
[ $# -ge 2 ] || { usage >&2; exit 1; }
suite=$1 package=$2 prefix=${3:-}

command -v apt-get >/dev/null || die "this machine has no apt"
uri=$(mirror)
[ "$uri" ] || die "this machine's apt configuration names no Debian mirror"

cache=$(cache_dir)
state=$cache/apt/$suite-$arch
downloads=$cache/downloads
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$downloads/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=$([ ! -r $keyring ] || echo "signed-by=$keyring")
echo "deb [arch=$arch $signed] $uri $suite main" >"$state/sources.list"

# apt COMMAND…: apt on our own lists; Dir::Etc::parts stays, it may hold a proxy.
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
run_logged "$log" "Asking the Debian mirror for $package in $suite" apt apt-get update ||
	die "the mirror cannot be reached or has no $suite: no network?"
version=$(apt apt-cache madison "$package" | tr -d ' ' | cut -d'|' -f2 |
	awk -v prefix="$prefix" 'index($0, prefix) == 1 { print; exit }')
if [ ! "$version" ]; then
	say "${0##*/}: $suite has no $package${prefix:+ $prefix} (any more)"
	exit 3
fi

file=${package}_$(echo "$version" | sed 's/^[0-9]*://')_$arch.deb
if ! (cd "$downloads" && sha256sum --status -c "$file.sha256" 2>/dev/null); then
	cd "$downloads/partial"
	run_logged "$log" "Downloading $package $version" apt apt-get download "$package=$version" ||
		die "the download of $package $version failed"
	mv "${package}"_*.deb "$downloads/$file"
	cd "$downloads"
	sha256sum "$file" >"$file.sha256"
fi
echo "$downloads/$file"
