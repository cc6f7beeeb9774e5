#!/usr/bin/env bash
# Runs a command with the build tags of this machine in GOFLAGS, so that every go
# that it starts, however deep, compiles the same packages the same way.
#
# usage: tagged.sh COMMAND [ARGUMENT...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
need=$(awk '$1 == "go" { print $2 }' "$here/../../go.mod")

# old says whether the go in PATH is too old and can't fetch a newer one itself,
# which those since 1.21 do unless GOTOOLCHAIN forbids it.
old() {
	local have least=$need
	have=$(cd / && go env GOVERSION)
	[[ $(cd / && go env GOTOOLCHAIN) == local ]] || least=1.21
	[[ $(printf '%s\n' "$least" "${have#go}" | sort -V | head -n 1) != "$least" ]]
}

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin # where go.dev's archive puts it
if ! command -v go >/dev/null || old; then
	echo "tagged.sh: rbdctl needs Go $need or later in PATH, see https://go.dev/doc/install" >&2
	exit 1
fi
tags=$("$here/tags.sh")
GOFLAGS="$(go env GOFLAGS) -tags=$tags"
export GOFLAGS PATH
exec "$@"
