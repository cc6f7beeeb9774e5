#!/usr/bin/env bash
# Runs a command with a lab of real daemons, which ends with it, and with the
# build tags of this machine in GOFLAGS.
#
# The program that does it is compiled first and started as this very process:
# under `go run`, a signal would end go and not reach the lab.
#
# usage: in_lab.sh COMMAND [ARGUMENT...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
labrun=$here/../../bin/labrun
"$here/tagged.sh" go build -trimpath -o "$labrun" ./internal/lab/labrun
exec "$here/tagged.sh" "$labrun" -- "$@"
