#!/usr/bin/env bash
# Rewrites the golden files: runs the tests of every package that has an -update
# flag, with it. Look at the difference before you commit it.
#
# usage: golden.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
mapfile -t packages < <(grep -rlE --include='*_test.go' --exclude-dir='.?*' 'flag\.Bool\("update"' . | xargs -n 1 dirname | sort -u)
exec "$here/tagged.sh" go test -count 1 "${packages[@]}" -update
