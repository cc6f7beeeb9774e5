#!/usr/bin/env bash
# Starts the sidecar of the cloud in DIR, unless it runs, and waits until it works.
#
# usage: sidecar.sh DIR
# shellcheck disable=SC2034 # lib takes it
set -euo pipefail

cloud=${1:?usage: sidecar.sh DIR}
parts=$(dirname "$0")/lib
for part in process cloud services; do
	# shellcheck source=/dev/null
	. "$parts/$part.sh"
done
sidecar_start
