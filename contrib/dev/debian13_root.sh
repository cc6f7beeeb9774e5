#!/usr/bin/env bash
# Makes a Debian 13 with the packages of build, lab, guest, units and make in a
# folder, unless that exists already. As root.
#
# The mirror is the one from which apt on this machine fetches Debian itself, or
# $DEBIAN13_MIRROR; a proxy that apt is told to use is used here too.
#
# usage: debian13_root.sh FOLDER
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
final=$1
made=$(dirname "$final")/.$(basename "$final").$$

# mirror prints the address of Debian's main archive as apt here has it.
mirror() {
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' '$1 == "Debian" && $2 == "main" && !seen { print $3; seen = 1 }'
}

# proxy prints the proxy that apt here uses for http, if any.
proxy() {
	apt-config dump --format '%v%n' Acquire::http::Proxy | head -n 1
}

# in_root runs a command in the new system, with /proc there and in namespaces
# that end with it.
in_root() {
	# shellcheck disable=SC2016 # the inner shell expands these
	unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
		sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$made" \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive "$@"
}

mkdir -p "$(dirname "$final")"
exec 9<"$(dirname "$final")"
flock 9 # another run may be making it just now
[[ ! -d $final ]] || exit 0

from=${DEBIAN13_MIRROR:-$(mirror)}
if [[ -z $from ]]; then
	apt-get -qq update
	from=$(mirror)
fi
if [[ -z $from ]]; then
	echo "debian13_root.sh: apt names no mirror of Debian here; set DEBIAN13_MIRROR to one" >&2
	exit 1
fi
via=$(proxy)
[[ $via != DIRECT ]] || via=
[[ -z $via ]] || export http_proxy=$via

log=$(mktemp)
trap 'rm -rf --one-file-system "$made"; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step runs a command quietly and shows what it said when it fails.
step() {
	echo "debian13_root.sh: $1" >&2
	shift
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		echo "debian13_root.sh: failed, see above" >&2
		exit 1
	fi
}

step "debootstrap of Debian 13 from $from" \
	debootstrap --variant=minbase --include=ca-certificates trixie "$made" "$from"
printf '#!/bin/sh\nexit 101\n' >"$made/usr/sbin/policy-rc.d"
chmod 755 "$made/usr/sbin/policy-rc.d"
printf '127.0.0.1 localhost\n127.0.1.1 debian13\n' >"$made/etc/hosts"
echo debian13 >"$made/etc/hostname"
cp /etc/resolv.conf "$made/etc/resolv.conf"
[[ -z $via ]] || echo "Acquire::http::Proxy \"$via\";" >"$made/etc/apt/apt.conf.d/proxy"

step "apt-get update" in_root apt-get -qq update
listed=$(in_root bash -s build lab guest units make <"$here/packages.sh")
mapfile -t names <<<"$listed"
step "installing Ceph, libvirt, QEMU, systemd and a compiler" \
	in_root apt-get -qq install -y --no-install-recommends "${names[@]}"
in_root apt-get clean
mv -T "$made" "$final"
