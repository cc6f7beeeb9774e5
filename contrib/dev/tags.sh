#!/usr/bin/env bash
# Prints the build tags for this machine, for go's -tags.
#
# go-ceph wants to be told which release it is compiled against when that is not
# the newest. The header of librbd tells: its minor version went up with every
# release of Ceph (16 in Pacific, 17 in Quincy, 18 in Reef, 19 in Squid).
#
# ceph_preview opens the calls that go-ceph counts as not settled yet, flatten
# with progress among them. libvirt_dlopen loads libvirt at run time, so that one
# binary serves hosts with and without it.
#
# usage: tags.sh [HEADER]
set -euo pipefail

header=${1:-/usr/include/rbd/librbd.h}
if [[ ! -r $header ]]; then
	echo "tags.sh: no $header: install librbd-dev (make deps does)" >&2
	exit 1
fi
minor=$(awk '$1 == "#define" && $2 == "LIBRBD_VER_MINOR" { print $3 }' "$header")
case $minor in
16) release=pacific, ;;
17) release=quincy, ;;
18) release=reef, ;;
19) release=squid, ;;
2[0-9]) release= ;;
*)
	echo "tags.sh: $header is of librbd 1.${minor:-?}: rbdctl needs Ceph 16 or later" >&2
	exit 1
	;;
esac
echo "${release}ceph_preview,libvirt_dlopen"
