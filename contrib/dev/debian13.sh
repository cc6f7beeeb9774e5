#!/usr/bin/env bash
# Runs a command in a copy of this checkout inside a Debian 13, as root of a
# folder: `make test` unless told otherwise.
#
# The folder is .cache/debian13 (or $RBDCTL_DEBIAN13). It is made by debootstrap,
# from the mirror that this machine's apt uses, under a temporary name, and gets
# its own only when it is complete; later runs use it again, several at once if
# need be. Remove it to have it made anew.
#
# The command runs in namespaces of its own for processes and mounts. Go and the
# module cache are this machine's, bound read-only. When the command ends, or this
# script is told to, the kernel ends every process in there and undoes every mount.
#
# usage: debian13.sh [COMMAND [ARGUMENT...]]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
root=${RBDCTL_DEBIAN13:-$source/.cache/debian13}

# Go is asked while we are still the person who calls: root has another one.
if [[ -z ${RBDCTL_GOROOT:-} ]]; then
	"$here/install.sh" build debian13
	RBDCTL_GOROOT=$("$here/tagged.sh" go env GOROOT)
	RBDCTL_MODULES=$("$here/tagged.sh" go env GOMODCACHE)
	(cd "$source" && "$here/tagged.sh" go mod download)
fi
if ((EUID != 0)); then
	exec sudo env RBDCTL_GOROOT="$RBDCTL_GOROOT" RBDCTL_MODULES="$RBDCTL_MODULES" \
		RBDCTL_DEBIAN13="$root" "$(readlink -f "$0")" "$@"
fi
(($# > 0)) || set -- make test
[[ -d $root ]] || "$here/debian13_root.sh" "$root"

tmp=$(mktemp -d "$root/var/tmp/run.XXXXXX")
trap 'rm -rf --one-file-system "$tmp"' EXIT
chmod 1777 "$tmp"
export RBDCTL_SOURCE=$source RBDCTL_ROOT=$root RBDCTL_TMP=$tmp RBDCTL_GOROOT RBDCTL_MODULES
unshare --mount --propagation private --uts --ipc --pid --fork --kill-child --mount-proc \
	"$here/debian13_enter.sh" "$@" <&0 &
inside=$!
trap 'kill -KILL "$inside" 2>/dev/null; wait "$inside" 2>/dev/null || true; exit 143' INT TERM HUP
wait "$inside"
