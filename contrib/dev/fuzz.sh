#!/usr/bin/env bash
# Fuzzes every fuzz target of the module in turn, each for FUZZTIME. What go finds
# it writes to testdata/fuzz beside the test; from then on `make test` tries it too.
#
# usage: FUZZTIME=30s fuzz.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
"$here/install.sh" build

targets=$(grep -rnoE --include='*_test.go' --exclude-dir='.?*' '^func Fuzz[A-Za-z0-9_]+' . |
	sed -E 's,^(.*)/[^/]+:[0-9]+:func (.*)$,\1 \2,' | sort -u)
if [[ -z $targets ]]; then
	echo "fuzz.sh: no fuzz target found" >&2
	exit 1
fi
failed=()
while read -r package target; do
	echo "fuzz.sh: $package $target"
	# To make an input of interest smaller could take the whole time.
	"$here/tagged.sh" go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 100x "$package" </dev/null ||
		failed+=("$package $target")
done <<<"$targets"

if ((${#failed[@]})); then
	printf 'fuzz.sh: failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
