#!/usr/bin/env bash
# Checks what can be checked without a cluster: shell scripts, the API's document, that
# the packages which promise it compile without cgo, and everything in .golangci.yml.
# The first run compiles the linter, which takes some minutes; then Go's cache has it.
#
# usage: lint.sh [ARGUMENT OF golangci-lint run...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
"$here/install.sh" build lint

mapfile -t scripts < <(grep -rlE --exclude-dir='.?*' '^#!/(usr/)?bin/(env )?(ba)?sh' . .ci)
shellcheck "${scripts[@]}"
"$here/tagged.sh" go tool -modfile=tools/openapi.mod validate docs/openapi.json
CGO_ENABLED=0 "$here/tagged.sh" go build \
	rbdctl/pools/... rbdctl/keyring/... rbdctl/internal/fault/... rbdctl/internal/spec/...
"$here/tagged.sh" go tool -modfile=tools/go.mod golangci-lint run "$@"
# The kill tests build package rbd with more in it; that has to compile, too.
"$here/tagged.sh" go vet -tags "$("$here/tags.sh"),failpoint" ./rbd/...
