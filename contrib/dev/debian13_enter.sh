#!/usr/bin/env bash
# The inner half of debian13.sh, first process of the new namespaces: mounts what
# the folder needs and runs the command in it.
#
# The checkout is copied into memory: what is built and written in there neither
# touches it nor stays. /tmp is on the disk, where there is room for what OSDs store.
#
# usage: debian13_enter.sh COMMAND [ARGUMENT...], with RBDCTL_SOURCE, RBDCTL_ROOT,
# RBDCTL_TMP (what is /tmp in there), RBDCTL_GOROOT and RBDCTL_MODULES in the environment
set -euo pipefail

root=$RBDCTL_ROOT

# read_only binds a directory of this machine into the folder.
read_only() {
	mount --bind "$1" "$root$2"
	mount -o remount,bind,ro "$root$2"
}

mkdir -p "$root/src" "$root/usr/local/go" "$root/go/mod" "$root/go/build"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$RBDCTL_TMP" "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir -m 1777 "$root/run/lock"
mount -t tmpfs -o mode=0755 tmpfs "$root/src"
tar -C "$RBDCTL_SOURCE" --exclude=./.cache --exclude=./.git --exclude=./bin --exclude=./build -cf - . |
	tar -C "$root/src" --no-same-owner -xf -
read_only "$RBDCTL_GOROOT" /usr/local/go
read_only "$RBDCTL_MODULES" /go/mod
hostname debian13

# Nothing of this machine's settings comes along, and nothing is fetched: what is
# missing in there shall fail. This shell stays, to be the parent of daemons whose
# own has ended.
chroot "$root" /usr/bin/env -i \
	HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
	PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	GOTOOLCHAIN=local GOPROXY=off GOMODCACHE=/go/mod GOCACHE=/go/build GOENV=off \
	/bin/sh -c 'cd /src && exec "$@"' sh "$@"
