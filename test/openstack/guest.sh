#!/usr/bin/env bash
# Builds the RAW disk image of the cloud's guests: the demo's, with another init.
#
# usage: guest.sh OUT.raw
set -euo pipefail

out=$(realpath -m "${1:?usage: guest.sh OUT.raw}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The builder takes the init that lies beside it.
ln -s "$here/../../contrib/demo/guest-image.sh" "$work/guest-image.sh"
ln -s "$here/guest_init.sh" "$work/guest_init.sh"
"$work/guest-image.sh" "$out" >/dev/null
