#!/usr/bin/env bash
# Runs the tests of Cinder's driver that need no cluster, with Debian's Python: the
# one that has Cinder's modules. A test that is skipped is a failure, and so is none.
# Unless told which tests, it also makes the driver's packages and tries them.
#
# usage: test_driver.sh [ARGUMENT OF unittest...]
set -euo pipefail

(($#)) || "$(dirname "$0")/driver_packages.sh"
cd "$(dirname "$0")/../cinder"
if ((EUID != 0)); then
	echo "test_driver.sh: needs root, as one test becomes another user" >&2
	exit 1
fi
said=$(mktemp)
trap 'rm -f "$said"' EXIT
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -W ignore -m unittest "$@" 2>&1 | tee "$said"
if ! grep -qE '^Ran [1-9]' "$said" || [[ $(tail -n 1 "$said") != OK ]]; then
	echo "test_driver.sh: tests were skipped, or there were none" >&2
	exit 1
fi
